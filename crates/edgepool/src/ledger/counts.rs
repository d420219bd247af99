//! What the ledger tells of itself.

/// How things stand at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// The most places that the pool uses.
    pub max: u32,
    /// Places used: the sum of the six that follow.
    pub size: u32,
    /// Creations under way.
    pub creating: u32,
    /// Connections that anyone may have.
    pub idle: u32,
    /// Connections set aside for a waiter that has not claimed them yet.
    pub offered: u32,
    /// Leases out.
    pub in_use: u32,
    /// Leases whose time to live passed, until their connection is closed or overdue to be.
    pub retired: u32,
    /// Connections that the shell is closing.
    pub closing: u32,
    /// Callers in the queue, those with an offer not counted.
    pub waiting: u32,
}

/// What has happened since the pool was made. Every counter only goes up.
///
/// At every instant `started == direct + waited + timed_out + cancelled + failed + refused +
/// closed + missed + pending`, where pending is [`Gauges::waiting`] + [`Gauges::offered`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Acquires begun; a `try_acquire` counts if it succeeds.
    pub started: u64,
    /// Acquires that were served at once.
    pub direct: u64,
    /// Acquires that were served after a wait.
    pub waited: u64,
    /// Acquires whose deadline passed.
    pub timed_out: u64,
    /// Acquires that their caller gave up.
    pub cancelled: u64,
    /// Acquires that ended with a failed or overdue creation.
    pub failed: u64,
    /// Acquires refused because the queue was full.
    pub refused: u64,
    /// Acquires refused or ended because the pool closed.
    pub closed: u64,
    /// Acquires that ended because they let three offers pass.
    pub missed: u64,
    /// Offers that were not claimed in time.
    pub offers_missed: u64,
    /// Leases returned in good order.
    pub released: u64,
    /// Leases returned as damaged.
    pub discarded: u64,
    /// Leases whose connection left the pool.
    pub taken: u64,
    /// Leases whose time to live passed.
    pub expired: u64,
    /// Operations with a key whose tenure was over; they did nothing.
    pub stale: u64,
    /// Connections made elsewhere that were taken in as leases.
    pub adopted: u64,
    /// Creations begun.
    pub creations: u64,
    /// Creations that gave a connection.
    pub created: u64,
    /// Creations that failed.
    pub create_failed: u64,
    /// Creations given up: overdue, or the pool closed.
    pub create_abandoned: u64,
}
