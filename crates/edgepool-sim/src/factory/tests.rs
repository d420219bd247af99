use super::*;
use crate::{ByHand, Defects};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn setup() -> (SimClock, SimFactory) {
    let clock = SimClock::new();
    let factory = SimFactory::new(&clock, 1);
    (clock, factory)
}

fn made(factory: &SimFactory) -> SimConnection {
    ByHand::new(factory.create()).ready().unwrap()
}

fn later<T, F>(begun: Begun<T, F>) -> F {
    match begun {
        Begun::Later(job) => job,
        Begun::Done(_) => panic!("it was done at once"),
    }
}

fn done<T, F>(begun: Begun<T, F>) -> T {
    match begun {
        Begun::Done(done) => done,
        Begun::Later(_) => panic!("it is not done yet"),
    }
}

#[test]
fn trials_go_as_planned_and_then_as_the_odds_say() {
    let (clock, factory) = setup();
    factory.plan_checks([Trial::FailAtOnce, Trial::Fail(MS), Trial::Pass(MS)]);
    let (connection, error) = done(factory.check(made(&factory))).unwrap_err();
    assert_eq!(error, SimError { creation: 1 });

    let mut job = ByHand::new(later(factory.check(connection)));
    assert!(job.poll().is_none());
    clock.advance(MS);
    let (connection, _) = job.ready().unwrap_err();

    let mut job = ByHand::new(later(factory.check(connection)));
    assert_eq!(factory.counts().checks.unpolled, 1);
    assert!(job.poll().is_none());
    clock.advance(MS);
    let connection = job.ready().unwrap();

    let connection = done(factory.check(connection)).unwrap();
    let counts = factory.counts().checks;
    assert_eq!((counts.begun, counts.failed, counts.passed, counts.under_way), (4, 2, 2, 0));
    factory.set_reset_odds(Odds { fail: 1000, ..Odds::NONE });
    assert!(done(factory.reset(connection)).is_err());
    assert_eq!(factory.counts().resets.failed, 1);
}

#[test]
fn a_broken_connection_fails_its_checks_and_no_reset() {
    let (clock, factory) = setup();
    factory.plan_defects([Defect::AtUse(2), Defect::After(MS)]);
    let (mut by_use, by_time, mut by_holder) = (made(&factory), made(&factory), made(&factory));
    by_use.use_once();
    let by_use = done(factory.check(by_use));
    let mut by_use = by_use.unwrap();
    by_use.use_once();
    let by_use = done(factory.reset(by_use)).unwrap();
    assert!(done(factory.check(by_use)).is_err());

    let mut job = {
        factory.plan_checks([Trial::Pass(MS)]);
        ByHand::new(later(factory.check(by_time)))
    };
    assert!(job.poll().is_none());
    clock.advance(MS);
    assert!(job.ready().is_err(), "it broke during the check");

    assert!(!by_holder.is_broken());
    by_holder.break_down();
    assert!(done(factory.check(by_holder)).is_err());
}

#[test]
fn every_end_of_a_connection_is_told_from_the_others() {
    let (clock, factory) = setup();
    factory.plan_closes([Closing::AtOnce, Closing::After(MS), Closing::Hang]);
    factory.plan_checks([Trial::Hang]);
    done(factory.close(made(&factory)));
    let mut closing = ByHand::new(later(factory.close(made(&factory))));
    assert!(closing.poll().is_none());
    clock.advance(MS);
    closing.ready();
    drop(later(factory.close(made(&factory))));
    drop(later(factory.check(made(&factory))));
    made(&factory).set_taken();
    factory.assert_all_closed();

    drop(made(&factory));
    let counts = factory.counts();
    assert_eq!((counts.closed, counts.lost, counts.taken, counts.unclosed), (3, 1, 1, 1));
    assert_eq!((counts.closings.abandoned, counts.checks.abandoned), (1, 1));
    assert!(catch_unwind(|| factory.assert_all_closed()).is_err());
}

#[test]
fn panics_come_where_they_are_planned_and_are_counted() {
    let (clock, factory) = setup();
    fn panics(run: &mut dyn FnMut()) -> bool {
        catch_unwind(AssertUnwindSafe(run)).is_err()
    }
    factory.plan([Creation::PanicAtStart]);
    assert!(panics(&mut || drop(factory.create())));
    factory.plan_resets([Trial::PanicAtStart, Trial::Panic(MS)]);
    assert!(panics(&mut || drop(factory.reset(made(&factory)))));
    let mut job = ByHand::new(later(factory.reset(made(&factory))));
    job.poll();
    clock.advance(MS);
    assert!(panics(&mut || drop(job.poll())));
    drop(job);
    factory.plan_closes([Closing::PanicAtStart]);
    assert!(panics(&mut || drop(factory.close(made(&factory)))));

    factory.plan_hook_panic(Hook::Drop, 0);
    assert!(panics(&mut || drop(made(&factory))));
    let counts = factory.counts();
    assert_eq!((counts.resets.panicked, counts.closings.panicked, counts.lost), (2, 1, 2));
    assert_eq!((counts.hooks_panicked, counts.unclosed), (1, 1));
    let connection = made(&factory);
    factory.plan_hook_panic(Hook::BeforeAcquire, 0);
    assert!(panics(&mut || factory.called(Hook::BeforeAcquire, connection.id())));
}

#[test]
fn a_plan_for_hooks_counts_the_calls_that_go_well() {
    let (_clock, factory) = setup();
    factory.plan_hook_panic(Hook::Observe, 2);
    let outcomes: Vec<bool> = (0..5)
        .map(|_| catch_unwind(AssertUnwindSafe(|| factory.called(Hook::Observe, 0))).is_ok())
        .collect();
    assert_eq!(outcomes, [true, true, false, true, true]);
    assert_eq!(factory.counts().hooks_panicked, 1);
}

#[test]
fn a_call_may_use_the_factory_and_sees_each_job() {
    let (_clock, factory) = setup();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (inner, log) = (factory.clone(), seen.clone());
    factory.on_call(move |call| {
        assert_eq!(inner.counts().started, 1);
        log.lock().unwrap().push(call);
    });
    let connection = done(factory.check(made(&factory))).unwrap();
    done(factory.close(connection));
    factory.ignore_calls();
    let drop = Call::Hook(Hook::Drop, 1);
    assert_eq!(*seen.lock().unwrap(), [Call::Create(1), Call::Check(1), Call::Close(1), drop]);
}

#[test]
fn odds_give_what_they_say_and_calm_ends_them() {
    let (_clock, factory) = setup();
    factory.set_check_odds(Odds { latency: MS..=MS, at_once: 500, fail: 500, ..Odds::NONE });
    factory.set_defects(Defects { at_use: 500, ..Defects::NONE });
    factory.set_hook_odds(1000);
    assert!(catch_unwind(AssertUnwindSafe(|| factory.called(Hook::Observe, 0))).is_err());
    factory.set_hook_odds(0);
    let mut at_once = 0;
    for _ in 0..1000 {
        if let Begun::Done(tried) = factory.check(made(&factory)) {
            at_once += 1;
            drop(tried);
        }
    }
    assert!((400..600).contains(&at_once), "{at_once}");
    assert!((100..400).contains(&factory.counts().checks.failed), "{:?}", factory.counts());
    factory.calm();
    assert!((0..100).all(|_| done(factory.check(made(&factory))).is_ok()));
}
