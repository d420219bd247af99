//! Random operations, beside a model that looks through all tenants each time; and single cases.

mod model;

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use model::Model;

const TIMEOUT: Duration = Duration::from_secs(300);
const SEEDS: u64 = 300;
const OPERATIONS: u32 = 1_000;

const fn limits(places: u32, budget: Option<u32>) -> Limits {
    Limits { places, budget, idle_timeout: Some(TIMEOUT), max_waiting: 40 }
}

const fn terms(cap: u32, weight: u32) -> Terms {
    Terms { cap, weight }
}

/// Chance of a seed.
struct Luck(u64);

impl Luck {
    /// Draws a number below `n`.
    const fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.below(from.len() as u64) as usize])
    }
}

/// A caller inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Inside {
    /// Its tenant, and the number of the pool.
    pool: (Key, u32),
    holds: bool,
}

/// What stands around a roster: pools that are made, resized and closed, and callers.
struct World {
    roster: Roster,
    model: Model,
    luck: Luck,
    now: Time,
    /// By number of the tenant.
    known: BTreeMap<u64, Key>,
    waiting: Vec<(Key, u32)>,
    inside: Vec<Inside>,
    effects: VecDeque<Effect>,
    /// The sizes of the pools that there are, and the connections in them.
    pools: BTreeMap<Key, (u32, u32)>,
    closing: Vec<Key>,
}

impl World {
    fn new(seed: u64, limits: Limits) -> Self {
        Self {
            roster: Roster::new(limits),
            model: Model { places: limits.places, ..Model::default() },
            luck: Luck(seed),
            now: Time::ZERO,
            known: BTreeMap::new(),
            waiting: Vec::new(),
            inside: Vec::new(),
            effects: VecDeque::new(),
            pools: BTreeMap::new(),
            closing: Vec::new(),
        }
    }

    /// Does the same to the model, which knows of no budget.
    fn model(&mut self, same: impl FnOnce(&mut Model)) {
        if self.roster.limits.budget.is_none() {
            self.model.advance(self.now);
            same(&mut self.model);
        }
    }

    fn group(&self, key: Key) -> u32 {
        self.roster.tenants[key.index as usize].group
    }

    fn held(&self, key: Key) -> u32 {
        self.pools.get(&key).map_or(0, |pool| pool.1)
    }

    fn come(&mut self, number: u64) {
        self.model(|_| {});
        self.roster.advance(self.now);
        self.take_effects();
        let came = match self.known.get(&number) {
            Some(&key) => self.roster.arrive(self.now, key).map(|arrival| (key, arrival)),
            None => {
                let terms = terms(1 + (number % 5) as u32, 1 + (number % 3) as u32);
                self.roster.open(self.now, terms)
            }
        };
        let Ok((key, arrival)) = came else {
            assert_eq!(came, Err(Refused::Full));
            assert!(self.roster.outside >= 40, "{} are outside", self.roster.outside);
            return;
        };
        self.known.insert(number, key);
        match arrival {
            Arrival::Inside => self.go_in(key),
            Arrival::Outside(group) => self.waiting.push((key, group)),
        }
        self.model(|model| model.come(key));
    }

    fn go_in(&mut self, key: Key) {
        self.inside.push(Inside { pool: (key, self.roster.pool(key)), holds: false });
    }

    /// Gives one of those inside a connection.
    fn take(&mut self) {
        let Some(mut inside) = self.luck.pick(&self.inside).filter(|inside| !inside.holds) else {
            return;
        };
        let at = self.inside.iter().position(|&it| it == inside).unwrap();
        self.roster.advance(self.now);
        inside.holds = self.roster.take(inside.pool.0, inside.pool.1);
        let holds = inside.holds;
        self.inside[at] = inside;
        self.model(|model| assert_eq!(model.take(inside.pool), holds));
    }

