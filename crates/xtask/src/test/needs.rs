//! What suites need, got or found once for all of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context as _, bail};
use futures::{StreamExt as _, stream};
use tokio::sync::OnceCell;

use crate::process::Cmd;
use crate::test::providers;
use crate::{build, postgres, tools, workspace};

/// Something that a suite cannot run without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// Node.js, new enough.
    Node,
    /// The wasm target of the toolchain.
    WasmTarget,
    /// The wasm-bindgen CLI and its test runner.
    WasmBindgen,
    /// The npm package and the bundled gateway, built.
    Build,
    /// The npm packages of the JavaScript suites.
    JsTools,
    /// The runtimes, bundlers and linters that the npm package is tried with.
    PackageTools,
    /// The SDKs of providers that the npm package is tried under.
    Sdks,
    /// The npm packages that the benches measure the package beside.
    JsBench,
    /// The servers that the clients are tried with: those in Python, and the one of npm.
    Providers,
    /// A Chromium to drive.
    Chromium,
    /// The programs of PostgreSQL.
    Postgres,
    /// The drivers of PostgreSQL for JavaScript.
    PostgresDrivers,
    /// wasm-pack.
    WasmPack,
    /// A nightly toolchain with miri.
    Miri,
    /// The oldest toolchain that the crates are for.
    OldestRust,
    /// A compiler for C++.
    CppCompiler,
}

/// The needs that were looked after, each with why it could not be met.
#[derive(Default)]
pub(crate) struct Needs {
    met: RefCell<BTreeMap<Need, Rc<Once>>>,
}

type Once = OnceCell<Result<(), String>>;

impl Needs {
    /// Meets each need, unless that was tried before. Of those who ask at the same time, one looks
    /// after it.
    pub(crate) async fn meet(&self, needs: &[Need]) -> Result<(), String> {
        for need in needs.iter().flat_map(|need| need.with_its_own()) {
            let once = Rc::clone(self.met.borrow_mut().entry(*need).or_default());
            let met = once.get_or_init(async || need.meet().await.map_err(|e| format!("{e:#}")));
            met.await.clone()?;
        }
        Ok(())
    }

    /// Gets what takes its time, before anybody waits for it. Whoever needs it is told whether that
    /// went wrong.
    pub(crate) async fn get_ahead(&self, needs: impl Iterator<Item = Need>) {
        let ahead = stream::iter(needs.filter(|need| need.is_apart()));
        ahead.for_each_concurrent(2, async |need| drop(self.meet(&[need]).await)).await;
    }
}

impl Need {
    /// Returns the need behind those that it has itself.
    fn with_its_own(&self) -> &[Self] {
        match self {
            Self::Build => &[Self::WasmTarget, Self::WasmBindgen, Self::Build],
            _ => std::slice::from_ref(self),
        }
    }

    /// Tells whether it is met by npm or cargo in a folder of its own, so that anything else may
    /// run meanwhile.
    fn is_apart(self) -> bool {
        use Need::{JsBench, JsTools, PackageTools, PostgresDrivers, Sdks, WasmBindgen};
        matches!(self, WasmBindgen | JsTools | PackageTools | Sdks | JsBench | PostgresDrivers)
    }

    async fn meet(self) -> anyhow::Result<()> {
        match self {
            Self::Node => tools::check_node().await,
            Self::WasmTarget => tools::wasm_target().await,
            Self::WasmBindgen => tools::wasm_bindgen().await.map(drop),
            Self::Build => build::everything().await,
            Self::JsTools => tools::npm_packages("tests/js").await,
            Self::PackageTools => tools::npm_packages("tests/js/conformance").await,
            Self::Sdks => tools::npm_packages("tests/js/sdks").await,
            Self::JsBench => tools::npm_packages("tests/js/bench").await,
            Self::Providers => providers::install().await,
            Self::Chromium => chromium().map(drop),
            Self::Postgres => postgres::install().await,
            Self::PostgresDrivers => tools::npm_packages("tests/js/postgres").await,
            Self::Miri => miri().await,
            Self::OldestRust => oldest_rust().await,
            Self::CppCompiler => on_path(&["c++", "g++", "clang++"])
                .map(drop)
                .context("a compiler for C++ is missing: run `apt-get install g++`"),
            Self::WasmPack => on_path(&["wasm-pack"])
                .map(drop)
                .context("wasm-pack is missing: run `cargo install wasm-pack`"),
        }
    }
}

/// Finds a Chromium: the one that `EDGEPOOL_CHROMIUM` names, or one on the PATH.
pub(crate) fn chromium() -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os("EDGEPOOL_CHROMIUM").map(PathBuf::from) {
        if named.is_file() {
            return Ok(named);
        }
        bail!("EDGEPOOL_CHROMIUM names {}, which is no file", named.display());
    }
    on_path(&["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"]).context(
        "Chromium is missing: run `apt-get install chromium`, or name one in EDGEPOOL_CHROMIUM",
    )
}

/// Adds miri to the nightly toolchain unless it is there; without one, the newest is installed.
async fn miri() -> anyhow::Result<()> {
    let works = || async {
        let version = Cmd::new("cargo").args(["+nightly", "miri", "--version"]);
        version.output().await.is_ok()
    };
    let rustup = |words: &[&str]| Cmd::new("rustup").args(words);
    let add = ["component", "add", "--toolchain", "nightly", "miri", "rust-src"];
    let install = ["toolchain", "install", "nightly", "--profile", "minimal"];
    let install = [&install[..], &["--component", "miri", "--component", "rust-src"]].concat();
    if works().await {
        return Ok(());
    }
    // A nightly of days ago is as good, if its components are still to be had.
    if rustup(&add).step("miri for the nightly toolchain").await.is_err() {
        rustup(&install).step("nightly toolchain with miri").await?;
    }
    match works().await {
        true => Ok(()),
        false => bail!("`cargo +nightly miri` does not run, though rustup installed it"),
    }
}

/// Installs the oldest toolchain that the crates are for, unless it is there.
async fn oldest_rust() -> anyhow::Result<()> {
    let version = workspace::OLDEST_RUST;
    let there = Cmd::new("cargo").args([&format!("+{version}"), "--version"]);
    // A toolchain is not installed by the question, whatever rustup is told to do by itself.
    if there.env("RUSTUP_AUTO_INSTALL", "0").output().await.is_ok() {
        return Ok(());
    }
    let install = ["toolchain", "install", version, "--profile", "minimal"];
    Cmd::new("rustup").args(install).step(&format!("Rust {version}")).await
}

fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let all = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    all.into_iter().find(|file| file.is_file())
}
