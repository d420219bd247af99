//! What the scenarios share: a pool on simulated time, and wakers that count or misbehave.
#![forbid(unsafe_code)]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use edgepool::ledger::Gauges;
use edgepool::{Acquire, AcquireError, Builder, Lease, Pool};
use edgepool_sim::{Executor, SimClock, SimError, SimFactory};

/// A pool over the simulated factory and clock.
pub type SimPool = Pool<SimFactory, SimClock>;
/// A lease of it.
pub type SimLease = Lease<SimFactory, SimClock>;
/// The outcome of an acquire on it.
pub type Outcome = Result<SimLease, AcquireError<SimError>>;

/// A duration of so many milliseconds.
#[must_use]
pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A pool, and what it runs on.
pub struct Setup {
    /// Its clock, at zero.
    pub clock: SimClock,
    /// Its factory; creations succeed at once unless planned otherwise.
    pub factory: SimFactory,
    /// An executor on the clock.
    pub executor: Executor,
    /// The pool.
    pub pool: SimPool,
}

impl Setup {
    /// Makes a pool of `max` with the default times.
    #[must_use]
    pub fn new(max: u32) -> Self {
        Self::with(|builder| builder.max(max))
    }

    /// Makes a pool with the options that `set` sets.
    ///
    /// # Panics
    /// If the options are out of range.
    #[must_use]
    pub fn with(
        set: impl FnOnce(Builder<SimFactory, SimClock>) -> Builder<SimFactory, SimClock>,
    ) -> Self {
        let clock = SimClock::new();
        let factory = SimFactory::new(&clock, 0);
        let executor = Executor::new(&clock, 0);
        let builder = Pool::builder(factory.clone(), clock.clone());
        let pool = set(builder).build().expect("the options are in range");
        Self { clock, factory, executor, pool }
    }

    /// Acquires a connection that is idle or made at once.
    ///
    /// # Panics
    /// If it must wait, or fails.
    pub fn lease(&self) -> SimLease {
        Waiter::new(&self.pool).ready().expect("a connection is made at once")
    }

    /// Checks the books, and returns the gauges.
    ///
    /// # Panics
    /// If an invariant does not hold.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        self.pool.check().expect("the books are in order");
        self.pool.stats().gauges
    }
}

/// An acquire that is polled by hand, with a waker that counts.
pub struct Waiter<'a> {
    acquire: Pin<Box<Acquire<'a, SimFactory, SimClock>>>,
    wakes: Arc<Wakes>,
}

impl<'a> Waiter<'a> {
    /// Starts to acquire; it is not polled yet.
    #[must_use]
    pub fn new(pool: &'a SimPool) -> Self {
        Self::of(pool.acquire())
    }

    /// Wraps an acquire.
    #[must_use]
    pub fn of(acquire: Acquire<'a, SimFactory, SimClock>) -> Self {
        Self { acquire: Box::pin(acquire), wakes: Arc::default() }
    }

    /// Starts to acquire, and is queued.
    ///
    /// # Panics
    /// If it need not wait.
    #[must_use]
    pub fn queued(pool: &'a SimPool) -> Self {
        let mut waiter = Self::new(pool);
        assert!(waiter.poll().is_none(), "it need not wait");
        waiter
    }

    /// Polls with the waker that counts.
    pub fn poll(&mut self) -> Option<Outcome> {
        let waker = Waker::from(self.wakes.clone());
        self.poll_with(&waker)
    }

    /// Polls with another waker.
    pub fn poll_with(&mut self, waker: &Waker) -> Option<Outcome> {
        match self.acquire.as_mut().poll(&mut Context::from_waker(waker)) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }

    /// Polls, and returns the outcome.
    ///
    /// # Errors
    /// The acquire's.
    ///
    /// # Panics
    /// If there is none yet.
    pub fn ready(&mut self) -> Outcome {
        self.poll().expect("it has an outcome")
    }

    /// Returns how often it was woken.
    #[must_use]
    pub fn wakes(&self) -> u32 {
        self.wakes.get()
    }
}

/// A waker that counts.
#[derive(Default)]
pub struct Wakes(AtomicU32);

impl Wakes {
    /// Returns how often it was woken.
    #[must_use]
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A waker that runs a closure.
pub struct OnWake<F>(F);

impl<F: Fn() + Send + Sync + 'static> OnWake<F> {
    /// Makes a waker that runs `f`.
    pub fn waker(f: F) -> Waker {
        Waker::from(Arc::new(Self(f)))
    }
}

impl<F: Fn() + Send + Sync> Wake for OnWake<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// The examples of the project's README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
