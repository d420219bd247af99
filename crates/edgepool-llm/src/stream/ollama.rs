//! Ollama's API, "Generate a chat message", streamed.

use serde_json::Value;

use super::Reader;
use crate::answer::{arguments, ollama_finish, usage};
use crate::dialect::Dialect;

pub(super) fn read(reader: &mut Reader, value: &Value) {
    reader.start(value);
    let message = &value["message"];
    reader.reasoning(&message["thinking"]);
    reader.text(&message["content"]);
    for call in message["tool_calls"].as_array().map_or(&[][..], |calls| calls) {
        // They come whole, and each is another.
        let number = reader.calls.len() as u64;
        let Some(index) = reader.call(number, &call["id"], &call["function"]["name"]) else {
            return;
        };
        reader.arguments(index, &arguments(&call["function"]["arguments"]));
    }
    if value["done"] == true {
        if let Some(finish) = ollama_finish(value, !reader.calls.is_empty()) {
            reader.finish(finish);
        }
        reader.usage = usage(Dialect::Ollama, value);
        reader.done();
    }
}
