//! What can go wrong for a caller, and what to do about it.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::ledger::Gauges;

/// Why [`Pool::acquire`](crate::Pool::acquire) gave no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireError<E> {
    /// The time that the caller allowed passed.
    TimedOut {
        /// How long it waited.
        waited: Duration,
        /// How the pool stood then, the caller no longer counted.
        pool: Gauges,
    },
    /// As many callers are queued as may be.
    QueueFull {
        /// The most that may be queued.
        max_waiting: u32,
    },
    /// The pool is closed.
    Closed,
    /// A creation failed while the caller stood first in the queue.
    CreateFailed(E),
    /// A creation took too long while the caller stood first in the queue.
    CreateTimedOut,
    /// The factory panicked while the caller stood first in the queue.
    CreatePanicked,
    /// The caller was offered a connection several times and did not take it: it was not polled.
    Missed,
}

impl<E: fmt::Display> fmt::Display for AcquireError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { waited, pool } => write!(
                f,
                "no connection within {waited:?}: {} of {} in use, {} being created, {} others \
                 waiting; raise max or the acquire timeout, or hold leases for less time",
                pool.in_use, pool.max, pool.creating, pool.waiting
            ),
            Self::QueueFull { max_waiting } => write!(
                f,
                "the queue of {max_waiting} waiting callers is full; try again later, or raise \
                 max_waiting"
            ),
            Self::Closed => f.write_str("the pool is closed"),
            Self::CreateFailed(error) => write!(f, "a connection could not be created: {error}"),
            Self::CreateTimedOut => {
                f.write_str("a connection took longer to create than create_timeout allows")
            }
            Self::CreatePanicked => f.write_str("the factory panicked; its panic says why"),
            Self::Missed => f.write_str(
                "offers of a connection passed unclaimed; poll the acquire future when it is woken",
            ),
        }
    }
}

impl<E: Error + 'static> Error for AcquireError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::CreateFailed(error) => Some(error),
            _ => None,
        }
    }
}
