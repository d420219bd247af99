//! The pool, and how it is set up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::acquire::Acquire;
use crate::lease::Lease;
use crate::ledger::{Counters, Gauges, Ledger, Options, OptionsError, Violation};
use crate::shared::Shared;
use crate::{Clock, Factory};

/// A pool of connections. Clones share it; when the last is dropped, the pool closes.
///
/// It needs no executor and no background task: callers that wait do what is to be done. A panic in
/// a factory, a waker or a connection's `Drop` ends there, and the pool stays as usable as before.
pub struct Pool<F: Factory, C: Clock> {
    shared: Arc<Shared<F, C>>,
    handle: Arc<Handle<F, C>>,
}

/// Closes the pool when the last [`Pool`] is dropped, while leases keep what they need.
struct Handle<F: Factory, C: Clock>(Arc<Shared<F, C>>);

impl<F: Factory, C: Clock> Drop for Handle<F, C> {
    fn drop(&mut self) {
        close(&self.0);
    }
}

impl<F: Factory, C: Clock> Pool<F, C> {
    /// Starts to set a pool up.
    pub const fn builder(factory: F, clock: C) -> Builder<F, C> {
        Builder {
            factory,
            clock,
            max: 20,
            max_waiting: 1_000,
            acquire_timeout: Some(Duration::from_secs(30)),
            create_timeout: Some(Duration::from_secs(10)),
            offer_timeout: None,
        }
    }

    /// Acquires a connection: an idle one, or else a new one or the next that is released, in the
    /// order in which callers came.
    ///
    /// # Errors
    ///
    /// The acquire timeout passed, the queue is full, the pool is closed, or a creation failed
    /// while this caller stood first.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses the place in the queue and nothing else; see [`Acquire`].
    pub fn acquire(&self) -> Acquire<'_, F, C> {
        Acquire::new(&self.shared, self.shared.acquire_timeout)
    }

    /// Acquires an idle connection if there is one and nobody waits for it. It never waits and
    /// creates nothing.
    pub fn try_acquire(&self) -> Option<Lease<F, C>> {
        let leased = self.shared.step(|state| state.try_acquire())?;
        Some(Lease::new(&self.shared, leased))
    }

    /// Tells how the pool stands and what it has done, both at one instant.
    pub fn stats(&self) -> Stats {
        self.shared.step(|state| Stats {
            gauges: state.ledger.gauges(),
            counters: state.ledger.counters(),
        })
    }

    /// Closes the pool: waiting callers fail at once, so do later ones, and idle connections are
    /// dropped. Leases stay good; their connections are dropped as they come back.
    pub fn close(&self) {
        close(&self.shared);
    }

    /// Tells whether the pool is closed.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().ledger.is_closed()
    }

    /// Checks the invariants of the pool's books; for tests, as it looks at every entry.
    ///
    /// # Errors
    ///
    /// Names the invariant that does not hold, which is an error in this crate.
    pub fn check(&self) -> Result<(), Violation> {
        self.shared.lock().ledger.check()
    }
}

fn close<F: Factory, C: Clock>(shared: &Shared<F, C>) {
    let creations = shared.step(|state| {
        state.ledger.close();
        state.creations.clear()
    });
    drop(creations);
}

impl<F: Factory, C: Clock> Clone for Pool<F, C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), handle: Arc::clone(&self.handle) }
    }
}

impl<F: Factory, C: Clock> fmt::Debug for Pool<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gauges = self.shared.lock().ledger.gauges();
        f.debug_struct("Pool").field("gauges", &gauges).finish_non_exhaustive()
    }
}

/// How a pool stands and what it has done, at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// How things stand.
    pub gauges: Gauges,
    /// What has happened so far.
    pub counters: Counters,
}

/// Sets a [`Pool`] up.
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `build`"]
pub struct Builder<F, C> {
    factory: F,
    clock: C,
    max: u32,
    max_waiting: u32,
    acquire_timeout: Option<Duration>,
    create_timeout: Option<Duration>,
    offer_timeout: Option<Duration>,
}

impl<F: Factory, C: Clock> Builder<F, C> {
    /// Sets the most connections at once, those being created or dropped among them. Default 20.
    pub const fn max(mut self, max: u32) -> Self {
        self.max = max;
        self
    }

    /// Sets the most callers queued beyond those for whom a connection is being created; further
    /// ones are refused. Default 1,000.
    pub const fn max_waiting(mut self, max_waiting: u32) -> Self {
        self.max_waiting = max_waiting;
        self
    }

    /// Sets how long a caller waits unless it says otherwise; `None` is for ever, zero takes what
    /// is idle or can be made at once. Default 30 s.
    pub fn acquire_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.acquire_timeout = timeout.into();
        self
    }

    /// Sets how long a creation may take before it is given up; `None` is for ever. Default 10 s.
    pub fn create_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.create_timeout = timeout.into();
        self
    }

    /// Sets how long a connection is kept for a waiting caller that was woken and is not polled.
    /// Then the next one is offered it; the late one keeps its place, and ends as
    /// [`Missed`](crate::AcquireError::Missed) the third time. `None`, the default, is for ever: a
    /// busy executor polls late, and an offer that passes on helps nobody there. Set it if acquire
    /// futures may be kept without being polled, as by a `select` that is not dropped.
    pub fn offer_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.offer_timeout = timeout.into();
        self
    }

    /// Makes the pool, with no connection yet.
    ///
    /// # Errors
    ///
    /// An option is out of its range; the error names it.
    pub fn build(self) -> Result<Pool<F, C>, OptionsError> {
        let ledger = Ledger::new(Options {
            max_waiting: self.max_waiting,
            create_timeout: self.create_timeout,
            offer_timeout: self.offer_timeout,
            ..Options::new(self.max)
        })?;
        let shared = Shared::new(self.factory, self.clock, ledger, self.acquire_timeout);
        let shared = Arc::new(shared);
        Ok(Pool { handle: Arc::new(Handle(Arc::clone(&shared))), shared })
    }
}
