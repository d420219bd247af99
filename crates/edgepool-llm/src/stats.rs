//! What happened at a provider, counted.

use core::time::Duration;

use edgepool::{Histogram, Time};

use crate::endpoint::Breaker;
use crate::{Class, Timer};

/// The kinds of failures in the order in which they are counted.
const CLASSES: [Class; 18] = [
    Class::RateLimited,
    Class::Overloaded,
    Class::QuotaExhausted,
    Class::Server,
    Class::Timeout(Timer::Acquire),
    Class::Timeout(Timer::Headers),
    Class::Timeout(Timer::FirstContent),
    Class::Timeout(Timer::BetweenContent),
    Class::Timeout(Timer::Total),
    Class::Network,
    Class::Unauthorised,
    Class::NotFound,
    Class::Invalid,
    Class::Truncated,
    Class::Malformed,
    Class::TooLarge,
    Class::Refused,
    Class::Cancelled,
];

/// Failures by their kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures([u64; CLASSES.len()]);

impl Failures {
    pub(crate) fn count(&mut self, class: Class) {
        if let Some(place) = CLASSES.iter().position(|&each| each == class) {
            self.0[place] += 1;
        }
    }

    /// Returns how many of one kind there were.
    #[must_use]
    pub fn of(&self, class: Class) -> u64 {
        self.iter().find(|&(each, _)| each == class).map_or(0, |(_, count)| count)
    }

    /// Returns each kind and how many there were, those that there were none of too.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Class, u64)> {
        CLASSES.into_iter().zip(self.0)
    }

    /// Returns how many there were of all kinds.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// What was counted at a provider since it was made. A call is counted where it begins and where it
/// ends: `calls` is `answered`, `failures.sum()` and those under way.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Calls that began.
    pub calls: u64,
    /// Calls that were answered to the end.
    pub answered: u64,
    /// Calls that failed, by how.
    pub failures: Failures,
    /// Attempts that were sent: first ones, retries and hedges.
    pub sent: u64,
    /// Attempts that failed, by how.
    pub attempt_failures: Failures,
    /// Attempts that were broken off, as another one won or nobody waited any more.
    pub cancelled: u64,
    /// Retries that were begun, by the budget.
    pub retries: u64,
    /// Hedges that were begun, by the budget.
    pub hedges: u64,
    /// Hedges that won.
    pub hedges_won: u64,
    /// Retries and hedges that the budget did not allow.
    pub over_budget: u64,
    /// Calls that went on at the next provider of a chain.
    pub fallbacks: u64,
    /// Tokens of prompts, as far as they were told.
    pub input_tokens: u64,
    /// Tokens of answers, as far as they were told.
    pub output_tokens: u64,
    /// How long attempts waited until they were sent.
    pub waits: Histogram,
    /// How long the headers took, from sending; of answers that were no errors.
    pub headers: Histogram,
    /// How long the first content took, from sending.
    pub first_content: Histogram,
    /// How long calls took that were answered, with their waits and retries.
    pub totals: Histogram,
}

/// How a provider stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServiceStats {
    /// What was counted.
    pub counts: Counts,
    /// Attempts that are under way, or have a place and wait for their time.
    pub in_flight: u32,
    /// Calls that wait for a place or a time.
    pub waiting: u32,
    /// How many attempts may be under way at once.
    pub limit: u32,
    /// How many more retries and hedges the budget allows.
    pub budget: u64,
    /// The alert, if there is one.
    pub alert: Option<Alert>,
    /// Each endpoint.
    pub endpoints: Vec<EndpointStats>,
}

/// How one endpoint stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndpointStats {
    /// Its name.
    pub name: String,
    /// Attempts that were sent to it.
    pub sent: u64,
    /// Attempts that it answered to the end.
    pub answered: u64,
    /// Attempts that failed there, by how.
    pub failures: Failures,
    /// Tokens of prompts, as far as they were told.
    pub input_tokens: u64,
    /// Tokens of answers, as far as they were told.
    pub output_tokens: u64,
    /// How long the first content took, from sending.
    pub first_content: Histogram,
    /// Attempts that are under way.
    pub in_flight: u32,
    /// How many may be at once, where a limit is sought.
    pub limit: Option<u32>,
    /// Whether calls are let through.
    pub breaker: Breaker,
    /// Until when it is paused by a 429, if it is.
    pub paused_until: Option<Time>,
    /// How long its headers take of late.
    pub latency: Option<Duration>,
    /// What its last failure said.
    pub last_error: Option<String>,
}

/// A provider has less room than its callers need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alert {
    /// Since when somebody waits at any time, or when a call was refused last.
    pub since: Time,
    /// How many calls wait.
    pub waiting: u32,
    /// How many calls were refused for lack of room, or gave up waiting, since it was made.
    pub refused: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_counted_under_a_name_of_its_own() {
        let mut failures = Failures::default();
        for class in CLASSES {
            failures.count(class);
            assert_eq!(failures.of(class), 1);
        }
        assert_eq!(failures.sum(), CLASSES.len() as u64);
        let mut names: Vec<_> = CLASSES.map(Class::name).into();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CLASSES.len());
    }
}
