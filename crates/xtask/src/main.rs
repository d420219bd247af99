//! `cargo xtask`: builds, serves, tests and measures edgepool.
#![forbid(unsafe_code)]

mod bench;
mod build;
mod capnp;
mod cli;
mod config;
mod fingerprint;
mod health;
mod postgres;
mod process;
mod progress;
mod runtime;
mod serve;
mod simulator;
mod stop;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    workspace::program();
    tokio::select! {
        biased;
        signal = stop::requested() => stop::exit_code(signal),
        result = run(cli) => match result {
            Ok(code) => code,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

/// Runs one command. Dropping this future ends every process that the command started.
async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        None => cli::list_commands()?,
        Some(Command::Build) => build::run().await?,
        Some(Command::Serve(args)) => serve::run(args).await?,
        Some(Command::Simulate(args)) => simulator::run(args).await?,
        Some(Command::Test(args)) => return test::run(args).await,
        Some(Command::Bench(command)) => bench::run(command).await?,
        Some(Command::Postgres(args)) => return postgres::run(args).await,
        Some(Command::Guard { parent, command }) => {
            return Err(process::become_guarded(parent, &command));
        }
    }
    Ok(ExitCode::SUCCESS)
}
