//! The marks: what this project wants to reach, and what the run says of it.

use serde::Serialize;

use crate::bench::data::{BOUND, DEADPOOL, FIFO, OURS, OURS_TIMED, Run, SEMAPHORE, figure};

/// A mark, and how the run stands to it.
#[derive(Debug, Serialize)]
pub(super) struct Mark {
    /// What is to be reached.
    pub(super) text: String,
    /// What was measured; `None` if the run did not.
    pub(super) measured: Option<f64>,
    /// Where the mark is.
    pub(super) limit: Option<f64>,
    /// What both are counted in.
    pub(super) unit: &'static str,
    /// Whether the measured figure is to be at least the limit, and not at most.
    at_least: bool,
    /// Whether it is met; `None` if it was not measured.
    pub(super) met: Option<bool>,
}

impl Mark {
    fn new(text: impl Into<String>, unit: &'static str, at_least: bool) -> Self {
        Self { text: text.into(), measured: None, limit: None, unit, at_least, met: None }
    }

    pub(super) fn at_most(text: impl Into<String>, unit: &'static str) -> Self {
        Self::new(text, unit, false)
    }

    pub(super) fn at_least(text: impl Into<String>, unit: &'static str) -> Self {
        Self::new(text, unit, true)
    }

    pub(super) fn judge(mut self, measured: Option<f64>, limit: Option<f64>) -> Self {
        (self.measured, self.limit) = (measured, limit);
        self.met = measured.zip(limit).map(|(measured, limit)| match self.at_least {
            true => measured >= limit,
            false => measured <= limit,
        });
        self
    }

    /// Says whether it is met, and how far the figure is from it.
    pub(super) fn verdict(&self) -> String {
        let (Some(met), Some((measured, limit))) = (self.met, self.measured.zip(self.limit)) else {
            return "not measured".to_owned();
        };
        let word = if met { "met" } else { "missed" };
        let (worse, better) = if self.at_least { (limit, measured) } else { (measured, limit) };
        match () {
            () if measured == limit => word.to_owned(),
            () if limit == 0.0 => format!("{word} by {}", figure(measured)),
            () if better == 0.0 || worse == 0.0 => word.to_owned(),
            () if met => format!("met, {:.2} × to spare", better / worse),
            () => format!("missed by {:.2} ×", worse / better),
        }
    }

    /// Writes a figure of it with its unit.
    pub(super) fn written(&self, value: Option<f64>) -> String {
        match (value, self.unit) {
            (None, _) => "–".to_owned(),
            (Some(value), "×") => format!("{value:.2} ×"),
            (Some(value), "") => format!("{value:.3}"),
            (Some(value), unit) => format!("{} {unit}", figure(value)),
        }
    }

    /// Writes the limit, with the side on which it is met.
    pub(super) fn limit_written(&self) -> String {
        let side = if self.at_least { "≥" } else { "≤" };
        format!("{side} {}", self.written(self.limit))
    }
}

/// Returns the marks of the Rust pool.
pub(super) fn native(run: &Run) -> Vec<Mark> {
    let mut marks = warm(run);
    marks.push(against_fair_peers(run, "crowd-1", "64 tasks on 8, one thread"));
    marks.push(against_fair_peers(run, "crowd-2", "256 tasks on 8, two threads"));
    marks.extend(queue(run));
    marks.extend(costs(run));
    marks.extend(fairness(|case, contender| run.median(case, contender)));
    marks
}

/// Judges how tenants fare who want more than there is, by what finds the median of a contender in a
/// case.
pub(super) fn fairness(of: impl Fn(&str, &str) -> Option<f64>) -> Vec<Mark> {
    let wait = ratio(of("fair-p99", OURS), of("fair-p99", FIFO));
    vec![
        Mark::at_most(
            "a light tenant's 99th wait beside a loud one, beside one queue for all",
            "×",
        )
        .judge(wait, Some(0.1)),
        Mark::at_least("Jain's index of what is served by weights of 1, 2 and 4", "")
            .judge(of("fair-jain", OURS), Some(0.99)),
    ]
}

