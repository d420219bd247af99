//! Time: what is overdue, and what is looked at when.

use std::time::Duration;

use edgepool::Time;
use edgepool::ledger::{End, JobKind, Leaving, MAX_MISSED_OFFERS};

use super::{Expected, Model, Slot, SlotState, Timer, WaiterState};

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

    pub(super) fn overdue(&mut self, id: u64) {
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
    pub(super) fn look(&mut self, id: u64) {
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

    pub(super) fn look_at_idle_one(&mut self, id: u64, slot: &Slot) {
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
    pub(super) fn renew_at(&self, slot: &Slot) -> Option<Time> {
        let lifetime = self.options.max_lifetime?;
        let lead = self.options.create_timeout.unwrap_or(lifetime).min(lifetime / 10);
        let at = slot.expires.as_nanos().saturating_sub(lead.as_nanos() as u64);
        (self.options.min_idle > 0 && !slot.renewing).then_some(Time::from_nanos(at))
    }

    /// When something is due about an idle one, past or not.
    pub(super) fn first_look(&self, id: u64) -> Time {
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
    pub(super) fn next_look(&self, id: u64) -> Time {
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

    pub(super) fn retire_idle(&mut self, id: u64, leaving: Leaving) {
        self.ask_to_close(id, SlotState::Closing, leaving);
        self.serve();
    }

    /// Lets those go that were to be replaced, as far as there is enough without them.
    pub(super) fn retire_renewed(&mut self) {
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
    pub(super) fn retire_overstayed(&mut self) {
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

    pub(super) fn sweep(&mut self, id: u64) {
        let under_way = self.slots.values().filter(|slot| slot.swept).count();
        if (under_way as u32) < self.options.max_checks {
            self.start_check(id);
            self.slot(id).swept = true;
            self.serve();
        }
    }

    /// A check of what was idle has ended: the ones that are overdue are next.
    pub(super) fn sweep_on(&mut self) {
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

    pub(super) fn miss(&mut self, waiter: u64) {
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
    pub(super) fn pass_on_gathered(&mut self, was_first: Option<u64>) {
        if let Some(waiter) = was_first.filter(|_| self.first() != was_first) {
            let gathered = std::mem::take(&mut self.waiter(waiter).have);
            self.let_go(&gathered);
            gathered.into_iter().rev().for_each(|id| self.take_in(id));
        }
    }
}
