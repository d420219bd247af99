//! Whose turn it is: the tenants that can be served, by when each is due.
//!
//! Time is counted in turns here. A connection costs a tenant of weight 1 a turn, and one of weight
//! `w` a `w`-th of it; a tenant is due again as much later as what it was served costs. It stands
//! still while nobody is served. The tenants are in a binary heap that knows where each stands.

use alloc::vec::Vec;

use slab::Slab;

use super::list::NIL;
use super::queue::Tenant;

/// The most that a tenant may weigh.
pub const MAX_WEIGHT: u32 = 1_000_000;

/// The time of a turn: what the greatest weight makes of it can still be counted, and at a million
/// turns a second time lasts for half a year. At its end all are due at once, and served in turn.
const TURN: u64 = 1 << 20;

/// When a tenant is due.
#[derive(Clone, Debug)]
pub(super) struct Due {
    at: u64,
    /// Of those that are due at one time, the one that came first is served first.
    number: u64,
    /// Where it stands in the heap, or `NIL`.
    position: u32,
    /// It left for want of room, and its line has not been empty since.
    pub(super) is_held_up: bool,
}

impl Due {
    pub(super) const fn never() -> Self {
        Self { at: 0, number: 0, position: NIL, is_held_up: false }
    }

    /// Tells whether the tenant can be served.
    pub(super) const fn is_set(&self) -> bool {
        self.position != NIL
    }
}

/// The tenants that can be served.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    heap: Vec<u32>,
    /// When the tenant was due that was served last; once nobody is left, when that one is due
    /// again. It never goes back.
    now: u64,
    number: u64,
}

/// What so many connections cost.
fn cost(count: u32, weight: u32) -> u64 {
    (u64::from(count) * TURN / u64::from(weight)).max(1)
}

impl Turns {
    #[inline(always)]
    pub(super) const fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// The tenant that is served next.
    #[inline(always)]
    pub(super) fn first(&self) -> Option<u32> {
        self.heap.first().copied()
    }

    /// The tenant that would be next without that one.
    pub(super) fn second(&self, tenants: &Slab<Tenant>) -> Option<u32> {
        let below = self.heap.iter().skip(1).take(2);
        below.copied().min_by_key(|&index| rank(tenants, index))
    }

    /// Lets a tenant in that can be served now. One whose line was empty is due half of its turn
    /// later: before those that were served just now, and not before those that have waited longer.
    /// One that was held up by its cap is due when it was, or now. Neither overtakes one `gathering`
    /// what it needs, who is first.
    pub(super) fn join(&mut self, tenants: &mut Slab<Tenant>, index: u32, gathering: bool) {
        let first = self.first().filter(|_| gathering);
        let earliest = first.map_or(0, |first| due(tenants, first).at);
        self.number += 1;
        let tenant = &mut tenants[index as usize];
        let half = cost(1, tenant.weight) / 2;
        let due = &mut tenant.waited_mut().due;
        let wait = if due.is_held_up { 0 } else { half };
        let at = due.at.max(self.now.saturating_add(wait)).max(earliest);
        *due = Due { at, number: self.number, position: NIL, is_held_up: false };
        self.heap.push(index);
        self.rise(tenants, self.heap.len() - 1);
    }

    /// Lets a tenant out that cannot be served now. With the last one, what was served is settled.
    pub(super) fn leave(&mut self, tenants: &mut Slab<Tenant>, index: u32, is_held_up: bool) {
        let due = &mut tenants[index as usize].waited_mut().due;
        let position = core::mem::replace(&mut due.position, NIL) as usize;
        due.is_held_up = is_held_up;
        let at = due.at;
        self.heap.swap_remove(position);
        if self.heap.is_empty() {
            self.now = self.now.max(at);
        } else if position < self.heap.len() {
            let settled = self.rise(tenants, position);
            self.sink(tenants, settled);
        }
    }

    /// Counts so many connections that a tenant is served.
    pub(super) fn serve(&mut self, tenants: &mut Slab<Tenant>, index: u32, count: u32) {
        mutate!(LoudestTenantIsServed, return);
        self.number += 1;
        let tenant = &mut tenants[index as usize];
        let cost = cost(count, tenant.weight);
        let due = &mut tenant.waited_mut().due;
        self.now = self.now.max(due.at);
        (due.at, due.number) = (due.at.saturating_add(cost), self.number);
        let position = due.position as usize;
        self.sink(tenants, position);
    }

    fn rise(&mut self, tenants: &mut Slab<Tenant>, mut position: usize) -> usize {
        while position > 0 {
            let parent = (position - 1) / 2;
            if rank(tenants, self.heap[parent]) <= rank(tenants, self.heap[position]) {
                break;
            }
            self.heap.swap(parent, position);
            self.settle(tenants, position);
            position = parent;
        }
        self.settle(tenants, position);
        position
    }

    fn sink(&mut self, tenants: &mut Slab<Tenant>, mut position: usize) {
        loop {
            let below = [2 * position + 1, 2 * position + 2].into_iter();
            let below = below.filter(|&below| below < self.heap.len());
            let Some(least) = below.min_by_key(|&below| rank(tenants, self.heap[below])) else {
                break;
            };
            if rank(tenants, self.heap[position]) <= rank(tenants, self.heap[least]) {
                break;
            }
            self.heap.swap(position, least);
            self.settle(tenants, position);
            position = least;
        }
        self.settle(tenants, position);
    }

    /// Tells the tenant at `position` where it stands.
    fn settle(&self, tenants: &mut Slab<Tenant>, position: usize) {
        tenants[self.heap[position] as usize].waited_mut().due.position = position as u32;
    }

    /// Tells whether everybody stands where he says, and after whom he is due after.
    pub(super) fn is_sound(&self, tenants: &Slab<Tenant>) -> bool {
        let stands = |(position, &index): (usize, &u32)| {
            let parent = self.heap[position.saturating_sub(1) / 2];
            due(tenants, index).position as usize == position
                && rank(tenants, parent) <= rank(tenants, index)
        };
        let is_set = |(_, tenant): &(usize, &Tenant)| tenant.rest().is_some_and(|r| r.due.is_set());
        let set = tenants.iter().filter(is_set).count();
        set == self.heap.len() && self.heap.iter().enumerate().all(stands)
    }

    /// For the search of all states: those that can be served, in their order, and how far ahead a
    /// tenant is due, in halves of a turn, as far as that can matter. The weights are 1.
    #[cfg(test)]
    pub(super) fn order(&self, tenants: &Slab<Tenant>) -> Vec<u32> {
        let mut order = self.heap.clone();
        order.sort_by_key(|&index| rank(tenants, index));
        order
    }

    #[cfg(test)]
    pub(super) fn ahead(&self, due: &Due) -> i64 {
        let ahead = (due.at as i64 - self.now as i64) / (TURN as i64 / 2);
        match (due.is_set(), due.is_held_up) {
            (true, _) => ahead,
            (false, true) => ahead.max(0) + 64,
            // Whoever comes to an empty line is due in half a turn at the earliest.
            (false, false) => ahead.max(1),
        }
    }
}

fn rank(tenants: &Slab<Tenant>, index: u32) -> (u64, u64) {
    let due = due(tenants, index);
    (due.at, due.number)
}

fn due(tenants: &Slab<Tenant>, index: u32) -> &Due {
    &tenants[index as usize].waited().due
}
