//! Keys that are sent and never shown.

use core::fmt;

/// A key. It is sent, and never shown: `Debug` and `Display` write `[redacted]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Keeps a key.
    #[must_use]
    pub fn new(key: impl Into<Box<str>>) -> Self {
        Self(key.into())
    }

    /// Returns the key itself, to be sent.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// What stands where a key was.
const REDACTED: &str = "[redacted]";

/// What keys of known providers begin with; the rest of the word is taken for one.
const MARKS: [&str; 8] = ["sk-", "sk_", "gsk_", "csk-", "xai-", "AIza", "Bearer ", "bearer "];

/// The shortest rest of a word that is taken for a key.
const SHORTEST: usize = 6;

/// Returns a text without the keys given, and without whatever looks like one: providers repeat a
/// wrong key in what they answer.
#[must_use]
pub fn redact<'a>(text: &str, keys: impl IntoIterator<Item = &'a Secret>) -> String {
    let mut text = without_keys(text, keys);
    for mark in MARKS {
        text = without_words(&text, mark);
    }
    text
}

/// Replaces keys, the longest first. What stands for one is not looked at again, so that short ones
/// do not make a text longer and longer.
fn without_keys<'a>(text: &str, keys: impl IntoIterator<Item = &'a Secret>) -> String {
    // There are few, and a sort is large.
    let mut ordered: Vec<&str> = Vec::new();
    for key in keys.into_iter().map(Secret::expose).filter(|key| !key.is_empty()) {
        let at = ordered.partition_point(|before| before.len() >= key.len());
        ordered.insert(at, key);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match ordered.iter().find(|key| rest.starts_with(**key)) {
            Some(key) => {
                clean.push_str(REDACTED);
                key.len()
            }
            None => {
                clean.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    clean
}

/// Replaces what follows a mark at the beginning of a word.
fn without_words(text: &str, mark: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(mark) {
        let begins = !rest[..at].ends_with(is_of_key);
        let (before, from) = rest.split_at(at + mark.len());
        let end = from.find(|c| !is_of_key(c)).unwrap_or(from.len());
        if begins && end >= SHORTEST {
            clean.push_str(&before[..at]);
            clean.push_str(REDACTED);
        } else {
            clean.push_str(before);
            clean.push_str(&from[..end]);
        }
        rest = &from[end..];
    }
    clean.push_str(rest);
    clean
}

fn is_of_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*' | '+' | '/' | '=')
}
