//! How tenants are removed, and pools for tenants closed, whoever waits meanwhile.

use std::future::Future;
use std::pin::Pin;

use edgepool::Share;
use edgepool::tenants::{TenantConfig, TenantError, TenantId, Unknown};
use edgepool_sim::{ByHand, Closing, Creation};
use edgepool_tests::{ms, secs, settle};

use super::{World, per_tenant, shared};

/// Those who wait for a pool, and those who wait in it, end; the lease stays good.
#[test]
fn removed_while_its_callers_wait() {
    for strategy in [per_tenant(1, 1), shared(1)] {
        let world = World::new(strategy, |it| it);
        let lease = world.lease("a");
        let mut waits = world.queued("a");
        let mut removal = ByHand::new(world.pools.remove("a"));
        assert_eq!(settle(&mut waits).unwrap_err(), TenantError::Removed);
        assert!(removal.poll().is_none(), "its lease is out");
        let mut later = world.queued("a");
        assert_eq!(lease.tenant().id().as_str(), "a");
        drop(lease);
        assert!(settle(&mut removal), "nothing is left");
        drop(settle(&mut later).expect("it has a new life"));
        assert!(!settle(&mut ByHand::new(world.pools.remove("nobody"))));
        drop((waits, removal, later));
        world.check();
        world.assert_closes();
    }
}

/// Whoever comes later is a caller of a tenant that nothing is set for, though the old pool drains.
#[test]
fn a_removed_tenant_does_not_come_back_with_what_was_set_for_it() {
    for strategy in [per_tenant(1, 1), shared(1)] {
        for unknown in [Unknown::Create, Unknown::Refuse] {
            let (id, share) = (TenantId::new("a").unwrap(), Share::new().weight(3));
            let set = TenantConfig::new().schema("old").share(share);
            let world = World::new(strategy, |it| it.tenant(id.clone(), set).unknown(unknown));
            let lease = world.lease("a");
            let mut removal = ByHand::new(world.pools.remove("a"));
            assert!(removal.poll().is_none(), "its lease is out");
            let mut later = world.ask("a");
            if unknown == Unknown::Refuse {
                assert_eq!(settle(&mut later).unwrap_err(), TenantError::Unknown(id));
                assert!(removal.poll().is_none());
                drop(lease);
            } else {
                assert!(later.poll().is_none(), "its old pool has not gone yet");
                let old = lease.tenant();
                assert_eq!((old.schema(), old.share()), (Some("old"), share));
                drop(lease);
                let lease = settle(&mut later).unwrap();
                let named = (strategy != shared(1)).then_some("tenant_a");
                assert_eq!((lease.tenant().schema(), lease.tenant().share().weight), (named, 1));
                drop(lease);
            }
            assert!(settle(&mut removal));
            drop((later, removal));
            world.check();
            world.assert_closes();
        }
    }
}

/// Callers that nobody polls have nothing that could come back, so nobody waits for them.
#[test]
fn the_end_does_not_wait_for_callers_that_nobody_polls() {
    for strategy in [per_tenant(1, 1), shared(1)] {
        for removes in [true, false] {
            let world = World::new(strategy, |it| it.warm_up(0));
            let lease = world.lease("a");
            let mut waits = world.queued("a");
            let mut end = end_of_a(&world, removes);
            assert!(end.poll().is_none(), "its lease is out");
            drop(lease);
            settle(&mut end);
            world.check();
            let told = if removes { TenantError::Removed } else { TenantError::Closed };
            if removes {
                assert_eq!(world.pools.state("a"), None);
                drop(world.lease("a"));
            }
            assert_eq!(settle(&mut waits).unwrap_err(), told);
            let callers = world.pools.totals().usage.callers;
            assert_eq!((callers.ended, callers.waiting, callers.in_use), (1, 0, 0));
            drop((waits, end));
            world.check();
            world.assert_closes();
        }
    }
}

#[test]
fn the_end_does_not_wait_for_callers_that_do_not_know_that_they_are_in() {
    for removes in [true, false] {
        let world = World::new(per_tenant(1, 1), |it| it.warm_up(0));
        let other = world.lease("b");
        let mut called = world.queued("a");
        drop(other);
        assert_eq!(world.bank.asked("a"), 1, "its pool is there");
        let mut end = end_of_a(&world, removes);
        settle(&mut end);
        let told = if removes { TenantError::Removed } else { TenantError::Closed };
        assert_eq!(settle(&mut called).unwrap_err(), told);
        drop((called, end));
        world.assert_closes();
    }
}

#[test]
fn the_end_does_not_wait_for_creations_that_nobody_polls() {
    for strategy in [per_tenant(1, 1), shared(1)] {
        for removes in [true, false] {
            let world = World::new(strategy, |it| it.warm_up(0));
            let whose = if strategy == shared(1) { "" } else { "a" };
            world.bank.of(whose).plan([Creation::Hang]);
            let makes = world.queued("a");
            let mut end = end_of_a(&world, removes);
            settle(&mut end);
            drop((makes, end));
            world.assert_closes();
        }
    }
}

