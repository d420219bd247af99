//! How calls fail, and what follows from it.

use core::error::Error;
use core::fmt;
use core::time::Duration;

use crate::text;

/// The kinds of failures, by what is to be done about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// The provider asks to wait (429).
    RateLimited,
    /// The provider has more to do than it can (503, 529).
    Overloaded,
    /// What was paid for is used up: a 429 that no retry helps.
    QuotaExhausted,
    /// Something else broke at the provider (5xx, and 408, 409 and 425, which pass likewise).
    Server,
    /// One of the clocks of the call ran out.
    Timeout(Timer),
    /// The connection could not be made, or was lost.
    Network,
    /// The key is wrong, or may not do this (401, 403).
    Unauthorised,
    /// The model or the path does not exist (404).
    NotFound,
    /// The request is wrong (400, 413, 422 and other 4xx).
    Invalid,
    /// A stream ended without the end that its protocol has.
    Truncated,
    /// The answer is not what the protocol says, such as HTML where JSON should be.
    Malformed,
    /// The answer is larger than a bound of ours.
    TooLarge,
    /// The pool itself refused the call.
    Refused,
    /// The caller gave up.
    Cancelled,
}

/// The five clocks of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timer {
    /// The wait for a place.
    Acquire,
    /// From sending to the headers of the answer.
    Headers,
    /// From the headers to the first content.
    FirstContent,
    /// From one piece of content to the next. Pings and comments are none.
    BetweenContent,
    /// All of it, with retries.
    Total,
}

impl Timer {
    /// Returns the name of the option that sets it, in snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acquire => "acquire",
            Self::Headers => "headers",
            Self::FirstContent => "first_content",
            Self::BetweenContent => "between_content",
            Self::Total => "total",
        }
    }
}

/// How a call, or one attempt of it, failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// What kind of failure it is.
    pub class: Class,
    /// The status of the answer, if headers came.
    pub status: Option<u16>,
    /// The provider's own code or type of the error.
    pub code: Option<String>,
    /// What happened; bounded, and without keys.
    pub message: String,
    /// How long the provider asks to wait; at most [`MAX_RETRY_AFTER`](crate::headers::MAX_RETRY_AFTER).
    pub retry_after: Option<Duration>,
    /// What the provider says of trying again (`x-should-retry`).
    pub should_retry: Option<bool>,
}

/// The most bytes of a message.
pub const MAX_MESSAGE: usize = 1_024;

impl Failure {
    /// Makes a failure; a long message is cut.
    #[must_use]
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        let mut message = message.into();
        message.truncate(text::boundary(&message, MAX_MESSAGE));
        Self { class, status: None, code: None, message, retry_after: None, should_retry: None }
    }

    /// Tells whether another attempt may succeed. Only before the first content: what a caller has
    /// seen cannot be taken back.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        use Class::{Network, Overloaded, RateLimited, Server, Timeout, Truncated};
        let may = match self.class {
            RateLimited | Overloaded | Server | Network | Truncated => true,
            Timeout(timer) => matches!(timer, Timer::Headers | Timer::FirstContent),
            Class::QuotaExhausted | Class::Refused | Class::Cancelled => return false,
            _ => false,
        };
        // The provider knows better, where it says something.
        self.should_retry.unwrap_or(may)
    }

    /// Tells whether the endpoint is at fault: not where it only asks to wait, nor where the caller
    /// is at fault.
    #[must_use]
    pub const fn counts_against_endpoint(&self) -> bool {
        use Class::{Malformed, Network, Overloaded, Server, Timeout, Truncated};
        match self.class {
            Overloaded | Server | Network | Truncated | Malformed => true,
            Timeout(timer) => {
                matches!(timer, Timer::Headers | Timer::FirstContent | Timer::BetweenContent)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}
