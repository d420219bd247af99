//! A connection is created and leaves the pool.

use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

use futures::FutureExt as _;
use tokio::runtime::Runtime;

use super::*;
use crate::contenders::Creates;
use crate::harness::{Timed, one_thread, run};

const HEAD: Head = nanoseconds(
    "create-take",
    "create and take, no executor",
    "The pool is empty: a get creates a connection, which is taken out of the pool. The future is \
     polled once by hand. Pools that cannot do both so are not in it.",
);

pub(super) fn group() -> Group {
    let runtime = one_thread();
    let entries = vec![
        entry::<Edgepool>(&runtime),
        entry::<EdgepoolTimed>(&runtime),
        entry::<EdgepoolDefaults>(&runtime),
        entry::<Deadpool>(&runtime),
        entry::<Asyncband>(&runtime),
        entry::<Fastpool>(&runtime),
        entry::<Mobc>(&runtime),
    ];
    super::group(HEAD, entries)
}

fn entry<C: Creates>(runtime: &Rc<Runtime>) -> Entry {
    let pool: C = run(runtime, C::open(CONNECTIONS));
    Entry::repeated::<C>(move |times| {
        let start = Instant::now();
        for _ in 0..times {
            let made = pool.get().now_or_never().expect("a creation is done at once");
            black_box(C::take(made.expect("nothing fails here")));
        }
        Timed { operations: times, elapsed: start.elapsed() }
    })
}
