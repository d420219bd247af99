//! Rates, pauses and limits that are sought.

use super::*;
use edgepool_llm::Allowance;
use edgepool_llm::bucket::{Rate, Rates};
use edgepool_llm::limit::LimitOptions;

fn rated(amount: u64) -> ServiceOptions {
    let requests = Some(Rate { amount, window: SECOND * amount as u32 });
    let rates = Rates { requests, tokens: None };
    with(Policy { rates, ..Policy::default() }, 1)
}

fn told(remaining: u64, reset: Duration) -> RateLimits {
    let requests = Allowance {
        limit: Some(100),
        remaining: Some(remaining),
        reset: Some(reset),
        window: Some(60 * SECOND),
    };
    RateLimits { requests: Some(requests), ..RateLimits::default() }
}

#[test]
fn calls_wait_for_an_empty_bucket_in_order_with_their_places() {
    let mut bench = Bench::new(rated(2));
    let _sent = [0; 2].map(|_| bench.sent());
    let mut calls = [0; 3].map(|_| {
        let mut call = bench.call();
        assert_eq!(bench.steps(&mut call), [ACQUIRE]);
        assert!(call.acquired());
        call
    });
    let times: Vec<_> = calls.iter_mut().map(|call| bench.waits_until(call)).collect();
    assert_eq!(times, [at(1_000), at(2_000), at(3_000)]);
    calls[0].abandoned(&mut bench.service, bench.now);
    assert_eq!(bench.waits_until(&mut calls[1]), at(2_000), "nobody is moved");
    bench.pass(2 * SECOND);
    assert!(matches!(bench.poll(&mut calls[1]), Step::Send { .. }));
    assert_eq!(bench.waits_until(&mut calls[2]), at(3_000));
}

#[test]
fn a_call_that_would_have_to_wait_too_long_fails_at_once_with_the_time() {
    let mut bench = Bench::new(rated(1));
    let _sent = bench.sent();
    let mut hasty = bench.options();
    hasty.timeouts.acquire = Some(SECOND);
    let mut call = bench.call_with(hasty);
    let failure = bench.error(&mut call);
    assert_eq!((failure.class, failure.retry_after), (Class::RateLimited, Some(SECOND)));
    // One that is told only when it has its place gives it back.
    hasty.timeouts.acquire = Some(1_500 * MS);
    let mut calls = [0; 2].map(|_| {
        let mut call = bench.call_with(hasty);
        assert_eq!(bench.steps(&mut call), [ACQUIRE]);
        assert!(call.acquired());
        call
    });
    bench.steps(&mut calls[0]);
    let steps = bench.steps(&mut calls[1]);
    assert!(matches!(&steps[..], [Step::Release, Step::Fail(_)]), "{steps:?}");
}

#[test]
fn a_pause_is_waited_for_without_a_place() {
    let mut bench = Bench::new(options(1));
    let mut call = bench.call_with(CallOptions { retries: 0, ..bench.options() });
    bench.send(&mut call);
    bench.fail(&mut call, 0, limited(20 * SECOND));
    bench.steps(&mut call);
    let mut call = bench.call();
    assert_eq!(bench.waits_until(&mut call), at(20_000));
    assert_eq!(bench.service.next_change(bench.now), at(20_000));
    bench.pass(20 * SECOND);
    bench.send(&mut call);

    bench.fail(&mut call, 0, limited(31 * SECOND));
    let mut other = bench.call();
    let failure = bench.error(&mut other);
    assert_eq!((failure.class, failure.retry_after), (Class::RateLimited, Some(31 * SECOND)));
}

#[test]
fn a_pause_that_comes_while_a_call_waits_for_its_time_ends_that() {
    let mut bench = Bench::new(rated(1));
    let mut first = bench.sent();
    let mut call = bench.call();
    bench.steps(&mut call);
    assert!(call.acquired());
    assert_eq!(bench.waits_until(&mut call), at(1_000));
    bench.fail(&mut first, 0, limited(5 * SECOND));
    bench.pass(SECOND);
    assert_eq!(bench.steps(&mut call), [Step::Release]);
    assert_eq!(bench.waits_until(&mut call), at(5_000));
    bench.pass(4 * SECOND);
    bench.send(&mut call);
    bench.end(&mut call, 0);
    bench.steps(&mut call);
    bench.steps(&mut first);
    first.abandoned(&mut bench.service, bench.now);
    bench.is_quiet();
}

