//! Which providers are the same service, and may share a pool.

use core::fmt;

use sha2::{Digest, Sha256};

use crate::secret::Secret;
use crate::url::BaseUrl;

/// What tells keys apart without telling them: the beginning of a SHA-256 of the key, after a text
/// that no other use of SHA-256 begins with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 8]);

const CONTEXT: &[u8] = b"edgepool credential 1\0";

impl Fingerprint {
    /// Computes the fingerprint of a key.
    #[must_use]
    pub fn of(key: &Secret) -> Self {
        let hash = Sha256::new_with_prefix(CONTEXT).chain_update(key.expose()).finalize();
        let mut short = [0; 8];
        short.copy_from_slice(&hash[..8]);
        Self(short)
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
    pub fn new(
        service: &'static str,
        bases: impl IntoIterator<Item = BaseUrl>,
        key: Option<&Secret>,
    ) -> Self {
        let mut bases: Vec<_> = bases.into_iter().collect();
        bases.sort();
        bases.dedup();
        Self { service, bases, credential: key.map(Fingerprint::of) }
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
        let base = |text: &&str| BaseUrl::parse(text).unwrap();
        let (one, two) = (Secret::new("sk-one"), Secret::new("sk-two"));
        let of = |bases: &[&str], key| Identity::new("openai", bases.iter().map(base), key);
        let first = of(&["https://e.com/v1", "https://f.com"], Some(&one));
        assert_eq!(first, of(&["https://F.com:443/", "https://e.com/v1/"], Some(&one)));
        assert_ne!(first, of(&["https://e.com/v1", "https://f.com"], Some(&two)));
        assert_ne!(first, of(&["https://e.com/v1", "https://f.com"], None));
        assert_ne!(first, of(&["https://e.com/v1"], Some(&one)));
        assert!(!format!("{first} {first:?}").contains("sk-one"));
    }

    #[test]
    fn a_fingerprint_is_of_the_key_after_its_context() {
        // `printf 'edgepool credential 1\0sk-one' | sha256sum`
        assert_eq!(Fingerprint::of(&Secret::new("sk-one")).to_string(), "b4e192368a33887d");
    }
}
