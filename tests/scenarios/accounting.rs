//! Accounting, and changes of size.

use edgepool::ledger::{Acquired, Ask, Gauges, Ledger, Options};
use edgepool::{AcquireError, CheckOnAcquire, Time};
use edgepool_sim::{Creation, Faults, Odds, Rng, SimClock, Trial};
use edgepool_tests::{Setup, SimPool, Waiter, ms, secs, sleep};

#[test]
fn taken_connection_frees_its_place() {
    let setup = Setup::new(1);
    let lease = setup.lease();
    let mut waiter = Waiter::queued(&setup.pool);
    let taken = lease.take();
    taken.set_taken();
    let served = waiter.ready().unwrap();
    assert_eq!((taken.id(), served.id()), (1, 2));
    assert_eq!((setup.gauges().in_use, setup.gauges().size), (1, 1));
    drop(served);
    drop(taken);
    assert_eq!((setup.gauges().in_use, setup.gauges().size), (0, 1));
    drop(waiter);
    setup.assert_closes();
}

/// The sum that `Counters` promises.
fn assert_adds_up(pool: &SimPool) {
    let stats = pool.stats();
    let (c, pending) = (stats.counters, stats.gauges.pending);
    let ended = c.timed_out + c.cancelled + c.failed + c.refused + c.closed + c.missed;
    assert_eq!(c.started, c.direct + c.waited + ended + u64::from(pending), "{stats:?}");
}

#[test]
fn stats_add_up() {
    let setup = Setup::bare(|pool| pool.max(1).max_waiting(2).acquire_timeout(ms(10)));
    let check = || assert_adds_up(&setup.pool);
    setup.factory.plan([Creation::Fail(ms(0))]);
    assert!(Waiter::new(&setup.pool).ready().is_err());
    check();
    let mut lease = setup.lease(); // direct, as it is made at once
    check();
    drop(lease);
    lease = setup.pool.try_acquire().unwrap(); // direct
    assert!(setup.pool.try_acquire().is_none(), "counts only if it succeeds");
    check();
    let (mut served, cancelled) = (Waiter::queued(&setup.pool), Waiter::queued(&setup.pool));
    assert!(matches!(Waiter::new(&setup.pool).ready(), Err(AcquireError::QueueFull { .. })));
    check();
    drop(cancelled);
    check();
    drop(lease);
    check();
    lease = served.ready().unwrap();
    let mut late = Waiter::queued(&setup.pool);
    setup.clock.advance(ms(10));
    assert!(late.ready().is_err());
    check();
    let mut closed = Waiter::queued(&setup.pool);
    setup.pool.close();
    check();
    assert!(closed.ready().is_err());
    drop(lease);
    check();
    let counters = setup.counters();
    let each = [counters.direct, counters.waited, counters.timed_out, counters.cancelled];
    assert_eq!(each, [2, 1, 1, 1]);
    assert_eq!([counters.failed, counters.refused, counters.closed], [1, 1, 1]);
    let all_zero = Gauges { max: 1, ..Gauges::default() };
    assert_eq!(setup.gauges(), all_zero, "all gauges are 0 at the end");
}

/// A ledger with one lease, which is its key's.
fn ledger_with_a_lease() -> (Ledger, edgepool::ledger::SlotKey) {
    let mut ledger = Ledger::new(Options::new(1)).unwrap();
    let lease = ledger.adopt().unwrap();
    (ledger, lease)
}

/// A lease is its own value in Rust, and its release consumes it, so a second one cannot be
/// written. In the books, whose keys other shells hold, it does nothing but count.
#[test]
fn double_release() {
    let (mut ledger, lease) = ledger_with_a_lease();
    assert!(ledger.release(lease));
    let gauges = ledger.gauges();
    for stale in 1..=4 {
        let again = [Ledger::release, Ledger::discard, Ledger::take, |ledger: &mut Ledger, key| {
            ledger.begin_reset(key).is_some()
        }][stale as usize - 1];
        assert!(!again(&mut ledger, lease));
        assert_eq!((ledger.gauges(), ledger.counters().stale), (gauges, stale));
    }
    assert_eq!(ledger.check(), Ok(()));
}

