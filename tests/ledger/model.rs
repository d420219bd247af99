//! A naive pool: everything in sorted maps, found by looking at all of it. It numbers slots and
//! waiters in the order of their coming, and learns the ledger's keys from its answers.

pub(crate) mod tenants;

use std::collections::BTreeMap;
use std::time::Duration;

use edgepool::Time;
use edgepool::ledger::{
    Ask, Counters, End, Gauges, JobKind, Leaving, MAX_MISSED_OFFERS, Options, Priority, Reuse,
    SlotKey, Verdict, WaiterKey,
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

/// Time.
impl Model {
    pub(crate) fn advance(&mut self, now: Time) {
        self.now = self.now.max(now);
        while let Some((at, timer, id)) = self.timers().into_iter().min()
            && at <= self.now
        {
            self.is_tied |= self.has_ties(at);
            match timer {
                Timer::Waiter => self.end(id, End::TimedOut),
                Timer::Slot => self.overdue(id),
                Timer::Care => self.look(id),
            }
            self.come_to_rest();
        }
        if self.retry_at.is_some_and(|at| at <= self.now) {
            self.retry_at = None;
            self.create_as_needed();
        }
    }

    fn overdue(&mut self, id: u64) {
        self.slot(id).timer = Time::NEVER;
        let job = match self.slots[&id].state {
            SlotState::Offered(waiter) => return self.miss(waiter),
            SlotState::Creating => {
                self.end_dependants(id, End::CreateTimedOut);
                return self.abandon_creation(id, true);
            }
            SlotState::Leased => {
                let tenant = self.slots[&id].tenant.unwrap();
                self.counts_of(tenant).released += 1;
                return self.ask_to_close(id, SlotState::Retired, Leaving::Expired);
            }
            SlotState::Checking => {
                self.counters.check_failed += 1;
                JobKind::Check
            }
            SlotState::Resetting => {
                self.counters.reset_failed += 1;
                JobKind::Reset
            }
            SlotState::Retired | SlotState::Closing => JobKind::Closing,
            SlotState::Idle => panic!("no timer belongs to an idle one"),
        };
        self.effects.push(Expected::Abandon(self.slots[&id].key, job, true));
        self.lose(id);
    }

    /// Looks at what is idle or lent, when something about it may be due.
    fn look(&mut self, id: u64) {
        self.slot(id).care = Time::NEVER;
        let slot = self.slots[&id].clone();
        if slot.state == SlotState::Leased
            && let Some(long) = self.options.long_hold
        {
            let due = slot.since.saturating_add(long);
            match due <= self.now {
                true => self.effects.push(Expected::LongHold(slot.key)),
                false => self.slot(id).care = due,
            }
        }
        if slot.state == SlotState::Idle {
            self.look_at_idle_one(id, &slot);
        }
    }

    fn look_at_idle_one(&mut self, id: u64, slot: &Slot) {
        let (options, now) = (self.options, self.now);
        let passed = |since: Time, after: Option<Duration>| {
            after.is_some_and(|after| since.saturating_add(after) <= now)
        };
        if slot.expires <= now {
            return self.retire_idle(id, Leaving::Aged);
        }
        if passed(slot.since, options.idle_timeout) {
            if self.idle.len() as u32 > options.min_idle {
                return self.retire_idle(id, Leaving::Idle);
            }
            self.overstayed = true;
        }
        if self.renew_at(slot).is_some_and(|at| at <= now) {
            self.slot(id).renewing = true;
            self.retire_renewed();
            self.create_as_needed();
        }
        if self.slots[&id].state == SlotState::Idle && passed(slot.good, options.check_interval) {
            self.sweep(id);
        }
        if self.slots[&id].state == SlotState::Idle {
            self.slot(id).care = self.next_look(id);
        }
    }

    /// When an idle one is to be replaced for its age, if that is to come.
    fn renew_at(&self, slot: &Slot) -> Option<Time> {
        let lifetime = self.options.max_lifetime?;
        let lead = self.options.create_timeout.unwrap_or(lifetime).min(lifetime / 10);
        let at = slot.expires.as_nanos().saturating_sub(lead.as_nanos() as u64);
        (self.options.min_idle > 0 && !slot.renewing).then_some(Time::from_nanos(at))
    }

    /// When something is due about an idle one, past or not.
    fn first_look(&self, id: u64) -> Time {
        let slot = &self.slots[&id];
        let after = |since: Time, after: Option<Duration>| Some(since.saturating_add(after?));
        let dues = [
            after(slot.since, self.options.idle_timeout),
            after(slot.good, self.options.check_interval),
            Some(slot.expires),
            self.renew_at(slot),
        ];
        dues.into_iter().flatten().min().unwrap()
    }

    /// When it is looked at again: what was due already is due after as long again.
    fn next_look(&self, id: u64) -> Time {
        let slot = &self.slots[&id];
        let after = |since: Time, after: Option<Duration>| {
            let due = since.saturating_add(after?);
            Some(if due <= self.now { self.now.saturating_add(after?) } else { due })
        };
        let dues = [
            after(slot.since, self.options.idle_timeout),
            after(slot.good, self.options.check_interval),
            Some(slot.expires),
            self.renew_at(slot),
        ];
        dues.into_iter().flatten().min().unwrap()
    }

    fn retire_idle(&mut self, id: u64, leaving: Leaving) {
        self.ask_to_close(id, SlotState::Closing, leaving);
        self.serve();
    }

    /// Lets those go that were to be replaced, as far as there is enough without them.
    fn retire_renewed(&mut self) {
        let renewing: Vec<u64> =
            self.idle.iter().copied().filter(|id| self.slots[id].renewing).collect();
        for id in renewing {
            if self.idle.len() as u32 > self.options.min_idle {
                self.ask_to_close(id, SlotState::Closing, Leaving::Aged);
                self.serve();
            }
        }
    }

    /// Lets those go that were left alone beyond their time, once others are enough.
    fn retire_overstayed(&mut self) {
        while self.overstayed && self.idle.len() as u32 > self.options.min_idle {
            let over = |id: &&u64| {
                let since = self.slots[*id].since;
                self.options.idle_timeout.is_some_and(|time| since.saturating_add(time) <= self.now)
            };
            match self.idle.iter().find(over).copied() {
                Some(id) => self.retire_idle(id, Leaving::Idle),
                None => self.overstayed = false,
            }
        }
    }

    fn sweep(&mut self, id: u64) {
        let under_way = self.slots.values().filter(|slot| slot.swept).count();
        if (under_way as u32) < self.options.max_checks {
            self.start_check(id);
            self.slot(id).swept = true;
            self.serve();
        }
    }

    /// A check of what was idle has ended: the ones that are overdue are next.
    fn sweep_on(&mut self) {
        loop {
            let under_way = self.slots.values().filter(|slot| slot.swept).count() as u32;
            let good = |id: &&u64| self.slots[*id].good;
            let Some(&id) = self.idle.iter().min_by_key(good) else { return };
            let interval = self.options.check_interval.unwrap_or(Duration::MAX);
            let due = self.slots[&id].good.saturating_add(interval);
            if under_way >= self.options.max_checks || due > self.now {
                return;
            }
            self.sweep(id);
        }
    }

    fn miss(&mut self, waiter: u64) {
        self.counters.offers_missed += 1;
        let entry = self.waiter(waiter);
        entry.missed += 1;
        if entry.missed == MAX_MISSED_OFFERS {
            return self.end(waiter, End::Missed);
        }
        let (need, tenant) = (entry.need, entry.tenant);
        if need > self.most(tenant) as usize {
            return self.end(waiter, End::TooMany);
        }
        let mut gathering = self.first();
        let entry = self.waiter(waiter);
        entry.state = WaiterState::Queued;
        let offered = std::mem::take(&mut entry.have);
        self.let_go(&offered);
        for id in offered.into_iter().rev() {
            let fit = self.unfit(id).is_none() && !self.paused;
            match self.behind(waiter).filter(|_| fit) {
                Some(next) => self.gather(id, next),
                None => self.take_in(id),
            }
        }
        gathering = gathering.filter(|id| self.waiters[id].state == WaiterState::Queued);
        self.pass_on_gathered(gathering);
    }

    /// What the one that was first has gathered goes to the one before it.
    fn pass_on_gathered(&mut self, was_first: Option<u64>) {
        if let Some(waiter) = was_first.filter(|_| self.first() != was_first) {
            let gathered = std::mem::take(&mut self.waiter(waiter).have);
            self.let_go(&gathered);
            gathered.into_iter().rev().for_each(|id| self.take_in(id));
        }
    }
}

/// Callers.
impl Model {
    pub(crate) fn try_acquire(&mut self) -> Option<u64> {
        self.try_acquire_for(NOBODY)
    }

    pub(crate) fn try_acquire_for(&mut self, tenant: u64) -> Option<u64> {
        let own_turn = self.line(tenant).is_empty() && self.room(tenant) > 0;
        if !self.ring.is_empty() || !own_turn || self.paused {
            return None;
        }
        let id = self.next_idle()?;
        if self.wants_check(id) {
            self.start_check(id);
            return None;
        }
        self.counters.started += 1;
        self.counters.direct += 1;
        self.started = true;
        self.counts_of(tenant).acquired += 1;
        self.lease(id);
        self.slot(id).tenant = Some(tenant);
        self.create_as_needed();
        Some(id)
    }

    pub(crate) fn acquire(&mut self, ask: Ask) -> Answer {
        // What is to be checked first may be under check for this caller already.
        let unchecked = self.next_idle().is_some_and(|id| self.wants_check(id));
        let Some(tenant) = ask.tenant.map_or(Some(NOBODY), |key| self.use_tenant(key)) else {
            self.counters.started += 1;
            self.counters.closed += 1;
            return Answer::UnknownTenant;
        };
        if ask.need == 1
            && !unchecked
            && let Some(slot) = self.try_acquire_for(tenant)
        {
            return Answer::Leased(slot);
        }
        self.counters.started += 1;
        if let Some(refused) = self.refuse(&ask, tenant) {
            return refused;
        }
        self.started = true;
        self.arrivals += 1;
        self.counts_of(tenant);
        let waiter = Waiter {
            state: WaiterState::Queued,
            key: None,
            deadline: ask.deadline,
            tenant,
            priority: ask.priority,
            need: ask.need.into(),
            have: Vec::new(),
            missed: 0,
            since: self.now,
        };
        let was_first = self.first();
        self.waiters.insert(self.arrivals, waiter);
        let id = self.arrivals;
        self.settle();
        self.pass_on_gathered(was_first);
        self.serve();
        Answer::Waiting(id)
    }

    fn refuse(&mut self, ask: &Ask, tenant: u64) -> Option<Answer> {
        if self.closed {
            self.counters.closed += 1;
            self.counts_of(tenant).ended += 1;
            return Some(Answer::Closed);
        }
        if ask.need == 0 || u32::from(ask.need) > self.most(tenant) {
            self.counters.refused += 1;
            self.counts_of(tenant).refused += 1;
            return Some(Answer::TooMany);
        }
        let nothing = self.living() == 0 && !self.paused && self.is_open();
        if let Some(at) = self.retry_at.filter(|_| nothing) {
            self.counters.failed += 1;
            self.counts_of(tenant).failed += 1;
            return Some(Answer::Unavailable(at));
        }
        let full = self.is_queue_full(tenant, ask.need.into())?;
        self.counters.refused += 1;
        self.counts_of(tenant).refused += 1;
        Some(full)
    }

    fn is_queue_full(&self, tenant: u64, need: usize) -> Option<Answer> {
        let gauges = self.gauges();
        let room = gauges.size < gauges.max && !self.paused && self.may_create();
        let coming = u64::from(gauges.creating + gauges.checking + gauges.idle);
        let places = u64::from(self.options.max_waiting) + coming;
        let is_made = room && self.may_have(tenant, need);
        let is_full = !is_made && u64::from(gauges.waiting) >= places;
        if is_full && !self.is_below_its_share(tenant) {
            return Some(Answer::QueueFull);
        }
        self.is_line_full(tenant, is_made, coming).then_some(Answer::TenantQueueFull)
    }

    /// The most that one caller of a tenant may have.
    fn most(&self, tenant: u64) -> u32 {
        let own = self.tenants[&tenant].share.max;
        own.map_or(self.options.max, |own| own.min(self.options.max))
    }

    /// Turns an offer into a lease; `Err` is where the waiter stands instead.
    pub(crate) fn claim(&mut self, waiter: u64) -> Result<u64, WaiterState> {
        let state = self.waiters[&waiter].state;
        if state != WaiterState::Offered {
            if state == WaiterState::Queued {
                self.waiter(waiter).missed = 0;
            } else {
                self.waiters.remove(&waiter);
            }
            return Err(state);
        }
        let entry = self.waiter(waiter);
        let slot = entry.have.pop().unwrap();
        entry.need -= 1;
        let (tenant, is_last) = (entry.tenant, entry.have.is_empty());
        let waited = self.now.saturating_since(self.waiters[&waiter].since);
        let counts = self.counts_of(tenant);
        counts.acquired += 1;
        if is_last {
            counts.total_wait += waited;
            counts.longest_wait = counts.longest_wait.max(waited);
        }
        let entry = self.waiter(waiter);
        match entry.have.last().copied() {
            Some(next) => {
                self.counters.batched += 1;
                self.arm(next, self.options.offer_timeout);
            }
            None => {
                self.counters.waited += 1;
                self.waits += 1;
                self.waiters.remove(&waiter);
            }
        }
        self.lease(slot);
        Ok(slot)
    }

    pub(crate) fn cancel(&mut self, waiter: u64) -> bool {
        let entry = self.waiters.remove(&waiter).unwrap();
        let pending = !matches!(entry.state, WaiterState::Ended(_));
        self.counters.cancelled += u64::from(pending);
        if pending {
            self.counts_of(entry.tenant).cancelled += 1;
        }
        self.let_go(&entry.have);
        entry.have.into_iter().rev().for_each(|slot| self.take_in(slot));
        pending
    }

    fn come_back(&mut self, slot: u64) {
        self.holds += 1;
        let now = self.now;
        let entry = self.slot(slot);
        (entry.since, entry.good, entry.fresh) = (now, now, false);
        let tenant = entry.tenant.unwrap();
        self.counts_of(tenant).released += 1;
        self.let_go(&[slot]);
    }

    pub(crate) fn release(&mut self, slot: u64) {
        self.come_back(slot);
        self.counters.released += 1;
        self.take_in(slot);
    }

    pub(crate) fn discard(&mut self, slot: u64) {
        self.come_back(slot);
        self.ask_to_close(slot, SlotState::Closing, Leaving::Discarded);
    }

    pub(crate) fn take(&mut self, slot: u64) {
        self.come_back(slot);
        self.counters.taken += 1;
        self.free(slot);
    }

    pub(crate) fn renew(&mut self, slot: u64) {
        self.slot(slot).timer = Time::NEVER;
        self.arm(slot, self.options.lease_ttl);
    }

    pub(crate) fn begin_reset(&mut self, slot: u64) {
        self.come_back(slot);
        self.counters.released += 1;
        self.counters.resets += 1;
        self.set(slot, SlotState::Resetting);
        self.arm(slot, self.options.reset_timeout);
    }

    fn end(&mut self, waiter: u64, end: End) {
        self.effects.push(Expected::Ended(waiter, end));
        let counter = match end {
            End::TimedOut => &mut self.counters.timed_out,
            End::Closed | End::Removed => &mut self.counters.closed,
            End::Missed => &mut self.counters.missed,
            End::CreateFailed | End::CreateTimedOut => &mut self.counters.failed,
            End::TooMany => &mut self.counters.refused,
        };
        *counter += 1;
        let counts = self.counts_of(self.waiters[&waiter].tenant);
        *match end {
            End::TimedOut => &mut counts.timed_out,
            End::CreateFailed | End::CreateTimedOut => &mut counts.failed,
            End::TooMany => &mut counts.refused,
            End::Closed | End::Missed | End::Removed => &mut counts.ended,
        } += 1;
        let entry = self.waiter(waiter);
        entry.deadline = Time::NEVER;
        entry.state = WaiterState::Ended(end);
        let have = std::mem::take(&mut entry.have);
        self.let_go(&have);
        have.into_iter().rev().for_each(|slot| self.take_in(slot));
    }
}

/// Jobs.
impl Model {
    pub(crate) fn created(&mut self, id: u64) {
        self.counters.created += 1;
        self.bear(id);
        (self.failures, self.known, self.retry_at) = (0, 0, None);
        self.take_in(id);
        self.create_as_needed();
    }

    fn bear(&mut self, id: u64) {
        let mut expires = Time::NEVER;
        if let Some(lifetime) = self.options.max_lifetime {
            let most = lifetime * self.options.lifetime_jitter.into() / 100;
            let earlier = self.draw(most);
            expires = self.now.saturating_add(lifetime - earlier);
        }
        let now = self.now;
        let slot = self.slot(id);
        (slot.born, slot.expires, slot.since, slot.good) = (now, expires, now, now);
        slot.fresh = true;
    }

    /// SplitMix64, times the range, without the fraction.
    fn draw(&mut self, most: Duration) -> Duration {
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = self.chance;
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let z = z ^ (z >> 31);
        Duration::from_nanos(((u128::from(z) * (most.as_nanos() + 1)) >> 64) as u64)
    }

    pub(crate) fn create_failed(&mut self, id: u64) {
        self.counters.create_failed += 1;
        self.end_dependants(id, End::CreateFailed);
        self.free(id);
    }

    fn end_dependants(&mut self, id: u64, end: End) {
        let before = self.failures;
        let is_news = id > self.known;
        if is_news {
            self.known = self.named;
            self.failures += 1;
        }
        let Some(backoff) = self.options.backoff else {
            return self.first().into_iter().for_each(|first| self.end(first, end));
        };
        if is_news {
            let doubled = backoff.base.saturating_mul(1 << before.min(31));
            let wait = self.draw(doubled.min(backoff.cap));
            let at = self.retry_at.max(Some(self.now.saturating_add(wait)));
            self.retry_at = at.filter(|&at| at > self.now);
        }
        self.first().into_iter().for_each(|first| self.end(first, end));
        let hopeless = self.living() == 1;
        while hopeless && let Some(first) = self.first() {
            self.end(first, end);
        }
    }

    fn abandon_creation(&mut self, id: u64, overdue: bool) {
        self.counters.create_abandoned += 1;
        let key = self.slots[&id].key;
        self.effects.push(Expected::Abandon(key, JobKind::Creation, overdue));
        self.free(id);
    }

    pub(crate) fn checked(&mut self, id: u64, verdict: Verdict) {
        let swept = std::mem::take(&mut self.slot(id).swept);
        self.judge(id, verdict, Leaving::CheckFailed);
        if swept {
            // It was checked for being idle for long, and stays the one that was.
            if let Some(at) = self.idle.iter().position(|&other| other == id) {
                self.idle.remove(at);
                self.idle.insert(0, id);
            }
            self.sweep_on();
        }
    }

    pub(crate) fn reset(&mut self, id: u64, verdict: Verdict) {
        self.judge(id, verdict, Leaving::ResetFailed);
    }

    fn judge(&mut self, id: u64, verdict: Verdict, failed: Leaving) {
        match verdict {
            Verdict::Good => {
                let now = self.now;
                let slot = self.slot(id);
                (slot.good, slot.fresh) = (now, failed == Leaving::CheckFailed);
                self.take_in(id);
            }
            Verdict::Bad => {
                self.ask_to_close(id, SlotState::Closing, failed);
                self.serve();
            }
            Verdict::Lost => {
                self.count_leaving(failed);
                self.lose(id);
            }
        }
    }

    pub(crate) fn closed(&mut self, id: u64) {
        self.lose(id);
    }

    pub(crate) fn look_at_idle(&mut self) -> Option<u64> {
        let id = *self.idle.first()?;
        self.idle.remove(0);
        self.set(id, SlotState::Checking);
        self.serve();
        Some(id)
    }

    pub(crate) fn looked_at(&mut self, id: u64, keep: bool) {
        let swept = std::mem::take(&mut self.slot(id).swept);
        if keep {
            self.take_in(id);
        } else {
            self.ask_to_close(id, SlotState::Closing, Leaving::Rejected);
            self.serve();
        }
        if swept {
            self.sweep_on();
        }
    }

    pub(crate) fn adopt(&mut self) -> Option<u64> {
        self.adopt_for(NOBODY)
    }

    /// A tenant may have one more than its share.
    pub(crate) fn adopt_for(&mut self, tenant: u64) -> Option<u64> {
        if self.closed || self.slots.len() as u32 >= self.options.max {
            return None;
        }
        self.counters.adopted += 1;
        let id = self.insert(SlotState::Leased);
        self.bear(id);
        self.arm_lease(id);
        let was_first = self.first();
        self.counts_of(tenant).acquired += 1;
        self.slot(id).tenant = Some(tenant);
        self.settle();
        self.pass_on_gathered(was_first);
        Some(id)
    }
}

/// The operator.
impl Model {
    pub(crate) fn fill(&mut self) {
        self.started = true;
        self.create_as_needed();
    }

    pub(crate) fn prepare(&mut self) -> bool {
        let room = (self.slots.len() as u32) < self.options.max;
        let may = room && !self.closed && !self.paused && self.may_create();
        if may {
            self.start_creation();
        }
        may
    }

    /// As `prepare` for a caller who would queue; it begins the creation itself.
    pub(crate) fn prepare_directly(&mut self) -> Option<u64> {
        let alone = self.first().is_none() && self.idle.is_empty() && self.options.min_idle == 0;
        let gauges = self.gauges();
        let coming = gauges.creating + gauges.checking + gauges.resetting > 0;
        let room = (self.slots.len() as u32) < self.options.max;
        let may = alone && !coming && room && !self.closed && !self.paused;
        self.started |= may;
        if !may || !self.may_create() {
            return None;
        }
        self.start_creation();
        let Some(Expected::Create(id)) = self.effects.pop() else { panic!("it was begun") };
        Some(id)
    }

    pub(crate) fn close_late(&mut self) -> u64 {
        let id = self.insert(SlotState::Closing);
        self.ask_to_close(id, SlotState::Closing, Leaving::Late);
        id
    }

    pub(crate) fn resize(&mut self, max: u32) -> bool {
        if max == 0 || max < self.options.min_idle {
            return false;
        }
        self.options.max = max;
        for id in self.waiters.keys().copied().collect::<Vec<_>>() {
            let waiter = &self.waiters[&id];
            if waiter.state == WaiterState::Queued && waiter.need > max as usize {
                self.end(id, End::TooMany);
            }
        }
        for id in self.slots.keys().rev().copied().collect::<Vec<_>>() {
            if self.slots[&id].state == SlotState::Creating && self.living() > max {
                self.abandon_creation(id, false);
            }
        }
        while self.living() > max && !self.idle.is_empty() {
            self.ask_to_close(self.idle[0], SlotState::Closing, Leaving::Surplus);
        }
        self.serve();
        true
    }

    pub(crate) fn set_min_idle(&mut self, min_idle: u32) -> bool {
        if min_idle > self.options.max {
            return false;
        }
        self.options.min_idle = min_idle;
        if self.cares() {
            for id in self.idle.clone() {
                self.hasten(id, self.first_look(id));
            }
            // What is not idle is looked at anew once it is, unless that would be told of a lease.
            let limits = self.limits();
            for slot in self.slots.values_mut() {
                if slot.state != SlotState::Idle && !limits {
                    slot.care = Time::NEVER;
                }
            }
            self.retire_renewed();
            self.retire_overstayed();
        }
        self.create_as_needed();
        true
    }

    pub(crate) fn resume(&mut self) {
        self.paused = false;
        self.serve();
    }

    pub(crate) fn invalidate_all(&mut self) {
        self.epoch += 1;
        for id in self.idle.clone() {
            self.ask_to_close(id, SlotState::Closing, Leaving::Invalidated);
        }
        for id in self.slots.keys().copied().collect::<Vec<_>>() {
            if self.slots[&id].state == SlotState::Creating {
                self.abandon_creation(id, false);
            }
        }
        self.serve();
    }

    pub(crate) fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        if self.slots.is_empty() {
            self.effects.push(Expected::Drained);
        }
        for id in self.waiters.keys().copied().collect::<Vec<_>>() {
            if !matches!(self.waiters[&id].state, WaiterState::Ended(_)) {
                self.end(id, End::Closed);
            }
        }
        for id in self.idle.clone() {
            self.ask_to_close(id, SlotState::Closing, Leaving::Closed);
        }
        for id in self.slots.keys().copied().collect::<Vec<_>>() {
            if self.slots[&id].state == SlotState::Creating {
                self.abandon_creation(id, false);
            }
        }
    }
}

