//! Load on a backend that takes so many at once: what callers get, and what it has to refuse.
//!
//! It is an open loop: requests come at times that are drawn beforehand from a seed, whatever
//! becomes of those before. What is counted is what ends in a window after a warm-up. Latency is
//! taken from the time at which a request was due, so that a sender which is late is not the faster
//! for it.

mod drive;
mod senders;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use drive::drive;
pub use senders::Sender;

/// What is measured.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Who sends: `transport`, `semaphore` or `edgepool`.
    pub sender: String,
    /// Where the backend is, such as `http://127.0.0.1:4000`.
    pub backend: String,
    /// How many it sends at once.
    pub size: u32,
    /// Whether it is to find out by itself how many it may.
    pub learn: bool,
    /// How many wait where the sender bounds that.
    pub queue: u32,
    /// How long they wait there, in milliseconds.
    pub acquire_timeout: u64,
    /// Requests a second.
    pub rate: f64,
    /// What the times are drawn from.
    pub seed: u64,
    /// How long nothing is counted, in milliseconds.
    pub warm_ms: u64,
    /// How long it is counted after that.
    pub window_ms: u64,
    /// After what time a caller gives up.
    pub patience_ms: u64,
}

impl Plan {
    const fn warm(&self) -> Duration {
        Duration::from_millis(self.warm_ms)
    }

    const fn window(&self) -> Duration {
        Duration::from_millis(self.window_ms)
    }
}

/// What was measured, by the names that the page has; milliseconds, and percents of what arrived.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Answers a second that callers have had whole.
    pub goodput: f64,
    /// The part of its places' time that the backend worked for them, in percent.
    pub share: f64,
    /// What the backend refused, a second.
    pub refused: f64,
    /// What it refused before the window, in all.
    pub refused_warm: f64,
    /// The most that it had at once.
    pub peak: f64,
    /// What it began and its client did not wait for, a second.
    pub cut: f64,
    /// Refused to their callers, by the backend or by what stands before it.
    pub turned_away: f64,
    /// Given up by their callers.
    pub gave_up: f64,
    /// Anything else that went wrong.
    pub failed: f64,
    /// From when it was due to its end, of what was answered.
    pub latency_p50: Option<f64>,
    /// The same.
    pub latency_p99: Option<f64>,
    /// To the first piece of the answer.
    pub first_p50: Option<f64>,
    /// The same.
    pub first_p99: Option<f64>,
    /// How late requests were sent at most, but for a tenth of them: a machine that is too busy for
    /// the sender measures itself.
    pub late: Option<f64>,
}
