use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use edgepool::{AcquireError, Clock};

use super::alerts::Alerts;
use super::drive::{Drive, Start, begin, closed};
use super::gate::Pass;
use super::hub::Hub;
use super::seat::Home;
use super::{ChatStream, Core, HttpAnswer};
use crate::answer::{self, Embeddings};
use crate::bucket::Need;
use crate::call::CallOptions;
use crate::chat::{Answer, ChatRequest};
use crate::endpoint::Check;
use crate::exchange::{Kind, Outgoing, Output};
use crate::failure::{Class, Failure, Timer};
use crate::provider::Provider;
use crate::request::{self, EmbedRequest};
use crate::stats::ServiceStats;
use crate::transport::{HttpRequest, Transport};
use crate::url::BaseUrl;

/// A provider as a client pool has it.
pub(super) struct Entry<C: Clock> {
    pub(super) provider: Arc<Provider>,
    pub(super) hub: Arc<Hub<C>>,
    pub(super) alerts: Option<Alerts>,
}

/// The client of one provider. Clones share what it has, but for the place of a [`ClientLease`].
///
/// Each call waits for a place, is sent, and is sent again where that is right; see
/// [`call`](crate::call). A call that fails tells how by a [`Failure`].
///
/// # Cancel safety
///
/// Dropping the future of a call leaves the queue or breaks the request off, and gives the place
/// back.
pub struct Client<T: Transport, C: Clock> {
    pub(super) core: Arc<Core<T>>,
    pub(super) entry: Arc<Entry<C>>,
    pub(super) home: Option<Arc<Home<C>>>,
}

/// Calls.
impl<T: Transport, C: Clock> Client<T, C> {
    /// Asks a model, and waits for the whole answer.
    ///
    /// # Errors
    ///
    /// How the call failed.
    pub async fn chat(&self, chat: &ChatRequest) -> Result<Answer, Failure> {
        self.chat_within(chat, None).await
    }

    /// Asks a model for an answer in pieces, and waits for its first content.
    ///
    /// # Errors
    ///
    /// How the call failed before that; what fails later is told by the stream.
    pub async fn stream(&self, chat: &ChatRequest) -> Result<ChatStream<T, C>, Failure> {
        self.stream_within(chat, None).await
    }

    /// Makes the embedding of a text.
    ///
    /// # Errors
    ///
    /// How the call failed.
    pub async fn embed(&self, text: &str) -> Result<Vec<f32>, Failure> {
        let embeddings = self.embed_all([text]).await?;
        let first = embeddings.vectors.into_iter().next();
        first.ok_or_else(|| Failure::new(Class::Malformed, "no embedding came"))
    }

    /// Makes the embeddings of texts, in their order, by as many calls as the provider needs, one
    /// after the other.
    ///
    /// # Errors
    ///
    /// How a call failed; what the others brought is lost.
    pub async fn embed_all<S: Into<String>>(
        &self,
        texts: impl IntoIterator<Item = S>,
    ) -> Result<Embeddings, Failure> {
        let inputs = texts.into_iter().map(Into::into).collect();
        self.embeddings(&EmbedRequest { inputs, ..EmbedRequest::default() }).await
    }

    /// As [`embed_all`](Self::embed_all), with everything that can be said about it.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn embeddings(&self, asked: &EmbedRequest) -> Result<Embeddings, Failure> {
        self.embeddings_within(asked, None).await
    }

    /// Lists the provider's models.
    ///
    /// # Errors
    ///
    /// How the call failed.
    pub async fn models(&self) -> Result<Vec<String>, Failure> {
        let outgoing = request::models(self.provider())?.into();
        match self.run(outgoing, Kind::Models, self.options()).await?.take_output() {
            Some(Output::Models(models)) => Ok(models),
            _ => Err(nothing()),
        }
    }

    /// Sends a request as it is, and waits for the first of its answer's body. Its URL is a path
    /// below the provider's base, or one of its origin. The provider's key and headers are set,
    /// unless the caller sends a key of its own and that is allowed.
    ///
    /// Only what may happen twice is sent again: requests of the methods `GET`, `HEAD`, `OPTIONS`,
    /// `PUT` and `DELETE`.
    ///
    /// # Errors
    ///
    /// How the call failed, to which belongs any status of 400 and more.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpAnswer<T, C>, Failure> {
        let mut options = self.options();
        let twice = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];
        if !twice.contains(&&request.method[..]) {
            (options.retries, options.hedge_after) = (0, None);
        }
        let outgoing = Outgoing::of_caller(self.provider(), request)?;
        Ok(HttpAnswer::new(self.run(outgoing, Kind::Http, options).await?))
    }

    /// Asks each endpoint whether it is alive, on an address that costs nothing, one after the other
    /// and outside of the queue; each has 5 s, or as the provider's checks say.
    ///
    /// # Errors
    ///
    /// What each of those that are not alive said.
    pub async fn probe(&self) -> Result<(), Failure> {
        let mut told = Vec::new();
        for base in &self.entry.hub.bases {
            if let Err(failure) = self.probe_one(base).await {
                told.push(format!("{base}: {failure}"));
            }
        }
        if told.is_empty() {
            return Ok(());
        }
        Err(Failure::new(Class::Network, told.join("; ")))
    }
}

