//! JSON values, one a line.

use super::lines::Lines;
use crate::failure::Failure;

/// Finds the lines of a stream of JSON values that comes in pieces, split anywhere. It keeps at
/// most a line, up to a bound.
#[derive(Clone, Debug)]
pub struct NdjsonParser {
    lines: Lines,
}

impl NdjsonParser {
    /// Makes a parser of lines of at most `max` bytes.
    #[must_use]
    pub const fn new(max: usize) -> Self {
        Self { lines: Lines::new(max) }
    }

    /// Takes bytes, and tells the lines that they end, without blanks around them; empty ones are
    /// none.
    ///
    /// # Errors
    ///
    /// When a line is larger than the bound. The parser is of no use then.
    pub fn push(&mut self, bytes: &[u8], mut tell: impl FnMut(&[u8])) -> Result<(), Failure> {
        self.lines.push(bytes, false, |line| told(line, &mut tell))
    }

    /// Tells the line that the end of the stream ends, if there is one.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn end(&mut self, mut tell: impl FnMut(&[u8])) -> Result<(), Failure> {
        self.lines.end(|line| told(line, &mut tell))
    }
}

fn told(line: &[u8], tell: &mut impl FnMut(&[u8])) -> Result<(), Failure> {
    let line = line.trim_ascii();
    if !line.is_empty() {
        tell(line);
    }
    Ok(())
}
