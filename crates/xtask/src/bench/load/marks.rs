//! The marks of behaviour under load.

use crate::bench::load::contenders::{KNOWN, LEARNT, Place};
use crate::bench::load::data::{LoadRun, Offered};
use crate::bench::marks::Mark;

/// Returns the marks, wherever they were measured.
pub(super) fn of(run: &LoadRun) -> Vec<Mark> {
    run.places().into_iter().flat_map(|place| marks_in(run, place)).collect()
}

fn marks_in(run: &LoadRun, place: Place) -> Vec<Mark> {
    let title = place.title();
    let share = |sender| run.cell(place, sender, Offered::patient(5))?.median("share");
    let mut marks = Vec::new();
    for (sender, limit) in [(KNOWN, "the limit known"), (LEARNT, "the limit learnt")] {
        marks.push(
            Mark::at_most(format!("{title}, {limit}: refused by the backend, any load"), "refused")
                .judge(refused(run, place, sender), Some(0.0)),
        );
        marks.push(
            Mark::at_least(format!("{title}, {limit}: goodput at 5 times the load"), "%")
                .judge(share(sender), Some(95.0)),
        );
    }
    marks
}

/// Returns what the backend refused in the worst round of all loads, a second. Whoever sent nothing
/// that was answered has not shown that nothing is refused.
fn refused(run: &LoadRun, place: Place, sender: &str) -> Option<f64> {
    let of = |offered| {
        let cell = run.cell(place, sender, offered)?;
        let refused = cell.spread("refused")?.max;
        (refused > 0.0 || cell.median("share")? > 0.0).then_some(refused)
    };
    let all: Vec<f64> = Offered::all().into_iter().filter_map(of).collect();
    all.into_iter().reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::data::tests::run_of;

    #[test]
    fn one_refusal_at_any_load_misses_the_mark() {
        let good = [("share", 97.0), ("refused", 0.0)];
        let bad = [("share", 99.0), ("refused", 0.5)];
        let met = |run: &LoadRun| of(run).iter().map(|mark| mark.met).collect::<Vec<_>>();
        let run = run_of(&[(KNOWN, 5, &good), (KNOWN, 20, &good)]);
        assert_eq!(met(&run), [Some(true), Some(true), None, None]);
        let run = run_of(&[(KNOWN, 5, &good), (KNOWN, 20, &bad), (LEARNT, 5, &bad)]);
        assert_eq!(met(&run), [Some(false), Some(true), Some(false), Some(true)]);
        let run = run_of(&[(KNOWN, 5, &[("share", 0.0), ("refused", 0.0)])]);
        assert_eq!(met(&run)[..2], [None, Some(false)]);
    }
}
