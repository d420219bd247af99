//! The table of what became of the suites.

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

use crate::test::counts::Counts;
use crate::test::log_path;
use crate::test::suites::Tier;
use crate::workspace;

/// How many of the last lines of a failed suite are shown.
const TAIL: usize = 60;

/// What became of one suite.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) suite: String,
    pub(crate) counts: Counts,
    /// What it did, beyond that.
    pub(crate) figures: Option<String>,
    pub(crate) elapsed: Duration,
    /// Why the suite failed as a whole.
    pub(crate) problem: Option<String>,
    /// The last command, as a shell line.
    pub(crate) repeat: Option<String>,
}

impl Outcome {
    pub(crate) fn new(suite: &str) -> Self {
        Self {
            suite: suite.to_owned(),
            counts: Counts::default(),
            figures: None,
            elapsed: Duration::ZERO,
            problem: None,
            repeat: None,
        }
    }

    fn failed(&self) -> bool {
        self.problem.is_some() || self.counts.failed > 0
    }

    pub(crate) fn verdict(&self) -> &'static str {
        match self.failed() {
            true => "FAILED",
            false if self.counts.ran_nothing() => "skipped",
            false => "passed",
        }
    }
}

/// Prints the table, what is to be known of each failure, and the sum as the last line.
pub(crate) fn print(outcomes: &[Outcome], without: &[String], tier: Tier) -> ExitCode {
    println!("{}", text(outcomes, without, tier));
    let failed = outcomes.iter().any(Outcome::failed);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn text(outcomes: &[Outcome], without: &[String], tier: Tier) -> String {
    let mut parts = vec![format!("\n{}\n", table(outcomes))];
    parts.extend(outcomes.iter().filter_map(figures));
    parts.extend(without.iter().map(|name| format!("{name} was left out by --without")));
    let failures = outcomes.iter().filter(|outcome| outcome.failed());
    parts.extend(failures.map(|failure| explanation(failure, tier)));
    let mut sum = Counts::default();
    outcomes.iter().for_each(|outcome| sum += outcome.counts);
    parts.push(format!("{} passed, {} failed", sum.passed, sum.failed));
    parts.join("\n")
}

fn figures(outcome: &Outcome) -> Option<String> {
    let figures = outcome.figures.as_ref()?;
    Some(format!("{}: {figures}", outcome.suite))
}

fn table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["suite", "", "passed", "failed", "skipped", "seconds"]);
    for outcome in outcomes {
        let Counts { passed, failed, skipped } = outcome.counts;
        table.add_row([
            outcome.suite.clone(),
            outcome.verdict().to_owned(),
            passed.to_string(),
            failed.to_string(),
            skipped.to_string(),
            format!("{:.1}", outcome.elapsed.as_secs_f64()),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn explanation(failure: &Outcome, tier: Tier) -> String {
    let name = &failure.suite;
    let problem = failure.problem.as_deref().unwrap_or("a test failed");
    let mut text = format!("---- {name}: {problem}\n");
    // A suite whose needs were not met has run nothing, and an old log would mislead.
    if let Some(repeat) = &failure.repeat {
        let log = log_path(name);
        let output = fs::read(&log).unwrap_or_default();
        let output = String::from_utf8_lossy(&output);
        let lines: Vec<_> = output.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default();
        text += &format!("{}\n\n", tail.join("\n"));
        text += &format!("all of it: {}\n", workspace::relative(&log));
        text += &format!("its command: {repeat}\n");
    }
    let full = if tier.full { " --full" } else { "" };
    text + &format!("to repeat: cargo xtask test{full} --only {name}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_sum_and_nothing_else() {
        let mut good = Outcome::new("good");
        good.counts = Counts { passed: 3, failed: 0, skipped: 2 };
        good.figures = Some("7 of them".to_owned());
        let mut bad = Outcome::new("bad");
        bad.counts = Counts { passed: 1, failed: 1, skipped: 0 };
        bad.problem = Some("it broke".to_owned());
        let text = text(&[good, bad], &["other".to_owned()], Tier { full: false });
        assert_eq!(text.lines().last(), Some("4 passed, 1 failed"));
        assert!(text.contains("---- bad: it broke") && text.contains("other was left out"));
        assert!(!text.contains("---- good") && text.contains("\ngood: 7 of them\n"));
    }
}
