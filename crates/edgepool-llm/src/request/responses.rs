//! OpenAI, "Create a model response".

use serde_json::{Map, Value, json};

use super::{Draft, function, invalid, put};
use crate::chat::{Message, Part, Role, ToolChoice};
use crate::failure::Failure;

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
    body.insert("model".to_owned(), json!(draft.model));
    put(&mut body, "instructions", draft.chat.system.clone());
    let mut input = Vec::new();
    for said in &draft.chat.messages {
        items(said, &mut input)?;
    }
    body.insert("input".to_owned(), Value::Array(input));
    if !draft.chat.tools.is_empty() {
        let tools = draft.chat.tools.iter().map(|tool| {
            let mut tool = function(tool);
            tool.insert("type".to_owned(), json!("function"));
            // Its default would make every argument a required one, which no other dialect does.
            tool.insert("strict".to_owned(), json!(false));
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
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Required => json!("required"),
        ToolChoice::Named(name) => json!({"type": "function", "name": name}),
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
            let output = output(said);
            input.push(json!({"type": "function_call_output", "call_id": id, "output": output}));
            return Ok(());
        }
    };
    if !said.content.is_empty() {
        let parts: Value = said.content.iter().map(|it| part(it, said.role)).collect();
        input.push(json!({"role": role, "content": parts}));
    }
    for call in &said.tool_calls {
        let (id, name, arguments) = (&call.id, &call.name, &call.arguments);
        let item =
            json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments});
        input.push(item);
    }
    Ok(())
}

fn output(said: &Message) -> Value {
    match &said.content[..] {
        [Part::Text(text)] => json!(text),
        parts => parts.iter().map(|it| part(it, Role::User)).collect(),
    }
}

fn part(part: &Part, role: Role) -> Value {
    match part {
        Part::Text(text) if role == Role::Assistant => json!({"type": "output_text", "text": text}),
        Part::Text(text) => json!({"type": "input_text", "text": text}),
        Part::Image(image) => json!({"type": "input_image", "image_url": image.to_url()}),
        Part::Raw(value) => value.clone(),
    }
}
