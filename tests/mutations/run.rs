//! The test binaries, and one test of one of them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use edgepool::Bug;
use serde_json::Value;

use crate::table::Test;

/// How long a test may take. It is to fail before, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// What is drawn by chance is the same each time. It is not much: others catch the bugs that are
/// seldom met.
const CHANCES: [(&str, &str); 4] = [
    ("PROPTEST_RNG_SEED", "1"),
    ("PROPTEST_MAX_SHRINK_ITERS", "0"),
    ("EDGEPOOL_CASES", "100"),
    ("EDGEPOOL_SEEDS", "100"),
];

/// How many of the last lines of a test are shown.
const TAIL: usize = 30;

/// The test binaries by their names, with the bugs in them.
pub(crate) struct Binaries(BTreeMap<String, PathBuf>);

/// Builds the tests of the library and of the targets beside this one, as this one was built.
pub(crate) fn build() -> Binaries {
    let own = std::env::current_exe().expect("the program has a path");
    let target = own.ancestors().nth(3).expect("it is in target/debug/deps");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--no-run", "--locked", "--message-format=json-render-diagnostics"]);
    cargo.args([
        "-p",
        "edgepool",
        "-p",
        "edgepool-tests",
        "--features",
        "edgepool-tests/mutations",
    ]);
    cargo.args(["--lib", "--test", "scenarios", "--test", "ledger", "--test", "seeds"]);
    cargo.arg("--target-dir").arg(target).stderr(Stdio::inherit());
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let built = cargo.output().expect("cargo starts");
    assert!(built.status.success(), "the tests cannot be built");
    let messages = String::from_utf8_lossy(&built.stdout);
    Binaries(messages.lines().filter_map(executable).collect())
}

/// The name and the path of a test binary that a message of cargo's tells of.
fn executable(message: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    let path = message["executable"].as_str()?;
    let name = message["target"]["name"].as_str()?;
    Some((name.to_owned(), Path::new(path).to_owned()))
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    Hung,
    /// There is no such test, or its process died.
    Missing,
}

/// What became of a test.
pub(crate) struct Ran {
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
    output: String,
}

impl Binaries {
    /// Runs one test in a process of its own, perhaps with a bug.
    pub(crate) fn run(&self, test: Test, bug: Option<Bug>) -> Ran {
        let (target, name) = parts(test);
        let mut command = Command::new(&self.0[target]);
        command.args(["--exact", name, "--test-threads=1"]);
        command.env_remove("EDGEPOOL_MUTATION").env("RUST_BACKTRACE", "0").stdin(Stdio::null());
        command.envs(CHANCES);
        if let Some(bug) = bug {
            command.env("EDGEPOOL_MUTATION", format!("{bug:?}"));
        }
        let begun = Instant::now();
        let (output, ended) = finish(command);
        let outcome = |output: &str| match output.lines().find_map(|line| verdict(line, name)) {
            Some(true) => Outcome::Passed,
            Some(false) => Outcome::Failed,
            None => Outcome::Missing,
        };
        let outcome = if ended { outcome(&output) } else { Outcome::Hung };
        Ran { outcome, took: begun.elapsed(), output }
    }
}

/// What a line of the test harness says of a test.
fn verdict(line: &str, test: &str) -> Option<bool> {
    match line.strip_prefix("test ")?.strip_prefix(test)?.strip_prefix(" ... ")? {
        "ok" => Some(true),
        "FAILED" => Some(false),
        _ => None,
    }
}

/// Runs a command until it ends or takes too long. Returns what it printed, and whether it ended.
fn finish(mut command: Command) -> (String, bool) {
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = spawned.expect("a test binary starts");
    let mut stdout = child.stdout.take().expect("it is piped");
    let reader = thread::spawn(move || {
        let mut output = Vec::new();
        stdout.read_to_end(&mut output).expect("a pipe can be read");
        String::from_utf8_lossy(&output).into_owned()
    });
    let ended = wait(&mut child);
    if !ended {
        child.kill().expect("a child can be ended");
        child.wait().expect("it has ended");
    }
    (reader.join().expect("the reader ends"), ended)
}

fn wait(child: &mut Child) -> bool {
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        if child.try_wait().expect("a child can be waited for").is_some() {
            return true;
        }
        thread::sleep(Duration::from_millis(1));
    }
    false
}

impl Ran {
    /// What it took to find the bug, if the test tells: the steps of the search's shortest trace,
    /// none if it is the empty pool that is wrong, or the number of the first seed.
    pub(crate) fn how(&self) -> Option<String> {
        if let Some((_, seed)) = self.output.split_once("\nseed ") {
            return Some(format!("at seed {}", seed.split_once(" fails")?.0));
        }
        let (_, trace) = self.output.split_once("\na state of ")?;
        let number = |line: &str| line.trim_start().split_once(". ")?.0.parse::<u32>().ok();
        Some(format!("in {} steps", trace.lines().filter_map(number).max().unwrap_or(0)))
    }

    /// How it ended, the last lines that it printed, and the command that repeats it.
    pub(crate) fn tell(&self, test: Test, bug: Option<Bug>) -> String {
        let lines: Vec<&str> = self.output.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        format!("{:?}\n{tail}\nto repeat: {}", self.outcome, shell_line(test, bug))
    }
}

fn shell_line(test: Test, bug: Option<Bug>) -> String {
    let (target, name) = parts(test);
    let bug = bug.map(|bug| ("EDGEPOOL_MUTATION", format!("{bug:?}")));
    let chances = CHANCES.map(|(name, value)| (name, value.to_owned()));
    let set = bug.into_iter().chain(chances).map(|(name, value)| format!("{name}={value} "));
    let place = match target {
        "edgepool" => "-p edgepool --features mutations --lib".to_owned(),
        target => format!("-p edgepool-tests --features mutations --test {target}"),
    };
    format!("{}cargo test {place} -- --exact {name}", set.collect::<String>())
}

/// The binary of a test, and its name there.
fn parts(test: Test) -> (&'static str, &'static str) {
    test.split_once('/').unwrap_or(("scenarios", test))
}