/// Where connections go.
impl Model {
    fn slot(&mut self, id: u64) -> &mut Slot {
        self.slots.get_mut(&id).unwrap()
    }

    fn waiter(&mut self, id: u64) -> &mut Waiter {
        self.waiters.get_mut(&id).unwrap()
    }

    fn insert(&mut self, state: SlotState) -> u64 {
        self.named += 1;
        let slot = Slot {
            state,
            tenant: None,
            key: None,
            place: None,
            timer: Time::NEVER,
            care: Time::NEVER,
            epoch: self.epoch,
            fresh: true,
            renewing: false,
            swept: false,
            born: self.now,
            expires: Time::NEVER,
            since: self.now,
            good: self.now,
            uses: 0,
        };
        self.slots.insert(self.named, slot);
        self.named
    }

    /// Puts a slot into a state, without a timer and under a key that is not known yet.
    fn set(&mut self, id: u64, state: SlotState) {
        self.idle.retain(|&other| other != id);
        let tenant = match state {
            SlotState::Offered(waiter) => Some(self.waiters[&waiter].tenant),
            SlotState::Leased | SlotState::Retired => self.slots[&id].tenant,
            _ => None,
        };
        let slot = self.slot(id);
        slot.tenant = tenant;
        (slot.state, slot.key, slot.timer) = (state, None, Time::NEVER);
        if slot.renewing {
            slot.care = Time::NEVER;
        }
        (slot.renewing, slot.swept) = (false, false);
    }

