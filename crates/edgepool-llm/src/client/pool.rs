use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use edgepool::{Clock, Time};

use super::alerts::{Alerts, OnAlert};
use super::gate::Gate;
use super::hub::Hub;
use super::registry::{Member, Registry, ShareError};
use super::single::{Client, ClientLease, Entry};
use super::{ChatStream, Core, HttpAnswer, driver};
use crate::answer::Embeddings;
use crate::call::{FallbackChain, Next};
use crate::chat::{Answer, ChatRequest};
use crate::failure::{Class, Failure};
use crate::provider::{self, Provider};
use crate::stats::{Alert, ServiceStats};
use crate::transport::{HttpRequest, Transport};

/// Providers by their names. Clones share them.
pub struct ClientPool<T: Transport, C: Clock>(Arc<Inner<T, C>>);

pub(super) struct Inner<T: Transport, C: Clock> {
    core: Arc<Core<T>>,
    clock: C,
    registry: Registry<C>,
    pool_name: Option<String>,
    seed: u64,
    defaults: Defaults,
    entries: Mutex<BTreeMap<String, Listed<C>>>,
}

/// A provider, and its use of what it shares.
struct Listed<C: Clock> {
    entry: Arc<Entry<C>>,
    _member: Member<C>,
}

type Defaults = Box<dyn Fn(provider::Builder) -> provider::Builder + Send + Sync>;

/// Sets a [`ClientPool`] up.
#[must_use = "a builder makes nothing until `build`"]
pub struct Builder<T: Transport, C: Clock> {
    transport: T,
    clock: C,
    wall: fn() -> Duration,
    registry: Registry<C>,
    pool_name: Option<String>,
    seed: Option<u64>,
    defaults: Defaults,
    on_alert: Option<OnAlert>,
}

impl<T: Transport, C: Clock + Clone> Builder<T, C> {
    /// Shares services with whoever has the same registry. By default they are shared with nobody.
    pub fn registry(mut self, registry: &Registry<C>) -> Self {
        self.registry = registry.clone();
        self
    }

    /// Shares services only with those who say the same name: what has one is separate on purpose.
    /// By default there is none.
    pub fn pool_name(mut self, name: impl Into<String>) -> Self {
        self.pool_name = Some(name.into());
        self
    }

    /// Sets what providers have that say nothing else; see [`ClientPool::provider`].
    pub fn defaults(
        mut self,
        defaults: impl Fn(provider::Builder) -> provider::Builder + Send + Sync + 'static,
    ) -> Self {
        self.defaults = Box::new(defaults);
        self
    }

    /// Sets who is told when a provider has less room than its callers need, by the provider's name:
    /// somebody waited at any time for the policy's `alert_after`, or a call was refused; and with
    /// `None` when that has passed, as the next call sees it.
    pub fn on_alert(
        mut self,
        observer: impl Fn(&str, Option<&Alert>) + Send + Sync + 'static,
    ) -> Self {
        self.on_alert = Some(Arc::new(observer));
        self
    }

    /// Sets what back-offs and choices between endpoints are drawn from, at the services that this
    /// pool makes. By default it is drawn at random.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Makes the pool, without a provider.
    pub fn build(self) -> ClientPool<T, C> {
        let Self { transport, clock, wall, registry, pool_name, seed, defaults, on_alert } = self;
        let core = Arc::new(Core { transport, wall, gate: Arc::default(), on_alert });
        let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(0_u8));
        let entries = Mutex::default();
        ClientPool(Arc::new(Inner { core, clock, registry, pool_name, seed, defaults, entries }))
    }
}

impl<T: Transport, C: Clock> fmt::Debug for Builder<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("pool_name", &self.pool_name).finish_non_exhaustive()
    }
}

/// Why a client pool's call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientError {
    /// No provider has that name.
    UnknownProvider {
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The client pool is closed.
    Closed,
    /// The call failed.
    Failed(Failure),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownProvider { name, known } if known.is_empty() => {
                write!(f, "no provider is named \"{name}\"; there is none yet")
            }
            Self::UnknownProvider { name, known } => {
                write!(f, "no provider is named \"{name}\"; there are {}", known.join(", "))
            }
            Self::Closed => f.write_str("the client pool is closed"),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::UnknownProvider { .. } | Self::Closed => None,
        }
    }
}

impl From<Failure> for ClientError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Not every call of a client pool has ended in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainError {
    /// How many are under way, or kept as leases.
    pub left: u32,
}

impl fmt::Display for DrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the client pool is closed and {} calls have not ended", self.left)
    }
}

