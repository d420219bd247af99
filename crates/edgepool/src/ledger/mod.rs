//! The pool's book-keeping: one pure state machine.
//!
//! The ledger knows places, waiters and deadlines as integers. It has no connection, waker, future,
//! clock or lock: a *shell* keeps those beside the ledger's keys, feeds it what happened, and
//! carries out the [`Effect`]s that it asks for. So the same decisions serve Rust and JavaScript,
//! and every reachable state can be searched.
//!
//! # How a shell runs it
//!
//! 1. Before [`acquire`](Ledger::acquire), [`renew`](Ledger::renew),
//!    [`discard`](Ledger::discard), [`take`](Ledger::take) and
//!    [`begin_reset`](Ledger::begin_reset), before the answers to effects, before what an operator
//!    does, and before any other operation while [`needs_clock`](Ledger::needs_clock) is true, read
//!    the clock and [`advance`](Ledger::advance). What is overdue is settled there, so expiry is exact at the
//!    next operation without any background task.
//! 2. Do the operation.
//! 3. Drain [`poll_effect`](Ledger::poll_effect) until it is `None`, and carry each effect out.
//! 4. To be prompt rather than only exact, advance again at
//!    [`next_deadline`](Ledger::next_deadline).
//!
//! # The life of a waiter
//!
//! | state | leaves it by |
//! |---|---|
//! | queued | an offer; its deadline; cancel; close; a failed creation that it depended on |
//! | offered | [`claim`](Ledger::claim) makes it a lease; cancel or its deadline passes the offer on; when the offer's own time passes, the offer goes to the next and the waiter keeps its place; the third time without a `claim` in between it ends as missed |
//! | ended | its owner's `claim` or `cancel`, which frees the entry |
//!
//! A waiter that needs several connections gathers them at the head of the queue, and nobody else
//! does, so two of them cannot hold each other up.
//!
//! # Tenants
//!
//! Callers may be those of a [tenant](Ledger::open_tenant), which has a [`Share`] of the pool and a
//! line of its own; the others are one tenant together, of weight 1. Priorities and ageing hold
//! within a line. Which tenant is next is decided by start-time fair queueing: a connection costs a
//! tenant of weight `w` a `w`-th of a turn, and who is due first is served.
//!
//! So what a tenant waits for does not depend on how much the others ask for. While a caller waits
//! that has `k` connections to be served in its line, its own among them, each other tenant of weight
//! `v` is served at most `k * v / w + 1` times. For it is served only when it is due, which is every
//! `v`-th of a turn, and in the time until the caller's own turn, which is `k / w` at most. Two things
//! can be added to that: a caller that needs `n` connections is served all of them at once, whoever's
//! it is, and one of its own tenant that was served before it counts with its `n - 1` in `k`. While a
//! tenant has its `max`, it waits for its own leases only. Whoever comes to an empty line is due half
//! of its turn later, so a light tenant does not wait for the round of a loud one, and however many
//! tenants come, they do not keep an old one waiting: those that come later are due later.
//!
//! An offer costs its tenant the turn whether or not it is claimed, so a tenant whose callers are
//! dead delays the others by its own turns and no more. Somebody waits beside an idle connection
//! for one reason only: the first of his line needs more than is left of what its tenant may have.
//! Nothing is made for them, and the tenant is next as soon as it has less, if it was due.
//!
//! While the queue is full, a tenant with fewer callers in it than its weight's share of
//! `max_waiting`, which is at least one, is let in all the same, until there are twice as many as
//! that: who is loud cannot keep the others out, but who opens tenants without end can.
//!
//! # The life of a connection
//!
//! creating → idle ⇄ checking; idle or checking → offered → leased → resetting → idle or offered;
//! from anywhere → closing. A connection under a job (creation, check, reset, closing) counts
//! against `max`. It leaves for its age, its uses or an invalidation when it is idle or comes back,
//! never while it is lent.
//!
//! # Creations
//!
//! While a place is free, there are as many creations under way as there are connections missing:
//! those that callers wait for and `min_idle`, less those that are idle, being checked or being
//! reset. A failed creation ends the wait of the first caller. With a back-off the next one is
//! tried after it, so that when there is no connection left that could come back, the failure ends
//! every wait: nobody is kept waiting for what is known to be out of order.
//!
//! # Invariants
//!
//! [`check`](Ledger::check) asserts them, by these numbers:
//!
//! 1. Every place is in exactly one state, and the gauges are the counts of the states.
//! 2. Places used are at most `max`; after it was lowered, the surplus has nothing idle.
//! 3. The idle list holds exactly the idle places, and the lines exactly the queued waiters, each
//!    class in order of arrival.
//! 4. No lost wake-up. Unless the pool is paused, nobody is queued beside an idle connection but as
//!    long as checks are under way for him, or while the first of his line needs more than its tenant
//!    may have; and while a place is free there are as many creations
//!    under way as connections missing, unless creations wait for a back-off that has a deadline,
//!    or for the one that an open breaker lets through.
//! 5. Each offered place is in the chain of one waiter, who has counted it. Only the first in the
//!    queue gathers.
//! 6. Every acquire, creation, lease and connection is accounted for once (see [`Counters`]).
//! 7. Each deadline stands in the heap once, where its entry says, none before its parent; every
//!    idle place is looked at no later than something about it is due.
//! 8. A closed pool has nothing idle, nobody queued or offered, and no creation under way.
//! 9. A tenant has what is lent to it, set aside for it, or ran out and is not closed yet. Exactly
//!    those tenants have turns whose first waiter fits under their `max`, and nobody was due before
//!    the first of them.

