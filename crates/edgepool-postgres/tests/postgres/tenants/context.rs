//! What a tenant's session is, how it comes to be, and how it ends.

use edgepool::tenants::{Strategy, TenantConfig, TenantError, TenantId, TenantPools};
use edgepool::{AcquireError, Failure, StdClock};
use edgepool_postgres::tokio_postgres::Config;
use edgepool_postgres::{Error, PgConnection, PgConnector, PgTenants, Reset};

use super::fixtures::{self, APP, DATABASE, Kind, id, name, password_of};
use crate::server::{config, outside, shared};

/// What the tests of this file are known as to the server.
const NAME: &str = "context";
const ONE: Strategy = Strategy::Shared { size: 1 };
const SCHEMAS: Strategy = Strategy::PerTenant { max_pools: 4, pool_size: 1 };
const DATABASES: Strategy = Strategy::PerDatabase { max_databases: 4, pool_size: 1 };

fn login() -> Config {
    let mut login = config(NAME);
    login.user(APP).password(password_of(APP)).dbname(DATABASE);
    login
}

fn tenants() -> PgTenants {
    PgTenants::new(PgConnector::new(login()))
}

fn pools(tenants: PgTenants, strategy: Strategy) -> TenantPools<PgTenants, StdClock> {
    tenants.pools(StdClock).strategy(strategy).build().unwrap()
}

/// Asks for a line of text.
async fn ask(connection: &PgConnection, text: &str) -> String {
    connection.query_one(text, &[]).await.unwrap().get(0)
}

const CONTEXT: &str = "SELECT concat_ws(' ', current_setting('app.tenant', true), current_user, \
                       current_database(), current_setting('search_path'))";

#[tokio::test]
async fn each_strategy_has_its_context() {
    let _running = shared().await;
    fixtures::ready(Kind::Databases).await;
    let context = async |tenants: PgTenants, strategy, tenant| {
        let pools = pools(tenants, strategy);
        let lease = pools.acquire(&id(tenant)).await.unwrap();
        let told = ask(&lease, CONTEXT).await;
        // What a holder has changed is as it was for the next, with the same connection.
        lease.batch_execute("SET app.tenant TO 'x'; SET search_path TO x").await.unwrap();
        let process = ask(&lease, "SELECT pg_backend_pid()::text").await;
        lease.release().await.unwrap();
        let lease = pools.acquire(&id(tenant)).await.unwrap();
        assert_eq!(ask(&lease, CONTEXT).await, told);
        assert_eq!(ask(&lease, "SELECT pg_backend_pid()::text").await, process);
        told
    };
    let (id, own) = (id(7), name(7));
    let told = context(tenants(), ONE, 7).await;
    assert_eq!(told, format!("{id} {APP} {DATABASE} \"$user\", public"));
    let told = context(tenants(), SCHEMAS, 7).await;
    assert_eq!(told, format!("{id} {APP} {DATABASE} \"{own}\""));
    let with_role = tenants().role(|entry| entry.schema().map(str::to_owned));
    let told = context(with_role, SCHEMAS, 7).await;
    assert_eq!(told, format!("{id} {own} {DATABASE} \"{own}\""));
    let own_login = tenants().configure(|entry, config| {
        let user = entry.and_then(|entry| entry.database()).unwrap();
        config.user(user).password(password_of(user));
    });
    let told = context(own_login, DATABASES, 7).await;
    assert_eq!(told, format!("{id} {own} {own} \"$user\", public"));
}

#[tokio::test]
async fn the_names_of_the_setting_and_of_shared_schemas_are_set() {
    let _running = shared().await;
    fixtures::ready(Kind::Schemas).await;
    let tenants = tenants().setting("shop.customer").shared_schemas(["public", "ext\"ra"]);
    for strategy in [ONE, SCHEMAS] {
        let pools = pools(tenants.clone(), strategy);
        let lease = pools.acquire("t03").await.unwrap();
        assert_eq!(ask(&lease, "SELECT current_setting('shop.customer')").await, "t03");
        if strategy == SCHEMAS {
            let path = ask(&lease, "SELECT current_setting('search_path')").await;
            assert_eq!(path, "\"tenant_t03\", \"public\", \"ext\"\"ra\"");
        }
    }
}

