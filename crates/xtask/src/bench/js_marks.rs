//! The marks of the npm package, in each runtime that the run measured.

use crate::bench::data::{BOUND, OURS, OURS_DEFAULTS, Run, Series};
use crate::bench::marks::{self, Mark, ratio};

/// The pools that are to be beaten, and by how much.
const PEERS: [&str; 2] = ["generic-pool", "lightning-pool"];
const TARN: &str = "tarn";

const BYTES_OF_A_KB: f64 = 1_000.0;

/// Returns the marks of the npm package.
pub(super) fn of(run: &Run) -> Vec<Mark> {
    let mut marks = Vec::new();
    for runtime in ["node", "deno", "bun", "workerd"] {
        if run.runtimes.contains_key(runtime) {
            marks.extend(warm(run, runtime));
        }
    }
    marks.extend(only_in_node(run));
    for runtime in ["node", "deno", "bun", "workerd"] {
        if run.runtimes.contains_key(runtime) {
            marks.extend(scale(run, runtime));
        }
    }
    for runtime in ["node", "deno", "bun", "workerd"] {
        if run.runtimes.contains_key(runtime) {
            marks.extend(fairness(run, runtime));
        }
    }
    marks.extend(weight(run));
    marks
}

fn warm(run: &Run, runtime: &str) -> Vec<Mark> {
    let of = |contender| run.median_in(runtime, "warm", contender);
    let times = if runtime == "workerd" { 1.6 } else { 1.4 };
    let clock = run.median_in(runtime, "clock", "performance.now");
    let limit = of(BOUND).zip(clock).map(|(bound, clock)| times * bound + 2.0 * clock);
    // The one of the two that is further from the mark.
    let ours = of(OURS).zip(of(OURS_DEFAULTS)).map(|(plain, defaults)| plain.max(defaults));
    let peers: Vec<f64> = PEERS.iter().filter_map(|peer| of(peer)).collect();
    let fastest = peers.iter().copied().reduce(f64::min);
    vec![
        Mark::at_most(format!("{runtime}: acquire and release, beside the ring"), "×")
            .judge(ratio(of(OURS), of(BOUND)), Some(times)),
        Mark::at_most(
            format!("{runtime}: with all defaults, that and two readings of a clock"),
            "ns",
        )
        .judge(of(OURS_DEFAULTS), limit),
        Mark::at_least(format!("{runtime}: faster than generic-pool and lightning-pool"), "×")
            .judge(ratio(fastest, ours), Some(3.0)),
        Mark::at_least(format!("{runtime}: faster than tarn"), "×")
            .judge(ratio(of(TARN), ours), Some(15.0)),
    ]
}

fn only_in_node(run: &Run) -> Vec<Mark> {
    let of = |case| run.median_in("node", case, OURS);
    vec![
        Mark::at_most("node: tryAcquire and release", "ns").judge(of("sync"), Some(25.0)),
        Mark::at_most("node: bytes of a waiter", "bytes").judge(of("bytes"), Some(200.0)),
    ]
}

fn scale(run: &Run, runtime: &str) -> Vec<Mark> {
    let growth = |contender| {
        let of = |case| run.median_in(runtime, case, contender);
        ratio(of("queue-100k"), of("queue-10k"))
    };
    let of = |case| run.median_in(runtime, case, OURS);
    let tenants = ratio(of("tenants-10k"), of("tenants-one"));
    let mut marks = vec![
        Mark::at_most(format!("{runtime}: 10,000 pools at random, beside one"), "×")
            .judge(tenants, Some(2.0)),
        Mark::at_most(
            format!("{runtime}: the first pool, with that and the first run of its code"),
            "ms",
        )
        .judge(of("first-pool"), Some(3.0)),
    ];
    // In workerd no clock goes on while an instance is made, nor may a request have as many waiters.
    if runtime != "workerd" {
        let text = format!("{runtime}: the module compiled, and an instance of it");
        marks.push(Mark::at_most(text, "ms").judge(of("instance"), Some(3.0)));
        let limit = growth(BOUND).map(|growth| 1.2 * growth);
        let text = format!("{runtime}: 100,000 waiters beside 10,000, at most 1.2 × the ring's");
        marks.push(Mark::at_most(text, "×").judge(growth(OURS), limit));
    }
    marks
}

