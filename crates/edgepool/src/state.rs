//! What stands under the lock: the ledger, and what its keys stand for.

use std::panic::Location;
use std::task::Waker;
use std::time::Duration;

use slab::Slab;

use crate::Time;
use crate::error::{AcquireError, Failure};
use crate::factory::Factory;
use crate::jobs::{Jobs, Seat};
use crate::ledger::{Acquired, Ask, Claim, Effect, End, Ledger, SlotKey, TenantKey, WaiterKey};
use crate::shared::{Settings, guarded};
use crate::sync::thread::ThreadId;

/// How long a caller sleeps at least before it looks whether the offers of others have passed on.
const SHORTEST_WATCH: Duration = Duration::from_millis(1);

/// The ledger, and what its keys stand for.
pub(crate) struct State<F: Factory> {
    pub(crate) ledger: Ledger,
    /// The connections that no caller and no job holds, by slot index.
    connections: Vec<Option<F::Connection>>,
    settings: Settings,
    /// How many connections are kept ready, or `max` if that is less, unless somebody has said.
    pub(crate) default_min_idle: Option<u32>,
    /// Where the leases were acquired, by slot index, if that is kept.
    holders: Vec<Option<&'static Location<'static>>>,
    /// Where the waiting callers asked, by waiter index, if that is kept.
    callers: Vec<Option<&'static Location<'static>>>,
    /// The wakers of waiting callers, by waiter index.
    wakers: Vec<Option<Waker>>,
    /// Why the waiters that ended with a failed creation did, by waiter index, until they are told.
    failures: Vec<Option<Failure<F::Error>>>,
    /// How the last creation that failed did, unless one succeeded since.
    pub(crate) last_failure: Option<Failure<F::Error>>,
    pub(crate) jobs: Jobs<F>,
    /// The caller in the queue that sees to what awaits a time, and when it wakes for that.
    watcher: Option<(WaiterKey, Time)>,
    /// Those who poll the jobs and are not in the queue: their wakers while they sleep.
    attendants: Slab<Option<Waker>>,
    /// Until when the attendants sleep, if they see to it that the pool is prompt.
    pub(crate) promised: Time,
    /// The threads that carry effects out.
    pub(crate) carriers: Vec<ThreadId>,
    /// Jobs whose end somebody waits for.
    pub(crate) watches: Slab<Watch<F::Error>>,
}

impl<F: Factory> State<F> {
    pub(crate) fn new(ledger: Ledger, settings: Settings, default_min_idle: Option<u32>) -> Self {
        Self {
            ledger,
            connections: Vec::new(),
            settings,
            default_min_idle,
            holders: Vec::new(),
            callers: Vec::new(),
            wakers: Vec::new(),
            failures: Vec::new(),
            last_failure: None,
            jobs: Jobs::new(),
            watcher: None,
            attendants: Slab::new(),
            promised: Time::ZERO,
            carriers: Vec::new(),
            watches: Slab::new(),
        }
    }
}

/// Time.
impl<F: Factory> State<F> {
    /// Tells the ledger what time it is. What is overdue is settled; but while nobody comes to poll
    /// them, jobs are not held to their times.
    pub(crate) fn advance(&mut self, now: Time) {
        match self.ledger.next_timer() <= now.max(self.ledger.now()) {
            true => self.ledger.advance_sparing(now, self.jobs.polled()),
            false => self.ledger.advance(now),
        }
    }
}

/// Jobs that are polled for the first time.
impl<F: Factory> State<F> {
    /// Counts the time of what was begun and not polled yet from now.
    pub(crate) fn restart_incoming(&mut self) {
        let Self { ledger, jobs, .. } = self;
        jobs.incoming().for_each(|slot| ledger.restart(slot));
    }
}

/// Somebody waits for the end of a job.
pub(crate) struct Watch<E> {
    pub(crate) slot: SlotKey,
    /// Whom to wake, once it is known.
    pub(crate) attendant: Option<usize>,
    pub(crate) outcome: Option<Result<(), Failure<E>>>,
}

/// A lease's two halves: its key and its connection.
pub(crate) type Leased<T> = (SlotKey, T);

/// What a caller has that waited or needs several.
pub(crate) struct Claimed<F: Factory> {
    pub(crate) first: Leased<F::Connection>,
    /// Apart, as most callers have nothing but one connection.
    pub(crate) rest: Option<Box<Rest<F>>>,
}

/// What else there is to what was claimed.
pub(crate) struct Rest<F: Factory> {
    /// The connections after the first.
    pub(crate) more: Vec<Leased<F::Connection>>,
    /// How long the caller waited and where it asked, if that was too long.
    pub(crate) slow: Option<(Duration, Option<&'static Location<'static>>)>,
}

