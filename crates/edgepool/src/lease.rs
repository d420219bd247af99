//! What a caller holds.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::ledger::SlotKey;
use crate::shared::{Leased, Shared};
use crate::{Clock, Factory};

/// A connection on loan. Dropping it releases it, from any thread and without an executor: the
/// connection goes to the caller that waits longest, or is idle.
#[must_use = "a lease that is dropped is released"]
pub struct Lease<F: Factory, C: Clock> {
    shared: Arc<Shared<F, C>>,
    slot: SlotKey,
    /// `None` only while the lease is being dropped.
    connection: Option<F::Connection>,
}

impl<F: Factory, C: Clock> Lease<F, C> {
    pub(crate) fn new(
        shared: &Arc<Shared<F, C>>,
        (slot, connection): Leased<F::Connection>,
    ) -> Self {
        Self { shared: Arc::clone(shared), slot, connection: Some(connection) }
    }

    /// Returns the key of this lease: its place in the pool, and which tenure of it.
    pub const fn key(&self) -> SlotKey {
        self.slot
    }

    /// Gives a damaged connection back, to be dropped instead of lent again. Its place is free for
    /// a new one at once.
    pub fn discard(mut self) {
        self.give_back(false);
    }

    /// Takes the connection out of the pool for good, and frees its place at once.
    pub fn take(mut self) -> F::Connection {
        let connection = self.connection.take().expect("a lease holds its connection");
        let slot = self.slot;
        self.shared.step(|state| state.ledger.take(slot));
        connection
    }

    fn give_back(&mut self, in_good_order: bool) {
        if let Some(connection) = self.connection.take() {
            let slot = self.slot;
            let stale = self.shared.step(|state| state.release(slot, connection, in_good_order));
            drop(stale);
        }
    }
}

impl<F: Factory, C: Clock> Deref for Lease<F, C> {
    type Target = F::Connection;

    fn deref(&self) -> &F::Connection {
        self.connection.as_ref().expect("a lease holds its connection")
    }
}

impl<F: Factory, C: Clock> DerefMut for Lease<F, C> {
    fn deref_mut(&mut self) -> &mut F::Connection {
        self.connection.as_mut().expect("a lease holds its connection")
    }
}

impl<F: Factory, C: Clock> Drop for Lease<F, C> {
    fn drop(&mut self) {
        self.give_back(true);
    }
}

impl<F: Factory<Connection: fmt::Debug>, C: Clock> fmt::Debug for Lease<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("slot", &self.slot)
            .field("connection", &self.connection)
            .finish()
    }
}
