//! How many connections there are, and when they are made.

use std::cell::RefCell;
use std::rc::Rc;

use edgepool::ledger::Gauges;
use edgepool::{OptionsError, Pool, PoolState, UNBOUNDED};
use edgepool_sim::{ByHand, Creation, Odds, SimClock, SimFactory};
use edgepool_tests::{Setup, Waiter, ms};

/// From the first acquire on, without a driver; from its beginning, with one.
#[test]
fn min_idle_fills() {
    let setup = Setup::bare(|pool| pool.max(5).min_idle(3));
    assert_eq!((setup.pool.state(), setup.gauges().size), (PoolState::Initializing, 0));
    let lease = setup.lease();
    setup.pool.tick();
    assert_eq!((setup.gauges().idle, setup.gauges().in_use), (3, 1), "beside what is in use");
    drop(lease);

    let mut setup = Setup::bare(|pool| pool.max(5).min_idle(3));
    setup.drive();
    setup.pass(ms(1));
    assert_eq!((setup.gauges().idle, setup.factory.counts().started), (3, 3));
}

#[test]
fn min_idle_refills_after_every_loss() {
    let mut setup = Setup::bare(|pool| pool.max(5).min_idle(2));
    setup.drive();
    let idle = |setup: &mut Setup| {
        setup.pass(ms(1));
        setup.gauges().idle
    };
    assert_eq!(idle(&mut setup), 2);
    setup.lease().discard();
    assert!(idle(&mut setup) >= 2, "after a discard");
    drop(setup.lease().take());
    assert!(idle(&mut setup) >= 2, "after a take");
    setup.pool.invalidate_all();
    assert_eq!(idle(&mut setup), 2, "after an invalidation");
    setup.pool.retain(|_, _| false);
    assert_eq!(idle(&mut setup), 2, "after a retain of nothing");
    let _leases = setup.leases::<4>();
    assert_eq!(idle(&mut setup), 1, "at most max");
}

#[test]
fn min_idle_is_two_by_default_and_at_most_max() {
    for (max, min_idle) in [(1, 1), (2, 2), (20, 2)] {
        let clock = SimClock::new();
        let pool = Pool::builder(SimFactory::new(&clock, 0), clock).max(max).build().unwrap();
        pool.tick();
        assert_eq!(pool.stats().gauges.idle, min_idle);
    }
}

/// What nobody has set contradicts nothing.
#[test]
fn the_default_min_idle_follows_max_until_it_is_set() {
    let clock = SimClock::new();
    let pool = Pool::builder(SimFactory::new(&clock, 0), clock).build().unwrap();
    let idle = |max| {
        pool.resize(max).unwrap();
        pool.tick();
        pool.check().unwrap();
        pool.stats().gauges.idle
    };
    assert_eq!([20, 1, 2, 1, 4].map(idle), [2, 1, 2, 1, 2]);
    assert_eq!(pool.resize(0), Err(OptionsError::MaxIsZero));
    pool.set_min_idle(2).unwrap();
    let error = OptionsError::MinIdleOverMax { min_idle: 2, max: 1 };
    assert_eq!(pool.resize(1), Err(error), "it was set");
    assert_eq!(pool.stats().gauges.max, 4, "nothing was changed");
}

#[test]
fn a_min_idle_that_was_set_is_never_resized() {
    let setup = Setup::with(|pool| pool.max(4).min_idle(2));
    let error = OptionsError::MinIdleOverMax { min_idle: 2, max: 1 };
    assert_eq!(setup.pool.resize(1), Err(error));
}

#[test]
fn set_min_idle_fills_and_lets_go() {
    let mut setup = Setup::bare(|pool| pool.max(4).idle_timeout(ms(100)));
    setup.drive();
    setup.pool.set_min_idle(3).unwrap();
    setup.pass(ms(1_000));
    assert_eq!(setup.gauges().idle, 3);
    setup.pool.set_min_idle(1).unwrap();
    setup.pass(ms(100));
    assert_eq!(setup.gauges().idle, 1, "the others age out");
    let error = setup.pool.set_min_idle(5).unwrap_err();
    assert_eq!(error, OptionsError::MinIdleOverMax { min_idle: 5, max: 4 });
}

