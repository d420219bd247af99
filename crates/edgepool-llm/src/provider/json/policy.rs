//! The rules of a provider in a configuration.

use core::time::Duration;

use super::{Fields, options_at};
use crate::bucket::{Rate, Rates};
use crate::endpoint::{Balance, Checks, Ejection, Share};
use crate::fields::join;
use crate::limit::{LimitOptions, Way};
use crate::provider::OptionError;
use crate::retry::{BudgetOptions, RetryOptions};
use crate::service::Policy;

/// Reads the rules; `max` is the provider's, which a limit that is sought ends at.
pub(super) fn policy(fields: &Fields<'_>, max: u32) -> Result<Policy, OptionError> {
    let usual = Policy::default();
    let balances = [
        ("roundRobin", Balance::RoundRobin),
        ("leastConnections", Balance::LeastConnections),
        ("powerOfTwo", Balance::PowerOfTwo),
    ];
    Ok(Policy {
        balance: fields.word("balance", &balances, usual.balance)?,
        ejection: fields.inner("ejection", &EJECTION)?.map_or(Ok(usual.ejection), ejection)?,
        checks: fields.inner("checks", &CHECKS)?.map(checks).transpose()?,
        limit: fields.inner("adaptiveLimit", &LIMIT)?.map(|it| limit(it, max)).transpose()?,
        rates: fields.inner("rates", &RATES)?.map_or(Ok(usual.rates), rates)?,
        retry: fields.inner("retry", &RETRY)?.map_or(Ok(usual.retry), retry)?,
        hedge_after: fields.duration("hedgeAfter", usual.hedge_after)?,
        alert_after: fields.time("alertAfter", usual.alert_after)?,
    })
}

const EJECTION: [&str; 6] = ["consecutive", "share", "base", "longest", "atMost", "slowStart"];
const SHARE: [&str; 3] = ["percent", "least", "window"];
const CHECKS: [&str; 3] = ["interval", "timeout", "failures"];
const LIMIT: [&str; 4] = ["way", "min", "max", "hold"];
const RATES: [&str; 2] = ["requests", "tokens"];
const RATE: [&str; 2] = ["amount", "window"];
const RETRY: [&str; 5] = ["retries", "base", "longest", "retryAfterCap", "budget"];
const BUDGET: [&str; 2] = ["percent", "perSecond"];

fn ejection(fields: Fields<'_>) -> Result<Ejection, OptionError> {
    let usual = Ejection::default();
    let never = |name| fields.get(name).is_some_and(serde_json::Value::is_null);
    let consecutive = match usual.consecutive {
        Some(usual) if !never("consecutive") => Some(fields.small("consecutive", usual)?),
        _ => None,
    };
    let share = match fields.inner("share", &SHARE)? {
        Some(fields) => Some(share(&fields)?),
        None => usual.share.filter(|_| !never("share")),
    };
    Ok(Ejection {
        consecutive,
        share,
        base: fields.time("base", usual.base)?,
        longest: fields.time("longest", usual.longest)?,
        at_most: fields.small("atMost", usual.at_most)?,
        slow_start: fields.time("slowStart", usual.slow_start)?,
    })
}

fn share(fields: &Fields<'_>) -> Result<Share, OptionError> {
    let usual = Share::default();
    Ok(Share {
        percent: fields.small("percent", usual.percent)?,
        least: fields.small("least", usual.least)?,
        window: fields.time("window", usual.window)?,
    })
}

fn checks(fields: Fields<'_>) -> Result<Checks, OptionError> {
    let usual = Checks::default();
    Ok(Checks {
        interval: fields.time("interval", usual.interval)?,
        timeout: fields.time("timeout", usual.timeout)?,
        failures: fields.small("failures", usual.failures)?,
    })
}

fn limit(fields: Fields<'_>, max: u32) -> Result<LimitOptions, OptionError> {
    let usual = LimitOptions::to(max);
    let ways = [("aimd", Way::Aimd), ("gradient", Way::Gradient)];
    Ok(LimitOptions {
        way: fields.word("way", &ways, usual.way)?,
        min: fields.small("min", usual.min)?,
        max: fields.small("max", usual.max)?,
        hold: fields.time("hold", usual.hold)?,
    })
}

fn rates(fields: Fields<'_>) -> Result<Rates, OptionError> {
    let rate = |name| fields.inner(name, &RATE)?.map(rate).transpose();
    Ok(Rates { requests: rate("requests")?, tokens: rate("tokens")? })
}

fn rate(fields: Fields<'_>) -> Result<Rate, OptionError> {
    let amount = fields.count("amount")?;
    let amount = amount.ok_or_else(|| fields.wrong("amount", "is needed"))?;
    Ok(Rate { amount, window: fields.time("window", Duration::from_secs(60))? })
}

fn retry(fields: Fields<'_>) -> Result<RetryOptions, OptionError> {
    let usual = RetryOptions::default();
    Ok(RetryOptions {
        retries: fields.small("retries", usual.retries)?,
        base: fields.time("base", usual.base)?,
        longest: fields.time("longest", usual.longest)?,
        retry_after_cap: fields.time("retryAfterCap", usual.retry_after_cap)?,
        budget: fields.inner("budget", &BUDGET)?.map_or(Ok(usual.budget), budget)?,
    })
}

fn budget(fields: Fields<'_>) -> Result<BudgetOptions, OptionError> {
    let usual = BudgetOptions::default();
    Ok(BudgetOptions {
        percent: fields.small("percent", usual.percent)?,
        per_second: fields.small("perSecond", usual.per_second)?,
    })
}

impl<'a> Fields<'a> {
    /// Returns the options of an object within; `None` if there is none, or `null`.
    fn inner(&self, name: &str, known: &[&str]) -> Result<Option<Self>, OptionError> {
        match self.get(name) {
            None | Some(serde_json::Value::Null) => Ok(None),
            Some(value) => {
                let path = join(&self.place.path, name);
                options_at(self.place.provider, path, value, known).map(Some)
            }
        }
    }

    fn small(&self, name: &str, usual: u32) -> Result<u32, OptionError> {
        let Some(count) = self.count(name)? else { return Ok(usual) };
        u32::try_from(count).map_err(|_| self.wrong(name, "takes at most 4294967295"))
    }

    /// Reads a duration that there must be.
    fn time(&self, name: &str, usual: Duration) -> Result<Duration, OptionError> {
        let time = self.duration(name, Some(usual))?;
        time.ok_or_else(|| self.wrong(name, "takes milliseconds from 0 to 1e12"))
    }

    fn word<T: Copy>(&self, name: &str, words: &[(&str, T)], usual: T) -> Result<T, OptionError> {
        let Some(said) = self.text(name)? else { return Ok(usual) };
        let found = words.iter().find(|(word, _)| *word == said);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.wrong(name, format!("takes one of {}", known.join(", ")))
        })
    }
}