impl<F: Factory> Claimed<F> {
    pub(crate) const fn one(first: Leased<F::Connection>) -> Self {
        Self { first, rest: None }
    }
}

/// The answer to a caller that cannot be served without the ledger's say.
pub(crate) enum Asked<F: Factory> {
    Claimed(Claimed<F>),
    /// It is to be made for this caller.
    Creation(SlotKey),
    Waiting(WaiterKey),
}

/// Where a caller stands that waits.
pub(crate) enum Standing<F: Factory> {
    Claimed(Claimed<F>),
    /// It sleeps, and should be polled again by this time at the latest.
    Waiting(Time),
    /// It must bring its waker before it sleeps.
    WakerWanted,
    /// It must poll the jobs before it sleeps.
    TurnWanted,
    Ended(AcquireError<F::Error>),
}

/// What somebody leaves who waits no more; to be settled without the lock.
#[derive(Default)]
#[must_use]
pub(crate) struct Parting {
    /// Who must see to what the one that leaves saw to.
    wake: Option<Waker>,
    /// What nobody will wake any more.
    left: [Option<Waker>; 2],
}

impl Parting {
    pub(crate) fn settle(self) {
        if let Some(waker) = self.wake {
            guarded(|| waker.wake());
        }
        for waker in self.left.into_iter().flatten() {
            guarded(|| drop(waker));
        }
    }
}

/// Callers.
impl<F: Factory> State<F> {
    /// Leases an idle connection, unless somebody waits for one.
    #[inline(always)]
    pub(crate) fn try_acquire(&mut self) -> Option<Leased<F::Connection>> {
        let slot = self.ledger.try_acquire()?;
        Some((slot, self.take_connection(slot.index)))
    }

    /// As [`try_acquire`](Self::try_acquire), for a caller of this tenant.
    pub(crate) fn try_acquire_for(&mut self, tenant: TenantKey) -> Option<Leased<F::Connection>> {
        let slot = self.ledger.try_acquire_for(tenant)?;
        Some((slot, self.take_connection(slot.index)))
    }

    /// Leases an idle connection or queues the caller.
    ///
    /// A waiter without a waker counts as awake: it is being polled, or was woken and will be. It
    /// leaves its waker when it goes to sleep, in [`claim`](Self::claim).
    #[inline(always)]
    pub(crate) fn acquire(
        &mut self,
        ask: Ask,
        at: Option<&'static Location<'static>>,
    ) -> Result<Asked<F>, AcquireError<F::Error>> {
        let tenant = ask.tenant;
        match self.ledger.acquire(ask) {
            Ok(Acquired::Leased(slot)) => {
                self.set_holder(slot, at);
                Ok(Asked::Claimed(Claimed::one((slot, self.take_connection(slot.index)))))
            }
            Ok(Acquired::Waiting(key)) => {
                if at.is_some() {
                    *entry(&mut self.callers, key.index) = at;
                }
                Ok(Asked::Waiting(key))
            }
            Err(refused) => Err(self.refusal(refused, tenant)),
        }
    }

    /// Claims the offer of a waiter that needs one connection, if nothing else is to be done then.
    #[inline(always)]
    pub(crate) fn claim_plainly(&mut self, key: WaiterKey) -> Option<Leased<F::Connection>> {
        let awake = self.wakers.get(key.index as usize).is_none_or(Option::is_none);
        if !awake || self.settings.keeps_callers() || self.has_duties(key) {
            return None;
        }
        let slot = self.ledger.claim_single(key)?;
        Some((slot, self.take_connection(slot.index)))
    }

    /// Claims the waiter's offer, or keeps its waker and lets it sleep. A waker that is not needed
    /// is left in `waker`. `drove` tells whether it polled the jobs since it was woken.
    pub(crate) fn claim(
        &mut self,
        key: WaiterKey,
        waker: &mut Option<Waker>,
        current: &Waker,
        drove: bool,
        parting: &mut Option<Parting>,
    ) -> Standing<F> {
        let (timed_out, most) = (self.timed_out(key), self.ledger.most_for_waiter(key));
        let standing = match self.ledger.claim(key) {
            Claim::Waiting => return self.sleep_in_queue(key, waker, current, drove),
            Claim::Leased(slot) => Standing::Claimed(self.lend_claimed(key, slot)),
            Claim::Ended(end) => Standing::Ended(self.ending(key, end, timed_out, most)),
            Claim::Unknown => unreachable!("a waiter's entry lives until its owner frees it"),
        };
        // While the caller brings a waker, none is kept.
        if waker.is_none() {
            *waker = self.waker_mut(key).take();
        }
        if self.has_duties(key) {
            *parting = Some(self.part(key));
        }
        standing
    }

