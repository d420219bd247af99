//! Creation.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edgepool::ledger::{Counters, Gauges};
use edgepool::{AcquireError, Backoff, CheckOnAcquire, Failure, Phase, TimedOut};
use edgepool_sim::{Call, Creation, Faults, Odds, Rng, SimError, Stopped, Trial};
use edgepool_tests::{Outcome, Setup, SimBuilder, SimLease, Waiter, ms, secs, sleep};
use futures::FutureExt;

/// Callers with a patience of 20 ms come again and again, for a connection that takes 50 ms.
#[test]
fn creation_survives_its_requester() {
    let mut setup = Setup::with(|pool| pool.max(1).acquire_timeout(ms(20)));
    setup.factory.plan([Creation::Connect(ms(50))]);
    let pool = setup.pool.clone();
    let attempts = setup.executor.block_on(async move {
        let mut attempts = 1;
        while pool.acquire().await.is_err() {
            attempts += 1;
        }
        attempts
    });
    assert_eq!((attempts, setup.clock.elapsed()), (3, ms(50)));
    assert_eq!(setup.factory.counts().started, 1);
}

/// The same for callers that drop the wait instead of timing out.
#[test]
fn creation_survives_a_cancelled_requester() {
    let setup = Setup::new(1);
    setup.factory.plan([Creation::Connect(ms(50))]);
    for _ in 0..5 {
        let waiter = Waiter::queued(&setup.pool);
        setup.clock.advance(ms(10));
        drop(waiter);
    }
    assert_eq!(Waiter::new(&setup.pool).ready().unwrap().id(), 1);
    assert_eq!((setup.factory.counts().started, setup.gauges().idle), (1, 1));
}

#[test]
fn served_by_whichever_is_first() {
    let setup = Setup::new(2);
    setup.factory.plan([Creation::Connect(ms(0)), Creation::Connect(ms(50))]);
    let lease = setup.lease();
    let mut waiter = Waiter::queued(&setup.pool);
    assert_eq!(setup.gauges().creating, 1);
    setup.clock.advance(ms(1));
    drop(lease);
    let lease = waiter.ready().unwrap();
    assert_eq!((lease.id(), setup.gauges().creating), (1, 1), "its own creation goes on");

    let mut next = Waiter::queued(&setup.pool);
    setup.clock.advance(ms(49));
    assert_eq!(next.ready().unwrap().id(), 2, "the late connection serves the next");
    assert_eq!((setup.factory.counts().started, setup.gauges().idle), (2, 1));
}

#[test]
fn creates_never_exceed_need() {
    let setup = Setup::new(4);
    setup.factory.plan([Creation::Connect(ms(50)); 20]);
    let started = || setup.factory.counts().started;
    let mut waiters: Vec<_> = (0..3).map(|_| Waiter::queued(&setup.pool)).collect();
    assert_eq!(started(), 3, "one for each waiter");
    waiters.truncate(1);
    waiters.push(Waiter::queued(&setup.pool));
    assert_eq!(started(), 3, "two wait, three are under way");
    waiters.extend((0..10).map(|_| Waiter::queued(&setup.pool)));
    assert_eq!(started(), 4, "no more than max");
    drop(waiters);

    setup.clock.advance(ms(50));
    let lease = setup.lease();
    assert_eq!((started(), setup.gauges().idle), (4, 3), "what was begun is used first");
    let idle: Vec<_> = (0..3).map(|_| setup.pool.try_acquire().unwrap()).collect();
    lease.discard();
    assert_eq!(started(), 4, "nobody waits for the free place");
    drop(idle);
}

