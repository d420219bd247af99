//! Runs simulated schedules of a pool and prints the hash of what happened.
//!
//! ```text
//! cargo run -q --release -p edgepool-sim --example trace -- --seeds 1000
//! cargo run -q --release -p edgepool-sim --example trace -- --seeds 1000 --from 5000 --rates
//! cargo run -q -p edgepool-sim --example trace -- --replay 17
//! ```
//!
//! The same seeds give the same line on every platform; `trace_wasm` is the counterpart for wasm.
//! `--replay` writes every event of one seed, and then its hash.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use edgepool_sim::{Report, Trace, Workload, combined_hash};

const USAGE: &str = "usage: trace [--seeds N] [--from SEED] [--rates] | trace --replay SEED";

#[derive(Default)]
struct Arguments {
    from: u64,
    seeds: u64,
    rates: bool,
    replay: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("{wrong}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match arguments.replay {
        Some(seed) => replay(seed),
        None if arguments.rates => rates(&arguments),
        None => print_hash(&arguments, combined_hash(arguments.from, arguments.seeds)),
    }
    ExitCode::SUCCESS
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
            "--rates" => arguments.rates = true,
            _ => return Err(format!("unknown argument {word:?}")),
        }
    }
    Ok(arguments)
}

fn print_hash(arguments: &Arguments, hash: u64) {
    println!("seeds {} from {} hash {hash:016x}", arguments.seeds, arguments.from);
}

fn replay(seed: u64) {
    let (report, trace) = Workload::from_seed(seed).run_traced(seed, Trace::with_log());
    print!("{trace}");
    println!("{report:?}");
}

fn rates(arguments: &Arguments) {
    let begun = Instant::now();
    let mut trace = Trace::new();
    let (mut steps, mut served, mut sim_time) = (0, 0, Duration::ZERO);
    for seed in arguments.from..arguments.from.saturating_add(arguments.seeds) {
        let report: Report = edgepool_sim::run_seed(seed);
        trace.combine(report.hash);
        steps += report.steps;
        served += report.served;
        sim_time += report.sim_time;
    }
    let wall = begun.elapsed().as_secs_f64();
    print_hash(arguments, trace.hash());
    println!("steps {steps}, leases {served}, simulated {sim_time:?} in {wall:.2} s of wall time");
    println!("seeds an hour: {:.0}", arguments.seeds as f64 / wall * 3600.0);
    println!("simulated seconds a wall second: {:.0}", sim_time.as_secs_f64() / wall);
}
