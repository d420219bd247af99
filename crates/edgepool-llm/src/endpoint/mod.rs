//! The endpoints of a provider: which one is next, and which ones are out.
//!
//! An endpoint is *up*, or *ejected* for a time because attempts at it failed, or *down* because
//! checks of it did. When the time of an ejected one has passed, the next attempt goes there; it
//! decides whether the endpoint is up again, and then gets its share little by little. At most a
//! share of the endpoints is ejected, so that a fault that all of them have, such as a network that
//! is gone, does not eject them all. Apart from this an endpoint may be *paused*, as it asked for
//! that by a 429, or full, or its buckets may be empty: none of that is a fault.
//!
//! The rules and most figures are those of Envoy's outlier detection, panic threshold aside, and of
//! its slow start.

mod balance;
mod health;
mod set;

use core::time::Duration;

pub use balance::Balance;
pub use health::{Breaker, Ejection, Share};
pub(crate) use set::{CROWDED, Ended, Place};
pub use set::{Endpoint, Endpoints, Outlook};

/// One address of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointOptions {
    /// What it is called in errors and statistics: its address, without a key.
    pub name: String,
    /// Its share of the attempts beside the others'; at least 1. By default 1.
    pub weight: u32,
}

impl EndpointOptions {
    /// Names an endpoint that has the same share as others.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), weight: 1 }
    }
}

/// How endpoints are looked at without a call: on an address that costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    /// How often; a tenth of that after a check that failed. By default each 60 s.
    pub interval: Duration,
    /// How long one may take. By default 5 s.
    pub timeout: Duration,
    /// After how many that failed in a row an endpoint is down. By default 3.
    pub failures: u32,
}

/// A check that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Check {
    /// The place of its endpoint among those of the service.
    pub endpoint: usize,
    /// Which one of that endpoint's it is: what comes of one that was given up is not taken for what
    /// comes of the next.
    pub number: u64,
}

impl Default for Checks {
    fn default() -> Self {
        Self { interval: Duration::from_secs(60), timeout: Duration::from_secs(5), failures: 3 }
    }
}
