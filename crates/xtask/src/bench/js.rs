//! Runs the benches of the npm package, in each runtime of JavaScript.

use std::time::Duration;

use anyhow::bail;

use crate::bench::data::Run;
use crate::bench::machine::Machine;
use crate::bench::program;
use crate::cli::JsBenchArgs;
use crate::process::Cmd;
use crate::{build, runtime, tools, workspace};

const PROJECT: &str = "tests/js/bench";

/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// Builds the package, and runs the benches against it.
pub(super) async fn measure(args: &JsBenchArgs) -> anyhow::Result<Run> {
    // Looked at before the build, which would be the load that is seen after it.
    let machine = Machine::this().await;
    build::everything().await?;
    tools::npm_packages(PROJECT).await?;
    let rounds = args.common.rounds.unwrap_or(if args.common.quick { 2 } else { 5 });
    let output = match tokio::time::timeout(LIMIT, program::run(command(args, rounds)?)).await {
        Ok(output) => output?,
        Err(_) => bail!("the benches were not done in {LIMIT:?}, and were ended"),
    };
    if output.cases.is_empty() {
        bail!("there is no case whose name begins with {}", args.common.cases.join(" or "));
    }
    let program::Output { cases, runtimes } = output;
    Ok(Run { machine, rounds, quick: args.common.quick, runtimes, cases })
}

fn command(args: &JsBenchArgs, rounds: u32) -> anyhow::Result<Cmd> {
    let run = Cmd::new("node").arg(workspace::path(PROJECT).join("run.mjs"));
    let mut run = runtime::name_binaries(run.args(["--rounds", &rounds.to_string()]))?
        .env("EDGEPOOL_PACKAGE", build::package_folder());
    if args.common.quick {
        run = run.arg("--quick");
    }
    for case in &args.common.cases {
        run = run.args(["--case", case]);
    }
    for runtime in &args.runtimes {
        run = run.args(["--runtime", runtime.name()]);
    }
    Ok(run)
}
