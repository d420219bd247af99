//! Ollama's API, "Generate a chat message" and "Generate embeddings".

use serde_json::{Map, Value, json};

use super::{Draft, function, invalid, put};
use crate::chat::{Image, Message, Part, Role, ToolChoice};
use crate::failure::Failure;

pub(super) fn body(draft: &Draft<'_>) -> Result<Map<String, Value>, Failure> {
    use ToolChoice::{Auto, Named, Required};
    let choice = draft.chat.tool_choice.as_ref();
    draft.refuse(&[("tool_choice", matches!(choice, Some(Required | Named(_))))])?;
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(draft.model));
    let system = draft.chat.system.iter().map(|text| json!({"role": "system", "content": text}));
    let mut messages: Vec<Value> = system.collect();
    for said in &draft.chat.messages {
        messages.push(message(said, &draft.chat.messages)?);
    }
    body.insert("messages".to_owned(), Value::Array(messages));
    // A model that must call none is not told of any.
    if !draft.chat.tools.is_empty() && matches!(choice, None | Some(Auto)) {
        let tools = draft.chat.tools.iter();
        let tools = tools.map(|tool| json!({"type": "function", "function": function(tool)}));
        body.insert("tools".to_owned(), tools.collect());
    }
    let options = options(draft);
    if !options.is_empty() {
        body.insert("options".to_owned(), Value::Object(options));
    }
    // It streams unless it is told not to.
    body.insert("stream".to_owned(), json!(draft.stream));
    Ok(body)
}

fn options(draft: &Draft<'_>) -> Map<String, Value> {
    let it = &draft.parameters;
    let mut options = Map::new();
    put(&mut options, "num_predict", it.max_tokens);
    put(&mut options, "temperature", it.temperature);
    put(&mut options, "top_p", it.top_p);
    put(&mut options, "top_k", it.top_k);
    put(&mut options, "stop", (!it.stop.is_empty()).then(|| it.stop.clone()));
    put(&mut options, "seed", it.seed);
    put(&mut options, "frequency_penalty", it.frequency_penalty);
    put(&mut options, "presence_penalty", it.presence_penalty);
    options
}

fn message(said: &Message, history: &[Message]) -> Result<Value, Failure> {
    let role = match said.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    let mut message = Map::new();
    message.insert("role".to_owned(), json!(role));
    let (text, images) = content(&said.content)?;
    message.insert("content".to_owned(), json!(text));
    put(&mut message, "images", (!images.is_empty()).then_some(images));
    if said.role == Role::Tool {
        let id = said.tool_call_id.as_deref();
        let id = id.ok_or_else(|| invalid("the answer of a tool takes a tool_call_id"))?;
        message.insert("tool_call_id".to_owned(), json!(id));
        // Older servers know calls by the names of their tools.
        let calls = history.iter().rev().flat_map(|said| &said.tool_calls);
        let name = calls.filter(|call| call.id == id).map(|call| call.name.clone()).next();
        put(&mut message, "tool_name", name);
    }
    if !said.tool_calls.is_empty() {
        let mut calls = Vec::with_capacity(said.tool_calls.len());
        for call in &said.tool_calls {
            let function = json!({"name": call.name, "arguments": super::arguments(call)?});
            calls.push(json!({"id": call.id, "function": function}));
        }
        message.insert("tool_calls".to_owned(), Value::Array(calls));
    }
    Ok(Value::Object(message))
}

/// Images stand beside the text, as data.
fn content(parts: &[Part]) -> Result<(String, Vec<Value>), Failure> {
    let mut text = String::new();
    let mut images = Vec::new();
    for part in parts {
        match part {
            Part::Text(more) => text.push_str(more),
            Part::Image(Image::Data { base64, .. }) => images.push(json!(base64)),
            Part::Image(Image::Url(_)) => {
                return Err(invalid("a provider of the kind ollama takes images as data alone"));
            }
            Part::Raw(_) => {
                let text = "a provider of the kind ollama takes no parts but text and images";
                return Err(invalid(text));
            }
        }
    }
    Ok((text, images))
}
