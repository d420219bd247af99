//! The ways to keep tenants apart, side by side.

use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

use edgepool::tenants::{Strategy, TenantId};
use tokio::runtime::Runtime;

use super::*;
use crate::contenders::{Strategies, strategies, tenant_pools};
use crate::harness::{one_thread, run};

/// How many tenants there are, and how often they come after the first time.
const TENANTS: usize = 10_000;
const LATER: usize = 100_000;

const HEADS: [Head; 4] = [
    nanoseconds(
        "strategies-first",
        "a tenant's first acquire",
        "10,000 tenants, one after the other, each for the first time: its pool is opened and its \
         connection made, or it is entered in the pool of all. What a real connection takes comes on \
         top, where one is made.",
    ),
    nanoseconds(
        "strategies-warm",
        "acquire and release, 10,000 tenants at random",
        "The same tenants, each of which has what it needs.",
    ),
    Head {
        id: "strategies-crossed",
        title: "leases of a connection that another tenant had before, of 100",
        unit: "leases",
        about: "What a tenant is kept apart by, where there are any: the context that is put on at \
                hand-over and taken off on return.",
    },
    Head {
        id: "strategies-foreign",
        title: "leases that showed another tenant's context, of 100,000",
        unit: "leases",
        about: "Each lease is looked at: whose rows would its connection show?",
    },
];

pub(super) fn group() -> Group {
    let runtime = one_thread();
    let entries = strategies(TENANTS).map(|(about, strategy)| entry(&runtime, about, strategy));
    Group { heads: HEADS.into(), entries: entries.into(), sliced: true }
}

fn entry(runtime: &Rc<Runtime>, about: About, strategy: Strategy) -> Entry {
    let runtime = Rc::clone(runtime);
    let ids: Vec<TenantId> = (0..TENANTS).map(id).collect();
    Entry::whole(about, move || run(&runtime, side_by_side(strategy, &ids)))
}

fn id(tenant: usize) -> TenantId {
    TenantId::new(&format!("tenant-{tenant}")).expect("letters and a number")
}

/// What was seen of the leases of all tenants.
#[derive(Default)]
struct Seen {
    crossed: usize,
    foreign: usize,
}

async fn side_by_side(strategy: Strategy, ids: &[TenantId]) -> Vec<f64> {
    let pools = tenant_pools(strategy);
    let mut seen = Seen::default();
    let first = timed(&pools, ids.iter(), &mut seen).await;
    let mut draw = draws(ids.len());
    let mut seen = Seen::default();
    let later: Vec<&TenantId> = (0..LATER).map(|_| &ids[draw()]).collect();
    let warm = timed(&pools, later.into_iter(), &mut seen).await;
    let crossed = 100.0 * seen.crossed as f64 / LATER as f64;
    vec![first, warm, crossed, seen.foreign as f64]
}

/// Returns the nanoseconds of an acquire and release, for one tenant after the other.
async fn timed<'a>(
    pools: &Strategies,
    ids: impl ExactSizeIterator<Item = &'a TenantId>,
    seen: &mut Seen,
) -> f64 {
    let (count, start) = (ids.len(), Instant::now());
    for id in ids {
        let session = pools.acquire(id.as_str()).await.expect("nothing fails here");
        seen.foreign += usize::from(session.tenant.as_ref() != Some(id));
        seen.crossed += usize::from(session.first.as_ref() != Some(id));
        black_box(&*session);
    }
    start.elapsed().as_nanos() as f64 / count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_cross_where_they_are_shared_and_show_nobody_elses() {
        let runtime = one_thread();
        let ids: Vec<TenantId> = (0..10).map(id).collect();
        let crossed = strategies(10).map(|(about, strategy)| {
            let figures = run(&runtime, side_by_side(strategy, &ids));
            assert_eq!(figures[3], 0.0, "{}", about.name);
            figures[2]
        });
        assert!(crossed[0] > 50.0 && crossed[1..] == [0.0, 0.0], "{crossed:?}");
    }
}
