//! The invariants, as a predicate that tests and simulations call after every step.

use std::fmt;

use super::Ledger;
use super::list::NIL;
use super::store::{SlotState, WaiterState};
use super::timers::Target;

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

impl std::error::Error for Violation {}

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
        self.check_lists()?;
        self.check_no_lost_wake_up()?;
        self.check_offers()?;
        self.check_counters()?;
        self.check_timers()?;
        self.check_closed()
    }

    fn check_counts(&self) -> Check {
        let mut counted = self.states.map(|_| 0);
        for (_, slot) in &self.store.slots {
            counted[slot.state.kind()] += 1;
        }
        ensure(1, counted == self.states, || format!("{counted:?} but counts {:?}", self.states))?;
        let (size, max) = (self.size(), self.options.max);
        ensure(2, size <= max, || format!("{size} places used of {max}"))
    }

    fn check_lists(&self) -> Check {
        let idle: Vec<u32> = self.idle.iter(&self.store.slots).collect();
        let all_idle = idle.iter().all(|&slot| self.store.slot(slot).state == SlotState::Idle);
        let complete = idle.len() == self.states[SlotState::Idle.kind()] as usize
            && idle.len() == self.idle.len() as usize;
        ensure(3, all_idle && complete, || format!("idle list {idle:?}"))?;

        let queue: Vec<u32> = self.queue.iter(&self.store.waiters).collect();
        let queued = |state| matches!(state, WaiterState::Queued);
        let all_queued = queue.iter().all(|&waiter| queued(self.store.waiter(waiter).state));
        let sorted = queue.is_sorted_by_key(|&waiter| self.store.waiter(waiter).arrival);
        let count = self.store.waiters.iter().filter(|(_, waiter)| queued(waiter.state)).count();
        let complete = queue.len() == count && count == self.queue.len() as usize;
        ensure(3, all_queued && sorted && complete, || format!("queue {queue:?}"))
    }

    fn check_no_lost_wake_up(&self) -> Check {
        let waiting = self.queue.len();
        let idle = self.idle.len();
        ensure(4, waiting == 0 || idle == 0, || format!("{waiting} wait beside {idle} idle"))?;
        let (creating, size) = (self.creating(), self.size());
        let served = waiting <= creating || size == self.options.max;
        ensure(4, served, || format!("{waiting} wait, {creating} creations, {size} places used"))
    }

    fn check_offers(&self) -> Check {
        for (index, slot) in &self.store.slots {
            if let SlotState::Offered(waiter) = slot.state {
                let named = self.store.waiters.get(waiter as usize).map(|waiter| waiter.state);
                let same = named == Some(WaiterState::Offered(index as u32));
                ensure(5, same, || format!("slot {index} is offered, its waiter is {named:?}"))?;
            }
        }
        let offered = |state| matches!(state, WaiterState::Offered(_));
        let waiters = self.store.waiters.iter().filter(|(_, waiter)| offered(waiter.state)).count();
        let slots = self.states[SlotState::Offered(0).kind()] as usize;
        ensure(5, waiters == slots, || format!("{waiters} waiters offered {slots} slots"))
    }

    fn check_counters(&self) -> Check {
        let c = self.counters;
        let pending = self.queue.len() + self.states[SlotState::Offered(0).kind()];
        let ended = c.timed_out + c.cancelled + c.failed + c.refused + c.closed + c.missed;
        let accounted = c.direct + c.waited + ended + u64::from(pending);
        ensure(6, c.started == accounted, || format!("{pending} pending beside {c:?}"))?;
        let creations = c.created + c.create_failed + c.create_abandoned;
        let creating = u64::from(self.creating());
        ensure(6, c.creations == creations + creating, || format!("{creating} creating, {c:?}"))
    }

    fn check_timers(&self) -> Check {
        let heap = self.timers.heap();
        for (position, &(at, target)) in heap.iter().enumerate() {
            let told = match target {
                Target::Slot(index) => self.store.slots.get(index as usize).map(|s| s.timer),
                Target::Waiter(index) => self.store.waiters.get(index as usize).map(|w| w.timer),
            };
            let here = told == Some(position as u32);
            ensure(7, here, || format!("{target:?} at {position} says {told:?}"))?;
            let (earlier, _) = heap[position.saturating_sub(1) / 2];
            ensure(7, earlier <= at, || format!("{target:?} at {position} is before its parent"))?;
        }
        let armed = heap.len();
        let slots = self.store.slots.iter().filter(|(_, slot)| slot.timer != NIL).count();
        let waiters = self.store.waiters.iter().filter(|(_, waiter)| waiter.timer != NIL).count();
        ensure(7, armed == slots + waiters, || format!("{armed} deadlines, {slots} + {waiters}"))
    }

    fn check_closed(&self) -> Check {
        let gauges = self.gauges();
        let quiet = gauges.creating + gauges.idle + gauges.offered + gauges.waiting == 0;
        ensure(8, !self.closed || quiet, || format!("closed with {gauges:?}"))
    }
}
