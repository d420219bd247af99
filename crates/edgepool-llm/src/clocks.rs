//! The five clocks of a call, each with its own failure.
