//! What is done about creations that fail: the back-off and the breaker.

use std::time::Duration;

use edgepool::{AcquireError, Backoff, Failure};
use edgepool_sim::{Creation, Odds};
use edgepool_tests::{Setup, SimBuilder, Waiter, ms, secs, sleep};

const EVERY: Odds = Odds { fail: 1_000, ..Odds::NONE };

/// A pool of four with a lease out, so that callers wait, and with a driver; no creation succeeds.
fn failing(set: fn(SimBuilder) -> SimBuilder) -> (Setup, edgepool_tests::SimLease) {
    let setup = Setup::with(|pool| set(pool.max(4).acquire_timeout(None).create_timeout(None)));
    let lease = setup.lease();
    setup.factory.set_odds(EVERY);
    (setup, lease)
}

/// The times between the creations of a pool in which none succeeds.
fn waits(seed: u64, backoff: Backoff) -> [Duration; 8] {
    let mut setup = Setup::with(|pool| pool.max(1).min_idle(1).backoff(backoff).seed(seed));
    setup.factory.set_odds(EVERY);
    setup.drive();
    let mut begun = vec![Duration::ZERO];
    while begun.len() < 9 {
        setup.executor.step().expect("there is a next attempt");
        if setup.factory.counts().started > begun.len() as u64 {
            begun.push(setup.clock.elapsed());
        }
    }
    std::array::from_fn(|at| begun[at + 1] - begun[at])
}

/// Each wait is drawn from the whole span from zero to the base, doubled for each failure in a row
/// but the first, and up to the cap.
#[test]
fn backoff_doubles_up_to_its_cap() {
    let backoff = Backoff { base: ms(100), cap: ms(1_000) };
    let all: Vec<_> = (0..200).map(|seed| waits(seed, backoff)).collect();
    for (nth, longest) in
        [100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000].map(ms).iter().enumerate()
    {
        let mut drawn: Vec<_> = all.iter().map(|waits| waits[nth]).collect();
        drawn.sort_unstable();
        assert!(drawn[0] < *longest / 20 && drawn[199] <= *longest, "{nth}: {drawn:?}");
        assert!(drawn[199] > *longest * 19 / 20, "{nth}: {drawn:?}");
        let middle = *longest * 4 / 10..*longest * 6 / 10;
        assert!(middle.contains(&drawn[100]), "{nth}: {drawn:?}");
        drawn.dedup();
        assert!(drawn.len() > 190, "they come back together: {nth}: {drawn:?}");
    }
}

/// A success ends the back-off at once.
#[test]
fn backoff_is_forgotten_after_a_success() {
    let mut setup = Setup::with(|pool| pool.max(1));
    setup.factory.plan([Creation::Fail(ms(0)), Creation::Fail(ms(0))]);
    let clock = setup.clock.clone();
    setup.run(|pool| async move {
        while pool.acquire().await.is_err() {
            sleep(&clock, ms(10)).await;
        }
    });
    setup.lease().discard();
    assert_eq!(setup.lease().id(), 4, "without a wait");
}

#[test]
fn backoff_of_none_tries_for_each_caller() {
    let (setup, _lease) = failing(|pool| pool.backoff(None));
    for failed in 1..=50 {
        assert!(matches!(Waiter::new(&setup.pool).ready(), Err(AcquireError::CreateFailed(_))));
        assert_eq!(setup.counters().failed, failed);
    }
    assert_eq!(setup.factory.counts().started, 51);
}

/// After five failures in a row callers are refused until the next attempt, and told when it is.
#[test]
fn breaker_refuses_until_the_next_attempt() {
    let mut setup = Setup::with(|pool| {
        pool.max(5).backoff(Backoff { base: secs(60), cap: secs(60) }).breaker(5)
    });
    setup.factory.plan([Creation::Fail(ms(1)); 5]);
    for _ in 0..5 {
        setup.pass(secs(60));
        setup.run(|pool| async move { assert!(pool.acquire().await.is_err()) });
    }
    let error = Waiter::new(&setup.pool).ready().unwrap_err();
    let AcquireError::Unavailable { retry_in, cause: Some(Failure::Error(cause)) } = &error else {
        panic!("{error:?}");
    };
    assert!(cause.creation == 5 && *retry_in <= secs(60));
    assert!(error.to_string().contains(&format!("the next attempt is in {retry_in:?}")));
    setup.clock.advance(*retry_in - Duration::from_nanos(1));
    assert!(matches!(Waiter::new(&setup.pool).ready(), Err(AcquireError::Unavailable { .. })));
    setup.clock.advance(Duration::from_nanos(1));
    assert_eq!(setup.lease().id(), 6, "the attempt succeeds, and the breaker is closed");
    setup.assert_usable();
}

