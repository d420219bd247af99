//! A stable fingerprint of what happened.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use edgepool::Time;

/// The events of one run, as a 64-bit hash and, when asked for, as a list to read.
///
/// The hash is FNV-1a with 64 bits (offset basis `cbf29ce484222325`, prime `100000001b3`) over each
/// event's time, actor and value as eight little-endian bytes and its name as its bytes and a zero.
/// So it is the same on every platform and in every version of the standard library, and two runs
/// with the same hash did the same, in the same order, at the same times.
///
/// # Examples
/// ```
/// use edgepool::Time;
/// use edgepool_sim::Trace;
///
/// let mut trace = Trace::with_log();
/// trace.record(Time::from_nanos(5), 1, "acquired", 0);
/// assert_eq!(trace.to_string().trim(), "0.000000005  1  acquired 0");
///
/// let mut other = Trace::new();
/// other.record(Time::from_nanos(6), 1, "acquired", 0);
/// assert_ne!(trace.hash(), other.hash());
/// ```
#[derive(Clone, Debug)]
pub struct Trace {
    hash: u64,
    events: u64,
    log: VecDeque<Event>,
    /// The most events that the log keeps.
    most: usize,
    names: BTreeMap<u64, &'static str>,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    at: Time,
    actor: u64,
    name: &'static str,
    value: u64,
}

impl Trace {
    const BASIS: u64 = 0xCBF2_9CE4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01B3;

    /// Starts a trace that keeps the hash alone.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_tail(0)
    }

    /// Starts a trace that also keeps the events, to be read through `Display`.
    #[must_use]
    pub const fn with_log() -> Self {
        Self::with_tail(usize::MAX)
    }

    /// Starts a trace that also keeps the last events, at most so many.
    #[must_use]
    pub const fn with_tail(most: usize) -> Self {
        Self { hash: Self::BASIS, events: 0, log: VecDeque::new(), most, names: BTreeMap::new() }
    }

    /// Sets what an actor is called when the events are read. It does not change the hash.
    pub fn name_actor(&mut self, actor: u64, name: &'static str) {
        self.names.insert(actor, name);
    }

    /// Adds an event: at which time, who did it, what it was, and a number that belongs to it.
    pub fn record(&mut self, at: Time, actor: u64, name: &'static str, value: u64) {
        self.bytes(&at.as_nanos().to_le_bytes());
        self.bytes(&actor.to_le_bytes());
        self.bytes(name.as_bytes());
        self.bytes(&[0]);
        self.bytes(&value.to_le_bytes());
        self.events += 1;
        if self.most > 0 {
            if self.log.len() == self.most {
                self.log.pop_front();
            }
            self.log.push_back(Event { at, actor, name, value });
        }
    }

    /// Adds the hash of another trace, so that many runs give one.
    pub fn combine(&mut self, hash: u64) {
        self.bytes(&hash.to_le_bytes());
    }

    /// Returns the hash of everything so far.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// Returns the number of events so far.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(Self::PRIME);
        }
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes a line for each event: seconds, actor, name, value.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in &self.log {
            let nanos = event.at.as_nanos();
            let (whole, part) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
            write!(f, "{whole}.{part:09}  ")?;
            match self.names.get(&event.actor) {
                Some(name) => write!(f, "{name}")?,
                None => write!(f, "{}", event.actor)?,
            }
            writeln!(f, "  {} {}", event.name, event.value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_published_hashes() {
        let hash = |text: &str| {
            let mut trace = Trace::new();
            trace.bytes(text.as_bytes());
            trace.hash()
        };
        assert_eq!(hash(""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(hash("a"), 0xAF63_DC4C_8601_EC8C);
        assert_eq!(hash("foobar"), 0x8594_4171_F739_67E8);
    }

    #[test]
    fn a_tail_keeps_the_last_events_and_the_hash_of_all() {
        let (mut tail, mut log) = (Trace::with_tail(2), Trace::with_log());
        for value in 0..5 {
            tail.record(Time::ZERO, 7, "x", value);
            log.record(Time::ZERO, 7, "x", value);
        }
        tail.name_actor(7, "seven");
        assert_eq!(tail.to_string(), "0.000000000  seven  x 3\n0.000000000  seven  x 4\n");
        assert_eq!((tail.hash(), tail.events()), (log.hash(), 5));
        assert_eq!(log.to_string().lines().count(), 5);
    }

    #[test]
    fn every_field_counts() {
        let hash = |at, actor, name, value| {
            let mut trace = Trace::new();
            trace.record(Time::from_nanos(at), actor, name, value);
            trace.hash()
        };
        let base = hash(1, 2, "x", 3);
        assert_eq!(base, hash(1, 2, "x", 3));
        for other in
            [hash(0, 2, "x", 3), hash(1, 0, "x", 3), hash(1, 2, "y", 3), hash(1, 2, "x", 0)]
        {
            assert_ne!(base, other);
        }
    }
}
