//! What stands under the one lock of tenants' pools, and what is done without it.
//!
//! [`Core::step`] locks, lets the [roster](super::roster) decide, and unlocks; then it does what the
//! roster asks for, one by one, each without the lock: factories are made, pools built, resized and
//! closed, callers woken. One at a time does that, whichever thread it is, so that what is asked for
//! happens in its order; whoever asks for more meanwhile leaves it to the one that is at it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

use slab::Slab;

use super::bell::Bell;
use super::chores::{Slot, WarmUps, Warming};
use super::entry::{Entry, TenantConfig};
use super::error::OpenError;
use super::factory::TenantFactory;
use super::gate::{Breaker, Gate};
use super::id::TenantId;
use super::roster::{Effect, Key, Life, Limits, Roster};
use super::stats::Usage;
use super::ticket::{Counted, Template, Ticketed};
use super::{Strategy, Unknown};
use crate::builder::Builder;
use crate::pool::Pool;
use crate::shared::guarded;
use crate::stats::{PoolState, Stats};
use crate::sync::{Mutex, MutexGuard};
use crate::tenant::Tenant;
use crate::{Clock, Share, Time};

/// A pool of tenants' connections.
pub(super) type TenantPool<T, C> = Pool<Ticketed<T, C>, C>;

/// What is set for all tenants.
pub(super) struct Plan<C> {
    pub(super) strategy: Strategy,
    pub(super) template: Builder<Template, C>,
    pub(super) share: Share,
    pub(super) warm_up: u32,
    pub(super) parallel_warm_ups: u32,
    pub(super) budget: Option<u32>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) unknown: Unknown,
    /// What holds tenants back whose context cannot be put on connections.
    pub(super) breaker: Option<Breaker>,
}

/// What all handles, leases and callers of tenants' pools share.
pub(super) struct Core<T: TenantFactory, C: Clock + Clone> {
    me: Weak<Self>,
    pub(super) factory: T,
    pub(super) clock: C,
    pub(super) plan: Plan<C>,
    /// The one pool, if tenants share one.
    pub(super) shared: Option<TenantPool<T, C>>,
    pub(super) bell: Arc<Bell>,
    desk: Mutex<Desk<T, C>>,
}

/// What stands under the lock.
pub(super) struct Desk<T: TenantFactory, C: Clock + Clone> {
    pub(super) roster: Roster,
    pub(super) now: Time,
    pub(super) configs: HashMap<TenantId, TenantConfig>,
    /// Never gone through, as its order is another in each run.
    pub(super) ids: HashMap<TenantId, Key>,
    /// By the index of the tenant's key.
    pub(super) places: Vec<Option<Place<T, C>>>,
    /// What tenants did that are forgotten.
    pub(super) past: Usage,
    /// Who waits for the end of all.
    pub(super) watchers: BTreeMap<u64, Waker>,
    pub(super) next_watcher: u64,
    /// How many drivers there are, and until when they sleep.
    pub(super) drivers: usize,
    pub(super) promised: Time,
    pub(super) chores: Slab<Slot<T, C>>,
    /// The chores that are new, or to be looked at.
    pub(super) new: Vec<usize>,
    pub(super) warm_ups: WarmUps,
    /// Whether somebody does what the roster asks for.
    carrying: bool,
}

/// What there is of a tenant, beside its entry in the roster.
pub(super) struct Place<T: TenantFactory, C: Clock + Clone> {
    pub(super) key: Key,
    pub(super) entry: Arc<Entry>,
    /// It was removed. Who comes next is a caller of a tenant that nothing is known of yet.
    pub(super) removed: bool,
    pub(super) home: Option<Home<T, C>>,
    /// Why its pool could not be made, the last time.
    pub(super) broken: Option<OpenError>,
    pub(super) usage: Usage,
    /// What of its enterings has failed since the last one that succeeded.
    pub(super) gate: Option<Box<Gate<T::Error>>>,
    /// How often it was opened without one that succeeded.
    pub(super) gate_life: u32,
    /// How often one was let try while the others were refused.
    pub(super) probes: u32,
    /// Those outside, and those who wait for its end.
    pub(super) wakers: BTreeMap<u64, Waker>,
    pub(super) next_waker: u64,
    /// The chore that polls its pool.
    pub(super) attending: Option<usize>,
    /// What makes what its pool begins with, while that is to come.
    pub(super) warming: Option<Warming>,
}

