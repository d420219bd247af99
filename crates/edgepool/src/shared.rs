//! The one lock, and the one way through it.
//!
//! [`Shared::step`] locks, lets the ledger decide, and unlocks; what the ledger asks for then is
//! carried out one by one, each without the lock: wakers, factories, connections' `Drop`, hooks,
//! observers, the clock. An effect that was not taken yet stands in the ledger, where whoever locks
//! next finds it.
//!
//! A panic in that code ends there, after the panic hook has told of it: whoever happened to run it
//! on another's behalf must not lose what its own operation gave it.

use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::PoisonError;
use std::time::Duration;

use crate::Clock;
use crate::factory::Factory;
use crate::ledger::TenantKey;
use crate::state::{Leased, State};
use crate::sync::{Mutex, MutexGuard, thread};

/// What all handles, leases and waiting callers of one pool share.
pub(crate) struct Shared<F: Factory, C> {
    pub(crate) factory: F,
    pub(crate) clock: C,
    pub(crate) settings: Settings,
    /// Whether every operation depends on the time, so that the clock is read before the lock.
    timed: bool,
    /// Whether every wait does.
    times_waits: bool,
    state: Mutex<State<F>>,
}

/// What the shell keeps to, beside the ledger's options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// How long a caller waits that does not say, in nanoseconds; the greatest is for ever.
    pub(crate) patience: u64,
    pub(crate) slow_acquire: Option<Duration>,
    pub(crate) capture_holders: bool,
}

impl Settings {
    /// Tells whether it is kept where those in the queue asked.
    pub(crate) const fn keeps_callers(&self) -> bool {
        self.capture_holders || self.slow_acquire.is_some()
    }
}

/// The time of a step.
#[derive(Clone, Copy)]
pub(crate) enum When {
    Now,
    /// All of a caller's first poll happens at one time, so that even a caller that does not wait
    /// has what is made at once.
    AsTold,
}

/// Steps.
impl<F: Factory, C: Clock> Shared<F, C> {
    pub(crate) fn new(factory: F, clock: C, settings: Settings, state: State<F>) -> Self {
        let ledger = &state.ledger;
        let (timed, times_waits) = (ledger.needs_clock(), ledger.waits_need_clock());
        Self { factory, clock, settings, timed, times_waits, state: Mutex::new(state) }
    }

    /// Does one operation on the state, then whatever it asks for. The time is read only if
    /// something depends on it.
    #[inline(always)]
    pub(crate) fn step<R>(&self, operate: impl FnOnce(&mut State<F>) -> R) -> R {
        mutate!(ExpiryNeedsATimer, return self.finish(self.lock(), operate));
        self.finish(self.lock_on_time(), operate)
    }

    /// Like [`step`](Self::step), with the time read in any case.
    pub(crate) fn step_now<R>(&self, operate: impl FnOnce(&mut State<F>) -> R) -> R {
        self.finish(self.lock_now(), operate)
    }

    /// Like [`step`](Self::step), for a caller that may wait for so long.
    pub(crate) fn step_patiently<R>(
        &self,
        patience: u64,
        operate: impl FnOnce(&mut State<F>) -> R,
    ) -> R {
        match patience {
            u64::MAX if !self.times_waits => self.step(operate),
            _ => self.step_now(operate),
        }
    }

    /// Like [`step`](Self::step), now or at the time that the ledger was told last.
    pub(crate) fn step_when<R>(&self, when: When, operate: impl FnOnce(&mut State<F>) -> R) -> R {
        match when {
            When::Now if mutated!(ExpiryNeedsATimer) => self.step_now(operate),
            When::Now => self.step(operate),
            When::AsTold => self.finish(self.lock(), operate),
        }
    }

    /// Like [`step_when`](Self::step_when), for the end of a job: what follows counts from now.
    pub(crate) fn answer<R>(&self, when: When, operate: impl FnOnce(&mut State<F>) -> R) -> R {
        match when {
            When::Now => self.step_now(operate),
            When::AsTold => self.finish(self.lock(), operate),
        }
    }

