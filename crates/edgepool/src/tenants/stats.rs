//! What tenants had.

use super::core::Desk;
use super::factory::TenantFactory;
use super::roster::Key;
use crate::{Clock, Stats, TenantStats, Time};

/// What a tenant had, or all of them, over all pools that it had since it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Its callers and leases. A wait begins with the first poll of the acquire, so that for a pool
    /// is a part of it.
    pub callers: TenantStats,
    /// How often a caller came.
    pub accesses: u64,
    /// The connections that are idle in its own pool. Those of a pool for all are nobody's: they
    /// count in the [`totals`](super::TenantPools::totals) alone.
    pub idle: u32,
    /// The checks and resets that failed in its own pools; those of a pool for all count in the
    /// totals alone.
    pub health_failures: u64,
}

impl Usage {
    pub(super) fn since(now: Time) -> Self {
        let callers = TenantStats { opened_at: now, last_active: now, ..TenantStats::default() };
        Self { callers, ..Self::default() }
    }

    /// Counts how the wait of a caller ended, or its lease.
    pub(super) const fn count(&mut self, how: How) {
        let callers = &mut self.callers;
        match how {
            How::Visited => {}
            How::Returned => {
                callers.in_use -= 1;
                callers.released += 1;
            }
            How::TimedOut => callers.timed_out += 1,
            How::Cancelled => callers.cancelled += 1,
            How::Failed => callers.failed += 1,
            How::Refused => callers.refused += 1,
            How::Ended => callers.ended += 1,
        }
    }

    /// Adds what a pool knows of its connections.
    pub(super) const fn add_pool(&mut self, stats: &Stats) {
        self.idle += stats.gauges.idle;
        self.health_failures += stats.counters.check_failed + stats.counters.reset_failed;
    }

    /// Adds what another tenant had.
    pub(super) fn add(&mut self, other: &Self) {
        let (sum, it) = (&mut self.callers, &other.callers);
        sum.last_active = sum.last_active.max(it.last_active);
        sum.in_use += it.in_use;
        sum.waiting += it.waiting;
        sum.acquired += it.acquired;
        sum.released += it.released;
        sum.timed_out += it.timed_out;
        sum.cancelled += it.cancelled;
        sum.failed += it.failed;
        sum.refused += it.refused;
        sum.ended += it.ended;
        sum.total_wait = sum.total_wait.saturating_add(it.total_wait);
        sum.longest_wait = sum.longest_wait.max(it.longest_wait);
        self.accesses += other.accesses;
        self.idle += other.idle;
        self.health_failures += other.health_failures;
    }
}

impl<T: TenantFactory, C: Clock + Clone> Desk<T, C> {
    /// Counts how the time of a caller ended. Its tenant may be forgotten by now.
    pub(super) fn count(&mut self, key: Key, how: How) {
        match self.get_mut(key) {
            Some(place) => place.usage.count(how),
            None => self.past.count(how),
        }
    }

    /// Tells what a tenant had, but for what its pool of now knows.
    pub(super) fn usage(&self, key: Key) -> Option<Usage> {
        let place = self.get(key)?;
        let mut usage = place.usage;
        usage.accesses = self.roster.accesses(key);
        usage.callers.share = place.entry.share();
        usage.callers.last_active = self.roster.last_active(key)?;
        usage.callers.waiting = self.roster.users(key) - usage.callers.in_use;
        Some(usage)
    }
}

/// How a caller's time inside or outside ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It did not ask for a connection.
    Visited,
    /// Its lease is back.
    Returned,
    TimedOut,
    Cancelled,
    Failed,
    Refused,
    Ended,
}

/// How tenants' pools stand, and what all tenants had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// The tenants that are known by now: those with callers or a pool.
    pub tenants: usize,
    /// The pools that there are, those being opened and closed among them; or the tenants with a
    /// share, if they have one pool.
    pub pools: u32,
    /// The connections that count against the budget: those that there are, and those that pools may
    /// make; 0 without a budget.
    pub budgeted: u64,
    /// What all tenants had, those that are gone among them.
    pub usage: Usage,
}
