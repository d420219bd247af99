//! How the tests of the exports open a pool: with every option set, as the shell does.

use edgepool_wasm::exports::{pool_open, set_option};

pub(crate) const NEVER: f64 = f64::INFINITY;
pub(crate) const MAX: u32 = 0;
/// What each option is by its number unless a test says otherwise: nothing expires.
const PLAIN: [f64; 24] = [
    1.0, 0.0, 10.0, 0.0, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, 10.0, NEVER,
    NEVER, NEVER, 1.0, NEVER, NEVER, NEVER, 5_000.0, 0.0, 0.0, NEVER,
];

/// Opens a pool with the plain options, but for these.
pub(crate) fn open_with(edge: u32, options: &[(u32, f64)]) -> u32 {
    let plain = (0..).zip(PLAIN);
    for (which, value) in plain.chain(options.iter().copied()) {
        set_option(which, value);
    }
    u32::try_from(pool_open(edge)).unwrap()
}
