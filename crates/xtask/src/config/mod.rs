//! The gateway's configuration: the command line over a TOML file, checked, and made into the JSON
//! that the runtime gets in its environment.
//!
//! Keys are kept apart from the JSON: they go to the runtime in variables of their own, and are
//! neither printed nor written anywhere.

pub(crate) mod file;
mod options;
pub(crate) mod provider;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, bail};
use edgepool_llm::dialect::{Dialect, Flavour};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::{ServeArgs, SimArgs};
use crate::config::file::{FileConfig, Host, ProviderTable};
use crate::config::options::Options;
use crate::config::provider::{Name, ProviderArg};
use crate::runtime::{Runtime, Scope};

/// The name of the embedded simulator's provider.
pub(crate) const SIMULATOR: &str = "sim";

const DEFAULT_PORT: u16 = 8787;
const DEFAULT_SIM_MAX: u16 = 4;

/// Reads a variable of the environment; tests put their own in its place.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Everything that `cargo xtask serve` was told, checked.
#[derive(Debug)]
pub(crate) struct Serve {
    pub(crate) runtime: Runtime,
    pub(crate) port: u16,
    pub(crate) bind: IpAddr,
    pub(crate) gateway: Gateway,
    /// The keys of providers, by the variable that hands each to the runtime.
    pub(crate) keys: Keys,
    /// The embedded simulator, when it is to run.
    pub(crate) simulator: Option<SimArgs>,
}

/// Secrets by the name of their variable. They have no readable `Debug`.
#[derive(Clone, Default)]
pub(crate) struct Keys(pub(crate) BTreeMap<String, String>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What the gateway is told through `EDGEPOOL_CONFIG`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Gateway {
    pub(crate) scope: Scope,
    pub(crate) providers: BTreeMap<Name, Provider>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts: Option<Vec<Host>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_ttl: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat: Option<u32>,
}

/// One provider as the gateway knows it. Durations are in milliseconds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Provider {
    #[serde(flatten)]
    options: Options,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    simulator: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_env: Option<String>,
}

/// The values of headers may be keys.
impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.options.keys()).finish()
    }
}

impl Provider {
    /// The path below the provider's name that a client's base URL ends with.
    pub(crate) fn client_path(&self) -> &'static str {
        let flavour = self.options.get("kind").and_then(Value::as_str).and_then(Flavour::named);
        match flavour {
            Some(Flavour { quirks, .. }) if quirks.deployments => "",
            Some(Flavour { dialect: Dialect::OpenAi | Dialect::OpenAiResponses, .. }) => "/v1",
            _ => "",
        }
    }

    /// Lists its addresses.
    pub(crate) fn addresses(&self) -> String {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let endpoints = self.options.get("endpoints").and_then(Value::as_array);
        let Some(endpoints) = endpoints else {
            let usual = || self.options.get("kind").and_then(Value::as_str);
            let usual = || usual().and_then(Flavour::named).and_then(|flavour| flavour.base_url);
            return match self.options.get("baseURL") {
                Some(url) => text(url),
                None => usual().unwrap_or_default().to_owned(),
            };
        };
        let url = |endpoint: &Value| text(endpoint.get("baseURL").unwrap_or(endpoint));
        endpoints.iter().map(url).collect::<Vec<_>>().join(", ")
    }
}

impl Serve {
    /// Reads the file that the command line names, and puts both together.
    pub(crate) fn load(args: ServeArgs) -> anyhow::Result<Self> {
        let file = match &args.config {
            Some(path) => FileConfig::read(path)?,
            None => FileConfig::default(),
        };
        Self::assemble(args, file, &|name| std::env::var(name).ok())
    }

    fn assemble(args: ServeArgs, file: FileConfig, env: Env<'_>) -> anyhow::Result<Self> {
        let defaults = options::of_all("pool", &file.pool.options)?;
        let (named, keys) = (BTreeMap::new(), Keys::default());
        let mut providers = Providers { env, defaults, named, keys };
        for (name, table) in file.providers.unwrap_or_default() {
            providers.add_table(name, table)?;
        }
        for arg in args.providers {
            // Parsed here, as clap shows what it refuses, and a key may stand in it by mistake.
            providers.add_arg(arg.parse().context("--provider")?)?;
        }
        let alone = providers.named.is_empty();
        let simulator = simulator_settings(args.sim, file.simulator, alone)?;
        if let Some(settings) = &simulator {
            let simulated = simulator_provider(settings, &providers.defaults);
            providers.insert(simulator_name(), simulated)?;
        }
        let gateway = file.gateway;
        let runtime = args.runtime.or(gateway.runtime).unwrap_or(Runtime::Workerd);
        let scope = args.scope.or(gateway.scope).unwrap_or_default();
        if scope == Scope::Object && runtime != Runtime::Workerd {
            bail!("scope object needs a Durable Object, which {} has not", runtime.name());
        }
        Ok(Self {
            runtime,
            port: args.port.or(gateway.port).unwrap_or(DEFAULT_PORT),
            bind: args.bind.or(gateway.bind).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            gateway: Gateway {
                scope,
                providers: providers.named,
                hosts: gateway.hosts,
                lease_ttl: file.pool.lease_ttl_ms.map(|ms| ms.0),
                heartbeat: file.pool.heartbeat_ms.map(|ms| ms.0),
            },
            keys: providers.keys,
            simulator,
        })
    }

