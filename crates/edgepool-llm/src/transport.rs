//! What sends requests: the only part of a client that has a socket.
//!
//! A [`Transport`] sends a request to the address that it says and hands back what comes, unread. It
//! decides nothing: retries, time-outs, places and limits are the business of what drives it. It
//! follows no redirects, as a request may hold a key.

use core::future::Future;
use core::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;

pub use crate::exchange::HttpRequest;

use crate::failure::Failure;
use crate::headers::Headers;

/// Sends requests.
///
/// Whether clients may be sent between threads is up to the transport's types: those of one that is
/// bound to its thread, such as `fetch` in a browser, need not be `Send`.
pub trait Transport {
    /// A piece of a body.
    type Chunk: AsRef<[u8]>;
    /// How sending or reading fails. The failure's class says what follows: one that could not
    /// reach its peer, or lost it, is [`Network`](crate::Class::Network).
    type Error: Into<Failure>;
    /// The body of an answer, in pieces. Dropping it breaks the request off.
    type Body: Stream<Item = Result<Self::Chunk, Self::Error>>;
    /// The wait for the headers of an answer. Dropping it breaks the request off.
    type Send: Future<Output = Result<HttpResponse<Self::Body>, Self::Error>>;

    /// Sends a request. Any status is an answer, not an error; redirects are not followed.
    fn send(&self, request: HttpRequest) -> Self::Send;

    /// Takes back the body of an answer that is over by the word of its protocol, such as `[DONE]`,
    /// although the body has not ended. Its end may be on its way, and after it the connection could
    /// be used again: a transport that has tasks may wait a moment for it. Otherwise the body is
    /// dropped.
    fn finish(&self, body: Pin<Box<Self::Body>>) {
        drop(body);
    }
}

/// A transport that is shared.
impl<T: Transport + ?Sized> Transport for Arc<T> {
    type Chunk = T::Chunk;
    type Error = T::Error;
    type Body = T::Body;
    type Send = T::Send;

    fn send(&self, request: HttpRequest) -> T::Send {
        (**self).send(request)
    }

    fn finish(&self, body: Pin<Box<T::Body>>) {
        (**self).finish(body);
    }
}

/// The headers of an answer, with its body unread.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpResponse<B> {
    /// The status.
    pub status: u16,
    /// The headers, as they came.
    pub headers: Vec<(String, Vec<u8>)>,
    /// What follows.
    pub body: B,
}

impl<B> HttpResponse<B> {
    /// Makes an answer.
    #[must_use]
    pub const fn new(status: u16, headers: Vec<(String, Vec<u8>)>, body: B) -> Self {
        Self { status, headers, body }
    }

    /// Returns the headers for those who read them.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        self.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect()
    }
}
