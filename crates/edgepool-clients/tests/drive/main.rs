//! The functions that JavaScript drives, driven from here: each call steps as the npm package does.

mod answers;
mod closing;
mod failures;
mod passed;
mod providers;

use edgepool_clients::calls::{self, Code};
use edgepool_clients::{providers as provider, services};
use serde_json::{Value, json};

/// A provider and its service.
struct World {
    provider: f64,
    service: f64,
}

const CHAT: u32 = 0;
const STREAM: u32 = 1;
const EMBEDDINGS: u32 = 2;
const MODELS: u32 = 3;
const PASSED: u32 = 4;

impl World {
    fn new(options: Value) -> Self {
        let provider = provider::open("local", &options.to_string(), "{}").expect("a provider");
        let service = services::open(provider, 0.0).expect("a service");
        Self { provider, service }
    }

    /// An OpenAI-like provider with a model.
    fn usual() -> Self {
        Self::new(json!({
            "kind": "openai", "baseURL": "http://127.0.0.1:9/v1", "apiKey": "sk-hidden",
            "model": "m", "embeddingModel": "e",
        }))
    }

    fn call(&self, kind: u32, request: Value, options: Value) -> f64 {
        self.try_call(kind, request, options).expect("a call")
    }

    fn try_call(&self, kind: u32, request: Value, options: Value) -> Result<f64, Value> {
        let (request, options) = (request.to_string(), options.to_string());
        let opened = calls::open(self.service, self.provider, kind, &request, &options, 0.0);
        opened.map_err(|thrown| thrown.json().clone())
    }

    fn stats(&self) -> Value {
        parse(&services::stats(self.service, 0.0))
    }
}

fn chat() -> Value {
    json!({"messages": [{"role": "user", "content": "Why?"}]})
}

fn parse(json: &str) -> Value {
    serde_json::from_str(json).expect("JSON")
}

/// What a step said: its code, the endpoint or priority, and the attempt.
fn step(call: f64, now: f64) -> (u32, u32, u32) {
    let code = calls::step(call, now, 0.5);
    let bits = code as u64;
    ((bits & 0xff) as u32, ((bits >> 8) & 0xff) as u32, (bits >> 16) as u32)
}

fn code(code: Code) -> u32 {
    code as u32
}

/// Steps until an attempt is to be sent; returns its number.
fn sent(call: f64, now: f64) -> u32 {
    for _ in 0..8 {
        match step(call, now) {
            (1, ..) => assert!(calls::acquired(call), "a place that was asked for is wanted"),
            (3, _, attempt) => return attempt,
            other => panic!("{other:?}"),
        }
    }
    panic!("nothing was sent");
}

fn head(call: f64, attempt: u32, status: u16, headers: Value, now: f64) -> u32 {
    calls::head(call, attempt, status, &headers.to_string(), now, 0.0)
}

/// Answers an attempt whole.
fn answer(call: f64, attempt: u32, status: u16, body: &str, now: f64) -> u32 {
    let kind = json!([["content-type", "application/json"], ["x-request-id", "req-1"]]);
    head(call, attempt, status, kind, now)
        | calls::chunk(call, attempt, body.as_bytes(), now)
        | calls::end(call, attempt, now)
}
