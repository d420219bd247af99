//! What callers do: acquire, claim, cancel, and give back.

use edgepool::Time;
use edgepool::ledger::{Ask, End, Leaving};

use super::tenants::NOBODY;
use super::{Answer, Expected, Model, SlotState, Waiter, WaiterState};

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

    pub(super) fn refuse(&mut self, ask: &Ask, tenant: u64) -> Option<Answer> {
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

    pub(super) fn is_queue_full(&self, tenant: u64, need: usize) -> Option<Answer> {
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
    pub(super) fn most(&self, tenant: u64) -> u32 {
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

    pub(super) fn come_back(&mut self, slot: u64) {
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

    pub(super) fn end(&mut self, waiter: u64, end: End) {
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
