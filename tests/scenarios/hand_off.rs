//! Cancellation, wake-ups, hand-off.

use std::cell::{Cell, RefCell};
use std::future::{Future, Pending, pending};
use std::mem;
use std::rc::Rc;
use std::sync::Arc;

use edgepool::{AcquireError, CheckOnAcquire, Clock, Pool, Time};
use edgepool_sim::{
    ByHand, Closing, Creation, SimClock, SimFactory, Step, Task, Trial, Wakes, waker_fn,
};
use edgepool_tests::{Setup, Waiter, ms, secs, sleep, yield_now};
use futures::FutureExt;
use futures::future::{Aborted, LocalBoxFuture, abortable};

#[test]
fn cancelled_waiter_does_not_eat_the_wake() {
    let setup = Setup::new(1);
    let lease = setup.lease();
    let a = Waiter::queued(&setup.pool);
    let mut b = Waiter::queued(&setup.pool);
    drop(a);
    drop(lease);
    assert_eq!(b.wakes(), 1);
    assert!(b.ready().is_ok());
    assert_eq!(setup.gauges().idle, 1);
}

/// The wake was for a creation that the waiter should have begun to poll.
#[test]
fn cancelled_waiter_does_not_eat_the_wake_of_a_creation() {
    let setup = Setup::with(|pool| pool.max(1).acquire_timeout(None));
    setup.factory.plan([Creation::Connect(ms(0)), Creation::Connect(ms(5))]);
    let lease = setup.lease();
    let a = Waiter::queued(&setup.pool);
    let mut b = Waiter::queued(&setup.pool);
    drop(lease.take());
    assert_eq!((a.wakes(), b.wakes()), (1, 0), "the first polls the creation");
    drop(a);
    assert_eq!(b.wakes(), 1, "the baton passes on");
    assert!(b.poll().is_none());
    let woken = b.wakes();
    setup.clock.advance(ms(5));
    assert!(b.wakes() > woken, "the creation wakes who polled it");
    assert_eq!(b.ready().unwrap().id(), 2);
}

#[test]
fn offered_but_never_polled_is_passed_on() {
    let setup = Setup::new(1);
    let lease = setup.lease();
    let a = Waiter::queued(&setup.pool);
    let mut b = Waiter::queued(&setup.pool);
    drop(lease);
    assert_eq!((a.wakes(), b.wakes(), setup.gauges().offered), (1, 0, 1));
    drop(a);
    assert_eq!((b.wakes(), setup.gauges().offered), (1, 1));
    drop(b.ready().unwrap());

    let lease = setup.lease();
    let c = Waiter::queued(&setup.pool);
    drop(lease);
    drop(c);
    assert_eq!((setup.gauges().offered, setup.gauges().idle), (0, 1), "nobody else wants it");
}

#[test]
fn newcomer_cannot_overtake() {
    const ROUNDS: u32 = 100_000;
    let mut setup = Setup::new(1);
    setup.executor.set_step_limit(u64::MAX);
    let (turns, overtaken) = (Rc::new(Cell::new(0_u32)), Rc::new(Cell::new(0_u32)));
    let queued = Rc::new(Cell::new(false));

    let (pool, waits, count) = (setup.pool.clone(), queued.clone(), overtaken.clone());
    let others = turns.clone();
    let greedy = setup.executor.spawn(async move {
        for _ in 0..ROUNDS {
            let (was_queued, turns_before) = (waits.get(), others.get());
            let lease = pool.acquire().await.unwrap();
            // Who was queued before this round began must have had a turn by now.
            count.set(count.get() + u32::from(was_queued && others.get() == turns_before));
            yield_now().await;
            drop(lease);
        }
    });
    let (pool, waits, count) = (setup.pool.clone(), queued, turns.clone());
    let patient = setup.executor.spawn(async move {
        loop {
            let mut acquire = pool.acquire();
            if let Some(lease) = (&mut acquire).now_or_never() {
                drop(lease);
                yield_now().await;
                continue;
            }
            waits.set(true);
            let lease = acquire.await.unwrap();
            waits.set(false);
            count.set(count.get() + 1);
            drop(lease);
        }
    });
    while !greedy.is_done() {
        setup.executor.step();
    }
    assert!(!patient.is_done() && turns.get() > 1_000, "it was queued {} times", turns.get());
    assert_eq!(overtaken.get(), 0);
}

