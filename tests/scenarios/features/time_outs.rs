//! The time-outs of an acquire and of every job: zero, none, and in between.

use std::time::Duration;

use edgepool::{AcquireError, CheckOnAcquire, Failure};
use edgepool_sim::{ByHand, Closing, Creation, Trial};
use edgepool_tests::{Setup, SimBuilder, Waiter, ms, secs, settle};

const YEAR: Duration = secs(365 * 24 * 3_600);

#[test]
fn acquire_timeout_of_zero_and_none() {
    let setup = Setup::bare(|pool| pool.max(1).acquire_timeout(Duration::ZERO));
    let lease = setup.lease();
    assert!(matches!(Waiter::new(&setup.pool).ready(), Err(AcquireError::TimedOut(_))));
    let mut patient = Waiter::queued_as(setup.pool.acquire().timeout(None));
    setup.clock.advance(YEAR);
    assert!(patient.poll().is_none());
    drop(lease);
    assert!(patient.ready().is_ok());
    assert_eq!(setup.clock.alarms(), 0);
}

#[test]
fn create_timeout_ends_a_creation_and_none_does_not() {
    let setup = Setup::bare(|pool| pool.max(1).create_timeout(ms(10)));
    setup.factory.plan([Creation::Hang]);
    let mut waiter = Waiter::queued(&setup.pool);
    setup.clock.advance(ms(9));
    assert!(waiter.poll().is_none());
    setup.clock.advance(ms(1));
    assert_eq!(waiter.ready().err(), Some(AcquireError::CreateTimedOut));
    assert_eq!(setup.factory.counts().abandoned, 1);

    let setup = Setup::bare(|pool| pool.max(1).create_timeout(None).acquire_timeout(None));
    setup.factory.plan([Creation::Connect(YEAR)]);
    let mut waiter = Waiter::queued(&setup.pool);
    setup.clock.advance(YEAR);
    assert!(waiter.ready().is_ok());
}

#[test]
fn check_timeout_counts_as_a_failed_check() {
    let checked = |set: fn(SimBuilder) -> SimBuilder| {
        let always = CheckOnAcquire::Always;
        let setup =
            Setup::bare(|pool| set(pool.max(1).check_on_acquire(always).acquire_timeout(None)));
        drop(setup.lease());
        setup
    };
    let setup = checked(|pool| pool.check_timeout(ms(10)));
    setup.factory.plan_checks([Trial::Hang]);
    let mut waiter = Waiter::queued(&setup.pool);
    setup.clock.advance(ms(10));
    assert_eq!((waiter.ready().unwrap().id(), setup.counters().check_failed), (2, 1));
    assert_eq!((setup.factory.counts().lost, setup.factory.counts().live), (1, 1));

    let setup = checked(|pool| pool.check_timeout(None));
    setup.factory.plan_checks([Trial::Pass(YEAR)]);
    let mut waiter = Waiter::queued(&setup.pool);
    setup.clock.advance(YEAR);
    assert_eq!(waiter.ready().unwrap().id(), 1);
}

#[test]
fn reset_timeout_counts_as_a_failed_reset() {
    let setup = Setup::bare(|pool| pool.max(1).reset_timeout(ms(10)));
    setup.factory.plan_resets([Trial::Hang]);
    let mut release = ByHand::new(setup.lease().release());
    assert!(release.poll().is_none());
    setup.clock.advance(ms(10));
    assert_eq!(settle(&mut release), Err(Failure::TimedOut));
    assert_eq!((setup.gauges().size, setup.counters().reset_failed), (0, 1));

    let setup = Setup::bare(|pool| pool.max(1).reset_timeout(None));
    setup.factory.plan_resets([Trial::Pass(YEAR)]);
    let mut release = ByHand::new(setup.lease().release());
    assert!(release.poll().is_none());
    setup.clock.advance(YEAR);
    assert_eq!((release.ready(), setup.gauges().idle), (Ok(()), 1));
}

#[test]
fn close_timeout_frees_the_place() {
    let setup = Setup::bare(|pool| pool.max(1).close_timeout(ms(10)));
    setup.factory.plan_closes([Closing::Hang]);
    setup.lease().discard();
    let mut waiter = Waiter::queued(&setup.pool);
    setup.clock.advance(ms(10));
    assert_eq!(waiter.ready().unwrap().id(), 2);
    assert_eq!(setup.factory.counts().closings.abandoned, 1);

    let setup = Setup::bare(|pool| pool.max(1).close_timeout(None).acquire_timeout(None));
    setup.factory.plan_closes([Closing::After(YEAR)]);
    setup.lease().discard();
    let mut waiter = Waiter::queued(&setup.pool);
    setup.clock.advance(YEAR - ms(1));
    assert!(waiter.poll().is_none());
    setup.clock.advance(ms(1));
    assert_eq!(waiter.ready().unwrap().id(), 2);
}

/// A waiter that lets its offer pass is passed over, keeps its place, and ends the third time.
#[test]
fn offer_timeout_passes_an_offer_on() {
    let setup = Setup::bare(|pool| pool.max(1).offer_timeout(ms(10)).acquire_timeout(None));
    let lease = setup.lease();
    let mut late = Waiter::queued(&setup.pool);
    let mut next = Waiter::queued(&setup.pool);
    drop(lease);
    setup.clock.advance(ms(10));
    assert_eq!(setup.counters().offers_missed, 1);
    for missed in 2..=3 {
        drop(next.ready().unwrap());
        next = Waiter::queued(&setup.pool);
        setup.clock.advance(ms(10));
        assert_eq!(setup.counters().offers_missed, missed);
    }
    assert_eq!(late.ready().err(), Some(AcquireError::Missed));
    assert!(next.ready().is_ok());
}
