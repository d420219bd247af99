//! How tenants' pools are set up.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::core::{Core, Plan};
use super::entry::TenantConfig;
use super::error::BuildError;
use super::factory::TenantFactory;
use super::gate::Breaker;
use super::id::TenantId;
use super::pools::TenantPools;
use super::strategy::Strategy;
use super::ticket::{Template, Ticketed};
use crate::builder::Builder as PoolBuilder;
use crate::ledger::{Options, OptionsError};
use crate::{Clock, Share};

/// What happens to a tenant that nothing is set for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unknown {
    /// It has the defaults.
    Create,
    /// It is an [error](super::TenantError::Unknown).
    Refuse,
}

/// Sets [`TenantPools`] up.
///
/// | option | default | what it sets |
/// |---|---|---|
/// | [`strategy`](Self::strategy) | 100 pools of 5 | how tenants are kept apart |
/// | [`warm_up`](Self::warm_up) | 1 | what a pool makes as it opens |
/// | [`parallel_warm_ups`](Self::parallel_warm_ups) | 8 | how many pools do so at once |
/// | [`idle_timeout`](Self::idle_timeout) | 300 s | how long a tenant is kept without callers |
/// | [`budget`](Self::budget) | none | the most connections of all pools |
/// | [`share`](Self::share) | weight 1, no caps | what a tenant has that has no share of its own |
/// | [`unknown`](Self::unknown) | created | what happens to a tenant that nothing is set for |
/// | [`tenant`](Self::tenant) | none | what is set for one tenant |
/// | [`pool`](Self::pool) | the defaults of a pool | the options of each pool |
///
/// The order in which they are set does not matter, and one that is set twice has its last value.
#[must_use = "a builder makes nothing until `build`"]
pub struct Builder<T, C> {
    factory: T,
    strategy: Strategy,
    template: PoolBuilder<Template, C>,
    share: Share,
    warm_up: u32,
    parallel_warm_ups: u32,
    budget: Option<u32>,
    idle_timeout: Option<Duration>,
    unknown: Unknown,
    tenants: HashMap<TenantId, TenantConfig>,
}

impl<T: TenantFactory, C: Clock + Clone> Builder<T, C> {
    pub(super) fn new(factory: T, clock: C) -> Self {
        Self {
            factory,
            strategy: Strategy::per_tenant(),
            // The size is the strategy's.
            template: PoolBuilder::new(Template::NEW, clock).max(0),
            share: Share::new(),
            warm_up: 1,
            parallel_warm_ups: 8,
            budget: None,
            idle_timeout: Some(Duration::from_secs(300)),
            unknown: Unknown::Create,
            tenants: HashMap::new(),
        }
    }

    /// Sets how tenants are kept apart. Default: [`Strategy::per_tenant`].
    pub const fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Sets how many connections a tenant's pool makes as it opens, at most as many as it may have.
    /// A pool that tenants share keeps so many ready, unless `min_idle` is set. Default: 1.
    pub const fn warm_up(mut self, warm_up: u32) -> Self {
        self.warm_up = warm_up;
        self
    }

    /// Sets how many tenants' own pools warm up at once, at least 1: where many open together, as
    /// after a start, the others have their turns later, while their callers are given what they
    /// need. A pool that somebody waits for with [`get_or_create`](TenantPools::get_or_create) has its
    /// turn at once, and what that tries once more, as it could not be made, is not among them.
    /// Default: 8.
    pub const fn parallel_warm_ups(mut self, pools: u32) -> Self {
        self.parallel_warm_ups = pools;
        self
    }

