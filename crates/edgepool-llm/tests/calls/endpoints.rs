//! Which endpoint is next, and which ones are out.

use super::*;
use edgepool_llm::endpoint::{Balance, Breaker, Check, Checks, Ejection};

fn breakers(bench: &Bench) -> Vec<Breaker> {
    bench.service.endpoints().all().iter().map(|each| each.breaker(bench.now)).collect()
}

fn sent_to(bench: &Bench) -> Vec<u64> {
    bench.service.endpoints().all().iter().map(|each| each.sent()).collect()
}

#[test]
fn calls_go_by_the_weights() {
    let mut weighed = options(3);
    weighed.endpoints[0].weight = 4;
    weighed.endpoints[2].weight = 0;
    let mut bench = Bench::new(weighed);
    for _ in 0..60 {
        bench.answer_one();
    }
    assert_eq!(sent_to(&bench), [40, 10, 10], "a weight of 0 counts as 1");
}

#[test]
fn the_fewest_under_way_are_next() {
    let least = with(Policy { balance: Balance::LeastConnections, ..Policy::default() }, 2);
    let mut bench = Bench::new(least);
    let mut calls: Vec<_> = (0..6).map(|_| bench.sent()).collect();
    assert_eq!(sent_to(&bench), [3, 3]);
    let mut first: Vec<_> = calls.extract_if(.., |call| call.tried() == [0]).collect();
    for call in &mut first {
        bench.end(call, 0);
    }
    let more = [0; 3].map(|_| {
        let mut call = bench.call();
        bench.send(&mut call)
    });
    assert_eq!(more, [0, 0, 0]);
}

#[test]
fn one_that_fails_is_ejected_and_tried_by_one_call() {
    let mut bench = Bench::new(options(2));
    for _ in 0..5 {
        // They take turns.
        bench.call_to(0).or_else(|| bench.call_to(0)).unwrap();
    }
    assert_eq!(breakers(&bench), [Breaker::Open, Breaker::Closed]);
    for _ in 0..20 {
        assert_eq!(bench.answer_one(), 1);
    }
    bench.pass(30 * SECOND);
    assert_eq!(breakers(&bench), [Breaker::HalfOpen, Breaker::Closed]);
    let mut calls: Vec<_> = (0..10).map(|_| bench.sent()).collect();
    let tries: Vec<_> = calls.iter().filter(|call| call.tried() == [0]).collect();
    assert_eq!(tries.len(), 1);
    for call in &mut calls {
        bench.content(call, 0);
    }
    assert_eq!(breakers(&bench), [Breaker::Closed; 2], "content is enough");
    // Its share grows in ten seconds.
    let before = sent_to(&bench)[0];
    bench.pass(SECOND);
    bench.answer(110);
    let share = sent_to(&bench)[0] - before;
    assert!((9..=11).contains(&share), "{share} of 110");
    bench.pass(9 * SECOND);
    bench.answer(110);
    assert_eq!(sent_to(&bench)[0] - before, share + 55);
}

#[test]
fn one_that_is_half_open_is_next_though_others_are_better() {
    let mut unequal = with(Policy { balance: Balance::LeastConnections, ..Policy::default() }, 2);
    unequal.endpoints[1].weight = 10;
    let mut bench = Bench::new(unequal);
    let mut call = bench.call_with(CallOptions { retries: 0, ..bench.options() });
    assert_eq!(bench.send(&mut call), 1);
    bench.fail(&mut call, 0, limited(SECOND));
    (0..5).for_each(|_| _ = bench.fail_one(Class::Network));
    assert_eq!(breakers(&bench), [Breaker::Open, Breaker::Closed]);
    bench.pass(SECOND);
    assert_eq!(bench.answer_one(), 1);
    bench.pass(30 * SECOND);
    assert_eq!(bench.answer_one(), 0);
    assert_eq!(breakers(&bench), [Breaker::Closed; 2]);
}

#[test]
fn a_trial_that_nobody_waited_for_is_made_again() {
    let mut bench = Bench::new(all_ejectable(1));
    (0..5).for_each(|_| _ = bench.fail_one(Class::Network));
    bench.pass(30 * SECOND);
    let mut call = bench.sent();
    call.abandoned(&mut bench.service, bench.now);
    assert_eq!(breakers(&bench), [Breaker::HalfOpen]);
    assert_eq!(bench.answer_one(), 0);
    assert_eq!(breakers(&bench), [Breaker::Closed]);
}

