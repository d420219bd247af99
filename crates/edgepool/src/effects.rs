//! What the ledger asks for, carried out one by one, each without the lock.

use std::panic::Location;
use std::task::Waker;
use std::time::Duration;

use crate::Clock;
use crate::error::Failure;
use crate::events::{About, Event};
use crate::factory::{Begun, Factory, Tried};
use crate::jobs::{Job, Seat};
use crate::ledger::{Effect, End, Info, JobKind, Leaving, SlotKey, Verdict, WaiterKey};
use crate::shared::{Shared, guarded};
use crate::state::State;

/// An effect with what it concerns, taken out of the state so that it runs without the lock.
pub(crate) enum Action<F: Factory> {
    Wake {
        waker: Option<Waker>,
        /// The waker that the jobs had of it.
        left: Option<Waker>,
    },
    Ended {
        waiter: WaiterKey,
        end: End,
        waker: Option<Waker>,
        /// The waker that the jobs had of it.
        left: Option<Waker>,
    },
    Create(SlotKey),
    Check(SlotKey, F::Connection),
    Abandon {
        job: Option<Job<F>>,
        waker: Option<Waker>,
        failed: bool,
        /// The failure before, if this is one.
        forgotten: Option<Failure<F::Error>>,
    },
    Close(SlotKey, Leaving, F::Connection),
    LongHold(SlotKey, Duration, Option<&'static Location<'static>>),
    Drained(Vec<Waker>),
}

/// Effects. None of these carries out what follows from it: that stands in the ledger, and whoever
/// carries this one out goes on until nothing is left.
impl<F: Factory, C: Clock> Shared<F, C> {
    pub(crate) fn perform(&self, action: Action<F>) {
        match action {
            Action::Wake { waker, left } => {
                guarded(|| drop(left));
                waker.into_iter().for_each(Waker::wake);
            }
            Action::Ended { waiter, end, waker, left } => {
                guarded(|| drop(left));
                guarded(|| self.factory.observe(&Event::Ended(waiter, end)));
                waker.into_iter().for_each(Waker::wake);
            }
            Action::Create(slot) => self.begin_creation(slot),
            Action::Check(slot, connection) => self.begin_check(slot, connection),
            Action::Abandon { job, waker, failed, forgotten } => {
                self.drop_job(job);
                guarded(|| drop(forgotten));
                if failed {
                    guarded(|| self.factory.observe(&Event::CreateFailed));
                }
                waker.into_iter().for_each(Waker::wake);
            }
            Action::Close(slot, leaving, connection) => {
                self.begin_closing(slot, leaving, connection);
            }
            Action::LongHold(slot, held, holder) => self.tell(slot, |about| {
                self.factory.observe(&Event::LongHold { about, held, holder });
            }),
            Action::Drained(wakers) => {
                for waker in wakers {
                    guarded(|| waker.wake());
                }
            }
        }
    }

    fn begin_creation(&self, slot: SlotKey) {
        let job = guarded(|| Job::Create(Box::pin(self.factory.create())));
        match job {
            Some(job) => self.push(slot, job),
            None => {
                let (told, waker) = {
                    let mut state = self.lock_now();
                    let waker = state.settle_watch(slot, || Err(Failure::Panicked));
                    (state.creation_failed(slot, Failure::Panicked), waker)
                };
                guarded(|| self.factory.observe(&Event::CreateFailed));
                guarded(|| drop(told));
                waker.into_iter().for_each(Waker::wake);
            }
        }
    }

    fn begin_check(&self, slot: SlotKey, connection: F::Connection) {
        match guarded(|| self.factory.check(connection)) {
            Some(Begun::Done(tried)) => self.take_in_check(slot, Some(tried)),
            Some(Begun::Later(check)) => self.push(slot, Job::Check(Box::pin(check), None)),
            None => self.take_in_check(slot, None),
        }
    }

    pub(crate) fn take_in_check(
        &self,
        slot: SlotKey,
        tried: Option<Tried<F::Connection, F::Error>>,
    ) {
        let (verdict, connection, error) = self.judge(slot, JobKind::Check, tried);
        let mut state = self.lock_now();
        state.take_in_tried(slot, connection, |ledger| ledger.checked(slot, verdict));
        drop(state);
        guarded(|| drop(error));
    }

