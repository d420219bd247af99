//! How a provider is called.

use core::time::Duration;

use crate::bucket::{Rate, Rates};
use crate::clocks::Timeouts;
use crate::endpoint::{Balance, Checks, Ejection, EndpointOptions};
use crate::headers::MAX_RETRY_AFTER;
use crate::limit::LimitOptions;
use crate::provider::Provider;
use crate::retry::RetryOptions;

/// What a service is made of: endpoints, bounds, and rules.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceOptions {
    /// Its addresses; at least one.
    pub endpoints: Vec<EndpointOptions>,
    /// The most attempts at once, all endpoints together. By default 10.
    pub max: u32,
    /// How long the parts of a call may take.
    pub timeouts: Timeouts,
    /// The rules.
    pub policy: Policy,
}

impl ServiceOptions {
    /// The defaults, for these endpoints.
    #[must_use]
    pub fn new(endpoints: Vec<EndpointOptions>) -> Self {
        let (timeouts, policy) = (Timeouts::default(), Policy::default());
        Self { endpoints, max: 10, timeouts, policy }
    }

    /// What a provider says. Its endpoints are named by their addresses.
    #[must_use]
    pub fn of(provider: &Provider) -> Self {
        let endpoint = |each: &crate::provider::Endpoint| EndpointOptions {
            name: each.base.to_string(),
            weight: each.weight,
        };
        Self {
            endpoints: provider.endpoints.iter().map(endpoint).collect(),
            max: provider.max,
            timeouts: provider.timeouts,
            policy: provider.policy,
        }
    }
}

/// The rules by which a provider's endpoints are chosen, limited and called again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// How attempts are shared out. By default in turn.
    pub balance: Balance,
    /// When endpoints are ejected.
    pub ejection: Ejection,
    /// How endpoints are checked without a call. By default they are not.
    pub checks: Option<Checks>,
    /// The bounds between which a limit is sought for each endpoint. By default none is.
    pub limit: Option<LimitOptions>,
    /// What each endpoint takes in a time. By default what its headers tell.
    pub rates: Rates,
    /// How attempts are repeated.
    pub retry: RetryOptions,
    /// After which time without content a second attempt is sent, whose first content may win. By
    /// default none is.
    pub hedge_after: Option<Duration>,
    /// After which time in which there was always somebody waiting it is told. By default 5 s.
    pub alert_after: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            balance: Balance::default(),
            ejection: Ejection::default(),
            checks: None,
            limit: None,
            rates: Rates::default(),
            retry: RetryOptions::default(),
            hedge_after: None,
            alert_after: Duration::from_secs(5),
        }
    }
}

/// The most attempts at once that a limit may come to.
const MOST: u32 = 65_535;

impl Policy {
    /// Returns the option that makes no sense, by its name in a configuration, and what is accepted.
    pub(crate) fn wrong(&self) -> Option<(&'static str, &'static str)> {
        let wrong = [
            self.wrong_retry(),
            self.wrong_ejection(),
            self.checks.and_then(wrong_checks),
            self.limit.and_then(wrong_limit),
            self.rates.requests.filter(is_nothing).map(|_| ("rates.requests", NOT_NOTHING)),
            self.rates.tokens.filter(is_nothing).map(|_| ("rates.tokens", NOT_NOTHING)),
            self.hedge_after.filter(Duration::is_zero).map(|_| ("hedgeAfter", NOT_ZERO)),
        ];
        wrong.into_iter().flatten().next()
    }

    fn wrong_retry(&self) -> Option<(&'static str, &'static str)> {
        let retry = &self.retry;
        if retry.base > retry.longest {
            return Some(("retry.base", "takes at most what retry.longest is"));
        }
        if retry.retry_after_cap > MAX_RETRY_AFTER {
            return Some(("retry.retryAfterCap", "takes at most 31 days"));
        }
        (retry.budget.percent > 100).then_some(("retry.budget.percent", "takes 0 to 100"))
    }

    fn wrong_ejection(&self) -> Option<(&'static str, &'static str)> {
        let ejection = &self.ejection;
        if ejection.consecutive == Some(0) {
            return Some(("ejection.consecutive", "takes at least 1, or null for never"));
        }
        if ejection.at_most > 100 {
            return Some(("ejection.atMost", "takes 0 to 100"));
        }
        if ejection.base.is_zero() {
            return Some(("ejection.base", NOT_ZERO));
        }
        if ejection.base > ejection.longest {
            return Some(("ejection.base", "takes at most what ejection.longest is"));
        }
        let share = ejection.share?;
        if !(1..=100).contains(&share.percent) {
            return Some(("ejection.share.percent", "takes 1 to 100"));
        }
        if share.least == 0 {
            return Some(("ejection.share.least", NOT_NONE));
        }
        share.window.is_zero().then_some(("ejection.share.window", NOT_ZERO))
    }
}

const NOT_ZERO: &str = "takes more than 0";
const NOT_NONE: &str = "takes at least 1";
const NOT_NOTHING: &str = "takes an amount of at least 1 and a window of more than 0";

const fn wrong_checks(checks: Checks) -> Option<(&'static str, &'static str)> {
    if checks.interval.is_zero() {
        return Some(("checks.interval", NOT_ZERO));
    }
    if checks.timeout.is_zero() {
        return Some(("checks.timeout", NOT_ZERO));
    }
    if checks.failures == 0 { Some(("checks.failures", NOT_NONE)) } else { None }
}

fn wrong_limit(limit: LimitOptions) -> Option<(&'static str, &'static str)> {
    if !(1..=MOST).contains(&limit.max) {
        return Some(("adaptiveLimit.max", "takes 1 to 65535"));
    }
    let in_bounds = (1..=limit.max).contains(&limit.min);
    (!in_bounds).then_some(("adaptiveLimit.min", "takes 1 to what adaptiveLimit.max is"))
}

const fn is_nothing(rate: &Rate) -> bool {
    rate.amount == 0 || rate.window.is_zero()
}
