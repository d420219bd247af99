//! The one lock, and the one way through it.
//!
//! [`Shared::step`] locks, lets the ledger decide, takes the first effect with what it concerns,
//! unlocks, and only then runs code that is not ours: wakers, factories, connections' `Drop`, the
//! clock. An effect that was not taken yet stands in the ledger, where whoever locks next finds it.
//!
//! A panic in that code ends there, after the panic hook has told of it: whoever happened to run it
//! on another's behalf must not lose what its own operation gave it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use futures::future::AbortHandle;

use crate::creations::{Creation, Creations, Failure};
use crate::ledger::{Acquired, Claim, Effect, End, Ledger, Refused, SlotKey, WaiterKey};
use crate::{Clock, Factory, Time};

/// What all handles, leases and waiting callers of one pool share.
pub(crate) struct Shared<F: Factory, C> {
    pub(crate) factory: F,
    pub(crate) clock: C,
    pub(crate) acquire_timeout: Option<Duration>,
    state: Mutex<State<F>>,
}

/// The ledger, and what its keys stand for.
pub(crate) struct State<F: Factory> {
    pub(crate) ledger: Ledger,
    /// The connections that no caller holds, by slot index.
    connections: Vec<Option<F::Connection>>,
    /// The wakers of waiting callers, by waiter index.
    wakers: Vec<Option<Waker>>,
    /// Why the waiters that ended with a failed creation did, until they are told.
    failures: Vec<(WaiterKey, Failure<F::Error>)>,
    pub(crate) creations: Creations<F>,
}

/// A lease's two halves: its key and its connection.
pub(crate) type Leased<T> = (SlotKey, T);

/// Where a caller stands after it asked.
pub(crate) enum Standing<F: Factory> {
    Leased(Leased<F::Connection>),
    /// It waits, and should be polled again by this time at the latest.
    Waiting(WaiterKey, Time),
    /// It waits, and must poll the creations before it sleeps.
    Wanted,
    Ended(End, Option<Failure<F::Error>>),
}

/// An effect with what it concerns, taken out of the state so that it runs without the lock.
enum Action<F: Factory> {
    Wake(Option<Waker>),
    Create(SlotKey),
    Abandon(Option<AbortHandle>),
    Close(SlotKey, Option<F::Connection>),
}

/// The time of a step.
#[derive(Clone, Copy)]
pub(crate) enum When {
    Now,
    /// All of a caller's first poll happens at one time, so that even a caller that does not wait
    /// has what is made at once.
    AsTold,
}

impl<F: Factory, C: Clock> Shared<F, C> {
    pub(crate) fn new(
        factory: F,
        clock: C,
        ledger: Ledger,
        acquire_timeout: Option<Duration>,
    ) -> Self {
        let state = State {
            ledger,
            connections: Vec::new(),
            wakers: Vec::new(),
            failures: Vec::new(),
            creations: Creations::new(),
        };
        Self { factory, clock, acquire_timeout, state: Mutex::new(state) }
    }

    /// Does one operation on the state, then whatever it asks for. The time is read only if
    /// something depends on it.
    pub(crate) fn step<R>(&self, operate: impl FnOnce(&mut State<F>) -> R) -> R {
        self.finish(self.lock_on_time(), operate)
    }

    /// Like [`step`](Self::step), now or at the time that the ledger was told last.
    pub(crate) fn step_when<R>(&self, when: When, operate: impl FnOnce(&mut State<F>) -> R) -> R {
        match when {
            When::Now => self.step(operate),
            When::AsTold => self.finish(self.lock(), operate),
        }
    }

