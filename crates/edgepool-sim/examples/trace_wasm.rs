//! The same as `trace`, as a wasm module without imports: `trace_hash(from, seeds)` returns the
//! combined hash. `trace_wasm.mjs` calls it in Node.
//!
//! ```text
//! cargo build --release -p edgepool-sim --example trace_wasm --target wasm32-unknown-unknown
//! node crates/edgepool-sim/examples/trace_wasm.mjs \
//!     target/wasm32-unknown-unknown/release/examples/trace_wasm.wasm --seeds 1000
//! ```

/// Runs `seeds` schedules from seed `from` on, and returns the hash over all their traces.
// An exported function needs its plain name, which the language counts as unsafe: two of the same
// name would clash. It has no pointer and touches no memory.
#[unsafe(no_mangle)]
pub extern "C" fn trace_hash(from: u64, seeds: u64) -> u64 {
    edgepool_sim::combined_hash(from, seeds)
}