    /// Keeps the waiter's waker and lets it sleep, unless it is to do something first. As in
    /// [`claim`](Self::claim), a waker is left in `waker` that is not needed.
    pub(crate) fn sleep_in_queue(
        &mut self,
        key: WaiterKey,
        waker: &mut Option<Waker>,
        current: &Waker,
        drove: bool,
    ) -> Standing<F> {
        let seat = Seat::Waiter(key);
        if self.jobs.want_a_turn() && !(drove && self.jobs.have_woken(seat)) {
            return Standing::TurnWanted;
        }
        if waker.is_some() {
            *self.waker_mut(key) = waker.take();
        } else if !self.keeps_waker(key, current) {
            *waker = self.waker_mut(key).take();
            return Standing::WakerWanted;
        }
        let deadline = self.ledger.deadline(key);
        // Who polls the jobs also watches over their deadlines; the first in the queue watches over
        // what it may be served by in time.
        let watches = self.ledger.awaits_time() && self.ledger.first_waiter() == Some(key);
        let until = match watches || self.jobs.driver() == Some(seat) {
            true => self.ledger.next_deadline().unwrap_or(deadline).min(deadline),
            false => deadline,
        };
        if watches || self.watcher.is_some_and(|(watcher, _)| watcher == key) {
            self.watcher = watches.then_some((key, until));
        }
        // Those before it may never be polled again, and then nobody watches over their offers.
        let until = match self.ledger.options().offer_timeout {
            Some(time) => until.min(self.ledger.now().saturating_add(time.max(SHORTEST_WATCH))),
            None => until,
        };
        Standing::Waiting(until)
    }

    /// Tells whether the waiter left a waker that is as good as this one.
    fn keeps_waker(&mut self, key: WaiterKey, current: &Waker) -> bool {
        let is_as_good = |kept: &Waker| mutated!(FirstWakerIsKept) || kept.will_wake(current);
        self.waker_mut(key).as_ref().is_some_and(is_as_good)
    }

    /// Gives a waiter what it claimed, the first of what it may claim.
    #[inline(always)]
    fn lend_claimed(&mut self, key: WaiterKey, slot: SlotKey) -> Claimed<F> {
        let mut claimed = Claimed::one((slot, self.take_connection(slot.index)));
        // It is known for as long as it may claim more.
        if self.settings.keeps_callers() || self.ledger.waiting_since(key).is_some() {
            claimed.rest = self.lend_rest(key, slot);
        }
        claimed
    }

    #[cold]
    #[inline(never)]
    fn lend_rest(&mut self, key: WaiterKey, first: SlotKey) -> Option<Box<Rest<F>>> {
        let at = self.callers.get_mut(key.index as usize).and_then(Option::take);
        self.set_holder(first, at);
        let mut more = Vec::new();
        while self.ledger.waiting_since(key).is_some()
            && let Claim::Leased(slot) = self.ledger.claim(key)
        {
            self.set_holder(slot, at);
            more.push((slot, self.take_connection(slot.index)));
        }
        let waited = self.ledger.info(first).map_or(Duration::ZERO, |info| info.waited);
        let slow = self.settings.slow_acquire.filter(|&slow| waited > slow).map(|_| (waited, at));
        (slow.is_some() || !more.is_empty()).then(|| Box::new(Rest { more, slow }))
    }

    /// Tells whether somebody must see to what this waiter sees to.
    #[inline(always)]
    fn has_duties(&self, key: WaiterKey) -> bool {
        self.jobs.driver() == Some(Seat::Waiter(key))
            || self.jobs.want_a_turn()
            || self.ledger.awaits_time()
    }

    /// Lets a waiter go that the ledger has forgotten. Another one must see to what it saw to,
    /// whose waker comes back.
    fn part(&mut self, key: WaiterKey) -> Parting {
        let left = self.jobs.leave(Seat::Waiter(key));
        Parting { wake: self.next_driver().or_else(|| self.next_watcher()), left: [left, None] }
    }

    /// Gives the wait up. Returns whether it was one, whom to wake, and what must be dropped
    /// without the lock.
    pub(crate) fn cancel(&mut self, key: WaiterKey) -> (bool, Parting, impl Sized + use<F>) {
        let was_pending = self.ledger.cancel(key);
        let unneeded = (self.waker_mut(key).take(), self.take_failure(key));
        (was_pending, self.part(key), unneeded)
    }

