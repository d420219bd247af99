//! One turn of polling the pool's jobs.

use std::panic::Location;
use std::task::{Context, Poll, Waker};

use crate::error::Failure;
use crate::events::Event;
use crate::factory::{Factory, Tried};
use crate::jobs::{Job, Outcome, OutcomeOf, Polled, Seat, Table};
use crate::ledger::{JobKind, SlotKey};
use crate::shared::{Shared, When, guarded};
use crate::state::{Leased, State};
use crate::sync::MutexGuard;
use crate::{Clock, Time};

/// A job that has ended, and how.
pub(crate) type Ended<F> = (SlotKey, OutcomeOf<F>);

impl<F: Factory, C: Clock> Shared<F, C> {
    /// Polls the jobs on behalf of whoever waits, and takes in those that are done. Returns false if
    /// there are none, or somebody polls them already.
    pub(crate) fn drive(&self, seat: Seat, when: When, cx: &Context<'_>) -> bool {
        // Cloning a waker is somebody's code: it comes before the lock.
        let waker = cx.waker().clone();
        let turn = Turn::begin(self, Some((seat, waker)));
        turn.map(|turn| turn.run(when)).is_some()
    }

    /// Sees to it that the jobs wake the task that polls now, if `seat` is their driver.
    pub(crate) fn move_seat(&self, seat: Seat, cx: &Context<'_>) {
        let waker = cx.waker().clone();
        let state = self.lock();
        // Under the lock, so that it does not replace the waker of a driver that comes after.
        let unneeded = match state.jobs.driver() == Some(seat) {
            true => state.jobs.ready().watch(waker),
            false => Some(waker),
        };
        drop(state);
        guarded(|| drop(unneeded));
    }

    /// Polls the jobs on behalf of nobody: what is not done then waits for somebody else.
    pub(crate) fn drive_once(&self) {
        if let Some(turn) = Turn::begin(self, None) {
            turn.run(When::Now);
        }
    }

    /// Polls the jobs if that is left to whoever comes by.
    pub(crate) fn drive_if_left(&self) {
        let left = self.step(|state| state.jobs.are_left());
        if left {
            self.drive_once();
        }
    }

    /// Begins a creation for a caller that is about to queue, and polls it once. What is made at
    /// once is the caller's without a wait; else it must queue, and the answer is what is left to
    /// do once it has.
    pub(crate) fn create_directly(
        &self,
        slot: SlotKey,
        at: &'static Location<'static>,
    ) -> Result<Leased<F::Connection>, Option<Ended<F>>> {
        let Some(mut job) = guarded(|| Job::Create(Box::pin(self.factory.create()))) else {
            return Err(Some((slot, Outcome::Created(None))));
        };
        // If it is not done, it is polled again at once, with a waker that belongs to the pool.
        match job.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Outcome::Created(Some(Ok(mut connection)))) => {
                guarded(|| drop(job));
                self.tell_of_creation(slot, &mut connection);
                let (leased, forgotten) = self.step(|state| {
                    let forgotten = state.created(slot, connection);
                    (self.try_acquire_in(state, at), forgotten)
                });
                guarded(|| drop(forgotten));
                leased.ok_or(None)
            }
            Poll::Ready(outcome) => {
                guarded(|| drop(job));
                Err(Some((slot, outcome)))
            }
            Poll::Pending => {
                self.push(slot, job);
                Err(None)
            }
        }
    }

    fn tell_of_creation(&self, slot: SlotKey, connection: &mut F::Connection) {
        self.tell(slot, |about| self.factory.after_create(connection, about));
        self.tell(slot, |about| self.factory.observe(&Event::Created(about)));
    }

    pub(crate) fn end_job(&self, slot: SlotKey, when: When, outcome: OutcomeOf<F>) {
        match outcome {
            Outcome::Created(Some(Ok(connection))) => self.end_creation(slot, when, connection),
            Outcome::Created(Some(Err(error))) => self.fail(slot, when, Failure::error(error)),
            Outcome::Created(None) if mutated!(PanicLosesThePlace) => {}
            Outcome::Created(None) => self.fail(slot, when, Failure::Panicked),
            Outcome::Checked(tried) => {
                let (verdict, connection, error) = self.judge(slot, JobKind::Check, tried);
                self.answer(when, |state| {
                    state.take_in_tried(slot, connection, |ledger| ledger.checked(slot, verdict))
                });
                guarded(|| drop(error));
            }
            Outcome::Reset(tried) => self.end_reset(slot, when, tried),
            Outcome::Closed => {
                self.answer(when, |state| state.ledger.closed(slot));
            }
        }
    }

    fn end_creation(&self, slot: SlotKey, when: When, mut connection: F::Connection) {
        self.tell_of_creation(slot, &mut connection);
        let (forgotten, waker) = self.answer(when, |state| {
            (state.created(slot, connection), state.settle_watch(slot, || Ok(())))
        });
        guarded(|| drop(forgotten));
        wake(waker);
    }

    fn fail(&self, slot: SlotKey, when: When, failure: Failure<F::Error>) {
        // Told before what follows from it.
        guarded(|| self.factory.observe(&Event::CreateFailed));
        let (unneeded, waker) = self.answer(when, |state| {
            let waker = state.settle_watch(slot, || Err(failure.clone()));
            (state.creation_failed(slot, failure), waker)
        });
        guarded(|| drop(unneeded));
        wake(waker);
    }

    pub(crate) fn end_reset(
        &self,
        slot: SlotKey,
        when: When,
        tried: Option<Tried<F::Connection, F::Error>>,
    ) {
        let (verdict, connection, error) = self.judge(slot, JobKind::Reset, tried);
        let outcome = match (&connection, error) {
            (Some(_), None) => Ok(()),
            (_, Some(error)) => Err(Failure::error(error)),
            (None, None) => Err(Failure::Panicked),
        };
        // If nobody takes it, the error is dropped without the lock.
        let mut outcome = Some(outcome);
        let waker = self.answer(when, |state| {
            state.take_in_tried(slot, connection, |ledger| ledger.reset(slot, verdict));
            state.settle_watch(slot, || outcome.take().expect("it is asked for once"))
        });
        guarded(|| drop(outcome));
        wake(waker);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        guarded(|| waker.wake());
    }
}

