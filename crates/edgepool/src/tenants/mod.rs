//! Pools for many tenants: one that they share fairly, or one for each.

mod acquire;
mod bell;
mod builder;
mod core;
mod entry;
mod error;
mod factory;
mod guest;
mod id;
mod lease;
mod operate;
mod pools;
mod roster;
mod stats;
mod strategy;
mod ticket;

pub use acquire::TenantAcquire;
pub use builder::{Builder, Unknown};
pub use entry::{Entry, TenantConfig};
pub use error::{BuildError, TenantDrainError, TenantError};
pub use factory::TenantFactory;
pub use id::{TenantId, TenantIdError};
pub use lease::{TenantLease, TenantRelease};
pub use operate::{Opening, Removal, TenantDrain, TenantDriver};
pub use pools::TenantPools;
pub use stats::{Totals, Usage};
pub use strategy::Strategy;
pub use ticket::Template;