    /// Takes a lease back. A stale one's connection comes back, to be dropped without the lock.
    #[inline(always)]
    pub(crate) fn release(
        &mut self,
        slot: SlotKey,
        connection: F::Connection,
    ) -> Option<F::Connection> {
        let live = self.ledger.release(slot);
        self.keep(live, slot.index, connection)
    }

    pub(crate) fn discard(
        &mut self,
        slot: SlotKey,
        connection: F::Connection,
    ) -> Option<F::Connection> {
        let live = self.ledger.discard(slot);
        self.keep(live, slot.index, connection)
    }

    /// Keeps where a lease was acquired, if that is to be kept.
    #[cold]
    pub(crate) fn set_holder(&mut self, slot: SlotKey, at: Option<&'static Location<'static>>) {
        if self.settings.capture_holders {
            *entry(&mut self.holders, slot.index) = at;
        }
    }

    /// Tells whether holders are kept.
    pub(crate) const fn keeps_holders(&self) -> bool {
        self.settings.capture_holders
    }

    pub(crate) fn holder(&self, slot: SlotKey) -> Option<&'static Location<'static>> {
        self.holders.get(slot.index as usize).copied().flatten()
    }
}

/// Jobs.
impl<F: Factory> State<F> {
    /// Takes in what a creation gave. The failure before comes back, to be dropped without the lock.
    pub(crate) fn created(
        &mut self,
        slot: SlotKey,
        connection: F::Connection,
    ) -> Option<Failure<F::Error>> {
        let live = self.ledger.created(slot);
        self.keep_or_close(live, slot.index, connection);
        if live { self.last_failure.take() } else { None }
    }

    /// Frees the place of a failed creation, and keeps the reason for those whose wait it ended.
    /// What must be dropped without the lock comes back.
    pub(crate) fn creation_failed(
        &mut self,
        slot: SlotKey,
        failure: Failure<F::Error>,
    ) -> Option<Failure<F::Error>> {
        let before = self.ledger.effects().len();
        if !self.ledger.create_failed(slot) {
            return Some(failure);
        }
        let ended = self.ledger.effects().skip(before).filter_map(|effect| match effect {
            Effect::Ended { waiter, end: End::CreateFailed } => Some(*waiter),
            _ => None,
        });
        for waiter in ended.collect::<Vec<_>>() {
            *entry(&mut self.failures, waiter.index) = Some(failure.clone());
        }
        self.last_failure.replace(failure)
    }

    /// Takes back the connection of a check or a reset, if there is one left.
    pub(crate) fn take_in_tried(
        &mut self,
        slot: SlotKey,
        connection: Option<F::Connection>,
        tell: impl FnOnce(&mut Ledger) -> bool,
    ) {
        let live = tell(&mut self.ledger);
        if let Some(connection) = connection {
            self.keep_or_close(live, slot.index, connection);
        }
    }

    /// Keeps the connection that a job gave, or has it closed if the job was given up meanwhile.
    fn keep_or_close(&mut self, live: bool, index: u32, connection: F::Connection) {
        let index = if live { index } else { self.ledger.close_late() };
        let replaced = entry(&mut self.connections, index).replace(connection);
        debug_assert!(replaced.is_none(), "a place holds one connection");
    }

    /// Notes how a job ended that somebody waits for. Returns whom to wake.
    pub(crate) fn settle_watch(
        &mut self,
        slot: SlotKey,
        outcome: impl FnOnce() -> Result<(), Failure<F::Error>>,
    ) -> Option<Waker> {
        let (_, watch) = self.watches.iter_mut().find(|(_, watch)| watch.slot == slot)?;
        watch.outcome = Some(outcome());
        self.attendants.get_mut(watch.attendant?)?.take()
    }

    /// Takes the waker of whoever is to poll the jobs, if they want it. An attendant that sleeps
    /// goes before the callers; the first of those is awake if it has no waker, and looks before it
    /// sleeps.
    pub(crate) fn next_driver(&mut self) -> Option<Waker> {
        if !self.jobs.want_a_turn() {
            return None;
        }
        if let Some(waker) = self.attendants.iter_mut().find_map(|(_, waker)| waker.take()) {
            return Some(waker);
        }
        let first = self.ledger.any_waiter()?;
        self.waker_mut(first).take()
    }

    /// Takes the waker of the attendant that is to see to a deadline which it does not know of.
    pub(crate) fn next_prompt(&mut self) -> Option<Waker> {
        if self.ledger.next_deadline().is_none_or(|at| at >= self.promised) {
            return None;
        }
        self.promised = Time::ZERO;
        self.attendants.iter_mut().find_map(|(_, waker)| waker.take())
    }

