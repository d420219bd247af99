//! A pool of connections for Rust, on native programs and on wasm at the edge, under any executor.
//!
//! A [`Pool`] shares few connections among many callers, in the order in which they come. It bounds
//! how many there are and how many callers wait; it checks, resets, replaces and closes
//! connections; and it loses none, however its callers' futures end. It is given a [`Factory`] that
//! makes connections and a [`Clock`] that tells the time, and needs nothing else: no executor, no
//! background task, no thread. Whoever waits does what is to be done.
//!
//! ```
//! use std::time::Duration;
//!
//! use edgepool::{Pool, StdClock, factory_fn};
//!
//! # struct Connection { open: bool }
//! # impl Connection {
//! #     async fn connect(_: &str) -> Result<Self, Refused> { Ok(Self { open: true }) }
//! #     async fn ping(&mut self) -> Result<(), Refused> { Ok(()) }
//! #     fn forget_transaction(&mut self) {}
//! #     async fn say_goodbye(mut self) { self.open = false }
//! #     async fn query(&mut self, _: &str) -> Result<u32, Refused> { Ok(1) }
//! # }
//! # #[derive(Debug)] struct Refused;
//! # impl std::fmt::Display for Refused {
//! #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") }
//! # }
//! # impl std::error::Error for Refused {}
//! let factory = factory_fn(async || Connection::connect("db.example:5432").await)
//!     // Before it is lent after a while without use: is it still good?
//!     .check(async |mut connection| match connection.ping().await {
//!         Ok(()) => Ok(connection),
//!         Err(error) => Err((connection, error)),
//!     })
//!     // As it comes back: clean it for the next caller.
//!     .reset_sync(|connection| {
//!         connection.forget_transaction();
//!         Ok(())
//!     })
//!     // As it leaves the pool.
//!     .close(async |connection| connection.say_goodbye().await);
//!
//! let pool = Pool::builder(factory, StdClock)
//!     .max(8)
//!     .acquire_timeout(Duration::from_secs(2))
//!     .build()?;
//!
//! # futures::executor::block_on(async {
//! let mut lease = pool.acquire().await?; // a lease derefs to its connection,
//! lease.query("select 1").await?;
//! drop(lease); // and gives it back when it is dropped
//!
//! pool.drain(Duration::from_secs(5)).await?; // closes the pool, and waits until it is empty
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! # Ok::<_, edgepool::OptionsError>(())
//! ```
//!
//! The [`guide`] says what happens when callers are cancelled, factories panic or fail, times pass;
//! how sizes, health, fairness and priorities work; and how a pool is driven, observed and tested.
//!
//! # Options
//!
//! | option | default | what it sets |
//! |---|---|---|
//! | [`max`](Builder::max) | 20 | the most connections at once |
//! | [`min_idle`](Builder::min_idle) | 2, or `max` if that is less | connections kept ready |
//! | [`max_waiting`](Builder::max_waiting) | 1,000 | the most callers queued |
//! | [`max_uses`](Builder::max_uses) | none | how often a connection is lent |
//! | [`reuse`](Builder::reuse) | the last used first | which idle connection is lent |
//! | [`acquire_timeout`](Builder::acquire_timeout) | 30 s | how long a caller waits |
//! | [`create_timeout`](Builder::create_timeout) | 10 s | how long a creation takes |
//! | [`check_timeout`](Builder::check_timeout) | 5 s | how long a check takes |
//! | [`reset_timeout`](Builder::reset_timeout) | 5 s | how long a reset takes |
//! | [`close_timeout`](Builder::close_timeout) | 5 s | how long a closing takes |
//! | [`offer_timeout`](Builder::offer_timeout) | none | how long a connection is kept for a caller that was woken |
//! | [`idle_timeout`](Builder::idle_timeout) | 300 s, or the lifetime if that is less | how long a connection stays unused |
//! | [`max_lifetime`](Builder::max_lifetime) | 1,800 s | how old a connection is lent |
//! | [`lifetime_jitter`](Builder::lifetime_jitter) | 10 % | how much earlier it may leave |
//! | [`check_on_acquire`](Builder::check_on_acquire) | if it was idle for 1 s | when a connection is checked before it is lent |
//! | [`check_interval`](Builder::check_interval) | 30 s, or the lifetime if that is less | how often an idle one is checked |
//! | [`max_checks`](Builder::max_checks) | 1 | how many of those checks at once |
//! | [`backoff`](Builder::backoff) | 100 ms, doubling to 30 s | how long creations wait after one failed |
//! | [`breaker`](Builder::breaker) | 5, or none without a back-off | after how many failures callers are refused |
//! | [`ageing`](Builder::ageing) | 5 s | the wait that is worth one class of priority |
//! | [`seed`](Builder::seed) | drawn at random | what jitter is drawn from |
//! | [`wait_times`](Builder::wait_times) | yes | whether waits are measured |
//! | [`hold_times`](Builder::hold_times) | no | whether the time that leases are out is measured |
//! | [`capture_holders`](Builder::capture_holders) | no | whether it is kept where leases were acquired |
//! | [`slow_acquire`](Builder::slow_acquire) | 1 s | which wait is told as slow |
//! | [`long_hold`](Builder::long_hold) | none | which lease is told as held for long |
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `std`, on by default | the pool: without it there is the [`ledger`] alone, for shells of other kinds |
//! | `tenants`, a part of `std` | tenants in the [`ledger`], which a shell of another kind may do without |
//! | `openmetrics` | [`Stats`] as text for Prometheus: `edgepool::openmetrics` |
//! | `tracing` | events for logs: `edgepool::TracingObserver` |
//!
//! # How it is built
//!
//! The [`ledger`] is a pure state machine of integers: it decides who has what. Around it stands a
//! thin asynchronous shell with one lock, under which no code runs but the ledger's: wakers,
//! factories, clocks and the `Drop` of connections are called after it is released, so any of them
//! may use the pool.
#![forbid(unsafe_code)]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[macro_use]
mod mutations;

