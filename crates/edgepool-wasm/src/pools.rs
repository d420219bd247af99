//! The ledgers by pool number, and the numbers that stand for keys and effects.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use edgepool::Time;
use edgepool::ledger::{Claim, Effect, End, Ledger, SlotKey, WaiterKey};

use crate::exports::{DONE, EFFECTS, NEEDS_CLOCK};
use crate::global::Global;

/// How far a key's generation is shifted above its index.
const INDEX_BITS: u32 = 20;
const NANOS_PER_MS: f64 = 1e6;
/// The latest time that a clock may tell.
const LATEST: Time = Time::from_nanos(u64::MAX - 1);

/// The kinds of effects as numbers; those from [`KIND_TIMED_OUT`] to [`KIND_REMOVED`] are ends.
const KIND_LEASED: u32 = 0;
const KIND_OFFERED: u32 = 1;
const KIND_TIMED_OUT: u32 = 2;
const KIND_CLOSED: u32 = 3;
const KIND_CREATE_FAILED: u32 = 4;
const KIND_CREATE_TIMED_OUT: u32 = 5;
const KIND_MISSED: u32 = 6;
const KIND_TOO_MANY: u32 = 7;
const KIND_REMOVED: u32 = 8;
const KIND_CREATE: u32 = 9;
const KIND_CHECK: u32 = 10;
const KIND_CLOSE: u32 = 11;
const KIND_ABANDON: u32 = 12;
const KIND_LONG_HOLD: u32 = 13;
const KIND_DRAINED: u32 = 14;

/// One pool's ledger.
pub(crate) struct Entry {
    pub(crate) ledger: Ledger,
    /// Whether a waiter claims its offer itself, in its own request.
    edge: bool,
}

/// An effect as its caller is told it: its kind, an index, and a key and a detail if it has them.
pub(crate) struct Told {
    pub(crate) kind: u32,
    pub(crate) index: u32,
    pub(crate) key: f64,
    pub(crate) detail: u32,
}

impl Entry {
    pub(crate) const fn new(ledger: Ledger, edge: bool) -> Self {
        Self { ledger, edge }
    }

    /// Tells the ledger the time, if it was read.
    #[inline(always)]
    pub(crate) fn tell_time(&mut self, now: f64) {
        if now >= 0.0 {
            // At the end of time nothing is left to come, and what never comes must not be due.
            self.ledger.advance(time(now).min(LATEST));
        }
    }

    /// Makes the status of an operation that was carried out, or was not.
    #[inline(never)]
    pub(crate) fn status(&self, done: bool) -> u32 {
        self.status_inlined(done)
    }

