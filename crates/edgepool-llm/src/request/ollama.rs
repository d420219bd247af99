//! Ollama's API, "Generate a chat message" and "Generate embeddings".

use serde_json::{Map, Value};

use super::{Draft, invalid, put, system, tool};
use crate::chat::{Image, Message, Part, Role, ToolChoice};
use crate::failure::Failure;
use crate::json::object;

pub(super) fn body(draft: &Draft<'_>) -> Result<Map<String, Value>, Failure> {
    use ToolChoice::{Auto, Named, Required};
    let choice = draft.chat.tool_choice.as_ref();
    draft.refuse(&[("tool_choice", matches!(choice, Some(Required | Named(_))))])?;
    let mut body = Map::new();
    put(&mut body, "model", Some(draft.model));
    let mut messages: Vec<Value> = draft.chat.system.iter().map(|text| system(text)).collect();
    for said in &draft.chat.messages {
        messages.push(message(said, &draft.chat.messages)?);
    }
    body.insert("messages".to_owned(), Value::Array(messages));
    // A model that must call none is not told of any.
    if !draft.chat.tools.is_empty() && matches!(choice, None | Some(Auto)) {
        body.insert("tools".to_owned(), draft.chat.tools.iter().map(tool).collect());
    }
    let options = options(draft);
    if !options.is_empty() {
        body.insert("options".to_owned(), Value::Object(options));
    }
    // It streams unless it is told not to.
    put(&mut body, "stream", Some(draft.stream));
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
    put(&mut message, "role", Some(role));
    let (text, images) = content(&said.content)?;
    put(&mut message, "content", Some(text));
    put(&mut message, "images", (!images.is_empty()).then_some(images));
    if said.role == Role::Tool {
        let id = said.tool_call_id.as_deref();
        let id = id.ok_or_else(|| invalid("the answer of a tool takes a tool_call_id"))?;
        put(&mut message, "tool_call_id", Some(id));
        // Older servers know calls by the names of their tools.
        let calls = history.iter().rev().flat_map(|said| &said.tool_calls);
        let name = calls.filter(|call| call.id == id).map(|call| call.name.clone()).next();
        put(&mut message, "tool_name", name);
    }
    if !said.tool_calls.is_empty() {
        let mut calls = Vec::with_capacity(said.tool_calls.len());
        for call in &said.tool_calls {
            let arguments = super::arguments(call)?;
            let function =
                object(vec![("name", call.name.as_str().into()), ("arguments", arguments)]);
            calls.push(object(vec![("id", call.id.as_str().into()), ("function", function)]));
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
            Part::Image(Image::Data { base64, .. }) => images.push(base64.as_str().into()),
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
