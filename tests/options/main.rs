//! Options at zero, at their greatest, and in contradiction to each other.
//!
//! Whatever cannot be kept to is refused when the pool is built, in words that name the option and
//! what is accepted; whatever is accepted works, however great it is.

use std::time::Duration;

use edgepool::ledger::Counters;
use edgepool::{Backoff, CheckOnAcquire, Pool, Priority, Time, UNBOUNDED};
use edgepool_sim::{
    ByHand, Closing, Counts, Creation, Faults, Odds, Rng, SimClock, SimFactory, Task, Trial,
};
use edgepool_tests::{Setup, SimBuilder, SimPool, Waiter, ms, secs, sleep};

const ZERO: Duration = Duration::ZERO;
const MOMENT: Duration = Duration::from_nanos(1);

type Set = fn(SimBuilder) -> SimBuilder;

fn builder() -> SimBuilder {
    let clock = SimClock::new();
    Pool::builder(SimFactory::new(&clock, 0), clock).seed(0)
}

const fn backoff(base: Duration, cap: Duration) -> Backoff {
    Backoff { base, cap }
}

const BREAKER_ALONE: &str = "breaker is set without backoff; set backoff, which says how long it \
                             stays open, or breaker to none";

/// What is refused, and in which words.
const REFUSED: &[(Set, &str)] = &[
    (|it| it.max(0), "max is 0; it must be 1 or more"),
    (|it| it.max_checks(0), "max_checks is 0; it must be 1 or more"),
    (|it| it.max_uses(0), "max_uses is 0; it must be 1 or more, or none for no limit"),
    (|it| it.breaker(0), "breaker is 0; it must be 1 or more, or none for no limit"),
    (|it| it.create_timeout(ZERO), "create_timeout is zero; it must be longer, or none"),
    (|it| it.check_timeout(ZERO), "check_timeout is zero; it must be longer, or none"),
    (|it| it.reset_timeout(ZERO), "reset_timeout is zero; it must be longer, or none"),
    (|it| it.close_timeout(ZERO), "close_timeout is zero; it must be longer, or none"),
    (|it| it.offer_timeout(ZERO), "offer_timeout is zero; it must be longer, or none"),
    (|it| it.idle_timeout(ZERO), "idle_timeout is zero; it must be longer, or none"),
    (|it| it.max_lifetime(ZERO), "max_lifetime is zero; it must be longer, or none"),
    (|it| it.check_interval(ZERO), "check_interval is zero; it must be longer, or none"),
    (|it| it.ageing(ZERO), "ageing is zero; it must be longer, or none for no limit"),
    (|it| it.long_hold(ZERO), "long_hold is zero; it must be longer, or none"),
    (|it| it.backoff(backoff(ZERO, secs(1))), "backoff's base is zero; it must be longer"),
    (|it| it.backoff(backoff(ZERO, ZERO)), "backoff's base is zero; it must be longer"),
    (|it| it.backoff(backoff(secs(1), ZERO)), "backoff's cap is zero; it must be longer"),
    (|it| it.max(2).min_idle(3), "min_idle is 3, over max; it must be at most 2"),
    (|it| it.min_idle(UNBOUNDED), "min_idle is 4294967295, over max; it must be at most 20"),
    (|it| it.lifetime_jitter(101), "lifetime_jitter is 101 %; it must be at most 100 %"),
    (
        |it| it.max_lifetime(secs(60)).idle_timeout(secs(61)),
        "idle_timeout is 61s, longer than max_lifetime, 60s; it must be at most that, or none",
    ),
    (
        |it| it.max_lifetime(secs(60)).check_interval(secs(61)),
        "check_interval is 61s, longer than max_lifetime, 60s; it must be at most that, or none",
    ),
    (
        |it| it.backoff(backoff(secs(2), secs(1))),
        "backoff's base is 2s, longer than its cap, 1s; it must be at most that",
    ),
    (|it| it.backoff(None).breaker(5), BREAKER_ALONE),
    (|it| it.breaker(5).backoff(None), BREAKER_ALONE),
];

#[test]
fn what_cannot_be_kept_to_is_refused_by_name() {
    for (set, words) in REFUSED {
        let error = set(builder()).build().map(drop).expect_err(words).to_string();
        assert!(error.starts_with(words), "{error:?}, not {words:?}");
    }
}

