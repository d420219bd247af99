//! The pools of tenants.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::acquire::TenantAcquire;
use super::builder::Builder;
use super::config::Config;
use super::core::{Core, Home};
use super::entry::{Entry, TenantConfig};
use super::factory::TenantFactory;
use super::id::TenantId;
use super::operate::{Opening, Removal, TenantDrain, TenantDriver};
use super::roster::{Key, Life};
use super::stats::{Totals, Usage};
use super::strategy::Strategy;
use crate::stats::PoolState;
use crate::{Clock, Time};

/// Pools for tenants. Clones share them; when the last is dropped, they close.
///
/// See [the module](super) for how they behave.
pub struct TenantPools<T: TenantFactory, C: Clock + Clone> {
    handle: Arc<Handle<T, C>>,
}

/// Closes the pools when the last [`TenantPools`] is dropped, while leases keep what they need.
struct Handle<T: TenantFactory, C: Clock + Clone>(Arc<Core<T, C>>);

impl<T: TenantFactory, C: Clock + Clone> Drop for Handle<T, C> {
    fn drop(&mut self) {
        self.0.close_all();
    }
}

impl<T: TenantFactory, C: Clock + Clone> Clone for TenantPools<T, C> {
    fn clone(&self) -> Self {
        Self { handle: Arc::clone(&self.handle) }
    }
}

/// Callers.
impl<T: TenantFactory, C: Clock + Clone> TenantPools<T, C> {
    /// Starts to set tenants' pools up.
    pub fn builder(factory: T, clock: C) -> Builder<T, C> {
        Builder::new(factory, clock)
    }

    pub(super) fn over(core: Arc<Core<T, C>>) -> Self {
        Self { handle: Arc::new(Handle(core)) }
    }

    fn core(&self) -> &Arc<Core<T, C>> {
        &self.handle.0
    }

    /// Acquires a connection for a tenant: under [`Strategy::Shared`] one of the pool for all, with
    /// the tenant's context put on it; otherwise one of the tenant's own pool, which is opened if
    /// there is none.
    ///
    /// # Errors
    ///
    /// The name is no id, or that of an unknown tenant; the time passed, a queue is full, the tenant
    /// was removed, or the pools are closed; its pool could not be made, or gave no connection; or
    /// the context could not be put on it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses the place in the queue; see [`TenantAcquire`].
    #[track_caller]
    pub fn acquire<'a>(&'a self, tenant: &'a str) -> TenantAcquire<'a, T, C> {
        TenantAcquire::new(self.core(), tenant, Location::caller())
    }

    /// Opens a tenant ahead of need, if it is not open, and waits until its pool has made what it
    /// begins with. It waits at most for the acquire timeout of the pools to have a place, and does
    /// not wait for [the turn](Builder::parallel_warm_ups) of the pool.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire), and if connections could not be made; the pool stays then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing but the wait.
    pub fn get_or_create<'a>(&'a self, tenant: &'a str) -> Opening<'a, T, C> {
        Opening::new(self.core(), tenant)
    }
}

/// Operators.
impl<T: TenantFactory, C: Clock + Clone> TenantPools<T, C> {
    /// Removes a tenant: what is set for it is forgotten, its waiting callers end with
    /// [`Removed`](super::TenantError::Removed), its leases stay good, and its pool closes as they
    /// come back. The future waits until its leases are back and its pool is closed, and for nobody
    /// who has only to be told so; it gives false for a tenant that is not known. A caller that comes
    /// later is one of a tenant that nothing is known of yet, and waits until the old pool is gone.
    ///
    /// # Cancel safety
    ///
    /// The tenant is removed by the call. Dropping the future only does not wait.
    pub fn remove(&self, tenant: &str) -> Removal<T, C> {
        Removal::new(self.core(), tenant)
    }

    /// Sees to it that no connection is lent to a tenant from now on that was made before, as after
    /// a change of its credentials: what is idle is closed, and what is out leaves as it comes back.
    /// In a pool for all that concerns every connection, and the tenant is
    /// [held back](super::TenantError::Unavailable) no more. It gives false for a tenant that has no
    /// pool, and nothing to replace.
    pub fn invalidate(&self, tenant: &str) -> bool {
        match self.home(tenant) {
            Some(Home::Own(pool)) => pool.invalidate_all(),
            Some(Home::Shared(_)) => {
                self.core().shared.iter().for_each(|pool| pool.invalidate_all());
                self.core().open_gate(tenant);
            }
            None => return false,
        }
        true
    }

