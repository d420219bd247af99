//! Runs simulated schedules of a pool and prints the hash of what happened.
//!
//! ```text
//! cargo run -q --release -p edgepool-sim --example trace -- --seeds 1000
//! cargo run -q --release -p edgepool-sim --example trace -- --seeds 1000 --from 5000 --rates
//! cargo run -q --release -p edgepool-sim --example trace -- --seeds 1000 --panics --rates
//! cargo run -q -p edgepool-sim --example trace -- --replay 17
//! cargo run -q --release -p edgepool-sim --example trace -- --soak-days 30 --from 1
//! ```
//!
//! The same seeds give the same line on every platform; `trace_wasm` is the counterpart for wasm.
//! `--replay` writes every event of one seed, and then its hash, or a smaller case that fails as the
//! seed does. `--soak-days` keeps one pool under load for so many simulated days. `--panics` lets
//! what a pool calls panic too.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use edgepool_sim::{Report, Soak, Trace, Workload, combined_hash};

const USAGE: &str = "usage: trace [--seeds N] [--from SEED] [--rates] [--panics]
       trace --replay SEED [--panics]
       trace --soak-days DAYS [--from SEED] [--panics]";

#[derive(Default)]
struct Arguments {
    from: u64,
    seeds: u64,
    rates: bool,
    panics: bool,
    replay: Option<u64>,
    soak_days: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("{wrong}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match (arguments.replay, arguments.soak_days) {
        (Some(seed), _) => replay(seed, &arguments),
        (None, Some(days)) => soak(days, &arguments),
        _ if arguments.rates || arguments.panics => rates(&arguments),
        _ => {
            print_hash(&arguments, combined_hash(arguments.from, arguments.seeds));
            ExitCode::SUCCESS
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments { seeds: 1000, ..Arguments::default() };
    while let Some(word) = words.next() {
        let mut number = || {
            let value = words.next().ok_or_else(|| format!("{word} needs a number"))?;
            value.parse().map_err(|_| format!("{word} needs a number, not {value:?}"))
        };
        match word.as_str() {
            "--seeds" => arguments.seeds = number()?,
            "--from" => arguments.from = number()?,
            "--replay" => arguments.replay = Some(number()?),
            "--soak-days" => arguments.soak_days = Some(number()?),
            "--rates" => arguments.rates = true,
            "--panics" => arguments.panics = true,
            _ => return Err(format!("unknown argument {word:?}")),
        }
    }
    Ok(arguments)
}

fn workload(seed: u64, arguments: &Arguments) -> Workload {
    let workload = Workload::from_seed(seed);
    if arguments.panics { workload.with_panics() } else { workload }
}

fn print_hash(arguments: &Arguments, hash: u64) {
    println!("seeds {} from {} hash {hash:016x}", arguments.seeds, arguments.from);
}

fn fail(failure: impl Display) -> ExitCode {
    eprintln!("{failure}");
    ExitCode::FAILURE
}

fn replay(seed: u64, arguments: &Arguments) -> ExitCode {
    match workload(seed, arguments).case(seed).check_traced(Trace::with_log()) {
        Ok((report, trace)) => {
            print!("{trace}");
            println!("{report:?}, hash {:016x}", report.hash);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            print!("{}", failure.trace());
            eprintln!(
                "seed {seed} fails: {}\n\nand so does, if it is made smaller:",
                failure.what()
            );
            fail(failure.shrink(10_000))
        }
    }
}

/// Runs all seeds, and names those that fail as it meets them, to be replayed one by one.
fn rates(arguments: &Arguments) -> ExitCode {
    let begun = Instant::now();
    let mut trace = Trace::new();
    let (mut steps, mut served, mut sim_time, mut failed) = (0, 0, Duration::ZERO, 0);
    for seed in arguments.from..arguments.from.saturating_add(arguments.seeds) {
        let Report { hash, steps: taken, served: leases, sim_time: passed, .. } =
            match workload(seed, arguments).case(seed).check() {
                Ok(report) => report,
                Err(failure) => {
                    eprintln!("seed {seed} fails: {}", failure.what());
                    failed += 1;
                    continue;
                }
            };
        trace.combine(hash);
        steps += taken;
        served += leases;
        sim_time += passed;
    }
    print_hash(arguments, trace.hash());
    print_rates(steps, served, sim_time, begun.elapsed());
    let an_hour = arguments.seeds as f64 / begun.elapsed().as_secs_f64() * 3600.0;
    println!("seeds an hour: {an_hour:.0}, failed: {failed}");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_rates(steps: u64, served: u64, sim_time: Duration, wall: Duration) {
    let wall = wall.as_secs_f64();
    println!("steps {steps}, leases {served}, simulated {sim_time:?} in {wall:.2} s of wall time");
    println!("simulated seconds a wall second: {:.0}", sim_time.as_secs_f64() / wall);
}

fn soak(days: u64, arguments: &Arguments) -> ExitCode {
    const DAY: Duration = Duration::from_secs(86_400);
    let soak = Soak {
        length: DAY * u32::try_from(days).unwrap_or(u32::MAX),
        panics: arguments.panics,
        ..Soak::of_seed(arguments.from)
    };
    let begun = Instant::now();
    let mut told = Duration::ZERO;
    let report = soak.run(|progress| {
        if progress.sim_time < told + DAY {
            return;
        }
        told = progress.sim_time;
        let counters = &progress.stats.counters;
        println!(
            "day {}: {} steps, {} leases, {} connections made, {} creations failed, {:.1} s",
            told.as_secs() / DAY.as_secs(),
            progress.steps,
            progress.served,
            counters.created,
            counters.create_failed + counters.create_abandoned,
            begun.elapsed().as_secs_f64(),
        );
    });
    match report {
        Ok(report) => {
            println!("soak of seed {} hash {:016x}", soak.seed, report.hash);
            print_rates(report.steps, report.served, report.sim_time, begun.elapsed());
            ExitCode::SUCCESS
        }
        Err(failure) => fail(failure),
    }
}
