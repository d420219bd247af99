//! The notes of three tenants, kept apart in three ways:
//! `cargo xtask postgres -- cargo run -p edgepool-postgres --example tenants`. It makes what it needs
//! with the login in PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE, which has to be a
//! superuser's, and takes it away again.

use std::env::var;
use std::error::Error;
use std::time::Duration;

use edgepool::StdClock;
use edgepool::tenants::{Entry, Strategy};
use edgepool_postgres::tokio_postgres::{Client, Config, NoTls};
use edgepool_postgres::{PgConnector, PgTenants};

const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
/// Who logs in for all of them, and where those are that have no database of their own.
const APP: &str = "edgepool_notes_app";
const PASSWORD: &str = "s3cret";
const DATABASE: &str = "edgepool_notes";
const TABLE: &str = "CREATE TABLE notes (tenant text NOT NULL, note text NOT NULL)";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let admin = connect("postgres").await?;
    set_up(&admin).await?; // fails if there is anything of that name
    let shown = show_all().await;
    take_down(&admin).await?;
    shown
}

async fn show_all() -> Result<(), Box<dyn Error>> {
    show(Strategy::Shared { size: 2 }).await?;
    show(Strategy::PerTenant { max_pools: 10, pool_size: 2 }).await?;
    show(Strategy::PerDatabase { max_databases: 10, pool_size: 2 }).await
}

/// Reads the notes of each tenant. Another strategy is another word here, and nothing else.
async fn show(strategy: Strategy) -> Result<(), Box<dyn Error>> {
    let mut login = config();
    login.user(APP).password(PASSWORD).dbname(DATABASE).application_name("notes");
    let pools = PgTenants::new(PgConnector::new(login))
        // A schema belongs to a role of its own, which the application's login is a member of.
        .role(|entry| entry.schema().map(str::to_owned))
        // Who logs in to a database has its name.
        .configure(|entry, config| {
            if let Some(database) = entry.and_then(Entry::database) {
                config.user(database);
            }
        })
        .pools(StdClock)
        .strategy(strategy)
        .build()?;
    tokio::spawn(pools.driver());

    println!("{strategy:?}");
    for tenant in TENANTS {
        let lease = pools.acquire(tenant).await?;
        let text = "SELECT string_agg(note, ', ') || ' (' || current_user || ')' FROM notes";
        let notes: String = lease.query_one(text, &[]).await?.get(0);
        println!("  {tenant}: {notes}");
    }
    pools.drain(Duration::from_secs(5)).await?;
    Ok(())
}

/// Makes a table with policies, and for each tenant a role, a schema and a database.
async fn set_up(admin: &Client) -> Result<(), Box<dyn Error>> {
    let login = format!("LOGIN PASSWORD '{PASSWORD}'");
    admin.batch_execute(&format!("CREATE ROLE {APP} {login}")).await?;
    admin.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await?;
    let shared = connect(DATABASE).await?;
    let policy = "ALTER TABLE notes ENABLE ROW LEVEL SECURITY; \
                  ALTER TABLE notes FORCE ROW LEVEL SECURITY; \
                  CREATE POLICY own ON notes USING (tenant = current_setting('app.tenant', true))";
    shared.batch_execute(&format!("{TABLE}; {policy}; GRANT SELECT ON notes TO {APP}")).await?;
    for tenant in TENANTS {
        let name = format!("tenant_{tenant}");
        let note = |what| format!("INSERT INTO notes VALUES ('{tenant}', '{what} of {tenant}')");
        let own = |what| format!("{TABLE}; {}; GRANT SELECT ON notes TO {name}", note(what));
        shared.batch_execute(&format!("SET search_path TO public; {}", note("a row"))).await?;
        let role = format!("CREATE ROLE {name} {login}; GRANT {name} TO {APP}");
        let schema = format!("CREATE SCHEMA {name}; GRANT USAGE ON SCHEMA {name} TO {name}");
        let schema = format!("{schema}; SET search_path TO {name}; {}", own("a table"));
        shared.batch_execute(&format!("{role}; {schema}")).await?;
        admin.batch_execute(&format!("CREATE DATABASE {name} OWNER {name}")).await?;
        let guard = format!("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC");
        let database = format!("{guard}; {}", own("a database"));
        connect(&name).await?.batch_execute(&database).await?;
    }
    Ok(())
}

async fn take_down(admin: &Client) -> Result<(), Box<dyn Error>> {
    let own = TENANTS.map(|tenant| format!("tenant_{tenant}"));
    for name in own.iter().map(String::as_str).chain([DATABASE]) {
        admin.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await?;
    }
    for name in own.iter().map(String::as_str).chain([APP]) {
        admin.batch_execute(&format!("DROP ROLE {name}")).await?;
    }
    Ok(())
}

/// Connects as who makes what tenants use.
async fn connect(database: &str) -> Result<Client, Box<dyn Error>> {
    let (client, connection) = config().dbname(database).connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn config() -> Config {
    let named = |name, default: &str| var(name).unwrap_or_else(|_| default.to_owned());
    let mut config = Config::new();
    config.host(named("PGHOST", "127.0.0.1")).user(named("PGUSER", "postgres"));
    config.port(named("PGPORT", "5432").parse().unwrap_or(5432));
    if let Ok(password) = var("PGPASSWORD") {
        config.password(password);
    }
    config
}
