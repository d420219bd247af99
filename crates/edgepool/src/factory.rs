//! What makes the connections that a pool lends, and looks after them.

use std::future::{Future, Pending};

use crate::events::{About, Event};

/// How a check or a reset went: the connection, and with it what is wrong with it, if anything.
///
/// The connection comes back either way, so that it can be closed.
pub type Tried<T, E> = Result<T, (T, E)>;

/// The type of a job that a factory does not have: it is never begun.
pub type NoJob<T> = Pending<T>;

/// A job that was begun: done already, or to be polled until it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun<T, F> {
    /// It is done. The pool needs nobody to poll it: it costs no more than a call.
    Done(T),
    /// It is done when this future is.
    Later(F),
}

impl<T, F> Begun<T, F> {
    /// Changes the future of a job that is not done.
    pub fn map_later<G>(self, map: impl FnOnce(F) -> G) -> Begun<T, G> {
        match self {
            Self::Done(done) => Begun::Done(done),
            Self::Later(job) => Begun::Later(map(job)),
        }
    }
}

/// Makes connections, and looks after them.
///
/// Its futures are associated types, as in tower's `Service`: a factory whose futures are `Send`
/// gives a pool whose futures are `Send`, and one over `Rc` gives a pool for one thread.
///
/// Creations, checks, resets and closings are jobs of the pool: they are polled by whoever waits
/// for a connection, not only by the caller whose need began them, and outlive that caller. A
/// caller that gives up while its connection is being checked wastes nothing: the check goes on,
/// and the connection goes to the next. Each job has a time-out of its own; a job that is overdue
/// is dropped, and a connection that it holds with it.
///
/// Every method is called outside the pool's lock, so it may use the pool, but must not block until
/// the pool does something: what that asks for may be carried out only after it returns. A panic in
/// any of them ends there, but for [`checks`](Self::checks), which
/// [`build`](crate::Builder::build) calls: a job loses the connection that it has, a hook or an
/// observer loses nothing, and the pool stays as usable as before.
///
/// # Examples
///
/// Most factories are made of closures, with [`factory_fn`](crate::factory_fn). One that is a type
/// of its own names the jobs that it does not have as [`NoJob`]:
///
/// ```
/// use edgepool::{Factory, NoJob, Pool, StdClock, Tried};
/// use std::future::{Ready, ready};
///
/// struct Counting;
///
/// impl Factory for Counting {
///     type Connection = u32;
///     type Error = std::io::Error;
///     type Create = Ready<Result<u32, std::io::Error>>;
///     type Check = NoJob<Tried<u32, std::io::Error>>;
///     type Reset = NoJob<Tried<u32, std::io::Error>>;
///     type Close = NoJob<()>;
///
///     fn create(&self) -> Self::Create {
///         ready(Ok(7))
///     }
///     fn checks(&self) -> bool {
///         false
///     }
/// }
///
/// let pool = Pool::builder(Counting, StdClock).build()?;
/// # futures::executor::block_on(async {
/// assert_eq!(*pool.acquire().await.unwrap(), 7);
/// # });
/// # Ok::<_, edgepool::OptionsError>(())
/// ```
pub trait Factory {
    /// What the pool lends.
    type Connection;
    /// Why a job failed.
    type Error;
    /// A creation under way.
    type Create: Future<Output = Result<Self::Connection, Self::Error>>;
    /// A check under way; it holds the connection and gives it back.
    type Check: Future<Output = Tried<Self::Connection, Self::Error>>;
    /// A reset under way; it holds the connection and gives it back.
    type Reset: Future<Output = Tried<Self::Connection, Self::Error>>;
    /// A closing under way; it holds the connection.
    type Close: Future<Output = ()>;

    /// Starts one creation.
    fn create(&self) -> Self::Create;

    /// Tells whether [`check`](Self::check) does anything. A pool whose factory says no never calls
    /// it, and reads no clock for it.
    fn checks(&self) -> bool {
        true
    }

    /// Starts to find out whether a connection that was not used for a while is still good.
    fn check(
        &self,
        connection: Self::Connection,
    ) -> Begun<Tried<Self::Connection, Self::Error>, Self::Check> {
        Begun::Done(Ok(connection))
    }

    /// Starts to clean a connection that came back, for the next caller.
    #[inline]
    fn reset(
        &self,
        connection: Self::Connection,
    ) -> Begun<Tried<Self::Connection, Self::Error>, Self::Reset> {
        Begun::Done(Ok(connection))
    }

    /// Starts to close a connection that leaves the pool for good: every one but those that a holder
    /// [took](crate::Lease::take), and those that were lost in a check or a reset which panicked or
    /// was overdue.
    fn close(&self, connection: Self::Connection) -> Begun<(), Self::Close> {
        drop(connection);
        Begun::Done(())
    }

    /// Is called with each new connection, before anyone has it.
    #[inline]
    fn after_create(&self, connection: &mut Self::Connection, about: About<'_>) {
        let _ = (connection, about);
    }

    /// Is called with a connection each time that a caller is about to have it.
    #[inline]
    fn before_acquire(&self, connection: &mut Self::Connection, about: About<'_>) {
        let _ = (connection, about);
    }

    /// Is called with a connection each time that it comes back in good order, before its reset.
    #[inline]
    fn after_release(&self, connection: &mut Self::Connection, about: About<'_>) {
        let _ = (connection, about);
    }

    /// Is called with a connection before it is [closed](Self::close).
    #[inline]
    fn before_close(&self, connection: &mut Self::Connection, about: About<'_>) {
        let _ = (connection, about);
    }

    /// Is told what happens. See [`Observed`](crate::Observed) for an observer beside a factory.
    #[inline]
    fn observe(&self, event: &Event<'_>) {
        let _ = event;
    }
}
