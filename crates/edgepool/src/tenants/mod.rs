//! Pools for many tenants: one that they share fairly, or one for each.
//!
//! [`TenantPools`] gives every tenant connections under one [`acquire`](TenantPools::acquire). The
//! [`Strategy`] says how tenants are kept apart, and another one is another configuration. A
//! [`TenantFactory`] makes the factory of each pool, and puts a tenant's context on what is shared.
//!
//! ```
//! use edgepool::tenants::{Entry, Strategy, TenantConfig, TenantFactory, TenantId, TenantPools};
//! use edgepool::{Begun, BoxFactory, NoJob, Share, StdClock, Tried, boxed, factory_fn};
//!
//! /// A session of a database, and whose rows it sees.
//! struct Session {
//!     tenant: Option<String>,
//! }
//!
//! struct Sessions;
//!
//! impl TenantFactory for Sessions {
//!     type Connection = Session;
//!     type Error = std::io::Error;
//!     type Factory = BoxFactory<Session, std::io::Error>;
//!     type Enter = NoJob<Tried<Session, std::io::Error>>;
//!
//!     fn factory(&self, _entry: Option<&Entry>) -> Self::Factory {
//!         let factory = factory_fn(|| async { Ok(Session { tenant: None }) });
//!         boxed(factory.reset_sync(|session| {
//!             session.tenant = None;
//!             Ok(())
//!         }))
//!     }
//!
//!     fn enter(
//!         &self,
//!         mut session: Session,
//!         entry: &Entry,
//!     ) -> Begun<Tried<Session, std::io::Error>, Self::Enter> {
//!         session.tenant = Some(entry.id().to_string());
//!         Begun::Done(Ok(session))
//!     }
//! }
//!
//! let pools = TenantPools::builder(Sessions, StdClock)
//!     .strategy(Strategy::Shared { size: 10 })
//!     // At most two connections for this one, and three turns to each one of the others.
//!     .tenant(TenantId::new("acme")?, TenantConfig::new().share(Share::new().weight(3).max(2)))
//!     .build()?;
//!
//! # futures::executor::block_on(async {
//! let session = pools.acquire("acme").await?;
//! assert_eq!(session.tenant.as_deref(), Some("acme"));
//! drop(session);
//!
//! assert_eq!(pools.stats("acme").unwrap().callers.acquired, 1);
//! assert!(pools.acquire("acme'; --").await.is_err(), "no id has a quote");
//! # Ok::<_, edgepool::tenants::TenantError<_>>(())
//! # }).unwrap();
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Isolation
//!
//! In a pool for all, a connection is given to its holder only after
//! [`enter`](TenantFactory::enter) has put the tenant's context on it, and lent again only after the
//! factory's [`reset`](crate::Factory::reset) has taken it off. One whose entering or reset fails,
//! panics or is given up is lent to nobody any more. A pool of a tenant's own is made by a factory
//! that knows the tenant, and no other tenant ever has its connections.
//!
//! # A tenant's life
//!
//! A tenant's first caller opens its pool; [`get_or_create`](TenantPools::get_or_create) does so
//! ahead of need. There are at most as many pools as the strategy says, those being closed among
//! them. One that wants a place beyond that waits in a line, and another goes: the one that has been
//! idle for the longest, or, if all have callers, the one whose last caller came the longest ago.
//! It takes in no more: its leases and those that wait in it are served, then it closes. Callers
//! that come for it meanwhile wait in the line for its next pool. So no tenant has two pools, none
//! loses a lease, and none waits for ever for one that is always busy; but where more tenants are
//! busy at once than there are places, they take turns, and each turn costs new connections.
//!
//! A tenant without callers is closed after the [idle timeout](Builder::idle_timeout), and forgotten
//! with its statistics, which stay in the [`totals`](TenantPools::totals). Nothing is kept of it.
//!
//! # A budget
//!
//! A database server takes so many connections in all. With a [`budget`](Builder::budget) the pools
//! of all tenants have at most that many together, those being made and closed among them, as
//! [exactly](crate::Builder::max) as a pool keeps to its `max`. A pool opens with one, and grows as
//! its callers need more, up to the strategy's size, while there is any left. Then connections move
//! to who wants more: those first that their tenant does not use; then those of the tenant that has
//! been idle for the longest; then those of the tenant that has the most for its weight, as long as
//! it stays as rich as the other becomes. A connection that is to move is closed as it comes back,
//! and counts until it is closed. So a tenant that wants all of the budget shares it with the others
//! that want some, in proportion to their weights, as soon as its leases end.
//!
//! # Fairness
//!
//! Tenants that share a pool are served in turn; see [`Tenant`](crate::Tenant) for the bound on
//! their waits. Tenants with pools of their own do not wait for each other but for a place, or a
//! part of a budget. A broken database is the affair of its tenant: each pool has its own back-off,
//! its own breaker and its own checks.
//!
//! So is a tenant whose context cannot be put on connections of a pool for all, though each attempt
//! costs that one. After as many failures in a row as the [breaker](crate::Builder::breaker) says its
//! callers are refused as [`Unavailable`](TenantError::Unavailable), and after each
//! [back-off](crate::Builder::backoff) one of them is let try.
//!
//! # Driving
//!
//! As a [pool](crate::guide#driving-a-pool), this needs no executor: those who wait poll what is to
//! be polled, that of tenants for whom nobody waits among it. Spawn a
//! [`driver`](TenantPools::driver) where pools should be checked, filled and closed in time though
//! nobody comes. Nobody's code runs under a lock: factories, connections, clocks and wakers may use
//! the pools.

mod acquire;
mod bell;
mod builder;
mod chores;
mod config;
mod core;
mod entry;
mod error;
mod factory;
mod gate;
mod guest;
mod id;
mod lease;
#[cfg(feature = "openmetrics")]
mod metrics;
mod operate;
mod pools;
mod roster;
mod stats;
mod strategy;
mod ticket;

pub use acquire::TenantAcquire;
pub use builder::{Builder, Unknown};
pub use config::Config;
pub use entry::{Entry, TenantConfig};
pub use error::{BuildError, Excess, TenantDrainError, TenantError};
pub use factory::TenantFactory;
pub use id::{TenantId, TenantIdError};
pub use lease::{TenantLease, TenantRelease};
#[cfg(feature = "openmetrics")]
pub use metrics::TenantMetrics;
pub use operate::{Opening, Removal, TenantDrain, TenantDriver};
pub use pools::TenantPools;
pub use stats::{Totals, Usage};
pub use strategy::Strategy;
pub use ticket::Template;
