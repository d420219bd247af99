//! What an operator waits for.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::bell::Seat;
use super::core::{Core, Home, Place, TenantPool, Waiting};
use super::entry::Entry;
use super::error::{TenantDrainError, TenantError};
use super::factory::TenantFactory;
use super::guest::{Door, Guest};
use super::roster::{Key, Life};
use super::stats::How;
use super::ticket::Ticketed;
use crate::alarm::Alarms;
use crate::attend::Driver;
use crate::operate::{Drain, WarmUp};
use crate::shared::guarded;
use crate::{Clock, Time};

type Outcome<T, V> = Result<V, TenantError<<T as TenantFactory>::Error>>;

/// The future of [`TenantPools::get_or_create`](super::TenantPools::get_or_create).
///
/// # Cancel safety
///
/// Dropping it loses nothing but the wait.
#[must_use = "futures do nothing unless polled"]
pub struct Opening<'a, T: TenantFactory, C: Clock + Clone> {
    core: &'a Arc<Core<T, C>>,
    door: Door<'a, T, C>,
    times: Option<(Time, Time)>,
    warming: Option<Warming<T, C>>,
}

/// A pool that makes what it begins with.
struct Warming<T: TenantFactory, C: Clock + Clone> {
    guest: Guest<T, C>,
    pool: TenantPool<T, C>,
    /// What is made once more, or ever, of what it should have by now.
    rest: Option<WarmUp<Ticketed<T, C>, C>>,
    waiting: Waiting,
    seat: Seat,
    /// Its seat as one who waits for that, with the chore that makes it.
    of_chore: Option<(usize, Seat)>,
}

impl<T: TenantFactory, C: Clock + Clone> Warming<T, C> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<T, ()>> {
        if self.rest.is_none()
            && let Some(chore) = self.chore(cx)
        {
            self.sleep(chore, cx);
            return Poll::Pending;
        }
        let Self { guest, pool, rest, .. } = self;
        let rest = rest.get_or_insert_with(|| {
            pool.warm_up(guest.core.plan.warm_up.min(pool.stats().gauges.max))
        });
        let Poll::Ready(outcome) = Pin::new(rest).poll(cx) else {
            self.seat.sleep(cx.waker());
            return Poll::Pending;
        };
        Poll::Ready(outcome.map(drop).map_err(|error| TenantError::WarmUp(Arc::new(error))))
    }

    /// Sleeps until somebody is to see to a chore, be it this one.
    fn sleep(&mut self, chore: usize, cx: &Context<'_>) {
        if self.of_chore.as_ref().is_none_or(|&(of, _)| of != chore) {
            let bell = Arc::clone(&self.guest.core.bell);
            self.of_chore = Some((chore, Seat::of_chore(bell, chore)));
        }
        if let Some((_, seat)) = &mut self.of_chore {
            seat.sleep(cx.waker());
        }
        self.seat.sleep(cx.waker());
    }

    /// Returns the chore that makes what the pool begins with, if it still does, and sees to it that
    /// it does so now, and that the caller is woken then.
    fn chore(&mut self, cx: &Context<'_>) -> Option<usize> {
        let waker = cx.waker().clone();
        let Self { guest, waiting, .. } = self;
        let (chore, unneeded) = guest.core.step(|desk| match desk.hasten_warm_up(guest.key) {
            Some(chore) => (Some(chore), waiting.sleep(desk.place_mut(guest.key), waker)),
            None => (None, Some(waker)),
        });
        guarded(|| drop(unneeded));
        chore
    }
}

impl<T: TenantFactory, C: Clock + Clone> Drop for Warming<T, C> {
    fn drop(&mut self) {
        let mut desk = self.guest.core.lock();
        let waker = desk.get_mut(self.guest.key).and_then(|place| self.waiting.leave(place));
        drop(desk);
        guarded(|| drop(waker));
    }
}

impl<T: TenantFactory, C: Clock + Clone> Unpin for Opening<'_, T, C> {}

impl<'a, T: TenantFactory, C: Clock + Clone> Opening<'a, T, C> {
    pub(super) const fn new(core: &'a Arc<Core<T, C>>, name: &'a str) -> Self {
        Self { core, door: Door::new(core, name), times: None, warming: None }
    }

