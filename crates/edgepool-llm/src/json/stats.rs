use core::time::Duration;

use edgepool::{Histogram, Time};
use serde_json::Value;

use super::object;
use crate::endpoint::Breaker;
use crate::stats::{Alert, EndpointStats, Failures, ServiceStats};

impl ServiceStats {
    /// Writes them; see [`json`](crate::json). Points in time are those of the clock that the
    /// service is driven by.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let counts = &self.counts;
        object(vec![
            ("calls", counts.calls.into()),
            ("answered", counts.answered.into()),
            ("failures", failures(&counts.failures)),
            ("sent", counts.sent.into()),
            ("attemptFailures", failures(&counts.attempt_failures)),
            ("cancelled", counts.cancelled.into()),
            ("retries", counts.retries.into()),
            ("hedges", counts.hedges.into()),
            ("hedgesWon", counts.hedges_won.into()),
            ("overBudget", counts.over_budget.into()),
            ("fallbacks", counts.fallbacks.into()),
            ("inputTokens", counts.input_tokens.into()),
            ("outputTokens", counts.output_tokens.into()),
            ("waits", histogram(&counts.waits)),
            ("headers", histogram(&counts.headers)),
            ("firstContent", histogram(&counts.first_content)),
            ("totals", histogram(&counts.totals)),
            ("inFlight", self.in_flight.into()),
            ("waiting", self.waiting.into()),
            ("limit", self.limit.into()),
            ("budget", self.budget.into()),
            ("alert", self.alert.as_ref().map(Alert::to_json).into()),
            ("endpoints", self.endpoints.iter().map(endpoint).collect()),
        ])
    }
}

impl Alert {
    /// Writes it; see [`json`](crate::json).
    #[must_use]
    pub fn to_json(&self) -> Value {
        object(vec![
            ("since", at(self.since)),
            ("waiting", self.waiting.into()),
            ("refused", self.refused.into()),
        ])
    }
}

fn endpoint(stats: &EndpointStats) -> Value {
    let breaker = match stats.breaker {
        Breaker::Closed => "closed",
        Breaker::Open => "open",
        Breaker::HalfOpen => "halfOpen",
    };
    object(vec![
        ("name", stats.name.as_str().into()),
        ("sent", stats.sent.into()),
        ("answered", stats.answered.into()),
        ("failures", failures(&stats.failures)),
        ("inputTokens", stats.input_tokens.into()),
        ("outputTokens", stats.output_tokens.into()),
        ("firstContent", histogram(&stats.first_content)),
        ("inFlight", stats.in_flight.into()),
        ("limit", stats.limit.into()),
        ("breaker", breaker.into()),
        ("pausedUntil", stats.paused_until.map(at).into()),
        ("latency", stats.latency.map(millis).into()),
        ("lastError", stats.last_error.as_deref().into()),
    ])
}

fn failures(failures: &Failures) -> Value {
    let some = failures.iter().filter(|(_, count)| *count > 0);
    object(some.map(|(class, count)| (class.name(), count.into())).collect())
}

fn histogram(histogram: &Histogram) -> Value {
    let some = histogram.buckets().filter(|(_, count)| *count > 0);
    // What is out of range has no bound.
    let bound = |bound: Duration| (bound != Duration::MAX).then(|| millis(bound));
    let bucket = |(up_to, count)| Value::from(vec![Value::from(bound(up_to)), Value::from(count)]);
    let part = |percent| Value::from(histogram.percentile(percent).map(millis));
    object(vec![
        ("count", histogram.count().into()),
        ("sum", millis(histogram.sum())),
        ("mean", histogram.mean().map(millis).into()),
        ("p50", part(50.0)),
        ("p90", part(90.0)),
        ("p99", part(99.0)),
        ("max", histogram.max().map(millis).into()),
        ("buckets", some.map(bucket).collect()),
    ])
}

fn at(time: Time) -> Value {
    Value::from(time.as_nanos() as f64 / 1e6)
}

/// Writes a time in milliseconds.
pub(super) fn millis(duration: Duration) -> Value {
    Value::from(duration.as_nanos() as f64 / 1e6)
}
