//! Sequences of operations that failed once, as proptest made them small.

use super::{Back, Op, beside_the_model, keeps_invariants};
use Op::{
    Acquire, AdoptFor, Advance, Answer, Answered, Cancel, Claim, EndLease, EndWaits, GiveBack,
    InvalidateAll, OpenTenant, Resize, SetMinIdle, SetShare, TryAcquire,
};
use Priority::{High, Normal};
use SlotState::{Closing, Creating, Resetting};
use Verdict::{Bad, Good, Lost};
use edgepool::ledger::{Backoff, Options, Priority, Reuse, Share, Verdict};
use std::time::Duration;

use super::model::SlotState;

/// What a sequence does not tell.
fn of(max: u32) -> Options {
    Options { max_waiting: 0, lifetime_jitter: 0, ageing: None, ..Options::new(max) }
}

const fn nanos(nanos: u64) -> Option<Duration> {
    Some(Duration::from_nanos(nanos))
}

const fn ask(patience: Option<u8>) -> Op {
    Acquire { patience, priority: Normal, need: 1, tenant: None }
}

fn again(options: Options, ops: &[Op]) {
    beside_the_model(options, ops.iter().copied());
    keeps_invariants(options, ops.iter().copied());
}

#[test]
fn sequence_1() {
    let options = Options {
        offer_timeout: nanos(3_104_729),
        check_timeout: nanos(4_415_823),
        check_after: nanos(6_000_000),
        ..of(2)
    };
    again(
        options,
        &[
            ask(Some(0)),
            Advance(1),
            ask(None),
            ask(None),
            Answer(0, Good),
            Answer(0, Good),
            Cancel(2),
            ask(None),
            ask(None),
            Cancel(8),
            Advance(8),
            Answer(2, Good),
            ask(None),
            Resize(3),
            ask(None),
            Advance(3),
            ask(None),
            Resize(2),
        ],
    );
}

#[test]
fn sequence_2() {
    let options = Options {
        min_idle: 1,
        idle_timeout: nanos(17_750_019),
        check_after: nanos(6_000_000),
        ..of(3)
    };
    again(
        options,
        &[
            ask(None),
            ask(None),
            TryAcquire,
            Resize(2),
            Answer(0, Good),
            Cancel(0),
            ask(Some(0)),
            ask(None),
            Answer(0, Good),
            Advance(6),
            ask(Some(0)),
            Advance(12),
            Answer(0, Good),
        ],
    );
}

#[test]
fn sequence_3() {
    let options =
        Options { offer_timeout: nanos(3_104_729), check_after: nanos(6_000_000), ..of(2) };
    again(
        options,
        &[
            ask(None),
            ask(None),
            Answer(0, Good),
            SetMinIdle(1),
            Advance(2),
            Answer(0, Bad),
            Answer(0, Good),
            Advance(5),
        ],
    );
}

#[test]
fn sequence_4() {
    let options = Options {
        max_waiting: 3,
        offer_timeout: nanos(3_104_729),
        create_timeout: nanos(5_611_953),
        idle_timeout: nanos(17_750_019),
        max_lifetime: nanos(53_900_001),
        check_interval: nanos(13_500_009),
        backoff: Some(Backoff {
            base: Duration::from_nanos(4_000_000),
            cap: Duration::from_nanos(20_000_000),
        }),
        seed: 7418563783362929591,
        ..of(2)
    };
    again(
        options,
        &[
            ask(None),
            Advance(0),
            ask(None),
            ask(None),
            ask(None),
            Advance(13),
            Resize(3),
            ask(None),
            ask(None),
            Answer(0, Good),
            Answer(0, Good),
            Advance(18),
            ask(None),
            ask(None),
            ask(None),
            Answer(0, Good),
            Answer(2, Good),
            ask(None),
            Acquire { patience: None, priority: High, need: 2, tenant: None },
            Answer(0, Good),
            ask(None),
            InvalidateAll,
            Advance(6),
        ],
    );
}

#[test]
fn sequence_5() {
    let options = Options {
        max_waiting: 2,
        reuse: Reuse::Fifo,
        offer_timeout: nanos(3_104_729),
        check_interval: nanos(13_500_009),
        max_checks: 2,
        ..of(4)
    };
    again(
        options,
        &[
            ask(Some(0)),
            ask(None),
            ask(Some(0)),
            ask(None),
            ask(None),
            Answer(0, Bad),
            Answer(0, Bad),
            ask(None),
            ask(None),
            ask(None),
            Answered(0, Creating, Good),
            Answer(9, Good),
            ask(None),
            ask(None),
            ask(None),
            Cancel(5),
            EndLease(0, Back::Released),
            ask(None),
            ask(None),
            ask(None),
            ask(None),
            Answer(0, Good),
            Cancel(0),
            Answer(0, Good),
            Acquire { patience: None, priority: Normal, need: 3, tenant: None },
            Advance(1),
            ask(None),
            ask(None),
            ask(None),
            Advance(21),
        ],
    );
}

