//! `[tenants]`: whose requests they are, and what each tenant may have of the providers.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Serialize;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use toml::{Table, Value};

use crate::config::options;
use crate::config::place::{Place, Wrong};
use crate::config::provider::Name;
use crate::config::routes::Route;
use crate::config::{Env, Keys, Provider, take_text, variable};

const OPTIONS: [&str; 6] = ["by", "unknown", "without", "default", "report", "named"];
const OF_SHARE: [&str; 3] = ["weight", "max", "max_waiting"];
const OF_NAMED: [&str; 5] = ["weight", "max", "max_waiting", "key_env", "key_sha256"];

/// As the pools have it.
const MAX_WEIGHT: u32 = 1_000_000;
/// Each is some series of a dozen families for each provider.
const MOST_REPORTED: u32 = 1_000;
const USUALLY_REPORTED: u32 = 10;
/// The digest of a short key tells the key to whoever tries them all.
const LEAST_KEY: usize = 16;
/// Whoever has less than its share of a full queue may wait all the same, in as long a one.
const MOST_WAITING: u32 = options::MOST_WAITING / 2;
/// Whose the requests are that tell no tenant, where they are passed on.
const NOBODY: &str = "nobody";
/// What a path begins with that names a tenant.
const PATH: &str = "t";

/// Headers that mean something else, to the gateway or to HTTP.
const TAKEN: [&str; 22] = [
    "accept-encoding",
    "api-key",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
    "x-goog-api-key",
    "sec-fetch-site",
];

/// What the gateway is told of tenants. Their keys are there by their digests alone.
#[derive(Debug, Serialize)]
pub(crate) struct Tenants {
    by: By,
    unknown: &'static str,
    without: &'static str,
    default: Share,
    report: u32,
    named: BTreeMap<String, Named>,
}

/// What tells whose a request is.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum By {
    /// A header of this name.
    Header(String),
    /// The key that the client sends.
    Key,
    /// The path, which begins with `/t/` and the tenant.
    Path,
}

/// What a tenant may have of each provider. None is no limit, which the gateway is told: what it is
/// not told of a tenant is as in the default there too.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Share {
    weight: u32,
    max: Option<u32>,
    max_waiting: Option<u32>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    #[serde(flatten)]
    share: Share,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_sha256: Option<String>,
}

impl Tenants {
    /// Returns what stands in a client's URL before the name of the provider.
    pub(crate) fn path(&self) -> &'static str {
        if self.by == By::Path { "t/TENANT/" } else { "" }
    }

    /// Tells whether nobody's requests are passed on but those of tenants that show a key.
    pub(crate) fn ask_for_a_key(&self) -> bool {
        self.by == By::Key && self.without == "refuse"
    }

    /// Says how tenants are known, and how many have a name here.
    pub(crate) fn summary(&self) -> String {
        let by = match &self.by {
            By::Header(name) => format!("header {name}"),
            By::Key => "key".to_owned(),
            By::Path => "path".to_owned(),
        };
        let others = if self.unknown == "create" { "created" } else { "refused" };
        format!("by {by} ({} named, others are {others})", self.named.len())
    }
}

/// What tenants are checked against.
pub(crate) struct Beside<'a> {
    pub(crate) providers: &'a BTreeMap<Name, Provider>,
    pub(crate) routes: &'a BTreeMap<Name, Route>,
    pub(crate) keys: &'a Keys,
    pub(crate) env: Env<'a>,
}

/// Reads the table.
pub(crate) fn read(mut table: Table, beside: &Beside<'_>) -> Result<Tenants, Wrong> {
    let place = Place::table(["tenants"]);
    known(&place, &table, &OPTIONS, "tenants")?;
    let by = by(&place.option("by"), table.remove("by"))?;
    beside.check(&place, &by)?;
    let unknown = match (&by, word(&place, &mut table, "unknown", ["create", "refuse"])?) {
        (By::Key, Some("create")) => {
            let message = "takes \"refuse\" where tenants are known by their keys";
            return Err(place.option("unknown").option_wrong(message));
        }
        (By::Key, None) => "refuse",
        (_, said) => said.unwrap_or("create"),
    };
    let without = word(&place, &mut table, "without", ["refuse", NOBODY])?.unwrap_or("refuse");
    let report = count(&place, &mut table, "report", 0..=MOST_REPORTED, "")?;
    let default = default(&place, &mut table, beside)?;
    let named = named(&place, &mut table, &by, &default, beside)?;
    if named.is_empty() && unknown == "refuse" && without == "refuse" {
        let message = "every request would be refused, as no tenant is named: name one by \
                       [tenants.named.ID]";
        return Err(place.wrong(message));
    }
    Ok(Tenants { by, unknown, without, default, report: report.unwrap_or(USUALLY_REPORTED), named })
}

