//! What callers do: acquire, claim, cancel, and give back.

use core::time::Duration;

use super::list::{Chain, Linked, NIL};
use super::store::{Slot, Store};
use super::{
    Acquired, Ask, Claim, Effect, End, Leaving, Ledger, MAX_MISSED_OFFERS, MAX_PLACE, Owner,
    Refused, Reuse, SlotKey, SlotState, Target, WaiterKey, WaiterState,
};
use crate::Time;

/// Callers.
impl Ledger {
    /// Leases an idle connection, unless somebody is queued who could have one or the pool is paused. If the
    /// next one must be checked before it is lent, that is begun, and there is no lease.
    #[inline(always)]
    pub fn try_acquire(&mut self) -> Option<SlotKey> {
        if (!self.queue.is_empty() && !mutated!(WakeIsOnlyAHint)) | self.paused {
            return None;
        }
        if !self.way.plain {
            return self.try_acquire_by_rules();
        }
        let index = self.idle.pop_back(&mut self.store.slots)?;
        Some(self.lend_directly(index))
    }

    #[inline(never)]
    fn try_acquire_by_rules(&mut self) -> Option<SlotKey> {
        let index = self.next_idle()?;
        if self.wants_check(index) {
            self.start_next_check();
            return None;
        }
        self.pop_idle();
        Some(self.lend_directly(index))
    }

    #[inline(always)]
    fn lend_directly(&mut self, index: u32) -> SlotKey {
        self.counters.direct += 1;
        let lease = self.lend(index, Duration::ZERO);
        if !self.started | (self.idle.len() < self.options.min_idle) {
            self.fill();
        }
        lease
    }

    /// Leases an idle connection, or queues the caller until its deadline.
    ///
    /// # Errors
    ///
    /// The caller is not queued: the queue is full, the pool is closed, the caller needs more than
    /// there may be, or creations keep failing and nothing else could serve it.
    pub fn acquire(&mut self, ask: Ask) -> Result<Acquired, Refused> {
        let owner = self.owner_of(&ask)?;
        // What is to be checked first is left to `serve`, which knows of the checks under way: the
        // shell may have begun one for this caller already.
        let unchecked = self.next_idle().is_some_and(|index| self.wants_check(index));
        if ask.need == 1
            && !unchecked
            && let Some(slot) = self.try_acquire_as(owner)
        {
            return Ok(Acquired::Leased(slot));
        }
        self.counters.started += 1;
        if let Some(refused) = self.refusal(&ask, owner) {
            *self.refused_counter(refused) += 1;
            self.count_refusal(owner, refused);
            return Err(refused);
        }
        self.started = true;
        self.look_out();
        self.count_arrival(owner);
        let index = self.store.insert_waiter(&ask, owner, self.now);
        let key = self.store.waiter_key(index);
        let was_first = self.queue.front(&self.store.waiters);
        self.queue.push(&mut self.store.waiters, index);
        if ask.deadline != Time::NEVER {
            self.timers.set(&mut self.store, Target::Waiter(index), ask.deadline);
        }
        if self.queue.set_aside() > 0 {
            self.pass_on_gathered(was_first);
        }
        if self.idle.is_empty() {
            self.start_creations();
        } else {
            self.serve();
        }
        Ok(Acquired::Waiting(key))
    }

    #[cold]
    pub(super) const fn refuse_unknown(&mut self) -> Refused {
        self.counters.started += 1;
        *self.refused_counter(Refused::UnknownTenant) += 1;
        Refused::UnknownTenant
    }

    const fn refused_counter(&mut self, refused: Refused) -> &mut u64 {
        match refused {
            Refused::Closed | Refused::UnknownTenant => &mut self.counters.closed,
            Refused::Unavailable(_) => &mut self.counters.failed,
            Refused::QueueFull | Refused::TenantQueueFull | Refused::TooMany => {
                &mut self.counters.refused
            }
        }
    }