#[cfg(not(feature = "tenants"))]
mod alone;
mod answers;
mod callers;
mod care;
#[cfg(test)]
mod cases;
mod check;
mod counts;
mod jobs;
mod keys;
mod line;
pub(crate) mod list;
#[cfg(feature = "mutations")]
mod mutated;
pub(crate) mod need;
mod operator;
mod options;
#[cfg(feature = "tenants")]
mod queue;
#[cfg(test)]
mod search;
mod store;
#[cfg(all(test, feature = "tenants"))]
mod tenant_cases;
#[cfg(feature = "tenants")]
mod tenants;
mod timers;
#[cfg(feature = "tenants")]
mod turns;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::{Histogram, Time};

#[cfg(not(feature = "tenants"))]
use alone::{Owner, Queue};
pub use answers::{Acquired, Ask, Claim, Effect, End, JobKind, Leaving, Refused, Verdict};
pub use check::Violation;
pub use counts::{Counters, Gauges, Info};
pub use keys::{SlotKey, TenantKey, WaiterKey};
pub use line::Priority;
use list::{List, NIL};
use need::Failing;
pub use options::{Backoff, Options, OptionsError, Reuse};
#[cfg(feature = "tenants")]
use queue::{Owner, Queue};
use store::{SLOT_STATES, SlotState, Store, WaiterState};
#[cfg(feature = "tenants")]
pub use tenants::{Share, TenantStats};
use timers::{Target, Timers};
#[cfg(feature = "tenants")]
pub use turns::MAX_WEIGHT;

/// How many offers a waiter may let pass before it ends as [`End::Missed`].
pub const MAX_MISSED_OFFERS: u8 = 3;

/// Up to how many the callers before a waiter are counted.
pub const MAX_PLACE: u16 = 1_000;

