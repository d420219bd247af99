//! The command line.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use serde::Deserialize;

use crate::bench::load::contenders::Place;
use crate::runtime::{Runtime, Scope};
use crate::simulator::SimulateArgs;

/// The command by which this program starts what stays.
pub(crate) const GUARD: &str = "guard";

const CONFIG_HELP: &str = "\
The configuration file, in TOML; every table and key but a provider's kind may be left out:

  [gateway]         runtime, scope, port, bind           the command line overrides them
                    hosts, a list                        the host names that the gateway answers
                                                         to, beside loopback and bind
  [pool]            lease_ttl_ms, heartbeat_ms           for all pools
                    and each LIMIT                       for providers that do not say otherwise
  [providers.NAME]  kind                                 openai, anthropic, ollama, http, ...
                    url, or endpoints, a list            of urls, or of { url, weight }
                    key, or key_env                      the key, or the name of its variable
                    headers, model, api_version          what is sent; model is for the page
                    and each LIMIT
  [simulator]       max, latency_ms, first_token_ms, chunk_ms, chunks, seed

A LIMIT is one of these; durations are in ms, and \"none\" is no limit:

  max, max_waiting, pass_client_key, hedge_after_ms, alert_after_ms,
  acquire_timeout_ms, headers_timeout_ms, first_content_timeout_ms, stall_timeout_ms,
  total_timeout_ms
  balance           round_robin, least_connections or power_of_two
  ejection          consecutive, base_ms, longest_ms, at_most, slow_start_ms,
                    share = { percent, least, window_ms }
  checks            interval_ms, timeout_ms, failures
  adaptive_limit    way (aimd or gradient), min, max, hold_ms
  rates             requests and tokens, each = { amount, window_ms }
  retry             retries, base_ms, longest_ms, retry_after_cap_ms,
                    budget = { percent, per_second }";

/// Build, serve and test edgepool.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build the npm package: target/npm/edgepool-<version>.tgz, and the gateway for each runtime
    Build,
    /// Build, and run the pooled gateway with its live page
    #[command(after_long_help = CONFIG_HELP)]
    Serve(ServeArgs),
    /// Run the provider simulator alone
    Simulate(SimulateArgs),
    /// Run the test suites, and print a table of them
    Test(TestArgs),
    /// Measure the pool beside its peers
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Run a command beside a PostgreSQL of its own, named in PGHOST, PGPORT, PGUSER, PGPASSWORD
    Postgres(PostgresArgs),
    /// Become another program, which ends when this one's parent does
    #[command(name = GUARD, hide = true)]
    Guard {
        /// The process that starts this one
        parent: u32,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
}

#[derive(Args, Debug, Default)]
pub(crate) struct ServeArgs {
    /// What runs the gateway [default: workerd]
    #[arg(long, value_enum)]
    pub(crate) runtime: Option<Runtime>,
    /// What a limit holds for: each isolate of workerd by itself, or all of them together, through
    /// one Durable Object [default: isolate]
    #[arg(long, value_enum)]
    pub(crate) scope: Option<Scope>,
    /// The port of the gateway; 0 takes a free one [default: 8787]
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// The address that the gateway listens on [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    pub(crate) bind: Option<IpAddr>,
    /// A provider; repeat for more. KIND is openai, anthropic, ollama, http or another one that is
    /// known. Its key is taken from the environment, EDGEPOOL_KEY_<NAME>
    #[arg(long = "provider", value_name = "NAME=KIND,URL[,max=N]")]
    pub(crate) providers: Vec<String>,
    /// A TOML file with [gateway], [pool], [providers.NAME] and [simulator]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sim: SimArgs,
}

/// Settings of the embedded provider simulator. It runs when no provider is named, and beside the
/// named ones when any of these is given, here or in the file's `[simulator]`.
#[derive(Args, Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Embedded provider simulator (default, or beside the named ones)")]
pub(crate) struct SimArgs {
    /// Requests at once; one more gets a 429 [default: 4]
    #[arg(long = "sim-max", value_name = "N")]
    pub(crate) max: Option<u16>,
    /// Time before the headers of an answer [default: 50]
    #[arg(long = "sim-latency-ms", value_name = "MS")]
    pub(crate) latency_ms: Option<u32>,
    /// Time from the headers to the first token [default: 50]
    #[arg(long = "sim-first-token-ms", value_name = "MS")]
    pub(crate) first_token_ms: Option<u32>,
    /// Time between two chunks of an answer [default: 10]
    #[arg(long = "sim-chunk-ms", value_name = "MS")]
    pub(crate) chunk_ms: Option<u32>,
    /// Chunks of content in an answer [default: 20]
    #[arg(long = "sim-chunks", value_name = "N")]
    pub(crate) chunks: Option<u32>,
    /// Seed of the words of the answers [default: 1]
    #[arg(long = "sim-seed", value_name = "N")]
    pub(crate) seed: Option<u64>,
}

