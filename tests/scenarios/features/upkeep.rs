//! What becomes of connections with time and use: idleness, age, uses, checks and resets.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::future::{Pending, pending};
use std::rc::Rc;
use std::time::Duration;

use edgepool::ledger::Leaving;
use edgepool::{CheckOnAcquire, Clock, Event, Observed, Pool, Reuse, Time, factory_fn};
use edgepool_sim::{Odds, SimClock, SimError, SimFactory, Trial};
use edgepool_tests::{Setup, SimBuilder, Waiter, ms, secs};
use futures::FutureExt;

#[test]
fn idle_timeout_closes_what_min_idle_does_not_need() {
    let mut setup = Setup::bare(|pool| pool.max(4).min_idle(1).idle_timeout(secs(60)));
    setup.drive();
    drop(setup.leases::<4>());
    setup.pass(secs(59));
    let used = setup.lease();
    drop(used);
    setup.pass(secs(1));
    assert_eq!((setup.gauges().idle, setup.counters().retired_idle), (1, 3), "one was used");
    setup.pass(secs(3_600));
    assert_eq!((setup.gauges().idle, setup.counters().creations), (1, 4));
}

/// What `min_idle` needed beyond its time leaves as soon as it does not, though nobody is to look at
/// it again for as long.
#[test]
fn idle_timeout_closes_what_min_idle_needs_no_more() {
    let setup = Setup::bare(|pool| pool.max(2).min_idle(1).idle_timeout(secs(300)));
    let [first, second] = setup.leases();
    drop(first);
    setup.clock.advance(secs(300));
    setup.pool.tick();
    assert_eq!((setup.gauges().idle, setup.counters().retired_idle), (1, 0), "it is needed");
    setup.clock.advance(secs(1));
    drop(second);
    setup.pool.tick();
    assert_eq!((setup.gauges().idle, setup.counters().retired_idle), (1, 1));
    assert_eq!(setup.factory.live(), [2], "the first has been idle for 301 s");
}

/// The next one is begun ahead of the end by as long as a creation may take, at most a tenth of the
/// life; the old one leaves when it is there.
#[test]
fn max_lifetime_renews_ahead() {
    let mut setup = Setup::bare(|pool| {
        let pool = pool.max(2).min_idle(1).max_lifetime(secs(100)).lifetime_jitter(0);
        pool.create_timeout(secs(5))
    });
    setup.factory.set_odds(Odds { latency: secs(2)..=secs(2), ..Odds::NONE });
    setup.drive();
    setup.pass(secs(2 + 94));
    assert_eq!(setup.factory.counts().started, 1);
    setup.pass(secs(1));
    assert_eq!((setup.gauges().creating, setup.gauges().idle), (1, 1), "5 s before its end");
    setup.pass(secs(2));
    assert_eq!((setup.gauges().idle, setup.factory.live()), (1, vec![2]));
    assert_eq!(setup.counters().retired_aged, 1);
}

/// When a connection leaves whose lifetime is drawn from all of an hour.
fn end_of_life(set: fn(SimBuilder) -> SimBuilder) -> Time {
    let clock = SimClock::new();
    let builder = Pool::builder(SimFactory::new(&clock, 0), clock).min_idle(0).check_interval(None);
    let builder = builder.idle_timeout(None).max_lifetime(secs(3_600)).lifetime_jitter(100);
    let pool = set(builder).build().unwrap();
    drop(pool.acquire().now_or_never().unwrap().unwrap());
    pool.next_deadline().unwrap()
}

/// Processes that began together are not to do everything together, unless one asks for it.
#[test]
fn jitter_differs_between_pools_unless_they_have_one_seed() {
    let ends: BTreeSet<_> = (0..4).map(|_| end_of_life(|pool| pool)).collect();
    assert_eq!(ends.len(), 4, "{ends:?}");
    let ends: BTreeSet<_> = (0..4).map(|_| end_of_life(|pool| pool.seed(7))).collect();
    assert_eq!(ends.len(), 1, "{ends:?}");
    assert!(!ends.contains(&end_of_life(|pool| pool.seed(8))));
}

#[test]
fn max_lifetime_without_min_idle_makes_nothing() {
    let mut setup = Setup::bare(|pool| pool.max(2).max_lifetime(secs(100)));
    setup.drive();
    drop(setup.leases::<2>());
    setup.pass(secs(100));
    assert_eq!((setup.gauges().size, setup.factory.counts().started), (0, 2));
}

#[test]
fn max_uses_retires_after_so_many() {
    let setup = Setup::bare(|pool| pool.max(1).max_uses(3));
    let ids: Vec<_> = (0..7).map(|_| setup.lease().id()).collect();
    assert_eq!(ids, [1, 1, 1, 2, 2, 2, 3]);
    assert_eq!(setup.counters().retired_used, 2);
}

