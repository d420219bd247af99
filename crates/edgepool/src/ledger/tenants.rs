//! Tenants: those who share a pool, what each may have of it, and what each had.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::time::Duration;

use super::answers::{Ask, End, Refused};
use super::keys::TenantKey;
use super::queue::Owner;
use super::store::{Slot, SlotState, WaiterState};
use super::turns::MAX_WEIGHT;
use super::{Ledger, OptionsError, SlotKey, WaiterKey};
use crate::Time;

/// What a tenant may have of a pool that others share.
///
/// While several tenants wait, what they are served is in the proportion of their weights. Beyond
/// that nobody owns a part of the pool: what one does not use others may, up to their `max`, and it
/// has its share again of the next leases that end.
///
/// # Examples
///
/// ```
/// use edgepool::ledger::Share;
///
/// // Three times as much as a tenant of weight 1, and at most five connections at once.
/// let share = Share::new().weight(3).max(5);
/// assert_eq!(share.max, Some(5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// How much its callers are served beside those of other tenants; from 1 to [`MAX_WEIGHT`].
    pub weight: u32,
    /// The most connections that it has at once, those set aside for its callers among them; at
    /// least 1. `None` is as many as the pool has.
    pub max: Option<u32>,
    /// The most of its callers queued beyond those for whom a connection is idle, being made or
    /// being checked; `None` is as many as the pool takes.
    pub max_waiting: Option<u32>,
}

impl Share {
    /// The share of a tenant that nothing else is said of: the weight 1, and no limits but the
    /// pool's.
    #[must_use]
    pub const fn new() -> Self {
        Self { weight: 1, max: None, max_waiting: None }
    }

    /// Sets how much its callers are served beside those of others; from 1 to [`MAX_WEIGHT`].
    #[must_use]
    pub const fn weight(self, weight: u32) -> Self {
        Self { weight, ..self }
    }

    /// Sets the most connections that it has at once, at least 1; `None` is as many as the pool has.
    #[must_use]
    pub fn max(self, max: impl Into<Option<u32>>) -> Self {
        Self { max: max.into(), ..self }
    }

    /// Sets the most of its callers that are queued; `None` is as many as the pool takes.
    #[must_use]
    pub fn max_waiting(self, max_waiting: impl Into<Option<u32>>) -> Self {
        Self { max_waiting: max_waiting.into(), ..self }
    }

    /// Checks that a ledger can keep to it.
    ///
    /// # Errors
    ///
    /// The weight is not from 1 to [`MAX_WEIGHT`], or `max` is 0.
    pub const fn validate(&self) -> Result<(), OptionsError> {
        if self.weight == 0 || self.weight > MAX_WEIGHT {
            return Err(OptionsError::WeightOutOfRange { weight: self.weight });
        }
        match self.max {
            Some(0) => Err(OptionsError::CountIsZero("a tenant's max")),
            _ => Ok(()),
        }
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::new()
    }
}

/// How a tenant stands, and what it had since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantStats {
    /// What it may have.
    pub share: Share,
    /// When it was opened.
    pub opened_at: Time,
    /// When a caller of its came or left last, as exact as the pool's clock was read.
    pub last_active: Time,
    /// Connections that it has: lent to it or set aside for it, and those that did not come back
    /// within their time to live and are not closed yet.
    pub in_use: u32,
    /// Its callers in the queue.
    pub waiting: u32,
    /// Leases given.
    pub acquired: u64,
    /// Leases that ended: returned, discarded, taken or expired.
    pub released: u64,
    /// Acquires whose deadline passed.
    pub timed_out: u64,
    /// Acquires that their caller gave up.
    pub cancelled: u64,
    /// Acquires that ended with a failed creation, or were refused because of one.
    pub failed: u64,
    /// Acquires refused because a queue was full, or for needing more than there may be.
    pub refused: u64,
    /// Acquires that ended otherwise: the pool closed, its waits were ended, or it missed its offers.
    pub ended: u64,
    /// The waits of the callers that were served after one, together.
    pub total_wait: Duration,
    /// The longest of them.
    pub longest_wait: Duration,
}

/// What is counted of a tenant's loans, and when there was one or a caller last.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    opened_at: Time,
    last_active: Time,
    acquired: u64,
    released: u64,
}

impl Tally {
    pub(super) const fn new(now: Time) -> Self {
        Self { opened_at: now, last_active: now, acquired: 0, released: 0 }
    }
}

