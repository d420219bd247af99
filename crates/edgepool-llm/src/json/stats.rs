use core::time::Duration;

use edgepool::{Histogram, Time};
use serde_json::{Map, Value, json};

use crate::endpoint::Breaker;
use crate::stats::{Alert, EndpointStats, Failures, ServiceStats};

impl ServiceStats {
    /// Writes them; see [`json`](crate::json). Points in time are those of the clock that the
    /// service is driven by.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let counts = &self.counts;
        json!({
            "calls": counts.calls,
            "answered": counts.answered,
            "failures": failures(&counts.failures),
            "sent": counts.sent,
            "attemptFailures": failures(&counts.attempt_failures),
            "cancelled": counts.cancelled,
            "retries": counts.retries,
            "hedges": counts.hedges,
            "hedgesWon": counts.hedges_won,
            "overBudget": counts.over_budget,
            "fallbacks": counts.fallbacks,
            "inputTokens": counts.input_tokens,
            "outputTokens": counts.output_tokens,
            "waits": histogram(&counts.waits),
            "headers": histogram(&counts.headers),
            "firstContent": histogram(&counts.first_content),
            "totals": histogram(&counts.totals),
            "inFlight": self.in_flight,
            "waiting": self.waiting,
            "limit": self.limit,
            "budget": self.budget,
            "alert": self.alert.as_ref().map(Alert::to_json),
            "endpoints": self.endpoints.iter().map(endpoint).collect::<Value>(),
        })
    }
}

impl Alert {
    /// Writes it; see [`json`](crate::json).
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({"since": at(self.since), "waiting": self.waiting, "refused": self.refused})
    }
}

fn endpoint(stats: &EndpointStats) -> Value {
    let breaker = match stats.breaker {
        Breaker::Closed => "closed",
        Breaker::Open => "open",
        Breaker::HalfOpen => "halfOpen",
    };
    json!({
        "name": stats.name,
        "sent": stats.sent,
        "answered": stats.answered,
        "failures": failures(&stats.failures),
        "inputTokens": stats.input_tokens,
        "outputTokens": stats.output_tokens,
        "firstContent": histogram(&stats.first_content),
        "inFlight": stats.in_flight,
        "limit": stats.limit,
        "breaker": breaker,
        "pausedUntil": stats.paused_until.map(at),
        "latency": stats.latency.map(millis),
        "lastError": stats.last_error,
    })
}

fn failures(failures: &Failures) -> Value {
    let some = failures.iter().filter(|(_, count)| *count > 0);
    Value::Object(some.map(|(class, count)| (class.name().to_owned(), json!(count))).collect())
}

fn histogram(histogram: &Histogram) -> Value {
    let some = histogram.buckets().filter(|(_, count)| *count > 0);
    // What is out of range has no bound.
    let bound = |bound: Duration| (bound != Duration::MAX).then(|| millis(bound));
    let buckets = some.map(|(up_to, count)| json!([bound(up_to), count])).collect::<Value>();
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("count", json!(histogram.count()));
    put("sum", millis(histogram.sum()));
    put("mean", json!(histogram.mean().map(millis)));
    for (name, percent) in [("p50", 50.0), ("p90", 90.0), ("p99", 99.0)] {
        put(name, json!(histogram.percentile(percent).map(millis)));
    }
    put("max", json!(histogram.max().map(millis)));
    put("buckets", buckets);
    Value::Object(object)
}

fn at(time: Time) -> Value {
    json!(time.as_nanos() as f64 / 1e6)
}

/// Writes a time in milliseconds.
pub(super) fn millis(duration: Duration) -> Value {
    json!(duration.as_nanos() as f64 / 1e6)
}
