//! Callers who wait for a place for their tenant's pool, or in it.

use edgepool::AcquireError;
use edgepool::tenants::TenantError;
use edgepool_sim::ByHand;
use edgepool_tests::{secs, settle};

use super::{BankBuilder, World, per_tenant, shared};

#[test]
fn a_wait_for_a_place_ends_with_its_time() {
    let world = World::new(per_tenant(1, 1), |it| it.pool(|pool| pool.acquire_timeout(secs(5))));
    let lease = world.lease("a");
    let mut waits = world.queued("b");
    world.clock.advance(secs(5));
    assert_eq!(settle(&mut waits).unwrap_err(), TenantError::NoPool { waited: secs(5) });
    assert_eq!(world.pools.state("b"), None, "nobody is left who wants it");
    let mut now = ByHand::new(world.pools.acquire("b").timeout(secs(0)));
    assert_eq!(settle(&mut now).unwrap_err(), TenantError::NoPool { waited: secs(0) });
    let mut inside = ByHand::new(world.pools.acquire("a").timeout(secs(1)));
    assert!(inside.poll().is_none());
    world.clock.advance(secs(1));
    // Its tenant was to make room; it waits for the next pool of it.
    assert_eq!(settle(&mut inside).unwrap_err(), TenantError::NoPool { waited: secs(1) });
    drop((lease, waits, now, inside));
    world.assert_closes();
}

#[test]
fn a_wait_in_the_pool_ends_with_its_time() {
    let world = World::new(per_tenant(2, 1), |it| it);
    let lease = world.lease("a");
    let mut waits = ByHand::new(world.pools.acquire("a").timeout(secs(5)));
    assert!(waits.poll().is_none());
    world.clock.advance(secs(5));
    let error = settle(&mut waits).unwrap_err();
    assert!(matches!(error, TenantError::Acquire(AcquireError::TimedOut(_))), "{error}");
    let usage = world.pools.stats("a").unwrap();
    assert_eq!((usage.callers.timed_out, usage.callers.in_use, usage.accesses), (1, 1, 2));
    drop((lease, waits));
    world.assert_closes();
}

/// Who gets a place at once does not wait for it.
#[test]
fn without_a_queue_those_are_served_who_have_room() {
    for (strategy, budget) in
        [(shared(2), None), (per_tenant(2, 1), None), (per_tenant(3, 1), Some(2))]
    {
        let set = |it: BankBuilder| it.budget(budget).warm_up(0);
        let world = World::new(strategy, |it| set(it).pool(|pool| pool.max_waiting(0)));
        let leases = [world.lease("a"), world.lease("b")];
        let error = settle(&mut world.ask("c")).unwrap_err();
        match strategy == shared(2) {
            true => assert!(matches!(error, TenantError::Acquire(_)), "{error}"),
            false => assert_eq!(error, TenantError::QueueFull { max_waiting: 0 }),
        }
        drop(leases);
        world.check();
        world.assert_closes();
    }
}

#[test]
fn those_who_wait_for_places_are_bounded() {
    let world = World::new(per_tenant(1, 1), |it| it.pool(|pool| pool.max_waiting(1)));
    let lease = world.lease("a");
    let _waits = world.queued("b");
    let error = settle(&mut world.ask("c")).unwrap_err();
    assert_eq!(error, TenantError::QueueFull { max_waiting: 1 });
    assert_eq!(world.pools.state("c"), None, "it left nothing behind");
    drop(lease);
    world.check();
}
