//! Whether one endpoint is good for calls.

use core::time::Duration;

use edgepool::Time;

use super::Checks;

/// The shortest time from one check to the next, so that checks come to an end.
const SHORTEST: Duration = Duration::from_millis(1);

/// When endpoints are ejected, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// After how many failures in a row; `None` is never. By default 5.
    pub consecutive: Option<u32>,
    /// At which share of failures; `None` is never.
    pub share: Option<Share>,
    /// For how long, times how often it was ejected. By default 30 s.
    pub base: Duration,
    /// For how long at most. By default 300 s.
    pub longest: Duration,
    /// How many of the endpoints may be ejected at once, in percent. By default 50, so that the only
    /// endpoint of a provider never is.
    pub at_most: u32,
    /// How long an endpoint that came back takes to its whole share. By default 10 s.
    pub slow_start: Duration,
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            consecutive: Some(5),
            share: Some(Share::default()),
            base: Duration::from_secs(30),
            longest: Duration::from_secs(300),
            at_most: 50,
            slow_start: Duration::from_secs(10),
        }
    }
}

/// A share of failures that ejects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Of how many attempts, in percent. By default 50.
    pub percent: u32,
    /// Of how many attempts at least. By default 20.
    pub least: u32,
    /// Within which time, or up to half of it more. By default 10 s.
    pub window: Duration,
}

impl Default for Share {
    fn default() -> Self {
        Self { percent: 50, least: 20, window: Duration::from_secs(10) }
    }
}

/// Whether calls are let through to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Breaker {
    /// They are.
    Closed,
    /// None is: the endpoint is ejected, or checks say that it is down.
    Open,
    /// One is, to see whether it is good again.
    HalfOpen,
}

/// What is known of the health of one endpoint.
#[derive(Clone, Debug)]
pub(super) struct Health {
    /// Until when it is ejected; `None` if it is not.
    out_until: Option<Time>,
    /// Whether the one attempt that is let through is under way.
    trying: bool,
    /// How often it was ejected, less what it has been up for since.
    ejections: u32,
    /// Since when it is up.
    up_since: Time,
    /// Whether it came back, so that its share grows.
    returned: bool,
    in_row: u32,
    window: Window,
    pub(super) checks: Checked,
}

impl Health {
    pub(super) fn new(now: Time) -> Self {
        Self {
            out_until: None,
            trying: false,
            ejections: 0,
            up_since: now,
            returned: false,
            in_row: 0,
            window: Window::new(now),
            checks: Checked { next: now, began: None, number: 0, in_row: 0, down: false },
        }
    }

    pub(super) const fn is_ejected(&self) -> bool {
        self.out_until.is_some()
    }

    /// Returns how many attempts failed since the last that did not.
    pub(super) const fn failures_in_row(&self) -> u32 {
        self.in_row
    }

    /// Tells whether an attempt may be sent.
    pub(super) fn lets_through(&self, now: Time) -> bool {
        !self.checks.down && self.out_until.is_none_or(|until| until <= now && !self.trying)
    }

    /// Returns when an attempt may be sent again, if time alone brings that.
    pub(super) fn back_at(&self) -> Time {
        match self.out_until {
            Some(until) if !self.checks.down && !self.trying => until,
            _ => Time::NEVER,
        }
    }

    pub(super) fn breaker(&self, now: Time) -> Breaker {
        match self.out_until {
            _ if self.checks.down => Breaker::Open,
            None => Breaker::Closed,
            Some(until) if until <= now => Breaker::HalfOpen,
            Some(_) => Breaker::Open,
        }
    }

    /// Returns the part of its weight that it has now, in thousandths.
    pub(super) fn ramp(&self, slow_start: Duration, now: Time) -> u64 {
        let up = now.saturating_since(self.up_since);
        if !self.returned || up >= slow_start {
            return 1_000;
        }
        // A share that is too small would not be seen at all.
        (up.as_nanos() * 1_000 / slow_start.as_nanos()).max(100) as u64
    }

    /// Notes that an attempt is bound for it; tells whether that is the one that is let through.
    pub(super) const fn bind(&mut self) -> bool {
        self.trying = self.out_until.is_some();
        self.trying
    }

    /// An attempt ended and says nothing of the endpoint.
    pub(super) const fn unbind(&mut self, trial: bool) {
        if trial {
            self.trying = false;
        }
    }

    /// The attempt that was let through shows that it is good again.
    pub(super) const fn come_back(&mut self, now: Time) {
        self.out_until = None;
        self.trying = false;
        self.in_row = 0;
        self.window = Window::new(now);
        self.up_since = now;
        self.returned = true;
    }

