//! Providers: what a caller says of a service, checked.

use core::time::Duration;
use std::rc::Rc;

use edgepool_llm::dialect::Dialect;
use edgepool_llm::provider::{self, OnRefusal, Provider};
use edgepool_llm::refusal::{self, Adapter, Reason};
use serde_json::{Map, Value, json};

use crate::state::{parse, with};
use crate::thrown::Thrown;

/// Makes a provider of its options, whose keys may be named by variables of `env`; returns its
/// number.
///
/// # Errors
///
/// Names the option that is unknown or wrong.
pub fn open(name: &str, options: &str, env: &str) -> Result<f64, Thrown> {
    let (options, env) = (parse(options)?, parse(env)?);
    let lookup = |variable: &str| variable_of(&env, variable);
    let provider = Rc::new(Provider::from_json(name, &options, &lookup)?);
    Ok(with(|state| {
        let number = state.number();
        state.providers.insert(number, provider);
        number as f64
    }))
}

/// Forgets a provider. Calls that are under way go on.
pub fn close(number: f64) {
    with(|state| drop(state.providers.remove(&(number as u64))));
}

/// Returns the options of the providers whose keys or addresses stand in the environment, by their
/// names. The keys are among them.
///
/// # Errors
///
/// Names the option of a variable that is wrong.
pub fn from_env(env: &str) -> Result<String, Thrown> {
    let env = parse(env)?;
    let found = provider::from_environment(|variable| variable_of(&env, variable))?;
    let all = found.iter().map(|each| (each.name.clone(), options_of(each)));
    Ok(Value::Object(all.collect()).to_string())
}

/// Describes a provider without its keys; `{}` where there is none.
#[must_use]
pub fn describe(number: f64) -> String {
    let provider = find(number);
    provider.map_or_else(|| "{}".to_owned(), |provider| described(&provider).to_string())
}

/// Makes the response that stands for a refusal by the pool, in the envelope that the SDKs of a
/// provider's kind read: `{status, headers, body}`. `code` is that of a [`Reason`]; `wait` is in how
/// many milliseconds to come again, or no number.
#[must_use]
pub fn refuse(kind: &str, code: &str, message: &str, wait: f64) -> String {
    let reason = Reason::ALL.into_iter().find(|reason| reason.code() == code);
    let wait = Duration::try_from_secs_f64(wait / 1e3).ok();
    let adapter = match kind {
        "anthropic" => Adapter::Anthropic,
        "ollama" => Adapter::Ollama,
        _ => Adapter::OpenAi,
    };
    let reason = reason.unwrap_or(Reason::AcquireTimeout);
    let response = refusal::respond(adapter, reason, message, wait);
    json!({"status": response.status, "headers": response.headers, "body": response.body})
        .to_string()
}

pub(crate) fn find(number: f64) -> Option<Rc<Provider>> {
    with(|state| state.providers.get(&(number as u64)).cloned())
}

fn variable_of(env: &Value, name: &str) -> Option<String> {
    env[name].as_str().map(str::to_owned)
}

fn options_of(provider: &Provider) -> Value {
    let mut options = Map::new();
    let mut put = |name: &str, value: Value| drop(options.insert(name.to_owned(), value));
    put("kind", json!(provider.kind()));
    if let Some(endpoint) = provider.endpoints.first() {
        put("baseURL", json!(endpoint.base.to_string()));
    }
    if let Some(key) = &provider.key {
        put("apiKey", json!(key.expose()));
    }
    if let Some(version) = &provider.api_version {
        put("apiVersion", json!(version));
    }
    if !provider.headers.is_empty() {
        let pair = |(name, value): &(String, _)| (name.clone(), exposed(value));
        put("headers", Value::Object(provider.headers.iter().map(pair).collect()));
    }
    Value::Object(options)
}

fn exposed(secret: &edgepool_llm::Secret) -> Value {
    json!(secret.expose())
}

fn described(provider: &Provider) -> Value {
    let millis = |time: Option<Duration>| time.map(|time| time.as_secs_f64() * 1e3);
    let (timeouts, policy) = (&provider.timeouts, &provider.policy);
    let terms = provider.terms().into_iter();
    let endpoint =
        |each: &provider::Endpoint| json!({"name": each.base.to_string(), "weight": each.weight});
    json!({
        "name": provider.name,
        "kind": provider.kind(),
        "dialect": dialect(provider.flavour.dialect),
        "needsKey": provider.needs_key(),
        "isLocal": provider.is_local(),
        "hasKey": provider.key.is_some(),
        "identity": provider.identity().to_string(),
        "terms": terms.map(|(name, term)| (name.to_owned(), json!(term))).collect::<Value>(),
        "max": provider.max,
        "maxWaiting": provider.max_waiting,
        "acquireTimeout": millis(timeouts.acquire),
        "headersTimeout": millis(timeouts.headers),
        "firstContentTimeout": millis(timeouts.first_content),
        "stallTimeout": millis(timeouts.between_content),
        "totalTimeout": millis(timeouts.total),
        "alertAfter": millis(Some(policy.alert_after)),
        "hedgeAfter": millis(policy.hedge_after),
        "retries": policy.retry.retries,
        "checks": policy.checks.is_some(),
        "onRefusal": if provider.on_refusal == OnRefusal::Throw { "throw" } else { "respond" },
        "passClientKey": provider.pass_client_key,
        "model": provider.model,
        "embeddingModel": provider.embedding_model,
        "dimensions": provider.dimensions,
        "endpoints": provider.endpoints.iter().map(endpoint).collect::<Value>(),
    })
}

const fn dialect(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAi => "openai",
        Dialect::OpenAiResponses => "openaiResponses",
        Dialect::Anthropic => "anthropic",
        Dialect::Ollama => "ollama",
        _ => "http",
    }
}
