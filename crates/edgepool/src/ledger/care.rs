//! What becomes of connections with time: age, idleness, uses, health.

use core::time::Duration;

use super::{Effect, Leaving, Ledger, SlotKey, SlotState, Target};
use crate::Time;
use crate::clock::whole_nanos;

impl Ledger {
    /// Tells for how long a lease has been out, as exactly as the time was told; `None` if the key
    /// is stale.
    #[must_use]
    pub fn held(&self, lease: SlotKey) -> Option<Duration> {
        let slot = self.store.find_slot(lease)?;
        (slot.state == SlotState::Leased).then(|| self.now.saturating_since(slot.since))
    }

    /// Tells why a connection that nobody holds must not be lent again, if so.
    pub(super) fn unfit(&self, index: u32) -> Option<Leaving> {
        let slot = self.store.slot(index);
        if self.closed {
            Some(Leaving::Closed)
        } else if slot.epoch != self.epoch {
            Some(Leaving::Invalidated)
        } else if slot.expires <= self.now {
            Some(Leaving::Aged)
        } else if self.options.max_uses.is_some_and(|max| slot.uses >= max) {
            Some(Leaving::Used)
        } else if self.shrunk && self.living() > self.options.max {
            Some(Leaving::Surplus)
        } else {
            None
        }
    }

    /// How many places are used by what is not on its way out.
    pub(super) fn living(&self) -> u32 {
        self.size() - self.count(SlotState::Retired) - self.count(SlotState::Closing)
    }

    /// Tells whether the connection must be checked before it is lent.
    #[inline(always)]
    pub(super) fn wants_check(&self, index: u32) -> bool {
        let Some(after) = self.options.check_after else { return false };
        let slot = self.store.slot(index);
        match after {
            Duration::ZERO => !slot.fresh,
            _ => slot.good().saturating_add(after) <= self.now,
        }
    }

    /// Gives a connection its number.
    pub(super) fn name(&mut self, index: u32) {
        self.named += 1;
        let slot = self.store.slot_mut(index);
        (slot.id, slot.born) = (self.named, self.now);
    }

    /// Notes the birth of a connection: its time, and how long it may live.
    pub(super) fn bear(&mut self, index: u32) {
        let expires = self.options.max_lifetime.map_or(Time::NEVER, |lifetime| {
            let percent = u64::from(self.options.lifetime_jitter);
            let percent = if mutated!(BornTogetherDieTogether) { 0 } else { percent };
            let nanos = whole_nanos(lifetime);
            // Without a product of 128 bits.
            let most = nanos / 100 * percent + nanos % 100 * percent / 100;
            let jitter = self.failing.draw(most);
            self.now.saturating_add(lifetime.saturating_sub(jitter))
        });
        let now = self.now;
        let slot = self.store.slot_mut(index);
        (slot.born, slot.expires) = (now, expires);
        (slot.since, slot.checked, slot.fresh) = (now, now, true);
    }

    /// Sees to it that an idle connection is looked at in time.
    pub(super) fn watch(&mut self, index: u32) {
        let due = self.care_due(index).max(self.now);
        self.timers.hasten(&mut self.store, Target::Care(index), due);
        if self.renewals > 0 {
            self.retire_renewed();
        }
        if self.overstayed {
            self.retire_overstayed();
        }
    }

    /// When something is due about an idle connection.
    fn care_due(&self, index: u32) -> Time {
        self.earliest_care(index, |since, time| since.saturating_add(time))
    }

    /// The earliest of the times at which something is to be done about an idle connection. `after`
    /// tells when what is due a while after an event is to be done.
    fn earliest_care(&self, index: u32, after: impl Fn(Time, Duration) -> Time) -> Time {
        let slot = self.store.slot(index);
        let options = &self.options;
        let after = |since, time: Option<_>| time.map_or(Time::NEVER, |time| after(since, time));
        let renew = match slot.renewing || options.min_idle == 0 {
            true => Time::NEVER,
            false => self.renew_at(slot.expires),
        };
        after(slot.since, options.idle_timeout)
            .min(after(slot.good(), options.check_interval))
            .min(slot.expires)
            .min(renew)
    }

    /// When a connection that `min_idle` needs is to be replaced, so that the next one is there
    /// before it is too old: as long before as a creation may take, but at most a tenth of its
    /// life.
    fn renew_at(&self, expires: Time) -> Time {
        match self.options.max_lifetime {
            Some(lifetime) if expires != Time::NEVER => {
                let tenth = lifetime / 10;
                let lead = self.options.create_timeout.map_or(tenth, |time| time.min(tenth));
                Time::ZERO.saturating_add(expires.saturating_since(Time::ZERO.saturating_add(lead)))
            }
            _ => Time::NEVER,
        }
    }

    /// Looks at a connection when something about it may be due.
    pub(super) fn handle_care(&mut self, index: u32) {
        match self.store.slot(index).state {
            SlotState::Idle => self.care_for_idle(index),
            SlotState::Leased => self.care_for_lease(index),
            // It is looked at again when it becomes idle.
            _ => {}
        }
    }

    fn care_for_lease(&mut self, index: u32) {
        let Some(long) = self.options.long_hold else { return };
        let due = self.store.slot(index).since.saturating_add(long);
        if due <= self.now {
            self.effects.push_back(Effect::LongHold { slot: self.store.slot_key(index) });
        } else {
            self.timers.set(&mut self.store, Target::Care(index), due);
        }
    }

