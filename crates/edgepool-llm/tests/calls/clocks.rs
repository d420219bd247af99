//! The five clocks.

use super::*;
use edgepool_llm::clocks::Timeouts;

fn timeouts() -> Timeouts {
    Timeouts {
        acquire: Some(SECOND),
        headers: Some(2 * SECOND),
        first_content: Some(3 * SECOND),
        between_content: Some(4 * SECOND),
        total: Some(20 * SECOND),
    }
}

/// Each brings a call to where its clock runs, and tells after how many seconds that runs out.
#[test]
fn each_clock_has_its_own_time_and_its_own_error() {
    let cases: [(Timer, Bring, u32); 5] = [
        (Timer::Acquire, |bench, call| _ = bench.steps(call), 1),
        (Timer::Headers, |bench, call| _ = bench.send(call), 2),
        (
            Timer::FirstContent,
            |bench, call| {
                bench.send(call);
                bench.headers(call, 0);
            },
            3,
        ),
        (
            Timer::BetweenContent,
            |bench, call| {
                bench.send(call);
                bench.headers(call, 0);
                bench.content(call, 0);
            },
            4,
        ),
        (
            Timer::Total,
            |bench, call| {
                bench.send(call);
                for _ in 0..6 {
                    bench.pass(3 * SECOND);
                    bench.content(call, 0);
                }
            },
            2,
        ),
    ];
    for (timer, bring, seconds) in cases {
        let mut bench = Bench::new(options(1));
        let call = CallOptions { timeouts: timeouts(), retries: 0, ..bench.options() };
        let mut call = bench.call_with(call);
        bring(&mut bench, &mut call);
        let due = bench.now.saturating_add(seconds * SECOND);
        assert_eq!(bench.waits_until(&mut call), due, "{timer:?}");
        bench.now = due;
        let mut steps = bench.steps(&mut call);
        let Some(Step::Fail(failure)) = steps.pop() else { panic!("{timer:?}: {steps:?}") };
        assert_eq!(failure.class, Class::Timeout(timer));
        let back = if timer == Timer::Acquire { Step::Release } else { Step::Cancel(Attempt(0)) };
        assert_eq!(steps, [back], "{timer:?}");
        bench.is_quiet();
    }
}

#[test]
fn pings_are_no_content_but_are_told_of() {
    let mut bench = Bench::new(options(1));
    let mut call = bench.sent();
    bench.headers(&mut call, 0);
    bench.content(&mut call, 0);
    for _ in 0..59 {
        bench.pass(SECOND);
        call.quiet(Attempt(0));
        assert_eq!(bench.steps(&mut call), []);
    }
    bench.pass(SECOND);
    let failure = bench.error(&mut call);
    assert_eq!(failure.class, Class::Timeout(Timer::BetweenContent));
    assert!(failure.message.ends_with("meanwhile 59 pings came"), "{failure}");
}

#[test]
fn a_retry_has_no_more_than_what_is_left_of_all() {
    let mut bench = Bench::new(options(2));
    let mut call = bench.call_with(CallOptions { timeouts: timeouts(), ..bench.options() });
    bench.pass(900 * MS);
    bench.send(&mut call);
    bench.pass(1_900 * MS);
    bench.fail(&mut call, 0, failure(Class::Server));
    assert!(matches!(bench.poll(&mut call), Step::Acquire { .. }));
    assert_eq!(bench.waits_until(&mut call), at(3_800), "each attempt has its own wait");
    bench.grant(&mut call);
    bench.headers(&mut call, 1);
    bench.content(&mut call, 1);
    bench.now = at(18_000);
    bench.content(&mut call, 1);
    assert_eq!(bench.waits_until(&mut call), at(20_000));
}

#[test]
fn a_back_off_that_ends_too_late_is_not_begun() {
    let mut bench = Bench::new(options(1));
    let mut short = bench.options();
    short.timeouts.total = Some(SECOND);
    let mut call = bench.call_with(short);
    bench.send(&mut call);
    bench.pass(750 * MS);
    bench.fail(&mut call, 0, failure(Class::Server));
    let failure = bench.error(&mut call);
    assert_eq!((failure.class, failure.status), (Class::Server, Some(500)));
    assert!(failure.message.contains("no time is left"), "{failure}");
}

