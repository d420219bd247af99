//! The context of a tenant on a connection of a pool for all: put on at hand-over, taken off before
//! the next one has it.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use edgepool::tenants::TenantError;
use edgepool::{Backoff, Failure};
use edgepool_sim::{ByHand, Call, Trial};
use edgepool_tests::{ms, secs, settle};

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

/// Each failure costs the pool for all a connection, so a tenant may not have many in a row.
#[test]
fn a_tenant_that_cannot_enter_leaves_the_connections_to_others() {
    let world = breakable(|it| it);
    let factory = world.bank.of("");
    let others = [world.lease("good"), world.lease("good")];
    world.bank.plan(std::iter::repeat_n(Entering::FailAtOnce, 5));
    for failures in 1..=5 {
        let error = settle(&mut world.ask("bad")).unwrap_err();
        assert!(matches!(error, TenantError::Enter(_)), "{error}");
        assert_eq!(factory.counts().closed, failures);
    }
    for _ in 0..100 {
        let error = settle(&mut world.ask("bad")).unwrap_err();
        let TenantError::Unavailable { retry_in, cause } = error else { panic!("{error}") };
        assert!(retry_in > ms(0) && retry_in <= ms(1_600), "{retry_in:?}");
        assert!(matches!(cause, Failure::Error(_)), "{cause}");
    }
    assert_eq!(factory.counts().closed, 5, "no more connections are lost");
    drop(world.lease("good"));
    let failed = world.pools.stats("bad").unwrap().callers.failed;
    assert_eq!((failed, world.pools.stats("good").unwrap().callers.failed), (105, 0));
    drop(others);
    world.check();
    world.assert_closes();
}

/// After each back-off one caller is let try, and the others are let in again once it is served.
#[test]
fn a_tenant_that_cannot_enter_is_tried_again_and_again() {
    let world = breakable(|it| it);
    world.bank.plan(std::iter::repeat_n(Entering::FailAtOnce, 6));
    (0..5).for_each(|_| drop(settle(&mut world.ask("bad"))));
    world.clock.advance(ms(1_600));
    let error = settle(&mut world.ask("bad")).unwrap_err();
    assert!(matches!(error, TenantError::Enter(_)), "it was let try: {error}");
    let error = settle(&mut world.ask("bad")).unwrap_err();
    assert!(matches!(error, TenantError::Unavailable { .. }), "{error}");
    world.clock.advance(ms(3_200));
    world.bank.plan([Entering::Hang]);
    let hangs = world.queued("bad");
    let error = settle(&mut world.ask("bad")).unwrap_err();
    assert!(matches!(error, TenantError::Unavailable { retry_in, .. } if retry_in == secs(30)));
    drop(hangs);
    let error = settle(&mut world.ask("bad")).unwrap_err();
    let TenantError::Unavailable { retry_in, cause } = error else { panic!("{error}") };
    assert!(retry_in <= ms(6_400) && cause == Failure::GivenUp, "{retry_in:?}");
    world.clock.advance(ms(6_400));
    drop(world.lease("bad"));
    world.bank.plan(std::iter::repeat_n(Entering::FailAtOnce, 4));
    (0..4).for_each(|_| drop(settle(&mut world.ask("bad"))));
    drop(world.lease("bad"));
    world.check();
    world.assert_closes();
}

/// One that hangs, or that nobody polls, may not keep the others out for ever.
#[test]
fn a_tenant_is_not_held_back_by_one_that_does_not_end() {
    let world = breakable(|it| it.pool(|pool| pool.breaker(1)));
    world.bank.plan([Entering::FailAtOnce, Entering::Hang, Entering::FailAtOnce]);
    assert!(settle(&mut world.ask("bad")).is_err());
    world.clock.advance(ms(100));
    let mut hangs = ByHand::new(world.pools.acquire("bad").timeout(None));
    assert!(hangs.poll().is_none());
    let held = |retry_in| {
        let error = settle(&mut world.ask("bad")).unwrap_err();
        assert!(matches!(error, TenantError::Unavailable { retry_in: it, .. } if it == retry_in));
    };
    held(secs(30));
    world.clock.advance(secs(29));
    held(secs(1));
    world.clock.advance(secs(3_600));
    let error = settle(&mut world.ask("bad")).unwrap_err();
    assert!(matches!(error, TenantError::Enter(_)), "another is let try: {error}");
    // What becomes of the one that was late tells nothing new.
    world.clock.advance(secs(30));
    world.bank.plan([Entering::Hang]);
    let mut tries = world.queued("bad");
    drop(hangs);
    held(secs(30));
    world.clock.advance(secs(30));
    assert!(settle(&mut tries).is_err());
    world.clock.advance(secs(30));
    drop(world.lease("bad"));
    drop(tries);
    world.check();
    world.assert_closes();
}

/// Callers in the queue were let in before the tenant was held back, and cost nothing either.
#[test]
fn a_tenant_that_cannot_enter_has_no_queue_that_does() {
    let world = breakable(|it| it.pool(|pool| pool.breaker(1)));
    let leases: Vec<_> = (0..4).map(|_| world.lease("bad")).collect();
    let mut waiting: Vec<_> = (0..4).map(|_| world.queued("bad")).collect();
    world.bank.plan([Entering::FailAtOnce]);
    drop(leases);
    let ended: Vec<_> = waiting.iter_mut().map(|it| settle(it).unwrap_err()).collect();
    let held = |it: &&TenantError<_>| matches!(it, TenantError::Unavailable { .. });
    assert_eq!(ended.iter().filter(held).count(), 3, "{ended:?}");
    assert_eq!(world.bank.of("").counts().closed, 1);
    drop(waiting);
    world.check();
    world.assert_closes();
}

#[test]
fn a_tenant_that_is_removed_or_invalidated_is_held_back_no_more() {
    for removes in [true, false] {
        let world = breakable(|it| it.pool(|pool| pool.breaker(1)));
        world.bank.plan([Entering::FailAtOnce]);
        assert!(settle(&mut world.ask("bad")).is_err());
        assert!(settle(&mut world.ask("bad")).is_err(), "it is held back");
        match removes {
            true => assert!(settle(&mut ByHand::new(world.pools.remove("bad")))),
            false => assert!(world.pools.invalidate("bad")),
        }
        drop(world.lease("bad"));
        world.assert_closes();
    }
}

/// Those who try with the old credentials tell nothing of the new ones.
#[test]
fn what_fails_from_before_a_removal_or_invalidation_does_not_count() {
    for removes in [true, false] {
        let world = breakable(|it| it.pool(|pool| pool.breaker(1)));
        world.bank.plan([Entering::Hang, Entering::Hang]);
        let old = [world.queued("bad"), world.queued("bad")];
        let mut removal = None;
        match removes {
            true => removal = Some(ByHand::new(world.pools.remove("bad"))),
            false => assert!(world.pools.invalidate("bad")),
        }
        let mut later = world.ask("bad");
        if removes {
            assert!(later.poll().is_none(), "those who enter have connections");
        }
        drop(old);
        drop(settle(&mut later).expect("it is held back no more"));
        if let Some(removal) = &mut removal {
            assert!(settle(removal));
        }
        drop((later, removal));
        world.check();
        world.assert_closes();
    }
}

/// A pool for all of four connections, with the default back-off and breaker.
fn breakable(set: impl FnOnce(super::BankBuilder) -> super::BankBuilder) -> World {
    World::new(shared(4), |it| set(it.warm_up(0).pool(|pool| pool.backoff(Backoff::default()))))
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
