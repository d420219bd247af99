//! The suites of the crates, natively: from what a compiler sees to what takes an hour to find.

use super::{MINUTE, Suite, Tier, WASM_TARGET, cargo, thorough_test};
use crate::process::Cmd;
use crate::test::counts::Reader;
use crate::test::figures;
use crate::test::needs::Need;
use crate::test::providers;
use crate::{postgres, workspace};

/// What is outside the workspace, with lock files of its own.
const BENCH: &str = "tests/bench/Cargo.toml";
const FUZZ: &str = "tests/fuzz/Cargo.toml";

/// The feature that only adds the tests against a real PostgreSQL.
const SERVER_TESTS: &str = "edgepool-postgres/server-tests";

const DENY: [&str; 3] = ["--", "-D", "warnings"];

/// The checks of the text, and the tests.
pub(super) fn checks() -> Vec<Suite> {
    let clippy = Suite::new("clippy", &[Need::WasmTarget], Reader::Exit, || Ok(clippy()));
    vec![
        Suite::new("format", &[], Reader::Exit, || Ok(format())).only_compiles(),
        clippy.limit(20 * MINUTE).only_compiles(),
        Suite::new("docs", &[], Reader::Exit, || Ok(docs())).only_compiles(),
        Suite::new("native", &[], Reader::Libtest, || Ok(native())).limit(15 * MINUTE),
        over_postgres(),
        providers(),
        mutations(),
    ]
}

/// What takes its time, and much more of it in the full tier.
pub(super) fn long_runs(tier: Tier) -> Vec<Suite> {
    let mut suites = vec![tenants_over_postgres(tier), determinism(tier), fuzz(tier), bench(tier)];
    if tier.full {
        suites.extend([oldest(), search(), cases(), seeds(), soak(), tenants()]);
    }
    suites
}

fn format() -> Vec<Cmd> {
    let fmt = |what: &[&str]| {
        let fmt = cargo().arg("fmt").args(what);
        fmt.args(["--check", "--", "--color", "never"])
    };
    vec![fmt(&["--all"]), fmt(&["--manifest-path", BENCH]), fmt(&["--manifest-path", FUZZ])]
}

fn clippy() -> Vec<Cmd> {
    let clippy = |what: &[&str]| {
        let clippy = cargo().args(["clippy", "--locked", "--quiet"]);
        clippy.args(what).args(DENY)
    };
    // With the Worker come the parts of the bindings for Rust.
    let wasm = ["-p", "edgepool", "-p", "edgepool-wasm", "-p", "edgepool-rust-worker"];
    let bugs = ["-p", "edgepool", "-p", "edgepool-tests", "--all-targets"];
    // The workspace as a whole has both features on.
    let one = |feature| ["-p", "edgepool", "--lib", "--features", feature];
    vec![
        clippy(&["--workspace", "--all-targets", "--features", SERVER_TESTS]),
        clippy(&[&wasm[..], &["--target", WASM_TARGET]].concat()),
        // The modules, without tenants and with them, the providers, and the ledger alone.
        clippy(&["-p", "edgepool-wasm", "--features", "exports", "--target", WASM_TARGET]),
        clippy(&["-p", "edgepool-wasm", "--features", "tenants", "--target", WASM_TARGET]),
        clippy(&["-p", "edgepool-llm", "--target", WASM_TARGET]),
        clippy(&["-p", "edgepool-clients", "--target", WASM_TARGET]),
        clippy(&["-p", "edgepool", "--all-targets"]),
        clippy(&one("openmetrics")),
        clippy(&one("tracing")),
        clippy(&[&bugs[..], &["--features", "edgepool-tests/mutations"]].concat()),
    ]
}

fn docs() -> Vec<Cmd> {
    let clients = ["edgepool-llm", "edgepool-http", "edgepool-clients", "edgepool-postgres"];
    let crates = [&["edgepool", "edgepool-sim", "edgepool-wasm"][..], &clients].concat();
    let crates = crates.iter().flat_map(|name| ["-p", name]);
    let features = "edgepool/openmetrics,edgepool/tracing,edgepool-wasm/transport";
    let doc = cargo().args(["doc", "--locked", "--quiet", "--no-deps"]).args(crates);
    vec![doc.args(["--features", features]).env("RUSTDOCFLAGS", "-D warnings")]
}

/// What is drawn by chance is the same each time, so that a change is judged by what it changes; the
/// full tier looks for what nobody has found yet.
fn native() -> Vec<Cmd> {
    vec![workspace_test().arg("--no-fail-fast").env("PROPTEST_RNG_SEED", "1")]
}

