//! How many requests and tokens an endpoint takes in a time, as it was set and as it tells.
//!
//! A bucket holds what may be sent at once, and refills evenly. Who takes more than is in it gets
//! the time at which it will be there, each caller its own, in the order in which they took. What
//! the headers of an answer tell replaces what was counted here, as others may use the same key; but
//! it is never trusted so far that nothing is sent for longer than a cap.
//!
//! # What they are per
//!
//! There are buckets for each endpoint of a provider, and a 429 pauses one endpoint, whichever model
//! was asked. OpenAI, Anthropic and others limit each model by itself. Where calls ask several models
//! of such a provider, make it a provider for each model: otherwise a 429 of one holds the others
//! back, and the headers of each correct the buckets of all.
//!
//! The windows of limits in headers are those that the flavour's documents name, a minute for
//! OpenAI's. An account whose requests count per day tells of a smaller limit and of a time to a
//! full bucket that does not fit a minute; until that time, at most the cap, an empty bucket holds
//! its calls back. Where such a limit is known beforehand, set [`Rates::requests`].

use core::time::Duration;

use edgepool::Time;

use crate::{Allowance, RateLimits};

/// So much in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How much; at least 1.
    pub amount: u64,
    /// In which time; not zero.
    pub window: Duration,
}

impl Rate {
    /// So much in a minute, as most providers count.
    #[must_use]
    pub const fn per_minute(amount: u64) -> Self {
        Self { amount, window: Duration::from_secs(60) }
    }

    fn per_nano(self) -> f64 {
        self.amount as f64 / self.window.as_nanos() as f64
    }
}

/// What an attempt is expected to use beside one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Tokens of the prompt; 0 if nobody counted.
    pub input_tokens: u64,
    /// Tokens of the answer, such as the most that were asked for; 0 if nobody knows.
    pub output_tokens: u64,
}

/// The bucket of one kind of thing.
#[derive(Clone, Debug)]
struct Bucket {
    rate: Option<Rate>,
    /// Whether the rate was set, and not learnt from headers.
    set: bool,
    /// When headers told of it last.
    told: Time,
    /// What is left; below zero where callers were given times.
    level: f64,
    /// When `level` was counted.
    at: Time,
    /// The provider says that nothing is left until then.
    blocked: Time,
    /// What was taken by attempts of which no headers came yet: no header counts it.
    unseen: f64,
}

impl Bucket {
    fn new(rate: Option<Rate>, now: Time) -> Self {
        let rate = rate.filter(|rate| rate.amount > 0 && !rate.window.is_zero());
        let level = rate.map_or(0.0, |rate| rate.amount as f64);
        let set = rate.is_some();
        Self { rate, set, told: now, level, at: now, blocked: Time::ZERO, unseen: 0.0 }
    }

    /// Returns from when on that much may be taken.
    fn ready_at(&self, need: f64, cap: Duration, now: Time) -> Time {
        let blocked = self.blocked.max(now);
        let Some(rate) = self.known(cap, now) else { return blocked };
        let missing = self.at_most_all(need) - self.level_at(now);
        if missing <= 0.0 {
            return blocked;
        }
        let nanos = (missing / rate.per_nano()).ceil() as u64;
        let wait = Duration::from_nanos(nanos);
        let wait = if self.set { wait } else { wait.min(cap) };
        now.saturating_add(wait).max(blocked)
    }

    /// Returns the rate. What headers told and do not repeat counts for no longer than the cap.
    fn known(&self, cap: Duration, now: Time) -> Option<Rate> {
        self.rate.filter(|_| self.set || now.saturating_since(self.told) < cap)
    }

    fn level_at(&self, now: Time) -> f64 {
        let Some(rate) = self.rate else { return self.level };
        let nanos = now.saturating_since(self.at).as_nanos() as f64;
        (self.level + nanos * rate.per_nano()).min(rate.amount as f64)
    }

    /// What is more than a bucket holds passes when it is full, and empties it: neither a caller nor
    /// an answer with a number that is absurd is to hold the others up for ever.
    fn at_most_all(&self, need: f64) -> f64 {
        self.rate.map_or(need, |rate| need.min(rate.amount as f64))
    }

