//! What opens connections.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use edgepool::{
    Builder, CheckOnAcquire, Clock, Connect, ConnectionFactory, OptionsError, Pool, StdClock,
};
use tokio::runtime::Handle;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Config, NoTls, Socket};

use crate::connection::{Cancel, PgConnection};
use crate::error::Error;
use crate::reset::Reset;

/// A factory of connections to PostgreSQL.
pub type PgFactory<T = NoTls> = ConnectionFactory<PgConnector<T>>;

/// A pool of connections to PostgreSQL.
pub type PgPool<C = StdClock, T = NoTls> = Pool<PgFactory<T>, C>;

/// How many statements a connection keeps prepared.
const STATEMENTS: usize = 100;

/// Says what a connection is opened with.
type Prepare = dyn Fn(&mut Config) -> Result<(), Error> + Send + Sync;

/// What a connector does for tenants.
#[derive(Clone)]
pub(crate) struct ForTenants {
    /// Is asked each time that a connection is opened.
    pub(crate) prepare: Arc<Prepare>,
    /// Whether one tenant has a connection after another.
    pub(crate) crosses: bool,
}

/// Opens connections to PostgreSQL, as a [`Config`] of the driver says.
///
/// `Debug` does not show the password.
#[derive(Clone)]
#[must_use = "a connector opens nothing until a pool asks it to"]
pub struct PgConnector<T = NoTls> {
    config: Config,
    tls: T,
    reset: Reset,
    statements: usize,
    tenants: Option<ForTenants>,
}

impl PgConnector {
    /// Makes a connector without TLS.
    pub fn new(config: Config) -> Self {
        let (tls, reset, statements) = (NoTls, Reset::default(), STATEMENTS);
        Self { config, tls, reset, statements, tenants: None }
    }

    /// Makes a connector of a connection string: a URL `postgres://user:password@host/database`, or
    /// pairs as in `host=/run/postgresql user=app`.
    ///
    /// # Errors
    ///
    /// The string cannot be read.
    pub fn from_url(url: &str) -> Result<Self, Error> {
        url.parse().map(Self::new).map_err(|_| Error::ConnectionString)
    }
}

impl<T> PgConnector<T> {
    /// Sets what encrypts, such as the `MakeRustlsConnect` of `tokio-postgres-rustls`. The default is
    /// no TLS, and a connection string that requires it then fails. Statements are cancelled over
    /// the same.
    pub fn tls<U>(self, tls: U) -> PgConnector<U> {
        let Self { config, reset, statements, tenants, .. } = self;
        PgConnector { config, tls, reset, statements, tenants }
    }

    /// Sets how a connection is cleaned that comes back. The default is [`Reset::Session`].
    pub fn reset(mut self, reset: Reset) -> Self {
        self.reset = reset;
        self
    }

    /// Sets how many statements [`prepare_cached`](PgConnection::prepare_cached) keeps for each
    /// connection; none at 0. The default is 100.
    pub const fn statement_cache(mut self, most: usize) -> Self {
        self.statements = most;
        self
    }

    pub(crate) fn for_tenants(self, tenants: ForTenants) -> Self {
        Self { tenants: Some(tenants), ..self }
    }
}

impl<T> PgConnector<T>
where
    Self: Connect<Connection = PgConnection>,
{
    /// Starts to set a pool up, by [`Pool::for_service`], with a look at each connection before it
    /// is lent. The server is asked in it only if the connection was not used for a second.
    pub fn pool<C: Clock>(self, clock: C) -> Builder<PgFactory<T>, C> {
        let factory = ConnectionFactory::new(self);
        Pool::for_service(factory, clock).check_on_acquire(CheckOnAcquire::Always)
    }

    /// Makes a pool on the system's clock with no more than a number of connections.
    ///
    /// # Errors
    ///
    /// The number is 0.
    pub fn pool_of(self, max: u32) -> Result<PgPool<StdClock, T>, OptionsError> {
        self.pool(StdClock).min_idle(max.min(2)).max(max).build()
    }
}

impl<T> Connect for PgConnector<T>
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    type Connection = PgConnection;
    type Connecting = Pin<Box<dyn Future<Output = Result<PgConnection, Error>> + Send>>;

    fn connect(&self) -> Self::Connecting {
        let Self { mut config, tls, reset, statements, tenants } = self.clone();
        Box::pin(async move {
            let runtime = Handle::try_current().map_err(|_| Error::NoRuntime)?;
            if let Some(tenants) = &tenants {
                (tenants.prepare)(&mut config)?;
            }
            let connected = config.connect(tls.clone()).await;
            let (client, connection) = connected.map_err(Error::of_connect)?;
            let token = client.cancel_token();
            let cancel: Cancel = Arc::new(move || {
                let (token, tls) = (token.clone(), tls.clone());
                Box::pin(async move { drop(token.cancel_query(tls).await) })
            });
            let crosses = tenants.is_some_and(|tenants| tenants.crosses);
            let cleaning = (reset, crosses);
            let connection =
                PgConnection::new(client, connection, runtime, cancel, cleaning, statements);
            if crosses {
                connection.see_that_policies_hold().await?;
            }
            Ok(connection)
        })
    }
}

impl<T> fmt::Debug for PgConnector<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgConnector")
            .field("config", &self.config)
            .field("reset", &self.reset)
            .field("statements", &self.statements)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_password_is_shown() {
        let connector = PgConnector::from_url("postgres://app:s3cr3t@localhost/db").unwrap();
        let shown = format!("{connector:?}");
        assert!(shown.contains("localhost") && !shown.contains("s3cr3t"), "{shown}");
        for wrong in ["postgres://app:s3cr3t@localhost:port/db", "password=a s3cr3t host=x"] {
            let error = PgConnector::from_url(wrong).unwrap_err();
            assert!(matches!(error, Error::ConnectionString));
            assert!(!format!("{error} {error:?}").contains("s3cr3t"));
        }
    }

    #[test]
    fn outside_of_a_runtime_there_is_no_connection() {
        let connector = PgConnector::from_url("postgres://app@127.0.0.1:1/db").unwrap();
        let mut connecting = connector.connect();
        let polled =
            connecting.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
        assert!(matches!(polled, std::task::Poll::Ready(Err(Error::NoRuntime))));
    }
}
