//! One task that has the connection again and again, beside one that waits for it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use tokio::runtime::Runtime;
use tokio::task::unconstrained;

use super::*;
use crate::Contender;
use crate::harness::{filled, one_thread, run, yield_once};

const ROUNDS: u64 = 100_000;

const ABOUT: &str = "One task gets the only connection, yields, drops it and asks again at once, \
                     100,000 times. Another asks for it, drops it as soon as it has it, yields, and \
                     asks again. A wait of many milliseconds is one that ended with the hog.";

const HEADS: [Head; 3] = [
    Head {
        id: "hog-overtakes",
        title: "overtaken by a hog, in 100,000 rounds",
        unit: "times",
        about: "How often the hog asked after the other and was served before it.",
    },
    nanoseconds("hog-p50", "wait beside a hog, median", ABOUT),
    nanoseconds("hog-p99.9", "wait beside a hog, 99.9th percentile", ABOUT),
];

pub(super) fn group() -> Group {
    let runtime = one_thread();
    Group { heads: HEADS.into(), entries: each_pool!(entry(&runtime), Bound), sliced: true }
}

fn entry<C: Contender>(runtime: &Rc<Runtime>) -> Entry {
    let runtime = Rc::clone(runtime);
    let pool: C = run(&runtime, filled(1));
    Entry::whole(C::ABOUT, move || run(&runtime, beside(pool.clone())))
}

/// What the two tasks tell each other. All on one thread: nothing has to be ordered.
#[derive(Default)]
struct Between {
    /// The number of the wait that is under way; 0 if there is none.
    wait: AtomicU64,
    done: AtomicBool,
}

async fn beside<C: Contender>(pool: C) -> Vec<f64> {
    let between = Arc::new(Between::default());
    let hog = tokio::spawn(unconstrained(hog(pool.clone(), Arc::clone(&between))));
    let waits = tokio::spawn(unconstrained(wait(pool, between)));
    let overtakes = hog.await.expect("a task does not panic");
    let mut waits = waits.await.expect("a task does not panic");
    waits.sort_unstable();
    vec![overtakes as f64, percentile(&waits, 0.5), percentile(&waits, 0.999)]
}

async fn hog<C: Contender>(pool: C, between: Arc<Between>) -> u64 {
    let mut overtakes = 0;
    for _ in 0..ROUNDS {
        let ahead = between.wait.load(Ordering::Relaxed);
        let lease = pool.get().await.expect("nothing fails here");
        overtakes += u64::from(ahead != 0 && ahead == between.wait.load(Ordering::Relaxed));
        yield_once().await;
        drop(lease);
    }
    between.done.store(true, Ordering::Relaxed);
    overtakes
}

/// Returns how long each wait took, the one that was under way when the hog ended among them.
async fn wait<C: Contender>(pool: C, between: Arc<Between>) -> Vec<u64> {
    let mut waits = Vec::with_capacity(ROUNDS as usize + 1);
    while !between.done.load(Ordering::Relaxed) {
        let number = waits.len() as u64 + 1;
        let asked = Instant::now();
        let mut waited = false;
        let mut get = pin!(pool.get());
        let lease = poll_fn(|cx| {
            let polled = get.as_mut().poll(cx);
            waited |= polled.is_pending();
            let under_way = if polled.is_pending() { number } else { 0 };
            between.wait.store(under_way, Ordering::Relaxed);
            polled
        });
        let lease = lease.await.expect("nothing fails here");
        if waited {
            waits.push(u64::try_from(asked.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
        drop(lease);
        yield_once().await;
    }
    waits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overtakes<C: Contender>() -> f64 {
        let runtime = one_thread();
        let pool: C = run(&runtime, filled(1));
        run(&runtime, beside(pool))[0]
    }

    #[test]
    fn who_waits_is_overtaken_where_nobody_queues_and_only_there() {
        assert!(overtakes::<Bound>() > 0.9 * ROUNDS as f64);
        assert_eq!(overtakes::<TokioSemaphore>(), 0.0);
    }
}
