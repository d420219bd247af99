//! What a provider is, from code, from a configuration or from the environment.

mod environment;
mod json;

pub use environment::from_environment;
pub(crate) use json::parameters;
pub use json::{Lookup, from_json};

use core::fmt;
use core::time::Duration;

use crate::chat::Parameters;
use crate::clocks::Timeouts;
use crate::dialect::{Dialect, Flavour};
use crate::identity::Identity;
use crate::secret::Secret;
use crate::service::Policy;
use crate::url::BaseUrl;

/// One address of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it is.
    pub base: BaseUrl,
    /// Its share of the calls beside the others; at least 1.
    pub weight: u32,
}

/// What a refusal of the pool's own becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnRefusal {
    /// A response with the envelope of an error.
    Respond,
    /// An error that is thrown.
    Throw,
}

/// A named service. Made by [`Provider::builder`], [`from_json`] or [`from_environment`], which
/// check it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Provider {
    /// Its name among others.
    pub name: String,
    /// What it speaks, and how.
    pub flavour: &'static Flavour,
    /// Where it is; at least one.
    pub endpoints: Vec<Endpoint>,
    /// What requests are sent with.
    pub key: Option<Secret>,
    /// Headers of the caller's own.
    pub headers: Vec<(String, Secret)>,
    /// The version of its API, for kinds that take one.
    pub api_version: Option<String>,
    /// The model of chats that name none.
    pub model: Option<String>,
    /// The model of embeddings that name none.
    pub embedding_model: Option<String>,
    /// How long embeddings are to be; asked for, and checked.
    pub dimensions: Option<usize>,
    /// How answers are made that say nothing else.
    pub parameters: Parameters,
    /// The most requests at once, to the end of their bodies.
    pub max: u32,
    /// The most calls that wait.
    pub max_waiting: u32,
    /// How long the parts of a call may take.
    pub timeouts: Timeouts,
    /// By which rules its endpoints are chosen, limited and called again.
    pub policy: Policy,
    /// Whether a caller's own key is sent if it has one.
    pub pass_client_key: bool,
    /// What a refusal becomes.
    pub on_refusal: OnRefusal,
}

/// The longest name of a provider.
const MAX_NAME: usize = 64;
const MAX: u32 = 65_535;
const MAX_BY_DEFAULT: u32 = 10;
const MAX_WAITING: u32 = 500_000;
const MAX_WEIGHT: u32 = 1_000;
const MAX_ENDPOINTS: usize = 256;

impl Provider {
    /// Begins a provider of a kind, by the kind's name (see
    /// [`FLAVOURS`](crate::dialect::FLAVOURS)).
    pub fn builder(name: impl Into<String>, kind: &str) -> Builder {
        let draft = Draft { name: name.into(), kind: kind.to_owned(), ..Draft::default() };
        Builder { draft }
    }

    /// Returns the name of its kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        self.flavour.name
    }

    /// Tells whether it answers nothing without a key.
    #[must_use]
    pub const fn needs_key(&self) -> bool {
        self.flavour.needs_key
    }

    /// Tells whether all of its endpoints are on this machine or its own network.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.endpoints.iter().all(|endpoint| endpoint.base.is_local())
    }

    /// Returns what a pool is shared by.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let bases = self.endpoints.iter().map(|endpoint| endpoint.base.clone());
        // A header may be what the provider tells its customers apart by.
        let key = self.key.iter().map(|key| ("", key));
        let headers = self.headers.iter().map(|(name, value)| (&name[..], value));
        Identity::new(self.flavour.name, bases, key.chain(headers))
    }

    /// Returns the secrets that no text may show.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.key.iter().chain(self.headers.iter().map(|(_, value)| value))
    }
}

/// Why a provider is not taken. Keys and addresses are not repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionError {
    /// The provider.
    pub provider: String,
    /// The option by its whole path, as it is named in configurations: `retry.budget.percent`.
    pub option: String,
    /// What is accepted.
    pub message: String,
}

impl OptionError {
    fn new(provider: &str, option: &str, message: impl Into<String>) -> Self {
        Self { provider: provider.to_owned(), option: option.to_owned(), message: message.into() }
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { provider, option, message } = self;
        write!(f, "provider \"{provider}\": \"{option}\" {message}")
    }
}

impl core::error::Error for OptionError {}

/// What was said of a provider, unchecked.
#[derive(Clone, Default)]
struct Draft {
    name: String,
    kind: String,
    endpoints: Vec<(String, u32)>,
    key: Option<Secret>,
    headers: Vec<(String, Secret)>,
    api_version: Option<String>,
    model: Option<String>,
    embedding_model: Option<String>,
    dimensions: Option<usize>,
    parameters: Parameters,
    max: Option<u32>,
    max_waiting: Option<u32>,
    timeouts: Timeouts,
    policy: Policy,
    pass_client_key: Option<bool>,
    on_refusal: Option<OnRefusal>,
}

/// Makes a [`Provider`]. Setters may come in any order, and the last word counts.
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    draft: Draft,
}

