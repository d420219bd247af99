//! Answers written after the providers' public documents, and chance for the tests.

use edgepool_llm::chat::{Finish, StreamEvent, Usage};
use edgepool_llm::dialect::Dialect;
use edgepool_llm::stream::{Decoder, MAX_EVENT};
use edgepool_llm::{Failure, Headers};

/// Chance that a seed repeats (xorshift64*).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// A stream, and the events that it stands for.
pub(crate) struct Stream {
    pub(crate) name: &'static str,
    pub(crate) dialect: Dialect,
    pub(crate) body: String,
    pub(crate) events: Vec<StreamEvent>,
}

impl Stream {
    pub(crate) fn kind(&self) -> &'static str {
        match self.dialect {
            Dialect::Ollama => "application/x-ndjson",
            _ => "text/event-stream; charset=utf-8",
        }
    }

    pub(crate) fn headers(&self) -> Headers<'static> {
        [("Content-Type", self.kind().as_bytes())].into_iter().collect()
    }

    pub(crate) fn decoder(&self) -> Decoder {
        Decoder::new(self.dialect, &self.headers(), MAX_EVENT, Vec::new()).unwrap()
    }
}

/// Feeds pieces to a decoder, and returns what it gives.
pub(crate) fn decode<'a>(
    mut decoder: Decoder,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Result<StreamEvent, Failure>> {
    let mut events = Vec::new();
    for piece in pieces {
        let progress = decoder.push(piece);
        let before = events.len();
        events.extend(std::iter::from_fn(|| decoder.poll()));
        let content = events[before..].iter().flatten().any(StreamEvent::is_content);
        assert_eq!(progress.content, content);
        let over = |event: &Result<_, _>| matches!(event, Ok(StreamEvent::Done) | Err(_));
        assert_eq!(progress.over, events.last().is_some_and(over));
    }
    assert!(decoder.end().over);
    events.extend(std::iter::from_fn(|| decoder.poll()));
    events
}

pub(crate) fn text(text: &str) -> StreamEvent {
    StreamEvent::Text(text.to_owned())
}

pub(crate) fn thought(text: &str) -> StreamEvent {
    StreamEvent::Reasoning(text.to_owned())
}

pub(crate) fn started(id: &str, model: &str) -> StreamEvent {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    StreamEvent::Started { id: some(id), model: some(model) }
}

pub(crate) fn call(index: usize, id: &str, name: &str) -> StreamEvent {
    StreamEvent::ToolCall { index, id: id.to_owned(), name: name.to_owned() }
}

pub(crate) fn arguments(index: usize, json: &str) -> StreamEvent {
    StreamEvent::Arguments { index, json: json.to_owned() }
}

pub(crate) fn usage(input: u64, output: u64) -> StreamEvent {
    let usage = Usage { input_tokens: input, output_tokens: output, ..Usage::default() };
    StreamEvent::Usage(usage)
}

fn sse(events: &[(&str, &str)]) -> String {
    let event = |(name, data): &(&str, &str)| match *name {
        "" => format!("data: {data}\n\n"),
        ":" => format!(": {data}\n\n"),
        name => format!("event: {name}\ndata: {data}\n\n"),
    };
    events.iter().map(event).collect()
}

pub(crate) fn streams() -> Vec<Stream> {
    let mut streams = openai();
    streams.extend(responses());
    streams.extend(anthropic());
    streams.extend(ollama());
    streams
}

