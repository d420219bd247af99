//! A connection, its task, and its end.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use edgepool::tenants::TenantId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Statement};

use crate::error::Error;
use crate::reset::Reset;
use crate::statements::Statements;

/// Asks the server to cancel what the connection is busy with.
pub(crate) type Cancel = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// For how long the server is not asked whether a connection that it answered on is alive.
const FRESH: Duration = Duration::from_secs(1);
/// How long the server may take to end a connection, before what it does is cancelled.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection to PostgreSQL: a [`Client`] of the driver, and the task that serves it.
pub struct PgConnection {
    /// `None` only once it is being closed.
    client: Option<Client>,
    task: Option<JoinHandle<()>>,
    runtime: Handle,
    cancel: Cancel,
    /// Why the task ended, if not by farewell.
    lost: Arc<Mutex<Option<tokio_postgres::Error>>>,
    reset: Reset,
    /// Whether one tenant has it after another.
    crosses: bool,
    /// The tenant that had it last, if it does.
    tenant: Option<TenantId>,
    statements: Statements,
    /// When the server answered last, of what is asked here.
    heard: Instant,
    /// Whether an answer is waited for that is to come at once.
    asking: bool,
}

impl PgConnection {
    pub(crate) fn new<S, T>(
        client: Client,
        connection: tokio_postgres::Connection<S, T>,
        runtime: Handle,
        cancel: Cancel,
        (reset, crosses): (Reset, bool),
        statements: usize,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let lost = Arc::new(Mutex::new(None));
        let end = Arc::clone(&lost);
        let task = runtime.spawn(async move {
            let error = connection.await.err();
            *end.lock().unwrap_or_else(PoisonError::into_inner) = error;
        });
        let statements = Statements::new(statements);
        let (heard, asking) = (Instant::now(), false);
        let (client, task) = (Some(client), Some(task));
        let tenant = None;
        Self {
            client,
            task,
            runtime,
            cancel,
            lost,
            reset,
            crosses,
            tenant,
            statements,
            heard,
            asking,
        }
    }

    /// Forgets what is kept prepared for another tenant: it may not see the text, and in its schema
    /// the same text may be another statement.
    pub(crate) fn pass_to(&mut self, tenant: &TenantId) {
        if self.tenant.as_ref() != Some(tenant) {
            self.statements.clear();
            self.tenant = Some(tenant.clone());
        }
    }