/// Waits for the end of one tenant, or of all.
fn end_of_a(world: &World, removes: bool) -> ByHand<Pin<Box<dyn Future<Output = ()>>>> {
    let (removal, drain) = (world.pools.clone(), world.pools.clone());
    ByHand::new(match removes {
        true => Box::pin(async move { assert!(removal.remove("a").await) }),
        false => Box::pin(async move { drain.drain(None).await.unwrap() }),
    })
}

/// Another's caller may be the first to be woken for what is to be done, and do nothing.
#[test]
fn the_end_does_not_wait_for_another_to_be_polled() {
    let mut world = World::new(per_tenant(2, 1), |it| it.warm_up(0));
    let pools = world.pools.clone();
    let lease = settle(&mut ByHand::new(pools.acquire("b"))).unwrap();
    let mut sleep: Vec<_> = (0..5).map(|_| ByHand::new(pools.acquire("b"))).collect();
    assert!(sleep.iter_mut().all(|sleeps| sleeps.poll().is_none()));
    world.bank.of("a").plan_closes([Closing::After(secs(1))]);
    drop(world.lease("a"));
    let removing = world.pools.clone();
    let removal = world.executor.spawn(async move { removing.remove("a").await });
    world.pass(ms(999));
    assert!(!removal.is_done(), "its connection is being closed");
    world.pass(ms(1));
    assert_eq!(removal.take(), Some(true));
    drop((sleep, lease));
    drop(pools);
    world.assert_closes();
}

/// One who waits for an end may be kept, and not be polled for long.
#[test]
fn a_caller_does_not_wait_for_an_operator_to_be_polled() {
    let mut world = World::new(per_tenant(1, 1), |it| it.warm_up(0));
    world.bank.of("a").plan_closes([Closing::After(secs(1))]);
    drop(world.lease("a"));
    let mut removal = ByHand::new(world.pools.remove("a"));
    assert!(removal.poll().is_none(), "its connection is being closed");
    let pools = world.pools.clone();
    let waits = world.executor.spawn(async move { pools.acquire("b").await.map(drop) });
    world.pass(ms(999));
    assert!(!waits.is_done());
    world.pass(ms(1));
    assert!(waits.take().unwrap().is_ok());
    assert!(settle(&mut removal));
    drop(removal);
    world.assert_closes();
}

/// Whoever is woken to see to the pool that closes may be another tenant's caller.
#[test]
fn removed_while_another_sees_to_what_it_begins_with() {
    let world = World::new(per_tenant(2, 1), |it| it.warm_up(1));
    for tenant in ["a", "b"] {
        world.bank.of(tenant).plan([Creation::Connect(secs(1))]);
    }
    let mut other = ByHand::new(world.pools.get_or_create("b"));
    let mut opening = ByHand::new(world.pools.get_or_create("a"));
    assert!(other.poll().is_none() && opening.poll().is_none());
    assert!(other.poll().is_none(), "it was woken for the other's pool, and sleeps again");
    let wakes = opening.wakes();
    let mut removal = ByHand::new(world.pools.remove("a"));
    assert!(other.poll().is_none(), "its own connection is being made");
    assert!(opening.wakes() > wakes, "its pool has gone");
    assert!(settle(&mut opening).is_err());
    assert!(settle(&mut removal), "nobody is inside");
    world.clock.advance(secs(1));
    settle(&mut other).expect("its pool has what it begins with");
    drop((other, opening, removal));
    world.assert_closes();
}

#[test]
fn removed_while_its_callers_wait_for_a_place() {
    let world = World::new(per_tenant(1, 1), |it| it);
    let lease = world.lease("a");
    let mut waits = world.queued("b");
    assert!(settle(&mut ByHand::new(world.pools.remove("b"))), "nothing was there to go");
    assert_eq!(settle(&mut waits).unwrap_err(), TenantError::Removed);
    assert_eq!(world.pools.state("b"), None);
    drop((lease, waits));
    world.assert_closes();
}

#[test]
fn closing_ends_all_waits_and_keeps_leases() {
    for strategy in [per_tenant(1, 1), shared(1)] {
        let world = World::new(strategy, |it| it);
        let lease = world.lease("a");
        let mut waits = [world.queued("a"), world.queued("b")];
        world.pools.close();
        for wait in &mut waits {
            assert_eq!(settle(wait).unwrap_err(), TenantError::Closed);
        }
        assert_eq!(settle(&mut world.ask("a")).unwrap_err(), TenantError::Closed);
        assert_eq!(settle(&mut world.ask("z")).unwrap_err(), TenantError::Closed);
        let mut drain = ByHand::new(world.pools.drain(secs(5)));
        assert!(drain.poll().is_none());
        world.clock.advance(secs(5));
        let error = settle(&mut drain).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the pools are closed, and 1 tenants are not gone; a has 1 leases out"
        );
        drop((lease, waits, drain));
        world.assert_closes();
    }
}

#[test]
fn the_last_handle_closes_and_leases_outlive_it() {
    for strategy in [per_tenant(2, 1), shared(2)] {
        let World { bank, pools, .. } = World::new(strategy, |it| it.warm_up(1));
        let lease = settle(&mut ByHand::new(pools.acquire("a"))).unwrap();
        drop(pools);
        assert_eq!(bank.connections(), 1);
        drop(lease);
        assert_eq!(bank.connections(), 0);
        bank.of(if strategy == shared(2) { "" } else { "a" }).ignore_calls();
    }
}
