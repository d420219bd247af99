//! What the wasm module exports. Every function is numeric and free-standing, which costs a few
//! nanoseconds a call where a class or a string costs ten times that.
//!
//! A time `now` is told with each operation that may depend on it; a negative one says that the
//! caller did not read its clock, as [`NEEDS_CLOCK`] was not set by what it did last. An operation
//! on a pool number that is unknown does nothing, as one on a stale key does.

use core::time::Duration;

use edgepool::ledger::{
    Acquired, Ask, Backoff, Claim, Counters, Gauges, Ledger, Options, Priority, Refused, Reuse,
    SlotKey, Verdict,
};
use edgepool::{Histogram, Time};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::global::Global;
use crate::pools::{self, Entry};

/// Bits of an operation's status: it was carried out; effects wait; the next operation depends on
/// the time. Above them stands how many waiters a failure has ended.
pub const DONE: u32 = 1;
/// See [`DONE`].
pub const EFFECTS: u32 = 2;
/// See [`DONE`].
pub const NEEDS_CLOCK: u32 = 4;
/// How far the number of waiters that a failure has ended is shifted.
pub const FAILED_SHIFT: u32 = 3;

/// Answers that are not a key, which is never negative.
pub(crate) const NONE: f64 = -1.0;
const NONE_AND_EFFECTS: f64 = -2.0;
const QUEUE_FULL: f64 = -1.0;
const CLOSED: f64 = -2.0;
const STILL_WAITING: f64 = -3.0;
const UNKNOWN: f64 = -4.0;
const TOO_MANY: f64 = -5.0;
const UNAVAILABLE: f64 = -6.0;
// Without tenants nobody is refused so, and what it would be told as takes no code.
const TENANT_QUEUE_FULL: f64 = if cfg!(feature = "tenants") { -7.0 } else { QUEUE_FULL };
const UNKNOWN_TENANT: f64 = if cfg!(feature = "tenants") { -8.0 } else { CLOSED };
/// A waiter's key `k` is answered as `WAITER_BASE - 2 * k`, or 1 less if effects wait.
const WAITER_BASE: f64 = -16.0;

static STAGED: Global<Options> = Global::new(Options::new(1));
/// The key and the detail of the effect that was told last.
static TOLD: Global<(f64, u32)> = Global::new((0.0, 0));

/// Sets an option of the pools that are opened from now on, by its place in `set`. Times in ms;
/// infinity is no limit, for a count too. Whoever opens a pool sets all of them.
#[wasm_bindgen]
pub fn set_option(which: u32, value: f64) {
    // SAFETY: to set an option does not come back to them.
    unsafe { STAGED.with(|options| set(options, which, value)) }
}

fn set(options: &mut Options, which: u32, value: f64) {
    let (count, time) = (value as u32, pools::duration(value));
    match which {
        0 => options.max = count,
        1 => options.min_idle = count,
        2 => options.max_waiting = count,
        3 => options.reuse = if value == 0.0 { Reuse::Lifo } else { Reuse::Fifo },
        4 => options.offer_timeout = time,
        5 => options.lease_ttl = time,
        6 => options.create_timeout = time,
        7 => options.check_timeout = time,
        8 => options.reset_timeout = time,
        9 => options.close_timeout = time,
        10 => options.idle_timeout = time,
        11 => options.max_lifetime = time,
        12 => options.lifetime_jitter = count as u8,
        13 => options.max_uses = value.is_finite().then_some(value as u64),
        // Zero, which checks before every loan, is no time that could pass.
        14 => options.check_after = time,
        15 => options.check_interval = time,
        16 => options.max_checks = count,
        17 => options.backoff = time.map(|base| Backoff { base, cap: base }),
        18 => options.backoff = options.backoff.zip(time).map(with_cap),
        19 => options.breaker = value.is_finite().then_some(count),
        20 => options.ageing = time,
        21 => options.wait_times = value != 0.0,
        22 => options.hold_times = value != 0.0,
        23 => options.long_hold = time,
        _ => {}
    }
}

