//! Jobs that nobody waits for, and callers that are not polled.

use std::task::Waker;

use edgepool::CheckOnAcquire;
use edgepool_sim::{Creation, Odds, Trial};
use edgepool_tests::{Setup, Waiter, ms, secs, sleep};
use futures::FutureExt;

/// Traffic that is always served at once, without a driver: the connections that `min_idle` asks
/// for are made all the same, by callers who come by.
#[test]
fn jobs_go_on_with_whoever_comes_by() {
    let mut setup = Setup::with(|pool| pool.max(20).min_idle(2));
    setup.factory.set_odds(Odds { latency: ms(1)..=ms(50), ..Odds::NONE });
    let clock = setup.clock.clone();
    setup.run(|pool| async move {
        for _ in 0..120 {
            let lease = pool.acquire().await.unwrap();
            sleep(&clock, ms(10)).await;
            drop(lease);
            sleep(&clock, secs(1)).await;
        }
    });
    let counters = setup.counters();
    assert_eq!((counters.create_failed, counters.create_abandoned), (0, 0));
    assert!(setup.gauges().idle >= 2, "{:?}", setup.gauges());
}

/// A reset that nobody polled is not late: the next caller takes in how it went.
#[test]
fn resets_wait_for_whoever_comes_by() {
    let mut setup = Setup::bare(|pool| pool.max(1));
    setup.factory.plan_resets([Trial::Pass(ms(5)); 10]);
    for _ in 0..10 {
        setup.run(|pool| async move { drop(pool.acquire().await.unwrap()) });
        setup.pass(secs(60));
        assert!(setup.pool.stats().gauges.resetting == 1, "nobody has polled it");
    }
    assert_eq!(setup.run(|pool| async move { pool.acquire().await.unwrap().id() }), 1);
}

/// The same for those who poll on purpose, at whatever time they come.
#[test]
fn resets_wait_for_ticks_and_for_those_who_need_many() {
    for late in [secs(5), secs(60)] {
        let mut setup = Setup::bare(|pool| pool.max(1));
        setup.factory.plan_resets([Trial::Pass(ms(5)); 3]);
        drop(setup.lease());
        setup.clock.advance(late);
        setup.pool.tick();
        setup.clock.advance(ms(5));
        setup.pool.tick();
        assert_eq!(setup.gauges().idle, 1, "{late:?}");
        drop(setup.lease());
        setup.clock.advance(late);
        let id = setup.run(|pool| async move { pool.acquire_many(1).await.unwrap()[0].id() });
        setup.clock.advance(late);
        setup.run(|pool| async move { pool.warm_up(1).await.unwrap() });
        assert_eq!((id, setup.counters().reset_failed), (1, 0), "{late:?}");
    }
}

/// What hangs is given up whether anybody polls or not: it has not asked for it.
#[test]
fn a_job_that_hangs_is_late_for_everybody() {
    let mut setup = Setup::bare(|pool| pool.max(1));
    setup.factory.plan_resets([Trial::Hang]);
    setup.run(|pool| async move { drop(pool.acquire().await.unwrap()) });
    // Somebody polls it once, and leaves.
    assert!(setup.pool.acquire().now_or_never().is_none());
    setup.pass(secs(60));
    assert_eq!((setup.pool.stats().gauges.size, setup.counters().reset_failed), (0, 1));
}

/// Between two ticks a job may have ended: it is asked before it is given up.
#[test]
fn tick_takes_in_what_ended_in_time() {
    let mut setup = Setup::bare(|pool| pool.max(2).min_idle(2).create_timeout(secs(10)));
    setup.factory.plan([Creation::Connect(secs(1)); 2]);
    setup.pool.tick();
    setup.pass(secs(10));
    setup.pool.tick();
    assert_eq!((setup.gauges().idle, setup.counters().create_abandoned), (2, 0));
}

/// A caller that was served and is not polled does not hold the jobs of others up.
#[test]
fn a_caller_that_is_served_leaves_the_jobs_to_others() {
    let mut setup = Setup::bare(|pool| pool.max(2));
    let pool = setup.pool.clone();
    let held = setup.lease();
    setup.factory.plan([Creation::Connect(ms(50))]);
    let mut first = Waiter::queued(&pool);
    let mut second = Waiter::queued(&pool);
    drop(held);
    assert!(first.wakes() > 0, "it is offered what came back, and nobody polls it");
    if second.wakes() > 0 {
        assert!(second.poll().is_none());
    }
    let woken = second.wakes();
    setup.pass(ms(50));
    assert!(second.wakes() > woken, "it polls the creations now");
    assert!(second.ready().is_ok());
    assert!(first.ready().is_ok());
}

