//! The pool's book-keeping: one pure state machine.
//!
//! The ledger knows places, waiters and deadlines as integers. It has no connection, waker, future,
//! clock or lock: a *shell* keeps those beside the ledger's keys, feeds it what happened, and
//! carries out the [`Effect`]s that it asks for. So the same decisions serve Rust and JavaScript,
//! and every reachable state can be searched.
//!
//! # How a shell runs it
//!
//! 1. Before [`acquire`](Ledger::acquire), and before any other operation while
//!    [`needs_clock`](Ledger::needs_clock) is true, read the clock and [`advance`](Ledger::advance).
//!    What is overdue is settled there, so expiry is exact at the next operation without any
//!    background task.
//! 2. Do the operation.
//! 3. Drain [`poll_effect`](Ledger::poll_effect) until it is `None`, and carry each effect out.
//! 4. To be prompt rather than only exact, advance again at
//!    [`next_deadline`](Ledger::next_deadline).
//!
//! # The life of a waiter
//!
//! | state | leaves it by |
//! |---|---|
//! | queued | an offer; its deadline; cancel; close; a failed creation while it stands first |
//! | offered | [`claim`](Ledger::claim) makes it a lease; cancel or its deadline passes the offer on; when the offer's own time passes, the offer goes to the next and the waiter keeps its place; the third time it ends as missed |
//! | ended | its owner's `claim` or `cancel`, which frees the entry |
//!
//! # Invariants
//!
//! [`check`](Ledger::check) asserts them, by these numbers:
//!
//! 1. Every place is in exactly one state, and the gauges are the counts of the states.
//! 2. Places used are at most `max`.
//! 3. The idle list holds exactly the idle places, and the queue exactly the queued waiters, in
//!    order of arrival.
//! 4. No lost wake-up: nobody is queued beside an idle connection, and while a place is free there
//!    are at least as many creations under way as waiters queued.
//! 5. Each offered place and its waiter name each other.
//! 6. Every acquire that was started is accounted for once (see [`Counters`]).
//! 7. Each deadline stands in the heap once, where its entry says, none before its parent.
//! 8. A closed pool has nothing idle, nobody queued or offered, and no creation under way.

mod check;
mod counts;
mod keys;
mod list;
mod store;
mod timers;

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::Time;

pub use check::Violation;
pub use counts::{Counters, Gauges};
pub use keys::{SlotKey, WaiterKey};
use list::{List, NIL};
use store::{SLOT_STATES, SlotState, Store, WaiterState};
use timers::{Target, Timers};

/// How many offers a waiter may let pass before it ends as [`End::Missed`].
pub const MAX_MISSED_OFFERS: u8 = 3;

/// The sizes and times that a ledger keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The most places used at once, connections being made or closed among them; at least 1.
    pub max: u32,
    /// The most callers queued beyond those for whom a creation is under way. With 0 a caller is
    /// refused unless a connection is idle or may be created.
    pub max_waiting: u32,
    /// How long an offer stands before it passes to the next waiter; `None` is for ever.
    pub offer_timeout: Option<Duration>,
    /// How long a lease lives unless it is renewed; `None` is for ever.
    pub lease_ttl: Option<Duration>,
    /// How long a connection that is being closed counts against `max` if the shell never tells
    /// that it is closed; `None` is for ever.
    pub close_timeout: Option<Duration>,
    /// How long a creation may take before it is given up; `None` is for ever.
    pub create_timeout: Option<Duration>,
}

impl Options {
    /// The options of a pool of at most `max` places in which nothing expires, with 1,000 waiters.
    #[must_use]
    pub const fn new(max: u32) -> Self {
        Self {
            max,
            max_waiting: 1_000,
            offer_timeout: None,
            lease_ttl: None,
            close_timeout: None,
            create_timeout: None,
        }
    }
}

/// An option that a ledger cannot keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionsError {
    /// `max` was 0.
    MaxIsZero,
    /// The named time was zero, so that it would pass before anyone could act.
    TimeIsZero(&'static str),
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxIsZero => f.write_str("max is 0; it must be 1 or more"),
            Self::TimeIsZero(option) => {
                write!(f, "{option} is zero; it must be longer, or none for no limit")
            }
        }
    }
}