#[test]
fn an_answer_of_any_kind_ends_a_trial() {
    for class in [Class::RateLimited, Class::Unauthorised, Class::Invalid] {
        let mut bench = Bench::new(all_ejectable(1));
        (0..5).for_each(|_| _ = bench.fail_one(Class::Network));
        bench.pass(30 * SECOND);
        bench.fail_one(class);
        assert_eq!(breakers(&bench), [Breaker::Closed], "{class:?}");
    }
}

#[test]
fn at_most_half_are_ejected() {
    for (endpoints, most) in [(1, 0), (2, 1), (3, 1), (4, 2)] {
        let mut bench = Bench::new(options(endpoints));
        for _ in 0..100 {
            bench.fail_one(Class::Server);
        }
        assert_eq!(bench.service.endpoints().ejected(), most, "of {endpoints}");
    }
}

#[test]
fn what_is_no_fault_of_theirs_ejects_none() {
    let mut bench = Bench::new(all_ejectable(1));
    for class in [Class::Invalid, Class::Unauthorised, Class::QuotaExhausted, Class::TooLarge] {
        (0..30).for_each(|_| drop(bench.fail_one(class)));
    }
    for _ in 0..30 {
        bench.fail_one(Class::RateLimited);
        bench.pass(8 * SECOND);
    }
    assert_eq!(breakers(&bench), [Breaker::Closed]);
}

fn all_ejectable(endpoints: usize) -> ServiceOptions {
    let ejection = Ejection { at_most: 100, ..Ejection::default() };
    with(Policy { ejection, ..Policy::default() }, endpoints)
}

#[test]
fn when_all_are_down_a_call_fails_at_once_and_says_why_of_each() {
    let mut bench = Bench::new(all_ejectable(2));
    for _ in 0..10 {
        bench.fail_one(Class::Network);
    }
    bench.pass(10 * SECOND);
    let mut call = bench.call();
    let failure = bench.error(&mut call);
    assert_eq!((failure.class, failure.retry_after), (Class::Refused, Some(20 * SECOND)));
    assert_eq!(failure.message, "no endpoint is up: a: it broke; b: it broke");
    assert_eq!(bench.service.next_change(bench.now), at(30_000));
    bench.is_quiet();
}

#[test]
fn a_pause_of_one_is_not_one_of_the_others() {
    let mut bench = Bench::new(options(2));
    let mut call = bench.sent();
    bench.fail(&mut call, 0, limited(20 * SECOND));
    for _ in 0..10 {
        assert_eq!(bench.answer_one(), 1);
    }
    assert_eq!(breakers(&bench), [Breaker::Closed; 2]);
    bench.pass(20 * SECOND);
    bench.answer(2);
    assert_eq!(sent_to(&bench)[0], 2);
}

fn checked() -> ServiceOptions {
    let checks = Checks { failures: 2, ..Checks::default() };
    with(Policy { checks: Some(checks), ..Policy::default() }, 2)
}

/// Begins the check that is due, which is of that endpoint.
fn due(bench: &mut Bench, endpoint: usize) -> Check {
    let check = bench.service.check_due(0, bench.now).expect("a check is due");
    assert_eq!(check.endpoint, endpoint);
    check
}

#[test]
fn checks_take_endpoints_down_and_bring_them_back() {
    let mut bench = Bench::new(checked());
    for round in 0..2 {
        let check = due(&mut bench, 0);
        bench.service.checked(check, Err(failure(Class::Network)), bench.now);
        if round == 0 {
            let check = due(&mut bench, 1);
            // What an endpoint answers to those who may not look is an answer.
            bench.service.checked(check, Err(failure(Class::Unauthorised)), bench.now);
        }
        assert_eq!(bench.service.check_due(0, bench.now), None);
        assert_eq!(bench.service.next_change(bench.now), bench.now.saturating_add(6 * SECOND));
        bench.pass(6 * SECOND);
    }
    assert_eq!(breakers(&bench), [Breaker::Open, Breaker::Closed]);
    for _ in 0..5 {
        assert_eq!(bench.answer_one(), 1);
    }
    let check = due(&mut bench, 0);
    bench.service.checked(check, Ok(()), bench.now);
    assert_eq!(breakers(&bench), [Breaker::Closed; 2]);
}

