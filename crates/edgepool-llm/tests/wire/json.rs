//! Requests from JSON, and answers to JSON.

use edgepool_llm::call::CallOptions;
use edgepool_llm::chat::{
    Answer, ChatRequest, Finish, Image, Message, Part, Role, StreamEvent, Tool, ToolCall,
    ToolChoice, Usage,
};
use edgepool_llm::endpoint::EndpointOptions;
use edgepool_llm::request::EmbedRequest;
use edgepool_llm::service::{Service, ServiceOptions};
use edgepool_llm::{Class, Failure, Timer};
use serde_json::{Value, json};

#[test]
fn a_chat_is_read_with_all_that_it_may_have() {
    let asked = json!({
        "model": "m", "system": "Be short.",
        "messages": [
            {"role": "user", "content": ["What is it?", {"type": "text", "text": "This:"},
                {"type": "image", "url": "data:image/png;base64,AA=="},
                {"type": "image", "mediaType": "image/gif", "base64": "AB=="},
                {"type": "raw", "value": {"type": "file"}}]},
            {"role": "assistant", "toolCalls": [{"id": "1", "name": "look", "arguments": "{}"}]},
            {"role": "tool", "toolCallId": "1", "content": "a cat"},
        ],
        "tools": [{"name": "look", "description": "Looks."}],
        "toolChoice": {"name": "look"},
        "parameters": {"maxTokens": 5, "stop": "."},
        "extra": {"user": "u"},
    });
    let read = ChatRequest::from_json(&asked).unwrap();
    assert_eq!((read.model.as_deref(), read.system.as_deref()), (Some("m"), Some("Be short.")));
    let data = |media_type: &str, base64: &str| {
        let text = format!("data:{media_type};base64,{base64}");
        Part::Image(Image::from_url(&text))
    };
    let content = vec![
        Part::Text("What is it?".into()),
        Part::Text("This:".into()),
        data("image/png", "AA=="),
        data("image/gif", "AB=="),
        Part::Raw(json!({"type": "file"})),
    ];
    let first = Message { role: Role::User, content, tool_calls: vec![], tool_call_id: None };
    let call = ToolCall { id: "1".into(), name: "look".into(), arguments: "{}".into() };
    let second =
        Message { role: Role::Assistant, content: vec![], tool_calls: vec![call], ..first.clone() };
    assert_eq!(read.messages, [first, second, Message::tool("1", "a cat")]);
    let (description, parameters) =
        (Some("Looks.".into()), json!({"type": "object", "properties": {}}));
    assert_eq!(read.tools, [Tool { name: "look".into(), description, parameters }]);
    assert_eq!(read.tool_choice, Some(ToolChoice::Named("look".into())));
    assert_eq!(
        (read.parameters.max_tokens, &read.parameters.stop[..]),
        (Some(5), &[".".to_owned()][..])
    );
    assert_eq!(read.extra["user"], "u");
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let said = |message: Value| json!({"messages": [message]});
    let part = |part: Value| said(json!({"role": "user", "content": [part]}));
    let cases = [
        (json!([]), "takes a chat, an object"),
        (json!({"msgs": []}), "\"msgs\" is no field of a chat; there are model,"),
        (json!({"messages": "Why?"}), "\"messages\" takes a list"),
        (json!({"messages": [], "model": 4}), "\"model\" takes a text"),
        (said(json!("Why?")), "\"messages[0]\" takes a message, an object"),
        (said(json!({"role": "human"})), "\"messages[0].role\" takes one of system, user,"),
        (
            said(json!({"role": "user", "text": ""})),
            "\"messages[0].text\" is no field of a message",
        ),
        (
            part(json!({"type": "video"})),
            "\"messages[0].content[0].type\" takes one of text, image,",
        ),
        (part(json!({"type": "text"})), "\"messages[0].content[0].text\" is needed"),
        (part(json!({"type": "image"})), "\"messages[0].content[0].url\" is needed, or"),
        (
            part(json!({"type": "image", "url": "u", "base64": "b"})),
            "\"messages[0].content[0].url\" cannot stand beside",
        ),
        (
            json!({"tools": [{"name": "a", "parameters": "b"}]}),
            "\"tools[0].parameters\" takes a JSON",
        ),
        (json!({"toolChoice": "maybe"}), "\"toolChoice\" takes one of auto, none, required, or"),
        (json!({"parameters": {"topp": 1}}), "\"parameters.topp\" is no option of parameters"),
        (json!({"parameters": 3}), "\"parameters\" takes an object of options"),
        (json!({"extra": []}), "\"extra\" takes an object"),
    ];
    for (asked, expected) in cases {
        let told = ChatRequest::from_json(&asked).unwrap_err().to_string();
        assert!(told.starts_with(expected), "{told}");
    }
    for asked in [json!({"input": 4}), json!({"input": ["a", 4]}), json!({"dimensions": 0})] {
        assert!(EmbedRequest::from_json(&asked).is_err(), "{asked}");
    }
}