/// How many of three loans, 500 ms and 1 s apart, were preceded by a check.
fn checks_of_three_loans(when: CheckOnAcquire) -> u64 {
    let setup = Setup::bare(|pool| pool.max(1).check_on_acquire(when));
    drop(setup.lease());
    setup.clock.advance(ms(500));
    drop(setup.lease());
    setup.clock.advance(ms(1_000));
    drop(setup.lease());
    setup.counters().checks
}

/// Never, at each loan but the first, or after a time without use.
#[test]
fn check_on_acquire_has_three_policies() {
    assert_eq!(checks_of_three_loans(CheckOnAcquire::Never), 0);
    assert_eq!(checks_of_three_loans(CheckOnAcquire::Always), 2);
    assert_eq!(checks_of_three_loans(CheckOnAcquire::IdleFor(secs(1))), 1);
    assert_eq!(checks_of_three_loans(CheckOnAcquire::IdleFor(ms(0))), 2);
}

/// Whatever way the reset goes, a loan after it is checked.
#[test]
fn check_on_acquire_follows_a_reset() {
    for reset in [Trial::PassAtOnce, Trial::Pass(ms(1))] {
        let mut setup = Setup::bare(|pool| pool.max(1).check_on_acquire(CheckOnAcquire::Always));
        setup.factory.plan_resets([reset]);
        let lease = setup.lease();
        assert_eq!(setup.executor.block_on(lease.release()), Ok(()));
        drop(setup.lease());
        assert_eq!(setup.counters().checks, 1, "{reset:?}");
    }
}

#[test]
fn a_failed_check_closes_the_connection_and_serves_another() {
    let setup = Setup::bare(|pool| pool.max(2).check_on_acquire(CheckOnAcquire::Always));
    drop(setup.leases::<2>());
    setup.factory.plan_checks([Trial::FailAtOnce]);
    assert_eq!(setup.lease().id(), 1, "the other idle one");
    let counters = setup.counters();
    assert_eq!((counters.checks, counters.check_failed, counters.creations), (2, 1, 2));
    let mut broken = setup.lease();
    broken.break_down();
    drop(broken);
    assert_eq!(setup.lease().id(), 3, "none was left");
}

/// Idle connections are checked each interval, so many at once; a use counts as a check.
#[test]
fn check_interval_keeps_idle_connections_alive() {
    let mut setup = Setup::bare(|pool| pool.max(6).check_interval(secs(30)).max_checks(2));
    setup.factory.set_check_odds(Odds { latency: secs(1)..=secs(1), ..Odds::NONE });
    setup.drive();
    drop(setup.leases::<6>());
    setup.pass(secs(29));
    drop(setup.lease()); // the one that was used last
    setup.pass(secs(1));
    for (gone, checks) in [(0, 2), (1, 4), (2, 5)] {
        assert_eq!(setup.counters().checks, checks, "after {gone} s more");
        assert!(setup.gauges().checking <= 2);
        setup.pass(secs(1));
    }
    setup.pass(secs(27));
    assert_eq!(setup.counters().checks, 6, "the used one, 30 s after its use");
    setup.factory.set_check_odds(Odds { fail: 1_000, ..Odds::NONE });
    setup.pass(secs(60));
    assert_eq!((setup.gauges().size, setup.counters().check_failed), (0, 6));
}

/// Without a driver the checks happen at the next operation.
#[test]
fn check_interval_without_a_driver() {
    let setup = Setup::bare(|pool| pool.max(1).check_interval(secs(30)));
    drop(setup.lease());
    setup.clock.advance(secs(30));
    setup.pool.tick();
    assert_eq!(setup.counters().checks, 1);
}

#[test]
fn reset_in_a_call_is_before_the_next_caller() {
    let setup = Setup::bare(|pool| pool.max(1));
    let lease = setup.lease();
    let mut waiter = Waiter::queued(&setup.pool);
    drop(lease);
    assert_eq!((setup.factory.counts().resets.passed, setup.gauges().offered), (1, 1));
    drop(waiter.ready().unwrap());
    setup.factory.plan_resets([Trial::FailAtOnce]);
    drop(setup.lease());
    assert_eq!((setup.gauges().size, setup.counters().reset_failed), (0, 1));
    assert_eq!(setup.lease().id(), 2);
}

