//! The integer exports, driven as the JavaScript shell drives them.
#![cfg(target_family = "wasm")]

mod common;

use common::{MAX, NEVER, open_with};
use edgepool_wasm::exports::*;
use wasm_bindgen_test::wasm_bindgen_test;

/// The clock was not read.
const UNREAD: f64 = -1.0;
const NORMAL: u32 = 1;
/// The low bits of a key.
const INDEX_MASK: u64 = 0xf_ffff;

const MAX_WAITING: u32 = 2;
const OFFER_TIMEOUT: u32 = 4;
const LEASE_TTL: u32 = 5;
const CHECK_AFTER: u32 = 14;
const BACKOFF_BASE: u32 = 17;
const BACKOFF_CAP: u32 = 18;
const BREAKER: u32 = 19;
const HOLD_TIMES: u32 = 22;
const LEASED: i32 = 0;
const OFFERED: i32 = 1;
const TIMED_OUT: i32 = 2;
const CREATE_FAILED: i32 = 4;
const CREATE: i32 = 9;
const CHECK: i32 = 10;
const CLOSE: i32 = 11;
const DRAINED: i32 = 14;

fn open(max: u32) -> u32 {
    open_with(0, &[(MAX, max.into())])
}

fn ask(pool: u32, deadline: f64) -> f64 {
    acquire(pool, 0.0, deadline, NORMAL, 1)
}

/// The key of a waiter, by the answer to its acquire.
fn waiter(answer: f64) -> f64 {
    assert!(answer <= -16.0);
    ((-16.0 - answer) / 2.0).floor()
}

/// Takes an effect that must be of this kind, and returns its key.
fn effect(pool: u32, kind: i32) -> f64 {
    let told = next_effect(pool);
    assert_eq!(told >> 20, kind);
    effect_key()
}

/// Releases, and serves nobody with it.
fn give_back(pool: u32, now: f64, lease: f64) -> u32 {
    release(pool, now, lease, false) as u32
}

/// Acquires on an empty pool of process mode, and makes the resource.
fn first_lease(pool: u32) -> f64 {
    assert!(ask(pool, NEVER) <= -16.0);
    let slot = effect(pool, CREATE);
    assert_eq!(created(pool, UNREAD, slot), DONE | EFFECTS);
    effect(pool, LEASED)
}

#[wasm_bindgen_test]
fn a_lease_goes_round() {
    let pool = open(2);
    let lease = first_lease(pool);
    assert_eq!(give_back(pool, UNREAD, lease), DONE);
    assert_eq!(give_back(pool, UNREAD, lease), 0, "the second release is stale");
    let again = try_acquire(pool, UNREAD);
    assert!(again >= 0.0 && again % 2.0 == 0.0, "no effects wait");
    let again = again / 2.0;
    assert!(again != lease, "the same place under another key");
    assert_eq!(again as u64 & 0xf_ffff, lease as u64 & 0xf_ffff);
    assert_eq!(try_acquire(pool, UNREAD), -1.0);
}

#[wasm_bindgen_test]
fn process_mode_claims_in_the_same_step() {
    let pool = open(1);
    let lease = first_lease(pool);
    assert!(ask(pool, NEVER) <= -16.0);
    assert!(next_effect(pool) < 0);
    assert_eq!(give_back(pool, UNREAD, lease), DONE | EFFECTS);
    assert!(effect(pool, LEASED) >= 0.0);
    assert!(next_effect(pool) < 0);
}

#[wasm_bindgen_test]
fn an_acquire_tells_whether_effects_wait() {
    let pool = open(1);
    let first = ask(pool, NEVER);
    assert_eq!(first % 2.0, -1.0, "a creation is to begin");
    let slot = effect(pool, CREATE);
    let second = ask(pool, NEVER);
    assert_eq!(second % 2.0, 0.0, "there is no room for another");
    created(pool, UNREAD, slot);
    assert_eq!(next_effect(pool), waiter(first) as i32 & 0xf_ffff, "the first is served");
    assert!(cancel(pool, UNREAD, waiter(second)) & DONE != 0);
}

