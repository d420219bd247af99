//! What a refusal of the pool's own looks like to each SDK.
//!
//! SDKs try again what they take for a passing failure, and so would queue again by themselves. An
//! answer with `x-should-retry: false` ends a call of `openai` and `@anthropic-ai/sdk` at once,
//! where an error that is thrown makes them try three times. `ollama` and `ai` do not try again
//! what is thrown. LangChain tries again by the status, whatever the headers say, but for some, of
//! which 409 is the nearest.

use core::time::Duration;

use serde_json::Value;

use crate::failure::{Class, Failure, Timer};
use crate::json::{object, write};
use crate::provider::OnRefusal;

/// Who is to understand a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Adapter {
    /// The SDK of OpenAI.
    OpenAi,
    /// The SDK of Anthropic.
    Anthropic,
    /// The package `ollama`.
    Ollama,
    /// The package `ai` with its providers.
    Ai,
    /// LangChain, with whichever provider.
    LangChain,
    /// A caller of `fetch`.
    Plain,
}

impl Adapter {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::OpenAi, Self::Anthropic, Self::Ollama, Self::Ai, Self::LangChain, Self::Plain];

    /// Returns what suits it best.
    #[must_use]
    pub const fn usual(self) -> OnRefusal {
        match self {
            Self::OpenAi | Self::Anthropic | Self::LangChain => OnRefusal::Respond,
            Self::Ollama | Self::Ai | Self::Plain => OnRefusal::Throw,
        }
    }
}

/// Why the pool refuses a call. Each has a code that is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// No provider has that name. It is for those who answer requests, such as gateways; client pools
    /// tell it by an error of its own.
    UnknownProvider,
    /// No tenant can have the id that the caller gave. Like the next one it is for pools whose
    /// calls are those of tenants.
    InvalidTenant,
    /// The tenant has no part in the pool.
    UnknownTenant,
    /// As many calls wait as may.
    QueueFull,
    /// It is a retry of the caller's own, and the budget of retries is spent.
    OverBudget,
    /// The call had no place in time.
    AcquireTimeout,
    /// The pool takes no more calls.
    PoolClosed,
    /// No connection could be made, or no endpoint is up.
    UpstreamUnreachable,
    /// No answer came in time.
    UpstreamTimeout,
    /// The place's time to live has passed: places have one in the npm package, where a request that
    /// holds one may die, and not in Rust, where a place is given back by being dropped.
    LeaseEnded,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::UnknownProvider,
        Self::InvalidTenant,
        Self::UnknownTenant,
        Self::QueueFull,
        Self::OverBudget,
        Self::AcquireTimeout,
        Self::PoolClosed,
        Self::UpstreamUnreachable,
        Self::UpstreamTimeout,
        Self::LeaseEnded,
    ];

    /// Returns its code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownProvider => "unknown_provider",
            Self::InvalidTenant => "invalid_tenant",
            Self::UnknownTenant => "unknown_tenant",
            Self::QueueFull => "queue_full",
            Self::OverBudget => "over_budget",
            Self::AcquireTimeout => "acquire_timeout",
            Self::PoolClosed => "pool_closed",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::LeaseEnded => "lease_ended",
        }
    }

    /// Returns the status that stands for it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::UnknownProvider => 404,
            Self::InvalidTenant => 400,
            Self::UnknownTenant => 403,
            Self::QueueFull | Self::OverBudget => 429,
            Self::AcquireTimeout | Self::PoolClosed | Self::LeaseEnded => 503,
            Self::UpstreamUnreachable => 502,
            Self::UpstreamTimeout => 504,
        }
    }

    const fn advice(self) -> &'static str {
        match self {
            Self::PoolClosed => ". The pool takes no more calls.",
            Self::UpstreamUnreachable => {
                ". Check that the provider runs and that its baseURL is right."
            }
            _ => "",
        }
    }

    /// Finds the reason that a failure without an answer of the provider stands for, which is that
    /// of its code if it is a refusal with one, and else the queue; `None` where
    /// the provider has answered, or the caller has left.
    #[must_use]
    pub fn of(failure: &Failure) -> Option<Self> {
        if failure.status.is_some() {
            return None;
        }
        let code = failure.code.as_deref();
        let named = Self::ALL.into_iter().find(|reason| code == Some(reason.code()));
        match failure.class {
            Class::Refused => Some(named.unwrap_or(Self::QueueFull)),
            // Without a status it is not the provider who says so, but its limits as they are known.
            Class::RateLimited | Class::Timeout(Timer::Acquire) => Some(Self::AcquireTimeout),
            Class::Timeout(_) => Some(Self::UpstreamTimeout),
            Class::Network => Some(Self::UpstreamUnreachable),
            _ => None,
        }
    }
}

