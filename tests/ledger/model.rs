//! A naive pool: everything in sorted maps, found by looking at all of it. It numbers slots and
//! waiters itself, in the order of their birth, and learns the ledger's keys from its answers.

use std::collections::BTreeMap;
use std::time::Duration;

use edgepool::Time;
use edgepool::ledger::{Counters, End, Gauges, MAX_MISSED_OFFERS, Options, SlotKey, WaiterKey};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotState {
    Creating,
    Idle,
    Offered(u64),
    Leased,
    Retired,
    Closing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaiterState {
    Queued,
    Offered(u64),
    Ended(End),
}

#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) state: SlotState,
    /// The key of its present tenure, if the ledger has told it.
    pub(crate) key: Option<SlotKey>,
    /// Its index in the ledger, which is the same for all its life.
    pub(crate) place: Option<u32>,
    timer: Time,
}

#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) state: WaiterState,
    pub(crate) key: Option<WaiterKey>,
    deadline: Time,
    missed: u8,
}

/// What the model expects the ledger to ask for, by the model's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Offer(u64, u64),
    Ended(u64, End),
    Create(u64),
    Abandon(u64),
    Close(u64),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Leased(u64),
    Waiting(u64),
    QueueFull,
    Closed,
}

pub(crate) struct Model {
    options: Options,
    pub(crate) now: Time,
    closed: bool,
    born: u64,
    pub(crate) slots: BTreeMap<u64, Slot>,
    pub(crate) waiters: BTreeMap<u64, Waiter>,
    /// The last is lent next.
    idle: Vec<u64>,
    pub(crate) counters: Counters,
    pub(crate) effects: Vec<Expected>,
}