    /// Like [`step`](Self::step), at a time that the caller has read already.
    pub(crate) fn step_at<R>(&self, now: Time, operate: impl FnOnce(&mut State<F>) -> R) -> R {
        let mut state = self.lock();
        state.ledger.advance(now);
        self.finish(state, operate)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State<F>> {
        // Nothing but the ledger runs under the lock, so a poisoned one is still consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks, with the ledger told the time if anything depends on it.
    fn lock_on_time(&self) -> MutexGuard<'_, State<F>> {
        let state = self.lock();
        if !state.ledger.needs_clock() {
            return state;
        }
        drop(state);
        let now = self.clock.now();
        let mut state = self.lock();
        state.ledger.advance(now);
        state
    }

    fn finish<R>(
        &self,
        mut state: MutexGuard<'_, State<F>>,
        operate: impl FnOnce(&mut State<F>) -> R,
    ) -> R {
        let result = operate(&mut state);
        let action = state.next_action();
        drop(state);
        if let Some(action) = action {
            self.perform_all(action);
        }
        result
    }

    /// Carries effects out in order, then sees to it that what was started is polled, and that what
    /// was given up is dropped.
    #[cold]
    fn perform_all(&self, first: Action<F>) {
        let mut next = Some(first);
        let mut abandoned = false;
        while let Some(action) = next {
            abandoned |= matches!(action, Action::Abandon(_));
            guarded(|| self.perform(action));
            next = self.lock().next_action();
        }
        guarded(|| self.wake_driver());
        if abandoned {
            guarded(|| self.reap());
        }
    }

    fn perform(&self, action: Action<F>) {
        match action {
            Action::Wake(waker) => waker.into_iter().for_each(Waker::wake),
            Action::Create(slot) => self.start_creation(slot),
            Action::Abandon(handle) => handle.into_iter().for_each(|handle| handle.abort()),
            Action::Close(slot, connection) => {
                // Whatever its `Drop` does, the connection is gone and its place is free.
                guarded(|| drop(connection));
                self.lock_on_time().ledger.closed(slot);
            }
        }
    }

    fn start_creation(&self, slot: SlotKey) {
        let made = guarded(|| Creation::new(slot, self.factory.create()));
        let mut state = self.lock();
        // Reserved places are given up when the pool closes, perhaps while the factory ran.
        let surplus = match made {
            Some(creation) if state.ledger.is_creating(slot) => {
                state.creations.push(creation);
                None
            }
            Some(creation) => Some(creation),
            None => {
                state.fail_creation(slot, Failure::Panicked);
                None
            }
        };
        drop(state);
        drop(surplus);
    }

    /// Wakes a waiter if the creations want to be polled.
    pub(crate) fn wake_driver(&self) {
        let waker = self.lock().next_driver();
        waker.into_iter().for_each(Waker::wake);
    }
}

/// Runs somebody's code. A panic ends here; the panic hook has told of it.
fn guarded<R>(run: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(run)).ok()
}

impl<F: Factory> State<F> {
    /// Leases an idle connection, unless somebody waits for one.
    pub(crate) fn try_acquire(&mut self) -> Option<Leased<F::Connection>> {
        let slot = self.ledger.try_acquire()?;
        Some((slot, self.take_connection(slot.index)))
    }

    /// Leases an idle connection or queues the caller.
    ///
    /// A waiter without a waker counts as awake: it is being polled, or was woken and will be. It
    /// leaves its waker when it goes to sleep, in [`claim`](Self::claim).
    pub(crate) fn acquire(&mut self, deadline: Time) -> Result<Standing<F>, Refused> {
        Ok(match self.ledger.acquire(deadline)? {
            Acquired::Leased(slot) => Standing::Leased((slot, self.take_connection(slot.index))),
            Acquired::Waiting(key) => Standing::Waiting(key, deadline),
        })
    }

    /// Claims the waiter's offer, or keeps its waker and lets it sleep. The waker that is not
    /// needed comes back, to be dropped without the lock.
    pub(crate) fn claim(
        &mut self,
        key: WaiterKey,
        deadline: Time,
        waker: Waker,
    ) -> (Standing<F>, Option<Waker>) {
        match self.ledger.claim(key) {
            Claim::Leased(slot) => {
                let connection = self.take_connection(slot.index);
                (Standing::Leased((slot, connection)), self.forget(key))
            }
            Claim::Waiting if self.creations.want_a_turn() => (Standing::Wanted, Some(waker)),
            Claim::Waiting => {
                let replaced = self.waker_mut(key).replace(waker);
                // Who polls the creations also watches over their deadlines.
                let until = match self.creations.driver() == Some(key) {
                    true => self.ledger.next_deadline().unwrap_or(deadline).min(deadline),
                    false => deadline,
                };
                (Standing::Waiting(key, until), replaced)
            }
            Claim::Ended(end) => {
                let failure = self.take_failure(key);
                (Standing::Ended(end, failure), self.forget(key))
            }
            Claim::Unknown => unreachable!("a waiter's entry lives until its owner frees it"),
        }
    }

