//! The wait for a connection.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::creations::Failure;
use crate::error::AcquireError;
use crate::lease::Lease;
use crate::ledger::{End, Refused, WaiterKey};
use crate::shared::{Shared, Standing, State, When};
use crate::{Clock, Factory, Time};

/// The future of [`Pool::acquire`](crate::Pool::acquire).
///
/// # Cancel safety
///
/// Dropping it leaves the queue. A connection that was offered to it goes to the next caller, and a
/// creation that it started goes on and serves whoever is first by then: nothing is lost but the
/// place in the queue.
#[must_use = "futures do nothing unless polled"]
pub struct Acquire<'a, F: Factory, C: Clock> {
    shared: &'a Arc<Shared<F, C>>,
    timeout: Option<Duration>,
    progress: Progress<C::Alarm>,
}

enum Progress<A> {
    Start,
    Waiting(Wait<A>),
    Done,
}

struct Wait<A> {
    key: WaiterKey,
    since: Time,
    deadline: Time,
    /// The alarm that is set, and for when.
    alarm: Option<(Time, Pin<Box<A>>)>,
}

type Outcome<F, C> = Result<Lease<F, C>, AcquireError<<F as Factory>::Error>>;

impl<'a, F: Factory, C: Clock> Acquire<'a, F, C> {
    pub(crate) const fn new(shared: &'a Arc<Shared<F, C>>, timeout: Option<Duration>) -> Self {
        Self { shared, timeout, progress: Progress::Start }
    }

    /// Waits at most this long, from the first poll on, instead of the pool's acquire timeout;
    /// `None` waits for ever. Zero takes what is idle or can be made at once.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    fn start(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<F, C>> {
        if let Some(leased) = self.shared.step(State::try_acquire) {
            return Poll::Ready(Ok(Lease::new(self.shared, leased)));
        }
        let timeout = self.timeout;
        let (now, mut since, mut deadline) = (self.shared.clock.now(), Time::ZERO, Time::NEVER);
        let asked = self.shared.step_at(now, |state| {
            // The clock may have stepped back, and the ledger's time does not: counted from what
            // the clock tells, the caller's time might be over before it begins.
            since = state.ledger.now();
            deadline = timeout.map_or(Time::NEVER, |timeout| since.saturating_add(timeout));
            state.acquire(deadline)
        });
        match asked {
            Ok(Standing::Waiting(key, _)) => {
                self.progress = Progress::Waiting(Wait { key, since, deadline, alarm: None });
                self.wait(When::AsTold, cx)
            }
            Ok(Standing::Leased(leased)) => Poll::Ready(Ok(Lease::new(self.shared, leased))),
            Ok(_) => unreachable!("a wait does not end as it begins"),
            Err(Refused::Closed) => Poll::Ready(Err(AcquireError::Closed)),
            Err(Refused::QueueFull) => {
                let max_waiting = self.shared.lock().ledger.options().max_waiting;
                Poll::Ready(Err(AcquireError::QueueFull { max_waiting }))
            }
        }
    }

    /// Goes round until there is an outcome, or nothing to do before the next wake.
    fn wait(&mut self, mut when: When, cx: &mut Context<'_>) -> Poll<Outcome<F, C>> {
        let shared = self.shared;
        loop {
            let Progress::Waiting(wait) = &mut self.progress else {
                unreachable!("only a waiting caller waits");
            };
            shared.drive(wait.key, when, cx);
            let waker = cx.waker().clone();
            let (standing, unneeded) =
                shared.step_when(when, |state| state.claim(wait.key, wait.deadline, waker));
            drop(unneeded);
            match standing {
                Standing::Wanted => {}
                Standing::Leased(leased) => {
                    self.leave();
                    return Poll::Ready(Ok(Lease::new(shared, leased)));
                }
                Standing::Ended(end, failure) => {
                    let error = self.error(end, failure);
                    self.leave();
                    return Poll::Ready(Err(error));
                }
                Standing::Waiting(_, until) => {
                    if wait.poll_alarm(&shared.clock, until, cx).is_pending() {
                        return Poll::Pending;
                    }
                    when = When::Now;
                }
            }
        }
    }

    fn error(&self, end: End, failure: Option<Failure<F::Error>>) -> AcquireError<F::Error> {
        match (end, failure) {
            (End::TimedOut, _) => self.timed_out(),
            (End::Closed, _) => AcquireError::Closed,
            (End::Missed, _) => AcquireError::Missed,
            (End::CreateTimedOut, _) => AcquireError::CreateTimedOut,
            (End::CreateFailed, Some(Failure::Error(error))) => AcquireError::CreateFailed(error),
            (End::CreateFailed, _) => AcquireError::CreatePanicked,
        }
    }

    fn timed_out(&self) -> AcquireError<F::Error> {
        let state = self.shared.lock();
        let (now, pool) = (state.ledger.now(), state.ledger.gauges());
        drop(state);
        let waited = match &self.progress {
            Progress::Waiting(wait) => now.saturating_since(wait.since),
            Progress::Start | Progress::Done => Duration::ZERO,
        };
        AcquireError::TimedOut { waited, pool }
    }

    /// Ends the wait on this side. The ledger has forgotten it; if the creations want a turn,
    /// another waiter must see to it.
    fn leave(&mut self) {
        if let Progress::Waiting(wait) = std::mem::replace(&mut self.progress, Progress::Done) {
            self.shared.lock().creations.leave(wait.key);
            self.shared.wake_driver();
        }
    }
}

impl<A: Future<Output = ()>> Wait<A> {
    /// Sees to it that the caller is polled at `until`; ready if that has come.
    fn poll_alarm<C: Clock<Alarm = A>>(
        &mut self,
        clock: &C,
        until: Time,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if until == Time::NEVER {
            self.alarm = None;
            return Poll::Pending;
        }
        if self.alarm.as_ref().is_none_or(|(at, _)| *at != until) {
            self.alarm = Some((until, Box::pin(clock.alarm(until))));
        }
        let Some((_, alarm)) = &mut self.alarm else { return Poll::Pending };
        let polled = alarm.as_mut().poll(cx);
        if polled.is_ready() {
            self.alarm = None;
        }
        polled
    }
}

impl<F: Factory, C: Clock> Future for Acquire<'_, F, C> {
    type Output = Outcome<F, C>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = match self.progress {
            Progress::Start => self.start(cx),
            Progress::Waiting(_) => self.wait(When::Now, cx),
            Progress::Done => panic!("an acquire future was polled after it had completed"),
        };
        if polled.is_ready() {
            self.progress = Progress::Done;
        }
        polled
    }
}

impl<F: Factory, C: Clock> Drop for Acquire<'_, F, C> {
    fn drop(&mut self) {
        if let Progress::Waiting(wait) = &self.progress {
            let key = wait.key;
            let unneeded = self.shared.step(|state| state.cancel(key));
            drop(unneeded);
            self.leave();
        }
    }
}