    fn refusal(&self, ask: &Ask, owner: Owner) -> Option<Refused> {
        if self.closed && !mutated!(AcquireAfterCloseWaits) {
            return Some(Refused::Closed);
        }
        if ask.need == 0 || u32::from(ask.need) > self.most_for(owner) {
            return Some(Refused::TooMany);
        }
        if let Some(until) = self.unavailable_until() {
            return Some(Refused::Unavailable(until));
        }
        let (queued, max_waiting) = (self.queue.len(), self.options.max_waiting);
        let (is_made_for, coming) = (self.is_made_for(owner, ask.need), u32::MAX);
        let is_full = self.is_full(queued, max_waiting, is_made_for, coming);
        if is_full && !self.is_below_share(owner) {
            return Some(Refused::QueueFull);
        }
        self.refusal_of_tenant(owner, ask.need)
    }

    /// Tells whether so many are queued that nobody else may be, beyond those for whom a connection
    /// comes, of which there are at most `most`.
    #[inline(always)]
    pub(super) fn is_full(
        &self,
        queued: u32,
        max_waiting: u32,
        is_made_for: bool,
        most: u32,
    ) -> bool {
        if queued < max_waiting {
            return false;
        }
        let coming =
            self.count(SlotState::Creating) + self.count(SlotState::Checking) + self.idle.len();
        // What can be made now is made for each caller that comes, so that there is no room then.
        let room = self.size() < self.options.max && !self.paused && self.may_create();
        let places = u64::from(max_waiting) + u64::from(coming.min(most));
        !(room && is_made_for) && u64::from(queued) >= places
    }

    /// Turns the waiter's offer into a lease, or tells where it stands. A wait that is over frees
    /// its entry here.
    pub fn claim(&mut self, key: WaiterKey) -> Claim {
        mutate!(WakeIsOnlyAHint, self.follow_hint(key));
        mutate!(SpuriousPollLosesThePlace, self.queue_anew(key));
        let Some(waiter) = self.store.find_waiter(key) else {
            self.counters.stale += 1;
            return Claim::Unknown;
        };
        match waiter.state {
            WaiterState::Queued => {
                // It looks for itself, so that what it missed was for lack of time, not of life.
                self.store.waiter_mut(key.index).missed = 0;
                Claim::Waiting
            }
            WaiterState::Offered => Claim::Leased(self.claim_one(key.index)),
            WaiterState::Ended(end, _) => {
                self.free_waiter(key.index);
                Claim::Ended(end)
            }
        }
    }

    /// As [`claim`](Self::claim), but only if what it needs is one connection, and that is offered.
    #[inline]
    pub fn claim_single(&mut self, key: WaiterKey) -> Option<SlotKey> {
        let waiter = self.store.find_waiter(key)?;
        let single = (waiter.state == WaiterState::Offered) & (waiter.need == 1);
        single.then(|| self.claim_one(key.index))
    }

    #[inline(always)]
    fn claim_one(&mut self, index: u32) -> SlotKey {
        let Self { store, now, .. } = self;
        let waiter = &mut store.waiters[index as usize];
        let slot = waiter.offered.pop(&mut store.slots).expect("all it needs is set aside for it");
        waiter.have -= 1;
        waiter.need -= 1;
        let owner = waiter.owner;
        let (waited, next) = (now.saturating_since(waiter.since), waiter.offered.front());
        if let Some(next) = next {
            self.counters.batched += 1;
            self.set_slot_timer(next, self.options.offer_timeout);
        } else {
            self.counters.waited += 1;
            if self.options.wait_times {
                self.waits.record(waited);
            }
            self.count_wait(owner, waited);
            self.free_waiter(index);
        }
        self.count_leases(owner, 1);
        self.count_out(SlotState::Offered(0));
        self.lend(slot, waited)
    }

    /// Ends the wait and frees its entry; what was offered passes to the next waiter. Returns
    /// whether the caller was still waiting.
    pub fn cancel(&mut self, key: WaiterKey) -> bool {
        let Some(waiter) = self.store.find_waiter(key) else {
            self.counters.stale += 1;
            return false;
        };
        let was_pending = !matches!(waiter.state, WaiterState::Ended(..));
        let owner = waiter.owner;
        if was_pending {
            self.counters.cancelled += u64::from(!mutated!(CancelIsNotCounted));
            self.count_cancel(owner);
            self.leave(key.index, WaiterState::Ended(End::TimedOut, 0));
        }
        self.free_waiter(key.index);
        was_pending
    }

