//! The integer exports of tenants, driven as the JavaScript shell drives them.
#![cfg(target_family = "wasm")]

mod common;

use common::{MAX, NEVER, open_with};
use edgepool_wasm::exports::*;
use edgepool_wasm::tenants::*;
use wasm_bindgen_test::wasm_bindgen_test;

const NORMAL: u32 = 1;
const IN_USE: u32 = 0;
const WAITING: u32 = 1;
const ACQUIRED: u32 = 2;
const ENDED: u32 = 8;
const LONGEST_WAIT: u32 = 10;
/// How many entries keys tell apart.
const INDEXES: f64 = 1_048_576.0;

/// A pool of so many resources that are idle.
fn open(max: u32) -> u32 {
    let pool = open_with(0, &[(MAX, max.into())]);
    let waiters: Vec<f64> = (0..max).map(|_| acquire(pool, 0.0, NEVER, NORMAL, 1)).collect();
    assert!(waiters.iter().all(|&waiter| waiter <= -16.0));
    let keys: Vec<f64> = (0..max).map(|_| effect(pool, 9)).collect();
    for key in keys {
        created(pool, 0.0, key);
        let lease = effect(pool, 0);
        give_back(pool, 0.0, lease);
    }
    pool
}

/// Takes an effect that must be of this kind, and returns its key.
fn effect(pool: u32, kind: i32) -> f64 {
    let told = next_effect(pool);
    assert_eq!(told >> 20, kind);
    effect_key()
}

/// A tenant's entry, and which tenant of that entry it is.
fn open_one(pool: u32, max: f64, max_waiting: f64) -> (u32, u32) {
    let tenant = open_tenant(pool, 0.0, 1, max, max_waiting);
    assert!(tenant >= 0.0);
    ((tenant % INDEXES) as u32, (tenant / INDEXES) as u32)
}

fn give_back(pool: u32, now: f64, lease: f64) -> u32 {
    release(pool, now, lease, false) as u32
}

#[wasm_bindgen_test]
fn a_tenant_has_its_max_and_its_line() {
    let pool = open(2);
    let one = open_one(pool, 1.0, 1.0);
    let lease = try_acquire_for(pool, 0.0, one.0, one.1);
    assert!(lease >= 0.0);
    assert_eq!(try_acquire_for(pool, 0.0, one.0, one.1), -1.0, "it has its max");
    assert_eq!(
        acquire_for(pool, 0.0, one.0, one.1, NEVER, NORMAL, 2),
        -5.0,
        "more than it may have"
    );
    assert!(acquire_for(pool, 0.0, one.0, one.1, NEVER, NORMAL, 1) <= -16.0);
    assert_eq!(acquire_for(pool, 0.0, one.0, one.1, NEVER, NORMAL, 1), -7.0, "its line is full");
    assert!(try_acquire(pool, 0.0) >= 0.0, "nobody's caller has the other one");
    assert_eq!(
        [IN_USE, WAITING, ACQUIRED].map(|which| tenant(pool, one.0, one.1, which)),
        [1.0, 1.0, 1.0]
    );
    assert_eq!(give_back(pool, 5.0, lease / 2.0) & EFFECTS, EFFECTS);
    effect(pool, 0);
    assert_eq!(
        [IN_USE, WAITING, ACQUIRED].map(|which| tenant(pool, one.0, one.1, which)),
        [1.0, 0.0, 2.0]
    );
    assert_eq!(tenant(pool, one.0, one.1, LONGEST_WAIT), 5.0);
}

#[wasm_bindgen_test]
fn waits_end_with_their_tenant() {
    let pool = open(1);
    let one = open_one(pool, NEVER, NEVER);
    let lease = try_acquire(pool, 0.0) / 2.0;
    assert!(acquire_for(pool, 0.0, one.0, one.1, NEVER, NORMAL, 1) <= -16.0);
    assert_eq!(end_waits(pool, 0.0, one.0, one.1) & (DONE | EFFECTS), DONE | EFFECTS);
    effect(pool, 8);
    assert_eq!(tenant(pool, one.0, one.1, ENDED), 1.0);
    assert_eq!(close_tenant(pool, 0.0, one.0, one.1) & DONE, DONE);
    for status in [
        close_tenant(pool, 0.0, one.0, one.1),
        end_waits(pool, 0.0, one.0, one.1),
        set_share(pool, 0.0, one.0, one.1, 1, NEVER, NEVER),
    ] {
        assert_eq!(status & DONE, 0, "the key is stale");
    }
    assert!(tenant(pool, one.0, one.1, IN_USE).is_nan());
    assert_eq!(acquire_for(pool, 0.0, one.0, one.1, NEVER, NORMAL, 1), -8.0);
    assert_eq!(adopt_for(pool, one.0, one.1), -1.0);
    assert_eq!(give_back(pool, 0.0, lease) & DONE, DONE);
}

#[wasm_bindgen_test]
fn a_tenant_that_is_closed_leaves_its_entry_to_the_next() {
    let pool = open(1);
    let one = open_one(pool, NEVER, NEVER);
    assert_eq!(close_tenant(pool, 0.0, one.0, one.1) & DONE, DONE);
    let next = open_one(pool, NEVER, NEVER);
    assert_ne!(next, one, "the old key is stale");
    assert_eq!(next.0, one.0);
}

#[wasm_bindgen_test]
fn a_share_out_of_range_is_none() {
    let pool = open(1);
    assert_eq!(open_tenant(pool, 0.0, 0, NEVER, NEVER), -1.0);
    assert_eq!(open_tenant(pool, 0.0, 1_000_001, NEVER, NEVER), -1.0);
    assert_eq!(open_tenant(pool, 0.0, 1, 0.0, NEVER), -1.0);
    let one = open_one(pool, NEVER, NEVER);
    assert_eq!(set_share(pool, 0.0, one.0, one.1, 0, NEVER, NEVER) & DONE, 0);
    assert_eq!(set_share(pool, 0.0, one.0, one.1, 2, 1.0, 0.0) & DONE, DONE);
    assert_eq!(
        acquire_for(pool, 0.0, one.0, one.1, NEVER, NORMAL, 2),
        -5.0,
        "the max is what was set"
    );
}

#[wasm_bindgen_test]
fn leases_are_adopted_for_their_tenant() {
    let pool = open_with(0, &[(MAX, 3.0)]);
    let one = open_one(pool, 1.0, NEVER);
    let leases = [adopt_for(pool, one.0, one.1), adopt_for(pool, one.0, one.1)];
    assert!(leases.iter().all(|&lease| lease >= 0.0), "though it may have one");
    assert_eq!(tenant(pool, one.0, one.1, IN_USE), 2.0);
    assert_eq!(give_back(pool, 0.0, leases[0]) & DONE, DONE);
    assert_eq!(try_acquire_for(pool, 0.0, one.0, one.1), -1.0, "it has its max");
    assert_eq!(give_back(pool, 0.0, leases[1]) & DONE, DONE);
    assert!(try_acquire_for(pool, 0.0, one.0, one.1) >= 0.0);
}

#[wasm_bindgen_test]
fn an_unknown_pool_has_no_tenants() {
    assert_eq!(open_tenant(1_000_000, 0.0, 1, NEVER, NEVER), -1.0);
    assert_eq!(try_acquire_for(1_000_000, 0.0, 1, 1), -1.0);
    assert_eq!(acquire_for(1_000_000, 0.0, 1, 1, NEVER, NORMAL, 1), -2.0);
    assert!(tenant(1_000_000, 1, 1, IN_USE).is_nan());
}
