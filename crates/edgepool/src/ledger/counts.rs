//! What the ledger tells of itself.

use core::time::Duration;

use crate::Time;

/// How things stand at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
// In this order, as the exports of the module for JavaScript read one by its place.
#[repr(C)]
pub struct Gauges {
    /// The most places that the pool uses.
    pub max: u32,
    /// Places used: the sum of the eight that follow. It exceeds `max` after that was lowered, until
    /// what is beyond it has left, and while a connection closes that came back from a job which had
    /// been given up.
    pub size: u32,
    /// Creations under way.
    pub creating: u32,
    /// Connections that anyone may have.
    pub idle: u32,
    /// Connections that are being checked.
    pub checking: u32,
    /// Connections set aside for a waiter that has not claimed them yet.
    pub offered: u32,
    /// Leases out.
    pub in_use: u32,
    /// Connections that came back and are being reset.
    pub resetting: u32,
    /// Leases whose time to live passed, until their connection is closed or overdue to be.
    pub retired: u32,
    /// Connections that the shell is closing.
    pub closing: u32,
    /// Callers in the queue, those with all that they need set aside not counted.
    pub waiting: u32,
    /// Callers whose wait is not over: those in the queue, and those with an offer.
    pub pending: u32,
}

/// What has happened since the pool was made. Every counter only goes up.
///
/// At every instant
///
/// - `started == direct + waited + timed_out + cancelled + failed + refused + closed + missed +`
///   [`Gauges::pending`];
/// - `creations == created + create_failed + create_abandoned +` [`Gauges::creating`];
/// - `direct + waited + batched + adopted == released + discarded + taken + expired +`
///   [`Gauges::in_use`];
/// - `created + adopted + late == removed + taken +` the connections that there are, which is
///   [`Gauges::size`]` - `[`Gauges::creating`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
// As above.
#[repr(C)]
pub struct Counters {
    /// Acquires begun; a `try_acquire` counts if it succeeds.
    pub started: u64,
    /// Acquires that were served at once.
    pub direct: u64,
    /// Acquires that were served after a wait.
    pub waited: u64,
    /// Leases beyond the first of callers that needed several.
    pub batched: u64,
    /// Acquires whose deadline passed.
    pub timed_out: u64,
    /// Acquires that their caller gave up.
    pub cancelled: u64,
    /// Acquires that ended with a failed or overdue creation, or were refused because of one.
    pub failed: u64,
    /// Acquires refused because the queue was full, or for needing more than there may be.
    pub refused: u64,
    /// Acquires refused or ended because the pool closed, or because of the end of their tenant.
    pub closed: u64,
    /// Acquires that ended because they let three offers pass.
    pub missed: u64,
    /// Offers that were not claimed in time.
    pub offers_missed: u64,
    /// Leases returned in good order.
    pub released: u64,
    /// Leases returned as damaged.
    pub discarded: u64,
    /// Leases whose connection left the pool with its holder.
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
    /// Creations that failed, the overdue ones not counted.
    pub create_failed: u64,
    /// Creations given up: overdue, or not wanted any more.
    pub create_abandoned: u64,
    /// Checks begun.
    pub checks: u64,
    /// Checks that failed, were overdue or panicked.
    pub check_failed: u64,
    /// Resets begun.
    pub resets: u64,
    /// Resets that failed, were overdue or panicked.
    pub reset_failed: u64,
    /// Connections retired because they were idle for too long.
    pub retired_idle: u64,
    /// Connections retired for their age.
    pub retired_aged: u64,
    /// Connections retired because they were lent as often as they may be.
    pub retired_used: u64,
    /// Connections retired because everything older was invalidated.
    pub retired_invalidated: u64,
    /// Connections retired because the pool shrank.
    pub retired_surplus: u64,
    /// Connections that left because the pool closed.
    pub retired_closed: u64,
    /// Connections that `retain` did not keep.
    pub rejected: u64,
    /// Connections that came back from a job after it was given up, to be closed.
    pub late: u64,
    /// Connections that were closed or lost, so that their place is free.
    pub removed: u64,
}

/// What is known of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its number: in the order in which their creations began, from 1, never used again.
    pub id: u64,
    /// When it was made, by the pool's clock, as exact as `last_used`; while it is being made, since
    /// when.
    pub born: Time,
    /// How often it was lent, this time included.
    pub uses: u64,
    /// When it came back last, if it did. Exact while an option is on that needs the clock at
    /// every return, as the idle timeout does; else the time that the pool read last before that.
    pub last_used: Option<Time>,
    /// How long its present or last holder waited for it.
    pub waited: Duration,
}