fn openai() -> Vec<Stream> {
    let dialect = Dialect::OpenAi;
    let chat = sse(&[
        (":", "waiting in the queue"),
        (
            "",
            r#"{"id":"c-1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
        ),
        (
            "",
            r#"{"id":"c-1","model":"m","choices":[{"index":0,"delta":{"content":"Zwölf \"Boxkämpfer\" 🥊"},"finish_reason":null}]}"#,
        ),
        (
            "",
            r#"{"id":"c-1","model":"m","choices":[{"index":1,"delta":{"content":null},"finish_reason":null}]}"#,
        ),
        (
            "",
            r#"{"id":"c-1","model":"m","choices":[{"index":0,"delta":{"content":" [DONE]\n"},"finish_reason":null}]}"#,
        ),
        (
            "",
            r#"{"id":"c-1","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        ),
        (
            "",
            r#"{"id":"c-1","model":"m","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}"#,
        ),
        ("", "[DONE]"),
    ]);
    let tools = sse(&[
        (
            "",
            r#"{"id":"c-2","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"weather","arguments":""}}]}}]}"#,
        ),
        (
            "",
            r#"{"id":"c-2","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]}}]}"#,
        ),
        (
            "",
            r#"{"id":"c-2","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"Bern\"}"}},{"index":1,"id":"call_b","function":{"name":"time","arguments":"{}"}}]}}]}"#,
        ),
        ("", r#"{"id":"c-2","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#),
        ("", "[DONE]"),
    ]);
    let groq = concat!(
        "data:{\"id\":\"c-3\",\"model\":\"m\",\"choices\":[{\"delta\":{\"reasoning\":\"Hm\"}}]}\r\n\r\n",
        ":\r\n\r\n",
        "data:{\"id\":\"c-3\",\"choices\":[{\"delta\":{\"content\":\"Ja\"},\"finish_reason\":\"length\"}],",
        "\"x_groq\":{\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":1}}}\r\n\r\n",
        "data:[DONE]\r\n\r\n",
    );
    // Events whose lines end with returns alone, after a mark, the last without a blank line.
    let odd = "\u{feff}data: {\"choices\":\rdata: [{\"delta\":{\"content\":\"a\"}}]}\rid: 7\rretry: 5\r\r\
               unknown: x\rdata: [DONE]";
    vec![
        Stream {
            name: "openai chat",
            dialect,
            body: chat,
            events: vec![
                started("c-1", "m"),
                text("Zwölf \"Boxkämpfer\" 🥊"),
                text(" [DONE]\n"),
                StreamEvent::Finished(Finish::Stop),
                usage(9, 4),
                StreamEvent::Done,
            ],
        },
        Stream {
            name: "openai tools",
            dialect,
            body: tools,
            events: vec![
                started("c-2", "m"),
                call(0, "call_a", "weather"),
                arguments(0, "{\"city\":"),
                arguments(0, "\"Bern\"}"),
                call(1, "call_b", "time"),
                arguments(1, "{}"),
                StreamEvent::Finished(Finish::ToolCalls),
                StreamEvent::Done,
            ],
        },
        Stream {
            name: "groq reasoning",
            dialect,
            body: groq.to_owned(),
            events: vec![
                started("c-3", "m"),
                thought("Hm"),
                text("Ja"),
                StreamEvent::Finished(Finish::Length),
                usage(2, 1),
                StreamEvent::Done,
            ],
        },
        Stream {
            name: "openai odd lines",
            dialect,
            body: odd.to_owned(),
            events: vec![started("", ""), text("a"), StreamEvent::Done],
        },
    ]
}

