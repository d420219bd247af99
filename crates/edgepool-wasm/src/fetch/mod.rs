//! Requests by the runtime's `fetch`, for the clients of [`edgepool_llm`].

mod body;
mod error;
mod promise;
mod readable;
mod request;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use edgepool_llm::client::{Builder, ClientPool};
use edgepool_llm::transport::{HttpRequest, HttpResponse, Transport};
use js_sys::{Array, Promise};
use wasm_bindgen::JsCast as _;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use web_sys::{RequestInit, Response, ResponseType};

pub use body::FetchBody;
pub use error::TransportError;
pub use readable::readable_stream;

use crate::clock::JsClock;
use crate::seed::seed;
use promise::{Call, Settled};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = fetch, catch)]
    fn js_fetch(url: &str, init: &RequestInit) -> Result<Promise, JsValue>;
}

/// Begins a pool of clients that send by `fetch`, with the runtime's clock, its time of day and its
/// chance.
///
/// In a Worker the pool belongs to all requests and its calls to one each: make the pool when the
/// first request comes, as there are no random numbers before, and await its calls and read its
/// answers within a [`request_scope`](crate::request_scope).
///
/// # Examples
///
/// ```no_run
/// use edgepool_llm::client::ClientPool;
/// use edgepool_wasm::{FetchTransport, JsClock, fetch_clients, request_scope};
/// use js_sys::Promise;
/// use wasm_bindgen::prelude::*;
///
/// thread_local! {
///     static CLIENTS: ClientPool<FetchTransport, JsClock> =
///         fetch_clients(FetchTransport::new().max_body(1 << 24)).build();
/// }
///
/// #[wasm_bindgen]
/// pub fn embedding(text: String) -> Promise {
///     request_scope(async move {
///         let clients = CLIENTS.with(ClientPool::clone);
///         if !clients.has_provider("local") {
///             let local = clients.provider("local", "ollama").embedding_model("all-minilm");
///             let local = local.build().map_err(|error| error.to_string())?;
///             clients.register_provider(local).map_err(|error| error.to_string())?;
///         }
///         let client = clients.client("local").map_err(|error| error.to_string())?;
///         let vector = client.embed(&text).await.map_err(|error| error.to_string())?;
///         Ok(js_sys::Float32Array::from(&vector[..]).into())
///     })
/// }
/// ```
pub fn fetch_clients(transport: FetchTransport) -> Builder<FetchTransport, JsClock> {
    let wall = || Duration::from_secs_f64(js_sys::Date::now().max(0.0) / 1e3);
    let builder = ClientPool::builder_with_wall(transport, JsClock, wall);
    // Without one, two isolates would retry at the same moments.
    match seed() {
        Some(seed) => builder.seed(seed),
        None => builder,
    }
}

/// Sends requests by the runtime's `fetch`: in browsers, Workers and processes.
///
/// - **Any status is an answer.** No redirect is followed, as a request may hold a key, and a key
///   must not leave its origin; where the runtime hides what it would have followed, as a browser
///   does, that is [`TransportError::Redirect`].
/// - **Nothing is sent twice**, and nothing before the future is polled: a call sends in that
///   request of a Worker that polls it.
/// - **Dropping breaks off**: the future that waits for the headers, or the body.
/// - **Nothing is read ahead** but what the runtime reads by itself.
/// - **No cookies** are sent. Connections, proxies and compression are the runtime's business: the
///   body is what it has decompressed, so headers that tell of it compressed are left out.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct FetchTransport {
    max_body: Option<u64>,
}

impl FetchTransport {
    /// Makes a transport with the default options.
    pub const fn new() -> Self {
        Self { max_body: None }
    }

    /// Sets how long the body of an answer may be, in bytes; one that is longer is broken off with
    /// [`TransportError::BodyTooLarge`]. There is no default: a body is read no faster than it is
    /// asked for, so that none takes memory.
    pub const fn max_body(self, most: u64) -> Self {
        Self { max_body: Some(most) }
    }
}

impl Transport for FetchTransport {
    type Chunk = Vec<u8>;
    type Error = TransportError;
    type Body = FetchBody;
    type Send = FetchSending;

    fn send(&self, request: HttpRequest) -> FetchSending {
        FetchSending { state: State::New(request), max_body: self.max_body }
    }

    fn finish(&self, body: Pin<Box<FetchBody>>) {
        body::linger(body);
    }
}

/// The wait for the headers of an answer. Nothing is sent before it is polled; dropping it breaks
/// the request off.
pub struct FetchSending {
    state: State,
    max_body: Option<u64>,
}

enum State {
    New(HttpRequest),
    Waiting(Call, Settled),
    Over,
}

impl Future for FetchSending {
    type Output = Result<HttpResponse<FetchBody>, TransportError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let State::New(request) = &this.state {
            match begin(request) {
                Ok((call, answer)) => this.state = State::Waiting(call, answer),
                Err(error) => {
                    this.state = State::Over;
                    return Poll::Ready(Err(error));
                }
            }
        }
        let State::Waiting(_, answer) = &mut this.state else { return Poll::Pending };
        let answer = ready!(Pin::new(answer).poll(cx));
        let State::Waiting(call, _) = std::mem::replace(&mut this.state, State::Over) else {
            return Poll::Pending;
        };
        Poll::Ready(match answer {
            Ok(response) => read(&response.unchecked_into(), call, this.max_body),
            Err(error) => {
                call.over();
                Err(TransportError::before_headers(&error))
            }
        })
    }
}

/// Sends the request.
fn begin(request: &HttpRequest) -> Result<(Call, Settled), TransportError> {
    let init = request::of(request)?;
    let call = Call::new().map_err(|error| TransportError::not_called(&error))?;
    init.set_signal(Some(&call.signal()));
    match js_fetch(&request.url, &init) {
        Ok(answer) => Ok((call, Settled::of(&answer))),
        Err(error) => {
            call.over();
            Err(TransportError::not_called(&error))
        }
    }
}

/// Takes an answer in whose body is unread.
fn read(
    response: &Response,
    call: Call,
    max_body: Option<u64>,
) -> Result<HttpResponse<FetchBody>, TransportError> {
    if response.type_() == ResponseType::Opaqueredirect {
        return Err(TransportError::Redirect);
    }
    let mut headers = headers_of(response);
    let is_coded = |(name, value): &(String, Vec<u8>)| {
        name == "content-encoding" && !value.eq_ignore_ascii_case(b"identity")
    };
    if headers.iter().any(is_coded) {
        headers.retain(|(name, _)| name != "content-encoding" && name != "content-length");
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse().ok());
    let body = FetchBody::new(response, call, max_body, length)?;
    Ok(HttpResponse::new(response.status(), headers, body))
}

/// Returns the headers with the bytes that their values came in.
fn headers_of(response: &Response) -> Vec<(String, Vec<u8>)> {
    let pair = |pair: JsValue| {
        let pair: Array = pair.unchecked_into();
        let [name, value] = [0, 1].map(|index| pair.get(index).as_string().unwrap_or_default());
        (name, request::bytes_of(value))
    };
    Array::from(&response.headers()).iter().map(pair).collect()
}

impl fmt::Debug for FetchSending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sent = matches!(self.state, State::Waiting(..));
        f.debug_struct("FetchSending").field("sent", &sent).finish_non_exhaustive()
    }
}