#[test]
fn a_call_that_may_not_wait_gets_what_is_there_or_fails_at_once() {
    let mut bench = Bench::new(options(1));
    let mut hasty = bench.options();
    hasty.timeouts.acquire = Some(Duration::ZERO);
    for is_there in [true, false] {
        let mut call = bench.call_with(hasty);
        assert_eq!(bench.poll(&mut call), ACQUIRE);
        if is_there {
            assert_eq!(bench.grant(&mut call), 0);
            bench.end(&mut call, 0);
            assert_eq!(bench.steps(&mut call), [Step::Finished]);
        } else {
            assert_eq!(bench.error(&mut call).class, Class::Timeout(Timer::Acquire));
        }
    }
    let mut other = bench.sent();
    bench.fail(&mut other, 0, limited(SECOND));
    let mut call = bench.call_with(hasty);
    assert_eq!(bench.error(&mut call).class, Class::RateLimited);
}

#[test]
fn clocks_that_are_off_let_a_call_wait_for_ever() {
    let mut bench = Bench::new(options(1));
    let mut patient = bench.options();
    patient.timeouts = Timeouts {
        acquire: None,
        headers: None,
        first_content: None,
        between_content: None,
        total: None,
    };
    let mut call = bench.call_with(patient);
    bench.poll(&mut call);
    assert_eq!(bench.waits_until(&mut call), Time::NEVER);
    bench.grant(&mut call);
    bench.now = Time::from_nanos(u64::MAX - 1);
    assert_eq!(bench.waits_until(&mut call), Time::NEVER);
    bench.end(&mut call, 0);
    assert_eq!(bench.steps(&mut call), [Step::Finished]);
}

#[test]
fn a_clock_that_steps_back_does_no_harm() {
    let mut bench = Bench::new(options(2));
    bench.now = at(3_600_000);
    let mut call = bench.call();
    bench.now = at(0);
    bench.send(&mut call);
    bench.headers(&mut call, 0);
    bench.fail(&mut call, 0, limited(SECOND));
    bench.steps(&mut call);
    bench.now = at(3_600_000);
    bench.steps(&mut call);
    call.abandoned(&mut bench.service, at(0));
    bench.steps(&mut call);
    bench.is_quiet();
}

#[test]
fn an_answer_that_was_taken_has_no_clock_but_the_whole_one() {
    let mut bench = Bench::new(options(1));
    let timeouts = Timeouts { total: Some(300 * SECOND), ..Timeouts::default() };
    let mut call = bench.call_with(CallOptions { timeouts, ..bench.options() });
    bench.send(&mut call);
    bench.headers(&mut call, 0);
    call.taken(&mut bench.service, Attempt(0), bench.now);
    assert_eq!(bench.waits_until(&mut call), at(300_000));
    bench.pass(100 * SECOND);
    bench.content(&mut call, 0);
    assert_eq!(bench.waits_until(&mut call), at(300_000));
    call.quiet(Attempt(0));
    call.late(&mut bench.service, Attempt(0), Timer::BetweenContent, bench.now);
    let failure = bench.error(&mut call);
    assert_eq!(failure.class, Class::Timeout(Timer::BetweenContent));
    assert!(failure.message.ends_with("meanwhile 1 pings came"), "{failure}");
    assert_eq!(bench.service.counts().retries, 0, "what was handed out is not repeated");
    bench.is_quiet();
}

#[test]
fn an_answer_that_was_taken_and_comes_in_one_piece_has_its_first_content_counted() {
    let mut bench = Bench::new(options(1));
    let mut call = bench.sent();
    call.headers(&mut bench.service, Attempt(0), 200, &RateLimits::default(), bench.now);
    call.taken(&mut bench.service, Attempt(0), bench.now);
    bench.pass(300 * MS);
    call.ended(&mut bench.service, Attempt(0), &Need::default(), bench.now);
    assert_eq!(bench.service.counts().first_content.max(), Some(300 * MS));
}
