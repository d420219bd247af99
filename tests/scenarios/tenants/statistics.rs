//! What is told of tenants, one by one and together.

use edgepool_sim::{Call, Trial};
use edgepool_tests::secs;

use super::{BankBuilder, World, per_tenant, shared};

/// While pools are asked how they stand, a tenant may go: what it had counts as before.
#[test]
fn totals_never_go_back() {
    let set = |it: BankBuilder| it.pool(|pool| pool.idle_timeout(secs(10)));
    let world = World::new(per_tenant(2, 1), set);
    for tenant in ["a", "b"] {
        world.clock.advance(secs(1));
        drop(world.lease(tenant));
    }
    let before = world.pools.totals().usage;
    // The connection of the first is overdue by now, and closed as its pool is asked.
    world.clock.advance(secs(9));
    let pools = world.pools.clone();
    world.bank.of("a").on_call(move |call| {
        if let Call::Close(_) = call {
            drop(pools.remove("b"));
        }
    });
    let after = world.pools.totals().usage;
    assert_eq!(world.pools.state("b"), None, "it has gone meanwhile");
    assert_eq!((after.callers, after.accesses), (before.callers, before.accesses));
    assert_eq!(world.pools.totals().usage.callers, before.callers);
    world.bank.of("a").ignore_calls();
    world.assert_closes();
}

#[test]
fn totals_count_what_is_idle_in_a_pool_for_all() {
    let world = World::new(shared(2), |it| it.warm_up(0));
    drop([world.lease("a"), world.lease("b")]);
    assert_eq!((world.pools.totals().usage.idle, world.pools.stats("a").unwrap().idle), (2, 0));
    world.bank.of("").plan_resets([Trial::FailAtOnce]);
    drop(world.lease("a"));
    let usage = world.pools.totals().usage;
    assert_eq!((usage.idle, usage.health_failures), (1, 1));
    world.assert_closes();
}

#[test]
fn statistics_add_up() {
    let mut world = World::new(per_tenant(2, 2), |it| it);
    drop(world.lease("a"));
    world.clock.advance(secs(1));
    let leases = [world.lease("a"), world.lease("a")];
    let pools = world.pools.clone();
    let waits = world.executor.spawn(async move { pools.acquire("a").await.map(drop) });
    world.pass(secs(2));
    let usage = world.pools.stats("a").unwrap();
    assert_eq!((usage.callers.in_use, usage.callers.waiting, usage.accesses), (2, 1, 4));
    drop(leases);
    world.pass(secs(1));
    assert!(waits.is_done());
    let usage = world.pools.stats("a").unwrap();
    assert_eq!((usage.callers.acquired, usage.callers.released, usage.idle), (4, 4, 2));
    assert_eq!((usage.callers.longest_wait, usage.callers.total_wait), (secs(2), secs(2)));
    assert_eq!(usage.callers.opened_at.as_nanos(), 0);
    assert_eq!(usage.callers.last_active.as_nanos(), 3_000_000_000);
    drop(world.lease("b"));
    assert_eq!(world.pools.totals().usage.accesses, 5);
    assert_eq!(world.pools.stats_all().len(), 2);
    world.assert_closes();
}
