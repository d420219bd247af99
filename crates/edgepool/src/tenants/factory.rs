//! What makes the factories of tenants' pools.

use std::future::Future;

use super::{Entry, TenantConfig, TenantId};
use crate::Factory;
use crate::factory::{Begun, Tried};

/// Makes the factories whose connections serve tenants, and puts a tenant's context on a connection
/// that is shared.
///
/// Every method is called without a lock, so it may use the pools, but must not block until they do
/// something. A panic in [`factory`](Self::factory), [`resolve`](Self::resolve) or
/// [`enter`](Self::enter) ends the acquire that called it with an error, and nothing else.
///
/// # Examples
///
/// ```
/// use edgepool::tenants::{Entry, TenantFactory};
/// use edgepool::{Begun, BoxFactory, NoJob, Tried, boxed, factory_fn};
///
/// /// A session, and whom it speaks for.
/// struct Session {
///     schema: String,
///     tenant: Option<String>,
/// }
///
/// struct Sessions;
///
/// impl TenantFactory for Sessions {
///     type Connection = Session;
///     type Error = std::io::Error;
///     type Factory = BoxFactory<Session, std::io::Error>;
///     type Enter = NoJob<Tried<Session, std::io::Error>>;
///
///     fn factory(&self, entry: Option<&Entry>) -> Self::Factory {
///         let schema = entry.and_then(Entry::schema).unwrap_or("public").to_owned();
///         let factory = factory_fn(move || {
///             let schema = schema.clone();
///             async { Ok(Session { schema, tenant: None }) }
///         });
///         boxed(factory.reset_sync(|session| {
///             session.tenant = None; // what `enter` put on
///             Ok(())
///         }))
///     }
///
///     fn enter(
///         &self,
///         mut session: Session,
///         entry: &Entry,
///     ) -> Begun<Tried<Session, std::io::Error>, Self::Enter> {
///         session.tenant = Some(entry.id().to_string());
///         Begun::Done(Ok(session))
///     }
/// }
/// # let _ = Sessions.factory(None);
/// ```
pub trait TenantFactory {
    /// What is lent.
    type Connection;
    /// Why a job failed.
    type Error;
    /// What makes the connections of one pool.
    type Factory: Factory<Connection = Self::Connection, Error = Self::Error>;
    /// An entering under way; it holds the connection and gives it back.
    type Enter: Future<Output = Tried<Self::Connection, Self::Error>>;

    /// Makes the factory of a pool: of the one for all tenants (`None`), or of one tenant's.
    fn factory(&self, entry: Option<&Entry>) -> Self::Factory;

    /// Starts to put a tenant's context on a connection of the pool for all, as it is handed over.
    ///
    /// The factory's [`reset`](Factory::reset) takes it off; a connection whose reset fails is
    /// closed, so no context outlives the lease that it was put on for. A connection whose entering
    /// fails is closed, and one whose entering is given up in the middle is dropped with it; a tenant
    /// to which that happens again and again is [held back](super#fairness). Under
    /// the other strategies a connection serves one tenant all its life, and this is not called.
    fn enter(
        &self,
        connection: Self::Connection,
        entry: &Entry,
    ) -> Begun<Tried<Self::Connection, Self::Error>, Self::Enter>;

    /// Finds what is set for a tenant that the builder does not name; `None` for one that is not
    /// known here either. It is asked as the tenant is opened.
    fn resolve(&self, id: &TenantId) -> Option<TenantConfig> {
        let _ = id;
        None
    }
}
