//! The options of a provider as the configuration file writes them: in snake case, durations with
//! `_ms` behind them, and `"none"` for no limit.
//!
//! Which options there are and what they take is known by `edgepool_llm` alone. Here they are only
//! written in its way, and its errors in the file's.

use edgepool_llm::provider::{OptionError, Provider};
use serde_json::{Map, Value, json};
use toml::Table;

use crate::config::place::{Place, Wrong};
use crate::config::provider::base_url;

/// What is a duration, wherever it stands.
pub(super) const DURATIONS: [&str; 15] = [
    "acquireTimeout",
    "headersTimeout",
    "firstContentTimeout",
    "stallTimeout",
    "totalTimeout",
    "hedgeAfter",
    "alertAfter",
    "base",
    "longest",
    "slowStart",
    "window",
    "interval",
    "timeout",
    "hold",
    "retryAfterCap",
];

/// What takes a duration that a timer can have: longer ones fire at once.
const TIMERS: [&str; 4] =
    ["acquireTimeout", "headersTimeout", "firstContentTimeout", "stallTimeout"];

const LONGEST_TIMER_MS: i64 = 0x7fff_ffff;

/// What has a name of its own in the file.
const RENAMED: [(&str, &str); 3] =
    [("baseURL", "url"), ("apiKey", "key"), ("apiKeyEnv", "key_env")];

/// What takes words that are names in JSON.
const WORDS: [&str; 1] = ["balance"];

/// What can be switched off, beside durations.
const SWITCHES: [&str; 2] = ["consecutive", "share"];

/// Options that mean something for the clients' own calls alone: what passes through the gateway
/// has them in its bodies, and its refusals are always answers.
const OF_CLIENTS: [&str; 4] = ["embeddingModel", "dimensions", "parameters", "onRefusal"];

/// What each provider says for itself.
const OF_ONE: [&str; 8] =
    ["kind", "baseURL", "endpoints", "apiKey", "apiKeyEnv", "apiVersion", "headers", "model"];

/// Below the number of timers that workerd allows to a Worker.
pub(crate) const MOST_WAITING: u32 = 9_000;

/// The options of one provider, by the names that they have in JSON.
pub(crate) type Options = Map<String, Value>;

/// Reads what holds for every provider that does not say otherwise.
pub(crate) fn of_all(place: &Place, table: &Table) -> Result<Options, Wrong> {
    let options = read(place, table)?;
    if let Some(name) = OF_ONE.iter().find(|name| options.contains_key(**name)) {
        let place = place.option(&file_name(name));
        return Err(place.option_wrong("is said for each provider by itself"));
    }
    let any = json!({ "kind": "http", "baseURL": "http://localhost" });
    let any = any.as_object().expect("an object").clone();
    check(place, "all", &under(options.clone(), &any), None)?;
    Ok(options)
}

/// Takes a duration out of a table, in milliseconds.
pub(crate) fn take_millis(
    place: &Place,
    table: &mut Table,
    name: &str,
) -> Result<Option<u32>, Wrong> {
    let Some(value) = table.remove(name) else { return Ok(None) };
    let ms = millis(&value).and_then(|ms| u32::try_from(ms).ok());
    let taken = format!("takes 1 to {LONGEST_TIMER_MS}");
    ms.map(Some).ok_or_else(|| place.option(name).option_wrong(taken))
}

fn millis(value: &toml::Value) -> Option<i64> {
    value.as_integer().filter(|ms| (1..=LONGEST_TIMER_MS).contains(ms))
}

/// Fills what is missing from `defaults`, in objects within as well.
pub(crate) fn under(mut options: Options, defaults: &Options) -> Options {
    for (name, usual) in defaults {
        match (options.get_mut(name), usual) {
            (Some(Value::Object(own)), Value::Object(usual)) => {
                *own = under(std::mem::take(own), usual);
            }
            (Some(_), _) => {}
            (None, usual) => {
                options.insert(name.clone(), usual.clone());
            }
        }
    }
    options
}

/// Checks the options of a provider, which are told at `place`; `key` is what it is sent with.
/// Returns what they make.
pub(crate) fn check(
    place: &Place,
    name: &str,
    options: &Options,
    key: Option<&str>,
) -> Result<Provider, Wrong> {
    let wrong =
        |name: &str, message: String| Err(place.option(&file_name(name)).option_wrong(message));
    if let Some(name) = OF_CLIENTS.iter().find(|name| options.contains_key(**name)) {
        return wrong(name, "is no option of a gateway: a client says it itself".to_owned());
    }
    if options.get("maxWaiting").and_then(Value::as_u64).is_some_and(|it| it > MOST_WAITING.into())
    {
        return wrong("maxWaiting", format!("takes 0 to {MOST_WAITING}"));
    }
    let mut options = options.clone();
    match key {
        Some(key) => {
            options.insert("apiKey".into(), key.into());
        }
        // A gateway may hold no key and pass none on.
        None => match options.remove("passClientKey") {
            None | Some(Value::Bool(_)) => {}
            Some(_) => return wrong("passClientKey", "takes true or false".to_owned()),
        },
    }
    let checked = Provider::from_json(name, &Value::Object(options), &|_| None);
    checked.map_err(|error| said(place, &error))
}