impl std::error::Error for OptionsError {}

/// The answer to [`Ledger::acquire`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// The caller has this lease.
    Leased(SlotKey),
    /// The caller is queued under this key.
    Waiting(WaiterKey),
}

/// Why [`Ledger::acquire`] did not even queue the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The queue is as long as it may be.
    QueueFull,
    /// The pool is closed.
    Closed,
}

/// The answer to [`Ledger::claim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The offer is a lease now, and the waiter is gone.
    Leased(SlotKey),
    /// There is no offer yet.
    Waiting,
    /// The wait is over without a connection, and the waiter is gone.
    Ended(End),
    /// The key is stale.
    Unknown,
}

/// Why a wait ended without a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its deadline passed.
    TimedOut,
    /// The pool closed.
    Closed,
    /// A creation failed while it stood first.
    CreateFailed,
    /// A creation took longer than `create_timeout` while it stood first.
    CreateTimedOut,
    /// It let [`MAX_MISSED_OFFERS`] offers pass.
    Missed,
}

/// What the shell must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Wake the waiter, so that it claims the slot that is set aside for it.
    Offer {
        /// Who is offered it.
        waiter: WaiterKey,
        /// What is offered.
        slot: SlotKey,
    },
    /// Tell the waiter that its wait is over; its owner frees the entry with `claim` or `cancel`.
    Ended {
        /// Whose wait ended.
        waiter: WaiterKey,
        /// Why.
        end: End,
    },
    /// Start a creation, and answer with `created` or `create_failed`.
    Create {
        /// The place that the connection will have.
        slot: SlotKey,
    },
    /// Drop the creation: it was too slow, or the pool closed. The place is free already.
    AbandonCreate {
        /// The key that the creation was started with.
        slot: SlotKey,
    },
    /// Close the connection at this index, and answer with `closed` and this key.
    Close {
        /// The place, under the key of its closing.
        slot: SlotKey,
    },
}

/// The book-keeping of one pool. See the [module's documentation](self) for how to run it.
#[derive(Debug)]
pub struct Ledger {
    options: Options,
    now: Time,
    closed: bool,
    store: Store,
    idle: List,
    queue: List,
    timers: Timers,
    /// How many slots are in each state, by [`SlotState::kind`].
    states: [u32; SLOT_STATES],
    counters: Counters,
    effects: VecDeque<Effect>,
}

/// Getters.
impl Ledger {
    /// Returns the options it was made with.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// Returns the latest time it was told.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.now
    }

    /// Tells whether the next operation depends on the time, so that [`advance`](Self::advance)
    /// must come before it.
    #[must_use]
    pub const fn needs_clock(&self) -> bool {
        self.options.lease_ttl.is_some()
            || self.options.offer_timeout.is_some()
            || self.options.close_timeout.is_some()
            || !self.timers.is_empty()
            || (self.options.create_timeout.is_some() && !self.queue.is_empty())
    }

    /// Returns the earliest time at which something expires, if anything can.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.timers.next()
    }

    /// Tells whether [`close`](Self::close) was called.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Tells how things stand.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        let [creating, idle, offered, in_use, retired, closing] = self.states;
        Gauges {
            max: self.options.max,
            size: self.size(),
            creating,
            idle,
            offered,
            in_use,
            retired,
            closing,
            waiting: self.queue.len(),
        }
    }

    /// Tells what has happened so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns the waiter at the head of the queue.
    #[must_use]
    pub fn first_waiter(&self) -> Option<WaiterKey> {
        self.queue.front().map(|index| self.store.waiter_key(index))
    }

    /// Tells whether the creation is still wanted.
    #[must_use]
    pub fn is_creating(&self, key: SlotKey) -> bool {
        self.store.find_slot(key).is_some_and(|slot| slot.state == SlotState::Creating)
    }

    fn size(&self) -> u32 {
        self.states.iter().sum()
    }

    const fn creating(&self) -> u32 {
        self.states[SlotState::Creating.kind()]
    }
}

