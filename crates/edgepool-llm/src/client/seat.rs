use std::sync::{Arc, Mutex, PoisonError};

use edgepool::{Clock, Lease};

use super::hub::Places;

/// Where the place is kept that a caller holds beyond one call.
pub(super) struct Home<C: Clock>(Mutex<Option<Lease<Places, C>>>);

impl<C: Clock> Home<C> {
    pub(super) const fn new(lease: Lease<Places, C>) -> Self {
        Self(Mutex::new(Some(lease)))
    }

    /// Takes the place, if no attempt has it.
    pub(super) fn take(self: &Arc<Self>) -> Option<Seat<C>> {
        let lease = self.swap(None)?;
        Some(Seat { lease: Some(lease), home: Some(Arc::clone(self)) })
    }

    fn swap(&self, lease: Option<Lease<Places, C>>) -> Option<Lease<Places, C>> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), lease)
    }
}

/// The place that an attempt has. Dropped, it goes back to where it came from.
pub(super) struct Seat<C: Clock> {
    lease: Option<Lease<Places, C>>,
    home: Option<Arc<Home<C>>>,
}

impl<C: Clock> Seat<C> {
    pub(super) const fn new(lease: Lease<Places, C>) -> Self {
        Self { lease: Some(lease), home: None }
    }
}

impl<C: Clock> Drop for Seat<C> {
    fn drop(&mut self) {
        let lease = self.lease.take();
        match &self.home {
            // What it replaces is nothing, and is dropped without the lock.
            Some(home) => drop(home.swap(lease)),
            None => drop(lease),
        }
    }
}
