//! What the fuzz target does with its bytes. The plain tests do the same with the committed ones.

use std::time::Duration;

use edgepool::Time;
use edgepool::ledger::{
    Acquired, Ask, Backoff, Claim, Effect, Ledger, Options, Priority, Reuse, Share, SlotKey,
    TenantKey, Verdict, WaiterKey,
};

/// Makes a ledger by the first bytes, and does by the others, two for each operation, what callers,
/// shells and operators do, with good keys and with stale ones.
pub(crate) fn drive(bytes: &[u8]) {
    let Some((options, ops)) = bytes.split_first_chunk() else { return };
    let Ok(mut ledger) = Ledger::new(read_options(*options)) else { return };
    let mut shell = Shell::default();
    for op in ops.chunks_exact(2) {
        shell.apply(&mut ledger, op[0], op[1]);
        check(&ledger);
    }
    shell.come_to_an_end(&mut ledger);
}

fn check(ledger: &Ledger) {
    ledger.check().unwrap_or_else(|violation| panic!("{violation}"));
}

/// A time by a few bits: none, or few nanoseconds, so that many fall together.
fn time(bits: u8) -> Option<Duration> {
    (bits & 7 > 0).then(|| Duration::from_nanos(u64::from(bits & 7) * 3))
}

fn read_options(bytes: [u8; 10]) -> Options {
    let [sizes, queue, offer, create, check, idle, sweep, flags, rest, seed] = bytes;
    let max = u32::from(sizes & 3) + 1;
    let backoff = (flags & 1 > 0).then_some(Backoff {
        base: Duration::from_nanos(2),
        cap: Duration::from_nanos(u64::from(flags >> 4) + 2),
    });
    let idle_timeout = time(idle);
    let check_interval = time(sweep);
    // Those two may not be longer than a life, which is some ten times them.
    let lifetime = time(idle >> 3).map(|life| life * 10);
    Options {
        min_idle: u32::from(sizes >> 2 & 3).min(max),
        max_waiting: u32::from(queue & 7),
        reuse: if queue & 8 > 0 { Reuse::Fifo } else { Reuse::Lifo },
        max_checks: u32::from(queue >> 4 & 1) + 1,
        ageing: time(queue >> 5),
        offer_timeout: time(offer),
        lease_ttl: time(offer >> 3),
        create_timeout: time(create),
        close_timeout: time(create >> 3),
        check_timeout: time(check),
        reset_timeout: time(check >> 3),
        idle_timeout,
        max_lifetime: lifetime,
        check_interval,
        long_hold: time(sweep >> 3),
        backoff,
        breaker: (backoff.is_some() && flags & 2 > 0).then_some(2),
        wait_times: flags & 4 > 0,
        hold_times: flags & 8 > 0,
        check_after: (rest & 1 > 0).then(|| time(rest >> 1).unwrap_or_default()),
        max_uses: (rest & 16 > 0).then(|| u64::from(rest >> 5) + 1),
        lifetime_jitter: seed % 101,
        seed: seed.into(),
        ..Options::new(max)
    }
}

/// What a shell keeps: every key that it was told, the latest last.
#[derive(Default)]
struct Shell {
    slots: Vec<SlotKey>,
    waiters: Vec<WaiterKey>,
    tenants: Vec<TenantKey>,
}

impl Shell {
    /// The key that a byte picks, from the latest back; before there is any, one that never was.
    fn slot(&self, byte: u8) -> SlotKey {
        let key = self.slots.iter().rev().nth(usize::from(byte & 15)).copied();
        key.unwrap_or(SlotKey { index: 0, generation: 0 })
    }

    fn waiter(&self, byte: u8) -> WaiterKey {
        let key = self.waiters.iter().rev().nth(usize::from(byte & 7)).copied();
        key.unwrap_or(WaiterKey { index: 0, generation: 0 })
    }

    fn tenant(&self, bits: u8) -> TenantKey {
        let key = self.tenants.iter().rev().nth(usize::from(bits & 3)).copied();
        key.unwrap_or(TenantKey { index: 0, generation: 0 })
    }

    /// With the sixth bit, callers and operations are those of a tenant.
    fn apply(&mut self, ledger: &mut Ledger, op: u8, byte: u8) {
        match op & 63 {
            32..=36 => {
                let tenant = Some(self.tenant(byte >> 4));
                self.acquire(ledger, byte, tenant);
            }
            37 => self.slots.extend(ledger.try_acquire_for(self.tenant(byte))),
            56..=63 => self.operate_on_tenants(ledger, op & 7, byte),
            _ => self.apply_to_pool(ledger, op & 31, byte),
        }
        // Now and then, effects are taken late.
        if op & 192 != 0 {
            self.hear(ledger);
        }
    }