fn with_cap((backoff, cap): (Backoff, Duration)) -> Backoff {
    Backoff { cap, ..backoff }
}

/// Opens a pool and returns its number, or -1 if an option is out of range or contradicts another.
/// With `edge` other than 0, waiters claim their offers themselves.
#[wasm_bindgen]
pub fn pool_open(edge: u32) -> i32 {
    match Ledger::new(STAGED.get()) {
        Ok(ledger) => pools::insert(Entry::new(ledger, edge != 0)) as i32,
        Err(_) => -1,
    }
}

/// Says what chance is drawn from: the jitter of lifetimes and of the waits between creations. It
/// comes before the first creation, as a host may have nothing to draw from when it opens a pool.
#[wasm_bindgen]
pub fn seed(pool: u32, seed: f64) {
    pools::with(pool, (), |entry| entry.ledger.reseed(seed as u64));
}

/// Forgets a pool. Its number is not used again.
#[wasm_bindgen]
pub fn pool_drop(pool: u32) {
    pools::remove(pool);
}

/// Settles what is overdue. Like most that follow it answers a [status](DONE).
#[wasm_bindgen]
pub fn advance(pool: u32, now: f64) -> u32 {
    operate(pool, now, |_| true)
}

/// Leases an idle resource: twice its key, plus 1 if effects wait; or -1 if there is none or
/// somebody is queued, or -2 if there is none and effects wait.
#[wasm_bindgen]
pub fn try_acquire(pool: u32, now: f64) -> f64 {
    try_with(pool, now, Ledger::try_acquire)
}

/// Leases an idle resource by one operation of the ledger.
#[inline(always)]
pub(crate) fn try_with(
    pool: u32,
    now: f64,
    operation: impl FnOnce(&mut Ledger) -> Option<SlotKey>,
) -> f64 {
    pools::with(pool, NONE, |entry| {
        entry.tell_time(now);
        let slot = operation(&mut entry.ledger);
        match (slot, entry.ledger.has_effects()) {
            (Some(slot), effects) => pools::pack_lease(slot, effects),
            (None, false) => NONE,
            (None, true) => NONE_AND_EFFECTS,
        }
    })
}

/// Leases an idle resource, or queues the caller until `deadline`: the lease's key; or of the
/// waiter `-16 - 2 * key`, and 1 less if effects wait; or -1 (the queue is full), -2 (closed), -5
/// (it needs more than there may be), or -6 (creations keep failing; see [`retry_at`]). `priority`
/// is 0 for low up to 3 for urgent.
#[wasm_bindgen]
pub fn acquire(pool: u32, now: f64, deadline: f64, priority: u32, need: u32) -> f64 {
    acquire_as(pool, now, ask(deadline, priority, need))
}

/// What is asked for, by numbers.
#[inline(always)]
pub(crate) fn ask(deadline: f64, priority: u32, need: u32) -> Ask {
    let priority = match priority {
        0 => Priority::Low,
        1 => Priority::Normal,
        2 => Priority::High,
        _ => Priority::Urgent,
    };
    Ask { priority, need: need as u16, ..Ask::until(pools::time(deadline)) }
}

/// As [`acquire`] answers.
#[inline(always)]
pub(crate) fn acquire_as(pool: u32, now: f64, ask: Ask) -> f64 {
    pools::at(pool, now, CLOSED, |entry| match entry.ledger.acquire(ask) {
        Ok(Acquired::Leased(slot)) => pools::pack_slot(slot),
        Ok(Acquired::Waiting(waiter)) => {
            WAITER_BASE - pools::pack_waiter(waiter, entry.ledger.has_effects())
        }
        Err(Refused::Closed) => CLOSED,
        Err(Refused::UnknownTenant) => UNKNOWN_TENANT,
        Err(Refused::QueueFull) => QUEUE_FULL,
        Err(Refused::TenantQueueFull) => TENANT_QUEUE_FULL,
        Err(Refused::TooMany) => TOO_MANY,
        Err(Refused::Unavailable(_)) => UNAVAILABLE,
    })
}

