//! What a body that is passed on unread has shown so far.
//!
//! Whoever hands an answer to an SDK must know when it is over, which may be long before its bytes
//! end: SDKs stop reading at the protocol's own end. A [`BodyWatch`] looks at the bytes on their
//! way, in one pass and without building what they say.

use core::time::Duration;

use crate::answer::{Received, usage};
use crate::chat::Usage;
use crate::dialect::Dialect;
use crate::failure::Failure;
use crate::headers::Headers;
use crate::json::parse;
use crate::secret::Secret;
use crate::stream::{Lines, Progress, split, truncated};
use memchr::memchr2;

/// The most bytes of a line that are looked at, and of a whole body for its usage: 64 KiB. What is
/// longer is passed on all the same; its end is found, its usage may not be.
pub const MAX_LOOK: usize = 65_536;

/// Looks at a body that is passed on.
///
/// The end counts when the empty line after it has come, as its reader gets it no sooner: whoever
/// passes on what was pushed until [`over`](Progress::over) has passed on the last event. Each line of data
/// is looked at by itself; providers write an event in one, and usage that is spread over several
/// is not found.
#[derive(Debug)]
pub struct BodyWatch {
    framing: Framing,
    judge: Judge,
}

#[derive(Debug)]
enum Framing {
    Sse(Lines),
    Ndjson(Lines),
    /// A body that comes whole; its beginning is kept for its usage.
    Whole {
        kept: Vec<u8>,
        cut: bool,
    },
}

impl BodyWatch {
    /// Begins to look at an answer with these headers. `keys` are those that no error may show.
    ///
    /// A provider of OpenAI's kind may be asked in either of OpenAI's dialects, so both are looked
    /// for.
    #[must_use]
    pub fn new(dialect: Dialect, headers: &Headers<'_>, keys: Vec<Secret>) -> Self {
        let kind = headers.text("content-type").unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let framing = match &essence[..] {
            "text/event-stream" => Framing::Sse(Lines::cutting(MAX_LOOK)),
            "application/x-ndjson" => Framing::Ndjson(Lines::cutting(MAX_LOOK)),
            _ => Framing::Whole { kept: Vec::new(), cut: false },
        };
        Self { framing, judge: Judge::new(dialect, keys) }
    }

    /// Looks at bytes, and tells what they have brought. Once it is over, it stays so.
    pub fn push(&mut self, bytes: &[u8]) -> Progress {
        let judge = &mut self.judge;
        judge.content = false;
        if judge.over {
            return judge.progress();
        }
        match &mut self.framing {
            // Lines that are cut are never an error.
            Framing::Sse(lines) => drop(lines.push(bytes, true, |line| judge.sse(line))),
            Framing::Ndjson(lines) => drop(lines.push(bytes, false, |line| judge.json(line, b""))),
            Framing::Whole { kept, cut } => {
                judge.content = !bytes.is_empty();
                let room = MAX_LOOK - kept.len();
                *cut |= bytes.len() > room;
                kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
        }
        judge.progress()
    }

    /// Takes the end of the bytes.
    ///
    /// # Errors
    ///
    /// When a stream that has an end of its own has not come to it; or the error that it ended
    /// with.
    pub fn end(&mut self) -> Result<(), Failure> {
        let judge = &mut self.judge;
        if !judge.over {
            match &mut self.framing {
                Framing::Sse(lines) => drop(lines.end(|line| judge.sse(line))),
                Framing::Ndjson(lines) => drop(lines.end(|line| judge.json(line, b""))),
                Framing::Whole { kept, cut: false } => judge.whole(kept),
                Framing::Whole { .. } => {}
            }
        }
        let broken = judge.expects_end && !judge.over && !judge.ends;
        judge.over = true;
        match judge.failure.clone() {
            Some(failure) => Err(failure),
            None if broken => Err(truncated(judge.dialect)),
            None => Ok(()),
        }
    }

    /// Returns what the call has used, as far as the body has told.
    #[must_use]
    pub const fn usage(&self) -> Option<Usage> {
        self.judge.usage
    }

    /// Returns the error that a stream has ended with.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        self.judge.failure.as_ref()
    }
}

#[derive(Debug)]
struct Judge {
    dialect: Dialect,
    keys: Vec<Secret>,
    /// The name of the event whose lines these are.
    name: Vec<u8>,
    begun: bool,
    content: bool,
    /// Whether the event whose lines these are is the last.
    ends: bool,
    over: bool,
    /// Whether what came belongs to a protocol with an end of its own: not every stream of a
    /// provider does.
    expects_end: bool,
    usage: Option<Usage>,
    failure: Option<Failure>,
}

/// The longest name of an event that is known.
const MAX_NAME: usize = 64;

impl Judge {
    const fn new(dialect: Dialect, keys: Vec<Secret>) -> Self {
        Self {
            dialect,
            keys,
            name: Vec::new(),
            begun: false,
            content: false,
            ends: false,
            over: false,
            expects_end: false,
            usage: None,
            failure: None,
        }
    }

