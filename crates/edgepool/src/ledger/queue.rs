//! Who is next: tenants that are served in turn, each with a [`Line`] of its own.
//!
//! The order is that of start-time fair queueing (Goyal, Vin and Cheng, "Start-time Fair Queuing",
//! SIGCOMM 1996): each tenant has a time, counted in [turns](super::turns), at which it is due, and
//! the one that is due first is served. A deficit round robin would need no heap, but it serves a
//! large weight in one run, and a tenant that comes and goes with its cap loses its place with each
//! lease that comes back: of two that weigh 100 in a pool of four, one with a cap of two would have
//! a fiftieth of what is served, and not half.
//!
//! Only those tenants have a turn that can be served: somebody is in their line, and the first there
//! fits under their cap.

use core::time::Duration;

use slab::Slab;

use super::keys::TenantKey;
use super::line::Line;
use super::store::Waiter;
use super::tenants::{Share, Tally};
use super::turns::{Due, Turns};
use crate::Time;

/// Whose a wait or a loan is, by the index of the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner(pub(super) u32);

impl Owner {
    /// Callers without a tenant, which are served as one that has the weight 1 and no caps.
    pub(super) const NOBODY: Self = Self(0);

    pub(super) const fn is_nobody(self) -> bool {
        self.0 == Self::NOBODY.0
    }
}

/// A tenant's line, and what it may have and has.
#[derive(Clone, Debug)]
pub(super) struct Tenant {
    generation: u32,
    pub(super) share: Share,
    pub(super) line: Line,
    pub(super) due: Due,
    /// No caller comes any more: the entry goes with its last loan and waiter.
    closing: bool,
    /// How many connections are lent to it or set aside for it, or were lent and did not come back
    /// in time. Nobody's are not counted.
    pub(super) used: u32,
    /// How many connections its callers wait for and may have.
    wanted: u64,
    pub(super) tally: Tally,
}

impl Tenant {
    fn new(generation: u32, share: Share, ageing: Option<Duration>, now: Time) -> Self {
        Self {
            generation,
            share,
            line: Line::new(ageing),
            due: Due::never(),
            closing: false,
            used: 0,
            wanted: 0,
            tally: Tally::new(now),
        }
    }

    /// How many connections it may have beyond those that it has.
    pub(super) fn room(&self) -> u32 {
        self.share.max.map_or(u32::MAX, |max| max.saturating_sub(self.used))
    }

    /// How many connections its callers wait for and may have; none, if the first must wait until
    /// others of its tenant come back.
    fn demand(&self, waiters: &Slab<Waiter>) -> u64 {
        let room = self.room();
        let fits = |first: u32| u32::from(waiters[first as usize].missing()) <= room;
        match self.line.front(waiters).is_some_and(fits) {
            true => self.line.units().min(room.into()),
            false => 0,
        }
    }

    /// Tells whether nobody in its line has to wait for its own leases.
    pub(super) fn has_its_turn(&self) -> bool {
        self.line.is_empty() || self.due.is_set()
    }

    fn is_unused(&self) -> bool {
        self.used == 0 && self.line.is_empty()
    }
}

/// The waiters that do not have what they need yet.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) tenants: Slab<Tenant>,
    /// The tenants that can be served.
    turns: Turns,
    len: u32,
    /// The sum of what the tenants want.
    wanted: u64,
    /// How many are set aside for waiters in lines.
    set_aside: u32,
    /// The weights of the tenants that have somebody in their line.
    weights: u64,
    generation: u32,
    /// How many tenants have gone since memory was given back.
    gone: usize,
    ageing: Option<Duration>,
}

/// Callers.
impl Queue {
    pub(super) fn new(ageing: Option<Duration>) -> Self {
        let mut tenants = Slab::new();
        tenants.insert(Tenant::new(0, Share::new(), ageing, Time::ZERO));
        let turns = Turns::default();
        let (len, wanted, set_aside, weights, generation, gone) = (0, 0, 0, 0, 0, 0);
        Self { tenants, turns, len, wanted, set_aside, weights, generation, gone, ageing }
    }

    /// How many are in all lines.
    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// Tells whether nobody is there who could be served.
    #[inline(always)]
    pub(super) const fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// How many connections are missing for those who could be served.
    pub(super) const fn units(&self) -> u64 {
        self.wanted
    }

    pub(super) const fn set_aside(&self) -> u32 {
        self.set_aside
    }

