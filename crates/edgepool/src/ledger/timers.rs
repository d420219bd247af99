//! Deadlines: at most two for each slot and one for each waiter, in a binary heap that knows where each
//! stands, so that setting and clearing one is O(log n).

use alloc::vec::Vec;

use super::list::NIL;
use super::store::Store;
use crate::Time;

/// Whose timer it is. What it means follows from the state that the entry is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The time that a slot may spend in the state that it is in.
    Slot(u32),
    /// The next look at a slot that is idle or lent: at its age, its idleness, its health. It may
    /// come early, and is then set anew, so that using a connection sets no timer.
    Care(u32),
    /// A waiter's deadline.
    Waiter(u32),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    heap: Vec<(Time, Target)>,
}

impl Timers {
    pub(super) const fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Time> {
        self.heap.first().map(|&(at, _)| at)
    }

    /// Sets the target's deadline in place of the one it had; [`Time::NEVER`] clears it.
    pub(super) fn set(&mut self, store: &mut Store, target: Target, at: Time) {
        self.clear(store, target);
        if at != Time::NEVER {
            let last = self.heap.len();
            self.heap.push((at, target));
            self.rise(store, last);
        }
    }

    /// Sets the target's deadline unless it has an earlier one.
    pub(super) fn hasten(&mut self, store: &mut Store, target: Target, at: Time) {
        let position = *store.timer_mut(target);
        if position == NIL || self.heap[position as usize].0 > at {
            self.set(store, target, at);
        }
    }

    /// Takes the target's deadline away, if it has one.
    #[inline(always)]
    pub(super) fn clear(&mut self, store: &mut Store, target: Target) {
        let position = core::mem::replace(store.timer_mut(target), NIL);
        if position != NIL {
            self.remove(store, position as usize);
        }
    }

    fn remove(&mut self, store: &mut Store, position: usize) {
        self.heap.swap_remove(position);
        if position < self.heap.len() {
            let settled = self.rise(store, position);
            self.sink(store, settled);
        }
    }

    /// Takes the earliest deadline that is due at `now`.
    pub(super) fn pop_due(&mut self, store: &mut Store, now: Time) -> Option<(Time, Target)> {
        let &(at, target) = self.heap.first()?;
        if at > now {
            return None;
        }
        self.clear(store, target);
        Some((at, target))
    }

    /// The deadline at a position that an entry tells.
    pub(super) fn at(&self, position: u32) -> Option<Time> {
        self.heap.get(position as usize).map(|&(at, _)| at)
    }

    /// The heap, each deadline after its parent, for the invariants.
    pub(super) fn heap(&self) -> &[(Time, Target)] {
        &self.heap
    }

    /// Orders the deadlines by time, and those of one time by `rank`, for the search of all states.
    #[cfg(test)]
    pub(super) fn arrange(&mut self, store: &mut Store, rank: impl Fn(Target) -> usize) {
        self.heap.sort_by_key(|&(at, target)| (at, rank(target)));
        (0..self.heap.len()).for_each(|position| self.settle(store, position));
    }

    fn rise(&mut self, store: &mut Store, mut position: usize) -> usize {
        while position > 0 {
            let parent = (position - 1) / 2;
            if self.heap[parent].0 <= self.heap[position].0 {
                break;
            }
            self.heap.swap(parent, position);
            self.settle(store, position);
            position = parent;
        }
        self.settle(store, position);
        position
    }

    fn sink(&mut self, store: &mut Store, mut position: usize) {
        loop {
            let mut least = 2 * position + 1;
            if least >= self.heap.len() {
                break;
            }
            if least + 1 < self.heap.len() && self.heap[least + 1].0 < self.heap[least].0 {
                least += 1;
            }
            if self.heap[position].0 <= self.heap[least].0 {
                break;
            }
            self.heap.swap(position, least);
            self.settle(store, position);
            position = least;
        }
        self.settle(store, position);
    }

    /// Tells the entry at `position` where its timer stands.
    fn settle(&self, store: &mut Store, position: usize) {
        *store.timer_mut(self.heap[position].1) = position as u32;
    }
}
