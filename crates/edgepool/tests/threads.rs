//! The pool under real threads and the real clock: nothing is lost, whoever gives up when.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use edgepool::{AcquireError, Factory, Pool, StdClock, factory_fn};
use futures::executor::block_on;

const MAX: u32 = 3;
const THREADS: u64 = 6;
const ROUNDS: u64 = 3_000;

/// A creation that is ready the second time it is polled.
fn slow_creation() -> impl Future<Output = Result<(), Infallible>> {
    let mut polled = false;
    poll_fn(move |cx| {
        if polled {
            return Poll::Ready(Ok(()));
        }
        polled = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

/// Polls an acquire `patience` times, then gives it up.
async fn impatient<T>(acquire: impl Future<Output = T>, patience: u64) -> Option<T> {
    let mut acquire = pin!(acquire);
    let mut left = patience;
    poll_fn(|cx| match acquire.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

fn hammer<F: Factory<Connection = ()>>(pool: &Pool<F, StdClock>, held: &AtomicU32, thread: u64) {
    for round in 0..ROUNDS {
        let choice = round.wrapping_mul(2_654_435_761).wrapping_add(thread) >> 7;
        let lease = match choice % 4 {
            0 => block_on(impatient(pool.acquire(), choice % 3)).and_then(Result::ok),
            1 => pool.try_acquire(),
            _ => block_on(pool.acquire()).ok(),
        };
        let Some(lease) = lease else { continue };
        assert!(held.fetch_add(1, Ordering::SeqCst) < MAX, "more leases out than max");
        if choice % 5 == 0 {
            thread::yield_now();
        }
        held.fetch_sub(1, Ordering::SeqCst);
        match choice % 7 {
            0 => lease.discard(),
            1 => lease.take(),
            _ => drop(lease),
        }
    }
}

#[test]
fn threads_that_wait_and_give_up_lose_nothing() {
    let pool = Pool::builder(factory_fn(slow_creation), StdClock).max(MAX).build().unwrap();
    let held = Arc::new(AtomicU32::new(0));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (pool, held) = (pool.clone(), Arc::clone(&held));
            scope.spawn(move || hammer(&pool, &held, thread));
        }
    });
    pool.check().unwrap();
    let stats = pool.stats();
    assert_eq!((stats.gauges.in_use, stats.gauges.waiting, stats.gauges.offered), (0, 0, 0));
    assert_eq!(stats.counters.timed_out, 0, "nobody slept beside an idle connection");
    assert_eq!(stats.counters.failed, 0, "no creation stood still");
    let all: Vec<_> = (0..MAX).map(|_| block_on(pool.acquire()).unwrap()).collect();
    assert_eq!(all.len(), MAX as usize);
}

#[test]
fn the_std_clock_wakes_a_waiter_at_its_deadline() {
    let factory = factory_fn(|| async { Ok::<_, Infallible>(()) });
    let pool = Pool::builder(factory, StdClock).max(1).build().unwrap();
    let _held = block_on(pool.acquire()).unwrap();
    let waited = block_on(pool.acquire().timeout(Duration::from_millis(20))).unwrap_err();
    let AcquireError::TimedOut(timed_out) = waited else { panic!("{waited:?}") };
    let (waited, pool) = (timed_out.waited, timed_out.pool);
    assert!(waited >= Duration::from_millis(20), "it waited {waited:?}");
    assert_eq!((pool.in_use, pool.waiting), (1, 0));
}
