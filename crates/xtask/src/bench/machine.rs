//! What the benches ran on.

use std::fs;

use serde::Serialize;

use crate::process::Cmd;

/// The machine and the compiler of a run, as far as the system tells.
#[derive(Debug, Default, Serialize)]
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) cores: usize,
    pub(super) system: String,
    pub(super) rustc: String,
    /// How many processes wanted to run in the minute before.
    pub(super) load: Option<f64>,
}

impl Machine {
    pub(super) async fn this() -> Self {
        let rustc = Cmd::new("rustc").arg("--version").output().await;
        Self {
            processor: processor().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            rustc: rustc.unwrap_or_else(|_| "rustc".to_owned()),
            load: load(),
        }
    }

    /// Tells whether others kept a good part of it busy before the run.
    pub(super) fn was_busy(&self) -> bool {
        self.load.is_some_and(|load| load > 0.5 * self.cores as f64)
    }

    /// Says it in one line.
    pub(super) fn line(&self) -> String {
        let Self { processor, cores, system, rustc, load } = self;
        let load = load.map_or(String::new(), |load| format!(", load before {load:.2}"));
        format!("{processor}, {cores} cores, {system}, {rustc}{load}")
    }
}

/// Reads the processor's name, where the system has it in a file.
fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Reads how many processes wanted to run in the minute before.
pub(super) fn load() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').next()?.parse().ok()
}