/// What asks for checks is refused by a pool that cannot make any, and what asks for none is not.
#[test]
fn options_of_checks_are_refused_without_a_check() {
    let unchecked = |set: Set| {
        let clock = SimClock::new();
        let factory = SimFactory::new(&clock, 0);
        factory.set_checks(false);
        set(Pool::builder(factory, clock)).build().map(drop)
    };
    let asking: [(&str, Set); 5] = [
        ("check_timeout", |it| it.check_timeout(secs(1))),
        ("check_on_acquire", |it| it.check_on_acquire(CheckOnAcquire::Always)),
        ("check_on_acquire", |it| it.check_on_acquire(CheckOnAcquire::IdleFor(secs(1)))),
        ("check_interval", |it| it.check_interval(secs(1))),
        ("max_checks", |it| it.max_checks(2)),
    ];
    for (option, set) in asking {
        let words = format!(
            "{option} is set, and the factory has no check; give it one, or leave the option out"
        );
        assert_eq!(unchecked(set).unwrap_err().to_string(), words);
    }
    let none = |it: SimBuilder| it.check_on_acquire(CheckOnAcquire::Never).check_interval(None);
    assert_eq!(unchecked(|it| it), Ok(()));
    assert_eq!(unchecked(none), Ok(()));
    assert_eq!(unchecked(|it| it.check_timeout(None)), Ok(()));
}

/// A count that has no "none" is not told to be one.
#[test]
fn errors_offer_only_what_there_is() {
    let told = |set: Set| set(builder()).build().unwrap_err().to_string();
    for text in [
        told(|it| it.max_checks(0)),
        told(|it| it.backoff(backoff(ZERO, ZERO))),
        told(|it| it.backoff(backoff(secs(2), secs(1)))),
    ] {
        assert!(!text.contains("none"), "{text:?} offers none");
    }
}

/// The edges of what is accepted, and times that follow from others.
const ACCEPTED: &[Set] = &[
    |it| it,
    |it| it.max(1),
    |it| it.max(1).min_idle(1),
    |it| it.min_idle(0),
    |it| it.max_waiting(0),
    |it| it.max_uses(1),
    |it| it.max_checks(1),
    |it| it.breaker(1),
    |it| it.lifetime_jitter(0),
    |it| it.lifetime_jitter(100),
    |it| it.acquire_timeout(ZERO),
    |it| it.slow_acquire(ZERO),
    |it| it.check_on_acquire(CheckOnAcquire::IdleFor(ZERO)),
    |it| it.max_lifetime(secs(60)).idle_timeout(secs(60)).check_interval(secs(60)),
    |it| it.backoff(backoff(secs(1), secs(1))),
    // The defaults of these follow the lifetime, and the breaker's follows the back-off.
    |it| it.max_lifetime(ms(1)),
    |it| it.backoff(None),
    |it| it.breaker(None).backoff(None),
    |it| it.backoff(None).backoff(backoff(secs(1), secs(1))).breaker(3),
];

/// What a life with an option showed, and whether that is what the option is for.
struct Seen {
    counters: Counters,
    jobs: Counts,
}
type Expected = fn(&Seen) -> bool;

/// For options whose effect other tests look for.
const ANY: Expected = |_| true;

/// Options at their least, which are short times rather than none.
const LEAST: &[(Set, Expected)] = &[
    (|it| it.create_timeout(MOMENT), |seen| seen.jobs.abandoned > 100),
    (|it| it.check_timeout(MOMENT), |seen| seen.jobs.checks.abandoned > 10),
    (|it| it.reset_timeout(MOMENT), |seen| seen.jobs.resets.abandoned > 60),
    (|it| it.close_timeout(MOMENT), |seen| seen.jobs.closings.abandoned > 10),
    (|it| it.offer_timeout(MOMENT), |seen| seen.counters.offers_missed > 20),
    (|it| it.min_idle(0).idle_timeout(MOMENT), |seen| seen.counters.retired_idle > 20),
    (|it| it.min_idle(0).max_lifetime(MOMENT), |seen| seen.counters.retired_aged > 20),
    // One of a nanosecond is kept to as well, if not by a test.
    (|it| it.check_interval(ms(10)), |seen| seen.counters.checks > 10_000),
    (|it| it.long_hold(MOMENT), ANY),
    (|it| it.ageing(MOMENT), ANY),
    (|it| it.backoff(backoff(MOMENT, MOMENT)), |seen| seen.counters.create_failed > 5),
];

