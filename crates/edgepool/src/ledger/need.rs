//! How many connections are missing, and how creations are held back after failures.

use core::time::Duration;

use super::{Backoff, Effect, End, Ledger, SlotKey, SlotState};
use crate::Time;
use crate::clock::whole_nanos;

impl Ledger {
    /// Tells whether connections are missing that no job will give.
    pub(super) fn is_short(&self) -> bool {
        if self.closed || self.paused {
            return false;
        }
        let keep = if self.keeps_up() { self.options.min_idle } else { 0 };
        let missing = self.queue.units() + u64::from(keep);
        let creating = self.count(SlotState::Creating);
        let coming = if mutated!(CreatesMoreThanIsNeeded) { 0 } else { creating }
            + self.count(SlotState::Checking)
            + self.count(SlotState::Resetting)
            + self.idle.len()
            - self.renewals;
        u64::from(coming) < missing
    }

    /// Tells whether `min_idle` counts. Without a back-off it does not after a failure: nothing would
    /// keep one attempt from following the other for ever.
    const fn keeps_up(&self) -> bool {
        self.started && (self.options.backoff.is_some() || self.failing.in_a_row == 0)
    }

    /// Starts the creations that are missing, as far as there is room and none is held back.
    #[inline(always)]
    pub(super) fn start_creations(&mut self) {
        if self.has_room() {
            self.start_creations_in_room();
        }
    }

    fn start_creations_in_room(&mut self) {
        while self.is_short() && self.has_room() && self.may_create() {
            self.start_creation();
        }
    }

    #[inline(always)]
    fn has_room(&self) -> bool {
        let size = if mutated!(ClosingDoesNotCount) { self.living() } else { self.size() };
        size < self.options.max
    }

    pub(super) fn start_creation(&mut self) -> SlotKey {
        let slot = self.insert_creation();
        self.effects.push_back(Effect::Create { slot });
        slot
    }

    /// As [`start_creation`](Self::start_creation), for a shell that begins it at once.
    pub(super) fn insert_begun_creation(&mut self) -> SlotKey {
        let slot = self.insert_creation();
        self.set_slot_timer(slot.index, self.options.create_timeout);
        slot
    }

    fn insert_creation(&mut self) -> SlotKey {
        self.counters.creations += 1;
        let index = self.insert_slot(SlotState::Creating);
        self.name(index);
        self.store.slot_key(index)
    }

    /// Tells whether the failures so far let another creation begin.
    pub(super) fn may_create(&self) -> bool {
        !self.failing.is_holding_back() && (!self.is_open() || self.count(SlotState::Creating) == 0)
    }

    /// Tells whether the breaker is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.options.breaker.is_some_and(|after| self.failing.in_a_row >= after)
    }

    /// Returns when the next creation may begin, while a failure holds them back.
    #[must_use]
    pub const fn retry_at(&self) -> Option<Time> {
        self.failing.retry_at()
    }

    /// Tells whether connections are missing that are begun only when failures let them.
    #[must_use]
    pub fn awaits_retry(&self) -> bool {
        self.failing.is_holding_back() && self.is_short()
    }

    /// Tells whether something in the queue depends on a time to come that is not a caller's own:
    /// when creations may begin again, or an offer passes on.
    #[must_use]
    #[inline]
    pub fn awaits_time(&self) -> bool {
        let offers = self.options.offer_timeout.is_some() && self.count(SlotState::Offered(0)) > 0;
        !self.queue.is_empty() && (offers || self.awaits_retry())
    }

    /// Until when callers are refused, as creations keep failing and nothing else could serve them.
    pub(super) fn unavailable_until(&self) -> Option<Time> {
        let nothing = self.living() == 0 && !self.paused;
        self.failing.retry_at().filter(|_| nothing && self.is_open())
    }

    /// Notes a failed creation, and ends the waits that depended on it: the first, or, with a
    /// back-off before the next attempt, all if no connection is left that could come.
    pub(super) fn end_dependants(&mut self, index: u32, end: End) {
        let backoff = self.options.backoff.filter(|_| !mutated!(NoBackOff));
        let attempt = self.store.slot(index).id;
        self.failing.fail(attempt, self.named, backoff, self.now);
        self.look_out();
        mutate!(CreateErrorIsSwallowed, return);
        self.end_first_waiter(end);
        let held_back = self.options.backoff.is_some() && !mutated!(FailureTellsOneOnly);
        if held_back && self.living() == 1 {
            while !self.queue.is_empty() {
                self.end_first_waiter(end);
            }
        }
    }
}

/// The failures in a row of creations, or of something else that is tried again, and the wait that
/// follows from them.
#[derive(Clone, Debug)]
pub(crate) struct Failing {
    pub(super) in_a_row: u32,
    /// The number of the last creation that was begun before the failure that was counted last.
    pub(super) known: u64,
    /// When the next attempt may begin, while that is to come.
    retry_at: Option<Time>,
    /// The state of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
    pub(super) chance: u64,
}

impl Failing {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { in_a_row: 0, known: 0, retry_at: None, chance: seed }
    }

    pub(crate) const fn retry_at(&self) -> Option<Time> {
        self.retry_at
    }

    #[cfg(feature = "std")]
    pub(crate) const fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// Counts a failure of what is done one at a time.
    #[cfg(feature = "std")]
    pub(crate) fn fail_again(&mut self, backoff: Backoff, now: Time) {
        let attempt = self.known + 1;
        self.fail(attempt, attempt, Some(backoff), now);
    }

    #[inline(always)]
    pub(super) const fn is_holding_back(&self) -> bool {
        self.retry_at.is_some()
    }

    /// Forgets the failures: a creation succeeded.
    pub(super) const fn forget(&mut self) {
        (self.in_a_row, self.known, self.retry_at) = (0, 0, None);
    }

    /// Ends the wait if its time has come; returns whether it did.
    #[inline(always)]
    pub(super) fn end_hold(&mut self, now: Time) -> bool {
        let over = self.retry_at.is_some_and(|at| at <= now);
        if over {
            self.retry_at = None;
        }
        over
    }

    /// Counts a failure, and draws the wait that follows. Creations that were begun together tell
    /// the same if they fail: that counts once.
    fn fail(&mut self, attempt: u64, begun: u64, backoff: Option<Backoff>, now: Time) {
        if attempt <= self.known {
            return;
        }
        self.known = begun;
        let doublings = self.in_a_row.min(31);
        self.in_a_row = self.in_a_row.saturating_add(1);
        let Some(backoff) = backoff else { return };
        let (base, cap) = (whole_nanos(backoff.base), whole_nanos(backoff.cap));
        // Doubled only where that cannot overflow.
        let longest = if base > cap >> doublings { cap } else { base << doublings };
        let at = now.saturating_add(self.draw(longest));
        self.retry_at = self.retry_at.max(Some(at)).filter(|&at| at > now);
    }

    /// Draws a duration from zero to `longest` nanoseconds, both included.
    #[cfg_attr(target_family = "wasm", inline(never))]
    pub(super) fn draw(&mut self, longest: u64) -> Duration {
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let span = u128::from(longest) + 1;
        Duration::from_nanos(((u128::from(z) * span) >> 64) as u64)
    }
}
