//! Several providers for one call, one after the other.

use core::time::Duration;

use edgepool::Time;

use crate::service::Service;
use crate::{Class, Failure};

/// Which provider a call goes on at when one has failed. Each provider gets a
/// [`Call`](super::Call) of its own; nothing goes on after the first content.
///
/// The first request that a provider gets by this is no retry there, and takes nothing from its
/// budget: what follows in the chain must be there for all calls when what comes first is out.
///
/// # Examples
///
/// ```
/// use edgepool::Time;
/// use edgepool_llm::call::{FallbackChain, Next};
/// use edgepool_llm::endpoint::EndpointOptions;
/// use edgepool_llm::service::{Service, ServiceOptions};
/// use edgepool_llm::{Class, Failure};
///
/// let options = ServiceOptions::new(vec![EndpointOptions::new("https://api.openai.com/v1")]);
/// let mut openai = Service::new(options, Time::ZERO);
/// let mut chain = FallbackChain::new(vec!["openai".into(), "local".into()], None, Time::ZERO);
/// assert_eq!(chain.provider(), Some("openai"));
/// let spent = Failure::new(Class::QuotaExhausted, "nothing is left of what was paid for");
/// let next = chain.failed(&mut openai, spent, false, Time::ZERO);
/// assert_eq!(next, Next::Provider("local".into()));
/// ```
#[derive(Clone, Debug)]
pub struct FallbackChain {
    providers: Vec<String>,
    at: usize,
    failures: Vec<Failure>,
    deadline: Time,
}

/// Where a call goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// At the provider of this name.
    Provider(String),
    /// Nowhere.
    Fail(Failure),
}

impl FallbackChain {
    /// Makes a chain of providers by their names, the preferred one first, for a call that may take
    /// `total` at all of them together.
    #[must_use]
    pub fn new(providers: Vec<String>, total: Option<Duration>, now: Time) -> Self {
        let deadline = total.map_or(Time::NEVER, |total| now.saturating_add(total));
        Self { providers, at: 0, failures: Vec::new(), deadline }
    }

    /// Returns the name of the provider whose turn it is; `None` of an empty chain.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.providers.get(self.at).map(String::as_str)
    }

    /// Returns how long the call may still take: the timeout `total` of the next provider's call,
    /// unless its own is shorter.
    #[must_use]
    pub fn left(&self, now: Time) -> Option<Duration> {
        (self.deadline != Time::NEVER).then(|| self.deadline.saturating_since(now))
    }

    /// Decides where a call goes on that failed at the provider whose turn it was, which `service`
    /// is; `has_content` tells whether content came.
    pub fn failed(
        &mut self,
        service: &mut Service,
        failure: Failure,
        has_content: bool,
        now: Time,
    ) -> Next {
        let goes_on = !has_content && failure.may_fall_back() && now < self.deadline;
        self.failures.push(failure);
        match self.providers.get(self.at + 1) {
            Some(next) if goes_on => {
                self.at += 1;
                service.fell_back();
                Next::Provider(next.clone())
            }
            _ => Next::Fail(self.failure()),
        }
    }

    /// The last failure, with what the providers before said.
    fn failure(&self) -> Failure {
        let (Some(last), before) = (self.failures.last(), self.failures.len().saturating_sub(1))
        else {
            return Failure::new(Class::Refused, "the chain has no provider");
        };
        if before == 0 {
            return last.clone();
        }
        let each = self.providers.iter().zip(&self.failures);
        let told =
            each.map(|(name, failure)| format!("{name}: {}", failure.message)).collect::<Vec<_>>();
        let message = format!("every provider failed: {}", told.join("; "));
        Failure { message: Failure::new(last.class, message).message, ..last.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timer;
    use crate::endpoint::EndpointOptions;
    use crate::service::ServiceOptions;

    fn service() -> Service {
        Service::new(ServiceOptions::new(vec![EndpointOptions::new("a")]), Time::ZERO)
    }

    fn chain(total: Option<Duration>) -> FallbackChain {
        FallbackChain::new(vec!["first".into(), "second".into()], total, Time::ZERO)
    }

    fn fail(chain: &mut FallbackChain, class: Class, has_content: bool) -> Next {
        chain.failed(&mut service(), Failure::new(class, "broken"), has_content, Time::ZERO)
    }

    #[test]
    fn what_another_provider_may_do_better_goes_on_there() {
        let goes_on = [
            Class::RateLimited,
            Class::Overloaded,
            Class::QuotaExhausted,
            Class::Server,
            Class::Timeout(Timer::Acquire),
            Class::Timeout(Timer::Headers),
            Class::Timeout(Timer::Total),
            Class::Network,
            Class::Unauthorised,
            Class::NotFound,
            Class::Truncated,
            Class::Malformed,
            Class::Refused,
        ];
        for class in goes_on {
            let mut chain = chain(None);
            assert_eq!(fail(&mut chain, class, false), Next::Provider("second".into()));
            assert_eq!(chain.provider(), Some("second"));
        }
        for class in [Class::Invalid, Class::Cancelled] {
            assert!(matches!(fail(&mut chain(None), class, false), Next::Fail(_)), "{class:?}");
        }
    }

    #[test]
    fn nothing_goes_on_after_content_or_without_time() {
        assert!(matches!(fail(&mut chain(None), Class::Network, true), Next::Fail(_)));
        assert!(matches!(
            fail(&mut chain(Some(Duration::ZERO)), Class::Network, false),
            Next::Fail(_)
        ));
    }

    #[test]
    fn the_last_failure_names_all() {
        let mut chain = chain(Some(Duration::from_secs(3)));
        fail(&mut chain, Class::Network, false);
        assert_eq!(chain.left(Time::from_nanos(1_000_000_000)), Some(Duration::from_secs(2)));
        let mut last = Failure::new(Class::Overloaded, "busy");
        last.status = Some(503);
        let Next::Fail(failure) = chain.failed(&mut service(), last, false, Time::ZERO) else {
            panic!("there is no third");
        };
        assert_eq!((failure.class, failure.status), (Class::Overloaded, Some(503)));
        assert_eq!(failure.message, "every provider failed: first: broken; second: busy");
    }

    #[test]
    fn an_empty_chain_has_no_provider() {
        assert_eq!(FallbackChain::new(Vec::new(), None, Time::ZERO).provider(), None);
    }

    #[test]
    fn a_fallback_is_counted_where_it_began() {
        let (mut first, mut chain) = (service(), chain(None));
        chain.failed(&mut first, Failure::new(Class::Network, "lost"), false, Time::ZERO);
        assert_eq!(first.counts().fallbacks, 1);
    }
}