#[tokio::test]
async fn names_are_taken_as_they_stand() {
    let _running = shared().await;
    fixtures::ready(Kind::Schemas).await;
    const ODD: &str = "it's \"o\\dd\"; DROP TABLE notes, é";
    let quoted = format!("\"{}\"", ODD.replace('"', "\"\""));
    let outside = outside().await;
    outside.batch_execute(&format!("CREATE ROLE {quoted}; GRANT {quoted} TO {APP}")).await.unwrap();
    let tenants = tenants().role(|_| Some(ODD.to_owned()));
    outside.batch_execute(&format!("CREATE DATABASE {quoted}")).await.unwrap();
    for strategy in [ONE, SCHEMAS, DATABASES] {
        let odd = match strategy {
            DATABASES => TenantConfig::new().database(ODD),
            _ => TenantConfig::new().schema(ODD),
        };
        let pools = tenants
            .clone()
            .pools(StdClock)
            .strategy(strategy)
            .tenant(TenantId::new("odd").unwrap(), odd);
        let pools = pools.build().unwrap();
        let lease = pools.acquire("odd").await.unwrap();
        assert_eq!(ask(&lease, "SELECT current_user::text").await, ODD);
        if strategy == DATABASES {
            assert_eq!(ask(&lease, "SELECT current_database()::text").await, ODD);
        } else {
            assert_eq!(ask(&lease, "SELECT current_setting('search_path')").await, quoted);
        }
    }
}

#[tokio::test]
async fn a_shared_connection_is_clean_whatever_its_reset_leaves_out() {
    let _running = shared().await;
    fixtures::ready(Kind::Rows).await;
    let custom = Reset::Custom("SELECT 1".into());
    for reset in [Reset::Session, Reset::DiscardAll, Reset::Rollback, custom] {
        let connector = PgConnector::new(login()).reset(reset.clone());
        let pools = pools(PgTenants::new(connector), ONE);
        let mess = format!(
            "CREATE TEMP TABLE notes AS SELECT 'mine' AS tenant; SET ROLE \"{}\"; BEGIN",
            name(1)
        );
        let held = pools.acquire(&id(0)).await.unwrap();
        let process = ask(&held, "SELECT pg_backend_pid()::text").await;
        held.batch_execute(&mess).await.unwrap();
        drop(held);
        let next = pools.acquire(&id(2)).await.unwrap();
        assert_eq!(ask(&next, "SELECT pg_backend_pid()::text").await, process, "{reset:?}");
        let seen = "SELECT string_agg(DISTINCT tenant, ' ') || ' ' || current_user FROM notes";
        assert_eq!(ask(&next, seen).await, format!("{} {APP}", id(2)), "{reset:?}");
    }
}

/// Their text may have what is another's, and so may their names be taken.
#[tokio::test]
async fn prepared_statements_do_not_go_from_tenant_to_tenant() {
    let _running = shared().await;
    fixtures::ready(Kind::Rows).await;
    const PREPARED: &str = "SELECT COALESCE(string_agg(statement, '; '), '') \
                            FROM pg_prepared_statements WHERE statement NOT LIKE '%string_agg%'";
    let custom = Reset::Custom("SELECT 1".into());
    for reset in [Reset::Session, Reset::DiscardAll, Reset::Rollback, custom] {
        let connector = PgConnector::new(login()).reset(reset.clone());
        let pools = pools(PgTenants::new(connector), ONE);
        let held = pools.acquire(&id(0)).await.unwrap();
        let process = ask(&held, "SELECT pg_backend_pid()::text").await;
        let mine = "PREPARE mine AS SELECT 'my own'; PREPARE \"odd; one\" AS SELECT 1";
        held.batch_execute(mine).await.unwrap();
        held.prepare_cached("SELECT 'my own', 1").await.unwrap();
        assert!(ask(&held, PREPARED).await.contains("my own"), "{reset:?}");
        drop(held);
        let next = pools.acquire(&id(2)).await.unwrap();
        assert_eq!(ask(&next, "SELECT pg_backend_pid()::text").await, process, "{reset:?}");
        assert_eq!((ask(&next, PREPARED).await, next.cached_statements()), (String::new(), 0));
        next.batch_execute(mine).await.unwrap();
        next.prepare_cached("SELECT 'my own', 1").await.unwrap();
        drop(next);
        // What is cached stays for the same tenant, as it does without tenants.
        let again = pools.acquire(&id(2)).await.unwrap();
        let keeps = matches!(reset, Reset::Session | Reset::Rollback);
        let cached = if keeps { "SELECT 'my own', 1" } else { "" };
        assert_eq!(ask(&again, PREPARED).await, cached, "{reset:?}");
        assert_eq!(again.cached_statements(), usize::from(keeps), "{reset:?}");
    }
}