    /// Closes the pools of tenants that were without callers for longer than the idle timeout, and
    /// returns how many. Every other operation does so as well.
    pub fn evict_expired(&self) -> usize {
        let evicted = self.core().step(|desk| desk.roster.advance(desk.now));
        self.core().do_chores();
        evicted
    }

    /// Closes all: waiting callers fail at once, so do later ones, and idle connections are closed.
    /// Leases stay good; their connections are closed as they come back.
    pub fn close(&self) {
        self.core().close_all();
    }

    /// Closes all, and waits until every connection is closed, at most for `timeout`; `None` is for
    /// ever.
    ///
    /// # Errors
    ///
    /// The time passed; the error names the tenants whose leases are still out.
    ///
    /// # Cancel safety
    ///
    /// The pools are closed by the call. Dropping the future only does not wait.
    pub fn drain(&self, timeout: impl Into<Option<Duration>>) -> TenantDrain<T, C> {
        self.close();
        TenantDrain::new(self.core(), timeout.into())
    }

    /// Polls the jobs of all pools, keeps them filled and checked, and closes those of idle tenants
    /// in time.
    ///
    /// As with a [pool's](crate::Pool::driver), nobody needs it: without it whoever waits does what
    /// is to be done, and what is overdue is settled by the next operation. The future ends when all
    /// is closed and empty, and keeps nothing open.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing but promptness.
    pub fn driver(&self) -> TenantDriver<T, C> {
        TenantDriver::new(self.core())
    }
}

/// Getters.
impl<T: TenantFactory, C: Clock + Clone> TenantPools<T, C> {
    /// Returns the tenants that have a pool, or a share of the one for all, in no particular order,
    /// and how their pools stand.
    pub fn active_pools(&self) -> Vec<(TenantId, PoolState)> {
        let all: Vec<_> = {
            let desk = self.core().lock();
            let places = desk.places.iter().flatten();
            let states = places.map(|place| {
                let life = desk.roster.life(place.key);
                (place.entry.id().clone(), life, place.home.clone())
            });
            states.filter(|(_, _, home)| home.is_some()).collect()
        };
        all.into_iter().map(|(id, life, home)| (id, self.state_of(life, home.as_ref()))).collect()
    }

    /// Tells in which part of its life a tenant's pool is: initializing while it waits for a place,
    /// warming up until it has had a connection, ready, draining while it is evicted or removed.
    /// Closed is one that has none, of a tenant that something is set for; `None` one of a tenant
    /// that is not known, or not any more.
    pub fn state(&self, tenant: &str) -> Option<PoolState> {
        let desk = self.core().lock();
        let Some(&key) = desk.ids.get(tenant) else {
            return desk.configs.contains_key(tenant).then_some(PoolState::Closed);
        };
        let (life, home) = (desk.roster.life(key), desk.place(key).home.clone());
        drop(desk);
        Some(self.state_of(life, home.as_ref()))
    }

    fn state_of(&self, life: Option<Life>, home: Option<&Home<T, C>>) -> PoolState {
        match (life, home) {
            (Some(Life::InLine | Life::Opening), _) => PoolState::Initializing,
            (Some(Life::Leaving | Life::Closing), _) => PoolState::Draining,
            (Some(Life::Open), Some(Home::Own(pool))) => pool.state(),
            (Some(Life::Open), _) => {
                self.core().shared.as_ref().map_or(PoolState::Closed, |pool| pool.state())
            }
            (Some(Life::Out) | None, _) => PoolState::Closed,
        }
    }

    /// Returns what is known of a tenant, while it has callers or a pool.
    pub fn entry(&self, tenant: &str) -> Option<Arc<Entry>> {
        let desk = self.core().lock();
        let key = *desk.ids.get(tenant)?;
        Some(Arc::clone(&desk.place(key).entry))
    }

    /// Tells what a tenant had since it came, while it has callers or a pool.
    pub fn stats(&self, tenant: &str) -> Option<Usage> {
        let key = *self.core().lock().ids.get(tenant)?;
        self.usage(key)
    }