/// The book-keeping of one pool. See the [module's documentation](self) for how to run it.
#[derive(Clone, Debug)]
pub struct Ledger {
    options: Options,
    now: Time,
    /// What the clock told last: before `now` once it stepped back.
    told: Time,
    /// Whether somebody has acquired or asked to fill, so that `min_idle` counts.
    started: bool,
    paused: bool,
    closed: bool,
    /// Whether `max` was lowered below what there is, and what there is has not left yet.
    shrunk: bool,
    /// What [`is_alert`](Self::is_alert) said last; [`look_out`](Self::look_out) asks it.
    alert: bool,
    /// What the options make of the warm path.
    way: Way,
    store: Store,
    idle: List,
    queue: Queue,
    timers: Timers,
    /// How many slots are in each state, by [`SlotState::kind`]; but idle ones are counted by their
    /// list and leases by what is left, so that the warm path counts nothing.
    states: [u32; SLOT_STATES],
    /// How many waiters have ended and were not let go yet.
    ended: u32,
    /// Which invalidation it is.
    epoch: u32,
    /// How many creations were begun or connections adopted.
    named: u64,
    /// How many idle places are to be replaced for their age.
    renewals: u32,
    /// Whether an idle place is left alone beyond its time, as `min_idle` needs it.
    overstayed: bool,
    /// How many checks are under way for `check_interval`.
    sweeps: u32,
    failing: Failing,
    /// In here, `started` leaves out those that were served at once: those are counted once.
    counters: Counters,
    waits: Histogram,
    holds: Histogram,
    effects: VecDeque<Effect>,
}

/// What the options make of the warm path, looked at once.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// A lease needs nothing but an idle connection, the one that was used last.
    plain: bool,
    /// Idle connections are looked at in time.
    cares: bool,
    /// Something happens to leases that are out for long.
    limits: bool,
    /// What is done while somebody waits depends on the time, even if nobody's time passes.
    waits: bool,
}

impl Way {
    const fn of(options: &Options) -> Self {
        let limits = options.limit_leases();
        let lifo = matches!(options.reuse, Reuse::Lifo);
        Self {
            plain: lifo && !limits && options.check_after.is_none(),
            cares: options.care(),
            limits,
            waits: options.offer_timeout.is_some() || options.wait_times,
        }
    }
}

