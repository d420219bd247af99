//! Calls over a service, driven by hand on simulated time.

mod clocks;
mod endpoints;
mod hedges;
mod limits;
mod places;
mod retries;

use std::time::Duration;

use edgepool::{Priority, Time};
use edgepool_llm::bucket::Need;
use edgepool_llm::call::{Attempt, Call, CallOptions, Step};
use edgepool_llm::endpoint::EndpointOptions;
use edgepool_llm::service::{Policy, Service, ServiceOptions};
use edgepool_llm::{Class, Failure, RateLimits, Timer};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const USED: Need = Need { input_tokens: 12, output_tokens: 30 };

/// Chance that has back-offs take half of their longest time.
const HALF: u64 = 1 << 63;

/// Brings a call to where a case begins.
type Bring = fn(&mut Bench, &mut Call);

const ACQUIRE: Step = Step::Acquire { priority: Priority::Normal };

fn at(millis: u64) -> Time {
    Time::from_nanos(millis * 1_000_000)
}

fn options(endpoints: usize) -> ServiceOptions {
    let name = |n| EndpointOptions::new(["a", "b", "c", "d"][n]);
    ServiceOptions::new((0..endpoints).map(name).collect())
}

fn with(policy: Policy, endpoints: usize) -> ServiceOptions {
    ServiceOptions { policy, ..options(endpoints) }
}

fn failure(class: Class) -> Failure {
    let mut failure = Failure::new(class, "it broke");
    failure.status = match class {
        Class::RateLimited | Class::QuotaExhausted => Some(429),
        Class::Overloaded => Some(503),
        Class::Server => Some(500),
        Class::Unauthorised => Some(401),
        Class::Invalid => Some(400),
        _ => None,
    };
    failure
}

fn limited(retry_after: Duration) -> Failure {
    let mut failure = failure(Class::RateLimited);
    failure.retry_after = Some(retry_after);
    failure
}

/// A service, and the time at it.
struct Bench {
    service: Service,
    now: Time,
}

impl Bench {
    fn new(options: ServiceOptions) -> Self {
        Self { service: Service::new(options, Time::ZERO), now: Time::ZERO }
    }

    fn options(&self) -> CallOptions {
        CallOptions::of(&self.service)
    }

    fn call(&mut self) -> Call {
        self.call_with(self.options())
    }

    fn call_with(&mut self, options: CallOptions) -> Call {
        Call::new(&mut self.service, options, self.now)
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.saturating_add(time);
    }

    fn poll(&mut self, call: &mut Call) -> Step {
        call.poll(&mut self.service, self.now, HALF)
    }

    /// Polls until nothing is to be done, and returns what was.
    fn steps(&mut self, call: &mut Call) -> Vec<Step> {
        let mut steps = Vec::new();
        loop {
            let step = self.poll(call);
            if matches!(step, Step::WaitUntil(_)) {
                return steps;
            }
            let over = matches!(step, Step::Finished | Step::Fail(_));
            steps.push(step);
            if over {
                return steps;
            }
            assert!(steps.len() < 20, "it goes in circles: {steps:?}");
        }
    }

    fn waits_until(&mut self, call: &mut Call) -> Time {
        match self.poll(call) {
            Step::WaitUntil(time) => time,
            step => panic!("{step:?}"),
        }
    }

    /// Has a call ask for a place, get it and send; returns the endpoint.
    fn send(&mut self, call: &mut Call) -> usize {
        assert!(matches!(self.poll(call), Step::Acquire { .. }));
        self.grant(call)
    }

    fn grant(&mut self, call: &mut Call) -> usize {
        assert!(call.acquired());
        match self.poll(call) {
            Step::Send { endpoint, .. } => endpoint,
            step => panic!("{step:?}"),
        }
    }

    fn sent(&mut self) -> Call {
        let mut call = self.call();
        self.send(&mut call);
        call
    }

    fn headers(&mut self, call: &mut Call, attempt: u32) {
        let told = RateLimits::default();
        call.headers(&mut self.service, Attempt(attempt), 200, &told, self.now);
    }

    fn content(&mut self, call: &mut Call, attempt: u32) {
        call.content(&mut self.service, Attempt(attempt), self.now);
    }

    fn end(&mut self, call: &mut Call, attempt: u32) {
        call.ended(&mut self.service, Attempt(attempt), &USED, self.now);
    }

    fn fail(&mut self, call: &mut Call, attempt: u32, failure: Failure) {
        call.failed(&mut self.service, Attempt(attempt), failure, self.now);
    }

    /// Expects that a call has failed, and returns how.
    fn error(&mut self, call: &mut Call) -> Failure {
        match self.steps(call).pop() {
            Some(Step::Fail(failure)) => failure,
            step => panic!("{step:?}"),
        }
    }

    fn in_flight(&self) -> u32 {
        self.service.stats(self.now).in_flight
    }

    /// Sends a call to an endpoint and has it fail there.
    fn fail_one(&mut self, class: Class) -> Failure {
        let mut call = self.call_with(CallOptions { retries: 0, ..self.options() });
        self.send(&mut call);
        self.fail(&mut call, 0, failure(class));
        self.error(&mut call)
    }

    /// Sends a call and has it answered; returns the endpoint.
    fn answer_one(&mut self) -> usize {
        let mut call = self.call();
        let endpoint = self.send(&mut call);
        self.headers(&mut call, 0);
        self.end(&mut call, 0);
        assert_eq!(self.steps(&mut call), [Step::Finished]);
        endpoint
    }