/// Shows no address, as one may have a key in it until it is checked.
impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Draft { name, kind, .. } = &self.draft;
        f.debug_struct("Builder").field("name", name).field("kind", kind).finish_non_exhaustive()
    }
}

impl Builder {
    /// Sets its only base URL. The default is the kind's own, if it has one.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.draft.endpoints = vec![(url.into(), 1)];
        self
    }

    /// Sets its endpoints: base URLs with their weights, from 1 to 1,000.
    pub fn endpoints<U: Into<String>>(
        mut self,
        endpoints: impl IntoIterator<Item = (U, u32)>,
    ) -> Self {
        let own = endpoints.into_iter().map(|(url, weight)| (url.into(), weight));
        self.draft.endpoints = own.collect();
        self
    }

    /// Sets the key that requests are sent with.
    pub fn key(mut self, key: Secret) -> Self {
        self.draft.key = Some(key);
        self
    }

    /// Adds a header to every request, or replaces it.
    pub fn header(mut self, name: impl Into<String>, value: Secret) -> Self {
        let name = name.into().to_ascii_lowercase();
        self.draft.headers.retain(|(known, _)| *known != name);
        self.draft.headers.push((name, value));
        self
    }

    /// Sets the version of its API, for kinds that take one.
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.draft.api_version = Some(version.into());
        self
    }

    /// Sets the model of chats that name none.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.draft.model = Some(model.into());
        self
    }

    /// Sets the model of embeddings that name none.
    pub fn embedding_model(mut self, model: impl Into<String>) -> Self {
        self.draft.embedding_model = Some(model.into());
        self
    }

    /// Sets how long embeddings are to be. Others are an error.
    pub fn dimensions(mut self, dimensions: usize) -> Self {
        self.draft.dimensions = Some(dimensions);
        self
    }

    /// Sets how answers are made that say nothing else.
    pub fn parameters(mut self, parameters: Parameters) -> Self {
        self.draft.parameters = parameters;
        self
    }

    /// Sets the most requests at once, from 1 to 65,535. The default is 10.
    pub fn max(mut self, max: u32) -> Self {
        self.draft.max = Some(max);
        self
    }

    /// Sets the most calls that wait, up to 500,000. The default is 1,000.
    pub fn max_waiting(mut self, max_waiting: u32) -> Self {
        self.draft.max_waiting = Some(max_waiting);
        self
    }

    /// Sets how long the parts of a call may take.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.draft.timeouts = timeouts;
        self
    }

    /// Sets by which rules its endpoints are chosen, limited and called again.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.draft.policy = policy;
        self
    }

    /// Sets whether a caller's own key is sent if it has one. The default is yes if there is no
    /// key.
    pub fn pass_client_key(mut self, pass: bool) -> Self {
        self.draft.pass_client_key = Some(pass);
        self
    }

    /// Sets what a refusal becomes. The default is to respond for the dialects of OpenAI and
    /// Anthropic, whose SDKs try again what is thrown, else to throw.
    pub fn on_refusal(mut self, on_refusal: OnRefusal) -> Self {
        self.draft.on_refusal = Some(on_refusal);
        self
    }

    /// Checks everything, and makes the provider.
    ///
    /// # Errors
    ///
    /// Names the option that is wrong, and what is accepted.
    pub fn build(self) -> Result<Provider, OptionError> {
        self.draft.build()
    }
}

impl Draft {
    fn wrong(&self, option: &str, message: impl Into<String>) -> OptionError {
        OptionError::new(&self.name, option, message)
    }

    fn build(mut self) -> Result<Provider, OptionError> {
        if self.name.is_empty() || self.name.len() > MAX_NAME {
            return Err(self.wrong("name", "takes 1 to 64 bytes"));
        }
        let flavour = Flavour::named(&self.kind).ok_or_else(|| {
            let kinds: Vec<_> = Flavour::names().collect();
            self.wrong("kind", format!("takes one of {}", kinds.join(", ")))
        })?;
        let endpoints = self.check_endpoints(flavour)?;
        self.check_secrets(flavour)?;
        self.check_version(flavour, &endpoints)?;
        self.check_numbers()?;
        let sdk = !matches!(flavour.dialect, Dialect::Ollama | Dialect::Http);
        let usual = if sdk { OnRefusal::Respond } else { OnRefusal::Throw };
        let pass_client_key = self.pass_client_key.unwrap_or_else(|| self.key.is_none());
        Ok(Provider {
            flavour,
            endpoints,
            pass_client_key,
            name: core::mem::take(&mut self.name),
            key: self.key,
            headers: self.headers,
            api_version: self.api_version,
            model: self.model,
            embedding_model: self.embedding_model,
            dimensions: self.dimensions,
            parameters: self.parameters,
            max: self.max.unwrap_or(MAX_BY_DEFAULT),
            max_waiting: self.max_waiting.unwrap_or(1_000),
            timeouts: self.timeouts,
            policy: self.policy,
            on_refusal: self.on_refusal.unwrap_or(usual),
        })
    }