/// The key of a tenure that is over does nothing to the next holder, who has the same place.
#[test]
fn stale_release() {
    let (mut ledger, first) = ledger_with_a_lease();
    ledger.release(first);
    let Ok(Acquired::Leased(second)) = ledger.acquire(Ask::until(Time::NEVER)) else {
        panic!("it is idle");
    };
    assert_eq!(second.index, first.index);
    assert_ne!(second, first, "the same place, another tenure");
    assert!(!ledger.release(first) && !ledger.take(first));
    assert_eq!((ledger.gauges().in_use, ledger.counters().stale), (1, 2));
    assert!(ledger.release(second), "its holder can still release it");
}

/// Every connection ever made is closed exactly once, whatever path it leaves by; but for those
/// that their holder took, and those that something had which went wrong.
#[test]
fn destroy_called_once_for_each_created() {
    let setup = Setup::with(|pool| {
        let pool = pool.max(3).create_timeout(ms(10)).max_uses(20).max_lifetime(secs(600));
        pool.check_on_acquire(CheckOnAcquire::IdleFor(secs(1))).backoff(None)
    });
    let left = |paths: u64| assert_eq!(setup.factory.counts().dropped, paths);
    setup.lease().discard();
    left(1);
    let taken = setup.lease().take();
    taken.set_taken();
    drop(taken);
    left(2);
    setup.factory.plan_resets([Trial::FailAtOnce]);
    drop(setup.lease());
    left(3);
    drop(setup.lease());
    setup.clock.advance(secs(2));
    setup.factory.plan_checks([Trial::FailAtOnce]);
    let checked = setup.lease();
    left(4);
    setup.pool.invalidate_all();
    drop(checked);
    left(5);
    drop(setup.lease());
    assert_eq!(setup.pool.retain(|_, _| false), 1);
    left(6);
    drop(setup.lease());
    setup.clock.advance(secs(300));
    assert_eq!(setup.counters().retired_idle, 1);
    left(7);
    let old = setup.lease();
    setup.clock.advance(secs(600));
    drop(old);
    left(8);
    (0..20).for_each(|_| drop(setup.lease()));
    left(9);
    drop(setup.leases::<2>());
    setup.pool.resize(1).unwrap();
    left(10);
    setup.assert_closes();
}

/// A connection that is made, and given up before the pool has it, is closed as well.
#[test]
fn destroy_called_once_for_a_connection_that_comes_too_late() {
    use edgepool_sim::{Call, Hook};
    for give_up in [SimPool::close, SimPool::invalidate_all] {
        let setup = Setup::bare(|pool| pool.max(1));
        let pool = setup.pool.clone();
        setup.factory.on_call(move |call| {
            if call == Call::Hook(Hook::AfterCreate, 1) {
                give_up(&pool);
            }
        });
        drop(Waiter::new(&setup.pool).poll());
        setup.factory.ignore_calls();
        assert_eq!(setup.factory.counts().unclosed, 0);
        setup.assert_closes();
    }
}

/// A connection that is being closed counts until it is gone.
#[test]
fn destroying_counts_or_does_not() {
    let setup = Setup::bare(|pool| pool.max(1));
    setup.factory.plan_closes([edgepool_sim::Closing::After(ms(20))]);
    setup.lease().discard();
    let gauges = setup.gauges();
    assert_eq!((gauges.closing, gauges.size, gauges.max), (1, 1, 1));
    let mut waiter = Waiter::queued(&setup.pool);
    assert_eq!(setup.factory.counts().started, 1, "there is no room yet");
    setup.clock.advance(ms(20));
    assert_eq!(waiter.ready().unwrap().id(), 2);
    assert_eq!((setup.gauges().size, setup.factory.counts().peak_live), (1, 1));
}

/// From every fill level to every size: exactly so many can be had, now or as leases come back.
#[test]
fn resize_at_every_fill_level() {
    const MOST: u32 = 5;
    for max in 1..=MOST {
        for out in 0..=max {
            for idle in 0..=max - out {
                (1..=MOST).for_each(|to| resize_from(max, out, idle, to));
            }
        }
    }
}

