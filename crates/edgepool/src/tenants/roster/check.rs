//! The invariants, looked at one by one.

use std::collections::BTreeSet;

use super::tenant::{Filed, Tenant};
use super::{Life, Roster};

/// Which invariant does not hold, and what is wrong.
type Check = Result<(), String>;

fn ensure(invariant: u8, holds: bool, what: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(format!("invariant {invariant} of the roster: {}", what())) }
}

impl Roster {
    /// Checks every invariant that the [module](super) numbers; O(n).
    pub(in super::super) fn check(&self) -> Check {
        self.check_lists()?;
        self.check_counts()?;
        self.check_sets()?;
        if self.effects.is_empty() { self.check_service() } else { Ok(()) }
    }

    fn check_lists(&self) -> Check {
        let lists =
            [(Filed::Line, &self.line), (Filed::Idle, &self.idle), (Filed::Busy, &self.busy)];
        for (filed, list) in lists {
            let listed: Vec<u32> = list.iter(&self.tenants).collect();
            ensure(1, listed.len() == list.len() as usize, || format!("{filed:?} has lost some"))?;
            let all = self.tenants.iter().filter(|(_, tenant)| tenant.file() == filed);
            ensure(1, all.count() == listed.len(), || format!("not all of {filed:?} are in it"))?;
            for &index in &listed {
                let tenant = &self.tenants[index as usize];
                ensure(1, tenant.filed == filed && tenant.file() == filed, || {
                    format!("{index} is {:?} and in {filed:?}", tenant.life)
                })?;
            }
            let sorted = listed.is_sorted_by_key(|&index| self.tenants[index as usize].since);
            ensure(1, sorted || filed == Filed::Line, || format!("{filed:?} is out of order"))?;
        }
        Ok(())
    }

    fn check_counts(&self) -> Check {
        let count = |holds: fn(&Tenant) -> bool| {
            self.tenants.iter().filter(|(_, tenant)| holds(tenant)).count()
        };
        ensure(2, count(Tenant::is_placed) == self.placed as usize, || "placed".to_owned())?;
        ensure(2, count(Tenant::is_leaving) == self.leaving as usize, || "leaving".to_owned())?;
        let empty = count(|tenant| tenant.is_leaving() && tenant.inside == 0);
        ensure(2, empty == self.empty as usize, || "empty".to_owned())?;
        ensure(2, self.placed <= self.limits.places, || "more pools than places".to_owned())?;
        let sum = |of: fn(&Tenant) -> u32| {
            self.tenants.iter().map(|(_, tenant)| u64::from(of(tenant))).sum::<u64>()
        };
        let outside = u64::from(self.outside);
        ensure(2, sum(|tenant| tenant.outside) == outside, || "callers outside".to_owned())?;
        let nobodys = count(|tenant| tenant.holding > tenant.inside);
        ensure(2, nobodys == 0, || "connections that nobody inside holds".to_owned())?;
        ensure(3, sum(|tenant| tenant.purse.grant) == self.granted, || "grants".to_owned())?;
        ensure(3, sum(|tenant| tenant.purse.charge) == self.charged, || "charges".to_owned())?;
        let budget = self.limits.budget.map_or(u64::MAX, u64::from);
        ensure(3, self.granted <= budget, || format!("{} granted", self.granted))?;
        for (index, tenant) in &self.tenants {
            let purse = &tenant.purse;
            let charge = purse.bound.max(purse.held);
            ensure(3, purse.charge == charge, || format!("{index} is not charged {charge}"))?;
            ensure(3, purse.set <= purse.bound, || format!("{index}'s pool is over its bound"))?;
        }
        Ok(())
    }

    fn check_sets(&self) -> Check {
        let sets = [
            ("hungry", &self.hungry, (|tenant| tenant.purse.hungry) as fn(&Tenant) -> Option<u64>),
            ("several", &self.several, |tenant| tenant.purse.several),
            ("surplus", &self.surplus, |tenant| tenant.purse.surplus),
        ];
        for (name, set, of) in sets {
            let all = self.tenants.iter();
            let of = |(index, tenant): (usize, &Tenant)| Some((of(tenant)?, index as u32));
            let all: BTreeSet<_> = all.filter_map(of).collect();
            ensure(4, all == *set, || format!("{name}: {all:?} are not {set:?}"))?;
        }
        for (index, tenant) in &self.tenants {
            let Tenant { purse, terms, life, .. } = tenant;
            let lives = matches!(life, Life::Opening | Life::Open) && self.limits.budget.is_some();
            let want = tenant.users().clamp(1, terms.cap);
            let sorted = (purse.hungry.is_some(), purse.surplus.is_some(), purse.several.is_some());
            let is = lives && purse.grant < want;
            let right = (is, lives && purse.grant > want, lives && purse.grant > 1);
            ensure(4, sorted == right, || format!("{index} wants {want} and has {purse:?}"))?;
        }
        Ok(())
    }

    fn check_service(&self) -> Check {
        let coming = match (self.idle.is_empty(), self.busy.is_empty()) {
            (true, true) => None,
            (true, false) => Some(self.leaving),
            (false, _) => Some(self.empty),
        };
        if let Some(index) = self.line.front() {
            let full = self.placed >= self.limits.places;
            ensure(5, full || !self.has_unit(), || format!("{index} waits beside a free place"))?;
            let enough = coming.is_none_or(|coming| full && coming >= self.line.len());
            ensure(5, enough, || format!("{index} waits, and nobody makes room"))?;
        }
        let Some(budget) = self.limits.budget.map(u64::from) else { return Ok(()) };
        if let Some(&(_, index)) = self.hungry.first() {
            ensure(5, !self.has_unit(), || format!("{index} wants more beside a free unit"))?;
            ensure(5, self.surplus.is_empty(), || format!("{index} wants what another does not"))?;
            ensure(5, self.idle.is_empty(), || format!("{index} wants what an idle one has"))?;
        }
        let raised = self.charged >= budget || self.raising.is_empty();
        ensure(5, raised, || "a bound is to go up, and could".to_owned())?;
        for (index, tenant) in &self.tenants {
            let purse = &tenant.purse;
            let due = matches!(tenant.life, Life::Open) && purse.grant > purse.bound;
            ensure(5, !due || purse.raising || purse.sizing, || format!("{index} is forgotten"))?;
            let needless = tenant.aim().is_some_and(|aim| purse.set > aim && !purse.sizing);
            ensure(5, !needless, || format!("{index} keeps more than it is to have"))?;
        }
        Ok(())
    }
}
