//! The suites of what runs in JavaScript's runtimes: the bindings, the npm package, the gateway.

use anyhow::{Context as _, bail};
use walkdir::WalkDir;

use super::{MINUTE, Suite, Tier, WASM_TARGET, cargo};
use crate::process::Cmd;
use crate::runtime::Runtime;
use crate::test::counts::Reader;
use crate::test::needs::{self, Need};
use crate::test::{figures, providers};
use crate::{build, postgres, runtime, tools, workspace};

pub(super) fn suites(tier: Tier) -> Vec<Suite> {
    let parts = [
        wasm(tier),
        vec![seeds(tier)],
        vec![clients()],
        package(tier),
        // What compiles beside what waits.
        vec![rust_worker()],
        sdks(),
        guides(),
        gateway(tier),
        durable_object(),
        over_postgres(tier),
        memory(tier),
        command_line(),
        vec![bench()],
    ];
    parts.into_iter().flatten().collect()
}

fn wasm(tier: Tier) -> Vec<Suite> {
    let needs = [Need::Node, Need::WasmTarget, Need::WasmBindgen];
    let mut suites = vec![Suite::new("wasm", &needs, Reader::Libtest, || {
        let runner = tools::wasm_bindgen_folder()?.join("wasm-bindgen-test-runner");
        let test = undebugged(cargo().args(["test", "--locked", "-p", "edgepool-wasm"]));
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
            Ok(vec![undebugged(test.env("PATH", std::env::join_paths(path)?))])
        }));
    }
    suites
}

/// Builds wasm without what a debugger reads. Nothing here does, and it is most of what wasm-bindgen
/// would have to go through.
fn undebugged(cmd: Cmd) -> Cmd {
    cmd.env("CARGO_PROFILE_DEV_DEBUG", "false")
}

/// The runtimes, and ways into them, that the package is tried in: by their names in
/// `tests/js/conformance/lib/runtimes.mjs`.
const RUNTIMES: [&str; 14] = [
    "node20",
    "node22",
    "node24",
    "node26",
    "deno",
    "deno-npm",
    "bun",
    "bun-build",
    "bun-compile",
    "workerd",
    "workerd-vite",
    ROLLDOWN,
    "chromium",
    "chromium-vite",
];
/// Only in the long tests: it takes as long as with Vite, which bundles by it.
const ROLLDOWN: &str = "workerd-rolldown";

fn package(tier: Tier) -> Vec<Suite> {
    let needs = [Need::Build, Need::JsTools, Need::PackageTools];
    let conformance =
        |file: &str| Cmd::new("node").arg(workspace::path("tests/js/conformance").join(file));
    let runtime = move |name: &'static str| {
        let mut needs = needs.to_vec();
        if name.starts_with("chromium") {
            needs.push(Need::Chromium);
        }
        let full = tier.full && name == "workerd";
        let suite = Suite::new(format!("package-{name}"), &needs, Reader::Plain, move || {
            let run = conformance("run.mjs").arg(name);
            Ok(vec![with_tools(if full { run.arg("--full") } else { run })?])
        });
        let suite = if full { suite.limit(60 * MINUTE) } else { suite };
        suite.figures(figures::skipped).beside_others()
    };
    let mut suites = vec![
        Suite::new("package-layout", &needs, Reader::Node, || {
            Ok(vec![node_tests("tests/js/conformance/package")?])
        })
        .beside_others(),
    ];
    let runtimes = RUNTIMES.into_iter().filter(|&name| tier.full || name != ROLLDOWN);
    suites.extend(runtimes.map(runtime));
    // Last, as it reads what the others found.
    suites.push(Suite::new("package-table", &needs, Reader::Plain, move || {
        Ok(vec![with_tools(conformance("table.mjs"))?])
    }));
    suites
}

/// The package's clients in Node against servers that were written by others, one test at a time:
/// what each of them is asked is logged there.
fn clients() -> Suite {
    let needs = [Need::Build, Need::Providers];
    let suite = Suite::new("providers-js", &needs, Reader::Node, || {
        Ok(vec![providers::beside(node_tests("tests/js/clients")?)])
    });
    suite.figures(figures::verdicts)
}

