mod policy;

use serde_json::Value;

use super::{Builder, MAX_BY_DEFAULT, OnRefusal, OptionError, Provider};
use crate::chat::Parameters;
use crate::clocks::Timeouts;
use crate::fields::{self, Place, join};
use crate::secret::Secret;

/// The options of a provider.
const OPTIONS: [&str; 28] = [
    "kind",
    "baseURL",
    "endpoints",
    "apiKey",
    "apiKeyEnv",
    "apiVersion",
    "headers",
    "model",
    "embeddingModel",
    "dimensions",
    "parameters",
    "max",
    "maxWaiting",
    "acquireTimeout",
    "headersTimeout",
    "firstContentTimeout",
    "stallTimeout",
    "totalTimeout",
    "balance",
    "ejection",
    "checks",
    "adaptiveLimit",
    "rates",
    "retry",
    "hedgeAfter",
    "alertAfter",
    "passClientKey",
    "onRefusal",
];

const ENDPOINT: [&str; 2] = ["baseURL", "weight"];

const PARAMETERS: [&str; 8] = [
    "maxTokens",
    "temperature",
    "topP",
    "topK",
    "stop",
    "seed",
    "frequencyPenalty",
    "presencePenalty",
];

/// Reads a variable of the environment.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Makes providers of a configuration: an object of their options by their names. Durations are in
/// milliseconds, `null` for no limit; `apiKeyEnv` names the variable that holds the key.
///
/// # Errors
///
/// Names the provider and the option that is unknown or wrong, and what is accepted.
pub fn from_json(value: &Value, lookup: Lookup<'_>) -> Result<Vec<Provider>, OptionError> {
    let Value::Object(named) = value else {
        return Err(OptionError::new("", "providers", "takes an object of providers by name"));
    };
    named.iter().map(|(name, value)| Provider::from_json(name, value, lookup)).collect()
}

impl Provider {
    /// Makes a provider of its options; see [`from_json`].
    ///
    /// # Errors
    ///
    /// As [`from_json`].
    pub fn from_json(name: &str, value: &Value, lookup: Lookup<'_>) -> Result<Self, OptionError> {
        let fields = options_at(name, String::new(), value, &OPTIONS)?;
        let kind = fields.text("kind")?.unwrap_or_default();
        let mut builder = Self::builder(name, &kind);
        builder = addresses(&fields, builder)?;
        builder = secrets(&fields, builder, lookup)?;
        if let Some(model) = fields.text("model")? {
            builder = builder.model(model);
        }
        if let Some(model) = fields.text("embeddingModel")? {
            builder = builder.embedding_model(model);
        }
        if let Some(dimensions) = fields.count("dimensions")? {
            builder = builder.dimensions(usize::try_from(dimensions).unwrap_or(usize::MAX));
        }
        if let Some(value) = fields.get("parameters") {
            builder = builder.parameters(parameters(name, value)?);
        }
        builder = limits(&fields, builder)?;
        let max = builder.draft.max.unwrap_or(MAX_BY_DEFAULT);
        builder = builder.policy(policy::policy(&fields, max)?);
        builder.timeouts(timeouts(&fields)?).build()
    }
}

fn addresses(fields: &Fields<'_>, mut builder: Builder) -> Result<Builder, OptionError> {
    if let Some(version) = fields.text("apiVersion")? {
        builder = builder.api_version(version);
    }
    let only = fields.text("baseURL")?;
    let Some(list) = fields.get("endpoints") else {
        return Ok(match only {
            Some(url) => builder.base_url(url),
            None => builder,
        });
    };
    if only.is_some() {
        return Err(fields.wrong("endpoints", "cannot stand beside \"baseURL\""));
    }
    let list = list.as_array().filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| fields.wrong("endpoints", "takes a list that is not empty"))?;
    let mut endpoints = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        if let Value::String(url) = value {
            endpoints.push((url.clone(), 1));
            continue;
        }
        let path = format!("endpoints[{index}]");
        let inner = options_at(fields.place.provider, path, value, &ENDPOINT)?;
        let url = inner.text("baseURL")?;
        let url = url.ok_or_else(|| inner.wrong("baseURL", "is needed"))?;
        let weight = inner.count("weight")?.unwrap_or(1);
        endpoints.push((url, u32::try_from(weight).unwrap_or(u32::MAX)));
    }
    Ok(builder.endpoints(endpoints))
}