/// Getters.
impl<T: Transport, C: Clock> Client<T, C> {
    /// Returns the provider.
    #[must_use]
    pub fn provider(&self) -> &Provider {
        &self.entry.provider
    }

    /// Tells how the service stands, with the calls of all who share it.
    #[must_use]
    pub fn stats(&self) -> ServiceStats {
        let now = self.entry.hub.now();
        self.entry.hub.lock().stats(now)
    }
}

/// How calls are made.
impl<T: Transport, C: Clock> Client<T, C> {
    pub(super) async fn chat_within(
        &self,
        chat: &ChatRequest,
        left: Option<Duration>,
    ) -> Result<Answer, Failure> {
        let outgoing = request::chat(self.provider(), chat, false)?.into();
        let mut options = self.chat_options(chat, left);
        options.timeouts = options.timeouts.of_whole_answer();
        match self.run(outgoing, Kind::Chat, options).await?.take_output() {
            Some(Output::Answer(answer)) => Ok(answer),
            _ => Err(nothing()),
        }
    }

    pub(super) async fn stream_within(
        &self,
        chat: &ChatRequest,
        left: Option<Duration>,
    ) -> Result<ChatStream<T, C>, Failure> {
        let outgoing = request::chat(self.provider(), chat, true)?.into();
        let options = self.chat_options(chat, left);
        Ok(ChatStream::new(self.run(outgoing, Kind::Stream, options).await?))
    }

    pub(super) async fn embeddings_within(
        &self,
        asked: &EmbedRequest,
        left: Option<Duration>,
    ) -> Result<Embeddings, Failure> {
        let provider = self.provider();
        let dimensions = asked.dimensions.or(provider.dimensions);
        let mut all = Embeddings::default();
        for inputs in asked.batches(provider) {
            let outgoing = request::embeddings(provider, asked, inputs)?.into();
            let kind = Kind::Embeddings { count: inputs.len(), dimensions };
            let options = within(self.options(), left);
            match self.run(outgoing, kind, options).await?.take_output() {
                Some(Output::Embeddings(batch)) => all.append(batch)?,
                _ => return Err(nothing()),
            }
        }
        Ok(all)
    }

    fn options(&self) -> CallOptions {
        let timeouts = self.provider().timeouts;
        CallOptions { timeouts, ..CallOptions::of(&self.entry.hub.lock()) }
    }

    fn chat_options(&self, chat: &ChatRequest, left: Option<Duration>) -> CallOptions {
        let usual = self.provider().parameters.max_tokens;
        let most = chat.parameters.max_tokens.or(usual);
        let need = Need { input_tokens: 0, output_tokens: most.unwrap_or(0) };
        CallOptions { need, ..within(self.options(), left) }
    }

    async fn run(
        &self,
        outgoing: Outgoing,
        kind: Kind,
        options: CallOptions,
    ) -> Result<Drive<T, C>, Failure> {
        let pass = self.core.gate.enter().ok_or_else(closed)?;
        let core = Arc::clone(&self.core);
        let Entry { provider, hub, alerts } = &*self.entry;
        let (provider, hub) = (Arc::clone(provider), Arc::clone(hub));
        let (home, alerts) = (self.home.clone(), alerts.clone());
        begin(Start { core, hub, provider, home, pass, outgoing, kind, options, alerts }).await
    }

