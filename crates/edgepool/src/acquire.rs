//! The wait for a connection.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::alarm::Alarms;
use crate::error::AcquireError;
use crate::events::Event;
use crate::jobs::Seat;
use crate::lease::Lease;
use crate::ledger::{Ask, Priority, SlotKey, TenantKey, WaiterKey};
use crate::shared::{Shared, When, guarded};
use crate::state::{Asked, Claimed, Standing, State};
use crate::{Clock, Factory, Tenant, Time};

/// The future of [`Pool::acquire`](crate::Pool::acquire).
///
/// # Cancel safety
///
/// Dropping it leaves the queue. A connection that was offered to it goes to the next caller, and a
/// creation or a check that it began goes on and serves whoever is first by then: nothing is lost
/// but the place in the queue.
#[must_use = "futures do nothing unless polled"]
pub struct Acquire<'a, F: Factory, C: Clock> {
    shared: &'a Arc<Shared<F, C>>,
    progress: Progress<C::Alarm>,
}

// Whoever awaits it moves it about, so it is small: what belongs to the wait stands in the pool.
enum Progress<A> {
    Start(Wish),
    Waiting { key: WaiterKey, alarm: Alarms<A> },
    Done,
}

/// What a caller asks for before it is in the queue.
#[derive(Clone, Copy)]
struct Wish {
    /// How long it waits, in nanoseconds; the greatest is for ever.
    patience: u64,
    at: &'static Location<'static>,
    need: u16,
    priority: Priority,
    tenant: Option<TenantKey>,
}

type Outcome<T, F> = Result<T, AcquireError<<F as Factory>::Error>>;

