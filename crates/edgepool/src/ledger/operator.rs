//! What an operator does to the pool as a whole.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;

use super::store::{Slot, WaiterState};
use super::{Effect, End, Leaving, Ledger, OptionsError, SlotKey, SlotState, Target};

/// The operator. Read the clock and [`advance`](Ledger::advance) before each of these.
impl Ledger {
    /// Starts the creations that `min_idle` asks for; from now on they are kept up.
    #[cold]
    pub fn fill(&mut self) {
        self.started = true;
        self.look_out();
        self.start_creations();
    }

    /// Starts a creation that nobody is waiting for. Returns `None` if there is no room, creations
    /// are held back after failures, or the pool is paused or closed.
    pub fn prepare(&mut self) -> Option<SlotKey> {
        let room = self.size() < self.options.max && !self.closed && !self.paused;
        (room && self.may_create()).then(|| self.start_creation())
    }

    /// As [`prepare`](Self::prepare), for a caller who would otherwise queue: only if nothing is idle
    /// or on its way, nobody is queued, and nothing else is to be made for `min_idle`. There is no
    /// effect: the caller begins the creation itself, and answers as for one that was asked for.
    #[inline]
    pub fn prepare_directly(&mut self) -> Option<SlotKey> {
        let alone = self.queue.is_empty() && self.idle.len() + self.options.min_idle == 0;
        let coming = self.count(SlotState::Creating)
            + self.count(SlotState::Checking)
            + self.count(SlotState::Resetting);
        if !alone || coming > 0 || self.closed | self.paused || self.size() >= self.options.max {
            return None;
        }
        self.started = true;
        self.may_create().then(|| self.insert_begun_creation())
    }

    /// Changes `max`. Creations beyond it are given up, the latest first, what is idle beyond it is
    /// closed at once, and what is out beyond it leaves as it comes back; callers that need more than
    /// that end with [`End::TooMany`].
    ///
    /// # Errors
    ///
    /// `max` is 0, or less than `min_idle`; nothing is changed then.
    pub fn resize(&mut self, max: u32) -> Result<(), OptionsError> {
        super::Options { max, ..self.options }.validate_sizes()?;
        self.options.max = max;
        mutate!(ResizeForgetsTheSurplus, return Ok(()));
        self.shrunk = self.living() > max;
        self.look_out();
        let mut creations = self.creations();
        while self.living() > max
            && let Some((_, index)) = creations.pop()
        {
            self.abandon_creation(index, false);
        }
        while self.living() > max
            && let Some(index) = self.idle.front()
        {
            self.retire_idle(index, Leaving::Surplus);
        }
        // After that, as what is left is for those behind them.
        self.end_those_that_need_more();
        self.shrunk = self.living() > max;
        self.look_out();
        self.serve();
        Ok(())
    }

    /// Changes `min_idle`.
    ///
    /// # Errors
    ///
    /// It is more than `max`; nothing is changed then.
    pub fn set_min_idle(&mut self, min_idle: u32) -> Result<(), OptionsError> {
        super::Options { min_idle, ..self.options }.validate_sizes()?;
        self.options.min_idle = min_idle;
        self.look_out();
        if self.options.care() {
            // The look at one may let another go.
            for index in self.store.slot_indexes() {
                if self.store.slot_at(index).is_some_and(|slot| slot.state == SlotState::Idle) {
                    self.watch(index);
                }
            }
            self.forget_cares_of_others();
        }
        self.start_creations();
        Ok(())
    }

    /// Lends nothing and makes nothing until [`resume`](Self::resume); callers queue. Leases,
    /// offers, what a waiter has gathered, and jobs that were begun stay good.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Lends and makes again.
    pub fn resume(&mut self) {
        self.paused = false;
        self.serve();
    }

    /// Sees to it that no connection is lent from now on that was made, or begun to be made, before:
    /// what is idle is closed, what is out leaves as it comes back, and creations begin anew. An
    /// offer that was made already stands.
    pub fn invalidate_all(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.look_out();
        while let Some(index) = self.idle.pop_front(&mut self.store.slots) {
            self.start_close(index, SlotState::Closing, Leaving::Invalidated);
        }
        for index in self.store.slot_indexes() {
            let is_old = |slot: &Slot| slot.epoch != self.epoch;
            let slot = self.store.slot_at(index).filter(|slot| slot.state == SlotState::Creating);
            if slot.is_some_and(is_old) {
                self.abandon_creation(index, false);
            }
        }
        self.serve();
    }

    /// Refuses new callers, ends every wait with [`End::Closed`], gives creations up and closes
    /// what is idle or offered. Leases close as they come back, and what is checked or reset when
    /// that ends; with the last one comes [`Effect::Drained`]. Closing twice is closing once.
    pub fn close(&mut self) {
        if core::mem::replace(&mut self.closed, true) {
            return;
        }
        self.look_out();
        while let Some(index) = self.queue.front(&self.store.waiters)
            && !(mutated!(CloseForgetsAWaiter) && self.queue.len() == 1)
        {
            self.end_pending(index, End::Closed);
        }
        self.end_those_at_their_cap();
        for index in self.store.slot_indexes() {
            match self.store.slot_at(index).map(|slot| slot.state) {
                Some(SlotState::Offered(waiter)) => self.end_pending(waiter, End::Closed),
                Some(SlotState::Creating) => self.abandon_creation(index, false),
                Some(SlotState::Idle) => self.retire_idle(index, Leaving::Closed),
                _ => {}
            }
        }
        if self.store.slots.is_empty() && !self.effects.contains(&Effect::Drained) {
            self.effects.push_back(Effect::Drained);
        }
    }

    /// What is not idle is looked at anew once it is: its time was set by other rules. With limits
    /// on leases that is so in any case, and the time may be that of a lease.
    fn forget_cares_of_others(&mut self) {
        if !self.way.limits {
            for index in self.store.slot_indexes() {
                if self.store.slot_at(index).is_some_and(|slot| slot.state != SlotState::Idle) {
                    self.timers.clear(&mut self.store, Target::Care(index));
                }
            }
        }
    }

    /// Ends the waits that need more than there may be for them, the latest first.
    pub(super) fn end_those_that_need_more(&mut self) {
        let mut found = Vec::new();
        for (index, waiter) in &self.store.waiters {
            let is_queued = waiter.state == WaiterState::Queued;
            if is_queued && u32::from(waiter.need) > self.most_for(waiter.owner) {
                found.push((waiter.arrival, index as u32));
            }
        }
        let mut found = BinaryHeap::from(found);
        while let Some((_, index)) = found.pop() {
            self.end_pending(index, End::TooMany);
        }
    }

    /// The creations under way by their order, the latest first.
    fn creations(&self) -> BinaryHeap<(u64, u32)> {
        let mut found = Vec::new();
        for (index, slot) in &self.store.slots {
            if slot.state == SlotState::Creating {
                found.push((slot.id, index as u32));
            }
        }
        BinaryHeap::from(found)
    }
}
