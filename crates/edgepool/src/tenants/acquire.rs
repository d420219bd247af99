//! The wait for a connection of a tenant.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::bell::Seat;
use super::core::{Core, Home};
use super::error::TenantError;
use super::factory::TenantFactory;
use super::guest::{Door, Guest};
use super::lease::TenantLease;
use super::stats::How;
use super::ticket::{Held, Ticket, Ticketed};
use crate::acquire::{OwnedAcquire, patience};
use crate::alarm::Alarms;
use crate::error::{AcquireError, Failure};
use crate::factory::{Begun, Tried};
use crate::lease::Lease;
use crate::ledger::Priority;
use crate::shared::guarded;
use crate::{Clock, Time};

/// The future of [`TenantPools::acquire`](super::TenantPools::acquire).
///
/// # Cancel safety
///
/// Dropping it leaves the queue, whether for a pool or for a connection, and nothing is lost but the
/// place in it. Only while the tenant's context is being put on a connection is more lost: that
/// connection, as nobody knows how far it came.
#[must_use = "futures do nothing unless polled"]
pub struct TenantAcquire<'a, T: TenantFactory, C: Clock + Clone> {
    core: &'a Arc<Core<T, C>>,
    /// How long it waits, in nanoseconds; the greatest is for ever.
    patience: u64,
    priority: Priority,
    at: &'static Location<'static>,
    /// When it began, and when it ends at the latest; from the first poll on.
    times: Option<(Time, Time)>,
    /// Whether it has waited.
    waited: bool,
    stage: Stage<'a, T, C>,
}

// Nothing in it is pinned where it stands.
impl<T: TenantFactory, C: Clock + Clone> Unpin for TenantAcquire<'_, T, C> {}

type Pooled<T, C> = Ticketed<T, C>;
type Outcome<T, V> = Result<V, TenantError<<T as TenantFactory>::Error>>;

enum Stage<'a, T: TenantFactory, C: Clock + Clone> {
    Door(Door<'a, T, C>),
    Queue { wait: OwnedAcquire<Pooled<T, C>, C>, enters: bool, seat: Seat, guest: Guest<T, C> },
    Entering(Entering<T, C>),
    Done,
}

impl<'a, T: TenantFactory, C: Clock + Clone> TenantAcquire<'a, T, C> {
    pub(super) fn new(
        core: &'a Arc<Core<T, C>>,
        name: &'a str,
        at: &'static Location<'static>,
    ) -> Self {
        Self {
            core,
            patience: core.plan.template.patience(),
            priority: Priority::Normal,
            at,
            times: None,
            waited: false,
            stage: Stage::Door(Door::new(core, name)),
        }
    }

