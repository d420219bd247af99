//! Who comes, waits outside, is inside, and goes.

use super::tenant::{Filed, Purse, Tenant};
use super::{Arrival, Call, Key, Life, Refused, Roster, Terms};
use crate::Time;
use crate::ledger::list::Links;

impl Roster {
    /// Makes an entry for a tenant, with its first caller.
    pub(in super::super) fn open(
        &mut self,
        now: Time,
        terms: Terms,
    ) -> Result<(Key, Arrival), Refused> {
        self.advance(now);
        self.may_wait(Life::Out)?;
        self.generation = self.generation.wrapping_add(1);
        let tenant = Tenant {
            links: Links::new(),
            filed: Filed::Nowhere,
            generation: self.generation,
            life: Life::Out,
            doomed: false,
            drained: false,
            inside: 0,
            holding: 0,
            outside: 0,
            pool: 0,
            group: 0,
            called: Vec::new(),
            since: self.now,
            accesses: 0,
            terms,
            purse: Purse::default(),
        };
        let index = self.tenants.insert(tenant) as u32;
        let key = Key { index, generation: self.generation };
        let arrival = self.come(index)?;
        Ok((key, arrival))
    }

    /// Takes in a caller of a tenant that has an entry.
    pub(in super::super) fn arrive(&mut self, now: Time, key: Key) -> Result<Arrival, Refused> {
        self.advance(now);
        let index = self.index(key).expect("a tenant's entry stays while somebody can name it");
        self.come(index)
    }

    /// Lets a tenant have other terms from its next pool on; what it has of this one is leaving.
    pub(in super::super) fn set_terms(&mut self, now: Time, key: Key, terms: Terms) {
        self.advance(now);
        if let Some(index) = self.index(key) {
            self.tenants[index as usize].terms = terms;
            self.sort(index);
            self.settle();
        }
    }

    fn come(&mut self, index: u32) -> Result<Arrival, Refused> {
        if self.closed {
            return Err(Refused::Closed);
        }
        let arrival = match self.tenants[index as usize].life {
            Life::Open => {
                self.tenants[index as usize].inside += 1;
                Arrival::Inside
            }
            life => {
                self.may_wait(life)?;
                self.outside += 1;
                let tenant = &mut self.tenants[index as usize];
                tenant.outside += 1;
                if life == Life::Out {
                    tenant.life = Life::InLine;
                }
                Arrival::Outside(tenant.group)
            }
        };
        self.tenants[index as usize].accesses += 1;
        self.touch(index);
        self.settle();
        Ok(arrival)
    }

    /// Tells whether a caller may be outside. One whose tenant gets a place at once does not wait.
    fn may_wait(&self, life: Life) -> Result<(), Refused> {
        match self.outside < self.limits.max_waiting || life == Life::Out && self.has_room() {
            _ if self.closed => Err(Refused::Closed),
            true => Ok(()),
            false => Err(Refused::Full),
        }
    }

    /// Tells whether a tenant that comes now gets a place at once, and what to open a pool with.
    fn has_room(&self) -> bool {
        let is_free = self.line.is_empty() && self.placed < self.limits.places && self.has_unit();
        is_free && self.limits.budget.is_none_or(|budget| self.charged < u64::from(budget))
    }

    /// Tells a caller outside how its wait has ended; `None` if it has not.
    pub(in super::super) fn look(&mut self, now: Time, key: Key, group: u32) -> Option<Call> {
        self.advance(now);
        let index = self.index(key).expect("a tenant's entry stays while somebody waits outside");
        let call = self.tenants[index as usize].answer(group)?;
        self.forget_if_over(index);
        Some(call)
    }

    /// Forgets a caller that came from outside, and does not look again.
    pub(in super::super) fn give_up(&mut self, now: Time, key: Key, group: u32) {
        match self.look(now, key, group) {
            None => self.give_up_outside(key.index),
            Some(Call::Admitted) => self.leave(now, key, self.pool(key), false),
            Some(_) => {}
        }
    }

    fn give_up_outside(&mut self, index: u32) {
        let waits = self.waits_for_budget(index);
        let tenant = &mut self.tenants[index as usize];
        tenant.outside -= 1;
        self.outside -= 1;
        if tenant.outside == 0 && (waits || tenant.life == Life::InLine) {
            self.vacate(index);
        } else {
            self.touch(index);
        }
        self.settle();
    }

    /// Takes note that a caller inside has a connection; returns false if the pool of that number was
    /// closed before.
    pub(in super::super) fn take(&mut self, key: Key, pool: u32) -> bool {
        let Some(index) = self.index(key) else { return false };
        let tenant = &mut self.tenants[index as usize];
        let is_good = tenant.pool == pool && tenant.life != Life::Closing;
        tenant.holding += u32::from(is_good);
        is_good
    }

    /// Takes note that a caller inside is gone, and its lease is back, if it held one.
    pub(in super::super) fn leave(&mut self, now: Time, key: Key, pool: u32, held: bool) {
        self.advance(now);
        let Some(index) = self.index(key) else { return };
        let tenant = &mut self.tenants[index as usize];
        if tenant.pool != pool {
            return;
        }
        tenant.inside -= 1;
        tenant.holding -= u32::from(held);
        self.empty += u32::from(tenant.life == Life::Closing && tenant.inside == 0);
        self.touch(index);
        self.resize(index);
        self.close_if_empty(index);
        self.vacate_if_over(index);
        self.settle();
    }
}