    /// Tells the gateway where the embedded simulator listens.
    pub(crate) fn set_simulator_url(&mut self, url: &str) {
        if let Some(provider) = self.gateway.providers.get_mut(&simulator_name()) {
            provider.options.insert("baseURL".into(), url.into());
        }
    }
}

/// The providers named so far, and their keys.
struct Providers<'a> {
    env: Env<'a>,
    defaults: Options,
    named: BTreeMap<Name, Provider>,
    keys: Keys,
}

impl Providers<'_> {
    fn add_table(&mut self, name: Name, table: ProviderTable) -> anyhow::Result<()> {
        let place = format!("providers.{name}");
        let key = match (table.key, table.key_env) {
            (Some(_), Some(_)) => bail!("{place}: give `key` or `key_env`, not both"),
            (Some(key), None) => Some(key.0),
            (None, Some(source)) => match (self.env)(&source) {
                Some(key) => Some(key),
                None => bail!("{place}.key_env: the variable {} is not set", variable(&source)),
            },
            (None, None) => self.own_key(&name),
        };
        let options = options::read(&place, &table.options)?;
        self.add(&place, name, options, key)
    }

    fn add_arg(&mut self, arg: ProviderArg) -> anyhow::Result<()> {
        let ProviderArg { name, kind, url, max } = arg;
        let mut options = Options::new();
        options.insert("kind".into(), kind.0.into());
        options.insert("baseURL".into(), url.into());
        if let Some(max) = max {
            options.insert("max".into(), max.0.into());
        }
        let key = self.own_key(&name);
        self.add(&format!("--provider {name}"), name, options, key)
    }

    /// Adds what is told at `place`, after a check.
    fn add(
        &mut self,
        place: &str,
        name: Name,
        options: Options,
        key: Option<String>,
    ) -> anyhow::Result<()> {
        let key_env = self.hand_on(&name, key.as_deref())?;
        let options = options::under(options, &self.defaults);
        options::check(place, name.as_str(), &options, key.as_deref())?;
        self.insert(name, Provider { options, simulator: false, key_env })
    }

    /// The variable of a provider's own name holds its key, unless it is empty.
    fn own_key(&self, name: &Name) -> Option<String> {
        (self.env)(&name.key_variable()).filter(|key| !key.is_empty())
    }

    /// Keeps a key for the runtime, and returns the name of the variable that hands it on.
    fn hand_on(&mut self, name: &Name, key: Option<&str>) -> anyhow::Result<Option<String>> {
        let Some(key) = key else { return Ok(None) };
        if key.is_empty() || key.chars().any(char::is_control) {
            bail!("the key of provider {name} is empty, or has control characters in it");
        }
        let variable = name.key_variable();
        let shared = |other: &&Name| *other != name && other.key_variable() == variable;
        if let Some(other) = self.named.keys().find(shared) {
            bail!("providers {other} and {name} share the variable {variable}: rename one");
        }
        self.keys.0.insert(variable.clone(), key.to_owned());
        Ok(Some(variable))
    }

    fn insert(&mut self, name: Name, provider: Provider) -> anyhow::Result<()> {
        if self.named.contains_key(&name) {
            let hint = match name.as_str() {
                SIMULATOR => " (it is the name of the embedded simulator)",
                _ => "",
            };
            bail!("provider {name} is named twice{hint}: each needs a name of its own");
        }
        self.named.insert(name, provider);
        Ok(())
    }
}

/// Shows the name of a variable, unless it looks as if it were the key itself.
fn variable(name: &str) -> &str {
    let is_of_name = |byte: u8| byte == b'_' || byte.is_ascii_uppercase() || byte.is_ascii_digit();
    if name.bytes().all(is_of_name) { name } else { "that it names" }
}

/// The simulator runs when no provider is named, and when anything is said about it.
fn simulator_settings(
    args: SimArgs,
    file: Option<SimArgs>,
    alone: bool,
) -> anyhow::Result<Option<SimArgs>> {
    let wanted = alone || file.is_some() || args != SimArgs::default();
    let settings = args.or(file.unwrap_or_default());
    settings.check()?;
    Ok(wanted.then_some(settings))
}

fn simulator_name() -> Name {
    SIMULATOR.parse().expect("a valid name")
}

/// The pool's limit is the simulator's own: it then never has cause to refuse. Its address is known
/// when it runs.
fn simulator_provider(settings: &SimArgs, defaults: &Options) -> Provider {
    let max = settings.max.unwrap_or(DEFAULT_SIM_MAX);
    let options = [("kind", json!("openai")), ("max", json!(max)), ("baseURL", json!(""))];
    let options = options.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    let options = options::under(options, defaults);
    Provider { options, simulator: true, key_env: None }
}

#[cfg(test)]
mod tests;
