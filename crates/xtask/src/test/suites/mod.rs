//! The table of the suites.

mod js;
mod rust;
mod threads;

use std::time::Duration;

use crate::process::Cmd;
use crate::test::counts::Reader;
use crate::test::figures::Figures;
use crate::test::needs::Need;

const MINUTE: Duration = Duration::from_secs(60);

const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// What is asked of every suite.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tier {
    /// Whether the long runs are wanted.
    pub(crate) full: bool,
}

/// One suite: its name, what it needs, its commands, how their output is counted, what else is read
/// out of it, how long all its commands together may take before it is ended and counted as failed,
/// and whether another one may run beside it.
pub(crate) struct Suite {
    pub(crate) name: String,
    pub(crate) needs: Vec<Need>,
    pub(crate) reader: Reader,
    pub(crate) figures: Option<Figures>,
    pub(crate) limit: Duration,
    pub(crate) beside_others: bool,
    pub(crate) only_compiles: bool,
    commands: Commands,
}

type Commands = Box<dyn Fn() -> anyhow::Result<Vec<Cmd>> + Send>;

impl Suite {
    pub(super) fn new(
        name: impl Into<String>,
        needs: &[Need],
        reader: Reader,
        commands: impl Fn() -> anyhow::Result<Vec<Cmd>> + Send + 'static,
    ) -> Self {
        let name = name.into();
        let (limit, commands) = (10 * MINUTE, Box::new(commands));
        let (beside_others, only_compiles) = (false, false);
        let needs = needs.to_vec();
        let figures = None;
        Self { name, needs, reader, figures, limit, beside_others, only_compiles, commands }
    }

    /// Lets the suite run while tools are got that others need: it looks at no clock.
    pub(super) fn only_compiles(self) -> Self {
        Self { only_compiles: true, ..self }
    }

    pub(super) fn limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Lets the suite run beside those next to it that may, too: it uses nothing that they do but
    /// what cargo locks, and no result of it depends on how fast it goes.
    pub(crate) fn beside_others(self) -> Self {
        Self { beside_others: true, ..self }
    }

    /// Reads more out of what was printed than how many tests passed.
    pub(super) fn figures(self, figures: Figures) -> Self {
        Self { figures: Some(figures), ..self }
    }

    /// Returns the commands. It is asked once the needs are met.
    pub(crate) fn commands(&self) -> anyhow::Result<Vec<Cmd>> {
        (self.commands)()
    }
}

/// Returns the suites of a tier, in the order in which they run: what fails fast comes first.
pub(crate) fn all(tier: Tier) -> Vec<Suite> {
    let parts = [rust::checks(), threads::suites(tier), rust::long_runs(tier), js::suites(tier)];
    parts.into_iter().flatten().collect()
}

fn cargo() -> Cmd {
    Cmd::new("cargo")
}

/// Builds tests that run for long: optimised, and with every assertion.
fn thorough_test() -> Cmd {
    cargo().args(["test", "--locked", "--profile", "thorough"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_in_both_tiers() {
        for full in [false, true] {
            let mut names: Vec<_> = all(Tier { full }).into_iter().map(|s| s.name).collect();
            let count = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count);
        }
    }

    #[test]
    fn the_full_tier_has_every_suite_of_the_other() {
        let names = |full| all(Tier { full }).into_iter().map(|s| s.name).collect::<Vec<_>>();
        let full = names(true);
        assert!(names(false).iter().all(|name| full.contains(name)), "{full:?}");
    }
}
