//! The routes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Response, StatusCode, Uri, header};
use axum::routing::{get, post};
use axum::serve::Listener;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use super::answer::{self, Answer};
use super::body::Scripted;
use super::gate::{Gate, Pass};
use super::settings::{Plan, SimulateArgs};

const LARGEST_REQUEST: usize = 32 << 20;

struct Simulator {
    args: SimulateArgs,
    gate: Arc<Gate>,
    number: AtomicU64,
}

/// Serves a simulator with counters of its own, until this future is dropped.
pub(crate) async fn serve(listener: TcpListener, args: SimulateArgs) -> io::Result<()> {
    let gate = Gate::new(args.max);
    let listener = Counting { listener, gate: Arc::clone(&gate) };
    axum::serve(listener, router(args, gate)).await
}

/// Counts the connections that it accepts.
struct Counting {
    listener: TcpListener,
    gate: Arc<Gate>,
}

impl Listener for Counting {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let (socket, address) = Listener::accept(&mut self.listener).await;
        // Chunks are small, and none is to wait for the client to acknowledge the one before.
        socket.set_nodelay(true).ok();
        self.gate.connected();
        (socket, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

fn router(args: SimulateArgs, gate: Arc<Gate>) -> Router {
    let simulator = Arc::new(Simulator { args, gate, number: AtomicU64::new(1) });
    Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/embeddings", post(embeddings))
        .route("/v1/models", get(models))
        .route("/_sim/stats", get(stats))
        .route("/_sim/reset", post(reset))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
        .with_state(simulator)
}

type Shared = State<Arc<Simulator>>;

async fn chat(State(sim): Shared, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let chat = |plan: &Plan, number| answer::chat(&sim.args, plan, number, &body);
    sim.serve(&headers, chat).await
}

async fn embeddings(State(sim): Shared, headers: HeaderMap, body: Bytes) -> Response<Body> {
    sim.serve(&headers, |plan, _| answer::embeddings(plan, &body)).await
}

async fn models(State(sim): Shared, headers: HeaderMap) -> Response<Body> {
    sim.serve(&headers, |plan, _| answer::models(plan)).await
}

async fn stats(State(sim): Shared) -> Json<Value> {
    let mut stats = json!(sim.gate.counts());
    stats["simulator"] = true.into();
    stats["label"] = sim.args.label.as_str().into();
    stats["max"] = sim.gate.max().into();
    Json(stats)
}

async fn reset(State(sim): Shared) -> StatusCode {
    sim.gate.reset();
    StatusCode::NO_CONTENT
}

async fn unknown(uri: Uri) -> Response<Body> {
    let message = format!("no such method and path: {}", uri.path());
    let error = Answer::error(StatusCode::NOT_FOUND, "not_found", &message);
    respond(error, None)
}

impl Simulator {
    /// Serves one request inside the limit, or refuses it.
    async fn serve(
        &self,
        headers: &HeaderMap,
        make: impl Fn(&Plan, u64) -> Answer,
    ) -> Response<Body> {
        let Some(pass) = self.gate.enter() else {
            let message = format!("{} requests are in flight, its limit", self.gate.max());
            let (status, code) = match self.args.refuse_with.as_str() {
                "503" => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
                _ => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded"),
            };
            return respond(Answer::error(status, code, &message), None);
        };
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let answer = match Plan::read(&self.args, headers) {
            Ok(plan) => {
                let plan = plan.spread(&self.args, number);
                make(&plan, number).with_fault(&plan)
            }
            Err(message) => Answer::error(StatusCode::BAD_REQUEST, "invalid_header", &message),
        };
        // A client that leaves meanwhile drops this future, and the pass with it.
        tokio::time::sleep(answer.delay).await;
        respond(answer, Some(pass))
    }
}

fn respond(answer: Answer, pass: Option<Pass>) -> Response<Body> {
    let status = answer.status;
    let media = answer.media;
    let body = match pass {
        Some(pass) => Body::new(Scripted::new(answer.script, pass)),
        None => {
            Body::from(answer.script.chunks.into_iter().next().map_or_else(Bytes::new, |c| c.1))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert("x-simulator", header::HeaderValue::from_static("edgepool"));
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(media));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    if status == StatusCode::TOO_MANY_REQUESTS {
        headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}
