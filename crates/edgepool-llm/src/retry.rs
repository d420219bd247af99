//! Whether a failed attempt is tried again, when, and what all retries together may cost.

use core::time::Duration;

use edgepool::Time;

use crate::Failure;

/// How attempts are repeated. Nothing is repeated once content has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryOptions {
    /// The most retries of a call. By default 2. For calls that must not happen twice, set it to 0.
    pub retries: u32,
    /// The longest wait before the first retry; it doubles with each one. By default 500 ms.
    pub base: Duration,
    /// The longest wait before any. By default 8 s.
    pub longest: Duration,
    /// The longest wait that a provider may ask for. A call that would have to wait longer goes to
    /// another endpoint, or fails with the time named. By default 60 s.
    pub retry_after_cap: Duration,
    /// What retries and hedges may cost together.
    pub budget: BudgetOptions,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            retries: 2,
            base: Duration::from_millis(500),
            longest: Duration::from_secs(8),
            retry_after_cap: Duration::from_secs(60),
            budget: BudgetOptions::default(),
        }
    }
}

/// What retries, attempts at another endpoint and hedges of a provider may cost together, so that
/// they cannot multiply the load of one that is in trouble (as the `RetryBudget` of Finagle, and
/// "Addressing Cascading Failures" in Google's book on site reliability).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetOptions {
    /// How many there may be for each hundred calls. By default 20.
    pub percent: u32,
    /// How many there may be in each second besides. By default 10.
    pub per_second: u32,
}

impl Default for BudgetOptions {
    fn default() -> Self {
        Self { percent: 20, per_second: 10 }
    }
}

/// What an attempt costs, in parts that keep shares whole: a hundred of them are one attempt.
const ATTEMPT: u64 = 100;

/// How many attempts that calls have earned are kept at most; they are not to be saved for days
/// and spent at once.
const MOST_EARNED: u64 = 100 * ATTEMPT;

/// What is left for retries and hedges.
///
/// In any time there are at most `percent` of its calls, `per_second` for each of its seconds and,
/// at its start, one second's worth and what a hundred attempts cost.
#[derive(Clone, Debug)]
pub struct Budget {
    options: BudgetOptions,
    /// From calls, in parts.
    earned: u64,
    /// From time, in parts; at most one second's worth.
    floor: u64,
    /// Until when time was counted.
    at: Time,
}

impl Budget {
    /// Makes a budget that has one second's worth.
    #[must_use]
    pub const fn new(options: BudgetOptions, now: Time) -> Self {
        Self { options, earned: 0, floor: options.per_second as u64 * ATTEMPT, at: now }
    }

    /// Counts a call that is no retry.
    pub fn earn(&mut self) {
        self.earned = (self.earned + u64::from(self.options.percent)).min(MOST_EARNED);
    }

    /// Takes what an attempt costs, if it is there.
    #[must_use]
    pub fn take(&mut self, now: Time) -> bool {
        self.refill(now);
        let from = if self.floor >= ATTEMPT { &mut self.floor } else { &mut self.earned };
        let enough = *from >= ATTEMPT;
        if enough {
            *from -= ATTEMPT;
        }
        enough
    }

    /// Returns how many attempts it would take now.
    #[must_use]
    pub fn left(&mut self, now: Time) -> u64 {
        self.refill(now);
        self.floor / ATTEMPT + self.earned / ATTEMPT
    }

    fn refill(&mut self, now: Time) {
        let rate = u128::from(self.options.per_second) * u128::from(ATTEMPT);
        if rate == 0 {
            return;
        }
        let nanos = now.saturating_since(self.at).as_nanos();
        let parts = nanos * rate / NANOS;
        let room = rate.saturating_sub(u128::from(self.floor));
        if parts >= room {
            self.floor += room as u64;
            self.at = self.at.max(now);
        } else {
            self.floor += parts as u64;
            // What was too short for a part stays for the next time.
            self.at = self.at.saturating_add(Duration::from_nanos((parts * NANOS / rate) as u64));
        }
    }
}

const NANOS: u128 = 1_000_000_000;

/// What follows from a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Try again after this time; zero where another endpoint takes it.
    Retry(Duration),
    /// The failure stands, as repeating it does not help.
    Final,
    /// The failure stands, as there have been enough retries.
    Spent,
    /// The failure stands, as the provider asks to wait this long, which is over the cap.
    TooLong(Duration),
}

/// Whether an endpoint that a call has not tried would take its next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// One would now.
    Free,
    /// One is up, and may as soon as there is room.
    Busy,
    /// There is none, or none is up.
    Nowhere,
}

