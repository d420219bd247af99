//! The pools that are measured, each behind the same trait.

mod bound;
mod edgepool;
mod peers;
mod semaphore;
mod strategies;

use std::fmt::Debug;
use std::future::Future;
use std::ops::Deref;

pub use bound::{Bound, NoPool};
pub use edgepool::{Edgepool, EdgepoolDefaults, EdgepoolTimed, Maker};
pub use peers::{Asyncband, Bb8, Deadpool, DeadpoolUnmanaged, Fastpool, Mobc};
pub use semaphore::{Permitted, TokioSemaphore};
pub use strategies::{Session, Sessions, Strategies, strategies, tenant_pools};

use crate::output::About;

/// What every pool here lends.
#[derive(Debug, Default)]
pub struct Connection(pub u64);

/// A pool that is measured. A clone is another handle to the same pool.
pub trait Contender: Clone + Send + Sync + 'static {
    /// What it is called, and how it is set up.
    const ABOUT: About;

    /// What a caller holds; dropping it gives the connection back.
    type Lease<'a>: Deref<Target = Connection> + Send;
    /// Why there is no connection. It does not happen here.
    type Error: Debug + Send;

    /// Makes a pool of at most `size` connections, within tokio.
    fn open(size: usize) -> impl Future<Output = Self>;

    /// Returns the pool's own future for a connection.
    fn get(&self) -> impl Future<Output = Result<Self::Lease<'_>, Self::Error>> + Send;
}

/// A pool that makes its connections itself, and lets them leave.
pub trait Creates: Contender {
    /// Takes the connection out of the pool for good.
    fn take(lease: Self::Lease<'_>) -> Connection;
}
