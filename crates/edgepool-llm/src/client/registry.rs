use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use edgepool::{Clock, OptionsError};

use super::hub::Hub;
use crate::identity::Identity;
use crate::provider::Provider;

/// Who shares what: providers of the same [`Identity`] share one limit, one queue and one state,
/// by whichever client pools they are called. Clones are the same registry.
///
/// What is shared lasts as long as a client pool, a client or a call has it. Closing a client pool,
/// or dropping it, leaves the others what they share with it.
pub struct Registry<C: Clock>(Arc<Mutex<State<C>>>);

type Key = (Identity, Option<String>);

struct State<C: Clock> {
    closed: bool,
    hubs: BTreeMap<Key, Weak<Hub<C>>>,
    hits: u64,
    misses: u64,
}

/// What a registry has shared so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistryStats {
    /// Services that are in use.
    pub services: usize,
    /// How often one was asked for that was there.
    pub hits: u64,
    /// How often one had to be made.
    pub misses: u64,
}

/// Why a provider is not taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShareError {
    /// The registry or the client pool is closed.
    Closed,
    /// The same service is in use with other limits.
    Differs {
        /// Which one.
        identity: Identity,
        /// What differs, as it is in use and as it was asked for.
        difference: String,
    },
    /// The limits make no pool.
    Options(OptionsError),
}

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the client pool or its registry is closed"),
            Self::Differs { identity, difference } => write!(
                f,
                "{identity} is in use with other limits: {difference}; use the same, or name a \
                 pool of its own"
            ),
            Self::Options(error) => error.fmt(f),
        }
    }
}

impl Error for ShareError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Options(error) => Some(error),
            Self::Closed | Self::Differs { .. } => None,
        }
    }
}

impl<C: Clock> Registry<C> {
    /// Makes a registry that nobody shares yet.
    #[must_use]
    pub fn new() -> Self {
        let hubs = BTreeMap::new();
        Self(Arc::new(Mutex::new(State { closed: false, hubs, hits: 0, misses: 0 })))
    }

    /// Closes everything that is shared by it: waiting calls fail at once, and so do later ones;
    /// calls that were sent go on. Nothing can be shared by it any more.
    pub fn close_all(&self) {
        let hubs = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.hubs)
        };
        hubs.into_values().filter_map(|hub| hub.upgrade()).for_each(|hub| hub.pool.close());
    }

    /// Tells whether [`close_all`](Self::close_all) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Tells what it has shared.
    #[must_use]
    pub fn stats(&self) -> RegistryStats {
        let state = self.lock();
        let services = state.hubs.values().filter(|hub| hub.strong_count() > 0).count();
        RegistryStats { services, hits: state.hits, misses: state.misses }
    }

    /// Forgets services that nobody uses any more; returns how many.
    pub(super) fn evict(&self) -> usize {
        let mut state = self.lock();
        let before = state.hubs.len();
        state.hubs.retain(|_, hub| hub.strong_count() > 0);
        before - state.hubs.len()
    }

    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A provider's use of what it shares.
pub(super) struct Member<C: Clock>(Arc<Hub<C>>);

impl<C: Clock> Member<C> {
    fn new(hub: Arc<Hub<C>>) -> Self {
        hub.members.fetch_add(1, Ordering::SeqCst);
        Self(hub)
    }

    pub(super) const fn hub(&self) -> &Arc<Hub<C>> {
        &self.0
    }
}

impl<C: Clock> Drop for Member<C> {
    fn drop(&mut self) {
        self.0.members.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<C: Clock + Clone> Registry<C> {
    /// Finds what a provider shares, or makes it. Where the only one that has it is the provider
    /// that it replaces, whose is `old`, it may have other limits.
    pub(super) fn share(
        &self,
        provider: &Provider,
        name: Option<&str>,
        old: Option<&Arc<Hub<C>>>,
        make: impl FnOnce() -> Result<Hub<C>, OptionsError>,
    ) -> Result<Member<C>, ShareError> {
        let key = (provider.identity(), name.map(str::to_owned));
        let mut differs = None;
        if let Some(found) = self.find(&key)? {
            match check(found.hub(), provider, &key.0) {
                Ok(()) => return Ok(found),
                Err(error) if old.is_none_or(|old| !Arc::ptr_eq(old, found.hub())) => {
                    return Err(error);
                }
                Err(error) => differs = Some(error),
            }
        }
        // The clock is somebody's code, so this is not done under the lock. Whoever comes second
        // drops what it has made.
        let made = Arc::new(make().map_err(ShareError::Options)?);
        let old = old.filter(|_| differs.is_some());
        let member = self.put(&key, made, old)?;
        match check(member.hub(), provider, &key.0) {
            Ok(()) => Ok(member),
            Err(error) => Err(differs.unwrap_or(error)),
        }
    }

    fn find(&self, key: &Key) -> Result<Option<Member<C>>, ShareError> {
        let mut state = self.lock();
        if state.closed {
            return Err(ShareError::Closed);
        }
        let found = state.hubs.get(key).and_then(Weak::upgrade).map(Member::new);
        state.hits += u64::from(found.is_some());
        Ok(found)
    }

    /// Puts in what was made, unless there is something else than `old`.
    fn put(
        &self,
        key: &Key,
        made: Arc<Hub<C>>,
        old: Option<&Arc<Hub<C>>>,
    ) -> Result<Member<C>, ShareError> {
        let mut state = self.lock();
        if state.closed {
            return Err(ShareError::Closed);
        }
        let alone = |hub: &Arc<Hub<C>>| {
            old.is_some_and(|old| Arc::ptr_eq(old, hub) && hub.members.load(Ordering::SeqCst) <= 1)
        };
        match state.hubs.get(key).and_then(Weak::upgrade) {
            Some(other) if !alone(&other) => {
                state.hits += 1;
                Ok(Member::new(other))
            }
            _ => {
                state.misses += 1;
                state.hubs.insert(key.clone(), Arc::downgrade(&made));
                Ok(Member::new(made))
            }
        }
    }
}

/// Refuses other limits than those in use. How long calls may take is each caller's own.
fn check<C: Clock>(
    hub: &Hub<C>,
    provider: &Provider,
    identity: &Identity,
) -> Result<(), ShareError> {
    let pairs = hub.terms.iter().zip(provider.terms());
    let told: Vec<_> = pairs
        .filter(|((_, used), (_, asked))| used != asked)
        .map(|((name, used), (_, asked))| format!("{name} is {used}, not {asked}"))
        .collect();
    match told.is_empty() {
        true => Ok(()),
        false => {
            Err(ShareError::Differs { identity: identity.clone(), difference: told.join("; ") })
        }
    }
}

impl<C: Clock + 'static> Registry<C>
where
    Self: Send + Sync,
{
    /// Returns the registry that a program has by default, one for each type of clock. It lasts as
    /// long as the program, and so does its [`close_all`](Self::close_all).
    #[must_use]
    pub fn global() -> Self {
        static ALL: Mutex<BTreeMap<TypeId, Box<dyn Any + Send + Sync>>> =
            Mutex::new(BTreeMap::new());
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || -> Box<dyn Any + Send + Sync> { Box::new(Self::new()) };
        let found = all.entry(TypeId::of::<C>()).or_insert_with(made);
        found.downcast_ref::<Self>().cloned().unwrap_or_default()
    }
}

impl<C: Clock> Default for Registry<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Clock> Clone for Registry<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Clock> fmt::Debug for Registry<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.stats()).finish()
    }
}
