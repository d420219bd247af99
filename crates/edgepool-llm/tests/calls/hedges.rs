//! A second attempt beside the first.

use super::*;
use edgepool_llm::limit::LimitOptions;
use edgepool_llm::retry::BudgetOptions;

const LOW: Step = Step::Acquire { priority: Priority::Low };

fn hedging(endpoints: usize) -> Bench {
    let hedge_after = Some(2 * SECOND);
    Bench::new(with(Policy { hedge_after, ..Policy::default() }, endpoints))
}

fn hedged(bench: &mut Bench) -> Call {
    let mut call = bench.sent();
    assert_eq!(bench.waits_until(&mut call), at(2_000));
    bench.pass(2 * SECOND);
    assert_eq!(bench.steps(&mut call), [LOW], "nobody waits for a second attempt");
    assert!(call.acquired());
    assert_eq!(bench.steps(&mut call), [Step::Send { attempt: Attempt(1), endpoint: 1 }]);
    call
}

#[test]
fn the_first_content_wins_and_the_loser_is_cancelled() {
    for winner in [0, 1] {
        let mut bench = hedging(2);
        let mut call = hedged(&mut bench);
        assert_eq!(bench.in_flight(), 2);
        bench.headers(&mut call, 0);
        bench.headers(&mut call, 1);
        bench.content(&mut call, winner);
        assert_eq!(bench.steps(&mut call), [Step::Cancel(Attempt(1 - winner))]);
        bench.content(&mut call, 1 - winner);
        bench.end(&mut call, 1 - winner);
        assert_eq!(bench.steps(&mut call), []);
        bench.end(&mut call, winner);
        assert_eq!(bench.steps(&mut call), [Step::Finished]);
        bench.is_quiet();
        let counts = bench.service.counts();
        assert_eq!((counts.hedges, counts.cancelled), (1, 1));
        assert_eq!(counts.hedges_won, u64::from(winner));
    }
}

#[test]
fn a_loser_that_ended_meanwhile_is_not_cancelled() {
    let mut bench = hedging(2);
    let mut call = hedged(&mut bench);
    bench.content(&mut call, 0);
    bench.fail(&mut call, 1, failure(Class::Network));
    assert_eq!(bench.steps(&mut call), [], "its place has been given back");
}

#[test]
fn one_that_fails_leaves_it_to_the_other() {
    for (first, class) in [(0, Class::Network), (1, Class::RateLimited), (0, Class::Invalid)] {
        let mut bench = hedging(2);
        let mut call = hedged(&mut bench);
        bench.fail(&mut call, first, failure(class));
        assert_eq!(bench.steps(&mut call), []);
        bench.end(&mut call, 1 - first);
        assert_eq!(bench.steps(&mut call), [Step::Finished]);
        bench.is_quiet();
    }
}

#[test]
fn when_both_fail_it_is_tried_again_without_a_third_beside() {
    let mut bench = hedging(2);
    let mut call = hedged(&mut bench);
    bench.fail(&mut call, 0, failure(Class::Server));
    bench.fail(&mut call, 1, failure(Class::Server));
    let next = bench.waits_until(&mut call);
    bench.now = next;
    bench.send(&mut call);
    bench.pass(10 * SECOND);
    assert_eq!(bench.steps(&mut call), [], "one hedge for a call");
    bench.end(&mut call, 2);
    bench.steps(&mut call);
    bench.is_quiet();
}

#[test]
fn content_ends_the_search_for_a_second_place() {
    let mut bench = hedging(2);
    let mut call = bench.sent();
    bench.pass(2 * SECOND);
    assert_eq!(bench.steps(&mut call), [LOW]);
    bench.content(&mut call, 0);
    assert_eq!(bench.steps(&mut call), [Step::Release]);
    assert!(!call.acquired(), "a place that comes all the same is not wanted");
    bench.end(&mut call, 0);
    assert_eq!(bench.steps(&mut call), [Step::Finished]);
    bench.is_quiet();
}

#[test]
fn a_second_place_that_is_refused_or_late_is_done_without() {
    for refused in [true, false] {
        let mut bench = hedging(2);
        let mut call = bench.sent();
        bench.pass(2 * SECOND);
        assert_eq!(bench.steps(&mut call), [LOW]);
        if refused {
            let full = Failure::new(Class::Refused, "the queue is full");
            call.refused(&mut bench.service, full, bench.now);
            assert_eq!(bench.steps(&mut call), []);
        } else {
            bench.pass(30 * SECOND);
            assert_eq!(bench.steps(&mut call), [Step::Release]);
        }
        bench.end(&mut call, 0);
        assert_eq!(bench.steps(&mut call), [Step::Finished]);
        bench.is_quiet();
    }
}

