//! The pool's jobs: creations, checks, resets and closings under way.
//!
//! They belong to the pool, not to the caller whose need began them: whoever waits polls them, and
//! what they give goes to whoever is first by then.
//!
//! A place has one job at most, so they stand in a table by the place's index. Each has a waker of
//! its own, which notes the index in [`Ready`] and wakes whoever polled the jobs last: their
//! *driver*. The jobs *want a turn* when one was begun, or their driver left, since somebody polled
//! them last, or when one of them was woken.
//!
//! The rule against lost wake-ups: while they want a turn and anybody waits, an attendant (see
//! [`attend`](crate::attend)) or else the first caller in the queue is awake; and whoever is awake
//! looks whether they do, in the step in which it goes to sleep, and wakes the next one if it leaves
//! instead.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::Time;
use crate::factory::{Factory, Tried};
use crate::ledger::{JobKind, SlotKey, WaiterKey};
use crate::shared::guarded;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// A job. Boxed, as it is polled by one caller now and by another one later. One that has a
/// connection knows its number, once the pool has it.
pub(crate) enum Job<F: Factory> {
    Create(Pin<Box<F::Create>>),
    Check(Pin<Box<F::Check>>, Option<u64>),
    Reset(Pin<Box<F::Reset>>, Option<u64>),
    Close(Pin<Box<F::Close>>),
}

/// How a job ended; without an answer it panicked.
pub(crate) enum Outcome<C, E> {
    Created(Option<Result<C, E>>),
    Checked(Option<Tried<C, E>>),
    Reset(Option<Tried<C, E>>),
    Closed,
}

pub(crate) type OutcomeOf<F> = Outcome<<F as Factory>::Connection, <F as Factory>::Error>;

impl<F: Factory> Job<F> {
    /// Notes the number of its connection.
    pub(crate) const fn bear(&mut self, id: u64) {
        if let Self::Check(_, number) | Self::Reset(_, number) = self {
            *number = Some(id);
        }
    }

    /// Tells what is lost with the job if it is dropped before it ends: the number of a connection,
    /// if that is known, and what had it.
    pub(crate) const fn losing(&self) -> Option<(Option<u64>, JobKind)> {
        match self {
            Self::Check(_, number) => Some((*number, JobKind::Check)),
            Self::Reset(_, number) => Some((*number, JobKind::Reset)),
            Self::Create(_) | Self::Close(_) => None,
        }
    }

    /// Polls the job.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<OutcomeOf<F>> {
        fn poll<T: Future>(job: &mut Pin<Box<T>>, cx: &mut Context<'_>) -> Poll<Option<T::Output>> {
            guarded(|| job.as_mut().poll(cx)).map_or(Poll::Ready(None), |polled| polled.map(Some))
        }
        match self {
            Self::Create(job) => poll(job, cx).map(Outcome::Created),
            Self::Check(job, _) => poll(job, cx).map(Outcome::Checked),
            Self::Reset(job, _) => poll(job, cx).map(Outcome::Reset),
            Self::Close(job) => poll(job, cx).map(|_| Outcome::Closed),
        }
    }
}

/// Who polls the jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seat {
    Waiter(WaiterKey),
    Attendant(usize),
}

/// The jobs of one pool.
pub(crate) struct Jobs<F: Factory> {
    /// `None` while somebody polls them, without the lock.
    table: Option<Table<F>>,
    /// What was begun and what was given up meanwhile.
    incoming: Vec<(SlotKey, Job<F>)>,
    abandoned: Vec<SlotKey>,
    driver: Option<Seat>,
    /// One was begun, or the driver left.
    wanted: bool,
    /// The pool's time as the last turn began that has ended.
    polled: Time,
    ready: Arc<Ready>,
}

/// The jobs by the index of their place, and the waker of each place.
pub(crate) struct Table<F: Factory> {
    jobs: Vec<Option<(SlotKey, Job<F>)>>,
    wakers: Vec<(Waker, Arc<JobWaker>)>,
    len: usize,
    /// The places that are to be polled.
    due: VecDeque<u32>,
}

