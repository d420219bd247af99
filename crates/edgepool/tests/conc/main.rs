//! Small scenarios of a few threads, each run in many schedules: by loom in all of them (up to a
//! bound), by shuttle in random ones, under miri and plainly in those that come.
//!
//! A caller that is not woken is a deadlock, which loom and shuttle see and tell; plainly and under
//! miri, it is somebody who sleeps for too long.
//!
//! | how | command, before `cargo test -p edgepool --test conc` |
//! |---|---|
//! | loom | `RUSTFLAGS="--cfg edgepool_loom" LOOM_MAX_PREEMPTIONS=2`, with `--profile thorough` |
//! | shuttle | `RUSTFLAGS="--cfg edgepool_shuttle"`, with `--profile thorough` |
//! | miri | `MIRIFLAGS=-Zmiri-disable-isolation`, as `cargo +nightly miri test` |

mod gated;
#[path = "../hand_clock/mod.rs"]
mod hand_clock;
mod threads;

use std::convert::Infallible;
use std::future::Future;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Waker};
use std::time::Duration;

use edgepool::{AcquireError, Pool};

use gated::{Gated, GatedLease, GatedPool, builder, leave, pool, take_one};
use hand_clock::HandClock;
use threads::{block_on, model, poll_times, spawn};

#[test]
fn a_release_meets_an_acquire() {
    model(|| {
        let factory = Gated::default();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        let releasing = spawn(move || drop(lease));
        drop(block_on(pool.acquire()).unwrap());
        releasing.join().unwrap();
        assert_eq!(factory.tally.made.load(SeqCst), 1);
        leave(pool, &factory);
    });
}

