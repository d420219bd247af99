//! A naive pool: everything in sorted maps, found by looking at all of it. It numbers slots and
//! waiters in the order of their coming, and learns the ledger's keys from its answers.

mod callers;
mod jobs;
mod operator;
mod places;
pub(crate) mod tenants;
mod time;

use std::collections::BTreeMap;

use edgepool::Time;
use edgepool::ledger::{
    Counters, End, Gauges, JobKind, Leaving, Options, Priority, SlotKey, WaiterKey,
};

use tenants::{NOBODY, Tenant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotState {
    Creating,
    Idle,
    Checking,
    Offered(u64),
    Leased,
    Resetting,
    Retired,
    Closing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaiterState {
    Queued,
    Offered,
    Ended(End),
}

#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) state: SlotState,
    /// Whose it is, while it is offered or lent, or was lent for too long.
    tenant: Option<u64>,
    /// The key of its present tenure, if the ledger has told it.
    pub(crate) key: Option<SlotKey>,
    /// Its index in the ledger, which is the same for all its life.
    pub(crate) place: Option<u32>,
    /// When it has been in its state for too long.
    timer: Time,
    /// When it is looked at, idle or lent.
    care: Time,
    epoch: u32,
    fresh: bool,
    renewing: bool,
    swept: bool,
    pub(crate) born: Time,
    expires: Time,
    pub(crate) since: Time,
    good: Time,
    pub(crate) uses: u64,
}

#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) state: WaiterState,
    pub(crate) key: Option<WaiterKey>,
    deadline: Time,
    tenant: u64,
    priority: Priority,
    need: usize,
    /// What is set aside for it; the last is claimed first.
    have: Vec<u64>,
    missed: u8,
    since: Time,
}

impl Waiter {
    fn missing(&self) -> usize {
        self.need - self.have.len()
    }
}

/// What the model expects the ledger to ask for, by the model's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Offer(u64, u64),
    Ended(u64, End),
    Create(u64),
    Check(u64),
    Abandon(Option<SlotKey>, JobKind, bool),
    Close(u64, Leaving),
    LongHold(Option<SlotKey>),
    Drained,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Leased(u64),
    Waiting(u64),
    QueueFull,
    Closed,
    TooMany,
    TenantQueueFull,
    UnknownTenant,
    Unavailable(Time),
}

pub(crate) struct Model {
    pub(crate) options: Options,
    pub(crate) now: Time,
    started: bool,
    pub(crate) paused: bool,
    pub(crate) closed: bool,
    epoch: u32,
    named: u64,
    arrivals: u64,
    failures: u32,
    /// The number of the last creation that was begun before the failure that was counted last.
    known: u64,
    retry_at: Option<Time>,
    chance: u64,
    pub(crate) slots: BTreeMap<u64, Slot>,
    pub(crate) waiters: BTreeMap<u64, Waiter>,
    /// The idle ones; the one that came last is last.
    idle: Vec<u64>,
    pub(crate) tenants: BTreeMap<u64, Tenant>,
    /// The number of the tenant that was opened last.
    opened: u64,
    /// The tenants that have turns; the head is served.
    ring: Vec<u64>,
    /// When the tenant was due that was served last.
    turn: u64,
    /// How many turns were given and taken.
    turns: u64,
    /// Whether a tenant may have more than before, and nobody has looked yet what could serve it.
    has_more: bool,
    /// Whether one was left alone beyond its time, and nobody has looked for it in vain since.
    overstayed: bool,
    pub(crate) counters: Counters,
    pub(crate) waits: u64,
    pub(crate) holds: u64,
    pub(crate) effects: Vec<Expected>,
    /// Two things were due at one time, so that the ledger may have done them in another order.
    pub(crate) is_tied: bool,
}

