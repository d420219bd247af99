//! Who sends the load.

use std::sync::Arc;
use std::time::Instant;

use edgepool::StdClock;
use edgepool_http::HttpTransport;
use edgepool_llm::client::{ClientError, ClientPool};
use edgepool_llm::provider::Provider;
use edgepool_llm::transport::{HttpRequest, Transport as _};
use edgepool_llm::{Class, Failure, Secret, Timer};
use futures::StreamExt as _;
use serde_json::json;
use tokio::sync::Semaphore;

use super::Plan;

const PROMPT: &[u8] =
    br#"{"stream":true,"messages":[{"role":"user","content":"How is the weather?"}]}"#;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The whole answer came; and when its first piece did.
    Answered(Instant),
    /// It was refused, by the backend or by what stands before it.
    TurnedAway,
    /// Anything else went wrong.
    Failed,
}

/// Who sends, with what it needs for that.
#[derive(Clone)]
pub enum Sender {
    /// What connections there are, as many as it takes.
    Transport(HttpTransport),
    /// A semaphore in front of it.
    Semaphore(Arc<Semaphore>, HttpTransport),
    /// This project's clients.
    Edgepool(ClientPool<HttpTransport, StdClock>),
}

impl Sender {
    /// Makes the sender of a plan; `None` if there is none of that name.
    ///
    /// # Panics
    ///
    /// The plan's numbers are out of range.
    pub fn of(plan: &Plan, transport: &HttpTransport) -> Option<Self> {
        let transport = transport.clone();
        match plan.sender.as_str() {
            "transport" => Some(Self::Transport(transport)),
            "semaphore" => {
                Some(Self::Semaphore(Arc::new(Semaphore::new(plan.size as usize)), transport))
            }
            "edgepool" => Some(Self::Edgepool(clients(plan, transport))),
            _ => None,
        }
    }

    /// Sends one request, and reads its answer to the end.
    pub async fn send(&self, url: &str) -> Outcome {
        match self {
            Self::Transport(transport) => plain(transport, url).await,
            Self::Semaphore(semaphore, transport) => {
                let _permit = semaphore.acquire().await.expect("it is never closed");
                plain(transport, url).await
            }
            Self::Edgepool(clients) => pooled(clients, url).await,
        }
    }
}

fn clients(plan: &Plan, transport: HttpTransport) -> ClientPool<HttpTransport, StdClock> {
    let mut options = json!({
        "kind": "openai", "baseURL": format!("{}/v1", plan.backend), "apiKey": "none",
        "max": plan.size, "maxWaiting": plan.queue, "acquireTimeout": plan.acquire_timeout,
    });
    if plan.learn {
        options["adaptiveLimit"] = json!({});
    }
    let provider = Provider::from_json("backend", &options, &|_| None).expect("the options fit");
    let clients = ClientPool::builder(transport, StdClock).seed(plan.seed).build();
    clients.register_provider(provider).expect("nobody else has it");
    clients
}

fn request(url: &str) -> HttpRequest {
    let mut request = HttpRequest::new("POST", url);
    request.headers.push(("content-type".into(), Secret::new("application/json")));
    request.body = PROMPT.into();
    request
}

async fn plain(transport: &HttpTransport, url: &str) -> Outcome {
    let Ok(mut answer) = transport.send(request(url)).await else { return Outcome::Failed };
    let mut first = None;
    while let Some(piece) = answer.body.next().await {
        if piece.is_err() {
            return Outcome::Failed;
        }
        first.get_or_insert_with(Instant::now);
    }
    match (answer.status, first) {
        (200, Some(first)) => Outcome::Answered(first),
        (429 | 503, _) => Outcome::TurnedAway,
        _ => Outcome::Failed,
    }
}

async fn pooled(clients: &ClientPool<HttpTransport, StdClock>, url: &str) -> Outcome {
    let mut answer = match clients.send("backend", request(url)).await {
        Ok(answer) => answer,
        Err(ClientError::Failed(failure)) => return of(&failure),
        Err(_) => return Outcome::Failed,
    };
    let mut first = None;
    while let Some(piece) = answer.next().await {
        if let Err(failure) = piece {
            return of(&failure);
        }
        first.get_or_insert_with(Instant::now);
    }
    first.map_or(Outcome::Failed, Outcome::Answered)
}

const fn of(failure: &Failure) -> Outcome {
    match failure.class {
        Class::RateLimited
        | Class::Overloaded
        | Class::Refused
        | Class::Timeout(Timer::Acquire) => Outcome::TurnedAway,
        _ => Outcome::Failed,
    }
}