    /// Acquires a place for as long as the caller wants.
    pub(super) async fn settle(&self) -> Result<(Arc<Home<C>>, Pass), Failure> {
        let pass = self.core.gate.enter().ok_or_else(closed)?;
        let hub = &self.entry.hub;
        hub.resize();
        let mut acquire = hub.pool.acquire().timeout(self.provider().timeouts.acquire);
        let acquired = poll_fn(|cx| {
            if pass.is_closed(cx.waker()) {
                return Poll::Ready(Err(closed()));
            }
            Pin::new(&mut acquire).poll(cx).map_err(|error| self.refusal(&error))
        });
        let home = Arc::new(Home::new(acquired.await?));
        Ok((home, pass))
    }

    fn refusal(&self, error: &AcquireError<std::convert::Infallible>) -> Failure {
        match error {
            AcquireError::Closed => closed(),
            AcquireError::TimedOut(_) => self.provider().timeouts.failure(Timer::Acquire),
            error => Failure::new(Class::Refused, error.to_string()),
        }
    }

    /// Makes a check, and tells the service of it.
    pub(super) async fn check(self, check: Check) {
        let hub = &self.entry.hub;
        let result = match hub.bases.get(check.endpoint) {
            Some(base) => self.probe_one(base).await,
            None => return,
        };
        let now = hub.now();
        hub.lock().checked(check, result, now);
        hub.resize();
        // Who waits for another endpoint, or for none to be paused, may go on at this one.
        self.core.gate.stir();
    }

    async fn probe_one(&self, base: &BaseUrl) -> Result<(), Failure> {
        let (provider, hub) = (self.provider(), &self.entry.hub);
        let outgoing = Outgoing::from(request::probe(provider));
        let request = outgoing.to(base)?;
        let timeout = provider.policy.checks.unwrap_or_default().timeout;
        let mut sending = pin!(self.core.transport.send(request));
        let mut alarm = pin!(hub.clock.alarm(hub.now().saturating_add(timeout)));
        let late = || {
            let message = format!("no answer came in {timeout:?}");
            Failure::new(Class::Timeout(Timer::Headers), message)
        };
        let answered = poll_fn(|cx| match sending.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(answer.map_err(Into::into)),
            Poll::Pending => alarm.as_mut().poll(cx).map(|()| Err(late())),
        });
        let response = answered.await?;
        if answer::probe(provider.flavour, response.status) {
            return Ok(());
        }
        let (keys, wall) = (provider.secrets().cloned().collect::<Vec<_>>(), (self.core.wall)());
        Err(Failure::of_answer(response.status, &response.headers(), &[], wall, &keys))
    }
}

/// A call of a chain has no more time than what is left of the whole.
fn within(mut options: CallOptions, left: Option<Duration>) -> CallOptions {
    let total = &mut options.timeouts.total;
    *total = match (*total, left) {
        (Some(total), Some(left)) => Some(total.min(left)),
        (total, left) => total.or(left),
    };
    options
}

fn nothing() -> Failure {
    Failure::new(Class::Malformed, "the answer is of another kind")
}

impl<T: Transport, C: Clock> Clone for Client<T, C> {
    fn clone(&self) -> Self {
        let (core, entry) = (Arc::clone(&self.core), Arc::clone(&self.entry));
        Self { core, entry, home: None }
    }
}

impl<T: Transport, C: Clock> fmt::Debug for Client<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("provider", &self.provider().name).finish_non_exhaustive()
    }
}

/// A provider's client with a place of its own, which the first attempt of a call uses if no other
/// call has it. Dropped, it gives the place back, after the call that uses it.
#[must_use = "a lease that is dropped is released"]
pub struct ClientLease<T: Transport, C: Clock> {
    client: Client<T, C>,
    _pass: Pass,
}

impl<T: Transport, C: Clock> ClientLease<T, C> {
    pub(super) async fn acquire(client: Client<T, C>) -> Result<Self, Failure> {
        let (home, pass) = client.settle().await?;
        Ok(Self { client: Client { home: Some(home), ..client }, _pass: pass })
    }
}

impl<T: Transport, C: Clock> Deref for ClientLease<T, C> {
    type Target = Client<T, C>;

    fn deref(&self) -> &Client<T, C> {
        &self.client
    }
}

impl<T: Transport, C: Clock> fmt::Debug for ClientLease<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientLease").field(&self.client).finish()
    }
}
