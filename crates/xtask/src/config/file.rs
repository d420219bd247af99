//! The configuration file.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::cli::SimArgs;
use crate::config::place::{Lines, Place, Wrong};
use crate::config::provider::shown;
use crate::config::routes::RouteTable;
use crate::runtime::{Runtime, Scope};

/// The whole file. Every table may be left out, but not all of them.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileConfig {
    #[serde(default)]
    pub(crate) gateway: GatewayTable,
    /// What holds for all pools, and for each provider that does not say otherwise.
    #[serde(default)]
    pub(crate) pool: Table,
    /// The providers by their names, which are not checked yet.
    pub(crate) providers: Option<BTreeMap<String, Table>>,
    /// Names under which one provider after the other is asked.
    #[serde(default)]
    pub(crate) routes: BTreeMap<String, RouteTable>,
    /// Whose requests they are, and what each may have.
    pub(crate) tenants: Option<Table>,
    pub(crate) simulator: Option<SimArgs>,
    #[serde(skip)]
    lines: Lines,
    #[serde(skip)]
    path: Option<PathBuf>,
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
    hosts: Option<Vec<String>>,
}

impl FileConfig {
    /// Reads a configuration file.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path);
        let text = text.with_context(|| named(path))?;
        let config: Self = text.parse().with_context(|| named(path))?;
        Ok(Self { path: Some(path.to_owned()), ..config })
    }

    /// Returns the host names that the gateway answers to.
    pub(crate) fn hosts(&self) -> anyhow::Result<Option<Vec<Host>>> {
        let place = Place::table(["gateway"]).option("hosts");
        let parse = |(index, text): (usize, &String)| {
            let host = text.parse::<Host>();
            host.map_err(|message| self.error(&place.item(index).wrong(message)))
        };
        let hosts = self.gateway.hosts.as_ref();
        hosts.map(|hosts| hosts.iter().enumerate().map(parse).collect()).transpose()
    }

    /// Says what is wrong; if that stands in the file, with its line and the name of the file.
    pub(crate) fn error(&self, wrong: &Wrong) -> anyhow::Error {
        let (line, text) = self.lines.told(wrong);
        let Some(line) = line else { return anyhow::Error::msg(text) };
        let error = anyhow::anyhow!("line {line}: {text}");
        match &self.path {
            Some(path) => error.context(named(path)),
            None => error,
        }
    }
}

fn named(path: &Path) -> String {
    format!("--config {}", path.display())
}

impl FromStr for FileConfig {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        const WANTED: &str = "name a provider, [providers.NAME] with `kind` and `url`, or leave \
                              the file out to run the provider simulator";
        let lines = Lines::of(text)?;
        if lines.is_empty() {
            bail!("the file is empty: {WANTED}");
        }
        let config = match toml::from_str::<Self>(text) {
            Ok(config) => Self { lines, ..config },
            Err(error) => {
                let wrong = lines.of_serde(&error);
                return Err(Self { lines, ..Self::default() }.error(&wrong));
            }
        };
        if config.providers.as_ref().is_some_and(BTreeMap::is_empty) {
            let message = format!("[providers] is empty: {WANTED}");
            return Err(config.error(&Place::table(["providers"]).wrong(message)));
        }
        Ok(config)
    }
}

/// The name or address that clients know the gateway by.
#[derive(Debug, Serialize)]
pub(crate) struct Host(String);

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = match text.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => text.to_owned(),
        };
        match url::Host::parse(&bare) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => {
                Err(format!("{} is no host: give a name without a scheme or port", shown(text)))
            }
        }
    }
}

/// How many requests a provider may have at once: 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Max(pub(crate) u16);

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
