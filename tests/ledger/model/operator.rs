//! What an operator does to the pool as a whole.

use edgepool::Time;
use edgepool::ledger::{End, Leaving};

use super::{Expected, Model, SlotState, Waiter, WaiterState};

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
        for id in self.slots.keys().rev().copied().collect::<Vec<_>>() {
            if self.slots[&id].state == SlotState::Creating && self.living() > max {
                self.abandon_creation(id, false);
            }
        }
        while self.living() > max && !self.idle.is_empty() {
            self.ask_to_close(self.idle[0], SlotState::Closing, Leaving::Surplus);
        }
        self.end_those_that_need_more();
        self.serve();
        true
    }

    /// The latest first.
    pub(super) fn end_those_that_need_more(&mut self) {
        for id in self.waiters.keys().rev().copied().collect::<Vec<_>>() {
            let Waiter { state, need, tenant, .. } = self.waiters[&id];
            if state == WaiterState::Queued && need > self.most(tenant) as usize {
                self.end(id, End::TooMany);
            }
        }
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