/// Tests with the dependencies that the native tests have. A package alone would have them with
/// fewer features, and so compiled once more.
fn workspace_test() -> Cmd {
    cargo().args(["test", "--locked", "--workspace"])
}

/// Pools of connections to a real PostgreSQL.
fn over_postgres() -> Suite {
    Suite::new("postgres-rust", &[Need::Postgres], Reader::Libtest, || {
        let test = workspace_test().args(["--features", SERVER_TESTS, "--test", "postgres"]);
        let test = test.args(["--", "--skip", TENANTS]);
        Ok(vec![postgres::beside(test), postgres::beside(example("orders"))])
    })
}

/// The tests of tenants among those over PostgreSQL.
const TENANTS: &str = "tenants::";

/// Tenants of a real PostgreSQL, who are to see nothing of one another: in some ten thousands of
/// reads, and a million in the full tier.
fn tenants_over_postgres(tier: Tier) -> Suite {
    let suite = Suite::new("postgres-tenants", &[Need::Postgres], Reader::Libtest, move || {
        let what = ["--features", SERVER_TESTS, "--test", "postgres", "--", "--nocapture", TENANTS];
        let test = match tier.full {
            true => thorough_test().args(["-p", "edgepool-postgres"]).env(READS, "340000"),
            false => workspace_test(),
        };
        Ok(vec![postgres::beside(test.args(what)), postgres::beside(example("tenants"))])
    });
    suite.limit(if tier.full { 45 } else { 15 } * MINUTE).figures(figures::isolation)
}

/// The variable that says how many reads each way of keeping tenants apart has to stand.
const READS: &str = "EDGEPOOL_READS";

fn example(name: &str) -> Cmd {
    let run = cargo().args(["run", "--locked", "--quiet", "-p", "edgepool-postgres"]);
    run.args(["--example", name])
}

/// The clients against servers that were written by others, one test at a time: what each of them is
/// asked is logged there.
fn providers() -> Suite {
    let suite = Suite::new("providers", &[Need::Providers], Reader::Libtest, || {
        let test = workspace_test().args(["--quiet", "--test", "providers"]);
        let run = test.clone().args(["--", "--ignored", "--test-threads=1", "--nocapture"]);
        Ok(vec![test.arg("--no-run"), providers::beside(run)])
    });
    suite.figures(figures::verdicts)
}

/// The tests again, with one known bug after the other put back: they are to catch each.
fn mutations() -> Suite {
    let suite = Suite::new("mutations", &[], Reader::Plain, || {
        // The packages whose tests it builds itself: the dependencies are compiled once for both.
        let test = cargo().args(["test", "--locked", "-p", "edgepool", "-p", "edgepool-tests"]);
        let test = test.args(["--features", "edgepool-tests/mutations", "--test", "mutations"]);
        Ok(vec![test])
    });
    suite.limit(15 * MINUTE).figures(figures::bugs).beside_others()
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
    suite.limit(20 * MINUTE).beside_others()
}

/// What measures the pool beside its peers is checked and tested, and in the full tier run: shortly,
/// so that its figures say nothing but that there are some.
fn bench(tier: Tier) -> Suite {
    let suite = Suite::new("bench", &[], Reader::Libtest, move || {
        let beside = |cmd: Cmd| {
            let cmd = cmd.args(["--locked", "--quiet", "--manifest-path", BENCH, "--target-dir"]);
            cmd.arg(workspace::path("target/bench/build"))
        };
        let clippy = beside(cargo().arg("clippy")).arg("--all-targets").args(DENY);
        let mut commands = vec![clippy, beside(cargo().arg("test"))];
        if tier.full {
            let run = |program| beside(cargo().args(["run", "--release"])).args(["--bin", program]);
            commands.extend([run("times").args(["--", "1", "1"]), run("memory")]);
            commands.push(run("objects").args(["--", "1"]));
        }
        Ok(commands)
    });
    suite.limit(20 * MINUTE)
}

/// What is fuzzed: the ledger, and what providers send.
const TARGETS: [&str; 2] = ["ledger", "wire"];

