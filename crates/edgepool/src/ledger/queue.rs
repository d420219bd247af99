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

use alloc::boxed::Box;
use core::num::NonZeroU32;
use core::time::Duration;

use slab::Slab;

use super::keys::TenantKey;
use super::line::Line;
use super::store::Waiter;
use super::tenants::{Fates, Share, Tally};
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

/// The generation of a tenant that no caller comes to any more.
const CLOSED: u32 = 0;
/// That of callers without a tenant, who are found by no key.
const NOBODYS: u32 = 1;

/// What a tenant may have and has.
///
/// Among many tenants none of one's memory is in the processor's caches, and to fetch a line of it
/// takes longer than what is done with it. So what every loan and return looks at is one such line,
/// and the rest is apart.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Tenant {
    /// That of its key, or [`CLOSED`]: then the entry goes with its last loan and waiter.
    generation: u32,
    pub(super) weight: u32,
    max: Option<NonZeroU32>,
    max_waiting: Option<u32>,
    /// How many connections are lent to it or set aside for it, or were lent and did not come back
    /// in time. Nobody's are not counted.
    pub(super) used: u32,
    /// What is counted of each loan. Nobody's are counted with the pool's alone.
    pub(super) tally: Tally,
    /// What there is of callers that are not served at once, from the first of them on.
    rest: Option<Box<Rest>>,
}

const _: () = assert!(size_of::<Tenant>() == 64, "it is more than a line");

/// The callers of a tenant that are not served at once.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    pub(super) line: Line,
    pub(super) due: Due,
    /// How many connections its callers wait for and may have.
    wanted: u64,
    /// What is counted of them.
    pub(super) fates: Fates,
}

impl Tenant {
    fn new(generation: u32, share: Share, now: Time) -> Self {
        let Share { weight, max, max_waiting } = share;
        let max = max.and_then(NonZeroU32::new);
        let tally = Tally::new(now);
        Self { generation, weight, max, max_waiting, used: 0, tally, rest: None }
    }

    pub(super) fn share(&self) -> Share {
        let max = self.max.map(NonZeroU32::get);
        Share { weight: self.weight, max, max_waiting: self.max_waiting }
    }

    /// What there is of its callers that are not served at once, if there was one.
    pub(super) fn rest(&self) -> Option<&Rest> {
        self.rest.as_deref()
    }

    /// As [`rest`](Self::rest), of one whose caller has waited.
    pub(super) fn waited(&self) -> &Rest {
        self.rest.as_deref().expect("a caller of its has waited")
    }

    /// As [`waited`](Self::waited).
    pub(super) fn waited_mut(&mut self) -> &mut Rest {
        self.rest.as_deref_mut().expect("a caller of its has waited")
    }

    /// How many are in its line.
    pub(super) fn waiting(&self) -> u32 {
        self.rest().map_or(0, |rest| rest.line.len())
    }

    /// How many connections they need beyond those that are set aside for them.
    pub(super) fn units(&self) -> u64 {
        self.rest().map_or(0, |rest| rest.line.units())
    }

    /// How many connections it may have beyond those that it has.
    pub(super) fn room(&self) -> u32 {
        self.max.map_or(u32::MAX, |max| max.get().saturating_sub(self.used))
    }

    /// How many connections its callers wait for and may have; none, if the first must wait until
    /// others of its tenant come back.
    fn demand(&self, waiters: &Slab<Waiter>) -> u64 {
        let room = self.room();
        let fits = |first: u32| u32::from(waiters[first as usize].missing()) <= room;
        let first = self.rest().and_then(|rest| rest.line.front(waiters));
        if first.is_some_and(fits) { self.units().min(room.into()) } else { 0 }
    }

    /// Tells whether nobody in its line has to wait for its own leases.
    pub(super) fn has_its_turn(&self) -> bool {
        self.rest().is_none_or(|rest| rest.line.is_empty() || rest.due.is_set())
    }

    const fn is_closed(&self) -> bool {
        self.generation == CLOSED
    }

    fn is_unused(&self) -> bool {
        self.used == 0 && self.waiting() == 0
    }
}