#[wasm_bindgen_test]
fn a_resource_is_handed_on_in_one_call() {
    let pool = open(1);
    let lease = first_lease(pool);
    let waiter = waiter(ask(pool, NEVER)) as u64 & INDEX_MASK;
    assert_eq!(release(pool, UNREAD, lease + 1_048_576.0, true), 0.0, "it is another lease's key");
    let answer = -1.0 - release(pool, UNREAD, lease, true);
    assert_eq!(answer as u64 & INDEX_MASK, waiter);
    assert!(next_effect(pool) < 0, "the waiter is served");
    assert_eq!(release(pool, UNREAD, lease, true), 0.0, "it is over");
    let lease = ((answer as u64 & !INDEX_MASK) | (lease as u64 & INDEX_MASK)) as f64;
    assert_eq!(release(pool, UNREAD, lease, true), f64::from(DONE), "nobody waits");
    assert!(try_acquire(pool, UNREAD) >= 0.0);
}

#[wasm_bindgen_test]
fn whatever_else_follows_a_release_waits_as_an_effect() {
    let effects = f64::from(DONE | EFFECTS);
    let pool = open(1);
    let lease = first_lease(pool);
    ask(pool, 10.0);
    let next = waiter(ask(pool, NEVER)) as u64 & INDEX_MASK;
    assert_eq!(release(pool, 10.0, lease, true), effects, "the first ends at the same time");
    effect(pool, TIMED_OUT);
    assert_eq!(next_effect(pool) as u64, next);

    let pool = open_with(1, &[(MAX, 1.0)]);
    let waiter = waiter(ask(pool, NEVER));
    let slot = effect(pool, CREATE);
    created(pool, 0.0, slot);
    effect(pool, OFFERED);
    let lease = claim(pool, waiter);
    ask(pool, NEVER);
    assert_eq!(release(pool, 0.0, lease, true), effects, "on the edge a waiter claims for itself");
    effect(pool, OFFERED);
}

#[wasm_bindgen_test]
fn edge_mode_offers() {
    let limits = [(MAX, 1.0), (OFFER_TIMEOUT, 100.0), (LEASE_TTL, 300.0)];
    let pool = open_with(1, &limits);
    let waiter = waiter(ask(pool, NEVER));
    let slot = effect(pool, CREATE);
    created(pool, 0.0, slot);
    assert_eq!(claim(pool, waiter + 1_048_576.0), -4.0, "another waiter's key");
    effect(pool, OFFERED);
    let lease = claim(pool, waiter);
    assert!(lease >= 0.0);
    assert_eq!(claim(pool, waiter), -4.0);
    advance(pool, 299.0);
    assert_eq!(renew(pool, UNREAD, lease, 50.0), DONE | NEEDS_CLOCK);
    advance(pool, 348.0);
    assert!(next_effect(pool) < 0);
    advance(pool, 349.0);
    let slot = effect(pool, CLOSE);
    assert_eq!(effect_detail(), 9, "it leaves as expired");
    assert_eq!(give_back(pool, UNREAD, lease), 0, "it is retired");
    assert_eq!(closed(pool, UNREAD, slot), DONE);
}

#[wasm_bindgen_test]
fn deadlines_are_in_milliseconds() {
    let pool = open(1);
    first_lease(pool);
    acquire(pool, 1_000.5, 31_000.5, NORMAL, 1);
    assert_eq!(next_deadline(pool), 31_000.5);
    assert_eq!(advance(pool, 31_000.0), DONE | NEEDS_CLOCK);
    assert_eq!(next_effect(pool), -2, "there is none, and time counts");
    assert_eq!(advance(pool, 31_000.5), DONE | EFFECTS);
    effect(pool, TIMED_OUT);
    assert_eq!(next_deadline(pool), NEVER);
}

#[wasm_bindgen_test]
fn a_failed_creation_tells_how_many_waiters_hear_of_it() {
    let pool = open_with(0, &[(MAX, 1.0), (BACKOFF_BASE, 100.0), (BACKOFF_CAP, 1_000.0)]);
    let [_first, _second] = [ask(pool, NEVER), ask(pool, NEVER)];
    let slot = effect(pool, CREATE);
    let status = create_failed(pool, 0.0, slot);
    assert_eq!(status & (DONE | EFFECTS), DONE | EFFECTS);
    assert_eq!(status >> FAILED_SHIFT, 2, "nothing else could serve them");
    effect(pool, CREATE_FAILED);
    effect(pool, CREATE_FAILED);
    assert!((0.0..=100.0).contains(&retry_at(pool)), "the first back-off is at most its base");
    assert_eq!(create_failed(pool, UNREAD, slot) >> FAILED_SHIFT, 0);
}