    /// Sets how long a tenant is kept without callers before its pool is closed, or its share
    /// forgotten; `None` until its place is needed. Default: 300 s.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = timeout.into();
        self
    }

    /// Sets the most connections of all pools together, those being made and closed among them, as a
    /// database server has a limit for all its databases; `None` is as many as the strategy gives.
    /// Connections then move to where they are wanted: see [the module](super#a-budget). Default:
    /// none.
    pub fn budget(mut self, budget: impl Into<Option<u32>>) -> Self {
        self.budget = budget.into();
        self
    }

    /// Sets the share of tenants that have none of their own. In a pool for all it is their share of
    /// that; a tenant's own pool has at most `max` connections and `max_waiting` callers queued, and
    /// the weight counts where a budget is short. No share may ask for more than a pool has. Default:
    /// the weight 1, and no caps.
    pub const fn share(mut self, share: Share) -> Self {
        self.share = share;
        self
    }

    /// Sets what happens to tenants that nothing is set for, here or by
    /// [`resolve`](TenantFactory::resolve). Default: they are created.
    pub const fn unknown(mut self, unknown: Unknown) -> Self {
        self.unknown = unknown;
        self
    }

    /// Sets what is special about a tenant.
    pub fn tenant(mut self, id: TenantId, config: TenantConfig) -> Self {
        self.tenants.insert(id, config);
        self
    }

    /// Sets options of each pool: all but `max`, which is the strategy's. Called again, it goes on
    /// from what was set. `min_idle` is 0 for tenants' own pools unless it is set here, and
    /// `max_waiting` bounds the callers that wait for pools as well. `breaker` and `backoff` hold for
    /// each tenant's context on connections of a pool for all as they do for creations.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// # use edgepool::tenants::{Entry, TenantFactory, TenantPools};
    /// # use edgepool::{Begun, BoxFactory, NoJob, StdClock, Tried, boxed, factory_fn};
    /// # struct Numbers;
    /// # impl TenantFactory for Numbers {
    /// #     type Connection = u32;
    /// #     type Error = std::io::Error;
    /// #     type Factory = BoxFactory<u32, std::io::Error>;
    /// #     type Enter = NoJob<Tried<u32, std::io::Error>>;
    /// #     fn factory(&self, _: Option<&Entry>) -> Self::Factory {
    /// #         boxed(factory_fn(|| async { Ok(7) }).check_sync(|_| Ok(())))
    /// #     }
    /// #     fn enter(&self, it: u32, _: &Entry) -> Begun<Tried<u32, std::io::Error>, Self::Enter> {
    /// #         Begun::Done(Ok(it))
    /// #     }
    /// # }
    ///
    /// let pools = TenantPools::builder(Numbers, StdClock)
    ///     .pool(|pool| pool.acquire_timeout(Duration::from_secs(2)))
    ///     .warm_up(2)
    ///     .pool(|pool| pool.max_lifetime(Duration::from_secs(600)))
    ///     .build()?;
    /// # let _ = pools;
    /// # Ok::<_, edgepool::tenants::BuildError>(())
    /// ```
    pub fn pool(
        mut self,
        set: impl FnOnce(PoolBuilder<Template, C>) -> PoolBuilder<Template, C>,
    ) -> Self {
        self.template = set(self.template);
        self
    }

    /// Makes the pools: the one for all, or none yet.
    ///
    /// # Errors
    ///
    /// An option is out of its range, or contradicts another; the error names it, and what is
    /// accepted.
    pub fn build(self) -> Result<TenantPools<T, C>, BuildError> {
        self.check()?;
        let Self {
            factory,
            strategy,
            template,
            share,
            warm_up,
            parallel_warm_ups,
            budget,
            idle_timeout,
            unknown,
            tenants,
        } = self;
        let clock = template.get_clock().clone();
        let shared = match strategy {
            Strategy::Shared { size } => {
                let ticketed = Ticketed::<T, C>::new(factory.factory(None), None);
                Some(template.clone().over(ticketed).build_elastic(size, warm_up)?)
            }
            _ => None,
        };
        let Options { breaker: after, backoff, create_timeout, seed, .. } = template.options();
        let breaker = after.zip(backoff).map(|(after, backoff)| {
            let patience = create_timeout.unwrap_or_default().max(backoff.cap);
            Breaker { after, backoff, patience, seed }
        });
        let plan = Plan {
            strategy,
            template,
            share,
            warm_up,
            parallel_warm_ups,
            budget,
            idle_timeout,
            unknown,
            breaker,
        };
        Ok(TenantPools::over(Core::new(factory, clock, plan, tenants, shared)))
    }

    fn check(&self) -> Result<(), BuildError> {
        let (what, size) = (self.strategy.names(), self.strategy.size());
        for (name, count) in [(what.0, self.strategy.places()), (what.1, size)] {
            if count == 0 {
                return Err(OptionsError::CountIsZero(name).into());
            }
        }
        if self.template.get_max() != 0 {
            return Err(BuildError::MaxIsTheStrategys);
        }
        let over = |what, is, bound, most| match is > most {
            true => Err(BuildError::Over { what, is, bound, most }),
            false => Ok(()),
        };
        if self.parallel_warm_ups == 0 {
            return Err(OptionsError::CountIsZero("parallel_warm_ups").into());
        }
        over("warm_up", self.warm_up, what.1, size)?;
        over("min_idle", self.template.get_min_idle().unwrap_or(0), what.1, size)?;
        match self.budget {
            Some(_) if self.strategy.is_shared() => return Err(BuildError::BudgetOfOnePool),
            Some(0) => return Err(OptionsError::CountIsZero("budget").into()),
            Some(budget) => over(what.1, size, "the budget", budget)?,
            None => {}
        }
        if self.idle_timeout == Some(Duration::ZERO) {
            return Err(OptionsError::TimeIsZero("idle_timeout").into());
        }
        self.check_share(None, self.share)?;
        let mut shares = self.tenants.iter().filter_map(|(id, it)| Some((id, it.share?)));
        shares.try_for_each(|(id, share)| self.check_share(Some(id), share))?;
        // What the options of the pools say of each other.
        self.template.clone().build_elastic(size, 0)?;
        Ok(())
    }

    fn check_share(&self, tenant: Option<&TenantId>, share: Share) -> Result<(), BuildError> {
        share.validate()?;
        match self.strategy.excess(share, self.template.get_max_waiting()) {
            Some(excess) => Err(BuildError::Share { tenant: tenant.cloned(), excess }),
            None => Ok(()),
        }
    }
}

impl<T, C> fmt::Debug for Builder<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("strategy", &self.strategy)
            .field("budget", &self.budget)
            .field("unknown", &self.unknown)
            .finish_non_exhaustive()
    }
}
