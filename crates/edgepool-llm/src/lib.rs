//! Clients of LLM, embedding and HTTP providers as state machines: bytes and headers in, decisions
//! out.
//!
//! But for the [`client`], nothing here has a clock, a socket, a lock or chance of its own. Whoever
//! drives it hands in the time ([`edgepool::Time`]), the wall clock where a header holds a date (as
//! a `Duration` since 1970), chance, and what came from the network. So the same decisions serve
//! clients in Rust and in JavaScript, and all of them are tested on simulated time.
//!
//! ```
//! use edgepool_llm::Headers;
//! use edgepool_llm::chat::{ChatRequest, Collector, Message, Role};
//! use edgepool_llm::provider::Provider;
//! use edgepool_llm::request;
//! use edgepool_llm::stream::{Decoder, MAX_EVENT};
//!
//! let provider = Provider::builder("local", "ollama").model("llama3.2").build()?;
//! let messages = vec![Message::text(Role::User, "Why is the sky blue?")];
//! let asked = ChatRequest { messages, ..ChatRequest::default() };
//! let request = request::chat(&provider, &asked, true)?;
//! assert_eq!(request.url(&provider.endpoints[0].base)?, "http://127.0.0.1:11434/api/chat");
//!
//! // Whoever has a socket sends it, and hands in what comes back, in whichever pieces.
//! let kind = [("content-type", &b"application/x-ndjson"[..])];
//! let headers = Headers::from_iter(kind);
//! let pieces = [
//!     &br#"{"model":"llama3.2","message":{"content":"Light sc"#[..],
//!     b"atters.\"},\"done\":false}\n{\"message\":{},\"done\":true,\"done_reason\":\"stop\"}\n",
//! ];
//! let keys = provider.secrets().cloned().collect();
//! let mut decoder = Decoder::new(provider.flavour.dialect, &headers, MAX_EVENT, keys)?;
//! let mut answer = Collector::default();
//! for piece in pieces {
//!     decoder.push(piece);
//!     while let Some(event) = decoder.poll() {
//!         answer.add(event?)?;
//!     }
//! }
//! assert_eq!(answer.finish().text, "Light scatters.");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # The wire
//!
//! | module | what it knows |
//! |---|---|
//! | [`provider`], [`dialect`], [`identity`] | what a provider is, from code, JSON or the environment; how those that speak alike differ; which ones are the same |
//! | [`chat`], [`request`], [`url`] | what is asked, and what is sent for it, where |
//! | [`answer`], [`stream`], [`watch`] | answers that come whole, in pieces, and those that are passed on unread |
//! | [`json`] | requests from JSON and answers to JSON |
//! | [`exchange`] | one request and its answer, as whoever drives a call needs them |
//! | [`headers`], [`Failure`], [`refusal`] | limits, waits and errors of providers; what the pool's own refusals look like |
//!
//! # Clients
//!
//! With the feature `client`, which is on by default, [`client::ClientPool`] has providers by their
//! names and carries calls out over a [`transport::Transport`], under any executor.
//!
//! # Bounds
//!
//! Nothing that comes from the network is kept without a bound, and no bytes make anything panic.
//!
//! | what | bound |
//! |---|---|
//! | a whole answer | [`answer::MAX_ANSWER`], 64 MiB, or as [`answer::Gather`] is told |
//! | an event of a stream | [`stream::MAX_EVENT`], 8 MiB, or as [`stream::Decoder`] is told |
//! | what is put together of a stream | [`chat::MAX_COLLECTED`], 16 MiB, or as [`chat::Collector`] is told; [`chat::MAX_TOOL_CALLS`], 1,024 |
//! | a line that is passed on | [`watch::MAX_LOOK`], 64 KiB are looked at |
//! | an error's body, and its message | [`MAX_ERROR_BODY`], 64 KiB, and [`MAX_MESSAGE`], 1 KiB |
//! | headers | [`headers::MAX_HEADERS`], 256 of [`headers::MAX_HEADER`], 8 KiB |
//! | a wait that a header asks for | [`headers::MAX_RETRY_AFTER`], 31 days |
//! | an address | [`url::MAX_URL`], 8 KiB |
#![forbid(unsafe_code)]

pub mod answer;
pub mod bucket;
pub mod call;
pub mod chat;
#[cfg(feature = "client")]
pub mod client;
pub mod clocks;
pub mod dialect;
pub mod endpoint;
pub mod exchange;
mod failure;
mod fields;
pub mod headers;
pub mod identity;
pub mod json;
pub mod limit;
pub mod provider;
pub mod refusal;
pub mod request;
pub mod retry;
mod secret;
pub mod service;
pub mod stats;
pub mod stream;
mod text;
#[cfg(feature = "client")]
pub mod transport;
pub mod url;
pub mod watch;

pub use failure::{Class, Failure, MAX_ERROR_BODY, MAX_MESSAGE, Timer};
pub use headers::{Allowance, Headers, RateLimits};
pub use secret::{Secret, redact};
