//! HTTP over the runtime's `fetch`, with a limit on how many requests are under way.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::time::Duration;

use edgepool::{AcquireError, Factory, Lease, NoJob, OptionsError, Pool, Stats, Tried};
use js_sys::Promise;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, Request, RequestInit, Response};

use crate::clock::JsClock;
use crate::seed::seed;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = fetch, catch)]
    fn js_fetch(request: &Request, init: &RequestInit) -> Result<Promise, JsValue>;
}

/// The right to have one request under way. The runtime owns the connections themselves.
#[derive(Debug)]
pub struct Place;

/// Makes places, at once and without fail.
#[derive(Clone, Copy, Debug, Default)]
pub struct Places;

impl Factory for Places {
    type Connection = Place;
    type Error = Infallible;
    type Create = Ready<Result<Place, Infallible>>;
    type Check = NoJob<Tried<Place, Infallible>>;
    type Reset = NoJob<Tried<Place, Infallible>>;
    type Close = NoJob<()>;

    fn create(&self) -> Self::Create {
        ready(Ok(Place))
    }
    fn checks(&self) -> bool {
        false
    }
}

/// Sends requests with the runtime's `fetch`, at most so many at once; clones share the limit.
///
/// A place is held from the call to the end of the body, or until the [`PooledResponse`] or the
/// future is dropped, which breaks the request off.
#[derive(Clone, Debug)]
pub struct FetchClient {
    pool: Pool<Places, JsClock>,
}

impl FetchClient {
    /// Makes a client with at most `max` requests under way, whose callers wait for at most
    /// `acquire_timeout`. In a Worker, make it within a request: there is no chance before, and all
    /// isolates would draw the same.
    ///
    /// # Errors
    ///
    /// `max` is 0.
    pub fn new(max: u32, acquire_timeout: Duration) -> Result<Self, OptionsError> {
        let pool =
            Pool::builder(Places, JsClock).max(max).min_idle(0).acquire_timeout(acquire_timeout);
        // The platform has no chance of its own.
        let pool = match seed() {
            Some(seed) => pool.seed(seed),
            None => pool,
        };
        Ok(Self { pool: pool.build()? })
    }

    /// Gets a URL.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and if the URL is no URL.
    pub async fn get(&self, url: &str) -> Result<PooledResponse, FetchError> {
        self.send(&Request::new_with_str(url).map_err(FetchError::from_js)?).await
    }

    /// Sends a request, and returns when the headers of its answer are there.
    ///
    /// # Errors
    ///
    /// No place came free in time, or `fetch` rejected. A status is no error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the queue, or breaks the request off.
    pub async fn send(&self, request: &Request) -> Result<PooledResponse, FetchError> {
        let lease = self.pool.acquire().await.map_err(FetchError::Acquire)?;
        let call = Call(AbortController::new().map_err(FetchError::from_js)?);
        let init = RequestInit::new();
        init.set_signal(Some(&call.0.signal()));
        let answer = js_fetch(request, &init).map_err(FetchError::from_js)?;
        let response = JsFuture::from(answer).await.map_err(FetchError::from_js)?;
        Ok(PooledResponse { response: response.unchecked_into(), _call: call, _lease: lease })
    }

    /// Tells how many requests are under way and wait, and what has happened so far.
    pub fn stats(&self) -> Stats {
        self.pool.stats()
    }
}

/// Breaks its request off when it is dropped; once the body has ended that does nothing.
#[derive(Debug)]
struct Call(AbortController);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer whose body has not been read, with its place.
#[derive(Debug)]
pub struct PooledResponse {
    response: Response,
    // The request is broken off before its place is given back.
    _call: Call,
    _lease: Lease<Places, JsClock>,
}

impl PooledResponse {
    /// Returns the HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.response.status()
    }

    /// Returns the runtime's own response. Its body is broken off when this is dropped.
    #[must_use]
    pub const fn response(&self) -> &Response {
        &self.response
    }

    /// Reads the body as text, and gives the place back.
    ///
    /// # Errors
    ///
    /// The body broke off, or was read before.
    pub async fn text(self) -> Result<String, FetchError> {
        let text = self.response.text().map_err(FetchError::from_js)?;
        let text = JsFuture::from(text).await.map_err(FetchError::from_js)?;
        Ok(text.as_string().unwrap_or_default())
    }
}

/// Why a request has no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum FetchError {
    /// No place came free.
    Acquire(AcquireError<Infallible>),
    /// The runtime's `fetch` or its body failed; what it said.
    Fetch(String),
}

impl FetchError {
    fn from_js(error: JsValue) -> Self {
        let message = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
        Self::Fetch(message.or_else(|| error.as_string()).unwrap_or_else(|| "unknown".into()))
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acquire(error) => error.fmt(f),
            Self::Fetch(message) => write!(f, "fetch failed: {message}"),
        }
    }
}

impl std::error::Error for FetchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Acquire(error) => Some(error),
            Self::Fetch(_) => None,
        }
    }
}
