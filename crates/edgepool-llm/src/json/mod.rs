//! Requests from JSON and answers to JSON, for clients in other languages.
//!
//! Names are in camel case, and times in milliseconds. What is not there is left out, and nothing
//! unknown is passed over: a name that is written wrong is an error that names it.
//!
//! | what | its JSON |
//! |---|---|
//! | [`ChatRequest`] | `{model?, system?, messages, tools?, toolChoice?, parameters?, extra?}`; `parameters` as in the configuration of a [provider](crate::provider::from_json) |
//! | [`Message`] | `{role, content?, toolCalls?, toolCallId?}`; `role` is `system`, `user`, `assistant` or `tool`; `content` a text or a list of parts |
//! | [`Part`] | a text, `{type: "text", text}`, `{type: "image", url}`, `{type: "image", mediaType, base64}`, or `{type: "raw", value}` in the provider's own words |
//! | [`Tool`] | `{name, description?, parameters?}`, `parameters` a JSON schema; without one the tool takes nothing |
//! | [`ToolChoice`] | `"auto"`, `"none"`, `"required"` or `{name}` |
//! | [`ToolCall`] | `{id, name, arguments}`, `arguments` JSON in a text |
//! | [`EmbedRequest`] | `{input, model?, dimensions?, extra?}`; `input` a text or a list of texts |
//! | [`CallOptions`] | `{priority?, acquireTimeout?, headersTimeout?, firstContentTimeout?, stallTimeout?, totalTimeout?, retries?, hedgeAfter?, retried?, need?}`; `priority` is `low`, `normal`, `high` or `urgent`, `null` for no limit, `need` is `{inputTokens?, outputTokens?}` |
//! | [`Answer`] | `{id?, model?, text, reasoning, toolCalls, finishReason?, usage?}` |
//! | [`Finish`] | `"stop"`, `"length"`, `"toolCalls"`, `"filtered"`, or the provider's own word |
//! | [`Usage`] | `{inputTokens, outputTokens, cachedTokens, reasoningTokens}` |
//! | [`StreamEvent`] | `{type, …}`: `started {id?, model?}`, `text {text}`, `reasoning {text}`, `toolCall {index, id, name}`, `arguments {index, json}`, `finished {finishReason}`, `usage {usage}`, `done` |
//! | [`Failure`] | `{class, timer?, status?, code?, message, text, retryAfter?, retryable, fallsBack, reason?}`; `text` is the message with what to do about it, `reason` the code of the [refusal](crate::refusal::Reason) that it stands for |
//! | [`ServiceStats`] | its fields; a histogram as `{count, sum, mean, p50, p90, p99, max, buckets}`, of which each bucket is `[bound, count]`; kinds of failures and buckets only where there is something |
//!
//! # Examples
//!
//! ```
//! use edgepool_llm::chat::{ChatRequest, StreamEvent};
//! use serde_json::json;
//!
//! let asked = json!({"messages": [{"role": "user", "content": "Why is the sky blue?"}]});
//! assert_eq!(ChatRequest::from_json(&asked)?.messages.len(), 1);
//!
//! let wrong = json!({"messages": [{"role": "human", "content": "Why?"}]});
//! let error = ChatRequest::from_json(&wrong).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     r#""messages[0].role" takes one of system, user, assistant, tool"#
//! );
//!
//! let event = StreamEvent::Text("Light scatters.".into()).to_json();
//! assert_eq!(event, json!({"type": "text", "text": "Light scatters."}));
//! # Ok::<_, edgepool_llm::json::FieldError>(())
//! ```

mod answers;
mod requests;
mod stats;

#[cfg(doc)]
use crate::{
    Failure,
    call::CallOptions,
    chat::{
        Answer, ChatRequest, Finish, Message, Part, StreamEvent, Tool, ToolCall, ToolChoice, Usage,
    },
    request::EmbedRequest,
    stats::ServiceStats,
};

use serde_json::{Map, Value};

pub use requests::FieldError;

/// Parses JSON. The parser is large, and a module has it once.
#[inline(never)]
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

/// Writes JSON. The writer too is large, and `serde_json::to_string` takes twice as long for long
/// texts in the module as this.
#[inline(never)]
#[must_use]
pub fn write(value: &Value) -> String {
    value.to_string()
}

/// Makes an object. It inserts the fields one by one: to collect them would sort them first, and a
/// sort is large.
#[must_use]
pub fn object(fields: Vec<(&str, Value)>) -> Value {
    let mut object = Map::new();
    for (name, value) in fields {
        object.insert(name.to_owned(), value);
    }
    Value::Object(object)
}

/// Returns the entries of a list, and of what is none nothing.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