/// What is counted of a tenant's callers that were not served at once; see [`TenantStats`].
#[derive(Clone, Debug, Default)]
pub(super) struct Fates {
    timed_out: u64,
    cancelled: u64,
    failed: u64,
    refused: u64,
    ended: u64,
    total_wait: Duration,
    longest_wait: Duration,
}

/// Tenants.
///
/// Callers without a tenant are served as one more, of weight 1 and without caps of its own.
impl Ledger {
    /// Lets a tenant have this share of the pool, under a key of its own.
    ///
    /// # Errors
    ///
    /// The share's weight is not from 1 to [`MAX_WEIGHT`], or its `max` is 0.
    pub fn open_tenant(&mut self, share: Share) -> Result<TenantKey, OptionsError> {
        share.validate()?;
        Ok(self.queue.open(share, self.now))
    }

    /// Changes a tenant's share. What it has beyond a smaller `max` it keeps until that comes back;
    /// callers that need more than that at once end with [`End::TooMany`]. Returns false if the key
    /// is stale.
    ///
    /// # Errors
    ///
    /// The share's weight is not from 1 to [`MAX_WEIGHT`], or its `max` is 0; nothing is changed then.
    pub fn set_share(&mut self, key: TenantKey, share: Share) -> Result<bool, OptionsError> {
        share.validate()?;
        let Some(owner) = self.find_tenant(key) else { return Ok(false) };
        let was_first = self.queue.front(&self.store.waiters);
        self.queue.set_share(&self.store.waiters, owner, share);
        self.end_those_that_need_more();
        self.pass_on_gathered(was_first);
        self.serve();
        Ok(true)
    }

    /// Ends the waits of a tenant's callers with [`End::Removed`], and tells how many; its leases
    /// stay. Returns `None` if the key is stale.
    pub fn end_waits(&mut self, key: TenantKey) -> Option<usize> {
        let owner = self.find_tenant(key)?;
        // From the end of the line on, and last those who are offered something, so that nothing is
        // offered to one whose wait ends next. A heap is a tenth of the code of a sort.
        let Some(rest) = self.queue.tenant(owner).rest() else { return Some(0) };
        let mut pending = Vec::new();
        for (index, waiter) in &self.store.waiters {
            if waiter.owner == owner && !matches!(waiter.state, WaiterState::Ended(..)) {
                let is_queued = waiter.state != WaiterState::Offered;
                pending.push((is_queued, rest.line.rank(waiter), index as u32));
            }
        }
        let count = pending.len();
        let mut pending = BinaryHeap::from(pending);
        while let Some((.., index)) = pending.pop() {
            self.end_pending(index, End::Removed);
        }
        Some(count)
    }

    /// Refuses callers of this tenant from now on, and makes its key stale: what else is to be done
    /// with it, as to [end its waits](Self::end_waits), comes before. Those who wait are served and
    /// its leases stay; its entry goes with the last of them. Returns false if the key is stale.
    pub fn close_tenant(&mut self, key: TenantKey) -> bool {
        let owner = self.find_tenant(key);
        if let Some(owner) = owner {
            self.queue.close(owner);
        }
        owner.is_some()
    }

    /// Tells how a tenant stands; `None` if the key is stale.
    #[must_use]
    pub fn tenant(&self, key: TenantKey) -> Option<TenantStats> {
        let tenant = self.queue.tenant(self.queue.find(key)?);
        let Tally { opened_at, last_active, acquired, released } = tenant.tally;
        let fates = tenant.rest().map(|rest| rest.fates.clone()).unwrap_or_default();
        Some(TenantStats {
            share: tenant.share(),
            opened_at,
            last_active,
            in_use: tenant.used,
            waiting: tenant.waiting(),
            acquired,
            released,
            timed_out: fates.timed_out,
            cancelled: fates.cancelled,
            failed: fates.failed,
            refused: fates.refused,
            ended: fates.ended,
            total_wait: fates.total_wait,
            longest_wait: fates.longest_wait,
        })
    }

    /// Tells how many tenants have an entry.
    #[must_use]
    pub fn tenants(&self) -> usize {
        self.queue.tenants.len() - 1
    }

    /// As [`try_acquire`](Self::try_acquire), for a caller of a tenant. It finds nothing, too, if
    /// others of its tenant wait, or the tenant has all that it may have.
    pub fn try_acquire_for(&mut self, key: TenantKey) -> Option<SlotKey> {
        let owner = self.find_tenant(key)?;
        self.try_acquire_as(owner)
    }