#[test]
fn a_request_for_embeddings_is_written_as_it_is_read() {
    let asked = json!({"input": ["a", "b"], "model": "m", "dimensions": 3, "extra": {"user": "u"}});
    assert_eq!(EmbedRequest::from_json(&asked).unwrap().to_json(), asked);
    let one = EmbedRequest::from_json(&json!({"input": "a"})).unwrap();
    assert_eq!(one.to_json(), json!({"input": ["a"]}));
}

#[test]
fn a_call_has_its_own_options_over_the_usual_ones() {
    let options = ServiceOptions::new(vec![EndpointOptions::new("a")]);
    let usual = CallOptions::of(&Service::new(options, edgepool::Time::ZERO));
    assert_eq!(CallOptions::from_json(&json!({}), usual), Ok(usual));
    let said = json!({"totalTimeout": 1.5, "headersTimeout": null, "retries": 0, "retried": 2});
    let read = CallOptions::from_json(&said, usual).unwrap();
    assert_eq!(read.timeouts.total, Some(std::time::Duration::from_micros(1_500)));
    assert_eq!((read.timeouts.headers, read.retries, read.retried), (None, 0, 2));
    assert_eq!(read.timeouts.acquire, usual.timeouts.acquire);
}

#[test]
fn answers_are_written_without_what_is_not_there() {
    let answer =
        Answer { text: "So.".into(), finish: Some(Finish::ToolCalls), ..Answer::default() };
    let expected =
        json!({"text": "So.", "reasoning": "", "toolCalls": [], "finishReason": "toolCalls"});
    assert_eq!(answer.to_json(), expected);
    let usage = Usage { input_tokens: 1, output_tokens: 2, cached_tokens: 3, reasoning_tokens: 4 };
    let counts =
        json!({"inputTokens": 1, "outputTokens": 2, "cachedTokens": 3, "reasoningTokens": 4});
    let events = [
        (
            StreamEvent::Started { id: Some("a".into()), model: None },
            json!({"type": "started", "id": "a"}),
        ),
        (
            StreamEvent::Finished(Finish::Other("eos".into())),
            json!({"type": "finished", "finishReason": "eos"}),
        ),
        (StreamEvent::Usage(usage), json!({"type": "usage", "usage": counts})),
        (StreamEvent::Done, json!({"type": "done"})),
    ];
    for (event, expected) in events {
        assert_eq!(event.to_json(), expected);
    }
}

#[test]
fn a_failure_says_what_to_do() {
    let failure = Failure::new(Class::Timeout(Timer::BetweenContent), "no more content came");
    let expected = json!({
        "class": "timeout_between_content", "timer": "stall", "message": "no more content came",
        "text": "no more content came", "retryable": false, "fallsBack": true,
        "reason": "upstream_timeout",
    });
    assert_eq!(failure.to_json(), expected);
    let mut limited = Failure::new(Class::QuotaExhausted, "spent");
    (limited.status, limited.retry_after) =
        (Some(429), Some(std::time::Duration::from_millis(1_500)));
    let told = limited.to_json();
    assert_eq!((&told["status"], &told["retryAfter"]), (&json!(429), &json!(1_500.0)));
    assert!(told["text"].as_str().unwrap().ends_with("see the account's plan and billing."));
    assert_eq!(told.get("reason"), None);
}
