//! What a pool cannot do without, and what is there without any pool.

use std::convert::Infallible;
use std::future::{Future, poll_fn, ready};
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use super::{Connection, Contender};
use crate::output::About;

/// The bound: a shared stack of connections, a handle cloned for each lease, and one lock each to
/// take and to put back. It cannot wait: where there is nothing to take, it asks again after every
/// other task has had a turn.
#[derive(Clone)]
pub struct Bound(Arc<Mutex<Vec<Connection>>>);

/// A connection of [`Bound`].
pub struct BoundLease {
    pool: Bound,
    /// `None` only while the lease is being dropped.
    connection: Option<Connection>,
}

impl Bound {
    /// Takes a connection if there is one.
    // The bound is to be as fast as it can be: returned through memory, a lease costs half as much
    // again.
    #[inline(always)]
    pub fn try_get(&self) -> Option<BoundLease> {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(BoundLease { pool: self.clone(), connection: Some(connection) })
    }
}

impl Deref for BoundLease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a lease holds its connection")
    }
}

impl Drop for BoundLease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.0.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
    }
}

impl Contender for Bound {
    const ABOUT: About = About {
        id: "bound",
        name: "Mutex<Vec>, the bound",
        package: None,
        settings: "a shared stack, two locks and a cloned handle; it does not wait, it asks again",
    };

    type Lease<'a> = BoundLease;
    type Error = Infallible;

    async fn open(size: usize) -> Self {
        Self(Arc::new(Mutex::new((0..size as u64).map(Connection).collect())))
    }

    fn get(&self) -> impl Future<Output = Result<BoundLease, Infallible>> + Send {
        poll_fn(|cx| match self.try_get() {
            Some(lease) => Poll::Ready(Ok(lease)),
            None => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        })
    }
}

/// No pool at all: everyone has a connection at once. It shows what the executor takes.
#[derive(Clone)]
pub struct NoPool;

/// A connection of nobody's.
pub struct Unpooled(Connection);

impl Deref for Unpooled {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl Contender for NoPool {
    const ABOUT: About = About {
        id: "no-pool",
        name: "no pool: the executor alone",
        package: None,
        settings: "everyone has a connection at once",
    };

    type Lease<'a> = Unpooled;
    type Error = Infallible;

    async fn open(_size: usize) -> Self {
        Self
    }

    fn get(&self) -> impl Future<Output = Result<Unpooled, Infallible>> + Send {
        ready(Ok(Unpooled(Connection(0))))
    }
}
