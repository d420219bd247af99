//! What pools get wrong, each a test of its own name, on simulated time.

mod accounting;
mod close;
mod creation;
mod hand_off;
mod time;