fn warm(run: &Run) -> Vec<Mark> {
    let of = |contender| run.median("warm", contender);
    let (ours, timed) = (of(OURS), of(OURS_TIMED));
    let clock = run.median("clock", "instant");
    let timed_limit = of(BOUND).zip(clock).map(|(bound, clock)| bound + 2.0 * clock + 15.0);
    vec![
        Mark::at_most("get and drop, beside the bound", "×")
            .judge(ratio(ours, of(BOUND)), Some(1.5)),
        Mark::at_most("get and drop, timed: the bound, two clock readings and 15 ns", "ns")
            .judge(timed, timed_limit),
        Mark::at_least("get and drop, faster than deadpool", "×")
            .judge(ratio(of(DEADPOOL), ours), Some(4.0)),
        Mark::at_least("get and drop, timed, faster than deadpool", "×")
            .judge(ratio(of(DEADPOOL), timed), Some(2.0)),
    ]
}

/// Compares with the fastest of the peers that let nobody be overtaken in this run.
fn against_fair_peers(run: &Run, case: &str, title: &str) -> Mark {
    let fair = |id: &str| run.median("hog-overtakes", id) == Some(0.0);
    let series = run.case(case).map(|case| case.series.as_slice()).unwrap_or_default();
    let peers = series.iter().map(|series| &series.contender);
    let peers = peers.filter(|peer| !peer.is_ours() && !peer.is_reference() && fair(&peer.id));
    let fastest = peers
        .filter_map(|peer| Some((run.median(case, &peer.id)?, &peer.name)))
        .min_by(|(one, _), (other, _)| one.total_cmp(other));
    let name = fastest.map_or_else(String::new, |(_, name)| format!(", {name}"));
    let text = format!("{title}, faster than the fastest fair peer{name}");
    let ratio = ratio(fastest.map(|(median, _)| median), run.median(case, OURS));
    Mark::at_least(text, "×").judge(ratio, Some(1.0))
}

fn queue(run: &Run) -> Vec<Mark> {
    let of = |case| run.median(case, OURS);
    let deadpool = run.median("hand-off-10k", DEADPOOL);
    vec![
        Mark::at_most("hand-off with 10,000 waiting, beside deadpool", "×")
            .judge(ratio(of("hand-off-10k"), deadpool), Some(0.5)),
        Mark::at_most("hand-off with 100,000 waiting, beside 10,000", "×")
            .judge(ratio(of("hand-off-100k"), of("hand-off-10k")), Some(2.0)),
        // A queue that is searched takes ten times as long where it is ten times as long; one that
        // is not has more cache misses there, as the intrusive list of tokio's semaphore has.
        Mark::at_most(beside_semaphore(run), "×").judge(growth(run, OURS), Some(3.0)),
        Mark::at_most("overtaken by a hog, timed or not", "times")
            .judge(worse(run, "hog-overtakes"), Some(0.0)),
    ]
}

fn costs(run: &Run) -> Vec<Mark> {
    vec![
        Mark::at_most("bytes of a waiter, without a timeout", "bytes")
            .judge(run.median("waiter-bytes", OURS), Some(96.0)),
        Mark::at_most("allocations of a get and drop, timed or not", "allocations")
            .judge(worse(run, "allocations-warm"), Some(0.0)),
        Mark::at_most("allocations of a wait without a timeout", "allocations")
            .judge(run.median("allocations-wait", OURS), Some(0.0)),
        Mark::at_most("create and take, no executor", "ns")
            .judge(run.median("create-take", OURS), Some(150.0)),
        Mark::at_most("get and drop for one of 10,000 tenants at random, beside 1 tenant", "×")
            .judge(
                ratio(run.median("tenants-10k", OURS), run.median("tenants-1", OURS)),
                Some(2.0),
            ),
    ]
}

