//! The programs that send the load.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::AsyncReadExt as _;

use crate::bench::load::Times;
use crate::bench::load::contenders::{Place, Sender};
use crate::bench::load::data::{Backend, Offered};
use crate::process::Cmd;
use crate::{build, runtime, tools, workspace};

const JS: &str = "tests/js/bench";
const RUST: &str = "tests/bench";
const BUILD: &str = "target/bench/build";
const PROJECT: &str = "target/bench/js-load";

/// How long callers wait: for ever, as far as a run goes; or until they give up.
const PATIENCE: u64 = 60_000;
const IMPATIENCE: u64 = 2_500;
const ACQUIRE_TIMEOUT: u64 = 2_000;

/// What a program is told, as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Plan<'a> {
    place: &'a str,
    sender: &'a str,
    backend: &'a str,
    project: PathBuf,
    size: u32,
    learn: bool,
    queue: u32,
    acquire_timeout: u64,
    rate: f64,
    seed: u64,
    warm_ms: u64,
    window_ms: u64,
    patience_ms: u64,
}

impl<'a> Plan<'a> {
    pub(super) fn of(
        sender: &Sender,
        offered: Offered,
        backend: &Backend,
        times: Times,
        seed: u64,
        url: &'a str,
    ) -> Self {
        Self {
            place: sender.place.name(),
            sender: sender.sender,
            backend: url,
            project: project(),
            size: backend.max * sender.times,
            learn: sender.learn,
            queue: backend.capacity.ceil() as u32,
            acquire_timeout: ACQUIRE_TIMEOUT,
            rate: backend.capacity * f64::from(offered.times),
            seed,
            warm_ms: times.warm.as_millis() as u64,
            window_ms: times.window.as_millis() as u64,
            patience_ms: if offered.impatient { IMPATIENCE } else { PATIENCE },
        }
    }

    /// Returns how long a program may take at most: one that hangs is ended.
    fn limit(&self) -> Duration {
        Duration::from_millis(self.warm_ms + self.window_ms) + Duration::from_secs(60)
    }
}

/// What a program says.
pub(super) enum Measured {
    Figures(BTreeMap<String, Option<f64>>),
    Failed(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Figures(BTreeMap<String, Value>),
    Failed(String),
}

/// The programs, built.
pub(super) struct Programs {
    places: Vec<Place>,
}

impl Programs {
    pub(super) async fn build(places: &[Place]) -> anyhow::Result<Self> {
        if places.contains(&Place::Native) {
            let build = Cmd::new("cargo")
                .args(["build", "--locked", "--release", "--bin", "load", "--bin", "objects"])
                .arg("--manifest-path")
                .arg(workspace::path(RUST).join("Cargo.toml"))
                .arg("--target-dir")
                .arg(workspace::path(BUILD));
            build.step("load of Rust").await?;
        }
        if places.iter().any(|&place| place != Place::Native) {
            build::everything().await?;
            tools::npm_packages(JS).await?;
            js("prepare.mjs")?.arg(project()).output().await?;
        }
        Ok(Self { places: places.to_vec() })
    }

    pub(super) fn has(&self, place: Place) -> bool {
        self.places.contains(&place)
    }

    /// Puts the load of a plan on its backend.
    pub(super) async fn measure(
        &self,
        sender: &Sender,
        plan: &Plan<'_>,
    ) -> anyhow::Result<Measured> {
        let program = match sender.place {
            Place::Native => native("load"),
            Place::Node | Place::Workerd => js("client.mjs")?,
        };
        let program = program.arg(serde_json::to_string(plan)?);
        let line = match tokio::time::timeout(plan.limit(), whole_output(&program)).await {
            Ok(line) => line?,
            Err(_) => return Ok(Measured::Failed("it did not come to an end".to_owned())),
        };
        Ok(match serde_json::from_str(&line).with_context(|| line.clone())? {
            Line::Failed(why) => Measured::Failed(why),
            // What else it says is for those who run it by hand.
            Line::Figures(figures) => Measured::Figures(
                figures.into_iter().map(|(name, value)| (name, value.as_f64())).collect(),
            ),
        })
    }

    /// Returns the versions of the runtimes.
    pub(super) async fn versions(&self) -> BTreeMap<String, String> {
        let mut versions = BTreeMap::new();
        for place in [Place::Node, Place::Workerd].into_iter().filter(|&place| self.has(place)) {
            let Ok(cmd) = js("version.mjs") else { continue };
            if let Ok(version) = cmd.arg(place.name()).output().await {
                versions.insert(place.name().to_owned(), version);
            }
        }
        versions
    }
}

/// Runs a program to its end, and returns what it prints. Whatever it has started ends with it.
async fn whole_output(program: &Cmd) -> anyhow::Result<String> {
    let (mut group, mut stdout) = program.start_piped()?;
    let mut text = String::new();
    stdout.read_to_string(&mut text).await?;
    let status = group.wait().await?;
    if !status.success() {
        bail!("a sender failed ({status})\nto repeat: {}", program.shell_line());
    }
    Ok(text.trim().to_owned())
}

/// Returns the folder in which what is measured in JavaScript is installed.
pub(super) fn project() -> PathBuf {
    workspace::path(PROJECT)
}

/// Returns a program in Rust.
pub(super) fn native(name: &str) -> Cmd {
    Cmd::new(workspace::path(BUILD).join("release").join(name))
}

/// Returns a program in Node.
pub(super) fn js(name: &str) -> anyhow::Result<Cmd> {
    let node = Cmd::new("node").arg(workspace::path(JS).join("load").join(name));
    Ok(runtime::name_binaries(node)?.env("EDGEPOOL_PACKAGE", build::package_folder()))
}