    /// Every line.
    pub(super) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.tenants.iter().map(|(_, tenant)| &tenant.line)
    }

    /// The waiter that is served next.
    #[inline(always)]
    pub(super) fn front(&self, waiters: &Slab<Waiter>) -> Option<u32> {
        self.first_of(self.turns.first()?, waiters)
    }

    fn first_of(&self, tenant: u32, waiters: &Slab<Waiter>) -> Option<u32> {
        self.tenants[tenant as usize].line.front(waiters)
    }

    /// The waiter that is served if this one lets its turn pass. That was its tenant's turn, so it
    /// is one of the tenant that is next, which may be its own.
    pub(super) fn behind(&self, waiters: &Slab<Waiter>, index: u32) -> Option<u32> {
        let head = self.turns.first()?;
        if head != waiters[index as usize].owner.0 {
            return self.first_of(head, waiters);
        }
        let own = self.tenants[head as usize].line.behind(waiters, index);
        own.or_else(|| self.first_of(self.turns.second(&self.tenants)?, waiters))
    }

    /// How many of its tenant are served before this one, counted up to `limit`.
    pub(super) fn place(&self, waiters: &Slab<Waiter>, index: u32, limit: usize) -> usize {
        self.line_of(waiters, index).place(waiters, index, limit)
    }

    pub(super) fn push(&mut self, waiters: &mut Slab<Waiter>, index: u32) {
        let owner = self.count_in(waiters, index);
        self.tenants[owner as usize].line.push(waiters, index);
        self.review(waiters, owner);
    }

    /// Puts a waiter back into its place in its line. Nothing is set aside for it any more.
    pub(super) fn push_again(&mut self, waiters: &mut Slab<Waiter>, index: u32) {
        let owner = self.count_in(waiters, index);
        self.tenants[owner as usize].line.push_again(waiters, index);
        self.review(waiters, owner);
    }

    pub(super) fn remove(&mut self, waiters: &mut Slab<Waiter>, index: u32) {
        let Waiter { owner, have, .. } = waiters[index as usize];
        let tenant = &mut self.tenants[owner.0 as usize];
        tenant.line.remove(waiters, index);
        if tenant.line.is_empty() {
            self.weights -= u64::from(tenant.share.weight);
        }
        self.len -= 1;
        self.set_aside -= u32::from(have);
        self.review(waiters, owner.0);
        self.forget_if_over(owner.0);
    }

    /// Notes that one was set aside for a waiter in the queue.
    pub(super) fn supply(&mut self, waiters: &Slab<Waiter>, index: u32) {
        let owner = self.supply_unreviewed(waiters, index);
        self.review(waiters, owner);
    }

    /// Takes a waiter out of the queue for which the last that it needs was set aside; that costs
    /// its tenant as many turns as it needs.
    pub(super) fn serve(&mut self, waiters: &mut Slab<Waiter>, index: u32) {
        let owner = self.supply_unreviewed(waiters, index);
        self.turns.serve(&mut self.tenants, owner, waiters[index as usize].need.into());
        self.remove(waiters, index);
    }

    #[inline(always)]
    fn supply_unreviewed(&mut self, waiters: &Slab<Waiter>, index: u32) -> u32 {
        let owner = waiters[index as usize].owner;
        self.set_aside += 1;
        let tenant = &mut self.tenants[owner.0 as usize];
        tenant.line.supply_one();
        tenant.used += u32::from(!owner.is_nobody());
        owner.0
    }

    #[inline(always)]
    fn count_in(&mut self, waiters: &Slab<Waiter>, index: u32) -> u32 {
        let owner = waiters[index as usize].owner.0;
        let tenant = &self.tenants[owner as usize];
        if tenant.line.is_empty() {
            self.weights += u64::from(tenant.share.weight);
        }
        self.len += 1;
        owner
    }

    /// Notes that a waiter in the queue lost what was set aside for it.
    pub(super) fn lack(&mut self, waiters: &Slab<Waiter>, index: u32, lost: u16) {
        let owner = waiters[index as usize].owner;
        self.set_aside -= u32::from(lost);
        self.tenants[owner.0 as usize].line.lack_again(lost);
        self.review(waiters, owner.0);
    }

    fn line_of(&self, waiters: &Slab<Waiter>, index: u32) -> &Line {
        &self.tenants[waiters[index as usize].owner.0 as usize].line
    }

    /// What a tenant's queue is sorted by, the smallest first.
    #[cfg(test)]
    pub(super) fn rank(&self, waiter: &Waiter) -> (u8, Time, u64) {
        self.tenants[waiter.owner.0 as usize].line.rank(waiter)
    }
}

/// Turns.
impl Queue {
    /// Looks whether a tenant can be served, after its line, its share or its use changed.
    #[inline(always)]
    fn review(&mut self, waiters: &Slab<Waiter>, index: u32) {
        let tenant = &mut self.tenants[index as usize];
        let wanted = match tenant.share.max {
            None => tenant.line.units(),
            Some(_) if mutated!(CapIsIgnored) => tenant.line.units(),
            Some(_) => tenant.demand(waiters),
        };
        self.wanted = self.wanted - tenant.wanted + wanted;
        tenant.wanted = wanted;
        match (tenant.due.is_set(), wanted > 0) {
            (false, true) => self.turns.join(&mut self.tenants, index, self.set_aside > 0),
            (true, false) => {
                let is_held_up = !tenant.line.is_empty();
                self.turns.leave(&mut self.tenants, index, is_held_up);
            }
            (false, false) if tenant.line.is_empty() => tenant.due.is_held_up = false,
            _ => {}
        }
    }
}

/// Tenants.
impl Queue {
    pub(super) fn open(&mut self, share: Share, now: Time) -> TenantKey {
        self.generation = self.generation.wrapping_add(1);
        let tenant = Tenant::new(self.generation, share, self.ageing, now);
        let index = u32::try_from(self.tenants.insert(tenant));
        let index = index.expect("a pool has fewer than 2^32 tenants");
        TenantKey { index, generation: self.generation }
    }