/// Looked at when each creation begins: no more are under way than are waited for or missing to
/// `min_idle`, and there are no more connections than there may be.
#[test]
fn creates_never_exceed_need_at_their_start() {
    const MIN_IDLE: u32 = 2;
    let looks: Arc<Mutex<Vec<Gauges>>> = Arc::default();
    for seed in 0..20 {
        let mut setup = Setup::seeded(seed, |pool| {
            let pool = pool.max(6).min_idle(MIN_IDLE).max_lifetime(None).backoff(None);
            pool.acquire_timeout(ms(80)).check_on_acquire(CheckOnAcquire::IdleFor(ms(5)))
        });
        let odds = |fail| Odds { latency: ms(0)..=ms(30), at_once: 500, fail, ..Odds::NONE };
        setup.factory.set_odds(odds(200));
        setup.factory.set_check_odds(odds(100));
        setup.factory.set_reset_odds(odds(50));
        setup.executor.set_faults(Faults { cancel: 3, late_poll: 50, ..Faults::default() });
        let (pool, seen) = (setup.pool.clone(), looks.clone());
        setup.factory.on_call(move |call| {
            if let Call::Create(_) = call {
                let gauges = pool.stats().gauges;
                seen.lock().unwrap().push(gauges);
            }
        });
        let mut rng = Rng::new(seed);
        for _ in 0..20 {
            let (clock, mut rng) = (setup.clock.clone(), rng.fork());
            setup.spawn_cancellable(|pool| async move {
                for _ in 0..20 {
                    let lease = pool.acquire().await;
                    sleep(&clock, rng.duration(ms(0)..=ms(20))).await;
                    match lease {
                        Ok(lease) if rng.chance(300) => lease.discard(),
                        other => drop(other),
                    }
                    sleep(&clock, rng.duration(ms(0)..=ms(60))).await;
                }
            });
        }
        assert_eq!(setup.executor.run(), Stopped::Done);
        setup.factory.ignore_calls();
        setup.assert_closes();
    }
    let looks = looks.lock().unwrap();
    assert!(looks.len() > 1_000, "{} creations", looks.len());
    for gauges in &*looks {
        let Gauges { max, size, creating, idle, checking, resetting, waiting, .. } = *gauges;
        let missing = MIN_IDLE.saturating_sub(idle + checking + resetting);
        assert!(creating <= waiting + missing && size <= max, "{gauges:?}");
    }
}

#[test]
fn discard_frees_capacity_and_starts_a_create() {
    let ways: [fn(SimLease); 2] = [SimLease::discard, |lease| drop(lease.take())];
    for part in ways {
        let setup = Setup::new(1);
        let lease = setup.lease();
        let mut waiter = Waiter::queued(&setup.pool);
        part(lease);
        assert_eq!(setup.factory.counts().started, 2, "at once");
        assert_eq!(waiter.ready().unwrap().id(), 2);
        assert_eq!((setup.gauges().idle, setup.factory.counts().live), (1, 1));
    }
}

#[test]
fn create_error_reaches_the_caller() {
    let setup = Setup::new(1);
    setup.factory.plan([Creation::Fail(ms(0))]);
    let error = Waiter::new(&setup.pool).ready().unwrap_err();
    assert_eq!(error, AcquireError::CreateFailed(Arc::new(SimError { creation: 1 })));
    let cause = error.source().unwrap();
    assert_eq!(cause.to_string(), "connection 1 failed, as planned");
    assert_eq!((setup.clock.elapsed(), setup.gauges().size), (ms(0), 0));
}

/// Six callers, two places, and creations that fail after 3 ms. Returns the number of the creation
/// that each saw fail, and when all were answered.
fn six_meet_failures(mut setup: Setup) -> (Vec<u64>, Duration) {
    setup.factory.plan([Creation::Fail(ms(3)); 6]);
    let failed = |outcome: Outcome| match outcome {
        Err(AcquireError::CreateFailed(error)) => error.creation,
        other => panic!("it did not see the failure: {other:?}"),
    };
    let waiters: Vec<_> =
        (0..6).map(|_| setup.spawn(|pool| async move { failed(pool.acquire().await) })).collect();
    assert_eq!(setup.executor.run(), Stopped::Done, "nobody is left hanging");
    let mut failed: Vec<_> = waiters.iter().map(|waiter| waiter.take().unwrap()).collect();
    failed.sort_unstable();
    (failed, setup.clock.elapsed())
}

/// Without a back-off each failure ends the wait of the first in the queue, and the freed place is
/// tried anew for the next. With one nothing is tried for a while, so that once no creation is
/// left, the last failure ends every wait.
#[test]
fn every_waiter_sees_a_failure() {
    let each = Setup::bare(|pool| pool.max(2).acquire_timeout(None));
    assert_eq!(six_meet_failures(each), (vec![1, 2, 3, 4, 5, 6], ms(9)), "two at a time");
    let shared = Setup::with(|pool| pool.max(2).acquire_timeout(None));
    assert_eq!(six_meet_failures(shared), (vec![1, 2, 2, 2, 2, 2], ms(3)));
}

/// With a back-off a failure ends only one wait as long as a lease can come back.
#[test]
fn every_waiter_sees_a_failure_or_the_lease_that_comes_back() {
    let setup = Setup::new(2);
    let lease = setup.lease();
    setup.factory.plan([Creation::Fail(ms(0))]);
    assert!(matches!(Waiter::new(&setup.pool).ready(), Err(AcquireError::CreateFailed(_))));
    let mut next = Waiter::queued(&setup.pool);
    drop(lease);
    assert_eq!((next.ready().unwrap().id(), setup.factory.counts().started), (1, 2));
}

