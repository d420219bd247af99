//! Time.

use std::future::{Pending, Ready, pending, ready};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edgepool::ledger::{Ledger, Options};
use edgepool::{AcquireError, Builder, CheckOnAcquire, Clock, Pool, Reuse, Time};
use edgepool_sim::{ByHand, Call, Creation, Faults, Odds, Rng, SimClock, SimFactory, Stopped};
use edgepool_tests::{Setup, SimPool, Waiter, ms, secs, sleep};
use futures::FutureExt;

const HOUR: Duration = Duration::from_secs(3600);

/// Half a minute of waiting, which takes no time.
#[test]
fn acquire_timeout_of_30_seconds() {
    let mut setup = Setup::new(1);
    let _lease = setup.lease();
    let pool = setup.pool.clone();
    let error = setup.executor.block_on(async move { pool.acquire().await.err() });
    let Some(AcquireError::TimedOut(timed_out)) = error else { panic!("{error:?}") };
    assert_eq!((timed_out.waited, timed_out.pool.in_use), (Duration::from_secs(30), 1));
    assert_eq!(setup.clock.elapsed(), Duration::from_secs(30));
    assert_eq!(setup.clock.alarms(), 0);
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
    let Err(AcquireError::TimedOut(timed_out)) = Waiter::new(&setup.pool).ready() else {
        panic!("it does not wait");
    };
    assert_eq!(timed_out.waited, Duration::ZERO);
    drop(lease);

    let mut setup = Setup::with(|pool| pool.max(1).acquire_timeout(Duration::from_nanos(1)));
    setup.executor.set_step_limit(20);
    setup.factory.plan([Creation::Connect(ms(1))]);
    let pool = setup.pool.clone();
    let error = setup.executor.block_on(async move { pool.acquire().await.err() });
    assert!(matches!(error, Some(AcquireError::TimedOut { .. })));
    assert_eq!(setup.clock.elapsed(), Duration::from_nanos(1));
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

/// A day without a caller. Without a driver nothing at all happens; with one the pool is filled,
/// and nothing is made then but the next ones of those that grow too old.
#[test]
fn a_day_idle_creates_nothing() {
    let mut setup = Setup::with(|pool| pool.max(5).min_idle(2));
    assert_eq!(setup.pass(HOUR * 24), Stopped::Done);
    assert_eq!((setup.factory.counts().started, setup.clock.alarms()), (0, 0));

    setup.drive();
    setup.pass(HOUR * 24);
    let counters = setup.counters();
    assert_eq!((setup.gauges().idle, counters.creations - counters.retired_aged), (2, 2));
    // A life is half an hour, less a tenth at most, and its last 10 s at most overlap the next one.
    assert!((94..=108).contains(&counters.retired_aged), "{counters:?}");

    let mut setup = Setup::with(|pool| pool.max(5).min_idle(2).max_lifetime(None));
    setup.drive();
    setup.pass(HOUR * 24);
    assert_eq!(setup.factory.counts().started, 2);
}

struct CountingClock(Arc<AtomicU32>);

impl Clock for CountingClock {
    type Alarm = Pending<()>;
    fn now(&self) -> Time {
        self.0.fetch_add(1, Ordering::Relaxed);
        Time::ZERO
    }
    fn alarm(&self, _at: Time) -> Pending<()> {
        pending()
    }
}

/// Time costs more than everything else that a warm pool does. So it is not asked for while nothing
/// depends on it, and once for each operation while something does.
#[test]
fn a_warm_pool_does_not_read_the_clock() {
    let reads_of_200_operations = |set: fn(Unset) -> Unset| {
        let reads = Arc::new(AtomicU32::new(0));
        let factory = SimFactory::new(&SimClock::new(), 0);
        let pool = set(Pool::builder(factory, CountingClock(reads.clone()))).build().unwrap();
        let get = || drop(pool.acquire().now_or_never().unwrap().unwrap());
        get();
        let before = reads.load(Ordering::Relaxed);
        (0..100).for_each(|_| get());
        reads.load(Ordering::Relaxed) - before
    };
    type Unset = Builder<SimFactory, CountingClock>;
    let timeless: fn(Unset) -> Unset = |pool| {
        let pool = pool.min_idle(0).idle_timeout(None).max_lifetime(None).check_interval(None);
        pool.check_on_acquire(CheckOnAcquire::Never)
    };
    assert_eq!(reads_of_200_operations(timeless), 0);
    assert_eq!(reads_of_200_operations(|pool| pool), 200);
}

/// A driver on a clock that stands still or steps back looks no more often for it.
#[test]
fn clock_stands_still_for_a_driver() {
    let mut setup = Setup::with(|pool| pool.max(2).min_idle(2));
    setup.drive();
    setup.pass(secs(1));
    setup.executor.set_step_limit(setup.executor.steps() + 400);
    setup.clock.freeze();
    setup.pass(HOUR);
    assert_eq!(setup.counters().checks, 0, "for the pool no time has passed");
    setup.clock.thaw();
    setup.clock.step_back(secs(1));
    setup.pass(secs(32));
    assert_eq!((setup.counters().checks, setup.gauges().idle), (2, 2));
}

/// At every step there are as many idle as there should be: the next one is there before the old
/// one leaves.
#[test]
fn reaper_never_goes_below_min_idle() {
    let mut setup =
        Setup::bare(|pool| pool.max(5).min_idle(3).idle_timeout(secs(60)).max_lifetime(secs(600)));
    setup.factory.set_odds(Odds { latency: ms(10)..=ms(500), ..Odds::NONE });
    setup.drive();
    setup.pass(secs(1));
    drop(setup.leases::<3>());
    let until = setup.clock.elapsed() + HOUR * 6;
    while setup.clock.elapsed() < until {
        setup.executor.step();
        assert!(setup.gauges().idle >= 3, "{:?} at {:?}", setup.gauges(), setup.clock.elapsed());
    }
    let counters = setup.counters();
    assert!((105..=130).contains(&counters.retired_aged), "{counters:?}");
    assert_eq!(counters.retired_idle, 2, "those that were made while three were out");
}

/// A connection that is always out when its time comes retires as it comes back.
#[test]
fn busy_connection_is_retired_on_return() {
    let mut setup = Setup::bare(|pool| pool.max(1).max_lifetime(secs(10)));
    setup.drive();
    for round in 1..=3 {
        let lease = setup.lease();
        assert_eq!(lease.id(), round);
        setup.pass(secs(11));
        drop(lease);
        assert_eq!((setup.counters().retired_aged, setup.gauges().size), (round, 0));
    }
}

/// When each of a hundred connections that were made together retires.
fn retirements(seed: u64, jitter: u8) -> Vec<u64> {
    let mut setup = Setup::bare(|pool| {
        let pool = pool.max(100).max_lifetime(secs(1_000)).lifetime_jitter(jitter);
        pool.seed(seed)
    });
    let (clock, ends): (_, Arc<Mutex<Vec<u64>>>) = (setup.clock.clone(), Arc::default());
    let kept = ends.clone();
    setup.factory.on_call(move |call| {
        if let Call::Close(_) = call {
            kept.lock().unwrap().push(clock.elapsed().as_secs());
        }
    });
    drop(setup.leases::<100>());
    setup.drive();
    setup.pass(secs(500));
    drop(setup.leases::<100>()); // a use draws no new time
    setup.pass(secs(501));
    std::mem::take(&mut ends.lock().unwrap())
}

/// A hundred made together retire one by one over the fifth of their life that is the jitter.
#[test]
fn lifetimes_are_spread() {
    let ends = retirements(1, 20);
    assert_eq!((ends.len(), ends[0] >= 800, ends[99] <= 1_000), (100, true, true));
    for window in (800..1_000).step_by(20) {
        let within = ends.iter().filter(|&&end| (window..window + 20).contains(&end)).count();
        assert!((3..=20).contains(&within), "{within} from second {window} on: {ends:?}");
    }
    assert_eq!(ends, retirements(1, 20), "the same seed, the same times");
    assert_ne!(ends, retirements(2, 20));
    assert_eq!(retirements(1, 0), vec![1_000; 100], "without jitter together");
}

/// Nothing in use is closed for its age, however old it is.
#[test]
fn lifetime_never_kills_a_lease() {
    let mut setup = Setup::with(|pool| pool.max(2).min_idle(1).max_lifetime(secs(60)));
    setup.drive();
    let mut held = setup.lease();
    setup.pass(HOUR);
    assert_eq!((held.id(), held.use_once(), held.is_broken()), (1, 1, false));
    assert_eq!(setup.factory.counts().live, 2, "the held one, and the idle one of the hour");
    let before = setup.counters();
    assert!(before.retired_aged > 50);
    drop(held);
    assert_eq!(setup.counters().retired_aged, before.retired_aged + 1);
}

/// A burst of ten, then one caller at a time: with LIFO the surplus ages out; with FIFO all are
/// kept in use.
#[test]
fn idle_pool_shrinks_under_light_load() {
    let left = |reuse| {
        let mut setup = Setup::bare(|pool| pool.max(10).idle_timeout(secs(60)).reuse(reuse));
        drop(setup.leases::<10>());
        for _ in 0..120 {
            setup.pass(secs(1));
            drop(setup.lease());
        }
        setup.gauges().size
    };
    assert_eq!((left(Reuse::Lifo), left(Reuse::Fifo)), (1, 10));
}

/// Without a driver, age and idleness are settled exactly at the next operation.
#[test]
fn expiry_needs_no_background_task_for_connections() {
    let moment = Duration::from_nanos(1);
    let setup = Setup::bare(|pool| pool.max(1).idle_timeout(secs(60)));
    drop(setup.lease());
    setup.clock.advance(secs(60) - moment);
    assert_eq!(setup.gauges().idle, 1);
    setup.clock.advance(moment);
    assert_eq!((setup.gauges().idle, setup.counters().retired_idle), (0, 1));

    let setup = Setup::bare(|pool| pool.max(1).max_lifetime(secs(60)).lifetime_jitter(0));
    drop(setup.lease());
    setup.clock.advance(secs(60) - moment);
    assert_eq!(setup.lease().id(), 1);
    setup.clock.advance(moment);
    assert_eq!(setup.lease().id(), 2);
}

/// Half a simulated day of random load with the default times: every kind of job fails, hangs and
/// panics, hooks panic, tasks are polled late, for nothing or not at all for a while, callers are
/// dropped wherever they wait, and the clock jumps either way. The books are checked after every
/// step, and in the end every connection was closed. For a month see `tests/seeds`.
#[test]
fn long_simulated_soak() {
    let mut setup = Setup::with(|pool| pool.max(6).min_idle(2).capture_holders(true));
    let odds = |most| Odds { latency: ms(0)..=ms(most), at_once: 0, fail: 20, hang: 5, panic: 5 };
    setup.factory.set_odds(odds(500));
    setup.factory.set_check_odds(odds(50));
    setup.factory.set_reset_odds(Odds { at_once: 700, ..odds(50) });
    setup.factory.set_close_odds(Odds { at_once: 700, ..odds(50) });
    setup.factory.set_hook_odds(2);
    setup.executor.set_faults(Faults {
        spurious_poll: 10,
        late_poll: 20,
        late_by: secs(1),
        stall: 1,
        stall_for: secs(30),
        cancel: 2,
    });
    let mut rng = Rng::new(7);
    let driver = setup.drive();
    for hour in 1..=12 {
        for _ in 0..24 {
            let (clock, rng) = (setup.clock.clone(), rng.fork());
            setup.spawn_cancellable(|pool| comes_and_goes(pool, clock, rng, HOUR * hour));
        }
        while setup.clock.elapsed() < HOUR * hour {
            setup.executor.step();
            assert!(setup.gauges().size <= 6);
            if rng.chance(2) {
                setup.clock.step_back(rng.duration(ms(0)..=secs(100)));
            }
            if rng.chance(1) {
                setup.clock.advance(rng.duration(ms(0)..=secs(10)));
            }
        }
    }
    let counters = setup.counters();
    assert!(counters.started > 10_000 && counters.cancelled > 10, "{counters:?}");
    assert!(counters.check_failed > 50 && counters.reset_failed > 50, "{counters:?}");
    setup.factory.calm();
    setup.executor.set_faults(Faults::default());
    setup.pool.close();
    assert_eq!((setup.executor.run(), driver.is_done()), (Stopped::Done, true));
    setup.assert_closes();
}

/// One caller after the other, until a time.
async fn comes_and_goes(pool: SimPool, clock: SimClock, mut rng: Rng, until: Duration) {
    while clock.elapsed() < until && !pool.is_closed() {
        let lease = pool.acquire().timeout(rng.duration(ms(10)..=secs(60))).await;
        sleep(&clock, rng.duration(ms(1)..=secs(20))).await;
        drop(lease);
        sleep(&clock, rng.duration(ms(1)..=secs(60))).await;
    }
}

/// A clock that stands still, and whose alarms ring at once.
struct Hasty(AtomicU32);

impl Clock for Hasty {
    type Alarm = Ready<()>;
    fn now(&self) -> Time {
        Time::ZERO
    }
    fn alarm(&self, _at: Time) -> Ready<()> {
        assert!(self.0.fetch_add(1, Ordering::Relaxed) < 100, "it is set again and again");
        ready(())
    }
}

/// An alarm may be early, and one that always is must not keep the thread of who polls.
#[test]
fn an_alarm_that_is_always_early_lets_others_run() {
    let factory = SimFactory::new(&SimClock::new(), 0);
    let pool = Pool::builder(factory, Hasty(AtomicU32::new(0))).max(1).build().unwrap();
    let lease = ByHand::new(pool.acquire()).ready().unwrap();
    let mut waiter = ByHand::new(pool.acquire());
    let mut driver = ByHand::new(pool.driver());
    for polls in 1..=3 {
        assert!(waiter.poll().is_none() && driver.poll().is_none());
        assert_eq!((waiter.wakes(), driver.wakes()), (polls, polls), "they look again later");
    }
    drop(lease);
    assert!(waiter.ready().is_ok());
}
