//! Who may have how many connections.

use super::{Effect, Key, Life, Roster};

/// A grant beside a weight: more is richer.
const fn wealth(grant: u32, weight: u32) -> u64 {
    ((grant as u64) << 32) / weight as u64
}

/// Connections.
impl Roster {
    /// Takes note that a connection is about to be made in the tenant's pool of that number; returns
    /// false if it must not be, as the pool is closing or gone. That may come to be between the pool's
    /// decision and this, and what the pool had of the budget may be another's by now.
    pub(in super::super) fn hold(&mut self, key: Key, pool: u32) -> bool {
        let Some(index) = self.index(key) else { return false };
        let tenant = &mut self.tenants[index as usize];
        let lives = matches!(tenant.life, Life::Opening | Life::Open | Life::Leaving);
        let may_begin = lives && tenant.pool == pool;
        if may_begin {
            tenant.purse.held += 1;
            self.recharge(index);
        }
        may_begin
    }

    /// Takes note that a connection of a tenant is no more.
    pub(in super::super) fn unhold(&mut self, key: Key) {
        if let Some(index) = self.index(key) {
            self.tenants[index as usize].purse.held -= 1;
            self.recharge(index);
            self.vacate_if_over(index);
            if let Some(index) = self.index(key) {
                self.forget_if_over(index);
            }
            self.settle();
        }
    }

    /// Tells whether a tenant's pool has more connections than it may have.
    pub(in super::super) fn owes(&self, key: Key) -> bool {
        self.index(key).is_some_and(|index| {
            let purse = &self.tenants[index as usize].purse;
            purse.held > purse.bound
        })
    }

    /// Tells how large a tenant's pool is to be now; `None` if it is to be no other way.
    pub(in super::super) fn begin_resize(&mut self, key: Key) -> Option<u32> {
        let index = self.index(key)?;
        let tenant = &mut self.tenants[index as usize];
        let aim = tenant.aim();
        tenant.purse.sizing = aim.is_some();
        aim
    }

    /// Takes note that a tenant's pool was resized.
    pub(in super::super) fn resized(&mut self, key: Key, max: u32) {
        let Some(index) = self.index(key) else { return };
        let tenant = &mut self.tenants[index as usize];
        tenant.purse.sizing = false;
        if tenant.aim().is_some() {
            (tenant.purse.set, tenant.purse.bound) = (max, max);
            self.recharge(index);
            self.resize(index);
            self.settle();
        }
    }
}

/// Grants.
impl Roster {
    pub(super) fn has_unit(&self) -> bool {
        self.limits.budget.is_none_or(|budget| self.granted < u64::from(budget))
    }

    /// Gives a tenant its first connection, or all without a budget.
    pub(super) fn endow(&mut self, index: u32) {
        if self.limits.budget.is_some() {
            self.set_grant(index, 1);
            return;
        }
        let tenant = &mut self.tenants[index as usize];
        tenant.purse.bound = tenant.terms.cap;
        self.recharge(index);
        self.effects.push_back(Effect::Open(self.key(index)));
    }

    /// Tells whether a tenant has a place, and no connection to open a pool with.
    pub(super) fn waits_for_budget(&self, index: u32) -> bool {
        let tenant = &self.tenants[index as usize];
        tenant.life == Life::Opening && tenant.purse.bound == 0
    }

    pub(super) fn set_grant(&mut self, index: u32, grant: u32) {
        if self.limits.budget.is_none() {
            return;
        }
        let purse = &mut self.tenants[index as usize].purse;
        self.granted = self.granted - u64::from(purse.grant) + u64::from(grant);
        purse.grant = grant;
        self.sort(index);
        self.resize(index);
    }

    /// Gives to those who want more, as long as there is somebody to take it from.
    pub(super) fn feed(&mut self) {
        while let Some(&(_, index)) = self.hungry.first() {
            if !self.has_unit() && !self.reclaim(index) {
                return;
            }
            // Who had several may want them no less than this one.
            if let Some(&(_, index)) = self.hungry.first() {
                self.set_grant(index, self.tenants[index as usize].purse.grant + 1);
            }
        }
    }

