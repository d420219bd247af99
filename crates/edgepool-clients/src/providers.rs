//! Providers: what a caller says of a service, checked.

use core::time::Duration;
use std::rc::Rc;

use edgepool_llm::dialect::Dialect;
use edgepool_llm::json::{object, write};
use edgepool_llm::provider::{self, OnRefusal, Provider};
use edgepool_llm::refusal::{self, Adapter, Reason};
use serde_json::{Map, Value};

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
    with(|state| drop(state.providers.remove(number)));
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
    let all = found.iter().map(|each| (&each.name[..], options_of(each)));
    Ok(write(&object(all.collect())))
}

/// Describes a provider without its keys; `{}` where there is none.
#[must_use]
pub fn describe(number: f64) -> String {
    let provider = find(number);
    provider.map_or_else(|| "{}".to_owned(), |provider| write(&described(&provider)))
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
    let header = |(name, value): (&str, String)| Value::from(vec![name.to_owned(), value]);
    write(&object(vec![
        ("status", response.status.into()),
        ("headers", response.headers.into_iter().map(header).collect()),
        ("body", response.body.into()),
    ]))
}

pub(crate) fn find(number: f64) -> Option<Rc<Provider>> {
    with(|state| state.providers.get(number).cloned())
}

fn variable_of(env: &Value, name: &str) -> Option<String> {
    env[name].as_str().map(str::to_owned)
}

fn options_of(provider: &Provider) -> Value {
    let mut options = Map::new();
    let mut put = |name: &str, value: Value| drop(options.insert(name.to_owned(), value));
    put("kind", provider.kind().into());
    if let Some(endpoint) = provider.endpoints.first() {
        put("baseURL", endpoint.base.to_string().into());
    }
    if let Some(key) = &provider.key {
        put("apiKey", exposed(key));
    }
    if let Some(version) = &provider.api_version {
        put("apiVersion", version.as_str().into());
    }
    if !provider.headers.is_empty() {
        let pairs = provider.headers.iter();
        put("headers", object(pairs.map(|(name, value)| (&name[..], exposed(value))).collect()));
    }
    Value::Object(options)
}

fn exposed(secret: &edgepool_llm::Secret) -> Value {
    secret.expose().into()
}

fn described(provider: &Provider) -> Value {
    let millis = |time: Option<Duration>| time.map(|time| time.as_secs_f64() * 1e3);
    let (timeouts, policy) = (&provider.timeouts, &provider.policy);
    let terms = provider.terms();
    let terms = terms.iter().map(|(name, term)| (*name, term.as_str().into()));
    let throws = provider.on_refusal == OnRefusal::Throw;
    let on_refusal = if throws { "throw" } else { "respond" };
    let endpoint = |each: &provider::Endpoint| {
        object(vec![("name", each.base.to_string().into()), ("weight", each.weight.into())])
    };
    object(vec![
        ("name", provider.name.as_str().into()),
        ("kind", provider.kind().into()),
        ("dialect", dialect(provider.flavour.dialect).into()),
        ("needsKey", provider.needs_key().into()),
        ("isLocal", provider.is_local().into()),
        ("hasKey", provider.key.is_some().into()),
        ("identity", provider.identity().to_string().into()),
        ("terms", object(terms.collect())),
        ("max", provider.max.into()),
        ("maxWaiting", provider.max_waiting.into()),
        ("acquireTimeout", millis(timeouts.acquire).into()),
        ("headersTimeout", millis(timeouts.headers).into()),
        ("firstContentTimeout", millis(timeouts.first_content).into()),
        ("stallTimeout", millis(timeouts.between_content).into()),
        ("totalTimeout", millis(timeouts.total).into()),
        ("alertAfter", millis(Some(policy.alert_after)).into()),
        ("hedgeAfter", millis(policy.hedge_after).into()),
        ("retries", policy.retry.retries.into()),
        ("checks", policy.checks.is_some().into()),
        ("onRefusal", on_refusal.into()),
        ("passClientKey", provider.pass_client_key.into()),
        ("model", provider.model.as_deref().into()),
        ("embeddingModel", provider.embedding_model.as_deref().into()),
        ("dimensions", provider.dimensions.into()),
        ("endpoints", provider.endpoints.iter().map(endpoint).collect()),
    ])
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
