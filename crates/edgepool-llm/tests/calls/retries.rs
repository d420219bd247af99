//! What is tried again, when, and what is not.

use super::*;
use edgepool_llm::endpoint::Checks;
use edgepool_llm::limit::LimitOptions;
use edgepool_llm::refusal::Reason;
use edgepool_llm::retry::BudgetOptions;

#[test]
fn a_retry_comes_after_a_back_off_in_which_no_place_is_held() {
    let mut bench = Bench::new(options(1));
    let mut call = bench.sent();
    bench.fail(&mut call, 0, failure(Class::Server));
    assert_eq!(bench.waits_until(&mut call), at(250));
    assert_eq!(bench.in_flight(), 0);
    bench.pass(249 * MS);
    assert_eq!(bench.steps(&mut call), []);
    bench.pass(MS);
    assert_eq!(bench.steps(&mut call), [ACQUIRE]);
    assert!(call.acquired());
    assert_eq!(bench.steps(&mut call), [Step::Send { attempt: Attempt(1), endpoint: 0 }]);
    bench.fail(&mut call, 1, failure(Class::Network));
    assert_eq!(bench.waits_until(&mut call), at(750), "half of a second, after half of that");
    bench.pass(500 * MS);
    bench.send(&mut call);
    bench.fail(&mut call, 2, failure(Class::Overloaded));
    assert_eq!(bench.error(&mut call).class, Class::Overloaded, "two retries are enough");
    bench.is_quiet();
    let counts = bench.service.counts();
    assert_eq!((counts.sent, counts.retries, counts.attempt_failures.sum()), (3, 2, 3));
}

#[test]
fn what_no_retry_helps_fails_at_once() {
    let finals = [
        Class::QuotaExhausted,
        Class::Unauthorised,
        Class::NotFound,
        Class::Invalid,
        Class::TooLarge,
        Class::Cancelled,
    ];
    for class in finals {
        let mut bench = Bench::new(options(2));
        let mut call = bench.sent();
        bench.fail(&mut call, 0, failure(class));
        assert_eq!(bench.error(&mut call), failure(class));
        assert_eq!(bench.service.counts().sent, 1);
    }
}

#[test]
fn the_provider_may_forbid_a_retry() {
    let mut bench = Bench::new(options(2));
    let mut call = bench.sent();
    let mut forbidden = failure(Class::Server);
    forbidden.should_retry = Some(false);
    bench.fail(&mut call, 0, forbidden.clone());
    assert_eq!(bench.error(&mut call), forbidden);
}

#[test]
fn nothing_is_tried_again_after_content() {
    for class in [Class::Network, Class::Truncated, Class::Overloaded, Class::RateLimited] {
        let mut bench = Bench::new(options(2));
        let mut call = bench.sent();
        bench.content(&mut call, 0);
        bench.fail(&mut call, 0, failure(class));
        assert_eq!(bench.error(&mut call), failure(class));
        bench.is_quiet();
    }
}

#[test]
fn another_endpoint_takes_over_at_once() {
    let mut bench = Bench::new(options(3));
    let mut call = bench.sent();
    for attempt in 0..2 {
        bench.fail(&mut call, attempt, failure(Class::Network));
        bench.send(&mut call);
    }
    assert_eq!(bench.now, at(0));
    let mut tried = call.tried().to_vec();
    tried.sort_unstable();
    assert_eq!(tried, [0, 1, 2]);
}

#[test]
fn a_failure_of_all_endpoints_names_each_ones() {
    let mut bench = Bench::new(options(2));
    let mut call = bench.call_with(CallOptions { retries: 1, ..bench.options() });
    bench.send(&mut call);
    bench.fail(&mut call, 0, Failure::new(Class::Network, "the connection was refused"));
    bench.send(&mut call);
    bench.fail(&mut call, 1, Failure::new(Class::Server, "it fell over"));
    let failure = bench.error(&mut call);
    let told = "it fell over; all endpoints fail: a: the connection was refused; b: it fell over";
    assert_eq!((failure.class, failure.message.as_str()), (Class::Server, told));
}

#[test]
fn retry_after_is_waited_for_up_to_the_cap() {
    let mut bench = Bench::new(options(1));
    let mut call = bench.sent();
    bench.fail(&mut call, 0, limited(60 * SECOND));
    assert_eq!(bench.waits_until(&mut call), at(60_000));
    bench.now = at(60_000);
    let mut call = bench.call();
    bench.send(&mut call);
    bench.fail(&mut call, 0, limited(61 * SECOND));
    let failure = bench.error(&mut call);
    assert_eq!(failure.retry_after, Some(61 * SECOND));
    assert!(failure.message.contains("asks to wait 61s, over the cap of 60s"), "{failure}");
}

#[test]
fn a_retry_after_of_nothing_is_no_leave_to_storm() {
    let mut bench = Bench::new(options(1));
    let mut call = bench.sent();
    bench.fail(&mut call, 0, limited(Duration::ZERO));
    assert_eq!(bench.waits_until(&mut call), at(250));
    bench.pass(250 * MS);
    assert_eq!(bench.waits_until(&mut call), at(500), "the endpoint rests for longer");
    bench.pass(250 * MS);
    bench.send(&mut call);
    bench.fail(&mut call, 1, limited(Duration::ZERO));
    let mut other = bench.call();
    assert_eq!(bench.waits_until(&mut other), at(1_500), "and for longer each time");
}

#[test]
fn a_longer_wait_than_the_cap_is_taken_elsewhere() {
    let mut bench = Bench::new(options(2));
    let mut call = bench.sent();
    bench.fail(&mut call, 0, limited(3_600 * SECOND));
    assert_eq!(bench.send(&mut call), 1);
}

