//! What must hold in every state, beyond what holds after each step: a stale key changes nothing,
//! and all who wait are served if all goes well from then on.

use super::super::timers::Target;
use super::settings::FOR_EVER;
use super::*;

/// Tries every operation with keys that it does not take: nothing may change.
pub(super) fn try_stale_keys(ledger: &Ledger, form_before: &[u8]) -> Result<(), String> {
    let mut after = ledger.clone();
    for (index, slot) in &ledger.store.slots {
        let key = ledger.store.slot_key(index as u32);
        let dead = SlotKey { generation: key.generation.wrapping_sub(1), ..key };
        for (op, takes) in SLOT_OPS {
            let keys = if takes(slot.state) { &[dead][..] } else { &[dead, key][..] };
            if let Some(key) = keys.iter().find(|&&key| op(&mut after, key)) {
                return Err(format!("{key:?} was taken while {:?}", slot.state));
            }
        }
    }
    for (index, _) in &ledger.store.waiters {
        let key = ledger.store.waiter_key(index as u32);
        let dead = WaiterKey { generation: key.generation.wrapping_sub(1), ..key };
        if after.claim(dead) != Claim::Unknown || after.cancel(dead) {
            return Err(format!("{dead:?} was taken"));
        }
    }
    let dead = TenantKey { index: 1, generation: 99 };
    let shared = after.set_share(dead, Share::new()) == Ok(true);
    let ended = after.end_waits(dead).is_some() || after.close_tenant(dead);
    if shared || ended || after.try_acquire_for(dead).is_some() {
        return Err(format!("{dead:?} was taken"));
    }
    after.check().map_err(|violation| violation.to_string())?;
    let same = *form(&after) == *form_before && after.effects.is_empty();
    if same { Ok(()) } else { Err("a stale key changed something".to_owned()) }
}

type SlotOp = (fn(&mut Ledger, SlotKey) -> bool, fn(SlotState) -> bool);

/// The operations on a place, and the states in which they take its key.
const SLOT_OPS: [SlotOp; 11] = {
    const LEASED: fn(SlotState) -> bool = |state| matches!(state, SlotState::Leased);
    const CREATING: fn(SlotState) -> bool = |state| matches!(state, SlotState::Creating);
    const CHECKING: fn(SlotState) -> bool = |state| matches!(state, SlotState::Checking);
    const RESETTING: fn(SlotState) -> bool = |state| matches!(state, SlotState::Resetting);
    const CLOSING: fn(SlotState) -> bool =
        |state| matches!(state, SlotState::Closing | SlotState::Retired);
    [
        (Ledger::release, LEASED),
        (Ledger::discard, LEASED),
        (Ledger::take, LEASED),
        (|ledger, key| ledger.renew(key, None), LEASED),
        (|ledger, key| ledger.begin_reset(key).is_some(), LEASED),
        (Ledger::created, CREATING),
        (Ledger::create_failed, CREATING),
        (|ledger, key| ledger.checked(key, Verdict::Bad), CHECKING),
        (|ledger, key| ledger.looked_at(key, false), CHECKING),
        (|ledger, key| ledger.reset(key, Verdict::Bad), RESETTING),
        (Ledger::closed, CLOSING),
    ]
};

/// Lets all go well from here on: everyone must be served, and then `max` must be obtainable.
pub(super) fn go_well(ledger: &Ledger) -> Result<(), String> {
    let mut ledger = ledger.clone();
    let waiting: Vec<u32> = ledger.store.waiters.iter().map(|(index, _)| index as u32).collect();
    for index in waiting {
        ledger.timers.clear(&mut ledger.store, Target::Waiter(index));
    }
    do_well(&mut ledger, Op::Resume)?;
    come_to_rest(&mut ledger, true)?;
    if ledger.closed {
        return Ok(());
    }
    if let Some(at) = ledger.failing.retry_at() {
        let wait = at.saturating_since(ledger.now).as_nanos() as u64;
        do_well(&mut ledger, Op::Tick(Some(wait)))?;
        come_to_rest(&mut ledger, true)?;
    }
    let max = ledger.options.max;
    for _ in 0..max {
        do_well(&mut ledger, Op::Acquire(FOR_EVER))?;
    }
    come_to_rest(&mut ledger, false)?;
    let lent = ledger.count(SlotState::Leased);
    if lent < max {
        return Err(format!("if all goes well, {lent} of {max} can be had: {:?}", ledger.gauges()));
    }
    come_to_rest(&mut ledger, true)
}

fn do_well(ledger: &mut Ledger, op: Op) -> Result<(), String> {
    let step = Step { op, chance: CHANCES[0], backwards: false };
    let ended = |effect: &Effect| matches!(effect, Effect::Ended { .. });
    match perform(ledger, step) {
        Ok(effects) if effects.iter().any(ended) => {
            Err(format!("all goes well, and {op:?} ends a wait: {effects:?}"))
        }
        Ok(_) => Ok(()),
        Err(what) => Err(format!("if all goes well, {op:?}: {what}")),
    }
}

/// Answers and claims, and returns the leases if asked, until nobody waits and no job is left. Time
/// passes only when there is nothing else to do.
fn come_to_rest(ledger: &mut Ledger, give_back: bool) -> Result<(), String> {
    for _ in 0..1_000 {
        let lent = if give_back { 0 } else { ledger.count(SlotState::Leased) };
        if ledger.pending() == 0 && ledger.size() == ledger.idle.len() + lent {
            return Ok(());
        }
        let op = next_good(ledger, give_back).unwrap_or(Op::Tick(None));
        if op == Op::Tick(None) && ledger.next_deadline().is_none() {
            break;
        }
        do_well(ledger, op)?;
    }
    Err(format!("all goes well, and it never comes to rest: {:?}", ledger.gauges()))
}

/// The next good thing that can happen without time passing.
fn next_good(ledger: &Ledger, give_back: bool) -> Option<Op> {
    let mut waiters = ledger.store.waiters.iter();
    if let Some((index, _)) = waiters.find(|(_, waiter)| waiter.state == WaiterState::Offered) {
        return Some(Op::Claim(index as u32));
    }
    ledger.store.slots.iter().find_map(|(index, slot)| {
        let index = index as u32;
        match slot.state {
            SlotState::Creating => Some(Op::Created(index)),
            SlotState::Checking => Some(Op::Checked(index, Verdict::Good)),
            SlotState::Resetting => Some(Op::Reset(index, Verdict::Good)),
            SlotState::Retired | SlotState::Closing => Some(Op::Closed(index)),
            SlotState::Leased if give_back => Some(Op::Release(index)),
            _ => None,
        }
    })
}