#[test]
fn sequence_6() {
    let options = Options { min_idle: 1, max_lifetime: nanos(53_900_001), ..of(1) };
    again(
        options,
        &[
            ask(None),
            Answered(0, Creating, Good),
            Advance(10),
            Advance(6),
            Advance(27),
            Advance(1),
            Advance(5),
            Cancel(0),
            ask(None),
        ],
    );
}

#[test]
fn sequence_7() {
    let options = Options { check_after: nanos(0), check_interval: nanos(13_500_009), ..of(2) };
    again(
        options,
        &[
            ask(None),
            ask(Some(0)),
            Answer(2, Good),
            EndLease(0, Back::Released),
            EndLease(0, Back::Released),
            ask(None),
            Claim(1),
            Advance(0),
            GiveBack(0, Back::Reset),
            ask(None),
            Answered(4, Resetting, Good),
        ],
    );
}

#[test]
fn sequence_8() {
    let options = Options {
        offer_timeout: nanos(3_104_729),
        close_timeout: nanos(7_350_377),
        check_interval: nanos(13_500_009),
        ..of(2)
    };
    again(
        options,
        &[
            ask(None),
            Answer(0, Good),
            Advance(2),
            Advance(2),
            Acquire { patience: None, priority: Normal, need: 2, tenant: None },
            Answer(0, Good),
            Advance(15),
        ],
    );
}

#[test]
fn sequence_9() {
    let options = Options { min_idle: 1, idle_timeout: nanos(17_750_019), ..of(3) };
    again(
        options,
        &[
            ask(Some(0)),
            Answer(0, Good),
            Advance(18),
            Acquire { patience: Some(0), priority: Normal, need: 2, tenant: None },
            Answer(0, Good),
            Advance(1),
        ],
    );
}

#[test]
fn sequence_10() {
    let options = Options {
        min_idle: 2,
        check_after: nanos(0),
        check_interval: nanos(13_500_009),
        backoff: Some(Backoff {
            base: Duration::from_nanos(4_000_000),
            cap: Duration::from_nanos(20_000_000),
        }),
        ..of(2)
    };
    again(
        options,
        &[
            ask(None),
            Answer(0, Good),
            TryAcquire,
            Claim(0),
            EndLease(9, Back::Released),
            Advance(14),
            Answer(7, Good),
            ask(None),
            GiveBack(0, Back::Released),
            ask(None),
        ],
    );
}

#[test]
fn sequence_11() {
    let options = Options {
        reuse: Reuse::Fifo,
        lease_ttl: nanos(11_224_737),
        create_timeout: nanos(5_611_953),
        reset_timeout: nanos(6_127_031),
        check_after: nanos(6_000_000),
        check_interval: nanos(13_500_009),
        backoff: Some(Backoff {
            base: Duration::from_nanos(4_000_000),
            cap: Duration::from_nanos(20_000_000),
        }),
        breaker: Some(1),
        seed: 7751982376440342783,
        ..of(1)
    };
    again(
        options,
        &[
            Resize(3),
            ask(None),
            SetMinIdle(3),
            Answer(0, Bad),
            Answer(0, Good),
            Answer(2, Good),
            ask(None),
            ask(None),
            Answer(0, Good),
            GiveBack(0, Back::Reset),
            Answer(0, Lost),
            Advance(0),
            Advance(25),
            Answered(2, Closing, Good),
            Advance(8),
            Answer(8, Good),
            Answered(0, Creating, Good),
            Advance(14),
            Advance(12),
            Answer(0, Good),
            Answer(0, Good),
            Advance(12),
            Answer(0, Good),
            ask(None),
            Advance(2),
        ],
    );
}

/// A caller of the tenant that was opened last.
const fn ask_for(need: u16) -> Op {
    Acquire { patience: None, priority: Normal, need, tenant: Some(0) }
}

const fn of_tenant(number: usize, need: u16) -> Op {
    Acquire { patience: None, priority: Normal, need, tenant: Some(number) }
}

