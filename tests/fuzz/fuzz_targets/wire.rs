//! Any bytes are what a provider, a network or a configuration sends: they must do no harm, and no
//! split may change what they mean. In this crate's directory,
//! `cargo +nightly fuzz run --fuzz-dir . wire corpus/wire seeds/wire` runs it; what fails belongs into
//! `seeds/wire`, which the plain tests replay.
#![no_main]

#[path = "../wire.rs"]
mod wire;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wire::drive(bytes));
