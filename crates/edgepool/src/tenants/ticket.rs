//! Counts the connections of tenants, from before they are made until they are gone.
//!
//! Each connection has a [`Ticket`], which is given back when it is dropped: wherever a connection
//! ends, its tenant's part of the budget is free again.

use std::future::Future;
use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll};

use super::core::Core;
use super::factory::TenantFactory;
use super::roster::Key;
use crate::Clock;
use crate::events::{About, Event};
use crate::factory::{Begun, Factory, Tried};

/// One connection of a tenant's part of the budget.
pub(super) struct Ticket<T: TenantFactory, C: Clock + Clone>(Option<Counted<T, C>>);

/// Whose connections are counted, and where.
pub(super) struct Counted<T: TenantFactory, C: Clock + Clone> {
    pub(super) core: Weak<Core<T, C>>,
    pub(super) key: Key,
    /// The number of the tenant's pool.
    pub(super) pool: u32,
}

impl<T: TenantFactory, C: Clock + Clone> Clone for Counted<T, C> {
    fn clone(&self) -> Self {
        Self { core: Weak::clone(&self.core), key: self.key, pool: self.pool }
    }
}

impl<T: TenantFactory, C: Clock + Clone> Ticket<T, C> {
    /// Makes the ticket of a connection that is about to be made; `None` if it must not be.
    fn new(counted: Option<&Counted<T, C>>) -> Option<Self> {
        let may_begin = counted.is_none_or(|Counted { core, key, pool }| {
            core.upgrade().is_none_or(|core| core.step(|desk| desk.roster.hold(*key, *pool)))
        });
        may_begin.then(|| Self(counted.cloned()))
    }
}

impl<T: TenantFactory, C: Clock + Clone> Drop for Ticket<T, C> {
    fn drop(&mut self) {
        if let Some(Counted { core, key, .. }) = self.0.take()
            && let Some(core) = core.upgrade()
        {
            core.unhold(key);
        }
    }
}

/// A connection with its ticket.
pub(super) struct Held<T: TenantFactory, C: Clock + Clone> {
    pub(super) it: T::Connection,
    pub(super) ticket: Ticket<T, C>,
}

/// A tenant's factory, whose connections are counted if there is a budget.
pub(super) struct Ticketed<T: TenantFactory, C: Clock + Clone> {
    inner: T::Factory,
    counted: Option<Counted<T, C>>,
}

impl<T: TenantFactory, C: Clock + Clone> Ticketed<T, C> {
    pub(super) const fn new(inner: T::Factory, counted: Option<Counted<T, C>>) -> Self {
        Self { inner, counted }
    }
}

/// A job of a connection, and the ticket of that. Boxed as it is: nothing is to be pinned in here.
pub(super) struct Job<F: Future, O, T: TenantFactory, C: Clock + Clone> {
    /// `None` for a creation that must not begin. Its pool has been closed, or is about to be, and
    /// drops it then; until then it is pending.
    job: Option<Pin<Box<F>>>,
    ticket: Option<Ticket<T, C>>,
    /// Gives the ticket to what the job ended with.
    end: fn(F::Output, Ticket<T, C>) -> O,
}

/// A creation.
type Creating<F, T, C> = Job<F, Result<Held<T, C>, <T as TenantFactory>::Error>, T, C>;
/// A check or a reset.
type Trying<F, T, C> = Job<F, Tried<Held<T, C>, <T as TenantFactory>::Error>, T, C>;
/// A closing.
type Closing<F, T, C> = Job<F, (), T, C>;

impl<F: Future, O, T: TenantFactory, C: Clock + Clone> Job<F, O, T, C> {
    fn new(job: F, ticket: Ticket<T, C>, end: fn(F::Output, Ticket<T, C>) -> O) -> Self {
        Self { job: Some(Box::pin(job)), ticket: Some(ticket), end }
    }

    /// A job that is not begun.
    fn none(end: fn(F::Output, Ticket<T, C>) -> O) -> Self {
        Self { job: None, ticket: None, end }
    }
}

impl<F: Future, O, T: TenantFactory, C: Clock + Clone> Future for Job<F, O, T, C> {
    type Output = O;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O> {
        let Some(job) = &mut self.job else { return Poll::Pending };
        job.as_mut().poll(cx).map(|output| {
            let ticket = self.ticket.take().expect("a job ends once");
            (self.end)(output, ticket)
        })
    }
}

