//! Connections for tenants: one after the other, or for each its own.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use edgepool::tenants::{Builder, Entry, TenantConfig, TenantFactory, TenantId, TenantPools};
use edgepool::{Begun, CheckOnAcquire, Clock, Connect, ConnectionFactory, Tried};
use tokio_postgres::{Config, NoTls};

use crate::connect::{ForTenants, PgConnector, PgFactory};
use crate::connection::PgConnection;
use crate::error::Error;
use crate::names::{add_option, checked, quoted};

/// The setting that has the tenant's id.
const SETTING: &str = "app.tenant";

type Configure = Arc<dyn Fn(Option<&Entry>, &mut Config) + Send + Sync>;
type Resolve = Arc<dyn Fn(&TenantId) -> Option<TenantConfig> + Send + Sync>;
type Role = Arc<dyn Fn(&Entry) -> Option<String> + Send + Sync>;

/// Opens connections to PostgreSQL for tenants, under each
/// [`Strategy`](edgepool::tenants::Strategy).
///
/// A tenant's context is the same under each of them: its id in the setting `app.tenant`, its
/// schema, if the strategy or its entry gives it one, as `search_path`, and its
/// [role](Self::role), if it has one.
///
/// - A **shared** connection is given the context as it is handed over, in one round trip with the
///   id as a parameter, and cleaned of it as it comes back, with all else that the session has: as
///   by [`Reset::Session`](crate::Reset::Session), whatever the connector's reset leaves out. Prepared
///   statements go, too: those of SQL as it comes back, and those that are
///   [cached](crate::PgConnection::prepare_cached) as another tenant is given it. A statement
///   that somebody keeps beyond the lease stays on the server until it is dropped, and its text can
///   be read in `pg_prepared_statements` by who has the connection next. A connection
///   that cannot be cleaned is closed. Policies of row-level security do the rest. As they do not
///   hold for superusers and roles with `BYPASSRLS`, connections of such, and tenants whose role is
///   one, are refused ([`Error::AbovePolicies`]).
///   Whatever its tenant's entry says, it goes to the database of the connector.
/// - A connection of **one tenant alone** begins with the context, which resets leave as it is. It
///   goes to the tenant's database, if the strategy or its entry gives it one.
///
/// ```sql
/// CREATE TABLE notes (tenant text NOT NULL DEFAULT current_setting('app.tenant'), note text);
/// ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
/// ALTER TABLE notes FORCE ROW LEVEL SECURITY; -- for their owner, too
/// CREATE POLICY own ON notes USING (tenant = current_setting('app.tenant', true));
/// ```
///
/// Without a tenant the setting is missing or empty, and such a table shows nothing.
///
/// The context keeps programs from mistakes, not from holders that would set it themselves: whoever
/// lets tenants write SQL of their own gives each pools and a login of its own, with
/// [`configure`](Self::configure).
///
/// # Examples
///
/// ```no_run
/// use edgepool::StdClock;
/// use edgepool::tenants::Strategy;
/// use edgepool_postgres::{PgConnector, PgTenants};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let connector = PgConnector::from_url("postgres://app@db.example/notes")?;
/// let tenants = PgTenants::new(connector);
/// let pools = tenants.pools(StdClock).strategy(Strategy::Shared { size: 20 }).build()?;
/// tokio::spawn(pools.driver()); // looks after connections while nobody asks for one
///
/// let acme = pools.acquire("acme").await?; // derefs to a `tokio_postgres::Client`
/// let notes = acme.query("SELECT note FROM notes", &[]).await?; // those of acme alone
/// # drop(notes);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "it opens nothing until a pool asks it to"]
pub struct PgTenants<T = NoTls> {
    connector: PgConnector<T>,
    context: Context,
    resolve: Option<Resolve>,
}

/// What makes a session one of a tenant.
#[derive(Clone)]
struct Context {
    setting: Arc<str>,
    shared_schemas: Arc<[String]>,
    configure: Option<Configure>,
    role: Option<Role>,
}

impl<T> PgTenants<T> {
    /// Opens connections as a connector does, but for what each tenant changes.
    pub fn new(connector: PgConnector<T>) -> Self {
        let (setting, shared_schemas) = (SETTING.into(), Arc::new([]));
        let context = Context { setting, shared_schemas, configure: None, role: None };
        Self { connector, context, resolve: None }
    }

    /// Sets the name of the setting that has the tenant's id: two words with a point between. The
    /// default is `app.tenant`.
    pub fn setting(mut self, name: impl Into<Arc<str>>) -> Self {
        self.context.setting = name.into();
        self
    }