    pub(super) fn succeeded(&mut self, trial: bool, ejection: &Ejection, now: Time) {
        if trial && self.out_until.is_some() {
            self.come_back(now);
        }
        self.in_row = 0;
        self.window.count(false, ejection, now);
    }

    /// Counts a failure; `may` tells whether one more may be ejected.
    pub(super) fn failed(&mut self, trial: bool, may: bool, ejection: &Ejection, now: Time) {
        self.in_row = self.in_row.saturating_add(1);
        self.window.count(true, ejection, now);
        let is_out = self.out_until.is_some();
        if is_out && trial || !is_out && may && self.is_bad(ejection) {
            self.eject(ejection, now);
        }
    }

    fn is_bad(&self, ejection: &Ejection) -> bool {
        let in_row = ejection.consecutive.is_some_and(|most| self.in_row >= most);
        in_row || ejection.share.is_some_and(|share| self.window.is_over(&share))
    }

    fn eject(&mut self, ejection: &Ejection, now: Time) {
        if !self.is_ejected() {
            let up = now.saturating_since(self.up_since).as_nanos();
            let healed = up / ejection.base.as_nanos().max(1);
            self.ejections = self.ejections.saturating_sub(healed.min(u128::from(u32::MAX)) as u32);
        }
        self.ejections = self.ejections.saturating_add(1);
        let time = ejection.base.saturating_mul(self.ejections).min(ejection.longest);
        self.out_until = Some(now.saturating_add(time));
        self.trying = false;
    }
}

/// Attempts and failures of late, in two halves: the one that runs, and the one before it.
#[derive(Clone, Debug)]
struct Window {
    began: Time,
    halves: [Half; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct Half {
    all: u32,
    failed: u32,
}

impl Window {
    const fn new(now: Time) -> Self {
        Self { began: now, halves: [Half { all: 0, failed: 0 }; 2] }
    }

    fn count(&mut self, failed: bool, ejection: &Ejection, now: Time) {
        let Some(share) = ejection.share else { return };
        let passed = now.saturating_since(self.began);
        if passed >= share.window {
            self.halves = if passed >= share.window * 2 {
                [Half::default(); 2]
            } else {
                [Half::default(), self.halves[0]]
            };
            self.began = now;
        }
        let half = &mut self.halves[0];
        half.all = half.all.saturating_add(1);
        half.failed = half.failed.saturating_add(u32::from(failed));
    }

    fn is_over(&self, share: &Share) -> bool {
        let sum =
            |count: fn(&Half) -> u32| self.halves.iter().map(|half| u64::from(count(half))).sum();
        let (all, failed): (u64, u64) = (sum(|half| half.all), sum(|half| half.failed));
        all >= u64::from(share.least) && failed * 100 >= all * u64::from(share.percent)
    }
}

/// What checks found.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub(super) next: Time,
    /// When the one under way began.
    pub(super) began: Option<Time>,
    /// Which one that is.
    pub(super) number: u64,
    in_row: u32,
    pub(super) down: bool,
}

impl Checked {
    /// Returns when something is to be done: a check to be made, or one that takes too long to be
    /// given up.
    pub(super) fn due(&self, checks: &Checks) -> Time {
        self.began.map_or(self.next, |began| began.saturating_add(checks.timeout))
    }

    /// Begins a check, and numbers it; `chance` spreads those of many programs that began together.
    pub(super) fn begin(&mut self, checks: &Checks, chance: u64, now: Time) {
        self.began = Some(now);
        self.number += 1;
        let tenth = (checks.interval / 10).as_nanos().min(u128::from(u64::MAX));
        let early = Duration::from_nanos(((u128::from(chance) * tenth) >> 64) as u64);
        self.next = now.saturating_add((checks.interval - early).max(SHORTEST));
    }