impl Error for DrainError {}

/// How it is made.
impl<T: Transport, C: Clock + Clone> ClientPool<T, C> {
    /// Begins a pool of clients that send by a transport.
    #[cfg(not(target_family = "wasm"))]
    pub fn builder(transport: T, clock: C) -> Builder<T, C> {
        Self::builder_with_wall(transport, clock, || {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            since.unwrap_or_default()
        })
    }

    /// As `builder`, with what tells the time since 1970, for headers with dates, where the
    /// platform does not.
    pub fn builder_with_wall(transport: T, clock: C, wall: fn() -> Duration) -> Builder<T, C> {
        let (registry, defaults) = (Registry::new(), Box::new(|it| it));
        Builder {
            transport,
            clock,
            wall,
            registry,
            pool_name: None,
            seed: None,
            defaults,
            on_alert: None,
        }
    }

    /// Begins a provider that has the pool's defaults, to be given to
    /// [`register_provider`](Self::register_provider).
    pub fn provider(&self, name: impl Into<String>, kind: &str) -> provider::Builder {
        (self.0.defaults)(Provider::builder(name, kind))
    }

    /// Adds a provider, or replaces the one of its name: what is under way there ends there.
    ///
    /// # Errors
    ///
    /// The same service is in use with other limits, or the pool is closed.
    pub fn register_provider(&self, provider: Provider) -> Result<(), ShareError> {
        let Inner { core, clock, registry, pool_name, seed, entries, .. } = &*self.0;
        if core.gate.is_closed() {
            return Err(ShareError::Closed);
        }
        let name = provider.name.clone();
        let old = lock(entries).get(&name).map(|listed| Arc::clone(&listed.entry.hub));
        let make = || Hub::new(&provider, clock, *seed);
        let member = registry.share(&provider, pool_name.as_deref(), old.as_ref(), make)?;
        let hub = Arc::clone(member.hub());
        let alerts = core.on_alert.clone().map(|observer| Alerts::new(&name, observer));
        let entry = Arc::new(Entry { provider: Arc::new(provider), hub, alerts });
        let replaced = lock(entries).insert(name.clone(), Listed { entry, _member: member });
        drop((old, replaced));
        if core.gate.is_closed() {
            // It was closed meanwhile, and what it had was taken out.
            let late = lock(entries).remove(&name);
            drop(late);
            return Err(ShareError::Closed);
        }
        core.gate.stir();
        Ok(())
    }
}

impl<T: Transport, C: Clock> Inner<T, C> {
    /// Returns the client of each provider.
    pub(super) fn clients(&self) -> Vec<Client<T, C>> {
        let client = |listed: &Listed<C>| {
            let (core, entry) = (Arc::clone(&self.core), Arc::clone(&listed.entry));
            Client { core, entry, home: None }
        };
        lock(&self.entries).values().map(client).collect()
    }
}

impl<T: Transport, C: Clock> Drop for Inner<T, C> {
    fn drop(&mut self) {
        // Whoever drives it has nothing to do any more.
        self.core.gate.stir();
    }
}

fn lock<M>(mutex: &Mutex<M>) -> MutexGuard<'_, M> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Providers.
impl<T: Transport, C: Clock> ClientPool<T, C> {
    /// Removes a provider, and tells whether there was one. What is under way there ends there.
    pub fn remove_provider(&self, name: &str) -> bool {
        let removed = lock(&self.0.entries).remove(name);
        removed.is_some()
    }

    /// Tells whether a provider has that name.
    #[must_use]
    pub fn has_provider(&self, name: &str) -> bool {
        lock(&self.0.entries).contains_key(name)
    }

    /// Returns the names of the providers, sorted.
    #[must_use]
    pub fn provider_names(&self) -> Vec<String> {
        lock(&self.0.entries).keys().cloned().collect()
    }

    /// Returns a provider's client, without a place of its own.
    ///
    /// # Errors
    ///
    /// There is no such provider, or the pool is closed.
    pub fn client(&self, name: &str) -> Result<Client<T, C>, ClientError> {
        let core = Arc::clone(&self.0.core);
        if core.gate.is_closed() {
            return Err(ClientError::Closed);
        }
        let entries = lock(&self.0.entries);
        let Some(entry) = entries.get(name).map(|listed| Arc::clone(&listed.entry)) else {
            let known = entries.keys().cloned().collect();
            return Err(ClientError::UnknownProvider { name: name.to_owned(), known });
        };
        Ok(Client { core, entry, home: None })
    }

