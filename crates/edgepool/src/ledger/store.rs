//! The entries that the ledger keeps, and where each is reached from.

use slab::Slab;

use super::End;
use super::keys::{SlotKey, WaiterKey};
use super::list::{Linked, Links, NIL};
use super::timers::Target;

/// What a place in the pool is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotState {
    /// A creation is under way.
    Creating,
    /// In the idle list.
    Idle,
    /// Set aside for the waiter with this index.
    Offered(u32),
    /// Held by a caller.
    Leased,
    /// The lease's time to live passed: never lent again, and being closed by the shell.
    Retired,
    /// Being closed by the shell.
    Closing,
}

/// How many kinds of [`SlotState`] there are.
pub(super) const SLOT_STATES: usize = 6;

impl SlotState {
    /// The place of this state's count in a dense table.
    pub(super) const fn kind(self) -> usize {
        match self {
            Self::Creating => 0,
            Self::Idle => 1,
            Self::Offered(_) => 2,
            Self::Leased => 3,
            Self::Retired => 4,
            Self::Closing => 5,
        }
    }
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) generation: u32,
    pub(super) state: SlotState,
    links: Links,
    /// The position of this slot's one timer in the heap, or `NIL`.
    pub(super) timer: u32,
}

impl Linked for Slot {
    fn links(&self) -> &Links {
        &self.links
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }
}

/// Where a waiter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaiterState {
    /// In the queue.
    Queued,
    /// The slot with this index is set aside for it.
    Offered(u32),
    /// It has ended and was told so by an effect; the entry stays until its owner lets go.
    Ended(End),
}

#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) generation: u32,
    pub(super) state: WaiterState,
    /// How many offers it let pass.
    pub(super) missed: u8,
    links: Links,
    /// The position of its deadline in the heap, or `NIL`.
    pub(super) timer: u32,
    /// The order of arrival; the queue is sorted by it.
    pub(super) arrival: u64,
}

impl Linked for Waiter {
    fn links(&self) -> &Links {
        &self.links
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }
}

/// All entries. Generations and arrivals come from two counters that only go up.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) slots: Slab<Slot>,
    pub(super) waiters: Slab<Waiter>,
    generation: u32,
    arrivals: u64,
}

impl Store {
    /// Returns a generation that no living key has.
    pub(super) const fn next_generation(&mut self) -> u32 {
        self.generation = self.generation.wrapping_add(1);
        self.generation
    }

    pub(super) fn insert_slot(&mut self, state: SlotState) -> u32 {
        let generation = self.next_generation();
        let slot = Slot { generation, state, links: Links::new(), timer: NIL };
        index_of(self.slots.insert(slot))
    }

    pub(super) fn insert_waiter(&mut self) -> u32 {
        let generation = self.next_generation();
        self.arrivals += 1;
        let waiter = Waiter {
            generation,
            state: WaiterState::Queued,
            missed: 0,
            links: Links::new(),
            timer: NIL,
            arrival: self.arrivals,
        };
        index_of(self.waiters.insert(waiter))
    }

    pub(super) fn slot(&self, index: u32) -> &Slot {
        &self.slots[index as usize]
    }

    pub(super) fn slot_mut(&mut self, index: u32) -> &mut Slot {
        &mut self.slots[index as usize]
    }

    pub(super) fn waiter(&self, index: u32) -> &Waiter {
        &self.waiters[index as usize]
    }

    pub(super) fn waiter_mut(&mut self, index: u32) -> &mut Waiter {
        &mut self.waiters[index as usize]
    }

    pub(super) fn slot_key(&self, index: u32) -> SlotKey {
        SlotKey { index, generation: self.slot(index).generation }
    }

    pub(super) fn waiter_key(&self, index: u32) -> WaiterKey {
        WaiterKey { index, generation: self.waiter(index).generation }
    }

    /// Looks a slot up by its key; `None` if the key is stale.
    pub(super) fn find_slot(&self, key: SlotKey) -> Option<&Slot> {
        self.slots.get(key.index as usize).filter(|slot| slot.generation == key.generation)
    }

    /// Looks a waiter up by its key; `None` if the key is stale.
    pub(super) fn find_waiter(&self, key: WaiterKey) -> Option<&Waiter> {
        self.waiters.get(key.index as usize).filter(|waiter| waiter.generation == key.generation)
    }

    /// The heap position of a target's timer.
    pub(super) fn timer_mut(&mut self, target: Target) -> &mut u32 {
        match target {
            Target::Slot(index) => &mut self.slot_mut(index).timer,
            Target::Waiter(index) => &mut self.waiter_mut(index).timer,
        }
    }
}

fn index_of(key: usize) -> u32 {
    u32::try_from(key).expect("a pool has fewer than 2^32 entries")
}
