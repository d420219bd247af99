//! Answers that come in pieces, as typed events.

mod anthropic;
mod lines;
mod ndjson;
mod ollama;
mod openai;
mod responses;
mod sse;
mod whole;

pub(crate) use lines::Lines;
pub use ndjson::NdjsonParser;
pub(crate) use sse::split;
pub use sse::{Sse, SseParser};

use std::collections::VecDeque;

use serde_json::Value;

use crate::answer::Gather;
use crate::chat::{MAX_TOOL_CALLS, StreamEvent, Usage};
use crate::dialect::Dialect;
use crate::failure::{Class, Failure};
use crate::headers::Headers;
use crate::json::parse;
use crate::secret::Secret;
use crate::text;

/// The most bytes of one event, unless a bound is given: 8 MiB. The last event of OpenAI's
/// Responses repeats the whole answer.
pub const MAX_EVENT: usize = 8 << 20;

/// Reads an answer that comes in pieces, split anywhere, as events.
///
/// Hand it what comes by [`push`](Self::push), that there is no more by [`end`](Self::end), and
/// take events by [`poll`](Self::poll) after each until it is `None`. An error is the last that it
/// gives.
#[derive(Debug)]
pub struct Decoder {
    framing: Framing,
    reader: Reader,
}

#[derive(Debug)]
enum Framing {
    Sse(SseParser),
    Ndjson(NdjsonParser),
    /// A server that answers whole although it was asked for a stream.
    Whole(Gather),
}

/// What the bytes that were pushed have brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Something that the model says.
    pub content: bool,
    /// The end, by the protocol's own word or by an error: what follows is of no interest.
    pub over: bool,
}

impl Decoder {
    /// Makes the decoder for an answer with these headers, whose events have at most `max_event`
    /// bytes ([`MAX_EVENT`]). `keys` are those that no error may show.
    ///
    /// # Errors
    ///
    /// When the answer is something else, such as HTML.
    pub fn new(
        dialect: Dialect,
        headers: &Headers<'_>,
        max_event: usize,
        keys: Vec<Secret>,
    ) -> Result<Self, Failure> {
        let kind = headers.text("content-type").unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let framing = match (dialect, &essence[..]) {
            (Dialect::Http, _) => return Err(not_a_chat()),
            (Dialect::Ollama, "" | "application/x-ndjson" | "application/json") => {
                Framing::Ndjson(NdjsonParser::new(max_event))
            }
            (Dialect::Ollama, _) => return Err(not_a_stream(kind)),
            (_, "" | "text/event-stream") => Framing::Sse(SseParser::new(max_event)),
            (_, "application/json") => Framing::Whole(Gather::new(max_event)),
            _ => return Err(not_a_stream(kind)),
        };
        Ok(Self { framing, reader: Reader::new(dialect, keys) })
    }

    /// Takes bytes. What comes after the end or an error is dropped.
    pub fn push(&mut self, bytes: &[u8]) -> Progress {
        let reader = &mut self.reader;
        if reader.over {
            return Progress { content: false, over: true };
        }
        reader.content = false;
        let taken = match &mut self.framing {
            Framing::Sse(parser) => parser.push(bytes, |item| reader.sse(item)),
            Framing::Ndjson(parser) => parser.push(bytes, |line| reader.line(line)),
            Framing::Whole(body) => body.push(bytes),
        };
        if let Err(failure) = taken {
            reader.fail(failure);
        }
        Progress { content: reader.content, over: reader.over }
    }

    /// Takes the end of the body. Without the protocol's own end before it, the answer is
    /// [truncated](Class::Truncated).
    pub fn end(&mut self) -> Progress {
        let reader = &mut self.reader;
        if reader.over {
            return Progress { content: false, over: true };
        }
        reader.content = false;
        let taken = match &mut self.framing {
            Framing::Sse(parser) => parser.end(|item| reader.sse(item)),
            Framing::Ndjson(parser) => parser.end(|line| reader.line(line)),
            Framing::Whole(body) => {
                whole::read(reader, body.bytes());
                Ok(())
            }
        };
        match taken {
            Err(failure) => reader.fail(failure),
            Ok(()) => reader.fail(truncated(reader.dialect)),
        }
        Progress { content: reader.content, over: true }
    }

    /// Returns the next event. After the protocol's own end that is [`StreamEvent::Done`], after an
    /// error it is that, and then `None`.
    pub fn poll(&mut self) -> Option<Result<StreamEvent, Failure>> {
        self.reader.events.pop_front()
    }
}

/// Makes the failure of a stream that ended without the end of its protocol.
pub(crate) fn truncated(dialect: Dialect) -> Failure {
    let end = match dialect {
        Dialect::OpenAi => "[DONE]",
        Dialect::OpenAiResponses => "response.completed",
        Dialect::Anthropic => "message_stop",
        Dialect::Ollama => "\"done\":true",
        Dialect::Http => "its end",
    };
    Failure::new(Class::Truncated, format!("the stream broke off: {end} did not come"))
}

fn not_a_chat() -> Failure {
    Failure::new(Class::Invalid, "a provider of the kind http has no chat")
}

fn not_a_stream(kind: &str) -> Failure {
    let kind = &kind[..text::boundary(kind, 64)];
    Failure::malformed(format!("the provider answered no stream of events but {kind}"))
}

/// Makes the failure of something that is larger than a bound.
fn bound(max: usize) -> Failure {
    let text = format!("an event of the stream is larger than the bound of {max} bytes");
    Failure::new(Class::TooLarge, text)
}