fn resize_from(max: u32, out: u32, idle: u32, to: u32) {
    let what = format!("from {max}, {out} out and {idle} idle, to {to}");
    let setup = Setup::bare(|pool| pool.max(max));
    let mut leases: Vec<_> = (0..out + idle).map(|_| setup.lease()).collect();
    leases.truncate(out as usize);
    setup.pool.resize(to).unwrap();
    let gauges = setup.gauges();
    assert_eq!(gauges.in_use, out, "{what}: leases stay good");
    assert_eq!(gauges.idle, idle.min(to.saturating_sub(out)), "{what}: the surplus goes at once");

    let now: Vec<_> = std::iter::from_fn(|| Waiter::new(&setup.pool).poll()).collect();
    assert_eq!(now.len() as u32, to.saturating_sub(out), "{what}");
    drop((now, leases));
    setup.assert_usable();
    assert_eq!(setup.gauges().max, to, "{what}");
}

/// Callers come and go and an operator changes the size, while creations fail and callers drop out
/// wherever they are. The pool never grows beyond the size that it has been told.
#[test]
fn random_grow_shrink_under_load() {
    let (mut cancelled, mut surplus) = (0, 0);
    for seed in 0..40 {
        let mut setup = Setup::seeded(seed, |pool| {
            pool.max(4).acquire_timeout(ms(200)).backoff(None).seed(seed)
        });
        let latency = ms(0)..=ms(5);
        setup.factory.set_odds(Odds { latency, fail: 100, ..Odds::NONE });
        setup.executor.set_faults(Faults { cancel: 10, spurious_poll: 20, ..Faults::default() });
        let mut rng = Rng::new(seed);
        let clock = setup.clock.clone();
        let caller = |rng: Rng| setup.spawn_cancellable(|pool| caller(pool, clock.clone(), rng));
        let tasks: Vec<_> = (0..16).map(|_| caller(rng.fork())).collect();
        let clock = setup.clock.clone();
        let operator = setup.spawn(|pool| async move {
            for _ in 0..60 {
                pool.resize(rng.within(1..=8) as u32).unwrap();
                sleep(&clock, rng.duration(ms(0)..=ms(2))).await;
            }
        });
        let mut before = 0;
        while !operator.is_done() || tasks.iter().any(|task| !task.is_done()) {
            assert!(setup.executor.step().is_some(), "seed {seed}: they wait for ever");
            let gauges = setup.gauges();
            assert!(gauges.size <= before.max(gauges.max), "seed {seed}: {before}, {gauges:?}");
            before = gauges.size;
        }
        cancelled += setup.counters().cancelled;
        surplus += setup.counters().retired_surplus;
        setup.factory.calm();
        setup.clock.advance(ms(5));
        setup.pool.tick(); // ends the creations that nobody waits for
        setup.assert_usable();
        setup.assert_closes();
    }
    assert!(cancelled > 100 && surplus > 100, "{cancelled} were cancelled, {surplus} too many");
}

async fn caller(pool: SimPool, clock: SimClock, mut rng: Rng) {
    for _ in 0..30 {
        if let Ok(mut lease) = pool.acquire().await {
            sleep(&clock, rng.duration(ms(0)..=ms(2))).await;
            if rng.chance(200) {
                lease.break_down();
                lease.discard();
            }
        }
    }
}

/// The lifetime counts from birth, not from the last return.
#[test]
fn created_at_survives_a_return() {
    let setup = Setup::bare(|pool| pool.max(1).max_lifetime(secs(100)).lifetime_jitter(0));
    for second in 0..100 {
        let lease = setup.lease();
        let info = lease.info();
        assert_eq!((info.id, info.born, info.uses), (1, Time::ZERO, second + 1));
        assert_eq!(lease.born(), secs(0));
        drop(lease);
        setup.clock.advance(secs(1));
    }
    assert_eq!(setup.lease().id(), 2, "at 100 s it is too old");
}
