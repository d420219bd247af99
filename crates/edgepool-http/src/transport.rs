//! The transport: requests in, answers out.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use edgepool_llm::transport::{HttpRequest, HttpResponse, Transport};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use tokio::runtime::Handle;

use crate::body::{self, Body};
use crate::connect::{Connector, Counts};
use crate::error::Error;
use crate::options::{Builder, Protocol};
use crate::request;

/// Sends requests over connections that are kept and used again.
///
/// Clones share their connections; those without a request are closed with the last of them. It is
/// used within a tokio runtime, and by that one alone, as the runtime reads and writes what was
/// opened in it.
#[derive(Clone)]
pub struct HttpTransport {
    client: Client<Connector, Full<Bytes>>,
    counts: Arc<Counts>,
    requests: Arc<AtomicU64>,
    max_body: Option<u64>,
}

/// What a transport has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests that were sent, or tried to be. Those of them that opened no connection used one
    /// again.
    pub requests: u64,
    /// Connections that were opened.
    pub opened: u64,
    /// Connections that are open.
    pub open: u64,
}

/// The longest time that a timer is set to: it is added to the present time.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

impl HttpTransport {
    /// Starts to make a transport.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(options: &Builder, roots: RootCertStore) -> Self {
        let connector = Connector::new(options, roots);
        let counts = connector.counts();
        let client = client(options).build(connector);
        Self { client, counts, requests: Arc::default(), max_body: options.max_body }
    }

    /// Returns what it has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            requests: self.requests.load(Ordering::Relaxed),
            opened: self.counts.opened.load(Ordering::Relaxed),
            open: self.counts.open.load(Ordering::Relaxed),
        }
    }
}

/// Which client of hyper's does what the options say.
fn client(options: &Builder) -> hyper_util::client::legacy::Builder {
    let (interval, timeout) = options.ping;
    let mut client = Client::builder(TokioExecutor::new());
    client
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(options.max_idle)
        .pool_idle_timeout(options.idle_timeout.min(LONGEST))
        .http1_max_buf_size(options.max_header_bytes as usize)
        .http1_max_headers(options.max_headers as usize)
        .http2_max_header_list_size(options.max_header_bytes)
        .http2_keep_alive_interval(interval.min(LONGEST))
        .http2_keep_alive_timeout(timeout.min(LONGEST))
        .http2_only(options.protocol == Protocol::Http2);
    client
}

impl Default for HttpTransport {
    /// Makes a transport with the default options.
    fn default() -> Self {
        Self::builder().build().expect("the defaults fit")
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Transport for HttpTransport {
    type Chunk = Bytes;
    type Error = Error;
    type Body = Body;
    type Send = Sending;

    fn send(&self, request: HttpRequest) -> Sending {
        let state = match request::of(request) {
            Ok(request) => State::New(Box::new((self.clone(), request))),
            Err(error) => State::Failed(error),
        };
        Sending { state, max_body: self.max_body }
    }

    fn finish(&self, body: Pin<Box<Body>>) {
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(body::linger(body));
        }
    }
}

/// The wait for the headers of an answer. Nothing is sent before it is polled; dropping it breaks
/// the request off.
#[must_use = "nothing is sent before it is polled"]
pub struct Sending {
    state: State,
    max_body: Option<u64>,
}

enum State {
    New(Box<(HttpTransport, http::Request<Full<Bytes>>)>),
    Sent(ResponseFuture),
    Failed(Error),
    Done,
}

impl State {
    /// Hands the request to hyper, which needs a runtime from then on.
    fn start(self) -> Self {
        let Self::New(new) = self else { return self };
        if Handle::try_current().is_err() {
            return Self::Failed(Error::Runtime);
        }
        let (transport, request) = *new;
        transport.requests.fetch_add(1, Ordering::Relaxed);
        Self::Sent(transport.client.request(request))
    }
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = matches!(self.state, State::Done);
        f.debug_struct("Sending").field("done", &done).finish_non_exhaustive()
    }
}

impl Future for Sending {
    type Output = Result<HttpResponse<Body>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match core::mem::replace(&mut self.state, State::Done).start() {
            State::Sent(mut sent) => match Pin::new(&mut sent).poll(cx) {
                Poll::Pending => {
                    self.state = State::Sent(sent);
                    Poll::Pending
                }
                Poll::Ready(Ok(answer)) => Poll::Ready(Ok(response(answer, self.max_body))),
                Poll::Ready(Err(error)) => Poll::Ready(Err(Error::before_headers(error))),
            },
            State::Failed(error) => Poll::Ready(Err(error)),
            State::New(_) | State::Done => panic!("polled after it was done"),
        }
    }
}

fn response(answer: http::Response<Incoming>, max_body: Option<u64>) -> HttpResponse<Body> {
    let (head, incoming) = answer.into_parts();
    let headers = head.headers.iter();
    let headers =
        headers.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
    HttpResponse::new(head.status.as_u16(), headers.collect(), Body::new(incoming, max_body))
}
