//! Names of tenants.

use std::borrow::Borrow;
use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The most bytes that an id has: as many as PostgreSQL keeps of a name.
pub(super) const MAX_LEN: usize = 63;
/// How much of a bad id an error shows.
const SHOWN: usize = 32;

/// The name of a tenant: 1 to 63 ASCII letters, digits, `_`, `-` and `.`, a letter or a digit first.
///
/// Nothing in it needs a quote, in no shell, query or path, and no two that look alike differ but in
/// letters and digits that do. Upper and lower case are different. Clones share the text.
///
/// # Examples
///
/// ```
/// use edgepool::tenants::TenantId;
///
/// let acme = TenantId::new("acme")?;
/// assert_eq!(acme.as_str(), "acme");
///
/// let error = TenantId::new("acme'; drop table x").unwrap_err();
/// assert!(error.to_string().contains("byte 4"), "{error}");
/// # Ok::<_, edgepool::tenants::TenantIdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// Takes a name as the id of a tenant.
    ///
    /// # Errors
    ///
    /// It is empty, too long, or has another character than those that an id may have.
    pub fn new(name: &str) -> Result<Self, TenantIdError> {
        check(name)?;
        Ok(Self(Arc::from(name)))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Tells whether a name may be an id. Bytes are enough: none of a longer character is ASCII.
pub(super) fn check(name: &str) -> Result<(), TenantIdError> {
    if name.is_empty() {
        return Err(TenantIdError::Empty);
    }
    if name.len() > MAX_LEN {
        return Err(TenantIdError::TooLong { bytes: name.len(), begins: shown(name) });
    }
    let fits = |at: usize, byte: u8| match byte {
        b'_' | b'-' | b'.' => at > 0,
        byte => byte.is_ascii_alphanumeric(),
    };
    match name.char_indices().find(|&(at, _)| !fits(at, name.as_bytes()[at])) {
        None => Ok(()),
        Some((at, found)) => Err(TenantIdError::Character { at, found, begins: shown(name) }),
    }
}

/// The beginning of a name, as it may stand in a log.
fn shown(name: &str) -> String {
    let whole = name.chars().flat_map(char::escape_default);
    let mut shown: String = whole.clone().take(SHOWN).collect();
    if whole.count() > SHOWN {
        shown.push_str("...");
    }
    shown
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantId({})", self.0)
    }
}

impl Borrow<str> for TenantId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for TenantId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantId {
    type Err = TenantIdError;

    fn from_str(name: &str) -> Result<Self, TenantIdError> {
        Self::new(name)
    }
}

impl TryFrom<&str> for TenantId {
    type Error = TenantIdError;

    fn try_from(name: &str) -> Result<Self, TenantIdError> {
        Self::new(name)
    }
}

/// Why a name is not the id of a tenant. What it shows of the name is escaped, and short.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TenantIdError {
    /// It has no characters.
    Empty,
    /// It has more than 63 bytes.
    TooLong {
        /// How many it has.
        bytes: usize,
        /// How it begins.
        begins: String,
    },
    /// It has a character that no id has, or begins with a mark.
    Character {
        /// Where, counted in bytes from 0.
        at: usize,
        /// The character.
        found: char,
        /// How the name begins.
        begins: String,
    },
}

impl fmt::Display for TenantIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the tenant's id is empty; it must have 1 to {MAX_LEN} bytes"),
            Self::TooLong { bytes, begins } => write!(
                f,
                "the tenant's id \"{begins}\" has {bytes} bytes; it must have 1 to {MAX_LEN}"
            ),
            Self::Character { at, found, begins } => write!(
                f,
                "the tenant's id \"{begins}\" has '{}' at byte {at}; it must be of ASCII letters, \
                 digits, '_', '-' and '.', and begin with a letter or a digit",
                found.escape_default()
            ),
        }
    }
}

impl Error for TenantIdError {}
