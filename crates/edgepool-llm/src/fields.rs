//! The fields of JSON that people write: of requests and of configurations.

use core::time::Duration;

use serde_json::{Map, Value};

/// Where an object stands, for the errors about it.
pub(crate) trait Place {
    /// What says what is wrong.
    type Error;
    /// What a field is called there.
    const FIELD: &'static str;

    /// Says that this takes an object, of `what`.
    fn no_object(&self, what: &str) -> Self::Error;
    /// Says what the field `name` takes.
    fn wrong(&self, name: &str, message: String) -> Self::Error;
}

/// The fields of an object, of which only known ones are there.
pub(crate) struct Fields<'a, P> {
    pub(crate) place: P,
    map: &'a Map<String, Value>,
}

impl<'a, P: Place> Fields<'a, P> {
    pub(crate) fn of(
        place: P,
        what: &str,
        value: &'a Value,
        known: &[&str],
    ) -> Result<Self, P::Error> {
        let Value::Object(map) = value else { return Err(place.no_object(what)) };
        if let Some(name) = map.keys().find(|name| !known.contains(&&name[..])) {
            let text = format!("is no {} of {what}; there are {}", P::FIELD, known.join(", "));
            return Err(place.wrong(name, text));
        }
        Ok(Self { place, map })
    }

    pub(crate) fn wrong(&self, name: &str, message: impl Into<String>) -> P::Error {
        self.place.wrong(name, message.into())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name)
    }

    pub(crate) fn count(&self, name: &str) -> Result<Option<u64>, P::Error> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let count = value.as_u64();
        // JavaScript may write a whole number with a fraction of zero.
        let whole = || value.as_f64().filter(|it| it.fract() == 0.0 && (0.0..1e15).contains(it));
        let count = count.or_else(|| whole().map(|it| it as u64));
        count.map(Some).ok_or_else(|| self.wrong(name, "takes a whole number from 0 on"))
    }

    pub(crate) fn duration(
        &self,
        name: &str,
        usual: Option<Duration>,
    ) -> Result<Option<Duration>, P::Error> {
        match self.get(name) {
            None => Ok(usual),
            Some(Value::Null) => Ok(None),
            Some(value) => {
                let millis = value.as_f64().filter(|millis| (0.0..=1e12).contains(millis));
                let time = millis.map(|millis| Duration::from_secs_f64(millis / 1_000.0));
                let text = "takes milliseconds from 0 to 1e12, or null for no limit";
                time.map(Some).ok_or_else(|| self.wrong(name, text))
            }
        }
    }
}

/// Returns the path of a field of the object at `path`; either may be empty.
pub(crate) fn join(path: &str, name: &str) -> String {
    match (path, name) {
        ("", name) => name.to_owned(),
        (path, "") => path.to_owned(),
        (path, name) => format!("{path}.{name}"),
    }
}
