//! What is tried: options of a pool, and operations on it, drawn by chance.

use std::time::Duration;

use edgepool::ledger::{Backoff, Options, Priority, Reuse, Share, Verdict};
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;

use super::model::SlotState;
use super::{Back, Op, ms};

fn op() -> impl Strategy<Value = Op> {
    use Priority::{High, Low, Normal, Urgent};
    let key = 0_usize..12;
    let priority =
        prop_oneof![5 => Just(Normal), 1 => Just(Low), 1 => Just(High), 1 => Just(Urgent)];
    let need = prop_oneof![9 => Just(1_u16), 2 => Just(2), 1 => 0_u16..5];
    let acquire = (weighted(0.7, 0_u8..40), priority, need, weighted(0.8, 0_usize..4));
    let acquire = acquire.prop_map(|(patience, priority, need, tenant)| Op::Acquire {
        patience,
        priority,
        need,
        tenant,
    });
    prop_oneof![
        16 => acquire,
        3 => Just(Op::TryAcquire),
        2 => (0_usize..4).prop_map(Op::TryAcquireFor),
        10 => key.clone().prop_map(Op::Claim),
        3 => key.clone().prop_map(Op::Cancel),
        3 => (key.clone(), back()).prop_map(|(n, back)| Op::EndLease(n, back)),
        8 => (key.clone(), back()).prop_map(|(n, back)| Op::GiveBack(n, back)),
        3 => (key.clone(), job(), verdict()).prop_map(|(n, job, v)| Op::Answered(n, job, v)),
        16 => (key.clone(), verdict()).prop_map(|(n, verdict)| Op::Answer(n, verdict)),
        12 => (0_u8..30).prop_map(Op::Advance),
        8 => operation(),
        4 => of_tenants(),
    ]
}

/// What is done to tenants.
fn of_tenants() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => share().prop_map(Op::OpenTenant),
        4 => (0_usize..4, share()).prop_map(|(n, share)| Op::SetShare(n, share)),
        2 => (0_usize..4).prop_map(Op::AdoptFor),
        2 => (0_usize..4).prop_map(Op::EndWaits),
        1 => (0_usize..4).prop_map(Op::CloseTenant),
    ]
}

fn share() -> impl Strategy<Value = Share> {
    let weight = prop_oneof![20 => 1_u32..5, 1 => Just(0)];
    let max = weighted(0.4, prop_oneof![20 => 1_u32..4, 1 => Just(0)]);
    (weight, max, weighted(0.3, 0_u32..4)).prop_map(|(weight, max, max_waiting)| Share {
        weight,
        max,
        max_waiting,
    })
}

/// Tenants that are there from the beginning, and what happens then.
pub(crate) fn sequence(most: usize) -> impl Strategy<Value = Vec<Op>> {
    (vec(share().prop_map(Op::OpenTenant), 0..4), vec(op(), 1..most))
        .prop_map(|(tenants, ops)| [tenants, ops].concat())
}

/// What an operator does, and what is rare.
fn operation() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => Just(Op::LookAtIdle),
        3 => (0_usize..12, any::<bool>()).prop_map(|(n, keep)| Op::LookedAt(n, keep)),
        1 => Just(Op::Adopt),
        2 => Just(Op::Fill),
        2 => Just(Op::Prepare),
        3 => Just(Op::PrepareDirectly),
        1 => Just(Op::CloseLate),
        2 => (0_u32..5).prop_map(Op::Resize),
        2 => (0_u32..4).prop_map(Op::SetMinIdle),
        1 => Just(Op::Pause),
        3 => Just(Op::Resume),
        1 => Just(Op::InvalidateAll),
        // A closed pool does little, so most sequences never close.
        1 => prop_oneof![4 => Just(Op::Resume), 1 => Just(Op::Close)],
    ]
}

fn back() -> impl Strategy<Value = Back> {
    prop_oneof![
        5 => Just(Back::Released),
        2 => Just(Back::Reset),
        1 => Just(Back::Discarded),
        1 => Just(Back::Taken),
        1 => Just(Back::Renewed),
    ]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![4 => Just(Verdict::Good), 1 => Just(Verdict::Bad), 1 => Just(Verdict::Lost)]
}

fn job() -> impl Strategy<Value = SlotState> {
    use SlotState::{Checking, Closing, Creating, Resetting};
    prop_oneof![Just(Creating), Just(Checking), Just(Resetting), Just(Closing)]
}

/// The times differ in their last digits, so that seldom two things expire at the same moment.
fn maybe(millis: u64, nanos: u64) -> impl Strategy<Value = Option<Duration>> {
    of(Just(ms(millis) + Duration::from_nanos(nanos)))
}

pub(crate) fn options() -> impl Strategy<Value = Options> {
    (sizes(), limits(), cares(), chances(), (any::<bool>(), any::<bool>())).prop_map(
        |(sizes, limits, cares, chances, (wait_times, hold_times))| {
            let (max, min_idle, max_waiting, reuse, max_uses, max_checks) = sizes;
            let (offer, lease, create, check, reset, close) = limits;
            let (idle_timeout, max_lifetime, check_after, check_interval, long_hold) = cares;
            let (lifetime_jitter, backoff, breaker, ageing, seed) = chances;
            Options {
                min_idle: min_idle.min(max),
                max_waiting,
                reuse,
                max_uses,
                max_checks,
                offer_timeout: offer,
                lease_ttl: lease,
                create_timeout: create,
                check_timeout: check,
                reset_timeout: reset,
                close_timeout: close,
                idle_timeout,
                max_lifetime,
                check_after,
                check_interval,
                long_hold,
                lifetime_jitter,
                backoff,
                breaker: breaker.filter(|_| backoff.is_some()),
                ageing,
                wait_times,
                hold_times,
                seed,
                ..Options::new(max)
            }
        },
    )
}

type Sizes = (u32, u32, u32, Reuse, Option<u64>, u32);

fn sizes() -> impl Strategy<Value = Sizes> {
    let reuse = prop_oneof![Just(Reuse::Lifo), Just(Reuse::Fifo)];
    let min_idle = prop_oneof![1 => Just(0), 1 => 0_u32..3];
    (1_u32..5, min_idle, 0_u32..6, reuse, weighted(0.3, 1_u64..4), 1_u32..3)
}

type Maybe = Option<Duration>;

fn limits() -> impl Strategy<Value = (Maybe, Maybe, Maybe, Maybe, Maybe, Maybe)> {
    let (create, check) = (maybe(5, 611_953), maybe(4, 415_823));
    let (reset, close) = (maybe(6, 127_031), maybe(7, 350_377));
    (maybe(3, 104_729), maybe(11, 224_737), create, check, reset, close)
}

fn cares() -> impl Strategy<Value = (Maybe, Maybe, Maybe, Maybe, Maybe)> {
    let check_after = weighted(0.4, prop_oneof![Just(Duration::ZERO), Just(ms(6))]);
    let (check_interval, long_hold) = (maybe(13, 500_009), maybe(8, 299_993));
    (maybe(17, 750_019), maybe(53, 900_001), check_after, check_interval, long_hold)
}

type Chances = (u8, Option<Backoff>, Option<u32>, Maybe, u64);

fn chances() -> impl Strategy<Value = Chances> {
    let backoff = of(Just(Backoff { base: ms(4), cap: ms(20) }));
    let jitter = prop_oneof![Just(0_u8), Just(10), 0_u8..101];
    (jitter, backoff, of(1_u32..4), of(Just(ms(5))), any::<u64>())
}
