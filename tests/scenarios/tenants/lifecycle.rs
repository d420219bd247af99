//! How tenants' pools come and go.

use std::future::Future;
use std::pin::Pin;

use edgepool::tenants::{TenantConfig, TenantError, TenantId, Unknown, Usage};
use edgepool::{AcquireError, PoolState, Share};
use edgepool_sim::{ByHand, Call, Closing, Creation, Trial};
use edgepool_tests::{ms, secs, settle};

use super::{World, per_tenant, shared};

#[test]
fn evicted_tenant_keeps_its_leases() {
    let world = World::new(per_tenant(1, 2), |it| it);
    world.bank.of("a").plan_closes([Closing::AtOnce, Closing::After(ms(10))]);
    let [first, second] = [world.lease("a"), world.lease("a")];
    let mut other = world.queued("b");
    assert_eq!(world.pools.state("a"), Some(PoolState::Draining));
    assert_eq!(world.pools.state("b"), Some(PoolState::Initializing));
    // Whoever comes for the evicted tenant waits for its next pool, behind who waits already.
    let mut again = world.queued("a");
    assert_eq!((first.id(), second.id()), (1, 2), "its leases are good");
    drop(first);
    assert!(other.poll().is_none() && again.poll().is_none());
    assert_eq!(world.bank.connections(), 2, "it may be lent no more, and is not closed yet");
    drop(second);
    assert!(other.poll().is_none(), "one of its connections is being closed");
    assert_eq!((world.bank.of("a").live(), world.bank.of("b").live()), (vec![2], vec![]));
    world.clock.advance(ms(10));
    let lease = settle(&mut other).unwrap();
    assert_eq!((world.bank.of("a").live(), world.bank.asked("a")), (vec![], 1));
    assert!(again.poll().is_none(), "b has the one place");
    drop(lease);
    drop(settle(&mut again).unwrap());
    assert_eq!((world.bank.asked("a"), world.bank.asked("b")), (2, 1));
    world.check();
    drop((other, again));
    world.assert_closes();
}

#[test]
fn evicted_tenant_keeps_its_leases_and_its_callers() {
    let world = World::new(per_tenant(1, 1), |it| it);
    let lease = world.lease("a");
    let mut second = world.queued("a");
    let mut other = world.queued("b");
    drop(lease);
    let lease = settle(&mut second).expect("it was in the queue before the eviction");
    assert!(other.poll().is_none());
    drop(lease);
    drop(settle(&mut other).unwrap());
    drop((second, other));
    world.assert_closes();
}

/// Who was idle the longest goes first, and who is busy only if nobody is idle.
#[test]
fn the_least_recently_used_goes() {
    let world = World::new(per_tenant(3, 1), |it| it);
    for tenant in ["a", "b", "c", "a"] {
        world.clock.advance(secs(1));
        drop(world.lease(tenant));
    }
    drop(world.lease("d"));
    let states = ["a", "b", "c", "d"].map(|tenant| world.pools.state(tenant));
    assert_eq!(
        states,
        [Some(PoolState::Ready), None, Some(PoolState::Ready), Some(PoolState::Ready)]
    );
    let busy = [world.lease("c"), world.lease("a")];
    drop(world.lease("e"));
    assert_eq!(world.pools.state("d"), None);
    let third = world.lease("e");
    let _fourth = world.queued("f");
    assert_eq!(world.pools.state("c"), Some(PoolState::Draining), "its caller came first");
    drop((busy, third));
    world.check();
}

#[test]
fn an_idle_tenant_goes_after_its_time() {
    let world = World::new(per_tenant(10, 2), |it| it.idle_timeout(secs(60)));
    drop(world.lease("a"));
    world.clock.advance(secs(30));
    drop(world.lease("b"));
    world.clock.advance(secs(29));
    assert_eq!((world.pools.evict_expired(), world.bank.connections()), (0, 2));
    world.clock.advance(secs(1));
    assert_eq!((world.pools.evict_expired(), world.bank.connections()), (1, 1));
    assert_eq!((world.pools.state("a"), world.pools.entry("a")), (None, None));
    let lease = world.lease("b");
    world.clock.advance(secs(600));
    assert_eq!(world.pools.evict_expired(), 0, "it is not idle");
    drop(lease);
    world.clock.advance(secs(60));
    // Any operation finds it.
    drop(world.lease("c"));
    assert_eq!(world.pools.state("b"), None);
    world.assert_closes();
}