/// Options at their greatest.
const GREATEST: &[(Set, Expected)] = &[
    (|it| it.max(u32::MAX), |seen| seen.counters.creations > 3),
    (|it| it.max_waiting(u32::MAX), |seen| seen.counters.refused == 0),
    (|it| it.max_uses(u64::MAX), |seen| seen.counters.retired_used == 0),
    (|it| it.max_checks(u32::MAX), |seen| seen.counters.checks > 20),
    (|it| it.breaker(u32::MAX), |seen| seen.counters.create_failed > 3),
    (|it| it.seed(u64::MAX), ANY),
    (|it| it.acquire_timeout(Duration::MAX), |seen| seen.counters.timed_out == 0),
    (|it| it.create_timeout(Duration::MAX), |seen| seen.jobs.abandoned == 0),
    (|it| it.check_timeout(Duration::MAX), |seen| seen.jobs.checks.abandoned == 0),
    (|it| it.reset_timeout(Duration::MAX), |seen| seen.jobs.resets.abandoned == 0),
    (|it| it.close_timeout(Duration::MAX), |seen| seen.jobs.closings.abandoned == 0),
    (|it| it.offer_timeout(Duration::MAX), |seen| seen.counters.offers_missed == 0),
    (|it| it.max_lifetime(Duration::MAX), |seen| seen.counters.retired_aged == 0),
    (|it| it.max_lifetime(Duration::MAX).lifetime_jitter(100), ANY),
    (
        |it| it.max_lifetime(Duration::MAX).idle_timeout(Duration::MAX),
        |seen| seen.counters.retired_aged + seen.counters.retired_idle == 0,
    ),
    (
        |it| it.max_lifetime(None).idle_timeout(Duration::MAX).check_interval(Duration::MAX),
        |seen| seen.counters.retired_aged + seen.counters.retired_idle == 0,
    ),
    (|it| it.long_hold(Duration::MAX), ANY),
    (|it| it.slow_acquire(Duration::MAX), ANY),
    (|it| it.ageing(Duration::MAX), ANY),
    (
        |it| it.check_on_acquire(CheckOnAcquire::IdleFor(Duration::MAX)).check_interval(None),
        |seen| seen.counters.checks == 0,
    ),
    (|it| it.backoff(backoff(MOMENT, Duration::MAX)), ANY),
];

/// How long callers come and go.
const LOAD: Duration = secs(600);

/// Takes as long as the default time-outs of jobs or longer, now and then.
fn slow(most: u64, fail: u32) -> Odds {
    Odds { latency: ms(1)..=ms(most), at_once: 300, fail, hang: 0, panic: 0 }
}

/// Six callers, who come late now and then, share three connections for ten minutes under a
/// driver. By turns all goes well for ten seconds, and then jobs take their time and creations
/// fail. After a calm minute all that there may be can be had at once; and again at the end of
/// time, to which the clock jumps.
fn lives(set: Set, what: usize) -> Seen {
    let mut setup = Setup::with(|it| set(it.max(3).min_idle(1).hold_times(true)));
    let driver = setup.drive();
    let callers: Vec<_> = (0..6)
        .map(|number| setup.spawn(|pool| comes_and_goes(pool, setup.clock.clone(), number)))
        .collect();
    let faults = Faults { late_poll: 100, late_by: ms(300), ..Faults::default() };
    setup.executor.set_faults(faults);
    while setup.clock.elapsed() < LOAD {
        setup.pass(secs(10));
        setup.factory.set_odds(slow(12_000, 250));
        setup.factory.set_check_odds(slow(6_000, 0));
        setup.factory.set_reset_odds(slow(6_000, 0));
        setup.factory.set_close_odds(slow(6_000, 0));
        setup.pass(secs(10));
        setup.factory.calm();
        let (books, gauges) = (setup.pool.check(), setup.pool.stats().gauges);
        assert_eq!(books, Ok(()), "option {what}: {gauges:?}");
    }
    setup.executor.set_faults(Faults::default());
    setup.pass(secs(60));
    let seen = Seen { counters: setup.counters(), jobs: setup.factory.counts() };
    assert!(callers.iter().all(Task::is_done), "option {what}: somebody waits for ever");
    assert!(seen.counters.direct + seen.counters.waited > 20, "option {what}: {:?}", seen.counters);
    assert_all_can_be_had(&setup);

    setup.pass(secs(1));
    setup.clock.set(Time::from_nanos(u64::MAX - 1));
    assert_all_can_be_had(&setup);
    setup.pool.tick();
    assert_eq!(setup.pool.check(), Ok(()), "option {what} at the end of time");
    setup.pool.close();
    setup.executor.run_for(secs(60));
    assert!(driver.is_done(), "option {what}: {:?}", setup.gauges());
    seen
}

async fn comes_and_goes(pool: SimPool, clock: SimClock, number: u64) {
    let mut rng = Rng::new(number);
    while clock.elapsed() < LOAD {
        let priority = if rng.chance(300) { Priority::High } else { Priority::Normal };
        let lease = pool.acquire().priority(priority).await;
        sleep(&clock, rng.duration(ms(0)..=secs(1))).await;
        match lease {
            Ok(lease) if rng.chance(100) => lease.discard(),
            other => drop(other),
        }
        sleep(&clock, rng.duration(ms(0)..=secs(3))).await;
    }
}