#[tokio::test]
async fn the_role_that_a_connection_began_with_outlives_each_reset() {
    let _running = shared().await;
    fixtures::ready(Kind::Schemas).await;
    let mut lesser = config(NAME);
    lesser.dbname(DATABASE).options(format!("-c role={APP}"));
    let custom = |text: &'static str| Reset::Custom(text.into());
    let resets = [Reset::Session, Reset::DiscardAll, custom("DISCARD ALL"), custom("SELECT 1")];
    for reset in resets {
        let own = PgTenants::new(PgConnector::new(login()).reset(reset.clone()));
        let own = own.role(|entry| entry.schema().map(str::to_owned));
        let crossing = PgTenants::new(PgConnector::new(lesser.clone()).reset(reset.clone()));
        let pools = [(pools(own, SCHEMAS), name(7)), (pools(crossing, ONE), APP.to_owned())];
        for (pools, role) in pools {
            for uses in 1..=2 {
                let lease = pools.acquire(&id(7)).await.unwrap();
                assert_eq!((lease.info().id, lease.info().uses), (1, uses), "{reset:?}");
                assert_eq!(ask(&lease, "SELECT current_user::text").await, role, "{reset:?}");
                lease.batch_execute(&format!("SET ROLE \"{}\"", name(8))).await.unwrap();
                lease.release().await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn one_that_cannot_be_cleaned_is_closed() {
    let _running = shared().await;
    fixtures::ready(Kind::Rows).await;
    let connector = PgConnector::new(login()).reset(Reset::Custom("SELECT 1/0".into()));
    let pools = pools(PgTenants::new(connector), ONE);
    let mut processes = Vec::new();
    for tenant in 0..3 {
        let lease = pools.acquire(&id(tenant)).await.unwrap();
        processes.push(ask(&lease, "SELECT pg_backend_pid()::text").await);
    }
    processes.dedup();
    assert_eq!(processes.len(), 3);
}

#[tokio::test]
async fn logins_that_policies_do_not_hold_for_are_refused() {
    let _running = shared().await;
    fixtures::ready(Kind::Rows).await;
    let text = "CREATE ROLE above LOGIN BYPASSRLS PASSWORD 'first'";
    outside().await.batch_execute(text).await.unwrap();
    let superuser = config(NAME);
    let mut above = login();
    above.user("above");
    for login in [superuser, above] {
        let user = login.get_user().unwrap().to_owned();
        let tenants = PgTenants::new(PgConnector::new(login));
        let error = pools(tenants, ONE).acquire(&id(0)).await.err().unwrap();
        let said = format!("tenants cannot share connections of the role {user:?}");
        assert!(cause(&error).to_string().contains(&said), "{error}");
        assert!(matches!(cause(&error), Error::AbovePolicies(role) if *role == user), "{error}");
    }
    // With a lesser role from the beginning, such a login is as good as another.
    let mut lesser = config(NAME);
    lesser.dbname(DATABASE).options(format!("-c role={APP}"));
    let pools = pools(PgTenants::new(PgConnector::new(lesser)), ONE);
    for tenant in [0, 1] {
        let lease = pools.acquire(&id(tenant)).await.unwrap();
        let seen = "SELECT string_agg(DISTINCT tenant, ' ') FROM notes";
        assert_eq!(ask(&lease, seen).await, id(tenant));
    }
}

#[tokio::test]
async fn roles_that_policies_do_not_hold_for_are_refused() {
    let _running = shared().await;
    fixtures::ready(Kind::Rows).await;
    let outside = outside().await;
    let text = "CREATE ROLE beyond BYPASSRLS; CREATE ROLE mighty SUPERUSER";
    outside.batch_execute(&format!("{text}; GRANT beyond, mighty TO {APP}")).await.unwrap();
    // The login of the last is a superuser, which `none` would go back to.
    let mut lesser = config(NAME);
    lesser.dbname(DATABASE).options(format!("-c role={APP}"));
    for (login, above) in [(login(), "beyond"), (login(), "mighty"), (lesser, "none")] {
        let with_role = PgTenants::new(PgConnector::new(login)).role(move |entry| {
            Some(if entry.id().as_str() == id(0) { above.to_owned() } else { name(1) })
        });
        let pools = pools(with_role, ONE);
        let error = pools.acquire(&id(0)).await.err().unwrap();
        assert!(matches!(cause(&error), Error::AbovePolicies(role) if role == above), "{error}");
        let lease = pools.acquire(&id(1)).await.unwrap();
        assert_eq!(lease.info().id, 2, "the connection is not lent to anybody else");
        assert_eq!(ask(&lease, "SELECT current_user::text").await, name(1));
    }
}

#[tokio::test]
async fn a_context_that_cannot_be_put_on_costs_the_connection() {
    let _running = shared().await;
    fixtures::ready(Kind::Rows).await;
    let missing = |entry: &edgepool::tenants::Entry| {
        (entry.id().as_str() == "lost").then(|| "nobody's role".to_owned())
    };
    let pools = pools(tenants().role(missing), ONE);
    let error = pools.acquire("lost").await.err().unwrap();
    assert!(matches!(cause(&error), Error::Setting(_)), "{error}");
    assert_eq!(cause(&error).code(), Some("22023"));
    let lease = pools.acquire(&id(0)).await.unwrap();
    assert_eq!(ask(&lease, "SELECT current_setting('app.tenant')").await, id(0));
}

#[tokio::test]
async fn a_name_that_would_be_cut_off_is_refused() {
    let _running = shared().await;
    fixtures::ready(Kind::Rows).await;
    let long = "x".repeat(64);
    for (strategy, config) in [
        (ONE, TenantConfig::new().schema(&long)),
        (SCHEMAS, TenantConfig::new().schema(&long)),
        (DATABASES, TenantConfig::new().database(&long)),
    ] {
        let pools = tenants()
            .pools(StdClock)
            .strategy(strategy)
            .tenant(TenantId::new("long").unwrap(), config);
        let pools = pools.build().unwrap();
        let error = pools.acquire("long").await.err().unwrap();
        assert!(matches!(cause(&error), Error::Name(name) if *name == long), "{error}");
    }
}

#[tokio::test]
async fn a_tenant_that_is_not_named_is_found() {
    let _running = shared().await;
    fixtures::ready(Kind::Schemas).await;
    let found = tenants().resolve(|id| {
        let (who, number) = id.as_str().split_once('_')?;
        (who == "customer").then(|| TenantConfig::new().schema(format!("tenant_t{number}")))
    });
    let pools = found.pools(StdClock).strategy(SCHEMAS).build().unwrap();
    let lease = pools.acquire("customer_03").await.unwrap();
    let seen = "SELECT string_agg(DISTINCT tenant, ' ') FROM notes";
    assert_eq!(ask(&lease, seen).await, "t03");
}

/// Finds what the adapter said.
fn cause(error: &TenantError<Error>) -> &Error {
    match error {
        TenantError::Acquire(AcquireError::CreateFailed(cause))
        | TenantError::Enter(Failure::Error(cause)) => cause,
        TenantError::WarmUp(warm_up) => match warm_up.failures.last() {
            Some(Failure::Error(cause)) => cause,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}
