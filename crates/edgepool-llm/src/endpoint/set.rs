//! All endpoints of one provider.

use core::time::Duration;

use edgepool::{Histogram, Time};

use super::balance::{Balance, Entry, Latency};
use super::health::{Breaker, Ejection, Health};
use super::{Check, Checks, EndpointOptions};
use crate::bucket::{Buckets, Need, Rates, Taken};
use crate::limit::{Limit, LimitOptions, Sent};
use crate::retry::{Elsewhere, RetryOptions};
use crate::stats::{EndpointStats, Failures};
use crate::{Class, Failure, RateLimits, Timer};

/// One endpoint: what is known of it, and what is under way there.
#[derive(Clone, Debug)]
pub struct Endpoint {
    options: EndpointOptions,
    health: Health,
    limit: Limit,
    buckets: Buckets,
    latency: Latency,
    /// Attempts that are under way, and those that have a place and wait for their time.
    in_flight: u32,
    /// Since a 429.
    paused_until: Time,
    /// When the last of them came that was sent after the one before it.
    paused_at: Time,
    /// How many of those there were without an answer between them.
    pauses_in_row: u32,
    last_error: Option<Failure>,
    sent: u64,
    answered: u64,
    failures: Failures,
    used: Need,
    first_content: Histogram,
}

impl Endpoint {
    /// Returns its options.
    #[must_use]
    pub const fn options(&self) -> &EndpointOptions {
        &self.options
    }

    /// Returns how many attempts are under way, or are about to be sent.
    #[must_use]
    pub const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Returns how many may be under way at once, where a limit is sought.
    #[must_use]
    pub fn limit(&self) -> Option<u32> {
        self.limit.current()
    }

    /// Tells whether calls are let through.
    #[must_use]
    pub fn breaker(&self, now: Time) -> Breaker {
        self.health.breaker(now)
    }

    /// Tells whether it is ejected, half open or not.
    #[must_use]
    pub const fn is_ejected(&self) -> bool {
        self.health.is_ejected()
    }

    /// Returns until when it is paused by a 429, if it is.
    #[must_use]
    pub fn paused_until(&self, now: Time) -> Option<Time> {
        Some(self.paused_until).filter(|&until| until > now)
    }

    /// Returns how long its headers take of late, if any came.
    #[must_use]
    pub fn latency(&self, now: Time) -> Option<Duration> {
        self.latency.get(now).map(Duration::from_nanos)
    }

    /// Returns how an attempt or a check failed last.
    #[must_use]
    pub const fn last_error(&self) -> Option<&Failure> {
        self.last_error.as_ref()
    }

    /// Returns how many attempts were sent there.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns how many of them were answered to the end.
    #[must_use]
    pub const fn answered(&self) -> u64 {
        self.answered
    }

    /// Returns how many of them failed, by the kinds of failures.
    #[must_use]
    pub const fn failures(&self) -> &Failures {
        &self.failures
    }

    /// Returns how it stands.
    #[must_use]
    pub fn stats(&self, now: Time) -> EndpointStats {
        EndpointStats {
            name: self.options.name.clone(),
            sent: self.sent,
            answered: self.answered,
            failures: self.failures,
            input_tokens: self.used.input_tokens,
            output_tokens: self.used.output_tokens,
            first_content: self.first_content.clone(),
            in_flight: self.in_flight,
            limit: self.limit(),
            breaker: self.breaker(now),
            paused_until: self.paused_until(now),
            latency: self.latency(now),
            last_error: self.last_error.as_ref().map(|failure| failure.message.clone()),
        }
    }

    fn is_open(&self, now: Time) -> bool {
        self.health.lets_through(now) && self.paused_until <= now
    }

    /// Returns how many places it has use for, any number being `max`: those of what is under way,
    /// also where nothing more is let through, and where it is, those it has room for; one more
    /// while it is half open.
    fn places(&self, max: u32, now: Time) -> u32 {
        if !self.is_open(now) {
            return self.in_flight;
        }
        if self.is_ejected() {
            return self.in_flight.saturating_add(1);
        }
        self.limit.current().unwrap_or(max).max(self.in_flight)
    }

    fn has_room(&self) -> bool {
        self.limit.current().is_none_or(|limit| self.in_flight < limit)
    }
}

