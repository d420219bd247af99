//! How sending and reading fail.

use std::error::Error;
use std::fmt;

use edgepool_llm::{Class, Failure};
use js_sys::Reflect;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::prelude::JsValue;

/// How a request was not sent, or its answer not read. None of them shows a header's value, a body
/// or what follows an address's host.
///
/// What `fetch` says of a failure is a text that is each runtime's own: it does not tell an address
/// that is not found from a connection that was refused or a certificate that is not trusted, nor,
/// in a browser, from an answer whose server does not let this page see it (CORS).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportError {
    /// The request cannot be sent as it is.
    Request(&'static str),
    /// The runtime does not let it be sent or read here, such as in another request than the one
    /// in which it was begun; what it said.
    Runtime(String),
    /// The provider redirects, which is not followed.
    Redirect,
    /// There was no connection, or it was lost before the headers of the answer; what the runtime
    /// said.
    Headers(String),
    /// The connection was lost within the body of the answer; what the runtime said.
    Body(String),
    /// The body of the answer is longer than this many bytes.
    BodyTooLarge(u64),
}

impl TransportError {
    /// Tells what to make of it.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Request(_) => Class::Invalid,
            Self::Runtime(_) => Class::Refused,
            Self::Redirect => Class::Malformed,
            Self::Headers(_) | Self::Body(_) => Class::Network,
            Self::BodyTooLarge(_) => Class::TooLarge,
        }
    }

    /// Takes what `fetch` threw, where it should have promised.
    pub(super) fn not_called(error: &JsValue) -> Self {
        Self::Runtime(said(error))
    }

    pub(super) fn before_headers(error: &JsValue) -> Self {
        match said(error) {
            said if is_runtime(&said) => Self::Runtime(said),
            said => Self::Headers(said),
        }
    }

    pub(super) fn within_body(error: &JsValue) -> Self {
        match said(error) {
            said if is_runtime(&said) => Self::Runtime(said),
            said => Self::Body(said),
        }
    }
}

/// What workerd says of what no other attempt changes.
fn is_runtime(said: &str) -> bool {
    let begins = [
        "Cannot perform I/O on behalf of a different request",
        "Disallowed operation called within global scope",
        "Too many subrequests",
    ];
    begins.iter().any(|begin| said.contains(begin))
}

/// How many causes of an error are looked at.
const DEEPEST: usize = 4;

/// Returns what an error says, with what it says at the bottom of it, such as "connect
/// ECONNREFUSED".
fn said(error: &JsValue) -> String {
    let mut said = Vec::new();
    let mut at = error.clone();
    for _ in 0..DEEPEST {
        let message = message(&at).filter(|message| !said.contains(message));
        said.extend(message);
        match Reflect::get(&at, &"cause".into()) {
            Ok(cause) if cause.is_object() => at = cause,
            _ => break,
        }
    }
    if said.len() > 2 {
        said.drain(1..said.len() - 1);
    }
    match said.is_empty() {
        true => "the runtime does not say why".to_owned(),
        false => without_paths(&said.join(": ")),
    }
}

/// Returns the message of an error, or its code where it has none.
fn message(error: &JsValue) -> Option<String> {
    if let Some(text) = error.as_string() {
        return Some(text).filter(|text| !text.is_empty());
    }
    let text = |name: &str| Reflect::get(error.dyn_ref()?, &name.into()).ok()?.as_string();
    ["message", "code"].into_iter().filter_map(text).find(|text| !text.is_empty())
}

/// Leaves of each address in a text no more than its host: what follows may hold a key.
fn without_paths(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, address) = rest.split_at(at + 3);
        let host = address.find(['/', '?', '#', ' ', ')', '"', '\'', ',']);
        let (host, behind) = address.split_at(host.unwrap_or(address.len()));
        let end = behind.find([' ', ')', '"', '\'', ',']).unwrap_or(behind.len());
        kept.push_str(before);
        kept.push_str(host.rsplit('@').next().unwrap_or_default());
        rest = &behind[end..];
    }
    kept + rest
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(what) => f.write_str(what),
            Self::Runtime(said) => write!(
                f,
                "the runtime refused it: {said}; in a Worker, calls are made and answers are read \
                 in a request's own scope (request_scope)"
            ),
            Self::Redirect => f.write_str(
                "the provider redirects, which is not followed as a key must not leave it",
            ),
            Self::Headers(said) => write!(f, "no answer came: {said}"),
            Self::Body(said) => write!(f, "the connection was lost within the answer: {said}"),
            Self::BodyTooLarge(most) => write!(f, "the answer is longer than {most} bytes"),
        }
    }
}

impl Error for TransportError {}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        Self::new(error.class(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_no_more_is_shown_than_its_host() {
        for (text, shown) in [
            ("fetch failed", "fetch failed"),
            ("for url (http://e.com/v1?key=sk-1): refused", "for url (http://e.com): refused"),
            ("https://sk-1@e.com:8/x, then http://f.com", "https://e.com:8, then http://f.com"),
            ("\"https://e.com?sk-1\" and \"http://\"", "\"https://e.com\" and \"http://\""),
        ] {
            assert_eq!(without_paths(text), shown);
        }
    }

    #[test]
    fn what_the_runtime_forbids_is_not_the_network() {
        let other = "Cannot perform I/O on behalf of a different request. I/O objects...";
        assert!(is_runtime(other) && !is_runtime("Network connection lost."));
        let failure = Failure::from(TransportError::Runtime(other.to_owned()));
        assert_eq!((failure.class, failure.is_retryable()), (Class::Refused, false));
        assert!(failure.to_string().contains("request_scope"), "{failure}");
        assert!(Failure::from(TransportError::Headers("lost".to_owned())).is_retryable());
    }
}
