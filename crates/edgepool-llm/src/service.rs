//! What the calls to one provider share.
//!
//! A [`Service`] decides nothing by itself: it keeps the endpoints, the budget and the counts, and
//! each [`Call`](crate::call::Call) asks it. Like calls it has no clock: every method takes `now`. A
//! clock that steps back makes nobody panic; what has a time then waits until the clock is there
//! again.
//!
//! # Places
//!
//! How many attempts are under way at once is bounded by the pool beside it, which has the queue.
//! Whoever drives a service sets the pool's size to [`places`](Service::places) after each call of
//! [`poll`](crate::call::Call::poll), and when [`next_change`](Service::next_change) comes. It makes
//! the checks that [`check_due`](Service::check_due) asks for.

mod options;
mod terms;

use core::time::Duration;

use edgepool::Time;

pub use options::{Policy, ServiceOptions};

use crate::bucket::Need;
use crate::endpoint::{Check, Ended, Endpoints, Outlook, Place};
use crate::retry::Budget;
use crate::stats::{Alert, Counts, ServiceStats};
use crate::{Class, Failure, RateLimits, Timer};

/// One provider, as its calls share it.
#[derive(Clone, Debug)]
pub struct Service {
    options: ServiceOptions,
    endpoints: Endpoints,
    budget: Budget,
    counts: Counts,
    /// How many calls wait, and since when there is always one.
    waiting: u32,
    waiting_since: Option<Time>,
    /// When a call was refused last, and how many were.
    refused_at: Option<Time>,
    refused: u64,
}

impl Service {
    /// Makes the state of a provider that nobody has called yet.
    #[must_use]
    pub fn new(options: ServiceOptions, now: Time) -> Self {
        Self {
            endpoints: Endpoints::new(&options, now),
            budget: Budget::new(options.policy.retry.budget, now),
            counts: Counts::default(),
            waiting: 0,
            waiting_since: None,
            refused_at: None,
            refused: 0,
            options,
        }
    }

    /// Returns the options it was made with.
    #[must_use]
    pub const fn options(&self) -> &ServiceOptions {
        &self.options
    }

    /// Returns its endpoints.
    #[must_use]
    pub const fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Returns what was counted.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Returns how many attempts may be under way at once: the size of the pool. It is never more
    /// than the endpoints take, so that whoever has a place finds room.
    #[must_use]
    pub fn places(&self, now: Time) -> u32 {
        self.endpoints.places(self.options.max, now)
    }

    /// Returns when something may change without any call: an endpoint comes back, or is to be
    /// checked.
    #[must_use]
    pub fn next_change(&self, now: Time) -> Time {
        let pauses = self.endpoints.all().iter().filter_map(|each| each.paused_until(now));
        let back = Some(self.endpoints.back_after(now));
        let check = Some(self.endpoints.next_check());
        pauses.chain(back).chain(check).min().unwrap_or(Time::NEVER)
    }

    /// Returns a check that is to be made now, of an endpoint on an address that costs nothing, outside of
    /// the pool. Call it until there is none, and tell each result by [`checked`](Self::checked).
    pub fn check_due(&mut self, chance: u64, now: Time) -> Option<Check> {
        self.endpoints.check_due(chance, now)
    }

    /// Notes what came of a check. Any answer that is no fault of the endpoint's is good. It may
    /// bring the endpoint back: poll the calls that wait, which may sleep until another one's pause
    /// ends.
    pub fn checked(&mut self, check: Check, result: Result<(), Failure>, now: Time) {
        self.endpoints.checked(check, result, now);
    }

    /// Tells whether callers need more than there is: somebody waited at any time for
    /// `alert_after`, or a call was refused within that.
    #[must_use]
    pub fn alert(&self, now: Time) -> Option<Alert> {
        let after = self.options.policy.alert_after;
        let long = self.waiting_since.filter(|&since| now.saturating_since(since) >= after);
        let refused = self.refused_at.filter(|&at| now.saturating_since(at) < after);
        let since = long.into_iter().chain(refused).min()?;
        Some(Alert { since, waiting: self.waiting, refused: self.refused })
    }

    /// Returns how it stands.
    #[must_use]
    pub fn stats(&self, now: Time) -> ServiceStats {
        let endpoints = self.endpoints.all().iter().map(|each| each.stats(now));
        let endpoints = endpoints.collect::<Vec<_>>();
        ServiceStats {
            counts: self.counts.clone(),
            in_flight: endpoints.iter().map(|each| each.in_flight).sum(),
            waiting: self.waiting,
            limit: self.places(now),
            budget: self.budget.clone().left(now),
            alert: self.alert(now),
            endpoints,
        }
    }