/// What an attempt would meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// An endpoint takes it at that time: now, or when the buckets allow.
    Open(Time),
    /// No endpoint takes one more until another has ended.
    Full,
    /// Every endpoint that could take it asked to wait, the first of them until then.
    Paused(Time),
    /// Every endpoint is ejected or down; the first is tried again then.
    Down(Time),
}

/// A place at an endpoint, which counts as under way there until it is ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) endpoint: usize,
    /// From when on the attempt may be sent.
    pub(crate) at: Time,
    /// Whether it is the one that is let through to an endpoint that was ejected.
    trial: bool,
    /// What was taken from the buckets for it.
    taken: Taken,
    /// What the limit is told of it.
    sent: Sent,
    /// Whether its headers came.
    seen: bool,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ended<'a> {
    /// Well.
    Answered,
    /// By this failure.
    Failed(&'a Failure),
    /// Nobody waits for it any more.
    Dropped,
    /// Likewise, after it had its time: it was sent before the one that answered, or took the most
    /// of what its call had. Without headers by now, its endpoint may never answer.
    Overdue,
}

/// The rules that all endpoints of a provider keep to.
#[derive(Clone, Copy, Debug)]
struct Rules {
    balance: Balance,
    ejection: Ejection,
    checks: Option<Checks>,
    retry: RetryOptions,
}

/// The endpoints of one provider.
#[derive(Clone, Debug)]
pub struct Endpoints {
    rules: Rules,
    each: Vec<Endpoint>,
    /// Of round robin.
    credits: Vec<i64>,
}

/// How long a caller that was given a place before the last room was taken waits until it asks for
/// another.
pub(crate) const CROWDED: Duration = Duration::from_millis(50);

impl Endpoints {
    pub(crate) fn new(options: &crate::service::ServiceOptions, now: Time) -> Self {
        let policy = &options.policy;
        let cap = policy.retry.retry_after_cap;
        let make =
            |each: &EndpointOptions| Endpoint::new(each, policy.limit, &policy.rates, cap, now);
        Self {
            rules: Rules {
                balance: policy.balance,
                ejection: policy.ejection,
                checks: policy.checks,
                retry: policy.retry,
            },
            each: options.endpoints.iter().map(make).collect(),
            credits: vec![0; options.endpoints.len()],
        }
    }

    /// Returns all of them, in the order of the options.
    #[must_use]
    pub fn all(&self) -> &[Endpoint] {
        &self.each
    }

    /// Returns how many are ejected, half open or not.
    #[must_use]
    pub fn ejected(&self) -> usize {
        self.each.iter().filter(|endpoint| endpoint.is_ejected()).count()
    }

    /// Returns how many attempts may be under way at once, at most `max`: what is under way where
    /// no more is let through, and what the other endpoints take; at least one.
    #[must_use]
    pub fn places(&self, max: u32, now: Time) -> u32 {
        let each = self.each.iter().map(|endpoint| endpoint.places(max, now));
        each.fold(0, u32::saturating_add).min(max).max(1)
    }

    /// Returns what an attempt would meet now.
    #[must_use]
    pub fn outlook(&self, need: &Need, now: Time) -> Outlook {
        let open = || self.each.iter().filter(|endpoint| endpoint.is_open(now));
        let ready = open().filter(|endpoint| endpoint.has_room());
        if let Some(at) = ready.map(|endpoint| endpoint.buckets.ready_at(need, now)).min() {
            return Outlook::Open(at);
        }
        if open().next().is_some() {
            return Outlook::Full;
        }
        let up = self.each.iter().filter(|endpoint| endpoint.health.lets_through(now));
        match up.map(|endpoint| endpoint.paused_until).min() {
            // One that is out may be tried again before any of the others.
            Some(until) => Outlook::Paused(until.min(self.back_after(now))),
            None => Outlook::Down(self.back_at()),
        }
    }

    /// Returns when the first of those that are out is tried again.
    fn back_at(&self) -> Time {
        self.each.iter().map(|endpoint| endpoint.health.back_at()).min().unwrap_or(Time::NEVER)
    }

