//! What makes the connections that a pool lends.

use std::future::Future;

/// Makes connections.
///
/// Its futures are an associated type, as in tower's `Service`: a factory whose futures are `Send`
/// gives a pool whose futures are `Send`, and one over `Rc` gives a pool for one thread.
pub trait Factory {
    /// What the pool lends.
    type Connection;
    /// Why a creation failed.
    type Error;
    /// A creation under way. It is polled by whoever waits for a connection, not only by the caller
    /// whose need started it, and it may outlive that caller.
    type Create: Future<Output = Result<Self::Connection, Self::Error>>;

    /// Starts one creation. It is called outside the pool's lock, so it may use the pool.
    fn create(&self) -> Self::Create;
}

/// Makes a [`Factory`] of a closure that returns a future.
pub const fn factory_fn<F>(create: F) -> FactoryFn<F> {
    FactoryFn { create }
}

/// The factory that [`factory_fn`] makes.
#[derive(Clone, Copy, Debug)]
pub struct FactoryFn<F> {
    create: F,
}

impl<F, Fut, C, E> Factory for FactoryFn<F>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<C, E>>,
{
    type Connection = C;
    type Error = E;
    type Create = Fut;

    fn create(&self) -> Fut {
        (self.create)()
    }
}
