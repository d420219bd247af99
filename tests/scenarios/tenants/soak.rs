//! Many tenants, with everything going wrong: what holds after every step, and after all.

use std::time::Duration;

use edgepool::tenants::Strategy;
use edgepool_sim::{Faults, Odds, Rng};
use edgepool_tests::{ms, secs, sleep};

use super::{Entering, World, per_tenant, shared};

const TENANTS: usize = 12;

fn odds(rng: &mut Rng, fail: u32) -> Odds {
    let hang = if rng.index(4) == 0 { 5 } else { 0 };
    Odds { latency: ms(0)..=ms(40), at_once: 300, fail, hang, panic: 10 }
}

fn name(number: usize) -> String {
    format!("t{number}")
}

/// Sets up what goes wrong.
fn disturb(world: &mut World, rng: &mut Rng) {
    world.executor.set_faults(Faults {
        spurious_poll: 30,
        late_poll: 30,
        late_by: ms(20),
        cancel: 10,
        ..Faults::default()
    });
    for tenant in (0..TENANTS).map(name).chain([String::new()]) {
        let factory = world.bank.of(&tenant);
        factory.set_odds(odds(rng, 100));
        factory.set_reset_odds(odds(rng, 100));
        factory.set_close_odds(odds(rng, 0));
    }
}

fn spawn(world: &World, seed: u64, caller: usize) {
    let (pools, clock, bank) = (world.pools.clone(), world.clock.clone(), world.bank.clone());
    let mut rng = Rng::new(seed * 1_000 + caller as u64);
    world.executor.spawner().spawn_cancellable(async move {
        for _ in 0..12 {
            sleep(&clock, rng.duration(ms(0)..=ms(300))).await;
            let tenant = name(rng.index(TENANTS).min(rng.index(TENANTS)));
            if rng.index(8) == 0 {
                let plan = [Entering::FailAtOnce, Entering::Fail(ms(5)), Entering::Pass(ms(5))];
                bank.plan([plan[rng.index(plan.len())]]);
            }
            let acquire = pools.acquire(&tenant).timeout(rng.duration(ms(0)..=secs(2)));
            let Ok(lease) = acquire.await else { continue };
            assert_eq!(lease.tenant().id().as_str(), tenant);
            if matches!(pools.strategy(), Strategy::Shared { .. }) {
                assert_eq!(bank.context(lease.id()), Some(tenant.clone()));
            }
            sleep(&clock, rng.duration(ms(0)..=ms(200))).await;
            match rng.index(12) {
                0 => lease.discard(),
                1 => lease.take().set_taken(),
                2 => drop(lease.release().await),
                _ => drop(lease),
            }
            match rng.index(60) {
                0 => drop(pools.remove(&tenant).await),
                1 => drop(pools.invalidate(&tenant)),
                2 => drop(pools.get_or_create(&tenant).await),
                _ => {}
            }
        }
    });
}

/// Names the seed of a run that fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {}", self.0);
        }
    }
}

fn run(seed: u64, strategy: Strategy, budget: Option<u32>, driven: bool) {
    let _seed = Seed(seed);
    let mut rng = Rng::new(seed);
    let mut world = World::seeded(seed, strategy, |it| {
        let it = it.budget(budget).idle_timeout(secs(1)).warm_up(rng.index(2) as u32);
        it.pool(|pool| pool.close_timeout(secs(1)).reset_timeout(ms(500)).create_timeout(ms(500)))
    });
    disturb(&mut world, &mut rng);
    (0..30).for_each(|caller| spawn(&world, seed, caller));
    if driven {
        world.executor.spawn(world.pools.driver());
    }
    let mut steps = 0;
    while world.executor.step_until(Duration::from_secs(3_600)).is_some() {
        steps += 1;
        if u32::is_multiple_of(steps, 7) {
            world.check();
        }
        if driven && world.executor.tasks() == 1 {
            break;
        }
    }
    world.executor.set_faults(Faults::default());
    world.bank.calm();
    for tenant in (0..TENANTS).map(name) {
        let pools = world.pools.clone();
        let lease = world.executor.block_on(async move { pools.acquire(&tenant).await.map(drop) });
        lease.expect("without faults each tenant is served");
    }
    world.check();
    world.assert_closes();
}

#[test]
fn many_tenants_with_pools_of_their_own() {
    (0..40).for_each(|seed| {
        run(seed, per_tenant(1 + (seed % 5) as u32, 3), None, seed.is_multiple_of(2))
    });
}

#[test]
fn many_tenants_with_a_budget() {
    for seed in 0..60 {
        let budget = Some(3 + (seed % 6) as u32);
        run(seed, per_tenant(1 + (seed % 8) as u32, 3), budget, seed.is_multiple_of(2));
    }
}

#[test]
fn many_tenants_that_share_a_pool() {
    (0..40).for_each(|seed| run(seed, shared(1 + (seed % 4) as u32), None, seed.is_multiple_of(2)));
}
