//! Pools for many tenants: one that they share fairly, or one for each.

mod entry;
mod factory;
mod id;
mod roster;
mod strategy;

pub use entry::{Entry, TenantConfig};
pub use factory::TenantFactory;
pub use id::{TenantId, TenantIdError};
pub use strategy::Strategy;
