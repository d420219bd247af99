//! Where connections go, and when some are made.

use std::time::Duration;

use edgepool::Time;
use edgepool::ledger::{Leaving, Options, Reuse};

use super::{Expected, Model, Slot, SlotState, Waiter, WaiterState};

impl Model {
    pub(super) fn slot(&mut self, id: u64) -> &mut Slot {
        self.slots.get_mut(&id).unwrap()
    }

    pub(super) fn waiter(&mut self, id: u64) -> &mut Waiter {
        self.waiters.get_mut(&id).unwrap()
    }

    pub(super) fn insert(&mut self, state: SlotState) -> u64 {
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
    pub(super) fn set(&mut self, id: u64, state: SlotState) {
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

    pub(super) fn arm(&mut self, id: u64, after: Option<Duration>) {
        if let Some(after) = after {
            self.slot(id).timer = self.now.saturating_add(after);
        }
    }

    pub(super) fn hasten(&mut self, id: u64, at: Time) {
        let at = at.max(self.now);
        let slot = self.slot(id);
        slot.care = slot.care.min(at);
    }

    pub(super) fn arm_lease(&mut self, id: u64) {
        self.arm(id, self.options.lease_ttl);
        if let Some(long) = self.options.long_hold {
            self.hasten(id, self.now.saturating_add(long));
        }
    }

    pub(super) fn lease(&mut self, id: u64) {
        self.set(id, SlotState::Leased);
        let now = self.now;
        let slot = self.slot(id);
        slot.uses += 1;
        slot.since = now;
        self.arm_lease(id);
    }

    pub(super) fn cares(&self) -> bool {
        let Options { idle_timeout, max_lifetime, check_interval, long_hold, .. } = self.options;
        [idle_timeout, max_lifetime, check_interval, long_hold].iter().any(Option::is_some)
    }

    pub(super) fn limits(&self) -> bool {
        self.options.long_hold.is_some() || self.options.lease_ttl.is_some()
    }

    pub(super) fn living(&self) -> u32 {
        self.count(|state| !matches!(state, SlotState::Retired | SlotState::Closing))
    }

    /// Why it is not to be lent again, if so.
    pub(super) fn unfit(&self, id: u64) -> Option<Leaving> {
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

    pub(super) fn wants_check(&self, id: u64) -> bool {
        let slot = &self.slots[&id];
        self.options.check_after.is_some_and(|after| match after.is_zero() {
            true => !slot.fresh,
            false => slot.good.saturating_add(after) <= self.now,
        })
    }

    pub(super) fn next_idle(&self) -> Option<u64> {
        match self.options.reuse {
            Reuse::Lifo => self.idle.last().copied(),
            Reuse::Fifo => self.idle.first().copied(),
        }
    }

    pub(super) fn take_in(&mut self, id: u64) {
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

    pub(super) fn serve(&mut self) {
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

    pub(super) fn gather(&mut self, id: u64, waiter: u64) {
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

    pub(super) fn start_check(&mut self, id: u64) {
        self.counters.checks += 1;
        self.set(id, SlotState::Checking);
        self.arm(id, self.options.check_timeout);
        self.effects.push(Expected::Check(id));
    }

    pub(super) fn ask_to_close(&mut self, id: u64, state: SlotState, leaving: Leaving) {
        self.count_leaving(leaving);
        self.set(id, state);
        self.slot(id).care = Time::NEVER;
        self.arm(id, self.options.close_timeout);
        self.effects.push(Expected::Close(id, leaving));
    }

    pub(super) fn count_leaving(&mut self, leaving: Leaving) {
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
    pub(super) fn lose(&mut self, id: u64) {
        self.counters.removed += 1;
        if std::mem::take(&mut self.slot(id).swept) {
            self.sweep_on();
        }
        self.free(id);
    }

    pub(super) fn free(&mut self, id: u64) {
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
    pub(super) fn is_short(&self) -> bool {
        let keeps_up = self.started && (self.options.backoff.is_some() || self.failures == 0);
        let keep = if keeps_up { self.options.min_idle as usize } else { 0 };
        let gauges = self.gauges();
        let coming = gauges.creating + gauges.checking + gauges.resetting + gauges.idle;
        let renewing = self.slots.values().filter(|slot| slot.renewing).count();
        let missing = (coming as usize - renewing) < self.units() + keep;
        missing && !self.closed && !self.paused
    }

    pub(super) fn is_open(&self) -> bool {
        self.options.breaker.is_some_and(|after| self.failures >= after)
    }

    pub(super) fn may_create(&self) -> bool {
        self.retry_at.is_none() && (!self.is_open() || self.gauges().creating == 0)
    }

    pub(super) fn create_as_needed(&mut self) {
        while self.is_short() && (self.slots.len() as u32) < self.options.max && self.may_create() {
            self.start_creation();
        }
    }

    pub(super) fn start_creation(&mut self) {
        self.counters.creations += 1;
        let id = self.insert(SlotState::Creating);
        self.arm(id, self.options.create_timeout);
        self.effects.push(Expected::Create(id));
    }
}