    fn answer(&mut self, calls: u32) {
        for _ in 0..calls {
            self.answer_one();
        }
    }

    /// Every call is over: nothing is held.
    fn is_quiet(&self) {
        let stats = self.service.stats(self.now);
        assert_eq!((stats.in_flight, stats.waiting), (0, 0));
        let counts = &stats.counts;
        assert_eq!(counts.calls, counts.answered + counts.failures.sum());
    }
}

#[test]
fn a_call_takes_a_place_is_sent_and_is_answered() {
    let mut bench = Bench::new(options(1));
    let mut call = bench.call();
    assert_eq!(bench.steps(&mut call), [ACQUIRE]);
    assert_eq!(bench.service.stats(bench.now).waiting, 1);
    bench.pass(200 * MS);
    assert!(call.acquired());
    assert_eq!(bench.steps(&mut call), [Step::Send { attempt: Attempt(0), endpoint: 0 }]);
    assert_eq!(bench.in_flight(), 1);
    bench.pass(300 * MS);
    bench.headers(&mut call, 0);
    bench.pass(100 * MS);
    bench.content(&mut call, 0);
    assert!(call.has_content() && !call.is_over());
    bench.pass(SECOND);
    bench.end(&mut call, 0);
    assert_eq!(bench.steps(&mut call), [Step::Finished]);
    assert_eq!(bench.steps(&mut call), [Step::Finished], "it stays so");

    bench.is_quiet();
    let counts = bench.service.counts();
    assert_eq!((counts.calls, counts.answered, counts.sent), (1, 1, 1));
    assert_eq!((counts.input_tokens, counts.output_tokens), (12, 30));
    let times = [&counts.waits, &counts.headers, &counts.first_content, &counts.totals];
    let times = times.map(|times| times.max().map(|time| time.as_millis()));
    assert_eq!(times, [Some(200), Some(300), Some(400), Some(1_600)]);
    let [endpoint] = &bench.service.stats(bench.now).endpoints[..] else { panic!("there is one") };
    assert_eq!((endpoint.sent, endpoint.answered, endpoint.failures.sum()), (1, 1, 0));
    assert_eq!((endpoint.input_tokens, endpoint.output_tokens), (12, 30));
    assert_eq!(endpoint.first_content.max(), Some(400 * MS));
    assert_eq!(endpoint.latency, Some(300 * MS));
}

#[test]
fn an_answer_without_content_is_one_too() {
    let mut bench = Bench::new(options(1));
    assert_eq!(bench.answer_one(), 0);
    bench.is_quiet();
}

#[test]
fn what_was_cancelled_may_still_be_told_of() {
    let mut bench = Bench::new(options(1));
    let mut call = bench.sent();
    call.abandoned(&mut bench.service, bench.now);
    for attempt in [0, 7] {
        bench.headers(&mut call, attempt);
        bench.content(&mut call, attempt);
        call.quiet(Attempt(attempt));
        bench.end(&mut call, attempt);
        bench.fail(&mut call, attempt, failure(Class::Network));
    }
    assert_eq!(bench.error(&mut call).class, Class::Cancelled);
    bench.is_quiet();
}

#[test]
fn a_caller_who_gives_up_gives_all_back() {
    let cancelled = Step::Fail(Failure::new(Class::Cancelled, "the caller gave up"));
    let cases: [(&str, Bring, &[Step]); 6] = [
        ("before it was polled", |_, _| {}, &[]),
        ("in the queue", |bench, call| _ = bench.steps(call), &[Step::Release]),
        (
            "with a place",
            |bench, call| {
                bench.steps(call);
                assert!(call.acquired());
            },
            &[Step::Release],
        ),
        ("when it was sent", |bench, call| _ = bench.send(call), &[Step::Cancel(Attempt(0))]),
        (
            "in the midst of an answer",
            |bench, call| {
                bench.send(call);
                bench.content(call, 0);
            },
            &[Step::Cancel(Attempt(0))],
        ),
        (
            "in a back-off",
            |bench, call| {
                bench.send(call);
                bench.fail(call, 0, failure(Class::Server));
                bench.steps(call);
            },
            &[],
        ),
    ];
    for (when, bring, told) in cases {
        let mut bench = Bench::new(options(1));
        let mut call = bench.call();
        bring(&mut bench, &mut call);
        call.abandoned(&mut bench.service, bench.now);
        let steps = [told, std::slice::from_ref(&cancelled)].concat();
        assert_eq!(bench.steps(&mut call), steps, "{when}");
        bench.is_quiet();
    }
}

#[test]
fn the_first_end_of_a_call_counts() {
    let mut bench = Bench::new(options(1));
    let mut call = bench.sent();
    bench.end(&mut call, 0);
    call.abandoned(&mut bench.service, bench.now);
    assert_eq!(bench.steps(&mut call), [Step::Finished]);
    bench.is_quiet();
}

#[test]
fn what_the_pool_refuses_fails() {
    let mut bench = Bench::new(options(1));
    let mut call = bench.call();
    bench.steps(&mut call);
    let refusal = Failure::new(Class::Refused, "the queue is full");
    call.refused(&mut bench.service, refusal.clone(), bench.now);
    assert_eq!(bench.steps(&mut call), [Step::Fail(refusal)], "no place is to be given back");
    bench.is_quiet();
    assert_eq!(bench.service.alert(bench.now).map(|alert| alert.refused), Some(1));
}
