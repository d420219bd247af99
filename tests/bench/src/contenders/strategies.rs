//! Pools of tenants, by how they keep them apart.

use std::convert::Infallible;
use std::future::{Ready, ready};

use edgepool::tenants::{Entry, Strategy, TenantFactory, TenantId, TenantPools};
use edgepool::{Begun, Factory, NoJob, StdClock, Tried};

use crate::output::About;

/// How many connections there are where tenants share them.
const SHARED: u32 = 8;

/// The pools of tenants.
pub type Strategies = TenantPools<Sessions, StdClock>;

/// Returns each strategy for so many tenants, a connection each where they do not share.
pub fn strategies(tenants: usize) -> [(About, Strategy); 3] {
    let tenants = u32::try_from(tenants).expect("some thousands of tenants");
    let shared = Strategy::Shared { size: SHARED };
    let per_tenant = Strategy::PerTenant { max_pools: tenants, pool_size: 1 };
    let per_database = Strategy::PerDatabase { max_databases: tenants, pool_size: 1 };
    [
        (
            about("shared", "shared", "8 connections, with the tenant's context at hand-over"),
            shared,
        ),
        (about("per-tenant", "a pool each", "a pool of a connection, in a schema"), per_tenant),
        (about("per-database", "a database each", "a pool, to a database"), per_database),
    ]
}

const fn about(id: &'static str, name: &'static str, settings: &'static str) -> About {
    About { id, name, package: None, settings }
}

/// Makes the pools, with the defaults of all else.
///
/// # Panics
///
/// The strategy has no place for anybody.
#[must_use]
pub fn tenant_pools(strategy: Strategy) -> Strategies {
    let pools = TenantPools::builder(Sessions, StdClock).strategy(strategy);
    pools.build().expect("the options are in their ranges")
}

/// Makes sessions at once.
#[derive(Clone, Debug)]
pub struct Sessions;

/// A connection, and whose it is.
#[derive(Debug)]
pub struct Session {
    /// Whose rows it shows.
    pub tenant: Option<TenantId>,
    /// Who had it first.
    pub first: Option<TenantId>,
}

/// What makes the sessions of one tenant, or of all.
#[derive(Debug)]
pub struct Opener(Option<TenantId>);

impl TenantFactory for Sessions {
    type Connection = Session;
    type Error = Infallible;
    type Factory = Opener;
    type Enter = NoJob<Tried<Session, Infallible>>;

    fn factory(&self, entry: Option<&Entry>) -> Opener {
        Opener(entry.map(|entry| entry.id().clone()))
    }

    fn enter(
        &self,
        mut session: Session,
        entry: &Entry,
    ) -> Begun<Tried<Session, Infallible>, Self::Enter> {
        session.tenant = Some(entry.id().clone());
        session.first.get_or_insert_with(|| entry.id().clone());
        Begun::Done(Ok(session))
    }
}

impl Factory for Opener {
    type Connection = Session;
    type Error = Infallible;
    type Create = Ready<Result<Session, Infallible>>;
    type Check = NoJob<Tried<Session, Infallible>>;
    type Reset = NoJob<Tried<Session, Infallible>>;
    type Close = NoJob<()>;

    fn create(&self) -> Self::Create {
        ready(Ok(Session { tenant: self.0.clone(), first: self.0.clone() }))
    }

    fn checks(&self) -> bool {
        false
    }

    fn reset(&self, mut session: Session) -> Begun<Tried<Session, Infallible>, Self::Reset> {
        // One that all share is nobody's until it is handed over.
        session.tenant.clone_from(&self.0);
        Begun::Done(Ok(session))
    }
}