    /// Sets in which schemas a tenant finds what its own has not, such as `public`. The default is
    /// none: a table that is missing in a tenant's schema is missing.
    pub fn shared_schemas<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.context.shared_schemas = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets what else a connection is opened with, such as a tenant's own user and password. It is
    /// asked each time that one is opened, so that a password may change: without a tenant for a
    /// connection that all share. What follows from the tenant's entry is added to what it sets.
    pub fn configure(
        mut self,
        configure: impl Fn(Option<&Entry>, &mut Config) + Send + Sync + 'static,
    ) -> Self {
        self.context.configure = Some(Arc::new(configure));
        self
    }

    /// Sets which role a tenant's connections have, if any: one that the user who logs in is a
    /// member of. Its rights are theirs, until a holder says `RESET ROLE` itself. The default is
    /// none.
    pub fn role(mut self, role: impl Fn(&Entry) -> Option<String> + Send + Sync + 'static) -> Self {
        self.context.role = Some(Arc::new(role));
        self
    }

    /// Sets how a tenant is found that the pools' builder does not name: its schema, its database,
    /// its share, or `None` if it is not known. It is asked as the tenant is opened, and must not
    /// wait. The default knows none.
    pub fn resolve(
        mut self,
        resolve: impl Fn(&TenantId) -> Option<TenantConfig> + Send + Sync + 'static,
    ) -> Self {
        self.resolve = Some(Arc::new(resolve));
        self
    }
}

impl<T> PgTenants<T>
where
    Self: TenantFactory<Connection = PgConnection>,
{
    /// Starts to set the pools up, with a look at each connection before it is lent, as
    /// [`PgConnector::pool`] does.
    pub fn pools<C: Clock + Clone>(self, clock: C) -> Builder<Self, C> {
        let looks = CheckOnAcquire::Always;
        TenantPools::builder(self, clock).pool(|pool| pool.check_on_acquire(looks))
    }
}

impl Context {
    /// Returns the settings of a tenant's session.
    fn settings(&self, entry: &Entry) -> Result<Vec<(String, String)>, Error> {
        let mut settings = vec![(self.setting.to_string(), entry.id().as_str().to_owned())];
        if let Some(own) = entry.schema() {
            let schemas = [own].into_iter().chain(self.shared_schemas.iter().map(|name| &**name));
            let schemas: Result<Vec<_>, _> =
                schemas.map(|name| checked(name).map(quoted)).collect();
            settings.push(("search_path".to_owned(), schemas?.join(", ")));
        }
        if let Some(role) = self.role.as_ref().and_then(|role| role(entry)) {
            settings.push(("role".to_owned(), checked(&role)?.to_owned()));
        }
        Ok(settings)
    }

    /// Says what a connection is opened with: of one tenant, or of all.
    fn prepare(&self, entry: Option<&Entry>, config: &mut Config) -> Result<(), Error> {
        if let Some(configure) = &self.configure {
            configure(entry, config);
        }
        let Some(entry) = entry else { return Ok(()) };
        if let Some(database) = entry.database() {
            config.dbname(checked(database)?);
        }
        let mut options = config.get_options().unwrap_or_default().to_owned();
        for (name, value) in self.settings(entry)? {
            add_option(&mut options, &name, &value);
        }
        config.options(options);
        Ok(())
    }
}

impl<T> TenantFactory for PgTenants<T>
where
    T: Clone + 'static,
    PgConnector<T>: Connect<Connection = PgConnection>,
{
    type Connection = PgConnection;
    type Error = Error;
    type Factory = PgFactory<T>;
    type Enter = Pin<Box<dyn Future<Output = Tried<PgConnection, Error>> + Send>>;

    fn factory(&self, entry: Option<&Entry>) -> PgFactory<T> {
        let (context, entry, crosses) = (self.context.clone(), entry.cloned(), entry.is_none());
        let prepare = Arc::new(move |config: &mut Config| context.prepare(entry.as_ref(), config));
        let for_tenants = ForTenants { prepare, crosses };
        ConnectionFactory::new(self.connector.clone().for_tenants(for_tenants))
    }

    fn enter(
        &self,
        mut connection: PgConnection,
        entry: &Entry,
    ) -> Begun<Tried<PgConnection, Error>, Self::Enter> {
        let settings = match self.context.settings(entry) {
            Ok(settings) => settings,
            Err(error) => return Begun::Done(Err((connection, error))),
        };
        connection.pass_to(entry.id());
        Begun::Later(Box::pin(async move {
            match connection.set(&settings).await {
                Ok(()) => Ok(connection),
                Err(error) => Err((connection, error)),
            }
        }))
    }

    fn resolve(&self, id: &TenantId) -> Option<TenantConfig> {
        self.resolve.as_ref()?(id)
    }
}

impl<T> fmt::Debug for PgTenants<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgTenants")
            .field("connector", &self.connector)
            .field("setting", &self.context.setting)
            .field("shared_schemas", &self.context.shared_schemas)
            .finish_non_exhaustive()
    }
}