    const fn progress(&self) -> Progress {
        Progress { content: self.content, over: self.over }
    }

    fn sse(&mut self, line: &[u8]) -> Result<(), Failure> {
        let mark = if self.begun { None } else { line.strip_prefix(b"\xef\xbb\xbf") };
        self.begun = true;
        match split(mark.unwrap_or(line)) {
            (b"", _) if line.is_empty() => {
                self.name.clear();
                self.over |= self.ends;
            }
            (b"event", name) => {
                self.name.clear();
                self.name.extend_from_slice(&name[..name.len().min(MAX_NAME)]);
            }
            (b"data", data) if !self.ends => {
                let name = core::mem::take(&mut self.name);
                self.json(data, &name)?;
                self.name = name;
                self.ends = core::mem::take(&mut self.over);
            }
            _ => {}
        }
        Ok(())
    }

    fn json(&mut self, data: &[u8], name: &[u8]) -> Result<(), Failure> {
        let data = data.trim_ascii();
        if self.over || data.is_empty() {
            return Ok(());
        }
        match self.dialect {
            // What it says is not known, so all of it is content.
            Dialect::Http => self.content = true,
            Dialect::Ollama => self.ollama(data),
            Dialect::Anthropic => self.anthropic(data, name),
            Dialect::OpenAi | Dialect::OpenAiResponses => self.openai(data, name),
        }
        Ok(())
    }

    fn ollama(&mut self, line: &[u8]) {
        let facts = Facts::of(line);
        self.content |= facts.content;
        self.expects_end |= facts.done.is_some();
        if facts.error {
            self.error(line);
        } else if facts.done == Some(true) {
            self.over = true;
            self.count(Dialect::Ollama, line, "");
        }
    }

    fn anthropic(&mut self, data: &[u8], name: &[u8]) {
        let facts = Facts::of(data);
        let kind = if name.is_empty() { facts.kind } else { name };
        self.expects_end |= kind == b"message_start";
        match kind {
            b"content_block_delta" => self.content |= facts.content,
            b"content_block_start" => self.content |= facts.content || facts.calls_tool,
            b"message_start" => self.count(Dialect::Anthropic, data, "message"),
            b"message_delta" => self.count(Dialect::Anthropic, data, ""),
            b"message_stop" => self.over = true,
            b"error" => self.error(data),
            _ if facts.kind.is_empty() && facts.error => self.error(data),
            _ => {}
        }
    }

    fn openai(&mut self, data: &[u8], name: &[u8]) {
        if data == b"[DONE]" {
            self.over = true;
            return;
        }
        let facts = Facts::of(data);
        let kind = if facts.kind.is_empty() { name } else { facts.kind };
        let typed = kind.starts_with(b"response.");
        self.expects_end |= typed || facts.choices;
        match kind {
            b"error" => self.error(data),
            b"response.failed" => self.error(data),
            b"response.completed" | b"response.incomplete" => {
                self.over = true;
                self.count(Dialect::OpenAiResponses, data, "response");
            }
            b"response.output_item.added" => self.content |= facts.calls_tool,
            _ if typed => self.content |= facts.delta && kind.ends_with(b".delta"),
            _ if facts.error => self.error(data),
            _ => {
                self.content |= facts.content;
                if facts.usage {
                    self.count(Dialect::OpenAi, data, "");
                }
            }
        }
    }

    /// Reads the usage of an event, of the object of that name in it if there is one.
    fn count(&mut self, dialect: Dialect, data: &[u8], within: &str) {
        let Some(value) = parse(data) else { return };
        let object = if within.is_empty() { &value } else { &value[within] };
        let read = usage(dialect, object).or_else(|| usage(dialect, &object["x_groq"]));
        let output = object["usage"]["output_tokens"].as_u64();
        self.usage = match (self.usage, read, output) {
            // The end of Anthropic's tells the answer's tokens alone.
            (Some(before), None, Some(output_tokens)) => Some(Usage { output_tokens, ..before }),
            (Some(before), Some(read), _) if read.input_tokens == 0 => {
                Some(Usage { input_tokens: before.input_tokens, ..read })
            }
            (before, read, _) => read.or(before),
        };
    }

    fn error(&mut self, data: &[u8]) {
        let value = parse(data).unwrap_or_default();
        let inner = if value["response"].is_object() { &value["response"] } else { &value };
        self.failure = Some(Failure::of_error(inner, &self.keys));
        self.over = true;
    }

    /// Reads the usage of a whole body.
    fn whole(&mut self, body: &[u8]) {
        let headers = Headers::default();
        let keys = &self.keys[..];
        let received =
            Received { status: 200, headers: &headers, body, wall: Duration::ZERO, keys };
        let Ok(value) = received.json() else { return };
        let both = [Dialect::OpenAi, Dialect::OpenAiResponses];
        self.usage = match self.dialect {
            Dialect::OpenAi | Dialect::OpenAiResponses => {
                both.iter().find_map(|dialect| usage(*dialect, &value))
            }
            dialect => usage(dialect, &value),
        };
    }
}

