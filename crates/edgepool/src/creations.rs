//! Creations under way. They belong to the pool, not to the caller whose need started them: any
//! waiting caller polls them, and a connection that comes late serves whoever is first by then.
//!
//! The caller that polled them last is their *driver*: its waker is what a creation wakes. They
//! *want a turn* when one was started or their driver left since somebody polled them last. The
//! rule against lost wake-ups: while they want one and anybody is queued, the first waiter is awake,
//! and a waiter that is awake looks whether they do before it sleeps, and wakes the next one if it
//! leaves instead.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::MutexGuard;
use std::task::{Context, Poll, Waker};

use futures::future::{
    AbortHandle, Abortable, Aborted, CatchUnwind, Future, FutureExt, Join, Ready, join, ready,
};
use futures::stream::{FuturesUnordered, Stream};

use crate::ledger::{SlotKey, WaiterKey};
use crate::shared::{Shared, State, When};
use crate::{Clock, Factory};

/// Why a creation gave no connection.
#[derive(Debug)]
pub(crate) enum Failure<E> {
    Error(E),
    Panicked,
}

type Guarded<T> = Abortable<CatchUnwind<AssertUnwindSafe<T>>>;
type Outcome<C, E> = Result<Result<Result<C, E>, Box<dyn Any + Send>>, Aborted>;

/// One creation that can be given up and whose panic is caught.
pub(crate) struct Creation<T: Future> {
    slot: SlotKey,
    future: Guarded<T>,
    handle: AbortHandle,
}

impl<T: Future> Creation<T> {
    pub(crate) fn new(slot: SlotKey, future: T) -> Self {
        let (handle, registration) = AbortHandle::new_pair();
        let future = Abortable::new(AssertUnwindSafe(future).catch_unwind(), registration);
        Self { slot, future, handle }
    }
}

type Job<F> = Join<Ready<SlotKey>, Guarded<<F as Factory>::Create>>;

/// The creations of one pool.
pub(crate) struct Creations<F: Factory> {
    /// `None` while a caller polls them, without the lock.
    jobs: Option<FuturesUnordered<Job<F>>>,
    /// Those that were started meanwhile.
    incoming: Vec<Job<F>>,
    handles: Vec<(SlotKey, AbortHandle)>,
    driver: Option<WaiterKey>,
    wanted: bool,
}

impl<F: Factory> Creations<F> {
    pub(crate) fn new() -> Self {
        Self {
            jobs: Some(FuturesUnordered::new()),
            incoming: Vec::new(),
            handles: Vec::new(),
            driver: None,
            wanted: false,
        }
    }

    pub(crate) const fn driver(&self) -> Option<WaiterKey> {
        self.driver
    }

    /// Tells whether somebody should poll. While somebody does it is no: that turn takes in what
    /// is started meanwhile.
    pub(crate) const fn want_a_turn(&self) -> bool {
        self.wanted && self.jobs.is_some()
    }

    pub(crate) fn push(&mut self, creation: Creation<F::Create>) {
        let Creation { slot, future, handle } = creation;
        self.handles.push((slot, handle));
        self.incoming.push(join(ready(slot), future));
        self.wanted = true;
    }

    /// Takes the handle that ends a creation, if it was pushed already.
    pub(crate) fn abandon(&mut self, slot: SlotKey) -> Option<AbortHandle> {
        let at = self.handles.iter().position(|(key, _)| *key == slot)?;
        Some(self.handles.swap_remove(at).1)
    }

    /// Takes every creation out, to be dropped without the lock. Those that are being polled
    /// meanwhile are dropped when that turn ends.
    pub(crate) fn clear(&mut self) -> impl Sized + use<F> {
        self.wanted = false;
        let jobs = self.jobs.as_mut().map(std::mem::take);
        (jobs, std::mem::take(&mut self.incoming))
    }

    /// Lets the driver go, if `key` is it.
    pub(crate) fn leave(&mut self, key: WaiterKey) {
        if self.driver == Some(key) {
            self.driver = None;
            self.wanted |= !self.handles.is_empty();
        }
    }
}

