//! How creations, checks, resets and closings end.

use std::time::Duration;

use edgepool::Time;
use edgepool::ledger::{End, JobKind, Leaving, Verdict};

use super::tenants::NOBODY;
use super::{Expected, Model, SlotState};

impl Model {
    pub(crate) fn created(&mut self, id: u64) {
        self.counters.created += 1;
        self.bear(id);
        (self.failures, self.known, self.retry_at) = (0, 0, None);
        self.take_in(id);
        self.create_as_needed();
    }

    pub(super) fn bear(&mut self, id: u64) {
        let mut expires = Time::NEVER;
        if let Some(lifetime) = self.options.max_lifetime {
            let most = lifetime * self.options.lifetime_jitter.into() / 100;
            let earlier = self.draw(most);
            expires = self.now.saturating_add(lifetime - earlier);
        }
        let now = self.now;
        let slot = self.slot(id);
        (slot.born, slot.expires, slot.since, slot.good) = (now, expires, now, now);
        slot.fresh = true;
    }

    /// SplitMix64, times the range, without the fraction.
    pub(super) fn draw(&mut self, most: Duration) -> Duration {
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = self.chance;
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let z = z ^ (z >> 31);
        Duration::from_nanos(((u128::from(z) * (most.as_nanos() + 1)) >> 64) as u64)
    }

    pub(crate) fn create_failed(&mut self, id: u64) {
        self.counters.create_failed += 1;
        self.end_dependants(id, End::CreateFailed);
        self.free(id);
    }

    pub(super) fn end_dependants(&mut self, id: u64, end: End) {
        let before = self.failures;
        let is_news = id > self.known;
        if is_news {
            self.known = self.named;
            self.failures += 1;
        }
        let Some(backoff) = self.options.backoff else {
            return self.first().into_iter().for_each(|first| self.end(first, end));
        };
        if is_news {
            let doubled = backoff.base.saturating_mul(1 << before.min(31));
            let wait = self.draw(doubled.min(backoff.cap));
            let at = self.retry_at.max(Some(self.now.saturating_add(wait)));
            self.retry_at = at.filter(|&at| at > self.now);
        }
        self.first().into_iter().for_each(|first| self.end(first, end));
        let hopeless = self.living() == 1;
        while hopeless && let Some(first) = self.first() {
            self.end(first, end);
        }
    }

    pub(super) fn abandon_creation(&mut self, id: u64, overdue: bool) {
        self.counters.create_abandoned += 1;
        let key = self.slots[&id].key;
        self.effects.push(Expected::Abandon(key, JobKind::Creation, overdue));
        self.free(id);
    }

    pub(crate) fn checked(&mut self, id: u64, verdict: Verdict) {
        let swept = std::mem::take(&mut self.slot(id).swept);
        self.judge(id, verdict, Leaving::CheckFailed);
        if swept {
            // It was checked for being idle for long, and stays the one that was.
            if let Some(at) = self.idle.iter().position(|&other| other == id) {
                self.idle.remove(at);
                self.idle.insert(0, id);
            }
            self.sweep_on();
        }
    }

    pub(crate) fn reset(&mut self, id: u64, verdict: Verdict) {
        self.judge(id, verdict, Leaving::ResetFailed);
    }

    pub(super) fn judge(&mut self, id: u64, verdict: Verdict, failed: Leaving) {
        match verdict {
            Verdict::Good => {
                let now = self.now;
                let slot = self.slot(id);
                (slot.good, slot.fresh) = (now, failed == Leaving::CheckFailed);
                self.take_in(id);
            }
            Verdict::Bad => {
                self.ask_to_close(id, SlotState::Closing, failed);
                self.serve();
            }
            Verdict::Lost => {
                self.count_leaving(failed);
                self.lose(id);
            }
        }
    }

    pub(crate) fn closed(&mut self, id: u64) {
        self.lose(id);
    }

    pub(crate) fn look_at_idle(&mut self) -> Option<u64> {
        let id = *self.idle.first()?;
        self.idle.remove(0);
        self.set(id, SlotState::Checking);
        self.serve();
        Some(id)
    }

    pub(crate) fn looked_at(&mut self, id: u64, keep: bool) {
        let swept = std::mem::take(&mut self.slot(id).swept);
        if keep {
            self.take_in(id);
        } else {
            self.ask_to_close(id, SlotState::Closing, Leaving::Rejected);
            self.serve();
        }
        if swept {
            self.sweep_on();
        }
    }

    pub(crate) fn adopt(&mut self) -> Option<u64> {
        self.adopt_for(NOBODY)
    }

    /// A tenant may have one more than its share.
    pub(crate) fn adopt_for(&mut self, tenant: u64) -> Option<u64> {
        if self.closed || self.slots.len() as u32 >= self.options.max {
            return None;
        }
        self.counters.adopted += 1;
        let id = self.insert(SlotState::Leased);
        self.bear(id);
        self.arm_lease(id);
        let was_first = self.first();
        self.counts_of(tenant).acquired += 1;
        self.slot(id).tenant = Some(tenant);
        self.settle();
        self.pass_on_gathered(was_first);
        Some(id)
    }
}
