//! Counts allocations and bytes. `memory [CASE]...`: the cases whose names begin so, or all. What
//! it counts is the same in every run, so it measures once.
#![forbid(unsafe_code)]

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use edgepool::Share;
use edgepool::tenants::Strategy;
use edgepool_bench::Contender;
use edgepool_bench::contenders::{
    Asyncband, Bb8, Deadpool, DeadpoolUnmanaged, Edgepool, EdgepoolDefaults, EdgepoolTimed,
    Fastpool, Mobc, TokioSemaphore, strategies, tenant_pools,
};
use edgepool_bench::harness::{filled, one_thread, run};
use edgepool_bench::output::{About, Head, Line, Series};

/// How many operations an average is of.
const OPERATIONS: u64 = 10_000;

const HEADS: [Head; 5] = [
    Head {
        id: "allocations-warm",
        title: "allocations of a get and drop",
        unit: "allocations",
        about: "A connection is idle. The average of 10,000, after as many.",
    },
    Head {
        id: "allocations-wait",
        title: "allocations of a wait",
        unit: "allocations",
        about: "The only connection is released after the future was polled once; none has a \
                timeout but bb8's, which has no other, and edgepool's by default. The average of \
                10,000, after as many.",
    },
    Head {
        id: "waiter-bytes",
        title: "bytes of a waiter",
        unit: "bytes",
        about: "The future and the growth of the heap together, of 10,000 that wait.",
    },
    Head {
        id: "waiter-future",
        title: "bytes of a waiter's future",
        unit: "bytes",
        about: "What the caller keeps: the size of the future.",
    },
    Head {
        id: "waiter-heap",
        title: "bytes of a waiter on the heap",
        unit: "bytes",
        about: "What the pool keeps: the growth of the heap as 10,000 futures are polled first, by \
                their number.",
    },
];

/// How many tenants are opened.
const TENANTS: usize = 100_000;

const TENANT: Head = Head {
    id: "tenant-bytes",
    title: "bytes of a tenant",
    unit: "bytes",
    about: "The growth of the heap as 100,000 tenants of one pool are opened, by their number, \
            and the handle that the caller keeps.",
};

/// How many tenants there are under each strategy.
const APART: usize = 10_000;

const STRATEGY: Head = Head {
    id: "strategies-memory",
    title: "bytes of a tenant, by the strategy",
    unit: "bytes",
    about: "The growth of the heap as each of 10,000 tenants has had a connection, by their number. \
            A pool each comes with its connection, which is a few bytes here.",
};

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |head: &&Head| {
        chosen.is_empty() || chosen.iter().any(|chosen| head.id.starts_with(chosen.as_str()))
    };
    if wanted(&&TENANT) {
        let series = vec![Series { contender: Edgepool::ABOUT, samples: vec![tenant()] }];
        Line::Case { head: TENANT, series }.print();
    }
    if wanted(&&STRATEGY) {
        let series = strategies(APART).map(|(contender, strategy)| Series {
            contender,
            samples: vec![tenant_apart(strategy)],
        });
        Line::Case { head: STRATEGY, series: series.into() }.print();
    }
    let heads: Vec<&Head> = HEADS.iter().filter(wanted).collect();
    if heads.is_empty() {
        return;
    }
    Line::Progress { done: 0, of: 1, next: "allocations and bytes".into() }.print();
    let all = [
        figures::<Edgepool>(),
        figures::<EdgepoolTimed>(),
        figures::<EdgepoolDefaults>(),
        figures::<TokioSemaphore>(),
        figures::<DeadpoolUnmanaged>(),
        figures::<Deadpool>(),
        figures::<Asyncband>(),
        figures::<Fastpool>(),
        figures::<Bb8>(),
        figures::<Mobc>(),
    ];
    for head in heads {
        let at = HEADS.iter().position(|other| other.id == head.id).expect("it is one of them");
        let series = all.iter().map(|(contender, figures)| Series {
            contender: *contender,
            samples: vec![figures[at]],
        });
        Line::Case { head: *head, series: series.collect() }.print();
    }
}

/// Returns by how much the heap grows for a tenant.
fn tenant() -> f64 {
    let pool: Edgepool = run(&one_thread(), filled(1));
    let mut tenants = Vec::with_capacity(TENANTS);
    let grown = measure(|| {
        tenants.extend((0..TENANTS).map(|_| pool.tenant(Share::new()).expect("it is in range")));
    });
    (size_of_val(&*tenants) as f64 + grown.bytes_current as f64) / TENANTS as f64
}

/// Returns by how much the heap grows for a tenant that has had a connection.
fn tenant_apart(strategy: Strategy) -> f64 {
    let runtime = one_thread();
    let ids: Vec<String> = (0..APART).map(|tenant| format!("tenant-{tenant}")).collect();
    let pools = run(&runtime, async { tenant_pools(strategy) });
    let grown = measure(|| {
        run(&runtime, async {
            for id in &ids {
                drop(pools.acquire(id).await.expect("nothing fails here"));
            }
        });
    });
    grown.bytes_current as f64 / APART as f64
}

/// Returns a figure for each head.
fn figures<C: Contender>() -> (About, [f64; 5]) {
    let warm = allocations(gets::<C>);
    let wait = allocations(waits::<C>);
    let (future, heap) = waiter::<C>();
    (C::ABOUT, [warm, wait, future + heap, future, heap])
}

/// Returns how many allocations an operation makes. What the executor allocates for a run is made
/// up for by a run without any operation.
fn allocations<C: Contender>(operate: impl AsyncFn(&C, u64)) -> f64 {
    let runtime = one_thread();
    let pool: C = run(&runtime, filled(1));
    let count = |operations| {
        let counted = measure(|| {
            run(&runtime, operate(&pool, operations));
        });
        counted.count_total as f64
    };
    count(OPERATIONS);
    let without = count(0);
    (count(OPERATIONS) - without) / OPERATIONS as f64
}

async fn gets<C: Contender>(pool: &C, times: u64) {
    for _ in 0..times {
        let lease = pool.get().await.expect("nothing fails here");
        black_box(&*lease);
    }
}

async fn waits<C: Contender>(pool: &C, times: u64) {
    let mut held = pool.get().await.expect("nothing fails here");
    for _ in 0..times {
        let mut next = pin!(pool.get());
        let first = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx).is_pending()));
        assert!(first.await, "the only connection is held");
        drop(held);
        held = next.await.expect("nothing fails here");
    }
}

/// Returns the size of a waiting caller's future, and by how much the heap grows for it.
fn waiter<C: Contender>() -> (f64, f64) {
    let runtime = one_thread();
    let pool: C = run(&runtime, filled(1));
    let held = run(&runtime, pool.get()).expect("nothing fails here");
    let _entered = runtime.enter();
    let mut cx = Context::from_waker(Waker::noop());
    let mut futures: Vec<_> = (0..OPERATIONS).map(|_| Box::pin(pool.get())).collect();
    let future = size_of_val(&*futures[0]);
    let grown = measure(|| {
        for future in &mut futures {
            assert!(future.as_mut().poll(&mut cx).is_pending(), "the only connection is held");
        }
    });
    drop(futures);
    drop(held);
    (future as f64, grown.bytes_current as f64 / OPERATIONS as f64)
}
