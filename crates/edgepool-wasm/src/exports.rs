//! What the wasm module exports. Every function is numeric and free-standing, which costs a few
//! nanoseconds a call where a class or a string costs ten times that.
//!
//! An operation on a pool number that is unknown does nothing, as one on a stale key does.

use std::cell::Cell;

use edgepool::ledger::{Acquired, Ask, Claim, Ledger, Options, Refused};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::pools::{self, Entry, FAILED_A_WAITER};

/// Answers that are not a lease's key, which is never negative.
const NONE: f64 = -1.0;
const QUEUE_FULL: f64 = -1.0;
const CLOSED: f64 = -2.0;
const STILL_WAITING: f64 = -3.0;
const UNKNOWN: f64 = -4.0;
/// A waiter's key `k` is answered as `WAITER_BASE - k`.
const WAITER_BASE: f64 = -16.0;

thread_local! {
    static EFFECT_KEY: Cell<f64> = const { Cell::new(0.0) };
}

/// Opens a pool and returns its number, or -1 if an option is out of range. Times in ms; infinity
/// is no limit. With `edge` other than 0, waiters claim their offers themselves.
#[wasm_bindgen]
pub fn pool_open(
    max: u32,
    max_waiting: u32,
    offer_timeout: f64,
    lease_ttl: f64,
    close_timeout: f64,
    create_timeout: f64,
    edge: u32,
) -> i32 {
    let options = Options {
        max_waiting,
        offer_timeout: pools::duration(offer_timeout),
        lease_ttl: pools::duration(lease_ttl),
        close_timeout: pools::duration(close_timeout),
        create_timeout: pools::duration(create_timeout),
        ..Options::new(max)
    };
    match Ledger::new(options) {
        Ok(ledger) => pools::insert(Entry::new(ledger, edge != 0)) as i32,
        Err(_) => -1,
    }
}

/// Forgets a pool. Its number is not used again.
#[wasm_bindgen]
pub fn pool_drop(pool: u32) {
    pools::remove(pool);
}

/// Tells the pool the time, and settles what is overdue.
#[wasm_bindgen]
pub fn advance(pool: u32, now: f64) {
    pools::with(pool, (), |entry| entry.ledger.advance(pools::time(now)));
}

/// Leases an idle resource: its key, or -1 if there is none or somebody is queued.
#[wasm_bindgen]
pub fn try_acquire(pool: u32) -> f64 {
    pools::with(pool, NONE, |entry| entry.ledger.try_acquire().map_or(NONE, pools::pack_slot))
}

/// Leases an idle resource, or queues the caller until `deadline`: the lease's key, or
/// `-16 - key` of the waiter, or -1 (the queue is full) or -2 (closed).
#[wasm_bindgen]
pub fn acquire(pool: u32, deadline: f64) -> f64 {
    pools::with(pool, CLOSED, |entry| {
        match entry.ledger.acquire(Ask::until(pools::time(deadline))) {
            Ok(Acquired::Leased(slot)) => pools::pack_slot(slot),
            Ok(Acquired::Waiting(waiter)) => WAITER_BASE - pools::pack_waiter(waiter),
            Err(Refused::Closed) => CLOSED,
            // No export asks for several, or sets a breaker.
            Err(Refused::QueueFull | Refused::TooMany | Refused::Unavailable(_)) => QUEUE_FULL,
        }
    })
}

/// Turns a waiter's offer into a lease: its key, or -3 if there is none yet, or -4 if the waiter
/// is not known any more.
#[wasm_bindgen]
pub fn claim(pool: u32, waiter: f64) -> f64 {
    pools::with(pool, UNKNOWN, |entry| match entry.ledger.claim(pools::unpack_waiter(waiter)) {
        Claim::Leased(slot) => pools::pack_slot(slot),
        Claim::Waiting => STILL_WAITING,
        Claim::Ended(_) | Claim::Unknown => UNKNOWN,
    })
}

/// Gives up a wait. Like all that follow it answers a status: 1 if it was carried out, plus 2 if
/// effects wait.
#[wasm_bindgen]
pub fn cancel(pool: u32, waiter: f64) -> u32 {
    operate(pool, |entry| entry.ledger.cancel(pools::unpack_waiter(waiter)))
}

/// Takes a resource back in good order.
#[wasm_bindgen]
pub fn release(pool: u32, lease: f64) -> u32 {
    operate(pool, |entry| entry.ledger.release(pools::unpack_slot(lease)))
}

