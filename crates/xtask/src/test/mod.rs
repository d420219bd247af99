//! `cargo xtask test`: runs the suites in their order, and says what became of each.

mod counts;
mod figures;
mod needs;
mod providers;
mod report;
mod suites;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, bail};
use futures::future::join;
use futures::{FutureExt as _, StreamExt as _, stream};
use tokio::time::timeout_at;

use crate::cli::TestArgs;
use crate::progress::Step;
use crate::test::needs::Needs;
use crate::test::report::Outcome;
use crate::test::suites::{Suite, Tier};
use crate::workspace;

/// How many suites run at once of those that may. They wait for timers and for one another's
/// processes more than they compute, and two cores are what the tests are made for.
const SIDE_BY_SIDE: usize = 2;

/// Runs the chosen suites. The exit code says whether all of them passed.
pub(crate) async fn run(args: TestArgs) -> anyhow::Result<ExitCode> {
    let tier = Tier { full: args.full };
    let chosen = choose(suites::all(tier), &args)?;
    let needs = Needs::default();
    let ahead = chosen.iter().flat_map(|suite| suite.needs.iter().copied());
    let ahead = needs.get_ahead(ahead).boxed_local().shared();
    let (outcomes, ()) = join(run_all(&chosen, &needs, ahead.clone()), ahead).await;
    Ok(report::print(&outcomes, &args.without, tier))
}

/// Runs the suites in their order, and those side by side that may. What is got `ahead` takes the
/// time of none that looks at a clock.
async fn run_all(
    chosen: &[Suite],
    needs: &Needs,
    ahead: impl Future<Output = ()> + Clone,
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for group in chosen.chunk_by(|one, next| one.beside_others && next.beside_others) {
        if !group.iter().all(|suite| suite.only_compiles) {
            ahead.clone().await;
        }
        let runs = group.iter().enumerate();
        let runs = runs.map(async |(at, suite)| (at, run_timed(suite, needs).await));
        // Whoever is done makes room, though one before it may go on.
        let mut done: Vec<_> = stream::iter(runs).buffer_unordered(SIDE_BY_SIDE).collect().await;
        done.sort_by_key(|&(at, _)| at);
        outcomes.extend(done.into_iter().map(|(_, outcome)| outcome));
    }
    outcomes
}

fn choose(all: Vec<Suite>, args: &TestArgs) -> anyhow::Result<Vec<Suite>> {
    for name in args.only.iter().chain(&args.without) {
        if !all.iter().any(|suite| suite.name == *name) {
            let names: Vec<_> = all.iter().map(|suite| suite.name.as_str()).collect();
            bail!("there is no suite {name:?}: the suites are {}", names.join(", "));
        }
    }
    let only = |suite: &Suite| args.only.is_empty() || args.only.contains(&suite.name);
    let chosen = all.into_iter().filter(|s| only(s) && !args.without.contains(&s.name));
    Ok(chosen.collect())
}

/// Runs a suite once its needs are met, whose steps have lines of their own.
async fn run_timed(suite: &Suite, needs: &Needs) -> Outcome {
    let started = Instant::now();
    let met = needs.meet(&suite.needs).await;
    let step = Step::start(&suite.name);
    let mut outcome = run_suite(suite, met).await;
    outcome.elapsed = started.elapsed();
    step.done_with(outcome.verdict());
    outcome
}

async fn run_suite(suite: &Suite, needs_met: Result<(), String>) -> Outcome {
    let mut outcome = Outcome::new(&suite.name);
    let result = match needs_met {
        Ok(()) => run_commands(suite, &mut outcome).await,
        Err(missing) => Err(anyhow::anyhow!("it could not run: {missing}")),
    };
    if let Err(error) = result {
        outcome.problem = Some(format!("{error:#}"));
        outcome.counts.failed = outcome.counts.failed.max(1);
    }
    outcome
}

