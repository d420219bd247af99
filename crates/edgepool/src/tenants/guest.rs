//! A tenant's caller: outside, until there is a pool, and inside, until its lease is back.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::Unknown;
use super::bell::Seat;
use super::core::{Core, Desk, Home, Waiting};
use super::entry::{Entry, TenantConfig};
use super::error::{OpenError, TenantError};
use super::factory::TenantFactory;
use super::gate::{Attempt, Breaker, HeldBack};
use super::id::TenantId;
use super::roster::{Arrival, Call, Key, Refused};
use super::stats::How;
use crate::alarm::Alarms;
use crate::shared::guarded;
use crate::{Clock, Time};

type Outcome<T, V> = Result<V, TenantError<<T as TenantFactory>::Error>>;

/// A caller inside. It leaves when it is dropped.
pub(super) struct Guest<T: TenantFactory, C: Clock + Clone> {
    pub(super) core: Arc<Core<T, C>>,
    pub(super) key: Key,
    /// The number of the pool that it is in.
    pool: u32,
    pub(super) entry: Arc<Entry>,
    /// Whether it has a connection.
    holds: bool,
    /// Its entering, once that has begun.
    pub(super) attempt: Attempt,
    /// As what its stay is counted.
    pub(super) how: How,
}

impl<T: TenantFactory, C: Clock + Clone> Guest<T, C> {
    const fn new(core: Arc<Core<T, C>>, key: Key, pool: u32, entry: Arc<Entry>) -> Self {
        let attempt = Attempt::NONE;
        Self { core, key, pool, entry, holds: false, attempt, how: How::Cancelled }
    }

    /// Takes note that it has a connection, without which its tenant does not end, and that the
    /// tenant's context is about to be put on it, until a time at most.
    ///
    /// # Errors
    ///
    /// The tenant was removed, or is held back.
    pub(super) fn begin_entering(&mut self, since: Option<Time>, until: Time) -> Outcome<T, ()> {
        let (key, pool, breaker) = (self.key, self.pool, self.core.plan.breaker);
        let begin = |desk: &mut Desk<T, C>| {
            if !desk.roster.take(key, pool) {
                return Err(None);
            }
            match desk.hold_back(key, breaker) {
                Some(held) => Err(Some(held)),
                None => Ok(desk.begin_entering(key, breaker, until)),
            }
        };
        let begun = match since {
            Some(_) => self.core.step(begin),
            None => begin(&mut self.core.lock()),
        };
        self.holds = !matches!(begun, Err(None));
        self.attempt = begun.map_err(|held| match held {
            Some(held) => held.into(),
            None => self.gone(),
        })?;
        Ok(())
    }

    /// Says why its tenant takes it in no more.
    pub(super) fn gone(&self) -> TenantError<T::Error> {
        match self.core.lock().roster.is_closed() {
            true => TenantError::Closed,
            false => TenantError::Removed,
        }
    }

    /// Takes note that it has its lease; `since` is when it began to wait, if it did. Returns false
    /// if its tenant was removed before it had a connection.
    pub(super) fn serve(&mut self, since: Option<Time>) -> bool {
        let Self { key, pool, holds, attempt, .. } = *self;
        let serve = |desk: &mut Desk<T, C>| {
            if !holds && !desk.roster.take(key, pool) {
                return (false, None);
            }
            let now = desk.now;
            let place = desk.place_mut(key);
            let callers = &mut place.usage.callers;
            callers.acquired += 1;
            callers.in_use += 1;
            if let Some(since) = since {
                let waited = now.saturating_since(since);
                callers.total_wait = callers.total_wait.saturating_add(waited);
                callers.longest_wait = callers.longest_wait.max(waited);
            }
            (true, place.succeed(attempt))
        };
        let (holds, gate) = match since {
            Some(_) => self.core.step(serve),
            None => serve(&mut self.core.lock()),
        };
        self.holds = holds;
        guarded(|| drop(gate));
        self.how = if self.holds { How::Returned } else { How::Ended };
        self.holds
    }
}

impl<T: TenantFactory, C: Clock + Clone> Drop for Guest<T, C> {
    fn drop(&mut self) {
        self.core.step(|desk| {
            desk.count(self.key, self.how);
            desk.roster.leave(desk.now, self.key, self.pool, self.holds);
        });
    }
}

/// The wait until a tenant takes a caller in.
pub(super) struct Door<'a, T: TenantFactory, C: Clock + Clone> {
    core: &'a Arc<Core<T, C>>,
    name: &'a str,
    outside: Option<Outside<T, C>>,
}

/// A caller outside. It gives up when it is dropped.
struct Outside<T: TenantFactory, C: Clock + Clone> {
    core: Arc<Core<T, C>>,
    key: Key,
    group: u32,
    /// Whether it was told how its wait ended.
    told: bool,
    how: How,
    waiting: Waiting,
    seat: Seat,
    alarm: Alarms<C::Alarm>,
}

