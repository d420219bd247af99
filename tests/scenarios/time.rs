//! Time.

use std::future::{Pending, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use edgepool::ledger::{Ledger, Options};
use edgepool::{AcquireError, Clock, OptionsError, Pool, Time};
use edgepool_sim::{Creation, SimClock, SimFactory, Stopped};
use edgepool_tests::{Setup, Waiter, ms};
use futures::FutureExt;

const HOUR: Duration = Duration::from_secs(3600);

/// Half a minute of waiting, in microseconds.
#[test]
fn acquire_timeout_of_30_seconds() {
    let begun = Instant::now();
    let mut setup = Setup::new(1);
    let _lease = setup.lease();
    let pool = setup.pool.clone();
    let error = setup.executor.block_on(async move { pool.acquire().await.err() });
    let Some(AcquireError::TimedOut { waited, pool }) = error else { panic!("{error:?}") };
    assert_eq!((waited, pool.in_use), (Duration::from_secs(30), 1));
    assert_eq!(setup.clock.elapsed(), Duration::from_secs(30));
    assert_eq!(setup.clock.alarms(), 0);
    println!("30 simulated seconds took {:?}", begun.elapsed());
}

#[test]
fn each_call_may_have_its_own_timeout() {
    let setup = Setup::new(1);
    let _lease = setup.lease();
    let mut short = Waiter::of(setup.pool.acquire().timeout(ms(5)));
    let mut long = Waiter::of(setup.pool.acquire().timeout(None));
    assert!(short.poll().is_none() && long.poll().is_none());
    setup.clock.advance(ms(4));
    assert!(short.poll().is_none());
    setup.clock.advance(ms(1));
    assert!(matches!(short.ready(), Err(AcquireError::TimedOut { .. })));
    setup.clock.advance(HOUR * 24 * 365);
    assert!(long.poll().is_none());
}

/// An hour back: nothing panics or wraps, and each waiter still has its timeout once the clock is
/// where it was, or is served before.
#[test]
fn clock_steps_back() {
    let mut setup = Setup::with(|pool| pool.max(1).acquire_timeout(ms(10)));
    setup.clock.advance(HOUR * 2);
    setup.executor.set_step_limit(200);
    let lease = setup.lease();
    let waiters: Vec<_> = (0..2)
        .map(|_| {
            let pool = setup.pool.clone();
            setup.executor.spawn(async move { pool.acquire().await.is_ok() })
        })
        .collect();
    setup.executor.run_until_stalled();
    setup.clock.step_back(HOUR);
    assert_eq!(setup.executor.run_for(ms(100)), Stopped::TimeUp, "they wait for the old time");
    assert_eq!(setup.executor.run_for(HOUR), Stopped::Done);
    assert!(waiters.iter().all(|waiter| waiter.take() == Some(false)));

    setup.clock.step_back(HOUR * 24);
    assert_eq!(setup.clock.now(), Time::ZERO);
    let pool = setup.pool.clone();
    let waiter = setup.executor.spawn(async move { pool.acquire().await.is_ok() });
    setup.executor.run_until_stalled();
    drop(lease);
    assert_eq!(setup.executor.run(), Stopped::Done);
    assert_eq!(waiter.take(), Some(true));
    assert_eq!(setup.gauges().idle, 1);
}

#[test]
fn clock_stands_still() {
    let mut setup = Setup::with(|pool| pool.max(1).acquire_timeout(ms(10)));
    let lease = setup.lease();
    setup.clock.freeze();
    let pool = setup.pool.clone();
    let waiter = setup.executor.spawn(async move { pool.acquire().await.is_ok() });
    setup.executor.set_step_limit(300);
    assert_eq!(setup.executor.run_for(Duration::from_secs(1)), Stopped::TimeUp, "no busy loop");
    assert!(!waiter.is_done(), "its time does not pass");
    drop(lease);
    assert_eq!((setup.executor.run(), waiter.take()), (Stopped::Done, Some(true)));
    setup.clock.thaw();
    assert_eq!(setup.gauges().idle, 1);
}

#[test]
fn clock_at_zero() {
    let mut setup = Setup::with(|pool| pool.max(1).acquire_timeout(ms(10)).create_timeout(ms(5)));
    assert_eq!(setup.clock.now(), Time::ZERO);
    setup.factory.plan([Creation::Hang]);
    let pool = setup.pool.clone();
    let outcome = setup.executor.block_on(async move { pool.acquire().await.err() });
    assert_eq!(outcome, Some(AcquireError::CreateTimedOut));
    assert_eq!(setup.clock.elapsed(), ms(5));

    let clock = SimClock::starting_at(Time::from_nanos(u64::MAX - 5));
    let factory = SimFactory::new(&clock, 0);
    let pool = Pool::builder(factory, clock.clone()).max(1).build().unwrap();
    let _lease = pool.acquire().now_or_never().unwrap().unwrap();
    let mut waiter = Waiter::queued(&pool);
    clock.advance(HOUR);
    assert!(waiter.poll().is_none(), "a deadline past the end of time does not pass");
}

#[test]
fn zero_and_tiny_durations() {
    let setup = Setup::with(|pool| pool.max(1).acquire_timeout(Duration::ZERO));
    drop(setup.lease()); // made at once
    let lease = setup.lease(); // idle
    assert!(matches!(
        Waiter::new(&setup.pool).ready(),
        Err(AcquireError::TimedOut { waited: Duration::ZERO, .. })
    ));
    drop(lease);

    let mut setup = Setup::with(|pool| pool.max(1).acquire_timeout(Duration::from_nanos(1)));
    setup.executor.set_step_limit(20);
    setup.factory.plan([Creation::Connect(ms(1))]);
    let pool = setup.pool.clone();
    let error = setup.executor.block_on(async move { pool.acquire().await.err() });
    assert!(matches!(error, Some(AcquireError::TimedOut { .. })));
    assert_eq!(setup.clock.elapsed(), Duration::from_nanos(1));

    let builder = Pool::builder(setup.factory.clone(), setup.clock.clone());
    let error = builder.create_timeout(Duration::ZERO).build().unwrap_err();
    assert_eq!(error, OptionsError::TimeIsZero("create_timeout"));
    let builder = Pool::builder(setup.factory.clone(), setup.clock.clone());
    assert_eq!(builder.max(0).build().unwrap_err(), OptionsError::MaxIsZero);
}

#[test]
fn empty_pool_has_no_deadline() {
    let ledger = Ledger::new(Options { create_timeout: Some(HOUR), ..Options::new(3) }).unwrap();
    assert_eq!(ledger.next_deadline(), None);
    assert!(!ledger.needs_clock());

    let mut setup = Setup::new(2);
    assert_eq!(setup.clock.alarms(), 0);
    let pool = setup.pool.clone();
    setup.executor.block_on(async move { drop(pool.acquire().await.unwrap()) });
    assert_eq!((setup.clock.alarms(), setup.clock.elapsed()), (0, Duration::ZERO));
}

/// Nobody polls the waiter when its time passes; the next operation finds it overdue.
#[test]
fn expiry_needs_no_background_task() {
    let setup = Setup::with(|pool| pool.max(1).acquire_timeout(ms(10)));
    let lease = setup.lease();
    let mut waiter = Waiter::queued(&setup.pool);
    setup.clock.advance(ms(10) - Duration::from_nanos(1));
    assert_eq!(setup.pool.stats().gauges.waiting, 1);
    setup.clock.advance(Duration::from_nanos(1));
    let stats = setup.pool.stats();
    assert_eq!((stats.gauges.waiting, stats.counters.timed_out), (0, 1));
    drop(lease);
    assert_eq!(setup.gauges().idle, 1, "it is not offered to one whose time has passed");
    assert!(matches!(waiter.ready(), Err(AcquireError::TimedOut { .. })));
}

/// A day without a caller: nothing is created, nothing is set, nobody is woken.
#[test]
fn a_day_idle_creates_nothing() {
    let setup = Setup::new(5);
    drop(setup.lease());
    setup.clock.advance(HOUR * 24);
    drop(setup.lease());
    assert_eq!((setup.factory.counts().started, setup.clock.alarms()), (1, 0));
}

/// Time costs more than everything else that a warm pool does, so it is not asked for.
#[test]
fn a_warm_pool_does_not_read_the_clock() {
    struct Counting(Arc<AtomicU32>);
    impl Clock for Counting {
        type Alarm = Pending<()>;
        fn now(&self) -> Time {
            self.0.fetch_add(1, Ordering::Relaxed);
            Time::ZERO
        }
        fn alarm(&self, _at: Time) -> Pending<()> {
            pending()
        }
    }
    let reads = Arc::new(AtomicU32::new(0));
    let factory = SimFactory::new(&SimClock::new(), 0);
    let pool = Pool::builder(factory, Counting(reads.clone())).max(1).build().unwrap();
    let get = || drop(pool.acquire().now_or_never().unwrap().unwrap());
    get();
    let before = reads.load(Ordering::Relaxed);
    (0..100).for_each(|_| get());
    assert_eq!(reads.load(Ordering::Relaxed), before);
}