    /// Returns when the next of those that are ejected is tried again, if that is not now.
    pub(crate) fn back_after(&self, now: Time) -> Time {
        let back = self.each.iter().map(|endpoint| endpoint.health.back_at());
        back.filter(|&at| at > now).min().unwrap_or(Time::NEVER)
    }

    /// Tells whether an endpoint that was not tried would take an attempt now, or is up and not
    /// paused until `before`.
    pub(crate) fn elsewhere(
        &self,
        tried: &[usize],
        need: &Need,
        before: Time,
        now: Time,
    ) -> Elsewhere {
        let others = self.each.iter().enumerate().filter(|(index, _)| !tried.contains(index));
        let others = others.map(|(_, endpoint)| endpoint);
        let up = others.filter(|each| each.health.lets_through(now));
        let is_up = |each: &Endpoint| each.paused_until <= now || each.paused_until < before;
        let is_free = |each: &Endpoint| {
            each.is_open(now) && each.has_room() && each.buckets.ready_at(need, now) <= now
        };
        let mut found = Elsewhere::Nowhere;
        for each in up {
            if is_free(each) {
                return Elsewhere::Free;
            }
            if is_up(each) {
                found = Elsewhere::Busy;
            }
        }
        found
    }

    /// Chooses an endpoint and counts an attempt there: one that takes it now, of those one that was
    /// not tried, of those one that is half open, and else the one whose turn it is.
    pub(crate) fn bind(
        &mut self,
        need: &Need,
        tried: &[usize],
        chance: u64,
        now: Time,
    ) -> Result<Place, Outlook> {
        let entries = self.entries(need, tried, now);
        if entries.is_empty() {
            return Err(self.outlook(need, now));
        }
        let chosen = self.rules.balance.choose(&entries, &mut self.credits, chance);
        let index = entries[chosen].index;
        let endpoint = &mut self.each[index];
        endpoint.in_flight += 1;
        let trial = endpoint.health.bind();
        let taken = endpoint.buckets.take(need, now);
        let sent = Sent { at: now, beside: endpoint.in_flight };
        Ok(Place { endpoint: index, at: taken.at(), trial, taken, sent, seen: false })
    }

    fn entries(&self, need: &Need, tried: &[usize], now: Time) -> Vec<Entry> {
        let slow_start = self.rules.ejection.slow_start;
        let free = |endpoint: &&Endpoint| endpoint.is_open(now) && endpoint.has_room();
        let rank = |index: usize, endpoint: &Endpoint| {
            let ready = endpoint.buckets.ready_at(need, now);
            // One that is to be tried again would wait for ever where the others are better.
            (ready, tried.contains(&index), !endpoint.is_ejected())
        };
        let all = || self.each.iter().enumerate().filter(|(_, endpoint)| free(endpoint));
        let Some(best) = all().map(|(index, endpoint)| rank(index, endpoint)).min() else {
            return Vec::new();
        };
        let best = all().filter(|(index, endpoint)| rank(*index, endpoint) == best);
        let entry = |(index, endpoint): (usize, &Endpoint)| Entry {
            index,
            weight: u64::from(endpoint.options.weight.max(1))
                * endpoint.health.ramp(slow_start, now),
            in_flight: endpoint.in_flight,
            latency: endpoint.latency.get(now),
        };
        best.map(entry).collect()
    }

    /// Gives back the place of an attempt that was not sent.
    pub(crate) fn unbind(&mut self, place: &Place, now: Time) {
        let endpoint = &mut self.each[place.endpoint];
        endpoint.in_flight -= 1;
        endpoint.health.unbind(place.trial);
        endpoint.buckets.put_back(&place.taken, now);
    }

    /// Tells whether what a place was given for still holds: since then its endpoint may have been
    /// paused, or is out.
    pub(crate) fn is_good(&self, place: &Place, now: Time) -> bool {
        let endpoint = &self.each[place.endpoint];
        endpoint.paused_until <= now && (place.trial || endpoint.health.lets_through(now))
    }

    pub(crate) fn send(&mut self, place: &mut Place, now: Time) {
        let endpoint = &mut self.each[place.endpoint];
        endpoint.sent += 1;
        place.sent = Sent { at: now, beside: endpoint.in_flight };
    }

