//! The gateway's configuration: the command line over a TOML file, checked, and made into the JSON
//! that the runtime gets in its environment.
//!
//! Keys are kept apart from the JSON: they go to the runtime in variables of their own, and are
//! neither printed nor written anywhere.

pub(crate) mod file;
mod options;
mod place;
pub(crate) mod provider;
mod routes;
pub(crate) mod tenants;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use anyhow::Context as _;
use edgepool_llm::dialect::{Dialect, Flavour};
use edgepool_llm::provider::Provider as Checked;
use serde::Serialize;
use serde_json::{Value, json};
use toml::Table;

use crate::cli::{ServeArgs, SimArgs};
use crate::config::file::{FileConfig, Host};
use crate::config::options::Options;
use crate::config::place::{Place, Wrong};
use crate::config::provider::{Name, ProviderArg};
use crate::config::routes::Route;
use crate::config::tenants::Tenants;
use crate::runtime::{Runtime, Scope};

/// The name of the embedded simulator's provider.
pub(crate) const SIMULATOR: &str = "sim";

const DEFAULT_PORT: u16 = 8787;
const DEFAULT_SIM_MAX: u16 = 4;

/// Reads a variable of the environment, which has a key and nothing else; tests put their own in its
/// place.
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
    /// The variables that keys were found in, which are for no process but this one.
    pub(crate) sources: BTreeSet<String>,
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
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) routes: BTreeMap<Name, Route>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tenants: Option<Tenants>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts: Option<Vec<Host>>,
    #[serde(flatten)]
    times: Times,
}

/// What holds for all pools, in milliseconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Times {
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_ttl: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat: Option<u32>,
}

impl Times {
    fn take(pool: &mut Table) -> Result<Self, Wrong> {
        let mut take = |name| options::take_millis(&Place::table(["pool"]), pool, name);
        Ok(Self { lease_ttl: take("lease_ttl_ms")?, heartbeat: take("heartbeat_ms")? })
    }
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
    /// The most requests at once, and the most that wait, said or not.
    #[serde(skip)]
    max: u32,
    #[serde(skip)]
    max_waiting: u32,
}

/// The values of headers may be keys.
impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.options.keys()).finish()
    }
}

impl Provider {
    fn new(options: Options, checked: &Checked) -> Self {
        let Checked { max, max_waiting, .. } = *checked;
        Self { options, simulator: false, key_env: None, max, max_waiting }
    }