    /// Ends the check that is under way; tells whether the endpoint is back.
    pub(super) fn end(&mut self, good: bool, checks: &Checks, now: Time) -> bool {
        if self.began.take().is_none() {
            return false;
        }
        if good {
            self.in_row = 0;
            return core::mem::take(&mut self.down);
        }
        self.in_row = self.in_row.saturating_add(1);
        self.down |= self.in_row >= checks.failures;
        self.next = now.saturating_add((checks.interval / 10).max(SHORTEST));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Ejection = Ejection {
        consecutive: Some(3),
        share: Some(Share { percent: 50, least: 10, window: Duration::from_secs(10) }),
        base: Duration::from_secs(30),
        longest: Duration::from_secs(100),
        at_most: 50,
        slow_start: Duration::from_secs(10),
    };

    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    fn fail(health: &mut Health, times: u32, now: Time) {
        for _ in 0..times {
            health.failed(false, true, &RULES, now);
        }
    }

    #[test]
    fn failures_in_a_row_eject_and_a_success_ends_the_row() {
        let mut health = Health::new(at(0));
        fail(&mut health, 2, at(0));
        health.succeeded(false, &RULES, at(0));
        fail(&mut health, 2, at(1));
        assert!(health.lets_through(at(1)));
        fail(&mut health, 1, at(1));
        assert_eq!((health.lets_through(at(30)), health.breaker(at(30))), (false, Breaker::Open));
        assert_eq!(health.back_at(), at(31));
        assert_eq!(
            (health.lets_through(at(31)), health.breaker(at(31))),
            (true, Breaker::HalfOpen)
        );
    }

    #[test]
    fn half_open_lets_one_through_and_it_decides() {
        let mut health = Health::new(at(0));
        fail(&mut health, 3, at(0));
        assert!(health.bind());
        assert_eq!((health.lets_through(at(40)), health.back_at()), (false, Time::NEVER));
        // One that was sent before the ejection decides nothing.
        health.succeeded(false, &RULES, at(40));
        health.failed(false, true, &RULES, at(40));
        assert!(!health.lets_through(at(40)));
        health.unbind(true);
        assert!(health.lets_through(at(40)), "an attempt that nobody waited for says nothing");
        health.bind();
        health.failed(true, false, &RULES, at(41));
        assert_eq!(health.back_at(), at(41 + 60), "twice the time");
        health.bind();
        health.succeeded(true, &RULES, at(120));
        assert_eq!(health.breaker(at(120)), Breaker::Closed);
    }

    #[test]
    fn ejections_grow_to_the_longest_and_are_forgotten_in_time() {
        let mut health = Health::new(at(0));
        fail(&mut health, 3, at(0));
        for (now, until) in [(30, 90), (90, 180), (180, 280), (280, 380)] {
            health.bind();
            health.failed(true, true, &RULES, at(now));
            assert_eq!(health.back_at(), at(until));
        }
        health.bind();
        health.succeeded(true, &RULES, at(400));
        fail(&mut health, 3, at(400 + 4 * 30));
        assert_eq!(health.back_at(), at(520 + 60), "of five ejections four were outlived");
    }

    #[test]
    fn a_share_of_failures_ejects_only_where_there_are_enough() {
        let rules = Ejection { consecutive: None, ..RULES };
        let mut health = Health::new(at(0));
        for n in 0..9 {
            health.failed(false, true, &rules, at(n));
        }
        assert!(!health.is_ejected());
        // Twice a window later those are forgotten.
        for _ in 0..10 {
            health.succeeded(false, &rules, at(100));
        }
        for _ in 0..9 {
            health.failed(false, true, &rules, at(100));
        }
        assert!(!health.is_ejected(), "9 of 19");
        health.failed(false, true, &rules, at(111));
        assert!(health.is_ejected(), "10 of 20");
    }

    #[test]
    fn what_may_not_be_ejected_stays() {
        let mut health = Health::new(at(0));
        for _ in 0..100 {
            health.failed(false, false, &RULES, at(0));
        }
        assert!(health.lets_through(at(0)));
    }

    #[test]
    fn a_share_grows_only_after_a_return() {
        let mut health = Health::new(at(0));
        assert_eq!(health.ramp(RULES.slow_start, at(0)), 1_000);
        health.come_back(at(100));
        let ramps = [100, 101, 105, 110].map(|now| health.ramp(RULES.slow_start, at(now)));
        assert_eq!(ramps, [100, 100, 500, 1_000]);
        assert_eq!(health.ramp(Duration::ZERO, at(100)), 1_000);
    }

    #[test]
    fn checks_take_an_endpoint_down_and_bring_it_back() {
        let checks = Checks { failures: 2, ..Checks::default() };
        let mut checked = Health::new(at(0)).checks;
        assert_eq!(checked.due(&checks), at(0));
        checked.begin(&checks, 0, at(0));
        assert_eq!(checked.due(&checks), at(5), "it is given up");
        assert!(!checked.end(false, &checks, at(5)));
        assert_eq!((checked.down, checked.due(&checks)), (false, at(11)));
        checked.begin(&checks, 0, at(11));
        checked.end(false, &checks, at(12));
        assert!(checked.down);
        checked.begin(&checks, u64::MAX, at(18));
        assert!(checked.end(true, &checks, at(19)));
        assert!(!checked.down);
        let next = checked.due(&checks).saturating_since(at(18));
        assert!(next >= Duration::from_secs(54) && next < Duration::from_secs(55), "{next:?}");
        assert!(!checked.end(false, &checks, at(20)), "nobody asked");
    }
}