/// Has a call fail once, and tells whether it is tried again; else that is for the budget.
fn is_tried_again(bench: &mut Bench) -> bool {
    let mut call = bench.call_with(CallOptions { retries: 1, ..bench.options() });
    bench.send(&mut call);
    bench.fail(&mut call, 0, failure(Class::Truncated));
    let refused = bench.steps(&mut call).pop();
    if let Some(Step::Fail(failure)) = &refused {
        assert!(failure.message.contains("budget"), "{failure}");
        return false;
    }
    call.abandoned(&mut bench.service, bench.now);
    bench.steps(&mut call);
    true
}

#[test]
fn the_budget_allows_ten_in_a_second() {
    let mut bench = Bench::new(options(2));
    for _ in 0..100 {
        assert!(is_tried_again(&mut bench));
        bench.pass(100 * MS);
    }
}

#[test]
fn the_budget_allows_a_fifth_of_all_calls_besides() {
    let mut bench = Bench::new(options(2));
    let mut retried = 0;
    for _ in 0..100 {
        bench.answer_one();
        retried += u32::from(is_tried_again(&mut bench));
    }
    // Of 200 calls a fifth, and ten for the second.
    assert_eq!((retried, bench.service.counts().over_budget), (50, 50));
}

#[test]
fn the_retry_of_an_sdk_takes_from_the_same_budget() {
    let budget = BudgetOptions { percent: 0, per_second: 2 };
    let mut service = options(2);
    service.policy.retry.budget = budget;
    let mut bench = Bench::new(service);
    let again = CallOptions { retried: 2, ..bench.options() };
    let mut call = bench.call_with(again);
    bench.send(&mut call);
    bench.fail(&mut call, 0, failure(Class::Network));
    assert_eq!(bench.error(&mut call).class, Class::Network, "both of its retries are spent");
    let mut call = bench.call_with(again);
    call.abandoned(&mut bench.service, bench.now);
    bench.steps(&mut call);
    let mut call = bench.call_with(again);
    let failure = bench.error(&mut call);
    assert_eq!(failure.class, Class::Refused);
    assert_eq!(Reason::of(&failure), Some(Reason::OverBudget));
    bench.is_quiet();
}

#[test]
fn what_one_endpoint_asks_to_wait_is_not_waited_for_where_another_is_up() {
    for seconds in [20, 3_600] {
        let limit = Some(LimitOptions { min: 1, ..LimitOptions::to(1) });
        let mut bench = Bench::new(with(Policy { limit, ..Policy::default() }, 2));
        let mut call = bench.sent();
        let mut other = bench.sent();
        bench.fail(&mut call, 0, limited(seconds * SECOND));
        assert_eq!(bench.waits_until(&mut call), at(250), "the back-off alone, {seconds}");
        bench.end(&mut other, 0);
        bench.pass(250 * MS);
        assert_eq!(bench.send(&mut call), 1);
    }
}

#[test]
fn a_long_message_leaves_room_for_what_follows() {
    let mut bench = Bench::new(options(1));
    let mut call = bench.sent();
    let mut long = Failure::new(Class::RateLimited, "x".repeat(2_000));
    long.retry_after = Some(7_200 * SECOND);
    bench.fail(&mut call, 0, long);
    let failure = bench.error(&mut call);
    assert!(failure.message.ends_with("(the option `retry_after_cap`)"), "{failure}");
}

#[test]
fn who_rests_as_asked_goes_on_where_a_check_finds_an_endpoint_back() {
    let checks = Checks { failures: 1, ..Checks::default() };
    let mut bench = Bench::new(with(Policy { checks: Some(checks), ..Policy::default() }, 2));
    let due = [0, 1].map(|_| bench.service.check_due(0, bench.now).expect("a check is due"));
    bench.service.checked(due[0], Ok(()), bench.now);
    bench.service.checked(due[1], Err(failure(Class::Network)), bench.now);
    let mut call = bench.sent();
    bench.fail(&mut call, 0, limited(20 * SECOND));
    assert_eq!(bench.waits_until(&mut call), at(250), "the back-off");
    bench.pass(250 * MS);
    assert_eq!(bench.waits_until(&mut call), at(20_000), "the other endpoint is down");
    bench.pass(6 * SECOND);
    let check = bench.service.check_due(0, bench.now).expect("a check is due");
    bench.service.checked(check, Ok(()), bench.now);
    assert_eq!(bench.send(&mut call), 1);
}

#[test]
fn a_whole_answer_that_breaks_off_is_asked_for_again() {
    let mut bench = Bench::new(options(1));
    let hedge_after = Some(10 * SECOND);
    let mut call = bench.call_with(CallOptions { hedge_after, ..bench.options() });
    bench.send(&mut call);
    bench.headers(&mut call, 0);
    call.bytes(Attempt(0), bench.now);
    bench.pass(59 * SECOND);
    call.bytes(Attempt(0), bench.now);
    bench.pass(59 * SECOND);
    assert_eq!(bench.waits_until(&mut call), at(119_000), "no hedge, and bytes wind the clock");
    bench.fail(&mut call, 0, failure(Class::Network));
    bench.waits_until(&mut call);
    bench.pass(250 * MS);
    bench.send(&mut call);
    call.bytes(Attempt(1), bench.now);
    bench.end(&mut call, 1);
    assert_eq!(bench.steps(&mut call), [Step::Finished]);
    assert_eq!(bench.service.counts().retries, 1);
}