    #[inline(always)]
    pub(super) fn try_acquire_as(&mut self, owner: Owner) -> Option<SlotKey> {
        if owner.is_nobody() { self.try_acquire() } else { self.try_acquire_as_tenant(owner) }
    }

    #[inline(never)]
    fn try_acquire_as_tenant(&mut self, owner: Owner) -> Option<SlotKey> {
        let tenant = self.queue.tenant(owner);
        if tenant.waiting() > 0 || (tenant.room() == 0 && !mutated!(CapIsIgnored)) {
            return None;
        }
        let lease = self.try_acquire()?;
        self.begin_use(lease.index, owner);
        Some(lease)
    }

    /// As [`adopt`](Self::adopt), for a lease of this tenant's, whatever it has already.
    pub fn adopt_for(&mut self, key: TenantKey) -> Option<SlotKey> {
        let owner = self.find_tenant(key)?;
        let lease = self.adopt()?;
        let was_first = self.queue.front(&self.store.waiters);
        self.begin_use(lease.index, owner);
        // One who was first may not fit beside it any more.
        self.pass_on_gathered(was_first);
        self.serve();
        Some(lease)
    }

    fn begin_use(&mut self, index: u32, owner: Owner) {
        self.store.slot_mut(index).owner = owner;
        self.queue.begin_use(&self.store.waiters, owner);
        self.count_leases(owner, 1);
    }

    /// Ends the waits of those, in a pool that closes, who cannot be served as their tenants have
    /// all that they may have.
    pub(super) fn end_those_at_their_cap(&mut self) {
        mutate!(CloseForgetsAWaiter, return);
        let lines = self.queue.lines();
        let queued: Vec<u32> = lines.flat_map(|line| line.iter(&self.store.waiters)).collect();
        for index in queued {
            self.end_pending(index, End::Closed);
        }
    }

    /// Lets a tenant have less by the lease that has ended.
    #[inline(always)]
    pub(super) fn end_loan(&mut self, owner: Owner) {
        self.count_releases(owner);
        self.end_uses(owner, 1);
    }

    /// Notes that a tenant has so many connections no more.
    #[inline(always)]
    pub(super) fn end_uses(&mut self, owner: Owner, count: u32) {
        if !owner.is_nobody() && count > 0 {
            self.queue.end_uses(&self.store.waiters, owner, count);
        }
    }

    /// As [`end_uses`](Self::end_uses), before a change of its line. What follows from both is looked
    /// at then: between them the tenant could seem to lack room, and would lose its turn.
    #[inline(always)]
    pub(super) fn drop_uses(&mut self, owner: Owner, count: u16) {
        if !owner.is_nobody() {
            self.queue.tenant_mut(owner).used -= u32::from(count);
        }
    }

    fn find_tenant(&mut self, key: TenantKey) -> Option<Owner> {
        let owner = self.queue.find(key);
        self.counters.stale += u64::from(owner.is_none());
        owner
    }

    /// Finds the tenant of a caller.
    #[inline(always)]
    pub(super) fn owner_of(&mut self, ask: &Ask) -> Result<Owner, Refused> {
        match ask.tenant {
            None => Ok(Owner::NOBODY),
            Some(key) => self.find_tenant(key).ok_or_else(|| self.refuse_unknown()),
        }
    }

    /// Tells whether a waiter's tenant has all that it may have; of a tenant that is closed, it may
    /// tell what is so of another.
    #[must_use]
    pub fn is_at_cap(&self, key: WaiterKey) -> bool {
        let owner = self.store.find_waiter(key).map(|waiter| waiter.owner);
        owner
            .and_then(|owner| self.queue.tenants.get(owner.0 as usize))
            .is_some_and(|t| t.room() == 0)
    }

    /// The most connections that a caller may need of this waiter's tenant, or without one.
    #[must_use]
    pub fn most_for_waiter(&self, key: WaiterKey) -> u32 {
        let owner = self.store.find_waiter(key).map(|waiter| waiter.owner);
        let owner = owner.filter(|owner| self.queue.tenants.contains(owner.0 as usize));
        self.most_for(owner.unwrap_or(Owner::NOBODY))
    }

    /// The most connections that one caller may need.
    #[inline(always)]
    pub(super) fn most_for(&self, owner: Owner) -> u32 {
        match owner.is_nobody() {
            true => self.options.max,
            false => self.queue.tenant(owner).share().max.unwrap_or(u32::MAX).min(self.options.max),
        }
    }