    fn care_for_idle(&mut self, index: u32) {
        let (now, options) = (self.now, &self.options);
        let slot = self.store.slot(index);
        let passed = |since: Time, time: Option<Duration>| {
            time.is_some_and(|time| since.saturating_add(time) <= now)
        };
        let is_surplus = self.idle.len() > options.min_idle || mutated!(IdleTimeoutIgnoresMinIdle);
        if slot.expires <= now {
            return self.retire_idle(index, Leaving::Aged);
        }
        if passed(slot.since, options.idle_timeout) {
            if is_surplus {
                return self.retire_idle(index, Leaving::Idle);
            }
            self.overstayed = true;
        }
        let renew = options.min_idle > 0 && !slot.renewing && self.renew_at(slot.expires) <= now;
        let sweep = passed(slot.good(), options.check_interval);
        if renew && self.replace(index) {
            return;
        }
        if sweep {
            self.sweep(index);
        }
        if self.store.slot(index).state == SlotState::Idle {
            self.watch_again(index);
        }
    }

    /// Sets the next look at an idle connection. What was due and could not be done, as `min_idle`
    /// needs it or other checks come first, is not due again before its time has passed once more.
    fn watch_again(&mut self, index: u32) {
        let due = self.next_care(index);
        self.timers.set(&mut self.store, Target::Care(index), due);
    }

    /// When an idle connection is looked at next at the latest.
    pub(super) fn next_care(&self, index: u32) -> Time {
        self.earliest_care(index, |since, time| match since.saturating_add(time) {
            due if due <= self.now => self.now.saturating_add(time),
            due => due,
        })
    }

    pub(super) fn retire_idle(&mut self, index: u32, leaving: Leaving) {
        self.idle.remove(&mut self.store.slots, index);
        self.start_close(index, SlotState::Closing, leaving);
        self.serve();
    }

    /// Asks for the replacement of an idle connection that will be too old soon. Returns whether it
    /// left at once, as there is another one in its place already.
    fn replace(&mut self, index: u32) -> bool {
        self.store.slot_mut(index).renewing = true;
        self.renewals += 1;
        self.retire_renewed();
        let left = self.store.slot(index).state != SlotState::Idle;
        self.start_creations();
        left
    }

    /// Retires what was to be replaced, once there is enough without it.
    fn retire_renewed(&mut self) {
        while self.renewals > 0 && self.idle.len() > self.options.min_idle {
            let renewing = |&index: &u32| self.store.slot(index).renewing;
            let Some(index) = self.idle.iter(&self.store.slots).find(renewing) else { return };
            self.idle.remove(&mut self.store.slots, index);
            self.start_close(index, SlotState::Closing, Leaving::Aged);
            self.serve();
        }
    }

    /// Retires what has been idle for too long, as far as `min_idle` does not need it any more. It is
    /// not looked at again for as long as it was left alone.
    #[cold]
    fn retire_overstayed(&mut self) {
        while self.overstayed && self.idle.len() > self.options.min_idle {
            let (now, timeout) = (self.now, self.options.idle_timeout);
            let over = |&index: &u32| {
                let since = self.store.slot(index).since;
                timeout.is_some_and(|timeout| since.saturating_add(timeout) <= now)
            };
            let found = self.idle.iter(&self.store.slots).find(over);
            match found {
                Some(index) => self.retire_idle(index, Leaving::Idle),
                None => self.overstayed = false,
            }
        }
    }

    /// Notes that a connection is not idle any more, and so not about to be replaced.
    #[inline(always)]
    pub(super) fn forget_renewal(&mut self, index: u32) {
        if core::mem::take(&mut self.store.slot_mut(index).renewing) {
            self.renewals -= 1;
            // It is to be replaced again once it is idle, and that is due already.
            self.timers.clear(&mut self.store, Target::Care(index));
        }
    }

    /// Checks an idle connection, or leaves it to the end of another check.
    fn sweep(&mut self, index: u32) {
        if self.sweeps < self.options.max_checks {
            self.idle.remove(&mut self.store.slots, index);
            self.sweeps += 1;
            self.start_check(index);
            self.store.slot_mut(index).swept = true;
            // Without it another one is next, which may be good for whoever waits for a check.
            self.serve();
        }
    }

    /// Ends one check of idle connections, and starts those that are overdue.
    pub(super) fn end_sweep(&mut self) {
        self.sweeps -= 1;
        while self.sweeps < self.options.max_checks
            && let Some(index) = self.most_overdue()
        {
            self.sweep(index);
        }
    }

    /// The idle connection that was not known to be good for the longest time, if it is to be
    /// checked.
    fn most_overdue(&self) -> Option<u32> {
        let interval = self.options.check_interval?;
        let good = |&index: &u32| self.store.slot(index).good();
        let oldest = self.idle.iter(&self.store.slots).min_by_key(good)?;
        (good(&oldest).saturating_add(interval) <= self.now).then_some(oldest)
    }

    /// Asks the shell to close the connection, under a key of its own. It is in no list.
    pub(super) fn start_close(&mut self, index: u32, state: SlotState, leaving: Leaving) {
        *self.leaving_counter(leaving) += 1;
        self.forget_renewal(index);
        self.set_state(index, state);
        self.timers.clear(&mut self.store, Target::Care(index));
        let slot = self.renew_generation(index);
        self.effects.push_back(Effect::Close { slot, leaving });
        self.shrunk &= self.living() > self.options.max;
        self.look_out();
    }

    /// The counter of a reason to leave.
    pub(super) const fn leaving_counter(&mut self, leaving: Leaving) -> &mut u64 {
        let counters = &mut self.counters;
        match leaving {
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
        }
    }
}
