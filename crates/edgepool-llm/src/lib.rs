//! Clients of LLM, embedding and HTTP providers as state machines: bytes and headers in, decisions
//! out.
//!
//! Nothing here has a clock, a socket, a lock or chance of its own. Whoever drives it hands in the
//! time ([`edgepool::Time`]), the wall clock where a header holds a date (as a `Duration` since
//! 1970), chance, and what came from the network. So the same decisions serve clients in Rust and in
//! JavaScript, and all of them are tested on simulated time.
#![forbid(unsafe_code)]

pub mod answer;
pub mod bucket;
pub mod call;
pub mod chat;
pub mod clocks;
pub mod dialect;
pub mod endpoint;
mod failure;
pub mod headers;
pub mod identity;
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
pub mod url;
pub mod watch;

pub use failure::{Class, Failure, MAX_ERROR_BODY, MAX_MESSAGE, Timer};
pub use headers::{Allowance, Headers, RateLimits};
pub use secret::{Secret, redact};
