//! How calls fail, and what follows from it.

use core::error::Error;
use core::fmt;
use core::time::Duration;

use serde_json::Value;

use crate::headers::{self, Headers};
use crate::json::{parse, write};
use crate::secret::{Secret, redact};
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
    /// How long the provider asks to wait; at most
    /// [`MAX_RETRY_AFTER`](crate::headers::MAX_RETRY_AFTER).
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
            // Whatever the provider says of it.
            Class::QuotaExhausted | Class::Refused | Class::Cancelled => return false,
            _ => false,
        };
        // It knows better, where it says something.
        self.should_retry.unwrap_or(may)
    }

    /// Tells whether another provider may do better. One that does not know the model, or has no key
    /// for it, is no reason to give up; a request that is wrong is, and so is a caller who has. One
    /// that has used up the time of its own call leaves what a chain has left to the next.
    #[must_use]
    pub const fn may_fall_back(&self) -> bool {
        !matches!(self.class, Class::Invalid | Class::Cancelled)
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
        // What others say may be a sentence, which goes on here.
        f.write_str(self.message.strip_suffix('.').unwrap_or(&self.message))?;
        match (self.status, &self.code) {
            (Some(status), Some(code)) => write!(f, " (status {status}, {code})")?,
            (Some(status), None) => write!(f, " (status {status})")?,
            (None, Some(code)) => write!(f, " ({code})")?,
            (None, None) => {}
        }
        if let Some(wait) = self.retry_after {
            write!(f, "; the provider asks to wait {:?}", text::told(wait))?;
        }
        match self.class.advice() {
            "" => Ok(()),
            advice => write!(f, ". {advice}"),
        }
    }
}

impl Error for Failure {}

impl Class {
    /// Returns its name in snake case, for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::QuotaExhausted => "quota_exhausted",
            Self::Server => "server",
            Self::Timeout(Timer::Acquire) => "timeout_acquire",
            Self::Timeout(Timer::Headers) => "timeout_headers",
            Self::Timeout(Timer::FirstContent) => "timeout_first_content",
            Self::Timeout(Timer::BetweenContent) => "timeout_between_content",
            Self::Timeout(Timer::Total) => "timeout_total",
            Self::Network => "network",
            Self::Unauthorised => "unauthorised",
            Self::NotFound => "not_found",
            Self::Invalid => "invalid",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
        }
    }

    /// What to do about it, where that is known.
    const fn advice(self) -> &'static str {
        match self {
            Self::QuotaExhausted => "No retry helps: see the account's plan and billing.",
            Self::Unauthorised => "Check the key, and what it is allowed to do.",
            Self::NotFound => "Check the name of the model and the base URL.",
            Self::Network => "Check that the provider runs and that its base URL is right.",
            Self::Malformed => "Check that the base URL is that of the API.",
            Self::TooLarge => "Raise the bound if such an answer is wanted.",
            _ => "",
        }
    }

    /// Sorts a status that is no success; the provider's `code` says which 429 is final.
    #[must_use]
    pub fn of_status(status: u16, code: Option<&str>) -> Self {
        let spent = code.is_some_and(is_quota);
        match status {
            402 => Self::QuotaExhausted,
            429 if spent => Self::QuotaExhausted,
            429 => Self::RateLimited,
            401 | 403 => Self::Unauthorised,
            404 => Self::NotFound,
            400 if code.is_some_and(lacks_model) => Self::NotFound,
            503 | 529 => Self::Overloaded,
            408 | 409 | 425 | 500.. => Self::Server,
            400.. => Self::Invalid,
            // What is no error and no answer either: a redirect, which is not followed.
            _ => Self::Malformed,
        }
    }

    /// Sorts an error that came within a stream, whose status says nothing.
    fn of_code(code: &str) -> Self {
        if is_quota(code) {
            return Self::QuotaExhausted;
        }
        if let Ok(status) = code.parse::<u16>() {
            return if status >= 400 { Self::of_status(status, None) } else { Self::Server };
        }
        match code {
            "overloaded_error" | "overloaded" | "unavailable" => Self::Overloaded,
            "rate_limit_error" | "rate_limit_exceeded" | "tokens" | "requests" => Self::RateLimited,
            "authentication_error" | "permission_error" | "invalid_api_key" => Self::Unauthorised,
            "not_found_error" | "model_not_found" => Self::NotFound,
            "invalid_request_error"
            | "invalid_prompt"
            | "request_too_large"
            | "context_length_exceeded"
            | "content_filter" => Self::Invalid,
            _ => Self::Server,
        }
    }
}

/// The codes and types of errors that say that what was paid for is used up, by the documents of
/// OpenAI ("Error codes") and Anthropic ("Errors").
fn is_quota(code: &str) -> bool {
    matches!(
        code,
        "insufficient_quota"
            | "billing_hard_limit_reached"
            | "enforced_spend_limit_reached"
            | "billing_error"
            | "billing_not_active"
    )
}

