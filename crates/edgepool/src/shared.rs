//! The one lock, and the one way through it.
//!
//! [`Shared::step`] locks, lets the ledger decide, takes the first effect with what it concerns,
//! unlocks, and only then runs code that is not ours: wakers, factories, connections' `Drop`, the
//! clock. An effect that was not taken yet stands in the ledger, where whoever locks next finds it,
//! so a panic in somebody's code loses nothing.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
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
    Ended(End, Option<Failure<F::Error>>),
}

/// An effect with what it concerns, taken out of the state so that it runs without the lock.
enum Action<F: Factory> {
    Wake(Option<Waker>),
    Create(SlotKey),
    Abandon(Option<AbortHandle>),
    Close(SlotKey, Option<F::Connection>),
}

/// Who runs a step: a caller that polls creations right after it, or anyone else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Driver,
    /// A driver in its first poll, whose time the ledger has been told: whatever comes of that poll
    /// comes at that time, so that even a caller that does not wait has what is made at once.
    Newcomer,
    Other,
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
    pub(crate) fn step<R>(&self, by: By, operate: impl FnOnce(&mut State<F>) -> R) -> R {
        let mut state = self.lock();
        if by != By::Newcomer && state.ledger.needs_clock() {
            drop(state);
            let now = self.clock.now();
            state = self.lock();
            state.ledger.advance(now);
        }
        self.finish(by, state, operate)
    }

    /// Like [`step`](Self::step), at a time that the caller has read.
    pub(crate) fn step_at<R>(
        &self,
        by: By,
        now: Time,
        operate: impl FnOnce(&mut State<F>) -> R,
    ) -> R {
        let mut state = self.lock();
        state.ledger.advance(now);
        self.finish(by, state, operate)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State<F>> {
        // Nothing but the ledger runs under the lock, so a poisoned one is still consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish<R>(
        &self,
        by: By,
        mut state: MutexGuard<'_, State<F>>,
        operate: impl FnOnce(&mut State<F>) -> R,
    ) -> R {
        let result = operate(&mut state);
        let action = state.next_action();
        drop(state);
        if let Some(action) = action {
            self.perform_all(by, action);
        }
        result
    }

    /// Carries effects out in order. A panic in one does not keep the others from running; the
    /// first is passed on afterwards.
    #[cold]
    fn perform_all(&self, by: By, first: Action<F>) {
        let mut panicked: Option<Box<dyn Any + Send>> = None;
        let mut started = false;
        let mut next = Some(first);
        while let Some(action) = next {
            started |= matches!(action, Action::Create(_));
            let outcome = catch_unwind(AssertUnwindSafe(|| self.perform(action)));
            panicked = panicked.or_else(|| outcome.err());
            next = self.lock().next_action();
        }
        if started && by == By::Other {
            let outcome = catch_unwind(AssertUnwindSafe(|| self.wake_driver()));
            panicked = panicked.or_else(|| outcome.err());
        }
        match panicked {
            Some(panic) if !std::thread::panicking() => resume_unwind(panic),
            _ => {}
        }
    }

    fn perform(&self, action: Action<F>) {
        match action {
            Action::Wake(waker) => waker.into_iter().for_each(Waker::wake),
            Action::Create(slot) => self.start_creation(slot),
            Action::Abandon(handle) => handle.into_iter().for_each(|handle| handle.abort()),
            Action::Close(slot, connection) => {
                let outcome = catch_unwind(AssertUnwindSafe(|| drop(connection)));
                // Whatever the connection's `Drop` did, it is gone and its place is free.
                self.lock().ledger.closed(slot);
                outcome.unwrap_or_else(|panic| resume_unwind(panic));
            }
        }
    }

    fn start_creation(&self, slot: SlotKey) {
        let made = catch_unwind(AssertUnwindSafe(|| Creation::new(slot, self.factory.create())));
        let mut state = self.lock();
        // Reserved places are given up when the pool closes, perhaps while the factory ran.
        let surplus = match made {
            Ok(creation) if state.ledger.is_creating(slot) => {
                state.creations.push(creation);
                None
            }
            Ok(creation) => Some(creation),
            Err(_panic) => {
                state.fail_creation(slot, Failure::Panicked);
                None
            }
        };
        drop(state);
        drop(surplus);
    }

    /// Wakes a waiter, so that it polls the creations: the one that did so last, else the first. It
    /// is their driver from now on, so that it hands over if it leaves before it is polled.
    pub(crate) fn wake_driver(&self) {
        let mut state = self.lock();
        let driver = state.creations.driver().or_else(|| state.ledger.first_waiter());
        state.creations.set_driver(driver);
        let waker = driver.and_then(|key| state.waker_mut(key).take());
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl<F: Factory> State<F> {
    /// Leases an idle connection, unless somebody waits for one.
    pub(crate) fn try_acquire(&mut self) -> Option<Leased<F::Connection>> {
        let slot = self.ledger.try_acquire()?;
        Some((slot, self.take_connection(slot.index)))
    }

    /// Leases an idle connection or queues the caller, whose waker is taken then.
    pub(crate) fn acquire(
        &mut self,
        deadline: Time,
        waker: &mut Option<Waker>,
    ) -> Result<Standing<F>, Refused> {
        match self.ledger.acquire(deadline)? {
            Acquired::Leased(slot) => {
                Ok(Standing::Leased((slot, self.take_connection(slot.index))))
            }
            Acquired::Waiting(key) => {
                *self.waker_mut(key) = waker.take();
                Ok(Standing::Waiting(key, deadline))
            }
        }
    }

    /// Claims the waiter's offer, or keeps its waker. The waker that is needed no longer comes
    /// back, to be dropped without the lock.
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
