//! Ollama's API, "Generate a chat message", streamed.

use serde_json::Value;

use super::Reader;
use crate::answer::{arguments, ollama_finish, usage};
use crate::dialect::Dialect;
use crate::json::list;

pub(super) fn read(reader: &mut Reader, value: &Value) {
    reader.start(value);
    let message = &value["message"];
    reader.reasoning(&message["thinking"]);
    reader.text(&message["content"]);
    for call in list(&message["tool_calls"]) {
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
