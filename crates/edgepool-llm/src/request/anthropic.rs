//! Anthropic, "Create a message".

use serde_json::{Map, Value};

use super::{Draft, invalid, put, text_block};
use crate::chat::{Image, Message, Part, Role, ToolChoice};
use crate::failure::Failure;
use crate::json::object;

/// The most tokens of an answer that says nothing of it: the API has no default.
const MAX_TOKENS: u64 = 4_096;

pub(super) fn body(draft: &Draft<'_>) -> Result<Map<String, Value>, Failure> {
    let it = &draft.parameters;
    draft.refuse(&[
        ("seed", it.seed.is_some()),
        ("frequency_penalty", it.frequency_penalty.is_some()),
        ("presence_penalty", it.presence_penalty.is_some()),
    ])?;
    let mut body = Map::new();
    put(&mut body, "model", Some(draft.model));
    put(&mut body, "max_tokens", Some(it.max_tokens.unwrap_or(MAX_TOKENS)));
    put(&mut body, "system", system(draft));
    body.insert("messages".to_owned(), messages(&draft.chat.messages)?);
    if !draft.chat.tools.is_empty() {
        let tools = draft.chat.tools.iter().map(|tool| {
            let mut entry = Map::new();
            put(&mut entry, "name", Some(tool.name.as_str()));
            put(&mut entry, "description", tool.description.clone());
            entry.insert("input_schema".to_owned(), tool.parameters.clone());
            Value::Object(entry)
        });
        body.insert("tools".to_owned(), tools.collect());
    }
    put(&mut body, "tool_choice", draft.chat.tool_choice.as_ref().map(tool_choice));
    put(&mut body, "temperature", it.temperature);
    put(&mut body, "top_p", it.top_p);
    put(&mut body, "top_k", it.top_k);
    put(&mut body, "stop_sequences", (!it.stop.is_empty()).then(|| it.stop.clone()));
    put(&mut body, "stream", draft.stream.then_some(true));
    Ok(body)
}

/// There is one system prompt, beside the messages: those among them are put behind it.
fn system(draft: &Draft<'_>) -> Option<Value> {
    let own = draft.chat.system.iter().filter(|text| !text.is_empty());
    let own = own.map(|text| text_block("text", text));
    let among = draft.chat.messages.iter().filter(|said| said.role == Role::System);
    let parts: Vec<Value> = own.chain(among.flat_map(|said| parts(&said.content))).collect();
    match &parts[..] {
        [] => None,
        [only] if only["text"].is_string() && draft.chat.system.is_some() => {
            Some(only["text"].clone())
        }
        _ => Some(Value::Array(parts)),
    }
}

fn tool_choice(choice: &ToolChoice) -> Value {
    let (kind, name) = match choice {
        ToolChoice::Auto => ("auto", None),
        ToolChoice::None => ("none", None),
        ToolChoice::Required => ("any", None),
        ToolChoice::Named(name) => ("tool", Some(name.as_str())),
    };
    let mut object = Map::new();
    put(&mut object, "type", Some(kind));
    put(&mut object, "name", name);
    Value::Object(object)
}

/// The answers of tools are blocks of the caller's: those to calls that were made together stand in
/// one message.
fn messages(history: &[Message]) -> Result<Value, Failure> {
    let mut messages: Vec<(&str, Vec<Value>)> = Vec::new();
    let mut after_tool = false;
    for said in history {
        let (role, blocks) = match said.role {
            Role::System => continue,
            Role::User => ("user", parts(&said.content).collect()),
            Role::Tool => ("user", vec![tool_result(said)?]),
            Role::Assistant => ("assistant", assistant(said)?),
        };
        if blocks.is_empty() {
            continue;
        }
        match messages.last_mut() {
            Some((_, last)) if after_tool && role == "user" => last.extend(blocks),
            _ => messages.push((role, blocks)),
        }
        after_tool = said.role == Role::Tool;
    }
    let written = messages.into_iter().map(|(role, blocks)| {
        let content = match &blocks[..] {
            [only]
                if only["type"] == "text" && only.as_object().is_some_and(|it| it.len() == 2) =>
            {
                only["text"].clone()
            }
            _ => Value::Array(blocks),
        };
        object(vec![("role", role.into()), ("content", content)])
    });
    Ok(written.collect())
}

fn tool_result(said: &Message) -> Result<Value, Failure> {
    let id = said.tool_call_id.as_ref();
    let id = id.ok_or_else(|| invalid("the answer of a tool takes a tool_call_id"))?;
    let content = match &said.content[..] {
        [Part::Text(text)] => text.as_str().into(),
        several => parts(several).collect(),
    };
    Ok(object(vec![
        ("type", "tool_result".into()),
        ("tool_use_id", id.as_str().into()),
        ("content", content),
    ]))
}

fn assistant(said: &Message) -> Result<Vec<Value>, Failure> {
    let mut blocks: Vec<Value> = parts(&said.content).collect();
    for call in &said.tool_calls {
        blocks.push(object(vec![
            ("type", "tool_use".into()),
            ("id", call.id.as_str().into()),
            ("name", call.name.as_str().into()),
            ("input", super::arguments(call)?),
        ]));
    }
    Ok(blocks)
}

/// Texts that are empty, as beside calls of tools, are refused there, and say nothing.
fn parts(content: &[Part]) -> impl Iterator<Item = Value> {
    let empty = |part: &&Part| matches!(part, Part::Text(text) if text.is_empty());
    content.iter().filter(move |part| !empty(part)).map(part)
}

fn part(part: &Part) -> Value {
    match part {
        Part::Text(text) => text_block("text", text),
        Part::Image(image) => object(vec![("type", "image".into()), ("source", source(image))]),
        Part::Raw(value) => value.clone(),
    }
}

fn source(image: &Image) -> Value {
    object(match image {
        Image::Url(url) => vec![("type", "url".into()), ("url", url.as_str().into())],
        Image::Data { media_type, base64 } => vec![
            ("type", "base64".into()),
            ("media_type", media_type.as_str().into()),
            ("data", base64.as_str().into()),
        ],
    })
}