impl Model {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            now: Time::ZERO,
            closed: false,
            born: 0,
            slots: BTreeMap::new(),
            waiters: BTreeMap::new(),
            idle: Vec::new(),
            counters: Counters::default(),
            effects: Vec::new(),
        }
    }

    pub(crate) fn gauges(&self) -> Gauges {
        let count = |wanted: fn(SlotState) -> bool| {
            self.slots.values().filter(|slot| wanted(slot.state)).count() as u32
        };
        Gauges {
            max: self.options.max,
            size: self.slots.len() as u32,
            creating: count(|state| state == SlotState::Creating),
            idle: count(|state| state == SlotState::Idle),
            offered: count(|state| matches!(state, SlotState::Offered(_))),
            in_use: count(|state| state == SlotState::Leased),
            retired: count(|state| state == SlotState::Retired),
            closing: count(|state| state == SlotState::Closing),
            waiting: self.queue().count() as u32,
        }
    }

    /// Learns the key of a slot's tenure; its place does not change.
    pub(crate) fn learn(&mut self, id: u64, key: SlotKey) {
        if let Some(slot) = self.slots.get_mut(&id) {
            assert_eq!(slot.place.unwrap_or(key.index), key.index, "{slot:?}");
            slot.place = Some(key.index);
            slot.key = Some(key);
        }
    }

    /// The queue: whoever is queued, in the order of arrival.
    fn queue(&self) -> impl Iterator<Item = u64> + '_ {
        let queued = |waiter: &Waiter| waiter.state == WaiterState::Queued;
        self.waiters.iter().filter(move |(_, waiter)| queued(waiter)).map(|(&id, _)| id)
    }

    fn first(&self) -> Option<u64> {
        self.queue().next()
    }

    pub(crate) fn find_slot(&self, key: SlotKey, wanted: fn(SlotState) -> bool) -> Option<u64> {
        let same = |slot: &Slot| slot.key == Some(key) && wanted(slot.state);
        self.slots.iter().find(|(_, slot)| same(slot)).map(|(&id, _)| id)
    }

    pub(crate) fn find_waiter(&self, key: WaiterKey) -> Option<u64> {
        self.waiters.iter().find(|(_, waiter)| waiter.key == Some(key)).map(|(&id, _)| id)
    }

    /// The earliest time at which something expires.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.timers().map(|(at, ..)| at).min().filter(|&at| at != Time::NEVER)
    }

    /// Every timer: when, of a slot or not, whose.
    fn timers(&self) -> impl Iterator<Item = (Time, bool, u64)> + '_ {
        let slots = self.slots.iter().map(|(&id, slot)| (slot.timer, true, id));
        slots.chain(self.waiters.iter().map(|(&id, waiter)| (waiter.deadline, false, id)))
    }

    /// Two things that expire at one time may do so in either order; tells whether any would.
    pub(crate) fn has_ties(&self) -> bool {
        let mut times: Vec<_> = self.timers().map(|(at, ..)| at).collect();
        times.retain(|&at| at != Time::NEVER);
        times.sort_unstable();
        times.windows(2).any(|pair| pair[0] == pair[1])
    }

    pub(crate) fn advance(&mut self, now: Time) {
        self.now = self.now.max(now);
        while let Some((at, is_slot, id)) = self.timers().min().filter(|&(at, ..)| at <= self.now) {
            assert_ne!(at, Time::NEVER);
            match (is_slot, is_slot.then(|| self.slots[&id].state)) {
                (false, _) => self.end(id, End::TimedOut),
                (_, Some(SlotState::Offered(waiter))) => self.miss(id, waiter),
                (_, Some(SlotState::Creating)) => {
                    self.end_first(End::CreateTimedOut);
                    self.abandon(id);
                }
                (_, Some(SlotState::Leased)) => {
                    self.counters.expired += 1;
                    self.ask_to_close(id, SlotState::Retired);
                }
                (_, Some(SlotState::Retired | SlotState::Closing)) => self.free(id),
                (_, other) => panic!("no timer belongs to {other:?}"),
            }
        }
    }

    fn miss(&mut self, slot: u64, waiter: u64) {
        self.counters.offers_missed += 1;
        let entry = self.waiters.get_mut(&waiter).unwrap();
        entry.missed += 1;
        if entry.missed == MAX_MISSED_OFFERS {
            return self.end(waiter, End::Missed);
        }
        entry.state = WaiterState::Queued;
        let behind = self.queue().find(|&other| other > waiter);
        let next = behind.or_else(|| self.first()).unwrap();
        self.offer(slot, next);
    }

    pub(crate) fn try_acquire(&mut self) -> Option<u64> {
        if self.first().is_some() {
            return None;
        }
        let slot = self.idle.pop()?;
        self.counters.started += 1;
        self.counters.direct += 1;
        self.lease(slot);
        Some(slot)
    }

    pub(crate) fn acquire(&mut self, deadline: Time) -> Answer {
        if let Some(slot) = self.try_acquire() {
            return Answer::Leased(slot);
        }
        self.counters.started += 1;
        if self.closed {
            self.counters.closed += 1;
            return Answer::Closed;
        }
        let gauges = self.gauges();
        let room = gauges.size < gauges.max
            || u64::from(gauges.waiting)
                < u64::from(self.options.max_waiting) + u64::from(gauges.creating);
        if !room {
            self.counters.refused += 1;
            return Answer::QueueFull;
        }
        self.born += 1;
        let waiter = Waiter { state: WaiterState::Queued, key: None, deadline, missed: 0 };
        self.waiters.insert(self.born, waiter);
        let id = self.born;
        self.create_as_needed();
        Answer::Waiting(id)
    }

    /// Turns an offer into a lease; `Err` is where the waiter stands instead.
    pub(crate) fn claim(&mut self, waiter: u64) -> Result<u64, WaiterState> {
        match self.waiters[&waiter].state {
            WaiterState::Offered(slot) => {
                self.counters.waited += 1;
                self.waiters.remove(&waiter);
                self.lease(slot);
                Ok(slot)
            }
            other => {
                if other != WaiterState::Queued {
                    self.waiters.remove(&waiter);
                }
                Err(other)
            }
        }
    }

    pub(crate) fn cancel(&mut self, waiter: u64) -> bool {
        let state = self.waiters.remove(&waiter).unwrap().state;
        if let WaiterState::Offered(slot) = state {
            self.make_available(slot);
        }
        let pending = !matches!(state, WaiterState::Ended(_));
        self.counters.cancelled += u64::from(pending);
        pending
    }

    pub(crate) fn release(&mut self, slot: u64) {
        self.counters.released += 1;
        self.make_available(slot);
    }

    pub(crate) fn discard(&mut self, slot: u64) {
        self.counters.discarded += 1;
        self.ask_to_close(slot, SlotState::Closing);
    }

    pub(crate) fn take(&mut self, slot: u64) {
        self.counters.taken += 1;
        self.free(slot);
    }

    pub(crate) fn renew(&mut self, slot: u64) {
        self.arm(slot, self.options.lease_ttl);
    }

    pub(crate) fn created(&mut self, slot: u64) {
        self.counters.created += 1;
        self.make_available(slot);
    }

    pub(crate) fn create_failed(&mut self, slot: u64) {
        self.counters.create_failed += 1;
        self.end_first(End::CreateFailed);
        self.free(slot);
    }

    pub(crate) fn closed(&mut self, slot: u64) {
        self.free(slot);
    }

    pub(crate) fn adopt(&mut self) -> Option<u64> {
        if self.closed || self.slots.len() as u32 == self.options.max {
            return None;
        }
        self.counters.adopted += 1;
        let slot = self.insert(SlotState::Leased);
        self.arm(slot, self.options.lease_ttl);
        Some(slot)
    }

    pub(crate) fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        while let Some(waiter) = self.first() {
            self.end(waiter, End::Closed);
        }
        for slot in self.slots.keys().copied().collect::<Vec<_>>() {
            match self.slots[&slot].state {
                SlotState::Offered(waiter) => self.end(waiter, End::Closed),
                SlotState::Creating => self.abandon(slot),
                SlotState::Idle => self.ask_to_close(slot, SlotState::Closing),
                _ => {}
            }
        }
        self.idle.clear();
    }

    fn insert(&mut self, state: SlotState) -> u64 {
        self.born += 1;
        let slot = Slot { state, key: None, place: None, timer: Time::NEVER };
        self.slots.insert(self.born, slot);
        self.born
    }

    /// Puts a slot into a state, without a timer and under a key that is not known yet.
    fn set(&mut self, slot: u64, state: SlotState) {
        let slot = self.slots.get_mut(&slot).unwrap();
        *slot = Slot { state, key: None, place: slot.place, timer: Time::NEVER };
    }

    fn arm(&mut self, slot: u64, after: Option<Duration>) {
        if let Some(after) = after {
            self.slots.get_mut(&slot).unwrap().timer = self.now.saturating_add(after);
        }
    }

    fn lease(&mut self, slot: u64) {
        self.set(slot, SlotState::Leased);
        self.arm(slot, self.options.lease_ttl);
    }

    fn make_available(&mut self, slot: u64) {
        if self.closed {
            return self.ask_to_close(slot, SlotState::Closing);
        }
        match self.first() {
            Some(waiter) => self.offer(slot, waiter),
            None => {
                self.set(slot, SlotState::Idle);
                self.idle.push(slot);
            }
        }
    }

    fn offer(&mut self, slot: u64, waiter: u64) {
        self.waiters.get_mut(&waiter).unwrap().state = WaiterState::Offered(slot);
        self.set(slot, SlotState::Offered(waiter));
        self.arm(slot, self.options.offer_timeout);
        self.effects.push(Expected::Offer(waiter, slot));
    }

    fn ask_to_close(&mut self, slot: u64, state: SlotState) {
        self.set(slot, state);
        self.arm(slot, self.options.close_timeout);
        self.effects.push(Expected::Close(slot));
    }

    fn abandon(&mut self, slot: u64) {
        self.counters.create_abandoned += 1;
        self.effects.push(Expected::Abandon(slot));
        self.free(slot);
    }

    fn free(&mut self, slot: u64) {
        self.slots.remove(&slot);
        self.create_as_needed();
    }

    fn create_as_needed(&mut self) {
        loop {
            let gauges = self.gauges();
            if gauges.creating >= gauges.waiting || gauges.size == gauges.max {
                return;
            }
            self.counters.creations += 1;
            let slot = self.insert(SlotState::Creating);
            self.arm(slot, self.options.create_timeout);
            self.effects.push(Expected::Create(slot));
        }
    }

    fn end_first(&mut self, end: End) {
        if let Some(first) = self.first() {
            self.end(first, end);
        }
    }

    fn end(&mut self, waiter: u64, end: End) {
        let entry = self.waiters.get_mut(&waiter).unwrap();
        entry.deadline = Time::NEVER;
        let state = std::mem::replace(&mut entry.state, WaiterState::Ended(end));
        self.effects.push(Expected::Ended(waiter, end));
        let counter = match end {
            End::TimedOut => &mut self.counters.timed_out,
            End::Closed => &mut self.counters.closed,
            End::Missed => &mut self.counters.missed,
            End::CreateFailed | End::CreateTimedOut => &mut self.counters.failed,
        };
        *counter += 1;
        if let WaiterState::Offered(slot) = state {
            self.make_available(slot);
        }
    }
}