    /// The headers of an attempt came.
    pub(crate) fn headers(&mut self, place: &mut Place, status: u16, told: &RateLimits, now: Time) {
        let endpoint = &mut self.each[place.endpoint];
        endpoint.see(place);
        endpoint.buckets.correct(told, now);
        if status >= 400 {
            return;
        }
        let latency = now.saturating_since(place.sent.at);
        endpoint.latency.record(latency, now);
        endpoint.limit.answered(place.sent, latency, now);
        endpoint.pauses_in_row = 0;
    }

    /// The first content of an attempt came.
    pub(crate) fn content(&mut self, place: &mut Place, took: Duration, now: Time) {
        let endpoint = &mut self.each[place.endpoint];
        endpoint.first_content.record(took);
        // The rest may take a minute, for which nobody else need wait.
        if core::mem::take(&mut place.trial) {
            endpoint.health.come_back(now);
        }
    }

    pub(crate) fn end(&mut self, place: &mut Place, ended: Ended<'_>, now: Time) {
        let may = self.may_eject_one_more();
        let Rules { ejection, retry, .. } = self.rules;
        let endpoint = &mut self.each[place.endpoint];
        endpoint.in_flight -= 1;
        let was_silent = !place.seen;
        endpoint.see(place);
        match ended {
            Ended::Overdue if was_silent => {
                endpoint.pass_over(place, now);
                endpoint.health.failed(place.trial, may, &ejection, now);
            }
            Ended::Dropped | Ended::Overdue => endpoint.health.unbind(place.trial),
            Ended::Answered => {
                endpoint.answered += 1;
                endpoint.health.succeeded(place.trial, &ejection, now);
            }
            Ended::Failed(failure) => {
                endpoint.fail(place, failure, &retry, now);
                if failure.counts_against_endpoint() {
                    endpoint.health.failed(place.trial, may, &ejection, now);
                } else if failure.status.is_some() && place.trial {
                    // It answered.
                    endpoint.health.come_back(now);
                } else {
                    endpoint.health.unbind(place.trial);
                }
            }
        }
    }

    fn may_eject_one_more(&self) -> bool {
        let ejected = self.ejected() as u64 + 1;
        ejected * 100 <= self.each.len() as u64 * u64::from(self.rules.ejection.at_most)
    }

    /// Corrects the buckets by what an attempt used.
    pub(crate) fn settle(&mut self, place: &Place, used: &Need, now: Time) {
        let endpoint = &mut self.each[place.endpoint];
        let sum = &mut endpoint.used;
        sum.input_tokens = sum.input_tokens.saturating_add(used.input_tokens);
        sum.output_tokens = sum.output_tokens.saturating_add(used.output_tokens);
        endpoint.buckets.settle(&place.taken, used, now);
    }

    /// Returns the last error of each endpoint, if all of them fail.
    pub(crate) fn all_failing(&self) -> Option<String> {
        let mut failing = self.each.iter().map(|endpoint| endpoint.health.failures_in_row() > 0);
        (self.each.len() > 1 && failing.all(|failing| failing)).then(|| self.errors())
    }

    /// Tells the last error of each endpoint by its name.
    #[must_use]
    pub fn errors(&self) -> String {
        let error = |endpoint: &Endpoint| match &endpoint.last_error {
            Some(failure) => format!("{}: {}", endpoint.options.name, failure.message),
            None => format!("{}: no error yet", endpoint.options.name),
        };
        self.each.iter().map(error).collect::<Vec<_>>().join("; ")
    }
}

/// Checks without a call.
impl Endpoints {
    /// Returns when the next check is due; never without checks.
    #[must_use]
    pub fn next_check(&self) -> Time {
        let Some(checks) = &self.rules.checks else { return Time::NEVER };
        let due = self.each.iter().map(|endpoint| endpoint.health.checks.due(checks));
        due.min().unwrap_or(Time::NEVER)
    }

    /// Returns an endpoint to be checked now, on an address that costs nothing; call it until there
    /// is none. A check that took too long counts as failed, and what comes of it later as nothing.
    pub fn check_due(&mut self, chance: u64, now: Time) -> Option<Check> {
        let checks = self.rules.checks?;
        for index in 0..self.each.len() {
            let checked = &mut self.each[index].health.checks;
            if checked.due(&checks) > now {
                continue;
            }
            if checked.began.is_none() {
                checked.begin(&checks, chance, now);
                return Some(Check { endpoint: index, number: checked.number });
            }
            let check = Check { endpoint: index, number: checked.number };
            let message = format!("a check got no answer in {:?}", checks.timeout);
            self.checked(check, Err(Failure::new(Class::Timeout(Timer::Headers), message)), now);
        }
        None
    }

