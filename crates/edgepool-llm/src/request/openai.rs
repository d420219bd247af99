//! OpenAI, "Create chat completion", and where its followers differ.

use serde_json::{Map, Value};

use super::{Draft, invalid, of_function, put, system, text_block, tool};
use crate::chat::{Message, Part, Role, ToolChoice};
use crate::failure::Failure;
use crate::json::object;

pub(super) fn body(draft: &Draft<'_>) -> Result<Map<String, Value>, Failure> {
    let mut body = Map::new();
    put(&mut body, "model", Some(draft.model));
    let mut messages: Vec<Value> = draft.chat.system.iter().map(|text| system(text)).collect();
    for said in &draft.chat.messages {
        messages.push(message(said)?);
    }
    body.insert("messages".to_owned(), Value::Array(messages));
    if !draft.chat.tools.is_empty() {
        body.insert("tools".to_owned(), draft.chat.tools.iter().map(tool).collect());
    }
    put(&mut body, "tool_choice", draft.chat.tool_choice.as_ref().map(tool_choice));
    parameters(draft, &mut body);
    if draft.stream {
        put(&mut body, "stream", Some(true));
        if draft.flavour.quirks.stream_options {
            put(&mut body, "stream_options", Some(object(vec![("include_usage", true.into())])));
        }
    }
    Ok(body)
}

fn parameters(draft: &Draft<'_>, body: &mut Map<String, Value>) {
    let it = &draft.parameters;
    let quirks = &draft.flavour.quirks;
    put(body, quirks.max_tokens, it.max_tokens);
    put(body, "temperature", it.temperature);
    put(body, "top_p", it.top_p);
    put(body, "top_k", it.top_k);
    put(body, "stop", (!it.stop.is_empty()).then(|| it.stop.clone()));
    put(body, quirks.seed, it.seed);
    put(body, "frequency_penalty", it.frequency_penalty);
    put(body, "presence_penalty", it.presence_penalty);
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Named(name) => of_function(object(vec![("name", name.as_str().into())])),
    }
}

fn message(said: &Message) -> Result<Value, Failure> {
    let role = match said.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    let mut message = Map::new();
    put(&mut message, "role", Some(role));
    message.insert("content".to_owned(), content(said));
    if said.role == Role::Tool {
        let id = said.tool_call_id.clone();
        let id = id.ok_or_else(|| invalid("the answer of a tool takes a tool_call_id"))?;
        put(&mut message, "tool_call_id", Some(id));
    }
    if !said.tool_calls.is_empty() {
        let calls = said.tool_calls.iter().map(|call| {
            let function = object(vec![
                ("name", call.name.as_str().into()),
                ("arguments", call.arguments.as_str().into()),
            ]);
            object(vec![
                ("id", call.id.as_str().into()),
                ("type", "function".into()),
                ("function", function),
            ])
        });
        message.insert("tool_calls".to_owned(), calls.collect());
    }
    Ok(Value::Object(message))
}

/// A text alone is sent as one, which the smaller servers take too.
fn content(said: &Message) -> Value {
    match &said.content[..] {
        [] if said.tool_calls.is_empty() => "".into(),
        [] => Value::Null,
        [Part::Text(text)] => text.as_str().into(),
        parts => parts.iter().map(part).collect(),
    }
}

fn part(part: &Part) -> Value {
    match part {
        Part::Text(text) => text_block("text", text),
        Part::Image(image) => {
            let url = object(vec![("url", image.to_url().into())]);
            object(vec![("type", "image_url".into()), ("image_url", url)])
        }
        Part::Raw(value) => value.clone(),
    }
}
