//! Progress of long steps, on standard error: a spinner on a terminal, plain lines elsewhere.

use std::io::IsTerminal as _;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// The spinners of all steps that are under way, a line for each.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// A step that is under way. Dropping it takes its spinner away.
pub(crate) struct Step {
    name: String,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Step {
    /// Announces a step.
    pub(crate) fn start(name: impl Into<String>) -> Self {
        let name = name.into();
        let bar = std::io::stderr().is_terminal().then(|| spinner(&name));
        if bar.is_none() {
            eprintln!("{name} ...");
        }
        Self { name, started: Instant::now(), bar }
    }

    /// Says that the step is done, and how long it took.
    pub(crate) fn done(self) {
        self.done_with("done");
    }

    /// Says what came of the step, and how long it took.
    pub(crate) fn done_with(self, result: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        BARS.suspend(|| eprintln!("{}: {result}, {seconds:.1} s", self.name));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn spinner(name: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{spinner} {msg} {elapsed}").expect("a valid template");
    let bar = ProgressBar::new_spinner().with_style(style).with_message(name.to_owned());
    let bar = BARS.add(bar);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
