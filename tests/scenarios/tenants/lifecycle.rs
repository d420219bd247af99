//! How tenants' pools come and go.

use edgepool::PoolState;
use edgepool::tenants::{TenantError, Usage};
use edgepool_sim::{ByHand, Closing, Creation};
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
