//! A tenant: in which part of its life it is, who is there, and what it has of the budget.

use super::{Call, Life, Terms};
use crate::Time;
use crate::ledger::list::{Linked, Links};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filed {
    Nowhere,
    Line,
    Idle,
    Busy,
}

#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) links: Links,
    pub(super) filed: Filed,
    pub(super) generation: u32,
    pub(super) life: Life,
    /// It was removed while its pool was being made.
    pub(super) doomed: bool,
    /// Its pool has closed; what it held may not all be back yet.
    pub(super) drained: bool,
    pub(super) inside: u32,
    /// How many of those inside have a connection.
    pub(super) holding: u32,
    pub(super) outside: u32,
    /// The number of its pool: another one once that has closed.
    pub(super) pool: u32,
    /// The number of the group that waits outside.
    pub(super) group: u32,
    /// The groups whose wait is over, and of each how many have not been told.
    pub(super) called: Vec<(u32, Call, u32)>,
    /// When its last caller came or went.
    pub(super) since: Time,
    pub(super) accesses: u64,
    pub(super) terms: Terms,
    pub(super) purse: Purse,
}

/// What a tenant has of the budget.
#[derive(Debug, Default)]
pub(super) struct Purse {
    /// The connections that it is to have.
    pub(super) grant: u32,
    /// The connections that its pool may have: at least the pool's `max`.
    pub(super) bound: u32,
    /// The pool's `max`, as it was told last.
    pub(super) set: u32,
    /// The connections that there are, those being made and closed among them.
    pub(super) held: u32,
    /// What of the budget it uses.
    pub(super) charge: u32,
    /// A resize is asked for.
    pub(super) sizing: bool,
    /// It stands in the queue of those whose bound is to go up.
    pub(super) raising: bool,
    /// Its place among those that have more than they want.
    pub(super) surplus: Option<u64>,
    /// Its grant as it is sorted among those that want more, and among those that have several.
    pub(super) hungry: Option<u64>,
    pub(super) several: Option<u64>,
}

impl Linked for Tenant {
    fn links(&self) -> &Links {
        &self.links
    }

    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }
}

impl Tenant {
    pub(super) const fn users(&self) -> u32 {
        self.inside + self.outside
    }

    /// Ends the wait of those outside.
    pub(super) fn call(&mut self, call: Call) -> u32 {
        let called = std::mem::take(&mut self.outside);
        if called > 0 {
            self.called.push((self.group, call, called));
            self.group = self.group.wrapping_add(1);
        }
        called
    }

    /// Lets those not in after all who were called in, and have not been told.
    pub(super) fn turn_away(&mut self, why: Call) {
        for (_, call, untold) in &mut self.called {
            if *call == Call::Admitted {
                *call = why;
                self.inside -= *untold;
            }
        }
    }

    /// Tells one of a group how its wait has ended; `None` if it has not.
    pub(super) fn answer(&mut self, group: u32) -> Option<Call> {
        let at = self.called.iter().position(|called| called.0 == group)?;
        let (_, call, untold) = &mut self.called[at];
        let call = *call;
        *untold -= 1;
        if *untold == 0 {
            self.called.remove(at);
        }
        Some(call)
    }

    /// Tells whether it counts among the pools at once.
    pub(super) const fn is_placed(&self) -> bool {
        !matches!(self.life, Life::Out | Life::InLine)
    }

    /// How large its pool is to be: what it is to have, as far as it may by now; or, if it takes no
    /// more callers in, what those inside may use.
    pub(super) fn aim(&self) -> Option<u32> {
        match self.life {
            Life::Open => Some(self.purse.grant.min(self.purse.bound)),
            Life::Leaving => Some(self.purse.bound.min(self.inside.max(1))),
            _ => None,
        }
    }

    pub(super) const fn is_leaving(&self) -> bool {
        matches!(self.life, Life::Leaving | Life::Closing)
    }

    /// Tells whether nothing is left of it.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.life, Life::Out)
            && self.called.is_empty()
            && self.users() == 0
            && self.purse.held == 0
    }

    /// Where it belongs.
    pub(super) const fn file(&self) -> Filed {
        match self.life {
            Life::InLine => Filed::Line,
            Life::Open if self.users() == 0 => Filed::Idle,
            Life::Open => Filed::Busy,
            _ => Filed::Nowhere,
        }
    }
}