fn responses() -> Vec<Stream> {
    let dialect = Dialect::OpenAiResponses;
    let body = sse(&[
        (
            "response.created",
            r#"{"type":"response.created","response":{"id":"r-1","model":"m","status":"in_progress","output":[],"error":null}}"#,
        ),
        (
            "response.output_item.added",
            r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"message","content":[]}}"#,
        ),
        (
            "response.output_text.delta",
            r#"{"type":"response.output_text.delta","output_index":0,"delta":"Grü"}"#,
        ),
        (
            "response.output_text.delta",
            r#"{"type":"response.output_text.delta","output_index":0,"delta":"ezi"}"#,
        ),
        (
            "response.output_text.done",
            r#"{"type":"response.output_text.done","output_index":0,"text":"Grüezi"}"#,
        ),
        (
            "response.output_item.added",
            r#"{"type":"response.output_item.added","output_index":1,"item":{"type":"function_call","call_id":"f-1","name":"weather","arguments":""}}"#,
        ),
        (
            "response.function_call_arguments.delta",
            r#"{"type":"response.function_call_arguments.delta","output_index":1,"delta":"{}"}"#,
        ),
        (
            "response.function_call_arguments.done",
            r#"{"type":"response.function_call_arguments.done","output_index":1,"arguments":"{}"}"#,
        ),
        (
            "response.completed",
            r#"{"type":"response.completed","response":{"id":"r-1","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"Grüezi"}]}],"usage":{"input_tokens":7,"output_tokens":5,"output_tokens_details":{"reasoning_tokens":0}}}}"#,
        ),
    ]);
    // Another server's: no names, an end for length, and a `[DONE]` behind it.
    let short = sse(&[
        ("", r#"{"type":"response.created","response":{"id":"r-2","model":"m"}}"#),
        ("", r#"{"type":"response.reasoning_summary_text.delta","delta":"Hm"}"#),
        (
            "",
            r#"{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}}"#,
        ),
        ("", "[DONE]"),
    ]);
    vec![
        Stream {
            name: "responses",
            dialect,
            body,
            events: vec![
                started("r-1", "m"),
                text("Grü"),
                text("ezi"),
                call(0, "f-1", "weather"),
                arguments(0, "{}"),
                StreamEvent::Finished(Finish::ToolCalls),
                usage(7, 5),
                StreamEvent::Done,
            ],
        },
        Stream {
            name: "responses incomplete",
            dialect,
            body: short,
            events: vec![
                started("r-2", "m"),
                thought("Hm"),
                StreamEvent::Finished(Finish::Length),
                StreamEvent::Done,
            ],
        },
    ]
}

fn anthropic() -> Vec<Stream> {
    let body = sse(&[
        (
            "message_start",
            r#"{"type":"message_start","message":{"id":"m-1","model":"m","content":[],"usage":{"input_tokens":10,"cache_read_input_tokens":2,"output_tokens":1}}}"#,
        ),
        (
            "content_block_start",
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        ),
        ("ping", r#"{"type": "ping"}"#),
        (
            "content_block_delta",
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Bonjour"}}"#,
        ),
        (
            "content_block_delta",
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"abc"}}"#,
        ),
        ("content_block_stop", r#"{"type":"content_block_stop","index":0}"#),
        (
            "content_block_start",
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t-1","name":"weather","input":{}}}"#,
        ),
        (
            "content_block_delta",
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}"#,
        ),
        (
            "content_block_delta",
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"city\": \"Genève\"}"}}"#,
        ),
        ("content_block_stop", r#"{"type":"content_block_stop","index":1}"#),
        (
            "message_delta",
            r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":20}}"#,
        ),
        ("message_stop", r#"{"type":"message_stop"}"#),
    ]);
    let used = Usage { input_tokens: 12, output_tokens: 20, cached_tokens: 2, reasoning_tokens: 0 };
    vec![Stream {
        name: "anthropic",
        dialect: Dialect::Anthropic,
        body,
        events: vec![
            started("m-1", "m"),
            text("Bonjour"),
            call(0, "t-1", "weather"),
            arguments(0, "{\"city\": \"Genève\"}"),
            StreamEvent::Finished(Finish::ToolCalls),
            StreamEvent::Usage(used),
            StreamEvent::Done,
        ],
    }]
}

fn ollama() -> Vec<Stream> {
    let dialect = Dialect::Ollama;
    let lines = [
        r#"{"model":"m","message":{"role":"assistant","content":"","thinking":"Hm"},"done":false}"#,
        r#"{"model":"m","message":{"role":"assistant","content":"say \"done\":true"},"done":false}"#,
        r#"{"model":"m","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"switch","arguments":{"done":true}}}]},"done":false}"#,
        "",
        r#"{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":11,"eval_count":6}"#,
    ];
    // The last line may come without a line feed.
    let last = r#"{"model":"m","message":{"content":"Hallo"},"done":true,"done_reason":"length","eval_count":1}"#;
    vec![
        Stream {
            name: "ollama",
            dialect,
            body: lines.map(|line| format!("{line}\n")).concat(),
            events: vec![
                started("", "m"),
                thought("Hm"),
                text("say \"done\":true"),
                call(0, "call_0", "switch"),
                arguments(0, "{\"done\":true}"),
                StreamEvent::Finished(Finish::ToolCalls),
                usage(11, 6),
                StreamEvent::Done,
            ],
        },
        Stream {
            name: "ollama in one line",
            dialect,
            body: last.to_owned(),
            events: vec![
                started("", "m"),
                text("Hallo"),
                StreamEvent::Finished(Finish::Length),
                usage(0, 1),
                StreamEvent::Done,
            ],
        },
    ]
}