impl RetryOptions {
    /// Decides on a failure after `retried` retries. What the provider asks to wait is asked by one
    /// endpoint, which is paused for it, and binds a call only where it can go nowhere else.
    /// `chance` is any number.
    #[must_use]
    pub fn decide(
        &self,
        failure: &Failure,
        retried: u32,
        elsewhere: Elsewhere,
        chance: u64,
    ) -> Decision {
        if !failure.is_retryable() {
            return Decision::Final;
        }
        if retried >= self.retries {
            return Decision::Spent;
        }
        let backoff = self.backoff(retried, chance);
        match elsewhere {
            // What failed is spared, and all of them together by the budget.
            Elsewhere::Free => return Decision::Retry(Duration::ZERO),
            Elsewhere::Busy => return Decision::Retry(backoff),
            Elsewhere::Nowhere => {}
        }
        let asked = failure.retry_after.unwrap_or(Duration::ZERO);
        if asked > self.retry_after_cap {
            return Decision::TooLong(asked);
        }
        Decision::Retry(asked.max(backoff))
    }

    /// Returns a wait from zero to the longest for that retry, each as likely ("full jitter", as in
    /// Marc Brooker's "Exponential Backoff And Jitter", 2015).
    #[must_use]
    pub fn backoff(&self, retried: u32, chance: u64) -> Duration {
        let doubled = self.base.saturating_mul(1_u32.checked_shl(retried).unwrap_or(u32::MAX));
        let most = doubled.min(self.longest).as_nanos().min(u128::from(u64::MAX));
        // The high word of the product maps a number of 64 bits onto the range.
        Duration::from_nanos(((u128::from(chance) * most) >> 64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;
    use Elsewhere::{Busy, Free, Nowhere};

    const MS: Duration = Duration::from_millis(1);

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    fn asking(class: Class, retry_after: Option<Duration>) -> Failure {
        Failure { retry_after, ..Failure::new(class, "no") }
    }

    #[test]
    fn waits_double_up_to_the_longest_and_are_spread() {
        let options = RetryOptions::default();
        let most: Vec<_> = (0..7).map(|n| options.backoff(n, u64::MAX).as_millis()).collect();
        assert_eq!(most, [499, 999, 1_999, 3_999, 7_999, 7_999, 7_999]);
        assert_eq!(options.backoff(0, 1 << 63), 250 * MS);
        assert_eq!(options.backoff(40, 0), Duration::ZERO);
    }

    #[test]
    fn what_a_failure_leads_to() {
        let options = RetryOptions::default();
        let hour = Duration::from_secs(3_600);
        let cases = [
            (asking(Class::Server, None), 0, Nowhere, Decision::Retry(250 * MS)),
            (asking(Class::Server, None), 0, Free, Decision::Retry(Duration::ZERO)),
            (asking(Class::Server, None), 2, Free, Decision::Spent),
            (asking(Class::RateLimited, Some(9_000 * MS)), 1, Nowhere, Decision::Retry(9_000 * MS)),
            (asking(Class::RateLimited, Some(hour)), 0, Nowhere, Decision::TooLong(hour)),
            (asking(Class::RateLimited, Some(hour)), 0, Free, Decision::Retry(Duration::ZERO)),
            (asking(Class::RateLimited, Some(hour)), 0, Busy, Decision::Retry(250 * MS)),
            (asking(Class::QuotaExhausted, None), 0, Free, Decision::Final),
            (asking(Class::Invalid, None), 0, Free, Decision::Final),
        ];
        for (failure, retried, elsewhere, expected) in cases {
            let decision = options.decide(&failure, retried, elsewhere, 1 << 63);
            assert_eq!(decision, expected, "{failure:?}");
        }
    }

    #[test]
    fn the_floor_refills_with_time_and_is_not_saved_up() {
        let mut budget = Budget::new(BudgetOptions { percent: 20, per_second: 10 }, at(0));
        assert_eq!((0..20).filter(|_| budget.take(at(0))).count(), 10);
        assert_eq!((0..20).filter(|_| budget.take(at(250))).count(), 2);
        assert_eq!(budget.left(at(300)), 1, "the half of a part was kept");
        assert_eq!(budget.left(at(3_600_000)), 10);
    }

    #[test]
    fn calls_earn_their_share() {
        let mut budget = Budget::new(BudgetOptions { percent: 20, per_second: 0 }, at(0));
        for _ in 0..14 {
            budget.earn();
        }
        assert_eq!((0..20).filter(|_| budget.take(at(9_000))).count(), 2);
        for _ in 0..10_000 {
            budget.earn();
        }
        assert_eq!(budget.left(at(9_000)), 100);
    }

    #[test]
    fn a_clock_that_steps_back_earns_nothing() {
        let mut budget = Budget::new(BudgetOptions { percent: 0, per_second: 1 }, at(5_000));
        assert!(budget.take(at(5_000)));
        assert!(!budget.take(at(1_000)));
        assert!(!budget.take(at(5_999)));
        assert!(budget.take(at(6_000)));
    }
}
