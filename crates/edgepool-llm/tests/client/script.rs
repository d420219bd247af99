//! A transport that answers from a script, on simulated time.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edgepool::Clock;
use edgepool_llm::transport::{HttpRequest, HttpResponse, Transport};
use edgepool_llm::{Class, Failure};
use edgepool_sim::SimClock;
use futures::stream::{Stream, StreamExt, unfold};

/// A piece of a body: after which time, and what comes.
#[derive(Clone, Debug)]
pub(crate) struct Part(Duration, Came);

#[derive(Clone, Debug)]
pub(crate) enum Came {
    Bytes(Vec<u8>),
    Lost,
    Never,
}

/// What one request is answered with.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    wait: Duration,
    status: Option<u16>,
    headers: Vec<(String, Vec<u8>)>,
    parts: Vec<Part>,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self { wait: Duration::ZERO, status: Some(status), headers: Vec::new(), parts: Vec::new() }
    }

    /// No headers come: the connection is lost.
    pub(crate) fn lost() -> Self {
        Self { status: None, ..Self::new(0) }
    }

    /// Nothing ever comes.
    pub(crate) fn never() -> Self {
        Self::lost().after(Duration::MAX)
    }

    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::new(status).header("content-type", "application/json").then(body)
    }

    /// Events of a chat that OpenAI streams, without its end.
    pub(crate) fn events(texts: &[&str]) -> Self {
        texts.iter().fold(Self::new(200).header("content-type", "text/event-stream"), |it, text| {
            it.then(&format!(
                "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"
            ))
        })
    }

    pub(crate) fn done(self) -> Self {
        self.then(USAGE).then("data: [DONE]\n\n")
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    /// Has the headers come after a time.
    pub(crate) fn after(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    pub(crate) fn then(self, bytes: &str) -> Self {
        self.later(Duration::ZERO, bytes)
    }

    pub(crate) fn later(mut self, wait: Duration, bytes: &str) -> Self {
        self.parts.push(Part(wait, Came::Bytes(bytes.as_bytes().to_vec())));
        self
    }

    pub(crate) fn breaks(mut self) -> Self {
        self.parts.push(Part(Duration::ZERO, Came::Lost));
        self
    }

    pub(crate) fn hangs(mut self) -> Self {
        self.parts.push(Part(Duration::ZERO, Came::Never));
        self
    }
}

pub(crate) const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\n";

#[derive(Default)]
struct State {
    replies: VecDeque<Reply>,
    sent: Vec<HttpRequest>,
    open: usize,
    most: usize,
}

/// The script. Clones are the same one. Without a reply left it answers a chat.
#[derive(Clone)]
pub(crate) struct Script {
    clock: SimClock,
    state: Arc<Mutex<State>>,
}

impl Script {
    pub(crate) fn new(clock: &SimClock) -> Self {
        Self { clock: clock.clone(), state: Arc::default() }
    }

    pub(crate) fn reply(&self, reply: Reply) -> &Self {
        self.state.lock().unwrap().replies.push_back(reply);
        self
    }

    pub(crate) fn sent(&self) -> Vec<HttpRequest> {
        self.state.lock().unwrap().sent.clone()
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.sent().into_iter().map(|request| request.url).collect()
    }

    /// Requests that are under way, to the end of their bodies.
    pub(crate) fn open(&self) -> usize {
        self.state.lock().unwrap().open
    }

    /// The most that were at once.
    pub(crate) fn most(&self) -> usize {
        self.state.lock().unwrap().most
    }
}

/// A request under way.
struct Open(Arc<Mutex<State>>);

impl Open {
    fn new(state: &Arc<Mutex<State>>) -> Self {
        let mut held = state.lock().unwrap();
        held.open += 1;
        held.most = held.most.max(held.open);
        Self(Arc::clone(state))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.lock().unwrap().open -= 1;
    }
}

async fn wait(clock: SimClock, time: Duration) {
    if time == Duration::MAX {
        std::future::pending::<()>().await;
    }
    if !time.is_zero() {
        clock.alarm(clock.now().saturating_add(time)).await;
    }
}

fn lost() -> Failure {
    Failure::new(Class::Network, "the connection was lost")
}

type Piece = Result<Vec<u8>, Failure>;

impl Transport for Script {
    type Chunk = Vec<u8>;
    type Error = Failure;
    type Body = Pin<Box<dyn Stream<Item = Piece> + Send>>;
    type Send = Pin<Box<dyn Future<Output = Result<HttpResponse<Self::Body>, Failure>> + Send>>;

    fn send(&self, request: HttpRequest) -> Self::Send {
        let reply = {
            let mut state = self.state.lock().unwrap();
            state.sent.push(request);
            state.replies.pop_front().unwrap_or_else(|| Reply::json(200, super::ANSWER))
        };
        let open = Open::new(&self.state);
        let clock = self.clock.clone();
        Box::pin(async move {
            wait(clock.clone(), reply.wait).await;
            let status = reply.status.ok_or_else(lost)?;
            let parts = reply.parts.into_iter();
            let body = unfold((parts, clock, open), async |(mut parts, clock, open)| {
                let Part(time, came) = parts.next()?;
                wait(clock.clone(), time).await;
                let piece = match came {
                    Came::Bytes(bytes) => Ok(bytes),
                    Came::Lost => Err(lost()),
                    Came::Never => std::future::pending().await,
                };
                Some((piece, (parts, clock, open)))
            });
            Ok(HttpResponse::new(status, reply.headers, body.boxed()))
        })
    }
}