#[test]
fn try_acquire_respects_the_queue() {
    let setup = Setup::new(1);
    let lease = setup.lease();
    assert!(setup.pool.try_acquire().is_none(), "nothing is idle");
    let mut a = Waiter::queued(&setup.pool);
    let b = Waiter::queued(&setup.pool);
    drop(lease);
    assert!(setup.pool.try_acquire().is_none(), "it is offered to a waiter");
    drop(a.ready().unwrap());
    assert!(setup.pool.try_acquire().is_none(), "it is offered to the next");
    drop(b);
    assert_eq!(setup.pool.try_acquire().unwrap().id(), 1);
}

#[test]
fn repoll_replaces_the_waker() {
    let setup = Setup::new(1);
    let lease = setup.lease();
    let mut waiter = Waiter::new(&setup.pool);
    let (kept, second) = (Arc::new(()), Wakes::new());
    let token = kept.clone();
    let first = waker_fn(move || unreachable!("it was replaced, and {token:?} with it"));
    assert!(waiter.poll_with(&first).is_none());
    drop(first);
    assert!(waiter.poll_with(&second.waker()).is_none());
    assert_eq!(Arc::strong_count(&kept), 1, "neither pool nor alarm keeps the old one");
    drop(lease);
    assert_eq!(second.count(), 1);
}

/// The same for the alarm of the acquire timeout.
#[test]
fn repoll_replaces_the_waker_of_the_alarm() {
    let setup = Setup::new(1);
    let _lease = setup.lease();
    let mut waiter = Waiter::new(&setup.pool);
    let (first, second) = (Wakes::new(), Wakes::new());
    assert!(waiter.poll_with(&first.waker()).is_none());
    assert!(waiter.poll_with(&second.waker()).is_none());
    setup.clock.advance(ms(30_000));
    assert_eq!((first.count(), second.count()), (0, 1));
    assert!(matches!(waiter.ready(), Err(AcquireError::TimedOut { .. })));
}

#[test]
fn spurious_poll_keeps_the_order() {
    let setup = Setup::new(1);
    let mut lease = setup.lease();
    let mut waiters: Vec<_> = (0..6).map(|_| Waiter::queued(&setup.pool)).collect();
    for n in (0..600_usize).rev() {
        assert!(waiters[n * 7 % 6].poll().is_none());
    }
    for mut waiter in waiters.drain(..) {
        drop(lease);
        assert_eq!(waiter.wakes(), 1);
        lease = waiter.ready().unwrap();
    }
}

/// A clock that stands at zero, and runs what it is given when it is read so many times more.
#[derive(Clone, Default)]
struct OnRead(Rc<RefCell<Option<OnceRead>>>);
type OnceRead = (u32, Box<dyn FnOnce()>);

impl Clock for OnRead {
    type Alarm = Pending<()>;
    fn now(&self) -> Time {
        let due = self.0.borrow_mut().take_if(|(more, _)| {
            *more = more.wrapping_sub(1);
            *more == u32::MAX
        });
        if let Some((_, run)) = due {
            run();
        }
        Time::ZERO
    }
    fn alarm(&self, _at: Time) -> Pending<()> {
        pending()
    }
}

/// The only lease comes back as an acquire reads the clock: before its first try, or between that
/// and the queue. Whichever it is, the caller has the connection, or is woken for it.
#[test]
fn release_between_check_and_enqueue() {
    let mut reads = 0;
    loop {
        let clock = OnRead::default();
        let factory = SimFactory::new(&SimClock::new(), 0);
        let pool = Pool::builder(factory, clock.clone()).max(1).min_idle(0).build().unwrap();
        let lease = pool.acquire().now_or_never().unwrap().unwrap();
        *clock.0.borrow_mut() = Some((reads, Box::new(move || drop(lease))));
        let mut waiter = ByHand::new(pool.acquire());
        let served = waiter.poll();
        if clock.0.take().is_some() {
            break; // it was not read so often
        }
        let lease = served.unwrap_or_else(|| {
            assert!(waiter.wakes() > 0, "asleep beside an idle connection, after {reads} reads");
            waiter.ready()
        });
        assert_eq!(lease.unwrap().id(), 1);
        pool.check().unwrap();
        reads += 1;
    }
    assert!(reads >= 2, "the clock is read before each of the two");
}