/// Takes a damaged resource back, to be closed.
#[wasm_bindgen]
pub fn discard(pool: u32, lease: f64) -> u32 {
    operate(pool, |entry| entry.ledger.discard(pools::unpack_slot(lease)))
}

/// Lets a resource leave the pool with its holder.
#[wasm_bindgen]
pub fn take(pool: u32, lease: f64) -> u32 {
    operate(pool, |entry| entry.ledger.take(pools::unpack_slot(lease)))
}

/// Lets a lease live for `ttl` ms from now; infinity is for ever.
#[wasm_bindgen]
pub fn renew(pool: u32, lease: f64, ttl: f64) -> u32 {
    operate(pool, |entry| entry.ledger.renew(pools::unpack_slot(lease), pools::duration(ttl)))
}

/// Takes in the resource that a creation gave; without the 1 it is the caller's to close.
#[wasm_bindgen]
pub fn created(pool: u32, slot: f64) -> u32 {
    operate(pool, |entry| entry.ledger.created(pools::unpack_slot(slot)))
}

/// Frees the place of a creation that failed. The status has 4 if a waiter ends with its error.
#[wasm_bindgen]
pub fn create_failed(pool: u32, slot: f64) -> u32 {
    pools::with(pool, 0, |entry| {
        let failed = entry.ledger.counters().failed;
        let done = entry.ledger.create_failed(pools::unpack_slot(slot));
        let told = if entry.ledger.counters().failed > failed { FAILED_A_WAITER } else { 0 };
        entry.status(done) | told
    })
}

/// Frees the place of a resource that is closed now.
#[wasm_bindgen]
pub fn closed(pool: u32, slot: f64) -> u32 {
    operate(pool, |entry| entry.ledger.closed(pools::unpack_slot(slot)))
}

/// Takes in a resource that the caller holds already: its lease's key, or -1 if there is no room.
#[wasm_bindgen]
pub fn adopt(pool: u32) -> f64 {
    pools::with(pool, NONE, |entry| entry.ledger.adopt().map_or(NONE, pools::pack_slot))
}

/// Refuses new callers, ends those that wait, closes what is idle.
#[wasm_bindgen]
pub fn close(pool: u32) {
    pools::with(pool, (), |entry| entry.ledger.close());
}

/// Takes the next effect: its kind times 2^20 plus an index, or -1 if there is none.
#[wasm_bindgen]
pub fn next_effect(pool: u32) -> i32 {
    pools::with(pool, -1, |entry| match entry.next_effect() {
        Some(told) => {
            EFFECT_KEY.set(told.key);
            (told.kind << 20 | told.index) as i32
        }
        None => -1,
    })
}

/// Returns the key that belongs to the effect taken last.
#[wasm_bindgen]
pub fn effect_key() -> f64 {
    EFFECT_KEY.get()
}

/// Returns when something expires next, in ms; infinity if nothing does.
#[wasm_bindgen]
pub fn next_deadline(pool: u32) -> f64 {
    pools::with(pool, f64::INFINITY, |entry| {
        entry.ledger.next_deadline().map_or(f64::INFINITY, pools::to_ms)
    })
}

/// Returns a gauge by its place in `edgepool::ledger::Gauges`.
#[wasm_bindgen]
pub fn gauge(pool: u32, which: u32) -> u32 {
    pools::with(pool, 0, |entry| {
        let g = entry.ledger.gauges();
        let all = [
            g.max, g.size, g.creating, g.idle, g.offered, g.in_use, g.retired, g.closing, g.waiting,
        ];
        all.get(which as usize).copied().unwrap_or(0)
    })
}

/// Returns a counter by its place in `edgepool::ledger::Counters`.
#[wasm_bindgen]
pub fn counter(pool: u32, which: u32) -> f64 {
    pools::with(pool, 0.0, |entry| {
        let c = entry.ledger.counters();
        let all = [
            c.started,
            c.direct,
            c.waited,
            c.timed_out,
            c.cancelled,
            c.failed,
            c.refused,
            c.closed,
            c.missed,
            c.offers_missed,
            c.released,
            c.discarded,
            c.taken,
            c.expired,
            c.stale,
            c.adopted,
            c.creations,
            c.created,
            c.create_failed,
            c.create_abandoned,
        ];
        all.get(which as usize).map_or(0.0, |&count| count as f64)
    })
}

fn operate(pool: u32, operation: impl FnOnce(&mut Entry) -> bool) -> u32 {
    pools::with(pool, 0, |entry| {
        let done = operation(entry);
        entry.status(done)
    })
}
