//! Routes: names under which one provider after the other is asked.

use std::collections::BTreeMap;

use edgepool_llm::dialect::Dialect;
use serde::Deserialize;

use crate::config::Provider;
use crate::config::place::{Place, Wrong};
use crate::config::provider::Name;

/// The providers of a route, in the order in which they are asked.
pub(crate) type Route = Vec<Name>;

/// `[routes.NAME]` as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteTable {
    providers: Vec<String>,
}

/// Checks routes against the providers that there are.
pub(crate) fn read(
    tables: &BTreeMap<String, RouteTable>,
    providers: &BTreeMap<Name, Provider>,
) -> Result<BTreeMap<Name, Route>, Wrong> {
    let read = |(name, table): (&String, &RouteTable)| {
        let place = Place::table(["routes", name]);
        let name = name.parse::<Name>().map_err(|error| place.clone().wrong(error.to_string()))?;
        if providers.contains_key(&name) {
            return Err(place.wrong("a provider has this name: each needs one of its own"));
        }
        Ok((name, route(&place.option("providers"), table, providers)?))
    };
    tables.iter().map(read).collect()
}

fn route(
    place: &Place,
    table: &RouteTable,
    providers: &BTreeMap<Name, Provider>,
) -> Result<Route, Wrong> {
    let mut route = Route::new();
    let mut spoken = None;
    for (index, text) in table.providers.iter().enumerate() {
        let wrong = |message: String| Err(place.item(index).wrong(message));
        let Some((name, provider)) = providers.iter().find(|(name, _)| name.as_str() == text)
        else {
            let known: Vec<_> = providers.keys().map(Name::as_str).collect();
            let known = known.join(", ");
            // The name is left out: it may be a key by mistake.
            return wrong(format!("no provider has this name; there are {known}"));
        };
        if route.contains(name) {
            return wrong(format!("{name} is named twice"));
        }
        let dialect = dialect(provider);
        if spoken.is_some_and(|spoken| spoken != dialect) {
            let first = &route[0];
            return wrong(format!("{name} does not understand what is sent to {first}"));
        }
        spoken = Some(dialect);
        route.push(name.clone());
    }
    match route.is_empty() {
        true => Err(place.clone().wrong("the list is empty: name a provider")),
        false => Ok(route),
    }
}

/// What a provider speaks, as far as it matters to a request that names its path itself.
fn dialect(provider: &Provider) -> Option<Dialect> {
    match provider.flavour()?.dialect {
        Dialect::OpenAiResponses => Some(Dialect::OpenAi),
        dialect => Some(dialect),
    }
}