    /// Counts a call that went on at the next provider of a chain. A
    /// [`FallbackChain`](crate::call::FallbackChain) does that itself.
    pub const fn fell_back(&mut self) {
        self.counts.fallbacks += 1;
    }
}

/// What calls tell and ask.
impl Service {
    pub(crate) fn begin(&mut self) {
        self.counts.calls += 1;
        self.budget.earn();
    }

    /// Counts a call that is a retry of somebody else's; tells whether the budget allows it.
    pub(crate) fn begin_again(&mut self, now: Time) -> bool {
        self.counts.calls += 1;
        let allowed = self.take_budget(now);
        self.counts.retries += u64::from(allowed);
        allowed
    }

    pub(crate) fn take_budget(&mut self, now: Time) -> bool {
        let taken = self.budget.take(now);
        self.counts.over_budget += u64::from(!taken);
        taken
    }

    /// Tells whether the budget allows one more; counts it if not.
    pub(crate) fn has_budget(&mut self, now: Time) -> bool {
        let is_left = self.budget.left(now) > 0;
        self.counts.over_budget += u64::from(!is_left);
        is_left
    }

    /// Tells whether an attempt would be sent at once, and nobody else waits for its place.
    pub(crate) fn has_free_place(&self, need: &Need, now: Time) -> bool {
        let in_flight = self.endpoints.all().iter().map(|each| u64::from(each.in_flight())).sum();
        self.waiting == 0
            && matches!(self.outlook(need, now), Outlook::Open(at) if at <= now)
            && u64::from(self.places(now)) > in_flight
    }

    pub(crate) const fn count_retry(&mut self) {
        self.counts.retries += 1;
    }

    pub(crate) const fn count_hedge(&mut self) {
        self.counts.hedges += 1;
    }

    pub(crate) const fn count_hedge_won(&mut self) {
        self.counts.hedges_won += 1;
    }

    pub(crate) fn wait(&mut self, now: Time) {
        if self.waiting == 0 {
            self.waiting_since = Some(now);
        }
        self.waiting += 1;
    }

    pub(crate) const fn stop_waiting(&mut self) {
        self.waiting -= 1;
        if self.waiting == 0 {
            self.waiting_since = None;
        }
    }

    pub(crate) fn outlook(&self, need: &Need, now: Time) -> Outlook {
        self.endpoints.outlook(need, now)
    }

    pub(crate) fn bind(
        &mut self,
        need: &Need,
        tried: &[usize],
        chance: u64,
        now: Time,
    ) -> Result<Place, Outlook> {
        self.endpoints.bind(need, tried, chance, now)
    }

    pub(crate) fn unbind(&mut self, place: &Place, now: Time) {
        self.endpoints.unbind(place, now);
    }

    pub(crate) fn send(&mut self, place: &mut Place, waited: Duration, now: Time) {
        self.counts.sent += 1;
        self.counts.waits.record(waited);
        self.endpoints.send(place, now);
    }

    pub(crate) fn headers(
        &mut self,
        place: &mut Place,
        status: u16,
        told: &RateLimits,
        took: Duration,
        now: Time,
    ) {
        if status < 400 {
            self.counts.headers.record(took);
        }
        self.endpoints.headers(place, status, told, now);
    }

    pub(crate) fn content(&mut self, place: &mut Place, took: Duration, now: Time) {
        self.counts.first_content.record(took);
        self.endpoints.content(place, took, now);
    }

    pub(crate) fn end(&mut self, place: &mut Place, ended: Ended<'_>, now: Time) {
        match ended {
            Ended::Answered => {}
            Ended::Dropped | Ended::Overdue => self.counts.cancelled += 1,
            Ended::Failed(failure) => self.counts.attempt_failures.count(failure.class),
        }
        self.endpoints.end(place, ended, now);
    }

    pub(crate) fn settle(&mut self, place: &Place, used: &Need, now: Time) {
        let counts = &mut self.counts;
        counts.input_tokens = counts.input_tokens.saturating_add(used.input_tokens);
        counts.output_tokens = counts.output_tokens.saturating_add(used.output_tokens);
        self.endpoints.settle(place, used, now);
    }

    /// Counts the end of a call.
    pub(crate) fn finish(&mut self, result: Result<(), &Failure>, took: Duration, now: Time) {
        match result {
            Ok(()) => {
                self.counts.answered += 1;
                self.counts.totals.record(took);
            }
            Err(failure) => {
                self.counts.failures.count(failure.class);
                if matches!(failure.class, Class::Refused | Class::Timeout(Timer::Acquire)) {
                    self.refused += 1;
                    self.refused_at = Some(now);
                }
            }
        }
    }
}
