//! The pool.

use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::acquire::{Acquire, AcquireMany};
use crate::attend::{Attendant, Driver};
use crate::builder::Builder;
use crate::error::Holder;
use crate::lease::Lease;
use crate::ledger::{Info, OptionsError, Share, SlotKey, Violation};
use crate::operate::{Drain, WarmUp};
use crate::shared::Shared;
use crate::state::Leased;
use crate::stats::{PoolState, Stats};
use crate::{Clock, Factory, Tenant, Time};

/// A pool of connections. Clones share it; when the last is dropped, the pool closes.
///
/// It needs no executor and no background task: callers that wait do what is to be done. A panic in
/// a factory, a hook, an observer, a waker or a connection's `Drop` ends there, and the pool stays
/// as usable as before.
pub struct Pool<F: Factory, C: Clock> {
    shared: Arc<Shared<F, C>>,
    handle: Arc<Handle<F, C>>,
}

/// Closes the pool when the last [`Pool`] is dropped, while leases keep what they need.
struct Handle<F: Factory, C: Clock>(Arc<Shared<F, C>>);

impl<F: Factory, C: Clock> Drop for Handle<F, C> {
    fn drop(&mut self) {
        self.0.step_now(|state| state.ledger.close());
    }
}

/// Callers.
impl<F: Factory, C: Clock> Pool<F, C> {
    /// Starts to set a pool up.
    pub const fn builder(factory: F, clock: C) -> Builder<F, C> {
        Builder::new(factory, clock)
    }

    /// Starts to set a pool up for a service outside of the program, such as a database: 2 to 20
    /// connections, each made within 10 s, unused for at most 300 s, looked at every 30 s and
    /// replaced after an hour. The [guide](crate::guide#connections-to-services) has more on such
    /// pools.
    ///
    /// Each of these may be set anew. What is smaller than two connections, or has no check, is set
    /// up by [`builder`](Self::builder): here 2 stay ready, and the interval of checks is an error
    /// for a factory without one.
    pub fn for_service(factory: F, clock: C) -> Builder<F, C> {
        Self::builder(factory, clock)
            .max(20)
            .min_idle(2)
            .create_timeout(Duration::from_secs(10))
            .idle_timeout(Duration::from_secs(300))
            .check_interval(Duration::from_secs(30))
            .max_lifetime(Duration::from_secs(3_600))
    }

    pub(crate) fn over(shared: Arc<Shared<F, C>>) -> Self {
        Self { handle: Arc::new(Handle(Arc::clone(&shared))), shared }
    }

