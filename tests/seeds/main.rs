//! Random schedules: thousands of pools with faults, each checked after every step.
//!
//! `EDGEPOOL_SEEDS` says how many (2,000 unless it is set), `EDGEPOOL_FROM` where to begin, and
//! `EDGEPOOL_SOAK_DAYS` for how many simulated days one pool is kept under load (1 unless it is set).

mod regressions;

use std::time::Duration;

use edgepool_sim::{Arrivals, Habits, Odds, PoolOptions, Soak, Trace, Workload, run_seed};

fn setting(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text:?}")),
        Err(_) => otherwise,
    }
}

fn seeds() -> impl Iterator<Item = u64> {
    let from = setting("EDGEPOOL_FROM", 0);
    from..from.saturating_add(setting("EDGEPOOL_SEEDS", 2_000))
}

#[test]
fn random_schedules_keep_every_invariant_and_come_to_a_good_end() {
    let mut served = 0;
    for seed in seeds() {
        served += run_seed(seed).served;
    }
    assert!(served > 0, "nobody got anything");
}

/// Panics are left out of the seeds that wasm repeats, as they would end the module.
#[test]
fn random_schedules_with_panics_do_too() {
    for seed in seeds() {
        Workload::from_seed(seed).with_panics().run(seed);
    }
}

/// Nothing ever goes wrong here, so every caller that waits long enough is served.
#[test]
fn without_faults_every_patient_caller_is_served() {
    for seed in seeds() {
        let drawn = Workload::from_seed(seed);
        let odds = Odds { latency: Duration::ZERO..=Duration::from_millis(50), ..Odds::NONE };
        let mut tenants = drawn.pool.tenants.clone();
        tenants.iter_mut().for_each(|share| share.max_waiting = None);
        let calm = Workload {
            pool: PoolOptions {
                tenants,
                max_waiting: drawn.callers,
                acquire_timeout: None,
                create_timeout: None,
                check_timeout: None,
                reset_timeout: None,
                close_timeout: None,
                offer_timeout: None,
                ..drawn.pool.clone()
            },
            arrivals: Arrivals::Together,
            habits: Habits {
                priority: drawn.habits.priority,
                reentrant_waker: drawn.habits.reentrant_waker,
                release: drawn.habits.release,
                discard: drawn.habits.discard,
                take: drawn.habits.take,
                ..Habits::default()
            },
            creations: odds.clone(),
            checks: Odds { at_once: drawn.checks.at_once, ..odds.clone() },
            resets: Odds { at_once: drawn.resets.at_once, ..odds.clone() },
            closings: Odds { at_once: drawn.closings.at_once, ..odds },
            faults: Default::default(),
            operations: 0,
            clock_faults: 0,
            close_after: None,
            ..drawn
        };
        let report = calm.run(seed);
        assert_eq!(report.served, u64::from(calm.callers * calm.rounds), "seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_does_not() {
    let (report, trace) = Workload::from_seed(5).run_traced(5).unwrap();
    assert_eq!(report, run_seed(5));
    assert_eq!(trace.to_string().lines().count() as u64, report.events);
    assert_ne!(report.hash, run_seed(6).hash);
}

#[test]
fn long_simulated_soak() {
    let length = Duration::from_secs(86_400) * setting("EDGEPOOL_SOAK_DAYS", 1) as u32;
    for panics in [false, true] {
        let soak = Soak { length, panics, ..Soak::of_seed(setting("EDGEPOOL_FROM", 0)) };
        let report = soak.run(|_| {}).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(report.served > length.as_secs() / 60, "{report:?}");
    }
}

/// What the trace of a replay shows is what the hash is made of.
#[test]
fn a_trace_with_a_log_has_the_hash_of_one_without() {
    let case = Workload::from_seed(8).case(8);
    let (with, _) = case.check_traced(Trace::with_log()).unwrap();
    assert_eq!(with.hash, case.run().hash);
}