    fn begin_closing(&self, slot: SlotKey, leaving: Leaving, mut connection: F::Connection) {
        self.tell(slot, |about| {
            self.factory.before_close(&mut connection, about);
        });
        self.tell(slot, |about| self.factory.observe(&Event::Leaves(about, leaving)));
        match guarded(|| self.factory.close(connection)) {
            Some(Begun::Later(closing)) => self.push(slot, Job::Close(Box::pin(closing))),
            Some(Begun::Done(())) | None => {
                self.lock_now().ledger.closed(slot);
            }
        }
    }

    /// Hands a job to the pool, unless it was given up while it was begun.
    pub(crate) fn push(&self, slot: SlotKey, mut job: Job<F>) {
        let mut state = self.lock();
        let surplus = match state.ledger.info(slot).filter(|_| state.ledger.is_wanted(slot)) {
            Some(info) => {
                job.bear(info.id);
                state.jobs.push(slot, job);
                None
            }
            None => Some(job),
        };
        drop(state);
        self.drop_job(surplus);
    }

    /// Drops a job that was given up, and tells of the connection that it had.
    pub(crate) fn drop_job(&self, job: Option<Job<F>>) {
        let losing = job.as_ref().and_then(Job::losing);
        guarded(|| drop(job));
        if let Some((connection, job)) = losing {
            guarded(|| self.factory.observe(&Event::Lost { connection, job }));
        }
    }

    /// Splits how a check or a reset went into what the ledger, the pool and the caller are told;
    /// tells of the connection first if a panic lost it.
    pub(crate) fn judge(
        &self,
        slot: SlotKey,
        job: JobKind,
        tried: Option<Tried<F::Connection, F::Error>>,
    ) -> (Verdict, Option<F::Connection>, Option<F::Error>) {
        match tried {
            Some(Ok(connection)) => (Verdict::Good, Some(connection), None),
            Some(Err((connection, error))) => (Verdict::Bad, Some(connection), Some(error)),
            None => {
                let connection = self.info(slot).map(|info| info.id);
                guarded(|| self.factory.observe(&Event::Lost { connection, job }));
                (Verdict::Lost, None, None)
            }
        }
    }

    /// Runs a hook or an observer that is told about a connection.
    #[inline(always)]
    pub(crate) fn tell(&self, slot: SlotKey, run: impl FnOnce(About<'_>)) {
        guarded(|| run(About(&|| self.info(slot))));
    }

    pub(crate) fn info(&self, slot: SlotKey) -> Option<Info> {
        self.lock().ledger.info(slot)
    }
}

impl<F: Factory> State<F> {
    /// Takes the next effect, with what it concerns.
    pub(crate) fn next_action(&mut self) -> Option<Action<F>> {
        Some(match self.ledger.poll_effect()? {
            // Whoever is served or has ended may not be polled for long, or never again, so whatever
            // it saw to is another's from now on.
            Effect::Offer { waiter, .. } => {
                let left = self.jobs.leave(Seat::Waiter(waiter));
                Action::Wake { waker: self.waker_mut(waiter).take(), left }
            }
            Effect::Ended { waiter, end } => {
                let left = self.jobs.leave(Seat::Waiter(waiter));
                Action::Ended { waiter, end, waker: self.waker_mut(waiter).take(), left }
            }
            Effect::Create { slot } => Action::Create(slot),
            Effect::Check { slot } => Action::Check(slot, self.take_connection(slot.index)),
            Effect::Abandon { slot, job, overdue } => {
                let failure = || if overdue { Failure::TimedOut } else { Failure::GivenUp };
                let waker = self.settle_watch(slot, || Err(failure()));
                let failed = overdue && job == JobKind::Creation;
                let forgotten =
                    if failed { self.last_failure.replace(Failure::TimedOut) } else { None };
                Action::Abandon { job: self.jobs.abandon(slot), waker, failed, forgotten }
            }
            Effect::Close { slot, leaving } => {
                Action::Close(slot, leaving, self.take_connection(slot.index))
            }
            Effect::LongHold { slot } => {
                let held = self.ledger.held(slot).or_else(|| self.ledger.options().long_hold);
                Action::LongHold(slot, held.unwrap_or_default(), self.holder(slot))
            }
            Effect::Drained => Action::Drained(self.rouse_attendants()),
        })
    }
}