#[test]
fn one_broken_connection_wakes_one() {
    let setup = Setup::new(1);
    let lease = setup.lease();
    let mut waiters: Vec<_> = (0..1000).map(|_| Waiter::queued(&setup.pool)).collect();
    lease.discard();
    let wakes: u32 = waiters.iter().map(Waiter::wakes).sum();
    assert_eq!((wakes, setup.factory.counts().dropped), (1, 1));
    assert_eq!(waiters[0].ready().unwrap().id(), 2, "the first was woken, and has a new one");
}

/// A setup with one idle connection that is checked as it is acquired, as `check` says.
fn checked(check: Trial) -> Setup {
    let setup = Setup::bare(|pool| pool.max(1).check_on_acquire(CheckOnAcquire::Always));
    drop(setup.lease());
    setup.factory.plan_checks([check]);
    setup
}

/// The check goes on without its caller, and what it says is kept to: a good connection serves the
/// next, a bad one is closed, and one whose check hangs is given up.
#[test]
fn cancel_inside_health_check() {
    let [slow, timeout] = [ms(50), secs(5)];
    for (check, after, next, dropped) in [
        (Trial::Pass(slow), slow, 1, 0),
        (Trial::Fail(slow), slow, 2, 1),
        (Trial::Hang, timeout, 2, 1),
    ] {
        let setup = checked(check);
        let waiter = Waiter::queued(&setup.pool);
        assert_eq!((setup.gauges().checking, setup.gauges().waiting), (1, 1));
        drop(waiter);
        assert_eq!((setup.gauges().checking, setup.gauges().waiting), (1, 0), "{check:?}");
        setup.clock.advance(after);
        assert_eq!((setup.lease().id(), setup.factory.counts().dropped), (next, dropped));
        assert_eq!(setup.counters().cancelled, 1);
        setup.assert_usable();
        setup.assert_closes();
    }
}

/// Callers with a patience of 40 ms come again and again, for a connection whose check takes 80 ms.
#[test]
fn timeout_mid_check_keeps_a_healthy_connection() {
    let mut setup = checked(Trial::Pass(ms(80)));
    let (attempts, id) = setup.run(|pool| async move {
        for attempts in 1.. {
            if let Ok(lease) = pool.acquire().timeout(ms(40)).await {
                return (attempts, lease.id());
            }
        }
        unreachable!("it gives up never")
    });
    assert_eq!((id, setup.clock.elapsed()), (1, ms(80)));
    assert!((2..=3).contains(&attempts), "{attempts}");
    let made = setup.factory.counts();
    assert_eq!((made.started, made.checks.begun, made.dropped), (1, 1, 0));
}

#[test]
fn one_caller_begins_one_check() {
    let setup = Setup::bare(|pool| pool.max(3).check_on_acquire(CheckOnAcquire::Always));
    drop(setup.leases::<3>());
    setup.factory.plan_checks([Trial::Pass(ms(20)); 3]);
    let _waiters = [1, 2].map(|checks| {
        let waiter = Waiter::queued(&setup.pool);
        assert_eq!((setup.gauges().checking, setup.gauges().idle), (checks, 3 - checks));
        waiter
    });
}