    /// Takes a connection back in good order: it is offered to the first waiter, else it is idle,
    /// or closed if it is not to be lent again. Returns false, and does nothing, if the key is
    /// stale.
    #[inline]
    pub fn release(&mut self, key: SlotKey) -> bool {
        let Some(owner) = self.end_lease(key) else { return false };
        self.counters.released += 1;
        mutate!(LifetimeCountsFromTheReturn, self.bear_again(key.index));
        mutate!(BusyConnectionNeverRetires, self.put_off(key.index));
        mutate!(ReturnSkipsThoseWhoCreate, return self.release_past_creations(key.index));
        if owner.is_nobody() {
            self.take_in(key.index);
        } else {
            self.take_in_from(key.index, owner);
        }
        true
    }

    /// Takes a damaged connection back, to be closed. Returns false if the key is stale.
    pub fn discard(&mut self, key: SlotKey) -> bool {
        let Some(owner) = self.end_lease(key) else { return false };
        mutate!(DiscardWakesAll, self.wake_all(key));
        self.end_loan(owner);
        self.start_close(key.index, SlotState::Closing, Leaving::Discarded);
        self.serve_others(owner);
        true
    }

    /// Lets the connection leave the pool with its holder, and frees its place at once. Returns
    /// false if the key is stale.
    pub fn take(&mut self, key: SlotKey) -> bool {
        let Some(owner) = self.end_lease(key) else { return false };
        mutate!(TakenStaysInUse, return true);
        self.counters.taken += 1;
        self.end_loan(owner);
        self.free_slot(key.index);
        true
    }

    /// Lets the lease live for `ttl` from now, whatever its time to live was; `None` is for ever. A
    /// holder with a heartbeat can be missed sooner than one without. Returns false if the key is
    /// stale.
    pub fn renew(&mut self, key: SlotKey, ttl: Option<Duration>) -> bool {
        let live = self.is_lease(key);
        if live {
            let until = ttl.map_or(Time::NEVER, |ttl| self.now.saturating_add(ttl));
            self.timers.set(&mut self.store, Target::Slot(key.index), until);
        }
        live
    }

    /// Tells how many callers of its tenant, or without one, are to be served before this one, or
    /// were when its time passed, counted up to [`MAX_PLACE`]; `None` if the key is stale.
    #[must_use]
    pub fn place(&self, key: WaiterKey) -> Option<u16> {
        match self.store.find_waiter(key)?.state {
            WaiterState::Queued => Some(self.place_of(key.index)),
            WaiterState::Offered => Some(0),
            WaiterState::Ended(_, place) => Some(place),
        }
    }

    /// Returns when the waiter came and its place, if its time has passed.
    #[must_use]
    pub fn timed_out(&self, key: WaiterKey) -> Option<(Time, u16)> {
        let waiter = self.store.find_waiter(key)?;
        match waiter.state {
            WaiterState::Ended(End::TimedOut, place) => Some((waiter.since, place)),
            _ => None,
        }
    }

    /// Returns when the waiter's time passes; never, if it is not known or may wait for ever.
    #[must_use]
    pub fn deadline(&self, key: WaiterKey) -> Time {
        let timer = self.store.find_waiter(key).map(|waiter| waiter.timer);
        timer.and_then(|timer| self.timers.at(timer)).unwrap_or(Time::NEVER)
    }

    fn place_of(&self, index: u32) -> u16 {
        self.queue.place(&self.store.waiters, index, MAX_PLACE.into()) as u16
    }

    #[inline(always)]
    fn is_lease(&mut self, key: SlotKey) -> bool {
        let live = self.store.find_slot(key).is_some_and(|slot| slot.state == SlotState::Leased);
        self.counters.stale += u64::from(!live);
        live
    }

    /// Ends the tenure of a lease, and tells whose it was. The caller [ends the
    /// loan](Self::end_loan), and moves the slot on.
    #[inline(always)]
    pub(super) fn end_lease(&mut self, key: SlotKey) -> Option<Owner> {
        let generation = self.store.next_generation();
        let now = self.now;
        let slot = self.store.slots.get_mut(key.index as usize);
        let lease = |slot: &&mut Slot| {
            (slot.generation == key.generation || mutated!(StaleReleaseIsTaken))
                & (slot.state == SlotState::Leased)
        };
        let Some(slot) = slot.filter(lease) else {
            self.counters.stale += 1;
            return None;
        };
        slot.generation = generation;
        slot.fresh = false;
        let owner = core::mem::replace(&mut slot.owner, Owner::NOBODY);
        let since = core::mem::replace(&mut slot.since, now);
        if self.options.hold_times {
            self.holds.record_nanos(now.as_nanos() - since.as_nanos());
        }
        Some(owner)
    }