/// Getters.
impl Ledger {
    /// Returns the options it was made with; those that can be changed, as they are now.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// Returns the latest time it was told.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.now
    }

    /// Returns how long the clock takes until it tells `at`. After a step back that is longer than
    /// from [`now`](Self::now), which stands still until the clock has caught up.
    #[must_use]
    pub const fn until(&self, at: Time) -> Duration {
        at.saturating_since(self.told)
    }

    /// Tells whether an operation of a caller's depends on the time, so that
    /// [`advance`](Self::advance) must come before it.
    #[must_use]
    #[inline]
    pub fn needs_clock(&self) -> bool {
        self.options.need_clock() || self.needs_clock_now()
    }

    /// As [`needs_clock`](Self::needs_clock), but for the options, which never change in this.
    #[must_use]
    #[inline(always)]
    pub fn needs_clock_now(&self) -> bool {
        !self.timers.is_empty() | (self.way.waits & !self.store.waiters.is_empty()) | self.alert
    }

    /// Tells whether an [`acquire`](Self::acquire) depends on the time, though the caller may wait
    /// for ever.
    #[must_use]
    pub const fn waits_need_clock(&self) -> bool {
        self.way.waits || self.options.create_timeout.is_some() || self.options.ageing.is_some()
    }

    /// Looks whether the pool is alert, after something changed that this depends on.
    const fn look_out(&mut self) {
        self.alert = self.is_alert();
    }

    /// Tells whether something has happened to the pool as a whole that makes the next operation
    /// depend on the time, beside waiters and deadlines.
    const fn is_alert(&self) -> bool {
        self.closed
            || self.shrunk
            || self.epoch > 0
            || self.failing.is_holding_back()
            || (self.started && self.options.min_idle > 0)
    }

    /// Returns the earliest time at which something is to be done, if anything can be. It may be
    /// earlier than what happens then, and is not in the past once the ledger was advanced, but for
    /// jobs that were [spared](Self::advance_sparing).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let retry = self.failing.retry_at().filter(|_| self.awaits_retry());
        self.timers.next().into_iter().chain(retry).min()
    }

    /// Returns the earliest deadline of a waiter or a connection; never is none.
    #[must_use]
    #[inline]
    pub fn next_timer(&self) -> Time {
        self.timers.next().unwrap_or(Time::NEVER)
    }

    /// Tells whether [`close`](Self::close) was called.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Tells whether it is closed and nothing is left in it.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.closed && self.store.slots.is_empty()
    }

    /// Tells whether [`pause`](Self::pause) was called, and not `resume` after it.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.paused
    }

    /// Tells how things stand.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        let [creating, _, checking, offered, _, resetting, retired, closing] = self.states;
        let (idle, in_use) = (self.idle.len(), self.count(SlotState::Leased));
        Gauges {
            max: self.options.max,
            size: self.size(),
            creating,
            idle,
            checking,
            offered,
            in_use,
            resetting,
            retired,
            closing,
            waiting: self.queue.len(),
            pending: self.pending(),
        }
    }

    /// Tells what has happened so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        let mut counters = self.counters;
        counters.started += counters.direct;
        counters
    }

    /// Returns how long callers waited that were not served at once, if that is
    /// [kept](Options::wait_times).
    #[must_use]
    pub const fn waits(&self) -> &Histogram {
        &self.waits
    }

    /// Returns how long leases were held, if that is [kept](Options::hold_times).
    #[must_use]
    pub const fn holds(&self) -> &Histogram {
        &self.holds
    }

    /// Returns what is known of the connection that has this tenure, or will have it; `None` if the
    /// key is stale.
    #[must_use]
    pub fn info(&self, key: SlotKey) -> Option<Info> {
        let slot = self.store.find_slot(key)?;
        Some(Info {
            id: slot.id,
            born: slot.born,
            uses: slot.uses,
            last_used: slot.last_used(),
            waited: slot.waited,
        })
    }

    /// Returns every lease that is out, and since when, as exact as
    /// [`last_used`](Info::last_used).
    pub fn leases(&self) -> impl Iterator<Item = (SlotKey, Time)> + '_ {
        let leased = |(_, slot): &(usize, &store::Slot)| slot.state == SlotState::Leased;
        let named = |(index, slot): (usize, &store::Slot)| {
            (SlotKey { index: index as u32, generation: slot.generation }, slot.since)
        };
        self.store.slots.iter().filter(leased).map(named)
    }

    /// Returns the waiter at the head of the queue.
    #[must_use]
    pub fn first_waiter(&self) -> Option<WaiterKey> {
        self.queue.front(&self.store.waiters).map(|index| self.store.waiter_key(index))
    }

    /// Returns the waiter at the head of the queue or, if each one's tenant has all that it may
    /// have, whichever waits.
    #[must_use]
    pub fn any_waiter(&self) -> Option<WaiterKey> {
        let queued = |(_, waiter): &(usize, &store::Waiter)| waiter.state == WaiterState::Queued;
        self.first_waiter().or_else(|| {
            let index = self.store.waiters.iter().find(queued)?.0;
            Some(self.store.waiter_key(index as u32))
        })
    }

    /// Returns when the waiter came, if it is known.
    #[must_use]
    pub fn waiting_since(&self, key: WaiterKey) -> Option<Time> {
        self.store.find_waiter(key).map(|waiter| waiter.since)
    }

    /// Tells whether the job that was begun with this key is still wanted.
    #[must_use]
    pub fn is_wanted(&self, key: SlotKey) -> bool {
        self.store.find_slot(key).is_some_and(|slot| slot.state.is_job())
    }

    fn size(&self) -> u32 {
        self.store.slots.len() as u32
    }

    fn count(&self, state: SlotState) -> u32 {
        match state {
            SlotState::Idle => self.idle.len(),
            SlotState::Leased => self.size() - self.idle.len() - self.states.iter().sum::<u32>(),
            other => self.states[other.kind()],
        }
    }

    fn pending(&self) -> u32 {
        self.store.waiters.len() as u32 - self.ended
    }
}

