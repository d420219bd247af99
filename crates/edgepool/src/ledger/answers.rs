//! What the ledger answers, and what it asks of its shell.

use super::keys::{SlotKey, TenantKey, WaiterKey};
use super::line::Priority;
use crate::Time;

/// What a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// When its wait ends at the latest.
    pub deadline: Time,
    /// Its class in the queue.
    pub priority: Priority,
    /// How many connections it needs, all at once; at least 1.
    pub need: u16,
    /// Whose caller it is, if a tenant's.
    pub tenant: Option<TenantKey>,
}

impl Ask {
    /// One connection by `deadline`, at normal priority.
    #[must_use]
    pub const fn until(deadline: Time) -> Self {
        Self { deadline, priority: Priority::Normal, need: 1, tenant: None }
    }
}

/// The answer to [`Ledger::acquire`](super::Ledger::acquire).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// The caller has this lease.
    Leased(SlotKey),
    /// The caller is queued under this key.
    Waiting(WaiterKey),
}

/// Why [`Ledger::acquire`](super::Ledger::acquire) did not even queue the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The queue is as long as it may be.
    QueueFull,
    /// The pool is closed.
    Closed,
    /// The caller needs none, or more than there may be, or than its tenant may have.
    TooMany,
    /// Creations keep failing, none is tried before this time, and there is no connection that
    /// could come back until then.
    Unavailable(Time),
    /// As many callers of the tenant are queued as may be.
    TenantQueueFull,
    /// The tenant was closed, or is none of this pool's.
    UnknownTenant,
}

/// The answer to [`Ledger::claim`](super::Ledger::claim).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The offer is a lease now. A waiter that needs several claims as often; with the last lease
    /// it is gone.
    Leased(SlotKey),
    /// There is no offer yet.
    Waiting,
    /// The wait is over without a connection, and the waiter is gone.
    Ended(End),
    /// The key is stale.
    Unknown,
}

/// Why a wait ended without a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its deadline passed.
    TimedOut,
    /// The pool closed.
    Closed,
    /// A creation failed that it depended on.
    CreateFailed,
    /// A creation that it depended on took longer than `create_timeout`.
    CreateTimedOut,
    /// It let [`MAX_MISSED_OFFERS`](super::MAX_MISSED_OFFERS) offers pass.
    Missed,
    /// The pool, or what its tenant may have, shrank below what it needs.
    TooMany,
    /// The waits of its tenant were ended.
    Removed,
}

/// How a check or a reset went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The connection may be lent.
    Good,
    /// The connection must not be lent; the shell has it, and is asked to close it.
    Bad,
    /// There is no connection any more: what had it panicked.
    Lost,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// It makes a connection.
    Creation,
    /// It finds out whether a connection is still good.
    Check,
    /// It cleans a connection that came back.
    Reset,
    /// It closes a connection.
    Closing,
}

/// Why a connection leaves the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Leaving {
    /// Its holder said that it is damaged.
    Discarded,
    /// It was idle for as long as `idle_timeout`, and `min_idle` did not need it.
    Idle,
    /// It was older than `max_lifetime`.
    Aged,
    /// It was lent `max_uses` times.
    Used,
    /// It was made before [`invalidate_all`](super::Ledger::invalidate_all).
    Invalidated,
    /// The pool shrank.
    Surplus,
    /// A check failed.
    CheckFailed,
    /// A reset failed.
    ResetFailed,
    /// The caller of `retain` did not want it.
    Rejected,
    /// Its lease's time to live passed.
    Expired,
    /// The pool closed.
    Closed,
    /// It came back from a job that had been given up.
    Late,
}

/// What the shell must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Wake the waiter, so that it claims what is set aside for it.
    Offer {
        /// Who is offered it.
        waiter: WaiterKey,
        /// What is offered; of several, the last.
        slot: SlotKey,
    },
    /// Tell the waiter that its wait is over; its owner frees the entry with `claim` or `cancel`.
    Ended {
        /// Whose wait ended.
        waiter: WaiterKey,
        /// Why.
        end: End,
    },
    /// Start a creation, and answer with `created` or `create_failed`.
    Create {
        /// The place that the connection will have.
        slot: SlotKey,
    },
    /// Check the connection at this index, and answer with `checked` and this key.
    Check {
        /// The place, under the key of its check.
        slot: SlotKey,
    },
    /// Drop the job that was begun with this key: it was too slow, or is not wanted any more. Its
    /// place is free already.
    Abandon {
        /// The key that the job was begun with.
        slot: SlotKey,
        /// What it is.
        job: JobKind,
        /// Whether it was too slow.
        overdue: bool,
    },
    /// Close the connection at this index, and answer with `closed` and this key.
    Close {
        /// The place, under the key of its closing.
        slot: SlotKey,
        /// Why.
        leaving: Leaving,
    },
    /// Tell that the lease has been out for `long_hold`.
    LongHold {
        /// The lease.
        slot: SlotKey,
    },
    /// Tell whoever waits for it that the closed pool is empty.
    Drained,
}
