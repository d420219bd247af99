use serde_json::{Map, Value};

use super::{Request, invalid, no_model, openai_path, put};
use crate::dialect::Dialect;
use crate::failure::Failure;
use crate::provider::Provider;

/// Texts of which embeddings are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmbedRequest {
    /// The model, unless it is the provider's own.
    pub model: Option<String>,
    /// The texts.
    pub inputs: Vec<String>,
    /// How long the embeddings are to be, unless the provider's own setting says so.
    pub dimensions: Option<usize>,
    /// Fields of the provider's own API, sent as they are. They come before all others.
    pub extra: Map<String, Value>,
}

impl EmbedRequest {
    /// Splits it into requests of as many texts as the provider takes at once, in order: at most
    /// so many, and 300,000 bytes unless a single one is longer.
    pub fn batches<'a>(&'a self, provider: &Provider) -> impl Iterator<Item = &'a [String]> {
        let most = provider.flavour.quirks.max_inputs.max(1);
        let mut rest = &self.inputs[..];
        core::iter::from_fn(move || {
            let (batch, after) = rest.split_at(first_batch(rest, most));
            rest = after;
            (!batch.is_empty()).then_some(batch)
        })
    }
}

/// The most bytes of the texts of one request. OpenAI ("Create embeddings") takes at most 300,000
/// tokens in all of them, and a token has at least a byte.
const MAX_BYTES: usize = 300_000;

/// Returns how many of the texts make the first request, of `most` at most.
fn first_batch(inputs: &[String], most: usize) -> usize {
    let mut bytes = 0_usize;
    let fits = |input: &&String| {
        bytes = bytes.saturating_add(input.len());
        bytes <= MAX_BYTES
    };
    let count = inputs.iter().take(most).take_while(fits).count();
    count.max(1).min(inputs.len())
}

/// Makes the request for the embeddings of some of the texts; see [`EmbedRequest::batches`].
///
/// # Errors
///
/// When the provider's kind has no embeddings, no model is named, or there is no text.
pub fn embeddings(
    provider: &Provider,
    request: &EmbedRequest,
    inputs: &[String],
) -> Result<Request, Failure> {
    let flavour = provider.flavour;
    if inputs.is_empty() {
        return Err(invalid("embeddings take at least one text"));
    }
    let model = request.model.as_deref().or(provider.embedding_model.as_deref());
    let model = model.ok_or_else(|| no_model(provider, "embeddingModel"))?;
    let dimensions = request.dimensions.or(provider.dimensions);
    let mut body = Map::new();
    put(&mut body, "model", Some(model));
    put(&mut body, "input", Some(inputs));
    let path = match flavour.dialect {
        Dialect::OpenAi | Dialect::OpenAiResponses => {
            put(&mut body, flavour.quirks.dimensions, dimensions);
            put(&mut body, "encoding_format", flavour.quirks.base64.then_some("base64"));
            openai_path(provider, model, "embeddings")
        }
        Dialect::Ollama => {
            put(&mut body, "dimensions", dimensions);
            "/api/embed".to_owned()
        }
        Dialect::Anthropic | Dialect::Http => {
            let kind = flavour.name;
            return Err(invalid(format!("a provider of the kind {kind} has no embeddings")));
        }
    };
    body.extend(request.extra.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(Request::post(provider, path, &Value::Object(body), false))
}