impl SimArgs {
    /// Fills what is not given from `other`.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            max: self.max.or(other.max),
            latency_ms: self.latency_ms.or(other.latency_ms),
            first_token_ms: self.first_token_ms.or(other.first_token_ms),
            chunk_ms: self.chunk_ms.or(other.chunk_ms),
            chunks: self.chunks.or(other.chunks),
            seed: self.seed.or(other.seed),
        }
    }

    /// Returns the arguments of `simulate` that are given.
    pub(crate) fn to_args(&self) -> Vec<String> {
        let given = [
            ("--max", self.max.map(u64::from)),
            ("--latency-ms", self.latency_ms.map(u64::from)),
            ("--first-token-ms", self.first_token_ms.map(u64::from)),
            ("--chunk-ms", self.chunk_ms.map(u64::from)),
            ("--chunks", self.chunks.map(u64::from)),
            ("--seed", self.seed),
        ];
        let pairs = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
        pairs.flat_map(|(name, value)| [name.to_owned(), value.to_string()]).collect()
    }

    /// Checks the values as `simulate` itself does, but says them by the names given here.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let args = ["xtask".into(), "simulate".into()].into_iter().chain(self.to_args());
        let Err(error) = Cli::try_parse_from(args) else { return Ok(()) };
        let message = error.to_string();
        let message = message.lines().next().unwrap_or_default().replace("'--", "'--sim-");
        anyhow::bail!("{}", message.trim_start_matches("error: "))
    }
}

#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    /// Add the long runs
    #[arg(long)]
    pub(crate) full: bool,
    /// Leave a suite out; repeat for more
    #[arg(long, value_name = "SUITE")]
    pub(crate) without: Vec<String>,
    /// Run this suite only; repeat for more
    #[arg(long, value_name = "SUITE", conflicts_with = "without")]
    pub(crate) only: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Measure the Rust pool: tables, the marks, target/bench/native.json and native.html
    Native(BenchArgs),
    /// Measure the npm package in Node, Deno, Bun and workerd: tables, the marks, target/bench/js.json
    /// and js.html
    Js(JsBenchArgs),
    /// Put load on a backend that takes so many at once, from this pool and from its peers, in Node,
    /// workerd and Rust; and measure clients that are shared. Tables, the marks,
    /// target/bench/load.json and load.html
    Load(LoadBenchArgs),
}

#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// Measure less: fewer rounds, and shorter ones
    #[arg(long)]
    pub(crate) quick: bool,
    /// How often each contender is measured in a case [default: native 9, with --quick 3; js 5 and 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: Option<u32>,
    /// Measure only the cases whose names begin so; repeat for more
    #[arg(long = "case", value_name = "CASE")]
    pub(crate) cases: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct PostgresArgs {
    /// The port of the server [default: a free one]
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// The command; without one, the server runs until this is stopped
    #[arg(last = true)]
    pub(crate) command: Vec<OsString>,
}

#[derive(Args, Debug)]
pub(crate) struct JsBenchArgs {
    #[command(flatten)]
    pub(crate) common: BenchArgs,
    /// Measure in this runtime only; repeat for more
    #[arg(long = "runtime", value_name = "RUNTIME", value_enum)]
    pub(crate) runtimes: Vec<Runtime>,
}

#[derive(Args, Debug)]
pub(crate) struct LoadBenchArgs {
    /// Measure less: one round, and shorter
    #[arg(long)]
    pub(crate) quick: bool,
    /// How often each sender is measured under each load [default: 3, with --quick 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: Option<u32>,
    /// Send from here only; repeat for more
    #[arg(long = "place", value_name = "PLACE", value_enum)]
    pub(crate) places: Vec<Place>,
}

/// Prints the commands, as `cargo xtask` alone does.
pub(crate) fn list_commands() -> anyhow::Result<()> {
    Ok(Cli::command().print_help()?)
}