    fn check_endpoints(&self, flavour: &Flavour) -> Result<Vec<Endpoint>, OptionError> {
        let usual = flavour.base_url.map(|url| (url.to_owned(), 1));
        let said = if self.endpoints.is_empty() { usual.as_slice() } else { &self.endpoints };
        if said.is_empty() {
            return Err(self.wrong("baseURL", "is needed, as this kind has no address of its own"));
        }
        if said.len() > MAX_ENDPOINTS {
            return Err(self.wrong("endpoints", format!("takes at most {MAX_ENDPOINTS}")));
        }
        let mut endpoints: Vec<Endpoint> = Vec::with_capacity(said.len());
        for (index, (url, weight)) in said.iter().enumerate() {
            let base = self.base(index, url)?;
            if !(1..=MAX_WEIGHT).contains(weight) {
                let option = format!("endpoints[{index}].weight");
                return Err(self.wrong(&option, format!("takes 1 to {MAX_WEIGHT}")));
            }
            if endpoints.iter().any(|known| known.base == base) {
                return Err(self.wrong("endpoints", "names an address twice"));
            }
            endpoints.push(Endpoint { base, weight: *weight });
        }
        // Paths are made once for all of them.
        let shape = |it: &Endpoint| {
            let path = it.base.path();
            (path.ends_with("/v1"), path.contains("/deployments/"))
        };
        if flavour.quirks.deployments
            && endpoints.iter().any(|it| shape(it) != shape(&endpoints[0]))
        {
            let message = "takes addresses of one kind: with /v1, with a deployment, or neither";
            return Err(self.wrong("endpoints", message));
        }
        Ok(endpoints)
    }

    fn base(&self, index: usize, url: &str) -> Result<BaseUrl, OptionError> {
        let is_of_list = self.endpoints.len() > 1;
        let at = if is_of_list { format!("endpoints[{index}].") } else { String::new() };
        let wrong = |error| self.wrong(&(at + "baseURL"), format!("is wrong: {error}"));
        BaseUrl::parse(url).map_err(wrong)
    }

    fn check_secrets(&self, flavour: &Flavour) -> Result<(), OptionError> {
        let visible = |byte: u8| byte.is_ascii_graphic();
        match &self.key {
            Some(key) if key.expose().is_empty() || !key.expose().bytes().all(visible) => {
                return Err(self.wrong("apiKey", "takes printable characters without spaces"));
            }
            // A server of one's own at another address may speak the same and want no key.
            None if flavour.needs_key
                && self.pass_client_key == Some(false)
                && self.endpoints.is_empty() =>
            {
                let names = flavour.key_variables.join(" or ");
                return Err(self.wrong("apiKey", format!("is needed; its variable is {names}")));
            }
            _ => {}
        }
        for (name, value) in &self.headers {
            let token =
                |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            let printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
            if name.is_empty() || !name.bytes().all(token) || !value.expose().bytes().all(printable)
            {
                return Err(self.wrong("headers", "takes names and printable values of HTTP"));
            }
            if ["host", "content-length", "transfer-encoding", "connection"].contains(&&name[..]) {
                return Err(self.wrong("headers", format!("must not set {name}")));
            }
        }
        Ok(())
    }

    fn check_version(&self, flavour: &Flavour, at: &[Endpoint]) -> Result<(), OptionError> {
        let old = |endpoint: &Endpoint| !endpoint.base.path().ends_with("/v1");
        match &self.api_version {
            None if flavour.quirks.deployments && at.iter().any(old) => {
                let variable = flavour.version_variable.unwrap_or_default();
                let text =
                    format!("is needed unless baseURL ends with /v1; its variable is {variable}");
                Err(self.wrong("apiVersion", text))
            }
            Some(_) if !flavour.quirks.deployments => {
                Err(self.wrong("apiVersion", format!("is not an option of {}", flavour.name)))
            }
            Some(version) if !version.bytes().all(is_of_version) || version.is_empty() => {
                Err(self.wrong("apiVersion", "takes letters, digits, dots and dashes"))
            }
            _ => Ok(()),
        }
    }

    fn check_numbers(&self) -> Result<(), OptionError> {
        if self.max.is_some_and(|max| !(1..=MAX).contains(&max)) {
            return Err(self.wrong("max", format!("takes 1 to {MAX}")));
        }
        if self.max_waiting.is_some_and(|waiting| waiting > MAX_WAITING) {
            return Err(self.wrong("maxWaiting", format!("takes 0 to {MAX_WAITING}")));
        }
        if self.dimensions == Some(0) {
            return Err(self.wrong("dimensions", "takes at least 1"));
        }
        let Timeouts { acquire: _, headers, first_content, between_content, total } = self.timeouts;
        let times = [
            ("headersTimeout", headers),
            ("firstContentTimeout", first_content),
            ("stallTimeout", between_content),
            ("totalTimeout", total),
        ];
        for (name, time) in times {
            if time.is_some_and(|time| time == Duration::ZERO) {
                return Err(self.wrong(name, "takes more than 0"));
            }
        }
        if let Some((option, message)) = self.policy.wrong() {
            return Err(self.wrong(option, message));
        }
        match self.parameters.not_finite() {
            Some(name) => Err(self.wrong(&format!("parameters.{name}"), "takes a finite number")),
            None => Ok(()),
        }
    }
}

fn is_of_version(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.".contains(&byte)
}