    /// Looks a tenant up by its key; `None` if the key is stale.
    pub(super) fn find(&self, key: TenantKey) -> Option<Owner> {
        let tenant = self.tenants.get(key.index as usize)?;
        let is_live = tenant.generation == key.generation && !tenant.closing;
        (is_live && key.index != Owner::NOBODY.0).then_some(Owner(key.index))
    }

    pub(super) fn tenant(&self, owner: Owner) -> &Tenant {
        &self.tenants[owner.0 as usize]
    }

    pub(super) fn tenant_mut(&mut self, owner: Owner) -> &mut Tenant {
        &mut self.tenants[owner.0 as usize]
    }

    pub(super) fn set_share(&mut self, waiters: &Slab<Waiter>, owner: Owner, share: Share) {
        let tenant = self.tenant_mut(owner);
        let old = core::mem::replace(&mut tenant.share, share);
        if !tenant.line.is_empty() {
            self.weights = self.weights - u64::from(old.weight) + u64::from(share.weight);
        }
        self.review(waiters, owner.0);
    }

    /// Notes that a tenant was lent one directly.
    pub(super) fn begin_use(&mut self, waiters: &Slab<Waiter>, owner: Owner) {
        self.tenant_mut(owner).used += 1;
        self.review(waiters, owner.0);
    }

    /// Notes that a tenant has so many connections no more.
    pub(super) fn end_uses(&mut self, waiters: &Slab<Waiter>, owner: Owner, count: u32) {
        self.tenant_mut(owner).used -= count;
        self.review(waiters, owner.0);
        self.forget_if_over(owner.0);
    }

    /// Lets nobody of this tenant come any more.
    pub(super) fn close(&mut self, owner: Owner) {
        self.tenant_mut(owner).closing = true;
        self.forget_if_over(owner.0);
    }

    fn forget_if_over(&mut self, index: u32) {
        let tenant = &self.tenants[index as usize];
        if tenant.closing && tenant.is_unused() {
            self.tenants.remove(index as usize);
            // It may look at all entries, so it waits until as many have gone as are left.
            self.gone += 1;
            if self.gone >= self.tenants.len() {
                self.gone = 0;
                self.tenants.shrink_to_fit();
            }
        }
    }

    /// How many callers this tenant may have among `max_waiting`, by its weight beside those of all
    /// who wait: at least one.
    pub(super) fn share_of(&self, owner: Owner, max_waiting: u32) -> u64 {
        let tenant = self.tenant(owner);
        let weight = u64::from(tenant.share.weight);
        let all = if tenant.line.is_empty() { self.weights + weight } else { self.weights };
        ((u128::from(max_waiting) * u128::from(weight) / u128::from(all)) as u64).max(1)
    }
}

/// What the invariants look at.
impl Queue {
    /// Tells what is wrong with the books of the tenants, if anything; `uses` tells how many
    /// connections each has.
    pub(super) fn fault(
        &self,
        waiters: &Slab<Waiter>,
        uses: impl Fn(Owner) -> u32,
    ) -> Option<&'static str> {
        let mut weights = 0;
        let mut wanted = 0;
        for (index, tenant) in &self.tenants {
            let owner = Owner(index as u32);
            if !owner.is_nobody() && tenant.used != uses(owner) {
                return Some("a tenant's use is not what is lent to it and set aside for it");
            }
            if tenant.closing && tenant.is_unused() {
                return Some("a closed tenant is still there");
            }
            if tenant.wanted != tenant.demand(waiters) {
                return Some("a tenant wants what it may not have, or the other way round");
            }
            if tenant.due.is_set() != (tenant.wanted > 0) {
                return Some("not just those have turns who can be served");
            }
            if !tenant.line.is_empty() {
                weights += u64::from(tenant.share.weight);
            }
            wanted += tenant.wanted;
        }
        if !self.turns.is_sound(&self.tenants) {
            return Some("the order of turns is not whole");
        }
        (weights != self.weights || wanted != self.wanted).then_some("the sums do not add up")
    }
}

/// For the search of all states.
#[cfg(test)]
impl Queue {
    /// Tells what matters of shares and turns: nothing, if there are no tenants.
    pub(super) fn form(&self) -> alloc::vec::Vec<u8> {
        let mut form = alloc::vec::Vec::new();
        if self.tenants.len() == 1 {
            return form;
        }
        for (index, tenant) in &self.tenants {
            let Share { weight, max, max_waiting } = tenant.share;
            let [max, max_waiting] =
                [max, max_waiting].map(|most| most.map_or(u8::MAX, |most| most as u8));
            let closing = u8::from(tenant.closing);
            let ahead = u8::try_from(self.turns.ahead(&tenant.due) + 128).expect("it is near");
            form.extend([index as u8, weight as u8, max, max_waiting, closing, ahead]);
        }
        form.push(u8::MAX);
        form.extend(self.turns.order(&self.tenants).iter().map(|&index| index as u8));
        form.push(u8::MAX);
        form
    }
}