#[test]
fn create_panics() {
    let setup = Setup::bare(|pool| pool.max(2));
    let panics = [Creation::PanicAtStart, Creation::Panic(ms(0)), Creation::Panic(ms(5))];
    for (failed, plan) in (1..).zip(panics) {
        setup.factory.plan([plan]);
        let mut waiter = Waiter::new(&setup.pool);
        let outcome = waiter.poll().or_else(|| {
            setup.clock.advance(ms(5));
            waiter.poll()
        });
        assert!(matches!(outcome, Some(Err(AcquireError::CreatePanicked))));
        assert_eq!((setup.gauges().size, setup.pool.stats().counters.failed), (0, failed));
    }
    setup.assert_usable();
}

/// The panic comes while another task polls, and while an operation that nobody awaits starts it.
#[test]
fn create_panics_when_a_lease_is_discarded() {
    let setup = Setup::bare(|pool| pool.max(1));
    let lease = setup.lease();
    let mut waiter = Waiter::queued(&setup.pool);
    setup.factory.plan([Creation::PanicAtStart]);
    lease.discard();
    assert!(matches!(waiter.ready(), Err(AcquireError::CreatePanicked)));
    assert_eq!(setup.lease().id(), 3);
}

#[test]
fn create_never_settles() {
    let setup = Setup::bare(|pool| pool.max(1).create_timeout(ms(10)));
    setup.factory.plan([Creation::Hang]);
    let mut first = Waiter::queued(&setup.pool);
    let mut second = Waiter::queued(&setup.pool);
    setup.clock.advance(ms(10));
    assert!(first.wakes() > 0, "its driver watches over the creation");
    assert_eq!(first.ready().err(), Some(AcquireError::CreateTimedOut));
    assert_eq!(second.ready().unwrap().id(), 2, "the place was free for another");
    assert_eq!((setup.factory.counts().abandoned, setup.factory.counts().creating), (1, 0));
}

/// A connection that comes although its creation was given up is dropped, not lent.
#[test]
fn a_late_creation_is_dropped() {
    let setup = Setup::bare(|pool| pool.max(1).create_timeout(ms(10)));
    setup.factory.plan([Creation::Connect(ms(11)), Creation::Connect(ms(0))]);
    let mut waiter = Waiter::queued(&setup.pool);
    setup.clock.advance(ms(10));
    assert_eq!(waiter.ready().err(), Some(AcquireError::CreateTimedOut));
    setup.clock.advance(ms(1));
    assert_eq!(setup.lease().id(), 2);
    let made = setup.factory.counts();
    assert_eq!((made.live, made.creating, setup.gauges().size), (1, 0, 1));
}

/// Twenty callers that all meet a slow failure are not answered one after the other.
#[test]
fn storm_of_20_waiters_on_a_slow_failure() {
    let storm = |mut setup: Setup| {
        setup.factory.plan([Creation::Fail(ms(10)); 20]);
        for _ in 0..20 {
            setup.spawn(|pool| async move { assert!(pool.acquire().await.is_err()) });
        }
        assert_eq!(setup.executor.run(), Stopped::Done);
        assert_eq!(setup.clock.elapsed(), ms(10));
    };
    storm(Setup::bare(|pool| pool.max(20)));
    storm(Setup::new(20));
    storm(Setup::new(5)); // the back-off ends the other fifteen waits with the last of five
}

/// Whatever panics while it creates, what the pool's caller sees is an error, not the panic.
#[test]
fn a_panicking_creation_does_not_unwind_its_caller() {
    let setup = Setup::new(1);
    setup.factory.plan([Creation::Panic(ms(0))]);
    let mut waiter = Waiter::new(&setup.pool);
    let outcome = catch_unwind(AssertUnwindSafe(|| waiter.poll()));
    assert!(matches!(outcome, Ok(Some(Err(AcquireError::CreatePanicked)))));
}

/// What a caller is told whose time passed after 10 ms.
fn timed_out(setup: &Setup, mut waiter: Waiter<'_>) -> TimedOut<SimError> {
    setup.clock.advance(ms(10));
    match waiter.ready() {
        Err(AcquireError::TimedOut(timed_out)) => *timed_out,
        other => panic!("it did not time out: {other:?}"),
    }
}