/// Time and effects.
impl Ledger {
    /// Makes the ledger of an empty pool.
    ///
    /// # Errors
    ///
    /// An option is out of its range, or contradicts another.
    pub fn new(options: Options) -> Result<Self, OptionsError> {
        options.validate()?;
        let options = match mutated!(OldestIdleGoesFirst) {
            true => Options { reuse: Reuse::Fifo, ..options },
            false => options,
        };
        Ok(Self {
            options,
            now: Time::ZERO,
            told: Time::ZERO,
            started: false,
            paused: false,
            closed: false,
            shrunk: false,
            alert: false,
            way: Way::of(&options),
            store: Store::default(),
            idle: List::new(),
            queue: Queue::new(options.ageing.filter(|_| !mutated!(NobodyAges))),
            timers: Timers::default(),
            states: [0; SLOT_STATES],
            ended: 0,
            epoch: 0,
            named: 0,
            renewals: 0,
            overstayed: false,
            sweeps: 0,
            failing: Failing::new(options.seed),
            counters: Counters::default(),
            waits: Histogram::new(),
            holds: Histogram::new(),
            effects: VecDeque::new(),
        })
    }

    /// Draws chance from this [`seed`](Options::seed) from now on.
    pub const fn reseed(&mut self, seed: u64) {
        self.options.seed = seed;
        self.failing.chance = seed;
    }

    /// Tells whether an effect waits to be carried out.
    #[must_use]
    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// Returns the effects that wait to be carried out, the oldest first.
    pub fn effects(&self) -> impl DoubleEndedIterator<Item = &Effect> + ExactSizeIterator {
        self.effects.iter()
    }

    /// Returns the effect that waits to be carried out, if it is the only one.
    #[must_use]
    pub fn only_effect(&self) -> Option<&Effect> {
        self.effects.front().filter(|_| self.effects.len() == 1)
    }

    /// Takes the next effect to carry out.
    #[inline]
    pub fn poll_effect(&mut self) -> Option<Effect> {
        let effect = self.effects.pop_front()?;
        // A job's time begins here, so that none is overdue that the shell has not begun.
        let (slot, limit) = match effect {
            Effect::Create { slot } => (slot, self.options.create_timeout),
            Effect::Check { slot } => (slot, self.options.check_timeout),
            Effect::Close { slot, .. } => (slot, self.options.close_timeout),
            _ => return Some(effect),
        };
        if limit.is_some() && self.store.find_slot(slot).is_some() {
            self.set_slot_timer(slot.index, limit);
        }
        Some(effect)
    }

    /// Sets the time and settles all that is overdue, earliest first. A time before the latest one
    /// counts as the latest one.
    #[inline]
    pub fn advance(&mut self, now: Time) {
        self.advance_sparing(now, Time::NEVER);
    }

    /// As [`advance`](Self::advance), but gives no job up whose time passed after `polled`. For a
    /// shell that polled its jobs at that time, and not since one of them asked for it: it may have
    /// ended in time.
    #[inline]
    pub fn advance_sparing(&mut self, now: Time, polled: Time) {
        self.told = now;
        self.now = if mutated!(TimeRunsBackwards) { now } else { self.now.max(now) };
        if self.timers.next().is_some_and(|at| at <= self.now) {
            self.settle(polled);
        }
        if self.failing.end_hold(self.now) {
            self.create_again();
        }
    }

    #[cold]
    fn create_again(&mut self) {
        self.look_out();
        self.start_creations();
    }

    #[cold]
    fn settle(&mut self, polled: Time) {
        let mut spared = Vec::new();
        while let Some((at, target)) = self.timers.pop_due(&mut self.store, self.now) {
            match target {
                Target::Slot(index) if at > polled && self.store.slot(index).state.is_job() => {
                    spared.push((at, target));
                }
                Target::Waiter(index) => self.end_pending(index, End::TimedOut),
                Target::Slot(index) => self.handle_overdue(index),
                Target::Care(index) => self.handle_care(index),
            }
        }
        // Nothing but its time ends a job in here, so each of them is still the same.
        for (at, target) in spared {
            self.timers.set(&mut self.store, target, at);
        }
    }

