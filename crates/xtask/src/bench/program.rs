//! Runs a program that measures, and reads what it prints.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::bench::data::Case;
use crate::process::Cmd;

/// A line that a program prints.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Progress { done: u64, of: u64, next: String },
    Case(Case),
    Runtimes(BTreeMap<String, String>),
}

/// What a program has measured.
#[derive(Default)]
pub(super) struct Output {
    pub(super) cases: Vec<Case>,
    /// The runtimes of JavaScript that it measured in, with their versions.
    pub(super) runtimes: BTreeMap<String, String>,
}

/// Runs a program to its end, with its progress on standard error.
pub(super) async fn run(program: Cmd) -> anyhow::Result<Output> {
    let (mut group, stdout) = program.start_piped()?;
    let mut lines = BufReader::new(stdout).lines();
    let mut output = Output::default();
    let mut progress = Progress::default();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line).with_context(|| line.clone())? {
            Line::Progress { done, of, next } => progress.show(done, of, &next),
            Line::Case(case) => output.cases.push(case),
            Line::Runtimes(runtimes) => output.runtimes = runtimes,
        }
    }
    let status = group.wait().await?;
    if !status.success() {
        bail!("the benches failed ({status})\nto repeat: {}", program.shell_line());
    }
    Ok(output)
}

/// A bar on a terminal, a line for each case elsewhere. Nothing is drawn while something is
/// measured: the bar moves only when a program says that it goes on.
#[derive(Default)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    case: String,
}

impl Progress {
    /// Shows how many of all measurements are done, and what comes next.
    pub(super) fn show(&mut self, done: u64, of: u64, next: &str) {
        if std::io::stderr().is_terminal() {
            let bar = self.bar.get_or_insert_with(|| bar(of));
            bar.set_position(done);
            bar.set_message(next.to_owned());
            return;
        }
        let case = next.split(':').next().unwrap_or_default();
        if self.case != case {
            eprintln!("{case} ...");
            case.clone_into(&mut self.case);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {elapsed} {msg}");
    ProgressBar::new(length).with_style(style.expect("a valid template"))
}