    /// Tells what the tenants had that are known by now, each with its entry; those that used most
    /// are found by sorting. It takes as long as there are such tenants.
    pub fn stats_all(&self) -> Vec<(Arc<Entry>, Usage)> {
        let all: Vec<_> = {
            let desk = self.core().lock();
            let places = desk.places.iter().flatten();
            places.map(|place| (place.key, Arc::clone(&place.entry))).collect()
        };
        let usage = |(key, entry)| Some((entry, self.usage(key)?));
        all.into_iter().filter_map(usage).collect()
    }

    /// Tells how all stand, and what all tenants had, those that are gone among them.
    pub fn totals(&self) -> Totals {
        // At one instant, so that nobody is missed who is just being forgotten.
        let (mut totals, homes) = {
            let desk = self.core().lock();
            let mut usage = desk.past;
            let places = || desk.places.iter().flatten();
            places().filter_map(|place| desk.usage(place.key)).for_each(|one| usage.add(&one));
            let homes: Vec<_> = places().filter_map(|place| place.home.clone()).collect();
            let budgeted = if self.budget().is_some() { desk.roster.charged() } else { 0 };
            let (tenants, pools) = (desk.ids.len(), desk.roster.placed());
            (Totals { tenants, pools, budgeted, usage }, homes)
        };
        // A pool that is asked may do what is due, so it is without the lock.
        let shared = self.core().shared.iter().map(|pool| pool.stats());
        let stats = homes.iter().filter_map(Home::stats).chain(shared);
        stats.for_each(|stats| totals.usage.add_pool(&stats));
        totals
    }

    fn usage(&self, key: Key) -> Option<Usage> {
        let (mut usage, home) = {
            let desk = self.core().lock();
            (desk.usage(key)?, desk.place(key).home.clone())
        };
        if let Some(stats) = home.as_ref().and_then(Home::stats) {
            usage.add_pool(&stats);
        }
        Some(usage)
    }

    /// Tells what holds for all tenants.
    pub fn config(&self) -> Config {
        let plan = &self.core().plan;
        let patience = plan.template.patience();
        Config {
            strategy: plan.strategy,
            share: plan.share,
            warm_up: plan.warm_up,
            parallel_warm_ups: plan.parallel_warm_ups,
            budget: plan.budget,
            idle_timeout: plan.idle_timeout,
            unknown: plan.unknown,
            acquire_timeout: (patience < u64::MAX).then(|| Duration::from_nanos(patience)),
            max_waiting: plan.template.get_max_waiting(),
        }
    }

    /// Tells what is set for a tenant by name, until it is removed. What it has together with the
    /// defaults is known of its [`entry`](Self::entry), while it has callers or a pool.
    pub fn tenant_config(&self, tenant: &str) -> Option<TenantConfig> {
        self.core().lock().configs.get(tenant).cloned()
    }

    /// Returns the strategy.
    pub fn strategy(&self) -> Strategy {
        self.core().plan.strategy
    }

    /// Returns the most connections of all pools, if there is a budget.
    pub fn budget(&self) -> Option<u32> {
        self.core().plan.budget
    }

    /// Tells whether the pools are closed.
    pub fn is_closed(&self) -> bool {
        self.core().lock().roster.is_closed()
    }

    /// Tells when the next tenant is to be closed for being without callers, if there is one.
    pub fn next_deadline(&self) -> Option<Time> {
        self.core().lock().roster.next_deadline()
    }

    /// Checks the invariants of the tenants' books and of all pools' books; for tests, as it looks
    /// at every entry.
    ///
    /// # Errors
    ///
    /// Names the invariant that does not hold, which is an error in this crate.
    pub fn check(&self) -> Result<(), String> {
        let homes: Vec<_> = {
            let desk = self.core().lock();
            desk.roster.check()?;
            desk.check_warm_ups()?;
            desk.places.iter().flatten().filter_map(|place| place.home.clone()).collect()
        };
        for home in &homes {
            if let Home::Own(pool) = home {
                pool.check().map_err(|violation| violation.to_string())?;
            }
        }
        self.core().shared.iter().try_for_each(|pool| pool.check()).map_err(|it| it.to_string())
    }

    fn home(&self, tenant: &str) -> Option<Home<T, C>> {
        let desk = self.core().lock();
        let key = *desk.ids.get(tenant)?;
        desk.place(key).home.clone()
    }
}

impl<T: TenantFactory, C: Clock + Clone> fmt::Debug for TenantPools<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenants = self.core().lock().ids.len();
        f.debug_struct("TenantPools")
            .field("strategy", &self.strategy())
            .field("tenants", &tenants)
            .finish_non_exhaustive()
    }
}
