//! What the module with tenants exports beyond the other one: tenants that share a pool, and their
//! callers. A tenant is a key, as a lease is, but told in two parts: as one number it would be too
//! great for a host that keeps small whole numbers beside others, and greater ones apart. An
//! operation on a key that is stale does nothing.

use edgepool::Time;
use edgepool::ledger::{Ask, Share, TenantKey};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::exports::{self, NONE};
use crate::pools;

/// Opens a tenant: its key, or -1 if the share is out of range, or there are as many tenants as
/// keys can tell apart. `max` and `max_waiting` are infinite where there is no limit.
#[wasm_bindgen]
pub fn open_tenant(pool: u32, now: f64, weight: u32, max: f64, max_waiting: f64) -> f64 {
    pools::at(pool, now, NONE, |entry| {
        let Ok(key) = entry.ledger.open_tenant(share(weight, max, max_waiting)) else {
            return NONE;
        };
        if pools::is_key(key.index) {
            return pools::pack(key.generation, key.index);
        }
        entry.ledger.close_tenant(key);
        NONE
    })
}

/// Changes what a tenant may have. Like the two that follow it answers a
/// [status](exports::DONE), which is not done if the share is out of range.
#[wasm_bindgen]
pub fn set_share(
    pool: u32,
    now: f64,
    index: u32,
    generation: u32,
    weight: u32,
    max: f64,
    max_waiting: f64,
) -> u32 {
    let (key, share) = (TenantKey { index, generation }, share(weight, max, max_waiting));
    exports::operate(pool, now, |entry| entry.ledger.set_share(key, share) == Ok(true))
}

/// Ends the waits of a tenant's callers.
#[wasm_bindgen]
pub fn end_waits(pool: u32, now: f64, index: u32, generation: u32) -> u32 {
    let key = TenantKey { index, generation };
    exports::operate(pool, now, |entry| entry.ledger.end_waits(key).is_some())
}

/// Refuses a tenant's callers from now on; its leases stay.
#[wasm_bindgen]
pub fn close_tenant(pool: u32, now: f64, index: u32, generation: u32) -> u32 {
    let key = TenantKey { index, generation };
    exports::operate(pool, now, |entry| entry.ledger.close_tenant(key))
}

/// As [`exports::try_acquire`], for a caller of a tenant.
#[wasm_bindgen]
pub fn try_acquire_for(pool: u32, now: f64, index: u32, generation: u32) -> f64 {
    let key = TenantKey { index, generation };
    exports::try_with(pool, now, |ledger| ledger.try_acquire_for(key))
}

/// As [`exports::acquire`], for a caller of a tenant; -7 if its own line is full, and -8 if it is
/// not known.
#[wasm_bindgen]
pub fn acquire_for(
    pool: u32,
    now: f64,
    index: u32,
    generation: u32,
    deadline: f64,
    priority: u32,
    need: u32,
) -> f64 {
    let ask = exports::ask(deadline, priority, need);
    exports::acquire_as(pool, now, Ask { tenant: Some(TenantKey { index, generation }), ..ask })
}

/// As [`exports::adopt`], for a lease of a tenant's.
#[wasm_bindgen]
pub fn adopt_for(pool: u32, index: u32, generation: u32) -> f64 {
    let key = TenantKey { index, generation };
    pools::with(pool, NONE, |entry| entry.ledger.adopt_for(key).map_or(NONE, pools::pack_slot))
}

/// Returns a figure of a tenant by its place in here, in ms where it is a time; NaN if the tenant is
/// not known.
#[wasm_bindgen]
pub fn tenant(pool: u32, index: u32, generation: u32, which: u32) -> f64 {
    pools::with(pool, f64::NAN, |entry| {
        let Some(stats) = entry.ledger.tenant(TenantKey { index, generation }) else {
            return f64::NAN;
        };
        let count = match which {
            0 => stats.in_use.into(),
            1 => stats.waiting.into(),
            2 => stats.acquired,
            3 => stats.released,
            4 => stats.timed_out,
            5 => stats.cancelled,
            6 => stats.failed,
            7 => stats.refused,
            8 => stats.ended,
            9 => return pools::to_ms(Time::ZERO.saturating_add(stats.total_wait)),
            10 => return pools::to_ms(Time::ZERO.saturating_add(stats.longest_wait)),
            _ => return pools::to_ms(stats.last_active),
        };
        count as f64
    })
}

fn share(weight: u32, max: f64, max_waiting: f64) -> Share {
    let limit = |count: f64| count.is_finite().then_some(count as u32);
    Share::new().weight(weight).max(limit(max)).max_waiting(limit(max_waiting))
}
