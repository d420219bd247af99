//! Tenants: who each caller belongs to, whose turn it is, and what each may use.
//!
//! Everything follows from who waits and who holds what; when each tenant is due, and in which order
//! those came who are due together, is all that is remembered.

use std::cmp::Reverse;

use edgepool::Time;
use edgepool::ledger::{End, Share, TenantKey, TenantStats};

use super::{Model, Waiter, WaiterState};

/// The tenant of those who name none.
pub(crate) const NOBODY: u64 = 0;

#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    pub(crate) key: Option<TenantKey>,
    pub(crate) share: Share,
    /// Whether callers may come.
    open: bool,
    /// When it is due, in parts of a turn, and its number among those who are due together.
    due: (u64, u64),
    /// It had somebody in its line when it could be served no more.
    is_held_up: bool,
    /// What is counted of it.
    counts: TenantStats,
}

impl Tenant {
    fn new(share: Share, now: Time) -> Self {
        let counts = TenantStats { opened_at: now, last_active: now, ..TenantStats::default() };
        Self { key: None, share, open: true, due: (0, 0), is_held_up: false, counts }
    }

    pub(super) fn nobody() -> Self {
        Self::new(Share::new(), Time::ZERO)
    }
}

/// What is done to tenants.
impl Model {
    pub(crate) fn allows(share: Share) -> bool {
        (1..=1_000_000).contains(&share.weight) && share.max != Some(0)
    }

    /// Returns none if no tenant can have that share.
    pub(crate) fn open_tenant(&mut self, share: Share) -> Option<u64> {
        Self::allows(share).then(|| {
            self.opened += 1;
            self.tenants.insert(self.opened, Tenant::new(share, self.now));
            self.opened
        })
    }

    /// The tenant with this key, unless it is closed.
    pub(crate) fn find_tenant(&self, key: TenantKey) -> Option<u64> {
        let is_it = |tenant: &Tenant| tenant.open && tenant.key == Some(key);
        self.tenants.iter().find(|(_, tenant)| is_it(tenant)).map(|(&id, _)| id)
    }

    /// As `find_tenant`, for what counts a key that is stale.
    pub(crate) fn use_tenant(&mut self, key: TenantKey) -> Option<u64> {
        let id = self.find_tenant(key);
        self.counters.stale += u64::from(id.is_none());
        id
    }

    pub(crate) fn set_share(&mut self, id: u64, share: Share) {
        let was_first = self.first();
        self.tenant(id).share = share;
        // One whose first needs too much from now on has no turn until that wait has ended.
        self.settle();
        self.end_those_that_need_more();
        self.settle();
        self.pass_on_gathered(was_first);
        self.serve();
    }

    /// Tells how many. It begins at the end of the line, and those who are offered something are
    /// last, so that nothing is offered to one whose wait ends next.
    pub(crate) fn end_waits(&mut self, id: u64) -> usize {
        let mut pending: Vec<u64> = self.pending_of(id).collect();
        pending.sort_by_key(|waiter| {
            let is_offered = self.waiters[waiter].state == WaiterState::Offered;
            (is_offered, Reverse(self.rank(*waiter)))
        });
        pending.iter().for_each(|&waiter| self.end(waiter, End::Removed));
        pending.len()
    }

    pub(crate) fn close_tenant(&mut self, id: u64) {
        self.tenant(id).open = false;
    }

    /// A closed tenant goes with its last lease and its last waiter.
    fn forget_tenants(&mut self) {
        let over = |id: u64| self.used(id) == 0 && self.pending_of(id).next().is_none();
        let ids = self.tenants.iter().filter(|(_, tenant)| !tenant.open);
        let over: Vec<u64> = ids.map(|(&id, _)| id).filter(|&id| over(id)).collect();
        self.tenants.retain(|id, _| !over.contains(id));
    }
}