    /// Notes what came of a check, unless it was given up. Any answer that is not a fault of the endpoint's is good, such as
    /// one that says that the key may not look.
    pub fn checked(&mut self, check: Check, result: Result<(), Failure>, now: Time) {
        let endpoint = self.each.get_mut(check.endpoint);
        let endpoint = endpoint.filter(|each| each.health.checks.number == check.number);
        let (Some(checks), Some(endpoint)) = (&self.rules.checks, endpoint) else { return };
        if endpoint.health.checks.began.is_none() {
            return;
        }
        let good =
            result.as_ref().map_or_else(|failure| !failure.counts_against_endpoint(), |()| true);
        let is_back = endpoint.health.checks.end(good, checks, now);
        if is_back && !endpoint.is_ejected() {
            endpoint.health.come_back(now);
        }
        if !good {
            endpoint.last_error = result.err();
        }
    }
}

impl Endpoint {
    fn new(
        options: &EndpointOptions,
        limit: Option<LimitOptions>,
        rates: &Rates,
        cap: Duration,
        now: Time,
    ) -> Self {
        Self {
            options: options.clone(),
            health: Health::new(now),
            limit: Limit::new(limit),
            buckets: Buckets::new(rates, cap, now),
            latency: Latency::default(),
            in_flight: 0,
            paused_until: Time::ZERO,
            paused_at: Time::ZERO,
            pauses_in_row: 0,
            last_error: None,
            sent: 0,
            answered: 0,
            failures: Failures::default(),
            used: Need::default(),
            first_content: Histogram::new(),
        }
    }

    /// Notes that headers have not come for so long that nobody waits for them: they take longer
    /// than that.
    fn pass_over(&mut self, place: &Place, now: Time) {
        let age = now.saturating_since(place.sent.at);
        if self.latency(now).is_none_or(|latency| latency < age) {
            self.latency.record(age, now);
        }
        let message = format!("no headers came in {age:?}, and nobody waited any longer");
        self.last_error = Some(Failure::new(Class::Timeout(Timer::Headers), message));
    }

    /// Its buckets need not remember an attempt any more.
    fn see(&mut self, place: &mut Place) {
        if !core::mem::replace(&mut place.seen, true) {
            self.buckets.see(&place.taken);
        }
    }

    /// Notes a failure, pauses for a 429 and lowers the limit where there were too many.
    fn fail(&mut self, place: &Place, failure: &Failure, retry: &RetryOptions, now: Time) {
        self.failures.count(failure.class);
        self.last_error = Some(failure.clone());
        match failure.class {
            Class::RateLimited => {
                self.pause(place, failure.retry_after, retry, now);
                // A server without any notion of rates means that there are too many at once, also
                // where it says when to come back.
                if !self.buckets.are_known(now) {
                    self.limit.refused(place.sent, now);
                }
            }
            Class::Overloaded => self.limit.refused(place.sent, now),
            _ => {}
        }
    }

    /// Holds everything back for what was asked, or for a time that doubles. A provider that asks
    /// for no time at all is asked again no sooner. Of attempts that were under way together all
    /// may be refused, which says no more than one of them does.
    fn pause(&mut self, place: &Place, asked: Option<Duration>, retry: &RetryOptions, now: Time) {
        if self.pauses_in_row == 0 || place.sent.at > self.paused_at {
            self.pauses_in_row = self.pauses_in_row.saturating_add(1);
            self.paused_at = now;
        }
        let doubled = 1_u32.checked_shl(self.pauses_in_row - 1).unwrap_or(u32::MAX);
        let usual = retry.base.saturating_mul(doubled).min(retry.longest);
        let time =
            asked.filter(|asked| !asked.is_zero()).unwrap_or(usual).min(retry.retry_after_cap);
        self.paused_until = self.paused_until.max(now.saturating_add(time));
    }
}