#[test]
fn a_driver_evicts_in_time_and_ends_with_the_pools() {
    for strategy in [per_tenant(10, 2), shared(2)] {
        let mut world = World::new(strategy, |it| it.idle_timeout(secs(60)).warm_up(0));
        let driver = world.executor.spawn(world.pools.driver());
        world.pass(secs(10));
        drop(world.lease("a"));
        world.pass(secs(59));
        assert_eq!(world.pools.state("a"), Some(PoolState::Ready));
        world.pass(secs(1));
        assert_eq!(world.pools.state("a"), None);
        world.pools.close();
        world.pass(secs(1));
        assert!(driver.is_done());
        world.assert_closes();
    }
}

#[test]
fn a_dropped_driver_leaves_nothing_behind() {
    let mut world = World::new(per_tenant(10, 2), |it| it);
    drop(world.lease("a"));
    let driver = world.executor.spawn(world.pools.driver());
    world.pass(secs(1));
    world.executor.cancel(driver.id());
    drop(world.lease("a"));
    assert_eq!(world.clock.alarms(), 0);
    world.assert_closes();
}

/// The one that was to make room may keep its lease for as long as it likes.
#[test]
fn an_idle_tenant_goes_though_another_is_leaving() {
    let world = World::new(per_tenant(2, 1), |it| it);
    let [long, short] = [world.lease("a"), world.lease("b")];
    let mut other = world.queued("c");
    assert_eq!(world.pools.state("a"), Some(PoolState::Draining));
    drop(short);
    drop(settle(&mut other).expect("the place of b is free"));
    assert_eq!(world.pools.state("b"), None);
    drop((long, other));
    world.check();
    world.assert_closes();
}

#[test]
fn ten_thousand_tenants_shrink_back() {
    for strategy in [per_tenant(10_000, 1), shared(4)] {
        let world = World::new(strategy, |it| it.warm_up(0));
        let names: Vec<String> = (0..10_000).map(|number| format!("tenant-{number}")).collect();
        for name in &names {
            drop(world.lease(name));
        }
        assert_eq!((world.pools.totals().tenants, world.pools.totals().pools), (10_000, 10_000));
        let connections = if strategy == shared(4) { 1 } else { 10_000 };
        assert_eq!(world.bank.connections(), connections);
        world.clock.advance(secs(300));
        assert_eq!(world.pools.evict_expired(), 10_000);
        let totals = world.pools.totals();
        assert_eq!((totals.tenants, totals.pools), (0, 0));
        let Usage { callers, accesses, .. } = totals.usage;
        assert_eq!((callers.acquired, accesses), (10_000, 10_000), "what they had is still known");
        assert_eq!(world.pools.active_pools(), []);
        world.check();
        world.assert_closes();
    }
}

#[test]
fn a_tenants_states_follow_one_another() {
    let mut world = World::new(per_tenant(1, 2), |it| it.warm_up(2));
    world.bank.of("a").plan([Creation::Connect(secs(1)), Creation::Connect(secs(2))]);
    world.bank.of("a").plan_closes([Closing::After(secs(1)), Closing::After(secs(1))]);
    assert_eq!(world.pools.state("a"), None);
    let pools = world.pools.clone();
    let opening = world.executor.spawn(async move { pools.get_or_create("a").await });
    world.pass(ms(1));
    assert_eq!(world.pools.state("a"), Some(PoolState::WarmingUp));
    world.pass(secs(1));
    assert_eq!(world.pools.state("a"), Some(PoolState::Ready));
    assert!(!opening.is_done(), "the second is to come");
    world.pass(secs(1));
    assert_eq!(opening.take().unwrap().unwrap().schema(), Some("tenant_a"));
    assert_eq!(world.pools.stats("a").unwrap().idle, 2);
    let pools = world.pools.clone();
    let removal = world.executor.spawn(async move { pools.remove("a").await });
    world.pass(ms(1));
    assert_eq!(world.pools.state("a"), Some(PoolState::Draining));
    world.pass(secs(1));
    assert_eq!((removal.take(), world.pools.state("a")), (Some(true), None));
    world.assert_closes();
}