/// What can be asked of it.
impl Model {
    pub(super) fn tenant(&mut self, id: u64) -> &mut Tenant {
        self.tenants.get_mut(&id).unwrap()
    }

    /// What is counted of a tenant, to be changed: something of its happened.
    pub(super) fn counts_of(&mut self, id: u64) -> &mut TenantStats {
        let now = self.now;
        let counts = &mut self.tenant(id).counts;
        counts.last_active = now;
        counts
    }

    /// Who of a tenant waits or is offered what it needs.
    fn pending_of(&self, id: u64) -> impl Iterator<Item = u64> {
        let pending = move |waiter: &Waiter| {
            waiter.tenant == id && !matches!(waiter.state, WaiterState::Ended(_))
        };
        self.waiters.iter().filter(move |(_, waiter)| pending(waiter)).map(|(&id, _)| id)
    }

    /// How a tenant stands.
    pub(crate) fn stats(&self, id: u64) -> TenantStats {
        let Tenant { share, counts, .. } = self.tenants[&id];
        TenantStats { share, in_use: self.used(id), waiting: self.line(id).len() as u32, ..counts }
    }

    /// How many places a tenant has: offered, lent, or lent for too long.
    pub(crate) fn used(&self, id: u64) -> u32 {
        self.slots.values().filter(|slot| slot.tenant == Some(id)).count() as u32
    }

    /// How many more places it may have.
    pub(super) fn room(&self, id: u64) -> usize {
        let max = self.tenants[&id].share.max.unwrap_or(u32::MAX);
        max.saturating_sub(self.used(id)) as usize
    }

    /// A tenant's line: who is queued, the next to be served first.
    pub(crate) fn line(&self, id: u64) -> Vec<u64> {
        let mut line = self.queued();
        line.retain(|waiter| self.waiters[waiter].tenant == id);
        line
    }

    /// A tenant has turns if the first in its line may have all that it lacks.
    fn has_turns(&self, id: u64) -> bool {
        let first = self.line(id).first().map(|first| self.waiters[first].missing());
        first.is_some_and(|missing| missing <= self.room(id))
    }

    /// Who is served next.
    pub(crate) fn first(&self) -> Option<u64> {
        self.line(*self.ring.first()?).first().copied()
    }

    /// How many connections could be lent to those who wait.
    pub(super) fn units(&self) -> usize {
        let lacks = |id: u64| self.line(id).iter().map(|id| self.waiters[id].missing()).sum();
        self.ring.iter().map(|&id| usize::min(lacks(id), self.room(id))).sum()
    }

    /// Who is next if the waiter and those before it in its class were not there, if one more is
    /// all that it needs.
    pub(super) fn behind(&self, waiter: u64) -> Option<u64> {
        let own = self.waiters[&waiter].tenant;
        let head = *self.ring.first()?;
        let first_of = |id: u64| self.line(id).first().copied();
        let next = match head == own {
            false => first_of(head),
            true => {
                let next = self.ring.get(1).and_then(|&next| first_of(next));
                self.behind_in_line(waiter).or(next)
            }
        }?;
        (self.waiters[&next].missing() == 1).then_some(next)
    }

    fn behind_in_line(&self, waiter: u64) -> Option<u64> {
        let Waiter { priority: class, tenant, state, .. } = self.waiters[&waiter];
        let counts = |id: &u64| match self.waiters[id].priority == class {
            true => state == WaiterState::Queued && *id > waiter,
            false => true,
        };
        self.line(tenant).into_iter().find(counts)
    }

    /// A tenant may be let in beyond the pool's limit for as long as fewer of it are queued than
    /// its share.
    pub(super) fn is_below_its_share(&self, id: u64) -> bool {
        let queued = self.line(id).len() as u64;
        let weight = |id: u64| u64::from(self.tenants[&id].share.weight);
        let others =
            self.tenants.keys().filter(|&&other| other == id || !self.line(other).is_empty());
        let all: u64 = others.map(|&id| weight(id)).sum();
        let max_waiting = u64::from(self.options.max_waiting);
        queued < (max_waiting * weight(id) / all).max(1)
            && (self.queued().len() as u64) < 2 * max_waiting
    }

