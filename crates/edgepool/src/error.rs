//! What can go wrong for a caller, and what to do about it.

use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::Time;
use crate::ledger::{Gauges, SlotKey};

/// Why a creation or a reset gave no connection.
///
/// The factory's error is shared, as one failure may concern many callers.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure<E> {
    /// The factory's error.
    Error(Arc<E>),
    /// It took longer than its time-out allows.
    TimedOut,
    /// It panicked.
    Panicked,
    /// It was not wanted any more: the pool closed, shrank, or was invalidated.
    GivenUp,
}

impl<E> Failure<E> {
    pub(crate) fn error(error: E) -> Self {
        Self::Error(Arc::new(error))
    }
}

impl<E> Clone for Failure<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Error(error) => Self::Error(Arc::clone(error)),
            Self::TimedOut => Self::TimedOut,
            Self::Panicked => Self::Panicked,
            Self::GivenUp => Self::GivenUp,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::TimedOut => f.write_str("it took longer than its time-out allows"),
            Self::Panicked => f.write_str("the factory panicked; its panic says why"),
            Self::GivenUp => f.write_str("it was given up, as the pool needs it no more"),
        }
    }
}

impl<E: Error + 'static> Error for Failure<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Error(error) => error.source(),
            _ => None,
        }
    }
}

/// Why [`Pool::acquire`](crate::Pool::acquire) gave no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireError<E> {
    /// The time that the caller allowed passed.
    TimedOut(Box<TimedOut<E>>),
    /// As many callers are queued as may be.
    QueueFull {
        /// The most that may be queued.
        max_waiting: u32,
    },
    /// As many callers of the tenant are queued as its share allows.
    TenantQueueFull {
        /// The most that may be queued.
        max_waiting: u32,
    },
    /// The caller asked for no connection, or for more than there may be, or than its tenant may
    /// have.
    TooMany {
        /// The most that there may be.
        max: u32,
    },
    /// The tenant is one of another pool.
    UnknownTenant,
    /// The waits of the caller's tenant were ended.
    TenantRemoved,
    /// The pool is closed.
    Closed,
    /// A creation failed that the caller depended on.
    CreateFailed(Arc<E>),
    /// A creation took too long that the caller depended on.
    CreateTimedOut,
    /// The factory panicked in a creation that the caller depended on.
    CreatePanicked,
    /// Creations have failed again and again, there is no connection that could come back, and none
    /// is tried for a while.
    Unavailable {
        /// How long until the next one is tried.
        retry_in: Duration,
        /// How the last one failed.
        cause: Option<Failure<E>>,
    },
    /// The caller was offered a connection several times and did not take it: it was not polled.
    Missed,
}

/// How things stood as a caller was told that its time had passed: as it was polled then, which may
/// be later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedOut<E> {
    /// What it waited for.
    pub phase: Phase,
    /// How long it waited.
    pub waited: Duration,
    /// How many callers were to be served before it as its time passed, counted up to 1,000.
    pub place: usize,
    /// How the pool stands, the caller no longer counted.
    pub pool: Gauges,
    /// The leases that were out the longest, up to three, if the pool
    /// [keeps holders](crate::Builder::capture_holders).
    pub holders: Vec<Holder>,
    /// How the last creation failed, unless one succeeded since.
    pub cause: Option<Failure<E>>,
}

/// What a caller waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// A connection that another caller holds; or, for one that was not polled in time, one that was
    /// set aside for it.
    Waiting,
    /// A connection that was being made.
    Connecting,
    /// A connection that was being checked or reset.
    Checking,
    /// The end of the wait after a failed creation.
    BackingOff,
    /// The end of a [`pause`](crate::Pool::pause).
    Paused,
    /// A connection that another caller of its tenant holds, which has all that it may have.
    TenantAtMax,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting for a lease to come back",
            Self::Connecting => "connecting",
            Self::Checking => "checking a connection",
            Self::BackingOff => "waiting to connect again after a failure",
            Self::Paused => "paused",
            Self::TenantAtMax => "waiting for a lease of its tenant, which has its max",
        })
    }
}