fn secrets(
    fields: &Fields<'_>,
    mut builder: Builder,
    lookup: Lookup<'_>,
) -> Result<Builder, OptionError> {
    match (fields.text("apiKey")?, fields.text("apiKeyEnv")?) {
        (Some(_), Some(_)) => {
            return Err(fields.wrong("apiKeyEnv", "cannot stand beside \"apiKey\""));
        }
        (Some(key), None) => builder = builder.key(Secret::new(key)),
        (None, Some(variable)) => {
            // A key that was put there by mistake is not repeated.
            let is_name =
                |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
            let shown = if variable.bytes().all(is_name) { &variable } else { "a variable" };
            let missing = || fields.wrong("apiKeyEnv", format!("names {shown}, which is not set"));
            let key = lookup(&variable).filter(|key| !key.is_empty()).ok_or_else(missing)?;
            builder = builder.key(Secret::new(key));
        }
        (None, None) => {}
    }
    match fields.get("headers") {
        None => {}
        Some(Value::Object(headers)) => {
            for (name, value) in headers {
                let text = value.as_str();
                let text = text.ok_or_else(|| fields.wrong("headers", "takes texts by name"))?;
                builder = builder.header(name, Secret::new(text));
            }
        }
        Some(_) => return Err(fields.wrong("headers", "takes texts by name")),
    }
    Ok(builder)
}

fn limits(fields: &Fields<'_>, mut builder: Builder) -> Result<Builder, OptionError> {
    let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    if let Some(max) = fields.count("max")? {
        builder = builder.max(narrow(max));
    }
    if let Some(waiting) = fields.count("maxWaiting")? {
        builder = builder.max_waiting(narrow(waiting));
    }
    match fields.get("passClientKey") {
        None => {}
        Some(Value::Bool(pass)) => builder = builder.pass_client_key(*pass),
        Some(_) => return Err(fields.wrong("passClientKey", "takes true or false")),
    }
    match fields.text("onRefusal")?.as_deref() {
        None => Ok(builder),
        Some("respond") => Ok(builder.on_refusal(OnRefusal::Respond)),
        Some("throw") => Ok(builder.on_refusal(OnRefusal::Throw)),
        Some(_) => Err(fields.wrong("onRefusal", "takes one of respond, throw")),
    }
}

fn timeouts(fields: &Fields<'_>) -> Result<Timeouts, OptionError> {
    let usual = Timeouts::default();
    Ok(Timeouts {
        acquire: fields.duration("acquireTimeout", usual.acquire)?,
        headers: fields.duration("headersTimeout", usual.headers)?,
        first_content: fields.duration("firstContentTimeout", usual.first_content)?,
        between_content: fields.duration("stallTimeout", usual.between_content)?,
        total: fields.duration("totalTimeout", usual.total)?,
    })
}

/// Reads how answers are made.
pub(crate) fn parameters(provider: &str, value: &Value) -> Result<Parameters, OptionError> {
    let fields = options_at(provider, "parameters".to_owned(), value, &PARAMETERS)?;
    let stop = match fields.get("stop") {
        None => Vec::new(),
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(texts)) => {
            let texts: Option<Vec<_>> =
                texts.iter().map(|text| text.as_str().map(str::to_owned)).collect();
            texts.ok_or_else(|| fields.wrong("stop", "takes a text or a list of texts"))?
        }
        Some(_) => return Err(fields.wrong("stop", "takes a text or a list of texts")),
    };
    let seed = match fields.get("seed") {
        None => None,
        Some(value) => {
            let seed = value.as_i64();
            Some(seed.ok_or_else(|| fields.wrong("seed", "takes a whole number"))?)
        }
    };
    Ok(Parameters {
        max_tokens: fields.count("maxTokens")?,
        temperature: fields.number("temperature")?,
        top_p: fields.number("topP")?,
        top_k: fields.count("topK")?,
        stop,
        seed,
        frequency_penalty: fields.number("frequencyPenalty")?,
        presence_penalty: fields.number("presencePenalty")?,
    })
}

/// The provider whose options they are, and where their object stands in them: `retry.budget`, or
/// nothing.
struct Named<'a> {
    provider: &'a str,
    path: String,
}

impl Place for Named<'_> {
    type Error = OptionError;
    const FIELD: &'static str = "option";

    fn no_object(&self, what: &str) -> OptionError {
        OptionError::new(self.provider, what, "takes an object of options")
    }
    fn wrong(&self, name: &str, message: String) -> OptionError {
        OptionError::new(self.provider, &join(&self.path, name), message)
    }
}

type Fields<'a> = fields::Fields<'a, Named<'a>>;

/// Reads the options of an object.
fn options_at<'a>(
    provider: &'a str,
    path: String,
    value: &'a Value,
    known: &[&str],
) -> Result<Fields<'a>, OptionError> {
    let what = if path.is_empty() { "provider".to_owned() } else { path.clone() };
    Fields::of(Named { provider, path }, &what, value, known)
}

impl Fields<'_> {
    fn text(&self, name: &str) -> Result<Option<String>, OptionError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong(name, "takes a text that is not empty")),
        }
    }

    fn number(&self, name: &str) -> Result<Option<f64>, OptionError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| self.wrong(name, "takes a number"))
    }
}