    /// Takes what is needed, and returns how much that was.
    fn take(&mut self, need: f64, now: Time) -> f64 {
        self.count(now);
        let taken = self.at_most_all(need);
        self.level -= taken;
        self.unseen += taken;
        taken
    }

    /// Gives back what was taken and not used.
    fn put_back(&mut self, taken: f64, now: Time) {
        self.count(now);
        self.level += taken;
        self.see(taken);
    }

    /// The headers of what was taken came, or never will.
    fn see(&mut self, taken: f64) {
        self.unseen = (self.unseen - taken).max(0.0);
    }

    fn count(&mut self, now: Time) {
        self.level = self.level_at(now);
        self.at = self.at.max(now);
    }

    fn correct(&mut self, told: &Allowance, cap: Duration, now: Time) {
        self.count(now);
        self.learn(told, cap, now);
        let Some(remaining) = told.remaining else { return };
        let most = told.limit.filter(|&limit| limit > 0).unwrap_or(remaining);
        let remaining = remaining.min(most);
        // The provider has not counted what it has not answered.
        let left = remaining as f64 - self.unseen;
        self.level = if self.set { left.min(self.level) } else { left };
        self.blocked = Time::ZERO;
        if remaining == 0
            && let Some(reset) = told.reset
            && !self.refills_evenly(told)
        {
            self.blocked = now.saturating_add(reset.min(cap));
        }
    }

    fn learn(&mut self, told: &Allowance, cap: Duration, now: Time) {
        if self.set {
            return;
        }
        let Some(amount) = told.limit.filter(|&limit| limit > 0) else { return };
        let used = amount.saturating_sub(told.remaining.unwrap_or(amount));
        let fills = told.reset.filter(|reset| !reset.is_zero() && used > 0);
        let window = told.window.or_else(|| {
            let share = amount as f64 / used as f64;
            Duration::try_from_secs_f64(fills?.as_secs_f64() * share).ok()
        });
        if let Some(window) = window.filter(|window| !window.is_zero()) {
            if self.known(cap, now).is_none() {
                self.level = amount as f64 - self.unseen;
            }
            self.rate = Some(Rate { amount, window });
            self.told = now;
        }
    }

    /// Tells whether an empty bucket refills little by little. OpenAI and Anthropic do, and say when
    /// it will be full, which for an empty one takes a window; others fill it at once at the end of
    /// a window, of which some has passed.
    fn refills_evenly(&self, told: &Allowance) -> bool {
        let (Some(window), Some(reset)) = (told.window, told.reset) else { return self.set };
        let (window, reset) = (window.as_secs_f64(), reset.as_secs_f64());
        (window - reset).abs() <= window * 0.05
    }
}

/// What an endpoint takes in a time, where it was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Requests; by default what the headers of answers tell.
    pub requests: Option<Rate>,
    /// Tokens of both kinds; by default what the headers of answers tell.
    pub tokens: Option<Rate>,
}

const KINDS: usize = 4;

/// What was taken for one attempt, and from when on it may be sent. The rate may change meanwhile,
/// so what is given back later is what was taken, and not what the need would take by then.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    at: Time,
    each: [f64; KINDS],
}

impl Taken {
    /// Returns from when on the attempt may be sent.
    #[must_use]
    pub const fn at(&self) -> Time {
        self.at
    }
}

/// The buckets of one endpoint: requests, tokens, tokens of prompts, tokens of answers.
#[derive(Clone, Debug)]
pub struct Buckets {
    each: [Bucket; KINDS],
    cap: Duration,
}

impl Buckets {
    /// Makes full buckets. What headers tell never holds anything up for longer than `cap`.
    #[must_use]
    pub fn new(rates: &Rates, cap: Duration, now: Time) -> Self {
        let rates = [rates.requests, rates.tokens, None, None];
        Self { each: rates.map(|rate| Bucket::new(rate, now)), cap }
    }

    /// Returns from when on an attempt may be sent: `now`, or later.
    #[must_use]
    pub fn ready_at(&self, need: &Need, now: Time) -> Time {
        let needs = needs(need).into_iter().zip(&self.each);
        needs.map(|(need, bucket)| bucket.ready_at(need, self.cap, now)).max().unwrap_or(now)
    }

