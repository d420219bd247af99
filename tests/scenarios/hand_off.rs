//! Cancellation, wake-ups, hand-off.

use std::cell::{Cell, RefCell};
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use edgepool::{AcquireError, Clock, Pool};
use edgepool_sim::{Creation, SimClock, SimFactory, Step, Stopped};
use edgepool_tests::{Setup, SimLease, Waiter, Wakes, ms};
use futures::FutureExt;

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

async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
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
    let (first, second) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    assert!(waiter.poll_with(&Waker::from(first.clone())).is_none());
    assert!(waiter.poll_with(&Waker::from(second.clone())).is_none());
    assert_eq!(Arc::strong_count(&first), 1, "neither pool nor alarm keeps the old one");
    drop(lease);
    assert_eq!((first.get(), second.get()), (0, 1));
}

/// The same for the alarm of the acquire timeout.
#[test]
fn repoll_replaces_the_waker_of_the_alarm() {
    let setup = Setup::new(1);
    let _lease = setup.lease();
    let mut waiter = Waiter::new(&setup.pool);
    let (first, second) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    assert!(waiter.poll_with(&Waker::from(first.clone())).is_none());
    assert!(waiter.poll_with(&Waker::from(second.clone())).is_none());
    setup.clock.advance(ms(30_000));
    assert_eq!((first.get(), second.get()), (0, 1));
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

/// Drops a caller at each of its polls in turn, between two others that wait with it.
#[test]
fn kill_at_every_await_point() {
    for polls in 1.. {
        let mut setup = Setup::with(|pool| pool.max(2).create_timeout(ms(8)));
        setup.factory.plan([
            Creation::Connect(ms(5)),
            Creation::Hang,
            Creation::Fail(ms(3)),
            Creation::Connect(ms(5)),
        ]);
        let others: Vec<_> = (0..2).map(|_| setup.executor.spawn(rounds(&setup))).collect();
        let victim = setup.executor.spawn(rounds(&setup));
        let mut left = polls;
        while let Some(step) = setup.executor.step() {
            let _checked = setup.gauges();
            left -= u32::from(matches!(step, Step::Polled { task, .. } if task == victim.id()));
            if left == 0 {
                break;
            }
        }
        let ended = left > 0 || victim.is_done();
        setup.executor.cancel(victim.id());
        assert_eq!(setup.executor.run(), Stopped::Done, "dropped after {polls} polls");
        assert!(others.iter().all(|other| other.take().is_some()));
        let leases = [setup.lease(), setup.lease()];
        assert_eq!(setup.gauges().in_use, 2, "dropped after {polls} polls");
        drop(leases);
        if ended {
            assert!(polls > 8, "it has more than {polls} points to be dropped at");
            return;
        }
    }
}

/// Has three leases one after the other, and parts with each in another way.
fn rounds(setup: &Setup) -> impl Future<Output = ()> + 'static {
    let (pool, clock) = (setup.pool.clone(), setup.clock.clone());
    async move {
        let ways: [fn(SimLease); 3] = [drop, SimLease::discard, |lease| drop(lease.take())];
        for part in ways {
            let lease = pool.acquire().await;
            clock.alarm(clock.now().saturating_add(ms(2))).await;
            lease.map(part).unwrap_or_default();
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
