//! Pools connections to PostgreSQL: [`edgepool`] over [`tokio_postgres`].
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use edgepool::StdClock;
//! use edgepool_postgres::PgConnector;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let connector = PgConnector::from_url("postgres://app@db.example/orders")?;
//! let pool = connector.pool(StdClock).max(8).build()?;
//! tokio::spawn(pool.driver()); // looks after connections while nobody asks for one
//!
//! let mut connection = pool.acquire().await?; // derefs to a `tokio_postgres::Client`
//! let orders = connection.prepare_cached("SELECT count(*) FROM orders WHERE open = $1").await?;
//! let open: i64 = connection.query_one(&orders, &[&true]).await?.get(0);
//!
//! let transaction = connection.transaction().await?;
//! transaction.execute("INSERT INTO counts VALUES ($1)", &[&open]).await?;
//! transaction.commit().await?;
//! drop(connection); // is cleaned, and goes to the next caller
//!
//! pool.drain(Duration::from_secs(5)).await?; // no connection is left at the server
//! # Ok(())
//! # }
//! ```
//!
//! `cargo run -p edgepool-postgres --example orders` runs one against the server that `PGHOST`,
//! `PGPORT`, `PGUSER`, `PGPASSWORD` and `PGDATABASE` name.
//!
//! # What the pool does with a connection
//!
//! - **Opens it** within 10 s, in a task of its own on the tokio runtime of whoever polls. Failures
//!   are an [`Error`] of a kind: a wrong password is [`Error::Denied`], a server out of places
//!   [`Error::Busy`]. A server that is down is tried again by the pool's back-off.
//! - **Looks whether it was lost**, each time before it is lent. That costs nothing: its task has
//!   ended as soon as the server closed it, be it by `pg_terminate_backend`, a restart or a network
//!   that says so. If it was not used for a second, the server is asked as well, and every 30 s
//!   while it is idle.
//! - **Cleans it** as it comes back ([`Reset`]): an open transaction is rolled back; settings,
//!   temporary tables, cursors, locks and `LISTEN` are gone. With [`Reset::Session`] and
//!   [`Reset::Rollback`] that is one round trip, which is sent as the lease is dropped, so locks
//!   are not held until somebody polls the pool. After a transaction that had failed it is three,
//!   and with the other resets one more: what follows the first is sent once the pool's driver or a
//!   caller polls.
//! - **Closes it** with a word of farewell. A connection that is stuck in a statement is cut off,
//!   and the statement is cancelled at the server.
//!
//! # A statement that hangs
//!
//! A caller that gives up a query, as by `tokio::time::timeout`, has a connection that is still
//! busy with it. If it [discards](edgepool::Lease::discard) the lease, the statement has one more
//! second, then it is cancelled. If it drops it, the reset stands behind the statement until
//! `reset_timeout` (5 s), then the statement is cancelled and the connection cut off. That time is
//! noticed by the pool's [driver](edgepool::Pool::driver), or by a caller that waits: without
//! either the connection stays as it is. The server itself ends statements after its
//! `statement_timeout`, which leaves the connection good: set it by
//! [`Config::options`](tokio_postgres::Config::options).
//!
//! # Tenants
//!
//! [`PgTenants`] opens connections for [`edgepool::tenants`]: one pool whose connections go from
//! tenant to tenant, with the tenant's id in a setting that policies of row-level security read; or
//! a pool for each tenant, with its schema and its role, or its database. `cargo xtask postgres --
//! cargo run -p edgepool-postgres --example tenants` shows all three.
//!
//! # Passwords
//!
//! No [`Error`] and no `Debug` of this crate has the password, nor a part of the connection string.
#![forbid(unsafe_code)]

mod connect;
mod connection;
mod error;
mod names;
mod reset;
mod statements;
mod tenants;

pub use connect::{PgConnector, PgFactory, PgPool};
pub use connection::PgConnection;
pub use error::Error;
pub use reset::Reset;
pub use tenants::PgTenants;
pub use tokio_postgres;