fn created<T: TenantFactory, C: Clock + Clone>(
    made: Result<T::Connection, T::Error>,
    ticket: Ticket<T, C>,
) -> Result<Held<T, C>, T::Error> {
    made.map(|it| Held { it, ticket })
}

#[inline]
fn tried<T: TenantFactory, C: Clock + Clone>(
    tried: Tried<T::Connection, T::Error>,
    ticket: Ticket<T, C>,
) -> Tried<Held<T, C>, T::Error> {
    match tried {
        Ok(it) => Ok(Held { it, ticket }),
        Err((it, error)) => Err((Held { it, ticket }, error)),
    }
}

fn closed<T: TenantFactory, C: Clock + Clone>((): (), ticket: Ticket<T, C>) {
    drop(ticket);
}

/// A check or a reset that was begun, of a connection with its ticket.
type BegunTrying<F, T, C> = Begun<Tried<Held<T, C>, <T as TenantFactory>::Error>, Trying<F, T, C>>;

/// Takes the ticket along.
#[inline]
fn begun<F, T, C>(
    begun: Begun<Tried<T::Connection, T::Error>, F>,
    ticket: Ticket<T, C>,
) -> BegunTrying<F, T, C>
where
    F: Future<Output = Tried<T::Connection, T::Error>>,
    T: TenantFactory,
    C: Clock + Clone,
{
    match begun {
        Begun::Done(outcome) => Begun::Done(tried(outcome, ticket)),
        Begun::Later(job) => Begun::Later(Job::new(job, ticket, tried)),
    }
}

impl<T: TenantFactory, C: Clock + Clone> Factory for Ticketed<T, C> {
    type Connection = Held<T, C>;
    type Error = T::Error;
    type Create = Creating<<T::Factory as Factory>::Create, T, C>;
    type Check = Trying<<T::Factory as Factory>::Check, T, C>;
    type Reset = Trying<<T::Factory as Factory>::Reset, T, C>;
    type Close = Closing<<T::Factory as Factory>::Close, T, C>;

    fn create(&self) -> Self::Create {
        match Ticket::new(self.counted.as_ref()) {
            Some(ticket) => Job::new(self.inner.create(), ticket, created),
            None => Job::none(created),
        }
    }
    fn checks(&self) -> bool {
        self.inner.checks()
    }
    fn check(&self, held: Held<T, C>) -> Begun<Tried<Held<T, C>, T::Error>, Self::Check> {
        begun(self.inner.check(held.it), held.ticket)
    }
    #[inline]
    fn reset(&self, held: Held<T, C>) -> Begun<Tried<Held<T, C>, T::Error>, Self::Reset> {
        begun(self.inner.reset(held.it), held.ticket)
    }
    fn close(&self, held: Held<T, C>) -> Begun<(), Self::Close> {
        let Held { it, ticket } = held;
        self.inner.close(it).map_later(|job| Job::new(job, ticket, closed))
    }
    fn after_create(&self, held: &mut Held<T, C>, about: About<'_>) {
        self.inner.after_create(&mut held.it, about);
    }
    #[inline]
    fn before_acquire(&self, held: &mut Held<T, C>, about: About<'_>) {
        self.inner.before_acquire(&mut held.it, about);
    }
    #[inline]
    fn after_release(&self, held: &mut Held<T, C>, about: About<'_>) {
        self.inner.after_release(&mut held.it, about);
    }
    fn before_close(&self, held: &mut Held<T, C>, about: About<'_>) {
        self.inner.before_close(&mut held.it, about);
    }
    #[inline]
    fn observe(&self, event: &Event<'_>) {
        self.inner.observe(event);
    }
}

/// Stands for the factory while the options of pools are set: it makes nothing.
#[derive(Clone, Copy, Debug)]
pub struct Template(());

impl Template {
    pub(super) const NEW: Self = Self(());
}

impl Factory for Template {
    type Connection = std::convert::Infallible;
    type Error = std::convert::Infallible;
    type Create = std::future::Pending<Result<Self::Connection, Self::Error>>;
    type Check = crate::NoJob<Tried<Self::Connection, Self::Error>>;
    type Reset = crate::NoJob<Tried<Self::Connection, Self::Error>>;
    type Close = crate::NoJob<()>;

    fn create(&self) -> Self::Create {
        std::future::pending()
    }
}
