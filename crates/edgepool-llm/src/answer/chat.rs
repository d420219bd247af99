use serde_json::Value;

use super::{Received, text_at};
use crate::chat::{Answer, Finish, MAX_TOOL_CALLS, ToolCall, Usage};
use crate::dialect::Dialect;
use crate::failure::Failure;
use crate::json::{list, write};

/// Reads a whole answer to a chat.
///
/// # Errors
///
/// The failure that a status of no success stands for; or that the body is not what the dialect
/// says.
pub fn chat(dialect: Dialect, received: &Received<'_>) -> Result<Answer, Failure> {
    let value = received.json()?;
    let answer = match dialect {
        Dialect::OpenAi => openai(&value),
        Dialect::OpenAiResponses => responses(&value),
        Dialect::Anthropic => anthropic(&value),
        Dialect::Ollama => ollama(&value),
        Dialect::Http => None,
    };
    let text = "the provider answered JSON that is no answer to a chat";
    let status = Some(received.status);
    answer.ok_or_else(|| Failure { status, ..Failure::malformed(text) })
}

fn openai(value: &Value) -> Option<Answer> {
    let choice = value["choices"].as_array()?.first()?;
    let message = choice["message"].as_object()?;
    let null = Value::Null;
    let at = |name: &str| message.get(name).unwrap_or(&null);
    let mut answer = begin(value);
    answer.text = joined(at("content"));
    if answer.text.is_empty() {
        answer.text = joined(at("refusal"));
    }
    let reasoning = text_at(at("reasoning_content")).or_else(|| text_at(at("reasoning")));
    answer.reasoning = reasoning.unwrap_or_default();
    answer.tool_calls = calls(at("tool_calls"), |call| (&call["id"], &call["function"]));
    answer.finish = choice["finish_reason"].as_str().map(Finish::read);
    answer.usage = usage(Dialect::OpenAi, value);
    Some(answer)
}