/// A caller that is inside, and where its connection is to come from.
pub(super) type Admitted<T, C> = (Guest<T, C>, Home<T, C>);

impl<'a, T: TenantFactory, C: Clock + Clone> Door<'a, T, C> {
    pub(super) const fn new(core: &'a Arc<Core<T, C>>, name: &'a str) -> Self {
        Self { core, name, outside: None }
    }

    /// Knocks, the first time, or looks whether it may come in. It waits until `until` at most.
    pub(super) fn poll(
        &mut self,
        since: Time,
        until: Time,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<T, Admitted<T, C>>> {
        let polled = match &mut self.outside {
            Some(_) => Poll::Pending,
            None => match self.knock() {
                Ok(Some(admitted)) => Poll::Ready(Ok(admitted)),
                Ok(None) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            },
        };
        let polled = match &mut self.outside {
            Some(outside) if polled.is_pending() => outside.poll(since, until, cx),
            _ => polled,
        };
        if polled.is_ready() {
            self.outside = None;
        }
        polled
    }

    fn knock(&mut self) -> Outcome<T, Option<Admitted<T, C>>> {
        let breaker = self.core.plan.breaker;
        let known = self.core.step(|desk| {
            let key = desk.ids.get(self.name).copied();
            key.filter(|&key| !desk.place(key).removed).map(|key| desk.arrive(key, breaker))
        });
        let arrived = match known {
            Some(arrived) => arrived,
            None => self.introduce()?,
        };
        let max_waiting = self.core.plan.template.get_max_waiting();
        match arrived {
            Err(Refused::Closed) => Err(TenantError::Closed),
            Err(Refused::Full) => Err(TenantError::QueueFull { max_waiting }),
            Ok(Arrived::Inside(Inside { key, pool, entry, home, held })) => {
                let mut guest = Guest::new(Arc::clone(self.core), key, pool, entry);
                let Some(held) = held else { return Ok(Some((guest, home))) };
                guest.how = How::Failed;
                Err(held.into())
            }
            Ok(Arrived::Outside(key, group)) => {
                self.outside = Some(Outside {
                    core: Arc::clone(self.core),
                    key,
                    group,
                    told: false,
                    how: How::Cancelled,
                    waiting: Waiting::new(),
                    seat: Seat::of_caller(Arc::clone(&self.core.bell)),
                    alarm: Alarms::none(),
                });
                Ok(None)
            }
        }
    }

    /// Takes in the first caller of a tenant, or the first since it was removed.
    #[cold]
    fn introduce(&self) -> Outcome<T, Result<Arrived<T, C>, Refused>> {
        let core = self.core;
        let id = TenantId::new(self.name).map_err(TenantError::Id)?;
        if core.lock().roster.is_closed() {
            return Err(TenantError::Closed);
        }
        // What is set for it may be forgotten by a removal at any time.
        let set = core.step(|desk| {
            let config = desk.configs.get(&id)?;
            Some(core.describe(&id, config).map(|entry| core.welcome(desk, entry)))
        });
        if let Some(arrived) = set {
            return arrived;
        }
        let found = guarded(|| core.factory.resolve(&id)).ok_or(TenantError::FactoryPanicked)?;
        if found.is_none() && core.plan.unknown == Unknown::Refuse {
            return Err(TenantError::Unknown(id));
        }
        let entry = core.describe(&id, &found.unwrap_or_default())?;
        Ok(core.step(|desk| core.welcome(desk, entry)))
    }
}

impl<T: TenantFactory, C: Clock + Clone> Core<T, C> {
    /// Puts together what is set for a tenant.
    fn describe(&self, id: &TenantId, config: &TenantConfig) -> Outcome<T, Entry> {
        let entry = Entry::new(id.clone(), config, self.plan.strategy, self.plan.share);
        let entry = entry.ok_or_else(|| TenantError::NameTooLong(id.clone()))?;
        entry.share().validate().map_err(TenantError::Options)?;
        let max_waiting = self.plan.template.get_max_waiting();
        match self.plan.strategy.excess(entry.share(), max_waiting) {
            Some(excess) => Err(TenantError::Share(excess)),
            None => Ok(entry),
        }
    }

