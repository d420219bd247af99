//! The clients of the npm package: the state machines of [`edgepool_llm`] as functions that
//! JavaScript drives.
//!
//! Nothing here calls JavaScript, and nothing holds a promise, a timer or a callback. A provider, a
//! service and a call are numbers, which are never used again, so that one which is out of date
//! means nothing. What has fields goes as JSON, whose forms [`edgepool_llm::json`] has; bodies go as
//! bytes. A time is in milliseconds of the caller's clock.
//!
//! The caller opens [`providers`] and the [`services`] that they share, and for each call drives one
//! of [`calls`]: it steps it, carries out what it is told (waits for a place, sends an attempt with
//! `fetch`, breaks one off), and tells it what came of it, until it is told that it is over.
//!
//! The machines are the same as in Rust, where `edgepool_llm::client` drives them.

#![forbid(unsafe_code)]

pub mod calls;
#[cfg(target_family = "wasm")]
pub mod exports;
pub mod providers;
pub mod services;
mod state;
mod thrown;

// Bodies are large, so that it joins what it gets of memory, and grows what it has in place.
#[cfg(target_family = "wasm")]
#[global_allocator]
static MEMORY: rlsf::GlobalTlsf = rlsf::GlobalTlsf::new();

pub use state::begin_epoch;
pub use thrown::Thrown;
