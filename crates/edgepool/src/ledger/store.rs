//! The entries that the ledger keeps, and where each is reached from.

use core::ops::Range;
use core::time::Duration;

use slab::Slab;

use super::Owner;
use super::answers::{Ask, End};
use super::keys::{SlotKey, WaiterKey};
use super::line::Priority;
use super::list::{Chain, Linked, Links, NIL};
use super::timers::Target;
use crate::Time;

/// What a place in the pool is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotState {
    /// A creation is under way.
    Creating,
    /// In the idle list.
    Idle,
    /// Being checked by the shell.
    Checking,
    /// In the chain of the waiter with this index.
    Offered(u32),
    /// Held by a caller.
    Leased,
    /// Came back, and is being reset by the shell.
    Resetting,
    /// The lease's time to live passed: never lent again, and being closed by the shell.
    Retired,
    /// Being closed by the shell.
    Closing,
}

/// How many kinds of [`SlotState`] there are.
pub(super) const SLOT_STATES: usize = 8;

impl SlotState {
    /// Tells whether the shell has something to do or to wait for.
    pub(super) const fn is_job(self) -> bool {
        use SlotState::{Checking, Closing, Creating, Resetting, Retired};
        matches!(self, Creating | Checking | Resetting | Closing | Retired)
    }

    /// The place of this state's count in a dense table.
    pub(super) const fn kind(self) -> usize {
        match self {
            Self::Creating => 0,
            Self::Idle => 1,
            Self::Checking => 2,
            Self::Offered(_) => 3,
            Self::Leased => 4,
            Self::Resetting => 5,
            Self::Retired => 6,
            Self::Closing => 7,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) generation: u32,
    pub(super) state: SlotState,
    /// Who has it while it is offered, lent or retired; nobody else.
    pub(super) owner: Owner,
    links: Links,
    /// The position in the heap of the timer of the state that it is in, or `NIL`.
    pub(super) timer: u32,
    /// The position in the heap of its [`Target::Care`], or `NIL`.
    pub(super) care: u32,
    /// Which invalidation it was made after.
    pub(super) epoch: u32,
    /// Nothing was done with the connection since it was made or checked.
    pub(super) fresh: bool,
    /// It is idle, and about to be replaced for its age.
    pub(super) renewing: bool,
    /// It is being checked for [`check_interval`](super::Options::check_interval).
    pub(super) swept: bool,
    /// The number of the connection.
    pub(super) id: u64,
    /// When it was made; while it is being made, since when.
    pub(super) born: Time,
    /// When it is too old to be lent.
    pub(super) expires: Time,
    /// While it is lent, since when; else when it was made or came back last.
    pub(super) since: Time,
    /// While it is lent, what `since` was before.
    pub(super) unused_since: Time,
    /// When it was made or checked.
    pub(super) checked: Time,
    pub(super) uses: u64,
    pub(super) waited: Duration,
}

impl Slot {
    const fn new(generation: u32, state: SlotState, epoch: u32) -> Self {
        Self {
            generation,
            state,
            owner: Owner::NOBODY,
            links: Links::new(),
            timer: NIL,
            care: NIL,
            epoch,
            fresh: true,
            renewing: false,
            swept: false,
            id: 0,
            born: Time::ZERO,
            expires: Time::NEVER,
            since: Time::ZERO,
            unused_since: Time::ZERO,
            checked: Time::ZERO,
            uses: 0,
            waited: Duration::ZERO,
        }
    }
}

impl Slot {
    /// When an idle connection was known to be good: made, returned or checked.
    pub(super) fn good(&self) -> Time {
        self.since.max(self.checked)
    }

    /// When it came back last, if it did.
    pub(super) fn last_used(&self) -> Option<Time> {
        match self.state {
            SlotState::Leased => (self.uses > 1).then_some(self.unused_since),
            _ => (self.uses > 0).then_some(self.since),
        }
    }
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
    /// All that it needs is set aside for it.
    Offered,
    /// It has ended and was told so by an effect; the entry stays until its owner lets go. So many
    /// were to be served before it.
    Ended(End, u16),
}

#[derive(Clone, Debug)]
pub(super) struct Waiter {
    pub(super) generation: u32,
    pub(super) state: WaiterState,
    pub(super) owner: Owner,
    pub(super) priority: Priority,
    /// How many offers it let pass.
    pub(super) missed: u8,
    /// How many connections it needs, and how many of those are set aside for it.
    pub(super) need: u16,
    pub(super) have: u16,
    /// Those that are set aside for it.
    pub(super) offered: Chain,
    links: Links,
    /// The position of its deadline in the heap, or `NIL`.
    pub(super) timer: u32,
    /// The order of arrival; a class of a line is sorted by it.
    pub(super) arrival: u64,
    /// When it came.
    pub(super) since: Time,
}

impl Waiter {
    pub(super) const fn missing(&self) -> u16 {
        self.need - self.have
    }
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
#[derive(Clone, Debug, Default)]
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

    pub(super) fn insert_slot(&mut self, state: SlotState, epoch: u32) -> u32 {
        let slot = Slot::new(self.next_generation(), state, epoch);
        index_of(self.slots.insert(slot))
    }

    pub(super) fn insert_waiter(&mut self, ask: &Ask, owner: Owner, since: Time) -> u32 {
        let generation = self.next_generation();
        self.arrivals += 1;
        let waiter = Waiter {
            generation,
            state: WaiterState::Queued,
            owner,
            priority: ask.priority,
            missed: 0,
            need: ask.need,
            have: 0,
            offered: Chain::new(),
            links: Links::new(),
            timer: NIL,
            arrival: self.arrivals,
            since,
        };
        index_of(self.waiters.insert(waiter))
    }

    #[inline(always)]
    pub(super) fn slot(&self, index: u32) -> &Slot {
        &self.slots[index as usize]
    }

    #[inline(always)]
    pub(super) fn slot_mut(&mut self, index: u32) -> &mut Slot {
        &mut self.slots[index as usize]
    }

    pub(super) fn waiter(&self, index: u32) -> &Waiter {
        &self.waiters[index as usize]
    }

    pub(super) fn waiter_mut(&mut self, index: u32) -> &mut Waiter {
        &mut self.waiters[index as usize]
    }

    /// The indexes at which there may be slots now, for those who change them on the way: a list of
    /// those that there are would take memory, and more code.
    pub(super) fn slot_indexes(&self) -> Range<u32> {
        0..index_of(self.slots.capacity())
    }

    /// Looks a slot up that may not be there.
    pub(super) fn slot_at(&self, index: u32) -> Option<&Slot> {
        self.slots.get(index as usize)
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
            Target::Care(index) => &mut self.slot_mut(index).care,
            Target::Waiter(index) => &mut self.waiter_mut(index).timer,
        }
    }
}

fn index_of(key: usize) -> u32 {
    u32::try_from(key).expect("a pool has fewer than 2^32 entries")
}
