//! Which tenants have a pool, and how large it may be: a pure state machine.
//!
//! It is told who comes and goes, what time it is, and what has become of what it asked for; it asks
//! for pools to be opened, resized and closed ([`Effect`]), and knows nothing of pools, ids or
//! wakers. Every operation is O(1), and O(log n) where a budget is short; one that ends many
//! tenants takes as long as there are such.
//!
//! A tenant's callers are *outside* while it has no pool that takes them in, and *inside* from then
//! on until their lease is back. Those who wait outside as the pool opens are inside at once,
//! whenever they look, so none of them can lose its turn to the next eviction. A tenant is *idle* if
//! it has a pool and no callers.
//!
//! A caller inside *holds* once it has a connection. Whoever else is inside as a pool has closed,
//! because its tenant was removed, only has to be told so. It may never come to look, so nobody waits
//! for it: pools are numbered, and a caller of one that is gone leaves without a trace.
//!
//! # Who makes room
//!
//! Tenants without a place stand in a line, in the order in which they came. While it is longer than
//! there are pools closing with nobody inside, the tenant goes that has been idle for the longest. If
//! none is, and the line is longer than there are pools on their way out, the one goes whose last
//! caller came the longest ago. It takes no more callers in: they wait outside, for its next pool,
//! while those inside are served; then it closes. As that may take long, it is no reason for an idle
//! one to stay.
//!
//! # The budget
//!
//! A tenant's *grant* is how many connections its pool is to have, its *bound* how many it may have
//! by now. Grants change at once, and their sum is at most the budget. A bound goes down as the pool
//! is resized, and up while the sum of what may be there, bounds and what is held beyond them, is
//! below the budget. So whom a connection is taken from is decided once, and nobody has it before
//! it is gone. A pool on its way out has no grant. Its bound goes down to what those inside may use,
//! and to nothing once it is closed: then it uses what it holds.
//!
//! # Invariants
//!
//! 1. A tenant is in the line, or among the idle, or among the busy, or in none of these, as its
//!    life and its callers say; each list is in the order of its tenants' times.
//! 2. `placed`, `leaving` and `empty` count the tenants with a place, those on their way out, and of
//!    these those with nobody inside.
//! 3. The sums of grants and of charges are what the tenants have; that of grants is at most the
//!    budget.
//! 4. Grants beyond 1, those below what is wanted, and those above it are sorted, each once.
//! 5. Without an effect under way: nobody in the line has room, and nobody who wants more could have
//!    it.

mod budget;
mod callers;
mod check;
mod lives;
mod tenant;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use slab::Slab;

use crate::Time;
use crate::ledger::list::List;
use tenant::Tenant;

/// Names a tenant as long as it has an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    /// Its place in arrays beside the roster, from 0; reused.
    pub(super) index: u32,
    generation: u32,
}

/// What holds for all tenants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The most pools at once.
    pub(super) places: u32,
    /// The most connections of all pools.
    pub(super) budget: Option<u32>,
    /// How long a tenant is idle before its pool goes.
    pub(super) idle_timeout: Option<Duration>,
    /// The most callers outside, but for those whose tenants get a place at once.
    pub(super) max_waiting: u32,
}

/// What holds for one tenant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// The most connections that its pool may have; at least 1.
    pub(super) cap: u32,
    /// What its grant counts beside those of others; at least 1.
    pub(super) weight: u32,
}

/// What is to be done about a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Make its pool, of the size that [`Roster::size`] tells.
    Open(Key),
    /// Make its pool as large as [`Roster::begin_resize`] tells.
    Resize(Key),
    /// Close its pool: what is idle at once, what is out as it comes back.
    Close(Key),
    /// Wake those who waited outside, to be told how their wait has ended.
    Wake(Key),
    /// Forget it, if [`Roster::forget`] still says so.
    Gone(Key),
}

/// Where a caller is that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    Inside,
    /// With the number of the group that it waits in.
    Outside(u32),
}

/// Why a caller is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    Closed,
}

