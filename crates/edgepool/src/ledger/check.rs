//! The invariants, as a predicate that tests and simulations call after every step.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::Ledger;
use super::answers::Effect;
use super::list::NIL;
#[cfg(feature = "tenants")]
use super::store::Slot;
use super::store::{SlotState, WaiterState};
use super::timers::Target;
use crate::Time;

/// An invariant that does not hold: an error in the ledger itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant's number in the [module's documentation](super).
    pub invariant: u8,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invariant {} of the pool's ledger: {}", self.invariant, self.what)
    }
}

impl core::error::Error for Violation {}

type Check = Result<(), Violation>;

fn ensure(invariant: u8, holds: bool, what: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(Violation { invariant, what: what() }) }
}

impl Ledger {
    /// Checks every invariant that the [module's documentation](super) numbers; O(n).
    ///
    /// # Errors
    ///
    /// Names the first one that does not hold.
    pub fn check(&self) -> Result<(), Violation> {
        self.check_counts()?;
        self.check_idle()?;
        self.check_queue()?;
        self.check_tenants()?;
        self.check_no_lost_wake_up()?;
        self.check_offers()?;
        self.check_counters()?;
        self.check_timers()?;
        self.check_limits()?;
        self.check_care()?;
        self.check_closed()
    }

    fn check_counts(&self) -> Check {
        ensure(1, self.alert == self.is_alert(), || format!("alert is {}", self.alert))?;
        let mut counted = self.states.map(|_| 0);
        for (_, slot) in &self.store.slots {
            counted[slot.state.kind()] += 1;
        }
        let (idle, leased) = (SlotState::Idle.kind(), SlotState::Leased.kind());
        let hot = (counted[idle], counted[leased]);
        (counted[idle], counted[leased]) = (0, 0);
        ensure(1, counted == self.states, || format!("{counted:?} but counts {:?}", self.states))?;
        let told = (self.count(SlotState::Idle), self.count(SlotState::Leased));
        ensure(1, hot == told, || format!("{hot:?} are idle and lent, but it tells {told:?}"))?;
        let renewing = self.store.slots.iter().filter(|(_, slot)| slot.renewing);
        let idle = renewing.clone().all(|(_, slot)| slot.state == SlotState::Idle);
        let counted = renewing.count() == self.renewals as usize;
        ensure(1, idle && counted, || format!("{} are to be replaced", self.renewals))?;
        let swept = self.store.slots.iter().filter(|(_, slot)| slot.swept);
        let checking = swept.clone().all(|(_, slot)| slot.state == SlotState::Checking);
        let counted = swept.count() == self.sweeps as usize;
        ensure(1, checking && counted, || format!("{} checks of idle ones", self.sweeps))?;

        let (size, living, max) = (self.size(), self.living(), self.options.max);
        let (idle, creating) = (self.idle.len(), self.count(SlotState::Creating));
        ensure(2, living <= max || self.shrunk, || format!("{living} places used of {max}"))?;
        let drained = !self.shrunk || (idle == 0 && creating == 0);
        ensure(2, drained, || format!("{size} of {max} with {idle} idle, {creating} creations"))
    }

    fn check_idle(&self) -> Check {
        let idle: Vec<u32> = self.idle.iter(&self.store.slots).collect();
        let all_idle = idle.iter().all(|&slot| self.store.slot(slot).state == SlotState::Idle);
        let complete = idle.len() == self.count(SlotState::Idle) as usize
            && idle.len() == self.idle.len() as usize;
        ensure(3, all_idle && complete, || format!("idle list {idle:?}"))
    }

    fn check_queue(&self) -> Check {
        let queued = |state| matches!(state, WaiterState::Queued);
        let mut len = 0;
        let lists = self.queue.lines().flat_map(|line| line.classes().iter().enumerate());
        for (class, list) in lists {
            let queue: Vec<u32> = list.iter(&self.store.waiters).collect();
            let of_class = queue.iter().all(|&index| {
                let waiter = self.store.waiter(index);
                queued(waiter.state) && waiter.priority as usize == class && waiter.missing() > 0
            });
            let sorted = queue.is_sorted_by_key(|&waiter| self.store.waiter(waiter).arrival);
            let same = queue.len() == list.len() as usize;
            ensure(3, of_class && sorted && same, || format!("class {class}: {queue:?}"))?;
            len += queue.len();
        }
        for line in self.queue.lines() {
            let missing = |index| u64::from(self.store.waiter(index).missing());
            let units = line.iter(&self.store.waiters).map(missing).sum::<u64>();
            ensure(3, units == line.units(), || format!("{units} are waited for in a line"))?;
        }
        let count = self.store.waiters.iter().filter(|(_, waiter)| queued(waiter.state)).count();
        let complete = len == count && len == self.queue.len() as usize;
        ensure(3, complete, || format!("{len} in the queue of {count}"))?;
        let aside = self.queue.lines().flat_map(|line| line.iter(&self.store.waiters));
        let aside = aside.map(|index| u32::from(self.store.waiter(index).have)).sum::<u32>();
        ensure(3, aside == self.queue.set_aside(), || format!("{aside} are set aside"))
    }

