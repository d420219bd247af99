//! How a connection is cleaned for the next caller.

use std::borrow::Cow;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

/// How a connection is cleaned that comes back. Whichever it is, an open transaction is rolled back
/// first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reset {
    /// Nothing of the session is left but prepared statements: settings, roles, cursors, temporary
    /// tables, sequences' values, advisory locks and `LISTEN` are gone. That is `DISCARD ALL`
    /// without `DEALLOCATE ALL`, after which the driver's own statements, which it reads types
    /// with, would be missing.
    #[default]
    Session,
    /// `DISCARD ALL`, which forgets prepared statements, too; those that are cached here are
    /// prepared again. It makes queries fail that return a type of the database's own, if one of
    /// another such type was made on the same connection before the reset.
    DiscardAll,
    /// Only the transaction is rolled back: for callers that change nothing of the session.
    Rollback,
    /// These statements, separated by `;`, and after them `RESET ROLE`. Prepared statements that are
    /// cached here are prepared again.
    Custom(Cow<'static, str>),
}

/// Ends a transaction if there is one, and warns of nothing: a `ROLLBACK` alone would make the
/// server log a warning each time that there is none.
const END: &str = "BEGIN; ROLLBACK;";

/// The role is reset by itself, as after `DISCARD ALL`: whether the session's reset leaves none or the
/// one that the connection began with is not the same on all servers.
const SESSION: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; \
                       UNLISTEN *; SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; \
                       DISCARD SEQUENCES;";

/// What forgets the statements that a holder has prepared in SQL. The driver's are closed as those who
/// have them let them go.
const PREPARED: &str = "SELECT 'DEALLOCATE ' || pg_catalog.quote_ident(name) AS forget \
                        FROM pg_catalog.pg_prepared_statements WHERE from_sql";

impl Reset {
    /// Cleans a connection; of what the session has, too, if it goes from one tenant to another.
    pub(crate) async fn run(
        &self,
        client: &Client,
        crosses: bool,
    ) -> Result<(), tokio_postgres::Error> {
        let first = match self {
            Self::Session => Cow::Owned(format!("{END} {SESSION}")),
            Self::Rollback | Self::Custom(_) if crosses => Cow::Owned(format!("{END} {SESSION}")),
            _ => Cow::Borrowed(END),
        };
        let forgets = crosses && *self != Self::DiscardAll;
        let first = if forgets { Cow::Owned(format!("{first} {PREPARED}")) } else { first };
        let told = match client.simple_query(&first).await {
            // Only `ROLLBACK` ends a transaction that has failed.
            Err(error) if error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION) => {
                client.batch_execute("ROLLBACK").await?;
                client.simple_query(&first).await?
            }
            told => told?,
        };
        let forget: Vec<&str> = told.iter().filter_map(forget).collect();
        if !forget.is_empty() {
            client.batch_execute(&forget.join(";")).await?;
        }
        // By themselves: several statements at once are a transaction, in which not all may be.
        match self {
            Self::Session | Self::Rollback => return Ok(()),
            Self::DiscardAll => client.batch_execute("DISCARD ALL").await?,
            Self::Custom(statements) => client.batch_execute(statements).await?,
        }
        // Statements of somebody's own may have left the holder's.
        client.batch_execute("RESET ROLE").await
    }

    /// Whether prepared statements live on, for the same tenant if there are several.
    pub(crate) const fn keeps_statements(&self) -> bool {
        matches!(self, Self::Session | Self::Rollback)
    }
}

/// Reads an answer to [`PREPARED`].
fn forget(told: &SimpleQueryMessage) -> Option<&str> {
    match told {
        SimpleQueryMessage::Row(row) => row.try_get("forget").ok().flatten(),
        _ => None,
    }
}