/// Tells a time-out in whole nanoseconds; the greatest is for ever.
pub(crate) fn patience(timeout: Option<Duration>) -> u64 {
    timeout.map_or(u64::MAX, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

impl<'a, F: Factory, C: Clock> Acquire<'a, F, C> {
    #[inline(always)]
    pub(crate) const fn new(
        shared: &'a Arc<Shared<F, C>>,
        need: u16,
        at: &'static Location<'static>,
        patience: u64,
    ) -> Self {
        let wish = Wish { patience, at, need, priority: Priority::Normal, tenant: None };
        Self { shared, progress: Progress::Start(wish) }
    }

    /// Waits at most this long, from the first poll on, instead of the pool's acquire timeout;
    /// `None` waits for ever. Zero takes what is idle or can be made at once.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        if let Progress::Start(wish) = &mut self.progress {
            wish.patience = patience(timeout.into());
        }
        self
    }

    /// Sets the class of the caller in the queue; [`Priority::Normal`] unless it is set.
    pub const fn priority(mut self, priority: Priority) -> Self {
        if let Progress::Start(wish) = &mut self.progress {
            wish.priority = priority;
        }
        self
    }

    /// Acquires as a caller of this tenant, whose share it has; without one it is a caller of
    /// nobody's. A tenant of another pool is an
    /// [error](crate::AcquireError::UnknownTenant).
    pub fn tenant(mut self, tenant: &'a Tenant<F, C>) -> Self {
        if let Progress::Start(wish) = &mut self.progress {
            wish.tenant = Some(tenant.key_in(self.shared));
        }
        self
    }

    /// Everything but the case in which a connection is idle. The outcome goes to a place of its
    /// own: if both cases shared the caller's, the common one would be copied through memory.
    #[cold]
    #[inline(never)]
    fn poll_slowly(
        &mut self,
        left: bool,
        cx: &mut Context<'_>,
        out: &mut Option<Outcome<Lease<F, C>, F>>,
    ) {
        let shared = self.shared;
        let leased = match self.progress {
            Progress::Start(Wish { tenant: Some(tenant), at, .. }) => {
                shared.drive_if_left();
                shared.try_acquire_for(tenant, at)
            }
            Progress::Start(wish) if left => {
                shared.drive_once();
                shared.try_acquire(wish.at)
            }
            Progress::Waiting { key, .. } => shared.step(|state| state.claim_plainly(key)),
            Progress::Start(_) | Progress::Done => None,
        };
        if let Some(leased) = leased {
            self.progress = Progress::Done;
            *out = Some(Ok(Lease::new(shared, leased)));
            return;
        }
        if let Poll::Ready(outcome) = self.poll_claimed(cx) {
            *out = Some(outcome.map(|claimed| Lease::new(self.shared, claimed.first)));
        }
    }

    fn poll_claimed(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<Claimed<F>, F>> {
        let polled = match self.progress {
            Progress::Start(wish) => self.start(wish, cx),
            Progress::Waiting { .. } => self.wait(When::Now, None, None, cx),
            Progress::Done => panic!("an acquire future was polled after it had completed"),
        };
        if polled.is_ready() {
            self.progress = Progress::Done;
        }
        polled
    }

    /// Begins: with what is made at once, or in the queue.
    fn start(&mut self, wish: Wish, cx: &mut Context<'_>) -> Poll<Outcome<Claimed<F>, F>> {
        let shared = self.shared;
        // Cloning a waker is somebody's code: it comes before the lock.
        let mut waker = Some(cx.waker().clone());
        let mut standing = None;
        let asked = shared.step_patiently(wish.patience, |state| {
            // An effect may be about the place that it would get.
            if wish.need == 1
                && wish.tenant.is_none()
                && !state.ledger.has_effects()
                && let Some(slot) = state.ledger.prepare_directly()
            {
                return Ok(Asked::Creation(slot));
            }
            let asked = self.ask(state, wish)?;
            // It may sleep at once, unless it is to poll what its coming began.
            if let Asked::Waiting(key) = asked
                && !state.ledger.has_effects()
            {
                standing = Some(state.sleep_in_queue(key, &mut waker, cx.waker(), false));
            }
            Ok(asked)
        });
        if let Ok(Asked::Creation(slot)) = asked {
            return self.start_with_creation(wish, slot, waker, cx);
        }
        match self.join(asked) {
            Some(outcome) => {
                guarded(|| drop(waker));
                Poll::Ready(outcome)
            }
            None if matches!(standing, Some(Standing::Waiting(Time::NEVER))) => Poll::Pending,
            None => self.wait(When::AsTold, standing, waker, cx),
        }
    }

    /// Begins with a creation that nobody else waits for.
    fn start_with_creation(
        &mut self,
        wish: Wish,
        slot: SlotKey,
        waker: Option<Waker>,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<Claimed<F>, F>> {
        let shared = self.shared;
        let left = match shared.create_directly(slot, wish.at) {
            Ok(leased) => {
                guarded(|| drop(waker));
                return Poll::Ready(Ok(Claimed::one(leased)));
            }
            Err(left) => left,
        };
        let asked = shared.step_patiently(wish.patience, |state| self.ask(state, wish));
        let joined = self.join(asked);
        if let Some((slot, outcome)) = left {
            shared.end_job(slot, When::AsTold, outcome);
        }
        match joined {
            None => self.wait(When::AsTold, None, waker, cx),
            Some(outcome) => {
                // Whoever came meanwhile counts on the creation, and this caller will not poll it.
                shared.wake_driver();
                guarded(|| drop(waker));
                Poll::Ready(outcome)
            }
        }
    }

    #[inline(always)]
    fn ask(&self, state: &mut State<F>, wish: Wish) -> Result<Asked<F>, AcquireError<F::Error>> {
        let Wish { patience, need, priority, at, tenant } = wish;
        // The clock may have stepped back, and the ledger's time does not: counted from what the
        // clock tells, the caller's time might be over before it begins.
        let deadline = match patience {
            u64::MAX => Time::NEVER,
            nanos => state.ledger.now().saturating_add(Duration::from_nanos(nanos)),
        };
        let at = self.shared.settings.keeps_callers().then_some(at);
        state.acquire(Ask { deadline, priority, need, tenant }, at)
    }

    /// Takes its place in the queue, unless the wait is over at once.
    #[inline(always)]
    fn join(
        &mut self,
        asked: Result<Asked<F>, AcquireError<F::Error>>,
    ) -> Option<Outcome<Claimed<F>, F>> {
        match asked {
            Ok(Asked::Claimed(claimed)) => Some(Ok(claimed)),
            Ok(Asked::Waiting(key)) => {
                self.progress = Progress::Waiting { key, alarm: Alarms::none() };
                guarded(|| self.shared.factory.observe(&Event::Queued(key)));
                None
            }
            Ok(Asked::Creation(_)) => unreachable!("it is begun before the caller joins"),
            Err(error) => {
                guarded(|| self.shared.factory.observe(&Event::Refused));
                Some(Err(error))
            }
        }
    }

    /// Goes round until there is an outcome, or nothing to do before the next wake.
    fn wait(
        &mut self,
        mut when: When,
        mut standing: Option<Standing<F>>,
        mut waker: Option<Waker>,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<Claimed<F>, F>> {
        let shared = self.shared;
        let Progress::Waiting { key, alarm } = &mut self.progress else {
            unreachable!("only a waiting caller waits");
        };
        let seat = Seat::Waiter(*key);
        let (mut drove, mut rang) = (false, false);
        loop {
            let standing = standing.take().unwrap_or_else(|| {
                let mut parting = None;
                let standing = shared.step_when(when, |state| {
                    state.claim(*key, &mut waker, cx.waker(), drove, &mut parting)
                });
                if let Some(parting) = parting {
                    parting.settle();
                }
                standing
            });
            match standing {
                Standing::Claimed(claimed) => {
                    // A lease that is not one yet would be lost by a panic.
                    guarded(|| drop(waker.take()));
                    if let Some((waited, at)) = claimed.rest.as_ref().and_then(|rest| rest.slow) {
                        let event = Event::SlowAcquire { waited, at };
                        guarded(|| shared.factory.observe(&event));
                    }
                    return Poll::Ready(Ok(claimed));
                }
                Standing::Ended(error) => {
                    guarded(|| drop(waker.take()));
                    return Poll::Ready(Err(error));
                }
                Standing::WakerWanted => {
                    guarded(|| drop(waker.take()));
                    waker = Some(cx.waker().clone());
                    shared.move_seat(seat, cx);
                }
                Standing::TurnWanted => drove |= shared.drive(seat, when, cx),
                Standing::Waiting(until) => {
                    guarded(|| drop(waker.take()));
                    if alarm.poll(&shared.clock, until, &mut rang, cx).is_pending() {
                        return Poll::Pending;
                    }
                    when = When::Now;
                }
            }
        }
    }
}

impl<F: Factory, C: Clock> Future for Acquire<'_, F, C> {
    type Output = Outcome<Lease<F, C>, F>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut left = false;
        if let Progress::Start(wish) = self.progress
            && wish.tenant.is_none()
            && let Some(leased) = self.shared.acquire_idle(wish.at, &mut left)
        {
            self.progress = Progress::Done;
            return Poll::Ready(Ok(Lease::new(self.shared, leased)));
        }
        let mut outcome = None;
        self.poll_slowly(left, cx, &mut outcome);
        match outcome {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }
}

impl<F: Factory, C: Clock> Drop for Acquire<'_, F, C> {
    #[inline]
    fn drop(&mut self) {
        if let Progress::Waiting { key, .. } = self.progress {
            give_up(self.shared, key);
        }
    }
}

#[cold]
fn give_up<F: Factory, C: Clock>(shared: &Shared<F, C>, key: WaiterKey) {
    let (was_pending, parting, unneeded) = shared.step(|state| state.cancel(key));
    parting.settle();
    guarded(|| drop(unneeded));
    if was_pending {
        guarded(|| shared.factory.observe(&Event::Cancelled(key)));
    }
}

impl<F: Factory, C: Clock> std::fmt::Debug for Acquire<'_, F, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let progress = match &self.progress {
            Progress::Start(_) => "not begun",
            Progress::Waiting { .. } => "waiting",
            Progress::Done => "done",
        };
        f.debug_tuple("Acquire").field(&progress).finish()
    }
}

