//! Get and drop, a connection being idle.

use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

use tokio::runtime::Runtime;

use super::*;
use crate::Contender;
use crate::harness::{Timed, filled, one_thread, run};

const HEAD: Head = nanoseconds(
    "warm",
    "get and drop, one thread",
    "One task gets a connection and drops it, over and over; 8 connections, all of them idle.",
);

pub(super) fn group() -> Group {
    let runtime = one_thread();
    let mut entries = vec![bound(&runtime)];
    entries.extend(each_pool!(entry(&runtime)));
    super::group(HEAD, entries)
}

/// The bound is a plain call: a future would make it slower, and is no part of what is least.
fn bound(runtime: &Runtime) -> Entry {
    let pool: Bound = run(runtime, filled(CONNECTIONS));
    Entry::repeated::<Bound>(move |times| {
        let start = Instant::now();
        for _ in 0..times {
            let lease = pool.try_get().expect("connections are idle");
            black_box(&*lease);
        }
        Timed { operations: times, elapsed: start.elapsed() }
    })
}

fn entry<C: Contender>(runtime: &Rc<Runtime>) -> Entry {
    let runtime = Rc::clone(runtime);
    let pool: C = run(&runtime, filled(CONNECTIONS));
    Entry::repeated::<C>(move |times| run(&runtime, get_and_drop(&pool, times)))
}

async fn get_and_drop<C: Contender>(pool: &C, times: u64) -> Timed {
    let start = Instant::now();
    for _ in 0..times {
        let lease = pool.get().await.expect("nothing fails here");
        black_box(&*lease);
    }
    Timed { operations: times, elapsed: start.elapsed() }
}