/// Turns a waiter's offer into a lease: its key, or -3 if there is none yet, or -4 if the waiter is
/// not known any more. One that needs several claims as often.
#[wasm_bindgen]
pub fn claim(pool: u32, waiter: f64) -> f64 {
    pools::with(pool, UNKNOWN, |entry| match entry.ledger.claim(pools::unpack_waiter(waiter)) {
        Claim::Leased(slot) => pools::pack_slot(slot),
        Claim::Waiting => STILL_WAITING,
        Claim::Ended(_) | Claim::Unknown => UNKNOWN,
    })
}

/// Gives up a wait.
#[wasm_bindgen]
pub fn cancel(pool: u32, now: f64, waiter: f64) -> u32 {
    operate(pool, now, |entry| entry.ledger.cancel(pools::unpack_waiter(waiter)))
}

/// Takes a resource back in good order. If it `serves` and nothing follows but that one waiter of
/// process mode has that same resource next, that is done with it: the answer is then `-1 - key` of
/// the new lease, with the waiter's index in place of its own, and not a status.
#[wasm_bindgen]
pub fn release(pool: u32, now: f64, lease: f64, serves: bool) -> f64 {
    pools::with(pool, 0.0, |entry| {
        entry.tell_time(now);
        let key = pools::unpack_slot(lease);
        let done = entry.ledger.release(key);
        if serves
            && done
            && let Some(served) = entry.serve_only(key.index)
        {
            return -1.0 - served;
        }
        entry.status_inlined(done).into()
    })
}

/// Takes a damaged resource back, to be closed.
#[wasm_bindgen]
pub fn discard(pool: u32, now: f64, lease: f64) -> u32 {
    operate(pool, now, |entry| entry.ledger.discard(pools::unpack_slot(lease)))
}

/// Lets a resource leave the pool with its holder.
#[wasm_bindgen]
pub fn take(pool: u32, now: f64, lease: f64) -> u32 {
    operate(pool, now, |entry| entry.ledger.take(pools::unpack_slot(lease)))
}

/// Lets a lease live for `ttl` ms from now; infinity is for ever.
#[wasm_bindgen]
pub fn renew(pool: u32, now: f64, lease: f64, ttl: f64) -> u32 {
    operate(pool, now, |entry| entry.ledger.renew(pools::unpack_slot(lease), pools::duration(ttl)))
}

/// Begins the reset of a resource that comes back in good order: the key of the reset, or -1 if the
/// lease's key is stale.
#[wasm_bindgen]
pub fn begin_reset(pool: u32, now: f64, lease: f64) -> f64 {
    pools::at(pool, now, NONE, |entry| {
        entry.ledger.begin_reset(pools::unpack_slot(lease)).map_or(NONE, pools::pack_slot)
    })
}

/// Takes in how a reset went. Without [`DONE`] the resource is the caller's to close.
#[wasm_bindgen]
pub fn reset(pool: u32, now: f64, slot: f64, good: bool) -> u32 {
    operate(pool, now, |entry| entry.ledger.reset(pools::unpack_slot(slot), verdict(good)))
}

/// Takes in what a check said. Without [`DONE`] the resource is the caller's to close.
#[wasm_bindgen]
pub fn checked(pool: u32, now: f64, slot: f64, good: bool) -> u32 {
    operate(pool, now, |entry| entry.ledger.checked(pools::unpack_slot(slot), verdict(good)))
}

/// Takes in the resource that a creation gave; without [`DONE`] it is the caller's to close.
#[wasm_bindgen]
pub fn created(pool: u32, now: f64, slot: f64) -> u32 {
    operate(pool, now, |entry| entry.ledger.created(pools::unpack_slot(slot)))
}

/// Frees the place of a creation that failed. The status tells how many waiters end with its error.
#[wasm_bindgen]
pub fn create_failed(pool: u32, now: f64, slot: f64) -> u32 {
    pools::at(pool, now, 0, |entry| {
        let failed = entry.ledger.counters().failed;
        let done = entry.ledger.create_failed(pools::unpack_slot(slot));
        let ended = entry.ledger.counters().failed - failed;
        entry.status(done) | (ended as u32) << FAILED_SHIFT
    })
}