/// What one pass over a JSON object has found, without building it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Facts<'a> {
    /// The text at `type`.
    kind: &'a [u8],
    /// `error` is there, and not null.
    error: bool,
    /// `choices` is there.
    choices: bool,
    /// `usage` is there, and an object; or what Groq puts it in.
    usage: bool,
    /// What is at `done`.
    done: Option<bool>,
    /// `delta` is a text that is not empty.
    delta: bool,
    /// Something that the model says is not empty.
    content: bool,
    /// A call of a tool begins.
    calls_tool: bool,
}

/// What a model says stands at these, wherever they are but at the top.
const CONTENT: [&[u8]; 9] = [
    b"content",
    b"reasoning_content",
    b"reasoning",
    b"refusal",
    b"text",
    b"thinking",
    b"partial_json",
    b"tool_calls",
    b"arguments",
];

impl<'a> Facts<'a> {
    fn of(object: &'a [u8]) -> Self {
        let mut facts = Self::default();
        scan(object, |depth, key, value| facts.note(depth, key, value));
        facts
    }

    fn note(&mut self, depth: usize, key: &[u8], value: &'a [u8]) {
        match (depth, key) {
            (1, b"type") => self.kind = text(value),
            (1, b"error") => self.error = !value.starts_with(b"null"),
            (1, b"object") => self.error |= text(value) == b"error",
            (1, b"choices") => self.choices = true,
            (1, b"usage" | b"x_groq") => self.usage |= value.starts_with(b"{"),
            (1, b"done") => self.done = Some(value.starts_with(b"true")),
            (1, b"delta") => self.delta = is_filled(value),
            // Of Ollama's `generate`.
            (1, b"response" | b"thinking") => {
                self.content |= value.starts_with(b"\"") && is_filled(value);
            }
            (2, b"type") => {
                self.calls_tool |= matches!(text(value), b"tool_use" | b"function_call");
            }
            (2.., key) if CONTENT.contains(&key) => self.content |= is_filled(value),
            _ => {}
        }
    }
}

/// Returns the text that a value begins with, escapes as they are; empty if it is none.
fn text(value: &[u8]) -> &[u8] {
    let Some(rest) = value.strip_prefix(b"\"") else { return b"" };
    &rest[..end_of_text(rest)]
}

/// Tells whether a value is a text, list or object that is not empty.
fn is_filled(value: &[u8]) -> bool {
    let close = match value.first() {
        Some(b'"') => return value.len() > 1 && value[1] != b'"',
        Some(b'[') => b']',
        Some(b'{') => b'}',
        _ => return false,
    };
    value[1..].trim_ascii_start().first().is_some_and(|byte| *byte != close)
}

/// Returns where a text ends whose opening quote has been taken.
fn end_of_text(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

/// Tells every key of a JSON object with how deep it stands and what follows it, in one pass. What
/// is no JSON gives nothing that makes sense, and no harm.
fn scan<'a>(bytes: &'a [u8], mut tell: impl FnMut(usize, &'a [u8], &'a [u8])) {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let rest = &bytes[at..];
                let length = end_of_text(rest);
                let after = rest.get(length + 1..).unwrap_or_default().trim_ascii_start();
                at = (at + length + 1).min(bytes.len());
                if let Some(value) = after.strip_prefix(b":") {
                    tell(depth, &rest[..length], value.trim_ascii_start());
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Facts;

    #[test]
    fn only_keys_at_their_place_count() {
        let facts = Facts::of(br#"{"message":{"content":"\"done\":true"},"done" : false}"#);
        assert_eq!((facts.done, facts.content), (Some(false), true));
        let facts = Facts::of(br#"{"a":{"done":true,"error":"x"},"b":"done","c":"\\\"error\":1"}"#);
        assert_eq!(facts, Facts::default());
        let facts = Facts::of(br#"{"type":"error","error":{"type":"x"}}"#);
        assert!(facts.error && facts.kind == b"error");
    }

    #[test]
    fn what_is_empty_is_no_content() {
        for (object, content) in [
            (&br#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#[..], false),
            (br#"{"choices":[{"delta":{"content": "a"}}]}"#, true),
            (br#"{"choices":[{"delta":{"content":null,"tool_calls":[ ]}}]}"#, false),
            (br#"{"choices":[{"delta":{"tool_calls":[{}]}}]}"#, true),
            (br#"{"choices":[{"delta":{"content":"#, false),
            (br#"{"choices":[{"delta":{"content":""#, false),
        ] {
            let facts = Facts::of(object);
            assert_eq!(facts.content, content, "{}", String::from_utf8_lossy(object));
        }
    }

    #[test]
    fn what_is_cut_or_no_json_does_no_harm() {
        for bytes in [&b"\""[..], b"\"\\", b"{\"", b"\"a\"", b"\"a\":", b"]]}}", b"{\"a\\\":", b""]
        {
            assert!(!Facts::of(bytes).content);
        }
    }
}
