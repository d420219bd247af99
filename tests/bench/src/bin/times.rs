//! Measures time. `times ROUNDS MILLISECONDS [CASE]...`: so many rounds, each measurement about so
//! long, of the cases whose names begin so and those that are measured beside them, or of all.
#![forbid(unsafe_code)]

use std::time::Duration;

use edgepool_bench::cases::{Case, TIMES};
use edgepool_bench::harness::Plan;
use edgepool_bench::output::Line;

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = || args.next().and_then(|arg| arg.parse::<u32>().ok()).filter(|&n| n > 0);
    let (Some(rounds), Some(millis)) = (number(), number()) else {
        eprintln!("usage: times ROUNDS MILLISECONDS [CASE]...");
        std::process::exit(2);
    };
    let plan = Plan { rounds: rounds as usize, budget: Duration::from_millis(millis.into()) };
    let chosen: Vec<String> = args.collect();
    let wanted = |(name, _): &&Case| {
        let begins = |chosen: &String| name.starts_with(chosen) || chosen.starts_with(name);
        chosen.is_empty() || chosen.iter().any(begins)
    };
    let cases: Vec<&Case> = TIMES.iter().filter(wanted).collect();
    let (mut done, of) = (0, cases.len() * (plan.rounds + 1));
    for (_, group) in cases {
        let group = group();
        let title = group.heads[0].title;
        group.run(plan, |what| {
            Line::Progress { done, of, next: format!("{title}: {what}") }.print();
            done += 1;
        });
    }
}