    /// Prepares a statement, or gives it as it was prepared before on this connection. Of those used
    /// longest ago the connection forgets some, if there are more than it
    /// [keeps](crate::PgConnector::statement_cache), and all of another tenant's.
    ///
    /// # Errors
    ///
    /// The server refuses the statement, or the connection is lost.
    pub async fn prepare_cached(&self, text: &str) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.statements.get(text) {
            return Ok(statement);
        }
        let statement = self.prepare(text).await?;
        self.statements.keep(text, &statement);
        Ok(statement)
    }

    /// Returns how many statements are kept prepared.
    pub fn cached_statements(&self) -> usize {
        self.statements.len()
    }

    /// Puts settings on the session, until its next reset. With a role, sees that it is one that the
    /// policies of tables hold for.
    pub(crate) async fn set(&mut self, settings: &[(String, String)]) -> Result<(), Error> {
        let calls = (1..=settings.len())
            .map(|at| format!("pg_catalog.set_config(${}, ${}, false)", 2 * at - 1, 2 * at));
        let role = settings.iter().position(|(name, _)| name == "role");
        // The role `none` is that of the login.
        let above = role.map(|at| {
            format!(
                "(SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles \
                 WHERE rolname = COALESCE(NULLIF(${}, 'none'), session_user))",
                2 * at + 2
            )
        });
        let text = format!("SELECT {}", calls.chain(above).collect::<Vec<_>>().join(", "));
        let words = settings.iter().flat_map(|(name, value)| [name, value]);
        let words: Vec<_> = words.map(|word| (word as &(dyn ToSql + Sync), Type::TEXT)).collect();
        self.asking = true;
        let answer = self.query_typed(&text, &words).await;
        self.asking = false;
        let rows = answer
            .map_err(|error| if error.is_closed() { self.lost() } else { Error::Setting(error) })?;
        self.heard = Instant::now();
        let Some(at) = role else { return Ok(()) };
        match rows[0].get(settings.len()) {
            Some(false) => Ok(()),
            Some(true) | None => Err(Error::AbovePolicies(settings[at].1.clone())),
        }
    }

    /// Sees that the connection's role is one that the policies of tables hold for.
    pub(crate) async fn see_that_policies_hold(&self) -> Result<(), Error> {
        const TEXT: &str = "SELECT rolname::text FROM pg_catalog.pg_roles \
                            WHERE rolname = current_user AND (rolsuper OR rolbypassrls)";
        let above = self.query_typed_opt(TEXT, &[]).await;
        match above.map_err(Error::of_connect)? {
            Some(row) => Err(Error::AbovePolicies(row.get(0))),
            None => Ok(()),
        }
    }

    /// Tells how the connection was lost.
    fn lost(&self) -> Error {
        Error::Lost(self.lost.lock().unwrap_or_else(PoisonError::into_inner).take())
    }

    /// Lets the connection go. The task that this starts ends with it.
    fn say_goodbye(&mut self) -> Option<JoinHandle<()>> {
        // Without its client, the connection's task says goodbye once all answers have come.
        drop(self.client.take()?);
        let task = self.task.take().filter(|task| !task.is_finished())?;
        let patience = if self.asking { Duration::ZERO } else { FAREWELL };
        Some(self.runtime.spawn(end(task, patience, Arc::clone(&self.cancel))))
    }
}

/// Sees a connection's task end, in the worst case by cutting it off.
async fn end(mut task: JoinHandle<()>, patience: Duration, cancel: Cancel) {
    if timeout(patience, &mut task).await.is_ok() {
        return;
    }
    let cancelled = async {
        cancel().await;
        drop((&mut task).await);
    };
    if timeout(FAREWELL, cancelled).await.is_err() {
        task.abort();
    }
}

impl edgepool::Connection for PgConnection {
    type Error = Error;

    async fn check(&mut self) -> Result<(), Error> {
        if self.is_closed() {
            return Err(self.lost());
        }
        if self.heard.elapsed() < FRESH {
            return Ok(());
        }
        self.asking = true;
        let answer = self.check_connection().await;
        self.asking = false;
        answer.map_err(|error| Error::Lost(Some(error)))?;
        self.heard = Instant::now();
        Ok(())
    }

    async fn reset(&mut self) -> Result<(), Error> {
        if self.is_closed() {
            return Err(self.lost());
        }
        if !self.reset.keeps_statements() {
            self.statements.clear();
        }
        self.asking = true;
        let cleaned = self.reset.run(self, self.crosses).await;
        self.asking = false;
        cleaned
            .map_err(|error| if error.is_closed() { self.lost() } else { Error::Reset(error) })?;
        self.heard = Instant::now();
        Ok(())
    }

    async fn close(mut self) {
        if let Some(end) = self.say_goodbye() {
            drop(end.await);
        }
    }
}

impl Drop for PgConnection {
    fn drop(&mut self) {
        drop(self.say_goodbye());
    }
}

impl Deref for PgConnection {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.client.as_ref().expect("a connection has a client until it is closed")
    }
}

impl DerefMut for PgConnection {
    fn deref_mut(&mut self) -> &mut Client {
        self.client.as_mut().expect("a connection has a client until it is closed")
    }
}

impl fmt::Debug for PgConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let closed = self.client.as_ref().is_none_or(Client::is_closed);
        f.debug_struct("PgConnection").field("closed", &closed).finish_non_exhaustive()
    }
}