/// Time and effects.
impl Ledger {
    /// Makes the ledger of an empty pool.
    ///
    /// # Errors
    ///
    /// An option is out of its range.
    pub fn new(options: Options) -> Result<Self, OptionsError> {
        if options.max == 0 {
            return Err(OptionsError::MaxIsZero);
        }
        let times = [
            ("offer_timeout", options.offer_timeout),
            ("lease_ttl", options.lease_ttl),
            ("create_timeout", options.create_timeout),
            ("close_timeout", options.close_timeout),
        ];
        if let Some((name, _)) = times.iter().find(|(_, time)| *time == Some(Duration::ZERO)) {
            return Err(OptionsError::TimeIsZero(name));
        }
        Ok(Self {
            options,
            now: Time::ZERO,
            closed: false,
            store: Store::default(),
            idle: List::new(),
            queue: List::new(),
            timers: Timers::default(),
            states: [0; SLOT_STATES],
            counters: Counters::default(),
            effects: VecDeque::new(),
        })
    }

    /// Tells whether an effect waits to be carried out.
    #[must_use]
    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// Takes the next effect to carry out.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Sets the time and settles all that is overdue, earliest first. A time before the latest one
    /// counts as the latest one.
    pub fn advance(&mut self, now: Time) {
        self.now = self.now.max(now);
        while let Some(target) = self.timers.pop_due(&mut self.store, self.now) {
            match target {
                Target::Waiter(index) => self.end_pending(index, End::TimedOut),
                Target::Slot(index) => self.handle_slot_timer(index),
            }
        }
    }

    fn handle_slot_timer(&mut self, index: u32) {
        match self.store.slot(index).state {
            SlotState::Offered(waiter) => self.handle_missed_offer(index, waiter),
            SlotState::Creating => self.handle_overdue_creation(index),
            SlotState::Leased => self.handle_overdue_lease(index),
            SlotState::Retired | SlotState::Closing => self.free_slot(index),
            SlotState::Idle => unreachable!("an idle place has no timer"),
        }
    }
}

/// Callers.
impl Ledger {
    /// Leases an idle connection, unless somebody is queued for one.
    pub fn try_acquire(&mut self) -> Option<SlotKey> {
        if !self.queue.is_empty() {
            return None;
        }
        let index = self.idle.pop_back(&mut self.store.slots)?;
        self.counters.started += 1;
        self.counters.direct += 1;
        Some(self.lease(index))
    }

    /// Leases an idle connection, or queues the caller until `deadline`.
    ///
    /// # Errors
    ///
    /// The queue is full, or the pool is closed; the caller is not queued then.
    pub fn acquire(&mut self, deadline: Time) -> Result<Acquired, Refused> {
        if let Some(slot) = self.try_acquire() {
            return Ok(Acquired::Leased(slot));
        }
        self.counters.started += 1;
        if self.closed {
            self.counters.closed += 1;
            return Err(Refused::Closed);
        }
        if self.queue_is_full() {
            self.counters.refused += 1;
            return Err(Refused::QueueFull);
        }
        let index = self.store.insert_waiter();
        let key = self.store.waiter_key(index);
        self.queue.push_back(&mut self.store.waiters, index);
        self.timers.set(&mut self.store, Target::Waiter(index), deadline);
        self.start_creations();
        Ok(Acquired::Waiting(key))
    }

    /// Turns the waiter's offer into a lease, or tells where it stands. A wait that is over frees
    /// its entry here.
    pub fn claim(&mut self, key: WaiterKey) -> Claim {
        let Some(waiter) = self.store.find_waiter(key) else {
            self.counters.stale += 1;
            return Claim::Unknown;
        };
        match waiter.state {
            WaiterState::Queued => Claim::Waiting,
            WaiterState::Offered(slot) => {
                self.counters.waited += 1;
                self.free_waiter(key.index);
                Claim::Leased(self.lease(slot))
            }
            WaiterState::Ended(end) => {
                self.free_waiter(key.index);
                Claim::Ended(end)
            }
        }
    }