    /// Takes what an attempt needs, and returns from when on it may be sent. The next one gets a
    /// later time.
    pub fn take(&mut self, need: &Need, now: Time) -> Taken {
        let at = self.ready_at(need, now);
        let mut each = needs(need);
        for (bucket, need) in self.each.iter_mut().zip(&mut each) {
            *need = bucket.take(*need, now);
        }
        Taken { at, each }
    }

    /// Gives back what was taken for an attempt that was not sent.
    pub fn put_back(&mut self, taken: &Taken, now: Time) {
        for (bucket, taken) in self.each.iter_mut().zip(taken.each) {
            bucket.put_back(taken, now);
        }
    }

    /// Notes that the headers of an attempt came, or never will: headers that come from now on
    /// count it.
    pub fn see(&mut self, taken: &Taken) {
        for (bucket, taken) in self.each.iter_mut().zip(taken.each) {
            bucket.see(taken);
        }
    }

    /// Takes over what the headers of an answer tell.
    pub fn correct(&mut self, told: &RateLimits, now: Time) {
        let kinds = [told.requests, told.tokens, told.input_tokens, told.output_tokens];
        for (bucket, told) in self.each.iter_mut().zip(kinds) {
            if let Some(told) = told {
                bucket.correct(&told, self.cap, now);
            }
        }
    }

    /// Tells whether a rate was set or learnt.
    #[must_use]
    pub fn are_known(&self, now: Time) -> bool {
        self.each.iter().any(|bucket| bucket.known(self.cap, now).is_some())
    }

    /// Corrects what was taken for an attempt by what it used. Only buckets whose rate was set: the
    /// others hear it from the provider. Where it used no tokens at all nobody knows how many it
    /// used, and what was expected stands.
    pub fn settle(&mut self, taken: &Taken, used: &Need, now: Time) {
        if *used == Need::default() {
            return;
        }
        let each = self.each.iter_mut().zip(needs(used)).zip(taken.each);
        for ((bucket, used), taken) in each.filter(|((bucket, _), _)| bucket.set) {
            bucket.count(now);
            bucket.level -= bucket.at_most_all(used) - taken;
        }
    }
}

