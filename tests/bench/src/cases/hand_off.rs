//! One connection, and a long queue for it.

use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::unconstrained;

use super::*;
use crate::Contender;
use crate::harness::{Repeated, Timed, filled, one_thread, run, yield_once};

const ABOUT: &str = "This many tasks wait for one connection. It is released, and each that has it \
                     drops it at once. The time of one is from there to the end, by their number; \
                     the executor's part, to wake and poll a task, is in it.";

/// The lengths are measured beside each other: how they compare is a mark.
pub(super) fn group() -> Group {
    let runtime = one_thread();
    let heads = vec![
        nanoseconds("hand-off-1k", "hand-off, 1,000 waiting", ABOUT),
        nanoseconds("hand-off-10k", "hand-off, 10,000 waiting", ABOUT),
        nanoseconds("hand-off-100k", "hand-off, 100,000 waiting", ABOUT),
    ];
    Group { heads, entries: each_pool!(entry(&runtime)), sliced: true }
}

fn entry<C: Contender>(runtime: &Rc<Runtime>) -> Entry {
    Entry::of(C::ABOUT, [1_000, 10_000, 100_000].map(|n| through::<C>(runtime, n)).into())
}

fn through<C: Contender>(runtime: &Rc<Runtime>, waiters: u64) -> Repeated {
    let runtime = Rc::clone(runtime);
    let pool: C = run(&runtime, filled(1));
    let hand_on = move || run(&runtime, hand_on(pool.clone(), waiters));
    Box::new(move |times| Timed {
        operations: times * waiters,
        elapsed: (0..times).map(|_| hand_on()).sum(),
    })
}

/// What the tasks share. Each has one handle to all of it, whatever a pool's own handle is made of.
struct Queue<C> {
    pool: C,
    queued: AtomicU64,
    left: AtomicU64,
    done: Notify,
}

async fn hand_on<C: Contender>(pool: C, waiters: u64) -> Duration {
    let held = pool.get().await.expect("nothing fails here");
    let queue = Arc::new(Queue {
        pool: pool.clone(),
        queued: AtomicU64::new(0),
        left: AtomicU64::new(waiters),
        done: Notify::new(),
    });
    let spawn = |_| tokio::spawn(unconstrained(wait(Arc::clone(&queue))));
    // The handles keep the memory of the tasks until the time is taken.
    let tasks: Vec<_> = (0..waiters).map(spawn).collect();
    while queue.queued.load(Ordering::Relaxed) < waiters {
        yield_once().await;
    }
    let start = Instant::now();
    drop(held);
    queue.done.notified().await;
    let elapsed = start.elapsed();
    drop(tasks);
    elapsed
}

async fn wait<C: Contender>(queue: Arc<Queue<C>>) {
    // It counts before it asks, and does both in one poll.
    queue.queued.fetch_add(1, Ordering::Relaxed);
    let lease = queue.pool.get().await.expect("nothing fails here");
    black_box(&*lease);
    drop(lease);
    if queue.left.fetch_sub(1, Ordering::Relaxed) == 1 {
        queue.done.notify_one();
    }
}
