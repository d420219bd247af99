//! Who is next among the callers of one tenant: a list for each class of priority, in order of
//! arrival, and the rule between them.

use core::time::Duration;

use slab::Slab;

use super::list::List;
use super::store::Waiter;
use crate::Time;

/// The class of a caller in the queue.
///
/// Within a class callers are served in the order in which they came. Between classes a wait of
/// [`ageing`](super::Options::ageing) counts as much as one class, so a caller is passed only by
/// callers of higher classes that come within that time, once for each class between them, after
/// it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Priority {
    /// After the others.
    Low,
    /// As a caller that says nothing.
    #[default]
    Normal,
    /// Before those.
    High,
    /// Before all.
    Urgent,
}

const CLASSES: usize = 4;

/// The waiters of one tenant that do not have what they need yet.
#[derive(Clone, Debug)]
pub(super) struct Line {
    classes: [List; CLASSES],
    /// Which classes have somebody, a bit for each.
    used: u8,
    len: u32,
    /// How many connections they need beyond those that are set aside for them.
    units: u64,
    /// How many are set aside for them.
    set_aside: u32,
    ageing: Option<Duration>,
}

impl Line {
    pub(super) const fn new(ageing: Option<Duration>) -> Self {
        let classes = [const { List::new() }; CLASSES];
        Self { classes, used: 0, len: 0, units: 0, set_aside: 0, ageing }
    }

    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) const fn units(&self) -> u64 {
        self.units
    }

    #[cfg(not(feature = "tenants"))]
    pub(super) const fn set_aside(&self) -> u32 {
        self.set_aside
    }

    pub(super) fn classes(&self) -> &[List; CLASSES] {
        &self.classes
    }

    /// All who are in it, class by class.
    pub(super) fn iter<'a>(&'a self, waiters: &'a Slab<Waiter>) -> impl Iterator<Item = u32> + 'a {
        self.classes.iter().flat_map(|list| list.iter(waiters))
    }

    /// The waiter that is served next.
    #[inline(always)]
    pub(super) fn front(&self, waiters: &Slab<Waiter>) -> Option<u32> {
        // With one class in use, which is the rule, there is nothing to compare.
        match self.used {
            0 => None,
            used if used.is_power_of_two() => self.classes[used.trailing_zeros() as usize].front(),
            _ => self.first_of(waiters, self.classes.iter().filter_map(List::front)),
        }
    }

    /// The waiter that would be served next if this one and those before it in its class were not
    /// there.
    pub(super) fn behind(&self, waiters: &Slab<Waiter>, index: u32) -> Option<u32> {
        let own = waiters[index as usize].priority as usize;
        let heads = self.classes.iter().enumerate().filter_map(|(class, list)| {
            if class == own { List::next(waiters, index) } else { list.front() }
        });
        self.first_of(waiters, heads)
    }

    /// How many are served before this one, counted up to `limit`.
    pub(super) fn place(&self, waiters: &Slab<Waiter>, index: u32, limit: usize) -> usize {
        let rank = self.rank(&waiters[index as usize]);
        let before = |list: &List| {
            let ranks = list.iter(waiters).map(|other| self.rank(&waiters[other as usize]));
            ranks.take(limit).take_while(|&other| other < rank).count()
        };
        self.classes.iter().map(before).sum::<usize>().min(limit)
    }

    pub(super) fn push(&mut self, waiters: &mut Slab<Waiter>, index: u32) {
        let class = self.count_in(&waiters[index as usize]);
        self.classes[class].push_back(waiters, index);
    }

    /// Puts a waiter back by its order of arrival. Only those that missed an offer can be in front
    /// of it in its class, and there are fewer of them than places.
    pub(super) fn push_again(&mut self, waiters: &mut Slab<Waiter>, index: u32) {
        let arrival = waiters[index as usize].arrival;
        let class = self.count_in(&waiters[index as usize]);
        let list = &self.classes[class];
        let later = list.iter(waiters).find(|&other| waiters[other as usize].arrival > arrival);
        match later {
            Some(at) => self.classes[class].insert_before(waiters, at, index),
            None => self.classes[class].push_back(waiters, index),
        }
    }

    pub(super) fn remove(&mut self, waiters: &mut Slab<Waiter>, index: u32) {
        let waiter = &waiters[index as usize];
        let class = waiter.priority as usize;
        self.units -= u64::from(waiter.missing());
        self.set_aside -= u32::from(waiter.have);
        self.len -= 1;
        self.classes[class].remove(waiters, index);
        self.used &= !(u8::from(self.classes[class].is_empty()) << class);
    }

    fn count_in(&mut self, waiter: &Waiter) -> usize {
        let class = waiter.priority as usize;
        self.units += u64::from(waiter.missing());
        self.set_aside += u32::from(waiter.have);
        self.len += 1;
        self.used |= 1 << class;
        class
    }

    /// Notes that one was set aside for a waiter in the queue.
    pub(super) const fn supply_one(&mut self) {
        self.units -= 1;
        self.set_aside += 1;
    }

    /// Notes that a waiter in the queue lost what was set aside for it.
    pub(super) const fn lack_again(&mut self, lost: u16) {
        self.units += lost as u64;
        self.set_aside -= lost as u32;
    }

    fn first_of(&self, waiters: &Slab<Waiter>, heads: impl Iterator<Item = u32>) -> Option<u32> {
        let mut best: Option<u32> = None;
        for head in heads {
            best = match best {
                Some(other) if self.is_before(waiters, other, head) => Some(other),
                _ => Some(head),
            };
        }
        best
    }

    fn is_before(&self, waiters: &Slab<Waiter>, one: u32, other: u32) -> bool {
        self.rank(&waiters[one as usize]) < self.rank(&waiters[other as usize])
    }

    /// What the queue is sorted by, the smallest first. It never changes while a waiter waits, as
    /// all age alike.
    pub(super) fn rank(&self, waiter: &Waiter) -> (u8, Time, u64) {
        let below = Priority::Urgent as u8 - waiter.priority as u8;
        match self.ageing {
            None => (below, Time::ZERO, waiter.arrival),
            Some(step) => {
                let since = (0..below).fold(waiter.since, |time, _| time.saturating_add(step));
                (0, since, waiter.arrival)
            }
        }
    }
}
