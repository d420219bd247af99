//! What a call is to send.

use edgepool_llm::bucket::Need;
use edgepool_llm::call::CallOptions;
use edgepool_llm::chat::ChatRequest;
use edgepool_llm::dialect::Dialect;
use edgepool_llm::exchange::{HttpRequest, Kind, Outgoing, is_its_own};
use edgepool_llm::json::write;
use edgepool_llm::provider::Provider;
use edgepool_llm::request::{self, EmbedRequest};
use edgepool_llm::service::Service;
use edgepool_llm::{Secret, chat};
use serde_json::Value;

use crate::providers;
use crate::services::Shared;
use crate::state::parse;
use crate::thrown::Thrown;

/// Splits a request for embeddings into those of single calls, as a list in their order.
///
/// # Errors
///
/// Tells what is wrong with the request.
pub fn batches(provider: f64, request: &str) -> Result<String, Thrown> {
    let request = EmbedRequest::from_json(&parse(request)?)?;
    let Some(provider) = providers::find(provider) else { return Ok("[]".to_owned()) };
    let batch =
        |inputs: &[String]| EmbedRequest { inputs: inputs.to_vec(), ..request.clone() }.to_json();
    Ok(write(&request.batches(&provider).map(batch).collect()))
}

/// A request, and what its call is to be like.
pub(super) struct Asked {
    pub(super) kind: Kind,
    pub(super) outgoing: Outgoing,
    need: Need,
    /// Whether it must not be sent twice.
    pub(super) once: bool,
    /// Whether its answer takes as long as the model needs for all of it.
    whole: bool,
    /// Which retry of the caller's own it is.
    retried: u32,
}

impl Asked {
    pub(super) fn read(
        provider: &Provider,
        kind: u32,
        request: &Value,
        shared: &Shared,
    ) -> Result<Self, Thrown> {
        let asked = match kind {
            0 | 1 => Self::of_chat(provider, request, kind == 1)?,
            2 => Self::of_embeddings(provider, request)?,
            3 => Self::new(Kind::Models, request::models(provider)?.into()),
            _ => Self::of_caller(provider, request)?,
        };
        // A wrong address is told before anything is waited for.
        shared.bases.first().map_or(Ok(()), |base| asked.outgoing.to(base).map(drop))?;
        Ok(asked)
    }

    fn new(kind: Kind, outgoing: Outgoing) -> Self {
        Self { kind, outgoing, need: Need::default(), once: false, whole: false, retried: 0 }
    }

    fn of_chat(provider: &Provider, request: &Value, stream: bool) -> Result<Self, Thrown> {
        let chat: chat::ChatRequest = ChatRequest::from_json(request)?;
        let outgoing = request::chat(provider, &chat, stream)?.into();
        let most = chat.parameters.max_tokens.or(provider.parameters.max_tokens);
        let need = Need { input_tokens: 0, output_tokens: most.unwrap_or(0) };
        let kind = if stream { Kind::Stream } else { Kind::Chat };
        Ok(Self { need, whole: !stream, ..Self::new(kind, outgoing) })
    }

    fn of_embeddings(provider: &Provider, request: &Value) -> Result<Self, Thrown> {
        let asked = EmbedRequest::from_json(request)?;
        let outgoing = request::embeddings(provider, &asked, &asked.inputs)?.into();
        let dimensions = asked.dimensions.or(provider.dimensions);
        let kind = Kind::Embeddings { count: asked.inputs.len(), dimensions };
        Ok(Self::new(kind, outgoing))
    }

    fn of_caller(provider: &Provider, request: &Value) -> Result<Self, Thrown> {
        let text = |name: &str| {
            let text = request[name].as_str();
            text.ok_or_else(|| Thrown::request(name, "takes a text"))
        };
        let method = text("method")?;
        let mut made = HttpRequest::new(method.to_owned(), text("url")?);
        let none = Vec::new();
        for pair in request["headers"].as_array().unwrap_or(&none) {
            let (Some(name), Some(value)) = (pair[0].as_str(), pair[1].as_str()) else {
                return Err(Thrown::request("headers", "takes a list of names with values"));
            };
            if !is_its_own(name) {
                made.headers.push((name.to_ascii_lowercase().into(), Secret::new(value)));
            }
        }
        let count = made.headers.iter().find(|(name, _)| name == RETRIED);
        let retried = count.and_then(|(_, count)| count.expose().trim().parse().ok());
        let may_twice = provider.flavour.dialect != Dialect::Http || TWICE.contains(&method);
        Ok(Self {
            once: !may_twice || request["once"] == Value::Bool(true),
            whole: request["whole"] == Value::Bool(true),
            retried: retried.unwrap_or(0),
            ..Self::new(Kind::Http, Outgoing::of_caller(provider, made)?)
        })
    }

    pub(super) fn options(
        &self,
        provider: &Provider,
        service: &Service,
        options: &Value,
    ) -> Result<CallOptions, Thrown> {
        let mut usual = CallOptions { need: self.need, ..CallOptions::of(service) };
        usual.timeouts = provider.timeouts;
        usual.retried = self.retried;
        if self.whole {
            usual.timeouts = usual.timeouts.of_whole_answer();
        }
        if self.once {
            (usual.retries, usual.hedge_after) = (0, None);
        }
        Ok(CallOptions::from_json(options, usual)?)
    }
}

/// The header by which the official SDKs tell which retry of their own a request is.
const RETRIED: &str = "x-stainless-retry-count";

/// The methods of requests that may happen twice, whatever a service does.
const TWICE: [&str; 5] = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];
