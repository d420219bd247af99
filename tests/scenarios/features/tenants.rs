//! Tenants that share a pool.

use std::sync::Arc;

use edgepool::{
    AcquireError, Clock as _, OptionsError, Phase, Pool, Share, TenantStats, factory_fn,
};
use edgepool_sim::{ByHand, SimClock, SimError};
use edgepool_tests::{Setup, SimTenant, Waiter, ms, secs, sleep};

/// A pool of `max`, on which every lease is held for 200 ms, and a tenant that always has a hundred
/// callers waiting. Returns how long each of `calls` callers of another waited, one after the other.
fn waits_beside_noise(max: u32, noise: Share, own: Share, calls: usize) -> Vec<u128> {
    const HOLD: u64 = 200;
    let mut setup = Setup::bare(|pool| pool.max(max).acquire_timeout(None));
    let noisy = setup.pool.tenant(noise).unwrap();
    for _ in 0..100 + max {
        let (noisy, clock) = (noisy.clone(), setup.clock.clone());
        drop(setup.spawn(|pool| async move {
            loop {
                let lease = pool.acquire().tenant(&noisy).await.unwrap();
                sleep(&clock, ms(HOLD)).await;
                drop(lease);
            }
        }));
    }
    // Those who hold the connections do not all come back at one moment.
    setup.pass(ms(7));
    let light = setup.pool.tenant(own).unwrap();
    let clock = setup.clock.clone();
    setup.run(|pool| async move {
        let mut waits = Vec::new();
        for call in 0..calls {
            sleep(&clock, ms(31 * (call as u64 % 7))).await;
            let since = clock.elapsed();
            let lease = pool.acquire().tenant(&light).await.unwrap();
            waits.push((clock.elapsed() - since).as_millis());
            sleep(&clock, ms(HOLD)).await;
            drop(lease);
        }
        waits
    })
}

/// Beside one that asks a hundred times as often, a tenant is passed by as many callers of that one
/// as its weight says, and no more.
#[test]
fn noisy_tenant_cannot_starve() {
    // The one connection is held by a noisy caller, and one more may be served before it.
    let waits = waits_beside_noise(1, Share::new(), Share::new(), 50);
    assert!(waits.iter().all(|&wait| wait <= 2 * 200), "{waits:?}");
    // With three times the weight the noisy one has three turns in a round.
    let waits = waits_beside_noise(1, Share::new().weight(3), Share::new(), 50);
    assert!(waits.iter().all(|&wait| wait <= 4 * 200), "{waits:?}");
    assert!(waits.iter().any(|&wait| wait > 2 * 200), "the weight does nothing: {waits:?}");
    // A noisy one with a cap leaves connections to the others, who need not wait at all.
    let waits = waits_beside_noise(4, Share::new().max(3), Share::new(), 50);
    assert!(waits.iter().all(|&wait| wait == 0), "{waits:?}");
}

/// How many leases each of three tenants that always wait has of 10,000.
#[test]
fn noisy_tenant_cannot_starve_and_each_has_its_weight() {
    let mut setup = Setup::bare(|pool| pool.max(3).acquire_timeout(None));
    let tenants = [1, 2, 5].map(|weight| setup.pool.tenant(Share::new().weight(weight)).unwrap());
    // The loudest has the least weight.
    for (tenant, callers) in tenants.iter().zip([100, 30, 20]) {
        for caller in 0..callers {
            let (tenant, clock) = (tenant.clone(), setup.clock.clone());
            drop(setup.spawn(|pool| async move {
                loop {
                    let lease = pool.acquire().tenant(&tenant).await.unwrap();
                    sleep(&clock, ms(1 + caller % 3)).await;
                    drop(lease);
                }
            }));
        }
    }
    setup.pass(secs(8));
    let acquired = tenants.each_ref().map(|tenant| tenant.stats().acquired);
    let all: u64 = acquired.iter().sum();
    assert!(all > 10_000, "{acquired:?}");
    for (acquired, weight) in acquired.into_iter().zip([1, 2, 5]) {
        let share = acquired * 8 * 1_000 / all;
        assert!(share.abs_diff(weight * 1_000) < 10, "{acquired} of {all} for weight {weight}");
    }
}

fn tenant(setup: &Setup, share: Share) -> SimTenant {
    setup.pool.tenant(share).expect("the share is in range")
}