/// The SDKs of providers over the package, each with every way in which a call ends;
/// `target/sdks/table.md` has the slots that were in use after each.
fn sdks() -> Vec<Suite> {
    let suite = |runtime: &'static str| {
        let needs = [Need::Build, Need::JsTools, Need::PackageTools, Need::Sdks];
        let suite = Suite::new(format!("sdks-{runtime}"), &needs, Reader::Plain, move || {
            let run = Cmd::new("node").arg(workspace::path("tests/js/sdks/run.mjs")).arg(runtime);
            Ok(vec![with_tools(run)?])
        });
        suite.figures(figures::sdks).beside_others()
    };
    ["node", "deno", "workerd"].map(suite).into()
}

/// The documentation of the package: the reference is generated, with warnings as errors, and every
/// snippet of the guides is compiled and run.
fn guides() -> Vec<Suite> {
    let reference = Suite::new("docs-npm", &[Need::Node, Need::JsTools], Reader::Exit, || {
        let typedoc =
            Cmd::new("node").arg(workspace::path("tests/js/node_modules/typedoc/bin/typedoc"));
        let options = workspace::path("crates/edgepool-wasm/ts/typedoc.json");
        Ok(vec![typedoc.arg("--options").arg(options)])
    })
    .beside_others();
    let snippets = |name: &'static str, needs: &[Need], place, ways| {
        Suite::new(name, needs, Reader::Node, move || {
            Ok(vec![node_tests(place)?.env("EDGEPOOL_GUIDES", ways)])
        })
        .beside_others()
    };
    let needs = [Need::Build, Need::JsTools, Need::Sdks, Need::Chromium];
    let in_pages = "tests/js/guides/guides.test.mjs";
    vec![
        reference,
        snippets("guides", &needs[..3], "tests/js/guides", "processes"),
        snippets("guides-chromium", &needs, in_pages, "chromium"),
    ]
}

/// Random schedules of the package on a fake clock. Its module has the ledger's invariants among its
/// exports, and every assertion.
fn seeds(tier: Tier) -> Suite {
    let number = if tier.full { "50000" } else { "10000" };
    let needs = [Need::WasmTarget, Need::WasmBindgen, Need::Build, Need::JsTools];
    let suite = Suite::new("seeds-js", &needs, Reader::Plain, move || {
        let target = workspace::path("target");
        let build = cargo().args(["rustc", "--locked", "--quiet", "-p", "edgepool-wasm", "--lib"]);
        let build = build.args(["--features", "invariants", "--profile", "thorough"]);
        let build = build.args(["--target", WASM_TARGET, "--target-dir"]).arg(&target);
        let glue = target.join("sim");
        let bindgen = Cmd::new(tools::wasm_bindgen_folder()?.join("wasm-bindgen"))
            .args(["--target", "web", "--omit-default-module-path", "--out-dir"])
            .arg(&glue)
            .arg(target.join(format!("{WASM_TARGET}/thorough/edgepool_wasm.wasm")));
        let run = Cmd::new("node").arg(workspace::path("tests/js/sim/main.mjs"));
        let run = with_tools(run.args(["--seeds", number]))?;
        let run = run.env("EDGEPOOL_CHECKED_WASM", glue.join("edgepool_wasm_bg.wasm"));
        Ok(vec![build, bindgen, run])
    });
    suite.figures(figures::simulated).limit(30 * MINUTE)
}

/// What the package leaves in memory; `target/memory/memory.html` shows it.
fn memory(tier: Tier) -> Vec<Suite> {
    let suite = |runtime: &'static str| {
        let mut needs = vec![Need::Build, Need::JsTools];
        if runtime == "chromium" {
            needs.push(Need::Chromium);
        }
        let suite = Suite::new(format!("memory-{runtime}"), &needs, Reader::Plain, move || {
            let run = Cmd::new("node").arg(workspace::path("tests/js/memory/run.mjs")).arg(runtime);
            let run = if tier.full { run.arg("--full") } else { run };
            Ok(vec![with_tools(run)?])
        });
        suite.limit(20 * MINUTE)
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
        let build = undebugged(build);
        let bindgen = Cmd::new(tools::wasm_bindgen_folder()?.join("wasm-bindgen"))
            .args(["--target", "web", "--omit-default-module-path", "--out-dir"])
            .arg(&glue)
            .arg(target.join(format!("{WASM_TARGET}/debug/edgepool_rust_worker.wasm")));
        let tests = node_tests("tests/js/rust-worker")?.env("EDGEPOOL_RUST_WORKER", &glue);
        Ok(vec![build, bindgen, tests])
    })
    .beside_others()
}

