//! The hard limit, and the simulator's own count of what it served.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

/// Counts requests, and refuses those past the limit.
#[derive(Debug)]
pub(crate) struct Gate {
    max: u32,
    counts: Mutex<Counts>,
}

/// The counters: `served == in_flight + completed + cancelled + cut`, at every moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Admitted, and neither written to the end nor given up.
    pub(crate) in_flight: u32,
    /// The most that were in flight at once.
    pub(crate) peak: u32,
    /// Admitted.
    pub(crate) served: u64,
    /// Turned away, as `max` were in flight.
    pub(crate) refused: u64,
    /// Written to the end.
    pub(crate) completed: u64,
    /// Left by the client before the end.
    pub(crate) cancelled: u64,
    /// Cut by the simulator itself, as the fault `disconnect` asks.
    pub(crate) cut: u64,
    /// How long those that completed were in flight, together.
    pub(crate) held_us: u64,
    /// Connections that were opened.
    pub(crate) connections: u64,
}

impl Gate {
    pub(crate) fn new(max: u32) -> Arc<Self> {
        Arc::new(Self { max, counts: Mutex::default() })
    }

    pub(crate) fn max(&self) -> u32 {
        self.max
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.lock()
    }

    /// Zeroes the counters; what is in flight stays counted.
    pub(crate) fn reset(&self) {
        let mut counts = self.lock();
        let in_flight = counts.in_flight;
        let served = in_flight.into();
        *counts = Counts { in_flight, peak: in_flight, served, ..Counts::default() };
    }

    /// Admits a request, or counts a refusal.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Pass> {
        let mut counts = self.lock();
        if counts.in_flight == self.max {
            counts.refused += 1;
            return None;
        }
        counts.in_flight += 1;
        counts.served += 1;
        counts.peak = counts.peak.max(counts.in_flight);
        drop(counts);
        Some(Pass { gate: Arc::clone(self), since: Instant::now(), end: End::Cancelled })
    }

    /// Counts a connection.
    pub(crate) fn connected(&self) {
        self.lock().connections += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Completed,
    Cancelled,
    Cut,
}

/// One request in flight, until it is dropped; a drop without [`Pass::end`] is a cancellation.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Arc<Gate>,
    since: Instant,
    end: End,
}

impl Pass {
    pub(crate) fn end(mut self, end: End) {
        self.end = end;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let held = self.since.elapsed();
        let mut counts = self.gate.lock();
        counts.in_flight -= 1;
        match self.end {
            End::Completed => {
                counts.completed += 1;
                counts.held_us += held.as_micros() as u64;
            }
            End::Cancelled => counts.cancelled += 1,
            End::Cut => counts.cut += 1,
        }
    }
}
