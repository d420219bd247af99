//! What a tenant's caller holds.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::entry::Entry;
use super::factory::TenantFactory;
use super::guest::Guest;
use super::ticket::Ticketed;
use crate::Clock;
use crate::error::Failure;
use crate::lease::{Lease, Release};
use crate::ledger::Info;

/// A connection on loan to a tenant. Dropping it releases it, with the tenant's context taken off by
/// the factory's reset.
#[must_use = "a lease that is dropped is released"]
pub struct TenantLease<T: TenantFactory, C: Clock + Clone> {
    // The connection is back before its tenant is told so.
    lease: Lease<Ticketed<T, C>, C>,
    guest: Guest<T, C>,
}

impl<T: TenantFactory, C: Clock + Clone> TenantLease<T, C> {
    pub(super) const fn new(lease: Lease<Ticketed<T, C>, C>, guest: Guest<T, C>) -> Self {
        Self { lease, guest }
    }

    /// Returns what is known of the tenant.
    pub fn tenant(&self) -> &Entry {
        &self.guest.entry
    }

    /// Tells what is known of the connection.
    pub fn info(&self) -> Info {
        self.lease.info()
    }

    /// Gives the connection back, and waits until it is reset.
    ///
    /// # Errors
    ///
    /// The reset failed, panicked or was overdue; the connection is being closed, or gone.
    ///
    /// # Cancel safety
    ///
    /// The connection is given back by the call. Dropping the future only does not wait for the
    /// reset, which goes on.
    pub fn release(self) -> TenantRelease<T, C> {
        TenantRelease(self.lease.release())
    }

    /// Gives a damaged connection back, to be closed instead of lent again.
    pub fn discard(self) {
        self.lease.discard();
    }

    /// Takes the connection out of the pool for good, as it is, and frees its place at once. It no
    /// longer counts against the budget.
    pub fn take(self) -> T::Connection {
        self.lease.take().it
    }
}

impl<T: TenantFactory, C: Clock + Clone> Deref for TenantLease<T, C> {
    type Target = T::Connection;

    #[inline]
    fn deref(&self) -> &T::Connection {
        &self.lease.it
    }
}

impl<T: TenantFactory, C: Clock + Clone> DerefMut for TenantLease<T, C> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T::Connection {
        &mut self.lease.it
    }
}

impl<T: TenantFactory<Connection: fmt::Debug>, C: Clock + Clone> fmt::Debug for TenantLease<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantLease")
            .field("tenant", self.guest.entry.id())
            .field("connection", &self.lease.it)
            .finish_non_exhaustive()
    }
}

/// The future of [`TenantLease::release`].
///
/// # Cancel safety
///
/// Dropping it only does not wait for the reset, which goes on.
#[must_use = "the connection is given back, but nobody waits for its reset"]
pub struct TenantRelease<T: TenantFactory, C: Clock + Clone>(Release<Ticketed<T, C>, C>);

impl<T: TenantFactory, C: Clock + Clone> Future for TenantRelease<T, C> {
    type Output = Result<(), Failure<T::Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T: TenantFactory, C: Clock + Clone> fmt::Debug for TenantRelease<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantRelease").finish_non_exhaustive()
    }
}
