//! OpenAI, "Responses", "Streaming events".

use serde_json::Value;

use super::Reader;
use crate::answer::{responses_finish, usage};
use crate::dialect::Dialect;

pub(super) fn read(reader: &mut Reader, value: &Value) {
    let number = value["output_index"].as_u64().unwrap_or(0);
    match value["type"].as_str().unwrap_or_default() {
        "response.created" => reader.start(&value["response"]),
        "response.output_text.delta" | "response.refusal.delta" => reader.text(&value["delta"]),
        "response.reasoning_text.delta" | "response.reasoning_summary_text.delta" => {
            reader.reasoning(&value["delta"]);
        }
        "response.output_item.added" => {
            let item = &value["item"];
            if item["type"] == "function_call" && reader.place(number).is_none() {
                reader.call(number, &item["call_id"], &item["name"]);
            }
        }
        "response.function_call_arguments.delta" => {
            if let (Some(index), Some(json)) = (reader.place(number), value["delta"].as_str()) {
                reader.arguments(index, json);
            }
        }
        "response.function_call_arguments.done" => {
            let index = reader.place(number).filter(|index| !reader.calls[*index].begun);
            if let (Some(index), Some(json)) = (index, value["arguments"].as_str()) {
                reader.arguments(index, json);
            }
        }
        "response.completed" | "response.incomplete" => {
            let response = &value["response"];
            if let Some(finish) = responses_finish(response, !reader.calls.is_empty()) {
                reader.finish(finish);
            }
            reader.usage = usage(Dialect::OpenAiResponses, response);
            reader.done();
        }
        "response.failed" => reader.error(&value["response"]),
        "error" => reader.error(value),
        _ => {}
    }
}