/// What can be asked of it.
impl Model {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            now: Time::ZERO,
            started: false,
            paused: false,
            closed: false,
            epoch: 0,
            named: 0,
            arrivals: 0,
            failures: 0,
            known: 0,
            retry_at: None,
            chance: options.seed,
            slots: BTreeMap::new(),
            waiters: BTreeMap::new(),
            idle: Vec::new(),
            tenants: BTreeMap::from([(NOBODY, Tenant::nobody())]),
            opened: NOBODY,
            ring: Vec::new(),
            turn: 0,
            turns: 0,
            has_more: false,
            overstayed: false,
            counters: Counters::default(),
            waits: 0,
            holds: 0,
            effects: Vec::new(),
            is_tied: false,
        }
    }

    fn count(&self, wanted: fn(SlotState) -> bool) -> u32 {
        self.slots.values().filter(|slot| wanted(slot.state)).count() as u32
    }

    pub(crate) fn gauges(&self) -> Gauges {
        let ended = |waiter: &&Waiter| matches!(waiter.state, WaiterState::Ended(_));
        let ended = self.waiters.values().filter(ended).count();
        Gauges {
            max: self.options.max,
            size: self.slots.len() as u32,
            creating: self.count(|state| state == SlotState::Creating),
            idle: self.count(|state| state == SlotState::Idle),
            checking: self.count(|state| state == SlotState::Checking),
            offered: self.count(|state| matches!(state, SlotState::Offered(_))),
            in_use: self.count(|state| state == SlotState::Leased),
            resetting: self.count(|state| state == SlotState::Resetting),
            retired: self.count(|state| state == SlotState::Retired),
            closing: self.count(|state| state == SlotState::Closing),
            waiting: self.queued().len() as u32,
            pending: (self.waiters.len() - ended) as u32,
        }
    }

    /// Learns the key of a slot's tenure; its place does not change.
    pub(crate) fn learn(&mut self, id: u64, key: SlotKey) {
        let slot = self.slots.get_mut(&id).expect("it is told of while it is there");
        assert_eq!(slot.place.unwrap_or(key.index), key.index, "{slot:?}");
        slot.place = Some(key.index);
        slot.key = Some(key);
    }

    /// Whoever is queued. Of one tenant's, the next to be served comes first.
    pub(crate) fn queued(&self) -> Vec<u64> {
        let queued = |(_, waiter): &(&u64, &Waiter)| waiter.state == WaiterState::Queued;
        let mut queue: Vec<u64> = self.waiters.iter().filter(queued).map(|(&id, _)| id).collect();
        queue.sort_by_key(|id| self.rank(*id));
        queue
    }

    fn rank(&self, id: u64) -> (u8, Time, u64) {
        let waiter = &self.waiters[&id];
        let below = 3 - waiter.priority as u8;
        match self.options.ageing {
            None => (below, Time::ZERO, id),
            Some(step) => (0, waiter.since.saturating_add(step * below.into()), id),
        }
    }

    pub(crate) fn find_slot(&self, key: SlotKey, wanted: fn(SlotState) -> bool) -> Option<u64> {
        let same = |slot: &Slot| slot.key == Some(key) && wanted(slot.state);
        self.slots.iter().find(|(_, slot)| same(slot)).map(|(&id, _)| id)
    }

    pub(crate) fn find_waiter(&self, key: WaiterKey) -> Option<u64> {
        self.waiters.iter().find(|(_, waiter)| waiter.key == Some(key)).map(|(&id, _)| id)
    }

    /// The key of the `n`-th slot in such a state, counted in a circle.
    pub(crate) fn nth(&self, n: usize, wanted: fn(SlotState) -> bool) -> Option<SlotKey> {
        let keys = self.slots.values().filter(|slot| wanted(slot.state)).filter_map(|s| s.key);
        let keys: Vec<_> = keys.collect();
        (!keys.is_empty()).then(|| keys[n % keys.len()])
    }

    /// The earliest time at which something is done.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        let retry = self.retry_at.filter(|_| self.is_short());
        // A look at what is not idle any more, left from when it was, is none that must be.
        let matters = |&(_, timer, id): &(Time, Timer, u64)| match timer {
            Timer::Care => match self.slots[&id].state {
                SlotState::Idle => true,
                SlotState::Leased => self.options.long_hold.is_some(),
                _ => false,
            },
            Timer::Slot | Timer::Waiter => true,
        };
        let timers = self.timers().into_iter().filter(matters).map(|(at, ..)| at);
        timers.chain(retry).filter(|&at| at != Time::NEVER).min()
    }

    /// Every timer: when, of what sort, whose.
    fn timers(&self) -> Vec<(Time, Timer, u64)> {
        let slots = self
            .slots
            .iter()
            .flat_map(|(&id, slot)| [(slot.timer, Timer::Slot, id), (slot.care, Timer::Care, id)]);
        let waiters = self.waiters.iter().map(|(&id, w)| (w.deadline, Timer::Waiter, id));
        slots.chain(waiters).filter(|&(at, ..)| at != Time::NEVER).collect()
    }

    /// Two things that are due at one time may be done in either order; tells whether any are by
    /// then. Jobs of one kind are alike.
    pub(crate) fn has_ties(&self, until: Time) -> bool {
        let mut timers = self.timers();
        timers.retain(|&(at, ..)| at <= until);
        timers.sort_unstable();
        timers.windows(2).any(|pair| {
            let alike = |(_, timer, id): (Time, Timer, u64)| {
                (timer == Timer::Slot).then(|| self.slots[&id].state).filter(|&s| is_job(s))
            };
            let are_alike = alike(pair[0]).is_some() && alike(pair[0]) == alike(pair[1]);
            pair[0].0 == pair[1].0 && !are_alike
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Slot,
    Care,
    Waiter,
}

/// Tells whether the shell works on what is in this state.
pub(crate) fn is_job(state: SlotState) -> bool {
    use SlotState::{Checking, Closing, Creating, Resetting, Retired};
    matches!(state, Creating | Checking | Resetting | Retired | Closing)
}
