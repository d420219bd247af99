//! What tenants' pools were set up with.

use std::time::Duration;

use super::{Strategy, Unknown};
use crate::Share;

/// What holds for all tenants; see the options of [`Builder`](super::Builder) of the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// How tenants are kept apart.
    pub strategy: Strategy,
    /// What a tenant has that has no share of its own.
    pub share: Share,
    /// How many connections a pool makes as it opens.
    pub warm_up: u32,
    /// How many pools do so at once.
    pub parallel_warm_ups: u32,
    /// The most connections of all pools, if there is a budget.
    pub budget: Option<u32>,
    /// How long a tenant is kept without callers; `None` until its place is needed.
    pub idle_timeout: Option<Duration>,
    /// What happens to a tenant that nothing is set for.
    pub unknown: Unknown,
    /// How long a caller waits that does not say so itself; `None` for ever.
    pub acquire_timeout: Option<Duration>,
    /// The most callers that wait for pools, and in each pool.
    pub max_waiting: u32,
}