/// Where a tenant's connections come from.
pub(super) enum Home<T: TenantFactory, C: Clock + Clone> {
    Own(TenantPool<T, C>),
    Shared(Tenant<Ticketed<T, C>, C>),
}

impl<T: TenantFactory, C: Clock + Clone> Clone for Home<T, C> {
    fn clone(&self) -> Self {
        match self {
            Self::Own(pool) => Self::Own(pool.clone()),
            Self::Shared(tenant) => Self::Shared(tenant.clone()),
        }
    }
}

/// What is to be done without the lock.
enum Work {
    Effect(Effect),
    /// A chore is new, or to be looked at.
    Ring(usize),
    /// Those who wait for the end of all, which has come, or of whom one sleeps for longer than it
    /// may.
    Wake(BTreeMap<u64, Waker>),
}

impl<T: TenantFactory, C: Clock + Clone> Core<T, C> {
    pub(super) fn new(
        factory: T,
        clock: C,
        plan: Plan<C>,
        configs: HashMap<TenantId, TenantConfig>,
        shared: Option<TenantPool<T, C>>,
    ) -> Arc<Self> {
        let roster = Roster::new(Limits {
            places: plan.strategy.places(),
            budget: plan.budget.filter(|_| !plan.strategy.is_shared()),
            idle_timeout: plan.idle_timeout,
            max_waiting: plan.template.get_max_waiting(),
        });
        let desk = Mutex::new(Desk {
            roster,
            now: Time::ZERO,
            configs,
            ids: HashMap::new(),
            places: Vec::new(),
            past: Usage::default(),
            watchers: BTreeMap::new(),
            next_watcher: 0,
            drivers: 0,
            promised: Time::ZERO,
            chores: Slab::new(),
            new: Vec::new(),
            warm_ups: WarmUps::new(plan.warm_up, plan.parallel_warm_ups),
            carrying: false,
        });
        let bell = Arc::new(Bell::new());
        Arc::new_cyclic(|me| Self { me: me.clone(), factory, clock, plan, shared, bell, desk })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Desk<T, C>> {
        // Nobody else's code runs under the lock, so a poisoned one is still consistent.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does one operation, then whatever the roster asks for.
    pub(super) fn step<R>(&self, operate: impl FnOnce(&mut Desk<T, C>) -> R) -> R {
        let now = self.clock.now();
        let mut desk = self.lock();
        desk.now = desk.now.max(now);
        let result = operate(&mut desk);
        self.carry_out(desk);
        result
    }

    /// Does what is to be done without the lock.
    pub(super) fn carry_out<'a>(&'a self, mut desk: MutexGuard<'a, Desk<T, C>>) {
        if desk.carrying {
            return;
        }
        while let Some(work) = desk.next_work() {
            desk.carrying = true;
            drop(desk);
            match work {
                Work::Effect(effect) => drop(guarded(|| self.perform(effect))),
                Work::Ring(chore) => self.bell.ring(chore),
                Work::Wake(watchers) => wake_all(watchers),
            }
            desk = self.lock();
            desk.carrying = false;
        }
    }

    fn perform(&self, effect: Effect) {
        match effect {
            Effect::Open(key) => self.open(key),
            Effect::Resize(key) => self.resize(key),
            Effect::Close(key) => self.close(key),
            Effect::Wake(key) => self.wake(key),
            Effect::Gone(key) => self.forget(key),
        }
    }
}

/// Operators.
impl<T: TenantFactory, C: Clock + Clone> Core<T, C> {
    pub(super) fn close_all(&self) {
        // The pool first: its callers are to be told that it is closed, and not their tenant gone.
        self.shared.iter().for_each(|pool| pool.close());
        let watchers = self.step(|desk| {
            desk.roster.close(desk.now);
            std::mem::take(&mut desk.watchers)
        });
        wake_all(watchers);
    }

