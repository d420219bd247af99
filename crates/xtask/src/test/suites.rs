//! The table of the suites.

use std::time::Duration;

use anyhow::{Context as _, bail};
use walkdir::WalkDir;

use crate::process::Cmd;
use crate::runtime::Runtime;
use crate::test::counts::Reader;
use crate::test::needs::{self, Need};
use crate::{build, tools, workspace};

const MINUTE: Duration = Duration::from_secs(60);

/// What is asked of every suite.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tier {
    /// Whether the long runs are wanted.
    pub(crate) full: bool,
}

/// One suite: its name, what it needs, its commands, how their output is counted, and how long all
/// its commands together may take before it is ended and counted as failed.
pub(crate) struct Suite {
    pub(crate) name: String,
    pub(crate) needs: Vec<Need>,
    pub(crate) reader: Reader,
    pub(crate) limit: Duration,
    commands: Commands,
}

type Commands = Box<dyn Fn() -> anyhow::Result<Vec<Cmd>> + Send>;

impl Suite {
    pub(super) fn new(
        name: impl Into<String>,
        needs: &[Need],
        reader: Reader,
        commands: impl Fn() -> anyhow::Result<Vec<Cmd>> + Send + 'static,
    ) -> Self {
        let limit = 10 * MINUTE;
        let commands = Box::new(commands);
        Self { name: name.into(), needs: needs.to_vec(), reader, limit, commands }
    }

    pub(super) fn limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Returns the commands. It is asked once the needs are met.
    pub(crate) fn commands(&self) -> anyhow::Result<Vec<Cmd>> {
        (self.commands)()
    }
}

/// Returns the suites of a tier, in the order in which they run: what fails fast comes first.
pub(crate) fn all(tier: Tier) -> Vec<Suite> {
    let mut suites = rust(tier);
    suites.extend(wasm(tier));
    suites.extend(package());
    suites.push(rust_worker());
    suites.extend(gateway(tier));
    suites.extend(command_line());
    suites
}

fn rust(tier: Tier) -> Vec<Suite> {
    let format = || vec![cargo().args(["fmt", "--all", "--check", "--", "--color", "never"])];
    let clippy = || {
        let clippy = || cargo().args(["clippy", "--locked", "--quiet"]);
        let deny = ["--", "-D", "warnings"];
        // With the Worker come the parts of the bindings for Rust.
        let wasm = ["-p", "edgepool", "-p", "edgepool-wasm", "-p", "edgepool-rust-worker"];
        let wasm = wasm.into_iter().chain(["--target", WASM_TARGET]);
        let workspace = clippy().args(["--workspace", "--all-targets"]).args(deny);
        let bugs = ["-p", "edgepool", "-p", "edgepool-tests", "--all-targets"];
        let bugs = bugs.into_iter().chain(["--features", "edgepool-tests/mutations"]);
        vec![workspace, clippy().args(wasm).args(deny), clippy().args(bugs).args(deny)]
    };
    let docs = || {
        let crates = ["-p", "edgepool", "-p", "edgepool-sim", "-p", "edgepool-wasm"];
        let doc = cargo().args(["doc", "--locked", "--quiet", "--no-deps"]).args(crates);
        let doc = doc.args(["--features", "edgepool-wasm/client"]);
        vec![doc.env("RUSTDOCFLAGS", "-D warnings")]
    };
    let native = || vec![cargo().args(["test", "--locked", "--workspace", "--no-fail-fast"])];
    let mut suites = vec![
        Suite::new("format", &[], Reader::Exit, move || Ok(format())),
        Suite::new("clippy", &[Need::WasmTarget], Reader::Exit, move || Ok(clippy()))
            .limit(20 * MINUTE),
        Suite::new("docs", &[], Reader::Exit, move || Ok(docs())),
        Suite::new("native", &[], Reader::Libtest, move || Ok(native())).limit(15 * MINUTE),
        mutations(),
        determinism(tier),
        loom(tier),
        shuttle(tier),
    ];
    if tier.full {
        suites.push(more_seeds());
        suites.push(conc());
        suites.push(miri());
    }
    suites
}

/// The tests again, with one known bug after the other put back: they are to catch each.
fn mutations() -> Suite {
    let suite = Suite::new("mutations", &[], Reader::Plain, || {
        let test = cargo().args(["test", "--locked", "-p", "edgepool-tests"]);
        Ok(vec![test.args(["--features", "mutations", "--test", "mutations"])])
    });
    suite.limit(15 * MINUTE)
}

/// Threads that meet in the pool, in every schedule: of up to two preemptions, or of any number for
/// as long as there is time.
fn loom(tier: Tier) -> Suite {
    let suite = Suite::new("loom", &[], Reader::Libtest, move || {
        let test = explored("edgepool_loom");
        Ok(vec![match tier.full {
            true => test.env("LOOM_MAX_DURATION", "300").env("LOOM_CHECKPOINT_INTERVAL", "1000"),
            false => test.env("LOOM_MAX_PREEMPTIONS", "2"),
        }])
    });
    suite.limit(if tier.full { 120 * MINUTE } else { 10 * MINUTE })
}