impl<F: Factory> Jobs<F> {
    pub(crate) fn new() -> Self {
        Self {
            table: Some(Table {
                jobs: Vec::new(),
                wakers: Vec::new(),
                len: 0,
                due: VecDeque::new(),
            }),
            incoming: Vec::new(),
            abandoned: Vec::new(),
            driver: None,
            wanted: false,
            polled: Time::ZERO,
            ready: Arc::default(),
        }
    }

    pub(crate) const fn driver(&self) -> Option<Seat> {
        self.driver
    }

    /// Tells whether somebody should poll. While somebody does it is no: that turn takes in what
    /// is begun meanwhile, and what is woken meanwhile wakes whoever has it.
    #[inline]
    pub(crate) fn want_a_turn(&self) -> bool {
        self.table.as_ref().is_some_and(|table| {
            self.wanted || (table.len > 0 && self.ready.any.load(Ordering::Acquire))
        })
    }

    /// Tells whether a job was begun or woken, and nobody is to poll it: whoever comes by should.
    #[inline(always)]
    pub(crate) fn are_left(&self) -> bool {
        self.wanted && self.driver.is_none() && self.are_asking()
    }

    /// Returns until when a job that has not ended is late by itself: until the last turn, while one
    /// is under way or a job asks for it.
    pub(crate) fn polled(&self) -> Time {
        match self.table.is_none() || self.are_asking() {
            true => self.polled,
            false => Time::NEVER,
        }
    }

    /// Tells whether a job was begun or woken that nobody polls at present.
    fn are_asking(&self) -> bool {
        let woken = || self.ready.any.load(Ordering::Acquire);
        self.table.is_some() && (!self.incoming.is_empty() || woken())
    }

    /// Returns what was begun and not polled yet.
    pub(crate) fn incoming(&self) -> impl Iterator<Item = SlotKey> + '_ {
        self.incoming.iter().map(|(slot, _)| *slot)
    }

    /// Tells whether the turn that is wanted is for jobs which were woken since `seat` polled them:
    /// that woke it, so it may let others run before it polls them again.
    pub(crate) fn have_woken(&self, seat: Seat) -> bool {
        !self.wanted && self.driver == Some(seat)
    }

    pub(crate) fn push(&mut self, slot: SlotKey, job: Job<F>) {
        self.wanted = true;
        self.incoming.push((slot, job));
    }

    /// Takes a job out, to be dropped without the lock. One that is being polled is dropped when
    /// that ends.
    pub(crate) fn abandon(&mut self, slot: SlotKey) -> Option<Job<F>> {
        if let Some(at) = self.incoming.iter().position(|(key, _)| *key == slot) {
            return Some(self.incoming.swap_remove(at).1);
        }
        match &mut self.table {
            Some(table) => table.remove(slot),
            None => {
                self.abandoned.push(slot);
                None
            }
        }
    }

    /// Lets the driver go, if it is this one. Its waker comes back: kept, it would keep alive what
    /// it wakes.
    pub(crate) fn leave(&mut self, seat: Seat) -> Option<Waker> {
        if self.driver != Some(seat) {
            return None;
        }
        self.driver = None;
        mutate!(DriverLeavesNobody, return None);
        self.wanted |= self.table.as_ref().is_some_and(|table| table.len > 0);
        self.ready.lock().driver.take()
    }

    /// Takes the jobs out, to be polled by `seat`, whom their wakes wake from now on; `None` if
    /// there are none, or somebody polls them already.
    pub(crate) fn take_turn(&mut self, seat: Option<Seat>) -> Option<Table<F>> {
        let mut table = self.table.take()?;
        self.wanted = false;
        self.take_in(&mut table);
        if table.len == 0 {
            self.table = Some(table);
            return None;
        }
        self.driver = seat;
        Some(table)
    }

    /// Takes in what was begun and drops what was given up while the jobs were being polled;
    /// returns whether there is anything new, and what must be dropped without the lock.
    pub(crate) fn catch_up(&mut self, table: &mut Table<F>) -> (bool, Vec<Job<F>>) {
        let gone = self.abandoned.drain(..).filter_map(|slot| table.remove(slot)).collect();
        self.wanted = false;
        (self.take_in(table), gone)
    }

    fn take_in(&mut self, table: &mut Table<F>) -> bool {
        let any = !self.incoming.is_empty();
        for (slot, job) in self.incoming.drain(..) {
            table.insert(slot, job, &self.ready);
        }
        any
    }

    /// Gives the jobs back after a turn that began at this time of the pool's. Without a driver
    /// nobody is woken by them, and somebody may have come meanwhile. The waker of the driver before
    /// comes back: kept, it would keep alive what it wakes.
    pub(crate) fn end_turn(&mut self, table: Table<F>, began: Time) -> Option<Waker> {
        self.polled = began;
        let wanted = table.len > 0;
        self.table = Some(table);
        if self.driver.is_some() {
            return None;
        }
        self.wanted |= wanted;
        self.ready.lock().driver.take()
    }

    pub(crate) const fn ready(&self) -> &Arc<Ready> {
        &self.ready
    }
}

