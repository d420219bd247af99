//! Random operations on the ledger, beside a naive model of it, checked after each.

mod draw;
#[path = "../fuzz/drive.rs"]
mod drive;
mod keys;
mod model;
mod pair;
mod regressions;

use std::time::Duration;

use edgepool::ledger::{Ledger, Options, Priority, Share, Verdict};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use draw::{options, sequence};
use keys::{Keys, drain};
use model::SlotState;
use pair::Pair;

/// How a lease ends.
#[derive(Clone, Copy, Debug)]
enum Back {
    Released,
    Discarded,
    Taken,
    Renewed,
    Reset,
}

/// An operation. A number picks a key among all that were ever given out, the latest being 0, so
/// that stale ones come up too; [`Op::Answer`] and [`Op::GiveBack`] pick among those that are good.
#[derive(Clone, Copy, Debug)]
enum Op {
    Acquire { patience: Option<u8>, priority: Priority, need: u16, tenant: Option<usize> },
    TryAcquire,
    TryAcquireFor(usize),
    Claim(usize),
    Cancel(usize),
    EndLease(usize, Back),
    GiveBack(usize, Back),
    Answered(usize, SlotState, Verdict),
    Answer(usize, Verdict),
    LookAtIdle,
    LookedAt(usize, bool),
    Adopt,
    Fill,
    Prepare,
    PrepareDirectly,
    CloseLate,
    Resize(u32),
    SetMinIdle(u32),
    Pause,
    Resume,
    InvalidateAll,
    OpenTenant(Share),
    SetShare(usize, Share),
    AdoptFor(usize),
    EndWaits(usize),
    CloseTenant(usize),
    Close,
    Advance(u8),
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn config() -> ProptestConfig {
    const REGRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ledger/regressions.txt");
    // What fails with a known bug put back is no regression.
    let keep = std::env::var_os("EDGEPOOL_MUTATION").is_none();
    let persistence = Box::new(FileFailurePersistence::Direct(REGRESSIONS));
    ProptestConfig {
        failure_persistence: keep.then_some(persistence as _),
        ..ProptestConfig::with_cases(cases())
    }
}

/// `EDGEPOOL_CASES` says how many sequences are tried; 1,000 unless it is set.
fn cases() -> u32 {
    match std::env::var("EDGEPOOL_CASES") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("EDGEPOOL_CASES: {text:?}")),
        Err(_) => 1_000,
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn does_what_the_naive_model_does(options in options(), ops in sequence(120)) {
        beside_the_model(options, ops);
    }

    /// Time jumps past many deadlines at once, and effects are taken late.
    #[test]
    fn keeps_its_invariants_when_time_jumps(options in options(), ops in sequence(200)) {
        keeps_invariants(options, ops);
    }
}

fn beside_the_model(options: Options, ops: impl IntoIterator<Item = Op>) {
    let mut pair = Pair::new(options);
    for op in ops {
        if pair.model.has_ties(pair.next_moment()) {
            break;
        }
        pair.apply(op);
        if pair.model.is_tied {
            break;
        }
    }
}

fn keeps_invariants(options: Options, ops: impl IntoIterator<Item = Op>) {
    let mut ledger = Ledger::new(options).unwrap();
    let mut keys = Keys::default();
    for op in ops {
        keys.jump(&mut ledger, op);
        ledger.check().unwrap_or_else(|violation| panic!("{violation}"));
    }
    drain(&mut ledger);
}

/// The inputs that reach every part of the ledger, found by the fuzz target, and each that failed.
#[test]
fn keeps_its_invariants_with_what_the_fuzz_target_found() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/ledger");
    let files = std::fs::read_dir(seeds).expect("they stand beside the target");
    let inputs = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
    let count = inputs.map(|bytes| drive::drive(&bytes)).count();
    assert!(count > 50, "only {count} inputs");
}