/// The same in schedules at random.
fn shuttle(tier: Tier) -> Suite {
    let rounds = if tier.full { "100000" } else { "5000" };
    let suite = Suite::new("shuttle", &[], Reader::Libtest, move || {
        Ok(vec![explored("edgepool_shuttle").env("EDGEPOOL_ROUNDS", rounds)])
    });
    suite.limit(if tier.full { 60 * MINUTE } else { 10 * MINUTE })
}

/// Runs `tests/conc.rs` with the lock of a tool that explores schedules. Link-time optimisation
/// would take longer than the run.
fn explored(tool: &str) -> Cmd {
    let test = cargo().args(["test", "--locked", "--release", "-p", "edgepool", "--test", "conc"]);
    test.args(["--", "--nocapture"])
        .env("RUSTFLAGS", format!("--cfg {tool} -C debug_assertions"))
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
}

/// The same under the schedules that come, often.
fn conc() -> Suite {
    let suite = Suite::new("conc", &[], Reader::Libtest, || {
        let test = cargo().args(["test", "--locked", "--release", "-p", "edgepool"]);
        Ok(vec![test.args(["--test", "conc"]).env("EDGEPOOL_ROUNDS", "50000")])
    });
    suite.limit(30 * MINUTE)
}

/// The same under miri, which sees what must not be done with memory, and what is leaked.
fn miri() -> Suite {
    let suite = Suite::new("miri", &[Need::Miri], Reader::Libtest, || {
        let test = cargo().args(["+nightly", "miri", "test", "--locked", "-p", "edgepool"]);
        let flags = "-Zmiri-strict-provenance -Zmiri-disable-isolation";
        Ok(vec![test.args(["--test", "conc"]).env("MIRIFLAGS", flags)])
    });
    suite.limit(30 * MINUTE)
}

/// The random schedules and sequences again, many more of them, in an optimised build.
fn more_seeds() -> Suite {
    let suite = Suite::new("seeds", &[], Reader::Libtest, || {
        let test = cargo().args(["test", "--locked", "--release", "-p", "edgepool-tests"]);
        let test = test.args(["--test", "seeds", "--test", "ledger"]);
        Ok(vec![test.env("EDGEPOOL_SEEDS", "100000").env("EDGEPOOL_CASES", "100000")])
    });
    suite.limit(60 * MINUTE)
}

/// The same schedules, simulated natively and as wasm.
fn determinism(tier: Tier) -> Suite {
    let seeds = if tier.full { "20000" } else { "1000" };
    let sim = |verb, example| {
        let cargo = cargo().args([verb, "--locked", "--quiet", "--release"]);
        cargo.args(["-p", "edgepool-sim", "--example", example])
    };
    let commands = move || {
        let native = sim("run", "trace").args(["--", "--seeds", seeds]);
        let build = sim("build", "trace_wasm").args(["--target", WASM_TARGET, "--target-dir"]);
        let build = build.arg(workspace::path("target"));
        let module = format!("target/{WASM_TARGET}/release/examples/trace_wasm.wasm");
        let wasm = Cmd::new("node")
            .arg(workspace::path("crates/edgepool-sim/examples/trace_wasm.mjs"))
            .arg(workspace::path(&module))
            .args(["--seeds", seeds]);
        vec![native, build, wasm]
    };
    let needs = [Need::Node, Need::WasmTarget];
    let suite = Suite::new("determinism", &needs, Reader::SameHash, move || Ok(commands()));
    suite.limit(20 * MINUTE)
}

