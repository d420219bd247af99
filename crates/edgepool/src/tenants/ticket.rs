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
type Counted<T, C> = (Weak<Core<T, C>>, Key);

impl<T: TenantFactory, C: Clock + Clone> Ticket<T, C> {
    fn new(counted: Option<&Counted<T, C>>) -> Self {
        let ticket = counted.cloned();
        if let Some((core, key)) = &ticket
            && let Some(core) = core.upgrade()
        {
            core.step(|desk| desk.roster.hold(*key));
        }
        Self(ticket)
    }
}

impl<T: TenantFactory, C: Clock + Clone> Drop for Ticket<T, C> {
    fn drop(&mut self) {
        if let Some((core, key)) = self.0.take()
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
pub(super) struct Job<F, T: TenantFactory, C: Clock + Clone> {
    job: Pin<Box<F>>,
    ticket: Option<Ticket<T, C>>,
}

impl<F, T: TenantFactory, C: Clock + Clone> Job<F, T, C> {
    fn new(job: F, ticket: Ticket<T, C>) -> Self {
        Self { job: Box::pin(job), ticket: Some(ticket) }
    }

    fn hold(&mut self, it: T::Connection) -> Held<T, C> {
        Held { it, ticket: self.ticket.take().expect("a job ends once") }
    }
}

/// A creation.
pub(super) struct Creating<F, T: TenantFactory, C: Clock + Clone>(Job<F, T, C>);
/// A check or a reset.
pub(super) struct Trying<F, T: TenantFactory, C: Clock + Clone>(Job<F, T, C>);
/// A closing.
pub(super) struct Closing<F, T: TenantFactory, C: Clock + Clone>(Job<F, T, C>);

impl<F, T, C> Future for Creating<F, T, C>
where
    F: Future<Output = Result<T::Connection, T::Error>>,
    T: TenantFactory,
    C: Clock + Clone,
{
    type Output = Result<Held<T, C>, T::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.job.as_mut().poll(cx).map_ok(|it| self.0.hold(it))
    }
}

impl<F, T, C> Future for Trying<F, T, C>
where
    F: Future<Output = Tried<T::Connection, T::Error>>,
    T: TenantFactory,
    C: Clock + Clone,
{
    type Output = Tried<Held<T, C>, T::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.job.as_mut().poll(cx).map(|tried| match tried {
            Ok(it) => Ok(self.0.hold(it)),
            Err((it, error)) => Err((self.0.hold(it), error)),
        })
    }
}

impl<F: Future<Output = ()>, T: TenantFactory, C: Clock + Clone> Future for Closing<F, T, C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.job.as_mut().poll(cx)
    }
}

/// A check or a reset that was begun, of a connection with its ticket.
type BegunTrying<F, T, C> = Begun<Tried<Held<T, C>, <T as TenantFactory>::Error>, Trying<F, T, C>>;

/// Gives a connection its ticket back after a job.
fn tried<F, T: TenantFactory, C: Clock + Clone>(
    begun: Begun<Tried<T::Connection, T::Error>, F>,
    ticket: Ticket<T, C>,
) -> BegunTrying<F, T, C> {
    match begun {
        Begun::Done(Ok(it)) => Begun::Done(Ok(Held { it, ticket })),
        Begun::Done(Err((it, error))) => Begun::Done(Err((Held { it, ticket }, error))),
        Begun::Later(job) => Begun::Later(Trying(Job::new(job, ticket))),
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
        let ticket = Ticket::new(self.counted.as_ref());
        Creating(Job::new(self.inner.create(), ticket))
    }
    fn checks(&self) -> bool {
        self.inner.checks()
    }
    fn check(&self, held: Held<T, C>) -> Begun<Tried<Held<T, C>, T::Error>, Self::Check> {
        tried(self.inner.check(held.it), held.ticket)
    }
    #[inline]
    fn reset(&self, held: Held<T, C>) -> Begun<Tried<Held<T, C>, T::Error>, Self::Reset> {
        tried(self.inner.reset(held.it), held.ticket)
    }
    fn close(&self, held: Held<T, C>) -> Begun<(), Self::Close> {
        let Held { it, ticket } = held;
        self.inner.close(it).map_later(|job| Closing(Job::new(job, ticket)))
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