    /// Takes the waker of the first in the queue, if it is to watch over something that awaits a
    /// time, and sleeps without knowing. An attendant knows by its promise.
    pub(crate) fn next_watcher(&mut self) -> Option<Waker> {
        if !self.ledger.awaits_time() || self.promised != Time::ZERO {
            return None;
        }
        let (first, next) = (self.ledger.first_waiter()?, self.ledger.next_deadline()?);
        match self.watcher {
            Some((watcher, until)) if watcher == first && until <= next => None,
            _ => self.waker_mut(first).take(),
        }
    }

    /// Takes the waker of the one caller that is to be woken, if there is nothing else to do.
    pub(crate) fn only_wake(&mut self) -> Option<Waker> {
        let Some(&Effect::Offer { waiter, .. }) = self.ledger.only_effect() else { return None };
        let drives = self.jobs.driver() == Some(Seat::Waiter(waiter));
        if self.is_watched() || drives || self.jobs.want_a_turn() {
            return None;
        }
        self.ledger.poll_effect();
        self.waker_mut(waiter).take()
    }

    /// Tells whether an operation left nothing to do but to unlock.
    #[inline(always)]
    pub(crate) fn is_quiet(&self) -> bool {
        !self.ledger.has_effects() && !self.is_watched()
    }

    /// Tells whether somebody may have to be awake earlier than was known.
    #[inline(always)]
    fn is_watched(&self) -> bool {
        self.ledger.awaits_time()
            || (self.promised != Time::ZERO
                && self.ledger.next_deadline().is_some_and(|at| at < self.promised))
    }
}

/// Attendants.
impl<F: Factory> State<F> {
    pub(crate) fn arrive(&mut self) -> usize {
        self.attendants.insert(None)
    }

    /// Takes the wakers of all that sleep.
    pub(crate) fn rouse_attendants(&mut self) -> Vec<Waker> {
        self.attendants.iter_mut().filter_map(|(_, waker)| waker.take()).collect()
    }

    /// Leaves the attendant's waker as it goes to sleep until the next deadline, or until it is
    /// woken because there is an earlier one. The waker before comes back.
    pub(crate) fn sleep(&mut self, attendant: usize, waker: Waker) -> (Time, Option<Waker>) {
        self.promised = self.ledger.next_deadline().unwrap_or(Time::NEVER);
        (self.promised, self.attendants[attendant].replace(waker))
    }

    /// Lets an attendant go. Another one, whose waker comes back first, is to look for itself how
    /// long it may sleep, or else a caller; its own waker must be dropped without the lock.
    pub(crate) fn depart(&mut self, attendant: usize) -> Parting {
        let left = [self.jobs.leave(Seat::Attendant(attendant)), self.attendants.remove(attendant)];
        self.promised = Time::ZERO;
        let other = self.attendants.iter_mut().find_map(|(_, waker)| waker.take());
        Parting { wake: other.or_else(|| self.next_watcher()), left }
    }
}

/// The side tables.
impl<F: Factory> State<F> {
    #[inline(always)]
    fn keep(&mut self, live: bool, index: u32, connection: F::Connection) -> Option<F::Connection> {
        if !live {
            return Some(connection);
        }
        let replaced = entry(&mut self.connections, index).replace(connection);
        debug_assert!(replaced.is_none(), "a place holds one connection");
        replaced
    }

    #[inline(always)]
    pub(crate) fn take_connection(&mut self, index: u32) -> F::Connection {
        let connection = self.connections[index as usize].take();
        connection.expect("a place that is idle, offered or leaving holds its connection")
    }

    pub(crate) fn waker_mut(&mut self, key: WaiterKey) -> &mut Option<Waker> {
        entry(&mut self.wakers, key.index)
    }

    pub(crate) fn take_failure(&mut self, key: WaiterKey) -> Option<Failure<F::Error>> {
        self.failures.get_mut(key.index as usize)?.take()
    }
}

/// The entry at an index that the ledger chose; the side tables grow as its entries do.
#[inline(always)]
fn entry<T>(table: &mut Vec<Option<T>>, index: u32) -> &mut Option<T> {
    let index = index as usize;
    if index >= table.len() {
        grow(table, index);
    }
    &mut table[index]
}

#[cold]
#[inline(never)]
fn grow<T>(table: &mut Vec<Option<T>>, index: usize) {
    table.resize_with(index + 1, || None);
}
