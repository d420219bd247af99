//! How tenants are kept apart.

use super::error::Excess;
use crate::Share;

/// How tenants are kept apart, and how many connections there may be.
///
/// The acquire is the same under each, so another strategy is another configuration.
///
/// | strategy | pools | a tenant's connection | isolation |
/// |---|---|---|---|
/// | [`Shared`](Self::Shared) | one | any, with the tenant's context put on at hand-over | rows |
/// | [`PerTenant`](Self::PerTenant) | one for each tenant | its own, in its schema | schemas |
/// | [`PerDatabase`](Self::PerDatabase) | one for each database | its own, to its database | complete |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// One pool for all. A tenant has its fair share of it while others want theirs.
    Shared {
        /// The most connections.
        size: u32,
    },
    /// A pool for each tenant, whose connections use the tenant's schema.
    PerTenant {
        /// The most pools at once, those being closed among them.
        max_pools: u32,
        /// The most connections of each.
        pool_size: u32,
    },
    /// A pool for each tenant, whose connections use the tenant's database.
    PerDatabase {
        /// The most pools at once, those being closed among them.
        max_databases: u32,
        /// The most connections of each.
        pool_size: u32,
    },
}

impl Strategy {
    /// One pool of 20 connections.
    #[must_use]
    pub const fn shared() -> Self {
        Self::Shared { size: 20 }
    }

    /// Up to 100 pools of 5 connections, one for each tenant.
    #[must_use]
    pub const fn per_tenant() -> Self {
        Self::PerTenant { max_pools: 100, pool_size: 5 }
    }

    /// Up to 100 pools of 5 connections, one for each database.
    #[must_use]
    pub const fn per_database() -> Self {
        Self::PerDatabase { max_databases: 100, pool_size: 5 }
    }

    /// The most pools at once, those of tenants.
    pub(super) const fn places(self) -> u32 {
        match self {
            Self::Shared { .. } => u32::MAX,
            Self::PerTenant { max_pools: places, .. }
            | Self::PerDatabase { max_databases: places, .. } => places,
        }
    }

    /// The most connections of a pool.
    pub(super) const fn size(self) -> u32 {
        match self {
            Self::Shared { size }
            | Self::PerTenant { pool_size: size, .. }
            | Self::PerDatabase { pool_size: size, .. } => size,
        }
    }

    /// Tells what a share asks for beyond what it is a share of.
    pub(super) fn excess(self, share: Share, max_waiting: u32) -> Option<Excess> {
        let over = |what, is: Option<u32>, bound, most| {
            is.filter(|&is| is > most).map(|is| Excess { what, is, bound, most })
        };
        let max = over("max", share.max, self.names().1, self.size());
        max.or_else(|| over("max_waiting", share.max_waiting, "that of the pools", max_waiting))
    }

    /// What errors call these two.
    pub(super) const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Shared { .. } => ("tenants", "size"),
            Self::PerTenant { .. } => ("max_pools", "pool_size"),
            Self::PerDatabase { .. } => ("max_databases", "pool_size"),
        }
    }

    /// Tells whether there is one pool for all.
    pub(super) const fn is_shared(self) -> bool {
        matches!(self, Self::Shared { .. })
    }
}
