use edgepool_clients::calls::{self, CONTENT, Code, GONE, OVER};
use serde_json::{Value, json};

use super::{PASSED, World, answer, code, head, parse, sent, step};

fn post(url: &str, headers: Value) -> Value {
    json!({"method": "POST", "url": url, "headers": headers})
}

fn request(call: f64, attempt: u32) -> (String, Vec<Value>) {
    let made = parse(&calls::request(call, attempt).unwrap());
    let url = made["url"].as_str().unwrap().to_owned();
    (url, made["headers"].as_array().unwrap().clone())
}

#[test]
fn a_request_is_passed_on_with_the_providers_key() {
    let options = json!({"kind": "openai", "baseURL": "http://h/v1", "apiKey": "sk-ours"});
    let world = World::new(options);
    let headers =
        json!([["Authorization", "Bearer sk-theirs"], ["Content-Length", "2"], ["a", "b"]]);
    let call = world.call(PASSED, post("/v1/chat/completions", headers), json!({}));
    let (url, headers) = request(call, sent(call, 0.0));
    assert_eq!(url, "http://h/v1/chat/completions");
    let mut told: Vec<_> = headers.iter().map(Value::to_string).collect();
    told.sort_unstable();
    assert_eq!(told, [r#"["a","b"]"#, r#"["authorization","Bearer sk-ours"]"#]);
    assert!(calls::body(call).is_empty(), "the caller has it");
}

#[test]
fn an_address_of_one_endpoint_is_sent_to_whichever_is_chosen() {
    let endpoints = json!(["http://one/v1", "http://two:8000/v1"]);
    let world = World::new(json!({"kind": "openai", "endpoints": endpoints}));
    for url in ["http://one/v1/models?x=1", "http://two:8000/v1/models?x=1", "/models?x=1"] {
        let mut urls = Vec::new();
        for _ in 0..2 {
            let call = world.call(PASSED, json!({"method": "GET", "url": url}), json!({}));
            urls.push(request(call, sent(call, 0.0)).0);
        }
        urls.sort_unstable();
        assert_eq!(urls, ["http://one/v1/models?x=1", "http://two:8000/v1/models?x=1"]);
    }
    let elsewhere = json!({"method": "GET", "url": "http://three/v1/models"});
    let thrown = world.try_call(PASSED, elsewhere, json!({})).unwrap_err();
    assert!(thrown["message"].as_str().unwrap().contains("not the provider's origin"), "{thrown}");
}

#[test]
fn the_end_of_the_protocol_is_the_end() {
    let world = World::usual();
    let call = world.call(PASSED, post("/chat/completions", json!([])), json!({}));
    let attempt = sent(call, 0.0);
    head(call, attempt, 200, json!([["content-type", "text/event-stream"]]), 0.0);
    assert_eq!(calls::chunk(call, attempt, b": ping\n\n", 0.0), 0);
    let bits = calls::chunk(
        call,
        attempt,
        b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n",
        0.0,
    );
    assert_eq!((bits, calls::winner(call)), (CONTENT, 0));
    assert_eq!(calls::chunk(call, attempt, b"data: [DONE]\n\n", 0.0) & OVER, OVER);
    assert_eq!(step(call, 0.0).0, code(Code::Finished));
    assert_eq!(calls::events(call), "[]", "its bytes are the caller's own");
}

#[test]
fn a_stream_that_breaks_off_is_truncated() {
    let world = World::usual();
    let call = world.call(PASSED, post("/chat/completions", json!([])), json!({}));
    let attempt = sent(call, 0.0);
    head(call, attempt, 200, json!([["content-type", "text/event-stream"]]), 0.0);
    calls::chunk(call, attempt, b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n", 0.0);
    assert_eq!(calls::end(call, attempt, 0.0), GONE);
    assert_eq!(step(call, 0.0).0, code(Code::Fail));
    assert_eq!(parse(&calls::failure(call))["class"], "truncated");
}

#[test]
fn an_answer_that_was_taken_is_watched_by_its_taker() {
    let world = World::usual();
    let call = world.call(PASSED, post("/chat/completions", json!([])), json!({"hedgeAfter": 50}));
    let attempt = sent(call, 0.0);
    let kind = json!([["content-type", "text/event-stream"]]);
    head(call, attempt, 200, kind.clone(), 10.0);
    assert_eq!(sent(call, 60.0), 1);
    calls::taken(call, attempt, 60.0);
    assert_eq!((step(call, 60.0), calls::winner(call)), ((code(Code::Cancel), 0, 1), 0));
    assert_eq!(step(call, 60.0).0, code(Code::Wait));
    assert_eq!(calls::until(call), f64::INFINITY, "no clock of the call runs");
    let content = b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    assert_eq!(calls::chunk(call, attempt, content, 500_000.0), CONTENT);
    assert_eq!(step(call, 500_000.0).0, code(Code::Wait));
    assert_eq!(calls::until(call), f64::INFINITY);
    assert_eq!(world.stats()["firstContent"]["count"], 1);
    calls::late(call, attempt, 4, 600_000.0);
    assert_eq!(step(call, 600_000.0).0, code(Code::Fail));
    let told = parse(&calls::failure(call));
    assert_eq!(
        (&told["class"], &told["timer"]),
        (&json!("timeout_between_content"), &json!("stall"))
    );
    assert_eq!(world.stats()["inFlight"], 0);
}

#[test]
fn a_request_with_a_key_says_so() {
    let keyed = |options: Value, headers: Value| {
        let call = World::new(options).call(PASSED, post("/chat", headers), json!({}));
        parse(&calls::request(call, sent(call, 0.0)).unwrap())["keyed"] == json!(true)
    };
    let base = json!({"kind": "openai", "baseURL": "http://h/v1"});
    let with = |name: &str, value: Value| {
        let mut options = base.clone();
        options[name] = value;
        options
    };
    assert!(!keyed(base.clone(), json!([["authorization", "Bearer theirs"]])));
    assert!(
        !keyed(with("passClientKey", json!(false)), json!([])),
        "it has no key, and needs none"
    );
    assert!(keyed(with("apiKey", json!("sk-ours")), json!([])));
    assert!(keyed(with("headers", json!({"x-token": "ours"})), json!([])));
}

/// How many attempts are sent of a request to which each is answered by a 503.
fn attempts(world: &World, request: Value) -> u32 {
    let call = world.call(PASSED, request, json!({}));
    let (mut now, mut count) = (0.0, 0);
    loop {
        match step(call, now) {
            (0, ..) => now = calls::until(call),
            (1, ..) => assert!(calls::acquired(call)),
            (3, _, attempt) => {
                count += 1;
                answer(call, attempt, 503, "{}", now);
            }
            (5, ..) => return count,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn only_what_may_happen_twice_is_sent_again() {
    let of = |kind: &str| World::new(json!({"kind": kind, "baseURL": "http://h"}));
    let get = json!({"method": "GET", "url": "/"});
    assert_eq!(attempts(&of("http"), get), 3);
    assert_eq!(attempts(&of("http"), post("/", json!([]))), 1);
    assert_eq!(attempts(&of("openai"), post("/chat/completions", json!([]))), 3);
    let mut once = post("/chat/completions", json!([]));
    once["once"] = json!(true);
    assert_eq!(attempts(&of("openai"), once), 1);
    let again = post("/chat/completions", json!([["X-Stainless-Retry-Count", "1"]]));
    assert_eq!(attempts(&of("openai"), again), 2, "the SDK's own retry is one of them");
}