    fn arm(&mut self, id: u64, after: Option<Duration>) {
        if let Some(after) = after {
            self.slot(id).timer = self.now.saturating_add(after);
        }
    }

    fn hasten(&mut self, id: u64, at: Time) {
        let at = at.max(self.now);
        let slot = self.slot(id);
        slot.care = slot.care.min(at);
    }

    fn arm_lease(&mut self, id: u64) {
        self.arm(id, self.options.lease_ttl);
        if let Some(long) = self.options.long_hold {
            self.hasten(id, self.now.saturating_add(long));
        }
    }

    fn lease(&mut self, id: u64) {
        self.set(id, SlotState::Leased);
        let now = self.now;
        let slot = self.slot(id);
        slot.uses += 1;
        slot.since = now;
        self.arm_lease(id);
    }

    fn cares(&self) -> bool {
        let Options { idle_timeout, max_lifetime, check_interval, long_hold, .. } = self.options;
        [idle_timeout, max_lifetime, check_interval, long_hold].iter().any(Option::is_some)
    }

    fn limits(&self) -> bool {
        self.options.long_hold.is_some() || self.options.lease_ttl.is_some()
    }

    fn living(&self) -> u32 {
        self.count(|state| !matches!(state, SlotState::Retired | SlotState::Closing))
    }