#[test]
fn what_a_tenant_does_not_use_others_may() {
    let setup = Setup::bare(|pool| pool.max(4));
    let (one, other) = (tenant(&setup, Share::new()), tenant(&setup, Share::new()));
    let ask = |tenant| Waiter::of(setup.pool.acquire().tenant(tenant));
    let leases: Vec<_> = (0..4).map(|_| ask(&one).ready().unwrap()).collect();
    let mut waiting = Waiter::queued_as(setup.pool.acquire().tenant(&other));
    let mut ones = Waiter::queued_as(setup.pool.acquire().tenant(&one));
    drop(leases);
    assert!(waiting.ready().is_ok() && ones.ready().is_ok());
    let told = one.stats();
    assert_eq!((told.acquired, told.released, told.in_use), (5, 5, 0));
    drop((waiting, ones));
    drop((one, other));
    setup.assert_closes();
}

#[test]
fn a_tenant_keeps_within_its_max() {
    let setup = Setup::bare(|pool| pool.max(4).acquire_timeout(ms(10)));
    let capped = tenant(&setup, Share::new().max(2));
    let ask = || Waiter::of(setup.pool.acquire().tenant(&capped));
    let leases = [ask().ready().unwrap(), ask().ready().unwrap()];
    let mut third = ask();
    assert!(third.poll().is_none());
    assert!(setup.pool.try_acquire_for(&capped).is_none());
    // Nothing is made for it, and others have what is left.
    assert_eq!(setup.gauges().size, 2);
    let others = setup.leases::<2>();
    setup.clock.advance(ms(10));
    let Err(AcquireError::TimedOut(told)) = third.ready() else { panic!("it waits too long") };
    assert_eq!(told.phase, Phase::TenantAtMax);
    let text = AcquireError::TimedOut(told).to_string();
    assert!(text.contains("its tenant"), "{text}");
    assert_eq!(capped.stats().timed_out, 1);
    drop(leases);
    assert!(setup.pool.try_acquire_for(&capped).is_some());
    drop((others, third));
    let many = ByHand::new(setup.pool.acquire_many(3).tenant(&capped)).ready();
    assert_eq!(many.unwrap_err(), AcquireError::TooMany { max: 2 });
    assert_eq!(ByHand::new(setup.pool.acquire_many(2).tenant(&capped)).ready().unwrap().len(), 2);
}

#[test]
fn a_tenants_waits_are_measured() {
    let setup = Setup::bare(|pool| pool.max(1));
    let waiting = tenant(&setup, Share::new());
    let lease = setup.lease();
    let mut first = Waiter::queued_as(setup.pool.acquire().tenant(&waiting));
    setup.clock.advance(ms(3));
    let mut second = Waiter::queued_as(setup.pool.acquire().tenant(&waiting));
    let given_up = Waiter::queued_as(setup.pool.acquire().tenant(&waiting));
    assert_eq!(waiting.stats().waiting, 3);
    drop(given_up);
    setup.clock.advance(ms(2));
    drop(lease);
    drop(first.ready().unwrap());
    drop(second.ready().unwrap());
    let told = waiting.stats();
    assert_eq!((told.total_wait, told.longest_wait), (ms(7), ms(5)));
    assert_eq!((told.acquired, told.released, told.cancelled, told.waiting), (2, 2, 1, 0));
    assert_eq!(told.last_active, setup.clock.now());
    assert!(told.opened_at < told.last_active);
}

/// Who comes, waits and leaves is active each time, whatever it is given.
#[test]
fn a_caller_that_only_waits_is_activity() {
    let setup = Setup::bare(|pool| pool.max(1));
    let waiting = tenant(&setup, Share::new());
    let lease = setup.lease();
    setup.clock.advance(ms(3));
    let waiter = Waiter::queued_as(setup.pool.acquire().tenant(&waiting));
    assert_eq!(waiting.stats().last_active, setup.clock.now(), "it came");
    setup.clock.advance(ms(2));
    assert!(waiting.stats().last_active < setup.clock.now());
    drop(waiter);
    assert_eq!(waiting.stats().last_active, setup.clock.now(), "it left");
    drop(lease);
    drop(waiting);
    setup.assert_closes();
}

#[test]
fn a_tenant_that_is_removed_while_it_waits_is_told() {
    let setup = Setup::bare(|pool| pool.max(1));
    let removed = tenant(&setup, Share::new());
    let lease = setup.lease();
    let mut waiter = Waiter::queued_as(setup.pool.acquire().tenant(&removed));
    let mut other = Waiter::queued(&setup.pool);
    assert_eq!(removed.end_waits(), 1);
    let error = waiter.ready().unwrap_err();
    assert_eq!(error, AcquireError::TenantRemoved);
    assert!(error.to_string().contains("removed"), "{error}");
    drop(lease);
    drop(other.ready().unwrap());
    // Its callers that come later are served.
    drop(Waiter::of(setup.pool.acquire().tenant(&removed)).ready().unwrap());
    drop((waiter, other));
    drop(removed);
    setup.assert_closes();
}

