//! What is sent: method, path, headers and body.

mod anthropic;
mod embeddings;
mod ollama;
mod openai;
mod responses;

pub use embeddings::{EmbedRequest, embeddings};

use core::fmt;
use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::chat::{ChatRequest, Parameters};
use crate::dialect::{Auth, Dialect, Flavour, Probe};
use crate::failure::{Class, Failure};
use crate::headers::Headers;
use crate::json::{object, parse, write};
use crate::provider::Provider;
use crate::secret::Secret;
use crate::url::{BaseUrl, UrlError};

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// To a path below the base of an endpoint.
    Base(String),
    /// To a path of an endpoint's origin.
    Origin(String),
}

/// A request, for whichever endpoint it is sent to. `Debug` shows no value of a header and nothing
/// of the body.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// Such as `POST`.
    pub method: &'static str,
    /// Where it goes.
    pub target: Target,
    /// Names in lower case, with values of which any may be a key.
    pub headers: Vec<(Cow<'static, str>, Secret)>,
    /// Empty for none.
    pub body: Vec<u8>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("target", &self.target)
            .field("headers", &names)
            .field("body", &self.body.len())
            .finish()
    }
}

impl Request {
    fn new(provider: &Provider, method: &'static str, target: Target) -> Self {
        let flavour = provider.flavour;
        let own = flavour.headers.iter().map(|(name, value)| (*name, Secret::new(*value)));
        let mut request = Self { method, target, headers: Vec::with_capacity(8), body: Vec::new() };
        own.for_each(|(name, value)| request.set(name.into(), value));
        if let Some((name, value)) = credential(provider) {
            request.set(name.into(), value);
        }
        for (name, value) in &provider.headers {
            request.set(name.clone().into(), value.clone());
        }
        request
    }

    fn get(provider: &Provider, target: Target) -> Self {
        let mut request = Self::new(provider, "GET", target);
        request.set("accept".into(), Secret::new("application/json"));
        request
    }

    fn post(provider: &Provider, path: String, body: &Value, stream: bool) -> Self {
        let mut request = Self::new(provider, "POST", Target::Base(path));
        let accept = match (stream, provider.flavour.dialect) {
            (false, _) => "application/json",
            (true, Dialect::Ollama) => "application/x-ndjson",
            (true, _) => "text/event-stream",
        };
        request.set("accept".into(), Secret::new(accept));
        request.set("content-type".into(), Secret::new("application/json"));
        request.body = write(body).into_bytes();
        request
    }

    fn set(&mut self, name: Cow<'static, str>, value: Secret) {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value));
    }

    /// Finds its address at an endpoint.
    ///
    /// # Errors
    ///
    /// When its path cannot be sent, as it was made of a name that has odd characters.
    pub fn url(&self, base: &BaseUrl) -> Result<String, UrlError> {
        match &self.target {
            Target::Base(path) => base.join(path),
            Target::Origin(path) => base.join_origin(path),
        }
    }
}

/// Returns the header that a provider's key is sent in.
fn credential(provider: &Provider) -> Option<(&'static str, Secret)> {
    let key = provider.key.as_ref()?;
    Some(match provider.flavour.auth {
        Auth::Bearer => ("authorization", Secret::new(format!("Bearer {}", key.expose()))),
        Auth::Header(name) => (name, key.clone()),
    })
}

/// The headers that callers send keys in.
pub const KEY_HEADERS: [&str; 3] = ["authorization", "x-api-key", "api-key"];

