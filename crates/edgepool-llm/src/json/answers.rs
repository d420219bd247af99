use serde_json::{Map, Value, json};

use super::stats::millis;
use crate::chat::{Answer, Finish, StreamEvent, ToolCall, Usage};
use crate::failure::{Class, Failure, Timer};
use crate::refusal::Reason;

impl Answer {
    /// Writes it; see [`json`](crate::json).
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = started(self.id.as_deref(), self.model.as_deref());
        object.insert("text".to_owned(), json!(self.text));
        object.insert("reasoning".to_owned(), json!(self.reasoning));
        let calls = self.tool_calls.iter().map(ToolCall::to_json);
        object.insert("toolCalls".to_owned(), calls.collect());
        if let Some(finish) = &self.finish {
            object.insert("finishReason".to_owned(), json!(finish.word()));
        }
        if let Some(usage) = &self.usage {
            object.insert("usage".to_owned(), usage.to_json());
        }
        Value::Object(object)
    }
}

impl ToolCall {
    /// Writes it; see [`json`](crate::json).
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({"id": self.id, "name": self.name, "arguments": self.arguments})
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
        json!({
            "inputTokens": self.input_tokens,
            "outputTokens": self.output_tokens,
            "cachedTokens": self.cached_tokens,
            "reasoningTokens": self.reasoning_tokens,
        })
    }
}

impl StreamEvent {
    /// Writes it; see [`json`](crate::json).
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Started { id, model } => {
                let mut object = started(id.as_deref(), model.as_deref());
                object.insert("type".to_owned(), json!("started"));
                Value::Object(object)
            }
            Self::Text(text) => json!({"type": "text", "text": text}),
            Self::Reasoning(text) => json!({"type": "reasoning", "text": text}),
            Self::ToolCall { index, id, name } => {
                json!({"type": "toolCall", "index": index, "id": id, "name": name})
            }
            Self::Arguments { index, json } => {
                json!({"type": "arguments", "index": index, "json": json})
            }
            Self::Finished(finish) => json!({"type": "finished", "finishReason": finish.word()}),
            Self::Usage(usage) => json!({"type": "usage", "usage": usage.to_json()}),
            Self::Done => json!({"type": "done"}),
        }
    }
}

fn started(id: Option<&str>, model: Option<&str>) -> Map<String, Value> {
    let mut object = Map::new();
    if let Some(id) = id {
        object.insert("id".to_owned(), json!(id));
    }
    if let Some(model) = model {
        object.insert("model".to_owned(), json!(model));
    }
    object
}

impl Failure {
    /// Writes it; see [`json`](crate::json).
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                object.insert(name.to_owned(), value);
            }
        };
        let timer = if let Class::Timeout(timer) = self.class { Some(word(timer)) } else { None };
        put("class", Some(json!(self.class.name())));
        put("timer", timer.map(Value::from));
        put("status", self.status.map(Value::from));
        put("code", self.code.as_deref().map(Value::from));
        put("message", Some(json!(self.message)));
        put("text", Some(json!(self.to_string())));
        put("retryAfter", self.retry_after.map(millis));
        put("retryable", Some(json!(self.is_retryable())));
        put("fallsBack", Some(json!(self.may_fall_back())));
        put("reason", Reason::of(self).map(|reason| json!(reason.code())));
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