impl Rest {
    fn new(ageing: Option<Duration>) -> Self {
        let (line, due, fates) = (Line::new(ageing), Due::never(), Fates::default());
        Self { line, due, wanted: 0, fates }
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
        tenants.insert(Tenant::new(NOBODYS, Share::new(), Time::ZERO));
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
        self.tenants.iter().filter_map(|(_, tenant)| tenant.rest()).map(|rest| &rest.line)
    }

    /// The waiter that is served next.
    #[inline(always)]
    pub(super) fn front(&self, waiters: &Slab<Waiter>) -> Option<u32> {
        self.first_of(self.turns.first()?, waiters)
    }

    fn first_of(&self, tenant: u32, waiters: &Slab<Waiter>) -> Option<u32> {
        self.tenants[tenant as usize].waited().line.front(waiters)
    }

    /// The waiter that is served if this one lets its turn pass. That was its tenant's turn, so it
    /// is one of the tenant that is next, which may be its own.
    pub(super) fn behind(&self, waiters: &Slab<Waiter>, index: u32) -> Option<u32> {
        let head = self.turns.first()?;
        if head != waiters[index as usize].owner.0 {
            return self.first_of(head, waiters);
        }
        let own = self.tenants[head as usize].waited().line.behind(waiters, index);
        own.or_else(|| self.first_of(self.turns.second(&self.tenants)?, waiters))
    }

    /// How many of its tenant are served before this one, counted up to `limit`.
    pub(super) fn place(&self, waiters: &Slab<Waiter>, index: u32, limit: usize) -> usize {
        self.line_of(waiters, index).place(waiters, index, limit)
    }

    pub(super) fn push(&mut self, waiters: &mut Slab<Waiter>, index: u32) {
        let owner = self.count_in(waiters, index);
        self.rest_mut(owner).line.push(waiters, index);
        self.review(waiters, owner);
    }

    /// Puts a waiter back into its place in its line. Nothing is set aside for it any more.
    pub(super) fn push_again(&mut self, waiters: &mut Slab<Waiter>, index: u32) {
        let owner = self.count_in(waiters, index);
        self.rest_mut(owner).line.push_again(waiters, index);
        self.review(waiters, owner);
    }

    pub(super) fn remove(&mut self, waiters: &mut Slab<Waiter>, index: u32) {
        let Waiter { owner, have, .. } = waiters[index as usize];
        let tenant = &mut self.tenants[owner.0 as usize];
        tenant.waited_mut().line.remove(waiters, index);
        if tenant.waiting() == 0 {
            self.weights -= u64::from(tenant.weight);
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
        tenant.waited_mut().line.supply_one();
        tenant.used += u32::from(!owner.is_nobody());
        owner.0
    }

    #[inline(always)]
    fn count_in(&mut self, waiters: &Slab<Waiter>, index: u32) -> u32 {
        let owner = waiters[index as usize].owner.0;
        let tenant = &self.tenants[owner as usize];
        if tenant.waiting() == 0 {
            self.weights += u64::from(tenant.weight);
        }
        self.len += 1;
        owner
    }

    /// Notes that a waiter in the queue lost what was set aside for it.
    pub(super) fn lack(&mut self, waiters: &Slab<Waiter>, index: u32, lost: u16) {
        let owner = waiters[index as usize].owner;
        self.set_aside -= u32::from(lost);
        self.tenant_mut(owner).waited_mut().line.lack_again(lost);
        self.review(waiters, owner.0);
    }

    fn line_of(&self, waiters: &Slab<Waiter>, index: u32) -> &Line {
        &self.tenants[waiters[index as usize].owner.0 as usize].waited().line
    }

    /// What a tenant's queue is sorted by, the smallest first.
    #[cfg(test)]
    pub(super) fn rank(&self, waiter: &Waiter) -> (u8, Time, u64) {
        self.tenants[waiter.owner.0 as usize].waited().line.rank(waiter)
    }
}

/// Turns.
impl Queue {
    /// Looks whether a tenant can be served, after its line, its share or its use changed.
    #[inline(always)]
    fn review(&mut self, waiters: &Slab<Waiter>, index: u32) {
        let tenant = &mut self.tenants[index as usize];
        let wanted = match tenant.max {
            Some(_) if !mutated!(CapIsIgnored) => tenant.demand(waiters),
            _ => tenant.units(),
        };
        let Some(rest) = &mut tenant.rest else { return };
        self.wanted = self.wanted - rest.wanted + wanted;
        rest.wanted = wanted;
        match (rest.due.is_set(), wanted > 0) {
            (false, true) => self.turns.join(&mut self.tenants, index, self.set_aside > 0),
            (true, false) => {
                let is_held_up = !rest.line.is_empty();
                self.turns.leave(&mut self.tenants, index, is_held_up);
            }
            (false, false) if rest.line.is_empty() => rest.due.is_held_up = false,
            _ => {}
        }
    }
}

/// Tenants.
impl Queue {
    pub(super) fn open(&mut self, share: Share, now: Time) -> TenantKey {
        self.generation = self.generation.wrapping_add(1).max(CLOSED + 1);
        let tenant = Tenant::new(self.generation, share, now);
        let index = u32::try_from(self.tenants.insert(tenant));
        let index = index.expect("a pool has fewer than 2^32 tenants");
        TenantKey { index, generation: self.generation }
    }