    /// When a wait ends that began at a time; the greatest number of nanoseconds is for ever.
    pub(super) fn until(since: Time, patience: u64) -> Time {
        match patience {
            u64::MAX => Time::NEVER,
            nanos => since.saturating_add(Duration::from_nanos(nanos)),
        }
    }
}

fn wake_all(wakers: BTreeMap<u64, Waker>) {
    for waker in wakers.into_values() {
        guarded(|| waker.wake());
    }
}

/// What the roster asks for.
impl<T: TenantFactory, C: Clock + Clone> Core<T, C> {
    fn open(&self, key: Key) {
        let (entry, size, pool) = {
            let desk = self.lock();
            (Arc::clone(&desk.place(key).entry), desk.roster.size(key), desk.roster.pool(key))
        };
        let counted = self.plan.budget.map(|_| Counted { core: self.me.clone(), key, pool });
        let home = guarded(|| self.make(counted, &entry, size)).unwrap_or(Err(OpenError::Panicked));
        let mut desk = self.lock();
        let now = desk.now;
        match home {
            Ok(home) => {
                desk.place_mut(key).home = Some(home);
                desk.roster.opened(now, key);
                desk.begin_chores(key);
            }
            Err(error) => {
                desk.place_mut(key).broken = Some(error);
                desk.roster.failed(now, key);
            }
        }
    }

    /// Makes a tenant's pool, or opens its share of the one for all.
    fn make(
        &self,
        counted: Option<Counted<T, C>>,
        entry: &Entry,
        size: u32,
    ) -> Result<Home<T, C>, OpenError> {
        if let Some(pool) = &self.shared {
            return Ok(Home::Shared(pool.tenant(entry.share())?));
        }
        let factory = Ticketed::new(self.factory.factory(Some(entry)), counted);
        let mut builder = self.plan.template.clone().over(factory);
        if let Some(max_waiting) = entry.share().max_waiting {
            builder = builder.max_waiting(max_waiting);
        }
        Ok(Home::Own(builder.build_elastic(size, 0)?))
    }

    fn resize(&self, key: Key) {
        let (pool, max) = {
            let mut desk = self.lock();
            let Some(max) = desk.roster.begin_resize(key) else { return };
            let Some(Home::Own(pool)) = desk.place(key).home.clone() else { return };
            (pool, max)
        };
        pool.resize(max).expect("a bound is at least 1, and what is kept ready follows it");
        let mut desk = self.lock();
        desk.roster.resized(key, max);
        if desk.roster.owes(key) {
            desk.attend(key);
        }
    }

    fn close(&self, key: Key) {
        let home = self.lock().place(key).home.clone();
        let is_over = match &home {
            Some(Home::Own(pool)) => {
                pool.close();
                pool.state() == PoolState::Closed
            }
            Some(Home::Shared(tenant)) => {
                tenant.end_waits();
                true
            }
            None => true,
        };
        if is_over {
            self.closed(key);
            return;
        }
        let mut desk = self.lock();
        let now = desk.now;
        desk.roster.closing(now, key);
        desk.end_turn(key);
        desk.attend(key);
    }

    /// Takes note that a tenant's pool is empty, and forgets the pool.
    pub(super) fn closed(&self, key: Key) {
        let home = self.lock().get(key).and_then(|place| place.home.clone());
        // A pool that is asked may do what is due, so it is without the lock.
        let last = home.as_ref().and_then(Home::stats);
        let mut desk = self.lock();
        if desk.roster.life(key) != Some(Life::Closing) {
            return;
        }
        let place = desk.place_mut(key);
        place.attending = None;
        let gone = place.home.take();
        // It is empty, so nothing of it is idle. Another may have counted what it had by now: who closes
        // a pool and who attends to it may both come here, while its last caller is on its way.
        let counts = last.filter(|_| gone.is_some());
        counts.iter().for_each(|stats| place.usage.add_pool(stats));
        let now = desk.now;
        desk.roster.closed(now, key);
        let warmed = desk.end_warm_up(key);
        self.carry_out(desk);
        // Who waits for what the pool was to begin with is not told by the chore, which is another's
        // now or nobody's.
        if warmed {
            self.wake(key);
        }
        guarded(|| drop((gone, home)));
    }

    pub(super) fn wake(&self, key: Key) {
        let wakers = self.lock().get_mut(key).map(|place| std::mem::take(&mut place.wakers));
        wakers.into_iter().for_each(wake_all);
    }

    fn forget(&self, key: Key) {
        let mut desk = self.lock();
        let Some(usage) = desk.usage(key) else { return };
        if !desk.roster.forget(key) {
            return;
        }
        let place = desk.places[key.index as usize].take().expect("it is forgotten once");
        desk.past.add(&usage);
        desk.ids.remove(place.entry.id());
        desk.shrink();
        drop(desk);
        let Place { wakers, home, .. } = place;
        guarded(|| drop(home));
        wake_all(wakers);
    }