/// Says an error about an option by the names of the file.
fn said(place: &Place, error: &OptionError) -> Wrong {
    let message = match error.message.split_once("; there are ") {
        Some((what, known)) => {
            let known = known.split(", ").filter(|name| !OF_CLIENTS.contains(name));
            format!(
                "{}; there are {}",
                in_file(what),
                known.map(file_name).collect::<Vec<_>>().join(", ")
            )
        }
        None => in_file(&error.message),
    };
    place.option(&path_in_file(&error.option)).option_wrong(message)
}

/// Writes the names of options in a text as the file does: those with a hump or a dot, which no
/// other word has.
fn in_file(text: &str) -> String {
    let is_name = |word: &str| {
        let inner = word.trim_end_matches('.');
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && inner.contains(|c: char| c == '.' || c.is_ascii_uppercase())
    };
    let of_word = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(of_word) {
        let (before, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c| !of_word(c)).unwrap_or(from.len()));
        out.push_str(before);
        match word {
            "null" => out.push_str("\"none\""),
            word if is_name(word) => out.push_str(&path_in_file(word)),
            word => out.push_str(word),
        }
        rest = after;
    }
    out + rest
}

fn path_in_file(path: &str) -> String {
    path.split('.').map(file_name).collect::<Vec<_>>().join(".")
}

/// Reads a table, which stands at `place`, as it is.
pub(crate) fn read(place: &Place, table: &Table) -> Result<Options, Wrong> {
    let read_one = |(written, value): (&String, &toml::Value)| {
        let place = place.step(written);
        let name = json_name(&place, written)?;
        let value = read_value(&place, &name, value)?;
        Ok((name, value))
    };
    table.iter().map(read_one).collect()
}

fn read_value(place: &Place, name: &str, value: &toml::Value) -> Result<Value, Wrong> {
    match (name, value) {
        // The names in it are the provider's.
        ("headers", value) => Ok(plain(value)),
        (_, toml::Value::Table(table)) => Ok(Value::Object(read(place, table)?)),
        ("baseURL", toml::Value::String(url)) => match base_url(url) {
            Ok(url) => Ok(url.into()),
            Err(error) => Err(place.clone().wrong(format!("{error:#}"))),
        },
        ("endpoints", toml::Value::Array(list)) => {
            let read_one = |(index, value): (usize, &toml::Value)| {
                let is_url = matches!(value, toml::Value::String(_));
                read_value(&place.item(index), if is_url { "baseURL" } else { "" }, value)
            };
            list.iter().enumerate().map(read_one).collect()
        }
        (name, toml::Value::String(word)) if WORDS.contains(&name) => Ok(camel(word).into()),
        (name, toml::Value::String(word)) if word == "none" && can_be_off(name) => Ok(Value::Null),
        (name, value) if TIMERS.contains(&name) => match millis(value) {
            Some(ms) => Ok(ms.into()),
            None => {
                let taken = format!("takes 1 to {LONGEST_TIMER_MS}, or \"none\" for no limit");
                Err(place.clone().option_wrong(taken))
            }
        },
        (_, value) => Ok(plain(value)),
    }
}

fn can_be_off(name: &str) -> bool {
    DURATIONS.contains(&name) || SWITCHES.contains(&name)
}

/// Writes a value as JSON. A date becomes what no option takes.
fn plain(value: &toml::Value) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// Returns the name that an option has in JSON; what is none keeps the name that it has, and is
/// refused later with the list of those that there are.
fn json_name(place: &Place, written: &str) -> Result<String, Wrong> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !written.chars().all(is_plain) {
        let message = "the name of an option has none but a-z, 0-9 and _, as max_waiting has";
        return Err(place.clone().wrong(message));
    }
    let renamed = RENAMED.iter().find(|(_, file)| *file == written);
    let name = match renamed {
        Some((json, _)) => (*json).to_owned(),
        None => camel(written.strip_suffix("_ms").unwrap_or(written)),
    };
    Ok(if file_name(&name) == written { name } else { written.to_owned() })
}

/// Returns the name that an option of JSON has in the file.
fn file_name(name: &str) -> String {
    if let Some((_, file)) = RENAMED.iter().find(|(json, _)| *json == name) {
        return (*file).to_owned();
    }
    let mut written = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            written.push('_');
        }
        written.push(c.to_ascii_lowercase());
    }
    if DURATIONS.contains(&name) { written + "_ms" } else { written }
}

fn camel(written: &str) -> String {
    let mut words = written.split('_');
    let mut name = words.next().unwrap_or_default().to_owned();
    for word in words {
        name.push_str(&word[..word.len().min(1)].to_ascii_uppercase());
        name.push_str(word.get(1..).unwrap_or_default());
    }
    name
}
