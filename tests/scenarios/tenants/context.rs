//! The context of a tenant on a connection of a pool for all: put on at hand-over, taken off before
//! the next one has it.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use edgepool::Failure;
use edgepool::tenants::TenantError;
use edgepool_sim::{ByHand, Call, Trial};
use edgepool_tests::{secs, settle};

use super::{Entering, World, per_tenant, shared};

/// How a reset goes.
fn reset(number: usize) -> Trial {
    match number % 9 {
        2 => Trial::FailAtOnce,
        5 => Trial::Fail(secs(1)),
        8 => Trial::Hang,
        4 => Trial::Pass(secs(1)),
        _ => Trial::PassAtOnce,
    }
}

#[test]
fn tenant_context_never_crosses() {
    let mut world = World::new(shared(2), |it| it.warm_up(0));
    let factory = world.bank.of("");
    // Every third reset fails, or never ends, and leaves the context where it is.
    factory.plan_resets((0..300).map(reset));
    let (bank, resets) = (world.bank.clone(), AtomicUsize::new(0));
    factory.on_call(move |call| {
        if let Call::Reset(connection) = call
            && matches!(reset(resets.fetch_add(1, Relaxed)), Trial::Pass(_) | Trial::PassAtOnce)
        {
            bank.take_off(connection);
        }
    });
    let bank = world.bank.clone();
    let tasks: Vec<_> = (0..300)
        .map(|number| {
            let (pools, clock, bank) = (world.pools.clone(), world.clock.clone(), bank.clone());
            world.executor.spawn(async move {
                let name = format!("t{}", number % 7);
                let lease = pools.acquire(&name).timeout(None).await.unwrap();
                let connection = lease.id();
                edgepool_tests::sleep(&clock, secs(1)).await;
                assert_eq!(bank.context(connection), Some(name));
                drop(lease);
            })
        })
        .collect();
    for _ in 0..400 {
        world.pass(secs(5));
    }
    assert!(tasks.iter().all(|task| task.is_done()));
    let counts = factory.counts();
    assert!(counts.resets.failed >= 60 && counts.resets.abandoned >= 30, "{counts:?}");
    let failed = counts.resets.failed + counts.resets.abandoned;
    assert!(counts.created > failed, "each failed reset has cost a connection: {counts:?}");
    world.assert_closes();
}

#[test]
fn tenant_context_never_crosses_when_entering_fails() {
    for plan in [Entering::FailAtOnce, Entering::Fail(secs(1))] {
        let mut world = World::new(shared(1), |it| it.warm_up(0));
        world.bank.plan([plan]);
        let pools = world.pools.clone();
        let failed = world.executor.spawn(async move { pools.acquire("a").await.map(drop) });
        world.pass(secs(1));
        let Err(TenantError::Enter(Failure::Error(error))) = failed.take().unwrap() else {
            panic!("entering has failed")
        };
        assert_eq!(*Arc::clone(&error), edgepool_sim::SimError { creation: 1 });
        assert_eq!(world.bank.of("").counts().closed, 1, "the connection is not lent again");
        assert_eq!(world.lease("b").id(), 2);
        assert_eq!(world.pools.totals().usage.callers.failed, 1);
        world.assert_closes();
    }
}

#[test]
fn tenant_context_never_crosses_when_entering_panics() {
    for plan in [Entering::PanicAtStart, Entering::Panic] {
        let world = World::new(shared(1), |it| it.warm_up(0));
        world.bank.plan([plan]);
        let error = settle(&mut world.ask("a")).unwrap_err();
        assert_eq!(error, TenantError::Enter(Failure::Panicked));
        assert_eq!(world.lease("b").id(), 2, "its place is free");
        world.check();
        world.assert_closes();
    }
}

/// Nobody knows how far it came, so the connection goes with it, and its place is free.
#[test]
fn dropped_in_the_midst_of_entering() {
    let world = World::new(shared(1), |it| it.warm_up(0));
    world.bank.plan([Entering::Hang]);
    let entering = world.queued("a");
    let mut waits = world.queued("b");
    drop(entering);
    assert_eq!(settle(&mut waits).unwrap().id(), 2);
    assert_eq!(world.pools.totals().usage.callers.cancelled, 1);
    drop(waits);
    world.check();
    world.assert_closes();
}

#[test]
fn entering_has_the_time_of_its_caller() {
    let world = World::new(shared(1), |it| it.warm_up(0));
    world.bank.plan([Entering::Hang, Entering::Pass(secs(4))]);
    let mut hangs = ByHand::new(world.pools.acquire("a").timeout(secs(5)));
    assert!(hangs.poll().is_none());
    world.clock.advance(secs(5));
    assert_eq!(settle(&mut hangs).unwrap_err(), TenantError::Enter(Failure::TimedOut));
    let mut slow = ByHand::new(world.pools.acquire("a").timeout(secs(5)));
    assert!(slow.poll().is_none());
    world.clock.advance(secs(4));
    let lease = settle(&mut slow).unwrap();
    assert_eq!(world.bank.context(lease.id()).as_deref(), Some("a"));
    assert_eq!(world.pools.totals().usage.callers.longest_wait, secs(4));
    drop((lease, hangs, slow));
    world.assert_closes();
}

#[test]
fn a_pool_of_its_own_needs_no_context() {
    let world = World::new(per_tenant(2, 1), |it| it);
    world.bank.plan([Entering::FailAtOnce]);
    let lease = world.lease("a");
    assert_eq!(world.bank.context(lease.id()), None);
    assert_eq!(lease.tenant().schema(), Some("tenant_a"));
    drop(lease);
    world.assert_closes();
}