/// Frees the place of a resource that is closed now.
#[wasm_bindgen]
pub fn closed(pool: u32, now: f64, slot: f64) -> u32 {
    operate(pool, now, |entry| entry.ledger.closed(pools::unpack_slot(slot)))
}

/// Takes in a resource that came back from a job after that was given up, to have it closed: the
/// index of its place.
#[wasm_bindgen]
pub fn close_late(pool: u32, now: f64) -> i32 {
    pools::at(pool, now, -1, |entry| entry.ledger.close_late() as i32)
}

/// Takes in a resource that the caller holds already: its lease's key, or -1 if there is no room.
#[wasm_bindgen]
pub fn adopt(pool: u32) -> f64 {
    pools::with(pool, NONE, |entry| entry.ledger.adopt().map_or(NONE, pools::pack_slot))
}

/// Starts a creation that nobody waits for: its key, or -1 if there is no room or none may begin.
#[wasm_bindgen]
pub fn prepare(pool: u32, now: f64) -> f64 {
    pools::at(pool, now, NONE, |entry| entry.ledger.prepare().map_or(NONE, pools::pack_slot))
}

/// Takes a resource out of the idle ones, to be looked at: its key, or -1 if there is none.
#[wasm_bindgen]
pub fn look_at_idle(pool: u32) -> f64 {
    pools::with(pool, NONE, |entry| entry.ledger.look_at_idle().map_or(NONE, pools::pack_slot))
}

/// Takes a resource back that was looked at; one that is not kept is closed.
#[wasm_bindgen]
pub fn looked_at(pool: u32, now: f64, slot: f64, keep: bool) -> u32 {
    operate(pool, now, |entry| entry.ledger.looked_at(pools::unpack_slot(slot), keep))
}

/// Changes `max`. Not [`DONE`] if it is 0 or less than `min_idle`.
#[wasm_bindgen]
pub fn resize(pool: u32, now: f64, max: u32) -> u32 {
    operate(pool, now, |entry| entry.ledger.resize(max).is_ok())
}

/// Changes `min_idle`. Not [`DONE`] if it is more than `max`.
#[wasm_bindgen]
pub fn set_min_idle(pool: u32, now: f64, min_idle: u32) -> u32 {
    operate(pool, now, |entry| entry.ledger.set_min_idle(min_idle).is_ok())
}

/// Does to the pool as a whole what the number says: 0 fills it up to `min_idle`, 1 pauses, 2
/// resumes, 3 invalidates all that there is, 4 closes.
#[wasm_bindgen]
pub fn manage(pool: u32, now: f64, what: u32) -> u32 {
    operate(pool, now, |entry| {
        let ledger = &mut entry.ledger;
        match what {
            0 => ledger.fill(),
            1 => ledger.pause(),
            2 => ledger.resume(),
            3 => ledger.invalidate_all(),
            _ => ledger.close(),
        }
        true
    })
}

/// Takes the next effect: its kind times 2^20 plus an index, or -1 if there is none, or -2 if there
/// is none and the next operation depends on the time.
#[wasm_bindgen]
pub fn next_effect(pool: u32) -> i32 {
    pools::with(pool, -1, |entry| match entry.next_effect() {
        Some(told) => {
            TOLD.set((told.key, told.detail));
            (told.kind << 20 | told.index) as i32
        }
        None => -1 - i32::from(entry.ledger.needs_clock_now()),
    })
}

/// Returns the key that belongs to the effect taken last.
#[wasm_bindgen]
pub fn effect_key() -> f64 {
    TOLD.get().0
}

/// Returns what else there is to tell of the effect taken last: why a resource leaves, whether a
/// job was overdue, how many callers were before one whose time passed.
#[wasm_bindgen]
pub fn effect_detail() -> u32 {
    TOLD.get().1
}

/// Returns when something expires next, in ms; infinity if nothing does.
#[wasm_bindgen]
pub fn next_deadline(pool: u32) -> f64 {
    pools::with(pool, f64::INFINITY, |entry| {
        entry.ledger.next_deadline().map_or(f64::INFINITY, pools::to_ms)
    })
}

