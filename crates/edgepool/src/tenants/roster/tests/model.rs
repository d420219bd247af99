//! The roster's rules without a budget, by looking through all tenants each time.

use std::collections::BTreeMap;

use super::super::{Call, Effect, Key, Life};
use super::TIMEOUT;
use crate::Time;

/// A tenant, as the model sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) life: Life,
    pub(super) doomed: bool,
    pub(super) drained: bool,
    pub(super) inside: u32,
    pub(super) holding: u32,
    pub(super) outside: u32,
    /// The number of its pool.
    pub(super) pool: u32,
    /// The groups that were called, with who of them was not told.
    pub(super) called: Vec<(u32, Call, u32)>,
    /// When it was used last: the time, and the number of the operation.
    pub(super) used: (Time, u64),
    /// Its place in the line.
    pub(super) came: u64,
}

/// The same rules without a budget, by looking through all.
#[derive(Default)]
pub(super) struct Model {
    pub(super) places: u32,
    pub(super) now: Time,
    pub(super) tenants: BTreeMap<Key, Seen>,
    pub(super) step: u64,
    pub(super) effects: Vec<Effect>,
}

impl Model {
    fn count(&self, holds: impl Fn(&Seen) -> bool) -> usize {
        self.tenants.values().filter(|seen| holds(seen)).count()
    }

    fn first<K: Ord>(&self, key: impl Fn(&Seen) -> Option<K>) -> Option<Key> {
        let all = self.tenants.iter();
        all.filter_map(|(&name, seen)| Some((key(seen)?, name))).min().map(|(_, name)| name)
    }

    fn idle(&self) -> Option<Key> {
        self.first(|it| (it.life == Life::Open && it.inside + it.outside == 0).then_some(it.used))
    }

    pub(super) fn advance(&mut self, now: Time) {
        self.now = self.now.max(now);
        while let Some(key) = self.idle() {
            if self.tenants[&key].used.0.saturating_add(TIMEOUT) > self.now {
                break;
            }
            self.evict(key);
        }
        self.settle();
    }

    fn touch(&mut self, key: Key) {
        self.step += 1;
        let (now, step) = (self.now, self.step);
        if let Some(seen) = self.tenants.get_mut(&key) {
            seen.used = (now, step);
        }
    }

    fn evict(&mut self, key: Key) {
        let seen = self.tenants.get_mut(&key).unwrap();
        seen.life = Life::Leaving;
        self.close_if_empty(key);
    }

    fn close_if_empty(&mut self, key: Key) {
        let seen = self.tenants.get_mut(&key).unwrap();
        if seen.life == Life::Leaving && seen.inside == 0 {
            seen.life = Life::Closing;
            self.effects.push(Effect::Close(key));
        }
    }

    fn vacate(&mut self, key: Key) {
        self.step += 1;
        let step = self.step;
        let seen = self.tenants.get_mut(&key).unwrap();
        (seen.drained, seen.inside, seen.pool) = (false, 0, seen.pool + 1);
        (seen.life, seen.came) = match seen.outside {
            0 => (Life::Out, 0),
            _ => (Life::InLine, step),
        };
        if !self.forget_if_over(key) {
            self.effects.push(Effect::Wake(key));
        }
    }

    pub(super) fn vacate_if_over(&mut self, key: Key, held: u32) {
        let seen = &self.tenants[&key];
        if seen.life == Life::Closing && seen.drained && seen.holding + held == 0 {
            self.vacate(key);
        }
    }

    fn forget_if_over(&mut self, key: Key) -> bool {
        let seen = &self.tenants[&key];
        let is_over = seen.life == Life::Out && seen.called.is_empty() && seen.outside == 0;
        if is_over {
            self.effects.push(Effect::Gone(key));
        }
        is_over
    }

    /// Whom the roster calls in which group is taken from the roster; what for is not.
    fn call(&mut self, key: Key, group: u32, call: Call) {
        let seen = self.tenants.get_mut(&key).unwrap();
        let called = std::mem::take(&mut seen.outside);
        if called > 0 {
            seen.called.push((group, call, called));
            self.effects.push(Effect::Wake(key));
        }
        if call == Call::Admitted {
            seen.inside += called;
        }
    }

    pub(super) fn look(&mut self, key: Key, group: u32) -> Option<Call> {
        let seen = self.tenants.get_mut(&key).unwrap();
        let called = seen.called.iter_mut().find(|called| called.0 == group)?;
        called.2 -= 1;
        let call = called.1;
        seen.called.retain(|called| called.2 > 0);
        self.forget_if_over(key);
        Some(call)
    }

