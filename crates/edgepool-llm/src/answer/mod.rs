//! Whole answers: what a body that has ended says.
