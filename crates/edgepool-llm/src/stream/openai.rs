//! OpenAI, "Chat completions", "Streaming", and its followers.

use serde_json::Value;

use super::Reader;
use crate::answer::usage;
use crate::chat::Finish;
use crate::dialect::Dialect;
use crate::json::{list, write};

pub(super) fn read(reader: &mut Reader, value: &Value) {
    reader.start(value);
    // Groq puts it elsewhere.
    let told = usage(Dialect::OpenAi, value).or_else(|| usage(Dialect::OpenAi, &value["x_groq"]));
    reader.usage = told.or(reader.usage);
    // Where several answers were asked for, it is the first that is read.
    let first = |choice: &&Value| choice["index"].as_u64().unwrap_or(0) == 0;
    let choices = list(&value["choices"]);
    for choice in choices.iter().filter(first) {
        let delta = &choice["delta"];
        reader.reasoning(&delta["reasoning_content"]);
        reader.reasoning(&delta["reasoning"]);
        content(reader, &delta["content"]);
        reader.text(&delta["refusal"]);
        for call in list(&delta["tool_calls"]) {
            tool_call(reader, call);
        }
        if let Some(word) = choice["finish_reason"].as_str() {
            reader.finish(Finish::read(word));
        }
    }
}

/// Content is a text; at Mistral, of its reasoning models, parts.
fn content(reader: &mut Reader, content: &Value) {
    let Value::Array(parts) = content else {
        reader.text(content);
        return;
    };
    for part in parts {
        reader.text(&part["text"]);
        for thought in list(&part["thinking"]) {
            reader.reasoning(&thought["text"]);
        }
    }
}

fn tool_call(reader: &mut Reader, call: &Value) {
    let function = &call["function"];
    let named = call["id"].as_str().is_some_and(|id| !id.is_empty());
    let last = reader.calls.last().map(|call| call.number);
    // Where a server does not number them, one with an id begins another.
    let number = match call["index"].as_u64() {
        Some(number) => number,
        None if named => last.map_or(0, |last| last.saturating_add(1)),
        None => last.unwrap_or(0),
    };
    // Some servers number all of them 0; each has an id and a name of its own.
    let is_other = |index: &usize| {
        let id = call["id"].as_str().filter(|id| !id.is_empty());
        id.is_some() && is_named(function) && reader.calls[*index].id.as_deref() != id
    };
    let known = reader.place(number).filter(|index| !is_other(index));
    let index = known.or_else(|| reader.call(number, &call["id"], &function["name"]));
    let Some(index) = index else { return };
    match &function["arguments"] {
        Value::String(json) => reader.arguments(index, json),
        // Not as OpenAI writes them, but clear.
        object @ Value::Object(_) => reader.arguments(index, &write(object)),
        _ => {}
    }
}

fn is_named(function: &Value) -> bool {
    function["name"].as_str().is_some_and(|name| !name.is_empty())
}
