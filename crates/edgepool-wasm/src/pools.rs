//! The ledgers by pool number, and the numbers that stand for keys and effects.

use std::cell::RefCell;
use std::time::Duration;

use edgepool::Time;
use edgepool::ledger::{Claim, Effect, End, Ledger, SlotKey, WaiterKey};

/// How far a key's generation is shifted above its index.
const INDEX_SPAN: f64 = 1_048_576.0;
const NANOS_PER_MS: f64 = 1e6;

/// Bits of an operation's status: it was carried out; effects wait; a waiter got its error.
pub(crate) const DONE: u32 = 1;
pub(crate) const EFFECTS: u32 = 2;
pub(crate) const FAILED_A_WAITER: u32 = 4;

/// The kinds of effects as numbers; `KIND_ENDED` and those up to `KIND_MISSED` are ends.
const KIND_LEASED: u32 = 0;
const KIND_OFFERED: u32 = 1;
const KIND_TIMED_OUT: u32 = 2;
const KIND_CLOSED: u32 = 3;
const KIND_CREATE_FAILED: u32 = 4;
const KIND_CREATE_TIMED_OUT: u32 = 5;
const KIND_MISSED: u32 = 6;
const KIND_CREATE: u32 = 7;
const KIND_CLOSE: u32 = 8;

/// One pool's ledger.
pub(crate) struct Entry {
    pub(crate) ledger: Ledger,
    /// Whether a waiter claims its offer itself, in its own request.
    edge: bool,
}

/// An effect as its caller is told it: its kind, an index, and a key if it has one.
pub(crate) struct Told {
    pub(crate) kind: u32,
    pub(crate) index: u32,
    pub(crate) key: f64,
}

impl Entry {
    pub(crate) const fn new(ledger: Ledger, edge: bool) -> Self {
        Self { ledger, edge }
    }

    /// Makes the status of an operation that was carried out, or was not.
    pub(crate) fn status(&self, done: bool) -> u32 {
        (u32::from(done) * DONE) | (u32::from(self.ledger.has_effects()) * EFFECTS)
    }

    /// Takes the next effect that the caller has something to do for.
    pub(crate) fn next_effect(&mut self) -> Option<Told> {
        loop {
            let effect = self.ledger.poll_effect()?;
            if let Some(told) = self.tell(effect) {
                return Some(told);
            }
        }
    }

    fn tell(&mut self, effect: Effect) -> Option<Told> {
        let (kind, index, key) = match effect {
            Effect::Offer { waiter, .. } if self.edge => (KIND_OFFERED, waiter.index, 0.0),
            Effect::Offer { waiter, .. } => match self.ledger.claim(waiter) {
                Claim::Leased(slot) => (KIND_LEASED, waiter.index, pack_slot(slot)),
                // The offer was overtaken by an end, which is told here: the entry is gone.
                Claim::Ended(end) => (end_kind(end), waiter.index, 0.0),
                Claim::Waiting | Claim::Unknown => return None,
            },
            // The caller is told how the wait ended, so the entry is not kept for that.
            Effect::Ended { waiter, .. } => match self.ledger.claim(waiter) {
                Claim::Ended(end) => (end_kind(end), waiter.index, 0.0),
                // It was cancelled in the meantime, and its index may be another's by now.
                _ => return None,
            },
            Effect::Create { slot } => (KIND_CREATE, slot.index, pack_slot(slot)),
            Effect::Close { slot, .. } => (KIND_CLOSE, slot.index, pack_slot(slot)),
            // The caller finds out when its job settles. The others belong to options that the
            // exports do not set.
            Effect::Abandon { .. }
            | Effect::Check { .. }
            | Effect::LongHold { .. }
            | Effect::Drained => return None,
        };
        Some(Told { kind, index, key })
    }
}

const fn end_kind(end: End) -> u32 {
    match end {
        End::TimedOut => KIND_TIMED_OUT,
        End::Closed => KIND_CLOSED,
        End::CreateFailed => KIND_CREATE_FAILED,
        End::CreateTimedOut => KIND_CREATE_TIMED_OUT,
        // No export changes `max` or asks for several, so nobody ends as needing too many.
        End::Missed | End::TooMany => KIND_MISSED,
    }
}

pub(crate) fn pack_slot(key: SlotKey) -> f64 {
    pack(key.generation, key.index)
}

pub(crate) fn pack_waiter(key: WaiterKey) -> f64 {
    pack(key.generation, key.index)
}

fn pack(generation: u32, index: u32) -> f64 {
    f64::from(generation) * INDEX_SPAN + f64::from(index)
}

pub(crate) fn unpack_slot(key: f64) -> SlotKey {
    let (generation, index) = unpack(key);
    SlotKey { index, generation }
}

pub(crate) fn unpack_waiter(key: f64) -> WaiterKey {
    let (generation, index) = unpack(key);
    WaiterKey { index, generation }
}

fn unpack(key: f64) -> (u32, u32) {
    let key = key as u64;
    ((key >> 20) as u32, (key & 0xf_ffff) as u32)
}

pub(crate) fn time(ms: f64) -> Time {
    Time::from_nanos((ms * NANOS_PER_MS) as u64)
}

/// Reads a duration; one without end is none.
pub(crate) fn duration(ms: f64) -> Option<Duration> {
    let nanos = (ms * NANOS_PER_MS) as u64;
    (nanos != u64::MAX).then(|| Duration::from_nanos(nanos))
}

pub(crate) fn to_ms(time: Time) -> f64 {
    if time == Time::NEVER { f64::INFINITY } else { time.as_nanos() as f64 / NANOS_PER_MS }
}

thread_local! {
    // Numbers are never used again: a lease that outlived its pool must not meet another's.
    static POOLS: RefCell<Vec<Option<Box<Entry>>>> = const { RefCell::new(Vec::new()) };
}

/// Adds a pool and returns its number.
pub(crate) fn insert(entry: Entry) -> u32 {
    POOLS.with_borrow_mut(|pools| {
        pools.push(Some(Box::new(entry)));
        pools.len() as u32 - 1
    })
}

/// Forgets a pool; operations on its number do nothing from then on.
pub(crate) fn remove(pool: u32) {
    POOLS.with_borrow_mut(|pools| {
        if let Some(entry) = pools.get_mut(pool as usize) {
            *entry = None;
        }
    });
}

/// Runs one operation on a pool, or gives `unknown` if there is none of that number.
pub(crate) fn with<R>(pool: u32, unknown: R, operate: impl FnOnce(&mut Entry) -> R) -> R {
    POOLS.with_borrow_mut(|pools| match pools.get_mut(pool as usize) {
        Some(Some(entry)) => operate(entry),
        _ => unknown,
    })
}
