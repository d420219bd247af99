//! How many places there are, and what is told of those who wait.

use super::*;
use edgepool_llm::endpoint::Ejection;
use edgepool_llm::limit::LimitOptions;

#[test]
fn there_are_as_many_places_as_the_endpoints_take() {
    let limit = Some(LimitOptions { min: 3, ..LimitOptions::to(8) });
    let ejection = Ejection { at_most: 100, ..Ejection::default() };
    let mut bench = Bench::new(with(Policy { limit, ejection, ..Policy::default() }, 2));
    assert_eq!(bench.service.places(bench.now), 6);
    let mut call = bench.sent();
    bench.fail(&mut call, 0, limited(20 * SECOND));
    assert_eq!(bench.service.places(bench.now), 3, "one is paused");
    (0..5).for_each(|_| drop(bench.fail_one(Class::Network)));
    assert_eq!(bench.service.places(bench.now), 1, "nobody sends, but a pool has a size");
    bench.pass(20 * SECOND);
    assert_eq!(bench.service.places(bench.now), 3);
    bench.pass(10 * SECOND);
    assert_eq!(bench.service.places(bench.now), 4, "half open");
    assert_eq!(Bench::new(options(2)).service.places(bench.now), 10, "no limit is sought");
}

#[test]
fn a_place_without_room_is_left_to_others_for_a_while() {
    let limit = Some(LimitOptions::to(8));
    let mut bench = Bench::new(with(Policy { limit, ..Policy::default() }, 1));
    let mut first = bench.sent();
    let mut call = bench.call();
    assert_eq!(bench.steps(&mut call), [ACQUIRE]);
    // The pool's size was lowered too late.
    assert!(call.acquired());
    assert_eq!(bench.steps(&mut call), [Step::Release]);
    assert_eq!(bench.waits_until(&mut call), at(50));
    bench.pass(50 * MS);
    assert_eq!(bench.steps(&mut call), [ACQUIRE]);
    assert_eq!(bench.waits_until(&mut call), at(30_000), "it has waited from the beginning");
    bench.end(&mut first, 0);
    assert_eq!(bench.grant(&mut call), 0);
}

#[test]
fn whoever_always_waits_is_told_of() {
    let mut bench = Bench::new(options(1));
    let mut first = bench.call();
    bench.pass(4 * SECOND);
    let mut second = bench.call();
    assert_eq!(bench.service.alert(bench.now), None);
    bench.send(&mut first);
    bench.pass(SECOND);
    let alert = bench.service.alert(bench.now).unwrap();
    assert_eq!((alert.since, alert.waiting, alert.refused), (at(0), 1, 0));
    bench.send(&mut second);
    assert_eq!(bench.service.alert(bench.now), None);
    assert_eq!(bench.service.stats(bench.now).counts.waits.max(), Some(4 * SECOND));
}

#[test]
fn whoever_gave_up_waiting_is_told_of_for_a_while() {
    let mut bench = Bench::new(options(1));
    let mut call = bench.call();
    bench.steps(&mut call);
    bench.pass(30 * SECOND);
    assert_eq!(bench.error(&mut call).class, Class::Timeout(Timer::Acquire));
    let alert = bench.service.alert(bench.now).unwrap();
    assert_eq!((alert.since, alert.waiting, alert.refused), (at(30_000), 0, 1));
    bench.pass(5 * SECOND);
    assert_eq!(bench.service.alert(bench.now), None);
}

#[test]
fn what_is_under_way_at_a_paused_endpoint_takes_no_place_of_the_others() {
    let limit = Some(LimitOptions { min: 5, ..LimitOptions::to(5) });
    let mut bench = Bench::new(with(Policy { limit, ..Policy::default() }, 2));
    let mut calls: Vec<_> = (0..10).map(|_| bench.sent()).collect();
    let (mut at_a, mut at_b): (Vec<_>, Vec<_>) =
        calls.drain(..).partition(|call| call.tried() == [0]);
    bench.fail(&mut at_a[0], 0, limited(60 * SECOND));
    at_b.iter_mut().for_each(|call| bench.end(call, 0));
    assert_eq!(bench.service.places(bench.now), 9, "4 that run, and 5 that are free");
    let paused = at_a.len() as u32 - 1;
    assert_eq!((paused, bench.in_flight()), (4, 4));
}
