//! Random schedules: thousands of pools with faults, each checked after every step.
//!
//! `EDGEPOOL_SEEDS` says how many (2,000 unless it is set), `EDGEPOOL_FROM` where to begin.

use std::time::Duration;

use edgepool_sim::{Odds, Trace, Workload, run_seed};

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
fn random_schedules_with_panicking_creations_do_too() {
    for seed in seeds() {
        let drawn = Workload::from_seed(seed);
        let odds = Odds { panic: 150, ..drawn.odds.clone() };
        Workload { odds, ..drawn }.run(seed);
    }
}

/// Nothing ever goes wrong here, so every caller that waits long enough is served.
#[test]
fn without_faults_every_patient_caller_is_served() {
    for seed in seeds() {
        let drawn = Workload::from_seed(seed);
        let calm = Workload {
            max_waiting: drawn.callers,
            acquire_timeout: None,
            create_timeout: None,
            habits: Default::default(),
            odds: Odds { latency: Duration::ZERO..=Duration::from_millis(50), ..Odds::NONE },
            faults: Default::default(),
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
    let (report, trace) = Workload::from_seed(5).run_traced(5, Trace::with_log());
    assert_eq!(report, run_seed(5));
    assert_eq!(trace.to_string().lines().count() as u64, report.events);
    assert_ne!(report.hash, run_seed(6).hash);
}