/// Joins the texts of a content: a text alone, or parts of which some have one.
fn joined(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

fn begin(value: &Value) -> Answer {
    Answer { id: text_at(&value["id"]), model: text_at(&value["model"]), ..Answer::default() }
}

/// Reads calls of tools, with what `split` finds their id and their function at.
fn calls<'a>(
    calls: &'a Value,
    split: impl Fn(&'a Value) -> (&'a Value, &'a Value),
) -> Vec<ToolCall> {
    let calls = list(calls);
    let read = |(index, call)| {
        let (id, function): (&Value, &Value) = split(call);
        let id = text_at(id).unwrap_or_else(|| made_up(index));
        let name = text_at(&function["name"]).unwrap_or_default();
        ToolCall { id, name, arguments: arguments(&function["arguments"]) }
    };
    calls.iter().take(MAX_TOOL_CALLS).enumerate().map(read).collect()
}

/// What a call is named where its provider does not.
pub(crate) fn made_up(index: usize) -> String {
    format!("call_{index}")
}

/// Returns arguments as a text of JSON, whether they came as one or as an object.
pub(crate) fn arguments(value: &Value) -> String {
    match value {
        Value::Null => "{}".to_owned(),
        Value::String(text) if text.is_empty() => "{}".to_owned(),
        Value::String(text) => text.clone(),
        object => write(object),
    }
}

/// A failed response has an error, which has been read before.
fn responses(value: &Value) -> Option<Answer> {
    let output = value["output"].as_array()?;
    let mut answer = begin(value);
    for item in output {
        match item["type"].as_str() {
            Some("message") => {
                for part in list(&item["content"]) {
                    let text = part["text"].as_str().or_else(|| part["refusal"].as_str());
                    answer.text.push_str(text.unwrap_or_default());
                }
            }
            Some("function_call") if answer.tool_calls.len() < MAX_TOOL_CALLS => {
                let index = answer.tool_calls.len();
                answer.tool_calls.push(ToolCall {
                    id: text_at(&item["call_id"]).unwrap_or_else(|| made_up(index)),
                    name: text_at(&item["name"]).unwrap_or_default(),
                    arguments: arguments(&item["arguments"]),
                });
            }
            Some("reasoning") => {
                for part in list(&item["summary"]) {
                    answer.reasoning.push_str(part["text"].as_str().unwrap_or_default());
                }
            }
            _ => {}
        }
    }
    answer.finish = responses_finish(value, !answer.tool_calls.is_empty());
    answer.usage = usage(Dialect::OpenAiResponses, value);
    Some(answer)
}

/// Finds why a response ended, which says nothing of the tools that it calls.
pub(crate) fn responses_finish(response: &Value, calls_tools: bool) -> Option<Finish> {
    match response["status"].as_str()? {
        "completed" if calls_tools => Some(Finish::ToolCalls),
        "incomplete" => response["incomplete_details"]["reason"].as_str().map(Finish::read),
        status => Some(Finish::read(status)),
    }
}

fn anthropic(value: &Value) -> Option<Answer> {
    let mut answer = begin(value);
    for block in value["content"].as_array()? {
        match block["type"].as_str() {
            Some("text") => answer.text.push_str(block["text"].as_str().unwrap_or_default()),
            Some("thinking") => {
                answer.reasoning.push_str(block["thinking"].as_str().unwrap_or_default());
            }
            Some("tool_use") if answer.tool_calls.len() < MAX_TOOL_CALLS => {
                let index = answer.tool_calls.len();
                answer.tool_calls.push(ToolCall {
                    id: text_at(&block["id"]).unwrap_or_else(|| made_up(index)),
                    name: text_at(&block["name"]).unwrap_or_default(),
                    arguments: arguments(&block["input"]),
                });
            }
            _ => {}
        }
    }
    answer.finish = value["stop_reason"].as_str().map(Finish::read);
    answer.usage = usage(Dialect::Anthropic, value);
    Some(answer)
}

fn ollama(value: &Value) -> Option<Answer> {
    let message = &value["message"];
    if !message.is_object() {
        return None;
    }
    let mut answer = begin(value);
    answer.text = joined(&message["content"]);
    answer.reasoning = joined(&message["thinking"]);
    answer.tool_calls = calls(&message["tool_calls"], |call| (&call["id"], &call["function"]));
    answer.finish = ollama_finish(value, !answer.tool_calls.is_empty());
    answer.usage = usage(Dialect::Ollama, value);
    Some(answer)
}

/// Finds why an answer of Ollama ended, which calls that of a call of a tool `stop`.
pub(crate) fn ollama_finish(value: &Value, calls_tools: bool) -> Option<Finish> {
    match value["done_reason"].as_str()? {
        "stop" if calls_tools => Some(Finish::ToolCalls),
        word => Some(Finish::read(word)),
    }
}

/// Reads what a call used from the object that holds its `usage`; at Ollama, from the last line.
pub(crate) fn usage(dialect: Dialect, value: &Value) -> Option<Usage> {
    let usage = &value["usage"];
    match dialect {
        Dialect::OpenAi => counts(usage, ["prompt_tokens", "completion_tokens"]),
        Dialect::OpenAiResponses => counts(usage, ["input_tokens", "output_tokens"]),
        Dialect::Anthropic => anthropic_usage(usage),
        Dialect::Ollama => ollama_usage(value),
        Dialect::Http => None,
    }
}

/// Reads the counts of OpenAI's dialects, by the names of those of the prompt and of the answer.
fn counts(usage: &Value, [input, output]: [&str; 2]) -> Option<Usage> {
    let detail = |of: &str, name: &str| usage[format!("{of}_details")][name].as_u64();
    Some(Usage {
        input_tokens: usage[input].as_u64()?,
        output_tokens: usage[output].as_u64().unwrap_or(0),
        cached_tokens: detail(input, "cached_tokens").unwrap_or(0),
        reasoning_tokens: detail(output, "reasoning_tokens").unwrap_or(0),
    })
}

fn anthropic_usage(usage: &Value) -> Option<Usage> {
    // Those that a cache was read or written for are not among the input.
    let cached = usage["cache_read_input_tokens"].as_u64().unwrap_or(0);
    let written = usage["cache_creation_input_tokens"].as_u64().unwrap_or(0);
    let input = usage["input_tokens"].as_u64()?;
    Some(Usage {
        input_tokens: input.saturating_add(cached).saturating_add(written),
        output_tokens: usage["output_tokens"].as_u64().unwrap_or(0),
        cached_tokens: cached,
        reasoning_tokens: 0,
    })
}

fn ollama_usage(last: &Value) -> Option<Usage> {
    let (prompt, answer) = (&last["prompt_eval_count"], &last["eval_count"]);
    if prompt.is_null() && answer.is_null() {
        return None;
    }
    Some(Usage {
        // A prompt that is in its cache as a whole is not counted.
        input_tokens: prompt.as_u64().unwrap_or(0),
        output_tokens: answer.as_u64().unwrap_or(0),
        ..Usage::default()
    })
}
