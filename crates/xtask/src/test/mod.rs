//! `cargo xtask test`.
use crate::cli::TestArgs;
use std::process::ExitCode;
pub(crate) async fn run(_args: TestArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("")
}
