//! A tenant of one pool: a handle to its share.

use std::fmt;
use std::ptr;
use std::sync::{Arc, Weak};

use crate::ledger::{OptionsError, Share, TenantKey, TenantStats};
use crate::shared::Shared;
use crate::state::State;
use crate::{Clock, Factory};

/// A tenant of a pool, whose callers have a share of it. Clones are the same tenant.
///
/// Tenants that wait are served in turn, in the proportion of their [weights](Share::weight), so that
/// one which asks a hundred times as often does not make the others wait: while a caller waits that
/// has `k` connections to be served in its tenant's line, its own among them, another tenant of `v`
/// times the weight is served at most `k * v + 1` times. The [ledger](crate::ledger#tenants) has
/// the reasoning, and what adds to that. What a tenant does not use others may use, and it has its
/// share again of the next leases that end.
///
/// Within a tenant callers are served by their [priority](crate::Priority) and in the order in which
/// they came. Callers without a tenant are served as one tenant more, of weight 1.
///
/// When the last clone is dropped the tenant is forgotten, with its statistics; leases stay good. It
/// keeps neither the pool nor its factory alive.
///
/// # Examples
///
/// ```
/// use edgepool::ledger::Share;
/// use edgepool::{Pool, StdClock, factory_fn};
///
/// let factory = factory_fn(async || Ok::<_, std::io::Error>(7));
/// let pool = Pool::builder(factory, StdClock).max(10).build()?;
/// let acme = pool.tenant(Share::new().weight(3).max(8))?;
/// # futures::executor::block_on(async {
/// let lease = pool.acquire().tenant(&acme).await.unwrap();
/// assert_eq!((acme.stats().in_use, acme.stats().acquired), (1, 1));
/// # drop(lease);
/// # });
/// # Ok::<_, edgepool::OptionsError>(())
/// ```
pub struct Tenant<F: Factory, C: Clock> {
    entry: Arc<Entry<F, C>>,
}

/// The tenant's place in the pool's books, until the last handle is dropped. It keeps nothing of the
/// pool alive: a factory, or what it makes, may have the handle of a tenant.
struct Entry<F: Factory, C: Clock> {
    shared: Weak<Shared<F, C>>,
    key: TenantKey,
}

impl<F: Factory, C: Clock> Entry<F, C> {
    /// Does something in the pool's books, as long as there are any.
    fn step<R>(&self, operate: impl FnOnce(&mut State<F>, TenantKey) -> R) -> Option<R> {
        let shared = self.shared.upgrade()?;
        Some(shared.step_now(|state| operate(state, self.key)))
    }
}

impl<F: Factory, C: Clock> Drop for Entry<F, C> {
    fn drop(&mut self) {
        self.step(|state, key| state.ledger.close_tenant(key));
    }
}

impl<F: Factory, C: Clock> Tenant<F, C> {
    pub(crate) fn open(shared: &Arc<Shared<F, C>>, share: Share) -> Result<Self, OptionsError> {
        let key = shared.step_now(|state| state.ledger.open_tenant(share))?;
        Ok(Self { entry: Arc::new(Entry { shared: Arc::downgrade(shared), key }) })
    }

    /// The tenant's key, if it is one of this pool's.
    pub(crate) fn key_in(&self, shared: &Arc<Shared<F, C>>) -> TenantKey {
        match ptr::eq(self.entry.shared.as_ptr(), Arc::as_ptr(shared)) {
            true => self.entry.key,
            // No entry has this index: it would be one too many.
            false => TenantKey { index: u32::MAX, generation: 0 },
        }
    }

    /// Changes the tenant's share. What it has beyond a smaller `max` it keeps until that comes
    /// back; callers that need more than that at once end with
    /// [`TooMany`](crate::AcquireError::TooMany).
    ///
    /// # Errors
    ///
    /// The weight is out of its range, or `max` is 0; nothing is changed then.
    pub fn set_share(&self, share: Share) -> Result<(), OptionsError> {
        share.validate()?;
        let set = self.entry.step(|state, key| state.ledger.set_share(key, share));
        set.map_or(Ok(()), |set| set.map(drop))
    }

    /// Ends the waits of the tenant's callers with
    /// [`TenantRemoved`](crate::AcquireError::TenantRemoved); returns how many. Its leases stay, and
    /// callers that come later are served.
    pub fn end_waits(&self) -> usize {
        self.entry.step(|state, key| state.ledger.end_waits(key)).flatten().unwrap_or_default()
    }

    /// Tells how the tenant stands, and what it had; nothing once the pool and its leases are gone.
    #[must_use]
    pub fn stats(&self) -> TenantStats {
        let shared = self.entry.shared.upgrade();
        let stats =
            shared.and_then(|shared| shared.step(|state| state.ledger.tenant(self.entry.key)));
        stats.unwrap_or_default()
    }
}

impl<F: Factory, C: Clock> Clone for Tenant<F, C> {
    fn clone(&self) -> Self {
        Self { entry: Arc::clone(&self.entry) }
    }
}

impl<F: Factory, C: Clock> fmt::Debug for Tenant<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