/// A caller waits for the check of the connection that is next. The checks of idle connections take
/// away the one after that, so that the next one needs no check: he has it at once.
#[test]
fn a_waiter_is_served_beside_the_checks_of_idle_connections() {
    let mut setup = Setup::bare(|pool| {
        let pool = pool.max(3).check_interval(secs(30));
        pool.check_on_acquire(CheckOnAcquire::IdleFor(secs(1)))
    });
    let slow = Trial::Pass(secs(2));
    setup.factory.plan_checks([Trial::PassAtOnce, slow, slow]);
    drop(setup.lease());
    setup.clock.advance(ms(500));
    assert_eq!(setup.executor.block_on(setup.pool.warm_up(3)), Ok(2));
    setup.clock.advance(ms(29_500));
    setup.pool.tick();
    assert_eq!((setup.gauges().idle, setup.counters().checks), (3, 1), "of the oldest");
    setup.clock.advance(ms(400));
    let mut waiter = Waiter::queued(&setup.pool);
    assert_eq!((setup.gauges().idle, setup.gauges().checking), (2, 1));
    setup.clock.advance(ms(100));
    assert_eq!((setup.gauges().checking, setup.gauges().offered), (2, 1));
    assert!(waiter.wakes() > 0);
    assert_eq!(waiter.ready().unwrap().id(), 1);
}

/// In Rust a wait is aborted by dropping it, whoever does that: its task ends in the same turn, and
/// neither the queue nor the clock keeps anything of it.
#[test]
fn abort_while_queued_settles_at_once() {
    let mut setup = Setup::new(1);
    let lease = setup.lease();
    let pool = setup.pool.clone();
    let (wait, abort) = abortable(async move { pool.acquire().await.is_ok() });
    let task = setup.executor.spawn(wait);
    setup.executor.run_until_stalled();
    assert_eq!((setup.gauges().waiting, setup.clock.alarms()), (1, 1));
    abort.abort();
    setup.executor.run_until_stalled();
    assert_eq!((task.take(), setup.clock.elapsed()), (Some(Err(Aborted)), ms(0)));
    assert_eq!((setup.gauges().waiting, setup.clock.alarms()), (0, 0));
    drop(lease);
    assert_eq!((setup.gauges().idle, setup.counters().cancelled), (1, 1));
}

#[test]
fn forgotten_waiter_is_reclaimed() {
    let setup = Setup::with(|pool| pool.max(1).max_waiting(1).acquire_timeout(ms(10)));
    let lease = setup.lease();
    // Leaked while it waits: past its deadline its place in the queue is free.
    mem::forget(Waiter::queued(&setup.pool));
    assert!(matches!(
        Waiter::new(&setup.pool).ready(),
        Err(AcquireError::QueueFull { max_waiting: 1 })
    ));
    setup.clock.advance(ms(10));
    let mut next = Waiter::queued(&setup.pool);
    drop(lease);
    drop(next.ready().unwrap());

    // Leaked while a connection is offered to it: past its deadline that is there again.
    let lease = setup.lease();
    let leaked = Waiter::queued(&setup.pool);
    drop(lease);
    mem::forget(leaked);
    assert_eq!(setup.gauges().offered, 1);
    setup.clock.advance(ms(10));
    assert_eq!(setup.pool.try_acquire().unwrap().id(), 1);
    assert_eq!(setup.pool.stats().counters.timed_out, 2);
}

/// Any operation passes a leaked offer on, and wakes the next.
#[test]
fn forgotten_waiter_is_passed_over_at_the_next_operation() {
    let setup = Setup::with(|pool| pool.max(1).acquire_timeout(ms(10)));
    let lease = setup.lease();
    let leaked = Waiter::queued(&setup.pool);
    setup.clock.advance(ms(5));
    let mut next = Waiter::queued(&setup.pool);
    drop(lease);
    mem::forget(leaked);
    setup.clock.advance(ms(5));
    assert_eq!((next.wakes(), setup.pool.stats().counters.timed_out), (0, 1));
    assert_eq!(next.wakes(), 1);
    assert!(next.ready().is_ok());
}

/// What is dropped at each of its polls in turn.
type Victim = fn(&Setup) -> LocalBoxFuture<'static, ()>;