/// However many open at once, the server sees few new connections at a time that nobody waits for.
#[test]
fn few_pools_warm_up_at_once() {
    let set = |it: super::BankBuilder| it.warm_up(2).parallel_warm_ups(3);
    let mut world = World::new(per_tenant(20, 2), set);
    world.executor.spawn(world.pools.driver());
    let opened: Vec<_> = (0..8)
        .map(|number| {
            let (pools, name) = (world.pools.clone(), format!("t{number}"));
            world.bank.of(&name).plan([Creation::Connect(secs(1)); 2]);
            let opened = world.executor.spawn(async move { pools.acquire(&name).await.map(drop) });
            // One after the other, as tasks are polled in any order.
            world.pass(ms(0));
            opened
        })
        .collect();
    world.pass(ms(1));
    assert_eq!(world.bank.connections(), 8 + 3, "each has one that its caller waits for");
    world.pass(ms(999));
    assert!(opened.iter().all(|task| task.is_done()));
    assert_eq!(world.bank.connections(), 8 + 3 + 3);
    // One that goes leaves its turn to the next.
    let removed = world.pools.clone();
    world.executor.spawn(async move { removed.remove("t3").await });
    world.pass(ms(1));
    assert_eq!((world.bank.of("t3").counts().live, world.bank.of("t6").counts().creating), (0, 1));
    assert_eq!(world.bank.of("t7").counts().creating, 0);
    // Whoever waits for what its pool begins with does not wait for the turn of that.
    let pools = world.pools.clone();
    let urgent = world.executor.spawn(async move { pools.get_or_create("t7").await.map(drop) });
    world.pass(ms(1));
    assert_eq!(world.bank.of("t7").counts().creating, 1);
    world.check();
    world.pass(secs(1));
    assert!(urgent.take().unwrap().is_ok());
    assert_eq!(world.bank.connections(), 14);
    world.check();
    world.pools.close();
    world.pass(secs(1));
    world.assert_closes();
}

/// A server that does not answer keeps the turns of its tenants' pools for long.
#[test]
fn who_waits_for_a_pool_does_not_stand_behind_broken_ones() {
    let world = World::new(per_tenant(20, 2), |it| it.warm_up(2).parallel_warm_ups(2));
    ["x", "y"].iter().for_each(|name| world.bank.of(name).plan([Creation::Hang; 2]));
    let mut broken = ["x", "y"].map(|name| ByHand::new(world.pools.get_or_create(name)));
    assert!(broken.iter_mut().all(|opening| opening.poll().is_none()));
    // It was opened by a caller that waits for less, and is in turn.
    let lease = world.lease("a");
    assert_eq!(world.bank.of("a").counts().created, 1);
    settle(&mut ByHand::new(world.pools.get_or_create("a"))).expect("it waits for nobody else");
    assert_eq!(world.bank.of("a").counts().created, 2);
    drop((lease, broken));
    world.check();
    world.assert_closes();
}

/// Nothing of a pool that closes before its turn stays in the line, however long that stands.
#[test]
fn a_pool_that_closes_leaves_the_line_of_warm_ups() {
    let world = World::new(per_tenant(20, 2), |it| it.warm_up(2).parallel_warm_ups(1));
    world.bank.of("x").plan([Creation::Hang; 2]);
    let mut broken = ByHand::new(world.pools.get_or_create("x"));
    assert!(broken.poll().is_none());
    for _ in 0..3 {
        let lease = world.lease("a");
        let mut removal = ByHand::new(world.pools.remove("a"));
        assert!(removal.poll().is_none(), "its lease is out");
        world.check();
        drop(lease);
        assert!(settle(&mut removal));
        world.check();
    }
    drop(broken);
    world.assert_closes();
}

