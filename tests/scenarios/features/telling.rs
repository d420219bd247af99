//! What the pool tells of itself: hooks, events, holders, statistics.

use std::cell::RefCell;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use edgepool::ledger::Info;
use edgepool::{About, Begun, Event, Factory, Observed, Pool, PoolState, Tried};
use edgepool_sim::{
    ByHand, ClosingDown, Creating, Creation, SimClock, SimConnection, SimError, SimFactory, Trial,
    Trying,
};
use edgepool_tests::{Setup, Waiter, ms, secs};
use futures::FutureExt;

type Log = Rc<RefCell<Vec<String>>>;

/// A simulated factory whose hooks write down what they are told.
struct Hooked {
    inner: SimFactory,
    log: Log,
}

impl Hooked {
    fn note(&self, hook: &str, connection: &SimConnection, about: About<'_>) {
        let Info { id, uses, .. } = about.info().expect("it is in the books");
        assert_eq!(id, connection.id());
        self.log.borrow_mut().push(format!("{hook} {id}, use {uses}"));
    }
}

impl Factory for Hooked {
    type Connection = SimConnection;
    type Error = SimError;
    type Create = Creating;
    type Check = Trying;
    type Reset = Trying;
    type Close = ClosingDown;

    fn create(&self) -> Creating {
        self.inner.create()
    }
    fn reset(&self, connection: SimConnection) -> Begun<Tried<SimConnection, SimError>, Trying> {
        self.log.borrow_mut().push(format!("reset {}", connection.id()));
        self.inner.reset(connection)
    }
    fn after_create(&self, connection: &mut SimConnection, about: About<'_>) {
        self.note("after_create", connection, about);
    }
    fn before_acquire(&self, connection: &mut SimConnection, about: About<'_>) {
        self.note("before_acquire", connection, about);
        connection.use_once();
    }
    fn after_release(&self, connection: &mut SimConnection, about: About<'_>) {
        self.note("after_release", connection, about);
    }
    fn before_close(&self, connection: &mut SimConnection, about: About<'_>) {
        self.note("before_close", connection, about);
    }
}

/// Each hook, in order, with the connection and what is known of it; what a hook does to the
/// connection its caller sees.
#[test]
fn hooks_are_called_with_info() {
    let (clock, log) = (SimClock::new(), Log::default());
    let factory = Hooked { inner: SimFactory::new(&clock, 0), log: log.clone() };
    let pool = Pool::builder(factory, clock).max(1).min_idle(0).build().unwrap();
    let lease = || pool.acquire().now_or_never().unwrap().unwrap();
    assert_eq!(lease().uses(), 1);
    let second = lease();
    assert_eq!(second.uses(), 2);
    second.discard();
    assert_eq!(
        *log.borrow(),
        [
            "after_create 1, use 0",
            "before_acquire 1, use 1",
            "after_release 1, use 1",
            "reset 1",
            "before_acquire 1, use 2",
            "before_close 1, use 2",
        ]
    );
}

fn name(event: &Event<'_>) -> String {
    let about = |name: &str, about: &About<'_>| match about.info() {
        Some(info) => format!("{name} {}", info.id),
        None => name.to_owned(),
    };
    match event {
        Event::Created(it) => about("created", it),
        Event::CreateFailed => "create failed".into(),
        Event::Queued(_) => "queued".into(),
        Event::Acquired(it) => about("acquired", it),
        Event::SlowAcquire { waited, .. } => format!("slow after {waited:?}"),
        Event::Ended(_, end) => format!("ended: {end:?}"),
        Event::Refused => "refused".into(),
        Event::Cancelled(_) => "cancelled".into(),
        Event::Released(it) => about("released", it),
        Event::Taken(it) => about("taken", it),
        Event::LongHold { about: it, .. } => about("long hold of", it),
        Event::Leaves(it, leaving) => about(&format!("{leaving:?}:"), it),
        Event::Lost { connection: Some(id), job } => format!("lost in a {job:?}: {id}"),
        other => format!("{other:?}"),
    }
}

