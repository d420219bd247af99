//! Anthropic, "Streaming messages".

use serde_json::Value;

use super::Reader;
use crate::answer::usage;
use crate::chat::{Finish, Usage};
use crate::dialect::Dialect;

pub(super) fn read(reader: &mut Reader, value: &Value) {
    let number = value["index"].as_u64().unwrap_or(0);
    match value["type"].as_str().unwrap_or_default() {
        "message_start" => {
            reader.start(&value["message"]);
            reader.usage = usage(Dialect::Anthropic, &value["message"]);
        }
        "content_block_start" => block(reader, number, &value["content_block"]),
        "content_block_delta" => delta(reader, number, &value["delta"]),
        "message_delta" => {
            if let Some(word) = value["delta"]["stop_reason"].as_str() {
                reader.finish(Finish::read(word));
            }
            count(reader, value);
        }
        "message_stop" => reader.done(),
        "error" => reader.error(value),
        // `ping`, the ends of blocks, and what may come to be.
        _ => {}
    }
}

fn block(reader: &mut Reader, number: u64, block: &Value) {
    match block["type"].as_str() {
        Some("text") => reader.text(&block["text"]),
        Some("thinking") => reader.reasoning(&block["thinking"]),
        Some("tool_use") if reader.place(number).is_none() => {
            reader.call(number, &block["id"], &block["name"]);
        }
        _ => {}
    }
}

fn delta(reader: &mut Reader, number: u64, delta: &Value) {
    match delta["type"].as_str() {
        Some("text_delta") => reader.text(&delta["text"]),
        Some("thinking_delta") => reader.reasoning(&delta["thinking"]),
        Some("input_json_delta") => {
            let json = delta["partial_json"].as_str();
            if let (Some(index), Some(json)) = (reader.place(number), json) {
                reader.arguments(index, json);
            }
        }
        _ => {}
    }
}

/// The last count of the answer's tokens is that of all of them; what else it tells comes before
/// what the beginning told.
fn count(reader: &mut Reader, value: &Value) {
    let output = value["usage"]["output_tokens"].as_u64();
    let before = reader.usage.unwrap_or_default();
    let whole = usage(Dialect::Anthropic, value).filter(|usage| usage.input_tokens > 0);
    if let Some(output_tokens) = output {
        reader.usage = Some(Usage { output_tokens, ..whole.unwrap_or(before) });
    }
}