    fn look(&mut self, give_up: bool) {
        let Some((key, group)) = self.luck.pick(&self.waiting) else { return };
        let (pool, held) = (self.roster.pool(key), self.held(key));
        let mut call = None;
        if give_up {
            self.roster.give_up(self.now, key, group);
            self.model(|model| match model.look(key, group) {
                None => model.give_up_outside(key),
                Some(Call::Admitted) => model.leave((key, pool), false, held),
                Some(_) => {}
            });
        } else {
            call = self.roster.look(self.now, key, group);
            self.model(|model| assert_eq!(model.look(key, group), call));
        }
        if give_up || call.is_some() {
            let at = self.waiting.iter().position(|&it| it == (key, group)).unwrap();
            self.waiting.swap_remove(at);
        }
        if call == Some(Call::Admitted) {
            self.go_in(key);
        }
    }

    fn leave(&mut self) {
        let Some(inside) = self.luck.pick(&self.inside) else { return };
        let at = self.inside.iter().position(|&it| it == inside).unwrap();
        let Inside { pool: (key, pool), holds } = self.inside.swap_remove(at);
        let held = self.held(key);
        self.roster.leave(self.now, key, pool, holds);
        self.model(|model| model.leave((key, pool), holds, held));
    }

    fn remove(&mut self, number: u64) {
        self.model(|_| {});
        self.roster.advance(self.now);
        self.take_effects();
        let Some(&key) = self.known.get(&number) else { return };
        let group = self.group(key);
        self.roster.remove(self.now, key);
        self.model(|model| model.remove(key, group));
    }

    /// Takes what the roster asks for, which must be what the model asks for.
    fn take_effects(&mut self) {
        let asked: Vec<Effect> = std::iter::from_fn(|| self.roster.poll_effect()).collect();
        if self.roster.limits.budget.is_none() {
            assert_eq!(asked, std::mem::take(&mut self.model.effects));
        }
        self.effects.extend(asked);
    }

    /// Does one of the things that were asked for.
    fn perform(&mut self, may_fail: bool) -> bool {
        self.take_effects();
        let Some(effect) = self.effects.pop_front() else { return false };
        match effect {
            Effect::Open(key) => {
                let group = self.group(key);
                if may_fail && self.luck.below(8) == 0 {
                    self.roster.failed(self.now, key);
                    self.model(|model| model.failed(key, group));
                } else {
                    self.pools.insert(key, (self.roster.size(key), 0));
                    assert!(self.roster.size(key) > 0);
                    self.roster.opened(self.now, key);
                    self.model(|model| model.opened(key, group));
                }
            }
            Effect::Resize(key) => {
                if let Some(max) = self.roster.begin_resize(key) {
                    self.pools.get_mut(&key).unwrap().0 = max;
                    self.roster.resized(key, max);
                }
            }
            Effect::Close(key) => {
                self.pools.get_mut(&key).unwrap().0 = 0;
                self.closing.push(key);
                self.roster.closing(self.now, key);
                self.model(|_| {});
            }
            Effect::Wake(_) => {}
            Effect::Gone(key) => {
                if self.roster.forget(key) {
                    self.known.retain(|_, known| *known != key);
                    self.pools.remove(&key);
                    self.model.tenants.remove(&key);
                }
            }
        }
        true
    }

    /// Makes a connection in a pool that has room, or closes one.
    fn connect(&mut self, close: bool) {
        let pools: Vec<Key> = self.pools.keys().copied().collect();
        let Some(key) = self.luck.pick(&pools) else { return };
        let pool = self.pools.get_mut(&key).unwrap();
        if close && pool.1 > 0 {
            pool.1 -= 1;
            let held = pool.1;
            self.roster.unhold(key);
            self.model(|model| {
                model.vacate_if_over(key, held);
                model.settle();
            });
        } else if !close && pool.1 < pool.0 {
            let number = self.roster.pool(key);
            pool.1 += u32::from(self.roster.hold(key, number));
        }
    }

    /// Lets one of the pools end that are closing and empty.
    fn end_closing(&mut self) {
        let empty: Vec<Key> =
            self.closing.iter().copied().filter(|key| self.pools[key].1 == 0).collect();
        let Some(key) = self.luck.pick(&empty) else { return };
        self.closing.retain(|&it| it != key);
        self.roster.closed(self.now, key);
        self.model(|model| model.closed(key));
    }