    /// Waits at most this long, from the first poll on, for the pool, the connection and the context
    /// on it together, instead of the acquire timeout of the pools; `None` waits for ever.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.patience = patience(timeout.into());
        self
    }

    /// Sets the class of the caller in its tenant's queue; [`Priority::Normal`] unless it is set.
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Goes on from one stage to the next; `None` if that is not the last.
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Option<Outcome<T, TenantLease<T, C>>>> {
        let (since, until) = *self.times.get_or_insert_with(|| {
            let now = self.core.step(|desk| desk.now);
            (now, Core::<T, C>::until(now, self.patience))
        });
        match &mut self.stage {
            Stage::Door(door) => {
                let (guest, home) = match door.poll(since, until, cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                    Poll::Ready(Ok(admitted)) => admitted,
                };
                self.stage = self.queue(guest, &home, until);
                Poll::Ready(None)
            }
            Stage::Queue { wait, seat, guest, .. } => {
                let Poll::Ready(outcome) = Pin::new(wait).poll(cx) else {
                    seat.sleep(cx.waker());
                    return Poll::Pending;
                };
                let leased = outcome.map_err(|error| {
                    let error = guest.explain(error);
                    guest.how = error.how();
                    error
                });
                Poll::Ready(match leased {
                    Ok(lease) => self.receive(lease, since, until),
                    Err(error) => Some(Err(error)),
                })
            }
            Stage::Entering(entering) => {
                let since = self.waited.then_some(since);
                entering.poll(since, until, cx).map(Some)
            }
            Stage::Done => panic!("an acquire future was polled after it had completed"),
        }
    }

    /// Joins the queue of the pool.
    fn queue(&self, guest: Guest<T, C>, home: &Home<T, C>, until: Time) -> Stage<'a, T, C> {
        let left = match until {
            Time::NEVER => None,
            _ if self.waited => Some(until.saturating_since(self.core.step(|desk| desk.now))),
            _ => Some(Duration::from_nanos(self.patience)),
        };
        let wait = match home {
            Home::Own(pool) => {
                pool.acquire_at(self.at).timeout(left).priority(self.priority).into_owned()
            }
            Home::Shared(tenant) => {
                let pool = self.core.shared.as_ref().expect("its tenants have shares of it");
                let acquire = pool.acquire_at(self.at).timeout(left).priority(self.priority);
                acquire.tenant(tenant).into_owned()
            }
        };
        let seat = Seat::of_caller(Arc::clone(&self.core.bell));
        Stage::Queue { wait, enters: matches!(home, Home::Shared(_)), seat, guest }
    }

    /// Takes a connection in, and puts the tenant's context on it if it is of a pool for all.
    fn receive(
        &mut self,
        mut lease: Lease<Pooled<T, C>, C>,
        since: Time,
        until: Time,
    ) -> Option<Outcome<T, TenantLease<T, C>>> {
        let Stage::Queue { enters, mut guest, .. } =
            std::mem::replace(&mut self.stage, Stage::Done)
        else {
            unreachable!("it has waited in the queue")
        };
        let since = self.waited.then_some(since);
        if !enters {
            return Some(match guest.serve(since) {
                true => Ok(TenantLease::new(lease, guest)),
                false => Err(guest.gone()),
            });
        }
        if let Err(error) = guest.begin_entering(since, until) {
            guest.how = error.how();
            // The connection is back before its tenant is told so.
            drop(lease);
            return Some(Err(error));
        }
        let Held { it, ticket } = lease.lift();
        // From here on a panic, or the end of this future, loses the connection and frees its place.
        let mut entering = Entering {
            job: None,
            ticket: Some(ticket),
            lease: Some(lease),
            alarm: Alarms::none(),
            guest: Some(guest),
        };
        let entry = Arc::clone(&entering.guest.as_ref()?.entry);
        match guarded(|| self.core.factory.enter(it, &entry)) {
            Some(Begun::Later(job)) => {
                entering.job = Some(Box::pin(job));
                self.stage = Stage::Entering(entering);
                None
            }
            Some(Begun::Done(tried)) => Some(entering.end(Some(tried), since)),
            None => Some(entering.end(None, None)),
        }
    }
}

impl<T: TenantFactory, C: Clock + Clone> Future for TenantAcquire<'_, T, C> {
    type Output = Outcome<T, TenantLease<T, C>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.core.do_chores();
        loop {
            match self.advance(cx) {
                Poll::Ready(None) => {}
                Poll::Ready(Some(outcome)) => {
                    self.stage = Stage::Done;
                    return Poll::Ready(outcome);
                }
                Poll::Pending => {
                    self.waited = true;
                    return Poll::Pending;
                }
            }
        }
    }
}

impl<T: TenantFactory, C: Clock + Clone> Guest<T, C> {
    /// Says what an error of a tenant's pool means for its caller: a pool closes while it has
    /// callers only if its tenant is removed, or all are closed.
    fn explain(&self, error: AcquireError<T::Error>) -> TenantError<T::Error> {
        match error {
            AcquireError::Closed | AcquireError::TenantRemoved | AcquireError::UnknownTenant => {
                self.gone()
            }
            error => TenantError::Acquire(error),
        }
    }
}