    fn handle_overdue(&mut self, index: u32) {
        match self.store.slot(index).state {
            SlotState::Offered(waiter) => self.handle_missed_offer(waiter),
            SlotState::Creating if mutated!(OverdueCreationKeepsItsPlace) => {}
            SlotState::Creating => self.handle_overdue_creation(index),
            SlotState::Leased => self.handle_overdue_lease(index),
            SlotState::Checking => {
                self.counters.check_failed += 1;
                self.abandon(index, JobKind::Check);
            }
            SlotState::Resetting => {
                self.counters.reset_failed += 1;
                self.abandon(index, JobKind::Reset);
            }
            SlotState::Retired | SlotState::Closing => self.abandon(index, JobKind::Closing),
            SlotState::Idle => unreachable!("an idle place may stay so"),
        }
    }
}

/// Transitions of slots. Every change of a slot's state goes through `set_state`, so that the
/// counts cannot drift.
impl Ledger {
    fn insert_slot(&mut self, state: SlotState) -> u32 {
        self.count_in(state);
        self.store.insert_slot(state, self.epoch)
    }

    /// Moves a slot on. Its timer belonged to the state that it leaves.
    // Inlined, as is the one below: without a timer it is a few stores, and it stands in the way of
    // every acquire and release.
    #[inline(always)]
    fn set_state(&mut self, index: u32, state: SlotState) {
        let slot = self.store.slot_mut(index);
        let old = core::mem::replace(&mut slot.state, state);
        if slot.timer != NIL {
            self.timers.clear(&mut self.store, Target::Slot(index));
        }
        self.count_out(old);
        self.count_in(state);
    }

    #[inline(always)]
    fn count_in(&mut self, state: SlotState) {
        if !matches!(state, SlotState::Idle | SlotState::Leased) {
            self.states[state.kind()] += 1;
        }
    }

    #[inline(always)]
    fn count_out(&mut self, state: SlotState) {
        if !matches!(state, SlotState::Idle | SlotState::Leased) {
            self.states[state.kind()] -= 1;
        }
    }

    #[inline(always)]
    fn renew_generation(&mut self, index: u32) -> SlotKey {
        let generation = self.store.next_generation();
        self.store.slot_mut(index).generation = generation;
        SlotKey { index, generation }
    }

    fn set_slot_timer(&mut self, index: u32, after: Option<Duration>) {
        if let Some(after) = after {
            let at = self.now.saturating_add(after);
            self.timers.set(&mut self.store, Target::Slot(index), at);
        }
    }

    /// Removes the slot, which is in no list and has no connection any more, and fills its place if
    /// one is missing.
    fn free_slot(&mut self, index: u32) {
        self.timers.clear(&mut self.store, Target::Slot(index));
        self.timers.clear(&mut self.store, Target::Care(index));
        let slot = self.store.slots.remove(index as usize);
        self.count_out(slot.state);
        self.end_uses(slot.owner, 1);
        self.shrunk &= self.living() > self.options.max;
        self.look_out();
        if !mutated!(FreedPlaceStartsNothing) {
            self.serve();
        }
        if self.closed && self.store.slots.is_empty() {
            self.effects.push_back(Effect::Drained);
        }
    }

    /// Gives an overdue job up, and the connection with it.
    fn abandon(&mut self, index: u32, job: JobKind) {
        let slot = self.store.slot_key(index);
        self.effects.push_back(Effect::Abandon { slot, job, overdue: true });
        self.remove_slot(index);
    }

    /// Frees the place of a connection that is gone.
    fn remove_slot(&mut self, index: u32) {
        self.counters.removed += 1;
        if core::mem::take(&mut self.store.slot_mut(index).swept) {
            self.end_sweep();
        }
        self.free_slot(index);
    }
}