    /// Looks a tenant up by its key; `None` if the key is stale.
    pub(super) fn find(&self, key: TenantKey) -> Option<Owner> {
        let tenant = self.tenants.get(key.index as usize)?;
        let is_live = tenant.generation == key.generation && !tenant.is_closed();
        (is_live && key.index != Owner::NOBODY.0).then_some(Owner(key.index))
    }

    pub(super) fn tenant(&self, owner: Owner) -> &Tenant {
        &self.tenants[owner.0 as usize]
    }

    pub(super) fn tenant_mut(&mut self, owner: Owner) -> &mut Tenant {
        &mut self.tenants[owner.0 as usize]
    }

    /// What there is of a tenant's callers that are not served at once.
    pub(super) fn rest_mut(&mut self, owner: u32) -> &mut Rest {
        let ageing = self.ageing;
        let rest = &mut self.tenants[owner as usize].rest;
        rest.get_or_insert_with(|| Box::new(Rest::new(ageing)))
    }

    pub(super) fn set_share(&mut self, waiters: &Slab<Waiter>, owner: Owner, share: Share) {
        let tenant = self.tenant_mut(owner);
        let old = core::mem::replace(&mut tenant.weight, share.weight);
        tenant.max = share.max.and_then(NonZeroU32::new);
        tenant.max_waiting = share.max_waiting;
        if tenant.waiting() > 0 {
            self.weights = self.weights - u64::from(old) + u64::from(share.weight);
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
        self.tenant_mut(owner).generation = CLOSED;
        self.forget_if_over(owner.0);
    }

    fn forget_if_over(&mut self, index: u32) {
        let tenant = &self.tenants[index as usize];
        if tenant.is_closed() && tenant.is_unused() {
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
        let weight = u64::from(tenant.weight);
        let all = if tenant.waiting() == 0 { self.weights + weight } else { self.weights };
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
            if tenant.is_closed() && tenant.is_unused() {
                return Some("a closed tenant is still there");
            }
            let Some(rest) = tenant.rest() else { continue };
            if rest.wanted != tenant.demand(waiters) {
                return Some("a tenant wants what it may not have, or the other way round");
            }
            if rest.due.is_set() != (rest.wanted > 0) {
                return Some("not just those have turns who can be served");
            }
            if !rest.line.is_empty() {
                weights += u64::from(tenant.weight);
            }
            wanted += rest.wanted;
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
        let never = Due::never();
        for (index, tenant) in &self.tenants {
            let Share { weight, max, max_waiting } = tenant.share();
            let [max, max_waiting] =
                [max, max_waiting].map(|most| most.map_or(u8::MAX, |most| most as u8));
            let closing = u8::from(tenant.is_closed());
            let due = tenant.rest().map_or(&never, |rest| &rest.due);
            let ahead = u8::try_from(self.turns.ahead(due) + 128).expect("it is near");
            form.extend([index as u8, weight as u8, max, max_waiting, closing, ahead]);
        }
        form.push(u8::MAX);
        form.extend(self.turns.order(&self.tenants).iter().map(|&index| index as u8));
        form.push(u8::MAX);
        form
    }
}