    /// Acquires a connection: an idle one, or else a new one or the next that is released, in the
    /// order in which callers came.
    ///
    /// # Errors
    ///
    /// The acquire timeout passed, the queue is full, the pool is closed, or a creation failed that
    /// this caller depended on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses the place in the queue and nothing else; see [`Acquire`].
    #[track_caller]
    #[inline]
    pub fn acquire(&self) -> Acquire<'_, F, C> {
        Acquire::new(&self.shared, 1, Location::caller(), self.shared.settings.patience)
    }

    /// As [`acquire`](Self::acquire), for a caller elsewhere.
    pub(crate) fn acquire_at(&self, at: &'static Location<'static>) -> Acquire<'_, F, C> {
        Acquire::new(&self.shared, 1, at, self.shared.settings.patience)
    }

    /// Acquires `n` connections at once. It waits in the queue like any caller; at its head it
    /// gathers what comes until it has all, so two callers that need several cannot hold each other
    /// up.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire), and at once if `n` is 0 or more than `max`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses the place in the queue and nothing else.
    #[track_caller]
    pub fn acquire_many(&self, n: u16) -> AcquireMany<'_, F, C> {
        let patience = self.shared.settings.patience;
        AcquireMany(Acquire::new(&self.shared, n, Location::caller(), patience))
    }

    /// Opens a tenant, whose callers have this share of the pool. It is forgotten when the last
    /// clone of the handle is dropped.
    ///
    /// # Errors
    ///
    /// The share's weight is not from 1 to [`MAX_WEIGHT`](crate::ledger::MAX_WEIGHT), or its `max` is 0.
    pub fn tenant(&self, share: Share) -> Result<Tenant<F, C>, OptionsError> {
        Tenant::open(&self.shared, share)
    }

    /// As [`try_acquire`](Self::try_acquire), for a caller of this tenant: it finds nothing either if
    /// others of its tenant wait, the tenant has all that it may have, or it is one of another pool.
    #[track_caller]
    pub fn try_acquire_for(&self, tenant: &Tenant<F, C>) -> Option<Lease<F, C>> {
        let (at, tenant) = (Location::caller(), tenant.key_in(&self.shared));
        let attempt = || self.shared.try_acquire_for(tenant, at);
        Some(Lease::new(&self.shared, attempt().or_else(|| self.try_again(attempt))?))
    }

    /// Acquires an idle connection if there is one and nobody waits for it. It never waits, and
    /// nothing is created for it, but for what `min_idle` misses then.
    ///
    /// If the next idle connection is to be checked first, a check that is a call is made; one that
    /// takes time is begun, and there is no connection.
    #[track_caller]
    #[inline]
    pub fn try_acquire(&self) -> Option<Lease<F, C>> {
        if let Some(leased) = self.shared.try_acquire(Location::caller()) {
            return Some(Lease::new(&self.shared, leased));
        }
        let at = Location::caller();
        let leased = self.try_again(|| self.shared.try_acquire(at))?;
        Some(Lease::new(&self.shared, leased))
    }

    /// Tries again as long as that finds idle connections which a call showed to be bad or good. Each
    /// is looked at once: what a check says may count for less time than the next look takes.
    #[cold]
    #[inline(never)]
    fn try_again(
        &self,
        attempt: impl Fn() -> Option<Leased<F::Connection>>,
    ) -> Option<Leased<F::Connection>> {
        let look = |shared: &Shared<F, C>| {
            let state = shared.lock();
            let gauges = state.ledger.gauges();
            (gauges.idle > 0 && gauges.checking == 0 && !state.ledger.is_paused())
                .then(|| (gauges.idle, state.ledger.counters().checks))
        };
        let (rounds, mut checks) = look(&self.shared)?;
        for _ in 0..=rounds {
            if let Some(leased) = attempt() {
                return Some(leased);
            }
            let (_, now) = look(&self.shared)?;
            if now == checks {
                return None;
            }
            checks = now;
        }
        None
    }
}

/// Operators.
impl<F: Factory, C: Clock> Pool<F, C> {
    /// Makes connections until there are `n`, ahead of need. The future gives how many were made.
    ///
    /// # Errors
    ///
    /// Some could not be made; the error tells how each attempt failed. Attempts are not repeated.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future begins no further creation; those under way go on.
    pub fn warm_up(&self, n: u32) -> WarmUp<F, C> {
        WarmUp::new(Arc::clone(&self.shared), n)
    }

    /// Changes `max`. Creations beyond it are given up, what is idle beyond it is closed at once, and
    /// what is out beyond it leaves as it comes back. Callers that need more than that at once end
    /// with [`TooMany`](crate::AcquireError::TooMany). A `min_idle` that nobody has set follows
    /// `max`, as it does at first.
    ///
    /// # Errors
    ///
    /// `max` is 0, or less than the `min_idle` that was set; nothing is changed then.
    pub fn resize(&self, max: u32) -> Result<(), OptionsError> {
        self.shared.step_now(|state| state.resize(max))
    }

    /// Changes how many connections are kept ready.
    ///
    /// # Errors
    ///
    /// It is more than `max`; nothing is changed then.
    pub fn set_min_idle(&self, min_idle: u32) -> Result<(), OptionsError> {
        self.shared.step_now(|state| state.set_min_idle(min_idle))
    }

    /// Lends nothing and makes nothing until [`resume`](Self::resume); callers queue, and their
    /// time passes. Leases, offers and jobs that were begun go on.
    pub fn pause(&self) {
        self.shared.step_now(|state| state.ledger.pause());
    }

    /// Lends and makes again.
    pub fn resume(&self) {
        self.shared.step_now(|state| state.ledger.resume());
    }