/// The codes and types of errors that say that a model does not exist, or not any more: OpenAI's,
/// Mistral's and Groq's ("Model deprecation").
fn lacks_model(code: &str) -> bool {
    matches!(code, "model_not_found" | "invalid_model" | "model_decommissioned")
}

/// The most bytes of a code.
const MAX_CODE: usize = 128;

/// The most bytes of an error's body that are looked at.
pub const MAX_ERROR_BODY: usize = 65_536;

impl Failure {
    /// Reads an answer that is no success. Of the body, [`MAX_ERROR_BODY`] bytes are enough. `wall`
    /// is the time since 1970; `keys` are those that must not be shown.
    #[must_use]
    pub fn of_answer(
        status: u16,
        headers: &Headers<'_>,
        body: &[u8],
        wall: Duration,
        keys: &[Secret],
    ) -> Self {
        let body = &body[..body.len().min(MAX_ERROR_BODY)];
        let said = parse(body).map_or_else(Said::default, |value| Said::of(&value));
        let message = said.message.clone().unwrap_or_else(|| unsaid(status, headers, body));
        let class = match said.quota() {
            true if status == 429 => Class::QuotaExhausted,
            _ if status == 400 && said.lacks_model() => Class::NotFound,
            _ => Class::of_status(status, said.code()),
        };
        Self {
            status: Some(status),
            retry_after: headers::retry_after(headers, wall),
            should_retry: headers::should_retry(headers),
            ..said.failure(class, &message, keys)
        }
    }

    /// Reads an error that came within a stream, after a status of success.
    #[must_use]
    pub fn of_error(value: &Value, keys: &[Secret]) -> Self {
        let said = Said::of(value);
        let class = match said.quota() {
            true => Class::QuotaExhausted,
            false => said
                .code
                .iter()
                .chain(&said.kind)
                .map(|code| Class::of_code(code))
                .find(|class| *class != Class::Server)
                .unwrap_or(Class::Server),
        };
        let message = said.message.clone();
        let message = message.unwrap_or_else(|| "the stream ended with an error".to_owned());
        said.failure(class, &message, keys)
    }

    /// Makes the failure of an answer that is not what its protocol says.
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::new(Class::Malformed, what)
    }
}

/// What the body of an error says, in whichever envelope.
#[derive(Default)]
struct Said {
    message: Option<String>,
    code: Option<String>,
    kind: Option<String>,
}

impl Said {
    /// Reads `{error:{message,type,code}}` (OpenAI; a code may be a number), `{type,error:{…}}`
    /// (Anthropic), `{error:"…"}` (Ollama), `{message,type,code}` (vLLM, Mistral, and events of
    /// Responses) `{detail}` (FastAPI).
    fn of(value: &Value) -> Self {
        // Google's servers put it into a list.
        let value = if value.is_array() { &value[0] } else { value };
        let inner = match &value["error"] {
            Value::String(text) => {
                return Self { message: Some(text.clone()), ..Self::default() };
            }
            error @ Value::Object(_) => error,
            _ => value,
        };
        let message = text_of(&inner["message"]).or_else(|| match &inner["detail"] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            detail => text_of(&detail[0]["msg"]).or_else(|| text_of(&detail["message"])),
        });
        let kind = text_of(&inner["type"]).filter(|kind| kind != "error");
        Self { message, code: text_of(&inner["code"]), kind }
    }

    /// The code, or the type where there is none.
    fn code(&self) -> Option<&str> {
        self.code.as_deref().or(self.kind.as_deref())
    }

    fn quota(&self) -> bool {
        self.code.iter().chain(&self.kind).any(|code| is_quota(code))
    }

    /// Looks at both: Mistral's code is a number, and its type says what it is.
    fn lacks_model(&self) -> bool {
        self.code.iter().chain(&self.kind).any(|code| lacks_model(code))
    }

    fn failure(&self, class: Class, message: &str, keys: &[Secret]) -> Failure {
        // Cut afterwards: half of a key would not be found.
        let cut = |code: &str| {
            let mut code = redact(code, keys);
            code.truncate(text::boundary(&code, MAX_CODE));
            code
        };
        Failure { code: self.code().map(cut), ..Failure::new(class, redact(message, keys)) }
    }
}

/// Returns a text that is not empty, or a number as one.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(_) => Some(write(value)),
        _ => None,
    }
}

/// Describes an answer that says nothing in JSON.
fn unsaid(status: u16, headers: &Headers<'_>, body: &[u8]) -> String {
    if (300..400).contains(&status) {
        return "the provider redirects, which is not followed as a key must not leave it".into();
    }
    let kind = headers.text("content-type").unwrap_or("no content type");
    let kind = &kind[..text::boundary(kind, 64)];
    let shown = String::from_utf8_lossy(&body[..body.len().min(4 * MAX_MESSAGE)]);
    let shown = shown.trim();
    if shown.is_empty() || shown.starts_with('<') {
        return format!("the provider answered without a reason in JSON ({kind})");
    }
    format!("the provider answered: {shown}")
}
