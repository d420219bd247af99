//! Answers that come in pieces, as typed events.
