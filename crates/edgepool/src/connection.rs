//! Connections that look after themselves, and a factory of what opens them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::factory::{Begun, Factory, Tried};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A connection to a service, which knows itself whether it is good, how it is cleaned and how it is
/// closed.
///
/// The methods may be written as `async fn`. [`ConnectionFactory`] makes a [`Factory`] of what opens
/// such connections. How often one was lent, when it was used last and how old it is are in the
/// pool's books and not in the connection: [`Lease::info`](crate::Lease::info) tells.
///
/// Their futures are `Send`. A connection that is bound to its thread is pooled by a
/// [`factory_fn`](crate::factory_fn).
///
/// # Examples
///
/// ```
/// use edgepool::{Connection, ConnectionFactory, Pool, StdClock};
///
/// #[derive(Debug)]
/// struct Lost;
///
/// struct Session {
///     alive: bool,
///     basket: Vec<&'static str>,
/// }
///
/// impl Connection for Session {
///     type Error = Lost;
///
///     async fn check(&mut self) -> Result<(), Lost> {
///         if self.alive { Ok(()) } else { Err(Lost) }
///     }
///     async fn reset(&mut self) -> Result<(), Lost> {
///         self.basket.clear();
///         Ok(())
///     }
/// }
///
/// let connect = async || Ok(Session { alive: true, basket: Vec::new() });
/// let pool = Pool::for_service(ConnectionFactory::new(connect), StdClock).build()?;
/// # futures::executor::block_on(async {
/// let mut session = pool.acquire().await.unwrap();
/// session.basket.push("of one caller");
/// drop(session);
///
/// let session = pool.acquire().await.unwrap();
/// assert!(session.basket.is_empty());
/// assert_eq!(session.info().uses, 2);
/// # });
/// # Ok::<_, edgepool::OptionsError>(())
/// ```
pub trait Connection: Sized + Send + 'static {
    /// Why it could not be opened, is not good any more, or could not be cleaned.
    type Error: Send + 'static;

    /// Finds out whether it is still good.
    #[doc(alias = "is_healthy")]
    fn check(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Cleans it for the next caller. By default there is nothing to clean.
    fn reset(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send {
        async { Ok(()) }
    }

    /// Closes it. By default it is dropped.
    fn close(self) -> impl Future<Output = ()> + Send {
        async { drop(self) }
    }
}

/// Opens [`Connection`]s. Every closure that returns a future does.
pub trait Connect {
    /// What is opened.
    type Connection: Connection;
    /// An attempt under way.
    type Connecting: Future<
        Output = Result<Self::Connection, <Self::Connection as Connection>::Error>,
    >;

    /// Starts to open one.
    fn connect(&self) -> Self::Connecting;
}

impl<F, Fut, T> Connect for F
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<T, T::Error>>,
    T: Connection,
{
    type Connection = T;
    type Connecting = Fut;

    fn connect(&self) -> Fut {
        self()
    }
}

/// A [`Factory`] over what opens connections.
///
/// A check, a reset or a closing goes as far as it can within the call that begins it: one that has
/// nothing to wait for is done by then, and one that talks to a server has sent what it says. So a
/// lease that is dropped ends its transaction at the server even if nobody comes to poll the pool.
#[derive(Clone, Copy, Default)]
pub struct ConnectionFactory<C>(C);

impl<C: Connect> ConnectionFactory<C> {
    /// Makes a factory.
    pub const fn new(connect: C) -> Self {
        Self(connect)
    }

    /// Returns what opens the connections.
    pub const fn connector(&self) -> &C {
        &self.0
    }
}

impl<C: fmt::Debug> fmt::Debug for ConnectionFactory<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConnectionFactory").field(&self.0).finish()
    }
}

/// Polls a job for the first time. Whoever polls it next gives it a waker to wake.
fn begin<T>(job: impl Future<Output = T> + Send + 'static) -> Begun<T, BoxFuture<T>> {
    let mut job: BoxFuture<T> = Box::pin(job);
    match job.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Begun::Done(done),
        Poll::Pending => Begun::Later(job),
    }
}

impl<C: Connect> Factory for ConnectionFactory<C> {
    type Connection = C::Connection;
    type Error = <C::Connection as Connection>::Error;
    type Create = C::Connecting;
    type Check = BoxFuture<Tried<Self::Connection, Self::Error>>;
    type Reset = BoxFuture<Tried<Self::Connection, Self::Error>>;
    type Close = BoxFuture<()>;

    fn create(&self) -> C::Connecting {
        self.0.connect()
    }

    fn check(
        &self,
        mut connection: C::Connection,
    ) -> Begun<Tried<Self::Connection, Self::Error>, Self::Check> {
        begin(async move {
            match connection.check().await {
                Ok(()) => Ok(connection),
                Err(error) => Err((connection, error)),
            }
        })
    }

    fn reset(
        &self,
        mut connection: C::Connection,
    ) -> Begun<Tried<Self::Connection, Self::Error>, Self::Reset> {
        begin(async move {
            match connection.reset().await {
                Ok(()) => Ok(connection),
                Err(error) => Err((connection, error)),
            }
        })
    }

