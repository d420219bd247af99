//! What is to be polled though no caller waits for it: pools that close, shrink or warm up.
//!
//! Whoever waits for anything of tenants' pools polls the chores that can go on, and is woken when
//! one can that nobody polls; see [`Bell`](super::bell::Bell).

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::Context;

use super::core::{Core, Desk, Home, Place};
use super::factory::TenantFactory;
use super::roster::{Key, Life};
use super::ticket::Ticketed;
use crate::Clock;
use crate::attend::Driver;
use crate::operate::WarmUp;
use crate::shared::guarded;

/// Something to be polled that no caller waits for.
pub(super) enum Chore<T: TenantFactory, C: Clock + Clone> {
    /// A pool that is closing, or has more connections than it may have, or all pools are driven.
    Attend(Driver<Ticketed<T, C>, C>),
    Warm(WarmUp<Ticketed<T, C>, C>),
}

pub(super) struct Slot<T: TenantFactory, C: Clock + Clone> {
    key: Key,
    /// Taken out while it is polled.
    chore: Option<Chore<T, C>>,
    /// It rang meanwhile.
    again: bool,
}

/// How far a tenant's pool is with what it begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Warming {
    /// It waits for its turn, as there are as many that warm up as may be; its number in the line.
    InTurn(u64),
    /// This chore sees to it.
    Chore(usize),
}

/// The warm-ups of tenants' own pools.
pub(super) struct WarmUps {
    /// How many connections a pool begins with.
    each: u32,
    /// The most pools that warm up at once though nobody waits for that.
    most: u32,
    running: u32,
    /// Those whose turn is to come, by number: just those that are [in turn](Warming::InTurn).
    line: BTreeMap<u64, Key>,
    /// How many there were in the line.
    numbers: u64,
}

impl WarmUps {
    pub(super) const fn new(each: u32, most: u32) -> Self {
        Self { each, most, running: 0, line: BTreeMap::new(), numbers: 0 }
    }
}

/// Chores.
impl<T: TenantFactory, C: Clock + Clone> Core<T, C> {
    /// Polls the chores that can go on. Those that ring meanwhile are for the next time: one that wakes
    /// itself would keep the caller for ever.
    pub(super) fn do_chores(&self) {
        for _ in 0..self.bell.ready() {
            let Some(index) = self.bell.take_ready() else { return };
            let taken = {
                let mut desk = self.lock();
                desk.chores.get_mut(index).and_then(|slot| match slot.chore.take() {
                    Some(chore) => Some((slot.key, chore)),
                    None => {
                        slot.again = true;
                        None
                    }
                })
            };
            if let Some((key, chore)) = taken {
                self.do_chore(index, key, chore);
            }
        }
    }

    fn do_chore(&self, index: usize, key: Key, mut chore: Chore<T, C>) {
        let waker = self.bell.waker(index);
        let done = guarded(|| chore.poll(&mut Context::from_waker(&waker))).is_none_or(|it| it);
        let mut desk = self.lock();
        let attends = desk.get(key).is_some_and(|place| place.attending == Some(index));
        let warming = Some(Warming::Chore(index));
        let warms = desk.get(key).is_some_and(|place| place.warming == warming);
        let needed = attends && desk.needs_attendance(key) || warms;
        if done || !needed {
            desk.chores.remove(index);
            if attends {
                desk.place_mut(key).attending = None;
            }
            if warms {
                desk.end_warm_up(key);
            }
            // It may be another's turn to warm up.
            self.carry_out(desk);
            guarded(|| drop(chore));
            // Nobody else attends to this pool, so it is the one that the tenant has.
            if done && attends {
                self.closed(key);
            }
            // Somebody may wait until it has what it begins with.
            if warms {
                self.wake(key);
            }
            return;
        }
        let slot = &mut desk.chores[index];
        slot.chore = Some(chore);
        let again = std::mem::take(&mut slot.again);
        drop(desk);
        if again {
            self.bell.ring(index);
        }
    }
}

impl<T: TenantFactory, C: Clock + Clone> Chore<T, C> {
    /// Returns true once it is done.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        match self {
            Self::Attend(driver) => Pin::new(driver).poll(cx).is_ready(),
            Self::Warm(warm_up) => Pin::new(warm_up).poll(cx).is_ready(),
        }
    }
}

/// Which chores there are.
impl<T: TenantFactory, C: Clock + Clone> Desk<T, C> {
    /// Sees to it that all pools are polled.
    pub(super) fn attend_all(&mut self) {
        let keys: Vec<Key> = self.places.iter().flatten().map(|place| place.key).collect();
        keys.into_iter().for_each(|key| self.attend(key));
    }

