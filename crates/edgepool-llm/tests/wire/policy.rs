use std::time::Duration;

use edgepool_llm::bucket::Rate;
use edgepool_llm::endpoint::{Balance, EndpointOptions};
use edgepool_llm::limit::Way;
use edgepool_llm::provider::{OptionError, Provider};
use edgepool_llm::service::{Policy, ServiceOptions};
use serde_json::{Value, json};

fn read(mut options: Value) -> Result<Provider, OptionError> {
    options["kind"] = json!("ollama");
    Provider::from_json("p", &options, &|_| None)
}

#[test]
fn what_is_not_said_is_as_usual() {
    let usual = Policy::default();
    let nothing = json!({});
    let empty = json!({"ejection": {"share": {}}, "rates": {}, "retry": {"budget": {}}});
    let null = json!({"checks": null, "adaptiveLimit": null, "hedgeAfter": null});
    for options in [nothing, empty, null] {
        assert_eq!(read(options).unwrap().policy, usual);
    }
    let some = read(json!({"checks": {}, "adaptiveLimit": {}, "max": 4})).unwrap().policy;
    assert_eq!(some.checks, Some(Default::default()));
    let limit = some.limit.unwrap();
    assert_eq!((limit.way, limit.min, limit.max), (Way::Aimd, 1, 4), "it ends at the provider's");
}

#[test]
fn everything_can_be_said() {
    let policy = read(json!({
        "balance": "powerOfTwo",
        "ejection": {
            "consecutive": 3, "share": {"percent": 20, "least": 9, "window": 2_000},
            "base": 100, "longest": 900, "atMost": 80, "slowStart": 0,
        },
        "checks": {"interval": 1_000, "timeout": 50, "failures": 1},
        "adaptiveLimit": {"way": "gradient", "min": 2, "max": 7, "hold": 10},
        "rates": {"requests": {"amount": 9, "window": 1_000}, "tokens": {"amount": 5_000}},
        "retry": {
            "retries": 4, "base": 1, "longest": 2, "retryAfterCap": 3,
            "budget": {"percent": 50, "perSecond": 0},
        },
        "hedgeAfter": 700,
        "alertAfter": 0,
    }))
    .unwrap()
    .policy;
    let ms = Duration::from_millis;
    assert_eq!(policy.balance, Balance::PowerOfTwo);
    let it = policy.ejection;
    assert_eq!((it.consecutive, it.at_most), (Some(3), 80));
    assert_eq!((it.base, it.longest, it.slow_start), (ms(100), ms(900), ms(0)));
    let share = it.share.unwrap();
    assert_eq!((share.percent, share.least, share.window), (20, 9, ms(2_000)));
    let it = policy.checks.unwrap();
    assert_eq!((it.interval, it.timeout, it.failures), (ms(1_000), ms(50), 1));
    let it = policy.limit.unwrap();
    assert_eq!((it.way, it.min, it.max, it.hold), (Way::Gradient, 2, 7, ms(10)));
    assert_eq!(policy.rates.requests, Some(Rate { amount: 9, window: ms(1_000) }));
    assert_eq!(policy.rates.tokens, Some(Rate::per_minute(5_000)));
    let it = policy.retry;
    assert_eq!((it.retries, it.base, it.longest, it.retry_after_cap), (4, ms(1), ms(2), ms(3)));
    assert_eq!((it.budget.percent, it.budget.per_second), (50, 0));
    assert_eq!((policy.hedge_after, policy.alert_after), (Some(ms(700)), ms(0)));
}

#[test]
fn ejection_can_be_left_to_one_rule_or_none() {
    let policy = read(json!({"ejection": {"consecutive": null, "share": null}})).unwrap().policy;
    assert_eq!((policy.ejection.consecutive, policy.ejection.share), (None, None));
}

#[test]
fn what_makes_no_sense_is_named_with_what_is_accepted() {
    let rate = |rate: Value| json!({"rates": {"requests": rate}});
    let cases = [
        (json!({"balance": "random"}), "balance", "roundRobin"),
        (json!({"ejection": {"after": 5}}), "ejection.after", "consecutive"),
        (json!({"ejection": {"consecutive": 0}}), "ejection.consecutive", "at least 1"),
        (json!({"ejection": {"share": {"percent": 0}}}), "ejection.share.percent", "1 to 100"),
        (json!({"ejection": {"share": {"least": 0}}}), "ejection.share.least", "at least 1"),
        (json!({"ejection": {"share": {"window": 0}}}), "ejection.share.window", "more than 0"),
        (json!({"ejection": {"base": 0}}), "ejection.base", "more than 0"),
        (json!({"ejection": {"base": 9e9}}), "ejection.base", "longest"),
        (json!({"ejection": {"base": null}}), "ejection.base", "milliseconds"),
        (json!({"ejection": {"atMost": 101}}), "ejection.atMost", "0 to 100"),
        (json!({"checks": true}), "checks", "object"),
        (json!({"checks": {"interval": 0}}), "checks.interval", "more than 0"),
        (json!({"checks": {"timeout": 0}}), "checks.timeout", "more than 0"),
        (json!({"checks": {"failures": 0}}), "checks.failures", "at least 1"),
        (json!({"adaptiveLimit": {"way": "vegas"}}), "adaptiveLimit.way", "aimd, gradient"),
        (json!({"adaptiveLimit": {"min": 0}}), "adaptiveLimit.min", "1 to"),
        (json!({"adaptiveLimit": {"min": 11}}), "adaptiveLimit.min", "adaptiveLimit.max"),
        (json!({"adaptiveLimit": {"max": 70_000}}), "adaptiveLimit.max", "65535"),
        (rate(json!({})), "rates.requests.amount", "needed"),
        (rate(json!({"amount": 0})), "rates.requests", "at least 1"),
        (rate(json!({"amount": 1, "window": 0})), "rates.requests", "more than 0"),
        (json!({"rates": {"tokens": {"amount": 0}}}), "rates.tokens", "at least 1"),
        (json!({"retry": {"retries": 5e9}}), "retry.retries", "at most"),
        (json!({"retry": {"retries": -1}}), "retry.retries", "whole number"),
        (json!({"retry": {"base": 9_000}}), "retry.base", "retry.longest"),
        (json!({"retry": {"retryAfterCap": 1e10}}), "retry.retryAfterCap", "31 days"),
        (json!({"retry": {"budget": {"percent": 101}}}), "retry.budget.percent", "0 to 100"),
        (json!({"hedgeAfter": 0}), "hedgeAfter", "more than 0"),
        (json!({"alertAfter": null}), "alertAfter", "milliseconds"),
    ];
    for (options, option, accepted) in cases {
        let error = read(options.clone()).unwrap_err();
        assert_eq!(error.option, option, "{options}");
        assert!(error.message.contains(accepted), "{error}");
    }
}

#[test]
fn a_service_is_what_its_provider_says() {
    let provider = read(json!({
        "endpoints": ["http://a", {"baseURL": "http://b:1/v1", "weight": 3}],
        "max": 5,
        "totalTimeout": 9_000,
        "hedgeAfter": 7,
    }))
    .unwrap();
    let options = ServiceOptions::of(&provider);
    let second = EndpointOptions { weight: 3, ..EndpointOptions::new("http://b:1/v1") };
    assert_eq!(options.endpoints, [EndpointOptions::new("http://a"), second]);
    assert_eq!((options.max, options.timeouts), (5, provider.timeouts));
    assert_eq!(options.policy, provider.policy);
}
