//! The ledger alone: operations with whatever key comes up, time that jumps, and effects that are
//! taken late.

use std::time::Duration;

use edgepool::Time;
use edgepool::ledger::{
    Acquired, Ask, Claim, Effect, Ledger, SlotKey, TenantKey, Verdict, WaiterKey,
};

use super::{Back, Op, ms};

/// Every key that was given out.
#[derive(Default)]
pub(crate) struct Keys {
    slots: Vec<SlotKey>,
    waiters: Vec<WaiterKey>,
    tenants: Vec<TenantKey>,
    now: Time,
}

impl Keys {
    fn slot(&self, n: usize) -> SlotKey {
        let key = self.slots.iter().rev().nth(n).copied();
        key.unwrap_or(SlotKey { index: 0, generation: 0 })
    }

    fn waiter(&self, n: usize) -> WaiterKey {
        let key = self.waiters.iter().rev().nth(n).copied();
        key.unwrap_or(WaiterKey { index: 0, generation: 0 })
    }

    fn tenant(&self, n: usize) -> TenantKey {
        let key = self.tenants.iter().rev().nth(n).copied();
        key.unwrap_or(TenantKey { index: 0, generation: 0 })
    }

    /// Applies an operation with whatever key it picks, whatever the answer. Effects are taken when
    /// time passes, and so late.
    pub(crate) fn jump(&mut self, ledger: &mut Ledger, op: Op) {
        match op {
            Op::Acquire { patience, priority, need, tenant } => {
                let patience = patience.map(|millis| ms(millis.into()));
                let now = ledger.now();
                let deadline = patience.map_or(Time::NEVER, |time| now.saturating_add(time));
                let tenant = tenant.map(|n| self.tenant(n));
                match ledger.acquire(Ask { deadline, priority, need, tenant }) {
                    Ok(Acquired::Leased(key)) => self.slots.push(key),
                    Ok(Acquired::Waiting(key)) => self.waiters.push(key),
                    Err(_) => {}
                }
            }
            Op::TryAcquire => self.slots.extend(ledger.try_acquire()),
            Op::TryAcquireFor(n) => self.slots.extend(ledger.try_acquire_for(self.tenant(n))),
            Op::Claim(n) => {
                if let Claim::Leased(key) = ledger.claim(self.waiter(n)) {
                    self.slots.push(key);
                }
            }
            Op::Cancel(n) => drop(ledger.cancel(self.waiter(n))),
            Op::EndLease(n, back) | Op::GiveBack(n, back) => self.end(ledger, n, back),
            Op::Answered(n, _, verdict) | Op::Answer(n, verdict) => {
                let key = self.slot(n);
                let created = verdict == Verdict::Good && ledger.created(key);
                let failed = verdict != Verdict::Good && ledger.create_failed(key);
                let checked = ledger.checked(key, verdict) || ledger.reset(key, verdict);
                let _ = created || failed || checked || ledger.closed(key);
            }
            Op::Advance(millis) => self.pass(ledger, ms(u64::from(millis) * 3)),
            _ => self.operate(ledger, op),
        }
    }

    fn end(&mut self, ledger: &mut Ledger, n: usize, back: Back) {
        let key = self.slot(n);
        let _ = match back {
            Back::Released => ledger.release(key),
            Back::Discarded => ledger.discard(key),
            Back::Taken => ledger.take(key),
            Back::Renewed => ledger.renew(key, ledger.options().lease_ttl),
            Back::Reset => {
                let begun = ledger.begin_reset(key);
                self.slots.extend(begun);
                begun.is_some()
            }
        };
    }

    fn operate(&mut self, ledger: &mut Ledger, op: Op) {
        match op {
            Op::LookAtIdle => self.slots.extend(ledger.look_at_idle()),
            Op::LookedAt(n, keep) => drop(ledger.looked_at(self.slot(n), keep)),
            Op::Adopt => self.slots.extend(ledger.adopt()),
            Op::Fill => ledger.fill(),
            Op::Prepare => drop(ledger.prepare()),
            Op::PrepareDirectly => self.slots.extend(ledger.prepare_directly()),
            Op::CloseLate => drop(ledger.close_late()),
            Op::Resize(max) => drop(ledger.resize(max)),
            Op::SetMinIdle(min_idle) => drop(ledger.set_min_idle(min_idle)),
            Op::Pause => ledger.pause(),
            Op::Resume => ledger.resume(),
            Op::InvalidateAll => ledger.invalidate_all(),
            Op::OpenTenant(share) => self.tenants.extend(ledger.open_tenant(share)),
            Op::SetShare(n, share) => drop(ledger.set_share(self.tenant(n), share)),
            Op::AdoptFor(n) => self.slots.extend(ledger.adopt_for(self.tenant(n))),
            Op::EndWaits(n) => drop(ledger.end_waits(self.tenant(n))),
            Op::CloseTenant(n) => drop(ledger.close_tenant(self.tenant(n))),
            Op::Close => ledger.close(),
            other => panic!("{other:?} is done elsewhere"),
        }
    }

    fn pass(&mut self, ledger: &mut Ledger, by: Duration) {
        self.now = self.now.saturating_add(by);
        ledger.advance(self.now);
        while let Some(effect) = ledger.poll_effect() {
            if let Effect::Create { slot } | Effect::Close { slot, .. } | Effect::Check { slot } =
                effect
            {
                self.slots.push(slot);
            }
        }
    }
}

/// Brings everything back after a close: nothing may be left but what the shell holds.
pub(crate) fn drain(ledger: &mut Ledger) {
    ledger.close();
    let mut closing = Vec::new();
    while let Some(effect) = ledger.poll_effect() {
        if let Effect::Close { slot, .. } = effect {
            closing.push(slot);
        }
    }
    for slot in closing {
        ledger.closed(slot);
    }
    let gauges = ledger.gauges();
    let held = gauges.in_use + gauges.checking + gauges.resetting;
    assert_eq!(gauges.size, held + gauges.retired + gauges.closing, "{gauges:?}");
    assert_eq!((gauges.pending, gauges.offered, gauges.idle, gauges.creating), (0, 0, 0, 0));
    ledger.check().unwrap_or_else(|violation| panic!("{violation}"));
}
