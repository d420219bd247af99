//! Reads how many tests passed out of what their runner printed.

use std::ops::AddAssign;

/// How many tests passed, failed and were skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Counts {
    /// Tells whether no test ran.
    pub(crate) fn ran_nothing(self) -> bool {
        self.passed + self.failed == 0
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// What prints the counts of a suite, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reader {
    /// Checks that pass or fail as a whole: each command counts by its exit code.
    Exit,
    /// Commands that print `... hash HASH`: one test, that all of them print the same line.
    SameHash,
    /// Rust's test harness, natively and on wasm: `test result: ok. 3 passed; 0 failed; ...`,
    /// once for each test binary.
    Libtest,
    /// Node's test runner: `ℹ pass 3`, or `# pass 3`.
    Node,
    /// A line of the form `3 passed, 0 failed[, 1 skipped]`; the last one counts.
    Plain,
}

impl Reader {
    /// Reads the counts from all that a suite printed. `commands` of its commands succeeded, and
    /// if not all did, one failed; without a failed test that counts as one.
    pub(crate) fn read(self, output: &str, commands: usize, success: bool) -> Counts {
        let mut counts = match self {
            Self::Exit => Counts { passed: commands as u64, ..Counts::default() },
            Self::SameHash => same_hash(output),
            Self::Libtest => libtest(output),
            Self::Node => node(output),
            Self::Plain => plain(output),
        };
        if !success && counts.failed == 0 {
            counts.failed = 1;
        }
        counts
    }
}

fn same_hash(output: &str) -> Counts {
    let mut lines: Vec<_> = output.lines().filter(|line| line.contains(" hash ")).collect();
    let printed = lines.len();
    lines.dedup();
    let same = printed >= 2 && lines.len() == 1;
    Counts { passed: u64::from(same), failed: u64::from(!same), ..Counts::default() }
}

fn libtest(output: &str) -> Counts {
    let mut counts = Counts::default();
    for line in output.lines() {
        let Some((_, summary)) = line.split_once("test result: ") else { continue };
        for part in summary.split(['.', ';']) {
            match numbered(part) {
                Some((number, "passed")) => counts.passed += number,
                Some((number, "failed")) => counts.failed += number,
                Some((number, "ignored")) => counts.skipped += number,
                _ => {}
            }
        }
    }
    counts
}

fn node(output: &str) -> Counts {
    let mut counts = Counts::default();
    for line in output.lines() {
        let Some(summary) = line.strip_prefix("ℹ ").or_else(|| line.strip_prefix("# ")) else {
            continue;
        };
        let Some((name, number)) = summary.split_once(' ') else { continue };
        let Ok(number) = number.trim().parse::<u64>() else { continue };
        match name {
            "pass" => counts.passed += number,
            "fail" | "cancelled" => counts.failed += number,
            "skipped" | "todo" => counts.skipped += number,
            _ => {}
        }
    }
    counts
}

fn plain(output: &str) -> Counts {
    output.lines().rev().find_map(plain_line).unwrap_or_default()
}

fn plain_line(line: &str) -> Option<Counts> {
    let mut counts = Counts::default();
    let mut named = 0;
    for part in line.trim().split(", ") {
        match numbered(part)? {
            (number, "passed") => counts.passed = number,
            (number, "failed") => counts.failed = number,
            (number, "skipped") => counts.skipped = number,
            _ => return None,
        }
        named += 1;
    }
    (named >= 2).then_some(counts)
}

/// Splits `3 passed` into its number and its word.
fn numbered(part: &str) -> Option<(u64, &str)> {
    let (number, word) = part.trim().split_once(' ')?;
    Some((number.parse().ok()?, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: u64, failed: u64, skipped: u64) -> Counts {
        Counts { passed, failed, skipped }
    }

    #[test]
    fn every_test_binary_is_counted() {
        let output = "running 3 tests\n\
            test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished\n\
            test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 9 filtered out\n";
        assert_eq!(Reader::Libtest.read(output, 1, false), counts(7, 2, 1));
    }

    #[test]
    fn both_reporters_of_node_are_read() {
        let tap = "# tests 4\n# pass 2\n# fail 1\n# cancelled 1\n# skipped 3\n# duration_ms 12.5\n";
        assert_eq!(Reader::Node.read(tap, 0, false), counts(2, 2, 3));
        let spec = "ℹ tests 2\nℹ pass 2\nℹ fail 0\nℹ skipped 0\n";
        assert_eq!(Reader::Node.read(spec, 1, true), counts(2, 0, 0));
    }

    #[test]
    fn the_last_plain_line_counts() {
        let output =
            "1 passed, 0 failed\nnoise 3 passed, 1 failed\n12 passed, 1 failed, 2 skipped\n";
        assert_eq!(Reader::Plain.read(output, 0, false), counts(12, 1, 2));
        assert_eq!(Reader::Plain.read("3 passed", 1, true), Counts::default());
    }

    #[test]
    fn a_failure_without_a_failed_test_counts_as_one() {
        assert_eq!(Reader::Libtest.read("error: could not compile", 0, false), counts(0, 1, 0));
        assert_eq!(Reader::Exit.read("", 1, false), counts(1, 1, 0));
        assert_eq!(Reader::Exit.read("", 2, true), counts(2, 0, 0));
    }

    #[test]
    fn every_hash_must_be_the_same() {
        let same = "seeds 9 from 0 hash ab\nnoise\nseeds 9 from 0 hash ab\n";
        assert_eq!(Reader::SameHash.read(same, 3, true), counts(1, 0, 0));
        let other = "seeds 9 from 0 hash ab\nseeds 9 from 0 hash ac\n";
        assert_eq!(Reader::SameHash.read(other, 3, true), counts(0, 1, 0));
        let alone = "seeds 9 from 0 hash ab\n";
        assert_eq!(Reader::SameHash.read(alone, 3, true), counts(0, 1, 0));
    }

    #[test]
    fn nothing_ran_is_seen() {
        assert!(
            Reader::Libtest.read("test result: ok. 0 passed; 0 failed;", 1, true).ran_nothing()
        );
        assert!(!counts(0, 1, 0).ran_nothing());
    }
}
