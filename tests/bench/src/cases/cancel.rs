//! A waiter that gives up.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::*;
use crate::Contender;
use crate::harness::{Repeated, Timed, filled, one_thread, run};

const ABOUT: &str = "This many futures wait for one connection, and half of them are dropped, in a \
                     random order. Their memory is freed later, and is not in the time.";

/// The lengths are measured beside each other: how they compare is a mark.
pub(super) fn group() -> Group {
    let runtime = one_thread();
    let heads = vec![
        nanoseconds("cancel-10k", "cancel one of 10,000 at random", ABOUT),
        nanoseconds("cancel-100k", "cancel one of 100,000 at random", ABOUT),
    ];
    Group { heads, entries: each_pool!(entry(&runtime)), sliced: true }
}

fn entry<C: Contender>(runtime: &Rc<Runtime>) -> Entry {
    Entry::of(C::ABOUT, [10_000, 100_000].map(|n| among::<C>(runtime, n)).into())
}

fn among<C: Contender>(runtime: &Rc<Runtime>, waiters: usize) -> Repeated {
    let runtime = Rc::clone(runtime);
    let pool: C = run(&runtime, filled(1));
    let mut order: Vec<usize> = (0..waiters).collect();
    fastrand::Rng::with_seed(1).shuffle(&mut order);
    order.truncate(waiters / 2);
    Box::new(move |times| {
        let elapsed = (0..times).map(|_| cancel(&pool, &runtime, waiters, &order)).sum();
        Timed { operations: times * order.len() as u64, elapsed }
    })
}

fn cancel<C: Contender>(pool: &C, runtime: &Runtime, waiters: usize, order: &[usize]) -> Duration {
    let held = run(runtime, pool.get()).expect("nothing fails here");
    // A pool's timeouts may ask for the executor; it does not run meanwhile.
    let _entered = runtime.enter();
    let mut cx = Context::from_waker(Waker::noop());
    let mut futures: Vec<_> = (0..waiters).map(|_| Box::pin(Some(pool.get()))).collect();
    for future in &mut futures {
        let future = future.as_mut().as_pin_mut().expect("it was not dropped yet");
        assert!(future.poll(&mut cx).is_pending(), "the only connection is held");
    }
    let start = Instant::now();
    for &at in order {
        Pin::set(&mut futures[at].as_mut(), None);
    }
    let elapsed = start.elapsed();
    drop(futures);
    drop(held);
    elapsed
}