fn gateway(tier: Tier) -> Vec<Suite> {
    let needs = [Need::Build, Need::JsTools];
    let suite = |runtime: Runtime| {
        Suite::new(format!("gateway-{}", runtime.name()), &needs, Reader::Node, move || {
            Ok(vec![node_tests("tests/js/gateway")?.env("EDGEPOOL_RUNTIME", runtime.name())])
        })
        .beside_others()
    };
    let runtimes = [Runtime::Node, Runtime::Deno, Runtime::Bun, Runtime::Workerd];
    let mut suites: Vec<_> = runtimes.map(suite).into();
    if tier.full {
        suites.push(Suite::new("gateway-object", &needs, Reader::Node, || {
            let tests = node_tests("tests/js/gateway")?.env("EDGEPOOL_SCOPE", "object");
            Ok(vec![tests.env("EDGEPOOL_RUNTIME", Runtime::Workerd.name())])
        }));
        let suite = Suite::new("chaos", &needs, Reader::Node, || {
            let chaos = node_tests("tests/js/gateway/chaos.test.mjs")?;
            let chaos = chaos.env("EDGEPOOL_RUNTIME", Runtime::Workerd.name());
            Ok((1..=20).map(|seed| chaos.clone().env("EDGEPOOL_SEED", seed.to_string())).collect())
        });
        suites.push(suite.limit(60 * MINUTE));
    }
    let needs = [Need::Build, Need::JsTools, Need::Chromium];
    let page = || Ok(vec![node_tests("tests/js/page")?]);
    suites.push(Suite::new("page", &needs, Reader::Node, page).beside_others());
    suites
}

/// Pools in Durable Objects, in workerd.
fn durable_object() -> Vec<Suite> {
    let tests = || Ok(vec![node_tests("tests/js/durable-object")?]);
    let suite = Suite::new("durable-object", &[Need::Build, Need::JsTools], Reader::Node, tests);
    vec![suite.beside_others()]
}

/// The package's pools of connections to a real PostgreSQL, with the drivers that they are for, and
/// tenants there, who are to see nothing of one another: in some ten thousands of reads, and a million
/// in the full tier.
fn over_postgres(tier: Tier) -> Vec<Suite> {
    let suite = |runtime: Runtime| {
        let needs = [Need::Build, Need::Postgres, Need::PostgresDrivers];
        let suite =
            Suite::new(format!("postgres-{}", runtime.name()), &needs, Reader::Plain, move || {
                let run = Cmd::new(runtime.binary()?);
                let run = match runtime {
                    Runtime::Deno => run
                        .args(["run", "--quiet", "--no-prompt", "--no-remote", "--allow-all"])
                        .arg("--node-modules-dir=manual")
                        .env("DENO_DIR", workspace::path("target/deno")),
                    Runtime::Bun => run.arg("run"),
                    _ => run,
                };
                let run = run.arg(workspace::path("tests/js/postgres/main.mjs"));
                let run = if tier.full { run.env("EDGEPOOL_READS", "100000") } else { run };
                Ok(vec![postgres::beside(with_tools(run)?)])
            });
        let limit = if tier.full { 45 } else { 10 } * MINUTE;
        suite.limit(limit).figures(figures::isolation).beside_others()
    };
    let mut suites: Vec<_> = [Runtime::Node, Runtime::Deno, Runtime::Bun].map(suite).into();
    // A Durable Object, whose sockets the driver finds.
    let needs = [Need::Build, Need::JsTools, Need::Postgres, Need::PostgresDrivers];
    let in_object = Suite::new("postgres-workerd", &needs, Reader::Node, || {
        Ok(vec![postgres::beside(node_tests("tests/js/postgres")?)])
    });
    suites.push(in_object.beside_others());
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

/// What measures the package beside its peers, for a moment: that it runs, and not how fast.
fn bench() -> Suite {
    let needs = [Need::Build, Need::JsBench];
    Suite::new("bench-js", &needs, Reader::Node, || Ok(vec![node_tests("tests/js/bench/check")?]))
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
    let mut cmd = runtime::name_binaries(cmd)?
        .env("EDGEPOOL_XTASK", workspace::program())
        .env(build::USE_BUILT, "1")
        .env("EDGEPOOL_PACKAGE", build::package_folder())
        .env("EDGEPOOL_TARBALL", build::tarball());
    if let Ok(chromium) = needs::chromium() {
        cmd = cmd.env("EDGEPOOL_CHROMIUM", chromium);
    }
    Ok(cmd)
}
