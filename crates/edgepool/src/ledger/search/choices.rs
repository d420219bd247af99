//! Every step that can be taken in a state.

use std::collections::BTreeSet;

use super::form::slot_form;
use super::*;

impl Setting {
    /// Every step that can be taken in this state. Of places that are alike, one stands for all.
    pub(super) fn steps(&self, ledger: &Ledger) -> Vec<Step> {
        let mut ops = self.does.to_vec();
        // What comes too late may come on top of all, but for a state of few places not often.
        ops.retain(|&op| op != Op::CloseLate || ledger.size() <= ledger.options.max);
        ops.push(Op::TryAcquire);
        ops.extend((1..).zip(self.tenants).map(|(tenant, _)| Op::TryAcquireFor(tenant)));
        if ledger.store.waiters.len() < self.waiters {
            ops.extend(self.asks.iter().map(|&caller| Op::Acquire(caller)));
        }
        for (index, waiter) in &ledger.store.waiters {
            ops.push(Op::Cancel(index as u32));
            if waiter.state == WaiterState::Offered {
                ops.push(Op::Claim(index as u32));
            }
        }
        let mut seen = BTreeSet::new();
        for (index, slot) in &ledger.store.slots {
            let listed = matches!(slot.state, SlotState::Idle | SlotState::Offered(_));
            if !listed && seen.insert(slot_form(ledger, index as u32)) {
                self.slot_ops(slot.state, index as u32, &mut ops);
            }
        }
        let times = self.ticks.iter().map(|&by| Op::Tick(Some(by)));
        let next = ledger.next_deadline().map(|_| Op::Tick(None));
        ops.extend(times.chain(next));
        ops.into_iter().flat_map(|op| self.with_chance(ledger, op)).collect()
    }

    fn slot_ops(&self, state: SlotState, index: u32, ops: &mut Vec<Op>) {
        const VERDICTS: [Verdict; 3] = [Verdict::Good, Verdict::Bad, Verdict::Lost];
        match state {
            SlotState::Creating => ops.extend([Op::Created(index), Op::CreateFailed(index)]),
            SlotState::Checking => {
                ops.extend(VERDICTS.map(|verdict| Op::Checked(index, verdict)));
                if self.does.contains(&Op::LookAtIdle) {
                    ops.extend([true, false].map(|keep| Op::LookedAt(index, keep)));
                }
            }
            SlotState::Resetting => {
                ops.extend(VERDICTS.map(|verdict| Op::Reset(index, verdict)));
            }
            SlotState::Retired | SlotState::Closing => ops.push(Op::Closed(index)),
            SlotState::Leased => {
                ops.extend([Op::Release(index), Op::Discard(index), Op::Take(index)]);
                ops.extend(self.resets.then_some(Op::BeginReset(index)));
                ops.extend(self.options.lease_ttl.map(|_| Op::Renew(index)));
            }
            SlotState::Idle | SlotState::Offered(_) => {}
        }
    }

    /// The operation with every chance that it may draw, and every order of what is due at once.
    fn with_chance(&self, ledger: &Ledger, op: Op) -> Vec<Step> {
        let draws = match op {
            Op::CreateFailed(_) => self.options.backoff.is_some(),
            Op::Created(_) => {
                self.options.max_lifetime.is_some() && self.options.lifetime_jitter > 0
            }
            Op::Tick(_) => self.options.backoff.is_some() && self.options.create_timeout.is_some(),
            _ => false,
        };
        let chances = if draws { &CHANCES[..] } else { &CHANCES[..1] };
        let heap = ledger.timers.heap();
        let due = |at: Time| heap.iter().filter(|(other, _)| *other == at).count();
        let ties = matches!(op, Op::Tick(_)) && heap.iter().any(|&(at, _)| due(at) > 1);
        let orders = if ties { &[false, true][..] } else { &[false][..] };
        let steps = chances.iter().flat_map(|&chance| {
            orders.iter().map(move |&backwards| Step { op, chance, backwards })
        });
        steps.collect()
    }
}