    fn operate_on_tenants(&mut self, ledger: &mut Ledger, op: u8, byte: u8) {
        let none_or = |bits: u8| (bits > 0).then_some(u32::from(bits));
        let share = Share {
            weight: u32::from(byte & 3) + 1,
            max: none_or(byte >> 2 & 3),
            max_waiting: none_or(byte >> 4 & 3).map(|most| most - 1),
        };
        match op {
            0 | 1 => self.tenants.extend(ledger.open_tenant(share)),
            2..=4 => drop(ledger.set_share(self.tenant(byte >> 6), share)),
            5 => self.slots.extend(ledger.adopt_for(self.tenant(byte))),
            6 => drop(ledger.end_waits(self.tenant(byte))),
            _ => drop(ledger.close_tenant(self.tenant(byte))),
        }
    }

    fn apply_to_pool(&mut self, ledger: &mut Ledger, op: u8, byte: u8) {
        match op {
            0..=4 => self.acquire(ledger, byte, None),
            5 => self.slots.extend(ledger.try_acquire()),
            6..=9 => {
                if let Claim::Leased(key) = ledger.claim(self.waiter(byte)) {
                    self.slots.push(key);
                }
            }
            10 => drop(ledger.cancel(self.waiter(byte))),
            11..=13 => drop(ledger.release(self.slot(byte))),
            14 => drop(self.end(ledger, byte)),
            15..=19 => drop(self.answer(ledger, byte)),
            20..=23 => {
                let by = Duration::from_nanos((byte & 15).into());
                ledger.advance(ledger.now().saturating_add(by));
            }
            _ => self.operate(ledger, op, byte),
        }
    }

    fn acquire(&mut self, ledger: &mut Ledger, byte: u8, tenant: Option<TenantKey>) {
        let patience = Duration::from_nanos((byte >> 4 & 7).into());
        let deadline = match byte & 128 {
            0 => Time::NEVER,
            _ => ledger.now().saturating_add(patience),
        };
        let classes = [Priority::Low, Priority::Normal, Priority::High, Priority::Urgent];
        let priority = classes[usize::from(byte & 3)];
        let need = u16::from(byte >> 2 & 3);
        let need = if need == 3 { 1 } else { need };
        match ledger.acquire(Ask { deadline, priority, need, tenant }) {
            Ok(Acquired::Leased(key)) => self.slots.push(key),
            Ok(Acquired::Waiting(key)) => self.waiters.push(key),
            Err(_) => {}
        }
    }

    fn end(&mut self, ledger: &mut Ledger, byte: u8) -> bool {
        let key = self.slot(byte);
        match byte >> 4 & 3 {
            0 => ledger.discard(key),
            1 => ledger.take(key),
            2 => ledger.renew(key, time(byte >> 5)),
            _ => {
                let begun = ledger.begin_reset(key);
                self.slots.extend(begun);
                begun.is_some()
            }
        }
    }

    /// Answers whatever job the key is of.
    fn answer(&self, ledger: &mut Ledger, byte: u8) -> bool {
        let key = self.slot(byte);
        let verdict = match byte >> 4 & 7 {
            0 => Verdict::Bad,
            1 => Verdict::Lost,
            _ => Verdict::Good,
        };
        let created = match verdict {
            Verdict::Good => ledger.created(key),
            _ => ledger.create_failed(key),
        };
        created || ledger.checked(key, verdict) || ledger.reset(key, verdict) || ledger.closed(key)
    }

    fn operate(&mut self, ledger: &mut Ledger, op: u8, byte: u8) {
        match (op, byte & 3) {
            (24, 0) => self.slots.extend(ledger.adopt()),
            (24, 1) => ledger.fill(),
            (24, 2) => self.slots.extend(ledger.prepare()),
            (24, _) => self.slots.extend(ledger.prepare_directly()),
            (25, _) => drop(ledger.resize((byte >> 4).into())),
            (26, _) => drop(ledger.set_min_idle((byte & 3).into())),
            (27, _) => ledger.pause(),
            (28, _) => ledger.resume(),
            (29, _) => ledger.invalidate_all(),
            (30, _) => self.slots.extend(ledger.look_at_idle()),
            (_, 0) if byte > 250 => ledger.close(),
            (_, 1) if byte > 250 => drop(ledger.close_late()),
            _ => drop(ledger.looked_at(self.slot(byte), byte & 16 > 0)),
        }
    }

    fn hear(&mut self, ledger: &mut Ledger) {
        while let Some(effect) = ledger.poll_effect() {
            match effect {
                Effect::Create { slot } | Effect::Check { slot } | Effect::Close { slot, .. } => {
                    self.slots.push(slot);
                }
                _ => {}
            }
        }
    }

    /// Closes the pool, and brings all back that was ever told: nothing may be left.
    fn come_to_an_end(&mut self, ledger: &mut Ledger) {
        ledger.close();
        check(ledger);
        for key in std::mem::take(&mut self.waiters) {
            let _ = ledger.cancel(key);
        }
        while !ledger.is_drained() {
            self.hear(ledger);
            assert!(!self.slots.is_empty(), "never drained: {:?}", ledger.gauges());
            for key in std::mem::take(&mut self.slots) {
                let _ = ledger.release(key)
                    || ledger.checked(key, Verdict::Good)
                    || ledger.reset(key, Verdict::Good)
                    || ledger.closed(key);
                check(ledger);
            }
        }
        assert_eq!(ledger.gauges().size, 0);
    }
}