/// Why callers outside wait no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// They are inside.
    Admitted,
    Removed,
    Failed,
    Closed,
}

/// In which part of its life a tenant's pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It has none, and stands in no line: what it has left is on its way.
    Out,
    InLine,
    /// It has a place. Its pool is being made, once its bound is above 0.
    Opening,
    Open,
    /// It closes when those inside are gone.
    Leaving,
    Closing,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Roster {
    limits: Limits,
    now: Time,
    closed: bool,
    tenants: Slab<Tenant>,
    generation: u32,
    /// Those that want a place, in the order in which they came.
    line: List,
    /// Those with a pool and no caller, in the order in which their last one went.
    idle: List,
    /// Those with a pool and callers, in the order in which their last one came or went.
    busy: List,
    placed: u32,
    leaving: u32,
    empty: u32,
    outside: u32,
    granted: u64,
    charged: u64,
    /// Those that want more, the poorest first.
    hungry: BTreeSet<(u64, u32)>,
    /// Those that have several connections, the richest last.
    several: BTreeSet<(u64, u32)>,
    /// Those that have more than they want, in the order in which that came to be.
    surplus: BTreeSet<(u64, u32)>,
    stamp: u64,
    /// Those whose bound is to go up.
    raising: VecDeque<Key>,
    effects: VecDeque<Effect>,
}

impl Roster {
    pub(super) const fn new(limits: Limits) -> Self {
        Self {
            limits,
            now: Time::ZERO,
            closed: false,
            tenants: Slab::new(),
            generation: 0,
            line: List::new(),
            idle: List::new(),
            busy: List::new(),
            placed: 0,
            leaving: 0,
            empty: 0,
            outside: 0,
            granted: 0,
            charged: 0,
            hungry: BTreeSet::new(),
            several: BTreeSet::new(),
            surplus: BTreeSet::new(),
            stamp: 0,
            raising: VecDeque::new(),
            effects: VecDeque::new(),
        }
    }

    /// Takes the next thing to be done.
    pub(super) fn poll_effect(&mut self) -> Option<Effect> {
        let effect = self.effects.pop_front();
        if effect.is_none() && self.tenants.is_empty() {
            self.effects = VecDeque::new();
        }
        effect
    }
}

/// What has become of effects.
impl Roster {
    /// Tells how large a pool is to be that is opened.
    pub(super) fn size(&self, key: Key) -> u32 {
        self.index(key).map_or(0, |index| self.tenants[index as usize].purse.bound)
    }

    /// Takes note that a tenant's pool is there, of the size that it was to have.
    pub(super) fn opened(&mut self, now: Time, key: Key) {
        self.advance(now);
        let index = self.index(key).expect("a tenant's entry stays while its pool is made");
        let tenant = &mut self.tenants[index as usize];
        debug_assert_eq!(tenant.life, Life::Opening);
        tenant.life = Life::Open;
        tenant.purse.set = tenant.purse.bound;
        if std::mem::take(&mut tenant.doomed) {
            self.begin_closing(index);
        } else {
            tenant.inside = tenant.outside;
            self.call(index, Call::Admitted);
            self.touch(index);
            self.resize(index);
        }
        self.settle();
    }

    /// Takes note that a tenant's pool could not be made.
    pub(super) fn failed(&mut self, now: Time, key: Key) {
        self.advance(now);
        let index = self.index(key).expect("a tenant's entry stays while its pool is made");
        self.tenants[index as usize].doomed = false;
        self.call(index, Call::Failed);
        self.vacate(index);
        self.settle();
    }

    /// Removes a tenant's entry, unless somebody has come meanwhile.
    pub(super) fn forget(&mut self, key: Key) -> bool {
        let over = self.index(key).filter(|&index| self.tenants[index as usize].is_over());
        if let Some(index) = over {
            self.tenants.remove(index as usize);
            if self.tenants.is_empty() {
                self.shrink();
            }
        }
        over.is_some()
    }

