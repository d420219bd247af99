//! Those who wait for something else than a connection. They poll the jobs in the meantime, before
//! the callers in the queue do.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::alarm::Alarms;
use crate::factory::Factory;
use crate::jobs::Seat;
use crate::shared::{Shared, When, guarded};
use crate::state::State;
use crate::{Clock, Time};

/// A place among the attendants of a pool, left when it is dropped.
pub(crate) struct Attendant<F: Factory, C: Clock> {
    pub(crate) shared: Arc<Shared<F, C>>,
    /// Its number, from the first poll on.
    id: Option<usize>,
    alarm: Alarms<C::Alarm>,
}

enum Standing<T> {
    Done(T),
    Wanted,
    Sleeping(Time),
}

impl<F: Factory, C: Clock> Attendant<F, C> {
    pub(crate) const fn new(shared: Arc<Shared<F, C>>) -> Self {
        Self { shared, id: None, alarm: Alarms::none() }
    }

    /// Returns its number.
    pub(crate) fn id(&mut self) -> usize {
        *self.id.get_or_insert_with(|| self.shared.lock().arrive())
    }

    /// Polls the jobs, and looks whether what it waits for is there, until it is, or nothing is to
    /// be done before the next wake. It wakes at `until` at the latest.
    pub(crate) fn poll<T>(
        &mut self,
        until: Time,
        cx: &mut Context<'_>,
        mut look: impl FnMut(&mut State<F>) -> Option<T>,
    ) -> Poll<T> {
        let id = self.id();
        let seat = Seat::Attendant(id);
        let mut rang = false;
        loop {
            // What is polled first has its time from now.
            self.shared.step(|_| ());
            let drove = self.shared.drive(seat, When::Now, cx);
            let waker = cx.waker().clone();
            let (standing, replaced) = self.shared.step_now(|state| match look(state) {
                Some(found) => (Standing::Done(found), Some(waker)),
                None if state.jobs.want_a_turn() && !(drove && state.jobs.have_woken(seat)) => {
                    (Standing::Wanted, Some(waker))
                }
                None => {
                    let (next, replaced) = state.sleep(id, waker);
                    (Standing::Sleeping(next.min(until)), replaced)
                }
            });
            guarded(|| drop(replaced));
            match standing {
                Standing::Done(found) => return Poll::Ready(found),
                Standing::Wanted => {}
                Standing::Sleeping(next) => {
                    if self.alarm.poll(&self.shared.clock, next, &mut rang, cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl<F: Factory, C: Clock> Attendant<F, C> {
    /// Leaves its place, as the wait is over: a future that is done may stay for long, and nobody
    /// polls it.
    pub(crate) fn leave(&mut self) {
        let Some(id) = self.id.take() else { return };
        let parting = self.shared.lock().depart(id);
        parting.settle();
        self.shared.wake_driver();
    }
}

impl<F: Factory, C: Clock> Drop for Attendant<F, C> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The future of [`Pool::driver`](crate::Pool::driver).
///
/// # Cancel safety
///
/// Dropping it loses nothing: what it would have done is done by whoever waits, or by the next
/// operation.
#[must_use = "futures do nothing unless polled"]
pub struct Driver<F: Factory, C: Clock> {
    pub(crate) attendant: Attendant<F, C>,
    pub(crate) filled: bool,
}

impl<F: Factory, C: Clock> Future for Driver<F, C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if !std::mem::replace(&mut this.filled, true) {
            this.attendant.shared.step_now(|state| state.ledger.fill());
        }
        let polled =
            this.attendant.poll(Time::NEVER, cx, |state| state.ledger.is_drained().then_some(()));
        if polled.is_ready() {
            this.attendant.leave();
        }
        polled
    }
}

impl<F: Factory, C: Clock> std::fmt::Debug for Driver<F, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}