/// A connection that gets its tenant's context. Its place in the pool is given up if this ends
/// before it has.
struct Entering<T: TenantFactory, C: Clock + Clone> {
    /// The connection is in it.
    job: Option<Pin<Box<T::Enter>>>,
    ticket: Option<Ticket<T, C>>,
    /// Without its connection.
    lease: Option<Lease<Pooled<T, C>, C>>,
    alarm: Alarms<C::Alarm>,
    guest: Option<Guest<T, C>>,
}

impl<T: TenantFactory, C: Clock + Clone> Entering<T, C> {
    fn poll(
        &mut self,
        since: Option<Time>,
        until: Time,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<T, TenantLease<T, C>>> {
        let core = Arc::clone(&self.guest.as_ref().expect("it is there until it has ended").core);
        let job = self.job.as_mut().expect("it is polled until it is done");
        match guarded(|| job.as_mut().poll(cx)) {
            Some(Poll::Ready(tried)) => return Poll::Ready(self.end(Some(tried), since)),
            None => return Poll::Ready(self.end(None, since)),
            Some(Poll::Pending) => {}
        }
        let mut rang = false;
        while self.alarm.poll(&core.clock, until, &mut rang, cx).is_ready() {
            if core.step(|desk| desk.now) >= until {
                return Poll::Ready(self.fail(Failure::TimedOut));
            }
        }
        Poll::Pending
    }

    /// Ends it, as it went; `None` for a panic.
    fn end(
        &mut self,
        tried: Option<Tried<T::Connection, T::Error>>,
        since: Option<Time>,
    ) -> Outcome<T, TenantLease<T, C>> {
        let job = self.job.take();
        guarded(|| drop(job));
        let Some(tried) = tried else { return self.fail(Failure::Panicked) };
        let mut lease = self.lease.take().expect("it ends once");
        let ticket = self.ticket.take().expect("it ends once");
        match tried {
            Ok(it) => {
                let mut guest = self.guest.take().expect("it ends once");
                lease.put(Held { it, ticket });
                let serves = guest.serve(since);
                debug_assert!(serves, "it has held its connection");
                Ok(TenantLease::new(lease, guest))
            }
            Err((it, error)) => {
                lease.put(Held { it, ticket });
                lease.discard();
                self.fail(Failure::error(error))
            }
        }
    }

    fn fail(&mut self, failure: Failure<T::Error>) -> Outcome<T, TenantLease<T, C>> {
        let how = if matches!(failure, Failure::TimedOut) { How::TimedOut } else { How::Failed };
        if let Some(guest) = &mut self.guest {
            guest.how = how;
        }
        self.lose(failure.clone());
        Err(TenantError::Enter(failure))
    }

    /// Lets the connection go with its entering, and then its place. That has cost a connection,
    /// whatever it was for.
    fn lose(&mut self, why: Failure<T::Error>) {
        if let Some(guest) = &self.guest {
            guest.core.fail_entering(guest.key, guest.attempt, why);
        }
        let (job, ticket) = (self.job.take(), self.ticket.take());
        guarded(|| drop(job));
        drop(ticket);
        if let Some(lease) = self.lease.take() {
            lease.lose();
        }
        self.guest = None;
    }
}

impl<T: TenantFactory, C: Clock + Clone> Drop for Entering<T, C> {
    fn drop(&mut self) {
        self.lose(Failure::GivenUp);
    }
}

impl<T: TenantFactory, C: Clock + Clone> fmt::Debug for TenantAcquire<'_, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Door(_) => "waiting for a pool",
            Stage::Queue { .. } => "waiting for a connection",
            Stage::Entering(_) => "entering",
            Stage::Done => "done",
        };
        f.debug_tuple("TenantAcquire").field(&stage).finish()
    }
}