/// What a connection or a factory has of its own pool must not keep that alive.
#[test]
fn a_tenant_does_not_keep_its_pool_alive() {
    let held = Arc::new(());
    let made = Arc::clone(&held);
    let factory = factory_fn(move || {
        let made = Arc::clone(&made);
        async { Ok::<_, SimError>(made) }
    });
    let pool = Pool::builder(factory, SimClock::new()).max(1).build().unwrap();
    let tenant = pool.tenant(Share::new()).unwrap();
    drop(ByHand::new(pool.acquire().tenant(&tenant)).ready().unwrap());
    assert_eq!((Arc::strong_count(&held), tenant.stats().acquired), (3, 1));
    drop(pool);
    assert_eq!(Arc::strong_count(&held), 1, "neither the connection nor the factory is left");
    assert_eq!((tenant.stats(), tenant.end_waits()), (TenantStats::default(), 0));
    assert!(tenant.set_share(Share::new().weight(0)).is_err(), "it is out of range all the same");
    assert!(tenant.set_share(Share::new().weight(2)).is_ok());
}

#[test]
fn a_tenant_of_another_pool_is_an_error() {
    let (setup, other) = (Setup::bare(|pool| pool.max(1)), Setup::bare(|pool| pool.max(1)));
    let foreign = tenant(&other, Share::new());
    let refused = Waiter::of(setup.pool.acquire().tenant(&foreign)).ready().unwrap_err();
    assert_eq!(refused, AcquireError::UnknownTenant);
    assert!(setup.pool.try_acquire_for(&foreign).is_none());
    assert!(foreign.stats().acquired == 0 && setup.counters().closed == 1);
}

#[test]
fn a_share_out_of_range_is_an_error_and_changes_nothing() {
    let setup = Setup::bare(|pool| pool.max(2));
    let error = setup.pool.tenant(Share::new().weight(0)).unwrap_err();
    assert_eq!(error, OptionsError::WeightOutOfRange { weight: 0 });
    assert_eq!(error.to_string(), "a tenant's weight is 0; it must be from 1 to 1,000,000");
    let kept = tenant(&setup, Share::new().weight(2).max(2));
    let error = kept.set_share(Share::new().max(0)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a tenant's max is 0; it must be 1 or more, or none for no limit"
    );
    assert_eq!(kept.stats().share, Share::new().weight(2).max(2));
}

#[test]
fn a_tenants_queue_is_bounded() {
    let setup = Setup::bare(|pool| pool.max(1));
    let bounded = tenant(&setup, Share::new().max_waiting(1));
    let lease = setup.lease();
    let waiter = Waiter::queued_as(setup.pool.acquire().tenant(&bounded));
    let error = Waiter::of(setup.pool.acquire().tenant(&bounded)).ready().unwrap_err();
    assert_eq!(error, AcquireError::TenantQueueFull { max_waiting: 1 });
    assert!(error.to_string().contains("max_waiting in its share"), "{error}");
    assert_eq!(bounded.stats().refused, 1);
    drop((lease, waiter));
}

#[test]
fn ten_thousand_tenants_are_served_in_turn() {
    let setup = Setup::bare(|pool| pool.max(1).max_waiting(100_000));
    let tenants: Vec<_> = (0..10_000).map(|_| tenant(&setup, Share::new())).collect();
    let mut lease = Some(setup.lease());
    let ask = |tenant| Waiter::queued_as(setup.pool.acquire().tenant(tenant));
    // Each waits twice, and is served a second time once all were served.
    let rounds: Vec<Vec<_>> = (0..2).map(|_| tenants.iter().map(ask).collect()).collect();
    for mut waiter in rounds.into_iter().flatten() {
        drop(lease.take());
        lease = Some(waiter.ready().expect("it is its turn"));
    }
    drop((lease, tenants));
    setup.assert_closes();
}

#[test]
fn the_last_handle_of_a_tenant_forgets_it_and_its_lease_stays() {
    let setup = Setup::bare(|pool| pool.max(1));
    let forgotten = tenant(&setup, Share::new().max(1));
    let lease = Waiter::of(setup.pool.acquire().tenant(&forgotten)).ready().unwrap();
    drop(forgotten.clone());
    assert_eq!(forgotten.stats().in_use, 1);
    drop(forgotten);
    let again = tenant(&setup, Share::new().max(1));
    let mut waiter = Waiter::queued_as(setup.pool.acquire().tenant(&again));
    assert_eq!((again.stats().in_use, again.stats().waiting), (0, 1));
    drop(lease);
    assert!(waiter.ready().is_ok());
}
