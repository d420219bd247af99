//! Who is woken to see to what belongs to nobody: pools that are closing, shrinking or warming up.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::AcqRel;
use std::sync::{Arc, PoisonError};
use std::task::{Wake, Waker};

use crate::shared::guarded;
use crate::sync::{Mutex, MutexGuard};

/// The chores that can go on, and those who wait and may see to them.
pub(super) struct Bell(Mutex<Rung>);

/// Those who sleep, by number. Whoever is woken has left its seat, and takes it again when it sleeps.
type Seats = BTreeMap<u64, Waker>;

#[derive(Default)]
struct Rung {
    ready: VecDeque<usize>,
    /// Those who wait for the end of something. It must not depend on whether others are polled, so
    /// all of them are woken.
    operators: Seats,
    /// Those who wait for a connection, or for a pool. The one is woken that has waited for the
    /// longest, beside all operators: these may be kept and not be polled.
    callers: Seats,
    /// Those who wait for the end of one chore, by its index. Whenever it can go on all of them are
    /// woken, as the one who is woken for it may be kept and not be polled.
    of_chores: BTreeMap<usize, Seats>,
    next: u64,
}

#[derive(Clone, Copy, Debug)]
enum Rank {
    Operator,
    Caller,
    OfChore(usize),
}

impl Rung {
    fn seat(&mut self, rank: Rank, number: u64, waker: Waker) -> Option<Waker> {
        let seats = match rank {
            Rank::Operator => &mut self.operators,
            Rank::Caller => &mut self.callers,
            Rank::OfChore(chore) => self.of_chores.entry(chore).or_default(),
        };
        seats.insert(number, waker)
    }

    fn unseat(&mut self, rank: Rank, number: u64) -> Option<Waker> {
        match rank {
            Rank::Operator => self.operators.remove(&number),
            Rank::Caller => self.callers.remove(&number),
            Rank::OfChore(chore) => {
                let seats = self.of_chores.get_mut(&chore)?;
                let waker = seats.remove(&number);
                if seats.is_empty() {
                    self.of_chores.remove(&chore);
                }
                waker
            }
        }
    }

    /// Takes those out who are to be woken as a chore can go on.
    fn rouse(&mut self) -> Vec<Waker> {
        if self.ready.is_empty() {
            return Vec::new();
        }
        let caller = self.callers.pop_first().map(|(_, waker)| waker);
        let operators = std::mem::take(&mut self.operators).into_values();
        let mut roused: Vec<_> = operators.chain(caller).collect();
        for chore in &self.ready {
            roused.extend(self.of_chores.remove(chore).into_iter().flat_map(Seats::into_values));
        }
        roused
    }
}

impl Bell {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Rung::default()))
    }

    fn lock(&self) -> MutexGuard<'_, Rung> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells that a chore can go on, and wakes somebody for it.
    pub(super) fn ring(&self, chore: usize) {
        let mut rung = self.lock();
        rung.ready.push_back(chore);
        let roused = rung.rouse();
        drop(rung);
        wake(roused);
    }

    /// Tells how many chores can go on.
    pub(super) fn ready(&self) -> usize {
        self.lock().ready.len()
    }

    pub(super) fn take_ready(&self) -> Option<usize> {
        self.lock().ready.pop_front()
    }

    /// Takes a seat, or keeps it, with the waker of now.
    fn sit(&self, rank: Rank, seat: &mut Option<u64>, waker: Waker) {
        let mut rung = self.lock();
        let number = *seat.get_or_insert_with(|| {
            rung.next += 1;
            rung.next
        });
        let replaced = rung.seat(rank, number, waker);
        // What rang before there was anybody to wake.
        let roused = rung.rouse();
        drop(rung);
        guarded(|| drop(replaced));
        wake(roused);
    }

    fn rise(&self, rank: Rank, seat: u64) {
        let mut rung = self.lock();
        let waker = rung.unseat(rank, seat);
        // It may have been woken for a chore, and has not seen to it.
        let roused = rung.rouse();
        drop(rung);
        guarded(|| drop(waker));
        wake(roused);
    }

    /// Makes the waker of a chore.
    pub(super) fn waker(self: &Arc<Self>, chore: usize) -> Waker {
        Waker::from(Arc::new(Rope {
            bell: Arc::clone(self),
            chore,
            pulled: AtomicBool::new(false),
        }))
    }
}

fn wake(roused: Vec<Waker>) {
    for waker in roused {
        guarded(|| waker.wake());
    }
}

/// The waker of a chore. It rings once: a chore is polled with a new one.
struct Rope {
    bell: Arc<Bell>,
    chore: usize,
    pulled: AtomicBool,
}

impl Wake for Rope {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.pulled.swap(true, AcqRel) {
            self.bell.ring(self.chore);
        }
    }
}

/// A place among those who are woken for chores, left when it is dropped.
pub(super) struct Seat {
    bell: Arc<Bell>,
    rank: Rank,
    number: Option<u64>,
}

impl Seat {
    /// The seat of one who waits for a connection, or for a pool.
    pub(super) const fn of_caller(bell: Arc<Bell>) -> Self {
        Self { bell, rank: Rank::Caller, number: None }
    }

    /// The seat of one who waits for the end of a chore.
    pub(super) const fn of_chore(bell: Arc<Bell>, chore: usize) -> Self {
        Self { bell, rank: Rank::OfChore(chore), number: None }
    }

    /// The seat of one who waits for the end of something.
    pub(super) const fn of_operator(bell: Arc<Bell>) -> Self {
        Self { bell, rank: Rank::Operator, number: None }
    }

    /// Sleeps: from now on this waker may be woken for chores.
    pub(super) fn sleep(&mut self, waker: &Waker) {
        let waker = waker.clone();
        self.bell.sit(self.rank, &mut self.number, waker);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.bell.rise(self.rank, number);
        }
    }
}
