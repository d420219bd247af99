use super::{Builder, OptionError, Provider};
use crate::dialect::{Dialect, FLAVOURS, Flavour};
use crate::secret::Secret;

/// Makes the provider of every kind whose key or address stands in the environment, named as its
/// kind. The variables are those of the official SDKs; `lookup` reads one, and empty ones count as
/// missing.
///
/// # Errors
///
/// Names the kind and the option of a variable that is wrong.
pub fn from_environment(
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Provider>, OptionError> {
    let read = |name: &str| lookup(name).map(|value| value.trim().to_owned());
    let read = |name: &str| read(name).filter(|value| !value.is_empty());
    let mut providers = Vec::new();
    for flavour in &FLAVOURS {
        // The kinds of one service share its variables, and the first of them is the one meant.
        let named = |known: &Provider| known.flavour.key_variables == flavour.key_variables;
        if !flavour.key_variables.is_empty() && providers.iter().any(named) {
            continue;
        }
        if let Some(builder) = from_variables(flavour, &read) {
            providers.push(builder.build()?);
        }
    }
    Ok(providers)
}

/// Reads what the environment says of a flavour; `None` if it names neither its key nor its
/// address, or an address is needed and missing.
fn from_variables(flavour: &Flavour, read: &impl Fn(&str) -> Option<String>) -> Option<Builder> {
    let key = flavour.key_variables.iter().find_map(|name| read(name));
    let base = flavour.base_variables.iter().find_map(|variable| {
        let value = read(variable.name)?;
        let value = if flavour.dialect == Dialect::Ollama { ollama_host(&value) } else { value };
        // What has it already is as other SDKs take it.
        let value = value.trim_end_matches('/');
        let path = value.split_once("://").map_or(value, |(_, rest)| rest);
        let has_it = path.ends_with(variable.suffix) || path.contains(&within(variable.suffix));
        let suffix = if has_it { "" } else { variable.suffix };
        Some(format!("{value}{suffix}"))
    });
    // Where no key is needed it is the address that says that there is one.
    let named = if flavour.needs_key { key.is_some() } else { base.is_some() };
    if !named || (base.is_none() && flavour.base_url.is_none()) {
        return None;
    }
    let mut builder = Provider::builder(flavour.name, flavour.name);
    if let Some(key) = key {
        builder = builder.key(Secret::new(key));
    }
    if let Some(base) = base {
        builder = builder.base_url(base);
    }
    if let Some(version) = flavour.version_variable.and_then(read) {
        builder = builder.api_version(version);
    }
    for (header, variable) in flavour.header_variables {
        if let Some(value) = read(variable) {
            builder = builder.header(*header, Secret::new(value));
        }
    }
    Some(builder)
}

/// Returns what a path has that goes on below a suffix.
fn within(suffix: &str) -> String {
    format!("{suffix}/")
}

/// Reads what Ollama takes for its address, as its own client does: a scheme and a port may be
/// missing (then `http` and 11434; with a scheme its own port), and the address to listen on at all
/// interfaces is reached by loopback.
fn ollama_host(value: &str) -> String {
    let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let bracket = authority.rfind(']').map_or(0, |at| at + 1);
    let colon = authority[bracket..].find(':').map(|at| at + bracket);
    let (host, port) = authority.split_at(colon.unwrap_or(authority.len()));
    let host = match host {
        "" | "0.0.0.0" => "127.0.0.1",
        "[::]" => "[::1]",
        host => host,
    };
    let port = match port {
        "" if !value.contains("://") => ":11434",
        port => port,
    };
    format!("{scheme}://{host}{port}{path}")
}
