//! How a pool stands, and what it has done.

use std::time::Duration;

use crate::Histogram;
use crate::ledger::{Counters, Gauges, Ledger};

/// How a pool stands and what it has done, at one instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// How things stand.
    pub gauges: Gauges,
    /// What has happened so far.
    pub counters: Counters,
    /// How long callers waited that were not served at once, if that is
    /// [kept](crate::Builder::wait_times).
    pub waits: Histogram,
    /// How long leases were held, if that is [kept](crate::Builder::hold_times).
    pub holds: Histogram,
}

impl Stats {
    pub(crate) fn of(ledger: &Ledger) -> Self {
        Self {
            gauges: ledger.gauges(),
            counters: ledger.counters(),
            waits: ledger.waits().clone(),
            holds: ledger.holds().clone(),
        }
    }

    /// Returns the share of `max` that is lent, from 0 to 1; after `max` was lowered it may be more.
    #[must_use]
    pub fn utilisation(&self) -> f64 {
        f64::from(self.gauges.in_use) / f64::from(self.gauges.max.max(1))
    }

    /// Returns the share of the served callers that were served at once, from 0 to 1; `None` before
    /// there was one.
    #[must_use]
    pub fn hit_rate(&self) -> Option<f64> {
        let Counters { direct, waited, .. } = self.counters;
        let served = direct + waited;
        (served > 0).then(|| direct as f64 / served as f64)
    }

    /// Returns how long callers waited on average, those who were served at once included; `None`
    /// before there was one, and not true unless waits are [kept](crate::Builder::wait_times).
    #[must_use]
    pub fn mean_wait(&self) -> Option<Duration> {
        let Counters { direct, waited, .. } = self.counters;
        let nanos = self.waits.sum().as_nanos().checked_div(u128::from(direct + waited))?;
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }
}

/// In which part of its life a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PoolState {
    /// It has no connection and makes none.
    Initializing,
    /// It makes its first connections.
    WarmingUp,
    /// It has had a connection.
    Ready,
    /// It is closed, and connections are out or being closed.
    Draining,
    /// It is closed, and nothing is left in it.
    Closed,
}

impl PoolState {
    pub(crate) fn of(ledger: &Ledger) -> Self {
        let Counters { created, adopted, .. } = ledger.counters();
        match () {
            () if ledger.is_drained() => Self::Closed,
            () if ledger.is_closed() => Self::Draining,
            () if created + adopted > 0 => Self::Ready,
            () if ledger.gauges().creating > 0 => Self::WarmingUp,
            () => Self::Initializing,
        }
    }
}