    #[cfg(feature = "tenants")]
    fn check_tenants(&self) -> Check {
        let fault = self.queue.fault(&self.store.waiters, |owner| self.uses_of(owner));
        ensure(9, fault.is_none(), || format!("{}: {:?}", fault.unwrap_or_default(), self.queue))?;
        let nobodys = |(_, slot): (usize, &Slot)| {
            use SlotState::{Leased, Offered, Retired};
            slot.owner.is_nobody() || matches!(slot.state, Leased | Offered(_) | Retired)
        };
        ensure(9, self.store.slots.iter().all(nobodys), || "what nobody has is a tenant's".into())
    }

    #[cfg(not(feature = "tenants"))]
    const fn check_tenants(&self) -> Check {
        Ok(())
    }

    fn check_no_lost_wake_up(&self) -> Check {
        if self.paused {
            return Ok(());
        }
        let (waiting, idle) = (self.queue.units(), self.idle.len());
        let checking = u64::from(self.count(SlotState::Checking));
        let unchecked = || self.next_idle().is_some_and(|index| self.wants_check(index));
        let served = waiting == 0 || idle == 0 || (checking >= waiting && unchecked());
        ensure(4, served, || format!("{waiting} are waited for beside {idle} idle"))?;
        let (creating, size) = (self.count(SlotState::Creating), self.size());
        let made = !self.is_short() || size >= self.options.max || !self.may_create();
        ensure(4, made, || {
            format!("{waiting} are waited for, {creating} made, {size} places used")
        })?;
        let promised = !self.failing.is_holding_back()
            || !self.is_short()
            || self.next_deadline().is_some_and(|at| at != Time::NEVER);
        ensure(4, promised, || "creations wait for nothing".into())
    }

    fn check_offers(&self) -> Check {
        let mut offered = 0;
        for (index, waiter) in &self.store.waiters {
            let chain: Vec<u32> = waiter.offered.iter(&self.store.slots).collect();
            let named =
                |&slot: &u32| self.store.slot(slot).state == SlotState::Offered(index as u32);
            let same = chain.len() == usize::from(waiter.have) && chain.iter().all(named);
            let complete = waiter.state != WaiterState::Offered || waiter.missing() == 0;
            let ended = matches!(waiter.state, WaiterState::Ended(..));
            let holds = if ended { chain.is_empty() } else { same && complete };
            ensure(5, holds, || format!("waiter {index} is offered {chain:?}: {waiter:?}"))?;
            offered += chain.len();
            let gathers = waiter.state == WaiterState::Queued && waiter.have > 0;
            let first = self.queue.front(&self.store.waiters);
            let at_head = !gathers || first == Some(index as u32);
            ensure(5, at_head, || format!("waiter {index} gathers and is not first"))?;
        }
        let slots = self.count(SlotState::Offered(0)) as usize;
        ensure(5, offered == slots, || format!("{offered} are offered of {slots}"))
    }

    fn check_counters(&self) -> Check {
        let c = self.counters();
        let waiters = self.store.waiters.iter();
        let ended = waiters.filter(|(_, w)| matches!(w.state, WaiterState::Ended(..))).count();
        ensure(6, ended == self.ended as usize, || format!("{ended} ended"))?;
        let pending = self.pending();
        let over = c.timed_out + c.cancelled + c.failed + c.refused + c.closed + c.missed;
        let accounted = c.direct + c.waited + over + u64::from(pending);
        ensure(6, c.started == accounted, || format!("{pending} pending beside {c:?}"))?;
        let creating = u64::from(self.count(SlotState::Creating));
        let creations = c.created + c.create_failed + c.create_abandoned + creating;
        ensure(6, c.creations == creations, || format!("{creating} creating, {c:?}"))?;
        let in_use = u64::from(self.count(SlotState::Leased));
        let lent = c.direct + c.waited + c.batched + c.adopted;
        let back = c.released + c.discarded + c.taken + c.expired + in_use;
        ensure(6, lent == back, || format!("{in_use} in use, {c:?}"))?;
        let live = u64::from(self.size()) - creating;
        let gone = c.removed + c.taken + live;
        ensure(6, c.created + c.adopted + c.late == gone, || format!("{live} live, {c:?}"))
    }

