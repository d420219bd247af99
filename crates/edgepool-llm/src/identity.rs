//! Which providers are the same service, and may share a pool.

use core::fmt;

use sha2::{Digest, Sha256};

use crate::secret::Secret;
use crate::url::BaseUrl;

/// What tells keys apart without telling them: the beginning of a SHA-256 of it, after a text
/// that no other use of SHA-256 begins with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 8]);

const CONTEXT: &[u8] = b"edgepool credential 1\0";

impl Fingerprint {
    /// Computes the fingerprint of what a provider is called with: its key, by the empty name, and
    /// headers of the caller's own by theirs, in any order. `None` of nothing.
    #[must_use]
    pub fn of<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a Secret)>) -> Option<Self> {
        // There are few, and a sort is large.
        let mut ordered: Vec<(&str, &Secret)> = Vec::new();
        for (name, value) in secrets {
            let at = ordered.partition_point(|(before, _)| *before <= name);
            ordered.insert(at, (name, value));
        }
        if ordered.is_empty() {
            return None;
        }
        let mut hash = Sha256::new_with_prefix(CONTEXT);
        for (name, value) in ordered {
            // No name and no value holds a line break.
            hash.update(name);
            hash.update("\n");
            hash.update(value.expose());
            hash.update("\n");
        }
        let mut short = [0; 8];
        short.copy_from_slice(&hash.finalize()[..8]);
        Some(Self(short))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a pool is shared by: providers with equal identities call the same service at the same
/// addresses with the same key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// What the service speaks, as the name of its kind.
    pub service: &'static str,
    /// The canonical base URLs, sorted.
    pub bases: Vec<BaseUrl>,
    /// The key's fingerprint, if there is a key.
    pub credential: Option<Fingerprint>,
}

impl Identity {
    /// Makes the identity of a service at its addresses.
    #[must_use]
    pub fn new<'a>(
        service: &'static str,
        bases: impl IntoIterator<Item = BaseUrl>,
        secrets: impl IntoIterator<Item = (&'a str, &'a Secret)>,
    ) -> Self {
        let mut ordered: Vec<BaseUrl> = Vec::new();
        for base in bases {
            let at = ordered.partition_point(|before| *before < base);
            if ordered.get(at) != Some(&base) {
                ordered.insert(at, base);
            }
        }
        Self { service, bases: ordered, credential: Fingerprint::of(secrets) }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.service)?;
        for base in &self.bases {
            write!(f, " {base}")?;
        }
        match self.credential {
            Some(credential) => write!(f, " key {credential}"),
            None => f.write_str(" no key"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fingerprint, Identity};
    use crate::{Secret, url::BaseUrl};

    #[test]
    fn identities_are_equal_for_what_is_the_same() {
        let (one, two) = (Secret::new("sk-one"), Secret::new("sk-two"));
        let of = |bases: &[&str], secrets: &[(&str, &Secret)]| {
            let bases = bases.iter().map(|text| BaseUrl::parse(text).unwrap());
            Identity::new("openai", bases, secrets.iter().copied())
        };
        let both = ["https://e.com/v1", "https://f.com"];
        let first = of(&both, &[("", &one)]);
        assert_eq!(first, of(&["https://F.com:443/", "https://e.com/v1/"], &[("", &one)]));
        assert_ne!(first, of(&both, &[("", &two)]));
        assert_ne!(first, of(&both, &[]));
        assert_ne!(first, of(&both, &[("", &one), ("openai-project", &two)]));
        assert_ne!(first, of(&both[..1], &[("", &one)]));
        let ordered = of(&both, &[("a", &one), ("b", &two)]);
        assert_eq!(ordered, of(&both, &[("b", &two), ("a", &one)]));
        assert_ne!(ordered, of(&both, &[("a", &two), ("b", &one)]));
        assert!(!format!("{first} {first:?}").contains("sk-one"));
    }

    #[test]
    fn a_fingerprint_is_of_the_key_after_its_context() {
        // `printf 'edgepool credential 1\0\nsk-one\n' | sha256sum`
        let fingerprint = Fingerprint::of([("", &Secret::new("sk-one"))]).unwrap();
        assert_eq!(fingerprint.to_string(), "0fc1b244c2a185af");
        assert_eq!(Fingerprint::of([]), None);
    }
}