    /// Takes the waker of the waiter that is to poll the creations, if they want it. Without one
    /// the first waiter is awake, and looks before it sleeps.
    pub(crate) fn next_driver(&mut self) -> Option<Waker> {
        if !self.creations.want_a_turn() {
            return None;
        }
        let first = self.ledger.first_waiter()?;
        self.waker_mut(first).take()
    }

    /// Gives the wait up. What must be dropped without the lock comes back.
    pub(crate) fn cancel(&mut self, key: WaiterKey) -> (Option<Waker>, Option<Failure<F::Error>>) {
        self.ledger.cancel(key);
        let failure = self.take_failure(key);
        (self.forget(key), failure)
    }

    /// Takes a lease back. A stale one's connection comes back, to be dropped without the lock.
    pub(crate) fn release(
        &mut self,
        slot: SlotKey,
        connection: F::Connection,
        in_good_order: bool,
    ) -> Option<F::Connection> {
        let live = match in_good_order {
            true => self.ledger.release(slot),
            false => self.ledger.discard(slot),
        };
        self.keep(live, slot.index, connection)
    }

    /// Takes in what a creation gave. A late connection comes back, to be dropped without the lock.
    pub(crate) fn created(
        &mut self,
        slot: SlotKey,
        connection: F::Connection,
    ) -> Option<F::Connection> {
        let live = self.ledger.created(slot);
        self.keep(live, slot.index, connection)
    }

    /// Frees the place of a failed creation. The first waiter has the reason; without one it comes
    /// back, to be dropped without the lock.
    pub(crate) fn fail_creation(
        &mut self,
        slot: SlotKey,
        failure: Failure<F::Error>,
    ) -> Option<Failure<F::Error>> {
        let first = self.ledger.first_waiter();
        match (self.ledger.create_failed(slot), first) {
            (true, Some(waiter)) => {
                self.failures.push((waiter, failure));
                None
            }
            _ => Some(failure),
        }
    }

    fn next_action(&mut self) -> Option<Action<F>> {
        Some(match self.ledger.poll_effect()? {
            Effect::Offer { waiter, .. } | Effect::Ended { waiter, .. } => {
                Action::Wake(self.waker_mut(waiter).take())
            }
            Effect::Create { slot } => Action::Create(slot),
            Effect::AbandonCreate { slot } => Action::Abandon(self.creations.abandon(slot)),
            Effect::Close { slot } => {
                Action::Close(slot, self.connections[slot.index as usize].take())
            }
        })
    }

    fn keep(&mut self, live: bool, index: u32, connection: F::Connection) -> Option<F::Connection> {
        if !live {
            return Some(connection);
        }
        let replaced = entry(&mut self.connections, index).replace(connection);
        debug_assert!(replaced.is_none(), "a place holds one connection");
        replaced
    }

    fn take_connection(&mut self, index: u32) -> F::Connection {
        let connection = self.connections[index as usize].take();
        connection.expect("an idle or offered place holds its connection")
    }

    fn waker_mut(&mut self, key: WaiterKey) -> &mut Option<Waker> {
        entry(&mut self.wakers, key.index)
    }

    fn forget(&mut self, key: WaiterKey) -> Option<Waker> {
        self.waker_mut(key).take()
    }

    fn take_failure(&mut self, key: WaiterKey) -> Option<Failure<F::Error>> {
        let at = self.failures.iter().position(|(waiter, _)| *waiter == key)?;
        Some(self.failures.swap_remove(at).1)
    }
}

/// The entry at an index that the ledger chose; the side tables grow as its entries do.
fn entry<T>(table: &mut Vec<Option<T>>, index: u32) -> &mut Option<T> {
    let index = index as usize;
    if index >= table.len() {
        table.resize_with(index + 1, || None);
    }
    &mut table[index]
}
