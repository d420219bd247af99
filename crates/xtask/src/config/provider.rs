//! Providers: their names, kinds and addresses, and how the command line writes them.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, bail};
use edgepool_llm::dialect::Flavour;
use serde::Serialize;
use url::Url;

use crate::config::file::Max;
use crate::config::place::is_word;

/// Paths of the gateway itself, which no provider can have.
const RESERVED: [&str; 3] = ["healthz", "metrics", "stats"];

/// The name of a provider: `[a-z0-9][a-z0-9_-]{0,63}`, and no path of the gateway itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Name(String);

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The variable that holds the provider's key.
    pub(crate) fn key_variable(&self) -> String {
        format!("EDGEPOOL_KEY_{}", self.0.to_ascii_uppercase().replace('-', "_"))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let valid = name.len() <= 64
            && name.starts_with(word)
            && name.chars().all(|c| word(c) || c == '_' || c == '-');
        if !valid {
            bail!(
                "{} is no provider name: it is 1 to 64 of a-z, 0-9, `_` and `-`, and starts with \
                 a letter or digit",
                shown(name)
            );
        }
        if RESERVED.contains(&name) {
            let reserved = RESERVED.join(", ");
            bail!("the provider name {name} is reserved, as are all of: {reserved}");
        }
        Ok(Self(name.to_owned()))
    }
}

/// What a provider is: the name of one that is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind(pub(crate) &'static str);

impl FromStr for Kind {
    type Err = anyhow::Error;

    fn from_str(kind: &str) -> anyhow::Result<Self> {
        let Some(flavour) = Flavour::named(kind) else {
            bail!("{} is no kind of provider: it is one of {}", shown(kind), kinds().join(", "));
        };
        Ok(Self(flavour.name))
    }
}

/// Lists the kinds, those first that most providers are of.
pub(super) fn kinds() -> Vec<&'static str> {
    const USUAL: [&str; 4] = ["openai", "anthropic", "ollama", "http"];
    let others = Flavour::names().filter(|name| !USUAL.contains(name));
    USUAL.into_iter().chain(others).collect()
}

/// Quotes a refused text for an error, unless a part of an address may be in it that holds secrets.
pub(crate) fn shown(text: &str) -> String {
    if text.contains(['@', '?', '#']) {
        return "what is given (not shown, as a secret may be in it)".to_owned();
    }
    format!("{text:?}")
}

/// Quotes a refused address for an error, unless it may be a key at the wrong place.
fn shown_address(text: &str) -> String {
    let hidden = !text.contains("://") && !is_word(text);
    if hidden { "what is given (not shown, as it may be a key)".to_owned() } else { shown(text) }
}

/// Checks the address of a provider, and returns it without a trailing slash.
pub(crate) fn base_url(text: &str) -> anyhow::Result<String> {
    const WANTED: &str = "it is http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]";
    let url =
        Url::parse(text).with_context(|| format!("{} is no URL: {WANTED}", shown_address(text)))?;
    // First of all, and without the text: what stands there is a secret.
    if !url.username().is_empty() || url.password().is_some() {
        bail!("a provider's URL holds no user or password: give its key in the environment");
    }
    if url.query().is_some() || url.fragment().is_some() {
        bail!("a provider's URL holds no query or fragment: {WANTED}");
    }
    if !matches!(url.scheme(), "http" | "https") {
        bail!("{} is no address of a provider: {WANTED}", shown_address(text));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// A provider on the command line: `NAME=KIND,URL[,max=N]`.
#[derive(Clone, Debug)]
pub(crate) struct ProviderArg {
    pub(crate) name: Name,
    pub(crate) kind: Kind,
    pub(crate) url: String,
    pub(crate) max: Option<Max>,
}

impl FromStr for ProviderArg {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        const WANTED: &str = "a provider is NAME=KIND,URL[,max=N]";
        let (name, rest) = text.split_once('=').context(WANTED)?;
        let mut parts = rest.split(',');
        let (Some(kind), Some(url)) = (parts.next(), parts.next()) else { bail!(WANTED) };
        let mut max = None;
        for option in parts {
            match option.split_once('=') {
                Some(("max", value)) if max.is_none() => max = Some(value.parse()?),
                Some(("max", _)) => bail!("max is given twice"),
                // The value may be a key, and so may a word without a name.
                Some((name, _)) => {
                    bail!("{} is no option of a provider: it is max=N", shown(name))
                }
                None => bail!("an option of a provider is max=N, which all after its URL must be"),
            }
        }
        Ok(Self { name: name.parse()?, kind: kind.parse()?, url: base_url(url)?, max })
    }
}
