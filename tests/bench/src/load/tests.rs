//! Every sender for a moment, on a backend in this process: that each is measured, and keeps to the
//! limit that it is told. How much is answered is not looked at.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use edgepool_http::HttpTransport;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Figures, Plan, Sender, drive};

const MAX: u32 = 4;
const HELD: Duration = Duration::from_millis(20);

/// What a backend has counted.
#[derive(Default)]
struct Counts {
    in_flight: u32,
    peak: u32,
    refused: u32,
    completed: u32,
}

async fn start() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let counts: Arc<Mutex<Counts>> = Arc::default();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let counts = Arc::clone(&counts);
            let service = service_fn(move |request| answer(request, Arc::clone(&counts)));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
            tokio::spawn(connection);
        }
    });
    url
}

async fn answer(
    request: Request<Incoming>,
    counts: Arc<Mutex<Counts>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match request.uri().path() {
        "/_sim/stats" => text(200, "application/json", told(&counts.lock().unwrap()).to_string()),
        "/_sim/reset" => {
            let mut counts = counts.lock().unwrap();
            *counts = Counts { in_flight: counts.in_flight, ..Counts::default() };
            text(204, "text/plain", "")
        }
        _ => chat(&counts).await,
    })
}

fn told(counts: &Counts) -> Value {
    let Counts { in_flight: _, peak, refused, completed } = counts;
    let held_us = HELD.as_micros() as u64 * u64::from(*completed);
    json!({
        "max": MAX, "peak": peak, "refused": refused, "completed": completed, "cancelled": 0,
        "held_us": held_us,
    })
}

async fn chat(counts: &Mutex<Counts>) -> Response<Full<Bytes>> {
    {
        let mut counts = counts.lock().unwrap();
        if counts.in_flight == MAX {
            counts.refused += 1;
            return text(503, "text/plain", "busy");
        }
        counts.in_flight += 1;
        counts.peak = counts.peak.max(counts.in_flight);
    }
    tokio::time::sleep(HELD).await;
    let mut counts = counts.lock().unwrap();
    counts.in_flight -= 1;
    counts.completed += 1;
    text(200, "text/event-stream", "data: [DONE]\n\n")
}

fn text(status: u16, kind: &str, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let answer = Response::builder().status(status).header("content-type", kind);
    answer.body(Full::new(text.into())).unwrap()
}

fn plan(sender: &str, backend: String) -> Plan {
    Plan {
        sender: sender.to_owned(),
        backend,
        size: MAX,
        learn: false,
        queue: 50,
        acquire_timeout: 5_000,
        rate: 100.0,
        seed: 3,
        warm_ms: 300,
        window_ms: 1_000,
        patience_ms: 30_000,
    }
}

async fn measured(sender: &str, learn: bool) -> Figures {
    let plan = Plan { learn, ..plan(sender, start().await) };
    let sender = Sender::of(&plan, &HttpTransport::default()).unwrap();
    drive(&plan, &sender).await.unwrap()
}

#[tokio::test]
async fn every_sender_is_measured_and_keeps_to_its_limit() {
    for (sender, learn) in
        [("transport", false), ("semaphore", false), ("edgepool", false), ("edgepool", true)]
    {
        let figures = measured(sender, learn).await;
        assert!(figures.goodput > 0.0 && figures.failed == 0.0, "{sender}: {figures:?}");
        assert!(figures.latency_p99 >= figures.first_p50, "{sender}: {figures:?}");
        if sender != "transport" {
            assert_eq!((figures.refused, figures.refused_warm), (0.0, 0.0), "{sender}");
        }
    }
}

#[test]
fn a_name_that_nobody_has_is_no_sender() {
    let plan = plan("nobody", "http://127.0.0.1:9".to_owned());
    assert!(Sender::of(&plan, &HttpTransport::default()).is_none());
}