#[wasm_bindgen_test]
fn several_are_claimed_one_by_one() {
    let pool = open(2);
    let waiter = waiter(acquire(pool, 0.0, NEVER, NORMAL, 2));
    for slot in [effect(pool, CREATE), effect(pool, CREATE)] {
        created(pool, UNREAD, slot);
    }
    let first = effect(pool, LEASED);
    let second = claim(pool, waiter);
    assert!(second >= 0.0 && second != first);
    assert_eq!(claim(pool, waiter), -4.0);
}

#[wasm_bindgen_test]
fn checks_and_resets_are_told() {
    let pool = open_with(0, &[(MAX, 1.0), (CHECK_AFTER, 0.0)]);
    let lease = first_lease(pool);
    let slot = begin_reset(pool, 0.0, lease);
    assert_eq!(begin_reset(pool, 0.0, lease), -1.0, "it has begun");
    assert_eq!(reset(pool, 0.0, slot, true), DONE);
    let lease = try_acquire(pool, 1.0) / 2.0;
    give_back(pool, 1.0, lease);
    assert_eq!(try_acquire(pool, 2.0), -2.0, "it is to be checked first");
    let slot = effect(pool, CHECK);
    assert_eq!(checked(pool, 2.0, slot, false), DONE | EFFECTS);
    effect(pool, CLOSE);
    assert_eq!(effect_detail(), 6, "it leaves as its check failed");
}

#[wasm_bindgen_test]
fn what_is_known_is_told() {
    let pool = open_with(0, &[(MAX, 1.0), (HOLD_TIMES, 1.0)]);
    let lease = first_lease(pool);
    advance(pool, 40.0);
    let told = [0, 1, 2, 4].map(|which| info(pool, lease, which));
    assert_eq!(told, [1.0, 0.0, 1.0, 0.0], "number, birth, uses, since when");
    assert!(info(pool, lease, 3).is_nan(), "it never came back");
    give_back(pool, 40.0, lease);
    assert!(info(pool, lease, 0).is_nan(), "the key is stale");
    assert_eq!([0, 5].map(|which| times(pool, true, which)), [1.0, 40.0]);
}

#[wasm_bindgen_test]
fn refusals_have_numbers() {
    set_option(MAX, 0.0);
    assert_eq!(pool_open(0), -1, "max 0");
    let pool = open_with(0, &[(MAX, 1.0), (MAX_WAITING, 0.0)]);
    first_lease(pool);
    assert_eq!(ask(pool, NEVER), -1.0, "the queue is full");
    assert_eq!(acquire(pool, 0.0, NEVER, NORMAL, 2), -5.0, "more than there may be");
    manage(pool, 0.0, 4);
    assert_eq!(ask(pool, NEVER), -2.0, "closed");
    let options = [(MAX, 1.0), (BACKOFF_BASE, 100.0), (BACKOFF_CAP, 100.0), (BREAKER, 1.0)];
    let pool = open_with(0, &options);
    ask(pool, NEVER);
    let slot = effect(pool, CREATE);
    create_failed(pool, 0.0, slot);
    assert_eq!(ask(pool, NEVER), -6.0, "the breaker is open");
}

#[wasm_bindgen_test]
fn a_closed_pool_tells_when_it_is_empty() {
    let pool = open(1);
    let lease = first_lease(pool);
    manage(pool, 0.0, 4);
    assert!(next_effect(pool) < 0);
    give_back(pool, 0.0, lease);
    let slot = effect(pool, CLOSE);
    closed(pool, 0.0, slot);
    effect(pool, DRAINED);
}

#[wasm_bindgen_test]
fn an_unknown_pool_does_nothing() {
    let pool = open(1);
    let lease = first_lease(pool);
    pool_drop(pool);
    for unknown in [pool, 1_000_000] {
        assert_eq!(give_back(unknown, UNREAD, lease), 0);
        assert_eq!(try_acquire(unknown, UNREAD), -1.0);
        assert_eq!(ask(unknown, NEVER), -2.0);
        assert_eq!(next_effect(unknown), -1);
        assert_eq!(gauge(unknown, 0), 0);
    }
    assert_ne!(open(1), pool, "numbers are not used again");
}