#[test]
fn headers_of_an_answer_hold_the_next_back_but_never_beyond_the_cap() {
    let day = 86_400 * SECOND;
    for (reset, until) in [(20 * SECOND, 20_000), (day, 60_000), (Duration::MAX, 60_000)] {
        let mut bench = Bench::new(options(1));
        let mut call = bench.sent();
        call.headers(&mut bench.service, Attempt(0), 200, &told(0, reset), bench.now);
        bench.end(&mut call, 0);
        bench.steps(&mut call);
        let mut patient = bench.options();
        patient.timeouts.acquire = Some(61 * SECOND);
        let mut call = bench.call_with(patient);
        bench.steps(&mut call);
        assert!(call.acquired());
        assert_eq!(bench.waits_until(&mut call), at(until), "{reset:?}");
    }
}

#[test]
fn what_is_under_way_is_not_in_the_headers_of_others() {
    let mut bench = Bench::new(options(1));
    let mut calls = [0; 3].map(|_| bench.sent());
    let (told, now) = (told(2, 20 * SECOND), bench.now);
    calls[0].headers(&mut bench.service, Attempt(0), 200, &told, now);
    let mut call = bench.call();
    bench.steps(&mut call);
    assert!(call.acquired());
    assert_eq!(bench.waits_until(&mut call), at(600), "both that are left are taken");
}

fn sought(max: u32) -> ServiceOptions {
    with(Policy { limit: Some(LimitOptions::to(max)), ..Policy::default() }, 1)
}

fn limit(bench: &Bench) -> Option<u32> {
    bench.service.endpoints().all()[0].limit()
}

#[test]
fn refusals_lower_a_limit_and_answers_raise_it() {
    let mut bench = Bench::new(sought(10));
    assert_eq!(limit(&bench), Some(1));
    bench.answer_one();
    assert_eq!((limit(&bench), bench.service.places(bench.now)), (Some(2), 2));
    // Of these the first tells nothing, as two are not in use.
    for _ in 0..10 {
        let mut calls = [0; 2].map(|_| bench.sent());
        for call in &mut calls {
            bench.headers(call, 0);
        }
        for call in &mut calls {
            bench.end(call, 0);
        }
    }
    let grown = limit(&bench).unwrap();
    assert!(grown > 2, "{grown}");
    bench.pass(SECOND);
    bench.fail_one(Class::Overloaded);
    assert_eq!(limit(&bench), Some(grown * 7 / 10));
}

#[test]
fn a_429_lowers_the_limit_only_of_a_server_that_knows_no_rates() {
    for (headers, retry_after, lowered) in [
        (false, None, true),
        (true, None, false),
        (false, Some(SECOND), true),
        (true, Some(SECOND), false),
    ] {
        let mut bench = Bench::new(sought(64));
        bench.answer(2);
        let before = limit(&bench);
        let mut call = bench.sent();
        let limits = if headers { told(50, SECOND) } else { RateLimits::default() };
        call.headers(&mut bench.service, Attempt(0), 429, &limits, bench.now);
        let mut refusal = failure(Class::RateLimited);
        refusal.retry_after = retry_after;
        bench.fail(&mut call, 0, refusal);
        assert_eq!(limit(&bench) < before, lowered, "{headers} {retry_after:?}");
    }
}

#[test]
fn calls_that_are_refused_together_pause_as_one() {
    let mut bench = Bench::new(options(1));
    let options = CallOptions { retries: 0, ..bench.options() };
    let mut calls: Vec<_> = (0..6).map(|_| bench.call_with(options)).collect();
    calls.iter_mut().for_each(|call| _ = bench.send(call));
    let until = |bench: &Bench| bench.service.endpoints().all()[0].paused_until(bench.now);
    for call in &mut calls {
        bench.fail(call, 0, failure(Class::RateLimited));
        assert_eq!(until(&bench), Some(at(500)));
    }
    bench.pass(500 * MS);
    bench.fail_one(Class::RateLimited);
    assert_eq!(until(&bench), Some(at(1_500)), "refused again after that, for twice the time");
}