fn fairness(run: &Run, runtime: &str) -> impl Iterator<Item = Mark> {
    let of = |case: &str, contender: &str| run.median_in(runtime, case, contender);
    // In workerd nobody asks for longer than a request takes.
    let mut marks = if runtime == "workerd" { Vec::new() } else { marks::fairness(of) };
    let many = ratio(of("fair-10k", OURS), of("fair-one", OURS));
    marks.push(
        Mark::at_most("a connection for one of 10,000 tenants at random, beside 1 tenant", "×")
            .judge(many, Some(2.0)),
    );
    marks.into_iter().map(move |mut mark| {
        mark.text = format!("{runtime}: {}", mark.text);
        mark
    })
}

fn weight(run: &Run) -> Vec<Mark> {
    let of = |what| run.median_in("workerd", "weight", what).map(|bytes| bytes / BYTES_OF_A_KB);
    vec![
        Mark::at_most("the wasm, compressed", "kB").judge(of("wasm"), Some(20.0)),
        Mark::at_most("what a Worker with the pool alone ships, compressed", "kB")
            .judge(of("all"), Some(32.0)),
    ]
}

/// Says why a contender has no figure, in one line.
pub(super) fn failure(series: &Series) -> Option<&str> {
    series.failed.as_deref().map(|text| text.lines().next().unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::data::tests::{all_in, run_of};

    fn verdict(run: &Run, text: &str) -> (Option<bool>, Option<f64>) {
        let marks = of(run);
        let mark = marks.into_iter().find(|mark| mark.text.starts_with(text));
        let mark = mark.unwrap_or_else(|| panic!("there is a mark that begins with {text:?}"));
        (mark.met, mark.limit)
    }

    #[test]
    fn the_warm_marks_are_ratios_to_what_ran_beside() {
        let warm: &[(&str, &[f64])] = &[
            (BOUND, &[50.0]),
            (OURS, &[70.0]),
            (OURS_DEFAULTS, &[100.0]),
            ("generic-pool", &[310.0]),
            ("lightning-pool", &[290.0]),
            (TARN, &[1_500.0]),
        ];
        let clock: &[(&str, &[f64])] = &[("performance.now", &[10.0])];
        let run = run_of(&[("warm", warm), ("clock", clock)]);
        let run = all_in("node", run);
        assert_eq!(verdict(&run, "node: acquire and release").0, Some(true));
        assert_eq!(verdict(&run, "node: with all defaults"), (Some(false), Some(90.0)));
        // By the slower of ours, and by the faster of the peers.
        assert_eq!(verdict(&run, "node: faster than generic-pool").0, Some(false));
        assert_eq!(verdict(&run, "node: faster than tarn").0, Some(true));
        assert!(!of(&run).iter().any(|mark| mark.text.starts_with("deno")));
    }

    #[test]
    fn many_tenants_are_judged_by_what_one_costs() {
        let run = |runtime: &str, many: f64| {
            let cases =
                [("fair-one", &[(OURS, &[100.0][..])][..]), ("fair-10k", &[(OURS, &[many])])];
            all_in(runtime, run_of(&cases))
        };
        for runtime in ["deno", "workerd"] {
            let text = format!("{runtime}: a connection for one of 10,000");
            assert_eq!(verdict(&run(runtime, 190.0), &text).0, Some(true));
            assert_eq!(verdict(&run(runtime, 210.0), &text).0, Some(false));
        }
    }

    #[test]
    fn a_longer_queue_is_judged_by_what_it_costs_the_ring() {
        let run = |ours: f64| {
            let cases = [
                ("queue-10k", &[(BOUND, &[100.0][..]), (OURS, &[200.0])][..]),
                ("queue-100k", &[(BOUND, &[300.0]), (OURS, &[ours])]),
            ];
            all_in("bun", run_of(&cases))
        };
        assert_eq!(verdict(&run(700.0), "bun: 100,000 waiters").0, Some(true));
        assert_eq!(verdict(&run(730.0), "bun: 100,000 waiters").0, Some(false));
    }
}
