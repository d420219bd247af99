//! Server-sent events, as WHATWG's HTML standard parses them ("Server-sent events", "Interpreting
//! an event stream"), but that an event without a blank line behind it counts at the end of the
//! stream: some servers end so.

use super::bound;
use super::lines::Lines;
use crate::failure::Failure;

/// What a parser has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sse<'a> {
    /// An event with data.
    Event {
        /// Its name; empty if it has none.
        name: &'a [u8],
        /// Its lines of data, joined by line feeds.
        data: &'a [u8],
    },
    /// A line that says nothing, sent to keep the stream alive.
    Comment,
}

/// Finds events in an event stream that comes in pieces, split anywhere. It keeps at most an event,
/// up to a bound.
#[derive(Clone, Debug)]
pub struct SseParser {
    lines: Lines,
    event: Event,
}

#[derive(Clone, Debug)]
struct Event {
    /// Whether a line has come, before which a byte order mark may stand.
    begun: bool,
    name: Vec<u8>,
    data: Vec<u8>,
    /// Whether there is a line of data, which may be empty.
    has_data: bool,
    max: usize,
}

impl SseParser {
    /// Makes a parser of events of at most `max` bytes.
    #[must_use]
    pub const fn new(max: usize) -> Self {
        let event =
            Event { begun: false, name: Vec::new(), data: Vec::new(), has_data: false, max };
        Self { lines: Lines::new(max), event }
    }

    /// Takes bytes, and tells what they end.
    ///
    /// # Errors
    ///
    /// When an event is larger than the bound. The parser is of no use then.
    pub fn push(&mut self, bytes: &[u8], mut tell: impl FnMut(Sse<'_>)) -> Result<(), Failure> {
        let Self { lines, event } = self;
        lines.push(bytes, true, |line| event.line(line, &mut tell))
    }

    /// Tells what the end of the stream ends.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn end(&mut self, mut tell: impl FnMut(Sse<'_>)) -> Result<(), Failure> {
        let Self { lines, event } = self;
        lines.end(|line| event.line(line, &mut tell))?;
        event.dispatch(&mut tell);
        Ok(())
    }
}

impl Event {
    fn line(&mut self, line: &[u8], tell: &mut impl FnMut(Sse<'_>)) -> Result<(), Failure> {
        let mark = if self.begun { None } else { line.strip_prefix(b"\xef\xbb\xbf") };
        let line = mark.unwrap_or(line);
        self.begun = true;
        if line.is_empty() {
            self.dispatch(tell);
            return Ok(());
        }
        let (field, value) = split(line);
        match field {
            b"" => tell(Sse::Comment),
            b"data" => {
                if self.data.len() + value.len() >= self.max {
                    return Err(bound(self.max));
                }
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            // `id` and `retry` are for those who reconnect; others are unknown.
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self, tell: &mut impl FnMut(Sse<'_>)) {
        if self.has_data {
            tell(Sse::Event { name: &self.name, data: &self.data });
        }
        self.has_data = false;
        self.name.clear();
        self.data.clear();
    }
}

/// Splits a line into its field and its value, without the one space that may stand before it.
pub(crate) fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return (line, b"") };
    let value = &line[colon + 1..];
    (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
}