    /// Takes in a connection that a tenant gives back. The tenant has its turn before
    /// the connection goes on, as it would have if it had waited a moment longer.
    #[cold]
    #[inline(never)]
    fn take_in_from(&mut self, index: u32, owner: Owner) {
        self.end_loan(owner);
        self.take_in(index);
        self.serve();
    }

    /// Gives a caller the slot, which is in no list any more and counted in no state.
    // This and `end_lease` stand in the way of every acquire and release: each looks its slot up
    // once, and does no more than it must.
    #[inline(always)]
    fn lend(&mut self, index: u32, waited: Duration) -> SlotKey {
        let slot = self.store.slot_mut(index);
        slot.state = SlotState::Leased;
        slot.uses += 1;
        slot.unused_since = core::mem::replace(&mut slot.since, self.now);
        slot.waited = waited;
        let (key, timer) = (SlotKey { index, generation: slot.generation }, slot.timer);
        if slot.renewing | (timer != NIL) | self.way.limits {
            self.lend_with_limits(index);
        }
        key
    }

    #[cold]
    #[inline(never)]
    fn lend_with_limits(&mut self, index: u32) {
        self.timers.clear(&mut self.store, Target::Slot(index));
        self.forget_renewal(index);
        self.set_lease_timers(index);
    }

    /// Sees to it that a lease ends, and is told of, in time.
    pub(super) fn set_lease_timers(&mut self, index: u32) {
        self.set_slot_timer(index, self.options.lease_ttl);
        if let Some(after) = self.options.long_hold {
            let at = self.now.saturating_add(after);
            self.timers.hasten(&mut self.store, Target::Care(index), at);
        }
    }

    pub(super) fn handle_overdue_lease(&mut self, index: u32) {
        // Its tenant has the use of it until it is closed: its holder may still work with it.
        self.count_releases(self.store.slot(index).owner);
        self.start_close(index, SlotState::Retired, Leaving::Expired);
    }
}

/// Where a connection goes that nobody holds.
impl Ledger {
    /// Takes in a connection that comes back or was made: it leaves if it is not to be lent again.
    #[inline(always)]
    pub(super) fn take_in(&mut self, index: u32) {
        let slot = self.store.slot(index);
        let is_fit = !((self.closed && !mutated!(ReturnLeaksIntoAClosedPool)) | self.shrunk)
            & (slot.epoch == self.epoch)
            & (slot.expires > self.now)
            & (slot.uses < self.options.max_uses.unwrap_or(u64::MAX));
        if is_fit {
            self.make_available(index);
        } else {
            self.take_in_unfit(index);
        }
    }

    #[cold]
    #[inline(never)]
    fn take_in_unfit(&mut self, index: u32) {
        match self.unfit(index) {
            Some(leaving) => self.turn_away(index, leaving),
            None => self.make_available(index),
        }
    }

    /// Closes what was counted on until now, as a check or an offer is, and sees to it that others
    /// get what it would have been.
    #[cold]
    fn turn_away(&mut self, index: u32, leaving: Leaving) {
        self.start_close(index, SlotState::Closing, leaving);
        self.serve();
    }

    /// Finds the next use of a good connection that nobody holds: the first waiter, else idle.
    #[inline(always)]
    pub(super) fn make_available(&mut self, index: u32) {
        if self.queue.is_empty() | self.paused {
            self.make_idle(index);
        } else {
            self.hand_on(index);
        }
    }

    fn hand_on(&mut self, index: u32) {
        mutate!(WakeIsOnlyAHint, return self.hint(index));
        match self.queue.front(&self.store.waiters) {
            Some(_) if self.wants_check(index) => {
                self.start_check(index);
                // Another one, that needs no check, may be idle: this one was offered until now.
                self.serve();
            }
            Some(waiter) => self.gather(index, waiter),
            None => self.make_idle(index),
        }
    }

