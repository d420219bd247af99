//! The configuration file.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::cli::SimArgs;
use crate::config::provider::Name;
use crate::runtime::{Runtime, Scope};

/// The whole file. Every table may be left out, but not all of them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileConfig {
    #[serde(default)]
    pub(crate) gateway: GatewayTable,
    #[serde(default)]
    pub(crate) pool: PoolTable,
    pub(crate) providers: Option<BTreeMap<Name, ProviderTable>>,
    pub(crate) simulator: Option<SimArgs>,
}

/// `[gateway]`: what the command line overrides.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatewayTable {
    pub(crate) runtime: Option<Runtime>,
    pub(crate) scope: Option<Scope>,
    pub(crate) port: Option<u16>,
    pub(crate) bind: Option<IpAddr>,
    /// The host names that the gateway answers to, beside loopback and the address that it is on.
    pub(crate) hosts: Option<Vec<Host>>,
}

/// `[pool]`: what holds for all pools, and for each provider that does not say otherwise.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct PoolTable {
    pub(crate) lease_ttl_ms: Option<Millis>,
    pub(crate) heartbeat_ms: Option<Millis>,
    #[serde(flatten)]
    pub(crate) options: toml::Table,
}

/// `[providers.NAME]`
#[derive(Deserialize)]
pub(crate) struct ProviderTable {
    pub(crate) key: Option<Secret>,
    pub(crate) key_env: Option<String>,
    #[serde(flatten)]
    pub(crate) options: toml::Table,
}

/// A key may stand in it under a wrong name.
impl std::fmt::Debug for ProviderTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.options.keys()).finish()
    }
}

impl FileConfig {
    /// Reads a configuration file.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path);
        let text = text.with_context(|| format!("--config {}", path.display()))?;
        text.parse().with_context(|| format!("--config {}", path.display()))
    }
}

impl FromStr for FileConfig {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        const WANTED: &str = "name a provider, [providers.NAME] with `kind` and `url`, or leave \
                              the file out to run the provider simulator";
        let table: toml::Table = toml::from_str(text).map_err(|error| located(text, &error))?;
        if table.is_empty() {
            bail!("the file is empty: {WANTED}");
        }
        let config: Self = toml::from_str(text).map_err(|error| located(text, &error))?;
        if config.providers.as_ref().is_some_and(BTreeMap::is_empty) {
            bail!("[providers] is empty: {WANTED}");
        }
        Ok(config)
    }
}

/// Says what is wrong in which line, without the line itself: a key may stand in it.
fn located(text: &str, error: &toml::de::Error) -> anyhow::Error {
    let message = error.message().trim_end();
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => anyhow::anyhow!("line {}: {message}", before.lines().count().max(1)),
        None => anyhow::anyhow!("{message}"),
    }
}

/// A provider's key. It has no readable `Debug`, and no error shows it.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(key) => Ok(Self(key)),
            _ => Err(de::Error::custom("`key` is not a string")),
        }
    }
}

/// The name or address that clients know the gateway by.
#[derive(Debug, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub(crate) struct Host(String);

impl TryFrom<String> for Host {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bare = match text.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => text.clone(),
        };
        match url::Host::parse(&bare) {
            Ok(_) => Ok(Self(text)),
            Err(_) => Err(format!("{text:?} is no host: give a name without a scheme or port")),
        }
    }
}

/// How many requests a provider may have at once: 1 to 65535.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "i64")]
pub(crate) struct Max(pub(crate) u16);

/// A duration in milliseconds: 1 to 2147483647, as longer timers fire at once.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct Millis(pub(crate) u32);

impl TryFrom<i64> for Max {
    type Error = String;

    fn try_from(value: i64) -> Result<Self, String> {
        match u16::try_from(value) {
            Ok(max @ 1..) => Ok(Self(max)),
            _ => Err(format!("max is {value}, but it must be from 1 to 65535")),
        }
    }
}

impl FromStr for Max {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let number =
            text.parse::<i64>().map_err(|_| format!("max is {text:?}, which is no number"));
        number.and_then(Self::try_from).map_err(anyhow::Error::msg)
    }
}

impl TryFrom<i64> for Millis {
    type Error = String;

    fn try_from(value: i64) -> Result<Self, String> {
        match u32::try_from(value) {
            Ok(ms @ 1..=0x7fff_ffff) => Ok(Self(ms)),
            _ => Err(format!("{value} is no duration: it must be from 1 to 2147483647 (ms)")),
        }
    }
}
