//! Services: what all callers of a provider share.

use core::time::Duration;
use std::cell::RefCell;
use std::rc::Rc;

use edgepool_llm::endpoint::Check;
use edgepool_llm::exchange::{HttpRequest, Outgoing};
use edgepool_llm::json::{object, write};
use edgepool_llm::provider::Provider;
use edgepool_llm::service::{Service, ServiceOptions};
use edgepool_llm::url::BaseUrl;
use edgepool_llm::{Class, Failure, Headers, answer, redact, request};
use serde_json::Value;

use crate::providers;
use crate::state::{chance as to_chance, time, to_ms, with};
use crate::thrown::Thrown;

/// A service, with what its endpoints are called by.
pub(crate) struct Shared {
    pub(crate) service: Service,
    /// In the order in which the service knows them.
    pub(crate) bases: Vec<BaseUrl>,
    /// The one that it was made by. All who share it have the same keys.
    provider: Rc<Provider>,
}

/// Makes the service of a provider; returns its number.
///
/// # Errors
///
/// When there is no such provider.
pub fn open(provider: f64, now: f64) -> Result<f64, Thrown> {
    let provider = providers::find(provider)
        .ok_or_else(|| Thrown::from(Failure::new(Class::Refused, "the provider is closed")))?;
    let bases = provider.endpoints.iter().map(|endpoint| endpoint.base.clone()).collect();
    let service = Service::new(ServiceOptions::of(&provider), time(now));
    let shared = Rc::new(RefCell::new(Shared { service, bases, provider }));
    Ok(with(|state| {
        let number = state.number();
        state.services.insert(number, shared);
        number as f64
    }))
}

/// Forgets a service. Calls that are under way go on.
pub fn close(number: f64) {
    with(|state| drop(state.services.remove(number)));
}

/// Returns how many attempts may be under way at once: the size of the pool; 1 where there is no
/// such service.
#[must_use]
pub fn places(number: f64, now: f64) -> u32 {
    look(number, 1, |shared| shared.service.places(time(now)))
}

/// Returns when something may change without any call; infinite for never.
#[must_use]
pub fn next_change(number: f64, now: f64) -> f64 {
    look(number, f64::INFINITY, |shared| to_ms(shared.service.next_change(time(now))))
}

/// Returns the alert, `{since, waiting, refused}`, if callers need more than there is; else nothing.
#[must_use]
pub fn alert(number: f64, now: f64) -> String {
    look(number, String::new(), |shared| {
        let alert = shared.service.alert(time(now));
        alert.map_or_else(String::new, |alert| write(&alert.to_json()))
    })
}

/// Tells how a service stands; `{}` where there is none.
#[must_use]
pub fn stats(number: f64, now: f64) -> String {
    let written = |shared: &mut Shared| write(&shared.service.stats(time(now)).to_json());
    look(number, "{}".to_owned(), written)
}

/// Returns the names of the endpoints, which are their addresses, as a list.
#[must_use]
pub fn endpoints(number: f64) -> String {
    let names = |shared: &mut Shared| {
        write(&shared.bases.iter().map(|base| Value::from(base.to_string())).collect())
    };
    look(number, "[]".to_owned(), names)
}

/// Returns a check that is to be made now, as a number for [`check_request`] and [`checked`]; -1 if
/// there is none. Call it until then.
#[must_use]
pub fn check_due(number: f64, chance: f64, now: f64) -> f64 {
    look(number, -1.0, |shared| {
        let due = shared.service.check_due(to_chance(chance), time(now));
        due.map_or(-1.0, |check| (check.endpoint as u64 + ENDPOINTS * check.number) as f64)
    })
}

/// The most endpoints that a provider has.
const ENDPOINTS: u64 = 256;

/// Returns the request of a check: `{method, url, headers, timeout}`, the last in milliseconds.
///
/// # Errors
///
/// When there is no such service.
pub fn check_request(number: f64, check: f64) -> Result<String, Thrown> {
    let made = |shared: &mut Shared| {
        let base = shared.bases.get((check as u64 % ENDPOINTS) as usize)?;
        let request = Outgoing::from(request::probe(&shared.provider)).to(base);
        Some((request, shared.provider.policy.checks.unwrap_or_default().timeout))
    };
    let gone = || Failure::new(Class::Refused, "the service is closed");
    let (request, timeout) = look(number, None, made).ok_or_else(gone)?;
    let mut value = to_json(&request?);
    value["timeout"] = (timeout.as_secs_f64() * 1e3).into();
    Ok(write(&value))
}

/// Tells what came of a check: a status, or -1 where nothing came but `message`.
pub fn checked(number: f64, check: f64, status: i32, message: &str, now: f64) {
    look(number, (), |shared| {
        let Shared { service, provider, .. } = shared;
        let keys: Vec<_> = provider.secrets().cloned().collect();
        let result = match u16::try_from(status) {
            Ok(status) if answer::probe(provider.flavour, status) => Ok(()),
            Ok(status) => {
                let none = Headers::default();
                Err(Failure::of_answer(status, &none, &[], Duration::ZERO, &keys))
            }
            Err(_) => Err(Failure::new(Class::Network, redact(message, &keys))),
        };
        let endpoint = (check as u64 % ENDPOINTS) as usize;
        let number = check as u64 / ENDPOINTS;
        service.checked(Check { endpoint, number }, result, time(now));
    });
}

/// Counts a call that went on at the next provider of a chain.
pub fn fell_back(number: f64) {
    look(number, (), |shared| shared.service.fell_back());
}

pub(crate) fn find(number: f64) -> Option<Rc<RefCell<Shared>>> {
    with(|state| state.services.get(number).cloned())
}

fn look<R>(number: f64, none: R, act: impl FnOnce(&mut Shared) -> R) -> R {
    find(number).map_or(none, |shared| act(&mut shared.borrow_mut()))
}

/// Writes a request without its body.
pub(crate) fn to_json(request: &HttpRequest) -> Value {
    let headers = request.headers.iter();
    let headers = headers.map(|(name, value)| Value::from(vec![&name[..], value.expose()]));
    object(vec![
        ("method", request.method.as_ref().into()),
        ("url", request.url.as_str().into()),
        ("headers", headers.collect()),
    ])
}