/// Tells whether an event of that name is one of a protocol's, or may be.
fn is_known(name: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 4] = [b"response.", b"message_", b"content_block_", b"error"];
    matches!(name, b"" | b"message") || BEGINNINGS.iter().any(|known| name.starts_with(known))
}

/// Makes typed events of those of a dialect.
#[derive(Debug)]
struct Reader {
    dialect: Dialect,
    keys: Vec<Secret>,
    events: VecDeque<Result<StreamEvent, Failure>>,
    content: bool,
    over: bool,
    started: bool,
    finished: bool,
    /// The provider's numbers of the calls of tools, by their place.
    calls: Vec<Call>,
    usage: Option<Usage>,
}

#[derive(Clone, Debug)]
struct Call {
    number: u64,
    /// Its id, as the provider gave it.
    id: Option<String>,
    /// Whether arguments of it have come.
    begun: bool,
}

impl Reader {
    const fn new(dialect: Dialect, keys: Vec<Secret>) -> Self {
        Self {
            dialect,
            keys,
            events: VecDeque::new(),
            content: false,
            over: false,
            started: false,
            finished: false,
            calls: Vec::new(),
            usage: None,
        }
    }

    fn sse(&mut self, item: Sse<'_>) {
        if let Sse::Event { name, data } = item
            && !self.over
        {
            self.event(name, data);
        }
    }

    fn event(&mut self, name: &[u8], data: &[u8]) {
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            // The end of the others comes before it, where a server sends it at all.
            if self.dialect == Dialect::OpenAi {
                self.done();
            }
            return;
        }
        // Servers keep a connection alive with such things.
        if data.is_empty() || (!is_known(name) && !data.starts_with(b"{")) {
            return;
        }
        let Some(value) = self.json(data) else { return };
        // Events of chat completions have no type; an error may have one of its own.
        let untyped = value["type"].is_null() || self.dialect == Dialect::OpenAi;
        let has_error = !value["error"].is_null() && untyped;
        if name == b"error" || has_error || value["object"] == "error" {
            self.error(&value);
            return;
        }
        match self.dialect {
            Dialect::OpenAi => openai::read(self, &value),
            Dialect::OpenAiResponses => responses::read(self, &value),
            Dialect::Anthropic => anthropic::read(self, &value),
            Dialect::Ollama | Dialect::Http => {}
        }
    }

    fn line(&mut self, line: &[u8]) {
        if self.over {
            return;
        }
        let Some(value) = self.json(line) else { return };
        if value["error"].is_null() { ollama::read(self, &value) } else { self.error(&value) }
    }

    fn json(&mut self, data: &[u8]) -> Option<Value> {
        let value = parse(data).filter(Value::is_object);
        if value.is_none() {
            self.fail(Failure::malformed("an event of the stream is no JSON object"));
        }
        value
    }

    fn tell(&mut self, event: StreamEvent) {
        self.content |= event.is_content();
        self.events.push_back(Ok(event));
    }

    fn start(&mut self, value: &Value) {
        if !self.started {
            self.started = true;
            let text = |name: &str| value[name].as_str().map(str::to_owned);
            self.tell(StreamEvent::Started { id: text("id"), model: text("model") });
        }
    }

    fn text(&mut self, value: &Value) {
        if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
            self.tell(StreamEvent::Text(text.to_owned()));
        }
    }

    fn reasoning(&mut self, value: &Value) {
        if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
            self.tell(StreamEvent::Reasoning(text.to_owned()));
        }
    }

    fn finish(&mut self, finish: crate::chat::Finish) {
        if !self.finished {
            self.finished = true;
            self.tell(StreamEvent::Finished(finish));
        }
    }

    /// Finds the place of the last call with a number of the provider's.
    fn place(&self, number: u64) -> Option<usize> {
        self.calls.iter().rposition(|call| call.number == number)
    }

    /// Begins a call of a tool.
    fn call(&mut self, number: u64, id: &Value, name: &Value) -> Option<usize> {
        let index = self.calls.len();
        if index >= MAX_TOOL_CALLS {
            let text = format!("the answer calls more than {MAX_TOOL_CALLS} tools");
            self.fail(Failure::new(Class::TooLarge, text));
            return None;
        }
        let id = id.as_str().filter(|id| !id.is_empty()).map(str::to_owned);
        self.calls.push(Call { number, id: id.clone(), begun: false });
        let id = id.unwrap_or_else(|| crate::answer::made_up(index));
        let name = name.as_str().unwrap_or_default().to_owned();
        self.tell(StreamEvent::ToolCall { index, id, name });
        Some(index)
    }

    fn arguments(&mut self, index: usize, json: &str) {
        if json.is_empty() {
            return;
        }
        if let Some(call) = self.calls.get_mut(index) {
            call.begun = true;
        }
        self.tell(StreamEvent::Arguments { index, json: json.to_owned() });
    }

    fn done(&mut self) {
        if let Some(usage) = self.usage.take() {
            self.tell(StreamEvent::Usage(usage));
        }
        self.tell(StreamEvent::Done);
        self.over = true;
    }

    fn error(&mut self, value: &Value) {
        let failure = Failure::of_error(value, &self.keys);
        self.fail(failure);
    }

    fn fail(&mut self, failure: Failure) {
        if !self.over {
            self.over = true;
            self.events.push_back(Err(failure));
        }
    }
}