/// Of a pool without a bound a hundred connections stand for all.
fn assert_all_can_be_had(setup: &Setup) {
    match setup.gauges().max {
        0..100 => setup.assert_usable(),
        _ => drop(setup.leases::<100>()),
    }
}

fn live(all: &[(Set, Expected)]) {
    for (what, (set, expected)) in all.iter().enumerate() {
        let seen = lives(*set, what);
        assert!(expected(&seen), "option {what}: {:?}, {:?}", seen.counters, seen.jobs);
    }
}

#[test]
fn what_is_accepted_works() {
    for (what, &set) in ACCEPTED.iter().enumerate() {
        lives(set, what);
    }
}

#[test]
fn the_least_of_each_option_works() {
    live(LEAST);
}

#[test]
fn the_greatest_of_each_option_works() {
    live(GREATEST);
}

/// All at once.
#[test]
fn the_greatest_of_all_options_work_together() {
    let seen = lives(
        |it| {
            let it = it.max(u32::MAX).max_waiting(u32::MAX).max_uses(u64::MAX).breaker(u32::MAX);
            let it = it.acquire_timeout(Duration::MAX).create_timeout(Duration::MAX);
            let it = it.check_timeout(Duration::MAX).reset_timeout(Duration::MAX);
            let it = it.close_timeout(Duration::MAX).offer_timeout(Duration::MAX);
            let it = it.max_lifetime(Duration::MAX).idle_timeout(Duration::MAX);
            let it = it.check_interval(Duration::MAX).max_checks(u32::MAX).long_hold(Duration::MAX);
            it.ageing(Duration::MAX).slow_acquire(Duration::MAX).capture_holders(true)
        },
        0,
    );
    let Counters { timed_out, offers_missed, retired_aged, retired_idle, .. } = seen.counters;
    assert_eq!((timed_out, offers_missed, retired_aged, retired_idle), (0, 0, 0, 0));
    let Counts { abandoned, checks, resets, closings, .. } = seen.jobs;
    assert_eq!(abandoned + checks.abandoned + resets.abandoned + closings.abandoned, 0);
}

/// A back-off of ages ends with them: nothing is tried before, and all is well after.
#[test]
fn the_greatest_back_off_ends() {
    let setup = Setup::bare(|it| it.max(3).backoff(backoff(Duration::MAX, Duration::MAX)).seed(1));
    setup.factory.plan([Creation::Fail(ms(0))]);
    assert!(Waiter::new(&setup.pool).ready().is_err());
    for _ in 0..100 {
        setup.clock.advance(secs(365 * 24 * 3_600));
        assert!(Waiter::queued(&setup.pool).poll().is_none());
    }
    assert_eq!(setup.factory.counts().started, 1);
    setup.clock.set(Time::from_nanos(u64::MAX - 1));
    setup.assert_usable();
}

/// What may take until the end of time has no deadline, and the books say no other.
#[test]
fn the_greatest_times_of_jobs_are_for_ever() {
    let long = Duration::MAX;
    let setup = Setup::bare(|it| {
        let it = it.max(1).create_timeout(long).check_timeout(long).reset_timeout(long);
        it.close_timeout(long).acquire_timeout(long).check_on_acquire(CheckOnAcquire::Always)
    });
    let settled = |waiter: &mut Waiter<'_>| {
        assert_eq!(setup.pool.check(), Ok(()));
        setup.clock.advance(secs(1_000_000));
        waiter.ready().unwrap()
    };
    setup.factory.plan([Creation::Connect(secs(1_000_000))]);
    let lease = settled(&mut Waiter::queued(&setup.pool));
    setup.factory.plan_resets([Trial::Pass(secs(1_000_000))]);
    drop(lease);
    drop(settled(&mut Waiter::queued(&setup.pool)));
    setup.factory.plan_checks([Trial::Pass(secs(1_000_000))]);
    let lease = settled(&mut Waiter::queued(&setup.pool));
    setup.factory.plan_closes([Closing::After(secs(1_000_000))]);
    let mut waiter = Waiter::queued(&setup.pool);
    lease.discard();
    assert_eq!(settled(&mut waiter).id(), 2);
    setup.assert_usable();
}

/// A caller may be as patient as can be said, and a drain as well.
#[test]
fn the_greatest_patience_is_for_ever() {
    let setup = Setup::bare(|it| it.max(1));
    let lease = setup.lease();
    let mut waiter = Waiter::queued_as(setup.pool.acquire().timeout(Duration::MAX));
    setup.clock.advance(secs(u64::from(u32::MAX)));
    assert!(waiter.poll().is_none());
    let mut drain = ByHand::new(setup.pool.drain(Duration::MAX));
    assert!(drain.poll().is_none());
    assert!(waiter.ready().is_err());
    drop(lease);
    assert_eq!(drain.ready(), Ok(()));
}
