//! What the scenarios share: a pool on simulated time, and callers that are polled by hand.
#![forbid(unsafe_code)]

use std::future::{Future, poll_fn};
use std::task::{Poll, Waker};
use std::time::Duration;

use edgepool::ledger::{Counters, Gauges};
use edgepool::{
    Acquire, AcquireError, Builder, CheckOnAcquire, Clock, Driver, Lease, Pool, PoolState, Tenant,
};
use edgepool_sim::{ByHand, Executor, SimClock, SimError, SimFactory, Stopped, Task};

/// A pool over the simulated factory and clock.
pub type SimPool = Pool<SimFactory, SimClock>;
/// How such a pool is set up.
pub type SimBuilder = Builder<SimFactory, SimClock>;
/// A tenant of it.
pub type SimTenant = Tenant<SimFactory, SimClock>;
/// A lease of it.
pub type SimLease = Lease<SimFactory, SimClock>;
/// The outcome of an acquire on it.
pub type Outcome = Result<SimLease, AcquireError<SimError>>;

/// A duration of so many milliseconds.
#[must_use]
pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A duration of so many seconds.
#[must_use]
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Waits for so long on the clock.
pub async fn sleep(clock: &SimClock, duration: Duration) {
    clock.alarm(clock.now().saturating_add(duration)).await;
}

/// Lets the other tasks go first, once.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Polls a future, as often as that wakes it, and returns its output.
///
/// # Panics
/// If there is none yet.
#[track_caller]
pub fn settle<F: Future>(future: &mut ByHand<F>) -> F::Output {
    loop {
        let wakes = future.wakes();
        if let Some(output) = future.poll() {
            return output;
        }
        assert!(future.wakes() > wakes, "it has no outcome yet");
    }
}

/// A pool, and what it runs on.
pub struct Setup {
    /// Its clock, at zero.
    pub clock: SimClock,
    /// Its factory; every job succeeds at once unless planned otherwise.
    pub factory: SimFactory,
    /// An executor on the clock.
    pub executor: Executor,
    /// The pool.
    pub pool: SimPool,
}

/// Makers.
impl Setup {
    /// Makes a pool of `max` with the default times, and no `min_idle`.
    #[must_use]
    pub fn new(max: u32) -> Self {
        Self::with(|builder| builder.max(max))
    }

    /// Makes a pool with the options that `set` sets, and no `min_idle` but for that.
    ///
    /// # Panics
    /// If the options are out of range.
    #[must_use]
    pub fn with(set: impl FnOnce(SimBuilder) -> SimBuilder) -> Self {
        Self::seeded(0, set)
    }

    /// Makes a pool as [`with`](Self::with) does, whose factory and executor have their luck from
    /// `seed`.
    ///
    /// # Panics
    /// If the options are out of range.
    #[must_use]
    pub fn seeded(seed: u64, set: impl FnOnce(SimBuilder) -> SimBuilder) -> Self {
        let clock = SimClock::new();
        let factory = SimFactory::new(&clock, seed);
        let executor = Executor::new(&clock, seed);
        let builder = Pool::builder(factory.clone(), clock.clone()).min_idle(0).seed(seed);
        let pool = set(builder).build().expect("the options are in range");
        Self { clock, factory, executor, pool }
    }

    /// Makes a pool whose connections neither expire nor are checked, and in which failures hold
    /// nothing back, but for what `set` sets.
    #[must_use]
    pub fn bare(set: impl FnOnce(SimBuilder) -> SimBuilder) -> Self {
        Self::with(|builder| {
            let builder = builder.idle_timeout(None).max_lifetime(None).check_interval(None);
            set(builder.check_on_acquire(CheckOnAcquire::Never).backoff(None))
        })
    }
}

/// Callers.
impl Setup {
    /// Acquires a connection that is idle or made at once.
    ///
    /// # Panics
    /// If it must wait, or fails.
    #[track_caller]
    pub fn lease(&self) -> SimLease {
        Waiter::new(&self.pool).ready().expect("a connection is made at once")
    }

    /// Acquires several connections that are idle or made at once.
    ///
    /// # Panics
    /// If one must wait, or fails.
    #[track_caller]
    pub fn leases<const N: usize>(&self) -> [SimLease; N] {
        std::array::from_fn(|_| self.lease())
    }

    /// Adds a task that uses the pool.
    pub fn spawn<Fut: Future<Output: 'static> + 'static>(
        &self,
        task: impl FnOnce(SimPool) -> Fut,
    ) -> Task<Fut::Output> {
        self.executor.spawn(task(self.pool.clone()))
    }

    /// Adds a task that uses the pool, and that [`Faults::cancel`](edgepool_sim::Faults) may drop
    /// wherever it waits.
    pub fn spawn_cancellable<Fut: Future<Output: 'static> + 'static>(
        &self,
        task: impl FnOnce(SimPool) -> Fut,
    ) -> Task<Fut::Output> {
        self.executor.spawner().spawn_cancellable(task(self.pool.clone()))
    }

