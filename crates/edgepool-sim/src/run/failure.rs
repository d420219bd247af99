//! What does not hold, and how it is made small.

use std::fmt;
use std::rc::Rc;

use super::Watch;
use crate::{Case, Faults, Trace};

/// How many events are written of a long trace, from its start and from its end.
const FIRST_LINES: usize = 20;
const LAST_LINES: usize = 40;

/// Something that does not hold in a run of a case.
///
/// Its `Display` says what, writes the case as Rust code, and lists what happened if that was kept.
pub struct Failure {
    pub(super) what: String,
    pub(super) case: Case,
    pub(super) trace: Trace,
    pub(super) watch: Option<Rc<Watch>>,
}

impl Failure {
    /// Says what does not hold.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Returns the case.
    #[must_use]
    pub const fn case(&self) -> &Case {
        &self.case
    }

    /// Returns what happened, if the trace [keeps a log](Trace::with_log).
    #[must_use]
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Returns the kind of the failure: what does not hold, without the numbers.
    #[must_use]
    pub fn kind(&self) -> String {
        kind(&self.what)
    }

    /// Finds a smaller case that fails in the same way, among at most `tries` simpler ones, and the
    /// trace of it. Each is run with up to four seeds.
    #[must_use]
    pub fn shrink(&self, tries: u32) -> Self {
        let kind = self.kind();
        let fails = |case: Case| {
            // A smaller case goes another way with the same seed, so a few others get a chance.
            let seeds = [case.seed, 0, 1, 2];
            let seeds = if has_choices(&case) { &seeds[..] } else { &seeds[..1] };
            let mut cases = seeds.iter().map(|&seed| Case { seed, ..case.clone() });
            cases.find(|case| {
                self.again(case, Trace::new()).is_some_and(|found| found.kind() == kind)
            })
        };
        let case = self.case.clone().shrink(tries, fails);
        self.again(&case, Trace::with_log()).expect("the case failed before")
    }

    fn again(&self, case: &Case, trace: Trace) -> Option<Self> {
        case.check_watched(trace, self.watch.clone()).err().map(|failure| *failure)
    }
}

/// Tells whether the executor has anything to choose in the case: among tasks, or of faults.
fn has_choices(case: &Case) -> bool {
    let tasks = case.callers.len() + case.acts.len() + usize::from(case.driver);
    tasks > 1 || case.faults != Faults::default()
}

/// Cuts the details from what does not hold.
fn kind(what: &str) -> String {
    let line = what.lines().next().unwrap_or_default();
    let (claim, place) = line.rsplit_once(", at ").unwrap_or((line, ""));
    // The number of an invariant is its name.
    if claim.starts_with("invariant") {
        return claim.split(':').next().unwrap_or(claim).to_owned();
    }
    let (claim, details) = claim.split_once(": ").unwrap_or((claim, ""));
    // What `assert_eq` says comes after its own words.
    let claim = match claim.starts_with("assertion") {
        true => details.split(": ").next().unwrap_or(details),
        false => claim,
    };
    let claim: String = claim.chars().filter(|char| !char.is_ascii_digit()).collect();
    format!("{claim} ({place})")
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, case, .. } = self;
        f.debug_struct("Failure").field("what", what).field("case", case).finish_non_exhaustive()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, case, trace, .. } = self;
        writeln!(f, "{what}\n\nthe case:\n\n{case}\n")?;
        let log = trace.to_string();
        let lines: Vec<&str> = log.lines().collect();
        if lines.is_empty() {
            return Ok(());
        }
        writeln!(f, "what happened:\n")?;
        let left_out = lines.len().saturating_sub(FIRST_LINES + LAST_LINES);
        for line in &lines[..lines.len().min(FIRST_LINES)] {
            writeln!(f, "{line}")?;
        }
        if left_out > 0 {
            writeln!(f, "... and {left_out} events more, until")?;
        }
        for line in lines.iter().skip(FIRST_LINES + left_out) {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn the_kind_is_what_stays_when_the_numbers_change() {
        assert_eq!(kind("5 are in use of 3"), kind("7 are in use of 2"));
        assert_ne!(kind("invariant 4 of the ledger: 3"), kind("invariant 5 of the ledger: 3"));
        let equal = "assertion `left == right` failed: leases: Gauges { max: 1 }\n  left: 1";
        assert_eq!(kind(equal), "leases ()");
        assert_eq!(kind("a thing: 3 of it, at src/x.rs:5"), "a thing (src/x.rs:5)");
        assert_ne!(kind("a thing, at src/x.rs:5"), kind("a thing, at src/x.rs:6"));
    }
}