/// The fuzz targets: that they still are, and in the full tier what they find. What they found
/// before is among the native tests.
fn fuzz(tier: Tier) -> Suite {
    let target = workspace::path("target/fuzz");
    let beside = move |cmd: Cmd| {
        let cmd = cmd.args(["--locked", "--quiet", "--manifest-path", FUZZ]);
        cmd.arg("--target-dir").arg(&target)
    };
    if !tier.full {
        return Suite::new("fuzz", &[], Reader::Exit, move || {
            Ok(vec![beside(cargo().arg("clippy")).arg("--no-default-features").args(DENY)])
        })
        .beside_others();
    }
    let suite = Suite::new("fuzz", &[Need::CppCompiler], Reader::Exit, move || {
        let clippy = beside(cargo().arg("clippy")).arg("--no-default-features").args(DENY);
        let found = workspace::path("target/fuzz/found");
        std::fs::create_dir_all(&found)?;
        let mut commands = vec![clippy];
        for name in TARGETS {
            let corpus = workspace::path(&format!("target/fuzz/corpus/{name}"));
            std::fs::create_dir_all(&corpus)?;
            // With a target of its own, as the flags are not for build scripts.
            let run = beside(cargo().args(["run", "--release", "--target", "host-tuple"]));
            let run = run.args(["--bin", name, "--", "-max_total_time=300"]);
            let run = run.args(["-print_final_stats=1"]);
            let run = run.arg(format!("-artifact_prefix={}/{name}-", found.display())).arg(corpus);
            let run = run.arg(workspace::path(&format!("tests/fuzz/seeds/{name}")));
            commands.push(run.env("RUSTFLAGS", COVERAGE.join(" ")));
        }
        Ok(commands)
    });
    suite.limit(20 * MINUTE).figures(figures::fuzzed)
}

/// What lets a fuzz target see which parts of the code it has reached: what `cargo fuzz` asks
/// for, but for the sanitizer of memory, which needs a nightly compiler and has nothing to see in
/// safe code.
const COVERAGE: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Cdebug-assertions",
];

/// The oldest compiler that the crates promise to be built by.
fn oldest() -> Suite {
    Suite::new("oldest-rust", &[Need::OldestRust], Reader::Exit, || {
        let version = format!("+{}", workspace::OLDEST_RUST);
        let check = cargo().args([&version, "check", "--locked", "--quiet"]);
        let check = check.args(["-p", "edgepool", "-p", "edgepool-sim"]);
        let check = check.args(["-p", "edgepool-llm", "-p", "edgepool-http"]);
        let check = check.args(["-p", "edgepool-clients", "-p", "edgepool-postgres"]);
        let features = ["--features", "edgepool/openmetrics,edgepool/tracing"];
        Ok(vec![check.clone(), check.args(features)])
    })
}

/// Every state of larger pools too.
fn search() -> Suite {
    let suite = Suite::new("search", &[], Reader::Libtest, || {
        let test = thorough_test().args(["-p", "edgepool", "--lib", "--", "ledger::search"]);
        Ok(vec![test.env("EDGEPOOL_SEARCH", "full")])
    });
    suite.limit(30 * MINUTE)
}

/// Random operations on the ledger, beside the naive model of it: many more of them.
fn cases() -> Suite {
    let suite = Suite::new("cases", &[], Reader::Libtest, || {
        let test = thorough_test().args(["-p", "edgepool-tests", "--test", "ledger"]);
        Ok(vec![test.env("EDGEPOOL_CASES", "100000")])
    });
    suite.limit(60 * MINUTE)
}

/// Random schedules: many more of them.
fn seeds() -> Suite {
    let suite = Suite::new("seeds", &[], Reader::Libtest, || {
        let test = thorough_test().args(["-p", "edgepool-tests", "--test", "seeds"]);
        let test = test.args(["--", "--skip", SOAK]);
        Ok(vec![test.env("EDGEPOOL_SEEDS", "100000")])
    });
    suite.limit(60 * MINUTE)
}

/// One pool under load for a month of simulated days, and one whose callers and factory also panic.
fn soak() -> Suite {
    let suite = Suite::new("soak", &[], Reader::Libtest, || {
        let test = thorough_test().args(["-p", "edgepool-tests", "--test", "seeds"]);
        let test = test.args(["--", "--exact", SOAK, "--nocapture"]);
        Ok(vec![test.env("EDGEPOOL_SOAK_DAYS", "30")])
    });
    suite.limit(60 * MINUTE)
}

/// Ten thousand tenants for a simulated day.
fn tenants() -> Suite {
    let suite = Suite::new("tenants", &[], Reader::Libtest, || {
        let test = thorough_test().args(["-p", "edgepool-tests", "--test", "tenants"]);
        Ok(vec![test.args(["--", "--nocapture"]).env("EDGEPOOL_TENANT_HOURS", "24")])
    });
    suite.limit(60 * MINUTE)
}

const SOAK: &str = "long_simulated_soak";