/// A service that is away for a moment refuses all that ask at that moment: that is one failure.
#[test]
fn creations_that_fail_together_count_once() {
    let backoff = Backoff { base: ms(100), cap: secs(30) };
    for seed in 0..20 {
        let mut setup = Setup::with(|pool| pool.max(20).backoff(backoff).breaker(2).seed(seed));
        setup.factory.plan([Creation::Fail(ms(1)); 20]);
        for _ in 0..20 {
            setup.spawn(|pool| async move { assert!(pool.acquire().await.is_err()) });
        }
        setup.executor.run();
        assert_eq!(setup.counters().create_failed, 20);
        setup.clock.advance(ms(100));
        assert_eq!(setup.lease().id(), 21, "seed {seed}: it is tried again soon");
    }
}

/// The pool's time stands still until the clock has caught up, and the attempt waits for it.
#[test]
fn breaker_tells_how_long_it_is_by_a_clock_that_stepped_back() {
    let backoff = Backoff { base: secs(60), cap: secs(60) };
    let setup = Setup::with(|pool| pool.max(1).backoff(backoff).breaker(1));
    setup.clock.advance(secs(500));
    setup.factory.plan([Creation::Fail(ms(0))]);
    let refused_for = || match Waiter::new(&setup.pool).ready() {
        Err(AcquireError::Unavailable { retry_in, .. }) => retry_in,
        other => panic!("{other:?}"),
    };
    assert!(matches!(Waiter::new(&setup.pool).ready(), Err(AcquireError::CreateFailed(_))));
    let before = refused_for();
    setup.clock.step_back(secs(100));
    assert_eq!(refused_for(), before + secs(100));
    setup.clock.advance(secs(70));
    assert_eq!(refused_for(), before + secs(30));
    setup.clock.advance(before + secs(30));
    assert_eq!(setup.lease().id(), 2);
}

/// Once it is open, one creation at a time is tried, however many wait.
#[test]
fn breaker_lets_one_probe_through() {
    let mut setup = Setup::with(|pool| pool.max(8).breaker(3));
    setup.factory.plan([Creation::Fail(ms(5)); 8 * 3]);
    for round in 1..=3 {
        for _ in 0..8 {
            setup.spawn(|pool| async move { assert!(pool.acquire().await.is_err()) });
        }
        setup.executor.run();
        assert_eq!(setup.counters().create_failed, 8 * round, "it is closed");
        setup.clock.advance(secs(30));
    }
    setup.factory.plan([Creation::Fail(ms(50)), Creation::Connect(ms(50))]);
    let mut probes: Vec<_> = (0..8).map(|_| Waiter::queued(&setup.pool)).collect();
    assert_eq!(setup.gauges().creating, 1, "half open");
    setup.clock.advance(ms(50));
    assert!(probes.iter_mut().all(|waiter| waiter.ready().is_err()), "the probe failed for all");
    drop(probes);
    setup.clock.advance(secs(30));
    let mut waiters: Vec<_> = (0..8).map(|_| Waiter::queued(&setup.pool)).collect();
    assert_eq!(setup.gauges().creating, 1);
    setup.clock.advance(ms(50));
    let served: Vec<_> = waiters.iter_mut().map(|waiter| waiter.ready().unwrap()).collect();
    assert_eq!(served.len(), 8, "the probe succeeded, and the others were made at once");
}

/// As long as a lease can come back, callers wait for it.
#[test]
fn breaker_refuses_nobody_beside_a_lease() {
    let (setup, lease) = failing(|pool| pool.breaker(1));
    assert!(Waiter::new(&setup.pool).ready().is_err());
    let mut waiter = Waiter::queued(&setup.pool);
    drop(lease);
    assert_eq!(waiter.ready().unwrap().id(), 1);
}

#[test]
fn breaker_of_none_never_opens() {
    let mut setup = Setup::with(|pool| pool.max(8).breaker(None));
    setup.factory.set_odds(EVERY);
    for _ in 0..100 {
        setup.pass(secs(30));
        assert!(matches!(Waiter::new(&setup.pool).ready(), Err(AcquireError::CreateFailed(_))));
    }
    setup.factory.set_odds(Odds { latency: ms(5)..=ms(5), ..EVERY });
    setup.pass(secs(30));
    let _waiters: Vec<_> = (0..8).map(|_| Waiter::queued(&setup.pool)).collect();
    assert_eq!(setup.gauges().creating, 8);
}