    /// Waits until its tenant takes it in; there is an entry if nothing is left to wait for.
    fn open(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<T, Option<Arc<Entry>>>> {
        let (since, until) = *self.times.get_or_insert_with(|| {
            let now = self.core.step(|desk| desk.now);
            (now, Core::<T, C>::until(now, self.core.plan.template.patience()))
        });
        let Poll::Ready(admitted) = self.door.poll(since, until, cx) else { return Poll::Pending };
        let (mut guest, home) = match admitted {
            Ok(admitted) => admitted,
            Err(error) => return Poll::Ready(Err(error)),
        };
        guest.how = How::Visited;
        let Home::Own(pool) = home else { return Poll::Ready(Ok(Some(Arc::clone(&guest.entry)))) };
        let seat = Seat::of_caller(Arc::clone(&self.core.bell));
        let waiting = Waiting::new();
        self.warming = Some(Warming { guest, pool, rest: None, waiting, seat, of_chore: None });
        Poll::Ready(Ok(None))
    }
}

impl<T: TenantFactory, C: Clock + Clone> Future for Opening<'_, T, C> {
    type Output = Result<Arc<Entry>, TenantError<T::Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.core.do_chores();
        loop {
            if let Some(warming) = &mut this.warming {
                // What it waits for may have begun since it came.
                this.core.do_chores();
                let Poll::Ready(outcome) = warming.poll(cx) else { return Poll::Pending };
                let entry = Arc::clone(&warming.guest.entry);
                this.warming = None;
                return Poll::Ready(outcome.map(|()| entry));
            }
            match this.open(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Ok(Some(entry))) => return Poll::Ready(Ok(entry)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl<T: TenantFactory, C: Clock + Clone> fmt::Debug for Opening<'_, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").field("open", &self.warming.is_some()).finish_non_exhaustive()
    }
}

/// The future of [`TenantPools::remove`](super::TenantPools::remove).
///
/// # Cancel safety
///
/// Dropping it only does not wait.
#[must_use = "the tenant is removed, but nobody waits for its leases"]
pub struct Removal<T: TenantFactory, C: Clock + Clone> {
    core: Arc<Core<T, C>>,
    /// The tenant and the number of its pool, if it had callers or a pool.
    life: Option<(Key, u32)>,
    known: bool,
    waiting: Waiting,
    seat: Seat,
}

impl<T: TenantFactory, C: Clock + Clone> Removal<T, C> {
    pub(super) fn new(core: &Arc<Core<T, C>>, name: &str) -> Self {
        let (life, config, gate) = core.step(|desk| {
            let config = desk.configs.remove(name);
            let key = desk.ids.get(name).copied();
            let life = key.map(|key| (key, desk.roster.pool(key)));
            let gate = key.and_then(|key| {
                let place = desk.place_mut(key);
                place.removed = true;
                place.open_gate()
            });
            if let Some(key) = key {
                desk.roster.remove(desk.now, key);
            }
            (life, config, gate)
        });
        guarded(|| drop(gate));
        let known = life.is_some() || config.is_some();
        let seat = Seat::of_operator(Arc::clone(&core.bell));
        Self { core: Arc::clone(core), life, known, waiting: Waiting::new(), seat }
    }
}

impl<T: TenantFactory, C: Clock + Clone> Future for Removal<T, C> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let this = &mut *self;
        let Some((key, pool)) = this.life else { return Poll::Ready(this.known) };
        this.core.do_chores();
        let waker = cx.waker().clone();
        let (is_over, unneeded) = this.core.step(|desk| match desk.roster.life(key) {
            _ if desk.roster.pool(key) != pool => (true, Some(waker)),
            Some(Life::Leaving | Life::Closing) => {
                (false, this.waiting.sleep(desk.place_mut(key), waker))
            }
            Some(Life::Opening) if desk.roster.is_doomed(key) => {
                (false, this.waiting.sleep(desk.place_mut(key), waker))
            }
            _ => (true, Some(waker)),
        });
        guarded(|| drop(unneeded));
        if is_over {
            return Poll::Ready(true);
        }
        this.seat.sleep(cx.waker());
        Poll::Pending
    }
}

impl<T: TenantFactory, C: Clock + Clone> Drop for Removal<T, C> {
    fn drop(&mut self) {
        let Some((key, _)) = self.life else { return };
        let waker = self.core.lock().get_mut(key).and_then(|place| self.waiting.leave(place));
        guarded(|| drop(waker));
    }
}

impl<T: TenantFactory, C: Clock + Clone> fmt::Debug for Removal<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Removal").field("known", &self.known).finish_non_exhaustive()
    }
}

/// Waits until all tenants are gone.
struct End<T: TenantFactory, C: Clock + Clone> {
    core: Arc<Core<T, C>>,
    watcher: Option<u64>,
    seat: Seat,
}

impl<T: TenantFactory, C: Clock + Clone> End<T, C> {
    fn new(core: &Arc<Core<T, C>>) -> Self {
        let seat = Seat::of_operator(Arc::clone(&core.bell));
        Self { core: Arc::clone(core), watcher: None, seat }
    }

    /// Does what is to be done, and looks whether the pools are closed and nobody is left.
    fn poll(&mut self, cx: &Context<'_>) -> bool {
        self.core.do_chores();
        let waker = cx.waker().clone();
        let (is_over, unneeded) = self.core.step(|desk| {
            if desk.roster.is_drained() {
                return (true, Some(waker));
            }
            let number = *self.watcher.get_or_insert_with(|| {
                desk.next_watcher += 1;
                desk.next_watcher
            });
            (false, desk.watchers.insert(number, waker))
        });
        guarded(|| drop(unneeded));
        if !is_over {
            self.seat.sleep(cx.waker());
        }
        is_over
    }
}

