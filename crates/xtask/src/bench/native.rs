//! Builds the benches of the Rust pool, and runs them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;

use crate::bench::data::{Case, Run};
use crate::bench::machine::Machine;
use crate::bench::program;
use crate::cli::BenchArgs;
use crate::process::Cmd;
use crate::workspace;

const PROJECT: &str = "tests/bench";
const BUILD: &str = "target/bench/build";

/// How long all of it may take: a pool that loses a wake-up would wait for ever.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Builds and runs the benches.
pub(super) async fn measure(args: &BenchArgs) -> anyhow::Result<Run> {
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
    let runtimes = BTreeMap::new();
    let mut run = Run { machine, rounds, quick: args.quick, runtimes, cases: vec![] };
    let times = built("times").args([rounds, millis].map(|n| n.to_string())).args(&args.cases);
    let programs = async {
        run.cases.extend(program::run(times).await?.cases);
        let memory = built("memory").args(&args.cases);
        run.cases.extend(program::run(memory).await?.cases);
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

fn built(name: &str) -> Cmd {
    let program: PathBuf = workspace::path(BUILD).join("release").join(name);
    Cmd::new(program)
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
