use super::ServiceOptions;
use crate::provider::Provider;

impl Provider {
    /// Returns what callers who share a service must agree on: options by their names, and what each
    /// of them is as a text. How long calls may take is each caller's own.
    #[must_use]
    pub fn terms(&self) -> Vec<(&'static str, String)> {
        let options = ServiceOptions::of(self);
        let policy = &options.policy;
        vec![
            ("max", options.max.to_string()),
            ("maxWaiting", self.max_waiting.to_string()),
            ("endpoints", format!("{:?}", weights(&options))),
            ("balance", format!("{:?}", policy.balance)),
            ("ejection", format!("{:?}", policy.ejection)),
            ("checks", format!("{:?}", policy.checks)),
            ("adaptiveLimit", format!("{:?}", policy.limit)),
            ("rates", format!("{:?}", policy.rates)),
            ("retry", format!("{:?}", policy.retry)),
            ("hedgeAfter", format!("{:?}", policy.hedge_after)),
            ("alertAfter", format!("{:?}", policy.alert_after)),
        ]
    }
}

/// The endpoints with their weights, in whichever order they were named.
fn weights(options: &ServiceOptions) -> Vec<(&str, u32)> {
    // There are few, and a sort is large.
    let mut weights: Vec<(&str, u32)> = Vec::new();
    for pair in options.endpoints.iter().map(|each| (&each.name[..], each.weight)) {
        weights.insert(weights.partition_point(|before| *before <= pair), pair);
    }
    weights
}