#[test]
fn what_comes_of_a_check_that_was_given_up_does_not_end_the_next() {
    let mut bench =
        Bench::new(with(Policy { checks: Some(Checks::default()), ..Policy::default() }, 1));
    let late = due(&mut bench, 0);
    bench.pass(5 * SECOND);
    assert_eq!(bench.service.check_due(0, bench.now), None, "it is given up");
    bench.pass(6 * SECOND);
    let next = due(&mut bench, 0);
    bench.service.checked(late, Ok(()), bench.now);
    assert_eq!(bench.service.next_change(bench.now), bench.now.saturating_add(5 * SECOND));
    bench.service.checked(next, Ok(()), bench.now);
    let after = bench.service.next_change(bench.now).saturating_since(bench.now);
    assert!(after > 50 * SECOND, "the next is an interval away: {after:?}");
}

#[test]
fn a_check_that_takes_too_long_has_failed() {
    let mut bench = Bench::new(checked());
    for _ in 0..2 {
        for _ in 0..2 {
            assert!(bench.service.check_due(0, bench.now).is_some());
        }
        bench.pass(5 * SECOND);
        assert_eq!(bench.service.check_due(0, bench.now), None, "they are given up");
        bench.pass(6 * SECOND);
    }
    let mut call = bench.call();
    let failure = bench.error(&mut call);
    assert_eq!((failure.class, failure.retry_after), (Class::Refused, None));
    assert!(failure.message.contains("b: a check got no answer in 5s"), "{failure}");
}

impl Bench {
    /// Sends a call, and has it fail if it went to that endpoint; else it is answered.
    fn call_to(&mut self, endpoint: usize) -> Option<()> {
        let mut call = self.call_with(CallOptions { retries: 0, ..self.options() });
        let is_there = self.send(&mut call) == endpoint;
        if is_there {
            self.fail(&mut call, 0, failure(Class::Server));
        } else {
            self.end(&mut call, 0);
        }
        self.steps(&mut call);
        is_there.then_some(())
    }
}

/// Two endpoints, of which the second is ejected for 5 s, and the first is paused for that long.
fn paused_beside_an_ejected_one(pause: Duration) -> Bench {
    let ejection =
        Ejection { base: 5 * SECOND, consecutive: Some(1), share: None, ..Ejection::default() };
    let mut bench = Bench::new(with(Policy { ejection, ..Policy::default() }, 2));
    assert_eq!(bench.answer_one(), 0);
    bench.fail_one(Class::Network);
    assert_eq!(bench.service.endpoints().ejected(), 1);
    let mut call = bench.call_with(CallOptions { retries: 0, ..bench.options() });
    assert_eq!(bench.send(&mut call), 0);
    bench.fail(&mut call, 0, limited(pause));
    bench.steps(&mut call);
    bench
}

#[test]
fn a_pause_is_no_longer_than_until_another_one_is_tried_again() {
    for pause in [25, 50] {
        let mut bench = paused_beside_an_ejected_one(pause * SECOND);
        let mut call = bench.call();
        assert_eq!(bench.waits_until(&mut call), at(5_000), "{pause}");
        bench.pass(5 * SECOND);
        assert_eq!(bench.send(&mut call), 1);
    }
}

#[test]
fn an_endpoint_that_never_answers_is_ejected_where_the_whole_call_runs_out_first() {
    let mut options = options(2);
    options.timeouts.total = Some(5 * SECOND);
    let mut bench = Bench::new(options);
    for _ in 0..10 {
        let mut call = bench.call();
        if bench.send(&mut call) == 0 {
            bench.headers(&mut call, 0);
            bench.end(&mut call, 0);
        } else {
            bench.pass(5 * SECOND);
            assert_eq!(bench.error(&mut call).class, Class::Timeout(Timer::Total));
        }
    }
    let endpoints = bench.service.endpoints();
    assert!(endpoints.all()[1].is_ejected() && !endpoints.all()[0].is_ejected());
    assert!(endpoints.errors().contains("no headers came in 5s"), "{}", endpoints.errors());
    assert!(endpoints.all()[1].latency(bench.now) > endpoints.all()[0].latency(bench.now));
    bench.is_quiet();
}

#[test]
fn one_that_was_sent_shortly_before_the_end_says_nothing_of_its_endpoint() {
    let ejection = Ejection { consecutive: Some(1), at_most: 100, ..Ejection::default() };
    let mut options = with(Policy { ejection, ..Policy::default() }, 1);
    options.timeouts.total = Some(5 * SECOND);
    let mut bench = Bench::new(options);
    let mut call = bench.call();
    bench.pass(3 * SECOND);
    bench.send(&mut call);
    bench.pass(2 * SECOND);
    assert_eq!(bench.error(&mut call).class, Class::Timeout(Timer::Total));
    assert_eq!(bench.service.endpoints().ejected(), 0);
}
