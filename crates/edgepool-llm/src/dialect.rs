//! What providers speak, and how those that speak alike differ.
//!
//! A [`Dialect`] is a protocol; a [`Flavour`] is a provider's way with it, as data. The facts are
//! from the providers' public documents and the sources of their SDKs, named at each table.

mod flavours;

pub use flavours::FLAVOURS;

use crate::headers::LimitHeaders;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// OpenAI's chat completions and embeddings, which many providers speak.
    OpenAi,
    /// OpenAI's Responses.
    OpenAiResponses,
    /// Anthropic's messages.
    Anthropic,
    /// Ollama's own API.
    Ollama,
    /// Any service over HTTP.
    Http,
}

/// How a key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Auth {
    /// As `authorization: Bearer …`.
    Bearer,
    /// In a header of that name, as it is.
    Header(&'static str),
}

/// A variable of the environment that names a base URL, and what is put behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaseVariable {
    /// The variable.
    pub name: &'static str,
    /// The path that its SDK puts behind it.
    pub suffix: &'static str,
}

/// Where a free request tells whether an endpoint is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Probe {
    /// `GET` of a path below the base; success is alive.
    Base(&'static str),
    /// `GET` of a path of the origin; success is alive.
    Origin(&'static str),
    /// `HEAD` of the base; everything below 500 is alive.
    Head,
}

/// How a provider differs in what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quirks {
    /// It takes `stream_options`, without which it tells no usage at the end of a stream.
    pub stream_options: bool,
    /// The name that it has for the most tokens of an answer.
    pub max_tokens: &'static str,
    /// The name that it has for the seed.
    pub seed: &'static str,
    /// The name that it has for the length of embeddings.
    pub dimensions: &'static str,
    /// It sends embeddings as base64 if asked, a third of the bytes.
    pub base64: bool,
    /// The most texts of one request for embeddings.
    pub max_inputs: usize,
    /// The path of its models has the deployment's name in it, unless the base ends with `/v1`, and
    /// the query `api-version` is needed.
    pub deployments: bool,
}

/// A provider's way with a dialect.
#[derive(Debug, PartialEq, Eq)]
pub struct Flavour {
    /// The name of the kind, as it stands in configurations.
    pub name: &'static str,
    /// What it speaks.
    pub dialect: Dialect,
    /// Where it is, unless it is said.
    pub base_url: Option<&'static str>,
    /// The variables of the environment that name its base URL.
    pub base_variables: &'static [BaseVariable],
    /// The variables of the environment that hold its key.
    pub key_variables: &'static [&'static str],
    /// Headers that are sent if a variable of the environment holds a value: (header, variable).
    pub header_variables: &'static [(&'static str, &'static str)],
    /// Headers that are always sent.
    pub headers: &'static [(&'static str, &'static str)],
    /// The variable of the environment that holds the version of its API.
    pub version_variable: Option<&'static str>,
    /// How its key is sent.
    pub auth: Auth,
    /// Whether it answers nothing without a key.
    pub needs_key: bool,
    /// The headers that tell of its limits.
    pub limits: &'static [LimitHeaders],
    /// What tells whether it is alive and costs nothing.
    pub probe: Probe,
    /// How it differs in what it takes.
    pub quirks: Quirks,
}

impl Flavour {
    /// Finds a flavour by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        FLAVOURS.iter().find(|flavour| flavour.name == name)
    }

    /// Lists the names of all flavours.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FLAVOURS.iter().map(|flavour| flavour.name)
    }
}
