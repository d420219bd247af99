//! A factory with an observer beside it.

use crate::events::{About, Event, Observer};
use crate::factory::{Begun, Factory, Tried};

/// A factory with an [`Observer`] beside it, which is told what happens after the factory is.
///
/// # Examples
///
/// ```
/// use edgepool::{Event, Observed, Pool, StdClock, factory_fn};
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// let acquired = AtomicU32::new(0);
/// let factory = Observed::new(factory_fn(async || Ok::<_, std::io::Error>(1)), |event: &Event| {
///     if let Event::Acquired(_) = event {
///         acquired.fetch_add(1, Ordering::Relaxed);
///     }
/// });
/// let pool = Pool::builder(factory, StdClock).build()?;
/// # futures::executor::block_on(async {
/// drop(pool.acquire().await.unwrap());
/// # });
/// drop(pool);
/// assert_eq!(acquired.into_inner(), 1);
/// # Ok::<_, edgepool::OptionsError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Observed<F, O> {
    factory: F,
    observer: O,
}

impl<F, O> Observed<F, O> {
    /// Puts an observer beside a factory.
    pub const fn new(factory: F, observer: O) -> Self {
        Self { factory, observer }
    }
}

impl<F: Factory, O: Observer> Factory for Observed<F, O> {
    type Connection = F::Connection;
    type Error = F::Error;
    type Create = F::Create;
    type Check = F::Check;
    type Reset = F::Reset;
    type Close = F::Close;

    fn create(&self) -> F::Create {
        self.factory.create()
    }
    fn checks(&self) -> bool {
        self.factory.checks()
    }
    fn check(&self, connection: F::Connection) -> Begun<Tried<F::Connection, F::Error>, F::Check> {
        self.factory.check(connection)
    }
    fn reset(&self, connection: F::Connection) -> Begun<Tried<F::Connection, F::Error>, F::Reset> {
        self.factory.reset(connection)
    }
    fn close(&self, connection: F::Connection) -> Begun<(), F::Close> {
        self.factory.close(connection)
    }
    fn after_create(&self, connection: &mut F::Connection, about: About<'_>) {
        self.factory.after_create(connection, about);
    }
    fn before_acquire(&self, connection: &mut F::Connection, about: About<'_>) {
        self.factory.before_acquire(connection, about);
    }
    fn after_release(&self, connection: &mut F::Connection, about: About<'_>) {
        self.factory.after_release(connection, about);
    }
    fn before_close(&self, connection: &mut F::Connection, about: About<'_>) {
        self.factory.before_close(connection, about);
    }
    fn observe(&self, event: &Event<'_>) {
        self.factory.observe(event);
        self.observer.observe(event);
    }
}