/// The response that stands for a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(&'static str, String)>,
    /// Its body, JSON.
    pub body: String,
}

/// Makes the response that stands for a refusal, for an adapter that gets one. `text` says what
/// happened; `wait` is when to come again, if that is known, and 1 s for a full queue if not.
#[must_use]
pub fn respond(adapter: Adapter, reason: Reason, text: &str, wait: Option<Duration>) -> Response {
    let message = format!("{text}{}", reason.advice());
    let code = reason.code();
    // One envelope is read by the SDKs of OpenAI and of Anthropic.
    let body = match adapter {
        Adapter::Ollama => object(vec![("error", message.into()), ("code", code.into())]),
        _ => {
            let error = object(vec![
                ("message", message.into()),
                ("type", "edgepool_error".into()),
                ("param", Value::Null),
                ("code", code.into()),
            ]);
            object(vec![("type", "error".into()), ("error", error)])
        }
    };
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("x-should-retry", "false".to_owned()),
    ];
    let full = matches!(reason, Reason::QueueFull).then_some(Duration::from_secs(1));
    if let Some(wait) = wait.or(full) {
        // Whole seconds, and not before the time.
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
        headers.push(("retry-after", seconds.to_string()));
    }
    let again = reason.status() == 429 || reason.status() >= 500;
    let status = if adapter == Adapter::LangChain && again { 409 } else { reason.status() };
    Response { status, headers, body: write(&body) }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use serde_json::Value;

    use super::{Adapter, Reason, respond};
    use crate::{Class, Failure, Timer, provider::OnRefusal};

    #[test]
    fn a_full_queue_is_a_429_that_is_not_tried_again() {
        let wait = Some(Duration::from_millis(2_001));
        for (adapter, status) in
            [(Adapter::OpenAi, 429), (Adapter::Anthropic, 429), (Adapter::LangChain, 409)]
        {
            let response = respond(adapter, Reason::QueueFull, "1000 calls wait", wait);
            assert_eq!(response.status, status);
            assert!(response.headers.contains(&("x-should-retry", "false".to_owned())));
            assert!(response.headers.contains(&("retry-after", "3".to_owned())));
            let body: Value = serde_json::from_str(&response.body).unwrap();
            assert_eq!(body["type"], "error");
            assert_eq!(body["error"]["code"], "queue_full");
            assert_eq!(body["error"]["message"], "1000 calls wait");
        }
    }

    #[test]
    fn every_reason_is_json_for_every_adapter() {
        for adapter in Adapter::ALL {
            for reason in Reason::ALL {
                let response = respond(adapter, reason, "a \"text\"\n", None);
                let body: Value = serde_json::from_str(&response.body).unwrap();
                let text = body["error"]["message"].as_str().or_else(|| body["error"].as_str());
                assert!(text.unwrap().starts_with("a \"text\"\n"), "{adapter:?} {reason:?}");
                assert!((400..600).contains(&response.status));
                let told = response.headers.iter().any(|(name, _)| *name == "retry-after");
                assert_eq!(told, reason == Reason::QueueFull);
            }
        }
        assert_eq!(Adapter::Ai.usual(), OnRefusal::Throw);
        assert_eq!(Adapter::OpenAi.usual(), OnRefusal::Respond);
    }

    #[test]
    fn only_what_the_provider_did_not_answer_is_a_refusal() {
        for (class, reason) in [
            (Class::Refused, Some(Reason::QueueFull)),
            (Class::Timeout(Timer::Acquire), Some(Reason::AcquireTimeout)),
            (Class::Timeout(Timer::Headers), Some(Reason::UpstreamTimeout)),
            (Class::Network, Some(Reason::UpstreamUnreachable)),
            (Class::Cancelled, None),
            (Class::RateLimited, Some(Reason::AcquireTimeout)),
        ] {
            assert_eq!(Reason::of(&Failure::new(class, "")), reason);
        }
        for reason in Reason::ALL {
            let mut refused = Failure::new(Class::Refused, "");
            refused.code = Some(reason.code().to_owned());
            assert_eq!(Reason::of(&refused), Some(reason), "its code says why");
        }
        let mut answered = Failure::new(Class::Network, "");
        answered.status = Some(200);
        assert_eq!(Reason::of(&answered), None);
    }
}
