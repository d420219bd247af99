use edgepool_clients::{calls, providers, services};
use serde_json::json;

use super::{World, parse};

#[test]
fn what_is_described_has_no_key() {
    let options = json!({
        "kind": "anthropic", "apiKey": "sk-ant-hidden", "max": 4, "headers": {"x-org": "org-hidden"},
        "headersTimeout": null,
    });
    let world = World::new(options);
    let told = providers::describe(world.provider);
    assert!(!told.contains("hidden"), "{told}");
    let told = parse(&told);
    assert_eq!((&told["kind"], &told["hasKey"]), (&json!("anthropic"), &json!(true)));
    assert_eq!((&told["terms"]["max"], &told["max"]), (&json!("4"), &json!(4)));
    assert_eq!((&told["headersTimeout"], &told["stallTimeout"]), (&json!(null), &json!(60_000.0)));
    assert_eq!(told["onRefusal"], "respond");
    assert_eq!(providers::describe(-1.0), "{}");
}

#[test]
fn the_environment_names_providers_and_keys() {
    let env = json!({"OPENAI_API_KEY": "sk-1", "OLLAMA_HOST": "box", "MINE": "sk-2"}).to_string();
    let found = parse(&providers::from_env(&env).unwrap());
    assert_eq!(
        found["openai"],
        json!({"kind": "openai", "apiKey": "sk-1", "baseURL": "https://api.openai.com/v1"})
    );
    assert_eq!(found["ollama"]["baseURL"], "http://box:11434");
    for (name, options) in found.as_object().unwrap() {
        providers::open(name, &options.to_string(), "{}").unwrap();
    }

    let own = json!({"kind": "openai", "apiKeyEnv": "MINE"}).to_string();
    providers::open("own", &own, &env).unwrap();
    let thrown = providers::open("own", &own, "{}").unwrap_err();
    let thrown = thrown.json();
    assert_eq!((&thrown["kind"], &thrown["option"]), (&json!("option"), &json!("apiKeyEnv")));
    assert_eq!(thrown["provider"], "own");
}

#[test]
fn checks_are_made_and_told() {
    let checks = json!({"interval": 1_000, "failures": 1});
    let world = World::new(
        json!({"kind": "ollama", "endpoints": ["http://a", "http://b"], "checks": checks}),
    );
    let mut due = Vec::new();
    let later = services::next_change(world.service, 0.0);
    while let check @ 0.0.. = services::check_due(world.service, 0.5, later) {
        due.push(check);
    }
    assert_eq!(due.len(), 2);
    let request = parse(&services::check_request(world.service, due[0]).unwrap());
    assert_eq!(
        (&request["method"], &request["url"]),
        (&json!("GET"), &json!("http://a/api/version"))
    );
    assert_eq!(request["timeout"], 5_000.0);
    services::checked(world.service, due[0], 200, "", later);
    services::checked(world.service, due[1], -1, "refused", later);
    let told = parse(&services::stats(world.service, later));
    assert_eq!(
        (&told["endpoints"][0]["breaker"], &told["endpoints"][1]["breaker"]),
        (&json!("closed"), &json!("open"))
    );
    assert_eq!(told["endpoints"][1]["lastError"], "refused");
    assert_eq!(services::places(world.service, later), 10);
}

#[test]
fn an_alert_is_told_while_there_is_one() {
    let world = World::usual();
    assert_eq!(services::alert(world.service, 0.0), "");
    let call = world.call(super::CHAT, super::chat(), json!({}));
    let told = parse(&services::alert(world.service, 5_000.0));
    assert_eq!(told, json!({"since": 0.0, "waiting": 1, "refused": 0}));
    calls::free(call, 5_000.0);
    assert_eq!(services::alert(world.service, 5_000.0), "");
}

#[test]
fn a_refusal_has_the_envelope_of_the_kind() {
    let told = parse(&providers::refuse("openai", "queue_full", "1000 calls wait", f64::NAN));
    assert_eq!(told["status"], 429);
    let body = parse(told["body"].as_str().unwrap());
    assert_eq!(body["error"]["code"], "queue_full");
    let headers = told["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["x-should-retry", "false"])));
    assert!(headers.contains(&json!(["retry-after", "1"])));
    let told = parse(&providers::refuse("ollama", "acquire_timeout", "late", 2_500.0));
    assert_eq!(parse(told["body"].as_str().unwrap())["error"], "late");
    assert!(told["headers"].as_array().unwrap().contains(&json!(["retry-after", "3"])));
}

#[test]
fn what_is_closed_takes_no_call() {
    let world = World::usual();
    providers::close(world.provider);
    let thrown = world.try_call(super::CHAT, super::chat(), json!({})).unwrap_err();
    assert_eq!(thrown["class"], "refused");
    assert!(services::open(world.provider, 0.0).is_err());
    assert_eq!(calls::batches(world.provider, r#"{"input":"a"}"#).unwrap(), "[]");
}
