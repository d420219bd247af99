//! Puts known bugs of pools back, one at a time, and asserts that the tests catch each by name.
//!
//! The table of the bugs stands in [`table`]. Each of its tests must pass without the bug, and fail
//! with it, in a process of its own and in time: a test that hangs catches nothing. And what a bug
//! has nothing to do with must pass with it.
//!
//! Arguments choose bugs by parts of their names.

mod run;
mod table;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use edgepool::Bug;

use run::{Binaries, Outcome, Ran};
use table::{CONTROL, Case, Test, case};

fn main() -> ExitCode {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_wanted = |bug: &Bug| {
        let name = format!("{bug:?}");
        wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()))
    };
    let bugs: Vec<Bug> = Bug::ALL.iter().copied().filter(is_wanted).collect();
    if bugs.is_empty() {
        println!("no bug has {} in its name", wanted.join(" or "));
        return ExitCode::FAILURE;
    }
    let binaries = run::build();
    let without = without_bugs(&bugs, &binaries);
    let with = in_parallel(&bugs, |&bug| with_bug(bug, &binaries));
    print_table(&bugs, &with);
    let failures: Vec<String> = without.into_iter().chain(with.iter().flat_map(failed)).collect();
    for failure in &failures {
        println!("---- {failure}\n");
    }
    let passed = with.iter().filter(|row| failed(row).next().is_none()).count();
    println!("{passed} passed, {} failed", failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One bug, and what became of each test that is to catch it.
struct Row {
    bug: Bug,
    case: Case,
    ran: Vec<(Test, Ran)>,
    control: Ran,
}

fn with_bug(bug: Bug, binaries: &Binaries) -> Row {
    let case = case(bug);
    let ran = case.caught_by.iter().map(|&test| (test, binaries.run(test, Some(bug))));
    let ran = ran.collect();
    Row { bug, case, ran, control: binaries.run(CONTROL, Some(bug)) }
}

/// What is wrong with a row: what did not catch the bug that it should have caught.
fn failed(row: &Row) -> impl Iterator<Item = String> + '_ {
    let tell = |test: Test, ran: &Ran| {
        format!("{test} with {:?}: {}", row.bug, ran.tell(test, Some(row.bug)))
    };
    let missed = row.ran.iter().filter(|(_, ran)| ran.outcome != Outcome::Failed);
    let missed = missed.map(move |(test, ran)| tell(test, ran));
    let control = (row.control.outcome != Outcome::Passed).then(|| tell(CONTROL, &row.control));
    missed.chain(control)
}

/// Runs every test that is to catch something on the pool as it is. Returns what does not pass.
fn without_bugs(bugs: &[Bug], binaries: &Binaries) -> Vec<String> {
    let catching = bugs.iter().flat_map(|&bug| case(bug).caught_by).copied();
    let tests: BTreeSet<Test> = catching.chain([CONTROL]).collect();
    let tests: Vec<Test> = tests.into_iter().collect();
    let ran = in_parallel(&tests, |&test| binaries.run(test, None));
    let bad = tests.iter().zip(ran).filter(|(_, ran)| ran.outcome != Outcome::Passed);
    bad.map(|(test, ran)| format!("{test} without a bug: {}", ran.tell(test, None))).collect()
}

/// Does something for each, on as many threads as there are processors; in order.
fn in_parallel<T: Sync, R: Send>(all: &[T], one: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some((at, item)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            all.get(at).map(|item| (at, item))
        } {
            done.push((at, one(item)));
        }
        done
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker ends")).collect()
    });
    done.sort_by_key(|&(at, _)| at);
    done.into_iter().map(|(_, result)| result).collect()
}

fn print_table(bugs: &[Bug], rows: &[Row]) {
    println!("\n| bug | seen in | caught by | in ms |\n|---|---|---|---:|");
    for (bug, row) in bugs.iter().zip(rows) {
        let mut first = (format!("{bug:?}"), row.case.seen);
        for (test, ran) in &row.ran {
            let (bug, seen) = std::mem::take(&mut first);
            let how = match ran.outcome {
                Outcome::Failed => ran.how().map_or_else(String::new, |how| format!(", {how}")),
                other => format!(": {other:?}"),
            };
            println!("| {bug} | {seen} | {}{how} | {} |", test, ran.took.as_millis());
        }
    }
    println!();
}
