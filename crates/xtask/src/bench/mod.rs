//! `cargo xtask bench`: measures the pool beside its peers, and shows what came of it.

mod data;
mod js;
mod js_marks;
mod js_table;
pub(crate) mod load;
mod machine;
mod marks;
mod native;
mod page;
mod plot;
mod program;
mod table;

use std::fs;

use anyhow::Context as _;

use crate::bench::data::Run;
use crate::bench::marks::Mark;
use crate::bench::page::Words;
use crate::cli::BenchCommand;
use crate::workspace;

/// Runs the benches of one kind. Missing a mark is a result, and no error.
pub(crate) async fn run(command: BenchCommand) -> anyhow::Result<()> {
    match command {
        BenchCommand::Native(args) => {
            let run = native::measure(&args).await?;
            let marks = marks::native(&run);
            show("native", &run, &marks, &table::text(&run, &marks), &page::NATIVE)
        }
        BenchCommand::Js(args) => {
            let run = js::measure(&args).await?;
            let marks = js_marks::of(&run);
            show("js", &run, &marks, &js_table::text(&run, &marks), &page::JS)
        }
        BenchCommand::Load(args) => load::run(&args).await,
    }
}

/// Prints the tables, and writes the file and the page of this name.
fn show(name: &str, run: &Run, marks: &[Mark], text: &str, words: &Words) -> anyhow::Result<()> {
    println!("{text}");
    let report = serde_json::to_string_pretty(&Report { run, marks })?;
    write(&format!("{name}.json"), &report)?;
    write(&format!("{name}.html"), &page::html(run, marks, words)?)
}

/// What the JSON file holds.
#[derive(serde::Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    run: &'a Run,
    marks: &'a [Mark],
}

fn write(name: &str, text: &str) -> anyhow::Result<()> {
    let path = workspace::path("target/bench").join(name);
    fs::write(&path, text).with_context(|| workspace::relative(&path))?;
    println!("{}", workspace::relative(&path));
    Ok(())
}