    fn step(&mut self) {
        let number = self.luck.below(30).min(self.luck.below(30));
        match self.luck.below(100) {
            0..30 => self.come(number),
            30..37 => self.take(),
            37..45 => self.look(false),
            45..49 => self.look(true),
            49..65 => self.leave(),
            65..67 => self.now = self.now.saturating_add(Duration::from_secs(self.luck.below(200))),
            67..69 => self.remove(number),
            69..80 => drop(self.perform(true)),
            80..88 => self.connect(false),
            88..94 => self.connect(true),
            _ => self.end_closing(),
        }
    }

    #[track_caller]
    fn assert_sound(&self) {
        self.roster.check().unwrap();
        let Some(budget) = self.roster.limits.budget else {
            for (key, seen) in &self.model.tenants {
                let tenant = &self.roster.tenants[key.index as usize];
                assert_eq!(
                    (tenant.life, tenant.inside, tenant.holding, tenant.outside, &tenant.called),
                    (seen.life, seen.inside, seen.holding, seen.outside, &seen.called),
                );
            }
            return assert_eq!(self.roster.tenants.len(), self.model.tenants.len());
        };
        let there: u32 = self.pools.values().map(|&(max, held)| max.max(held)).sum();
        assert!(there <= budget, "{there} connections may be there, of {budget}");
        assert!(self.roster.charged() <= u64::from(budget));
    }

    /// Does all that is asked for, lets all callers inside go, and those outside in.
    fn quiesce(&mut self) {
        for _ in 0..10_000 {
            while self.perform(false) {}
            while !self.inside.is_empty() {
                self.leave();
            }
            for _ in 0..self.pools.len() {
                self.connect(true);
            }
            self.end_closing();
            self.look(false);
            self.take_effects();
            let quiet = self.waiting.is_empty() && self.inside.is_empty();
            if quiet && self.closing.is_empty() && self.effects.is_empty() {
                return;
            }
        }
        panic!("{} still wait", self.waiting.len());
    }
}

fn run(seed: u64, budget: Option<u32>) {
    let places = 1 + (seed % 7) as u32;
    let mut world = World::new(seed, limits(places, budget));
    for _ in 0..OPERATIONS {
        world.step();
        if world.luck.below(3) == 0 {
            world.take_effects();
        }
        world.assert_sound();
    }
    world.quiesce();
    world.assert_sound();
    world.now = world.now.saturating_add(TIMEOUT);
    world.roster.advance(world.now);
    world.model(|_| {});
    world.quiesce();
    assert!(world.roster.tenants.is_empty(), "the roster is empty when all were idle for long");
    assert_eq!((world.roster.charged(), world.roster.placed()), (0, 0));
}

/// The order of evictions is that of the model, which looks at when each tenant was used.
#[test]
fn tenants_come_and_go_as_in_the_model() {
    (0..SEEDS).for_each(|seed| run(seed, None));
}

#[test]
fn a_budget_is_kept_and_nobody_is_left_waiting() {
    (0..SEEDS).for_each(|seed| run(seed, Some(1 + (seed % 11) as u32)));
}

/// A pool may have decided on a creation before it was closed, and begin it after.
#[test]
fn nothing_begins_in_a_pool_that_was_closed() {
    let now = Time::ZERO;
    let mut roster = Roster::new(limits(2, Some(1)));
    let (key, _) = roster.open(now, terms(1, 1)).unwrap();
    let pool = roster.pool(key);
    roster.opened(now, key);
    roster.remove(now, key);
    assert!(!roster.hold(key, pool), "it is about to be closed");
    roster.closing(now, key);
    roster.closed(now, key);
    assert!(!roster.hold(key, pool), "it is gone");
    assert_eq!(roster.charged(), 0);
    roster.arrive(now, key).unwrap();
    roster.opened(now, key);
    assert!(!roster.hold(key, pool), "that was the pool before");
    let pool = roster.pool(key);
    assert!(roster.hold(key, pool));
    assert_eq!(roster.charged(), 1);
    roster.check().unwrap();
}