impl<T: TenantFactory, C: Clock + Clone> Drop for End<T, C> {
    fn drop(&mut self) {
        if let Some(number) = self.watcher {
            let waker = self.core.lock().watchers.remove(&number);
            guarded(|| drop(waker));
        }
    }
}

/// The future of [`TenantPools::drain`](super::TenantPools::drain).
///
/// # Cancel safety
///
/// Dropping it leaves the pools closed; leases close as they come back.
#[must_use = "the pools are closed, but nobody waits for their leases"]
pub struct TenantDrain<T: TenantFactory, C: Clock + Clone> {
    end: End<T, C>,
    shared: Option<Drain<Ticketed<T, C>, C>>,
    timeout: Option<Duration>,
    /// When it ends at the latest, from the first poll on.
    until: Option<Time>,
    alarm: Alarms<C::Alarm>,
}

impl<T: TenantFactory, C: Clock + Clone> TenantDrain<T, C> {
    pub(super) fn new(core: &Arc<Core<T, C>>, timeout: Option<Duration>) -> Self {
        let shared = core.shared.as_ref().map(|pool| pool.drain(None));
        Self { end: End::new(core), shared, timeout, until: None, alarm: Alarms::none() }
    }

    fn fail(&self) -> TenantDrainError {
        let desk = self.end.core.lock();
        let is_there = |it: &&Place<T, C>| desk.roster.life(it.key) != Some(Life::Out);
        let places = desk.places.iter().flatten().filter(is_there);
        let leases = |it: &Place<T, C>| (it.entry.id().clone(), it.usage.callers.in_use);
        TenantDrainError { tenants: places.map(leases).collect() }
    }
}

impl<T: TenantFactory, C: Clock + Clone> Future for TenantDrain<T, C> {
    type Output = Result<(), TenantDrainError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let core = Arc::clone(&this.end.core);
        let timeout = this.timeout;
        let until = *this.until.get_or_insert_with(|| {
            let now = core.step(|desk| desk.now);
            timeout.map_or(Time::NEVER, |timeout| now.saturating_add(timeout))
        });
        let mut rang = false;
        loop {
            if let Some(drain) = &mut this.shared
                && Pin::new(drain).poll(cx).is_ready()
            {
                this.shared = None;
            }
            if this.end.poll(cx) && this.shared.is_none() {
                return Poll::Ready(Ok(()));
            }
            if core.lock().now >= until {
                return Poll::Ready(Err(this.fail()));
            }
            if this.alarm.poll(&core.clock, until, &mut rang, cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl<T: TenantFactory, C: Clock + Clone> fmt::Debug for TenantDrain<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantDrain").field("until", &self.until).finish_non_exhaustive()
    }
}

/// The future of [`TenantPools::driver`](super::TenantPools::driver).
///
/// # Cancel safety
///
/// Dropping it loses nothing but promptness.
#[must_use = "futures do nothing unless polled"]
pub struct TenantDriver<T: TenantFactory, C: Clock + Clone> {
    end: End<T, C>,
    shared: Option<Driver<Ticketed<T, C>, C>>,
    begun: bool,
    alarm: Alarms<C::Alarm>,
}

impl<T: TenantFactory, C: Clock + Clone> TenantDriver<T, C> {
    pub(super) fn new(core: &Arc<Core<T, C>>) -> Self {
        let shared = core.shared.as_ref().map(|pool| pool.driver());
        Self { end: End::new(core), shared, begun: false, alarm: Alarms::none() }
    }

    /// Sees to it that all pools are attended to.
    fn begin(&mut self) {
        if !std::mem::replace(&mut self.begun, true) {
            self.end.core.step(|desk| {
                desk.drivers += 1;
                desk.attend_all();
            });
        }
    }
}

impl<T: TenantFactory, C: Clock + Clone> Future for TenantDriver<T, C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.begin();
        let core = Arc::clone(&this.end.core);
        let mut rang = false;
        loop {
            if let Some(driver) = &mut this.shared
                && Pin::new(driver).poll(cx).is_ready()
            {
                this.shared = None;
            }
            if this.end.poll(cx) && this.shared.is_none() {
                return Poll::Ready(());
            }
            let next = core.lock().promise();
            if this.alarm.poll(&core.clock, next, &mut rang, cx).is_pending() {
                return Poll::Pending;
            }
            core.step(|desk| desk.roster.advance(desk.now));
        }
    }
}

impl<T: TenantFactory, C: Clock + Clone> Drop for TenantDriver<T, C> {
    fn drop(&mut self) {
        if self.begun {
            self.end.core.step(|desk| {
                desk.drivers -= 1;
                desk.look_at_all();
            });
        }
    }
}

impl<T: TenantFactory, C: Clock + Clone> fmt::Debug for TenantDriver<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantDriver").finish_non_exhaustive()
    }
}
