//! The server of the tests, and who looks at it from outside.

use std::env::var;
use std::time::Duration;

use edgepool::{Builder, StdClock};
use edgepool_postgres::tokio_postgres::{Client, Config, NoTls};
use edgepool_postgres::{PgConnector, PgFactory};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Tests that stop the server run alone.
static RUNNING: RwLock<()> = RwLock::const_new(());

pub(crate) async fn shared() -> RwLockReadGuard<'static, ()> {
    RUNNING.read().await
}

pub(crate) async fn alone() -> RwLockWriteGuard<'static, ()> {
    RUNNING.write().await
}

fn named(name: &str) -> String {
    var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `cargo xtask test --only postgres-rust`")
    })
}

pub(crate) fn password() -> String {
    named("PGPASSWORD")
}

/// Where the server is; its statistics know the connections of a test by this name.
pub(crate) fn config(name: &str) -> Config {
    let mut config = Config::new();
    config.host(named("PGHOST")).port(named("PGPORT").parse().unwrap());
    config.user(named("PGUSER")).password(password()).dbname(named("PGDATABASE"));
    config.application_name(name);
    config
}

pub(crate) fn connector(name: &str) -> PgConnector {
    PgConnector::new(config(name))
}

pub(crate) fn pool(name: &str) -> Builder<PgFactory, StdClock> {
    connector(name).pool(StdClock).min_idle(0)
}

/// A connection beside the pool.
pub(crate) async fn outside() -> Client {
    let (client, connection) = config("outside").connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Returns how many connections the server has by a name.
pub(crate) async fn backends(outside: &Client, name: &str) -> i64 {
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1";
    outside.query_one(count, &[&name]).await.unwrap().get(0)
}

/// Waits until the server has as many connections by a name as it is to have.
pub(crate) async fn await_backends(outside: &Client, name: &str, number: i64) {
    for _ in 0..300 {
        if backends(outside, name).await == number {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} connections by the name {name}", backends(outside, name).await);
}

/// Asks for the server to be stopped or started.
pub(crate) async fn ask(what: &str) {
    let mut control = TcpStream::connect(named("EDGEPOOL_POSTGRES_CONTROL")).await.unwrap();
    control.write_all(format!("{what}\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    BufReader::new(control).read_line(&mut answer).await.unwrap();
    assert_eq!(answer, "ok\n", "{what}");
}