#[test]
fn warming_up_says_what_failed_and_leaves_the_pool() {
    let world = World::new(per_tenant(1, 2), |it| it.warm_up(2));
    // What the pool begins with is tried as it opens, and once more by who asks for it.
    world.bank.of("a").plan([Creation::Fail(ms(0)); 4]);
    let open = |pools: &super::Pools| settle(&mut ByHand::new(pools.get_or_create("a")));
    let Err(TenantError::WarmUp(error)) = open(&world.pools) else { panic!("it has failed") };
    assert_eq!((error.made, error.failures.len()), (0, 2));
    assert!(open(&world.pools).is_ok());
    drop(world.lease("a"));
    world.assert_closes();
}

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

/// Whoever is woken for the pool that one has opened may be kept and not be polled.
#[test]
fn who_opens_a_pool_does_not_wait_for_a_caller_to_be_polled() {
    let mut world = World::new(per_tenant(1, 1), |it| it.warm_up(1));
    world.bank.of("a").plan([Creation::Connect(secs(1))]);
    let pools = world.pools.clone();
    let mut first = ByHand::new(pools.acquire("a"));
    // It opens the pool, sees to what there is to do at once, and sleeps.
    (0..3).for_each(|_| assert!(first.poll().is_none(), "its connection is being made"));
    let pools = world.pools.clone();
    let opens = world.executor.spawn(async move { pools.get_or_create("a").await.map(drop) });
    world.pass(ms(999));
    assert!(!opens.is_done());
    world.pass(ms(1));
    assert!(opens.take().unwrap().is_ok());
    drop(first);
    world.assert_closes();
}

/// However many pools are opened at once, as after a start.
#[test]
fn one_is_woken_for_each_pool_that_can_go_on() {
    let world = World::new(per_tenant(20, 1), |it| it.warm_up(1).parallel_warm_ups(20));
    let names: Vec<_> = (0..20).map(|number| format!("t{number}")).collect();
    names.iter().for_each(|name| world.bank.of(name).plan([Creation::Hang]));
    let mut all: Vec<_> =
        names.iter().map(|name| ByHand::new(world.pools.get_or_create(name))).collect();
    let mut woken = 0;
    for number in 0..20 {
        let (seated, rest) = all.split_at_mut(number);
        let before: u32 = seated.iter().map(|it| it.wakes()).sum();
        assert!(rest[0].poll().is_none());
        let after: u32 = seated.iter().map(|it| it.wakes()).sum();
        // One as there is something to be done, one as it goes on.
        assert!(after - before <= 2, "{} were woken", after - before);
        woken += after - before;
        assert!(seated.iter_mut().all(|it| it.poll().is_none()));
    }
    assert!(woken > 0, "nobody was there to be woken");
    drop(all);
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
fn invalidated_connections_are_lent_no_more() {
    for strategy in [per_tenant(1, 1), shared(1)] {
        let world = World::new(strategy, |it| it.warm_up(0));
        assert!(!world.pools.invalidate("a"), "it has no pool");
        drop(world.lease("a"));
        assert!(world.pools.invalidate("a"));
        assert_eq!(world.bank.connections(), 0);
        let lease = world.lease("a");
        assert_eq!(lease.id(), 2);
        assert!(world.pools.invalidate("a"));
        drop(lease);
        assert_eq!(world.lease("a").id(), 3);
        world.assert_closes();
    }
}

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
        let set = |it: super::BankBuilder| it.budget(budget).warm_up(0);
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

/// While pools are asked how they stand, a tenant may go: what it had counts as before.
#[test]
fn totals_never_go_back() {
    let set = |it: super::BankBuilder| it.pool(|pool| pool.idle_timeout(secs(10)));
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
