//! Cases that failed once, as the simulator made them small.

use std::time::Duration;

use edgepool::Backoff;
use edgepool::ledger::Share;
use edgepool_sim::{
    Act, Action, Ask, Caller, Case, Closing, Creation, Ending, Luck, Parting, PoolOptions, Round,
    Trial, Wait, Waking,
};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// One round after the other.
fn rounds(rounds: &[Round]) -> Caller {
    Caller { rounds: rounds.to_vec(), ..Caller::default() }
}

fn reentrant() -> Round {
    Round { waking: Waking::Reentrant, ..Round::default() }
}

/// Nobody set an alarm for the end of the back-off.
#[test]
fn a_caller_that_comes_during_a_back_off_is_served_after_it() {
    let failing = [
        (Creation::Fail(ms(0)), None),
        (Creation::Hang, Some(ms(1))),
        (Creation::Connect(ms(1)), Some(ms(1))),
    ];
    for (creation, create_timeout) in failing {
        let case = Case {
            callers: vec![rounds(&[Round::default(), Round::default()])],
            luck: Luck { creations: vec![creation], ..Luck::default() },
            pool: PoolOptions {
                create_timeout,
                backoff: Some(Backoff { base: ms(20), cap: ms(20) }),
                ..PoolOptions::default()
            },
            ..Case::default()
        };
        case.run();
    }
}

/// A connection came at the very time at which its creation was given up, and was dropped instead of
/// closed.
#[test]
fn a_connection_that_comes_as_its_creation_is_given_up_is_closed() {
    let case = Case {
        callers: vec![
            rounds(&[Round::default()]),
            rounds(&[
                Round { pause: ms(2), hold: Duration::from_nanos(1), ..Round::default() },
                Round { pause: ms(1), ..Round::default() },
            ]),
        ],
        acts: vec![Act::default()],
        luck: Luck {
            creations: vec![Creation::Connect(ms(0)), Creation::Connect(ms(1))],
            resets: vec![Trial::Pass(ms(1)), Trial::Fail(ms(2))],
            ..Luck::default()
        },
        pool: PoolOptions { create_timeout: Some(ms(1)), ..PoolOptions::default() },
        driver: true,
        look: 884,
        ..Case::default()
    };
    for seed in 0..50 {
        Case { seed, ..case.clone() }.run();
    }
}

/// The waker of a caller that had polled the jobs was kept after the caller was gone, and with it
/// the handle of the pool that this waker had.
#[test]
fn a_pool_is_not_kept_open_by_the_waker_of_a_caller_that_is_gone() {
    let case = Case {
        callers: vec![Caller::of(reentrant())],
        luck: Luck { creations: vec![Creation::Connect(ms(1))], ..Luck::default() },
        ending: Ending::DropPool,
        ..Case::default()
    };
    case.run();
}

/// After a `tick` the jobs had no driver, and still the waker of the one before.
#[test]
fn a_pool_is_not_kept_open_by_the_waker_of_a_caller_that_a_tick_relieved() {
    let case = Case {
        callers: vec![Caller::of(Round { wait: Wait::LookAway(ms(9)), ..reentrant() })],
        acts: [1, 3].map(|at| Act { at: ms(at), action: Action::Tick }).to_vec(),
        luck: Luck { creations: vec![Creation::Hang], ..Luck::default() },
        pool: PoolOptions { create_timeout: Some(ms(2)), ..PoolOptions::default() },
        ending: Ending::DropPool,
        ..Case::default()
    };
    case.run();
}

