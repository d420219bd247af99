//! What a pool tells of itself as it happens.

use std::panic::Location;
use std::time::Duration;

use crate::ledger::{End, Info, JobKind, Leaving, WaiterKey};

/// Tells about a connection. Asking takes the pool's lock for a moment; not asking costs nothing.
#[derive(Clone, Copy)]
pub struct About<'a>(pub(crate) &'a dyn Fn() -> Option<Info>);

impl About<'_> {
    /// Returns what is known of the connection; `None` if it has left the pool in the meantime, as
    /// one can whose creation, check or reset was overdue.
    #[must_use]
    pub fn info(&self) -> Option<Info> {
        (self.0)()
    }
}

impl std::fmt::Debug for About<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("About").field(&(self.0)()).finish()
    }
}

/// Something that happened in a pool. It is told outside the pool's lock, so whoever is told may use
/// the pool, and can change nothing about it: what ends a connection's stay or its loan
/// ([`Released`](Self::Released), [`Taken`](Self::Taken), [`Leaves`](Self::Leaves)) just before it
/// is noted, as nothing is known of the connection after, and all else after it happened.
///
/// Each connection that is told as [`Created`](Self::Created) is told once more as it ends: as
/// [`Leaves`](Self::Leaves), [`Taken`](Self::Taken) or [`Lost`](Self::Lost), but for what a pool had
/// in checks and resets when its last handle was dropped.
///
/// What happens on several threads at once is told on each of them, in no order between them.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A connection was made.
    Created(About<'a>),
    /// A creation failed, panicked or was overdue.
    CreateFailed,
    /// A caller joined the queue.
    Queued(WaiterKey),
    /// A caller has a connection.
    Acquired(About<'a>),
    /// A caller has a connection after it waited for longer than
    /// [`slow_acquire`](crate::Builder::slow_acquire).
    SlowAcquire {
        /// How long it waited.
        waited: Duration,
        /// Where it asked.
        at: Option<&'static Location<'static>>,
    },
    /// The wait of a caller ended without a connection.
    Ended(WaiterKey, End),
    /// A caller was not even queued.
    Refused,
    /// A caller gave up its wait.
    Cancelled(WaiterKey),
    /// A connection comes back in good order.
    Released(About<'a>),
    /// A connection leaves the pool with its holder.
    Taken(About<'a>),
    /// A lease has been out for longer than [`long_hold`](crate::Builder::long_hold).
    LongHold {
        /// What is lent.
        about: About<'a>,
        /// For how long it has been out. That may be longer than the option says, as this is told
        /// at the next operation or by a driver.
        held: Duration,
        /// Where it was acquired, if the pool [keeps that](crate::Builder::capture_holders).
        holder: Option<&'static Location<'static>>,
    },
    /// A connection is about to be closed.
    Leaves(About<'a>, Leaving),
    /// A connection is lost: the check or the reset that had it panicked, or took too long and was
    /// dropped. Nothing can be closed then, so this is told instead of [`Leaves`](Self::Leaves).
    Lost {
        /// The number of the connection; none if the job had been given up before it was lost.
        connection: Option<u64>,
        /// What had it.
        job: JobKind,
    },
}

/// Is told what happens in a pool.
///
/// Every closure that takes an [`Event`] is one.
pub trait Observer {
    /// Is told of one event. A panic ends here, and the pool goes on.
    fn observe(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>)> Observer for F {
    fn observe(&self, event: &Event<'_>) {
        self(event);
    }
}
