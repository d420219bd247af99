use core::time::Duration;

use super::Reader;
use crate::answer::{self, Received};
use crate::chat::{Answer, StreamEvent};
use crate::headers::Headers;

/// Reads an answer that came whole as if it had come in pieces.
pub(super) fn read(reader: &mut Reader, body: &[u8]) {
    let keys = core::mem::take(&mut reader.keys);
    let headers = Headers::default();
    let received =
        Received { status: 200, headers: &headers, body, wall: Duration::ZERO, keys: &keys };
    match answer::chat(reader.dialect, &received) {
        Ok(answer) => tell(reader, answer),
        Err(failure) => reader.fail(failure),
    }
}

fn tell(reader: &mut Reader, answer: Answer) {
    reader.tell(StreamEvent::Started { id: answer.id, model: answer.model });
    if !answer.reasoning.is_empty() {
        reader.tell(StreamEvent::Reasoning(answer.reasoning));
    }
    if !answer.text.is_empty() {
        reader.tell(StreamEvent::Text(answer.text));
    }
    for (index, call) in answer.tool_calls.into_iter().enumerate() {
        reader.tell(StreamEvent::ToolCall { index, id: call.id, name: call.name });
        reader.tell(StreamEvent::Arguments { index, json: call.arguments });
    }
    if let Some(finish) = answer.finish {
        reader.tell(StreamEvent::Finished(finish));
    }
    reader.usage = answer.usage;
    reader.done();
}