    /// As [`status`](Self::status), for what is called most.
    #[inline(always)]
    pub(crate) fn status_inlined(&self, done: bool) -> u32 {
        (u32::from(done) * DONE)
            | (u32::from(self.ledger.has_effects()) * EFFECTS)
            | (u32::from(self.ledger.needs_clock_now()) * NEEDS_CLOCK)
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

    /// Serves a waiter with the resource that came back to this place, if that is all there is to do
    /// and it claims none itself: the lease's key, with the waiter's index in place of its own.
    pub(crate) fn serve_only(&mut self, index: u32) -> Option<f64> {
        match self.ledger.only_effect() {
            Some(Effect::Offer { slot, .. }) if slot.index == index && !self.edge => {}
            _ => return None,
        }
        let told = self.next_effect()?;
        Some(told.key - f64::from(index) + f64::from(told.index))
    }

    fn tell(&mut self, effect: Effect) -> Option<Told> {
        Some(match effect {
            Effect::Offer { waiter, .. } if self.edge => {
                Told { kind: KIND_OFFERED, index: waiter.index, key: 0.0, detail: 0 }
            }
            Effect::Offer { waiter, .. } => return self.tell_waiter(waiter, 0),
            Effect::Ended { waiter, .. } => {
                let place = self.ledger.place(waiter).unwrap_or(0);
                return self.tell_waiter(waiter, place.into());
            }
            Effect::Create { slot } => of_slot(KIND_CREATE, slot, 0),
            Effect::Check { slot } => of_slot(KIND_CHECK, slot, 0),
            Effect::Close { slot, leaving } => of_slot(KIND_CLOSE, slot, leaving as u32),
            Effect::Abandon { slot, overdue, .. } => {
                of_slot(KIND_ABANDON, slot, u32::from(overdue))
            }
            Effect::LongHold { slot } => of_slot(KIND_LONG_HOLD, slot, 0),
            Effect::Drained => Told { kind: KIND_DRAINED, index: 0, key: 0.0, detail: 0 },
        })
    }

    /// Claims for a waiter what it was offered, or tells how its wait ended, so that its entry is
    /// not kept for that. An end may have overtaken the offer that is told; what was cancelled in
    /// the meantime is nobody's, and its index may be another's by now.
    fn tell_waiter(&mut self, waiter: WaiterKey, detail: u32) -> Option<Told> {
        let (kind, key) = match self.ledger.claim(waiter) {
            Claim::Leased(slot) => (KIND_LEASED, pack_slot(slot)),
            Claim::Ended(end) => (end_kind(end), 0.0),
            Claim::Waiting | Claim::Unknown => return None,
        };
        Some(Told { kind, index: waiter.index, key, detail })
    }
}

fn of_slot(kind: u32, slot: SlotKey, detail: u32) -> Told {
    Told { kind, index: slot.index, key: pack_slot(slot), detail }
}

const fn end_kind(end: End) -> u32 {
    match end {
        End::TimedOut => KIND_TIMED_OUT,
        End::Closed => KIND_CLOSED,
        End::CreateFailed => KIND_CREATE_FAILED,
        End::CreateTimedOut => KIND_CREATE_TIMED_OUT,
        End::Missed => KIND_MISSED,
        End::TooMany => KIND_TOO_MANY,
        End::Removed => KIND_REMOVED,
    }
}

pub(crate) fn pack_slot(key: SlotKey) -> f64 {
    pack(key.generation, key.index)
}

/// Twice the key, and 1 more if effects wait.
pub(crate) fn pack_lease(key: SlotKey, effects: bool) -> f64 {
    pack_twice(key.generation, key.index, effects)
}

/// As [`pack_lease`].
pub(crate) fn pack_waiter(key: WaiterKey, effects: bool) -> f64 {
    pack_twice(key.generation, key.index, effects)
}

#[inline(always)]
fn pack_twice(generation: u32, index: u32, effects: bool) -> f64 {
    let key = (i64::from(generation) << INDEX_BITS) + i64::from(index);
    (2 * key + i64::from(effects)) as f64
}

pub(crate) fn pack(generation: u32, index: u32) -> f64 {
    ((i64::from(generation) << INDEX_BITS) + i64::from(index)) as f64
}

pub(crate) fn unpack_slot(key: f64) -> SlotKey {
    let (generation, index) = unpack(key);
    SlotKey { index, generation }
}

pub(crate) fn unpack_waiter(key: f64) -> WaiterKey {
    let (generation, index) = unpack(key);
    WaiterKey { index, generation }
}

/// Tells whether a key can name that index.
#[cfg(feature = "tenants")]
pub(crate) const fn is_key(index: u32) -> bool {
    index < 1 << INDEX_BITS
}

pub(crate) fn unpack(key: f64) -> (u32, u32) {
    // It is never negative, and signed is what takes fewer instructions.
    let key = key as i64;
    ((key >> INDEX_BITS) as u32, (key & ((1 << INDEX_BITS) - 1)) as u32)
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

// Numbers are never used again: a lease that outlived its pool must not meet another's.
static POOLS: Global<Vec<Option<Box<Entry>>>> = Global::new(Vec::new());

/// Adds a pool and returns its number.
pub(crate) fn insert(entry: Entry) -> u32 {
    let entry = Some(Box::new(entry));
    // SAFETY: a list does not come back here.
    unsafe {
        POOLS.with(|pools| {
            pools.push(entry);
            pools.len() as u32 - 1
        })
    }
}

/// Forgets a pool; operations on its number do nothing from then on.
pub(crate) fn remove(pool: u32) {
    // SAFETY: neither a list nor the end of a ledger comes back here.
    unsafe {
        POOLS.with(|pools| {
            if let Some(entry) = pools.get_mut(pool as usize) {
                *entry = None;
            }
        });
    }
}

/// Runs one operation on a pool, or gives `unknown` if there is none of that number.
#[inline(always)]
pub(crate) fn with<R>(pool: u32, unknown: R, operate: impl FnOnce(&mut Entry) -> R) -> R {
    match find(pool) {
        Some(entry) => operate(entry),
        None => unknown,
    }
}

/// As [`with`], once the ledger was told the time.
#[inline(always)]
pub(crate) fn at<R>(pool: u32, now: f64, unknown: R, operate: impl FnOnce(&mut Entry) -> R) -> R {
    match find_at(pool, now) {
        Some(entry) => operate(entry),
        None => unknown,
    }
}

// Out of line: nearly every export begins with it.
#[inline(never)]
fn find_at(pool: u32, now: f64) -> Option<&'static mut Entry> {
    let entry = find(pool)?;
    entry.tell_time(now);
    Some(entry)
}

#[inline(always)]
fn find(pool: u32) -> Option<&'static mut Entry> {
    // SAFETY: the reference is used for one operation, and none on a ledger begins another.
    unsafe { POOLS.with(|pools| pools.get_mut(pool as usize)?.as_deref_mut()) }
}
