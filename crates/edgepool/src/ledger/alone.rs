//! The queue of a pool that knows no tenants: the one line of all callers.

use core::time::Duration;

use slab::Slab;

use super::answers::{Ask, End, Refused};
pub(super) use super::line::Line as Queue;
use super::store::Waiter;
use super::{Ledger, SlotKey};

/// Whose a wait or a loan is: nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner;

impl Owner {
    pub(super) const NOBODY: Self = Self;

    pub(super) const fn is_nobody(self) -> bool {
        true
    }
}

impl Queue {
    /// Every line.
    pub(super) fn lines(&self) -> impl Iterator<Item = &Self> {
        core::iter::once(self)
    }

    /// Takes a waiter out of the queue for which the last that it needs was set aside.
    pub(super) fn serve(&mut self, waiters: &mut Slab<Waiter>, index: u32) {
        self.supply_one();
        self.remove(waiters, index);
    }

    /// Notes that one was set aside for a waiter in the queue.
    pub(super) const fn supply(&mut self, _waiters: &Slab<Waiter>, _index: u32) {
        self.supply_one();
    }

    /// Notes that a waiter in the queue lost what was set aside for it.
    pub(super) const fn lack(&mut self, _waiters: &Slab<Waiter>, _index: u32, lost: u16) {
        self.lack_again(lost);
    }
}

/// What there is to do and to count for tenants: nothing.
#[expect(clippy::unused_self, reason = "it stands in for what has something to do")]
impl Ledger {
    pub(super) const fn owner_of(&mut self, ask: &Ask) -> Result<Owner, Refused> {
        match ask.tenant {
            None => Ok(Owner::NOBODY),
            Some(_) => Err(self.refuse_unknown()),
        }
    }

    #[inline(always)]
    pub(super) fn try_acquire_as(&mut self, _owner: Owner) -> Option<SlotKey> {
        self.try_acquire()
    }

    pub(super) const fn most_for(&self, _owner: Owner) -> u32 {
        self.options.max
    }

    pub(super) const fn is_made_for(&self, _owner: Owner, _need: u16) -> bool {
        true
    }

    pub(super) const fn refusal_of_tenant(&self, _owner: Owner, _need: u16) -> Option<Refused> {
        None
    }

    pub(super) const fn is_below_share(&self, _owner: Owner) -> bool {
        false
    }

    pub(super) const fn end_those_at_their_cap(&self) {}

    pub(super) const fn end_loan(&self, _owner: Owner) {}

    pub(super) const fn end_uses(&self, _owner: Owner, _count: u32) {}

    pub(super) const fn drop_uses(&self, _owner: Owner, _count: u16) {}

    pub(super) const fn count_arrival(&self, _owner: Owner) {}

    pub(super) const fn count_leases(&self, _owner: Owner, _count: u64) {}

    pub(super) const fn count_releases(&self, _owner: Owner) {}

    pub(super) const fn count_wait(&self, _owner: Owner, _waited: Duration) {}

    pub(super) const fn count_cancel(&self, _owner: Owner) {}

    pub(super) const fn count_refusal(&self, _owner: Owner, _refused: Refused) {}

    pub(super) const fn count_end(&self, _owner: Owner, _end: End) {}
}