    fn check_timers(&self) -> Check {
        let heap = self.timers.heap();
        for (position, &(at, target)) in heap.iter().enumerate() {
            let slot = |index: u32| self.store.slots.get(index as usize);
            let told = match target {
                Target::Slot(index) => slot(index).map(|slot| slot.timer),
                Target::Care(index) => slot(index).map(|slot| slot.care),
                Target::Waiter(index) => self.store.waiters.get(index as usize).map(|w| w.timer),
            };
            let here = told == Some(position as u32);
            ensure(7, here, || format!("{target:?} at {position} says {told:?}"))?;
            let is_job = |index| slot(index).is_some_and(|slot| slot.state.is_job());
            let to_come = at >= self.now
                || matches!(target, Target::Waiter(_))
                || matches!(target, Target::Slot(index) if is_job(index));
            ensure(7, to_come, || format!("{target:?} was due at {at:?} and is not settled"))?;
            let (earlier, _) = heap[position.saturating_sub(1) / 2];
            ensure(7, earlier <= at, || format!("{target:?} at {position} is before its parent"))?;
        }
        let slots = self.store.slots.iter().flat_map(|(_, slot)| [slot.timer, slot.care]);
        let waiters = self.store.waiters.iter().map(|(_, waiter)| waiter.timer);
        let armed = slots.chain(waiters).filter(|&timer| timer != NIL).count();
        ensure(7, armed == heap.len(), || format!("{} deadlines, {armed} set", heap.len()))
    }

    /// Every state that has a time limit has a deadline, unless that is past the end of time. A
    /// lease's is its holder's to change, and what is looked at by the shell at once has none; a
    /// job's begins as the shell begins it.
    fn check_limits(&self) -> Check {
        let options = &self.options;
        let to_begin = |effect: &Effect| match *effect {
            Effect::Create { slot } | Effect::Check { slot } | Effect::Close { slot, .. } => {
                Some((slot.index, slot.generation))
            }
            _ => None,
        };
        let to_begin: BTreeSet<(u32, u32)> = self.effects.iter().filter_map(to_begin).collect();
        for (index, slot) in &self.store.slots {
            let (limit, exactly) = match slot.state {
                SlotState::Creating => (options.create_timeout, true),
                SlotState::Checking => (options.check_timeout, slot.swept),
                SlotState::Resetting => (options.reset_timeout, true),
                SlotState::Retired | SlotState::Closing => (options.close_timeout, true),
                SlotState::Offered(waiter) => {
                    let waiter = self.store.waiter(waiter);
                    let offered = waiter.state == WaiterState::Offered;
                    let last = offered && waiter.offered.front() == Some(index as u32);
                    (options.offer_timeout.filter(|_| last), true)
                }
                SlotState::Leased => (Some(Duration::MAX), false),
                SlotState::Idle => (None, true),
            };
            let has = slot.timer != NIL;
            let (limit, exactly) = match to_begin.contains(&(index as u32, slot.generation)) {
                true => (None, false),
                false => (limit, exactly),
            };
            let never = |limit| self.now.saturating_add(limit) == Time::NEVER;
            let holds = has == limit.is_some() || (!has && (!exactly || limit.is_some_and(never)));
            ensure(7, holds, || format!("place {index} has a deadline: {has}, {slot:?}"))?;
        }
        Ok(())
    }

    fn check_care(&self) -> Check {
        for index in self.idle.iter(&self.store.slots) {
            let told = self.timers.heap().get(self.store.slot(index).care as usize);
            let told = told.map_or(Time::NEVER, |told| told.0);
            let due = self.next_care(index);
            let in_time = told <= due.max(self.now);
            ensure(7, in_time, || format!("{index} is looked at at {told:?}, due at {due:?}"))?;
        }
        Ok(())
    }

    fn check_closed(&self) -> Check {
        let gauges = self.gauges();
        let quiet = gauges.creating + gauges.idle + gauges.offered + gauges.pending == 0;
        ensure(8, !self.closed || quiet, || format!("closed with {gauges:?}"))
    }
}