    /// Ends the wait and frees its entry; an offer passes to the next waiter. Returns whether the
    /// caller was still waiting.
    pub fn cancel(&mut self, key: WaiterKey) -> bool {
        let Some(waiter) = self.store.find_waiter(key) else {
            self.counters.stale += 1;
            return false;
        };
        let state = waiter.state;
        if state == WaiterState::Queued {
            self.queue.remove(&mut self.store.waiters, key.index);
        }
        self.free_waiter(key.index);
        if let WaiterState::Offered(slot) = state {
            self.make_available(slot);
        }
        let was_pending = !matches!(state, WaiterState::Ended(_));
        self.counters.cancelled += u64::from(was_pending);
        was_pending
    }

    /// Takes a connection back in good order: it is offered to the first waiter, else it is idle,
    /// or closed if the pool is. Returns false, and does nothing, if the key is stale.
    pub fn release(&mut self, key: SlotKey) -> bool {
        if !self.end_lease(key) {
            return false;
        }
        self.counters.released += 1;
        self.make_available(key.index);
        true
    }

    /// Takes a damaged connection back, to be closed. Returns false if the key is stale.
    pub fn discard(&mut self, key: SlotKey) -> bool {
        if !self.end_lease(key) {
            return false;
        }
        self.counters.discarded += 1;
        self.start_close(key.index, SlotState::Closing);
        true
    }

    /// Lets the connection leave the pool with its holder, and frees its place at once. Returns
    /// false if the key is stale.
    pub fn take(&mut self, key: SlotKey) -> bool {
        if !self.end_lease(key) {
            return false;
        }
        self.counters.taken += 1;
        self.free_slot(key.index);
        true
    }

    /// Lets the lease live for `ttl` from now, whatever its time to live was; `None` is for ever. A
    /// holder with a heartbeat can be missed sooner than one without. Returns false if the key is
    /// stale.
    pub fn renew(&mut self, key: SlotKey, ttl: Option<Duration>) -> bool {
        let live = self.is_lease(key);
        if live {
            let until = ttl.map_or(Time::NEVER, |ttl| self.now.saturating_add(ttl));
            self.timers.set(&mut self.store, Target::Slot(key.index), until);
        }
        live
    }

    fn is_lease(&mut self, key: SlotKey) -> bool {
        let live = self.store.find_slot(key).is_some_and(|slot| slot.state == SlotState::Leased);
        self.counters.stale += u64::from(!live);
        live
    }

    /// Ends the tenure of a lease; the caller moves the slot on.
    fn end_lease(&mut self, key: SlotKey) -> bool {
        let live = self.is_lease(key);
        if live {
            self.renew_generation(key.index);
        }
        live
    }

    fn queue_is_full(&self) -> bool {
        self.size() == self.options.max
            && u64::from(self.queue.len())
                >= u64::from(self.options.max_waiting) + u64::from(self.creating())
    }
}

/// The shell's answers.
impl Ledger {
    /// Takes in the connection that a creation gave. Returns false if the creation was given up:
    /// the connection is the shell's to close.
    pub fn created(&mut self, key: SlotKey) -> bool {
        let live = self.is_creation(key);
        if live {
            self.counters.created += 1;
            self.renew_generation(key.index);
            self.make_available(key.index);
        }
        live
    }

    /// Frees the place of a creation that failed; the first waiter ends with
    /// [`End::CreateFailed`]. Returns false if the creation was given up before.
    pub fn create_failed(&mut self, key: SlotKey) -> bool {
        let live = self.is_creation(key);
        if live {
            self.counters.create_failed += 1;
            self.end_first_waiter(End::CreateFailed);
            self.free_slot(key.index);
        }
        live
    }

    /// Frees the place of a connection that is closed now. Returns false if that took longer than
    /// `close_timeout` and the place is free already.
    pub fn closed(&mut self, key: SlotKey) -> bool {
        let live = self
            .store
            .find_slot(key)
            .is_some_and(|slot| matches!(slot.state, SlotState::Closing | SlotState::Retired));
        self.counters.stale += u64::from(!live);
        if live {
            self.free_slot(key.index);
        }
        live
    }