#[test]
fn a_waiter_gives_up_as_a_connection_comes_back() {
    model(|| {
        let factory = Gated::default();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        let impatient = spawn({
            let pool = pool.clone();
            move || drop(poll_times(pool.acquire(), 1))
        });
        let releasing = spawn(move || drop(lease));
        drop(block_on(pool.acquire()).unwrap());
        impatient.join().unwrap();
        releasing.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_claim_meets_a_cancellation() {
    model(|| {
        let factory = Gated::default();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        let mut first = Box::pin(pool.acquire());
        let noop = &mut Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(noop).is_pending());
        let second = spawn({
            let pool = pool.clone();
            move || drop(block_on(pool.acquire()).unwrap())
        });
        let releasing = spawn(move || drop(lease));
        // Either it has the offer by now, and claims it, or it leaves the queue.
        drop(first.as_mut().poll(noop));
        drop(first);
        second.join().unwrap();
        releasing.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_discard_meets_a_waiter() {
    model(|| {
        let factory = Gated::default();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        let discarding = spawn(move || lease.discard());
        // The creation is begun over there, and polled here.
        drop(block_on(pool.acquire()).unwrap());
        discarding.join().unwrap();
        assert_eq!(factory.tally.made.load(SeqCst), 2);
        leave(pool, &factory);
    });
}

#[test]
fn a_job_is_woken_while_it_is_polled() {
    model(|| {
        let (gate, factory) = Gated::creating();
        let pool = pool(&factory, 1);
        let opening = spawn(move || gate.open());
        drop(block_on(pool.acquire()).unwrap());
        opening.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn two_callers_poll_each_others_jobs() {
    model(|| {
        let (gate, factory) = Gated::creating();
        let pool = pool(&factory, 2);
        let opening = spawn(move || gate.open());
        let other = spawn({
            let pool = pool.clone();
            move || block_on(pool.acquire()).unwrap()
        });
        let lease = block_on(pool.acquire()).unwrap();
        drop((lease, other.join().unwrap()));
        opening.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_caller_that_drives_leaves_as_its_job_is_woken() {
    model(|| {
        let (gate, factory) = Gated::creating();
        let pool = pool(&factory, 1);
        let mut driving = Box::pin(pool.acquire());
        assert!(driving.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let opening = spawn(move || gate.open());
        let other = spawn({
            let pool = pool.clone();
            move || drop(block_on(pool.acquire()).unwrap())
        });
        drop(driving);
        other.join().unwrap();
        opening.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_driver_leaves_as_a_job_is_woken() {
    model(|| {
        let (gate, factory) = Gated::creating();
        let pool = pool(&factory, 1);
        let opening = spawn(move || gate.open());
        let driving = spawn({
            let pool = pool.clone();
            move || poll_times(pool.driver(), 1)
        });
        drop(block_on(pool.acquire()).unwrap());
        opening.join().unwrap();
        assert!(driving.join().unwrap().is_none());
        leave(pool, &factory);
    });
}

#[test]
fn a_driver_serves_a_caller_and_ends_with_the_pool() {
    model(|| {
        let (gate, factory) = Gated::creating();
        let pool = pool(&factory, 1);
        let driver = pool.driver();
        let driving = spawn(move || block_on(driver));
        let opening = spawn(move || gate.open());
        drop(block_on(pool.acquire()).unwrap());
        leave(pool, &factory);
        driving.join().unwrap();
        opening.join().unwrap();
    });
}

#[test]
fn a_tick_takes_the_turn_of_a_caller() {
    model(|| {
        let (gate, factory) = Gated::creating();
        let pool = pool(&factory, 1);
        let opening = spawn(move || gate.open());
        let ticking = spawn({
            let pool = pool.clone();
            move || pool.tick()
        });
        drop(block_on(pool.acquire()).unwrap());
        opening.join().unwrap();
        ticking.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_caller_is_refused_whose_creation_another_one_waits_for() {
    model(|| {
        let (gate, factory) = Gated::creating();
        let pool = builder(&factory, 1).max_waiting(0).build().unwrap();
        let opening = spawn(move || gate.open());
        let acquire = |pool: &GatedPool| match block_on(pool.acquire()) {
            Ok(lease) => drop(lease),
            Err(error) => assert!(matches!(error, AcquireError::QueueFull { .. }), "{error:?}"),
        };
        let other = spawn({
            let pool = pool.clone();
            move || acquire(&pool)
        });
        acquire(&pool);
        other.join().unwrap();
        opening.join().unwrap();
        assert_eq!(factory.tally.made.load(SeqCst), 1);
        leave(pool, &factory);
    });
}

#[test]
fn a_close_meets_an_acquire_and_a_release() {
    model(|| {
        let factory = Gated::default();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        let closing = spawn({
            let pool = pool.clone();
            move || pool.close()
        });
        let releasing = spawn(move || drop(lease));
        match block_on(pool.acquire()) {
            Ok(lease) => drop(lease),
            Err(error) => assert!(matches!(error, AcquireError::Closed), "{error:?}"),
        }
        closing.join().unwrap();
        releasing.join().unwrap();
        assert_eq!(pool.stats().gauges.size, 0);
        leave(pool, &factory);
    });
}

#[test]
fn the_last_handle_is_dropped_with_a_lease() {
    model(|| {
        let factory = Gated::default();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        let driver = pool.driver();
        let driving = spawn(move || block_on(driver));
        let releasing = spawn(move || drop(lease));
        drop(pool);
        releasing.join().unwrap();
        driving.join().unwrap();
        assert_eq!(factory.tally.gone.load(SeqCst), 1);
    });
}

#[test]
fn what_a_caller_needs_that_needs_two_comes_one_by_one() {
    model(|| {
        let factory = Gated::default();
        let pool = pool(&factory, 2);
        let (one, other) = (take_one(&pool), take_one(&pool));
        let releasing = spawn(move || drop(one));
        let rival = spawn({
            let pool = pool.clone();
            move || drop(block_on(pool.acquire()).unwrap())
        });
        drop(other);
        let both = block_on(pool.acquire_many(2)).unwrap();
        assert_eq!(both.len(), 2);
        drop(both);
        releasing.join().unwrap();
        rival.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_reset_that_its_releaser_waits_for_ends_elsewhere() {
    model(|| {
        let (gate, factory) = Gated::resetting();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        let opening = spawn(move || gate.open());
        let waiting = spawn({
            let pool = pool.clone();
            move || block_on(pool.acquire()).unwrap().take()
        });
        block_on(lease.release()).unwrap();
        drop(waiting.join().unwrap());
        opening.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_waiter_takes_over_a_reset_that_nobody_waits_for() {
    model(|| {
        let (gate, factory) = Gated::resetting();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        let opening = spawn(move || gate.open());
        let releasing = spawn(move || drop(poll_times(lease.release(), 1)));
        drop(block_on(pool.acquire()).unwrap().take());
        opening.join().unwrap();
        releasing.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_lease_is_dropped_whose_reset_takes_time() {
    model(|| {
        let (gate, factory) = Gated::resetting();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        let opening = spawn(move || gate.open());
        // The reset is begun over there, and polled here.
        let releasing = spawn(move || drop(lease));
        drop(block_on(pool.acquire()).unwrap().take());
        opening.join().unwrap();
        releasing.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_creation_is_given_up_while_it_is_polled() {
    model(|| {
        let (gate, factory) = Gated::creating();
        let pool = pool(&factory, 1);
        let opening = spawn(move || gate.open());
        let invalidating = spawn({
            let pool = pool.clone();
            move || pool.invalidate_all()
        });
        // The next creation takes the place of the one that was given up.
        drop(block_on(pool.acquire()).unwrap());
        opening.join().unwrap();
        invalidating.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_pause_ends_for_a_waiter() {
    model(|| {
        let factory = Gated::default();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        pool.pause();
        let resuming = spawn({
            let pool = pool.clone();
            move || pool.resume()
        });
        let releasing = spawn(move || drop(lease));
        drop(block_on(pool.acquire()).unwrap());
        resuming.join().unwrap();
        releasing.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_drain_waits_for_a_lease_and_its_closing() {
    model(|| {
        let (gate, factory) = Gated::closing();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        let opening = spawn(move || gate.open());
        let releasing = spawn(move || drop(lease));
        block_on(pool.drain(None)).unwrap();
        opening.join().unwrap();
        releasing.join().unwrap();
        assert_eq!(factory.tally.gone.load(SeqCst), 1);
        leave(pool, &factory);
    });
}

#[test]
fn connections_are_made_ahead_while_one_is_wanted() {
    model(|| {
        let (gate, factory) = Gated::creating();
        let pool = pool(&factory, 2);
        let opening = spawn(move || gate.open());
        let preparing = spawn({
            let pool = pool.clone();
            move || block_on(pool.warm_up(2))
        });
        drop(block_on(pool.acquire()).unwrap());
        preparing.join().unwrap().unwrap();
        opening.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_deadline_passes_as_a_connection_comes_back() {
    model(|| {
        let factory = Gated::default();
        let clock = HandClock::default();
        let builder = Pool::builder(factory.clone(), clock.clone()).max(1).min_idle(0).seed(0);
        let pool = builder.build().unwrap();
        let lease = take_one(&pool);
        let passing = spawn({
            let pool = pool.clone();
            move || {
                clock.pass(Duration::from_secs(2));
                pool.tick();
            }
        });
        let releasing = spawn(move || drop(lease));
        // If the time passes before it asks, its own has not begun.
        match poll_or_wait(&pool) {
            Ok(lease) => drop(lease),
            Err(error) => assert!(matches!(error, AcquireError::TimedOut(_)), "{error:?}"),
        }
        passing.join().unwrap();
        releasing.join().unwrap();
        leave(pool, &factory);
    });
}

fn poll_or_wait(pool: &GatedPool) -> Result<GatedLease, AcquireError<Infallible>> {
    block_on(pool.acquire().timeout(Duration::from_secs(1)))
}
