//! What the pool tells callers whose wait ended without a connection, and operators who ask.

use crate::error::{AcquireError, Failure, Holder, Phase, TimedOut};
use crate::factory::Factory;
use crate::ledger::{End, Gauges, Refused, Share, TenantKey, WaiterKey};
use crate::state::State;

/// How many leases a timed-out caller is told of.
const HOLDERS_TOLD: usize = 3;

impl<F: Factory> State<F> {
    pub(crate) fn refusal(
        &self,
        refused: Refused,
        tenant: Option<TenantKey>,
    ) -> AcquireError<F::Error> {
        let options = self.ledger.options();
        let share = tenant.and_then(|tenant| self.ledger.tenant(tenant)).map(|told| told.share);
        let Share { max, max_waiting, .. } = share.unwrap_or_default();
        match refused {
            Refused::Closed => AcquireError::Closed,
            Refused::QueueFull => AcquireError::QueueFull { max_waiting: options.max_waiting },
            Refused::TooMany => {
                AcquireError::TooMany { max: max.unwrap_or(u32::MAX).min(options.max) }
            }
            Refused::TenantQueueFull => AcquireError::TenantQueueFull {
                max_waiting: max_waiting.unwrap_or(options.max_waiting),
            },
            Refused::UnknownTenant => AcquireError::UnknownTenant,
            Refused::Unavailable(until) => AcquireError::Unavailable {
                retry_in: self.ledger.until(until),
                cause: self.last_failure.clone(),
            },
        }
    }

    /// Tells a waiter why its wait ended. `timed_out`, and the `most` that it could have had, were
    /// asked before it was let go.
    pub(crate) fn ending(
        &mut self,
        key: WaiterKey,
        end: End,
        timed_out: Option<Box<TimedOut<F::Error>>>,
        most: u32,
    ) -> AcquireError<F::Error> {
        match (end, self.take_failure(key), timed_out) {
            (End::TimedOut, _, Some(timed_out)) => AcquireError::TimedOut(timed_out),
            (End::TimedOut | End::Closed, ..) => AcquireError::Closed,
            (End::Missed, ..) => AcquireError::Missed,
            (End::Removed, ..) => AcquireError::TenantRemoved,
            (End::TooMany, ..) => AcquireError::TooMany { max: most },
            (End::CreateTimedOut, ..) => AcquireError::CreateTimedOut,
            (End::CreateFailed, Some(Failure::Error(error)), _) => {
                AcquireError::CreateFailed(error)
            }
            (End::CreateFailed, ..) => AcquireError::CreatePanicked,
        }
    }

    /// How things stand for a waiter whose time has passed; `None` for the others.
    pub(crate) fn timed_out(&self, key: WaiterKey) -> Option<Box<TimedOut<F::Error>>> {
        let (since, place) = self.ledger.timed_out(key)?;
        let pool = self.ledger.gauges();
        let holders = match self.keeps_holders() {
            true => self.oldest_holders(HOLDERS_TOLD),
            false => Vec::new(),
        };
        Some(Box::new(TimedOut {
            phase: match self.ledger.is_at_cap(key) {
                true => Phase::TenantAtMax,
                false => self.phase(&pool, place.into()),
            },
            waited: self.ledger.now().saturating_since(since),
            place: place.into(),
            pool,
            holders,
            cause: self.last_failure.clone(),
        }))
    }

    fn phase(&self, pool: &Gauges, place: u32) -> Phase {
        if self.ledger.is_paused() {
            Phase::Paused
        } else if place < pool.creating {
            Phase::Connecting
        } else if place < pool.creating + pool.checking + pool.resetting {
            Phase::Checking
        } else if self.ledger.retry_at().is_some() && pool.size < pool.max {
            Phase::BackingOff
        } else {
            Phase::Waiting
        }
    }

    /// Returns the leases that are out, the longest held first.
    pub(crate) fn oldest_holders(&self, most: usize) -> Vec<Holder> {
        let mut holders: Vec<Holder> = self.all_holders().collect();
        holders.sort_unstable_by_key(|holder| (holder.since, holder.connection));
        holders.truncate(most);
        holders
    }

    fn all_holders(&self) -> impl Iterator<Item = Holder> + '_ {
        let now = self.ledger.now();
        self.ledger.leases().filter_map(move |(lease, since)| {
            let info = self.ledger.info(lease)?;
            let held = now.saturating_since(since);
            Some(Holder { lease, connection: info.id, since, held, at: self.holder(lease) })
        })
    }
}