    /// Takes in a connection that was made elsewhere, as a lease of the caller's. Returns `None`
    /// if the pool is closed or full.
    ///
    /// A shell whose ledger was lost tells the new one so what is still out; released at once, the
    /// connection is idle.
    pub fn adopt(&mut self) -> Option<SlotKey> {
        if self.closed || self.size() == self.options.max {
            return None;
        }
        self.counters.adopted += 1;
        let index = self.insert_slot(SlotState::Leased);
        self.set_slot_timer(index, self.options.lease_ttl);
        Some(self.store.slot_key(index))
    }

    /// Refuses new callers, ends every wait with [`End::Closed`], gives creations up and closes
    /// what is idle or offered. Leases close as they come back. Closing twice is closing once.
    pub fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        while let Some(index) = self.queue.front() {
            self.end_pending(index, End::Closed);
        }
        let slots: Vec<u32> = self.store.slots.iter().map(|(index, _)| index as u32).collect();
        for index in slots {
            match self.store.slot(index).state {
                SlotState::Offered(waiter) => self.end_pending(waiter, End::Closed),
                SlotState::Creating => self.abandon_creation(index),
                SlotState::Idle => {
                    self.idle.remove(&mut self.store.slots, index);
                    self.start_close(index, SlotState::Closing);
                }
                SlotState::Leased | SlotState::Retired | SlotState::Closing => {}
            }
        }
    }

    fn is_creation(&mut self, key: SlotKey) -> bool {
        let live = self.is_creating(key);
        self.counters.stale += u64::from(!live);
        live
    }
}

/// Transitions of slots. Every change of a slot's state goes through `set_state`, so that the
/// counts cannot drift.
impl Ledger {
    fn insert_slot(&mut self, state: SlotState) -> u32 {
        self.states[state.kind()] += 1;
        self.store.insert_slot(state)
    }

    /// Moves a slot on. Its timer belonged to the state that it leaves.
    // Inlined, as are the two below: without a timer it is a few stores, and it stands in the way
    // of every acquire and release.
    #[inline(always)]
    fn set_state(&mut self, index: u32, state: SlotState) {
        let slot = self.store.slot_mut(index);
        let old = std::mem::replace(&mut slot.state, state);
        self.states[old.kind()] -= 1;
        self.states[state.kind()] += 1;
        if slot.timer != NIL {
            self.timers.clear(&mut self.store, Target::Slot(index));
        }
    }

    fn renew_generation(&mut self, index: u32) -> u32 {
        let generation = self.store.next_generation();
        self.store.slot_mut(index).generation = generation;
        generation
    }

    fn set_slot_timer(&mut self, index: u32, after: Option<Duration>) {
        if let Some(after) = after {
            let at = self.now.saturating_add(after);
            self.timers.set(&mut self.store, Target::Slot(index), at);
        }
    }

    /// Gives the slot, which is in no list, to a caller.
    #[inline(always)]
    fn lease(&mut self, index: u32) -> SlotKey {
        self.set_state(index, SlotState::Leased);
        self.set_slot_timer(index, self.options.lease_ttl);
        SlotKey { index, generation: self.renew_generation(index) }
    }

    /// Finds the next use of a good connection that nobody holds: the first waiter, else idle.
    #[inline(always)]
    fn make_available(&mut self, index: u32) {
        if self.closed {
            return self.start_close(index, SlotState::Closing);
        }
        match self.queue.front() {
            Some(waiter) => self.offer(index, waiter),
            None => {
                self.set_state(index, SlotState::Idle);
                self.idle.push_back(&mut self.store.slots, index);
            }
        }
    }

    fn offer(&mut self, index: u32, waiter: u32) {
        self.queue.remove(&mut self.store.waiters, waiter);
        self.store.waiter_mut(waiter).state = WaiterState::Offered(index);
        self.set_state(index, SlotState::Offered(waiter));
        self.set_slot_timer(index, self.options.offer_timeout);
        self.effects.push_back(Effect::Offer {
            waiter: self.store.waiter_key(waiter),
            slot: self.store.slot_key(index),
        });
    }

