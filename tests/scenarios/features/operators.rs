//! What an operator does: close, drain, retain, invalidate, pause, drive.

use std::time::Duration;

use edgepool::{AcquireError, PoolState, Time};
use edgepool_sim::{ByHand, Creation, Odds, Stopped, Trial};
use edgepool_tests::{Setup, Waiter, ms, secs};

#[test]
fn close_is_at_once_and_drain_waits() {
    let setup = Setup::bare(|pool| pool.max(2));
    let lease = setup.lease();
    drop(setup.lease());
    let mut drain = ByHand::new(setup.pool.drain(None));
    assert!(setup.pool.is_closed(), "the call closes it");
    assert!(drain.poll().is_none());
    assert_eq!((setup.gauges().size, setup.pool.state()), (1, PoolState::Draining));
    drop(lease);
    assert!(drain.wakes() > 0);
    assert_eq!((drain.ready(), setup.pool.state()), (Ok(()), PoolState::Closed));
    assert_eq!(ByHand::new(setup.pool.drain(ms(0))).ready(), Ok(()), "twice is once");
}

#[test]
fn drain_of_zero_tells_what_is_left_at_once() {
    let setup = Setup::bare(|pool| pool.max(2));
    let lease = setup.lease();
    let error = ByHand::new(setup.pool.drain(Duration::ZERO)).ready().unwrap_err();
    assert_eq!((error.holders.len(), error.pool.in_use), (1, 1));
    assert_eq!(error.holders[0].lease, lease.key());
}

#[test]
fn the_last_handle_closes() {
    let Setup { pool, factory, .. } = Setup::bare(|pool| pool.max(1));
    let other = pool.clone();
    drop(Waiter::new(&pool).ready().unwrap());
    let mut driver = ByHand::new(pool.driver());
    assert!(driver.poll().is_none());
    drop(pool);
    assert_eq!(factory.counts().live, 1);
    drop(other);
    factory.assert_all_closed();
    assert_eq!(
        (driver.wakes() > 0, driver.poll()),
        (true, Some(())),
        "a driver keeps nothing open"
    );
}

#[test]
fn retain_keeps_what_it_is_told_to() {
    let setup = Setup::bare(|pool| pool.max(4));
    let held = setup.lease();
    drop(setup.leases::<3>());
    let mut seen = Vec::new();
    let closed = setup.pool.retain(|connection, info| {
        seen.push((connection.id(), info.uses));
        connection.id() != 3
    });
    seen.sort_unstable();
    assert_eq!((closed, &seen[..]), (1, &[(2, 1), (3, 1), (4, 1)][..]), "those that are idle");
    assert_eq!((setup.gauges().idle, setup.counters().rejected), (2, 1));
    drop(held);
    setup.assert_usable();
    setup.assert_closes();
}

/// Nothing is lent any more that was made before: idle, out, or being made.
#[test]
fn invalidate_all_replaces_everything() {
    let setup = Setup::bare(|pool| pool.max(3));
    let [held, idle] = setup.leases();
    drop(idle);
    setup.factory.plan([Creation::Connect(ms(5))]);
    let second = setup.lease();
    let mut waiter = Waiter::queued(&setup.pool);
    setup.pool.invalidate_all();
    assert_eq!(setup.factory.counts().abandoned, 1, "what is begun begins anew");
    assert_eq!(waiter.ready().unwrap().id(), 4);
    drop((held, second));
    assert_eq!(setup.factory.live(), [4]);
    assert_eq!(setup.counters().retired_invalidated, 2);
}

