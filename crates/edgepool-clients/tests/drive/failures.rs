use edgepool_clients::calls::{self, Code, GONE};
use serde_json::{Value, json};

use super::{CHAT, World, answer, chat, code, parse, sent, step};

fn failure(call: f64, now: f64) -> Value {
    assert_eq!(step(call, now).0, code(Code::Fail));
    parse(&calls::failure(call))
}

#[test]
fn a_failure_says_whose_answer_it_is() {
    let world = World::usual();
    let call = world.call(CHAT, chat(), json!({"retries": 1}));
    let attempt = sent(call, 0.0);
    assert_eq!(answer(call, attempt, 500, "{}", 0.0) & GONE, GONE);
    assert_eq!(step(call, 0.0).0, code(Code::Wait));
    let later = calls::until(call);
    assert!(later > 0.0 && later < 500.0, "full jitter below half a second: {later}");
    let attempt = sent(call, later);
    assert_eq!(attempt, 1);
    let body = r#"{"error":{"message":"the key sk-hidden is wrong","code":"invalid_api_key"}}"#;
    answer(call, attempt, 401, body, later);
    let told = failure(call, later);
    assert_eq!((&told["class"], &told["status"]), (&json!("unauthorised"), &json!(401)));
    assert_eq!((&told["attempt"], &told["requestId"]), (&json!(1), &json!("req-1")));
    assert_eq!((&told["code"], &told["retryable"]), (&json!("invalid_api_key"), &json!(false)));
    assert_eq!(told["message"], "the key [redacted] is wrong");
    assert_eq!(told.get("reason"), None, "the provider has answered");
}

#[test]
fn clocks_are_told_apart() {
    let world = World::usual();
    for (option, timer) in
        [("acquireTimeout", "acquire"), ("headersTimeout", "headers"), ("totalTimeout", "total")]
    {
        let call = world.call(CHAT, chat(), json!({option: 50, "retries": 0}));
        if option == "acquireTimeout" {
            assert_eq!(step(call, 0.0).0, code(Code::Acquire));
        } else {
            sent(call, 0.0);
        }
        assert_eq!(step(call, 0.0).0, code(Code::Wait));
        assert_eq!(calls::until(call), 50.0);
        let given_back = step(call, 50.0).0;
        assert!([code(Code::Release), code(Code::Cancel)].contains(&given_back));
        let told = failure(call, 50.0);
        assert_eq!(told["timer"], timer);
        assert_eq!(told["class"], format!("timeout_{timer}"));
        calls::free(call, 50.0);
    }
    assert_eq!((&world.stats()["inFlight"], &world.stats()["waiting"]), (&json!(0), &json!(0)));
}

#[test]
fn what_the_pool_refuses_has_its_reason() {
    let world = World::usual();
    let call = world.call(CHAT, chat(), json!({}));
    assert_eq!(step(call, 0.0).0, code(Code::Acquire));
    calls::refused(call, "pool_closed", "the pool is closed", 0.0);
    let told = failure(call, 0.0);
    assert_eq!((&told["class"], &told["reason"]), (&json!("refused"), &json!("pool_closed")));
    assert_eq!(told["attempt"], -1);
    assert!(!calls::acquired(call), "it is not in the queue any more");
}

#[test]
fn a_lost_connection_shows_no_key() {
    let world = World::usual();
    let call = world.call(CHAT, chat(), json!({"retries": 0}));
    let attempt = sent(call, 0.0);
    calls::lost(call, attempt, "no route to sk-hidden", 0.0);
    let told = failure(call, 0.0);
    assert_eq!(
        (&told["class"], &told["message"]),
        (&json!("network"), &json!("no route to [redacted]"))
    );
    assert_eq!((&told["fallsBack"], &told["attempt"]), (&json!(true), &json!(0)));
}

#[test]
fn what_is_wrong_with_a_call_is_named() {
    let world = World::usual();
    let cases = [
        (json!({"message": []}), json!({}), "message"),
        (json!({"messages": [{"role": "human"}]}), json!({}), "messages[0].role"),
        (chat(), json!({"retry": 1}), "retry"),
        (chat(), json!({"totalTimeout": "1s"}), "totalTimeout"),
        (chat(), json!({"priority": 3}), "priority"),
    ];
    for (request, options, field) in cases {
        let thrown = world.try_call(CHAT, request, options).unwrap_err();
        assert_eq!((&thrown["kind"], &thrown["option"]), (&json!("request"), &json!(field)));
    }
    let thrown = world.try_call(CHAT, json!({"messages": []}), json!({})).unwrap_err();
    assert_eq!((&thrown["kind"], &thrown["class"]), (&json!("failure"), &json!("invalid")));
}
