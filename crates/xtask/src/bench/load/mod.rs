//! `cargo xtask bench load`: a backend that takes so many at once, under more load than it bears.

mod backend;
pub(crate) mod contenders;
mod data;
mod marks;
mod objects;
mod page;
mod plot;
mod programs;
mod table;

use std::time::Duration;

use crate::bench::load::backend::Running;
use crate::bench::load::contenders::{Place, Sender};
use crate::bench::load::data::{Backend, Cell, LoadRun, Offered};
use crate::bench::load::programs::{Measured, Plan, Programs};
use crate::bench::machine::{self, Machine};
use crate::bench::marks::Mark;
use crate::bench::program::Progress;
use crate::cli::LoadBenchArgs;

/// How long things take.
#[derive(Clone, Copy)]
struct Times {
    rounds: u32,
    /// In which the capacity is found out.
    finding: Duration,
    warm: Duration,
    window: Duration,
}

impl Times {
    const fn of(args: &LoadBenchArgs) -> Self {
        let (rounds, finding, warm, window) =
            if args.quick { (1, 1_000, 4_000, 2_000) } else { (3, 4_000, 4_000, 6_000) };
        let rounds = match args.rounds {
            Some(rounds) => rounds,
            None => rounds,
        };
        Self {
            rounds,
            finding: Duration::from_millis(finding),
            warm: Duration::from_millis(warm),
            window: Duration::from_millis(window),
        }
    }
}

/// Measures, prints the tables, and writes the file and the page.
pub(crate) async fn run(args: &LoadBenchArgs) -> anyhow::Result<()> {
    let run = measure(args).await?;
    let marks = marks::of(&run);
    println!("{}", table::text(&run, &marks));
    super::write(
        "load.json",
        &serde_json::to_string_pretty(&Report { run: &run, marks: &marks })?,
    )?;
    super::write("load.html", &page::html(&run, &marks)?)
}

/// What the JSON file holds.
#[derive(serde::Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    run: &'a LoadRun,
    marks: &'a [Mark],
}

async fn measure(args: &LoadBenchArgs) -> anyhow::Result<LoadRun> {
    // Looked at before the build, which would be the load that is seen after it.
    let machine = Machine::this().await;
    let places = if args.places.is_empty() { &Place::ALL[..] } else { &args.places };
    let programs = Programs::build(places).await?;
    let times = Times::of(args);
    let senders = contenders::all();
    let senders: Vec<Sender> =
        senders.into_iter().filter(|sender| places.contains(&sender.place)).collect();
    let mut run = LoadRun {
        machine,
        loads: Vec::new(),
        rounds: times.rounds,
        quick: args.quick,
        runtimes: programs.versions().await,
        backend: Backend::default(),
        cells: cells(&senders),
        senders,
        objects: Vec::new(),
    };
    let mut progress = Progress::default();
    let total = u64::from(times.rounds) * (run.cells.len() as u64);
    progress.show(0, total, "the backend alone");
    let backend = Running::start().await?;
    run.backend = backend.find_out(times.finding).await?;
    for round in 0..times.rounds {
        measure_round(&mut run, round, &programs, times, |at, next| {
            progress.show(u64::from(round) * total / u64::from(times.rounds) + at, total, next);
        })
        .await?;
        run.loads.extend(machine::load());
    }
    drop((backend, progress));
    run.objects = objects::measure(&programs, args.quick).await?;
    Ok(run)
}

/// Makes a place for each sender under each load, loads and places outermost.
fn cells(senders: &[Sender]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for place in Place::ALL {
        for offered in Offered::all() {
            for sender in senders.iter().filter(|sender| sender.place == place) {
                let (rounds, failed) = (Vec::new(), None);
                cells.push(Cell { place, sender: sender.id, offered, rounds, failed });
            }
        }
    }
    cells
}

/// Measures everybody once. Each round begins with another sender.
async fn measure_round(
    run: &mut LoadRun,
    round: u32,
    programs: &Programs,
    times: Times,
    mut progress: impl FnMut(u64, &str),
) -> anyhow::Result<()> {
    let mut done = 0;
    for place in run.places() {
        let senders: Vec<Sender> = run.senders_in(place).copied().collect();
        for offered in Offered::all() {
            for turn in 0..senders.len() {
                let sender = senders[(round as usize + turn) % senders.len()];
                let title = format!("{}, {}: {}", place.title(), offered.title(), sender.name);
                progress(done, &title);
                // Each has a backend of its own, which nobody before has left anything in.
                let backend = Running::start().await?;
                let seed = u64::from(round) + 1;
                let plan = Plan::of(&sender, offered, &run.backend, times, seed, &backend.url);
                let measured = programs.measure(&sender, &plan).await?;
                note(run, &sender, offered, measured);
                done += 1;
            }
        }
    }
    Ok(())
}

fn note(run: &mut LoadRun, sender: &Sender, offered: Offered, measured: Measured) {
    let is_it = |cell: &&mut Cell| {
        cell.place == sender.place && cell.sender == sender.id && cell.offered == offered
    };
    let cell = run.cells.iter_mut().find(is_it).expect("each has a cell");
    match measured {
        Measured::Figures(figures) => cell.rounds.push(figures),
        Measured::Failed(why) => cell.failed = Some(why),
    }
}
