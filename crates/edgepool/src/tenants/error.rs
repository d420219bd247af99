//! What can go wrong for a tenant's caller, and what to do about it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::id::{TenantId, TenantIdError};
use super::stats::How;
use crate::error::{AcquireError, Failure, WarmUpError};
use crate::ledger::OptionsError;

/// Why [`TenantPools::acquire`](super::TenantPools::acquire) gave no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TenantError<E> {
    /// The name is no id of a tenant.
    Id(TenantIdError),
    /// Tenants that are not named in the configuration are refused, and this one is not.
    Unknown(TenantId),
    /// The id is too long to name the tenant's schema or database after, which has none of its own.
    NameTooLong(TenantId),
    /// The tenant's share, or an option of its pool, is out of range.
    Options(OptionsError),
    /// The tenant's share asks for more than there may be.
    Share(Excess),
    /// The factory panicked as it was asked for the tenant's pool.
    FactoryPanicked,
    /// As many callers wait for pools as may.
    QueueFull {
        /// The most that may wait.
        max_waiting: u32,
    },
    /// The time that the caller allowed passed before its tenant had a pool: all places or all of
    /// the budget were used by tenants that did not come to an end.
    NoPool {
        /// How long it waited.
        waited: Duration,
    },
    /// The tenant was removed while its caller waited.
    Removed,
    /// The pools are closed.
    Closed,
    /// The tenant's pool gave no connection.
    Acquire(AcquireError<E>),
    /// The tenant's context could not be put on the connection, which was closed.
    Enter(Failure<E>),
    /// The tenant's context could not be put on connections again and again, and it is not tried for
    /// a while.
    Unavailable {
        /// How long until the next attempt; while one is under way, how long that has at most.
        retry_in: Duration,
        /// How the last one failed.
        cause: Failure<E>,
    },
    /// Not all connections were made with which the tenant's pool begins.
    WarmUp(Arc<WarmUpError<E>>),
}

/// A number of a share that is more than that which it is a share of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Excess {
    /// What is too much: `max` or `max_waiting`.
    pub what: &'static str,
    /// How much it is.
    pub is: u32,
    /// What bounds it.
    pub bound: &'static str,
    /// The most that it may be.
    pub most: u32,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, is, bound, most } = self;
        write!(f, "{what} {is}, more than {bound}, {most}; it must be at most that, or none")
    }
}

/// Why a tenant's pool could not be made.
#[derive(Clone, Debug)]
pub(super) enum OpenError {
    Options(OptionsError),
    Panicked,
}

impl From<OptionsError> for OpenError {
    fn from(error: OptionsError) -> Self {
        Self::Options(error)
    }
}

impl<E> From<OpenError> for TenantError<E> {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Options(error) => Self::Options(error),
            OpenError::Panicked => Self::FactoryPanicked,
        }
    }
}

impl<E> TenantError<E> {
    /// Tells as what it is counted.
    pub(super) const fn how(&self) -> How {
        match self {
            Self::NoPool { .. }
            | Self::Acquire(AcquireError::TimedOut(_))
            | Self::Enter(Failure::TimedOut) => How::TimedOut,
            Self::QueueFull { .. }
            | Self::Acquire(
                AcquireError::QueueFull { .. }
                | AcquireError::TenantQueueFull { .. }
                | AcquireError::TooMany { .. },
            ) => How::Refused,
            Self::Removed | Self::Closed | Self::Acquire(AcquireError::Missed) => How::Ended,
            _ => How::Failed,
        }
    }
}

impl<E: fmt::Display> fmt::Display for TenantError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(error) => error.fmt(f),
            Self::Unknown(id) => write!(
                f,
                "the tenant {id} is not known; name it in the configuration, or let unknown \
                 tenants be created"
            ),
            Self::NameTooLong(id) => write!(
                f,
                "the tenant {id} has too long an id to name a schema or a database after; set \
                 their names in its configuration"
            ),
            Self::Options(error) => write!(f, "the tenant's pool cannot be made: {error}"),
            Self::Share(excess) => write!(f, "the tenant's share has {excess}"),
            Self::FactoryPanicked => {
                f.write_str("the tenants' factory panicked; its panic says why")
            }
            Self::QueueFull { max_waiting } => write!(
                f,
                "{max_waiting} callers wait for their tenants' pools already; try again later, or \
                 raise max_waiting"
            ),
            Self::NoPool { waited } => write!(
                f,
                "the tenant had no pool within {waited:?}, as other tenants kept theirs; raise the \
                 number of pools, the budget or the acquire timeout, or hold leases for less time"
            ),
            Self::Removed => f.write_str("the tenant was removed while its caller waited"),
            Self::Closed => f.write_str("the tenants' pools are closed"),
            Self::Acquire(error) => error.fmt(f),
            Self::Enter(failure) => {
                write!(f, "the tenant's context could not be put on the connection: {failure}")
            }
            Self::Unavailable { retry_in, cause } => write!(
                f,
                "the tenant's context could not be put on connections again and again; try again in \
                 {retry_in:?}; the last failure: {cause}"
            ),
            Self::WarmUp(error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for TenantError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Id(error) => Some(error),
            Self::Options(error) => Some(error),
            Self::Acquire(error) => error.source(),
            Self::Enter(failure) | Self::Unavailable { cause: failure, .. } => failure.source(),
            Self::WarmUp(error) => error.source(),
            _ => None,
        }
    }
}

/// Why [`Builder::build`](super::Builder::build) made no pools.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// An option of the pools, or a tenant's share, is out of range or contradicts another.
    Options(OptionsError),
    /// One number was more than another allows.
    Over {
        /// What is too much.
        what: &'static str,
        /// How much it is.
        is: u32,
        /// What bounds it.
        bound: &'static str,
        /// The most that it may be.
        most: u32,
    },
    /// The share of a tenant asks for more than there may be; or that of all who have none of their
    /// own.
    Share {
        /// The tenant, if it is that of one.
        tenant: Option<TenantId>,
        /// What it asks for.
        excess: Excess,
    },
    /// `max` was set among the options of the pools: their size is the strategy's.
    MaxIsTheStrategys,
    /// A budget was set for one pool, whose size is one.
    BudgetOfOnePool,
}

impl From<OptionsError> for BuildError {
    fn from(error: OptionsError) -> Self {
        Self::Options(error)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(error) => error.fmt(f),
            Self::Over { what, is, bound, most } => {
                write!(f, "{what} is {is}, more than {bound}, {most}; it must be at most that")
            }
            Self::Share { tenant: Some(tenant), excess } => {
                write!(f, "the share of the tenant {tenant} has {excess}")
            }
            Self::Share { tenant: None, excess } => write!(f, "the share of tenants has {excess}"),
            Self::MaxIsTheStrategys => f.write_str(
                "max is set among the options of the pools; set their size in the strategy instead",
            ),
            Self::BudgetOfOnePool => f.write_str(
                "a budget is set, and tenants share one pool; set its size in the strategy instead",
            ),
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Options(error) => Some(error),
            _ => None,
        }
    }
}

/// Leases were still out when the time to [drain](super::TenantPools::drain) passed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantDrainError {
    /// The tenants that are not gone, and how many leases each has out.
    pub tenants: Vec<(TenantId, u32)>,
}

impl fmt::Display for TenantDrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the pools are closed, and {} tenants are not gone", self.tenants.len())?;
        let mut some = self.tenants.iter().take(10);
        some.try_for_each(|(id, leases)| write!(f, "; {id} has {leases} leases out"))
    }
}

impl Error for TenantDrainError {}
