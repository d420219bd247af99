use super::*;
use crate::{Action, Creation, Parting, Round, Wait, Workload};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_case_gives_the_same_report_each_time_and_with_a_log() {
    let case = Workload::from_seed(4).case(4);
    let (report, trace) = case.check_traced(Trace::with_log()).unwrap();
    assert_eq!(report, case.run());
    assert_eq!(trace.to_string().lines().count() as u64, report.events);
}

/// A claim that is wrong on purpose is found to be so, in a case that is as small as it can be.
#[test]
fn a_wrong_claim_ends_in_a_small_case() {
    let never_two = |view: &View<'_>| match view.stats.gauges.in_use {
        0 | 1 => Ok(()),
        in_use => Err(format!("{in_use} are in use")),
    };
    let failures = (0..40).filter_map(|seed| {
        let failure = Workload::from_seed(seed).case(seed).check_with(never_two).err()?;
        failure.what().contains("are in use").then_some(failure)
    });
    let mut found = 0;
    for failure in failures.take(5) {
        let small = failure.shrink(3_000);
        let case = small.case();
        let rounds: usize = case.callers.iter().map(|caller| caller.rounds.len()).sum();
        assert!(rounds <= 2 && case.acts.len() <= 1, "{small}");
        assert_eq!((case.faults, case.luck.clone()), Default::default(), "{small}");
        assert!(small.trace().events() < 30, "{small}");
        assert!(small.what().starts_with("2 are in use"), "{small}");
        found += 1;
    }
    assert_eq!(found, 5, "most workloads use two at once");
}

#[test]
fn a_failing_workload_prints_its_smaller_case_and_no_command_that_runs_another() {
    let workload = Workload {
        pool: PoolOptions { min_idle: 9, ..PoolOptions::default() },
        rounds: 3,
        ..Workload::calm(5)
    };
    let panic = catch_unwind(|| workload.run(1)).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.starts_with("seed 1 fails: ") && !text.contains("--replay"), "{text}");
    let code = "Case {\n    pool: PoolOptions { min_idle: 2, ..PoolOptions::default() },";
    assert!(text.contains(code), "{text}");
}

#[test]
fn acts_happen_at_their_times() {
    let case = Case {
        pool: PoolOptions { max: 3, ..PoolOptions::default() },
        callers: vec![Caller::of(Round { hold: ms(50), ..Round::default() })],
        acts: vec![
            Act { at: ms(10), action: Action::Pause },
            Act { at: ms(5), action: Action::Resize(2) },
            Act { at: ms(20), action: Action::Resume },
        ],
        ..Case::default()
    };
    let (_, trace) = case.check_traced(Trace::with_log()).unwrap();
    let acts: Vec<_> = trace
        .to_string()
        .lines()
        .filter_map(|line| line.split_once("  operator  "))
        .map(|(at, what)| (at.to_owned(), what.to_owned()))
        .collect();
    let expected = [
        ("0.005000000", "resizes to 2"),
        ("0.010000000", "pauses 0"),
        ("0.020000000", "resumes 0"),
    ];
    assert_eq!(acts, expected.map(|(at, what)| (at.to_owned(), what.to_owned())));
}

#[test]
fn every_way_to_wait_and_to_part_comes_to_a_good_end() {
    let waits =
        [Wait::Patient, Wait::GiveUp(ms(3)), Wait::LookAway(ms(3)), Wait::Leak, Wait::Orphan];
    let partings = [Parting::Drop, Parting::Release, Parting::Discard, Parting::Take];
    for wait in &waits {
        for parting in &partings {
            let round = Round {
                wait: wait.clone(),
                parting: parting.clone(),
                hold: ms(5),
                timeout: Some(ms(40)),
                ..Round::default()
            };
            let case = Case { callers: vec![Caller::of(round); 4], ..Case::default() };
            case.run();
        }
    }
}

/// Each await point of a caller, with what it waits for taking its time.
#[test]
fn a_caller_that_is_dropped_at_any_poll_leaves_nothing() {
    for polls in 0..8 {
        let luck = Luck {
            creations: vec![Creation::Connect(ms(2))],
            resets: vec![crate::Trial::Pass(ms(2)); 3],
            checks: vec![crate::Trial::Pass(ms(2)); 3],
            closings: vec![crate::Closing::After(ms(2)); 3],
            ..Luck::default()
        };
        let round = Round { hold: ms(1), parting: Parting::Release, ..Round::default() };
        let dropped = Round { dropped_at: Some(polls), ..round.clone() };
        let case = Case {
            pool: PoolOptions { check_after: Some(ms(0)), ..PoolOptions::default() },
            callers: vec![Caller::of(round.clone()), Caller::of(dropped), Caller::of(round)],
            luck,
            ..Case::default()
        };
        case.run();
    }
}