    /// Takes a connection for a tenant from another: one that is not wanted; or that of the tenant
    /// which has been idle for the longest; or one of the richest, if that one stays as rich as this
    /// becomes.
    pub(super) fn reclaim(&mut self, index: u32) -> bool {
        if self.limits.budget.is_none() {
            return false;
        }
        if let Some(&(_, other)) = self.surplus.first() {
            self.set_grant(other, self.tenants[other as usize].purse.grant - 1);
            return true;
        }
        if let Some(other) = self.idle.front() {
            self.evict(other);
            return true;
        }
        let Some(&(_, other)) = self.several.last() else { return false };
        let (poor, rich) = (&self.tenants[index as usize], &self.tenants[other as usize]);
        let left = wealth(rich.purse.grant - 1, rich.terms.weight);
        let fair = left >= wealth(poor.purse.grant + 1, poor.terms.weight);
        if fair {
            self.set_grant(other, rich.purse.grant - 1);
        }
        fair
    }

    /// Sorts a tenant among those that have too little, several, or too many.
    pub(super) fn sort(&mut self, index: u32) {
        if self.limits.budget.is_none() {
            return;
        }
        let tenant = &mut self.tenants[index as usize];
        let weight = tenant.terms.weight;
        let purse = &mut tenant.purse;
        let want = (tenant.inside + tenant.outside).clamp(1, tenant.terms.cap);
        let lives = matches!(tenant.life, Life::Opening | Life::Open);
        let hungry = (lives && purse.grant < want).then(|| wealth(purse.grant + 1, weight));
        let several = (lives && purse.grant > 1).then(|| wealth(purse.grant - 1, weight));
        let surplus = (lives && purse.grant > want).then(|| {
            purse.surplus.unwrap_or_else(|| {
                self.stamp += 1;
                self.stamp
            })
        });
        for (set, was, is) in [
            (&mut self.hungry, &mut purse.hungry, hungry),
            (&mut self.several, &mut purse.several, several),
            (&mut self.surplus, &mut purse.surplus, surplus),
        ] {
            if *was != is {
                was.map(|was| set.remove(&(was, index)));
                is.map(|is| set.insert((is, index)));
                *was = is;
            }
        }
    }
}

/// Bounds.
impl Roster {
    /// Asks for a pool to be resized, or for its bound to go up, if that is to be.
    pub(super) fn resize(&mut self, index: u32) {
        if self.limits.budget.is_none() {
            return;
        }
        let key = self.key(index);
        let tenant = &mut self.tenants[index as usize];
        let aim = tenant.aim();
        let purse = &mut tenant.purse;
        if aim.is_some_and(|aim| !purse.sizing && aim != purse.set) {
            purse.sizing = true;
            self.effects.push_back(Effect::Resize(key));
        }
        let opens = tenant.life == Life::Opening && purse.bound == 0;
        let may_grow = opens || tenant.life == Life::Open && !purse.sizing;
        if may_grow && purse.grant > purse.bound && !purse.raising {
            purse.raising = true;
            self.raising.push_back(key);
        }
    }

    /// Raises bounds one by one, in turn, while the budget is not used up.
    pub(super) fn raise(&mut self) {
        let Some(budget) = self.limits.budget else { return };
        while let Some(&key) = self.raising.front() {
            let Some(index) = self.index(key) else {
                self.raising.pop_front();
                continue;
            };
            let tenant = &mut self.tenants[index as usize];
            let lives = matches!(tenant.life, Life::Opening | Life::Open);
            let wants = lives && tenant.purse.grant > tenant.purse.bound && !tenant.purse.sizing;
            if wants && self.charged >= u64::from(budget) {
                return;
            }
            self.raising.pop_front();
            tenant.purse.raising = false;
            if wants {
                tenant.purse.bound += 1;
                let opens = tenant.life == Life::Opening;
                self.recharge(index);
                if opens {
                    self.effects.push_back(Effect::Open(key));
                } else {
                    self.resize(index);
                }
            }
        }
    }

    /// Counts anew what a tenant uses of the budget.
    pub(super) fn recharge(&mut self, index: u32) {
        let purse = &mut self.tenants[index as usize].purse;
        let charge = purse.bound.max(purse.held);
        self.charged = self.charged - u64::from(purse.charge) + u64::from(charge);
        purse.charge = charge;
    }
}