    #[inline(always)]
    pub(super) fn make_idle(&mut self, index: u32) {
        // Looked up once, as it stands in the way of every release.
        let slot = self.store.slot_mut(index);
        *slot.links_mut() = self.idle.links_of_last();
        let old = core::mem::replace(&mut slot.state, SlotState::Idle);
        let (timer, care) = (slot.timer, slot.care);
        if timer != NIL {
            self.timers.clear(&mut self.store, Target::Slot(index));
        }
        self.count_out(old);
        self.idle.push_back_linked(&mut self.store.slots, index);
        // Its care may come early, so what is set already will do, unless it was set for a lease.
        let unwatched = self.way.cares & (care == NIL);
        if unwatched | self.way.limits | (self.renewals > 0) | self.overstayed {
            self.watch(index);
        }
    }

    pub(super) fn next_idle(&self) -> Option<u32> {
        match self.options.reuse {
            Reuse::Lifo => self.idle.back(),
            Reuse::Fifo => self.idle.front(),
        }
    }

    /// Takes the next idle connection out of its list. The caller moves it on.
    #[inline(always)]
    pub(super) fn pop_idle(&mut self) -> Option<u32> {
        match self.options.reuse {
            Reuse::Lifo => self.idle.pop_back(&mut self.store.slots),
            Reuse::Fifo => self.idle.pop_front(&mut self.store.slots),
        }
    }

    /// Gives what is idle to whom it is missing, and starts what is missing then.
    pub(super) fn serve(&mut self) {
        while !self.paused
            && !self.closed
            && let Some(waiter) = self.queue.front(&self.store.waiters)
            && let Some(index) = self.next_idle()
        {
            if !self.wants_check(index) {
                self.pop_idle();
                self.gather(index, waiter);
            } else if u64::from(self.count(SlotState::Checking)) < self.queue.units() {
                self.start_next_check();
            } else {
                break;
            }
        }
        self.start_creations();
    }

    /// Sets the slot, which is in no list, aside for a waiter in the queue, who is offered all that
    /// it needs once that is there.
    pub(super) fn gather(&mut self, index: u32, waiter: u32) {
        self.forget_renewal(index);
        self.set_state(index, SlotState::Offered(waiter));
        let Store { slots, waiters, .. } = &mut self.store;
        let entry = &mut waiters[waiter as usize];
        slots[index as usize].owner = entry.owner;
        entry.offered.push(slots, index);
        entry.have += 1;
        let is_complete = entry.missing() == 0;
        if is_complete {
            self.queue.serve(waiters, waiter);
            self.offer(index, waiter);
        } else {
            self.queue.supply(waiters, waiter);
        }
    }

    fn offer(&mut self, index: u32, waiter: u32) {
        self.store.waiter_mut(waiter).state = WaiterState::Offered;
        mutate!(LeakedWaiterKeepsItsOffer, self.wait_for_ever(waiter));
        self.set_slot_timer(index, self.options.offer_timeout);
        self.effects.push_back(Effect::Offer {
            waiter: self.store.waiter_key(waiter),
            slot: self.store.slot_key(index),
        });
    }

    /// The offer passes to the waiter behind the one that missed it, or, if there is none, to
    /// whoever is first by now; the one that missed it goes back to its place in the queue.
    pub(super) fn handle_missed_offer(&mut self, waiter: u32) {
        self.counters.offers_missed += 1;
        let entry = self.store.waiter_mut(waiter);
        entry.missed += 1;
        if entry.missed == MAX_MISSED_OFFERS {
            return self.end_pending(waiter, End::Missed);
        }
        let (owner, need) = (entry.owner, entry.need);
        if u32::from(need) > self.most_for(owner) {
            return self.end_pending(waiter, End::TooMany);
        }
        let entry = self.store.waiter_mut(waiter);
        entry.state = WaiterState::Queued;
        let mut offered = core::mem::replace(&mut entry.offered, Chain::new());
        let count = core::mem::take(&mut entry.have);
        let was_first = self.queue.front(&self.store.waiters);
        self.drop_uses(owner, count);
        self.queue.push_again(&mut self.store.waiters, waiter);
        while let Some(index) = self.pop_offered(&mut offered) {
            match self.behind(waiter).filter(|_| !self.paused && self.unfit(index).is_none()) {
                Some(next) => self.gather(index, next),
                None => self.take_in(index),
            }
        }
        self.pass_on_gathered(was_first);
        self.serve_others(owner);
    }