    /// Takes note that a tenant's pool makes nothing any more, as it is being closed.
    pub(super) fn closing(&mut self, now: Time, key: Key) {
        self.advance(now);
        let Some(index) = self.index(key) else { return };
        let tenant = &mut self.tenants[index as usize];
        if tenant.life == Life::Closing {
            (tenant.purse.bound, tenant.purse.set) = (0, 0);
            self.recharge(index);
            self.settle();
        }
    }

    /// Takes note that a tenant's pool is closed and empty.
    pub(super) fn closed(&mut self, now: Time, key: Key) {
        self.advance(now);
        let Some(index) = self.index(key) else { return };
        self.tenants[index as usize].drained = true;
        self.vacate_if_over(index);
        self.settle();
    }
}

/// Operators.
impl Roster {
    /// Ends the waits outside, and sees to it that a tenant's pool closes. Whoever comes from now on
    /// waits for a new one.
    pub(super) fn remove(&mut self, now: Time, key: Key) {
        self.advance(now);
        if let Some(index) = self.index(key) {
            self.end(index, Call::Removed);
            self.settle();
        }
    }

    /// Removes all, and takes nobody in from now on.
    pub(super) fn close(&mut self, now: Time) {
        self.advance(now);
        self.closed = true;
        let all: Vec<u32> = self.tenants.iter().map(|(index, _)| index as u32).collect();
        for index in all {
            self.end(index, Call::Closed);
        }
        self.settle();
    }

    /// Takes note of the time, and sees to it that the pools close whose tenants were idle for too
    /// long; returns how many.
    pub(super) fn advance(&mut self, now: Time) -> usize {
        self.now = self.now.max(now);
        let mut evicted = 0;
        while let Some(index) = self.idle.front() {
            if self.next_deadline().is_none_or(|deadline| deadline > self.now) {
                break;
            }
            self.evict(index);
            evicted += 1;
        }
        if evicted > 0 {
            self.settle();
        }
        evicted
    }

    /// Tells when the next tenant has been idle for too long.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let timeout = self.limits.idle_timeout?;
        let first = self.idle.front()?;
        Some(self.tenants[first as usize].since.saturating_add(timeout))
    }
}

/// Getters.
impl Roster {
    pub(super) fn life(&self, key: Key) -> Option<Life> {
        self.index(key).map(|index| self.tenants[index as usize].life)
    }

    /// Returns the number of a tenant's pool.
    pub(super) fn pool(&self, key: Key) -> u32 {
        self.index(key).map_or(0, |index| self.tenants[index as usize].pool)
    }

    /// Tells whether a tenant was removed whose pool is being made.
    pub(super) fn is_doomed(&self, key: Key) -> bool {
        self.index(key).is_some_and(|index| self.tenants[index as usize].doomed)
    }

    /// Tells how many callers a tenant has, inside and outside.
    pub(super) fn users(&self, key: Key) -> u32 {
        self.index(key).map_or(0, |index| self.tenants[index as usize].users())
    }

    /// Tells how often somebody came.
    pub(super) fn accesses(&self, key: Key) -> u64 {
        self.index(key).map_or(0, |index| self.tenants[index as usize].accesses)
    }

    /// Tells when the last caller came or went.
    pub(super) fn last_active(&self, key: Key) -> Option<Time> {
        self.index(key).map(|index| self.tenants[index as usize].since)
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Tells whether all is closed, and nothing is left but callers who have not been told so.
    pub(super) const fn is_drained(&self) -> bool {
        self.closed && self.placed == 0
    }

    /// Tells how many tenants have a place, those on their way out among them.
    pub(super) const fn placed(&self) -> u32 {
        self.placed
    }

    /// Tells how much of the budget is used.
    pub(super) const fn charged(&self) -> u64 {
        self.charged
    }

    fn index(&self, key: Key) -> Option<u32> {
        let tenant = self.tenants.get(key.index as usize)?;
        (tenant.generation == key.generation).then_some(key.index)
    }

    fn key(&self, index: u32) -> Key {
        Key { index, generation: self.tenants[index as usize].generation }
    }
}
