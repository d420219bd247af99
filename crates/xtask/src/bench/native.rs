//! Builds the benches of the Rust pool, runs them, and reads what they print.

use std::fs;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::bench::data::{Case, Run};
use crate::bench::machine::Machine;
use crate::cli::NativeArgs;
use crate::process::Cmd;
use crate::workspace;

const PROJECT: &str = "tests/bench";
const BUILD: &str = "target/bench/build";

/// How long all of it may take: a pool that loses a wake-up would wait for ever.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// A line that a program prints.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Progress { done: u64, of: u64, next: String },
    Case(Case),
}

/// Builds and runs the benches.
pub(super) async fn measure(args: &NativeArgs) -> anyhow::Result<Run> {
    let build = Cmd::new("cargo")
        .args(["build", "--locked", "--release", "--manifest-path"])
        .arg(workspace::path(PROJECT).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(workspace::path(BUILD));
    // Looked at before the build, which would be the load that is seen after it.
    let machine = Machine::this().await;
    build.step("benches").await?;
    let (rounds, millis) = if args.quick { (3, 15) } else { (9, 60) };
    let rounds = args.rounds.unwrap_or(rounds);
    let mut run = Run { machine, rounds, quick: args.quick, cases: vec![] };
    let times = program("times").args([rounds, millis].map(|n| n.to_string())).args(&args.cases);
    let programs = async {
        run.cases.extend(output(times).await?);
        run.cases.extend(output(program("memory").args(&args.cases)).await?);
        anyhow::Ok(())
    };
    match tokio::time::timeout(LIMIT, programs).await {
        Ok(done) => done?,
        Err(_) => bail!("the benches were not done in {LIMIT:?}, and were ended"),
    }
    if run.cases.is_empty() {
        bail!("there is no case whose name begins with {}", args.cases.join(" or "));
    }
    add_versions(&mut run.cases)?;
    Ok(run)
}

fn program(name: &str) -> Cmd {
    let built: PathBuf = workspace::path(BUILD).join("release").join(name);
    Cmd::new(built)
}

/// Runs a program to its end, with its progress on standard error, and returns its cases.
async fn output(program: Cmd) -> anyhow::Result<Vec<Case>> {
    let (mut group, stdout) = program.start_piped()?;
    let mut lines = BufReader::new(stdout).lines();
    let mut cases = Vec::new();
    let mut progress = Progress::default();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line).with_context(|| line.clone())? {
            Line::Progress { done, of, next } => progress.show(done, of, &next),
            Line::Case(case) => cases.push(case),
        }
    }
    let status = group.wait().await?;
    if !status.success() {
        bail!("the benches failed ({status})\nto repeat: {}", program.shell_line());
    }
    Ok(cases)
}

/// A bar on a terminal, a line for each case elsewhere. Nothing is drawn while something is
/// measured: the bar moves only when a program says that it goes on.
#[derive(Default)]
struct Progress {
    bar: Option<ProgressBar>,
    case: String,
}

impl Progress {
    fn show(&mut self, done: u64, of: u64, next: &str) {
        if std::io::stderr().is_terminal() {
            let bar = self.bar.get_or_insert_with(|| bar(of));
            bar.set_position(done);
            bar.set_message(next.to_owned());
            return;
        }
        let case = next.split(':').next().unwrap_or_default();
        if self.case != case {
            eprintln!("{case} ...");
            case.clone_into(&mut self.case);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {elapsed} {msg}");
    ProgressBar::new(length).with_style(style.expect("a valid template"))
}

/// Names the versions of the packages that were measured.
fn add_versions(cases: &mut [Case]) -> anyhow::Result<()> {
    let lock = fs::read_to_string(workspace::path(PROJECT).join("Cargo.lock"))?;
    for series in cases.iter_mut().flat_map(|case| &mut case.series) {
        if let Some(package) = &series.contender.package {
            series.contender.version = Some(workspace::version_in_lock(&lock, package)?);
        }
    }
    Ok(())
}