    /// Takes one out of those that were set aside for a waiter; it is nobody's then.
    fn pop_offered(&mut self, offered: &mut Chain) -> Option<u32> {
        let index = offered.pop(&mut self.store.slots)?;
        self.store.slot_mut(index).owner = Owner::NOBODY;
        Some(index)
    }

    /// Serves whom a tenant that has less now no longer stands in the way of.
    pub(super) fn serve_others(&mut self, owner: Owner) {
        if !owner.is_nobody() {
            self.serve();
        }
    }

    /// Only the first in the queue gathers, as two could hold each other up: what the one that was
    /// first had set aside goes to the one that stands before it now.
    pub(super) fn pass_on_gathered(&mut self, was_first: Option<u32>) {
        let Some(waiter) = was_first.filter(|&waiter| self.store.waiter(waiter).have > 0) else {
            return;
        };
        let is_queued = self.store.waiter(waiter).state == WaiterState::Queued;
        if !is_queued || self.queue.front(&self.store.waiters) == Some(waiter) {
            return;
        }
        let entry = self.store.waiter_mut(waiter);
        let owner = entry.owner;
        let have = core::mem::take(&mut entry.have);
        let mut gathered = core::mem::replace(&mut entry.offered, Chain::new());
        self.drop_uses(owner, have);
        self.queue.lack(&self.store.waiters, waiter, have);
        while let Some(index) = self.pop_offered(&mut gathered) {
            self.take_in(index);
        }
        self.serve_others(owner);
    }

    /// The waiter behind this one, if it lacks one connection only: a second waiter that gathers
    /// could hold the first one up.
    fn behind(&self, waiter: u32) -> Option<u32> {
        let next = self.queue.behind(&self.store.waiters, waiter)?;
        (self.store.waiter(next).missing() == 1).then_some(next)
    }
}

/// Transitions of waiters.
impl Ledger {
    /// Ends a wait that is queued or offered; what was offered passes on.
    pub(super) fn end_pending(&mut self, index: u32, end: End) {
        *self.ended_counter(end) += 1;
        self.count_end(self.store.waiter(index).owner, end);
        self.timers.clear(&mut self.store, Target::Waiter(index));
        self.effects.push_back(Effect::Ended { waiter: self.store.waiter_key(index), end });
        let was_queued = self.store.waiter(index).state == WaiterState::Queued;
        let place = if was_queued && end == End::TimedOut { self.place_of(index) } else { 0 };
        self.leave(index, WaiterState::Ended(end, place));
    }

    /// Takes a waiter out of the queue, and passes on what was set aside for it.
    fn leave(&mut self, index: u32, ended: WaiterState) {
        self.ended += 1;
        let entry = self.store.waiter_mut(index);
        let state = core::mem::replace(&mut entry.state, ended);
        let mut offered = core::mem::replace(&mut entry.offered, Chain::new());
        let (owner, have) = (entry.owner, entry.have);
        if state == WaiterState::Queued {
            self.drop_uses(owner, have);
            self.queue.remove(&mut self.store.waiters, index);
        } else {
            self.end_uses(owner, have.into());
        }
        mutate!(CreationDiesWithItsRequester, self.give_up_a_creation(ended));
        mutate!(TimeoutDestroysWhatIsChecked, self.give_up_a_check(ended));
        while let Some(slot) = self.pop_offered(&mut offered) {
            match mutated!(CancelledOfferIsLost) {
                true => self.make_idle(slot),
                false => self.take_in(slot),
            }
        }
        self.serve_others(owner);
    }

    pub(super) fn end_first_waiter(&mut self, end: End) {
        if let Some(first) = self.queue.front(&self.store.waiters) {
            self.end_pending(first, end);
        }
    }

    const fn ended_counter(&mut self, end: End) -> &mut u64 {
        match end {
            End::TimedOut => &mut self.counters.timed_out,
            End::Closed | End::Removed => &mut self.counters.closed,
            End::CreateFailed | End::CreateTimedOut => &mut self.counters.failed,
            End::Missed => &mut self.counters.missed,
            End::TooMany => &mut self.counters.refused,
        }
    }

    fn free_waiter(&mut self, index: u32) {
        self.timers.clear(&mut self.store, Target::Waiter(index));
        let waiter = self.store.waiters.remove(index as usize);
        self.ended -= u32::from(matches!(waiter.state, WaiterState::Ended(..)));
    }
}