    #[inline(always)]
    pub(crate) fn lock(&self) -> MutexGuard<'_, State<F>> {
        // Nothing but the ledger runs under the lock, so a poisoned one is still consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock_now(&self) -> MutexGuard<'_, State<F>> {
        let now = self.clock.now();
        let mut state = self.lock();
        state.advance(now);
        state
    }

    /// Locks, with the ledger told the time if anything depends on it.
    #[inline(always)]
    fn lock_on_time(&self) -> MutexGuard<'_, State<F>> {
        if self.timed {
            return self.lock_now();
        }
        let state = self.lock();
        if !state.ledger.needs_clock_now() {
            return state;
        }
        self.relock_now(state)
    }

    #[cold]
    #[inline(never)]
    fn relock_now<'a>(&'a self, state: MutexGuard<'a, State<F>>) -> MutexGuard<'a, State<F>> {
        drop(state);
        self.lock_now()
    }

    #[inline(always)]
    fn finish<'a, R>(
        &'a self,
        mut state: MutexGuard<'a, State<F>>,
        operate: impl FnOnce(&mut State<F>) -> R,
    ) -> R {
        let result = operate(&mut state);
        if state.is_quiet() {
            drop(state);
        } else {
            self.carry_out(state);
        }
        result
    }

    /// Carries effects out in order, then sees to it that what was begun is polled, and that whoever
    /// promised to be prompt is awake in time.
    #[cold]
    #[inline(never)]
    fn carry_out<'a>(&'a self, mut state: MutexGuard<'a, State<F>>) {
        // Most often there is nothing but one caller to wake, and nothing follows from that.
        if let Some(waker) = state.only_wake() {
            drop(state);
            guarded(|| waker.wake());
            return;
        }
        // What is carried out may use the pool. What it asks for then is left to this loop: one in
        // the other would use the stack up.
        let thread = thread::current().id();
        if state.carriers.contains(&thread) {
            return;
        }
        state.carriers.push(thread);
        while let Some(action) = state.next_action() {
            drop(state);
            guarded(|| self.perform(action));
            state = self.lock();
        }
        state.carriers.retain(|&carrier| carrier != thread);
        let wakers = [state.next_prompt(), state.next_driver(), state.next_watcher()];
        drop(state);
        for waker in wakers.into_iter().flatten() {
            guarded(|| waker.wake());
        }
    }

    /// Wakes somebody if the jobs want to be polled.
    pub(crate) fn wake_driver(&self) {
        let waker = self.lock().next_driver();
        if let Some(waker) = waker {
            guarded(|| waker.wake());
        }
    }
}

/// Callers.
impl<F: Factory, C: Clock> Shared<F, C> {
    /// Leases an idle connection, unless somebody waits for one.
    #[inline(always)]
    pub(crate) fn try_acquire(
        &self,
        at: &'static Location<'static>,
    ) -> Option<Leased<F::Connection>> {
        self.step(
            #[inline(always)]
            |state| self.try_acquire_in(state, at),
        )
    }

    /// As [`try_acquire`](Self::try_acquire), for a caller of a tenant.
    pub(crate) fn try_acquire_for(
        &self,
        tenant: TenantKey,
        at: &'static Location<'static>,
    ) -> Option<Leased<F::Connection>> {
        self.step(|state| {
            let leased = state.try_acquire_for(tenant)?;
            if self.settings.capture_holders {
                state.set_holder(leased.0, Some(at));
            }
            Some(leased)
        })
    }

    /// As [`try_acquire`](Self::try_acquire), for a caller that polls. If jobs are to be polled and
    /// nobody comes to do so, there is no connection, and `left` is set: the caller polls them
    /// before it tries again.
    #[inline(always)]
    pub(crate) fn acquire_idle(
        &self,
        at: &'static Location<'static>,
        left: &mut bool,
    ) -> Option<Leased<F::Connection>> {
        self.step(
            #[inline(always)]
            |state| {
                *left = state.jobs.are_left();
                if *left { None } else { self.try_acquire_in(state, at) }
            },
        )
    }

    #[inline(always)]
    pub(crate) fn try_acquire_in(
        &self,
        state: &mut State<F>,
        at: &'static Location<'static>,
    ) -> Option<Leased<F::Connection>> {
        let leased = state.try_acquire()?;
        if self.settings.capture_holders {
            state.set_holder(leased.0, Some(at));
        }
        Some(leased)
    }
}

/// Runs somebody's code. A panic ends here; the panic hook has told of it.
#[inline(always)]
pub(crate) fn guarded<R>(run: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => Some(result),
        Err(payload) => {
            // The payload is somebody's value too. If its `Drop` panics as well, so be it.
            std::mem::forget(catch_unwind(AssertUnwindSafe(|| drop(payload))));
            None
        }
    }
}
