//! Factories made of closures.

use std::future::Future;

use crate::factory::{Begun, Factory, NoJob, Tried};

/// Makes a [`Factory`] of a closure that returns a future.
///
/// More closures look after the connections: [`check`](FactoryFn::check),
/// [`reset`](FactoryFn::reset) and [`close`](FactoryFn::close) with futures, and
/// [`check_sync`](FactoryFn::check_sync), [`reset_sync`](FactoryFn::reset_sync) and
/// [`close_sync`](FactoryFn::close_sync) without.
///
/// # Examples
///
/// ```
/// use edgepool::{Pool, StdClock, factory_fn};
///
/// # #[derive(Debug)] struct Reset;
/// let factory = factory_fn(async || Ok::<_, Reset>(String::from("a buffer")))
///     .reset_sync(|buffer| {
///         buffer.clear();
///         Ok(())
///     })
///     .close(async |buffer| println!("{buffer} is closed"));
///
/// let pool = Pool::builder(factory, StdClock).build()?;
/// # futures::executor::block_on(async {
/// drop(pool.acquire().await.unwrap());
/// assert_eq!(*pool.acquire().await.unwrap(), "");
/// # });
/// # Ok::<_, edgepool::OptionsError>(())
/// ```
pub const fn factory_fn<F>(create: F) -> FactoryFn<F> {
    FactoryFn { create, check: Nothing, reset: Nothing, close: Nothing }
}

/// The factory that [`factory_fn`] makes.
#[derive(Clone, Copy, Debug)]
pub struct FactoryFn<F, K = Nothing, R = Nothing, L = Nothing> {
    create: F,
    check: K,
    reset: R,
    close: L,
}

/// A job that a [`FactoryFn`] does not have.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

/// A job that a [`FactoryFn`] does in a future.
#[derive(Clone, Copy, Debug)]
pub struct Async<F>(F);

/// A job that a [`FactoryFn`] does in a call.
#[derive(Clone, Copy, Debug)]
pub struct Sync<F>(F);

impl<F, K, R, L, Fut, T, E> FactoryFn<F, K, R, L>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    /// Sets how a connection is checked: a closure that takes it and gives it back, with an error
    /// if it is not good any more.
    pub fn check<N, J>(self, check: N) -> FactoryFn<F, Async<N>, R, L>
    where
        N: Fn(T) -> J,
        J: Future<Output = Tried<T, E>>,
    {
        let Self { create, reset, close, .. } = self;
        FactoryFn { create, check: Async(check), reset, close }
    }

    /// Sets how a connection is checked, in a call that does not wait.
    pub fn check_sync<N: Fn(&mut T) -> Result<(), E>>(
        self,
        check: N,
    ) -> FactoryFn<F, Sync<N>, R, L> {
        let Self { create, reset, close, .. } = self;
        FactoryFn { create, check: Sync(check), reset, close }
    }

    /// Sets how a connection is cleaned when it comes back: a closure that takes it and gives it
    /// back, with an error if it could not.
    pub fn reset<N, J>(self, reset: N) -> FactoryFn<F, K, Async<N>, L>
    where
        N: Fn(T) -> J,
        J: Future<Output = Tried<T, E>>,
    {
        let Self { create, check, close, .. } = self;
        FactoryFn { create, check, reset: Async(reset), close }
    }

    /// Sets how a connection is cleaned when it comes back, in a call that does not wait.
    pub fn reset_sync<N: Fn(&mut T) -> Result<(), E>>(
        self,
        reset: N,
    ) -> FactoryFn<F, K, Sync<N>, L> {
        let Self { create, check, close, .. } = self;
        FactoryFn { create, check, reset: Sync(reset), close }
    }

    /// Sets how a connection is closed when it leaves the pool.
    pub fn close<N, J>(self, close: N) -> FactoryFn<F, K, R, Async<N>>
    where
        N: Fn(T) -> J,
        J: Future<Output = ()>,
    {
        let Self { create, check, reset, .. } = self;
        FactoryFn { create, check, reset, close: Async(close) }
    }

    /// Sets how a connection is closed when it leaves the pool, in a call that does not wait.
    pub fn close_sync<N: Fn(T)>(self, close: N) -> FactoryFn<F, K, R, Sync<N>> {
        let Self { create, check, reset, .. } = self;
        FactoryFn { create, check, reset, close: Sync(close) }
    }
}

/// How a [`FactoryFn`] checks or resets a connection.
pub trait Try<T, E> {
    /// The attempt under way.
    type Job: Future<Output = Tried<T, E>>;
    /// Whether there is anything to do.
    const DOES: bool = true;

    /// Begins.
    fn begin(&self, connection: T) -> Begun<Tried<T, E>, Self::Job>;
}

impl<T, E> Try<T, E> for Nothing {
    type Job = NoJob<Tried<T, E>>;
    const DOES: bool = false;

    fn begin(&self, connection: T) -> Begun<Tried<T, E>, Self::Job> {
        Begun::Done(Ok(connection))
    }
}

impl<T, E, F: Fn(T) -> Fut, Fut: Future<Output = Tried<T, E>>> Try<T, E> for Async<F> {
    type Job = Fut;

    fn begin(&self, connection: T) -> Begun<Tried<T, E>, Fut> {
        Begun::Later((self.0)(connection))
    }
}

impl<T, E, F: Fn(&mut T) -> Result<(), E>> Try<T, E> for Sync<F> {
    type Job = NoJob<Tried<T, E>>;

    fn begin(&self, mut connection: T) -> Begun<Tried<T, E>, Self::Job> {
        Begun::Done(match (self.0)(&mut connection) {
            Ok(()) => Ok(connection),
            Err(error) => Err((connection, error)),
        })
    }
}

/// How a [`FactoryFn`] closes a connection.
pub trait Finish<T> {
    /// The closing under way.
    type Job: Future<Output = ()>;

    /// Begins.
    fn begin(&self, connection: T) -> Begun<(), Self::Job>;
}

impl<T> Finish<T> for Nothing {
    type Job = NoJob<()>;

    fn begin(&self, connection: T) -> Begun<(), Self::Job> {
        drop(connection);
        Begun::Done(())
    }
}

impl<T, F: Fn(T) -> Fut, Fut: Future<Output = ()>> Finish<T> for Async<F> {
    type Job = Fut;

    fn begin(&self, connection: T) -> Begun<(), Fut> {
        Begun::Later((self.0)(connection))
    }
}

impl<T, F: Fn(T)> Finish<T> for Sync<F> {
    type Job = NoJob<()>;

    fn begin(&self, connection: T) -> Begun<(), Self::Job> {
        (self.0)(connection);
        Begun::Done(())
    }
}

impl<F, K, R, L, Fut, T, E> Factory for FactoryFn<F, K, R, L>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    K: Try<T, E>,
    R: Try<T, E>,
    L: Finish<T>,
{
    type Connection = T;
    type Error = E;
    type Create = Fut;
    type Check = K::Job;
    type Reset = R::Job;
    type Close = L::Job;

    fn create(&self) -> Fut {
        (self.create)()
    }

    fn checks(&self) -> bool {
        K::DOES
    }

    fn check(&self, connection: T) -> Begun<Tried<T, E>, K::Job> {
        self.check.begin(connection)
    }

    #[inline]
    fn reset(&self, connection: T) -> Begun<Tried<T, E>, R::Job> {
        self.reset.begin(connection)
    }

    fn close(&self, connection: T) -> Begun<(), L::Job> {
        self.close.begin(connection)
    }
}