/// A job was begun by the waker that a time-out woke.
#[test]
fn jobs_that_begin_as_others_are_given_up_are_polled() {
    let given_up = [
        Case {
            callers: vec![rounds(&[Round::default(), reentrant()])],
            luck: Luck { checks: vec![Trial::Pass(ms(1))], ..Luck::default() },
            pool: PoolOptions {
                check_timeout: Some(ms(1)),
                check_after: Some(ms(0)),
                ..PoolOptions::default()
            },
            ..Case::default()
        },
        Case {
            callers: vec![
                Caller::of(Round { ask: Ask::Many(2), ..reentrant() }),
                Caller::of(Round { parting: Parting::Discard, ..Round::default() }),
            ],
            luck: Luck { closings: vec![Closing::Hang], ..Luck::default() },
            pool: PoolOptions { max: 2, close_timeout: Some(ms(1)), ..PoolOptions::default() },
            ..Case::default()
        },
    ];
    for case in given_up {
        case.run();
    }
}

#[test]
fn a_wait_that_nobody_polls_leaves_with_its_offer() {
    let case = Case {
        callers: vec![Caller::of(Round { wait: Wait::Orphan, ..Round::default() })],
        luck: Luck { creations: vec![Creation::Connect(ms(1))], ..Luck::default() },
        ..Case::default()
    };
    case.run();
}

/// A pool's time does not go back, and its driver sleeps until then.
#[test]
fn what_is_kept_ready_is_kept_after_the_clock_steps_back() {
    let case = Case {
        callers: vec![Caller::of(Round { pause: ms(56), hold: ms(1), ..Round::default() })],
        acts: vec![Act { at: ms(17), action: Action::StepBack(ms(101)) }],
        pool: PoolOptions { min_idle: 1, check_interval: Some(ms(57)), ..PoolOptions::default() },
        driver: true,
        start: ms(84),
        ..Case::default()
    };
    case.run();
}

/// The time of its renewal was reckoned when it was made, and not again when it came back.
#[test]
fn a_connection_is_renewed_in_time_though_min_idle_was_set_while_it_was_lent() {
    let case = Case {
        callers: vec![Caller::of(Round { hold: ms(2), ..Round::default() })],
        acts: vec![Act { at: ms(1), action: Action::SetMinIdle(1) }],
        pool: PoolOptions { max_lifetime: Some(ms(3)), ..PoolOptions::default() },
        ..Case::default()
    };
    case.run();
}

/// The creation woke the caller that had polled it last, who was not there any more.
#[test]
fn a_wait_that_was_leaked_does_not_keep_the_wake_of_a_job() {
    let case = Case {
        callers: vec![Caller::of(Round { wait: Wait::Leak, ..Round::default() })],
        luck: Luck { creations: vec![Creation::Connect(ms(2))], ..Luck::default() },
        pool: PoolOptions { acquire_timeout: Some(ms(1)), ..PoolOptions::default() },
        ..Case::default()
    };
    case.run();
}

/// The time of a wait that was leaked passes for the pool at its next operation, and no alarm rings
/// when the clock steps forward. The kit took the jobs that it held up until then for forgotten.
#[test]
fn a_wait_that_was_leaked_holds_the_jobs_up_until_the_next_operation() {
    let leaked = Round { wait: Wait::Leak, ..Round::default() };
    let case = Case {
        callers: vec![Caller::of(leaked), Caller::of(Round { pause: ms(1), ..Round::default() })],
        acts: vec![
            Act { at: ms(0), action: Action::Pause },
            Act { at: ms(1), action: Action::Resume },
            Act { at: ms(1), action: Action::StepForward(ms(2)) },
        ],
        pool: PoolOptions { acquire_timeout: Some(ms(2)), ..PoolOptions::default() },
        start: ms(100),
        look: 0,
        ..Case::default()
    };
    let mut there_and_back = case.clone();
    there_and_back.acts.push(Act { at: ms(1), action: Action::StepBack(ms(50)) });
    for case in [case, there_and_back] {
        for seed in 0..50 {
            Case { seed, ..case.clone() }.run();
        }
    }
}

