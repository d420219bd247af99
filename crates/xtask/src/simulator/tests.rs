//! The simulator over real sockets, in this process.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, StatusCode};
use base64::Engine as _;
use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use super::settings::Plan;
use super::{SimulateArgs, http, run};

#[derive(Parser)]
#[command(args_override_self = true)]
struct Cli {
    #[command(flatten)]
    args: SimulateArgs,
}

fn quick(options: &[&str]) -> SimulateArgs {
    let fast = ["simulate", "--latency-ms=0", "--first-token-ms=0", "--chunk-ms=1", "--chunks=5"];
    Cli::parse_from(fast.iter().chain(options)).args
}

#[derive(Clone)]
struct Sim {
    address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
}

struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

impl Sim {
    async fn start(options: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(http::serve(listener, quick(options)));
        Self { address, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    async fn open(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Response<Body> {
        let mut request = Request::builder()
            .method(if body.is_some() { "POST" } else { "GET" })
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let bytes = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let request = request.body(Full::new(bytes)).expect("a request");
        let answer = timeout(Duration::from_secs(5), self.client.request(request)).await;
        answer.expect("headers within 5 s").expect("an answer").map(Body::new)
    }

    async fn call(&self, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Got {
        let response = self.open(path, headers, body).await;
        let (parts, body) = response.into_parts();
        let body = timeout(Duration::from_secs(5), body.collect()).await.expect("an end in 5 s");
        Got {
            status: parts.status,
            headers: parts.headers,
            body: body.expect("a whole body").to_bytes(),
        }
    }

    async fn stats(&self) -> Value {
        self.call("/_sim/stats", &[], None).await.json()
    }

    /// Waits until nothing is in flight, at most 2 s, and gives the statistics.
    async fn at_rest(&self) -> Value {
        for _ in 0..200 {
            let stats = self.stats().await;
            if stats["in_flight"] == 0 {
                return stats;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("still in flight: {}", self.stats().await);
    }
}

fn prompt(stream: bool) -> Option<Value> {
    Some(json!({
        "model": "any", "stream": stream, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "hello there"}],
    }))
}

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn one_more_than_max_is_refused_and_counted() {
    let sim = Sim::start(&["--max=2", "--latency-ms=200"]).await;
    let calls = (0..5).map(|_| {
        let sim = sim.clone();
        tokio::spawn(async move { sim.call(CHAT, &[], prompt(true)).await })
    });
    let mut refused = 0;
    for call in calls.collect::<Vec<_>>() {
        let got = call.await.expect("a call");
        if got.status == StatusCode::TOO_MANY_REQUESTS {
            refused += 1;
            assert_eq!(got.headers["retry-after"], "1");
            assert_eq!(got.json()["error"]["code"], "rate_limit_exceeded");
        } else {
            assert_eq!(got.status, StatusCode::OK);
        }
        assert_eq!(got.headers["x-simulator"], "edgepool");
    }
    let mut stats = sim.at_rest().await;
    assert_eq!(refused, 3);
    let held = stats["held_us"].take().as_u64().expect("a number");
    assert!(held >= 2 * 200_000, "two were held for 200 ms: {held} µs");
    let connections = stats["connections"].take().as_u64().expect("a number");
    assert!(connections >= 2, "two were under way at once over HTTP/1.1");
    assert_eq!(
        stats,
        json!({"simulator": true, "label": "simulator", "max": 2, "in_flight": 0, "peak": 2,
            "served": 2, "refused": 3, "completed": 2, "cancelled": 0, "cut": 0,
            "held_us": null, "connections": null})
    );
}

#[tokio::test]
async fn a_refusal_may_say_that_it_is_overloaded() {
    let sim = Sim::start(&["--max=1", "--refuse-with=503"]).await;
    let _open = sim.open(CHAT, &[("x-sim-fault", "never-ends")], prompt(true)).await;
    let got = sim.call(CHAT, &[], prompt(true)).await;
    assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(got.json()["error"]["code"], "overloaded");
    assert!(!got.headers.contains_key("retry-after"));
}

#[test]
fn the_spread_follows_the_seed_and_keeps_its_bounds() {
    let times = |seed: &str| -> Vec<_> {
        let args = quick(&[seed, "--spread-percent=40", "--latency-ms=100", "--chunk-ms=10"]);
        let plan = Plan::read(&args, &HeaderMap::new()).expect("a plan");
        let spread = (1..1_000).map(|number| plan.clone().spread(&args, number));
        spread.map(|plan| (plan.latency.as_secs_f64(), plan.chunk.as_secs_f64())).collect()
    };
    let all = times("--seed=7");
    assert_eq!(all, times("--seed=7"));
    assert_ne!(all, times("--seed=8"));
    let (least, most) = all.iter().fold((f64::MAX, 0_f64), |(least, most), &(latency, chunk)| {
        assert!((latency - 10.0 * chunk).abs() < 1e-7, "all times by the same factor");
        (least.min(latency), most.max(latency))
    });
    assert!((0.060..0.062).contains(&least) && (0.138..0.140).contains(&most), "{least}..{most}");
}

#[tokio::test]
async fn the_place_is_free_when_the_last_byte_has_come() {
    let sim = Sim::start(&["--max=1", "--chunk-ms=0"]).await;
    for _ in 0..100 {
        for body in [prompt(true), prompt(false)] {
            assert_eq!(sim.call(CHAT, &[], body).await.status, StatusCode::OK);
        }
    }
    assert_eq!(sim.stats().await["refused"], 0);
}

#[tokio::test]
async fn a_stream_has_role_words_finish_usage_and_done() {
    let sim = Sim::start(&["--label=blue", "--chunks=3"]).await;
    let got = sim.call(CHAT, &[], prompt(true)).await;
    assert_eq!(got.headers["content-type"], "text/event-stream; charset=utf-8");
    let text = String::from_utf8(got.body.to_vec()).expect("text");
    let events: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!(events.last(), Some(&"data: [DONE]"));
    let chunks: Vec<Value> = events[..events.len() - 1]
        .iter()
        .map(|e| serde_json::from_str(e.strip_prefix("data: ").expect("data")).expect("JSON"))
        .collect();
    assert_eq!(chunks.len(), 1 + 3 + 1 + 1);
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let first = chunks[1]["choices"][0]["delta"]["content"].as_str().expect("text");
    assert!(first.contains("blue") && first.contains("simulated"), "{first}");
    assert_eq!(chunks[4]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks[5]["choices"], json!([]));
    let usage = json!({"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5});
    assert_eq!(chunks[5]["usage"], usage);
    for chunk in &chunks {
        assert_eq!(chunk["model"], "simulator");
        assert!(chunk["id"].as_str().expect("id").starts_with("sim-"));
    }
}

#[tokio::test]
async fn a_stream_and_a_plain_answer_say_the_same_and_follow_the_seed() {
    let say = async |options: &[&str]| {
        let sim = Sim::start(options).await;
        let answer = sim.call(CHAT, &[], prompt(false)).await.json();
        answer["choices"][0]["message"]["content"].as_str().expect("text").to_owned()
    };
    assert_eq!(say(&["--seed=7"]).await, say(&["--seed=7"]).await);
    assert_ne!(say(&["--seed=7"]).await, say(&["--seed=8"]).await);
    let sim = Sim::start(&["--seed=7"]).await;
    let events = sim.call(CHAT, &[], prompt(true)).await;
    let streamed: String = String::from_utf8_lossy(&events.body)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        .filter_map(|e| e["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(streamed, say(&["--seed=7"]).await);
}

#[tokio::test]
async fn embeddings_are_unit_vectors_of_their_text_in_both_encodings() {
    let sim = Sim::start(&[]).await;
    let texts = json!(["a red cat", "a red dog", "quarterly revenue"]);
    let ask = async |format: &str| {
        let body = json!({"model": "m", "input": texts, "encoding_format": format});
        sim.call("/v1/embeddings", &[], Some(body)).await.json()
    };
    let float = ask("float").await;
    let vector = |i: usize| -> Vec<f32> {
        serde_json::from_value(float["data"][i]["embedding"].clone()).expect("floats")
    };
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    for i in 0..3 {
        assert!((dot(&vector(i), &vector(i)) - 1.0).abs() < 1e-5);
    }
    assert!(dot(&vector(0), &vector(1)) > dot(&vector(0), &vector(2)) + 0.2);
    assert_eq!(float["usage"]["prompt_tokens"], 8);
    let coded = ask("base64").await;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(coded["data"][2]["embedding"].as_str().expect("text"))
        .expect("base64");
    let decoded: Vec<f32> =
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("4"))).collect();
    assert_eq!(decoded, vector(2));
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_place_back() {
    let sim = Sim::start(&["--max=1", "--chunk-ms=20", "--chunks=1000"]).await;
    let mut response = sim.open(CHAT, &[], prompt(true)).await;
    response.frame().await.expect("a first chunk").expect("no error");
    assert_eq!(sim.stats().await["in_flight"], 1);
    drop(response);
    let stats = sim.at_rest().await;
    assert_eq!((&stats["cancelled"], &stats["completed"]), (&json!(1), &json!(0)));

    let waiting = sim.open(CHAT, &[("x-sim-latency-ms", "60000")], prompt(true));
    assert!(timeout(Duration::from_millis(100), waiting).await.is_err());
    assert_eq!(sim.at_rest().await["cancelled"], 2);
}

#[tokio::test]
async fn faults_go_wrong_as_named() {
    let sim = Sim::start(&[]).await;
    let ask = async |fault: &str| sim.open(CHAT, &[("x-sim-fault", fault)], prompt(true)).await;
    let whole = async |fault: &str| {
        let body = ask(fault).await.into_body().collect();
        timeout(Duration::from_millis(300), body).await
    };

    let garbage = whole("garbage").await.expect("an end").expect("a body").to_bytes();
    assert!(serde_json::from_slice::<Value>(&garbage).is_err() && !garbage.starts_with(b"data"));
    assert!(whole("disconnect").await.expect("an end").is_err(), "a cut is an error");
    for endless in ["stall", "silent", "never-ends"] {
        assert!(whole(endless).await.is_err(), "{endless} has no end");
    }
    let mut silent = ask("silent").await;
    assert!(timeout(Duration::from_millis(100), silent.frame()).await.is_err());
    let mut stalled = ask("stall").await;
    for _ in 0..3 {
        stalled.frame().await.expect("a chunk").expect("no error");
    }
    assert!(timeout(Duration::from_millis(100), stalled.frame()).await.is_err());
    let error = sim.call(CHAT, &[("x-sim-fault", "status=503")], prompt(true)).await;
    assert_eq!(error.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(error.json()["error"]["code"], "simulated_fault");
    drop((silent, stalled));
    let stats = sim.at_rest().await;
    assert_eq!((&stats["cut"], &stats["cancelled"]), (&json!(1), &json!(5)));
}

#[tokio::test]
async fn a_plain_answer_can_be_cut_and_stalled_too() {
    let sim = Sim::start(&[]).await;
    for fault in ["disconnect", "stall"] {
        let mut response = sim.open("/v1/models", &[("x-sim-fault", fault)], None).await;
        let part = response.frame().await.expect("a part").expect("bytes");
        assert!(part.into_data().expect("data").starts_with(b"{"));
        let rest = timeout(Duration::from_millis(200), response.collect()).await;
        assert_eq!(rest.is_err(), fault == "stall");
        assert!(rest.is_err() || rest.is_ok_and(|end| end.is_err()));
    }
}

#[tokio::test]
async fn a_request_may_override_the_settings() {
    let sim = Sim::start(&["--latency-ms=60000", "--chunks=500"]).await;
    let headers = [("x-sim-latency-ms", "0"), ("x-sim-chunks", "2"), ("x-sim-chunk-ms", "0")];
    let got = sim.call(CHAT, &headers, prompt(false)).await.json();
    assert_eq!(got["usage"]["completion_tokens"], 2);
}

#[tokio::test]
async fn bad_requests_are_told_what_is_wrong() {
    let sim = Sim::start(&[]).await;
    let bad = async |path: &str, header: (&str, &str), body: Value| {
        let got = sim.call(path, &[header], Some(body)).await;
        assert_eq!(got.status, StatusCode::BAD_REQUEST);
        got.json()["error"]["message"].as_str().expect("a message").to_owned()
    };
    let none = ("x-none", "");
    let good = prompt(true).expect("a prompt");
    assert!(bad(CHAT, ("x-sim-fault", "fire"), good.clone()).await.contains("x-sim-fault"));
    assert!(bad(CHAT, ("x-sim-fault", "status=200"), good.clone()).await.contains("status=400"));
    assert!(bad(CHAT, ("x-sim-chunk-ms", "-1"), good).await.contains("x-sim-chunk-ms"));
    assert!(bad(CHAT, none, json!({"messages": []})).await.contains("messages"));
    assert!(bad(CHAT, none, json!({})).await.contains("messages"));
    assert!(bad("/v1/embeddings", none, json!({"input": []})).await.contains("input"));
    let wide = json!({"input": "x", "dimensions": 0});
    assert!(bad("/v1/embeddings", none, wide).await.contains("dimensions"));
    assert_eq!(sim.call("/v1/none", &[], None).await.status, StatusCode::NOT_FOUND);
    assert_eq!(sim.call(CHAT, &[], None).await.status, StatusCode::NOT_FOUND);
    assert_eq!(sim.at_rest().await["served"], 7);
}

#[tokio::test]
async fn a_reset_keeps_what_is_in_flight() {
    let sim = Sim::start(&["--max=3"]).await;
    sim.call(CHAT, &[], prompt(false)).await;
    let open = sim.open(CHAT, &[("x-sim-fault", "never-ends")], prompt(true)).await;
    let reset = Request::post(format!("http://{}/_sim/reset", sim.address));
    let reset = reset.body(Full::default()).expect("a request");
    let done = sim.client.request(reset).await.expect("an answer");
    assert_eq!(done.status(), StatusCode::NO_CONTENT);
    let stats = sim.stats().await;
    let counts = ["in_flight", "peak", "served", "completed"].map(|name| stats[name].clone());
    assert_eq!(counts, [1, 1, 1, 0].map(Value::from));
    drop(open);
    assert_eq!(sim.at_rest().await["cancelled"], 1);
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    for option in ["--max=0", "--max=65536", "--chunks=0", "--latency-ms=600001", "--port=65536"] {
        let refused = Cli::try_parse_from(["simulate", option]).err().expect("a refusal");
        let name = option.split('=').next().expect("a name");
        assert!(refused.to_string().contains(name), "{refused}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = taken.local_addr().expect("an address").port();
    let error = run(quick(&[&format!("--port={port}")])).await.expect_err("a refusal");
    assert!(error.to_string().contains(&format!("--port {port}")), "{error}");
}