const fn share(weight: u32, max: Option<u32>) -> Share {
    Share { weight, max, max_waiting: None }
}

fn with_line(max: u32) -> Options {
    Options { max_waiting: 9, offer_timeout: nanos(3_104_729), ..of(max) }
}

#[test]
fn a_tenant_at_its_cap_has_its_turn_again_before_what_it_gives_back_goes_on() {
    let lent = [OpenTenant(share(1, Some(1))), ask_for(1), Answer(0, Good), Claim(0)];
    let others = [ask_for(1), ask(None), ask(None), ask(None), Answer(0, Good), Claim(2)];
    again(with_line(2), &[&lent[..], &others, &[GiveBack(0, Back::Released)]].concat());
}

#[test]
fn a_tenant_keeps_its_turn_when_who_gathers_for_it_leaves() {
    let open = OpenTenant(share(1, Some(2)));
    again(with_line(3), &[open, ask_for(2), ask_for(2), ask(None), Answer(0, Good), Cancel(2)]);
}

#[test]
fn a_tenant_keeps_its_turn_when_an_offer_is_missed_that_left_it_little_room() {
    let offered = [OpenTenant(share(3, Some(3))), ask_for(2), Answer(0, Good), Answer(0, Good)];
    again(with_line(2), &[&offered[..], &[ask_for(1), ask(None), Advance(4)]].concat());
}

#[test]
fn who_misses_an_offer_of_more_than_its_tenant_may_have_by_then_is_not_queued_again() {
    let offered = [OpenTenant(share(1, None)), ask_for(2), Answer(0, Good), Answer(0, Good)];
    let lowered = [SetShare(0, share(1, Some(1))), Advance(4)];
    again(with_line(2), &[&offered[..], &lowered].concat());
}

#[test]
fn nothing_is_offered_to_one_whose_wait_ends_with_those_of_its_tenant() {
    let open = OpenTenant(share(1, None));
    again(with_line(2), &[open, ask_for(2), ask_for(1), Answer(0, Good), EndWaits(0)]);
    let offered = [OpenTenant(share(1, Some(2))), ask_for(1), Answer(0, Good)];
    let blocked = [ask(None), Answer(0, Good), Claim(0), ask_for(2), ask_for(1)];
    let freed = [GiveBack(0, Back::Released), EndWaits(0)];
    again(with_line(2), &[&offered[..], &blocked, &freed].concat());
}

#[test]
fn who_gathers_for_a_tenant_makes_way_when_the_tenant_brings_one_of_its_own() {
    let gathers = [OpenTenant(share(1, Some(2))), ask_for(2), ask(None), Answer(0, Good)];
    again(with_line(4), &[&gathers[..], &[AdoptFor(0)]].concat());
}

#[test]
fn a_tenant_whose_first_needs_too_much_by_now_has_its_turn_behind_those_due_with_it() {
    let queued = [OpenTenant(share(1, None)), ask(None), ask(None), ask_for(3), ask_for(1)];
    let options = Options { max_waiting: 1, create_timeout: nanos(5_611_953), ..of(3) };
    let lowered = [ask(None), SetShare(0, share(1, Some(1)))];
    again(options, &[&queued[..3], &[Advance(6)], &queued[3..], &lowered].concat());
}

#[test]
fn a_pool_that_shrinks_closes_what_is_idle_before_it_ends_waits() {
    // The one that needs three is held up by what its tenant has, so one is idle.
    let offered = [ask(None), Answer(0, Good), Claim(0), ask_for(1), Answer(0, Good)];
    let held_up = [ask_for(3), ask_for(1), GiveBack(0, Back::Released), Resize(1)];
    let options = Options { offer_timeout: None, ..with_line(3) };
    again(options, &[&[OpenTenant(share(1, Some(3)))], &offered[..], &held_up].concat());
}

#[test]
fn a_pool_that_shrinks_ends_the_latest_waits_first() {
    let open = OpenTenant(share(3, None));
    let one = |number| of_tenant(number, 1);
    // Tenants are numbered from the one that was opened last.
    let queued = [open, open, one(0), one(0), of_tenant(0, 2), open, Answer(0, Good), one(2)];
    let again_queued = [Answer(0, Bad), Answer(0, Good), of_tenant(2, 2)];
    let options = Options { max_waiting: 2, create_timeout: nanos(5_611_953), ..with_line(2) };
    let after = [Resize(1), one(0), ask(None), Advance(10)];
    again(options, &[&queued[..], &again_queued, &after].concat());
}
