//! OpenAI, "Create chat completion", and where its followers differ.

use serde_json::{Map, Value, json};

use super::{Draft, function, invalid, put};
use crate::chat::{Message, Part, Role, ToolChoice};
use crate::failure::Failure;

pub(super) fn body(draft: &Draft<'_>) -> Result<Map<String, Value>, Failure> {
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(draft.model));
    let system = draft.chat.system.iter().map(|text| json!({"role": "system", "content": text}));
    let mut messages: Vec<Value> = system.collect();
    for said in &draft.chat.messages {
        messages.push(message(said)?);
    }
    body.insert("messages".to_owned(), Value::Array(messages));
    if !draft.chat.tools.is_empty() {
        let tools = draft.chat.tools.iter();
        let tools = tools.map(|tool| json!({"type": "function", "function": function(tool)}));
        body.insert("tools".to_owned(), tools.collect());
    }
    put(&mut body, "tool_choice", draft.chat.tool_choice.as_ref().map(tool_choice));
    parameters(draft, &mut body);
    if draft.stream {
        body.insert("stream".to_owned(), json!(true));
        if draft.flavour.quirks.stream_options {
            body.insert("stream_options".to_owned(), json!({"include_usage": true}));
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
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Required => json!("required"),
        ToolChoice::Named(name) => json!({"type": "function", "function": {"name": name}}),
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
    message.insert("role".to_owned(), json!(role));
    message.insert("content".to_owned(), content(said));
    if said.role == Role::Tool {
        let id = said.tool_call_id.clone();
        let id = id.ok_or_else(|| invalid("the answer of a tool takes a tool_call_id"))?;
        message.insert("tool_call_id".to_owned(), json!(id));
    }
    if !said.tool_calls.is_empty() {
        let calls = said.tool_calls.iter().map(|call| {
            let function = json!({"name": call.name, "arguments": call.arguments});
            json!({"id": call.id, "type": "function", "function": function})
        });
        message.insert("tool_calls".to_owned(), calls.collect());
    }
    Ok(Value::Object(message))
}

/// A text alone is sent as one, which the smaller servers take too.
fn content(said: &Message) -> Value {
    match &said.content[..] {
        [] if said.tool_calls.is_empty() => json!(""),
        [] => Value::Null,
        [Part::Text(text)] => json!(text),
        parts => parts.iter().map(part).collect(),
    }
}

fn part(part: &Part) -> Value {
    match part {
        Part::Text(text) => json!({"type": "text", "text": text}),
        Part::Image(image) => json!({"type": "image_url", "image_url": {"url": image.to_url()}}),
        Part::Raw(value) => value.clone(),
    }
}