/// Its alarm rang before its time, as the clock had stepped back, and nobody was there to set
/// another.
#[test]
fn a_wait_that_was_leaked_is_outlasted_though_its_alarm_rang_early() {
    let leaked = Round { wait: Wait::Leak, timeout: Some(ms(2)), ..Round::default() };
    let case = Case {
        callers: vec![rounds(&[leaked, Round::default()])],
        acts: vec![Act { at: ms(1), action: Action::StepBack(ms(10)) }],
        luck: Luck { creations: vec![Creation::Connect(ms(5))], ..Luck::default() },
        start: ms(100),
        look: 0,
        ..Case::default()
    };
    case.run();
}

/// The pool tells what is offered as it is asked, and what it does then is an operation too: here a
/// check, whose connection is offered and may be claimed though all are invalidated after it. The
/// kit took it for one that had left.
#[test]
fn what_is_offered_as_all_are_invalidated_may_be_claimed() {
    let looks_away = Round { pause: ms(1), wait: Wait::LookAway(ms(9)), ..Round::default() };
    let case = Case {
        callers: vec![
            Caller::of(Round { hold: ms(2), ..Round::default() }),
            Caller::of(looks_away),
        ],
        acts: vec![Act { at: ms(9), action: Action::InvalidateAll }],
        pool: PoolOptions {
            offer_timeout: Some(ms(6)),
            check_after: Some(ms(1)),
            ..PoolOptions::default()
        },
        look: 0,
        ..Case::default()
    };
    case.run();
}

/// Whoever is queued while the pool is paused sleeps without an alarm for the back-off.
#[test]
fn a_pool_that_resumes_during_a_back_off_serves_who_waits_after_it() {
    let case = Case {
        callers: vec![rounds(&[Round { hold: ms(2), ..Round::default() }, Round::default()])],
        acts: vec![Act { at: ms(1), action: Action::Pause }],
        pool: PoolOptions {
            max: 2,
            min_idle: 1,
            create_timeout: Some(ms(1)),
            max_lifetime: Some(ms(1)),
            backoff: Some(Backoff { base: ms(17), cap: ms(17) }),
            ..PoolOptions::default()
        },
        ..Case::default()
    };
    for seed in 0..20 {
        Case { seed, ..case.clone() }.run();
    }
}

/// The pool told how long creations are held back by its own time, which stands still after a step
/// back of the clock until that has caught up: so callers came again and again.
#[test]
fn callers_that_are_refused_stay_away_though_the_clock_steps_back() {
    let case = Case {
        callers: vec![rounds(&[Round::default(), Round { pause: ms(2), ..Round::default() }])],
        acts: vec![Act { at: ms(1), action: Action::StepBack(ms(1_000)) }],
        luck: Luck { creations: vec![Creation::Fail(ms(0))], ..Luck::default() },
        pool: PoolOptions {
            backoff: Some(Backoff { base: ms(20), cap: ms(20) }),
            breaker: Some(1),
            ..PoolOptions::default()
        },
        start: ms(2_000),
        ..Case::default()
    };
    for seed in 0..20 {
        let report = Case { seed, ..case.clone() }.run();
        assert!(report.steps < 100, "{report:?}");
    }
}

/// Only the first in the queue was woken to poll the jobs, and nobody is while the tenants of all
/// who wait have their max.
#[test]
fn jobs_go_on_while_the_tenants_of_all_who_wait_have_their_max() {
    let of_tenant = |round| Caller { tenant: 1, ..Caller::of(round) };
    let case = Case {
        callers: vec![
            of_tenant(Round { hold: ms(50), ..Round::default() }),
            of_tenant(Round { pause: ms(1), ..Round::default() }),
            Caller::of(Round { hold: ms(5), ..Round::default() }),
        ],
        luck: Luck { resets: vec![Trial::Pass(ms(10))], ..Luck::default() },
        pool: PoolOptions {
            max: 2,
            tenants: vec![Share { max: Some(1), ..Share::new() }],
            ..PoolOptions::default()
        },
        ..Case::default()
    };
    case.run();
}
