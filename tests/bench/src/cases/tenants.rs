//! Tenants that share the connections, each call for one of them at random.

use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use edgepool::{Share, Tenant};
use tokio::runtime::Runtime;

use super::*;
use crate::Contender;
use crate::contenders::Maker;
use crate::harness::{Repeated, Timed, filled, one_thread, run};

const ABOUT: &str = "One task gets a connection for a tenant that is drawn at random, and drops it, \
                     over and over. With a pool for each tenant there is a connection for each.";

/// How many tenants there are.
const COUNTS: [usize; 4] = [1, 100, 10_000, 100_000];

/// The numbers are measured beside each other: how they compare is a mark.
pub(super) fn group() -> Group {
    let runtime = one_thread();
    let heads = vec![
        nanoseconds("tenants-1", "get and drop, 1 tenant", ABOUT),
        nanoseconds("tenants-100", "get and drop, 100 tenants at random", ABOUT),
        nanoseconds("tenants-10k", "get and drop, 10,000 tenants at random", ABOUT),
        nanoseconds("tenants-100k", "get and drop, 100,000 tenants at random", ABOUT),
    ];
    let entries = vec![
        Entry::of(Edgepool::ABOUT, COUNTS.map(|count| of_one_pool(&runtime, count)).into()),
        pool_each::<EdgepoolDefaults>(&runtime),
        pool_each::<DeadpoolUnmanaged>(&runtime),
        pool_each::<Deadpool>(&runtime),
        pool_each::<TokioSemaphore>(&runtime),
    ];
    Group { heads, entries, sliced: true }
}

fn of_one_pool(runtime: &Rc<Runtime>, count: usize) -> Repeated {
    let runtime = Rc::clone(runtime);
    let pool: Edgepool = run(&runtime, filled(CONNECTIONS));
    let open = |_| pool.tenant(Share::new()).expect("the share is in range");
    let tenants: Arc<[Tenant<Maker, _>]> = (0..count).map(open).collect();
    let mut draw = draws(count);
    Box::new(move |times| {
        run(&runtime, async {
            let start = Instant::now();
            for _ in 0..times {
                let lease = pool.get_for(&tenants[draw()]).await.expect("nothing fails here");
                black_box(&*lease);
            }
            Timed { operations: times, elapsed: start.elapsed() }
        })
    })
}

fn pool_each<C: Contender>(runtime: &Rc<Runtime>) -> Entry {
    let measure = |count: usize| -> Repeated {
        let runtime = Rc::clone(runtime);
        let mut pools: Option<Vec<C>> = None;
        let mut draw = draws(count);
        Box::new(move |times| {
            // Made when they are first used, as they are many.
            let pools = pools.get_or_insert_with(|| run(&runtime, pools_of_one(count)));
            run(&runtime, async {
                let start = Instant::now();
                for _ in 0..times {
                    let lease = pools[draw()].get().await.expect("nothing fails here");
                    black_box(&*lease);
                }
                Timed { operations: times, elapsed: start.elapsed() }
            })
        })
    };
    Entry::of(C::ABOUT, COUNTS.map(measure).into())
}

/// Makes so many pools, each with its connection. To wait for each as [`filled`] does takes too long.
async fn pools_of_one<C: Contender>(count: usize) -> Vec<C> {
    let mut pools = Vec::with_capacity(count);
    for _ in 0..count {
        let pool = C::open(1).await;
        drop(pool.get().await.expect("nothing fails here"));
        pools.push(pool);
    }
    pools
}