    /// Whether nobody in a tenant's line waits for what the tenant itself has.
    fn is_let(&self, id: u64) -> bool {
        self.line(id).is_empty() || self.has_turns(id)
    }

    /// Whether the tenant may have what is in its line and so many more.
    pub(super) fn may_have(&self, id: u64, need: usize) -> bool {
        let lacks: usize = self.line(id).iter().map(|id| self.waiters[id].missing()).sum();
        self.is_let(id) && lacks + need <= self.room(id)
    }

    /// Whether more of a tenant are queued than it may have.
    pub(super) fn is_line_full(&self, id: u64, is_made: bool, coming: u64) -> bool {
        let Some(max_waiting) = self.tenants[&id].share.max_waiting else { return false };
        let own = if self.is_let(id) { self.room(id) as u64 } else { 0 };
        let places = u64::from(max_waiting) + coming.min(own);
        !is_made && self.line(id).len() as u64 >= places
    }
}

/// Turns.
impl Model {
    /// Has the ring hold those that have turns, who is due first before the others.
    pub(super) fn settle(&mut self) {
        let ids: Vec<u64> = self.tenants.keys().copied().collect();
        let (with, without): (Vec<u64>, Vec<u64>) =
            ids.into_iter().partition(|&id| self.has_turns(id));
        for id in without {
            if self.ring.contains(&id) {
                self.ring.retain(|other| *other != id);
                self.tenant(id).is_held_up = true;
                if self.ring.is_empty() {
                    self.turn = self.turn.max(self.tenants[&id].due.0);
                }
            }
        }
        for id in self.tenants.keys().copied().collect::<Vec<_>>() {
            if self.line(id).is_empty() {
                self.tenant(id).is_held_up = false;
            }
        }
        let gathers = self.queued().iter().any(|id| !self.waiters[id].have.is_empty());
        for id in with {
            if !self.ring.contains(&id) {
                let gathering = self.ring.first().filter(|_| gathers);
                let first = gathering.map_or(0, |first| self.tenants[first].due.0);
                let (turn, number) = (self.turn, self.next_number());
                let tenant = self.tenant(id);
                let half = (1 << 20) / u64::from(tenant.share.weight) / 2;
                let earliest = if tenant.is_held_up { turn } else { turn + half };
                tenant.due = (tenant.due.0.max(earliest).max(first), number);
                tenant.is_held_up = false;
                self.ring.push(id);
                self.has_more = true;
            }
        }
        self.sort_ring();
    }

    fn sort_ring(&mut self) {
        let Self { ring, tenants, .. } = self;
        ring.sort_by_key(|id| tenants[id].due);
    }

    fn next_number(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// All that a waiter needs is there.
    pub(super) fn charge(&mut self, waiter: u64) {
        let Waiter { tenant, need, .. } = self.waiters[&waiter];
        let number = self.next_number();
        let tenant = self.tenant(tenant);
        let (due, weight) = (tenant.due.0, u64::from(tenant.share.weight));
        tenant.due = (due + (need as u64 * (1 << 20) / weight).max(1), number);
        self.turn = self.turn.max(due);
        self.sort_ring();
    }

    /// Places are their tenants' no more.
    pub(super) fn let_go(&mut self, slots: &[u64]) {
        for id in slots {
            let tenant = self.slot(*id).tenant.take();
            self.has_more |= tenant.is_some_and(|tenant| tenant != NOBODY);
        }
        self.settle();
    }

    /// Serves those who may have more than before, and forgets the tenants that are gone.
    pub(crate) fn come_to_rest(&mut self) {
        while std::mem::take(&mut self.has_more) {
            self.serve();
        }
        self.forget_tenants();
    }
}
