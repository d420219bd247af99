use std::time::Duration;

use edgepool_llm::{Class, Failure, Headers, MAX_MESSAGE, Secret, Timer, redact};

fn fail(status: u16, body: &str) -> Failure {
    fail_with(status, &[], body, &[])
}

fn fail_with(status: u16, pairs: &[(&str, &str)], body: &str, keys: &[Secret]) -> Failure {
    let headers: Headers<'_> =
        pairs.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    Failure::of_answer(status, &headers, body.as_bytes(), Duration::ZERO, keys)
}

#[test]
fn every_envelope_is_read() {
    for (body, code, message) in [
        (r#"{"error":{"message":"no","type":"t","param":null,"code":"c"}}"#, Some("c"), "no"),
        (r#"{"error":{"message":"no","type":"t","code":null}}"#, Some("t"), "no"),
        (r#"{"error":{"message":"no","type":"t","code":503}}"#, Some("503"), "no"),
        (r#"{"type":"error","error":{"type":"t","message":"no"}}"#, Some("t"), "no"),
        (r#"{"error":"no"}"#, None, "no"),
        (r#"{"object":"error","message":"no","type":"t","code":404}"#, Some("404"), "no"),
        (r#"{"detail":"no"}"#, None, "no"),
        (r#"{"detail":[{"loc":["body"],"msg":"no"}]}"#, None, "no"),
        (r#"{"message":"no"}"#, None, "no"),
        (r#"[{"error":{"message":"no","code":400}}]"#, Some("400"), "no"),
    ] {
        let failure = fail(400, body);
        assert_eq!((failure.code.as_deref(), &failure.message[..]), (code, message), "{body}");
        assert_eq!((failure.class, failure.status), (Class::Invalid, Some(400)));
    }
}

#[test]
fn statuses_are_sorted() {
    use Class::{
        Invalid, Malformed, NotFound, Overloaded, QuotaExhausted, RateLimited, Server, Unauthorised,
    };
    for (status, class, retried, counted) in [
        (301, Malformed, false, true),
        (400, Invalid, false, false),
        (401, Unauthorised, false, false),
        (402, QuotaExhausted, false, false),
        (403, Unauthorised, false, false),
        (404, NotFound, false, false),
        (408, Server, true, true),
        (409, Server, true, true),
        (413, Invalid, false, false),
        (422, Invalid, false, false),
        (425, Server, true, true),
        (429, RateLimited, true, false),
        (500, Server, true, true),
        (502, Server, true, true),
        (503, Overloaded, true, true),
        (529, Overloaded, true, true),
        (599, Server, true, true),
        (999, Server, true, true),
        (0, Malformed, false, true),
    ] {
        let failure = fail(status, "");
        assert_eq!(failure.class, class, "{status}");
        assert_eq!(failure.is_retryable(), retried, "{status}");
        assert_eq!(failure.counts_against_endpoint(), counted, "{status}");
    }
}

#[test]
fn a_model_that_does_not_exist_is_not_found() {
    for (status, body) in [
        (404, r#"{"error":{"message":"no","code":"model_not_found"}}"#),
        (404, r#"{"error":"model 'm' not found"}"#),
        (400, r#"{"object":"error","message":"Invalid model: m","type":"invalid_model"}"#),
        (400, r#"{"object":"error","message":"no","type":"invalid_model","code":"1500"}"#),
        (400, r#"{"error":{"message":"no","type":"x","code":"model_decommissioned"}}"#),
    ] {
        assert_eq!(fail(status, body).class, Class::NotFound, "{body}");
    }
}

#[test]
fn a_quota_is_final_whatever_else_is_said() {
    for body in [
        r#"{"error":{"message":"m","type":"insufficient_quota","code":"insufficient_quota"}}"#,
        r#"{"error":{"message":"m","type":"insufficient_quota","code":null}}"#,
        r#"{"error":{"message":"m","type":"billing_not_active","code":"billing_not_active"}}"#,
        r#"{"type":"error","error":{"type":"enforced_spend_limit_reached","message":"m"}}"#,
    ] {
        let failure = fail_with(429, &[("x-should-retry", "true")], body, &[]);
        assert_eq!(failure.class, Class::QuotaExhausted, "{body}");
        assert!(!failure.is_retryable());
    }
}

#[test]
fn a_provider_knows_better_whether_to_retry() {
    let told = |value| [("x-should-retry", value)];
    assert!(!fail_with(500, &told("false"), "", &[]).is_retryable());
    assert!(fail_with(400, &told("true"), "", &[]).is_retryable());
}

#[test]
fn what_failed_on_our_side_is_retried_only_where_that_helps() {
    for (class, retried) in [
        (Class::Network, true),
        (Class::Truncated, true),
        (Class::Timeout(Timer::Headers), true),
        (Class::Timeout(Timer::FirstContent), true),
        (Class::Timeout(Timer::BetweenContent), false),
        (Class::Timeout(Timer::Acquire), false),
        (Class::Timeout(Timer::Total), false),
        (Class::TooLarge, false),
        (Class::Refused, false),
        (Class::Cancelled, false),
    ] {
        assert_eq!(Failure::new(class, "").is_retryable(), retried, "{class:?}");
    }
}

#[test]
fn a_failure_says_what_happened_and_what_to_do() {
    let body = r#"{"error":{"message":"no such model","code":"model_not_found"}}"#;
    let text = fail_with(404, &[("retry-after", "20")], body, &[]).to_string();
    for part in ["no such model", "404", "model_not_found", "20s", "Check the name of the model"] {
        assert!(text.contains(part), "{text}");
    }
    let html = fail_with(502, &[("content-type", "text/html")], "<html>Bad Gateway", &[]);
    assert!(html.message.contains("text/html"), "{html}");
    assert!(fail(307, "").message.contains("redirect"));
    assert!(fail(500, "upstream gone").message.contains("upstream gone"));
}

#[test]
fn messages_are_bounded_at_a_character() {
    let long = "ä".repeat(40_000);
    let body = format!(r#"{{"error":"{}"}}"#, &long[..40_000]);
    for failure in [fail(500, &body), fail(500, &long), Failure::new(Class::Network, long.clone())]
    {
        assert!(failure.message.len() <= MAX_MESSAGE);
        assert!(failure.message.contains('ä'));
    }
}

#[test]
fn keys_are_redacted_from_what_providers_say() {
    let keys = [Secret::new("hunter-2-of-me"), Secret::new("")];
    let pad = "x ".repeat(520);
    for body in [
        r#"{"error":{"message":"Incorrect API key provided: hunter-2-of-me","code":"hunter-2-of-me"}}"#
            .to_owned(),
        format!(r#"{{"error":{{"message":"{}hunter-2-of-me"}}}}"#, &pad[..1_019]),
        "plain hunter-2-of-me".to_owned(),
        format!("{}hunter-2-of-me", &pad[..1_000]),
    ] {
        let failure = fail_with(401, &[], &body, &keys);
        assert!(!format!("{failure} {failure:?}").contains("hunter"), "{failure:?}");
    }
}

#[test]
fn short_keys_are_redacted_once_and_long_ones_whole() {
    let keys = ["d", "e", "a", "abcd", "r", "t", "c"].map(Secret::new);
    assert_eq!(redact("x abcd d", &keys), "x [redacted] [redacted]");
    let text = "decorated ".repeat(10);
    assert!(redact(&text, &keys).len() <= text.len() * "[redacted]".len());
}

#[test]
fn what_looks_like_a_key_is_redacted() {
    for (text, clean) in [
        ("key sk-abcdef123456, please", "key [redacted], please"),
        ("sk-ab***************xyz!", "[redacted]!"),
        ("Bearer eyJhbGciOi.J9", "[redacted]"),
        ("gsk_1234567890", "[redacted]"),
        ("risk-taking is fine", "risk-taking is fine"),
        ("task sk- and sk-a", "task sk- and sk-a"),
        ("a sk-ant-api03-aaaaaaaa b sk-proj-bbbbbbbb", "a [redacted] b [redacted]"),
    ] {
        assert_eq!(redact(text, []), clean);
    }
    assert_eq!(format!("{0} {0:?}", Secret::new("abc")), "[redacted] [redacted]");
}
