//! Creation.

use std::panic::{AssertUnwindSafe, catch_unwind};

use edgepool::AcquireError;
use edgepool_sim::{Creation, SimError, Stopped};
use edgepool_tests::{Setup, SimLease, Waiter, ms};

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
    assert_eq!(error, AcquireError::CreateFailed(SimError { creation: 1 }));
    let cause = std::error::Error::source(&error).unwrap();
    assert_eq!(cause.to_string(), "creation 1 failed, as planned");
    assert_eq!((setup.clock.elapsed(), setup.gauges().size), (ms(0), 0));
}

/// Each failure ends the wait of the first in the queue, and the freed place is tried anew for the
/// next: nobody is left hanging, and nobody waits for a time-out.
#[test]
fn every_waiter_sees_a_failure() {
    let mut setup = Setup::with(|pool| pool.max(2).acquire_timeout(None));
    setup.factory.plan([Creation::Fail(ms(3)); 6]);
    let waiters: Vec<_> = (0..6)
        .map(|_| {
            let pool = setup.pool.clone();
            setup.executor.spawn(async move { pool.acquire().await.map(|lease| lease.id()) })
        })
        .collect();
    assert_eq!(setup.executor.run(), Stopped::Done);
    assert_eq!(setup.clock.elapsed(), ms(9), "two at a time");
    let mut failed: Vec<_> = waiters
        .iter()
        .map(|waiter| match waiter.take() {
            Some(Err(AcquireError::CreateFailed(error))) => error.creation,
            other => panic!("it did not see the failure: {other:?}"),
        })
        .collect();
    failed.sort_unstable();
    assert_eq!(failed, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn create_panics() {
    let setup = Setup::new(2);
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
    let leases = [setup.lease(), setup.lease()];
    assert_eq!(setup.gauges().in_use, 2, "no place was lost");
    drop(leases);
}

/// The panic comes while another task polls, and while an operation that nobody awaits starts it.
#[test]
fn create_panics_when_a_lease_is_discarded() {
    let setup = Setup::new(1);
    let lease = setup.lease();
    let mut waiter = Waiter::queued(&setup.pool);
    setup.factory.plan([Creation::PanicAtStart]);
    lease.discard();
    assert!(matches!(waiter.ready(), Err(AcquireError::CreatePanicked)));
    assert_eq!(setup.lease().id(), 3);
}

#[test]
fn create_never_settles() {
    let setup = Setup::with(|pool| pool.max(1).create_timeout(ms(10)));
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
    let setup = Setup::with(|pool| pool.max(1).create_timeout(ms(10)));
    setup.factory.plan([Creation::Connect(ms(11)), Creation::Connect(ms(0))]);
    let mut waiter = Waiter::queued(&setup.pool);
    setup.clock.advance(ms(11));
    assert_eq!(waiter.ready().err(), Some(AcquireError::CreateTimedOut));
    assert_eq!(setup.lease().id(), 2);
    let made = setup.factory.counts();
    assert_eq!((made.live, made.creating, setup.gauges().size), (1, 0, 1));
}

/// Twenty callers that all meet a slow failure are not answered one after the other.
#[test]
fn storm_of_20_waiters_on_a_slow_failure() {
    let mut setup = Setup::new(20);
    setup.factory.plan([Creation::Fail(ms(10)); 20]);
    for _ in 0..20 {
        let pool = setup.pool.clone();
        setup.executor.spawn(async move { assert!(pool.acquire().await.is_err()) });
    }
    assert_eq!(setup.executor.run(), Stopped::Done);
    assert_eq!(setup.clock.elapsed(), ms(10));
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
