//! What is to be polled though no caller waits for it: pools that close, shrink or warm up.
//!
//! Whoever waits for anything of tenants' pools polls the chores that can go on, and is woken when
//! one can that nobody polls; see [`Bell`](super::bell::Bell).

use std::pin::Pin;
use std::task::Context;

use super::core::{Core, Desk, Home};
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
        let warms = desk.get(key).is_some_and(|place| place.warming == Some(index));
        let needed = attends && desk.needs_attendance(key) || warms;
        if done || !needed {
            desk.chores.remove(index);
            if attends {
                desk.place_mut(key).attending = None;
            }
            if warms {
                desk.place_mut(key).warming = None;
            }
            drop(desk);
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
    pub(super) fn begin_chores(&mut self, key: Key, warm_up: u32) {
        if self.drivers > 0 {
            self.attend(key);
        }
        if let Some(Home::Own(pool)) = &self.place(key).home
            && warm_up > 0
        {
            let chore = Chore::Warm(pool.warm_up(warm_up.min(self.roster.size(key))));
            self.place_mut(key).warming = Some(self.add_chore(key, chore));
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
