//! What a caller holds.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::attend::Attendant;
use crate::error::Failure;
use crate::events::Event;
use crate::factory::{Begun, Tried};
use crate::jobs::Job;
use crate::ledger::{Info, JobKind, SlotKey, Verdict};
use crate::shared::{Shared, guarded};
use crate::state::{Leased, Watch};
use crate::{Clock, Factory, Time};

/// A connection on loan. Dropping it releases it, from any thread and without an executor: the
/// connection goes to the caller that waits longest, or is idle.
#[must_use = "a lease that is dropped is released"]
pub struct Lease<F: Factory, C: Clock> {
    shared: Arc<Shared<F, C>>,
    slot: SlotKey,
    /// `None` only while the lease is being dropped.
    connection: Option<F::Connection>,
}

impl<F: Factory, C: Clock> Lease<F, C> {
    /// Makes the lease, and tells of it. If the factory's hook panics, the caller has the lease all
    /// the same.
    #[inline(always)]
    pub(crate) fn new(shared: &Arc<Shared<F, C>>, (slot, mut it): Leased<F::Connection>) -> Self {
        shared.tell(slot, |about| shared.factory.before_acquire(&mut it, about));
        shared.tell(slot, |about| shared.factory.observe(&Event::Acquired(about)));
        Self { shared: Arc::clone(shared), slot, connection: Some(it) }
    }

    /// Returns the key of this lease: its place in the pool, and which tenure of it.
    pub const fn key(&self) -> SlotKey {
        self.slot
    }

    /// Tells what is known of the connection.
    pub fn info(&self) -> Info {
        self.shared.info(self.slot).expect("a lease is in the books until it is given back")
    }

    /// Gives the connection back, and waits until it is reset. Without a reset, that is at once.
    ///
    /// # Errors
    ///
    /// The reset failed, panicked or was overdue; the connection is being closed, or gone.
    ///
    /// # Cancel safety
    ///
    /// The connection is given back by the call. Dropping the future only does not wait for the
    /// reset, which goes on.
    pub fn release(mut self) -> Release<F, C> {
        let given = self.give_back(true);
        Release { attendant: Attendant::new(Arc::clone(&self.shared)), given: Some(given) }
    }

    /// Gives a damaged connection back, to be closed instead of lent again.
    pub fn discard(mut self) {
        if let Some(connection) = self.connection.take() {
            let slot = self.slot;
            let stale = self.shared.step_now(|state| state.discard(slot, connection));
            guarded(|| drop(stale));
        }
    }

    /// Takes the connection out of the pool for good, and frees its place at once.
    pub fn take(mut self) -> F::Connection {
        let connection = self.connection.take().expect("a lease holds its connection");
        let slot = self.slot;
        self.shared.tell(slot, |about| self.shared.factory.observe(&Event::Taken(about)));
        // Another one may be begun in its place.
        self.shared.step_patiently(u64::MAX, |state| state.ledger.take(slot));
        connection
    }

    /// Takes the connection out while its place stays lent. It is to be [put back](Self::put) or
    /// [lost](Self::lose).
    pub(crate) fn lift(&mut self) -> F::Connection {
        self.connection.take().expect("a lease holds its connection")
    }

    pub(crate) fn put(&mut self, connection: F::Connection) {
        self.connection = Some(connection);
    }

    /// Gives up the place of a connection that was lifted and is gone.
    pub(crate) fn lose(self) {
        self.give_back_slowly(None, false);
    }

    /// Lends a part of the connection, with the whole.
    ///
    /// # Examples
    ///
    /// ```
    /// # use edgepool::{Pool, StdClock, factory_fn};
    /// # futures::executor::block_on(async {
    /// # let factory = factory_fn(async || Ok::<_, std::io::Error>((String::from("x"), 0)));
    /// # let pool = Pool::builder(factory, StdClock).build().unwrap();
    /// let lease = pool.acquire().await.unwrap();
    /// let mut name = lease.map(|pair| &pair.0, |pair| &mut pair.0);
    /// name.push('y');
    /// assert_eq!(*name, "xy");
    /// # });
    /// ```
    pub fn map<U: ?Sized, G, M>(self, get: G, get_mut: M) -> MappedLease<F, C, G, M>
    where
        G: Fn(&F::Connection) -> &U,
        M: Fn(&mut F::Connection) -> &mut U,
    {
        MappedLease { lease: self, get, get_mut }
    }

    /// Gives the connection back in good order: resets it, and releases it.
    #[inline(always)]
    fn give_back(&mut self, watched: bool) -> Given<F::Error> {
        let Some(mut connection) = self.connection.take() else { return Given::Done(Ok(())) };
        let (shared, slot) = (&self.shared, self.slot);
        shared.tell(slot, |about| shared.factory.after_release(&mut connection, about));
        match guarded(|| shared.factory.reset(connection)) {
            Some(Begun::Done(Ok(connection))) => {
                shared.tell(slot, |about| shared.factory.observe(&Event::Released(about)));
                let stale = shared.step(|state| state.release(slot, connection));
                if stale.is_some() {
                    guarded(|| drop(stale));
                }
                Given::Done(Ok(()))
            }
            other => self.give_back_slowly(other, watched),
        }
    }

