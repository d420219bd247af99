//! Creations under way. They belong to the pool, not to the caller whose need started them: any
//! waiting caller polls them, and a connection that comes late serves whoever is first by then.
//!
//! The caller that polled them last, or was woken to do so, is their *driver*: its waker is what a
//! creation wakes. When it leaves, it wakes another waiter to take over, so that none stands still
//! while anyone waits.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::{
    AbortHandle, Abortable, Aborted, CatchUnwind, Future, FutureExt, Join, Ready, join, ready,
};
use futures::stream::{FuturesUnordered, Stream};

use crate::ledger::{SlotKey, WaiterKey};
use crate::shared::{By, Shared};
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
}

impl<F: Factory> Creations<F> {
    pub(crate) fn new() -> Self {
        Self {
            jobs: Some(FuturesUnordered::new()),
            incoming: Vec::new(),
            handles: Vec::new(),
            driver: None,
        }
    }

    pub(crate) const fn driver(&self) -> Option<WaiterKey> {
        self.driver
    }

    pub(crate) const fn set_driver(&mut self, driver: Option<WaiterKey>) {
        self.driver = driver;
    }

    pub(crate) fn push(&mut self, creation: Creation<F::Create>) {
        let Creation { slot, future, handle } = creation;
        self.handles.push((slot, handle));
        self.incoming.push(join(ready(slot), future));
    }

    /// Takes the handle that ends a creation, if it was pushed already.
    pub(crate) fn abandon(&mut self, slot: SlotKey) -> Option<AbortHandle> {
        let at = self.handles.iter().position(|(key, _)| *key == slot)?;
        Some(self.handles.swap_remove(at).1)
    }

    /// Takes every creation out, to be dropped without the lock. Those that are being polled
    /// meanwhile are dropped when that turn ends.
    pub(crate) fn clear(&mut self) -> impl Sized + use<F> {
        let jobs = self.jobs.as_mut().map(std::mem::take);
        (jobs, std::mem::take(&mut self.incoming))
    }

    /// Lets the driver go, if `key` is it; returns whether another one is wanted.
    pub(crate) fn leave(&mut self, key: WaiterKey) -> bool {
        let was_driver = self.driver == Some(key);
        if was_driver {
            self.driver = None;
        }
        was_driver && !self.handles.is_empty()
    }
}

impl<F: Factory, C: Clock> Shared<F, C> {
    /// Polls the creations on behalf of a waiter, and takes in those that are done.
    pub(crate) fn drive(&self, key: WaiterKey, by: By, cx: &mut Context<'_>) {
        let Some(mut turn) = Turn::begin(self, key) else { return };
        loop {
            while let Poll::Ready(Some((slot, outcome))) = Pin::new(turn.jobs()).poll_next(cx) {
                self.finish_creation(slot, by, outcome);
            }
            if !turn.take_incoming() {
                return;
            }
        }
    }

    fn finish_creation(&self, slot: SlotKey, by: By, outcome: Outcome<F::Connection, F::Error>) {
        self.step(by, |state| {
            state.creations.abandon(slot);
            match outcome {
                Ok(Ok(Ok(connection))) => (state.created(slot, connection), None),
                Ok(Ok(Err(error))) => (None, state.fail_creation(slot, Failure::Error(error))),
                Ok(Err(_panic)) => (None, state.fail_creation(slot, Failure::Panicked)),
                Err(Aborted) => (None, None),
            }
        });
    }
}

/// The creations, taken out of the state for one caller to poll; put back however that ends.
struct Turn<'a, F: Factory, C: Clock> {
    shared: &'a Shared<F, C>,
    jobs: Option<FuturesUnordered<Job<F>>>,
}

impl<'a, F: Factory, C: Clock> Turn<'a, F, C> {
    /// Returns `None` if there is nothing to poll, or somebody polls already: whoever does takes
    /// in what was started meanwhile.
    fn begin(shared: &'a Shared<F, C>, key: WaiterKey) -> Option<Self> {
        let mut state = shared.lock();
        let creations = &mut state.creations;
        let mut jobs =
            creations.jobs.take_if(|jobs| !jobs.is_empty() || !creations.incoming.is_empty())?;
        jobs.extend(creations.incoming.drain(..));
        creations.driver = Some(key);
        Some(Self { shared, jobs: Some(jobs) })
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
            return true;
        }
        creations.jobs = self.jobs.take();
        let unwanted = closed.then(|| creations.clear());
        drop(state);
        drop(unwanted);
        false
    }
}

impl<F: Factory, C: Clock> Drop for Turn<'_, F, C> {
    /// A panic ended the turn; the creations outlive it.
    fn drop(&mut self) {
        if let Some(jobs) = self.jobs.take() {
            self.shared.lock().creations.jobs = Some(jobs);
        }
    }
}