/// An acquire that owns what it needs, for those who keep it beside the pool.
pub(crate) struct OwnedAcquire<F: Factory, C: Clock> {
    shared: Arc<Shared<F, C>>,
    progress: Progress<C::Alarm>,
}

impl<F: Factory, C: Clock> Acquire<'_, F, C> {
    pub(crate) fn into_owned(mut self) -> OwnedAcquire<F, C> {
        let progress = std::mem::replace(&mut self.progress, Progress::Done);
        OwnedAcquire { shared: Arc::clone(self.shared), progress }
    }
}

impl<F: Factory, C: Clock> OwnedAcquire<F, C> {
    /// Takes the acquire out. Whatever becomes of it, it is over here.
    fn take(&mut self) -> Acquire<'_, F, C> {
        let progress = std::mem::replace(&mut self.progress, Progress::Done);
        Acquire { shared: &self.shared, progress }
    }
}

impl<F: Factory, C: Clock> Future for OwnedAcquire<F, C> {
    type Output = Outcome<Lease<F, C>, F>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut acquire = self.take();
        let polled = Pin::new(&mut acquire).poll(cx);
        let progress = std::mem::replace(&mut acquire.progress, Progress::Done);
        drop(acquire);
        self.progress = progress;
        polled
    }
}

impl<F: Factory, C: Clock> Drop for OwnedAcquire<F, C> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// The future of [`Pool::acquire_many`](crate::Pool::acquire_many).
///
/// # Cancel safety
///
/// As that of [`Acquire`]: what was set aside for it goes to the next callers.
#[must_use = "futures do nothing unless polled"]
#[derive(Debug)]
pub struct AcquireMany<'a, F: Factory, C: Clock>(pub(crate) Acquire<'a, F, C>);

impl<F: Factory, C: Clock> AcquireMany<'_, F, C> {
    /// As [`Acquire::timeout`].
    pub fn timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        Self(self.0.timeout(timeout))
    }

    /// As [`Acquire::priority`].
    pub const fn priority(mut self, priority: Priority) -> Self {
        if let Progress::Start(wish) = &mut self.0.progress {
            wish.priority = priority;
        }
        self
    }
}

impl<'a, F: Factory, C: Clock> AcquireMany<'a, F, C> {
    /// As [`Acquire::tenant`]: the tenant has as many turns less.
    pub fn tenant(self, tenant: &'a Tenant<F, C>) -> Self {
        Self(self.0.tenant(tenant))
    }
}

impl<F: Factory, C: Clock> Future for AcquireMany<'_, F, C> {
    type Output = Outcome<Vec<Lease<F, C>>, F>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let shared = self.0.shared;
        if matches!(self.0.progress, Progress::Start(_)) {
            shared.drive_if_left();
        }
        self.0.poll_claimed(cx).map_ok(|claimed| {
            let Claimed { first, rest } = claimed;
            let more = rest.map_or(Vec::new(), |rest| rest.more);
            std::iter::once(first).chain(more).map(|leased| Lease::new(shared, leased)).collect()
        })
    }
}