    /// Sees to it that those chores end that nobody needs any more.
    pub(super) fn look_at_all(&mut self) {
        let Self { places, new, .. } = self;
        new.extend(places.iter().flatten().filter_map(|place| place.attending));
    }

    /// Sees to what a pool needs that was just made.
    pub(super) fn begin_chores(&mut self, key: Key) {
        if self.drivers > 0 {
            self.attend(key);
        }
        if matches!(self.place(key).home, Some(Home::Own(_))) && self.warm_ups.each > 0 {
            self.warm_ups.numbers += 1;
            let number = self.warm_ups.numbers;
            self.place_mut(key).warming = Some(Warming::InTurn(number));
            self.warm_ups.line.insert(number, key);
            self.start_warm_ups();
        }
    }

    /// Begins warm-ups, in the order in which pools were opened, while there may be more.
    fn start_warm_ups(&mut self) {
        while self.warm_ups.running < self.warm_ups.most
            && let Some((_, key)) = self.warm_ups.line.pop_first()
        {
            self.start_warm_up(key);
        }
    }

    fn start_warm_up(&mut self, key: Key) {
        let each = self.warm_ups.each.min(self.roster.size(key));
        let Some(Home::Own(pool)) = &self.place(key).home else {
            unreachable!("the turn of a pool ends as it closes")
        };
        let chore = Chore::Warm(pool.warm_up(each));
        let index = self.add_chore(key, chore);
        self.place_mut(key).warming = Some(Warming::Chore(index));
        self.warm_ups.running += 1;
    }

    /// Begins the warm-up of a tenant's pool out of turn, as somebody waits for it; returns its chore
    /// if one is under way. Those in turn may stand behind a server that does not answer.
    pub(super) fn hasten_warm_up(&mut self, key: Key) -> Option<usize> {
        if let Warming::InTurn(number) = self.get(key)?.warming? {
            self.warm_ups.line.remove(&number);
            self.start_warm_up(key);
        }
        match self.place(key).warming? {
            Warming::Chore(index) => Some(index),
            Warming::InTurn(_) => unreachable!("it has just begun"),
        }
    }

    /// Takes note that a tenant's pool has what it begins with, or does not need it; tells whether
    /// that was still to come.
    pub(super) fn end_warm_up(&mut self, key: Key) -> bool {
        let ended = self.get_mut(key).and_then(|place| place.warming.take());
        match ended {
            Some(Warming::InTurn(number)) => {
                self.warm_ups.line.remove(&number);
            }
            Some(Warming::Chore(_)) => {
                self.warm_ups.running -= 1;
                self.start_warm_ups();
            }
            None => {}
        }
        ended.is_some()
    }

    /// Ends the turn of a pool that is closing. A warm-up that has begun ends by itself.
    pub(super) fn end_turn(&mut self, key: Key) {
        let is_in_turn = |place: &&Place<T, C>| matches!(place.warming, Some(Warming::InTurn(_)));
        if self.get(key).filter(is_in_turn).is_some() {
            self.end_warm_up(key);
        }
    }

    /// Checks that just those stand in the line whose turn is to come.
    pub(super) fn check_warm_ups(&self) -> Result<(), String> {
        let WarmUps { line, running, .. } = &self.warm_ups;
        let all = || self.places.iter().flatten().filter_map(|it| Some((it.key, it.warming?)));
        let in_turn = all().filter_map(|(key, warming)| match warming {
            Warming::InTurn(number) => Some((number, key)),
            Warming::Chore(_) => None,
        });
        let in_turn: BTreeMap<u64, Key> = in_turn.collect();
        if in_turn != *line {
            return Err(format!("warm-ups: {line:?} stand in the line of {in_turn:?}"));
        }
        let begun = all().count() - in_turn.len();
        match begun == *running as usize {
            true => Ok(()),
            false => Err(format!("warm-ups: {running} of {begun} are counted")),
        }
    }

    /// Sees to it that a tenant's pool is polled, though nobody may wait for it.
    pub(super) fn attend(&mut self, key: Key) {
        let place = self.place(key);
        if let (None, Some(Home::Own(pool))) = (place.attending, &place.home) {
            let chore = Chore::Attend(pool.driver());
            self.place_mut(key).attending = Some(self.add_chore(key, chore));
        }
    }

    fn add_chore(&mut self, key: Key, chore: Chore<T, C>) -> usize {
        let index = self.chores.insert(Slot { key, chore: Some(chore), again: false });
        self.new.push(index);
        index
    }

    fn needs_attendance(&self, key: Key) -> bool {
        let life = self.roster.life(key);
        let closes = matches!(life, Some(Life::Leaving | Life::Closing));
        closes || self.roster.owes(key) || self.drivers > 0 && life == Some(Life::Open)
    }
}