fn wasm(tier: Tier) -> Vec<Suite> {
    let needs = [Need::Node, Need::WasmTarget, Need::WasmBindgen];
    let mut suites = vec![Suite::new("wasm", &needs, Reader::Libtest, || {
        let runner = tools::wasm_bindgen_folder()?.join("wasm-bindgen-test-runner");
        let test = cargo().args(["test", "--locked", "-p", "edgepool-wasm"]);
        let test = test.args(["--target", WASM_TARGET]);
        Ok(vec![test.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", runner)])
    })];
    if tier.full {
        let needs = [Need::Node, Need::WasmTarget, Need::WasmBindgen, Need::WasmPack];
        suites.push(Suite::new("wasm-pack", &needs, Reader::Libtest, || {
            let mut path = vec![tools::wasm_bindgen_folder()?];
            path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
            let test = Cmd::new("wasm-pack").args(["test", "--node", "--mode", "no-install"]);
            let test = test.arg(workspace::path("crates/edgepool-wasm"));
            Ok(vec![test.env("PATH", std::env::join_paths(path)?)])
        }));
    }
    suites
}

fn package() -> Vec<Suite> {
    let suite = |runtime: &'static str| {
        let mut needs = vec![Need::Build, Need::JsTools];
        if runtime == "chromium" {
            needs.push(Need::Chromium);
        }
        Suite::new(format!("package-{runtime}"), &needs, Reader::Plain, move || {
            let run = Cmd::new("node").arg(workspace::path("tests/js/conformance/run.mjs"));
            Ok(vec![with_tools(run.arg(runtime))?])
        })
    };
    ["node", "deno", "bun", "workerd", "chromium"].map(suite).into()
}

/// A Worker in Rust, in workerd.
fn rust_worker() -> Suite {
    let needs = [Need::WasmTarget, Need::WasmBindgen, Need::Build, Need::JsTools];
    Suite::new("rust-worker", &needs, Reader::Node, || {
        let target = workspace::path("target");
        let glue = target.join("rust-worker");
        let build = cargo().args(["build", "--locked", "--quiet", "-p", "edgepool-rust-worker"]);
        let build = build.args(["--target", WASM_TARGET, "--target-dir"]).arg(&target);
        let bindgen = Cmd::new(tools::wasm_bindgen_folder()?.join("wasm-bindgen"))
            .args(["--target", "web", "--omit-default-module-path", "--out-dir"])
            .arg(&glue)
            .arg(target.join(format!("{WASM_TARGET}/debug/edgepool_rust_worker.wasm")));
        let tests = node_tests("tests/js/rust-worker")?.env("EDGEPOOL_RUST_WORKER", &glue);
        Ok(vec![build, bindgen, tests])
    })
}

fn gateway(tier: Tier) -> Vec<Suite> {
    let needs = [Need::Build, Need::JsTools];
    let suite = |runtime: Runtime| {
        Suite::new(format!("gateway-{}", runtime.name()), &needs, Reader::Node, move || {
            Ok(vec![node_tests("tests/js/gateway")?.env("EDGEPOOL_RUNTIME", runtime.name())])
        })
    };
    let runtimes = [Runtime::Node, Runtime::Deno, Runtime::Bun, Runtime::Workerd];
    let mut suites: Vec<_> = runtimes.map(suite).into();
    if tier.full {
        let suite = Suite::new("chaos", &needs, Reader::Node, || {
            let chaos = node_tests("tests/js/gateway/chaos.test.mjs")?;
            let chaos = chaos.env("EDGEPOOL_RUNTIME", Runtime::Workerd.name());
            Ok((1..=20).map(|seed| chaos.clone().env("EDGEPOOL_SEED", seed.to_string())).collect())
        });
        suites.push(suite.limit(60 * MINUTE));
    }
    let needs = [Need::Build, Need::JsTools, Need::Chromium];
    suites
        .push(Suite::new("page", &needs, Reader::Node, || Ok(vec![node_tests("tests/js/page")?])));
    suites
}

fn command_line() -> Vec<Suite> {
    let suite = |name: &'static str, folder: &'static str| {
        Suite::new(name, &[Need::Build, Need::JsTools], Reader::Node, move || {
            Ok(vec![node_tests(folder)?])
        })
    };
    vec![suite("inputs", "tests/js/inputs"), suite("readme", "tests/js/readme")]
}

const WASM_TARGET: &str = "wasm32-unknown-unknown";

fn cargo() -> Cmd {
    Cmd::new("cargo")
}

/// Returns the command that runs a file, or every `*.test.mjs` below a folder, in Node's test
/// runner, one file at a time: most of them measure time, and start servers.
fn node_tests(place: &str) -> anyhow::Result<Cmd> {
    let mut files = Vec::new();
    for entry in WalkDir::new(workspace::path(place)).sort_by_file_name() {
        let entry = entry.with_context(|| place.to_owned())?;
        if entry.file_name().to_string_lossy().ends_with(".test.mjs") {
            files.push(entry.into_path());
        }
    }
    if files.is_empty() {
        bail!("there is no *.test.mjs in {place}");
    }
    let test = Cmd::new("node").args(["--test", "--test-reporter=spec", "--test-concurrency=1"]);
    with_tools(test.args(files))
}

/// Tells a JavaScript suite where things are.
fn with_tools(cmd: Cmd) -> anyhow::Result<Cmd> {
    let binary = |runtime: Runtime| runtime.binary();
    let mut cmd = cmd
        .env("EDGEPOOL_XTASK", workspace::program())
        .env(build::USE_BUILT, "1")
        .env("EDGEPOOL_PACKAGE", build::package_folder())
        .env("EDGEPOOL_TARBALL", build::tarball())
        .env("EDGEPOOL_WORKERD", binary(Runtime::Workerd)?)
        .env("EDGEPOOL_DENO", binary(Runtime::Deno)?)
        .env("EDGEPOOL_BUN", binary(Runtime::Bun)?);
    if let Ok(chromium) = needs::chromium() {
        cmd = cmd.env("EDGEPOOL_CHROMIUM", chromium);
    }
    Ok(cmd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_in_both_tiers() {
        for full in [false, true] {
            let mut names: Vec<_> = all(Tier { full }).into_iter().map(|s| s.name).collect();
            let count = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count);
        }
    }
}