/// What is done about the key of a request that a caller made by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keying {
    /// The caller's own key is sent, or none.
    Theirs,
    /// The caller's [`KEY_HEADERS`] are taken off, and this header is set, if there is one. Where
    /// it is, no redirect may be followed, as a key must not leave its origin.
    Ours(Option<(&'static str, Secret)>),
}

/// Decides whose key a request is sent with, by the headers that its caller has given it.
#[must_use]
pub fn keying(provider: &Provider, theirs: &Headers<'_>) -> Keying {
    let keyed = KEY_HEADERS.iter().any(|name| theirs.get(name).is_some());
    if provider.pass_client_key && (keyed || provider.key.is_none()) {
        return Keying::Theirs;
    }
    Keying::Ours(credential(provider))
}

/// Makes the request for a chat, answered whole or as a stream.
///
/// # Errors
///
/// When the request has something that the provider's dialect has no word for, no model is named,
/// or nothing is said.
pub fn chat(provider: &Provider, chat: &ChatRequest, stream: bool) -> Result<Request, Failure> {
    if chat.messages.is_empty() && !chat.extra.contains_key("messages") {
        return Err(invalid("a chat takes at least one message"));
    }
    let model = chat.model.as_deref().or(provider.model.as_deref());
    let model = model.ok_or_else(|| no_model(provider, "model"))?;
    let parameters = chat.parameters.or(&provider.parameters);
    if let Some(name) = parameters.not_finite() {
        return Err(invalid(format!("{name} takes a finite number")));
    }
    let draft = Draft { flavour: provider.flavour, chat, model, parameters, stream };
    let (path, mut body) = match provider.flavour.dialect {
        Dialect::OpenAi => {
            (openai_path(provider, model, "chat/completions"), openai::body(&draft)?)
        }
        Dialect::OpenAiResponses => ("/responses".to_owned(), responses::body(&draft)?),
        Dialect::Anthropic => ("/v1/messages".to_owned(), anthropic::body(&draft)?),
        Dialect::Ollama => ("/api/chat".to_owned(), ollama::body(&draft)?),
        Dialect::Http => return Err(invalid("a provider of the kind http has no chat")),
    };
    body.extend(chat.extra.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(Request::post(provider, path, &Value::Object(body), stream))
}

/// Makes the request for the list of a provider's models.
///
/// # Errors
///
/// When its kind has none.
pub fn models(provider: &Provider) -> Result<Request, Failure> {
    let path = match provider.flavour.dialect {
        Dialect::OpenAi | Dialect::OpenAiResponses => versioned(provider, "/models"),
        Dialect::Anthropic => "/v1/models?limit=1000".to_owned(),
        Dialect::Ollama => "/api/tags".to_owned(),
        Dialect::Http => return Err(invalid("a provider of the kind http has no models")),
    };
    Ok(Request::get(provider, Target::Base(path)))
}

/// Makes the free request that tells whether an endpoint is alive; see
/// [`answer::probe`](crate::answer::probe).
#[must_use]
pub fn probe(provider: &Provider) -> Request {
    match provider.flavour.probe {
        Probe::Base(path) => Request::get(provider, Target::Base(versioned(provider, path))),
        Probe::Origin(path) => Request::get(provider, Target::Origin(path.to_owned())),
        Probe::Head => Request::new(provider, "HEAD", Target::Base(String::new())),
    }
}

/// What a body is made of.
struct Draft<'a> {
    flavour: &'static Flavour,
    chat: &'a ChatRequest,
    model: &'a str,
    parameters: Parameters,
    stream: bool,
}

impl Draft<'_> {
    /// Refuses what a dialect has no word for: left out, it would change the answer unseen.
    fn refuse(&self, names: &[(&str, bool)]) -> Result<(), Failure> {
        let kind = self.flavour.name;
        match names.iter().find(|(_, there)| *there) {
            Some((name, _)) => {
                Err(invalid(format!("a provider of the kind {kind} takes no {name}")))
            }
            None => Ok(()),
        }
    }
}

/// Puts a value into an object, if there is one.
fn put(body: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), value.into());
    }
}

/// Finds the path of OpenAI's API; at Azure the deployment's name may stand in it.
fn openai_path(provider: &Provider, model: &str, path: &str) -> String {
    let Some(base) = provider.endpoints.first().filter(|_| provider.flavour.quirks.deployments)
    else {
        return format!("/{path}");
    };
    let base = base.base.path();
    if is_newer_azure(provider) {
        return format!("/{path}");
    }
    let deployment = if base.contains("/deployments/") {
        String::new()
    } else {
        format!("/deployments/{}", encode(model))
    };
    versioned(provider, &format!("{deployment}/{path}"))
}

/// Tells whether it is the API of Azure that has neither deployments in paths nor versions of
/// dates. All endpoints of a provider have the same.
fn is_newer_azure(provider: &Provider) -> bool {
    let first = provider.endpoints.first().filter(|_| provider.flavour.quirks.deployments);
    first.is_some_and(|endpoint| endpoint.base.path().ends_with("/v1"))
}

/// Puts the version of the API behind a path, where there is one.
fn versioned(provider: &Provider, path: &str) -> String {
    match provider.api_version.as_ref().filter(|_| !is_newer_azure(provider)) {
        Some(version) => format!("{path}?api-version={version}"),
        None => path.to_owned(),
    }
}

/// Percent-encodes a segment of a path.
fn encode(segment: &str) -> String {
    let mut encoded = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        // Dots alone would be a step up.
        let dots = byte == b'.' && segment.bytes().all(|byte| byte == b'.');
        if byte.is_ascii_alphanumeric() || (b"-._~".contains(&byte) && !dots) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn no_model(provider: &Provider, option: &str) -> Failure {
    let name = &provider.name;
    invalid(format!("no model is named, neither by the call nor by \"{option}\" of \"{name}\""))
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, message)
}

/// Makes a system prompt that is a message.
fn system(text: &str) -> Value {
    object(vec![("role", "system".into()), ("content", text.into())])
}

/// Makes a part of a message that is a text.
fn text_block(kind: &str, text: &str) -> Value {
    object(vec![("type", kind.into()), ("text", text.into())])
}

/// Makes what OpenAI and those who follow it take for a tool.
fn tool(tool: &crate::chat::Tool) -> Value {
    of_function(Value::Object(function(tool)))
}

fn of_function(function: Value) -> Value {
    object(vec![("type", "function".into()), ("function", function)])
}

/// Describes a tool.
fn function(tool: &crate::chat::Tool) -> Map<String, Value> {
    let mut function = Map::new();
    put(&mut function, "name", Some(tool.name.as_str()));
    put(&mut function, "description", tool.description.clone());
    function.insert("parameters".to_owned(), tool.parameters.clone());
    function
}

/// Reads the arguments of a call for a provider that takes them as an object.
fn arguments(call: &crate::chat::ToolCall) -> Result<Value, Failure> {
    if call.arguments.trim().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let value = parse(call.arguments.as_bytes()).filter(Value::is_object);
    let wrong = || invalid(format!("the arguments of the call \"{}\" are no JSON object", call.id));
    value.ok_or_else(wrong)
}