    /// The offer passes to the waiter behind the one that missed it, or, if there is none, to
    /// whoever is first by now; the one that missed it goes back to its place in the queue.
    fn handle_missed_offer(&mut self, index: u32, waiter: u32) {
        self.counters.offers_missed += 1;
        let entry = self.store.waiter_mut(waiter);
        entry.missed += 1;
        if entry.missed == MAX_MISSED_OFFERS {
            return self.end_pending(waiter, End::Missed);
        }
        entry.state = WaiterState::Queued;
        self.requeue(waiter);
        let behind = List::next(&self.store.waiters, waiter);
        let next = behind.or_else(|| self.queue.front()).expect("the waiter itself is queued");
        self.offer(index, next);
    }

    /// Puts a waiter back by its order of arrival. Only those that missed an offer can be in front
    /// of it, and there are fewer of them than places.
    fn requeue(&mut self, waiter: u32) {
        let arrival = self.store.waiter(waiter).arrival;
        let later = self
            .queue
            .iter(&self.store.waiters)
            .find(|&other| self.store.waiter(other).arrival > arrival);
        match later {
            Some(at) => self.queue.insert_before(&mut self.store.waiters, at, waiter),
            None => self.queue.push_back(&mut self.store.waiters, waiter),
        }
    }

    fn handle_overdue_lease(&mut self, index: u32) {
        self.counters.expired += 1;
        self.start_close(index, SlotState::Retired);
    }

    fn handle_overdue_creation(&mut self, index: u32) {
        self.end_first_waiter(End::CreateTimedOut);
        self.abandon_creation(index);
    }

    fn abandon_creation(&mut self, index: u32) {
        self.counters.create_abandoned += 1;
        self.effects.push_back(Effect::AbandonCreate { slot: self.store.slot_key(index) });
        self.free_slot(index);
    }

    /// Asks the shell to close the connection, under a key of its own.
    fn start_close(&mut self, index: u32, state: SlotState) {
        self.set_state(index, state);
        self.set_slot_timer(index, self.options.close_timeout);
        self.renew_generation(index);
        self.effects.push_back(Effect::Close { slot: self.store.slot_key(index) });
    }

    /// Removes the slot, which is in no list, and fills its place if somebody waits for one.
    fn free_slot(&mut self, index: u32) {
        self.timers.clear(&mut self.store, Target::Slot(index));
        let slot = self.store.slots.remove(index as usize);
        self.states[slot.state.kind()] -= 1;
        self.start_creations();
    }

    /// Starts creations while there are fewer than waiters and a place is free.
    fn start_creations(&mut self) {
        while self.creating() < self.queue.len() && self.size() < self.options.max {
            self.counters.creations += 1;
            let index = self.insert_slot(SlotState::Creating);
            self.set_slot_timer(index, self.options.create_timeout);
            self.effects.push_back(Effect::Create { slot: self.store.slot_key(index) });
        }
    }
}

/// Transitions of waiters.
impl Ledger {
    /// Ends a wait that is queued or offered; an offer passes on.
    fn end_pending(&mut self, index: u32, end: End) {
        *self.ended_counter(end) += 1;
        self.timers.clear(&mut self.store, Target::Waiter(index));
        let ended = WaiterState::Ended(end);
        let state = std::mem::replace(&mut self.store.waiter_mut(index).state, ended);
        self.effects.push_back(Effect::Ended { waiter: self.store.waiter_key(index), end });
        match state {
            WaiterState::Queued => self.queue.remove(&mut self.store.waiters, index),
            WaiterState::Offered(slot) => self.make_available(slot),
            WaiterState::Ended(_) => unreachable!("an ended wait has no timer and no offer"),
        }
    }

    fn end_first_waiter(&mut self, end: End) {
        if let Some(first) = self.queue.front() {
            self.end_pending(first, end);
        }
    }

    const fn ended_counter(&mut self, end: End) -> &mut u64 {
        match end {
            End::TimedOut => &mut self.counters.timed_out,
            End::Closed => &mut self.counters.closed,
            End::CreateFailed | End::CreateTimedOut => &mut self.counters.failed,
            End::Missed => &mut self.counters.missed,
        }
    }

    fn free_waiter(&mut self, index: u32) {
        self.timers.clear(&mut self.store, Target::Waiter(index));
        self.store.waiters.remove(index as usize);
    }
}