/// An offer that passes on reaches the next caller in time, though nobody else is there.
#[test]
fn an_offer_passes_on_to_a_caller_that_sleeps() {
    let mut setup = Setup::bare(|pool| {
        pool.max(1).offer_timeout(ms(100)).acquire_timeout(secs(30)).slow_acquire(None)
    });
    let pool = setup.pool.clone();
    let held = setup.lease();
    let gone = Waiter::queued(&pool);
    let served = setup.spawn(|pool| async move { pool.acquire().await.unwrap() });
    // Not a time at which it looks by itself.
    setup.pass(ms(1_050));
    drop(held);
    setup.pass(ms(100));
    assert!(served.is_done(), "100 ms after the first one was offered it");
    drop(gone);
}

/// However many of those before it are gone.
#[test]
fn an_offer_passes_on_beyond_callers_that_are_gone() {
    let mut setup = Setup::bare(|pool| {
        pool.max(1).offer_timeout(ms(100)).acquire_timeout(secs(30)).slow_acquire(None)
    });
    let pool = setup.pool.clone();
    let held = setup.lease();
    let gone: Vec<_> = (0..5).map(|_| Waiter::queued(&pool)).collect();
    let served = setup.spawn(|pool| async move { pool.acquire().await.unwrap() });
    setup.pass(secs(1));
    drop(held);
    setup.pass(secs(1));
    assert!(served.is_done());
    drop(gone);
}

/// What is begun for whoever takes a connection away has all its time.
#[test]
fn take_begins_what_takes_its_place_now() {
    let mut setup = Setup::bare(|pool| {
        let pool = pool.max(1).create_timeout(secs(10)).acquire_timeout(None);
        pool.wait_times(false).slow_acquire(None).ageing(None)
    });
    let pool = setup.pool.clone();
    let lease = setup.lease();
    let mut waiter = Waiter::queued(&pool);
    setup.pass(secs(60));
    setup.factory.plan([Creation::Connect(secs(9))]);
    lease.take();
    assert!(waiter.poll_with(Waker::noop()).is_none());
    setup.clock.advance(secs(9));
    assert!(waiter.ready().is_ok());
}

/// Checks that take long give the places of those behind them to nobody.
#[test]
fn a_check_is_late_from_its_beginning() {
    let setup = Setup::bare(|pool| {
        let pool = pool.max(2).max_checks(2).check_interval(secs(30)).check_timeout(secs(5));
        pool.check_on_acquire(CheckOnAcquire::Never)
    });
    drop(setup.leases::<2>());
    setup.clock.advance(secs(30));
    let clock = setup.clock.clone();
    setup.factory.on_call(move |call| {
        if matches!(call, edgepool_sim::Call::Check(_)) {
            clock.advance(secs(6));
        }
    });
    setup.factory.plan_checks([Trial::PassAtOnce; 2]);
    setup.pool.tick();
    setup.pool.check().unwrap();
    setup.factory.ignore_calls();
    setup.clock.advance(secs(5));
    setup.assert_usable();
    setup.assert_closes();
}

/// Observers may use the pool, however much there is to tell.
#[test]
fn observers_that_use_the_pool_are_told_one_after_the_other() {
    let setup = Setup::bare(|pool| pool.max(1).max_waiting(edgepool::UNBOUNDED));
    let _held = setup.lease();
    let waiters: Vec<_> = (0..20_000).map(|_| Waiter::queued(&setup.pool)).collect();
    let pool = setup.pool.clone();
    setup.factory.on_call(move |_| {
        pool.stats();
    });
    setup.pool.close();
    setup.factory.ignore_calls();
    assert_eq!(setup.counters().closed, 20_000);
    drop(waiters);
}

/// `min_idle` counts from the first caller on, also if that is served at once.
#[test]
fn min_idle_counts_for_callers_that_are_served_at_once() {
    let mut setup = Setup::bare(|pool| pool.max(4).min_idle(2).max_lifetime(secs(60)));
    setup.run(|pool| async move { pool.warm_up(4).await.unwrap() });
    drop(setup.lease());
    for _ in 0..100 {
        setup.pass(secs(10));
        drop(setup.lease());
        let gauges = setup.gauges();
        assert!(gauges.idle + gauges.creating >= 2, "{gauges:?}");
    }
}