    /// Takes in a caller of a tenant that has no entry, or that of a life before it was removed.
    fn welcome(&self, desk: &mut Desk<T, C>, entry: Entry) -> Result<Arrived<T, C>, Refused> {
        let terms = entry.terms(self.plan.strategy);
        let Some(&key) = desk.ids.get(entry.id()) else {
            let (key, arrival) = desk.roster.open(desk.now, terms)?;
            desk.add_place(key, Arc::new(entry));
            let Arrival::Outside(group) = arrival else {
                unreachable!("a new tenant has no pool yet")
            };
            return Ok(Arrived::Outside(key, group));
        };
        // Another caller may have come first.
        let place = desk.place_mut(key);
        if std::mem::take(&mut place.removed) {
            place.entry = Arc::new(entry);
            desk.roster.set_terms(desk.now, key, terms);
        }
        desk.arrive(key, self.plan.breaker)
    }
}

/// Where a caller is, with what it needs there.
enum Arrived<T: TenantFactory, C: Clock + Clone> {
    Inside(Inside<T, C>),
    Outside(Key, u32),
}

struct Inside<T: TenantFactory, C: Clock + Clone> {
    key: Key,
    /// The number of the pool.
    pool: u32,
    entry: Arc<Entry>,
    home: Home<T, C>,
    /// Set if it is in for nothing, as the tenant is held back.
    held: Option<HeldBack<T::Error>>,
}

impl<T: TenantFactory, C: Clock + Clone> Desk<T, C> {
    fn arrive(&mut self, key: Key, breaker: Option<Breaker>) -> Result<Arrived<T, C>, Refused> {
        match self.roster.arrive(self.now, key) {
            Ok(Arrival::Inside) => {
                let place = self.place(key);
                let home = place.home.clone().expect("a tenant that takes callers in has a pool");
                let (pool, entry) = (self.roster.pool(key), Arc::clone(&place.entry));
                let held = self.hold_back(key, breaker);
                Ok(Arrived::Inside(Inside { key, pool, entry, home, held }))
            }
            Ok(Arrival::Outside(group)) => Ok(Arrived::Outside(key, group)),
            Err(refused) => {
                self.place_mut(key).usage.count(How::Refused);
                Err(refused)
            }
        }
    }
}

impl<T: TenantFactory, C: Clock + Clone> Outside<T, C> {
    fn poll(
        &mut self,
        since: Time,
        until: Time,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<T, Admitted<T, C>>> {
        let mut rang = false;
        loop {
            self.core.do_chores();
            let waker = cx.waker().clone();
            let Look { called, now, unneeded } = self.look(waker);
            guarded(|| drop(unneeded));
            if let Some(called) = called {
                return Poll::Ready(self.enter(called));
            }
            if now >= until {
                self.how = How::TimedOut;
                return Poll::Ready(Err(TenantError::NoPool {
                    waited: now.saturating_since(since),
                }));
            }
            self.seat.sleep(cx.waker());
            if self.alarm.poll(&self.core.clock, until, &mut rang, cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Looks whether its wait is over, or sees to it that it is woken then.
    fn look(&mut self, waker: Waker) -> Look<T, C> {
        let Self { core, key, group, told, waiting, .. } = self;
        core.step(|desk| {
            let now = desk.now;
            let Some(call) = desk.roster.look(now, *key, *group) else {
                let replaced = waiting.sleep(desk.place_mut(*key), waker);
                return Look { called: None, now, unneeded: [replaced, None] };
            };
            *told = true;
            let (is_closed, pool) = (desk.roster.is_closed(), desk.roster.pool(*key));
            let place = desk.place_mut(*key);
            let left = waiting.leave(place);
            let called = Called {
                call,
                pool,
                is_closed,
                entry: Arc::clone(&place.entry),
                home: place.home.clone(),
                broken: place.broken.clone(),
            };
            Look { called: Some(called), now, unneeded: [left, Some(waker)] }
        })
    }

    fn enter(&self, called: Called<T, C>) -> Outcome<T, Admitted<T, C>> {
        let Called { call, pool, is_closed, entry, home, broken } = called;
        let error = match call {
            Call::Admitted => {
                let home = home.expect("a tenant that lets callers in has a pool");
                return Ok((Guest::new(Arc::clone(&self.core), self.key, pool, entry), home));
            }
            Call::Failed => broken.map_or(TenantError::FactoryPanicked, TenantError::from),
            Call::Removed | Call::Closed if is_closed => TenantError::Closed,
            Call::Removed | Call::Closed => TenantError::Removed,
        };
        self.core.lock().count(self.key, error.how());
        Err(error)
    }
}

/// What a caller outside finds.
struct Look<T: TenantFactory, C: Clock + Clone> {
    called: Option<Called<T, C>>,
    now: Time,
    /// To be dropped without the lock.
    unneeded: [Option<Waker>; 2],
}

/// How a wait outside has ended.
struct Called<T: TenantFactory, C: Clock + Clone> {
    call: Call,
    pool: u32,
    is_closed: bool,
    entry: Arc<Entry>,
    home: Option<Home<T, C>>,
    broken: Option<OpenError>,
}

impl<T: TenantFactory, C: Clock + Clone> Drop for Outside<T, C> {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let waker = self.core.step(|desk| {
            let place = desk.place_mut(self.key);
            place.usage.count(self.how);
            let waker = self.waiting.leave(place);
            desk.roster.give_up(desk.now, self.key, self.group);
            waker
        });
        guarded(|| drop(waker));
    }
}