type Told = Pool<Observed<SimFactory, Box<dyn Fn(&Event<'_>)>>, SimClock>;

/// A pool of one whose events are written down, and its clock and factory.
fn told_pool() -> (Told, SimClock, SimFactory, Log) {
    let (clock, log) = (SimClock::new(), Log::default());
    let (factory, kept) = (SimFactory::new(&clock, 0), log.clone());
    let observer: Box<dyn Fn(&Event<'_>)> =
        Box::new(move |event| kept.borrow_mut().push(name(event)));
    let builder = Pool::builder(Observed::new(factory.clone(), observer), clock.clone());
    let builder = builder.max(1).min_idle(0).max_waiting(2).long_hold(secs(10));
    (builder.acquire_timeout(secs(5)).build().unwrap(), clock, factory, log)
}

/// A whole life, event by event.
#[test]
fn events_tell_a_life_in_order() {
    let (pool, clock, factory, log) = told_pool();
    let lease = pool.acquire().now_or_never().unwrap().unwrap();
    let mut served = ByHand::new(pool.acquire());
    assert!(served.poll().is_none());
    let mut late = ByHand::new(pool.acquire());
    assert!(late.poll().is_none());
    assert!(ByHand::new(pool.acquire()).ready().is_err());
    clock.advance(secs(2));
    drop(lease);
    let lease = served.ready().unwrap();
    clock.advance(secs(3));
    assert!(late.ready().is_err());
    let mut dropped = ByHand::new(pool.acquire());
    assert!(dropped.poll().is_none());
    drop(dropped);
    clock.advance(secs(7));
    pool.tick();
    drop(lease.take());
    factory.plan([Creation::Fail(ms(0))]);
    assert!(ByHand::new(pool.acquire()).ready().is_err());
    clock.advance(secs(1));
    pool.acquire().now_or_never().unwrap().unwrap().discard();
    pool.close();
    assert_eq!(
        *log.borrow(),
        [
            "created 1",
            "acquired 1", // the first, whose connection is made at once
            "queued",
            "queued",
            "refused",
            "released 1",
            "slow after 2s",
            "acquired 1",
            "ended: TimedOut",
            "queued",
            "cancelled",
            "long hold of 1",
            "taken 1",
            "queued",
            "create failed",
            "ended: CreateFailed",
            "created 3",
            "acquired 3",
            "Discarded: 3",
        ]
    );
}

/// Whatever becomes of a connection, its end is told once: what cannot be closed is told as lost.
#[test]
fn a_connection_that_is_lost_in_a_job_is_told() {
    type Plan = fn(&SimFactory);
    let ends: [(&str, Plan); 6] = [
        ("Check", |it| it.plan_checks([Trial::PanicAtStart])),
        ("Check", |it| it.plan_checks([Trial::Panic(ms(1))])),
        ("Check", |it| it.plan_checks([Trial::Hang])),
        ("Reset", |it| it.plan_resets([Trial::PanicAtStart])),
        ("Reset", |it| it.plan_resets([Trial::Panic(ms(1))])),
        ("Reset", |it| it.plan_resets([Trial::Hang])),
    ];
    for (job, plan) in ends {
        let (pool, clock, factory, log) = told_pool();
        drop(pool.acquire().now_or_never().unwrap().unwrap());
        clock.advance(secs(2));
        plan(&factory);
        let mut next = ByHand::new(pool.acquire().timeout(None));
        let served = next.poll();
        drop(served); // and is reset
        pool.tick();
        clock.advance(ms(1));
        pool.tick();
        clock.advance(secs(5));
        pool.tick();
        drop(next);
        pool.close();
        let log = log.borrow();
        let told = |words: &str| log.iter().filter(|line| line.contains(words)).count();
        assert_eq!(told(&format!("lost in a {job}: 1")), 1, "{log:?}");
        assert_eq!(told("created"), told("lost") + told("Closed:"), "{log:?}");
        factory.assert_all_closed();
    }
}

/// Asking who holds what asks for the time, even where nothing else depends on it.
#[test]
fn holders_are_told_for_how_long() {
    let setup = Setup::bare(|pool| pool.max(2).slow_acquire(None).wait_times(false));
    let _lease = setup.lease();
    setup.clock.advance(secs(3_600));
    let held: Vec<_> = setup.pool.holders().iter().map(|holder| holder.held).collect();
    assert_eq!(held, [secs(3_600)]);
}

/// What an observer is told of `slow_acquire` and `long_hold`: how long it was, and where.
#[test]
fn slow_acquire_and_long_hold_name_the_place() {
    type Places = Rc<RefCell<Vec<(&'static str, Duration, Option<&'static Location<'static>>)>>>;
    let (clock, places) = (SimClock::new(), Places::default());
    let kept = places.clone();
    let factory = Observed::new(SimFactory::new(&clock, 0), move |event: &Event<'_>| match event {
        Event::SlowAcquire { waited, at } => kept.borrow_mut().push(("slow", *waited, *at)),
        Event::LongHold { held, holder, .. } => kept.borrow_mut().push(("long", *held, *holder)),
        _ => {}
    });
    let builder = Pool::builder(factory, clock.clone()).max(1).min_idle(0).capture_holders(true);
    let pool = builder.slow_acquire(ms(100)).long_hold(secs(1)).build().unwrap();
    let first = pool.acquire().now_or_never().unwrap().unwrap();
    let (mut fast, fast_line) = (ByHand::new(pool.acquire()), line!());
    let (mut slow, slow_line) = (ByHand::new(pool.acquire()), line!());
    assert!(fast.poll().is_none() && slow.poll().is_none());
    clock.advance(ms(100));
    drop(first);
    let lease = fast.ready().unwrap();
    clock.advance(ms(1));
    drop(lease);
    let lease = slow.ready().unwrap();
    clock.advance(secs(1) - ms(1));
    pool.tick();
    assert_eq!(places.borrow().len(), 1, "100 ms is not slow yet, nor is a second long");
    clock.advance(ms(251));
    pool.tick();
    let told = places.borrow();
    let at = |n: usize| told[n].2.map(|at| (at.file(), at.line()));
    assert_eq!((told[0].0, told[0].1, at(0)), ("slow", ms(101), Some((file!(), slow_line))));
    assert_eq!((told[1].0, told[1].1, at(1)), ("long", ms(1_250), Some((file!(), slow_line))));
    assert_eq!(told.len(), 2, "the one of line {fast_line} was fast");
    drop(told);
    drop(lease);
}

#[test]
fn holders_are_listed_the_longest_first() {
    let setup = Setup::with(|pool| pool.max(3).capture_holders(true));
    let (first, line) = (setup.lease(), line!());
    setup.clock.advance(ms(10));
    let second = setup.lease();
    setup.clock.advance(ms(10));
    let holders = setup.pool.holders();
    let told: Vec<_> = holders.iter().map(|holder| (holder.lease, holder.held)).collect();
    assert_eq!(told, [(first.key(), ms(20)), (second.key(), ms(10))]);
    assert_eq!(holders[0].at.map(Location::line), Some(line));
    drop(first);
    assert_eq!(setup.pool.holders().len(), 1);

    let setup = Setup::new(1);
    for _ in 0..2 {
        let lease = setup.lease(); // the first one waits, the second one is served at once
        assert_eq!(setup.pool.holders()[0].at, None, "places are not kept by default");
        drop(lease);
    }
}

#[test]
fn stats_tell_waits_and_holds() {
    let setup = Setup::with(|pool| pool.max(2).hold_times(true));
    let lease = setup.lease();
    let other = setup.lease();
    assert_eq!(setup.pool.stats().utilisation(), 1.0);
    let mut waiter = Waiter::queued(&setup.pool);
    setup.clock.advance(ms(40));
    drop(lease);
    drop(waiter.ready().unwrap());
    drop(setup.pool.try_acquire().unwrap());
    drop(other);
    let stats = setup.pool.stats();
    assert_eq!((stats.waits.count(), stats.waits.sum()), (1, ms(40)), "two were made at once");
    assert_eq!((stats.holds.count(), stats.holds.sum()), (4, ms(80)));
    assert_eq!((stats.utilisation(), stats.hit_rate()), (0.0, Some(0.75)));
    assert_eq!(stats.mean_wait(), Some(ms(10)));

    let unused = Setup::new(1).pool.stats();
    assert_eq!((unused.hit_rate(), unused.mean_wait()), (None, None));
}

#[test]
fn stats_keep_no_times_that_are_not_wanted() {
    let setup =
        Setup::bare(|pool| pool.max(1).wait_times(false).slow_acquire(None).hold_times(false));
    let lease = setup.lease();
    let mut waiter = Waiter::queued(&setup.pool);
    setup.clock.advance(ms(40));
    drop(lease);
    drop(waiter.ready().unwrap());
    let stats = setup.pool.stats();
    assert_eq!((stats.waits.count(), stats.holds.count()), (0, 0));
}

#[test]
fn state_tells_the_part_of_its_life() {
    let setup = Setup::new(2);
    let state = || setup.pool.state();
    assert_eq!(state(), PoolState::Initializing);
    setup.factory.plan([Creation::Connect(ms(5))]);
    let mut waiter = Waiter::queued(&setup.pool);
    assert_eq!(state(), PoolState::WarmingUp);
    setup.clock.advance(ms(5));
    let lease = waiter.ready().unwrap();
    assert_eq!(state(), PoolState::Ready);
    setup.pool.close();
    assert_eq!((state(), setup.pool.is_closed()), (PoolState::Draining, true));
    drop(lease);
    assert_eq!(state(), PoolState::Closed);
}