#[test]
fn timeout_names_phase_and_cause() {
    let patient = |set: fn(SimBuilder) -> SimBuilder| {
        Setup::with(|pool| set(pool.max(1).acquire_timeout(ms(10))))
    };
    let setup = patient(|pool| pool);
    let _lease = setup.lease();
    let _first = Waiter::queued_as(setup.pool.acquire().timeout(None));
    let told = timed_out(&setup, Waiter::queued(&setup.pool));
    assert_eq!((told.phase, told.place, told.waited), (Phase::Waiting, 1, ms(10)));
    assert_eq!((told.pool.in_use, told.cause.is_none()), (1, true));

    let setup = patient(|pool| pool);
    setup.factory.plan([Creation::Connect(ms(20))]);
    let told = timed_out(&setup, Waiter::queued(&setup.pool));
    assert_eq!((told.phase, told.place, told.pool.creating), (Phase::Connecting, 0, 1));

    let setup = patient(|pool| pool.check_on_acquire(CheckOnAcquire::Always));
    drop(setup.lease());
    setup.factory.plan_checks([Trial::Pass(ms(20))]);
    let told = timed_out(&setup, Waiter::queued(&setup.pool));
    assert_eq!((told.phase, told.pool.checking), (Phase::Checking, 1));

    let setup = patient(|pool| pool);
    setup.factory.plan_resets([Trial::Pass(ms(20))]);
    drop(setup.lease());
    let told = timed_out(&setup, Waiter::queued(&setup.pool));
    assert_eq!((told.phase, told.pool.resetting), (Phase::Checking, 1));

    let setup = patient(|pool| pool);
    setup.pool.pause();
    let told = timed_out(&setup, Waiter::queued(&setup.pool));
    assert_eq!(told.phase, Phase::Paused);
}

/// A caller that waits for the end of a back-off is told how the last creation failed.
#[test]
fn timeout_names_phase_and_cause_of_a_failure() {
    let slow = Backoff { base: secs(60), cap: secs(60) };
    let setup = Setup::with(|pool| pool.max(2).acquire_timeout(ms(10)).backoff(slow));
    let _lease = setup.lease();
    setup.factory.plan([Creation::Fail(ms(0))]);
    assert!(Waiter::new(&setup.pool).ready().is_err());
    let mut waiter = Waiter::queued(&setup.pool);
    setup.clock.advance(ms(10));
    let error = waiter.ready().unwrap_err();
    let AcquireError::TimedOut(told) = &error else { panic!("{error:?}") };
    assert_eq!(told.phase, Phase::BackingOff);
    assert_eq!(error.source().unwrap().to_string(), "connection 2 failed, as planned");
    let text = error.to_string();
    for part in ["10ms", "waiting to connect again after a failure", "0 callers ahead", "1 of 2"] {
        assert!(text.contains(part), "{text:?} lacks {part:?}");
    }
}

/// A caller comes every 20 ms for ten minutes, and no creation succeeds.
fn creations_in_ten_minutes(seed: u64, set: fn(SimBuilder) -> SimBuilder) -> u64 {
    let mut setup = Setup::with(|pool| set(pool.max(10).seed(seed)));
    setup.factory.set_odds(Odds { fail: 1_000, ..Odds::NONE });
    let clock = setup.clock.clone();
    setup.run(|pool| async move {
        for _ in 0..600_000 / 20 {
            assert!(pool.acquire().await.is_err());
            sleep(&clock, ms(20)).await;
        }
    });
    setup.counters().creations
}

/// The wait before a creation is at most 30 s after some failures, and half of that on average: ten
/// minutes have about 40, and some more at their beginning.
#[test]
fn always_failing_create_is_bounded() {
    for seed in 0..5 {
        let creations = creations_in_ten_minutes(seed, |pool| pool);
        assert!((25..=75).contains(&creations), "{creations} with seed {seed}");
    }
    assert_eq!(creations_in_ten_minutes(0, |pool| pool.backoff(None)), 30_000);
}

/// Eight callers share four connections for an hour, and no check ever passes. Who is refused or
/// loses patience comes again. Returns what was counted.
fn an_hour_without_a_good_check(seed: u64, set: fn(SimBuilder) -> SimBuilder) -> Counters {
    let mut setup = Setup::seeded(seed, |pool| {
        set(pool.max(4).check_on_acquire(CheckOnAcquire::Always).seed(seed))
    });
    let odds = |least, most| Odds { latency: ms(least)..=ms(most), ..Odds::NONE };
    setup.factory.set_odds(odds(10, 100));
    setup.factory.set_check_odds(Odds { fail: 1_000, ..odds(1, 20) });
    let mut rng = Rng::new(seed);
    for _ in 0..8 {
        let (clock, mut rng) = (setup.clock.clone(), rng.fork());
        setup.spawn(|pool| async move {
            while !pool.is_closed() {
                let lease = pool.acquire().timeout(rng.duration(ms(20)..=secs(2))).await;
                if lease.is_ok() {
                    sleep(&clock, rng.duration(ms(1)..=ms(300))).await;
                }
                drop(lease);
                sleep(&clock, rng.duration(ms(0)..=ms(50))).await;
            }
        });
    }
    setup.pass(secs(3_600));
    assert!(setup.factory.counts().peak_live <= 4);
    setup.pool.close();
    setup.pass(secs(5));
    let counters = setup.counters();
    setup.assert_closes();
    counters
}

