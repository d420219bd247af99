//! What the simulator answers: chat, embeddings, models, errors.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::http::StatusCode;
use base64::Engine as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{Script, Then};
use super::settings::{Fault, Plan, SimulateArgs};
use super::text;

/// The name of the only model.
pub(crate) const MODEL: &str = "simulator";
const DEFAULT_DIMENSIONS: usize = 256;
const MOST_DIMENSIONS: usize = 4_096;
const MOST_TEXTS: usize = 2_048;
/// Chunks before the faults `stall` and `disconnect`.
const BEFORE_FAULT: usize = 3;

/// An answer to be: a status, a media type, and a body.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) media: &'static str,
    pub(crate) script: Script,
    /// Time from now to the headers.
    pub(crate) delay: Duration,
}

impl Answer {
    fn json(value: &Value, delay: Duration) -> Self {
        let script = Script::whole(value.to_string());
        Self { status: StatusCode::OK, media: "application/json", script, delay }
    }

    /// Makes an error in the OpenAI envelope.
    pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Self {
        let kind = match status {
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        let body = json!({"error": {
            "message": format!("simulator: {message}"), "type": kind, "param": null, "code": code
        }});
        Self { status, ..Self::json(&body, Duration::ZERO) }
    }

    fn bad(message: &str) -> Self {
        Self::error(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    /// Bends the answer as the request's fault asks.
    pub(crate) fn with_fault(mut self, plan: &Plan) -> Self {
        let pieces = match plan.fault {
            Some(Fault::Stall | Fault::Disconnect) => in_pieces(self.script.clone()),
            _ => self.script.clone(),
        };
        self.script = match plan.fault {
            None => return self,
            Some(Fault::Status(status)) => {
                let message = format!("status {} was asked for by x-sim-fault", status.as_u16());
                let delay = plan.latency;
                return Self { delay, ..Self::error(status, "simulated_fault", &message) };
            }
            Some(Fault::Garbage) => {
                Script::whole(&b"\x00\xff<not json, not events>\xfe{{{\r\n"[..])
            }
            Some(Fault::Silent) => Script { chunks: [].into(), then: Then::Silence },
            Some(Fault::Stall) => pieces.cut_after(BEFORE_FAULT, Then::Silence),
            Some(Fault::Disconnect) => pieces.cut_after(BEFORE_FAULT, Then::Cut),
            Some(Fault::NeverEnds) => {
                // A stream stays without the end that its protocol has; white space keeps an
                // endless JSON text well formed.
                let again = match self.script.chunks.get(1) {
                    Some((_, chunk)) => chunk.clone(),
                    None => Bytes::from_static(b" \n"),
                };
                pieces.cut_after(2, Then::Repeat(plan.chunk, again))
            }
        };
        self
    }
}

/// Splits the one chunk of a plain answer, so that a part of it can be sent.
fn in_pieces(script: Script) -> Script {
    match script.chunks.iter().collect::<Vec<_>>()[..] {
        [(pause, whole)] => {
            let size = whole.len().div_ceil(2 * BEFORE_FAULT).max(1);
            let piece = |from| whole.slice(from..whole.len().min(from + size));
            let chunks = (0..whole.len()).step_by(size).map(|from| (*pause, piece(from))).collect();
            Script { chunks, ..script }
        }
        _ => script,
    }
}

#[derive(Debug, Deserialize)]
struct Chat {
    messages: Vec<Value>,
    #[serde(default)]
    stream: bool,
    stream_options: Option<StreamOptions>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

/// Answers `POST /v1/chat/completions`.
pub(crate) fn chat(args: &SimulateArgs, plan: &Plan, number: u64, body: &[u8]) -> Answer {
    let chat: Chat = match serde_json::from_slice(body) {
        Ok(chat) => chat,
        Err(error) => return Answer::bad(&format!("the request body: {error}")),
    };
    if chat.messages.is_empty() {
        return Answer::bad("messages: at least one is needed");
    }
    let prompt = chat.messages.iter().map(words).collect::<Vec<_>>().join("\n");
    let pieces = text::pieces(&args.label, args.seed, &prompt, plan.chunks);
    let id = format!("sim-chat-{number}");
    let usage = usage(text::tokens(&prompt), pieces.len() as u64);
    if chat.stream {
        let usage = chat.stream_options.is_some_and(|o| o.include_usage).then_some(usage);
        return stream(plan, &id, &pieces, usage);
    }
    let whole = json!({
        "id": id, "object": "chat.completion", "created": now(), "model": MODEL,
        "choices": [{
            "index": 0, "finish_reason": "stop", "logprobs": null,
            "message": {"role": "assistant", "content": pieces.concat(), "refusal": null},
        }],
        "usage": usage,
    });
    // As long as the stream would have taken: that is what a provider does.
    let generation = plan.first_token + plan.chunk * plan.chunks.saturating_sub(1);
    Answer::json(&whole, plan.latency + generation)
}

/// The text of a message, whose content is a string or a list of parts.
fn words(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

fn stream(plan: &Plan, id: &str, pieces: &[String], usage: Option<Value>) -> Answer {
    let created = now();
    let event = |choices: Value, usage: &Value| {
        let data = json!({
            "id": id, "object": "chat.completion.chunk", "created": created, "model": MODEL,
            "choices": choices, "usage": usage,
        });
        Bytes::from(format!("data: {data}\n\n"))
    };
    let delta = |delta: Value, finish: Option<&str>| {
        let choice = json!([{"index": 0, "delta": delta, "logprobs": null,
            "finish_reason": finish}]);
        event(choice, &Value::Null)
    };
    let role = delta(json!({"role": "assistant", "content": ""}), None);
    let words = pieces.iter().map(|piece| (plan.chunk, delta(json!({"content": piece}), None)));
    let mut tail = vec![delta(json!({}), Some("stop"))];
    tail.extend(usage.map(|usage| event(json!([]), &usage)));
    tail.push(Bytes::from_static(b"data: [DONE]\n\n"));
    let chunks = std::iter::once((plan.first_token, role))
        .chain(words)
        .chain(tail.into_iter().map(|bytes| (Duration::ZERO, bytes)))
        .collect();
    Answer {
        status: StatusCode::OK,
        media: "text/event-stream; charset=utf-8",
        script: Script { chunks, then: Then::End },
        delay: plan.latency,
    }
}

#[derive(Debug, Deserialize)]
struct Embeddings {
    input: Input,
    #[serde(default)]
    encoding_format: Encoding,
    dimensions: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    TokenLists(Vec<Vec<u32>>),
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Float,
    Base64,
}

impl Input {
    fn texts(self) -> Vec<String> {
        let join =
            |tokens: Vec<u32>| tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        match self {
            Self::Text(text) => vec![text],
            Self::Texts(texts) => texts,
            Self::Tokens(tokens) => vec![join(tokens)],
            Self::TokenLists(lists) => lists.into_iter().map(join).collect(),
        }
    }
}

/// Answers `POST /v1/embeddings`.
pub(crate) fn embeddings(plan: &Plan, body: &[u8]) -> Answer {
    let asked: Embeddings = match serde_json::from_slice(body) {
        Ok(asked) => asked,
        Err(error) => return Answer::bad(&format!("the request body: {error}")),
    };
    let dimensions = asked.dimensions.unwrap_or(DEFAULT_DIMENSIONS);
    if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
        return Answer::bad(&format!("dimensions: from 1 to {MOST_DIMENSIONS}"));
    }
    let texts = asked.input.texts();
    if !(1..=MOST_TEXTS).contains(&texts.len()) || texts.iter().any(String::is_empty) {
        return Answer::bad(&format!("input: from 1 to {MOST_TEXTS} texts, none empty"));
    }
    let tokens: u64 = texts.iter().map(|text| text::tokens(text)).sum();
    let datum = |(index, text): (usize, &String)| {
        let vector = encode(&text::embed(text, dimensions), asked.encoding_format);
        json!({"object": "embedding", "index": index, "embedding": vector})
    };
    let data: Vec<Value> = texts.iter().enumerate().map(datum).collect();
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    Answer::json(
        &json!({"object": "list", "model": MODEL, "data": data, "usage": usage}),
        plan.latency,
    )
}

fn encode(vector: &[f32], encoding: Encoding) -> Value {
    match encoding {
        Encoding::Float => vector.into(),
        Encoding::Base64 => {
            let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
            base64::engine::general_purpose::STANDARD.encode(bytes).into()
        }
    }
}

/// Answers `GET /v1/models`.
pub(crate) fn models(plan: &Plan) -> Answer {
    let model = json!({"id": MODEL, "object": "model", "created": 0, "owned_by": "edgepool"});
    Answer::json(&json!({"object": "list", "data": [model]}), plan.latency)
}

fn usage(prompt: u64, completion: u64) -> Value {
    json!({
        "prompt_tokens": prompt, "completion_tokens": completion,
        "total_tokens": prompt + completion,
    })
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
