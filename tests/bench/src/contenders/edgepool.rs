//! The pool of this project, in three configurations.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::time::Duration;

use edgepool::{
    Acquire, AcquireError, Builder, Factory, Lease, NoJob, OptionsError, Pool, Share, StdClock,
    Tenant, Tried, UNBOUNDED,
};

use super::{Connection, Contender, Creates};
use crate::output::About;

/// Makes connections at once.
#[derive(Clone, Copy)]
pub struct Maker;

impl Factory for Maker {
    type Connection = Connection;
    type Error = Infallible;
    type Create = Ready<Result<Connection, Infallible>>;
    type Check = NoJob<Tried<Connection, Infallible>>;
    type Reset = NoJob<Tried<Connection, Infallible>>;
    type Close = NoJob<()>;

    fn create(&self) -> Self::Create {
        ready(Ok(Connection::default()))
    }

    fn checks(&self) -> bool {
        false
    }
}

/// Sets every time that the pool may have to none: nothing asks what time it is.
fn untimed(size: usize) -> Builder<Maker, StdClock> {
    let max = u32::try_from(size).expect("a pool of a few connections");
    Pool::builder(Maker, StdClock)
        .max(max)
        .min_idle(0)
        .max_waiting(UNBOUNDED)
        .acquire_timeout(None)
        .create_timeout(None)
        .check_timeout(None)
        .reset_timeout(None)
        .close_timeout(None)
        .idle_timeout(None)
        .max_lifetime(None)
        .backoff(None)
        .ageing(None)
        .wait_times(false)
        .slow_acquire(None)
}

/// Turns on what reads the clock in a get and in a drop.
fn timed(size: usize) -> Builder<Maker, StdClock> {
    untimed(size)
        .max_lifetime(Duration::from_secs(1_800))
        .idle_timeout(Duration::from_secs(300))
        .hold_times(true)
}

/// Sets nothing but the sizes that every contender has.
fn as_it_comes(size: usize) -> Builder<Maker, StdClock> {
    let max = u32::try_from(size).expect("a pool of a few connections");
    let min_idle = max.min(2); // a pool of one cannot keep up the default of two
    Pool::builder(Maker, StdClock).max(max).min_idle(min_idle).max_waiting(UNBOUNDED)
}

/// edgepool with nothing on that needs a clock.
#[derive(Clone)]
pub struct Edgepool(Pool<Maker, StdClock>);

/// edgepool with lifetimes, an idle timeout and the times of holds.
#[derive(Clone)]
pub struct EdgepoolTimed(Pool<Maker, StdClock>);

/// edgepool as it comes.
#[derive(Clone)]
pub struct EdgepoolDefaults(Pool<Maker, StdClock>);

/// Tenants that share the pool.
impl Edgepool {
    /// Opens one.
    ///
    /// # Errors
    ///
    /// The share is out of range.
    pub fn tenant(&self, share: Share) -> Result<Tenant<Maker, StdClock>, OptionsError> {
        self.0.tenant(share)
    }

    /// Returns the pool's own future for a connection of a tenant.
    pub fn get_for<'a>(
        &'a self,
        tenant: &'a Tenant<Maker, StdClock>,
    ) -> Acquire<'a, Maker, StdClock> {
        self.0.acquire().tenant(tenant)
    }
}

macro_rules! edgepool {
    ($contender:ident, $build:ident, $about:expr) => {
        impl Contender for $contender {
            const ABOUT: About = $about;

            type Lease<'a> = Lease<Maker, StdClock>;
            type Error = AcquireError<Infallible>;

            async fn open(size: usize) -> Self {
                Self($build(size).build().expect("the options are in their ranges"))
            }

            fn get(&self) -> impl Future<Output = Result<Self::Lease<'_>, Self::Error>> + Send {
                self.0.acquire()
            }
        }

        impl Creates for $contender {
            fn take(lease: Self::Lease<'_>) -> Connection {
                lease.take()
            }
        }
    };
}

edgepool!(
    Edgepool,
    untimed,
    About {
        id: "edgepool",
        name: "edgepool, all times off",
        package: None,
        settings: "every time is none: no timeouts, no lifetimes, no times kept",
    }
);

edgepool!(
    EdgepoolTimed,
    timed,
    About {
        id: "edgepool-timed",
        name: "edgepool, timed",
        package: None,
        settings: "a lifetime, an idle timeout, and how long connections are held",
    }
);

edgepool!(
    EdgepoolDefaults,
    as_it_comes,
    About {
        id: "edgepool-defaults",
        name: "edgepool, defaults",
        package: None,
        settings: "only its sizes are set: time-outs, lifetimes, a back-off and the times of waits",
    }
);