    /// Why it is not to be lent again, if so.
    fn unfit(&self, id: u64) -> Option<Leaving> {
        let slot = &self.slots[&id];
        let reasons = [
            (self.closed, Leaving::Closed),
            (slot.epoch != self.epoch, Leaving::Invalidated),
            (slot.expires <= self.now, Leaving::Aged),
            (self.options.max_uses.is_some_and(|max| slot.uses >= max), Leaving::Used),
            (self.living() > self.options.max, Leaving::Surplus),
        ];
        reasons.into_iter().find(|(holds, _)| *holds).map(|(_, leaving)| leaving)
    }

    fn wants_check(&self, id: u64) -> bool {
        let slot = &self.slots[&id];
        self.options.check_after.is_some_and(|after| match after.is_zero() {
            true => !slot.fresh,
            false => slot.good.saturating_add(after) <= self.now,
        })
    }

    fn next_idle(&self) -> Option<u64> {
        match self.options.reuse {
            Reuse::Lifo => self.idle.last().copied(),
            Reuse::Fifo => self.idle.first().copied(),
        }
    }

    fn take_in(&mut self, id: u64) {
        if let Some(leaving) = self.unfit(id) {
            self.ask_to_close(id, SlotState::Closing, leaving);
            return self.serve();
        }
        match self.first().filter(|_| !self.paused) {
            None => {
                self.set(id, SlotState::Idle);
                self.idle.push(id);
                // A look that is set already comes early enough, unless it was set for a lease.
                let renewing = self.slots.values().any(|slot| slot.renewing);
                let is_set = self.slots[&id].care != Time::NEVER && !self.limits();
                if self.cares() && (!is_set || renewing || self.overstayed) {
                    self.hasten(id, self.first_look(id));
                    self.retire_renewed();
                    self.retire_overstayed();
                }
            }
            Some(_) if self.wants_check(id) => {
                self.start_check(id);
                self.serve();
            }
            Some(first) => self.gather(id, first),
        }
    }