/// Returns when the next creation may begin, in ms; -1 if none is held back.
#[wasm_bindgen]
pub fn retry_at(pool: u32) -> f64 {
    pools::with(pool, -1.0, |entry| entry.ledger.retry_at().map_or(-1.0, pools::to_ms))
}

/// Returns a gauge by its place in `edgepool::ledger::Gauges`.
#[wasm_bindgen]
pub fn gauge(pool: u32, which: u32) -> u32 {
    pools::with(pool, 0, |entry| {
        let gauges = entry.ledger.gauges();
        // SAFETY: it is laid out as it stands there, and of numbers alone.
        let all = unsafe { core::mem::transmute::<Gauges, [u32; size_of::<Gauges>() / 4]>(gauges) };
        all.get(which as usize).copied().unwrap_or(0)
    })
}

/// Returns a counter by its place in `edgepool::ledger::Counters`.
#[wasm_bindgen]
pub fn counter(pool: u32, which: u32) -> f64 {
    pools::with(pool, 0.0, |entry| {
        let counters = entry.ledger.counters();
        // SAFETY: it is laid out as it stands there, and of numbers alone.
        let all =
            unsafe { core::mem::transmute::<Counters, [u64; size_of::<Counters>() / 8]>(counters) };
        all.get(which as usize).map_or(0.0, |&count| count as f64)
    })
}

/// Returns a figure of a histogram, in ms where it is a time: its count, mean, 50th, 90th and 99th
/// percentile, and maximum. `holds` chooses the times of leases, else it is those of waits.
#[wasm_bindgen]
pub fn times(pool: u32, holds: bool, which: u32) -> f64 {
    pools::with(pool, 0.0, |entry| {
        let times = if holds { entry.ledger.holds() } else { entry.ledger.waits() };
        if which == 0 { times.count() as f64 } else { figure(times, which) }
    })
}

fn figure(times: &Histogram, which: u32) -> f64 {
    let time = match which {
        1 => times.mean(),
        2 => times.percentile(50.0),
        3 => times.percentile(90.0),
        4 => times.percentile(99.0),
        _ => times.max(),
    };
    time.map_or(0.0, |time| pools::to_ms(Time::ZERO.saturating_add(time)))
}

/// Returns what is known of the resource under this key: 0 is its number, 1 when it was made, 2 how
/// often it was lent, 3 when it came back last, 4 since when it is lent, 5 how long its present or
/// last holder waited for it; times in ms. It is NaN if that is not known, or the key is stale.
#[wasm_bindgen]
pub fn info(pool: u32, slot: f64, which: u32) -> f64 {
    let key = pools::unpack_slot(slot);
    pools::with(pool, f64::NAN, |entry| {
        let Some(info) = entry.ledger.info(key) else { return f64::NAN };
        match which {
            0 => info.id as f64,
            1 => pools::to_ms(info.born),
            2 => info.uses as f64,
            3 => info.last_used.map_or(f64::NAN, pools::to_ms),
            5 => pools::to_ms(Time::ZERO.saturating_add(info.waited)),
            _ => entry.ledger.held(key).map_or(f64::NAN, |held| {
                let since = entry.ledger.now().as_nanos() - held.as_nanos() as u64;
                pools::to_ms(Time::from_nanos(since))
            }),
        }
    })
}

/// Checks the ledger: 0, or the number of the invariant that does not hold.
#[cfg(feature = "invariants")]
#[wasm_bindgen]
pub fn check(pool: u32) -> u32 {
    let violation = |entry: &mut Entry| entry.ledger.check().err();
    pools::with(pool, None, violation).map_or(0, |violation| violation.invariant.into())
}

const fn verdict(good: bool) -> Verdict {
    if good { Verdict::Good } else { Verdict::Bad }
}

pub(crate) fn operate(pool: u32, now: f64, operation: impl FnOnce(&mut Entry) -> bool) -> u32 {
    pools::at(pool, now, 0, |entry| {
        let done = operation(entry);
        entry.status(done)
    })
}