fn by(place: &Place, value: Option<Value>) -> Result<By, Wrong> {
    const WANTED: &str = "takes \"key\", \"path\" or { header = NAME }";
    match value {
        None => Err(place.clone().option_wrong(format!("is needed: it {WANTED}"))),
        Some(Value::String(word)) if word == "key" => Ok(By::Key),
        Some(Value::String(word)) if word == "path" => Ok(By::Path),
        Some(Value::Table(table)) => match table.iter().next() {
            Some((name, Value::String(header))) if name == "header" && table.len() == 1 => {
                Ok(By::Header(header_name(&place.step("header"), header)?))
            }
            _ => Err(place.clone().option_wrong(WANTED)),
        },
        Some(_) => Err(place.clone().option_wrong(WANTED)),
    }
}

fn header_name(place: &Place, written: &str) -> Result<String, Wrong> {
    let name = written.to_ascii_lowercase();
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > 64 || !name.bytes().all(of_name) {
        return Err(place.clone().option_wrong("takes 1 to 64 letters, digits, - and _"));
    }
    if TAKEN.contains(&&name[..]) || name.starts_with("x-edgepool-") {
        let message = format!("takes a header of its own: {name} means something else");
        return Err(place.clone().option_wrong(message));
    }
    Ok(name)
}

impl Beside<'_> {
    /// Checks that what tells tenants apart means nothing else to providers.
    fn check(&self, place: &Place, by: &By) -> Result<(), Wrong> {
        let named = || self.providers.keys().chain(self.routes.keys());
        if *by == By::Path && named().any(|name| name.as_str() == PATH) {
            let message = format!(
                "tenants' paths begin with /{PATH}/: give the provider or route {PATH} another name"
            );
            return Err(place.option("by").wrong(message));
        }
        let long = |(_, provider): &(&Name, &Provider)| provider.max_waiting > MOST_WAITING;
        if let Some((name, _)) = self.providers.iter().find(long) {
            let place = Place::table(["providers", name.as_str()]).option("max_waiting");
            let message = format!(
                "takes 0 to {MOST_WAITING} beside [tenants]: those below their share may wait in a \
                 queue that is full, up to twice as many"
            );
            return Err(place.option_wrong(message));
        }
        let passes = |provider: &Provider| {
            provider.options.get("passClientKey").and_then(Json::as_bool) == Some(true)
        };
        match self.providers.iter().find(|(_, provider)| *by == By::Key && passes(provider)) {
            Some((name, _)) => {
                let place = Place::table(["providers", name.as_str()]).option("pass_client_key");
                let message = "tenants are known by their keys, which no provider may get: leave \
                               it out, and give the provider a key of its own";
                Err(place.wrong(message))
            }
            None => Ok(()),
        }
    }

    /// Lists the keys of providers, and the headers of theirs that may be keys.
    fn secrets(&self) -> impl Iterator<Item = &str> {
        let options = self.providers.values().map(|provider| &provider.options);
        let headers = options.filter_map(|options| options.get("headers")?.as_object());
        let values = headers.flat_map(|headers| headers.values()).filter_map(Json::as_str);
        // As `Bearer KEY`, or alone.
        let keys = values.flat_map(|value| [Some(value.trim()), value.split_whitespace().last()]);
        self.keys.0.values().map(String::as_str).chain(keys.flatten())
    }

    fn most(&self, of: impl Fn(&Provider) -> u32) -> u32 {
        self.providers.values().map(of).max().unwrap_or(0)
    }

    /// Reads a share; what it does not say is as in `usual`.
    fn share(&self, place: &Place, table: &mut Table, usual: &Share) -> Result<Share, Wrong> {
        let places = ", or \"none\": no provider has more places";
        let queue = ", or \"none\": no provider has a longer queue";
        let (most, longest) = (self.most(|of| of.max), self.most(|of| of.max_waiting));
        let weight = count(place, table, "weight", 1..=MAX_WEIGHT, "")?;
        Ok(Share {
            weight: weight.unwrap_or(usual.weight),
            max: limit(place, table, "max", 1..=most, places)?.unwrap_or(usual.max),
            max_waiting: limit(place, table, "max_waiting", 0..=longest, queue)?
                .unwrap_or(usual.max_waiting),
        })
    }
}

fn default(place: &Place, table: &mut Table, beside: &Beside<'_>) -> Result<Share, Wrong> {
    let usual = Share { weight: 1, max: None, max_waiting: None };
    let Some(mut table) = take_table(place, table, "default")? else { return Ok(usual) };
    // A table of its own in errors too.
    let place = Place::table(["tenants", "default"]);
    known(&place, &table, &OF_SHARE, "tenants.default")?;
    beside.share(&place, &mut table, &usual)
}

fn named(
    place: &Place,
    table: &mut Table,
    by: &By,
    default: &Share,
    beside: &Beside<'_>,
) -> Result<BTreeMap<String, Named>, Wrong> {
    let mut named = BTreeMap::<String, Named>::new();
    for (id, value) in take_table(place, table, "named")?.unwrap_or_default() {
        let place = Place::table(["tenants", "named", &id]);
        check_id(&place, &id)?;
        let Value::Table(mut table) = value else {
            return Err(place.wrong("a tenant is a table"));
        };
        known(&place, &table, &OF_NAMED, "a tenant")?;
        let key_sha256 = digest(&place, &mut table, by, beside)?;
        let same =
            |(_, other): &(&String, &Named)| key_sha256.is_some() && other.key_sha256 == key_sha256;
        if let Some((other, _)) = named.iter().find(same) {
            let message = format!("{other} has the same key: each tenant needs one of its own");
            return Err(place.wrong(message));
        }
        let share = beside.share(&place, &mut table, default)?;
        named.insert(id, Named { share, key_sha256 });
    }
    Ok(named)
}

