//! A runtime-agnostic pool of connections, for native programs and for wasm at the edge.
//!
//! A [`Pool`] shares few connections among many callers, in the order in which they come. It is
//! given two things and needs nothing else: a [`Factory`] that makes connections, and a [`Clock`]
//! that tells the time. There is no background task and no executor of its own; whoever waits does
//! what is to be done. On a simulated clock a timeout of half a minute is tested in microseconds.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use edgepool::{Pool, StdClock, factory_fn};
//!
//! # futures::executor::block_on(async {
//! let factory = factory_fn(async || Ok::<_, Infallible>(String::from("a connection")));
//! let pool = Pool::builder(factory, StdClock).max(2).build()?;
//!
//! let lease = pool.acquire().await?;
//! assert_eq!(lease.len(), 12); // a lease derefs to its connection
//! drop(lease); // and gives it back when it is dropped
//!
//! assert_eq!(pool.stats().gauges.idle, 1);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # How it is built
//!
//! The [`ledger`] is a pure state machine of integers: it decides who has what. Around it stands a
//! thin asynchronous shell with one lock, under which no code runs but the ledger's: wakers,
//! factories, clocks and the `Drop` of connections are called after it is released, so any of them
//! may use the pool.
//!
//! A creation belongs to the pool, not to the caller whose need started it. It is polled by whoever
//! waits, and its connection goes to whoever is first by then, so a caller that gives up wastes
//! nothing. While nobody waits, a creation that was begun stands still.
#![forbid(unsafe_code)]

mod acquire;
mod clock;
mod creations;
mod error;
mod factory;
mod lease;
pub mod ledger;
mod pool;
mod shared;

pub use acquire::Acquire;
pub use clock::{Clock, Time};
#[cfg(not(target_family = "wasm"))]
pub use clock::{StdAlarm, StdClock};
pub use error::AcquireError;
pub use factory::{Factory, FactoryFn, factory_fn};
pub use lease::Lease;
pub use ledger::OptionsError;
pub use pool::{Builder, Pool, Stats};