/// Drops each kind of future of the pool at each of its polls in turn, between two callers that
/// work with it, while every kind of job is slow, hangs or fails.
#[test]
fn kill_at_every_await_point() {
    let victims: [(&str, usize, Victim); 5] = [
        ("a caller", 12, |setup| rounds(setup).boxed_local()),
        ("acquire_many", 2, |setup| {
            let pool = setup.pool.clone();
            async move { drop(pool.acquire_many(2).await) }.boxed_local()
        }),
        ("warm_up", 2, |setup| setup.pool.warm_up(2).parallel(1).map(drop).boxed_local()),
        ("driver", 8, |setup| setup.pool.driver().boxed_local()),
        ("drain", 3, |setup| {
            let (pool, clock) = (setup.pool.clone(), setup.clock.clone());
            let drained = async move {
                sleep(&clock, ms(10)).await;
                pool.drain(None).await.unwrap();
            };
            drained.boxed_local()
        }),
    ];
    for (what, least, victim) in victims {
        let points = (1..).take_while(|&polls| killed_after(polls, victim)).count();
        assert!(points >= least, "{what} has more than {points} points to be dropped at");
    }
}

/// Drops the victim after so many polls, and checks what is left; returns false if it is polled
/// less often.
fn killed_after(polls: u32, victim: Victim) -> bool {
    let mut setup = Setup::bare(|pool| {
        let pool = pool.max(2).create_timeout(ms(8)).check_timeout(ms(8)).reset_timeout(ms(8));
        pool.close_timeout(ms(8)).check_on_acquire(CheckOnAcquire::Always)
    });
    let (slow, hang) = (Trial::Pass(ms(3)), Trial::Hang);
    setup.factory.plan([Creation::Connect(ms(5)), Creation::Hang, Creation::Fail(ms(3))]);
    setup.factory.plan_checks([slow, Trial::Fail(ms(3)), hang, slow]);
    setup.factory.plan_resets([slow, hang, slow, Trial::Fail(ms(2)), slow]);
    setup.factory.plan_closes([Closing::After(ms(4)), Closing::Hang, Closing::After(ms(4))]);
    let others = [rounds(&setup), rounds(&setup)].map(|other| setup.executor.spawn(other));
    let task = setup.executor.spawn(victim(&setup));
    let mut left = polls;
    while left > 0
        && let Some(step) = setup.executor.step()
    {
        let _checked = setup.gauges();
        left -= u32::from(matches!(step, Step::Polled { task: polled, .. } if polled == task.id()));
    }
    setup.executor.cancel(task.id());
    setup.executor.run();
    assert!(others.iter().all(Task::is_done), "dropped after {polls} polls");
    setup.factory.calm();
    setup.clock.advance(ms(8));
    setup.pool.tick();
    if !setup.pool.is_closed() {
        setup.assert_usable();
    }
    setup.assert_closes();
    left == 0
}

/// Has four leases one after the other, and parts with each in another way.
fn rounds(setup: &Setup) -> impl Future<Output = ()> + use<> {
    let (pool, clock) = (setup.pool.clone(), setup.clock.clone());
    async move {
        for way in 0..4 {
            let lease = pool.acquire().await;
            sleep(&clock, ms(2)).await;
            let Ok(lease) = lease else { continue };
            match way {
                0 => drop(lease),
                1 => lease.discard(),
                2 => drop(lease.release().await),
                _ => {
                    lease.set_taken();
                    drop(lease.take());
                }
            }
        }
    }
}

/// An acquire that nobody polls has no place in the queue.
#[test]
fn an_acquire_begins_when_it_is_polled() {
    let clock = SimClock::new();
    let pool = Pool::builder(SimFactory::new(&clock, 0), clock).build().unwrap();
    let acquire = pool.acquire();
    assert_eq!((pool.stats().gauges.waiting, pool.stats().counters.started), (0, 0));
    drop(acquire);
    assert_eq!(pool.stats().counters.cancelled, 0);
}

/// Waiters are served in the order in which they came, whatever order they are polled in.
#[test]
fn waiters_are_served_in_the_order_they_came() {
    let mut setup = Setup::new(2);
    let served = Rc::new(RefCell::new(Vec::new()));
    let leases = [setup.lease(), setup.lease()];
    for n in 0..50 {
        let (pool, served) = (setup.pool.clone(), served.clone());
        setup.executor.spawn(async move {
            let _lease = pool.acquire().await.unwrap();
            served.borrow_mut().push(n);
        });
        setup.executor.run_until_stalled();
    }
    for lease in leases {
        drop(lease);
        setup.executor.run_until_stalled();
    }
    assert_eq!(*served.borrow(), (0..50).collect::<Vec<_>>());
}