#[test]
fn reset_in_a_future_serves_the_next_caller_when_it_ends() {
    let setup = Setup::bare(|pool| pool.max(1));
    let resets = [Trial::Pass(ms(20)), Trial::Fail(ms(20)), Trial::Panic(ms(20))];
    for (reset, id, failed) in [(resets[0], 1, 0), (resets[1], 2, 1), (resets[2], 3, 2)] {
        let lease = setup.lease();
        setup.factory.plan_resets([reset]);
        let mut waiter = Waiter::queued(&setup.pool);
        drop(lease);
        assert_eq!((setup.gauges().resetting, setup.factory.counts().peak_live), (1, 1));
        setup.clock.advance(ms(20));
        drop(waiter.ready().unwrap());
        assert_eq!(setup.factory.counts().started, id);
        assert_eq!(setup.counters().reset_failed, failed);
    }
    setup.assert_closes();
}

#[test]
fn reset_that_is_overdue_is_given_up() {
    let setup = Setup::bare(|pool| pool.max(1).reset_timeout(ms(10)));
    setup.factory.plan_resets([Trial::Hang]);
    drop(setup.lease());
    let mut waiter = Waiter::queued(&setup.pool);
    setup.clock.advance(ms(10));
    assert_eq!(waiter.ready().unwrap().id(), 2);
    assert_eq!(setup.factory.counts().resets.abandoned, 1);
}

#[test]
fn lifo_lends_the_warmest_and_fifo_the_coldest() {
    let order = |reuse| {
        let setup = Setup::bare(|pool| pool.max(3).reuse(reuse));
        drop(setup.leases::<3>());
        std::array::from_fn(|_| setup.lease().id())
    };
    assert_eq!(order(Reuse::Lifo), [3, 3, 3]);
    assert_eq!(order(Reuse::Fifo), [1, 2, 3]);
}

/// The observer is told why each left.
#[test]
fn each_reason_to_leave_is_told() {
    let why = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let kept = why.clone();
    let clock = SimClock::new();
    let factory = Observed::new(SimFactory::new(&clock, 0), move |event: &Event<'_>| {
        if let Event::Leaves(_, leaving) = event {
            kept.borrow_mut().push(*leaving);
        }
    });
    let builder = Pool::builder(factory, clock.clone()).max(4).min_idle(0).max_uses(5);
    let builder = builder.check_on_acquire(CheckOnAcquire::Never).check_interval(secs(600));
    let pool = builder.max_lifetime(secs(900)).idle_timeout(secs(300)).build().unwrap();
    let lease = || pool.acquire().now_or_never().unwrap().unwrap();
    lease().discard();
    (0..5).for_each(|_| drop(lease()));
    drop(lease());
    pool.retain(|_, _| false);
    drop(lease());
    pool.invalidate_all();
    drop(lease());
    clock.advance(secs(300));
    pool.tick();
    let old = lease();
    clock.advance(secs(900));
    drop(old);
    drop((lease(), lease()));
    pool.resize(1).unwrap();
    pool.close();
    use Leaving::{Aged, Closed, Discarded, Idle, Invalidated, Rejected, Surplus, Used};
    let all = [Discarded, Used, Rejected, Invalidated, Idle, Aged, Surplus, Closed];
    assert_eq!(*why.borrow(), all);
}

/// A clock that no two looks find at the same time.
struct Ticking(Cell<u64>);

impl Clock for Ticking {
    type Alarm = Pending<()>;
    fn now(&self) -> Time {
        self.0.set(self.0.get() + 1_000);
        Time::from_nanos(self.0.get())
    }
    fn alarm(&self, _at: Time) -> Pending<()> {
        pending()
    }
}

/// What a check says may count for less time than the next look takes: such a connection is not
/// looked at for ever.
#[test]
fn try_acquire_looks_at_each_connection_once() {
    let checks = Rc::new(Cell::new(0));
    let checked = checks.clone();
    let factory = factory_fn(async || Ok::<_, SimError>(())).check_sync(move |_| {
        checked.set(checked.get() + 1);
        if checked.get() < 1_000 { Ok(()) } else { Err(SimError { creation: 1 }) }
    });
    let builder = Pool::builder(factory, Ticking(Cell::new(0))).min_idle(0);
    let pool =
        builder.check_on_acquire(CheckOnAcquire::IdleFor(Duration::from_nanos(1))).build().unwrap();
    drop(pool.acquire_many(2).now_or_never().unwrap().unwrap());
    assert!(pool.try_acquire().is_none());
    assert!((2..=4).contains(&checks.get()), "{checks:?}");
}

/// Those that are bad are closed on the way to the first that is good.
#[test]
fn try_acquire_goes_on_to_the_last_idle_connection() {
    let setup = Setup::bare(|pool| pool.max(4).check_on_acquire(CheckOnAcquire::Always));
    drop(setup.leases::<4>());
    setup.factory.plan_checks([Trial::FailAtOnce; 3]);
    assert_eq!(setup.pool.try_acquire().map(|lease| lease.id()), Some(1));
    assert_eq!((setup.gauges().size, setup.counters().check_failed), (1, 3));
}