    fn serve(&mut self) {
        while let Some(first) = self.first().filter(|_| !self.paused && !self.closed)
            && let Some(id) = self.next_idle()
        {
            let checking = self.gauges().checking as usize;
            match self.wants_check(id) {
                false => self.gather(id, first),
                true if checking < self.units() => self.start_check(id),
                true => break,
            }
        }
        self.create_as_needed();
    }

    fn gather(&mut self, id: u64, waiter: u64) {
        self.set(id, SlotState::Offered(waiter));
        let entry = self.waiter(waiter);
        entry.have.push(id);
        if entry.missing() == 0 {
            entry.state = WaiterState::Offered;
            self.charge(waiter);
            self.arm(id, self.options.offer_timeout);
            self.effects.push(Expected::Offer(waiter, id));
        }
        self.settle();
    }

    fn start_check(&mut self, id: u64) {
        self.counters.checks += 1;
        self.set(id, SlotState::Checking);
        self.arm(id, self.options.check_timeout);
        self.effects.push(Expected::Check(id));
    }

    fn ask_to_close(&mut self, id: u64, state: SlotState, leaving: Leaving) {
        self.count_leaving(leaving);
        self.set(id, state);
        self.slot(id).care = Time::NEVER;
        self.arm(id, self.options.close_timeout);
        self.effects.push(Expected::Close(id, leaving));
    }