#[cfg(feature = "std")]
mod acquire;
#[cfg(feature = "std")]
mod alarm;
#[cfg(feature = "std")]
mod attend;
#[cfg(feature = "std")]
mod boxed;
#[cfg(feature = "std")]
mod builder;
mod clock;
#[cfg(feature = "std")]
mod connection;
#[cfg(feature = "std")]
mod effects;
#[cfg(feature = "std")]
mod error;
#[cfg(feature = "std")]
mod events;
#[cfg(feature = "std")]
mod factory;
#[cfg(feature = "std")]
mod factory_fn;
#[cfg(feature = "std")]
pub mod guide;
mod histogram;
#[cfg(feature = "std")]
mod jobs;
#[cfg(feature = "std")]
mod lease;
pub mod ledger;
#[cfg(feature = "std")]
mod observed;
#[cfg(feature = "openmetrics")]
pub mod openmetrics;
#[cfg(feature = "std")]
mod operate;
#[cfg(feature = "std")]
mod pool;
#[cfg(feature = "std")]
mod shared;
#[cfg(feature = "std")]
mod state;
#[cfg(feature = "std")]
mod stats;
#[cfg(feature = "std")]
mod sync;
#[cfg(feature = "std")]
mod telling;
#[cfg(feature = "std")]
mod tenant;
#[cfg(feature = "std")]
pub mod tenants;
#[cfg(feature = "tracing")]
mod trace;
#[cfg(feature = "std")]
mod turn;

#[cfg(feature = "std")]
pub use acquire::{Acquire, AcquireMany};
#[cfg(feature = "std")]
pub use attend::Driver;
#[cfg(feature = "std")]
pub use boxed::{BoxFactory, LocalBoxFactory, boxed, boxed_local};
#[cfg(feature = "std")]
pub use builder::{Builder, CheckOnAcquire, UNBOUNDED};
pub use clock::{Clock, Time};
#[cfg(all(feature = "std", not(target_family = "wasm")))]
pub use clock::{StdAlarm, StdClock};
#[cfg(feature = "std")]
pub use connection::{Connect, Connection, ConnectionFactory};
#[cfg(feature = "std")]
pub use error::{AcquireError, DrainError, Failure, Holder, Phase, TimedOut, WarmUpError};
#[cfg(feature = "std")]
pub use events::{About, Event, Observer};
#[cfg(feature = "std")]
pub use factory::{Begun, Factory, NoJob, Tried};
#[cfg(feature = "std")]
pub use factory_fn::{Async, FactoryFn, Finish, Nothing, Sync, Try, factory_fn};
pub use histogram::Histogram;
#[cfg(feature = "std")]
pub use lease::{Lease, MappedLease, Release};
pub use ledger::{Backoff, Info, OptionsError, Priority, Reuse};
#[cfg(feature = "std")]
pub use ledger::{Share, TenantStats};
#[cfg(feature = "mutations")]
#[doc(hidden)]
pub use mutations::Bug;
#[cfg(feature = "std")]
pub use observed::Observed;
#[cfg(feature = "std")]
pub use operate::{Drain, WarmUp, WarmUpProgress};
#[cfg(feature = "std")]
pub use pool::Pool;
#[cfg(feature = "std")]
pub use stats::{PoolState, Stats};
#[cfg(feature = "std")]
pub use tenant::Tenant;
#[cfg(feature = "tracing")]
pub use trace::TracingObserver;
