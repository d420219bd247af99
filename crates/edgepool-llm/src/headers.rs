//! Headers of answers: what they tell of limits, and when to come again.

use core::time::Duration;

/// The longest wait that a provider's `Retry-After` is taken for: 31 days.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(31 * 86_400);

/// The most headers of an answer that are looked at.
pub const MAX_HEADERS: usize = 256;

/// The longest name or value of a header that is looked at, in bytes.
pub const MAX_HEADER: usize = 8_192;

/// The headers of an answer, borrowed from whatever holds them. Names are compared without case.
/// Beyond [`MAX_HEADERS`] and [`MAX_HEADER`] nothing is kept.
#[derive(Clone, Debug, Default)]
pub struct Headers<'a>(Vec<(&'a str, &'a [u8])>);

impl<'a> FromIterator<(&'a str, &'a [u8])> for Headers<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a [u8])>>(pairs: I) -> Self {
        let short = |(name, value): &(&str, &[u8])| name.len().max(value.len()) <= MAX_HEADER;
        Self(pairs.into_iter().filter(short).take(MAX_HEADERS).collect())
    }
}

impl<'a> Headers<'a> {
    /// Returns the first header of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// Returns the first header of that name as text without blanks around it, if it is text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(|value| core::str::from_utf8(value).ok()).map(str::trim)
    }
}

/// What a provider tells of one of its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// How much a window holds.
    pub limit: Option<u64>,
    /// How much of it is left.
    pub remaining: Option<u64>,
    /// How long until it is full again, from now.
    pub reset: Option<Duration>,
    /// How long a window is, where the provider's documents say so.
    pub window: Option<Duration>,
}

/// What the headers of an answer tell of a provider's limits; `None` where they tell nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Of requests.
    pub requests: Option<Allowance>,
    /// Of tokens of both kinds.
    pub tokens: Option<Allowance>,
    /// Of tokens of prompts.
    pub input_tokens: Option<Allowance>,
    /// Of tokens of answers.
    pub output_tokens: Option<Allowance>,
}