#[test]
fn a_first_attempt_that_fails_makes_a_retry_of_the_search() {
    let mut bench = hedging(2);
    let mut call = bench.sent();
    bench.pass(2 * SECOND);
    assert_eq!(bench.steps(&mut call), [LOW]);
    bench.fail(&mut call, 0, failure(Class::Network));
    assert_eq!(bench.steps(&mut call), []);
    assert_eq!(bench.grant(&mut call), 1);
    bench.end(&mut call, 1);
    bench.steps(&mut call);
    let counts = bench.service.counts();
    assert_eq!((counts.sent, counts.retries, counts.hedges, counts.hedges_won), (2, 1, 0, 0));

    let mut call = bench.sent();
    bench.pass(2 * SECOND);
    bench.steps(&mut call);
    bench.fail(&mut call, 0, failure(Class::Invalid));
    let last = bench.steps(&mut call);
    assert_eq!(last, [Step::Release, Step::Fail(failure(Class::Invalid))]);
    bench.is_quiet();
}

#[test]
fn there_is_none_without_budget_or_after_content() {
    let mut poor = options(2);
    poor.policy.hedge_after = Some(2 * SECOND);
    poor.policy.retry.budget = BudgetOptions { percent: 0, per_second: 0 };
    let mut bench = Bench::new(poor);
    let mut call = bench.sent();
    bench.pass(2 * SECOND);
    assert_eq!(bench.steps(&mut call), []);
    assert_eq!(bench.service.counts().over_budget, 1);

    let mut bench = hedging(2);
    let mut call = bench.sent();
    bench.content(&mut call, 0);
    bench.pass(2 * SECOND);
    assert_eq!(bench.steps(&mut call), []);
    assert_eq!(bench.service.counts().hedges, 0);
}

#[test]
fn there_is_none_where_no_endpoint_has_room_at_once() {
    let mut bench = hedging(1);
    let mut call = bench.sent();
    let mut other = bench.sent();
    bench.pass(SECOND);
    bench.fail(&mut other, 0, limited(20 * SECOND));
    bench.pass(SECOND);
    assert_eq!(bench.steps(&mut call), []);
    bench.end(&mut call, 0);
    assert_eq!(bench.steps(&mut call), [Step::Finished]);
}

#[test]
fn what_must_not_happen_twice_is_not_hedged() {
    let mut bench = hedging(2);
    let mut call = bench.call_with(CallOptions { retries: 0, ..bench.options() });
    bench.send(&mut call);
    bench.pass(2 * SECOND);
    assert_eq!(bench.steps(&mut call), []);
}

#[test]
fn hedges_neither_queue_nor_cost_anything_where_no_place_is_free() {
    let limit = Some(LimitOptions { min: 5, ..LimitOptions::to(5) });
    let hedge_after = Some(2 * SECOND);
    let mut bench = Bench::new(with(Policy { hedge_after, limit, ..Policy::default() }, 1));
    let mut calls: Vec<_> = (0..5).map(|_| bench.sent()).collect();
    bench.pass(2 * SECOND);
    let budget = bench.service.stats(bench.now).budget;
    for call in &mut calls {
        assert_eq!(bench.waits_until(call), at(2_050), "it looks again");
    }
    let stats = bench.service.stats(bench.now);
    assert_eq!((stats.budget, stats.counts.hedges, stats.waiting), (budget, 0, 0));
    bench.end(&mut calls[0], 0);
    bench.pass(50 * MS);
    bench.send(&mut calls[1]);
    let stats = bench.service.stats(bench.now);
    assert_eq!((stats.budget, stats.counts.hedges), (budget - 1, 1));
}

#[test]
fn an_endpoint_whose_calls_are_always_answered_by_hedges_is_ejected() {
    let mut bench = hedging(2);
    for _ in 0..10 {
        let mut call = bench.call();
        if bench.send(&mut call) == 1 {
            bench.pass(2 * SECOND);
            assert_eq!(bench.send(&mut call), 0);
            bench.end(&mut call, 1);
        } else {
            bench.end(&mut call, 0);
        }
        bench.steps(&mut call);
    }
    let endpoints = bench.service.endpoints();
    assert!(endpoints.all()[1].is_ejected() && !endpoints.all()[0].is_ejected());
    bench.is_quiet();
}