fn check_id(place: &Place, id: &str) -> Result<(), Wrong> {
    let of_id = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let begins = id.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !begins || id.len() > 63 || !id.chars().all(of_id) {
        let message = "no tenant can have this id: it has 1 to 63 ASCII letters, digits, `_`, `-` \
                       and `.`, and begins with a letter or a digit";
        return Err(place.clone().wrong(message));
    }
    if id == NOBODY {
        let message = "no tenant can be named nobody: the requests that tell no tenant are its, \
                       and it has what `default` says";
        return Err(place.clone().wrong(message));
    }
    Ok(())
}

/// Takes what tells a tenant's key: the digest itself, or the variable that has the key.
fn digest(
    place: &Place,
    table: &mut Table,
    by: &By,
    beside: &Beside<'_>,
) -> Result<Option<String>, Wrong> {
    let said = (take_text(place, table, "key_env")?, take_text(place, table, "key_sha256")?);
    let wrong = |message: &str| Err(place.clone().wrong(message));
    let digest = match said {
        (None, None) if *by != By::Key => return Ok(None),
        _ if *by != By::Key => return wrong("a key is for tenants that are known by = \"key\""),
        (None, None) => return wrong("give its key by `key_env` or `key_sha256`"),
        (Some(_), Some(_)) => return wrong("give `key_env` or `key_sha256`, not both"),
        (Some(source), None) => of_variable(&place.option("key_env"), &source, beside.env)?,
        (None, Some(digest)) => of_text(&place.option("key_sha256"), &digest)?,
    };
    if beside.secrets().any(|key| sha256(key) == digest) {
        return wrong("its key is that of a provider, which no tenant may have");
    }
    Ok(Some(digest))
}

fn of_variable(place: &Place, source: &str, env: Env<'_>) -> Result<String, Wrong> {
    let Some(key) = env(source) else {
        return Err(place.clone().wrong(format!("the variable {} is not set", variable(source))));
    };
    if key.len() < LEAST_KEY || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message =
            format!("a key has {LEAST_KEY} or more characters of ASCII, none of them blank");
        return Err(place.clone().wrong(message));
    }
    Ok(sha256(&key))
}

fn of_text(place: &Place, text: &str) -> Result<String, Wrong> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(place.clone().wrong("a SHA-256 has 64 hexadecimal digits"));
    }
    Ok(text.to_ascii_lowercase())
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Refuses names that no option of `what` has.
fn known(place: &Place, table: &Table, names: &[&str], what: &str) -> Result<(), Wrong> {
    match table.keys().find(|name| !names.contains(&&name[..])) {
        Some(name) => {
            let message = format!("is no option of {what}; there are {}", names.join(", "));
            Err(place.step(name).option_wrong(message))
        }
        None => Ok(()),
    }
}

fn take_table(place: &Place, table: &mut Table, name: &str) -> Result<Option<Table>, Wrong> {
    match table.remove(name) {
        None => Ok(None),
        Some(Value::Table(table)) => Ok(Some(table)),
        Some(_) => Err(place.option(name).option_wrong("takes a table")),
    }
}

fn word(
    place: &Place,
    table: &mut Table,
    name: &str,
    words: [&'static str; 2],
) -> Result<Option<&'static str>, Wrong> {
    let Some(value) = table.remove(name) else { return Ok(None) };
    let found = words.into_iter().find(|word| value.as_str() == Some(word));
    let taken = || format!("takes one of {}", words.join(", "));
    found.map(Some).ok_or_else(|| place.option(name).option_wrong(taken()))
}

fn count(
    place: &Place,
    table: &mut Table,
    name: &str,
    range: RangeInclusive<u32>,
    more: &str,
) -> Result<Option<u32>, Wrong> {
    let Some(value) = table.remove(name) else { return Ok(None) };
    let number = value.as_integer().and_then(|number| u32::try_from(number).ok());
    let number = number.filter(|number| range.contains(number));
    let taken = || format!("takes {} to {}{more}", range.start(), range.end());
    number.map(Some).ok_or_else(|| place.option(name).option_wrong(taken()))
}

/// As [`count`], of what may also be `"none"`: no limit.
fn limit(
    place: &Place,
    table: &mut Table,
    name: &str,
    range: RangeInclusive<u32>,
    more: &str,
) -> Result<Option<Option<u32>>, Wrong> {
    if table.get(name).and_then(Value::as_str) == Some("none") {
        table.remove(name);
        return Ok(Some(None));
    }
    Ok(count(place, table, name, range, more)?.map(Some))
}
