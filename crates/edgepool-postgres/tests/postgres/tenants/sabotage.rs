//! Tenants' connections with known bugs put in, so that the proof can be seen to fail.

use std::sync::OnceLock;

use edgepool::tenants::{Entry, TenantFactory};
use edgepool::{Begun, ConnectionFactory, Factory, Tried};
use edgepool_postgres::{Error, PgConnection, PgConnector, PgFactory, PgTenants};

/// What is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sabotage {
    /// The context of those tenants whose id has an even number of characters.
    pub(super) no_enter: bool,
    /// All that is done as a connection comes back.
    pub(super) no_reset: bool,
    /// Whoever is first is whom all connections are for.
    pub(super) one_for_all: bool,
}

/// Tenants' connections, with something left out or nothing.
pub(super) struct Sabotaged {
    tenants: PgTenants,
    sabotage: Sabotage,
    first: OnceLock<Entry>,
}

impl Sabotaged {
    pub(super) fn new(tenants: PgTenants, sabotage: Sabotage) -> Self {
        Self { tenants, sabotage, first: OnceLock::new() }
    }
}

impl TenantFactory for Sabotaged {
    type Connection = PgConnection;
    type Error = Error;
    type Factory = Careless;
    type Enter = <PgTenants as TenantFactory>::Enter;

    fn factory(&self, entry: Option<&Entry>) -> Careless {
        let first = |entry: &Entry| self.first.get_or_init(|| entry.clone()).clone();
        let taken = match self.sabotage.one_for_all {
            true => entry.map(first),
            false => entry.cloned(),
        };
        let factory = self.tenants.factory(taken.as_ref());
        Careless { factory, no_reset: self.sabotage.no_reset }
    }

    fn enter(
        &self,
        connection: PgConnection,
        entry: &Entry,
    ) -> Begun<Tried<PgConnection, Error>, Self::Enter> {
        match self.sabotage.no_enter && entry.id().as_str().len().is_multiple_of(2) {
            true => Begun::Done(Ok(connection)),
            false => self.tenants.enter(connection, entry),
        }
    }
}

/// A factory that may leave its connections as they come back.
pub(super) struct Careless {
    factory: PgFactory,
    no_reset: bool,
}

type Careful = ConnectionFactory<PgConnector>;

impl Factory for Careless {
    type Connection = PgConnection;
    type Error = Error;
    type Create = <Careful as Factory>::Create;
    type Check = <Careful as Factory>::Check;
    type Reset = <Careful as Factory>::Reset;
    type Close = <Careful as Factory>::Close;

    fn create(&self) -> Self::Create {
        self.factory.create()
    }

    fn check(&self, connection: PgConnection) -> Begun<Tried<PgConnection, Error>, Self::Check> {
        self.factory.check(connection)
    }

    fn reset(&self, connection: PgConnection) -> Begun<Tried<PgConnection, Error>, Self::Reset> {
        match self.no_reset {
            true => Begun::Done(Ok(connection)),
            false => self.factory.reset(connection),
        }
    }

    fn close(&self, connection: PgConnection) -> Begun<(), Self::Close> {
        self.factory.close(connection)
    }
}
