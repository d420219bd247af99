//! Factories whose type can be named: behind pointers, and with boxed jobs.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::events::{About, Event};
use crate::factory::{Begun, Factory, Tried};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type LocalBoxFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// A factory of any type, for pools that cross threads: `Pool<BoxFactory<T, E>, C>` can be named
/// where the closures of a factory cannot. [`boxed`] makes it; each job costs an allocation more.
pub type BoxFactory<T, E> = Box<
    dyn Factory<
            Connection = T,
            Error = E,
            Create = BoxFuture<Result<T, E>>,
            Check = BoxFuture<Tried<T, E>>,
            Reset = BoxFuture<Tried<T, E>>,
            Close = BoxFuture<()>,
        > + Send
        + Sync,
>;

/// As [`BoxFactory`], for pools that stay on one thread. [`boxed_local`] makes it.
pub type LocalBoxFactory<T, E> = Box<
    dyn Factory<
            Connection = T,
            Error = E,
            Create = LocalBoxFuture<Result<T, E>>,
            Check = LocalBoxFuture<Tried<T, E>>,
            Reset = LocalBoxFuture<Tried<T, E>>,
            Close = LocalBoxFuture<()>,
        >,
>;

/// Puts a factory behind a type that can be named.
///
/// # Examples
///
/// ```
/// use edgepool::{BoxFactory, Pool, StdClock, boxed, factory_fn};
///
/// struct Service {
///     pool: Pool<BoxFactory<String, std::io::Error>, StdClock>,
/// }
///
/// let factory = boxed(factory_fn(async || Ok(String::from("a connection"))));
/// let service = Service { pool: Pool::builder(factory, StdClock).build()? };
/// # futures::executor::block_on(async {
/// assert_eq!(*service.pool.acquire().await.unwrap(), "a connection");
/// # });
/// # Ok::<_, edgepool::OptionsError>(())
/// ```
pub fn boxed<F>(factory: F) -> BoxFactory<F::Connection, F::Error>
where
    F: Factory + Send + Sync + 'static,
    F::Create: Send,
    F::Check: Send,
    F::Reset: Send,
    F::Close: Send,
{
    Box::new(Boxing(factory))
}

/// As [`boxed`], for a pool that stays on one thread.
pub fn boxed_local<F: Factory + 'static>(factory: F) -> LocalBoxFactory<F::Connection, F::Error> {
    Box::new(LocalBoxing(factory))
}

struct Boxing<F>(F);
struct LocalBoxing<F>(F);

/// The methods that hand on what the inner factory does.
macro_rules! delegate {
    ($self:ident => $inner:expr) => {
        #[inline]
        fn checks(&$self) -> bool {
            $inner.checks()
        }
        #[inline]
        fn after_create(&$self, connection: &mut F::Connection, about: About<'_>) {
            $inner.after_create(connection, about);
        }
        #[inline]
        fn before_acquire(&$self, connection: &mut F::Connection, about: About<'_>) {
            $inner.before_acquire(connection, about);
        }
        #[inline]
        fn after_release(&$self, connection: &mut F::Connection, about: About<'_>) {
            $inner.after_release(connection, about);
        }
        #[inline]
        fn before_close(&$self, connection: &mut F::Connection, about: About<'_>) {
            $inner.before_close(connection, about);
        }
        #[inline]
        fn observe(&$self, event: &Event<'_>) {
            $inner.observe(event);
        }
    };
}

macro_rules! boxing {
    ($boxing:ident, $future:ident $(, $send:ident)?) => {
        impl<F: Factory> Factory for $boxing<F>
        where
            F::Create: $($send +)? 'static,
            F::Check: $($send +)? 'static,
            F::Reset: $($send +)? 'static,
            F::Close: $($send +)? 'static,
        {
            type Connection = F::Connection;
            type Error = F::Error;
            type Create = $future<Result<F::Connection, F::Error>>;
            type Check = $future<Tried<F::Connection, F::Error>>;
            type Reset = $future<Tried<F::Connection, F::Error>>;
            type Close = $future<()>;

            fn create(&self) -> Self::Create {
                Box::pin(self.0.create())
            }
            fn check(
                &self,
                connection: F::Connection,
            ) -> Begun<Tried<F::Connection, F::Error>, Self::Check> {
                self.0.check(connection).map_later(|job| Box::pin(job) as Self::Check)
            }
            fn reset(
                &self,
                connection: F::Connection,
            ) -> Begun<Tried<F::Connection, F::Error>, Self::Reset> {
                self.0.reset(connection).map_later(|job| Box::pin(job) as Self::Reset)
            }
            fn close(&self, connection: F::Connection) -> Begun<(), Self::Close> {
                self.0.close(connection).map_later(|job| Box::pin(job) as Self::Close)
            }
            delegate!(self => self.0);
        }
    };
}

boxing!(Boxing, BoxFuture, Send);
boxing!(LocalBoxing, LocalBoxFuture);

macro_rules! behind {
    ($pointer:ty) => {
        impl<F: Factory + ?Sized> Factory for $pointer {
            type Connection = F::Connection;
            type Error = F::Error;
            type Create = F::Create;
            type Check = F::Check;
            type Reset = F::Reset;
            type Close = F::Close;

            fn create(&self) -> F::Create {
                (**self).create()
            }
            fn check(
                &self,
                connection: F::Connection,
            ) -> Begun<Tried<F::Connection, F::Error>, F::Check> {
                (**self).check(connection)
            }
            fn reset(
                &self,
                connection: F::Connection,
            ) -> Begun<Tried<F::Connection, F::Error>, F::Reset> {
                (**self).reset(connection)
            }
            fn close(&self, connection: F::Connection) -> Begun<(), F::Close> {
                (**self).close(connection)
            }
            delegate!(self => (**self));
        }
    };
}

behind!(Box<F>);
behind!(Arc<F>);