#[test]
fn resize_grows_for_those_who_wait_and_ends_those_who_need_more() {
    let setup = Setup::bare(|pool| pool.max(2));
    let leases = setup.leases::<2>();
    let mut waiter = Waiter::queued(&setup.pool);
    setup.pool.resize(3).unwrap();
    let third = waiter.ready().unwrap();
    let mut many = ByHand::new(setup.pool.acquire_many(3));
    assert!(many.poll().is_none());
    setup.pool.resize(2).unwrap();
    assert_eq!(
        many.ready().unwrap_err().to_string().split(';').next_back(),
        Some(" ask for 1 to 2, or raise max")
    );
    assert_eq!(setup.pool.resize(0), Err(OptionsError::MaxIsZero));
    assert_eq!(setup.gauges().max, 2, "nothing was changed");
    drop((leases, third, many));
    assert_eq!((setup.gauges().idle, setup.counters().retired_surplus), (2, 1));
}

/// Ten are made, three at a time, and the caller is told of each.
#[test]
fn warm_up_makes_so_many_at_once_and_tells_of_each() {
    let mut setup = Setup::bare(|pool| pool.max(20));
    setup.factory.set_odds(Odds { latency: ms(10)..=ms(10), ..Odds::NONE });
    let told = Rc::new(RefCell::new(Vec::new()));
    let kept = told.clone();
    let warm_up = setup.pool.warm_up(10).parallel(3);
    let warm_up = warm_up.on_progress(move |progress| kept.borrow_mut().push(progress));
    assert_eq!(setup.executor.block_on(warm_up), Ok(10));
    assert_eq!((setup.factory.counts().peak_creating, setup.clock.elapsed()), (3, ms(40)));
    let told = told.borrow();
    assert!(told.iter().all(|progress| (progress.wanted, progress.failed) == (10, 0)));
    assert!(told.iter().map(|progress| progress.made).eq(1..=10));

    assert_eq!(setup.run(|pool| async move { pool.warm_up(10).await }), Ok(0), "they are there");
    assert_eq!(setup.run(|pool| async move { pool.warm_up(12).await }), Ok(2), "the missing");
    setup.assert_closes();
}

/// Those under way go on without the warm-up, and no other begins.
#[test]
fn warm_up_that_is_dropped_begins_no_more() {
    let setup = Setup::bare(|pool| pool.max(5));
    setup.factory.plan([Creation::Connect(ms(10)); 5]);
    let mut warm_up = ByHand::new(setup.pool.warm_up(5).parallel(2));
    assert!(warm_up.poll().is_none());
    drop(warm_up);
    setup.clock.advance(ms(10));
    setup.pool.tick();
    assert_eq!((setup.gauges().idle, setup.factory.counts().started), (2, 2));
}

#[test]
fn warm_up_beyond_max_tells_what_was_not_tried() {
    let mut setup = Setup::bare(|pool| pool.max(3));
    let error = setup.run(|pool| async move { pool.warm_up(5).await }).unwrap_err();
    assert_eq!((error.made, error.untried, error.failures.len()), (3, 2, 0));
    assert_eq!(error.to_string(), "3 connections were made, 0 failed, 2 were not tried");
}

/// No bound of the pool's own: each caller has a connection.
#[test]
fn unbounded_pools_and_queues() {
    let setup = Setup::bare(|pool| pool.max(UNBOUNDED));
    let leases: Vec<_> = (0..10_000).map(|_| setup.lease()).collect();
    assert_eq!(setup.gauges().in_use, 10_000);
    drop(leases);

    let setup = Setup::bare(|pool| pool.max(1).max_waiting(UNBOUNDED));
    let lease = setup.lease();
    let waiters: Vec<_> = (0..10_000).map(|_| Waiter::queued(&setup.pool)).collect();
    assert_eq!(setup.gauges().waiting, 10_000);
    drop((lease, waiters));
    assert!(matches!(setup.gauges(), Gauges { idle: 1, waiting: 0, .. }));
}
