//! Close, and the end of the last handle.

use std::convert::Infallible;
use std::sync::Arc;

use edgepool::{AcquireError, Pool, PoolState, factory_fn};
use edgepool_sim::{Closing, Creation, SimClock};
use edgepool_tests::{Setup, SimLease, Waiter, ms, secs};
use futures::FutureExt;

#[test]
fn close_settles_every_waiter() {
    let setup = Setup::new(2);
    let leases = [setup.lease(), setup.lease()];
    let mut waiters: Vec<_> = (0..20).map(|_| Waiter::queued(&setup.pool)).collect();
    let [first, _] = leases;
    drop(first);
    assert_eq!(setup.gauges().offered, 1);
    setup.pool.close();
    assert_eq!(setup.clock.elapsed(), ms(0), "at once");
    for waiter in &mut waiters {
        assert!(waiter.wakes() > 0);
        assert_eq!(waiter.ready().err(), Some(AcquireError::Closed));
    }
    assert_eq!(setup.pool.stats().counters.closed, 20);
    assert_eq!(setup.clock.alarms(), 0);
}

#[test]
fn acquire_after_close_fails_at_once() {
    let setup = Setup::new(2);
    drop(setup.lease());
    setup.pool.close();
    setup.pool.close();
    assert!(setup.pool.is_closed());
    assert_eq!(Waiter::new(&setup.pool).ready().err(), Some(AcquireError::Closed));
    assert!(setup.pool.try_acquire().is_none());
    assert_eq!((setup.factory.counts().started, setup.gauges().size), (1, 0));
}

/// A return, a late creation, and a factory that is still at it.
#[test]
fn nothing_leaks_into_a_closed_pool() {
    let ways: [fn(SimLease); 3] = [drop, SimLease::discard, |lease| drop(lease.take())];
    for part in ways {
        let setup = Setup::new(3);
        let lease = setup.lease();
        setup.factory.plan([Creation::Connect(ms(5)), Creation::Hang]);
        let mut late = [Waiter::queued(&setup.pool), Waiter::queued(&setup.pool)];
        assert_eq!(setup.factory.counts().creating, 2);
        setup.pool.close();
        let made = setup.factory.counts();
        assert_eq!((made.creating, made.abandoned), (0, 2), "given up at once");
        setup.clock.advance(ms(5));
        assert!(late.iter_mut().all(|waiter| waiter.ready().is_err()));
        assert_eq!((setup.gauges().in_use, setup.gauges().size), (1, 1));
        part(lease);
        assert_eq!((setup.factory.counts().live, setup.gauges().size), (0, 0));
    }
}

/// The last handle goes while a lease is out and a creation is under way.
#[test]
fn all_handles_dropped() {
    let Setup { clock, factory, pool, .. } = Setup::new(3);
    let (held, idle) = {
        let mut one = Waiter::new(&pool);
        let mut two = Waiter::new(&pool);
        (one.ready().unwrap(), two.ready().unwrap())
    };
    factory.plan([Creation::Connect(ms(5))]);
    drop(Waiter::queued(&pool));
    drop(idle);
    let other_handle = pool.clone();
    drop(pool);
    assert!(!other_handle.is_closed());
    drop(other_handle);
    let made = factory.counts();
    assert_eq!((made.live, made.creating), (1, 0), "only the lease is left");
    drop(held);
    assert_eq!((factory.counts().live, clock.alarms()), (0, 0));
}

/// Nothing keeps the pool alive but handles, leases and waiting callers.
#[test]
fn all_handles_dropped_free_the_factory() {
    let token = Arc::new(());
    let kept = token.clone();
    let factory = factory_fn(move || {
        let token = kept.clone();
        async move { Ok::<_, Infallible>(token) }
    });
    let pool = Pool::builder(factory, SimClock::new()).max(1).build().unwrap();
    let lease = pool.acquire().now_or_never().unwrap().unwrap();
    drop(pool);
    assert_eq!(Arc::strong_count(&token), 3, "the connection and the factory");
    drop(lease);
    assert_eq!(Arc::strong_count(&token), 1);
}

/// On a thread that has never seen an executor, while it unwinds, and in the middle of a wait.
#[test]
fn guard_dropped_without_any_executor() {
    let setup = Setup::new(1);
    let lease = setup.lease();
    std::thread::spawn(move || drop(lease)).join().expect("the drop does not panic");
    assert_eq!(setup.gauges().idle, 1);

    let lease = setup.lease();
    let mut waiter = Waiter::queued(&setup.pool);
    let unwound = std::thread::spawn(move || {
        let _lease = lease;
        panic!("a caller panics");
    });
    assert!(unwound.join().is_err());
    assert_eq!(waiter.wakes(), 1);
    assert!(waiter.ready().is_ok());
}

/// A drain ends when its time has passed, and says which leases are out, where they were acquired
/// and since when; one without a time ends with the last of them.
#[test]
fn close_waits_then_names_the_holders() {
    let mut setup = Setup::with(|pool| pool.max(3).capture_holders(true));
    let (early, line) = (setup.lease(), line!());
    setup.clock.advance(ms(30));
    let late = setup.lease();
    let drained = setup.pool.drain(ms(100));
    let error = setup.executor.block_on(drained).unwrap_err();
    assert_eq!((setup.clock.elapsed(), error.pool.in_use), (ms(130), 2));
    let [first, second] = &error.holders[..] else { panic!("{error}") };
    assert_eq!((first.connection, first.held), (1, ms(130)), "the longest held first");
    assert_eq!((second.connection, second.held), (2, ms(100)));
    let at = first.at.expect("holders are kept");
    assert_eq!((at.file(), at.line()), (file!(), line));
    assert!(error.to_string().contains(&format!("connection 1 for 130ms, acquired at {at}")));

    let drain = setup.executor.spawn(setup.pool.drain(None));
    drop(early);
    setup.pass(ms(10));
    assert!(!drain.is_done());
    drop(late);
    setup.pass(ms(0));
    assert_eq!(drain.take(), Some(Ok(())));
    assert_eq!(setup.clock.elapsed(), ms(140));
}

/// A drain waits for closings, which go on together, and for each at most as long as one may take.
#[test]
fn close_hook_is_awaited_and_bounded() {
    let mut setup = Setup::bare(|pool| pool.max(3).close_timeout(ms(50)));
    setup.factory.plan_closes([Closing::After(ms(20)), Closing::Hang, Closing::Panic(ms(30))]);
    drop(setup.leases::<3>());
    assert_eq!(setup.run(|pool| async move { pool.drain(secs(1)).await }), Ok(()));
    let closings = setup.factory.counts().closings;
    assert_eq!((closings.passed, closings.abandoned, closings.panicked), (1, 1, 1));
    assert_eq!(setup.clock.elapsed(), ms(50), "together");
    assert_eq!(setup.pool.state(), PoolState::Closed);
    setup.factory.assert_all_closed();
}
