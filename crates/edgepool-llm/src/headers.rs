//! Headers of answers: what they tell of limits, and when to come again.

use core::time::Duration;
use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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

/// How a header tells when a window is full again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reset {
    /// A duration as Go writes it, such as `6m0s`, `1.5s` or `12ms`; a bare number is seconds.
    Duration,
    /// Seconds.
    Seconds,
    /// A point in time of RFC 3339.
    Time,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject {
    /// Requests.
    Requests,
    /// Tokens of both kinds.
    Tokens,
    /// Tokens of prompts.
    InputTokens,
    /// Tokens of answers.
    OutputTokens,
}

/// The headers that tell of one limit. An empty name is one that the provider does not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitHeaders {
    /// What the limit counts.
    pub subject: Subject,
    /// The header with how much a window holds.
    pub limit: &'static str,
    /// The header with what is left.
    pub remaining: &'static str,
    /// The header with when it is full again.
    pub reset: &'static str,
    /// What that one is written in.
    pub unit: Reset,
    /// How long the window is, if that is known.
    pub window: Option<Duration>,
}

impl RateLimits {
    /// Reads what the headers of an answer tell, by a provider's table; of rows with the same
    /// subject the first that tells something counts. `wall` is the time since 1970. What is
    /// negative, not a number or otherwise nonsense is left out, and nothing is longer than
    /// [`MAX_RETRY_AFTER`].
    #[must_use]
    pub fn read(table: &[LimitHeaders], headers: &Headers<'_>, wall: Duration) -> Self {
        let mut limits = Self::default();
        for row in table {
            let place = match row.subject {
                Subject::Requests => &mut limits.requests,
                Subject::Tokens => &mut limits.tokens,
                Subject::InputTokens => &mut limits.input_tokens,
                Subject::OutputTokens => &mut limits.output_tokens,
            };
            if place.is_none() {
                *place = row.read(headers, wall);
            }
        }
        limits
    }
}

impl LimitHeaders {
    fn read(&self, headers: &Headers<'_>, wall: Duration) -> Option<Allowance> {
        let limit = headers.text(self.limit).and_then(count);
        let remaining = headers.text(self.remaining).and_then(count);
        let reset = headers.text(self.reset).and_then(|text| match self.unit {
            Reset::Duration => go_duration(text),
            Reset::Seconds => number(text).map(|seconds| clamped(seconds, 1.0)),
            Reset::Time => rfc3339(text).map(|at| at.saturating_sub(wall).min(MAX_RETRY_AFTER)),
        });
        let told = limit.is_some() || remaining.is_some() || reset.is_some();
        told.then_some(Allowance { limit, remaining, reset, window: self.window })
    }
}

/// Reads how long a provider asks to wait, from `retry-after-ms`, `x-ms-retry-after-ms` or
/// `retry-after` in seconds or as a date. `wall` is the time since 1970. A date in the past is
/// zero, more than [`MAX_RETRY_AFTER`] is that, and nonsense (negative, not a number) is `None`.
#[must_use]
pub fn retry_after(headers: &Headers<'_>, wall: Duration) -> Option<Duration> {
    let millis = ["retry-after-ms", "x-ms-retry-after-ms"];
    let exact = millis.iter().find_map(|name| headers.text(name).and_then(number));
    if let Some(millis) = exact {
        return Some(clamped(millis, 1_000.0));
    }
    let text = headers.text("retry-after")?;
    if let Some(seconds) = number(text) {
        return Some(clamped(seconds, 1.0));
    }
    let at = http_date(text).or_else(|| rfc3339(text))?;
    Some(at.saturating_sub(wall).min(MAX_RETRY_AFTER))
}

/// Reads what a provider says of trying again, from `x-should-retry`.
#[must_use]
pub fn should_retry(headers: &Headers<'_>) -> Option<bool> {
    match headers.text("x-should-retry")? {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Reads a number that is finite and not negative: digits with at most one dot, and what a number
/// too large for digits may be written as, such as `1e12`. It is exact up to 15 digits; the parser of
/// `core` is so for any number of them, and has a table of 10 KB for that.
fn number(text: &str) -> Option<f64> {
    let (figure, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, part) = figure.split_once('.').unwrap_or((figure, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + part.len() == 0 || !is_number(whole) || !is_number(part) {
        return None;
    }
    // More digits change nothing.
    let part = &part[..part.len().min(17)];
    let add = |sum: f64, digit: u8| sum * 10.0 + f64::from(digit - b'0');
    let figure = whole.bytes().chain(part.bytes()).fold(0.0, add);
    let shift = i32::from(exponent.parse::<u16>().ok()?) - part.len() as i32;
    let power = 10_f64.powi(shift.abs());
    let number = if shift < 0 { figure / power } else { figure * power };
    number.is_finite().then_some(number)
}

fn count(text: &str) -> Option<u64> {
    // A cast from a float saturates.
    text.parse().ok().or_else(|| number(text).map(|number| number as u64))
}

/// Makes a duration of a number of units of which `per_second` are a second; at most
/// [`MAX_RETRY_AFTER`].
fn clamped(number: f64, per_second: f64) -> Duration {
    let seconds = number / per_second;
    if seconds >= MAX_RETRY_AFTER.as_secs_f64() {
        return MAX_RETRY_AFTER;
    }
    Duration::try_from_secs_f64(seconds).unwrap_or(MAX_RETRY_AFTER)
}

/// Reads a duration as Go writes it: numbers with units, the larger units first.
fn go_duration(text: &str) -> Option<Duration> {
    if let Some(seconds) = number(text) {
        return Some(clamped(seconds, 1.0));
    }
    let mut sum = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (figure, from) = rest.split_at(digits);
        let end = from.find(|c: char| c.is_ascii_digit()).unwrap_or(from.len());
        let (unit, next) = from.split_at(end);
        let factor = match unit {
            "d" => 86_400.0,
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        sum = sum.saturating_add(clamped(number(figure)? * factor, 1.0));
        rest = next;
    }
    (!text.is_empty()).then_some(sum.min(MAX_RETRY_AFTER))
}

fn http_date(text: &str) -> Option<Duration> {
    let at = httpdate::parse_http_date(text).ok()?;
    at.duration_since(SystemTime::UNIX_EPOCH).ok()
}

fn rfc3339(text: &str) -> Option<Duration> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let seconds = u64::try_from(at.unix_timestamp()).unwrap_or(0);
    Some(Duration::new(seconds, at.nanosecond()))
}