impl<F: Factory, C: Clock> Shared<F, C> {
    /// Polls the creations on behalf of a waiter, and takes in those that are done.
    pub(crate) fn drive(&self, key: WaiterKey, when: When, cx: &mut Context<'_>) {
        if let Some(turn) = Turn::begin(self, Some(key)) {
            turn.run(when, cx);
        }
    }

    /// Drops what was given up while nobody waits who would poll it away.
    pub(crate) fn reap(&self) {
        if self.lock().ledger.first_waiter().is_some() {
            return;
        }
        if let Some(turn) = Turn::begin(self, None) {
            turn.run(When::Now, &mut Context::from_waker(Waker::noop()));
        }
    }

    fn finish_creation(
        &self,
        slot: SlotKey,
        when: When,
        outcome: Outcome<F::Connection, F::Error>,
    ) {
        // A panic's payload is somebody's value: it is dropped here, without the lock.
        let outcome = match outcome {
            Ok(Ok(made)) => made.map_err(Failure::Error),
            Ok(Err(payload)) => {
                drop(payload);
                Err(Failure::Panicked)
            }
            Err(Aborted) => return,
        };
        self.step_when(when, |state| {
            state.creations.abandon(slot);
            match outcome {
                Ok(connection) => (state.created(slot, connection), None),
                Err(failure) => (None, state.fail_creation(slot, failure)),
            }
        });
    }
}

/// The creations, taken out of the state for one caller to poll; put back however that ends.
struct Turn<'a, F: Factory, C: Clock> {
    shared: &'a Shared<F, C>,
    driver: Option<WaiterKey>,
    jobs: Option<FuturesUnordered<Job<F>>>,
}

impl<'a, F: Factory, C: Clock> Turn<'a, F, C> {
    /// Returns `None` if there is nothing to poll, or somebody polls already: whoever does takes
    /// in what was started meanwhile.
    fn begin(shared: &'a Shared<F, C>, driver: Option<WaiterKey>) -> Option<Self> {
        let mut state = shared.lock();
        let creations = &mut state.creations;
        let mut jobs = creations.jobs.take()?;
        jobs.extend(creations.incoming.drain(..));
        creations.wanted = false;
        if jobs.is_empty() {
            creations.jobs = Some(jobs);
            return None;
        }
        creations.driver = driver;
        Some(Self { shared, driver, jobs: Some(jobs) })
    }

    fn run(mut self, when: When, cx: &mut Context<'_>) {
        loop {
            while let Poll::Ready(Some((slot, outcome))) = Pin::new(self.jobs()).poll_next(cx) {
                self.shared.finish_creation(slot, when, outcome);
            }
            if !self.take_incoming() {
                return;
            }
        }
    }

    fn jobs(&mut self) -> &mut FuturesUnordered<Job<F>> {
        self.jobs.as_mut().expect("they are given back when the turn ends")
    }

    /// Takes in what was started meanwhile. If there is nothing, the turn ends, under the same
    /// lock: whoever starts another one from now on finds the jobs and sees to it.
    fn take_incoming(&mut self) -> bool {
        let mut state = self.shared.lock();
        let closed = state.ledger.is_closed();
        let creations = &mut state.creations;
        if !closed && !creations.incoming.is_empty() {
            self.jobs().extend(creations.incoming.drain(..));
            creations.wanted = false;
            return true;
        }
        self.give_back(state);
        false
    }

    fn give_back(&mut self, mut state: MutexGuard<'_, State<F>>) {
        let Some(jobs) = self.jobs.take() else { return };
        let closed = state.ledger.is_closed();
        let creations = &mut state.creations;
        // Without a driver nobody is woken by the jobs, and somebody may have come meanwhile.
        creations.wanted |= self.driver.is_none() && !jobs.is_empty();
        creations.jobs = Some(jobs);
        let unwanted = closed.then(|| creations.clear());
        let waker = state.next_driver();
        drop(state);
        drop(unwanted);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl<F: Factory, C: Clock> Drop for Turn<'_, F, C> {
    /// Gives the creations back if a panic ended the turn.
    fn drop(&mut self) {
        self.give_back(self.shared.lock());
    }
}