    /// Keeps those of the idle connections that `keep` says yes to, and closes the others; returns
    /// how many it closed. Meanwhile nobody is lent any of them.
    ///
    /// # Panics
    ///
    /// If `keep` does. The connection that it was called with is closed then, and the others are
    /// kept.
    pub fn retain(&self, mut keep: impl FnMut(&mut F::Connection, &Info) -> bool) -> usize {
        let looked_at = self.shared.step_now(|state| {
            let mut taken = Vec::new();
            while let Some(slot) = state.ledger.look_at_idle() {
                let info = state.ledger.info(slot).expect("it was just taken out");
                taken.push((slot, state.take_connection(slot.index), info));
            }
            taken
        });
        let (mut closed, mut panic) = (0, None);
        for (slot, mut connection, info) in looked_at {
            let kept = panic.is_some() || {
                let asked = catch_unwind(AssertUnwindSafe(|| keep(&mut connection, &info)));
                asked.unwrap_or_else(|payload| {
                    panic = Some(payload);
                    false
                })
            };
            closed += usize::from(!kept);
            self.put_back(slot, connection, kept);
        }
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
        closed
    }

    fn put_back(&self, slot: SlotKey, connection: F::Connection, kept: bool) {
        self.shared.step_now(|state| {
            state.take_in_tried(slot, Some(connection), |ledger| ledger.looked_at(slot, kept))
        });
    }

    /// Sees to it that no connection is lent from now on that was made, or begun to be made, before,
    /// as after a change of credentials: what is idle is closed, and what is out leaves as it comes
    /// back. A connection that was offered to a caller already stays with it.
    pub fn invalidate_all(&self) {
        self.shared.step_now(|state| state.ledger.invalidate_all());
    }

    /// Closes the pool: waiting callers fail at once, so do later ones, and idle connections are
    /// closed. Leases stay good; their connections are closed as they come back.
    pub fn close(&self) {
        self.shared.step_now(|state| state.ledger.close());
    }

    /// Closes the pool, and waits until every connection is closed, at most for `timeout`; `None`
    /// is for ever.
    ///
    /// # Errors
    ///
    /// The time passed; the error names the leases that are still out, and since when.
    ///
    /// # Cancel safety
    ///
    /// The pool is closed by the call. Dropping the future only does not wait.
    pub fn drain(&self, timeout: impl Into<Option<Duration>>) -> Drain<F, C> {
        self.close();
        Drain::new(Arc::clone(&self.shared), timeout.into())
    }
}

/// Those who keep the pool going.
impl<F: Factory, C: Clock> Pool<F, C> {
    /// Polls the pool's jobs, fills it up to `min_idle`, and settles what is due when it is due.
    ///
    /// No pool needs it: without it, jobs are polled by those who wait, and what is overdue is
    /// settled by the next operation. With it, connections are checked, retired and replaced while
    /// nobody is there. The future ends when the pool is closed and empty, and does not keep the
    /// pool open.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing but promptness.
    pub fn driver(&self) -> Driver<F, C> {
        Driver { attendant: Attendant::new(Arc::clone(&self.shared)), filled: false }
    }

    /// Polls each job that can go on once, settles what is due, and fills the pool up to
    /// `min_idle`. For those who cannot run a [`driver`](Self::driver): an alarm, a loop of their
    /// own.
    pub fn tick(&self) {
        // What ended in time is taken in before what is overdue is given up, and what is begun has
        // its time from now.
        self.shared.step(|_| ());
        self.shared.drive_once();
        self.shared.step_now(|state| state.ledger.fill());
        self.shared.drive_once();
    }

    /// Returns when [`tick`](Self::tick) should be called next, if there is anything to come. It
    /// may be early.
    pub fn next_deadline(&self) -> Option<Time> {
        self.shared.step(|state| state.ledger.next_deadline())
    }
}

/// Getters.
impl<F: Factory, C: Clock> Pool<F, C> {
    /// Tells how the pool stands and what it has done, all at one instant.
    pub fn stats(&self) -> Stats {
        self.shared.step(|state| Stats::of(&state.ledger))
    }

    /// Tells in which part of its life the pool is.
    pub fn state(&self) -> PoolState {
        PoolState::of(&self.shared.lock().ledger)
    }

    /// Returns the leases that are out, the longest held first.
    pub fn holders(&self) -> Vec<Holder> {
        self.shared.step_now(|state| state.oldest_holders(usize::MAX))
    }

    /// Tells whether the pool is closed.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().ledger.is_closed()
    }

    /// Tells whether the pool is paused.
    pub fn is_paused(&self) -> bool {
        self.shared.lock().ledger.is_paused()
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
