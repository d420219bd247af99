//! What a caller does with a lease.

use std::sync::Arc;

use edgepool::{Failure, Time};
use edgepool_sim::{ByHand, SimError, Trial};
use edgepool_tests::{Setup, Waiter, ms};

#[test]
fn release_waits_for_the_reset_and_gives_its_error() {
    let setup = Setup::bare(|pool| pool.max(1));
    let failure = Failure::Error(Arc::new(SimError { creation: 1 }));
    assert_eq!(
        ByHand::new(setup.lease().release()).ready(),
        Ok(()),
        "there is nothing to wait for"
    );
    setup.factory.plan_resets([Trial::Pass(ms(5)), Trial::Fail(ms(5))]);
    for outcome in [Ok(()), Err(failure)] {
        let mut release = ByHand::new(setup.lease().release());
        assert!(release.poll().is_none());
        setup.clock.advance(ms(5));
        assert!(release.wakes() > 0);
        assert_eq!(release.ready(), outcome);
    }
    setup.factory.plan_resets([Trial::FailAtOnce, Trial::PanicAtStart, Trial::Panic(ms(5))]);
    let failure = Failure::Error(Arc::new(SimError { creation: 2 }));
    assert_eq!(ByHand::new(setup.lease().release()).ready(), Err(failure));
    assert_eq!(ByHand::new(setup.lease().release()).ready(), Err(Failure::Panicked));
    let mut release = ByHand::new(setup.lease().release());
    assert!(release.poll().is_none());
    setup.clock.advance(ms(5));
    assert_eq!(release.ready(), Err(Failure::Panicked));
    drop(release);
    setup.assert_closes();
}

/// The connection is given back by the call; whoever comes next polls its reset.
#[test]
fn release_that_is_dropped_goes_on() {
    let setup = Setup::bare(|pool| pool.max(1));
    setup.factory.plan_resets([Trial::Pass(ms(5)), Trial::Pass(ms(5))]);
    drop(setup.lease().release());
    let mut waiter = Waiter::queued(&setup.pool);
    setup.clock.advance(ms(5));
    let mut release = ByHand::new(waiter.ready().unwrap().release());
    assert!(release.poll().is_none());
    drop(release);
    setup.clock.advance(ms(5));
    setup.pool.tick();
    assert_eq!((setup.gauges().idle, setup.factory.counts().resets.passed), (1, 2));
}

#[test]
fn discard_closes_and_does_not_reset() {
    let setup = Setup::bare(|pool| pool.max(1));
    setup.lease().discard();
    let made = setup.factory.counts();
    assert_eq!((made.closed, made.resets.begun, setup.counters().discarded), (1, 0, 1));
    setup.assert_closes();
}

#[test]
fn take_leaves_with_its_holder_unclosed() {
    let setup = Setup::bare(|pool| pool.max(1));
    let mut connection = setup.lease().take();
    connection.set_taken();
    assert_eq!((setup.gauges().size, setup.counters().taken), (0, 1));
    assert_eq!((setup.lease().id(), connection.use_once()), (2, 1), "both are there");
    drop(connection);
    assert_eq!(setup.factory.counts().taken, 1);
    setup.assert_closes();
}

#[test]
fn info_tells_birth_uses_and_waits() {
    let setup = Setup::new(1);
    setup.clock.advance(ms(5));
    let lease = setup.lease();
    let first = lease.info();
    assert_eq!((first.id, first.uses, first.last_used), (1, 1, None));
    assert_eq!((first.born, first.waited), (Time::ZERO.saturating_add(ms(5)), ms(0)));
    let mut waiter = Waiter::queued(&setup.pool);
    setup.clock.advance(ms(20));
    drop(lease);
    let second = waiter.ready().unwrap().info();
    assert_eq!((second.id, second.uses, second.born), (1, 2, first.born));
    assert_eq!(second.last_used, Some(Time::ZERO.saturating_add(ms(25))));
    assert_eq!(second.waited, ms(20));
}

#[test]
fn map_lends_a_part_and_gives_the_whole_back() {
    use futures::FutureExt;
    let factory = edgepool::factory_fn(|| std::future::ready(Ok::<_, ()>((1, String::from("a")))));
    let clock = edgepool_sim::SimClock::new();
    let pool = edgepool::Pool::builder(factory, clock).max(1).build().unwrap();
    let lease = pool.acquire().now_or_never().unwrap().unwrap();
    let mut name = lease.map(|pair| &pair.1, |pair| &mut pair.1);
    name.push('b');
    assert_eq!((&*name, pool.stats().gauges.in_use), (&String::from("ab"), 1));
    let lease = name.into_lease();
    assert_eq!(*lease, (1, String::from("ab")));
    drop(lease.map(|pair| &pair.0, |pair| &mut pair.0));
    assert_eq!((pool.stats().gauges.in_use, pool.stats().gauges.idle), (0, 1));
}

/// A lease stays good after its pool is closed and its last handle is gone.
#[test]
fn a_lease_outlives_its_pool() {
    let Setup { pool, factory, .. } = Setup::new(1);
    let mut lease = Waiter::new(&pool).ready().unwrap();
    drop(pool);
    assert_eq!((lease.use_once(), lease.info().uses), (1, 1));
    drop(lease);
    factory.assert_all_closed();
}