    /// Takes in a reset that failed or takes time.
    #[cold]
    #[inline(never)]
    fn give_back_slowly(&self, begun: Option<BegunReset<F>>, watched: bool) -> Given<F::Error> {
        let (shared, slot) = (&self.shared, self.slot);
        shared.tell(slot, |about| shared.factory.observe(&Event::Released(about)));
        let is_later = matches!(begun, Some(Begun::Later(_)));
        let reset = shared.step_now(|state| {
            let key = state.ledger.begin_reset(slot)?;
            let watch = Watch { slot: key, attendant: None, outcome: None };
            Some((key, (watched && is_later).then(|| state.watches.insert(watch))))
        });
        let Some((key, watch)) = reset else {
            guarded(|| drop(begun));
            return Given::Done(Ok(()));
        };
        match begun {
            Some(Begun::Later(reset)) => {
                shared.push(key, Job::Reset(Box::pin(reset), None));
                shared.wake_driver();
                watch.map_or(Given::Done(Ok(())), Given::Watching)
            }
            Some(Begun::Done(Err((connection, error)))) => {
                let failure = Failure::error(error);
                shared.step_now(|state| {
                    state.take_in_tried(key, Some(connection), |ledger| {
                        ledger.reset(key, Verdict::Bad)
                    })
                });
                Given::Done(Err(failure))
            }
            _ => {
                let (verdict, ..) = shared.judge(key, JobKind::Reset, None);
                shared.step_now(|state| state.ledger.reset(key, verdict));
                Given::Done(Err(Failure::Panicked))
            }
        }
    }
}

type BegunReset<F> =
    Begun<Tried<<F as Factory>::Connection, <F as Factory>::Error>, <F as Factory>::Reset>;

/// How far a connection is given back.
enum Given<E> {
    Done(Result<(), Failure<E>>),
    /// Its reset goes on, and this watch tells how it ends.
    Watching(usize),
}

impl<F: Factory, C: Clock> Deref for Lease<F, C> {
    type Target = F::Connection;

    #[inline]
    fn deref(&self) -> &F::Connection {
        self.connection.as_ref().expect("a lease holds its connection")
    }
}

impl<F: Factory, C: Clock> DerefMut for Lease<F, C> {
    #[inline]
    fn deref_mut(&mut self) -> &mut F::Connection {
        self.connection.as_mut().expect("a lease holds its connection")
    }
}

impl<F: Factory, C: Clock> Drop for Lease<F, C> {
    fn drop(&mut self) {
        if self.connection.is_some() {
            self.give_back(false);
        }
    }
}

impl<F: Factory<Connection: fmt::Debug>, C: Clock> fmt::Debug for Lease<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("slot", &self.slot)
            .field("connection", &self.connection)
            .finish()
    }
}

/// A part of a connection on loan; see [`Lease::map`]. Dropping it releases the whole.
pub struct MappedLease<F: Factory, C: Clock, G, M> {
    lease: Lease<F, C>,
    get: G,
    get_mut: M,
}

impl<F: Factory, C: Clock, G, M> MappedLease<F, C, G, M> {
    /// Returns the lease of the whole.
    pub fn into_lease(self) -> Lease<F, C> {
        self.lease
    }
}

impl<F: Factory, C: Clock, U: ?Sized, G, M> Deref for MappedLease<F, C, G, M>
where
    G: Fn(&F::Connection) -> &U,
{
    type Target = U;

    fn deref(&self) -> &U {
        (self.get)(&self.lease)
    }
}

impl<F: Factory, C: Clock, U: ?Sized, G, M> DerefMut for MappedLease<F, C, G, M>
where
    G: Fn(&F::Connection) -> &U,
    M: Fn(&mut F::Connection) -> &mut U,
{
    fn deref_mut(&mut self) -> &mut U {
        (self.get_mut)(&mut self.lease)
    }
}

impl<F: Factory, C: Clock, G, M> fmt::Debug for MappedLease<F, C, G, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedLease").field("slot", &self.lease.slot).finish_non_exhaustive()
    }
}

/// The future of [`Lease::release`].
///
/// # Cancel safety
///
/// Dropping it only does not wait for the reset, which goes on.
#[must_use = "the connection is given back, but nobody waits for its reset"]
pub struct Release<F: Factory, C: Clock> {
    attendant: Attendant<F, C>,
    given: Option<Given<F::Error>>,
}

impl<F: Factory, C: Clock> Future for Release<F, C> {
    type Output = Result<(), Failure<F::Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let watch = match this.given.take().expect("a release was polled after it had completed") {
            Given::Done(outcome) => return Poll::Ready(outcome),
            Given::Watching(watch) => watch,
        };
        let attendant = this.attendant.id();
        let polled = this.attendant.poll(Time::NEVER, cx, |state| {
            state.watches[watch].attendant = Some(attendant);
            state.watches[watch].outcome.take()
        });
        match polled {
            Poll::Ready(_) => {
                drop(this.attendant.shared.lock().watches.remove(watch));
                this.attendant.leave();
            }
            Poll::Pending => this.given = Some(Given::Watching(watch)),
        }
        polled
    }
}

impl<F: Factory, C: Clock> Drop for Release<F, C> {
    fn drop(&mut self) {
        if let Some(Given::Watching(watch)) = self.given {
            let watch = self.attendant.shared.lock().watches.remove(watch);
            guarded(|| drop(watch));
        }
    }
}

impl<F: Factory, C: Clock> fmt::Debug for Release<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Release").finish_non_exhaustive()
    }
}