    /// Takes note that a connection is no more. If that was the last that its pool had to give up,
    /// nobody needs to attend to that pool.
    pub(super) fn unhold(&self, key: Key) {
        let chore = self.step(|desk| {
            let owed = desk.roster.owes(key);
            desk.roster.unhold(key);
            let chore = desk.get(key).and_then(|place| place.attending);
            chore.filter(|_| owed && !desk.roster.owes(key))
        });
        if let Some(chore) = chore {
            self.bell.ring(chore);
        }
    }
}

impl<T: TenantFactory, C: Clock + Clone> Desk<T, C> {
    pub(super) fn get(&self, key: Key) -> Option<&Place<T, C>> {
        self.places.get(key.index as usize)?.as_ref().filter(|place| place.key == key)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Place<T, C>> {
        self.places.get_mut(key.index as usize)?.as_mut().filter(|place| place.key == key)
    }

    pub(super) fn place(&self, key: Key) -> &Place<T, C> {
        self.get(key).expect("a tenant has its place until the roster says that it is gone")
    }

    pub(super) fn place_mut(&mut self, key: Key) -> &mut Place<T, C> {
        self.get_mut(key).expect("a tenant has its place until the roster says that it is gone")
    }

    /// Makes the place of a tenant that the roster has just taken in.
    pub(super) fn add_place(&mut self, key: Key, entry: Arc<Entry>) {
        let index = key.index as usize;
        if index >= self.places.len() {
            self.places.resize_with(index + 1, || None);
        }
        self.ids.insert(entry.id().clone(), key);
        self.places[index] = Some(Place {
            key,
            entry,
            removed: false,
            home: None,
            broken: None,
            usage: Usage::since(self.now),
            gate: None,
            gate_life: 0,
            probes: 0,
            wakers: BTreeMap::new(),
            next_waker: 0,
            attending: None,
            warming: None,
        });
    }

    fn next_work(&mut self) -> Option<Work> {
        if let Some(effect) = self.roster.poll_effect() {
            return Some(Work::Effect(effect));
        }
        if let Some(chore) = self.new.pop() {
            return Some(Work::Ring(chore));
        }
        if self.roster.is_drained() && !self.watchers.is_empty() {
            return Some(Work::Wake(std::mem::take(&mut self.watchers)));
        }
        let next = self.roster.next_deadline().filter(|_| self.drivers > 0)?;
        let sleeps_too_long = next < self.promised;
        self.promised = self.promised.min(next);
        sleeps_too_long.then(|| Work::Wake(std::mem::take(&mut self.watchers)))
    }

    /// Tells when a driver is to look again. Those who come to have a deadline before that wake it.
    pub(super) fn promise(&mut self) -> Time {
        self.promised = self.roster.next_deadline().unwrap_or(Time::NEVER);
        self.promised
    }

    /// Gives the memory of a crowd back that is gone.
    fn shrink(&mut self) {
        while self.places.last().is_some_and(Option::is_none) {
            self.places.pop();
        }
        if self.places.capacity() > 64 && self.ids.len() * 4 < self.places.capacity() {
            self.places.shrink_to(self.places.len().max(32));
            self.ids.shrink_to(self.ids.len().max(32));
        }
        if self.chores.is_empty() {
            self.chores = Slab::new();
        }
    }
}

impl<T: TenantFactory, C: Clock + Clone> Home<T, C> {
    /// Tells how a pool of the tenant's own stands.
    pub(super) fn stats(&self) -> Option<Stats> {
        match self {
            Self::Own(pool) => Some(pool.stats()),
            Self::Shared(_) => None,
        }
    }
}

/// A wait that is over when a tenant's callers are woken.
pub(super) struct Waiting {
    number: Option<u64>,
}

impl Waiting {
    pub(super) const fn new() -> Self {
        Self { number: None }
    }

    /// Sees to it that the caller is woken with the others of the tenant. The waker comes cloned, as
    /// that is somebody's code; what it replaces is to be dropped without the lock.
    pub(super) fn sleep<T: TenantFactory, C: Clock + Clone>(
        &mut self,
        place: &mut Place<T, C>,
        waker: Waker,
    ) -> Option<Waker> {
        let number = *self.number.get_or_insert_with(|| {
            place.next_waker += 1;
            place.next_waker
        });
        place.wakers.insert(number, waker)
    }

    /// Is woken no more.
    pub(super) fn leave<T: TenantFactory, C: Clock + Clone>(
        &mut self,
        place: &mut Place<T, C>,
    ) -> Option<Waker> {
        place.wakers.remove(&self.number.take()?)
    }
}