/// Runs the commands of a suite until one fails, and counts what they printed.
async fn run_commands(suite: &Suite, outcome: &mut Outcome) -> anyhow::Result<()> {
    let path = log_path(&suite.name);
    fs::create_dir_all(path.parent().expect("a log is in a folder"))?;
    let log = File::create(&path).context("target/test-logs")?;
    let commands = suite.commands()?;
    let mut succeeded = 0;
    let mut problem = None;
    let deadline = tokio::time::Instant::now() + suite.limit;
    for command in &commands {
        outcome.repeat = Some(command.shell_line());
        match timeout_at(deadline, command.run_to(&log)).await {
            Ok(Ok(status)) if status.success() => succeeded += 1,
            Ok(Ok(_)) => problem = Some("a command failed".to_owned()),
            Ok(Err(error)) => problem = Some(format!("{error:#}")),
            Err(_) => problem = Some(format!("not done in {:?}, and ended", suite.limit)),
        }
        if problem.is_some() {
            break;
        }
    }
    let output = fs::read(&path)?;
    let output = String::from_utf8_lossy(&output);
    outcome.counts = suite.reader.read(&output, succeeded, problem.is_none());
    outcome.figures = suite.figures.and_then(|figures| figures(&output));
    match problem {
        Some(problem) => bail!(problem),
        None if outcome.counts.ran_nothing() && !says_why(outcome) => bail!("no test ran"),
        None => Ok(()),
    }
}

/// Tells whether a suite was skipped, and said why.
fn says_why(outcome: &Outcome) -> bool {
    outcome.counts.skipped > 0 && outcome.figures.is_some()
}

/// Returns where the output of a suite is kept.
fn log_path(suite: &str) -> PathBuf {
    workspace::path("target/test-logs").join(format!("{suite}.log"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::process::Cmd;
    use crate::test::counts::{Counts, Reader};

    #[tokio::test]
    async fn only_a_suite_that_says_why_may_run_nothing() {
        let reads = |name: &'static str, text: &'static str| async move {
            let echo = move || Ok(vec![Cmd::new("echo").arg(text)]);
            let suite = Suite::new(name, &[], Reader::Plain, echo).figures(figures::skipped);
            let outcome = run_suite(&suite, Ok(())).await;
            fs::remove_file(log_path(name)).unwrap();
            outcome
        };
        let skipped = "skipped: no program\n0 passed, 0 failed, 1 skipped";
        let outcome = reads("skipped-echo", skipped).await;
        assert_eq!((outcome.verdict(), outcome.problem.as_deref()), ("skipped", None));
        assert_eq!(outcome.figures.as_deref(), Some("skipped: no program"));
        for silent in ["0 passed, 0 failed, 1 skipped", "skipped: no program\n0 passed, 0 failed"] {
            let outcome = reads("silent-echo", silent).await;
            assert_eq!(outcome.problem.as_deref(), Some("no test ran"), "{silent}");
        }
    }

    #[tokio::test]
    async fn suites_run_side_by_side_and_are_told_in_their_order() {
        // Each of them ends only once the other has begun.
        let meets = |name: &'static str, own: &'static str, other: &'static str| {
            let meet = move || {
                let folder = workspace::path("target/test-logs");
                let text = format!("touch {own}; until [ -e {other} ]; do sleep 0.01; done");
                Ok(vec![Cmd::new("sh").args(["-c", &text]).dir(folder)])
            };
            Suite::new(name, &[], Reader::Exit, meet).limit(Duration::from_secs(20))
        };
        let suites = [meets("side-a", "met-a", "met-b"), meets("side-b", "met-b", "met-a")];
        let suites = suites.map(Suite::beside_others);
        let outcomes = run_all(&suites, &Needs::default(), std::future::ready(())).await;
        let told = outcomes.iter().map(|told| (&told.suite[..], told.verdict()));
        assert_eq!(told.collect::<Vec<_>>(), [("side-a", "passed"), ("side-b", "passed")]);
        for file in ["met-a", "met-b", "side-a.log", "side-b.log"] {
            fs::remove_file(workspace::path("target/test-logs").join(file)).unwrap();
        }
    }

    async fn run_sleeps(name: &str, limit: Duration) -> Outcome {
        let sleeps = || Ok(vec![Cmd::new("sleep").arg("0.5"); 3]);
        let suite = Suite::new(name, &[], Reader::Exit, sleeps).limit(limit);
        let outcome = run_suite(&suite, Ok(())).await;
        fs::remove_file(log_path(name)).unwrap();
        outcome
    }

    #[tokio::test]
    async fn the_limit_is_that_of_all_commands_together() {
        // Each command is far below it.
        let outcome = run_sleeps("limited-sleeps", Duration::from_millis(1200)).await;
        assert_eq!(outcome.problem.as_deref(), Some("not done in 1.2s, and ended"));
        assert_eq!((outcome.counts.failed, outcome.verdict()), (1, "FAILED"));
        let outcome = run_sleeps("free-sleeps", Duration::from_secs(60)).await;
        assert_eq!(outcome.counts, Counts { passed: 3, ..Counts::default() });
        assert_eq!((outcome.problem, outcome.counts.failed), (None, 0));
    }
}