    fn close(&self, connection: C::Connection) -> Begun<(), Self::Close> {
        begin(connection.close())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::executor::block_on;

    use super::*;
    use crate::{AcquireError, Pool, StdClock};

    #[derive(Clone, Debug, PartialEq)]
    struct Broken(&'static str);

    /// What happened to the connections of a test.
    #[derive(Default)]
    struct Told {
        checks: AtomicU32,
        resets: AtomicU32,
        closed: AtomicU32,
    }

    struct Line {
        told: Arc<Told>,
        good: bool,
        clean: bool,
        /// Whether a job takes a second poll.
        slow: bool,
    }

    /// Is ready at the second poll.
    async fn pause(slow: bool) {
        let mut polled = !slow;
        std::future::poll_fn(move |cx| {
            cx.waker().wake_by_ref();
            if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    impl Connection for Line {
        type Error = Broken;

        async fn check(&mut self) -> Result<(), Broken> {
            self.told.checks.fetch_add(1, Ordering::Relaxed);
            pause(self.slow).await;
            if self.good { Ok(()) } else { Err(Broken("check")) }
        }

        async fn reset(&mut self) -> Result<(), Broken> {
            self.told.resets.fetch_add(1, Ordering::Relaxed);
            pause(self.slow).await;
            if self.clean { Ok(()) } else { Err(Broken("reset")) }
        }

        async fn close(self) {
            self.told.closed.fetch_add(1, Ordering::Relaxed);
        }
    }

    type Made = std::future::Ready<Result<Line, Broken>>;

    fn lines(told: &Arc<Told>, slow: bool) -> impl Fn() -> Made + use<> {
        let told = Arc::clone(told);
        move || {
            let told = Arc::clone(&told);
            std::future::ready(Ok(Line { told, good: true, clean: true, slow }))
        }
    }

    #[test]
    fn a_job_is_begun_by_the_call_and_ends_with_it_if_it_can() {
        let told = Arc::new(Told::default());
        let quick = ConnectionFactory::new(lines(&told, false));
        let made = block_on(quick.create()).unwrap();
        let Begun::Done(Ok(made)) = quick.reset(made) else { panic!("it had nothing to wait for") };
        let Begun::Done(Ok(made)) = quick.check(made) else { panic!("it had nothing to wait for") };
        assert!(matches!(quick.close(made), Begun::Done(())));
        assert_eq!(told.closed.load(Ordering::Relaxed), 1);

        let slow = ConnectionFactory::new(lines(&told, true));
        let made = block_on(slow.create()).unwrap();
        let Begun::Later(job) = slow.reset(made) else { panic!("it takes a second poll") };
        assert_eq!(told.resets.load(Ordering::Relaxed), 2, "it was begun");
        assert!(block_on(job).is_ok());
    }

    #[test]
    fn what_is_bad_or_cannot_be_cleaned_is_closed_and_replaced() {
        let told = Arc::new(Told::default());
        let factory = ConnectionFactory::new(lines(&told, true));
        let always = crate::CheckOnAcquire::Always;
        let pool = Pool::for_service(factory, StdClock).min_idle(0).check_on_acquire(always);
        let pool = pool.build().unwrap();
        let closed = || told.closed.load(Ordering::Relaxed);
        block_on(async {
            let mut lease = pool.acquire().await.unwrap();
            lease.good = false;
            lease.release().await.unwrap();
            let mut lease = pool.acquire().await.unwrap();
            assert_eq!((lease.info().id, lease.info().uses), (2, 1));
            assert_eq!(lease.info().last_used, None);
            lease.clean = false;
            let failure = lease.release().await.unwrap_err();
            assert_eq!(failure, crate::Failure::Error(Arc::new(Broken("reset"))));
            pool.acquire().await.unwrap().release().await.unwrap();
            let lease = pool.acquire().await.unwrap();
            assert_eq!((lease.info().id, lease.info().uses), (3, 2));
            assert!(lease.info().last_used.is_some());
            drop(lease);
            pool.drain(std::time::Duration::from_secs(5)).await.unwrap();
        });
        assert_eq!(closed(), 3);
        assert!(told.checks.load(Ordering::Relaxed) >= 2);
    }

    #[test]
    fn a_caller_waits_for_a_check_and_not_for_another_connection() {
        let told = Arc::new(Told::default());
        let factory = ConnectionFactory::new(lines(&told, true));
        let always = crate::CheckOnAcquire::Always;
        let pool = Pool::for_service(factory, StdClock).min_idle(0).check_on_acquire(always);
        let pool = pool.build().unwrap();
        block_on(async {
            for _ in 0..3 {
                pool.acquire().await.unwrap().release().await.unwrap();
                // The reset that a dropped lease begins is waited for as well.
                drop(pool.acquire().await.unwrap());
            }
        });
        let counters = pool.stats().counters;
        assert_eq!((counters.creations, counters.check_failed), (1, 0));
    }

    #[test]
    fn a_service_that_cannot_be_reached_says_why() {
        let refuse = || std::future::ready(Err::<Line, _>(Broken("refused")));
        let pool = Pool::for_service(ConnectionFactory::new(refuse), StdClock).build().unwrap();
        block_on(async {
            let error = pool.acquire().await.err().unwrap();
            assert_eq!(error, AcquireError::CreateFailed(Arc::new(Broken("refused"))));
            pool.close();
            assert_eq!(pool.acquire().await.err().unwrap(), AcquireError::Closed);
        });
    }

    #[test]
    fn a_pool_for_a_service_crosses_threads() {
        let told = Arc::new(Told::default());
        let factory = ConnectionFactory::new(lines(&told, true));
        let pool = Pool::for_service(factory, StdClock).build().unwrap();
        let there = pool.clone();
        let task = async move { there.acquire().await.unwrap().release().await.is_ok() };
        assert!(std::thread::spawn(|| block_on(task)).join().unwrap());
        assert_eq!(pool.stats().counters.released, 1);
    }
}
