//! Whole answers: what a body that has ended says.

mod chat;
mod embeddings;
mod models;

pub use chat::chat;
pub(crate) use chat::{arguments, made_up, ollama_finish, responses_finish, usage};
pub use embeddings::{Embeddings, embeddings};
pub use models::models;

use core::time::Duration;

use serde_json::Value;

use crate::dialect::{Flavour, Probe};
use crate::failure::{Class, Failure};
use crate::headers::Headers;
use crate::json::parse;
use crate::secret::Secret;
use crate::text;

/// The most bytes of a whole answer, unless a bound is given: 64 MiB.
pub const MAX_ANSWER: usize = 64 << 20;

/// What came of an answer: its status, headers and whole body, with what is needed to read them.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: &'a Headers<'a>,
    /// The whole body.
    pub body: &'a [u8],
    /// The time since 1970, for headers with dates.
    pub wall: Duration,
    /// The keys that must not be shown.
    pub keys: &'a [Secret],
}

impl Received<'_> {
    /// Reads the JSON of an answer that is a success.
    ///
    /// # Errors
    ///
    /// The failure that a status of no success stands for; or that the body is not JSON.
    pub fn json(&self) -> Result<Value, Failure> {
        if !(200..300).contains(&self.status) {
            let Self { status, headers, body, wall, keys } = *self;
            return Err(Failure::of_answer(status, headers, body, wall, keys));
        }
        let value = parse(self.body).ok_or_else(|| self.no_json())?;
        // Some servers answer a success that holds an error.
        if !value["error"].is_null() {
            let status = Some(self.status);
            return Err(Failure { status, ..Failure::of_error(&value, self.keys) });
        }
        Ok(value)
    }

    fn no_json(&self) -> Failure {
        let kind = self.headers.text("content-type").unwrap_or("no content type");
        let kind = &kind[..text::boundary(kind, 64)];
        let bytes = self.body.len();
        let message = format!("the provider answered {bytes} bytes that are not JSON ({kind})");
        Failure { status: Some(self.status), ..Failure::malformed(message) }
    }
}

/// Tells whether an endpoint that answered a [`probe`](crate::request::probe) so is alive.
#[must_use]
pub const fn probe(flavour: &Flavour, status: u16) -> bool {
    match flavour.probe {
        // A service may refuse `HEAD`, and is alive all the same.
        Probe::Head => status < 500,
        Probe::Base(_) | Probe::Origin(_) => status >= 200 && status < 300,
    }
}

/// A body that is gathered up to a bound.
#[derive(Clone, Debug)]
pub struct Gather {
    bytes: Vec<u8>,
    max: usize,
}

impl Default for Gather {
    fn default() -> Self {
        Self::new(MAX_ANSWER)
    }
}

impl Gather {
    /// Begins a body of at most `max` bytes.
    #[must_use]
    pub const fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), max }
    }

    /// Refuses a body whose `content-length` is over the bound, before a byte of it is read.
    ///
    /// # Errors
    ///
    /// When it is.
    pub fn expect(&self, headers: &Headers<'_>) -> Result<(), Failure> {
        let length = headers.text("content-length").and_then(|text| text.parse::<u64>().ok());
        let over = length.is_some_and(|length| length > self.max as u64);
        if over { Err(self.too_large()) } else { Ok(()) }
    }

    /// Adds what came.
    ///
    /// # Errors
    ///
    /// When it is more than the bound; nothing is added then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if bytes.len() > self.max - self.bytes.len() {
            return Err(self.too_large());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Returns what came so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn too_large(&self) -> Failure {
        let text = format!("the answer is larger than the bound of {} bytes", self.max);
        Failure::new(Class::TooLarge, text)
    }
}

/// Returns a text that is there and not empty.
fn text_at(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
