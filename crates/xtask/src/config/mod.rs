//! The gateway's configuration: the command line over a TOML file, checked, and made into the JSON
//! that the runtime gets in its environment.
//!
//! Keys are kept apart from the JSON: they go to the runtime in variables of their own, and are
//! neither printed nor written anywhere.

pub(crate) mod file;
pub(crate) mod provider;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, bail};
use serde::Serialize;

use crate::cli::{ServeArgs, SimArgs};
use crate::config::file::{FileConfig, Host, PoolOptions, ProviderTable};
use crate::config::provider::{Kind, Name, ProviderArg, base_url};
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
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Provider {
    kind: Kind,
    #[serde(rename = "baseURL")]
    pub(crate) base_url: String,
    max: u16,
    max_waiting: u16,
    acquire_timeout: u32,
    headers_timeout: u32,
    first_content_timeout: u32,
    stall_timeout: u32,
    pass_client_key: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    simulator: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_env: Option<String>,
}

impl Provider {
    fn new(kind: Kind, base_url: String, options: PoolOptions) -> Self {
        Self {
            kind,
            base_url,
            max: options.max.map_or(10, |max| max.0),
            max_waiting: options.max_waiting.map_or(1000, |waiting| waiting.0),
            acquire_timeout: options.acquire_timeout_ms.map_or(30_000, |ms| ms.0),
            headers_timeout: options.headers_timeout_ms.map_or(60_000, |ms| ms.0),
            first_content_timeout: options.first_content_timeout_ms.map_or(60_000, |ms| ms.0),
            stall_timeout: options.stall_timeout_ms.map_or(60_000, |ms| ms.0),
            pass_client_key: false,
            simulator: false,
            key_env: None,
        }
    }
}

impl Provider {
    /// The path below the provider's name that a client's base URL ends with.
    pub(crate) fn client_path(&self) -> &'static str {
        if self.kind == Kind::OpenAi { "/v1" } else { "" }
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
        let defaults = file.pool.options();
        let mut providers = Providers { env, named: BTreeMap::new(), keys: Keys::default() };
        for (name, table) in file.providers.unwrap_or_default() {
            providers.add_table(name, table, defaults)?;
        }
        for arg in args.providers {
            // Parsed here, as clap shows what it refuses, and a key may stand in it by mistake.
            providers.add_arg(arg.parse().context("--provider")?, defaults)?;
        }
        let alone = providers.named.is_empty();
        let simulator = simulator_settings(args.sim, file.simulator, alone)?;
        if let Some(settings) = &simulator {
            providers.insert(simulator_name(), simulator_provider(settings, defaults))?;
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
            url.clone_into(&mut provider.base_url);
        }
    }
}

/// The providers named so far, and their keys.
struct Providers<'a> {
    env: Env<'a>,
    named: BTreeMap<Name, Provider>,
    keys: Keys,
}

impl Providers<'_> {
    fn add_table(
        &mut self,
        name: Name,
        table: ProviderTable,
        defaults: PoolOptions,
    ) -> anyhow::Result<()> {
        let url = base_url(&table.url).with_context(|| format!("providers.{name}.url"))?;
        let mut provider = Provider::new(table.kind, url, table.options().or(defaults));
        provider.pass_client_key = table.pass_client_key;
        let key = match (table.key, table.key_env) {
            (Some(_), Some(_)) => bail!("providers.{name}: give `key` or `key_env`, not both"),
            (Some(key), None) => Some(key.0),
            (None, Some(source)) => match (self.env)(&source) {
                Some(key) => Some(key),
                None => bail!("providers.{name}.key_env: the variable {source} is not set"),
            },
            (None, None) => self.own_key(&name),
        };
        provider.key_env = self.hand_on(&name, key)?;
        self.insert(name, provider)
    }

    fn add_arg(&mut self, arg: ProviderArg, defaults: PoolOptions) -> anyhow::Result<()> {
        let ProviderArg { name, kind, url, max } = arg;
        let options = PoolOptions { max, ..PoolOptions::default() }.or(defaults);
        let mut provider = Provider::new(kind, url, options);
        let key = self.own_key(&name);
        provider.key_env = self.hand_on(&name, key)?;
        self.insert(name, provider)
    }

    /// The variable of a provider's own name holds its key, unless it is empty.
    fn own_key(&self, name: &Name) -> Option<String> {
        (self.env)(&name.key_variable()).filter(|key| !key.is_empty())
    }

    /// Keeps a key for the runtime, and returns the name of the variable that hands it on.
    fn hand_on(&mut self, name: &Name, key: Option<String>) -> anyhow::Result<Option<String>> {
        let Some(key) = key else { return Ok(None) };
        if key.is_empty() || key.chars().any(char::is_control) {
            bail!("the key of provider {name} is empty, or has control characters in it");
        }
        let variable = name.key_variable();
        let shared = |other: &&Name| *other != name && other.key_variable() == variable;
        if let Some(other) = self.named.keys().find(shared) {
            bail!("providers {other} and {name} share the variable {variable}: rename one");
        }
        self.keys.0.insert(variable.clone(), key);
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

/// The pool's limit is the simulator's own: it then never has cause to refuse.
fn simulator_provider(settings: &SimArgs, defaults: PoolOptions) -> Provider {
    let mut provider = Provider::new(Kind::OpenAi, String::new(), defaults);
    provider.max = settings.max.unwrap_or(DEFAULT_SIM_MAX);
    provider.simulator = true;
    provider
}

#[cfg(test)]
mod tests;