/// Says what the mark of cancelling is, and how the semaphore fares in the same run.
fn beside_semaphore(run: &Run) -> String {
    let growth = growth(run, SEMAPHORE);
    let beside =
        growth.map_or_else(String::new, |growth| format!(" (tokio's semaphore: {growth:.2} ×)"));
    format!("cancel one of 100,000 beside 10,000{beside}")
}

/// Returns how much longer it takes to cancel in a queue that is ten times as long.
fn growth(run: &Run, contender: &str) -> Option<f64> {
    let of = |case| run.median(case, contender);
    ratio(of("cancel-100k"), of("cancel-10k"))
}

/// Returns the larger figure of the two configurations.
fn worse(run: &Run, case: &str) -> Option<f64> {
    Some(run.median(case, OURS)?.max(run.median(case, OURS_TIMED)?))
}

/// Returns how many times the other figure the one is.
pub(super) fn ratio(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    Some(one? / other?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::data::tests::run_of;

    fn find<'a>(marks: &'a [Mark], text: &str) -> &'a Mark {
        marks.iter().find(|mark| mark.text.starts_with(text)).expect("there is such a mark")
    }

    #[test]
    fn marks_are_met_missed_or_not_measured() {
        let run = run_of(&[
            ("clock", &[("instant", &[20.0])]),
            (
                "warm",
                &[(BOUND, &[10.0]), (OURS, &[30.0]), (OURS_TIMED, &[64.0]), (DEADPOOL, &[150.0])],
            ),
            ("hog-overtakes", &[(OURS, &[0.0]), (OURS_TIMED, &[7.0])]),
        ]);
        let marks = native(&run);
        let bound = find(&marks, "get and drop, beside");
        assert_eq!((bound.measured, bound.met), (Some(3.0), Some(false)));
        assert_eq!(bound.verdict(), "missed by 2.00 ×");
        let timed = find(&marks, "get and drop, timed: ");
        assert_eq!((timed.measured, timed.limit, timed.met), (Some(64.0), Some(65.0), Some(true)));
        let deadpool = find(&marks, "get and drop, faster");
        assert_eq!(deadpool.verdict(), "met, 1.25 × to spare");
        assert_eq!(deadpool.limit_written(), "≥ 4.00 ×");
        assert_eq!(find(&marks, "overtaken").verdict(), "missed by 7");
        let nothing = Mark::at_least("a share", "%").judge(Some(0.0), Some(95.0));
        assert_eq!(nothing.verdict(), "missed");
        let create = find(&marks, "create");
        assert_eq!((create.met, create.verdict().as_str()), (None, "not measured"));
    }

    #[test]
    fn a_queue_that_is_searched_misses_its_mark_whatever_others_do() {
        let cancel = |ours: f64| {
            let run = run_of(&[
                ("cancel-10k", &[(OURS, &[30.0]), (SEMAPHORE, &[20.0])]),
                ("cancel-100k", &[(OURS, &[ours]), (SEMAPHORE, &[80.0])]),
            ]);
            let mark = queue(&run).remove(2);
            assert_eq!(
                mark.text,
                "cancel one of 100,000 beside 10,000 (tokio's semaphore: 4.00 ×)"
            );
            mark.met
        };
        assert_eq!([cancel(89.0), cancel(91.0), cancel(300.0)], [true, false, false].map(Some));
    }

    #[test]
    fn only_fair_peers_are_to_be_beaten() {
        let run = run_of(&[
            ("crowd-1", &[(OURS, &[80.0]), (BOUND, &[1.0]), ("rash", &[40.0]), ("fair", &[100.0])]),
            ("hog-overtakes", &[(BOUND, &[0.0]), ("rash", &[9.0]), ("fair", &[0.0])]),
        ]);
        let mark = against_fair_peers(&run, "crowd-1", "a crowd");
        assert_eq!((mark.measured, mark.met), (Some(1.25), Some(true)));
        assert!(mark.text.ends_with(", fair"), "{}", mark.text);
    }
}
