//! The pool for JavaScript: with the feature `client` what Rust on wasm needs, which is a JS clock,
//! a fetch-backed client, and for Workers an executor of one request; with the feature `transport`
//! the clients of `edgepool-llm` over `fetch`; and with the feature `exports` the functions of
//! integers over [`edgepool::ledger`] that the npm package drives, to which the feature `tenants`
//! adds those of tenants that share a pool. A module in Rust leaves those out, as everything in it
//! would be exported from the module too.
//!
//! In the exports everything is a number. A pool is a small integer; a key is
//! `generation * 2^20 + index`, exact in an `f64`; a time is milliseconds since the origin of the
//! caller's clock. Nothing here calls into JavaScript: effects wait until they are asked for, so
//! no JavaScript runs while a ledger is in use.

#![cfg_attr(all(feature = "exports", not(feature = "client"), target_family = "wasm"), no_std)]

#[cfg(all(feature = "exports", target_family = "wasm"))]
extern crate alloc;

#[cfg(all(feature = "exports", not(feature = "client"), target_family = "wasm"))]
mod bare;
#[cfg(all(feature = "exports", target_family = "wasm"))]
pub mod exports;
#[cfg(all(feature = "exports", target_family = "wasm"))]
mod global;
#[cfg(all(feature = "exports", target_family = "wasm"))]
mod pools;
#[cfg(all(feature = "tenants", target_family = "wasm"))]
pub mod tenants;

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod clock;
#[cfg(feature = "transport")]
mod fetch;
#[cfg(feature = "client")]
mod scope;
#[cfg(feature = "client")]
mod seed;

#[cfg(feature = "client")]
pub use client::{FetchClient, FetchError, Place, Places, PooledResponse};
#[cfg(feature = "client")]
pub use clock::{JsAlarm, JsClock};
#[cfg(feature = "transport")]
pub use fetch::{
    FetchBody, FetchSending, FetchTransport, TransportError, fetch_clients, readable_stream,
};
#[cfg(feature = "client")]
pub use scope::{Wakes, request_scope, request_scope_with};
