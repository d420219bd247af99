//! What a run of the benches measured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bench::machine::Machine;

/// The contenders by which others are judged.
pub(super) const OURS: &str = "edgepool";
pub(super) const OURS_TIMED: &str = "edgepool-timed";
pub(super) const OURS_DEFAULTS: &str = "edgepool-defaults";
pub(super) const BOUND: &str = "bound";
pub(super) const NO_POOL: &str = "no-pool";
pub(super) const DEADPOOL: &str = "deadpool";
pub(super) const SEMAPHORE: &str = "semaphore";
pub(super) const FIFO: &str = "fifo";

/// All that was measured in one run.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    pub(super) machine: Machine,
    /// How often each contender was measured in a case that measures time.
    pub(super) rounds: u32,
    pub(super) quick: bool,
    /// The runtimes of JavaScript that were measured, with their versions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) runtimes: BTreeMap<String, String>,
    pub(super) cases: Vec<Case>,
}

/// What was measured in one case.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Case {
    pub(super) id: String,
    pub(super) title: String,
    /// What one of it is: `ns`, `bytes`, or what is counted.
    pub(super) unit: String,
    pub(super) about: String,
    /// Where it was measured, if that is a runtime of JavaScript.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) runtime: Option<String>,
    pub(super) series: Vec<Series>,
}

/// What was measured of one contender, one figure a round.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Series {
    pub(super) contender: Contender,
    pub(super) samples: Vec<f64>,
    /// What became of it where it could not be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) failed: Option<String>,
}

/// Who is measured, and how it is set up.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Contender {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) package: Option<String>,
    pub(super) settings: String,
    /// The version of its package that was measured.
    #[serde(default)]
    pub(super) version: Option<String>,
}

impl Contender {
    /// Tells whether it is this project's.
    pub(super) fn is_ours(&self) -> bool {
        [OURS, OURS_TIMED, OURS_DEFAULTS].contains(&self.id.as_str())
    }

    /// Tells whether it is there to compare with, and is no pool that anyone would use.
    pub(super) fn is_reference(&self) -> bool {
        self.id == BOUND || self.id == NO_POOL
    }
}

impl Run {
    pub(super) fn case(&self, id: &str) -> Option<&Case> {
        self.cases.iter().find(|case| case.id == id)
    }

    /// Returns the median of a contender in a case, if it was measured.
    pub(super) fn median(&self, case: &str, contender: &str) -> Option<f64> {
        self.case(case)?.median(contender)
    }

    /// Returns a case as it was in one runtime.
    pub(super) fn case_in(&self, runtime: &str, id: &str) -> Option<&Case> {
        let mut all = self.cases.iter().filter(|case| case.id == id);
        all.find(|case| case.runtime.as_deref() == Some(runtime))
    }

    /// Returns the median of a contender in a case in one runtime, if it was measured.
    pub(super) fn median_in(&self, runtime: &str, case: &str, contender: &str) -> Option<f64> {
        self.case_in(runtime, case)?.median(contender)
    }

    /// Returns the cases that are the same in several runtimes together, in their order.
    pub(super) fn grouped(&self) -> Vec<Vec<&Case>> {
        let mut groups: Vec<Vec<&Case>> = Vec::new();
        for case in &self.cases {
            match groups.iter_mut().find(|group| group[0].id == case.id) {
                Some(group) => group.push(case),
                None => groups.push(vec![case]),
            }
        }
        groups
    }

    /// Returns every contender once, in the order in which they appear.
    pub(super) fn contenders(&self) -> Vec<&Contender> {
        let mut all: Vec<&Contender> = Vec::new();
        for series in self.cases.iter().flat_map(|case| &case.series) {
            if !all.iter().any(|contender| contender.id == series.contender.id) {
                all.push(&series.contender);
            }
        }
        all
    }
}

impl Case {
    /// Returns the median of a contender, if it was measured.
    pub(super) fn median(&self, contender: &str) -> Option<f64> {
        let series = self.series.iter().find(|series| series.contender.id == contender)?;
        Some(series.spread()?.median)
    }
}

impl Series {
    /// Returns what the samples are like; `None` if there is none.
    pub(super) fn spread(&self) -> Option<Spread> {
        Spread::of(&self.samples)
    }
}

/// The middle of some samples, and how far they reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) min: f64,
    pub(super) lower: f64,
    pub(super) median: f64,
    pub(super) upper: f64,
    pub(super) max: f64,
}

impl Spread {
    pub(super) fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            min: *sorted.first()?,
            lower: quantile(&sorted, 0.25),
            median: quantile(&sorted, 0.5),
            upper: quantile(&sorted, 0.75),
            max: *sorted.last()?,
        })
    }
}

/// Interpolates between the two nearest ranks.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let rank = part * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
    below + (above - below) * rank.fract()
}

/// Writes a figure with as many digits as it is worth.
pub(super) fn figure(value: f64) -> String {
    if value.abs() >= 1_000.0 {
        return thousands(value.round() as i64);
    }
    if value.fract() == 0.0 || value.abs() >= 200.0 {
        return format!("{value:.0}");
    }
    if value.abs() < 1.0 {
        return format!("{value:.2}");
    }
    format!("{value:.1}")
}

fn thousands(value: i64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digit.is_ascii_digit() && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A case and its contenders, each with its samples.
    type Measured<'a> = (&'a str, &'a [(&'a str, &'a [f64])]);

    /// Makes a run in which each contender of a case was measured as told.
    pub(in crate::bench) fn run_of(cases: &[Measured<'_>]) -> Run {
        let series = |(id, samples): &(&str, &[f64])| Series {
            contender: Contender {
                id: (*id).to_owned(),
                name: (*id).to_owned(),
                package: None,
                settings: String::new(),
                version: None,
            },
            samples: samples.to_vec(),
            failed: None,
        };
        let cases = cases.iter().map(|(id, all)| Case {
            id: (*id).to_owned(),
            title: (*id).to_owned(),
            unit: "ns".to_owned(),
            about: String::new(),
            runtime: None,
            series: all.iter().map(series).collect(),
        });
        let runtimes = BTreeMap::new();
        Run {
            machine: Machine::default(),
            rounds: 1,
            quick: false,
            runtimes,
            cases: cases.collect(),
        }
    }

    /// Says that the cases of a run were measured in a runtime.
    pub(in crate::bench) fn all_in(runtime: &str, mut run: Run) -> Run {
        run.runtimes.insert(runtime.to_owned(), "1.0".to_owned());
        run.cases.iter_mut().for_each(|case| case.runtime = Some(runtime.to_owned()));
        run
    }

    #[test]
    fn the_spread_of_samples_in_any_order() {
        let spread = Spread::of(&[40.0, 10.0, 30.0, 20.0]).unwrap();
        assert_eq!(spread, Spread { min: 10.0, lower: 17.5, median: 25.0, upper: 32.5, max: 40.0 });
        let one = Spread::of(&[7.0]).unwrap();
        assert_eq!((one.min, one.lower, one.median, one.upper, one.max), (7.0, 7.0, 7.0, 7.0, 7.0));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn figures_have_the_digits_that_they_are_worth() {
        let all = [0.0, 0.123, 1.04, 15.55, 96.0, 199.94, 433.7, 1_000.0, 28_852_276.4, -1_234.0];
        let written =
            ["0", "0.12", "1.0", "15.6", "96", "199.9", "434", "1,000", "28,852,276", "-1,234"];
        assert_eq!(all.map(figure), written);
    }
}
