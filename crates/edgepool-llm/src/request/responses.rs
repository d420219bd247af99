//! OpenAI, "Create a model response".

use serde_json::{Map, Value};

use super::{Draft, function, invalid, put, text_block};
use crate::chat::{Message, Part, Role, ToolChoice};
use crate::failure::Failure;
use crate::json::object;

pub(super) fn body(draft: &Draft<'_>) -> Result<Map<String, Value>, Failure> {
    let it = &draft.parameters;
    draft.refuse(&[
        ("top_k", it.top_k.is_some()),
        ("stop", !it.stop.is_empty()),
        ("seed", it.seed.is_some()),
        ("frequency_penalty", it.frequency_penalty.is_some()),
        ("presence_penalty", it.presence_penalty.is_some()),
    ])?;
    let mut body = Map::new();
    put(&mut body, "model", Some(draft.model));
    put(&mut body, "instructions", draft.chat.system.clone());
    let mut input = Vec::new();
    for said in &draft.chat.messages {
        items(said, &mut input)?;
    }
    body.insert("input".to_owned(), Value::Array(input));
    if !draft.chat.tools.is_empty() {
        let tools = draft.chat.tools.iter().map(|tool| {
            let mut tool = function(tool);
            put(&mut tool, "type", Some("function"));
            // Its default would make every argument a required one, which no other dialect does.
            put(&mut tool, "strict", Some(false));
            Value::Object(tool)
        });
        body.insert("tools".to_owned(), tools.collect());
    }
    put(&mut body, "tool_choice", draft.chat.tool_choice.as_ref().map(tool_choice));
    put(&mut body, "max_output_tokens", it.max_tokens);
    put(&mut body, "temperature", it.temperature);
    put(&mut body, "top_p", it.top_p);
    put(&mut body, "stream", draft.stream.then_some(true));
    Ok(body)
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Named(name) => {
            object(vec![("type", "function".into()), ("name", name.as_str().into())])
        }
    }
}

/// A message is one item; calls of tools and their answers are items of their own.
fn items(said: &Message, input: &mut Vec<Value>) -> Result<(), Failure> {
    let role = match said.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => {
            let id = said.tool_call_id.as_ref();
            let id = id.ok_or_else(|| invalid("the answer of a tool takes a tool_call_id"))?;
            input.push(object(vec![
                ("type", "function_call_output".into()),
                ("call_id", id.as_str().into()),
                ("output", output(said)),
            ]));
            return Ok(());
        }
    };
    if !said.content.is_empty() {
        let parts = said.content.iter().map(|it| part(it, said.role)).collect();
        input.push(object(vec![("role", role.into()), ("content", parts)]));
    }
    for call in &said.tool_calls {
        input.push(object(vec![
            ("type", "function_call".into()),
            ("call_id", call.id.as_str().into()),
            ("name", call.name.as_str().into()),
            ("arguments", call.arguments.as_str().into()),
        ]));
    }
    Ok(())
}

fn output(said: &Message) -> Value {
    match &said.content[..] {
        [Part::Text(text)] => text.as_str().into(),
        parts => parts.iter().map(|it| part(it, Role::User)).collect(),
    }
}

fn part(part: &Part, role: Role) -> Value {
    match part {
        Part::Text(text) if role == Role::Assistant => text_block("output_text", text),
        Part::Text(text) => text_block("input_text", text),
        Part::Image(image) => {
            object(vec![("type", "input_image".into()), ("image_url", image.to_url().into())])
        }
        Part::Raw(value) => value.clone(),
    }
}
