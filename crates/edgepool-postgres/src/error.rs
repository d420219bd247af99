//! Why there is no connection.

use std::error::Error as StdError;
use std::fmt;

use tokio_postgres::error::SqlState;

/// Why a connection could not be opened, was lost, or could not be cleaned.
///
/// What the server said is in its source, a [`tokio_postgres::Error`]. Neither has the password.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The connection string cannot be read. What is wrong in it is not told, as that may be a part
    /// of the password.
    ConnectionString,
    /// There is no tokio runtime where the pool is polled, which connections need. In one that has
    /// IO or time off, tokio panics instead.
    NoRuntime,
    /// The server cannot be reached, or broke off before the connection was made.
    Unreachable(tokio_postgres::Error),
    /// The server refuses the user, the password or the database.
    Denied(tokio_postgres::Error),
    /// The server has no place for a connection now, or is starting or stopping.
    Busy(tokio_postgres::Error),
    /// The server refused the connection for another reason.
    Refused(tokio_postgres::Error),
    /// The connection was closed by the server, or by the network. The source says why, if the
    /// server did.
    Lost(Option<tokio_postgres::Error>),
    /// The connection could not be cleaned.
    Reset(tokio_postgres::Error),
    /// A setting of a tenant's session could not be set.
    Setting(tokio_postgres::Error),
    /// A tenant's schema, database or role has a name that PostgreSQL would take for another one.
    Name(String),
    /// Tenants cannot share connections of this role: the policies of tables do not hold for it.
    AbovePolicies(String),
}

impl Error {
    /// Sorts the failure of an attempt to connect.
    pub(crate) fn of_connect(error: tokio_postgres::Error) -> Self {
        let Some(code) = error.code() else {
            // Without a word of the server, a login fails where the password is missing, or of a
            // kind that the server does not take.
            let login = error.to_string() == "authentication error"
                || (error.to_string() == "invalid configuration");
            return if login { Self::Denied(error) } else { Self::Unreachable(error) };
        };
        const DENIED: [SqlState; 4] = [
            SqlState::INVALID_PASSWORD,
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            SqlState::INVALID_CATALOG_NAME,
            SqlState::INSUFFICIENT_PRIVILEGE,
        ];
        const BUSY: [SqlState; 4] = [
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
        ];
        match code {
            code if DENIED.contains(code) => Self::Denied(error),
            code if BUSY.contains(code) => Self::Busy(error),
            _ => Self::Refused(error),
        }
    }

    /// Returns what the driver said.
    const fn below(&self) -> Option<&tokio_postgres::Error> {
        match self {
            Self::ConnectionString | Self::NoRuntime | Self::Name(_) | Self::AbovePolicies(_) => {
                None
            }
            Self::Lost(error) => error.as_ref(),
            Self::Unreachable(error)
            | Self::Denied(error)
            | Self::Busy(error)
            | Self::Refused(error)
            | Self::Reset(error)
            | Self::Setting(error) => Some(error),
        }
    }

    /// Returns the code of what the server said, such as `28P01`, if it said anything.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.below()?.code().map(SqlState::code)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConnectionString => "the connection string cannot be read",
            Self::NoRuntime => "connections are opened within a tokio runtime with IO and time on",
            Self::Unreachable(_) => "PostgreSQL cannot be reached",
            Self::Denied(_) => "PostgreSQL denies access",
            Self::Busy(_) => "PostgreSQL takes no connection now",
            Self::Refused(_) => "PostgreSQL refused the connection",
            Self::Lost(_) => "the connection was lost",
            Self::Reset(_) => "the connection could not be cleaned",
            Self::Setting(_) => "the session's settings could not be set",
            Self::Name(name) => return write_name(f, name),
            Self::AbovePolicies(role) => return write_above(f, role),
        })?;
        let Some(error) = self.below() else { return Ok(()) };
        match error.as_db_error() {
            Some(said) => write!(f, ": {} ({})", said.message(), said.code().code()),
            None => match error.source() {
                Some(cause) => write!(f, ": {cause}"),
                None => write!(f, ": {error}"),
            },
        }
    }
}

fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let shown: String = name.chars().take(80).collect();
    write!(
        f,
        "{shown:?} cannot be the name of a tenant's schema, database or role: PostgreSQL cuts it off \
         after 63 bytes and at a NUL, and reads \"$user\" as the user's; give the tenant another name"
    )
}

fn write_above(f: &mut fmt::Formatter<'_>, role: &str) -> fmt::Result {
    write!(
        f,
        "tenants cannot share connections of the role {role:?}, which row-level security does not \
         hold for; log in as a role without SUPERUSER and BYPASSRLS, and give tenants no other"
    )
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.below().map(|error| error as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_without_a_source_says_what_to_do() {
        assert_eq!(Error::ConnectionString.to_string(), "the connection string cannot be read");
        assert_eq!(Error::Lost(None).to_string(), "the connection was lost");
        assert_eq!(Error::Lost(None).code(), None);
    }
}