/// What an attempt takes from each bucket: at least 1, so that none passes an empty one.
fn needs(need: &Need) -> [f64; KINDS] {
    let both = need.input_tokens.saturating_add(need.output_tokens);
    [1, both, need.input_tokens, need.output_tokens].map(|tokens| tokens.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const CAP: Duration = Duration::from_secs(60);
    const NONE: Need = Need { input_tokens: 0, output_tokens: 0 };

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    fn requests(limit: u64, remaining: u64, reset: Duration, window: Duration) -> RateLimits {
        let told = Allowance {
            limit: Some(limit),
            remaining: Some(remaining),
            reset: Some(reset),
            window: Some(window),
        };
        RateLimits { requests: Some(told), ..RateLimits::default() }
    }

    fn set(amount: u64) -> Buckets {
        let rates = Rates { requests: Some(Rate::per_minute(amount)), tokens: None };
        Buckets::new(&rates, CAP, at(0))
    }

    fn learnt(told: &RateLimits) -> Buckets {
        let mut buckets = Buckets::new(&Rates::default(), CAP, at(0));
        buckets.correct(told, at(0));
        buckets
    }

    #[test]
    fn each_caller_gets_its_own_time_in_order() {
        let mut buckets = set(60);
        let times: Vec<_> = (0..62).map(|_| buckets.take(&NONE, at(0)).at()).collect();
        let last = buckets.take(&NONE, at(0));
        assert!(times[..60].iter().all(|&time| time == at(0)));
        assert_eq!(times[60..], [at(1_000), at(2_000)]);
        assert_eq!(last.at(), at(3_000));
        buckets.put_back(&last, at(0));
        assert_eq!(buckets.ready_at(&NONE, at(0)), at(3_000));
    }

    #[test]
    fn a_bucket_holds_no_more_than_a_window() {
        let mut buckets = set(2);
        let day = at(86_400_000);
        let times: Vec<_> = (0..3).map(|_| buckets.take(&NONE, day).at()).collect();
        assert_eq!(times, [day, day, day.saturating_add(30 * SECOND)]);
    }

    #[test]
    fn more_tokens_than_a_bucket_holds_pass_when_it_is_full() {
        let rates = Rates { requests: None, tokens: Some(Rate::per_minute(600)) };
        let mut buckets = Buckets::new(&rates, CAP, at(0));
        let much = Need { input_tokens: 5_000, output_tokens: 0 };
        let little = Need { input_tokens: 90, output_tokens: 10 };
        assert_eq!(buckets.take(&little, at(0)).at(), at(0));
        assert_eq!(buckets.take(&much, at(0)).at(), at(10_000));
    }

    #[test]
    fn absurd_numbers_hold_nobody_up_for_ever() {
        let rates = Rates { requests: None, tokens: Some(Rate::per_minute(600)) };
        let mut buckets = Buckets::new(&rates, CAP, at(0));
        let absurd = Need { input_tokens: u64::MAX, output_tokens: u64::MAX };
        let little = buckets.take(&NONE, at(0));
        buckets.settle(&little, &absurd, at(0));
        assert_eq!(buckets.ready_at(&NONE, at(0)), at(100));
        let much = buckets.take(&absurd, at(0));
        assert_eq!(much.at(), at(60_000));
        let used = Need { input_tokens: 1, output_tokens: 0 };
        buckets.settle(&much, &used, at(0));
        assert_eq!(buckets.ready_at(&NONE, at(0)), at(200), "less than expected is given back");
    }

    fn tokens_a_minute(amount: u64) -> Buckets {
        let rates = Rates { requests: None, tokens: Some(Rate::per_minute(amount)) };
        Buckets::new(&rates, CAP, at(0))
    }

    #[test]
    fn no_more_is_given_back_than_was_taken() {
        let mut buckets = tokens_a_minute(1_000);
        let much = Need { input_tokens: 10, output_tokens: 100_000 };
        let used = Need { input_tokens: 10, output_tokens: 900 };
        let taken = buckets.take(&much, at(0));
        assert_eq!(taken.at(), at(0));
        buckets.settle(&taken, &used, at(0));
        assert_eq!(buckets.ready_at(&much, at(0)), at(54_600), "910 of 1,000 are used");
    }

    #[test]
    fn what_nobody_knows_of_is_what_was_expected() {
        let mut buckets = tokens_a_minute(1_000);
        let need = Need { input_tokens: 400, output_tokens: 500 };
        let taken = buckets.take(&need, at(0));
        buckets.settle(&taken, &NONE, at(0));
        assert_eq!(buckets.ready_at(&need, at(0)), at(48_000), "100 are left");
    }

    #[test]
    fn what_was_taken_before_a_smaller_rate_was_learnt_is_not_held_for_ever() {
        let told = Allowance {
            limit: Some(1_000),
            remaining: Some(1_000),
            reset: Some(SECOND),
            window: Some(60 * SECOND),
        };
        let told = RateLimits { tokens: Some(told), ..RateLimits::default() };
        let mut buckets = Buckets::new(&Rates::default(), CAP, at(0));
        let much = Need { input_tokens: 0, output_tokens: 5_000 };
        for taken in [0; 2].map(|_| buckets.take(&much, at(0))) {
            buckets.see(&taken);
            buckets.correct(&told, at(0));
        }
        assert_eq!(buckets.ready_at(&NONE, at(0)), at(0), "nothing is under way");
    }

    #[test]
    fn what_was_used_counts_in_the_end() {
        let rates = Rates { requests: None, tokens: Some(Rate::per_minute(600)) };
        let mut buckets = Buckets::new(&rates, CAP, at(0));
        let used = Need { input_tokens: 300, output_tokens: 200 };
        for _ in 0..2 {
            let taken = buckets.take(&NONE, at(0));
            buckets.settle(&taken, &used, at(0));
        }
        assert_eq!(buckets.ready_at(&NONE, at(0)), at(40_100));
    }

    #[test]
    fn headers_replace_what_was_counted() {
        let mut buckets = learnt(&requests(60, 0, 60 * SECOND, 60 * SECOND));
        assert_eq!(buckets.take(&NONE, at(0)).at(), at(1_000), "it refills evenly");
        // Another one's headers count all but the attempt that is under way.
        buckets.correct(&requests(60, 2, 58 * SECOND, 60 * SECOND), at(0));
        assert_eq!(buckets.take(&NONE, at(0)).at(), at(0));
        assert_eq!(buckets.take(&NONE, at(0)).at(), at(1_000));
    }

    #[test]
    fn an_empty_window_is_waited_for() {
        let buckets = learnt(&requests(60, 0, 20 * SECOND, 60 * SECOND));
        assert_eq!(buckets.ready_at(&NONE, at(0)), at(20_000));
    }

    #[test]
    fn wrong_headers_block_no_longer_than_the_cap() {
        let day = Duration::from_secs(86_400);
        let max = u64::MAX;
        let cases = [
            requests(1, 0, 31 * day, day),
            requests(1, 0, day, day),
            requests(max, 0, Duration::MAX, Duration::MAX),
            requests(0, 0, Duration::MAX, Duration::ZERO),
            requests(1, max, Duration::ZERO, Duration::MAX),
            requests(max, max, Duration::MAX, Duration::from_nanos(1)),
        ];
        for told in cases {
            let mut buckets = learnt(&told);
            for _ in 0..100 {
                let time = buckets.take(&NONE, at(0)).at();
                assert!(time <= at(60_000), "{told:?} blocks until {time:?}");
            }
        }
    }

    #[test]
    fn a_rate_is_learnt_from_the_time_to_a_full_bucket() {
        let told = |remaining| {
            let (limit, reset) = (Some(100), Some(10 * SECOND));
            let told = Allowance { limit, remaining: Some(remaining), reset, window: None };
            RateLimits { requests: Some(told), ..RateLimits::default() }
        };
        let mut buckets = learnt(&told(0));
        assert_eq!(buckets.ready_at(&NONE, at(0)), at(10_000), "nobody says that it is even");
        buckets.correct(&told(50), at(0));
        assert_eq!(buckets.ready_at(&NONE, at(0)), at(0));
        for _ in 0..50 {
            buckets.take(&NONE, at(0));
        }
        assert_eq!(buckets.ready_at(&NONE, at(0)), at(200), "a hundred in twenty seconds");
    }

    #[test]
    fn what_is_told_once_is_forgotten_after_the_cap() {
        let mut buckets = learnt(&requests(1, 0, SECOND, Duration::MAX));
        assert_eq!(buckets.take(&NONE, at(59_999)).at(), at(119_999));
        assert_eq!(buckets.take(&NONE, at(60_000)).at(), at(60_000));
        assert_eq!(buckets.take(&NONE, at(60_000)).at(), at(60_000));
    }

    #[test]
    fn a_limit_alone_is_a_full_bucket() {
        let told = Allowance { limit: Some(2), window: Some(60 * SECOND), ..Allowance::default() };
        let mut buckets = learnt(&RateLimits { tokens: Some(told), ..RateLimits::default() });
        let times = [0; 3].map(|_| buckets.take(&NONE, at(0)).at());
        assert_eq!(times, [at(0), at(0), at(30_000)]);
    }

    #[test]
    fn a_rate_that_was_set_stays() {
        let mut buckets = set(60);
        buckets.correct(&requests(6_000, 5_999, SECOND, 60 * SECOND), at(0));
        for _ in 0..60 {
            assert_eq!(buckets.take(&NONE, at(0)).at(), at(0));
        }
        assert_eq!(buckets.ready_at(&NONE, at(0)), at(1_000));
    }

    #[test]
    fn what_nobody_knows_limits_nothing() {
        let mut buckets = Buckets::new(&Rates::default(), CAP, at(0));
        for _ in 0..10_000 {
            assert_eq!(buckets.take(&NONE, at(7)).at(), at(7));
        }
        buckets.correct(&RateLimits::default(), at(8));
        assert_eq!(buckets.ready_at(&NONE, at(8)), at(8));
    }
}
