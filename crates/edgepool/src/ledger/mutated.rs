//! What some of the [bugs](crate::mutations) do instead.

use core::time::Duration;

use super::store::Slot;
use super::{Effect, End, JobKind, Ledger, SlotKey, SlotState, Target, WaiterKey, WaiterState};

impl Ledger {
    /// Puts a connection up for a race, and wakes the first waiter to take part in it.
    pub(super) fn hint(&mut self, index: u32) {
        self.make_idle(index);
        if let Some(waiter) = self.first_waiter() {
            let slot = self.store.slot_key(index);
            self.effects.push_back(Effect::Offer { waiter, slot });
        }
    }

    /// Takes what is idle, if the waiter comes in time.
    pub(super) fn follow_hint(&mut self, key: WaiterKey) {
        if self.is_queued(key)
            && let Some(index) = self.pop_idle()
        {
            self.gather(index, key.index);
        }
    }

    /// Sends a waiter to the end of the queue.
    pub(super) fn queue_anew(&mut self, key: WaiterKey) {
        if self.is_queued(key) {
            self.queue.remove(&mut self.store.waiters, key.index);
            self.queue.push(&mut self.store.waiters, key.index);
        }
    }

    /// Wakes everybody in the queue.
    pub(super) fn wake_all(&mut self, slot: SlotKey) {
        let lines = self.queue.lines();
        let queued = lines.flat_map(|line| line.iter(&self.store.waiters));
        let keys = queued.map(|index| self.store.waiter_key(index));
        self.effects.extend(keys.map(|waiter| Effect::Offer { waiter, slot }));
    }

    /// Gives a creation up with the caller who needed it.
    pub(super) fn give_up_a_creation(&mut self, ended: WaiterState) {
        if let Some(index) = self.job_of(ended, SlotState::Creating) {
            self.abandon_creation(index, false);
        }
    }

    /// Gives a check and its connection up with the caller who needed it.
    pub(super) fn give_up_a_check(&mut self, ended: WaiterState) {
        if let Some(index) = self.job_of(ended, SlotState::Checking) {
            self.abandon(index, JobKind::Check);
        }
    }

    fn job_of(&self, ended: WaiterState, state: SlotState) -> Option<u32> {
        let gave_up = matches!(ended, WaiterState::Ended(End::TimedOut, _));
        let mut slots = self.store.slots.iter().filter(|_| gave_up);
        slots.find(|(_, slot)| slot.state == state).map(|(index, _)| index as u32)
    }

    /// Lets the life of a connection that comes back begin anew.
    pub(super) fn bear_again(&mut self, index: u32) {
        let Slot { checked, fresh, .. } = *self.store.slot(index);
        self.bear(index);
        let slot = self.store.slot_mut(index);
        (slot.checked, slot.fresh) = (checked, fresh);
    }

    /// Leaves a connection that is too old when it comes back to a round of maintenance that comes
    /// later, when it is out again.
    pub(super) fn put_off(&mut self, index: u32) {
        let next_round = self.now.saturating_add(Duration::from_secs(30));
        let slot = self.store.slot_mut(index);
        if slot.expires <= self.now {
            slot.expires = next_round;
        }
    }

    /// Takes a connection back past those for each of whom a creation is under way.
    pub(super) fn release_past_creations(&mut self, index: u32) -> bool {
        if u64::from(self.count(SlotState::Creating)) >= self.queue.units() {
            self.make_idle(index);
        } else {
            self.take_in(index);
        }
        true
    }

    /// Forgets when a waiter is to end.
    pub(super) fn wait_for_ever(&mut self, waiter: u32) {
        self.timers.clear(&mut self.store, Target::Waiter(waiter));
    }

    fn is_queued(&self, key: WaiterKey) -> bool {
        let waiter = self.store.find_waiter(key);
        waiter.is_some_and(|waiter| waiter.state == WaiterState::Queued)
    }
}
