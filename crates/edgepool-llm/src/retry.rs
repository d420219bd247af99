//! Which failures are tried again, when, and how often in all.