    /// Tells whether connections may be made for one more caller of this tenant: it may have them, and
    /// so may all who are in its line.
    #[inline(always)]
    pub(super) fn is_made_for(&self, owner: Owner, need: u16) -> bool {
        owner.is_nobody() || {
            let tenant = self.queue.tenant(owner);
            tenant.has_its_turn() && tenant.units() + u64::from(need) <= tenant.room().into()
        }
    }

    #[inline(always)]
    pub(super) fn refusal_of_tenant(&self, owner: Owner, need: u16) -> Option<Refused> {
        if owner.is_nobody() { None } else { self.refusal_of_line(owner, need) }
    }

    /// Refuses a caller if the line of its tenant takes no more. Nothing comes for a tenant beyond
    /// what it may have.
    #[inline(never)]
    fn refusal_of_line(&self, owner: Owner, need: u16) -> Option<Refused> {
        let tenant = self.queue.tenant(owner);
        let coming = if tenant.has_its_turn() { tenant.room() } else { 0 };
        let is_made_for = self.is_made_for(owner, need);
        let is_full =
            self.is_full(tenant.waiting(), tenant.share().max_waiting?, is_made_for, coming);
        is_full.then_some(Refused::TenantQueueFull)
    }

    /// Tells whether a full queue takes a caller of this tenant all the same, as the others have
    /// more than their share of it. It never takes more than twice `max_waiting`.
    pub(super) fn is_below_share(&self, owner: Owner) -> bool {
        let max_waiting = self.options.max_waiting;
        let own = u64::from(self.queue.tenant(owner).waiting());
        u64::from(self.queue.len()) < 2 * u64::from(max_waiting)
            && own < self.queue.share_of(owner, max_waiting)
    }

    /// The connections that a tenant has, counted one by one.
    pub(super) fn uses_of(&self, owner: Owner) -> u32 {
        use SlotState::{Leased, Offered, Retired};
        let has = |slot: &Slot| {
            slot.owner == owner && matches!(slot.state, Leased | Offered(_) | Retired)
        };
        self.store.slots.iter().filter(|(_, slot)| has(slot)).count() as u32
    }
}

/// What is counted of tenants; nobody's callers are counted with the pool's alone.
impl Ledger {
    /// Notes that a tenant is active, and gives what is counted of its loans.
    fn tally(&mut self, owner: Owner) -> Option<&mut Tally> {
        if owner.is_nobody() {
            return None;
        }
        let tally = &mut self.queue.tenant_mut(owner).tally;
        tally.last_active = self.now;
        Some(tally)
    }

    /// As [`tally`](Self::tally), of its callers that were not served at once.
    fn fates(&mut self, owner: Owner) -> Option<&mut Fates> {
        self.tally(owner)?;
        Some(&mut self.queue.rest_mut(owner.0).fates)
    }

    /// Counts nothing but that somebody came, who waits.
    pub(super) fn count_arrival(&mut self, owner: Owner) {
        self.tally(owner);
    }

    pub(super) fn count_leases(&mut self, owner: Owner, count: u64) {
        if let Some(tally) = self.tally(owner) {
            tally.acquired += count;
        }
    }

    pub(super) fn count_releases(&mut self, owner: Owner) {
        if let Some(tally) = self.tally(owner) {
            tally.released += 1;
        }
    }

    pub(super) fn count_wait(&mut self, owner: Owner, waited: Duration) {
        if let Some(fates) = self.fates(owner) {
            fates.total_wait = fates.total_wait.saturating_add(waited);
            fates.longest_wait = fates.longest_wait.max(waited);
        }
    }

    pub(super) fn count_cancel(&mut self, owner: Owner) {
        if let Some(fates) = self.fates(owner) {
            fates.cancelled += 1;
        }
    }

    pub(super) fn count_refusal(&mut self, owner: Owner, refused: Refused) {
        if let Some(fates) = self.fates(owner) {
            *match refused {
                Refused::Closed | Refused::UnknownTenant => &mut fates.ended,
                Refused::Unavailable(_) => &mut fates.failed,
                Refused::QueueFull | Refused::TenantQueueFull | Refused::TooMany => {
                    &mut fates.refused
                }
            } += 1;
        }
    }

    pub(super) fn count_end(&mut self, owner: Owner, end: End) {
        if let Some(fates) = self.fates(owner) {
            *match end {
                End::TimedOut => &mut fates.timed_out,
                End::CreateFailed | End::CreateTimedOut => &mut fates.failed,
                End::TooMany => &mut fates.refused,
                End::Closed | End::Missed | End::Removed => &mut fates.ended,
            } += 1;
        }
    }
}