    /// Acquires a place at a provider, and returns its client with it.
    ///
    /// # Errors
    ///
    /// There is no such provider, the pool is closed, or no place came free in time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the queue.
    pub async fn get(&self, name: &str) -> Result<ClientLease<T, C>, ClientError> {
        Ok(ClientLease::acquire(self.client(name)?).await?)
    }
}

/// Calls; see [`Client`] for each.
impl<T: Transport, C: Clock> ClientPool<T, C> {
    /// Asks a model, and waits for the whole answer.
    ///
    /// # Errors
    ///
    /// There is no such provider, or the call failed.
    pub async fn chat(&self, provider: &str, chat: &ChatRequest) -> Result<Answer, ClientError> {
        Ok(self.client(provider)?.chat(chat).await?)
    }

    /// Asks a model for an answer in pieces.
    ///
    /// # Errors
    ///
    /// As [`chat`](Self::chat).
    pub async fn stream(
        &self,
        provider: &str,
        chat: &ChatRequest,
    ) -> Result<ChatStream<T, C>, ClientError> {
        Ok(self.client(provider)?.stream(chat).await?)
    }

    /// Makes the embedding of a text.
    ///
    /// # Errors
    ///
    /// As [`chat`](Self::chat).
    pub async fn embed(&self, provider: &str, text: &str) -> Result<Vec<f32>, ClientError> {
        Ok(self.client(provider)?.embed(text).await?)
    }

    /// Makes the embeddings of texts, in their order.
    ///
    /// # Errors
    ///
    /// As [`chat`](Self::chat).
    pub async fn embed_all<S: Into<String>>(
        &self,
        provider: &str,
        texts: impl IntoIterator<Item = S>,
    ) -> Result<Embeddings, ClientError> {
        Ok(self.client(provider)?.embed_all(texts).await?)
    }

    /// Lists a provider's models.
    ///
    /// # Errors
    ///
    /// As [`chat`](Self::chat).
    pub async fn models(&self, provider: &str) -> Result<Vec<String>, ClientError> {
        Ok(self.client(provider)?.models().await?)
    }

    /// Sends a request as it is.
    ///
    /// # Errors
    ///
    /// As [`chat`](Self::chat).
    pub async fn send(
        &self,
        provider: &str,
        request: HttpRequest,
    ) -> Result<HttpAnswer<T, C>, ClientError> {
        Ok(self.client(provider)?.send(request).await?)
    }

    /// Asks a provider's endpoints whether they are alive.
    ///
    /// # Errors
    ///
    /// As [`chat`](Self::chat).
    pub async fn probe(&self, provider: &str) -> Result<(), ClientError> {
        Ok(self.client(provider)?.probe().await?)
    }
}

/// Chains of providers.
impl<T: Transport, C: Clock> ClientPool<T, C> {
    /// Asks providers one after the other, until one has answered; at all of them together it takes
    /// at most `total`.
    ///
    /// # Errors
    ///
    /// There is no such provider, or each has failed, or one has in a way that the others would not
    /// mend.
    pub async fn chat_any(
        &self,
        providers: &[&str],
        chat: &ChatRequest,
        total: impl Into<Option<Duration>>,
    ) -> Result<Answer, ClientError> {
        let mut links = Links::new(self, providers, total.into())?;
        loop {
            let (client, left) = links.current()?;
            match client.chat_within(chat, left).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => links.failed(failure)?,
            }
        }
    }

    /// As [`chat_any`](Self::chat_any), for an answer in pieces: once content came, no other
    /// provider is asked.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn stream_any(
        &self,
        providers: &[&str],
        chat: &ChatRequest,
        total: impl Into<Option<Duration>>,
    ) -> Result<ChatStream<T, C>, ClientError> {
        let mut links = Links::new(self, providers, total.into())?;
        loop {
            let (client, left) = links.current()?;
            match client.stream_within(chat, left).await {
                Ok(stream) => return Ok(stream),
                Err(failure) => links.failed(failure)?,
            }
        }
    }
}

/// The providers of a chain, of which one is asked at a time.
struct Links<T: Transport, C: Clock> {
    clients: VecDeque<Client<T, C>>,
    chain: FallbackChain,
    pool: ClientPool<T, C>,
}

impl<T: Transport, C: Clock> Links<T, C> {
    /// A name that is wrong is told before anything is sent.
    fn new(
        pool: &ClientPool<T, C>,
        providers: &[&str],
        total: Option<Duration>,
    ) -> Result<Self, ClientError> {
        let clients: Result<_, _> = providers.iter().map(|name| pool.client(name)).collect();
        let names = providers.iter().map(|&name| name.to_owned()).collect();
        let chain = FallbackChain::new(names, total, pool.0.clock.now());
        Ok(Self { clients: clients?, chain, pool: pool.clone() })
    }