    /// Adds a driver of the pool.
    pub fn drive(&self) -> Task<()> {
        let driver: Driver<_, _> = self.pool.driver();
        self.executor.spawn(driver)
    }

    /// Runs a task that uses the pool, and all others beside it, until it ends.
    pub fn run<Fut: Future<Output: 'static> + 'static>(
        &mut self,
        task: impl FnOnce(SimPool) -> Fut,
    ) -> Fut::Output {
        self.executor.block_on(task(self.pool.clone()))
    }

    /// Lets so much time pass with all tasks running.
    pub fn pass(&mut self, duration: Duration) -> Stopped {
        let until = self.clock.elapsed() + duration;
        let stopped = self.executor.run_for(duration);
        self.clock.advance(until.saturating_sub(self.clock.elapsed()));
        stopped
    }
}

/// Looks.
impl Setup {
    /// Checks the books, and returns the gauges.
    ///
    /// # Panics
    /// If an invariant does not hold.
    #[must_use]
    #[track_caller]
    pub fn gauges(&self) -> Gauges {
        self.pool.check().expect("the books are in order");
        self.pool.stats().gauges
    }

    /// Checks the books, and returns the counters.
    ///
    /// # Panics
    /// If an invariant does not hold.
    #[must_use]
    #[track_caller]
    pub fn counters(&self) -> Counters {
        self.pool.check().expect("the books are in order");
        self.pool.stats().counters
    }

    /// Asserts that all the connections that there may be can be had at once, and none more, from a
    /// pool of which nothing is out.
    ///
    /// # Panics
    /// If that is not so.
    #[track_caller]
    pub fn assert_usable(&self) {
        let max = self.gauges().max;
        let leases: Vec<_> = (0..max).map(|_| self.lease()).collect();
        assert_eq!((self.gauges().in_use, self.gauges().size), (max, max));
        let another = Waiter::new(&self.pool).poll();
        assert!(!matches!(another, Some(Ok(_))), "there are more than max");
        drop(leases);
        assert_eq!(self.gauges().in_use, 0);
    }

    /// Closes the pool, whose leases are all back, and asserts that nothing is left, and that every
    /// connection ended as it should.
    ///
    /// # Panics
    /// If that is not so.
    #[track_caller]
    pub fn assert_closes(self) {
        let Self { pool, factory, mut executor, clock } = self;
        executor.block_on(pool.drain(None)).expect("without a time-out it waits");
        pool.check().expect("the books are in order");
        assert_eq!((pool.state(), pool.stats().gauges.size), (PoolState::Closed, 0));
        drop((pool, executor));
        factory.assert_all_closed();
        factory.assert_all_told();
        assert_eq!(clock.alarms(), 0, "alarms are left");
    }
}

/// An acquire that is polled by hand, with a waker that counts.
pub struct Waiter<'a>(ByHand<Acquire<'a, SimFactory, SimClock>>);

impl<'a> Waiter<'a> {
    /// Starts to acquire; it is not polled yet.
    #[must_use]
    #[track_caller]
    pub fn new(pool: &'a SimPool) -> Self {
        Self::of(pool.acquire())
    }

    /// Wraps an acquire.
    #[must_use]
    pub fn of(acquire: Acquire<'a, SimFactory, SimClock>) -> Self {
        Self(ByHand::new(acquire))
    }

    /// Starts to acquire, and is queued.
    ///
    /// # Panics
    /// If it need not wait.
    #[must_use]
    #[track_caller]
    pub fn queued(pool: &'a SimPool) -> Self {
        Self::queued_as(pool.acquire())
    }

    /// Wraps an acquire, and is queued.
    ///
    /// # Panics
    /// If it need not wait.
    #[must_use]
    #[track_caller]
    pub fn queued_as(acquire: Acquire<'a, SimFactory, SimClock>) -> Self {
        let mut waiter = Self::of(acquire);
        assert!(waiter.poll().is_none(), "it need not wait");
        waiter
    }

    /// Polls with the waker that counts.
    pub fn poll(&mut self) -> Option<Outcome> {
        self.0.poll()
    }

    /// Polls with another waker.
    pub fn poll_with(&mut self, waker: &Waker) -> Option<Outcome> {
        self.0.poll_with(waker)
    }

    /// Polls as [`settle`] does, and returns the outcome.
    ///
    /// # Errors
    /// The acquire's.
    ///
    /// # Panics
    /// If there is none yet.
    #[track_caller]
    pub fn ready(&mut self) -> Outcome {
        settle(&mut self.0)
    }

    /// Returns how often it was woken.
    #[must_use]
    pub fn wakes(&self) -> u32 {
        self.0.wakes()
    }
}

/// The examples of the project's README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