#[test]
fn pause_queues_callers_and_resume_serves_them() {
    let setup = Setup::bare(|pool| pool.max(2).acquire_timeout(secs(1)));
    let held = setup.lease();
    setup.pool.pause();
    assert!(setup.pool.is_paused());
    let mut first = Waiter::queued(&setup.pool);
    let mut hasty = Waiter::queued_as(setup.pool.acquire().timeout(ms(10)));
    drop(held);
    assert!(setup.pool.try_acquire().is_none());
    assert_eq!((setup.gauges().idle, setup.factory.counts().started), (1, 1), "nothing is made");
    setup.clock.advance(ms(10));
    assert!(matches!(hasty.ready(), Err(AcquireError::TimedOut(_))), "their time passes");
    setup.pool.resume();
    assert_eq!((first.wakes() > 0, first.ready().unwrap().id()), (true, 1));
    assert!(!setup.pool.is_paused());
}

/// A driver is woken in time for whatever becomes due, whoever caused it.
#[test]
fn driver_is_prompt() {
    let mut setup = Setup::bare(|pool| pool.max(3).idle_timeout(secs(60)));
    setup.drive();
    setup.pass(secs(1));
    drop(setup.lease()); // without a word to the driver
    setup.factory.plan_resets([Trial::Pass(ms(5))]);
    drop(setup.lease());
    setup.pass(ms(5));
    assert_eq!(setup.gauges().idle, 1, "it polls the reset");
    setup.pass(secs(60));
    assert_eq!(setup.factory.counts().live, 0, "seen by nobody else");
    setup.pass(secs(5)); // the longest that its closing could have taken
    assert_eq!((setup.pool.next_deadline(), setup.clock.until_next_alarm()), (None, None));
}

/// It ends with the pool: once it is closed and the last lease is back.
#[test]
fn driver_ends_with_the_pool() {
    let mut setup = Setup::bare(|pool| pool.max(2));
    let (driver, lease) = (setup.drive(), setup.lease());
    setup.pass(secs(1));
    setup.pool.close();
    setup.pass(secs(1));
    assert!(!driver.is_done());
    setup.factory.plan_closes([edgepool_sim::Closing::After(ms(20))]);
    drop(lease);
    assert_eq!((setup.executor.run(), driver.is_done()), (Stopped::Done, true));
    assert_eq!(setup.clock.elapsed(), secs(2) + ms(20));
}

/// One driver is enough, two are no worse, and when one is dropped the other one goes on.
#[test]
fn driver_hands_over_to_another() {
    let mut setup = Setup::bare(|pool| pool.max(2).min_idle(2).max_lifetime(secs(60)));
    setup.factory.set_odds(Odds { latency: ms(5)..=ms(5), ..Odds::NONE });
    let [one, _other] = [setup.drive(), setup.drive()];
    setup.pass(ms(2));
    setup.executor.cancel(one.id());
    setup.pass(ms(3));
    assert_eq!(setup.gauges().idle, 2, "the creations that the first one polled are ended");
    setup.pass(secs(600));
    assert_eq!((setup.gauges().idle, setup.counters().retired_aged >= 18), (2, true));
}

/// A loop of one's own does as well: ticks at the deadlines that it is told.
#[test]
fn tick_at_the_next_deadline_is_as_good_as_a_driver() {
    let setup = Setup::bare(|pool| {
        pool.max(3).min_idle(1).idle_timeout(secs(60)).max_lifetime(secs(300)).lifetime_jitter(0)
    });
    assert_eq!(setup.pool.next_deadline(), None);
    setup.pool.tick();
    assert_eq!(setup.gauges().idle, 1, "it fills");
    drop(setup.leases::<3>());
    let mut ticks = 0;
    while setup.clock.elapsed() < secs(3_000) {
        let next = setup.pool.next_deadline().expect("a life ends");
        let now = Time::ZERO.saturating_add(setup.clock.elapsed());
        setup.clock.advance(next.saturating_since(now));
        setup.pool.tick();
        ticks += 1;
        assert!(setup.gauges().idle >= 1);
    }
    let counters = setup.counters();
    assert_eq!(setup.gauges().idle, 1);
    assert!(counters.retired_idle >= 2 && (9..=12).contains(&counters.retired_aged));
    assert!(ticks < 200, "{ticks}");
}