    /// The path below the provider's name that a client's base URL ends with.
    pub(crate) fn client_path(&self) -> &'static str {
        match self.flavour() {
            Some(Flavour { quirks, .. }) if quirks.deployments => "",
            Some(Flavour { dialect: Dialect::OpenAi | Dialect::OpenAiResponses, .. }) => "/v1",
            _ => "",
        }
    }

    fn flavour(&self) -> Option<&'static Flavour> {
        self.options.get("kind").and_then(Value::as_str).and_then(Flavour::named)
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

    fn assemble(args: ServeArgs, mut file: FileConfig, env: Env<'_>) -> anyhow::Result<Self> {
        let sources = RefCell::new(BTreeSet::new());
        let env: Env<'_> = &|name| {
            let key = env(name)?;
            sources.borrow_mut().insert(name.to_owned());
            Some(key)
        };
        let times = Times::take(&mut file.pool).map_err(|wrong| file.error(&wrong))?;
        let providers = Providers::of_file(&file, env);
        let mut providers = providers.map_err(|wrong| file.error(&wrong))?;
        for arg in args.providers {
            // Parsed here, as clap shows what it refuses, and a key may stand in it by mistake.
            let arg: ProviderArg = arg.parse().context("--provider")?;
            let place = format!("--provider {}", arg.name);
            providers.add_arg(arg).map_err(|wrong| file.error(&wrong).context(place))?;
        }
        let alone = providers.named.is_empty();
        let simulator = simulator_settings(args.sim, &file, alone)?;
        if let Some(settings) = &simulator {
            let added = providers.add_simulator(settings);
            added.map_err(|wrong| file.error(&wrong))?;
        }
        let runtime = args.runtime.or(file.gateway.runtime).unwrap_or(Runtime::Workerd);
        let scope = scope(args.scope, runtime, &file)?;
        let hosts = file.hosts()?;
        let routes = routes::read(&file.routes, &providers.named);
        let routes = routes.map_err(|wrong| file.error(&wrong))?;
        let tenants = file.tenants.take().map(|table| {
            let (providers, keys) = (&providers.named, &providers.keys);
            tenants::read(table, &tenants::Beside { providers, routes: &routes, keys, env })
        });
        let tenants = tenants.transpose().map_err(|wrong| file.error(&wrong))?;
        let gateway = file.gateway;
        Ok(Self {
            runtime,
            port: args.port.or(gateway.port).unwrap_or(DEFAULT_PORT),
            bind: args.bind.or(gateway.bind).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            gateway: Gateway { scope, providers: providers.named, routes, tenants, hosts, times },
            keys: providers.keys,
            sources: sources.take(),
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

impl<'a> Providers<'a> {
    fn of_file(file: &FileConfig, env: Env<'a>) -> Result<Self, Wrong> {
        let defaults = options::of_all(&Place::table(["pool"]), &file.pool)?;
        let (named, keys) = (BTreeMap::new(), Keys::default());
        let mut providers = Self { env, defaults, named, keys };
        for (name, table) in file.providers.iter().flatten() {
            providers.add_table(name, table.clone())?;
        }
        Ok(providers)
    }

    fn add_table(&mut self, name: &str, mut table: Table) -> Result<(), Wrong> {
        let place = Place::table(["providers", name]);
        let name: Name = match name.parse() {
            Ok(name) => name,
            Err(error) => return Err(place.wrong(error.to_string())),
        };
        let (place_of_key, key) = self.key(&place, &name, &mut table)?;
        let key_env = self.hand_on(&place_of_key, &name, key.as_deref())?;
        let options = options::read(&place, &table)?;
        self.add(&place, name, options, key.as_deref(), key_env)
    }

    /// Takes the key out of a provider's table, or finds it in the environment; and says where it
    /// was told.
    fn key(
        &self,
        place: &Place,
        name: &Name,
        table: &mut Table,
    ) -> Result<(Place, Option<String>), Wrong> {
        let key = take_text(place, table, "key")?;
        match (key, take_text(place, table, "key_env")?) {
            (Some(_), Some(_)) => Err(place.clone().wrong("give `key` or `key_env`, not both")),
            (Some(key), None) => Ok((place.option("key"), Some(key))),
            (None, Some(source)) => {
                let place = place.option("key_env");
                let Some(key) = (self.env)(&source) else {
                    let message = format!("the variable {} is not set", variable(&source));
                    return Err(place.wrong(message));
                };
                Ok((place, Some(key)))
            }
            (None, None) => Ok((place.clone(), self.own_key(name))),
        }
    }

    fn add_arg(&mut self, arg: ProviderArg) -> Result<(), Wrong> {
        let ProviderArg { name, kind, url, max } = arg;
        let mut options = Options::new();
        options.insert("kind".into(), kind.0.into());
        options.insert("baseURL".into(), url.into());
        if let Some(max) = max {
            options.insert("max".into(), max.0.into());
        }
        let key = self.own_key(&name);
        let place = Place::default();
        let key_env = self.hand_on(&place, &name, key.as_deref())?;
        self.add(&place, name, options, key.as_deref(), key_env)
    }

    /// Adds what is told at `place`, after a check.
    fn add(
        &mut self,
        place: &Place,
        name: Name,
        options: Options,
        key: Option<&str>,
        key_env: Option<String>,
    ) -> Result<(), Wrong> {
        let options = options::under(options, &self.defaults);
        let checked = options::check(place, name.as_str(), &options, key)?;
        self.insert(place, name, Provider { key_env, ..Provider::new(options, &checked) })
    }

    fn add_simulator(&mut self, settings: &SimArgs) -> Result<(), Wrong> {
        let provider = simulator_provider(settings, &self.defaults)?;
        self.insert(&Place::table(["simulator"]), simulator_name(), provider)
    }

    /// The variable of a provider's own name holds its key, unless it is empty.
    fn own_key(&self, name: &Name) -> Option<String> {
        (self.env)(&name.key_variable()).filter(|key| !key.is_empty())
    }

    /// Keeps a key for the runtime, and returns the name of the variable that hands it on.
    fn hand_on(
        &mut self,
        place: &Place,
        name: &Name,
        key: Option<&str>,
    ) -> Result<Option<String>, Wrong> {
        let Some(key) = key else { return Ok(None) };
        let wrong = |message| Err(place.clone().wrong(message));
        if key.is_empty() || key.chars().any(char::is_control) {
            let what = "is empty, or has control characters in it";
            return wrong(format!("the key of provider {name} {what}"));
        }
        let variable = name.key_variable();
        let shared = |other: &&Name| *other != name && other.key_variable() == variable;
        if let Some(other) = self.named.keys().find(shared) {
            let what = format!("share the variable {variable}: rename one");
            return wrong(format!("providers {other} and {name} {what}"));
        }
        self.keys.0.insert(variable.clone(), key.to_owned());
        Ok(Some(variable))
    }

    fn insert(&mut self, place: &Place, name: Name, provider: Provider) -> Result<(), Wrong> {
        if self.named.contains_key(&name) {
            let hint = match name.as_str() {
                SIMULATOR => " (it is the name of the embedded simulator)",
                _ => "",
            };
            let what = "each needs a name of its own";
            let message = format!("provider {name} is named twice{hint}: {what}");
            return Err(place.clone().wrong(message));
        }
        self.named.insert(name, provider);
        Ok(())
    }
}

/// Takes a text out of a table, which no error shows.
fn take_text(place: &Place, table: &mut Table, name: &str) -> Result<Option<String>, Wrong> {
    match table.remove(name) {
        None => Ok(None),
        Some(toml::Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(place.option(name).wrong("takes a text")),
    }
}

/// Shows the name of a variable, unless it looks as if it were the key itself.
fn variable(name: &str) -> &str {
    let is_of_name = |byte: u8| byte == b'_' || byte.is_ascii_uppercase() || byte.is_ascii_digit();
    if name.bytes().all(is_of_name) { name } else { "that it names" }
}

/// Decides what a limit holds for; not every runtime has all.
fn scope(said: Option<Scope>, runtime: Runtime, file: &FileConfig) -> anyhow::Result<Scope> {
    let scope = said.or(file.gateway.scope).unwrap_or_default();
    if scope == Scope::Object && runtime != Runtime::Workerd {
        let name = runtime.name();
        let message = format!("scope object needs a Durable Object, which {name} has not");
        let place =
            if said.is_some() { Place::default() } else { Place::table(["gateway", "scope"]) };
        return Err(file.error(&place.wrong(message)));
    }
    Ok(scope)
}

/// The simulator runs when no provider is named, and when anything is said about it.
fn simulator_settings(
    args: SimArgs,
    file: &FileConfig,
    alone: bool,
) -> anyhow::Result<Option<SimArgs>> {
    let wanted = alone || file.simulator.is_some() || args != SimArgs::default();
    let of_file = file.simulator.clone().unwrap_or_default();
    if let Err(error) = of_file.check() {
        let message = error.to_string();
        let option = message.split_once("--sim-").map_or("", |(_, rest)| rest);
        let option = option.split([' ', '\'']).next().unwrap_or_default().replace('-', "_");
        return Err(file.error(&Place::table(["simulator"]).option(&option).wrong(message)));
    }
    let settings = args.or(of_file);
    settings.check()?;
    Ok(wanted.then_some(settings))
}

fn simulator_name() -> Name {
    SIMULATOR.parse().expect("a valid name")
}

/// The pool's limit is the simulator's own: it then never has cause to refuse. Its address is known
/// when it runs.
fn simulator_provider(settings: &SimArgs, defaults: &Options) -> Result<Provider, Wrong> {
    let max = settings.max.unwrap_or(DEFAULT_SIM_MAX);
    let url = "http://localhost";
    let options = [("kind", json!("openai")), ("max", json!(max)), ("baseURL", json!(url))];
    let options = options.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    let options = options::under(options, defaults);
    let place = Place::table(["providers", SIMULATOR]);
    let checked = options::check(&place, SIMULATOR, &options, None)?;
    Ok(Provider { simulator: true, ..Provider::new(options, &checked) })
}

#[cfg(test)]
mod tests;
