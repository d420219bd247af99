//! A budget over all tenants' pools: connections move to where they are wanted, and are never more.

use edgepool::tenants::{TenantConfig, TenantId};
use edgepool::{PoolState, Share};
use edgepool_sim::Closing;
use edgepool_tests::{ms, secs};

use super::{World, per_tenant};

fn id(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

#[test]
fn an_idle_tenants_connections_go_to_a_busy_one() {
    let world = World::new(per_tenant(10, 4), |it| it.budget(4));
    let leases: Vec<_> = (0..4).map(|_| world.lease("a")).collect();
    assert_eq!(world.pools.totals().budgeted, 4);
    drop(leases);
    assert_eq!(world.bank.of("a").live().len(), 4);
    let first = world.lease("b");
    assert_eq!((world.bank.of("a").live().len(), world.bank.of("b").live().len()), (3, 1));
    world.check();
    let others: Vec<_> = (0..3).map(|_| world.lease("b")).collect();
    assert_eq!((world.bank.of("a").live().len(), world.bank.of("b").live().len()), (0, 4));
    assert_eq!(world.pools.state("a"), None, "it was idle, and the last of its connections went");
    world.check();
    drop((first, others));
    world.assert_closes();
}

/// Who has all of it gives half of it up, as its leases come back, though its callers wait.
#[test]
fn a_greedy_tenant_gives_way() {
    let world = World::new(per_tenant(10, 4), |it| it.budget(4));
    let mut greedy: Vec<_> = (0..4).map(|_| world.lease("a")).collect();
    let mut waiting: Vec<_> = (0..20).map(|_| world.queued("a")).collect();
    let mut others: Vec<_> = (0..4).map(|_| world.queued("b")).collect();
    let mut served = Vec::new();
    for back in 1..=2 {
        drop(greedy.pop());
        others.retain_mut(|waits| match World::outcome(waits) {
            Some(lease) => {
                served.push(lease.unwrap());
                false
            }
            None => true,
        });
        assert_eq!(served.len(), back);
        world.check();
    }
    // What comes back now is for the next of its own callers.
    drop(greedy.pop());
    assert!(others.iter_mut().all(|waits| World::outcome(waits).is_none()));
    assert!(waiting.iter_mut().any(|waits| World::outcome(waits).is_some()));
    waiting.clear();
    others.clear();
    drop((greedy, served));
    world.check();
    world.assert_closes();
}

#[test]
fn shares_of_a_short_budget_follow_the_weights() {
    let heavy = TenantConfig::new().share(Share::new().weight(3));
    let world = World::new(per_tenant(10, 8), |it| it.budget(8).tenant(id("heavy"), heavy));
    let mut held = [Vec::new(), Vec::new()];
    let names = ["light", "heavy"];
    let mut queues = names.map(|name| (0..60).map(|_| world.ask(name)).collect::<Vec<_>>());
    for _ in 0..200 {
        for (queue, held) in queues.iter_mut().zip(&mut held) {
            queue.retain_mut(|waits| match World::outcome(waits) {
                Some(lease) => {
                    held.push(lease.unwrap());
                    false
                }
                None => true,
            });
        }
        world.check();
        if queues.iter().any(|queue| queue.len() < 20) {
            break;
        }
        for held in &mut held {
            held.truncate(held.len().saturating_sub(1));
        }
    }
    assert_eq!(held.map(|held| held.len()), [2, 6]);
    drop(queues);
    world.assert_closes();
}

/// Who is to make room keeps what its callers use, and not what they once used.
#[test]
fn an_evicted_tenant_keeps_no_more_than_it_uses() {
    let world = World::new(per_tenant(2, 4), |it| it.budget(5).warm_up(0));
    let mut evicted: Vec<_> = (0..4).map(|_| world.lease("a")).collect();
    evicted.truncate(1);
    let mut others = vec![world.lease("b")];
    let waits = world.queued("c");
    assert_eq!(world.pools.state("a"), Some(PoolState::Draining));
    assert_eq!(world.bank.of("a").live().len(), 1, "the others of it are closed");
    others.extend((0..3).map(|_| world.lease("b")));
    assert_eq!(world.pools.totals().budgeted, 5);
    world.check();
    drop((evicted, others, waits));
    world.assert_closes();
}

#[test]
fn a_removed_tenant_keeps_no_more_than_it_uses() {
    let world = World::new(per_tenant(2, 4), |it| it.budget(4).warm_up(0));
    let mut removed: Vec<_> = (0..4).map(|_| world.lease("a")).collect();
    removed.truncate(1);
    drop(world.pools.remove("a"));
    let others: Vec<_> = (0..3).map(|_| world.lease("b")).collect();
    assert_eq!(world.pools.totals().budgeted, 4);
    world.check();
    drop((removed, others));
    world.assert_closes();
}

/// A connection counts until it is closed, and only then another may be made for it.
#[test]
fn nobody_has_a_connection_before_it_is_gone() {
    let mut world = World::new(per_tenant(10, 2), |it| it.budget(2));
    world.bank.of("a").plan_closes([Closing::After(secs(1)), Closing::After(secs(2))]);
    let leases = [world.lease("a"), world.lease("a")];
    drop(leases);
    let pools = world.pools.clone();
    let served = world.executor.spawn(async move { pools.acquire("b").await.unwrap() });
    world.pass(ms(999));
    assert!(!served.is_done());
    assert_eq!(world.bank.connections(), 2);
    world.pass(ms(1));
    assert!(served.is_done(), "though nobody else waits that would close what is idle");
    assert_eq!(world.bank.connections(), 2);
    drop(served.take());
    world.assert_closes();
}

#[test]
fn more_tenants_than_connections_take_turns() {
    let mut world = World::new(per_tenant(100, 2), |it| it.budget(2));
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let (pools, clock) = (world.pools.clone(), world.clock.clone());
            world.executor.spawn(async move {
                let name = format!("t{}", number % 10);
                let lease = pools.acquire(&name).timeout(None).await.unwrap();
                edgepool_tests::sleep(&clock, ms(10)).await;
                drop(lease);
            })
        })
        .collect();
    for _ in 0..100 {
        world.pass(ms(10));
        world.check();
    }
    assert!(tasks.iter().all(|task| task.is_done()));
    world.assert_closes();
}

#[test]
fn a_taken_connection_counts_no_more() {
    let world = World::new(per_tenant(10, 1), |it| it.budget(1));
    let taken = world.lease("a").take();
    taken.set_taken();
    let lease = world.lease("b");
    drop((lease, taken));
    world.assert_closes();
}
