use serde_json::{Map, Value};

use super::object;
use super::stats::millis;
use crate::chat::{Answer, Finish, StreamEvent, ToolCall, Usage};
use crate::failure::{Class, Failure, Timer};
use crate::refusal::Reason;

impl Answer {
    /// Writes it; see [`json`](crate::json).
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = started(self.id.as_deref(), self.model.as_deref());
        put(&mut object, "text", Some(self.text.as_str().into()));
        put(&mut object, "reasoning", Some(self.reasoning.as_str().into()));
        put(
            &mut object,
            "toolCalls",
            Some(self.tool_calls.iter().map(ToolCall::to_json).collect()),
        );
        put(&mut object, "finishReason", self.finish.as_ref().map(|it| it.word().into()));
        put(&mut object, "usage", self.usage.as_ref().map(Usage::to_json));
        Value::Object(object)
    }
}

impl ToolCall {
    /// Writes it; see [`json`](crate::json).
    #[must_use]
    pub fn to_json(&self) -> Value {
        object(vec![
            ("id", self.id.as_str().into()),
            ("name", self.name.as_str().into()),
            ("arguments", self.arguments.as_str().into()),
        ])
    }
}

impl Finish {
    /// Returns the word for it that is the same for all providers, or the provider's own.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "toolCalls",
            Self::Filtered => "filtered",
            Self::Other(word) => word,
        }
    }
}

impl Usage {
    /// Writes it; see [`json`](crate::json).
    #[must_use]
    pub fn to_json(&self) -> Value {
        object(vec![
            ("inputTokens", self.input_tokens.into()),
            ("outputTokens", self.output_tokens.into()),
            ("cachedTokens", self.cached_tokens.into()),
            ("reasoningTokens", self.reasoning_tokens.into()),
        ])
    }
}

impl StreamEvent {
    /// Writes it; see [`json`](crate::json).
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (kind, mut fields) = match self {
            Self::Started { id, model } => ("started", started(id.as_deref(), model.as_deref())),
            Self::Text(text) => ("text", one("text", text.as_str().into())),
            Self::Reasoning(text) => ("reasoning", one("text", text.as_str().into())),
            Self::ToolCall { index, id, name } => {
                let mut fields = one("index", (*index).into());
                put(&mut fields, "id", Some(id.as_str().into()));
                put(&mut fields, "name", Some(name.as_str().into()));
                ("toolCall", fields)
            }
            Self::Arguments { index, json } => {
                let mut fields = one("index", (*index).into());
                put(&mut fields, "json", Some(json.as_str().into()));
                ("arguments", fields)
            }
            Self::Finished(finish) => ("finished", one("finishReason", finish.word().into())),
            Self::Usage(usage) => ("usage", one("usage", usage.to_json())),
            Self::Done => ("done", Map::new()),
        };
        put(&mut fields, "type", Some(kind.into()));
        Value::Object(fields)
    }
}

fn one(name: &str, value: Value) -> Map<String, Value> {
    let mut fields = Map::new();
    put(&mut fields, name, Some(value));
    fields
}

/// Puts in what is there.
fn put(fields: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), value);
    }
}

fn started(id: Option<&str>, model: Option<&str>) -> Map<String, Value> {
    let mut object = Map::new();
    put(&mut object, "id", id.map(Value::from));
    put(&mut object, "model", model.map(Value::from));
    object
}

impl Failure {
    /// Writes it; see [`json`](crate::json).
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        let mut put = |name: &str, value: Option<Value>| put(&mut object, name, value);
        let timer = if let Class::Timeout(timer) = self.class { Some(word(timer)) } else { None };
        put("class", Some(self.class.name().into()));
        put("timer", timer.map(Value::from));
        put("status", self.status.map(Value::from));
        put("code", self.code.as_deref().map(Value::from));
        put("message", Some(self.message.as_str().into()));
        put("text", Some(self.to_string().into()));
        put("retryAfter", self.retry_after.map(millis));
        put("retryable", Some(self.is_retryable().into()));
        put("fallsBack", Some(self.may_fall_back().into()));
        put("reason", Reason::of(self).map(|reason| reason.code().into()));
        Value::Object(object)
    }
}

/// Returns the beginning of the option of a clock, as configurations name it.
const fn word(timer: Timer) -> &'static str {
    match timer {
        Timer::Acquire => "acquire",
        Timer::Headers => "headers",
        Timer::FirstContent => "firstContent",
        Timer::BetweenContent => "stall",
        Timer::Total => "total",
    }
}