    fn count_leaving(&mut self, leaving: Leaving) {
        let counters = &mut self.counters;
        let counter = match leaving {
            Leaving::Idle => &mut counters.retired_idle,
            Leaving::Aged => &mut counters.retired_aged,
            Leaving::Used => &mut counters.retired_used,
            Leaving::Invalidated => &mut counters.retired_invalidated,
            Leaving::Surplus => &mut counters.retired_surplus,
            Leaving::Rejected => &mut counters.rejected,
            Leaving::CheckFailed => &mut counters.check_failed,
            Leaving::ResetFailed => &mut counters.reset_failed,
            Leaving::Closed => &mut counters.retired_closed,
            Leaving::Late => &mut counters.late,
            Leaving::Discarded => &mut counters.discarded,
            Leaving::Expired => &mut counters.expired,
            other => panic!("{other:?} is not known"),
        };
        *counter += 1;
    }

    /// The connection is gone.
    fn lose(&mut self, id: u64) {
        self.counters.removed += 1;
        if std::mem::take(&mut self.slot(id).swept) {
            self.sweep_on();
        }
        self.free(id);
    }

    fn free(&mut self, id: u64) {
        self.slots.remove(&id);
        self.settle();
        self.serve();
        if self.closed && self.slots.is_empty() {
            self.effects.push(Expected::Drained);
        }
    }
}

/// Creations.
impl Model {
    fn is_short(&self) -> bool {
        let keeps_up = self.started && (self.options.backoff.is_some() || self.failures == 0);
        let keep = if keeps_up { self.options.min_idle as usize } else { 0 };
        let gauges = self.gauges();
        let coming = gauges.creating + gauges.checking + gauges.resetting + gauges.idle;
        let renewing = self.slots.values().filter(|slot| slot.renewing).count();
        let missing = (coming as usize - renewing) < self.units() + keep;
        missing && !self.closed && !self.paused
    }

    fn is_open(&self) -> bool {
        self.options.breaker.is_some_and(|after| self.failures >= after)
    }

    fn may_create(&self) -> bool {
        self.retry_at.is_none() && (!self.is_open() || self.gauges().creating == 0)
    }

    fn create_as_needed(&mut self) {
        while self.is_short() && (self.slots.len() as u32) < self.options.max && self.may_create() {
            self.start_creation();
        }
    }

    fn start_creation(&mut self) {
        self.counters.creations += 1;
        let id = self.insert(SlotState::Creating);
        self.arm(id, self.options.create_timeout);
        self.effects.push(Expected::Create(id));
    }
}
