use edgepool_clients::calls::{self, CONTENT, Code, EVENTS, GONE, OVER};
use serde_json::{Value, json};

use super::{CHAT, EMBEDDINGS, MODELS, STREAM, World, answer, chat, code, head, parse, sent, step};

#[test]
fn a_chat_is_asked_sent_and_read() {
    let world = World::usual();
    let call = world.call(CHAT, chat(), json!({"priority": "high"}));
    assert_eq!(step(call, 0.0), (code(Code::Acquire), 2, 0));
    assert!(calls::acquired(call));
    assert_eq!(step(call, 1.0), (code(Code::Send), 0, 0));
    assert_eq!(step(call, 1.0).0, code(Code::Wait));
    assert_eq!(calls::until(call), 600_001.0, "the headers of a whole answer have ten minutes");

    let request = parse(&calls::request(call, 0).unwrap());
    assert_eq!(request["method"], "POST");
    assert_eq!(request["url"], "http://127.0.0.1:9/v1/chat/completions");
    let headers = request["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["authorization", "Bearer sk-hidden"])));
    let body: Value = serde_json::from_slice(&calls::body(call)).unwrap();
    assert_eq!((&body["model"], &body["messages"][0]["content"]), (&json!("m"), &json!("Why?")));

    let text = r#"{"id":"a","choices":[{"message":{"content":"So."},"finish_reason":"stop"}],
        "usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
    assert_eq!(answer(call, 0, 200, text, 5.0) & OVER, OVER);
    assert_eq!(step(call, 5.0).0, code(Code::Finished));
    let output = parse(&calls::output(call));
    assert_eq!((&output["text"], &output["finishReason"]), (&json!("So."), &json!("stop")));
    assert_eq!((&output["requestId"], &output["id"]), (&json!("req-1"), &json!("a")));
    assert_eq!(output["usage"]["inputTokens"], 3);
    assert_eq!(calls::winner(call), 0);
    calls::free(call, 5.0);
    assert_eq!((&world.stats()["answered"], &world.stats()["inFlight"]), (&json!(1), &json!(0)));
}

const EVENTS_OF_A_STREAM: &str = "data: {\"id\":\"a\",\"choices\":[{\"delta\":{\"content\":\"So\"}}]}\n\n\
    : a comment\n\n\
    data: {\"choices\":[{\"delta\":{\"content\":\".\"},\"finish_reason\":\"stop\"}]}\n\n\
    data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n\
    data: [DONE]\n\n";

#[test]
fn events_of_a_stream_come_wherever_it_is_split() {
    let world = World::usual();
    for split in 0..EVENTS_OF_A_STREAM.len() {
        let call = world.call(STREAM, chat(), json!({}));
        let attempt = sent(call, 0.0);
        head(call, attempt, 200, json!([["content-type", "text/event-stream"]]), 0.0);
        let (mut told, mut bits) = (Vec::new(), 0);
        let (first, second) = EVENTS_OF_A_STREAM.as_bytes().split_at(split);
        for piece in [first, second] {
            bits |= calls::chunk(call, attempt, piece, 0.0);
            told.extend(parse(&calls::events(call)).as_array().unwrap().clone());
        }
        assert_eq!(bits & !CONTENT, OVER | EVENTS, "split at {split}");
        assert_eq!(step(call, 0.0).0, code(Code::Finished));
        let kinds: Vec<_> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["started", "text", "text", "finished", "usage", "done"]);
        assert_eq!((&told[1]["text"], &told[3]["finishReason"]), (&json!("So"), &json!("stop")));
        assert_eq!(parse(&calls::output(call))["usage"]["outputTokens"], 2);
        calls::free(call, 0.0);
    }
}

#[test]
fn of_two_attempts_the_first_content_counts() {
    let world = World::usual();
    let call = world.call(STREAM, chat(), json!({"hedgeAfter": 100}));
    assert_eq!(sent(call, 0.0), 0);
    assert_eq!(step(call, 0.0).0, code(Code::Wait));
    assert_eq!(calls::until(call), 100.0);
    assert_eq!(sent(call, 100.0), 1);
    let kind = json!([["content-type", "text/event-stream"]]);
    for attempt in [0, 1] {
        assert_eq!(head(call, attempt, 200, kind.clone(), 110.0), 0);
    }
    assert_eq!(calls::winner(call), -1);
    let bits = calls::chunk(call, 1, EVENTS_OF_A_STREAM.as_bytes(), 120.0);
    assert_eq!((bits & OVER, calls::winner(call)), (OVER, 1));
    assert_eq!(calls::chunk(call, 0, EVENTS_OF_A_STREAM.as_bytes(), 120.0), GONE);
    assert_eq!(step(call, 120.0), (code(Code::Cancel), 0, 0));
    assert_eq!(step(call, 120.0).0, code(Code::Finished));
    assert_eq!(parse(&calls::events(call)).as_array().unwrap().len(), 6);
    calls::free(call, 120.0);
    assert_eq!((&world.stats()["hedgesWon"], &world.stats()["inFlight"]), (&json!(1), &json!(0)));
}

#[test]
fn embeddings_are_numbers_one_behind_the_other() {
    let world = World::usual();
    let texts: Vec<_> = (0..2_100).map(|n| n.to_string()).collect();
    let batches = calls::batches(world.provider, &json!({"input": texts}).to_string()).unwrap();
    let counts = parse(&batches);
    let counts = counts.as_array().unwrap().iter().map(|it| it["input"].as_array().unwrap().len());
    assert_eq!(counts.collect::<Vec<_>>(), [2_048, 52]);

    let call = world.call(EMBEDDINGS, json!({"input": ["a", "b"]}), json!({}));
    let attempt = sent(call, 0.0);
    let text = r#"{"data":[{"index":1,"embedding":[3,4]},{"index":0,"embedding":[1,2]}]}"#;
    answer(call, attempt, 200, text, 0.0);
    assert_eq!(step(call, 0.0).0, code(Code::Finished));
    let output = parse(&calls::output(call));
    assert_eq!((&output["count"], &output["dimensions"]), (&json!(2), &json!(2)));
    assert_eq!(calls::vectors(call), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn models_are_listed() {
    let world = World::usual();
    let call = world.call(MODELS, json!({}), json!({}));
    let attempt = sent(call, 0.0);
    assert_eq!(parse(&calls::request(call, attempt).unwrap())["method"], "GET");
    answer(call, attempt, 200, r#"{"data":[{"id":"one"},{"id":"two"}]}"#, 0.0);
    assert_eq!(step(call, 0.0).0, code(Code::Finished));
    assert_eq!(parse(&calls::output(call))["models"], json!(["one", "two"]));
}
