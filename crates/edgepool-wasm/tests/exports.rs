//! The integer exports, driven as the JavaScript shell drives them.
#![cfg(target_family = "wasm")]

use edgepool_wasm::exports::*;
use wasm_bindgen_test::wasm_bindgen_test;

const NEVER: f64 = f64::INFINITY;
const DONE: u32 = 1;
const EFFECTS: u32 = 2;
const FAILED_A_WAITER: u32 = 4;

const LEASED: i32 = 0;
const OFFERED: i32 = 1;
const TIMED_OUT: i32 = 2;
const CREATE_FAILED: i32 = 4;
const CREATE: i32 = 7;
const CLOSE: i32 = 8;

fn open(max: u32, edge: u32) -> u32 {
    u32::try_from(pool_open(
        max,
        10,
        100.0,
        if edge == 1 { 300.0 } else { NEVER },
        NEVER,
        NEVER,
        edge,
    ))
    .unwrap()
}

/// Takes an effect that must be of this kind, and returns its key.
fn effect(pool: u32, kind: i32) -> f64 {
    let told = next_effect(pool);
    assert_eq!(told >> 20, kind);
    effect_key()
}

/// Acquires on an empty pool of process mode, and makes the resource.
fn first_lease(pool: u32) -> f64 {
    assert!(acquire(pool, NEVER) <= -16.0);
    let slot = effect(pool, CREATE);
    assert_eq!(created(pool, slot), DONE | EFFECTS);
    effect(pool, LEASED)
}

#[wasm_bindgen_test]
fn a_lease_goes_round() {
    let pool = open(2, 0);
    let lease = first_lease(pool);
    assert_eq!(release(pool, lease), DONE);
    assert_eq!(release(pool, lease), 0, "the second release is stale");
    let again = try_acquire(pool);
    assert!(again >= 0.0 && again != lease, "the same place under another key");
    assert_eq!(again as u64 & 0xf_ffff, lease as u64 & 0xf_ffff);
    assert_eq!(try_acquire(pool), -1.0);
}

#[wasm_bindgen_test]
fn process_mode_claims_in_the_same_step() {
    let pool = open(1, 0);
    let lease = first_lease(pool);
    assert!(acquire(pool, NEVER) <= -16.0);
    assert_eq!(next_effect(pool), -1);
    assert_eq!(release(pool, lease), DONE | EFFECTS);
    assert!(effect(pool, LEASED) >= 0.0);
    assert_eq!(next_effect(pool), -1);
}

#[wasm_bindgen_test]
fn edge_mode_offers() {
    let pool = open(1, 1);
    let waiter = -16.0 - acquire(pool, NEVER);
    let slot = effect(pool, CREATE);
    created(pool, slot);
    assert_eq!(claim(pool, waiter + 1_048_576.0), -4.0, "another waiter's key");
    effect(pool, OFFERED);
    let lease = claim(pool, waiter);
    assert!(lease >= 0.0);
    assert_eq!(claim(pool, waiter), -4.0);
    advance(pool, 299.0);
    assert_eq!(renew(pool, lease, 50.0), DONE);
    advance(pool, 348.0);
    assert_eq!(next_effect(pool), -1);
    advance(pool, 349.0);
    let slot = effect(pool, CLOSE);
    assert_eq!(release(pool, lease), 0, "it is retired");
    assert_eq!(closed(pool, slot), DONE);
}

#[wasm_bindgen_test]
fn deadlines_are_in_milliseconds() {
    let pool = open(1, 0);
    first_lease(pool);
    advance(pool, 1_000.5);
    acquire(pool, 31_000.5);
    assert_eq!(next_deadline(pool), 31_000.5);
    advance(pool, 31_000.0);
    assert_eq!(next_effect(pool), -1);
    advance(pool, 31_000.5);
    effect(pool, TIMED_OUT);
    assert_eq!(next_deadline(pool), NEVER);
}

#[wasm_bindgen_test]
fn a_failed_creation_says_whether_a_waiter_hears_of_it() {
    let pool = open(1, 0);
    acquire(pool, NEVER);
    let slot = effect(pool, CREATE);
    assert_eq!(create_failed(pool, slot), DONE | EFFECTS | FAILED_A_WAITER);
    effect(pool, CREATE_FAILED);
    assert_eq!(create_failed(pool, slot), 0);
}

#[wasm_bindgen_test]
fn refusals_have_numbers() {
    assert_eq!(pool_open(0, 10, NEVER, NEVER, NEVER, NEVER, 0), -1, "max 0");
    let pool = u32::try_from(pool_open(1, 0, NEVER, NEVER, NEVER, NEVER, 0)).unwrap();
    first_lease(pool);
    assert_eq!(acquire(pool, NEVER), -1.0, "the queue is full");
    close(pool);
    assert_eq!(acquire(pool, NEVER), -2.0, "closed");
}

#[wasm_bindgen_test]
fn an_unknown_pool_does_nothing() {
    let pool = open(1, 0);
    let lease = first_lease(pool);
    pool_drop(pool);
    for unknown in [pool, 1_000_000] {
        assert_eq!(release(unknown, lease), 0);
        assert_eq!(try_acquire(unknown), -1.0);
        assert_eq!(acquire(unknown, NEVER), -2.0);
        assert_eq!(next_effect(unknown), -1);
        assert_eq!(gauge(unknown, 0), 0);
    }
    assert_ne!(open(1, 0), pool, "numbers are not used again");
}