/// A lease that is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The lease.
    pub lease: SlotKey,
    /// The number of its connection.
    pub connection: u64,
    /// Since when it is out, by the pool's clock, as exact as
    /// [`Info::last_used`](crate::ledger::Info::last_used).
    pub since: Time,
    /// For how long.
    pub held: Duration,
    /// Where it was acquired, if the pool [keeps that](crate::Builder::capture_holders).
    pub at: Option<&'static Location<'static>>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {} for {:?}", self.connection, self.held)?;
        match self.at {
            Some(at) => write!(f, ", acquired at {at}"),
            None => Ok(()),
        }
    }
}

impl<E: fmt::Display> fmt::Display for AcquireError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(timed_out) => timed_out.fmt(f),
            Self::QueueFull { max_waiting } => write!(
                f,
                "the queue of {max_waiting} waiting callers is full; try again later, or raise \
                 max_waiting"
            ),
            Self::TenantQueueFull { max_waiting } => write!(
                f,
                "the tenant's queue of {max_waiting} waiting callers is full; try again later, or \
                 raise max_waiting in its share"
            ),
            Self::UnknownTenant => {
                f.write_str("the tenant is one of another pool; open it with this pool's tenant()")
            }
            Self::TenantRemoved => f.write_str("the tenant was removed while its caller waited"),
            Self::TooMany { max } => write!(
                f,
                "as many connections as that cannot be had at once; ask for 1 to {max}, or raise \
                 max"
            ),
            Self::Closed => f.write_str("the pool is closed"),
            Self::CreateFailed(error) => write!(f, "a connection could not be created: {error}"),
            Self::CreateTimedOut => {
                f.write_str("a connection took longer to create than create_timeout allows")
            }
            Self::CreatePanicked => f.write_str("the factory panicked; its panic says why"),
            Self::Unavailable { retry_in, cause } => {
                write!(f, "no connection can be created; the next attempt is in {retry_in:?}")?;
                cause.iter().try_for_each(|cause| write!(f, ", the last one failed: {cause}"))
            }
            Self::Missed => f.write_str(
                "offers of a connection passed unclaimed; poll the acquire future when it is woken",
            ),
        }
    }
}

impl<E: fmt::Display> fmt::Display for TimedOut<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { phase, waited, place, pool, .. } = self;
        write!(
            f,
            "no connection within {waited:?} ({phase}): {place} callers ahead, {} of {} in use, {} \
             being created; raise max or the acquire timeout, or hold leases for less time",
            pool.in_use, pool.max, pool.creating
        )?;
        for holder in &self.holders {
            write!(f, "; {holder}")?;
        }
        self.cause.iter().try_for_each(|cause| write!(f, "; the last creation failed: {cause}"))
    }
}

impl<E: Error + 'static> Error for AcquireError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::CreateFailed(error) => Some(&**error),
            Self::TimedOut(timed_out) => cause(timed_out.cause.as_ref()),
            Self::Unavailable { cause: failure, .. } => cause(failure.as_ref()),
            _ => None,
        }
    }
}

fn cause<E: Error + 'static>(failure: Option<&Failure<E>>) -> Option<&(dyn Error + 'static)> {
    match failure {
        Some(Failure::Error(error)) => Some(&**error),
        Some(other) => Some(other),
        None => None,
    }
}

/// Leases were still out when the time to [`drain`](crate::Pool::drain) passed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainError {
    /// The leases that are out, the longest held first.
    pub holders: Vec<Holder>,
    /// How the pool stands.
    pub pool: Gauges,
}

impl fmt::Display for DrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Gauges { in_use, size, .. } = self.pool;
        write!(f, "the pool is closed and not empty: {in_use} leases out, {size} places used")?;
        self.holders.iter().try_for_each(|holder| write!(f, "; {holder}"))
    }
}

impl Error for DrainError {}

/// Not all connections were made that [`warm_up`](crate::Pool::warm_up) was to make.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WarmUpError<E> {
    /// How many were made.
    pub made: u32,
    /// How each of the attempts failed that did.
    pub failures: Vec<Failure<E>>,
    /// How many were not tried: there was no room for them, the pool closed or was paused, or
    /// failures hold creations back.
    pub untried: u32,
}

impl<E: fmt::Display> fmt::Display for WarmUpError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { made, failures, untried } = self;
        write!(f, "{made} connections were made, {} failed", failures.len())?;
        if *untried > 0 {
            write!(f, ", {untried} were not tried")?;
        }
        failures.last().iter().try_for_each(|last| write!(f, "; the last failure: {last}"))
    }
}

impl<E: Error + 'static> Error for WarmUpError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        cause(self.failures.last())
    }
}
