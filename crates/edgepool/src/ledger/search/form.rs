//! What matters of a state: two ledgers of one form decide alike for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::store::Slot;
use super::super::timers::Target;
use super::*;

/// A target as a number: what it is, and its index.
pub(super) const fn place_of(target: Target) -> (u8, u32) {
    match target {
        Target::Waiter(index) => (0, index),
        Target::Slot(index) => (1, index),
        Target::Care(index) => (2, index),
    }
}

/// The order of the timers of a state that does not depend on how its entries are numbered.
pub(super) fn ranks(ledger: &Ledger) -> BTreeMap<(u8, u32), usize> {
    let waiters = waiters_in_order(ledger);
    let mut slots: Vec<u32> = ledger.store.slots.iter().map(|(index, _)| index as u32).collect();
    let idle: Vec<u32> = ledger.idle.iter(&ledger.store.slots).collect();
    let place = |index: &u32| idle.iter().position(|other| other == index);
    slots.sort_by_cached_key(|index| (place(index), slot_form(ledger, *index)));
    let mut ranks = BTreeMap::new();
    for (kind, indexes) in [(0, &waiters), (1, &slots), (2, &slots)] {
        for &index in indexes {
            ranks.insert((kind, index), ranks.len());
        }
    }
    ranks
}

/// Those who wait and those who are offered what they need, by tenant, and in the order of its line.
fn waiters_in_order(ledger: &Ledger) -> Vec<u32> {
    let waiters = ledger.store.waiters.iter().map(|(index, _)| index as u32);
    let mut waiters: Vec<u32> = waiters.collect();
    waiters.sort_by_key(|&index| {
        let waiter = ledger.store.waiter(index);
        (waiter.owner.0, ledger.queue.rank(waiter))
    });
    waiters
}

/// How far ahead a time is; what is past is now.
fn ahead(ledger: &Ledger, at: Time) -> u8 {
    match at {
        Time::NEVER => u8::MAX,
        _ => u8::try_from(at.saturating_since(ledger.now).as_nanos()).expect("times are small"),
    }
}

/// How far ahead the deadline is that stands at a position of the heap.
fn due(ledger: &Ledger, position: u32) -> u8 {
    let deadline = ledger.timers.at(position);
    deadline.map_or(u8::MAX, |at| ahead(ledger, at))
}

/// How long ago a time was, as far as that can matter.
fn ago(ledger: &Ledger, at: Time, limits: [Option<Duration>; 2]) -> u8 {
    let limit = limits.into_iter().flatten().max().unwrap_or_default();
    ledger.now.saturating_since(at).min(limit).as_nanos() as u8
}

/// All that matters of a place, but for the lists that it is in.
pub(super) fn slot_form(ledger: &Ledger, index: u32) -> [u8; 12] {
    use SlotState::{Closing, Creating, Leased, Offered, Retired};
    let slot: &Slot = ledger.store.slot(index);
    let timer = |position| due(ledger, position);
    let kind = slot.state.kind() as u8;
    let mut form = [kind, timer(slot.timer), timer(slot.care), 0, 0, 0, 0, 0, 0, 0, 0, 0];
    form[3] = u8::from(slot.renewing) | u8::from(slot.swept) << 1;
    if matches!(slot.state, Leased | Offered(_) | Retired) {
        form[11] = slot.owner.0 as u8;
    }
    if matches!(slot.state, Creating | Retired | Closing) {
        form[4] = u8::from(slot.state == Creating && slot.epoch != ledger.epoch);
        form[5] = u8::from(slot.state == Creating && slot.id <= ledger.failing.known);
        return form;
    }
    let options = &ledger.options;
    form[4] = u8::from(slot.epoch != ledger.epoch);
    form[5] = ahead(ledger, slot.expires);
    form[6] = options.max_uses.map_or(0, |max| slot.uses.min(max) as u8);
    if slot.state == Leased {
        form[7] = ago(ledger, slot.since, [options.long_hold, None]);
    } else {
        form[7] = ago(ledger, slot.since, [options.idle_timeout, None]);
        form[8] = ago(ledger, slot.good(), [options.check_after, options.check_interval]);
        form[9] = u8::from(slot.fresh && options.check_after == Some(Duration::ZERO));
        form[10] = options.check_interval.map_or(0, |_| checked_after(ledger, slot));
    }
    form
}

/// How many were known to be good before this one: of those that are overdue, the first is next.
fn checked_after(ledger: &Ledger, slot: &Slot) -> u8 {
    use SlotState::{Checking, Idle, Offered, Resetting};
    let counts = |state| matches!(state, Checking | Idle | Offered(_) | Resetting);
    let others = ledger.store.slots.iter().filter(|(_, other)| counts(other.state));
    others.filter(|(_, other)| other.good() < slot.good()).count() as u8
}

/// The form of a state: two ledgers of one form decide alike for ever.
pub(super) fn form(ledger: &Ledger) -> Box<[u8]> {
    let failing = &ledger.failing;
    let doublings = ledger.options.backoff.map_or(0, |backoff| {
        let ratio = backoff.cap.as_nanos() / backoff.base.as_nanos();
        ratio.next_power_of_two().ilog2()
    });
    // Without a back-off, `min_idle` waits for a success after one.
    let counts = ledger.options.breaker.unwrap_or(0).max(doublings);
    let failed = failing.in_a_row.min(counts.max(1));
    let Ledger { started, paused, closed, shrunk, overstayed, .. } = *ledger;
    let flags = [started, paused, closed, shrunk, overstayed];
    let flags = flags.iter().fold(0, |all, &flag| all << 1 | u8::from(flag));
    let retry = failing.retry_at().map_or(u8::MAX, |at| ahead(ledger, at));
    let (max, min_idle) = (ledger.options.max as u8, ledger.options.min_idle as u8);
    let mut form = vec![flags, max, min_idle, failed as u8, retry, ledger.idle.len() as u8];
    form.extend(ledger.queue.form());
    let mut listed = Vec::new();
    for index in ledger.idle.iter(&ledger.store.slots) {
        form.extend(slot_form(ledger, index));
        listed.push(index);
    }
    for index in waiters_in_order(ledger) {
        waiter_form(ledger, index, &mut form);
        for slot in ledger.store.waiter(index).offered.iter(&ledger.store.slots) {
            form.extend(slot_form(ledger, slot));
            listed.push(slot);
        }
    }
    form.push(u8::MAX);
    let slots = ledger.store.slots.iter().map(|(index, _)| index as u32);
    let others = slots.filter(|index| !listed.contains(index));
    let mut others: Vec<_> = others.map(|index| slot_form(ledger, index)).collect();
    others.sort_unstable();
    form.extend(others.concat());
    form.into_boxed_slice()
}

fn waiter_form(ledger: &Ledger, index: u32, form: &mut Vec<u8>) {
    let waiter = ledger.store.waiter(index);
    let deadline = due(ledger, waiter.timer);
    // A caller of the highest class that comes now is passed by whoever came that long before it.
    let passes = ledger.options.ageing.map(|step| step * 3);
    let state = u8::from(waiter.state == WaiterState::Offered);
    let (need, have) = (waiter.need as u8, waiter.have as u8);
    let (class, waited) = (waiter.priority as u8, ago(ledger, waiter.since, [passes, None]));
    let owner = waiter.owner.0 as u8;
    form.extend([owner, class, state, need, have, waiter.missed, deadline, waited]);
}