    /// Takes note that somebody who is in its pool has a connection.
    pub(super) fn take(&mut self, (key, pool): (Key, u32)) -> bool {
        let seen = self.tenants.get_mut(&key);
        let seen = seen.filter(|seen| seen.pool == pool && seen.life != Life::Closing);
        seen.map(|seen| seen.holding += 1).is_some()
    }

    pub(super) fn leave(&mut self, (key, pool): (Key, u32), holds: bool, held: u32) {
        let seen = self.tenants.get_mut(&key);
        let Some(seen) = seen.filter(|seen| seen.pool == pool) else { return };
        seen.inside -= 1;
        seen.holding -= u32::from(holds);
        self.touch(key);
        self.close_if_empty(key);
        self.vacate_if_over(key, held);
        self.settle();
    }

    pub(super) fn give_up_outside(&mut self, key: Key) {
        let seen = self.tenants.get_mut(&key).unwrap();
        seen.outside -= 1;
        if seen.life == Life::InLine && seen.outside == 0 {
            self.vacate(key);
        }
        self.touch(key);
        self.settle();
    }

    pub(super) fn come(&mut self, key: Key) {
        self.step += 1;
        let new = Seen {
            life: Life::Out,
            doomed: false,
            drained: false,
            inside: 0,
            holding: 0,
            outside: 0,
            pool: 0,
            called: Vec::new(),
            used: (Time::ZERO, 0),
            came: 0,
        };
        let seen = self.tenants.entry(key).or_insert(new);
        match seen.life {
            Life::Open => seen.inside += 1,
            _ => seen.outside += 1,
        }
        if seen.life == Life::Out {
            (seen.life, seen.came) = (Life::InLine, self.step);
        }
        self.touch(key);
        self.settle();
    }

    pub(super) fn remove(&mut self, key: Key, group: u32) {
        self.call(key, group, Call::Removed);
        let seen = self.tenants.get_mut(&key).unwrap();
        match seen.life {
            Life::Out | Life::Closing => {}
            Life::InLine => self.vacate(key),
            Life::Opening => seen.doomed = true,
            Life::Open | Life::Leaving => {
                for called in seen.called.iter_mut().filter(|called| called.1 == Call::Admitted) {
                    seen.inside -= called.2;
                    called.1 = Call::Removed;
                }
                seen.life = Life::Closing;
                self.effects.push(Effect::Close(key));
            }
        }
        self.settle();
    }

    pub(super) fn failed(&mut self, key: Key, group: u32) {
        self.call(key, group, Call::Failed);
        self.tenants.get_mut(&key).unwrap().doomed = false;
        self.vacate(key);
        self.settle();
    }

    pub(super) fn opened(&mut self, key: Key, group: u32) {
        let seen = self.tenants.get_mut(&key).unwrap();
        if std::mem::take(&mut seen.doomed) {
            seen.life = Life::Closing;
            self.effects.push(Effect::Close(key));
        } else {
            seen.life = Life::Open;
            self.call(key, group, Call::Admitted);
            self.touch(key);
        }
        self.settle();
    }

    pub(super) fn closed(&mut self, key: Key) {
        self.tenants.get_mut(&key).unwrap().drained = true;
        self.vacate_if_over(key, 0);
        self.settle();
    }

    pub(super) fn settle(&mut self) {
        while let Some(first) = self.first(|it| (it.life == Life::InLine).then_some(it.came)) {
            let placed = self.count(|it| !matches!(it.life, Life::Out | Life::InLine));
            let leaves = |it: &Seen| matches!(it.life, Life::Leaving | Life::Closing);
            let leaving = match self.idle() {
                Some(_) => self.count(|it| leaves(it) && it.inside == 0),
                None => self.count(leaves),
            };
            if placed < self.places as usize {
                self.tenants.get_mut(&first).unwrap().life = Life::Opening;
                self.effects.push(Effect::Open(first));
                continue;
            }
            let open = |it: &Seen| (it.life == Life::Open).then_some(it.used);
            let victim = self.idle().or_else(|| self.first(open));
            match victim.filter(|_| leaving < self.count(|it| it.life == Life::InLine)) {
                Some(victim) => self.evict(victim),
                None => return,
            }
        }
    }
}
