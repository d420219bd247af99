//! The peers, each in the cheapest setting that it offers.
#![expect(deprecated, reason = "fastpool gave way to asyncband, and is still in use")]

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use deadpool::{managed, unmanaged};

use super::{Connection, Contender, Creates};
use crate::output::About;

/// Makes connections at once, and finds every one good.
#[derive(Clone, Copy, Debug)]
pub struct Maker;

const NO_TIMES: &str = "no timeouts, no checks, no lifetimes";

/// The managed pool of deadpool.
#[derive(Clone)]
pub struct Deadpool(managed::Pool<Maker>);

impl managed::Manager for Maker {
    type Type = Connection;
    type Error = Infallible;

    async fn create(&self) -> Result<Connection, Infallible> {
        Ok(Connection::default())
    }

    async fn recycle(
        &self,
        _connection: &mut Connection,
        _metrics: &managed::Metrics,
    ) -> managed::RecycleResult<Infallible> {
        Ok(())
    }
}

impl Contender for Deadpool {
    const ABOUT: About =
        About { id: "deadpool", name: "deadpool", package: Some("deadpool"), settings: NO_TIMES };

    type Lease<'a> = managed::Object<Maker>;
    type Error = managed::PoolError<Infallible>;

    async fn open(size: usize) -> Self {
        Self(managed::Pool::builder(Maker).max_size(size).build().expect("no timeout is set"))
    }

    fn get(&self) -> impl Future<Output = Result<Self::Lease<'_>, Self::Error>> + Send {
        self.0.get()
    }
}

impl Creates for Deadpool {
    fn take(lease: Self::Lease<'_>) -> Connection {
        managed::Object::take(lease)
    }
}

/// The unmanaged pool of deadpool, which makes no connections.
#[derive(Clone)]
pub struct DeadpoolUnmanaged(unmanaged::Pool<Connection>);

impl Contender for DeadpoolUnmanaged {
    const ABOUT: About = About {
        id: "deadpool-unmanaged",
        name: "deadpool, unmanaged",
        package: Some("deadpool"),
        settings: "no timeout; its connections are made by its user",
    };

    type Lease<'a> = unmanaged::Object<Connection>;
    type Error = unmanaged::PoolError;

    async fn open(size: usize) -> Self {
        Self(unmanaged::Pool::from((0..size as u64).map(Connection).collect::<Vec<_>>()))
    }

    fn get(&self) -> impl Future<Output = Result<Self::Lease<'_>, Self::Error>> + Send {
        self.0.get()
    }
}

/// The pool of bb8.
#[derive(Clone)]
pub struct Bb8(bb8::Pool<Maker>);

impl bb8::ManageConnection for Maker {
    type Connection = Connection;
    type Error = Infallible;

    async fn connect(&self) -> Result<Connection, Infallible> {
        Ok(Connection::default())
    }

    async fn is_valid(&self, _connection: &mut Connection) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _connection: &mut Connection) -> bool {
        false
    }
}

impl Contender for Bb8 {
    const ABOUT: About = About {
        id: "bb8",
        name: "bb8",
        package: Some("bb8"),
        settings: "no checks, no lifetimes; its timeout cannot be turned off",
    };

    type Lease<'a> = bb8::PooledConnection<'a, Maker>;
    type Error = bb8::RunError<Infallible>;

    async fn open(size: usize) -> Self {
        let max = u32::try_from(size).expect("a pool of a few connections");
        let builder = bb8::Pool::builder().max_size(max).test_on_check_out(false);
        let built = builder.max_lifetime(None).idle_timeout(None).build(Maker).await;
        Self(built.expect("a creation cannot fail"))
    }

    fn get(&self) -> impl Future<Output = Result<Self::Lease<'_>, Self::Error>> + Send {
        self.0.get()
    }
}

/// The pool of mobc.
#[derive(Clone)]
pub struct Mobc(mobc::Pool<Maker>);

#[mobc::async_trait]
impl mobc::Manager for Maker {
    type Connection = Connection;
    type Error = Infallible;

    async fn connect(&self) -> Result<Connection, Infallible> {
        Ok(Connection::default())
    }

    async fn check(&self, connection: Connection) -> Result<Connection, Infallible> {
        Ok(connection)
    }
}

impl Contender for Mobc {
    const ABOUT: About = About {
        id: "mobc",
        name: "mobc",
        package: Some("mobc"),
        settings: "no timeouts, no checks, no lifetimes; it spawns a task to give back",
    };

    type Lease<'a> = mobc::Connection<Maker>;
    type Error = mobc::Error<Infallible>;

    async fn open(size: usize) -> Self {
        let builder = mobc::Pool::builder().max_open(size as u64).max_idle(size as u64);
        Self(builder.get_timeout(None).test_on_check_out(false).build(Maker))
    }

    fn get(&self) -> impl Future<Output = Result<Self::Lease<'_>, Self::Error>> + Send {
        self.0.get()
    }
}

impl Creates for Mobc {
    fn take(lease: Self::Lease<'_>) -> Connection {
        lease.into_inner()
    }
}

macro_rules! managed_objects {
    ($contender:ident, $library:ident, $($pool:ident)::+) => {
        #[doc = concat!("The bounded pool of ", stringify!($library), ".")]
        #[derive(Clone)]
        pub struct $contender(Arc<$($pool)::+::bounded::Pool<Maker>>);

        impl $($pool)::+::ManageObject for Maker {
            type Object = Connection;
            type Error = Infallible;

            async fn create(&self) -> Result<Connection, Infallible> {
                Ok(Connection::default())
            }

            async fn is_recyclable(
                &self,
                _connection: &mut Connection,
                _status: &$($pool)::+::ObjectStatus,
            ) -> Result<(), Infallible> {
                Ok(())
            }
        }

        impl Contender for $contender {
            const ABOUT: About = About {
                id: stringify!($library),
                name: stringify!($library),
                package: Some(stringify!($library)),
                settings: "bounded; it has no timeouts",
            };

            type Lease<'a> = $($pool)::+::bounded::Object<Maker>;
            type Error = Infallible;

            async fn open(size: usize) -> Self {
                let config = $($pool)::+::bounded::PoolConfig::new(size);
                Self($($pool)::+::bounded::Pool::new(config, Maker))
            }

            fn get(&self) -> impl Future<Output = Result<Self::Lease<'_>, Self::Error>> + Send {
                self.0.get()
            }
        }

        impl Creates for $contender {
            fn take(lease: Self::Lease<'_>) -> Connection {
                lease.detach()
            }
        }
    };
}

managed_objects!(Fastpool, fastpool, fastpool);
managed_objects!(Asyncband, asyncband, asyncband::pool);
