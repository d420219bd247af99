//! `cargo xtask bench`: measures the pool beside its peers, and shows what came of it.

mod data;
mod machine;
mod marks;
mod native;
mod page;
mod plot;
mod table;

use std::fs;

use anyhow::Context as _;

use crate::bench::data::Run;
use crate::cli::BenchCommand;
use crate::workspace;

/// Runs the benches of one kind. Missing a mark is a result, and no error.
pub(crate) async fn run(command: BenchCommand) -> anyhow::Result<()> {
    let BenchCommand::Native(args) = command;
    let run = native::measure(&args).await?;
    let marks = marks::native(&run);
    println!("{}", table::text(&run, &marks));
    write("native.json", &(serde_json::to_string_pretty(&Report { run: &run, marks: &marks })?))?;
    write("native.html", &page::html(&run, &marks)?)
}

/// What the JSON file holds.
#[derive(serde::Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    run: &'a Run,
    marks: &'a [marks::Mark],
}

fn write(name: &str, text: &str) -> anyhow::Result<()> {
    let path = workspace::path("target/bench").join(name);
    fs::write(&path, text).with_context(|| workspace::relative(&path))?;
    println!("{}", workspace::relative(&path));
    Ok(())
}
