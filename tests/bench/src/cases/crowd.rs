//! More tasks than connections.

use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

use tokio::runtime::Runtime;
use tokio::task::unconstrained;

use super::*;
use crate::Contender;
use crate::harness::{Timed, filled, one_thread, run, two_threads, yield_once};

const ONE: Head = nanoseconds(
    "crowd-1",
    "64 tasks on 8, one thread",
    "Each of 64 tasks gets one of 8 connections, lets every other task have a turn, and drops it.",
);

const TWO: Head = nanoseconds(
    "crowd-2",
    "256 tasks on 8, two threads",
    "The same with 256 tasks on two worker threads; the time is the wall's, for all operations.",
);

pub(super) fn on_one_thread() -> Group {
    let runtime = one_thread();
    super::group(ONE, each_pool!(entry(&runtime, 64), NoPool, Bound))
}

pub(super) fn on_two_threads() -> Group {
    let runtime = two_threads();
    let group = super::group(TWO, each_pool!(entry(&runtime, 256), NoPool, Bound));
    Group { sliced: false, ..group }
}

fn entry<C: Contender>(runtime: &Rc<Runtime>, tasks: u64) -> Entry {
    let runtime = Rc::clone(runtime);
    let pool: C = run(&runtime, filled(CONNECTIONS));
    Entry::repeated::<C>(move |turns| run(&runtime, crowd(&pool, tasks, turns)))
}

async fn crowd<C: Contender>(pool: &C, tasks: u64, turns: u64) -> Timed {
    let start = Instant::now();
    let spawn = |_| tokio::spawn(unconstrained(member(pool.clone(), turns)));
    let members: Vec<_> = (0..tasks).map(spawn).collect();
    for member in members {
        member.await.expect("a task does not panic");
    }
    Timed { operations: tasks * turns, elapsed: start.elapsed() }
}

async fn member<C: Contender>(pool: C, turns: u64) {
    for _ in 0..turns {
        let lease = pool.get().await.expect("nothing fails here");
        yield_once().await;
        black_box(&*lease);
    }
}
