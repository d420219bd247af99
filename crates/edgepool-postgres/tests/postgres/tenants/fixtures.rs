//! Fifty tenants: rows of one table, schemas of one database, and databases.

use std::collections::HashMap;
use std::sync::Mutex;

use edgepool::tenants::Strategy;
use edgepool_postgres::tokio_postgres::{Client, NoTls};
use edgepool_postgres::{PgConnector, PgTenants};
use tokio::sync::OnceCell;

use crate::server::{config, outside};

pub(super) const TENANTS: usize = 50;
/// How many rows each has.
pub(super) const ROWS: usize = 4;
/// The database of those that have none of their own, and who logs in there.
pub(super) const DATABASE: &str = "proof";
pub(super) const APP: &str = "app";

/// Connections of each of those that have a pool of their own, and how many pools there may be: so
/// few that some are evicted all the time.
const POOL_SIZE: u32 = 2;
const POOLS: u32 = 40;
/// Connections that all share, and how many of them a tenant may have at once.
const SHARED: u32 = 12;
const MAX_LEASES: u32 = 4;
/// Connections of all pools of schemas together: fewer than these may have one by one.
const BUDGET: u32 = 60;

/// What is proved: that tenants are kept apart in one of three ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Rows,
    Schemas,
    Databases,
}

impl Kind {
    pub(super) const fn strategy(self) -> Strategy {
        match self {
            Self::Rows => Strategy::Shared { size: SHARED },
            Self::Schemas => Strategy::PerTenant { max_pools: POOLS, pool_size: POOL_SIZE },
            Self::Databases => Strategy::PerDatabase { max_databases: POOLS, pool_size: POOL_SIZE },
        }
    }

    /// The most connections by one name at the server, and by all.
    pub(super) const fn caps(self) -> (usize, usize) {
        match self {
            Self::Rows => (SHARED as usize, SHARED as usize),
            Self::Schemas => (POOL_SIZE as usize, BUDGET as usize),
            Self::Databases => (POOL_SIZE as usize, (POOLS * POOL_SIZE) as usize),
        }
    }

    /// The most leases of a tenant at once.
    pub(super) const fn most_leases(self) -> u32 {
        if matches!(self, Self::Rows) { MAX_LEASES } else { POOL_SIZE }
    }

    /// How many connections there may be in all, if not as many as all pools may have.
    pub(super) const fn budget(self) -> Option<u32> {
        if matches!(self, Self::Schemas) { Some(BUDGET) } else { None }
    }

    /// What the names of its connections begin with, at the server.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Rows => "rows/",
            Self::Schemas => "schemas/",
            Self::Databases => "databases/",
        }
    }

    /// Who logs in for a tenant.
    pub(super) fn login(self, tenant: usize) -> String {
        if self == Self::Databases { name(tenant) } else { APP.to_owned() }
    }

    /// Whose rights a tenant's connections have.
    pub(super) fn role(self, tenant: usize) -> String {
        if self == Self::Rows { APP.to_owned() } else { name(tenant) }
    }

    pub(super) fn database(self, tenant: usize) -> String {
        if self == Self::Databases { name(tenant) } else { DATABASE.to_owned() }
    }

    /// What opens the connections, with the passwords that hold by then.
    pub(super) fn tenants(self) -> PgTenants {
        let tenants = PgTenants::new(PgConnector::new(config("")));
        let tenants = tenants.configure(move |entry, config| {
            let user = entry.and_then(|entry| entry.database()).unwrap_or(APP);
            let name = entry.map_or("all", |entry| entry.id().as_str());
            config.user(user).password(password_of(user)).dbname(DATABASE);
            config.application_name(format!("{}{name}", self.prefix()));
        });
        match self {
            Self::Schemas => tenants.role(|entry| entry.schema().map(str::to_owned)),
            Self::Rows | Self::Databases => tenants,
        }
    }
}

/// The id of a tenant. Some have signs that an identifier has only in quotes.
pub(super) fn id(tenant: usize) -> String {
    match tenant % 3 {
        0 => format!("t{tenant:02}"),
        1 => format!("Tenant-{tenant:02}"),
        _ => format!("{tenant:02}.example_org"),
    }
}

/// The name of a tenant's schema, database and role.
pub(super) fn name(tenant: usize) -> String {
    format!("tenant_{}", id(tenant))
}

/// The passwords that have been changed, by who logs in.
static PASSWORDS: Mutex<Option<HashMap<String, String>>> = Mutex::new(None);

pub(super) fn password_of(user: &str) -> String {
    let changed = PASSWORDS.lock().unwrap();
    let changed = changed.as_ref().and_then(|changed| changed.get(user).cloned());
    changed.unwrap_or_else(|| "first".to_owned())
}

pub(super) fn remember_password(user: &str, password: &str) {
    let mut changed = PASSWORDS.lock().unwrap();
    changed.get_or_insert_default().insert(user.to_owned(), password.to_owned());
}

/// Makes what the tests read, once for all of them.
pub(super) async fn ready(kind: Kind) {
    static SHARED: OnceCell<()> = OnceCell::const_new();
    static DATABASES: OnceCell<()> = OnceCell::const_new();
    SHARED.get_or_init(make_shared).await;
    if kind == Kind::Databases {
        DATABASES.get_or_init(make_databases).await;
    }
}

/// A connection of the superuser to a database.
async fn inside(database: &str) -> Client {
    let (client, connection) = config("fixtures").dbname(database).connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn make_shared() {
    let outside = outside().await;
    let role = |name: &str| format!("CREATE ROLE \"{name}\" LOGIN PASSWORD 'first';");
    outside.batch_execute(&role(APP)).await.unwrap();
    let database = format!("CREATE DATABASE {DATABASE} OWNER {APP}");
    outside.batch_execute(&database).await.unwrap();
    let inside = inside(DATABASE).await;
    let notes = "CREATE TABLE notes (tenant text NOT NULL, number int NOT NULL)";
    let mut text = format!("{notes}; ALTER TABLE notes OWNER TO {APP};");
    for tenant in 0..TENANTS {
        let (id, name) = (id(tenant), name(tenant));
        text += &role(&name);
        text += &format!("GRANT \"{name}\" TO {APP}; SET search_path TO public; {};", rows(&id));
        text += &format!("CREATE SCHEMA \"{name}\" AUTHORIZATION \"{name}\";");
        text += &format!("SET search_path TO \"{name}\"; {notes}; {};", rows(&id));
        text += &format!("ALTER TABLE notes OWNER TO \"{name}\";");
    }
    text += "SET search_path TO public; ALTER TABLE notes ENABLE ROW LEVEL SECURITY; \
             ALTER TABLE notes FORCE ROW LEVEL SECURITY; \
             CREATE POLICY own ON notes USING (tenant = current_setting('app.tenant', true))";
    inside.batch_execute(&text).await.unwrap();
}

fn rows(id: &str) -> String {
    format!("INSERT INTO notes SELECT '{id}', number FROM generate_series(1, {ROWS}) number")
}

async fn make_databases() {
    let outside = outside().await;
    for tenant in 0..TENANTS {
        let (id, name) = (id(tenant), name(tenant));
        let database = format!("CREATE DATABASE \"{name}\" OWNER \"{name}\"");
        outside.batch_execute(&database).await.unwrap();
        let text = format!(
            "REVOKE CONNECT ON DATABASE \"{name}\" FROM PUBLIC; \
             CREATE TABLE notes (tenant text NOT NULL, number int NOT NULL); {}; \
             ALTER TABLE notes OWNER TO \"{name}\"",
            rows(&id)
        );
        inside(&name).await.batch_execute(&text).await.unwrap();
    }
}
