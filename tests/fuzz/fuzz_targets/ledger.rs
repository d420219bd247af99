//! Any bytes are operations on a ledger, whose invariants must hold after each. In this crate's
//! directory, `cargo +nightly fuzz run --fuzz-dir . ledger corpus/ledger seeds/ledger` runs it; what
//! fails belongs into `seeds/ledger`, which the plain tests replay.
#![no_main]

#[path = "../drive.rs"]
mod drive;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drive::drive(bytes));