    /// Returns who is asked next, and what time is left.
    fn current(&self) -> Result<(Client<T, C>, Option<Duration>), ClientError> {
        let left = self.chain.left(self.pool.0.clock.now());
        match self.clients.front() {
            Some(client) => Ok((client.clone(), left)),
            None => {
                let text = "a chain takes at least one provider";
                Err(Failure::new(Class::Invalid, text).into())
            }
        }
    }

    /// Goes on at the next one, if that may help.
    fn failed(&mut self, failure: Failure) -> Result<(), ClientError> {
        let Some(client) = self.clients.pop_front() else { return Err(failure.into()) };
        let now = self.pool.0.clock.now();
        let mut service = client.entry.hub.lock();
        match self.chain.failed(&mut service, failure, false, now) {
            Next::Provider(_) => Ok(()),
            Next::Fail(failure) => Err(failure.into()),
        }
    }
}

/// Operators.
impl<T: Transport, C: Clock> ClientPool<T, C> {
    /// Tells how a provider's service stands, with the calls of all who share it.
    ///
    /// # Errors
    ///
    /// There is no such provider, or the pool is closed.
    pub fn stats(&self, provider: &str) -> Result<ServiceStats, ClientError> {
        Ok(self.client(provider)?.stats())
    }

    /// Tells how each provider's service stands.
    #[must_use]
    pub fn all_stats(&self) -> Vec<(String, ServiceStats)> {
        let entries: Vec<_> = lock(&self.0.entries)
            .iter()
            .map(|(name, listed)| (name.clone(), Arc::clone(&listed.entry)))
            .collect();
        let stats = |(name, entry): (String, Arc<Entry<C>>)| {
            let now = entry.hub.now();
            let stats = entry.hub.lock().stats(now);
            (name, stats)
        };
        entries.into_iter().map(stats).collect()
    }

    /// Keeps the providers going: makes the checks that their policies ask for, when they are due,
    /// on addresses that cost nothing; no check is made without it. It ends when the pool is closed,
    /// and does not keep it open.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future breaks the checks off that are under way; they are made up for by whoever
    /// drives next.
    pub fn driver(&self) -> impl Future<Output = ()> + use<T, C>
    where
        C: Clone,
    {
        driver::drive(Arc::downgrade(&self.0), Arc::clone(&self.0.core), self.0.clock.clone())
    }

    /// Has the registry forget services that nobody uses any more; returns how many.
    pub fn evict_expired(&self) -> usize {
        self.0.registry.evict()
    }

    /// Closes the pool: waiting calls fail at once, and so do later ones. Calls that were sent go on,
    /// and so do those of others who share the services.
    pub fn close(&self) {
        self.0.core.gate.close();
        let entries = std::mem::take(&mut *lock(&self.0.entries));
        drop(entries);
    }

    /// Tells whether the pool is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.core.gate.is_closed()
    }

    /// Closes the pool, and waits until its calls have ended and its leases are back, at most for
    /// `timeout`; `None` is for ever.
    ///
    /// # Errors
    ///
    /// The time passed; the error tells how many are left.
    ///
    /// # Cancel safety
    ///
    /// The pool is closed when the future is polled first. Dropping it only does not wait.
    pub async fn drain(&self, timeout: impl Into<Option<Duration>>) -> Result<(), DrainError> {
        self.close();
        let gate = &self.0.core.gate;
        let clock = &self.0.clock;
        let timeout = timeout.into();
        let until = timeout.map_or(Time::NEVER, |it| clock.now().saturating_add(it));
        let wait = Wait { gate, ticket: gate.ticket() };
        let mut alarm = pin!(clock.alarm(until));
        poll_fn(|cx| {
            if wait.gate.is_empty(wait.ticket, cx.waker()) {
                return Poll::Ready(Ok(()));
            }
            alarm.as_mut().poll(cx).map(|()| Err(DrainError { left: wait.gate.within() }))
        })
        .await
    }
}

/// One who waits for the end. Dropped, it is forgotten.
pub(super) struct Wait<'a> {
    pub(super) gate: &'a Gate,
    pub(super) ticket: u64,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.gate.forget(self.ticket);
    }
}

impl<T: Transport, C: Clock> Clone for ClientPool<T, C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Transport, C: Clock> fmt::Debug for ClientPool<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientPool")
            .field("providers", &self.provider_names())
            .finish_non_exhaustive()
    }
}