/// The jobs, taken out of the state for one caller to poll; given back however that ends.
struct Turn<'a, F: Factory, C: Clock> {
    shared: &'a Shared<F, C>,
    table: Option<Table<F>>,
    /// The pool's time as it began.
    began: Time,
}

impl<'a, F: Factory, C: Clock> Turn<'a, F, C> {
    /// Returns `None` if there is nothing to poll, or somebody polls already: whoever does takes
    /// in what was begun meanwhile.
    fn begin(shared: &'a Shared<F, C>, driver: Option<(Seat, Waker)>) -> Option<Self> {
        let mut state = shared.lock();
        let (seat, waker) = driver.unzip();
        state.restart_incoming();
        let table = state.jobs.take_turn(seat);
        let ready = state.jobs.ready().clone();
        let began = state.ledger.now();
        drop(state);
        let mut turn = Self { shared, table: Some(table?), began };
        let replaced = waker.and_then(|waker| ready.watch(waker));
        guarded(|| drop(replaced));
        turn.table.as_mut()?.look(&ready);
        Some(turn)
    }

    fn run(mut self, when: When) {
        while let Some(table) = &mut self.table {
            match table.poll_next() {
                Polled::Pending => {}
                Polled::Ended(slot, outcome, job) => {
                    guarded(|| drop(job));
                    self.shared.end_job(slot, when, outcome);
                }
                Polled::NoneDue => self.catch_up(),
            }
        }
    }

    /// Takes in what was begun meanwhile. If there is nothing, the turn ends, under the same lock:
    /// whoever begins another job from now on finds the table and sees to it.
    fn catch_up(&mut self) {
        let mut state = self.shared.lock();
        let Some(table) = &mut self.table else { return };
        state.restart_incoming();
        let (any, gone) = state.jobs.catch_up(table);
        if any {
            drop(state);
        } else {
            self.give_back(state);
        }
        gone.into_iter().for_each(|job| self.shared.drop_job(Some(job)));
    }

    fn give_back(&mut self, mut state: MutexGuard<'_, State<F>>) {
        let Some(table) = self.table.take() else { return };
        let left = state.jobs.end_turn(table, self.began);
        let waker = state.next_driver();
        drop(state);
        guarded(|| drop(left));
        wake(waker);
    }
}

impl<F: Factory, C: Clock> Drop for Turn<'_, F, C> {
    /// Gives the jobs back if a panic ended the turn.
    fn drop(&mut self) {
        if self.table.is_some() {
            self.give_back(self.shared.lock());
        }
    }
}