/// What is just made is lent unchecked. So no check stands between a creation and the caller that
/// it is for, and one that never passes does not make connections in a circle: each acquire costs
/// at most one, and the callers' own pace bounds them. The back-off is for creations that fail, and
/// holds nothing back here: a connection that grew stale says nothing of the next one.
#[test]
fn always_failing_check_is_bounded() {
    for seed in 0..2 {
        let counted = an_hour_without_a_good_check(seed, |pool| pool);
        let Counters { started, creations, check_failed, direct, waited, .. } = counted;
        assert!(creations <= started, "{counted:?}");
        assert!(direct + waited <= creations, "each of them is lent once: {counted:?}");
        assert_eq!(counted.checks, check_failed);
        // As fast as leases and creations follow each other in four places: about 18 a second.
        assert!((60_000..=75_000).contains(&creations), "{counted:?}");
    }

    // Without any caller, the checks of those that are idle are the only ones that fail.
    let mut setup = Setup::bare(|pool| pool.max(4).min_idle(2).check_interval(secs(30)));
    setup.factory.set_check_odds(Odds { fail: 1_000, ..Odds::NONE });
    setup.drive();
    setup.pass(secs(3_600));
    assert_eq!(setup.counters().creations, 2 + 2 * 120, "every 30 s for each of two");
}

/// However many idle connections turn out to be bad, one acquire makes one in their stead.
#[test]
fn always_failing_check_costs_an_acquire_one_creation() {
    let setup = Setup::bare(|pool| pool.max(8).check_on_acquire(CheckOnAcquire::Always));
    setup.factory.set_check_odds(Odds { fail: 1_000, ..Odds::NONE });
    drop(setup.leases::<8>());
    drop(setup.lease());
    assert_eq!((setup.counters().checks, setup.counters().creations), (8, 8 + 1));
    (0..100).for_each(|_| drop(setup.lease()));
    assert_eq!((setup.counters().checks, setup.counters().creations), (108, 8 + 101));
}

#[test]
fn warm_up_with_failures() {
    let failure = |creation| Failure::Error(Arc::new(SimError { creation }));
    let mut setup = Setup::bare(|pool| pool.max(5));
    setup.factory.plan([
        Creation::Connect(ms(5)),
        Creation::Fail(ms(5)),
        Creation::PanicAtStart,
        Creation::Hang,
    ]);
    let error = setup.run(|pool| async move { pool.warm_up(5).await.unwrap_err() });
    assert_eq!((error.made, error.untried), (2, 0));
    assert_eq!(error.failures, [Failure::Panicked, failure(2), Failure::TimedOut]);
    assert_eq!(setup.clock.elapsed(), secs(10), "the create timeout ends what hangs");

    let mut setup = Setup::new(5);
    setup.factory.plan([Creation::Fail(ms(5))]);
    let warm_up = setup.pool.warm_up(5).parallel(1);
    let error = setup.executor.block_on(warm_up).unwrap_err();
    assert_eq!((error.made, error.untried), (0, 4), "the back-off begins no other");
    assert_eq!(error.source().unwrap().to_string(), "connection 1 failed, as planned");
    assert_eq!(setup.clock.elapsed(), ms(5));
}

/// Nothing else about this pool depends on the time, and still the wait begins when the failure is
/// known.
#[test]
fn a_back_off_counts_from_the_failure() {
    let long = Backoff { base: secs(3_600), cap: secs(3_600) };
    let setup = Setup::bare(|pool| {
        let pool = pool.max(1).create_timeout(None).close_timeout(None).reset_timeout(None);
        pool.backoff(long).breaker(None)
    });
    setup.factory.plan([Creation::PanicAtStart]);
    setup.clock.advance(secs(100_000));
    let failed = setup.pool.acquire().now_or_never().expect("it fails at once");
    assert!(matches!(failed, Err(AcquireError::CreatePanicked)));
    // Counted from the pool's birth, it would long be over.
    assert!(setup.pool.acquire().now_or_never().is_none());
}