impl<F: Factory> Table<F> {
    fn insert(&mut self, slot: SlotKey, job: Job<F>, ready: &Arc<Ready>) {
        let index = slot.index as usize;
        while self.wakers.len() <= index {
            let waker = Arc::new(JobWaker {
                index: self.wakers.len() as u32,
                woken: AtomicBool::new(false),
                ready: ready.clone(),
            });
            self.wakers.push((Waker::from(waker.clone()), waker));
            self.jobs.push(None);
        }
        debug_assert!(self.jobs[index].is_none(), "a place has one job");
        self.jobs[index] = Some((slot, job));
        self.len += 1;
        self.due.push_back(slot.index);
    }

    fn remove(&mut self, slot: SlotKey) -> Option<Job<F>> {
        let entry = self.jobs.get_mut(slot.index as usize)?;
        let (_, job) = entry.take_if(|(key, _)| *key == slot)?;
        self.len -= 1;
        Some(job)
    }

    /// Notes what was woken.
    pub(crate) fn look(&mut self, ready: &Ready) {
        if ready.any.load(Ordering::Acquire) {
            let mut woken = ready.lock();
            ready.any.store(false, Ordering::Release);
            for &index in &woken.indexes {
                self.wakers[index as usize].1.woken.store(false, Ordering::Relaxed);
            }
            self.due.extend(woken.indexes.drain(..));
        }
    }

    /// Polls the next job that is due, and takes it out if that ends it. The job comes along, to be
    /// dropped by whoever takes the outcome in.
    pub(crate) fn poll_next(&mut self) -> Polled<F> {
        let Some(index) = self.due.pop_front() else { return Polled::NoneDue };
        let entry = &mut self.jobs[index as usize];
        let Some((slot, job)) = entry else { return Polled::Pending };
        let mut cx = Context::from_waker(&self.wakers[index as usize].0);
        match job.poll(&mut cx) {
            Poll::Pending => Polled::Pending,
            Poll::Ready(outcome) => {
                let slot = *slot;
                let (_, job) = entry.take().expect("it was there");
                self.len -= 1;
                Polled::Ended(slot, outcome, job)
            }
        }
    }
}

pub(crate) enum Polled<F: Factory> {
    Ended(SlotKey, OutcomeOf<F>, Job<F>),
    Pending,
    NoneDue,
}

/// Which jobs were woken, and whom to wake for it.
#[derive(Default)]
pub(crate) struct Ready {
    /// Whether any index is noted; it changes under the lock.
    any: AtomicBool,
    inner: Mutex<Woken>,
}

#[derive(Default)]
struct Woken {
    indexes: Vec<u32>,
    driver: Option<Waker>,
}

impl Ready {
    fn lock(&self) -> MutexGuard<'_, Woken> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets whom to wake. The one before comes back, to be dropped without a lock.
    pub(crate) fn watch(&self, driver: Waker) -> Option<Waker> {
        self.lock().driver.replace(driver)
    }
}

/// The waker of the job of one place. A wake that outlived its job polls the next one there for
/// nothing.
struct JobWaker {
    index: u32,
    /// Whether the index is noted already; it changes under the lock of `ready`.
    woken: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for JobWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut woken = self.ready.lock();
        if !self.woken.swap(true, Ordering::Relaxed) {
            woken.indexes.push(self.index);
        }
        self.ready.any.store(true, Ordering::Release);
        let driver = woken.driver.take();
        drop(woken);
        // Whoever woke the job has nothing to do with what its driver's waker does.
        if let Some(driver) = driver {
            guarded(|| driver.wake());
        }
    }
}
