//! A single-threaded executor whose every choice comes from a seed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::ops::Bound;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use crate::{Rng, SimClock};

/// Names a task of an [`Executor`]. No name is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u64);

impl TaskId {
    /// Returns the task's number: how many were spawned before it.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// What an executor does to its tasks beyond running them, each in so many of 1,000 steps.
///
/// All of it is allowed by the contract of futures, so code that minds it is at fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Polls a task that was not woken.
    pub spurious_poll: u32,
    /// Keeps a woken task waiting for up to [`late_by`](Self::late_by).
    pub late_poll: u32,
    /// The longest that a woken task is kept waiting. Zero lets only tasks of the same moment pass.
    pub late_by: Duration,
    /// Stops a woken task from being polled at all, for up to [`stall_for`](Self::stall_for), as if
    /// its thread hung or its `select` looked elsewhere. Unlike one that is late, it is not polled
    /// for nothing meanwhile either.
    pub stall: u32,
    /// The longest that a task is stalled.
    pub stall_for: Duration,
    /// Drops a task that was spawned with [`Spawner::spawn_cancellable`], wherever it waits. In
    /// half of the cases it is one that was woken and not polled since, if there is any.
    pub cancel: u32,
}

/// What one [`Executor::step`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Polled a task, which is done or waits.
    Polled {
        /// The task.
        task: TaskId,
        /// Whether it has ended.
        done: bool,
    },
    /// Kept a woken task waiting ([`Faults::late_poll`]).
    Delayed(TaskId),
    /// Stopped a woken task from being polled at all ([`Faults::stall`]).
    Stalled(TaskId),
    /// Dropped a task ([`Faults::cancel`]).
    Cancelled(TaskId),
    /// No task was ready: time passed until the earliest alarm.
    Slept(Duration),
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// Every task has ended.
    Done,
    /// Tasks are left, but none is ready and no alarm is set: they wait for ever.
    Stuck,
    /// The time of the run is over.
    TimeUp,
}

/// Runs tasks on simulated time, on one thread, each choice made by the seed.
///
/// The same seed and the same tasks give the same run. Among the tasks that are ready, the seed
/// chooses which is polled next; when none is, time jumps to the earliest alarm of the clock. Each
/// poll has a waker of its own, and only that of a task's last poll wakes it, as the contract of
/// futures allows. Tasks need not be `Send`. A bound on the steps turns a livelock into a panic.
///
/// # Examples
/// ```
/// use edgepool::Clock;
/// use edgepool_sim::{Executor, SimClock};
/// use std::time::Duration;
///
/// let clock = SimClock::new();
/// let mut executor = Executor::new(&clock, 1);
/// let alarm = clock.alarm(clock.now().saturating_add(Duration::from_secs(86_400)));
/// let answer = executor.block_on(async move {
///     alarm.await; // a simulated day, in no time
///     42
/// });
/// assert_eq!(answer, 42);
/// assert_eq!(clock.elapsed(), Duration::from_secs(86_400));
/// ```
pub struct Executor {
    clock: SimClock,
    seed: u64,
    rng: Rng,
    faults: Faults,
    steps: u64,
    step_limit: u64,
    spawner: Spawner,
    /// Woken tasks that are kept waiting, by the elapsed time until which they are.
    delayed: BTreeSet<(Duration, TaskId)>,
    /// Which of these are not polled for nothing either, and until when.
    stalled: BTreeMap<TaskId, Duration>,
}

impl Executor {
    /// Makes an executor over `clock` whose choices come from `seed`, without faults and with a
    /// limit of ten million steps.
    #[must_use]
    pub fn new(clock: &SimClock, seed: u64) -> Self {
        Self {
            clock: clock.clone(),
            seed,
            rng: Rng::new(seed),
            faults: Faults::default(),
            steps: 0,
            step_limit: 10_000_000,
            spawner: Spawner::default(),
            delayed: BTreeSet::new(),
            stalled: BTreeMap::new(),
        }
    }

    /// Sets the faults to inject from now on.
    pub const fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Sets how many steps it may take in its life; one more is a panic.
    pub const fn set_step_limit(&mut self, steps: u64) {
        self.step_limit = steps;
    }

    /// Returns how many steps it has taken.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Returns how many tasks have not ended.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.spawner.shared.borrow().tasks.len()
    }

    /// Returns how many woken tasks are kept waiting ([`Faults::late_poll`], [`Faults::stall`]).
    #[must_use]
    pub fn delayed(&self) -> usize {
        self.delayed.len()
    }

    /// Returns a handle that spawns tasks, for use inside of tasks.
    #[must_use]
    pub fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }

    /// Adds a task; it is first polled in a later step.
    pub fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Task<T> {
        self.spawner.spawn(future)
    }

    /// Drops a task where it waits. Returns false if it had ended.
    pub fn cancel(&mut self, task: TaskId) -> bool {
        let mut shared = self.spawner.shared.borrow_mut();
        shared.cancellable.remove(&task);
        // Taken out first: the drop is the task's own code, and may spawn or wake.
        let entry = shared.tasks.remove(&task);
        drop(shared);
        entry.is_some()
    }

    /// Takes one step: polls a ready task, or lets time pass when none is ready. Returns `None`
    /// when there is nothing to do: no task is left, or all wait for ever.
    ///
    /// # Panics
    /// When the step limit is reached, and when a task panics.
    pub fn step(&mut self) -> Option<Step> {
        self.step_until(Duration::MAX)
    }

    /// Steps until no task is ready. Time does not pass, and a delayed task stays delayed.
    pub fn run_until_stalled(&mut self) {
        while self.has_ready() {
            self.step();
        }
    }

    /// Steps until every task has ended or all that are left wait for ever.
    pub fn run(&mut self) -> Stopped {
        while self.step().is_some() {}
        if self.tasks() == 0 { Stopped::Done } else { Stopped::Stuck }
    }

    /// Steps until `duration` has passed on the clock, or until every task has ended. If all tasks
    /// that are left wait for ever, the rest of the time passes nevertheless.
    pub fn run_for(&mut self, duration: Duration) -> Stopped {
        let until = self.clock.elapsed().saturating_add(duration);
        while self.step_until(until).is_some() {}
        if self.tasks() == 0 {
            return Stopped::Done;
        }
        self.clock.advance(until.saturating_sub(self.clock.elapsed()));
        Stopped::TimeUp
    }

    /// Runs `future` and, beside it, all other tasks, until it has ended.
    ///
    /// # Panics
    /// If it can never end, as no task is ready and no alarm is set.
    pub fn block_on<T: 'static>(&mut self, future: impl Future<Output = T> + 'static) -> T {
        let task = self.spawn(future);
        loop {
            if let Some(output) = task.take() {
                return output;
            }
            let stepped = self.step();
            assert!(stepped.is_some(), "the future waits for ever (seed {})", self.seed);
        }
    }

    /// Takes one step like [`step`](Self::step), but lets no time pass beyond that for which the
    /// clock has run `until`. Returns `None` if that is all there is to do.
    ///
    /// # Panics
    /// As [`step`](Self::step) does.
    pub fn step_until(&mut self, until: Duration) -> Option<Step> {
        self.release_delayed();
        if self.tasks() == 0 {
            return None;
        }
        let step = match self.inject() {
            Some(step) => step,
            None if self.has_ready() => self.poll_ready(),
            None => self.sleep(until)?,
        };
        self.steps += 1;
        assert!(
            self.steps < self.step_limit,
            "a livelock? {} steps were taken, {:?} have passed (seed {})",
            self.steps,
            self.clock.elapsed(),
            self.seed,
        );
        Some(step)
    }

    /// Drops a task or polls one that was not woken, where the faults say so.
    fn inject(&mut self) -> Option<Step> {
        if self.faults.cancel > 0
            && self.rng.chance(self.faults.cancel)
            && let Some(task) = self.choose_victim()
        {
            self.cancel(task);
            return Some(Step::Cancelled(task));
        }
        if self.faults.spurious_poll > 0 && self.rng.chance(self.faults.spurious_poll) {
            let after = TaskId(self.rng.below(self.spawner.shared.borrow().next.max(1)));
            let task = self.spawner.shared.borrow().task_from(after)?;
            return (!self.stalled.contains_key(&task)).then(|| self.poll(task));
        }
        None
    }

    fn choose_victim(&mut self) -> Option<TaskId> {
        let prefer_woken = self.rng.chance(500);
        let shared = self.spawner.shared.borrow();
        let mut among: Vec<TaskId> = shared.cancellable.iter().copied().collect();
        let woken = |task: &TaskId| {
            shared.ready.lock().contains(task) || self.delayed.iter().any(|(_, late)| late == task)
        };
        if prefer_woken && among.iter().any(woken) {
            among.retain(woken);
        }
        drop(shared);
        if among.is_empty() { None } else { Some(among[self.rng.index(among.len())]) }
    }

    /// Tells whether a task is woken and not kept waiting.
    pub(crate) fn has_ready(&self) -> bool {
        let shared = self.spawner.shared.borrow();
        let mut ready = shared.ready.lock();
        // A task that ended since it was woken is none.
        ready.retain(|task| shared.tasks.contains_key(task));
        !ready.is_empty()
    }

    fn poll_ready(&mut self) -> Step {
        let task = {
            let shared = self.spawner.shared.borrow();
            let mut ready = shared.ready.lock();
            let chosen = self.rng.index(ready.len());
            ready.swap_remove(chosen)
        };
        if self.stalled.contains_key(&task) {
            return Step::Stalled(task);
        }
        if self.faults.stall > 0 && self.rng.chance(self.faults.stall) {
            let until = self.keep_waiting(task, self.faults.stall_for);
            self.stalled.insert(task, until);
            return Step::Stalled(task);
        }
        if self.faults.late_poll > 0 && self.rng.chance(self.faults.late_poll) {
            self.keep_waiting(task, self.faults.late_by);
            return Step::Delayed(task);
        }
        self.poll(task)
    }

    fn keep_waiting(&mut self, task: TaskId, longest: Duration) -> Duration {
        let late = self.rng.duration(Duration::ZERO..=longest);
        let until = self.clock.elapsed().saturating_add(late);
        self.delayed.insert((until, task));
        until
    }

    fn poll(&self, task: TaskId) -> Step {
        let entry = self.spawner.shared.borrow_mut().tasks.get_mut(&task).and_then(Entry::take);
        let Some((mut future, waker)) = entry else { return Step::Polled { task, done: true } };
        // It stays out of the table of tasks until it has shown that it waits: if it panics, the
        // guard removes the task, and the executor stays usable.
        let mut guard = Running { shared: &self.spawner.shared, task, waits: None };
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            guard.waits = Some(future);
        }
        Step::Polled { task, done: guard.end() }
    }

    fn release_delayed(&mut self) {
        if self.delayed.is_empty() {
            return;
        }
        let now = self.clock.elapsed();
        let later = self.delayed.split_off(&(now, TaskId(u64::MAX)));
        for (_, task) in std::mem::replace(&mut self.delayed, later) {
            // One that was late is stalled since then, if it was polled for nothing and woken
            // again.
            if self.stalled.get(&task).is_none_or(|&until| until <= now) {
                self.stalled.remove(&task);
                self.spawner.shared.borrow().ready.lock().push(task);
            }
        }
    }

    /// Lets time pass until the earliest alarm or delayed task, if that is not after `until`.
    fn sleep(&self, until: Duration) -> Option<Step> {
        let now = self.clock.elapsed();
        let delayed = self.delayed.first().map(|(at, _)| at.saturating_sub(now));
        let alarm = self.clock.until_next_alarm();
        let wait = delayed.into_iter().chain(alarm).min()?;
        if now.saturating_add(wait) > until {
            return None;
        }
        self.clock.advance(wait);
        Some(Step::Slept(wait))
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("seed", &self.seed)
            .field("steps", &self.steps)
            .field("tasks", &self.tasks())
            .finish_non_exhaustive()
    }
}

/// Spawns tasks on an [`Executor`]; a clone does too.
#[derive(Clone, Default)]
pub struct Spawner {
    shared: Rc<RefCell<Shared>>,
}

impl Spawner {
    /// Adds a task. Dropping the handle that is returned leaves the task running.
    pub fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Task<T> {
        let output = Rc::new(RefCell::new(None));
        let result = output.clone();
        let future = Box::pin(async move {
            let value = future.await;
            *result.borrow_mut() = Some(value);
        });
        Task { id: self.shared.borrow_mut().insert(future), output, spawner: self.clone() }
    }

    /// Adds a task that [`Faults::cancel`] may drop at any point where it waits.
    pub fn spawn_cancellable<T: 'static>(
        &self,
        future: impl Future<Output = T> + 'static,
    ) -> Task<T> {
        let task = self.spawn(future);
        self.shared.borrow_mut().cancellable.insert(task.id);
        task
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawner").finish_non_exhaustive()
    }
}

/// A task of an [`Executor`], and its output once it has ended.
#[derive(Debug)]
pub struct Task<T> {
    id: TaskId,
    output: Rc<RefCell<Option<T>>>,
    spawner: Spawner,
}

impl<T> Task<T> {
    /// Returns the task's name.
    #[must_use]
    pub const fn id(&self) -> TaskId {
        self.id
    }

    /// Tells whether the task has ended: completed, cancelled or panicked.
    #[must_use]
    pub fn is_done(&self) -> bool {
        !self.spawner.shared.borrow().tasks.contains_key(&self.id)
    }

    /// Takes the output, once: `None` before the task has completed, and after.
    #[must_use]
    pub fn take(&self) -> Option<T> {
        self.output.borrow_mut().take()
    }
}

type BoxFuture = Pin<Box<dyn Future<Output = ()>>>;

#[derive(Default)]
struct Shared {
    next: u64,
    tasks: BTreeMap<TaskId, Entry>,
    cancellable: BTreeSet<TaskId>,
    ready: Arc<Ready>,
}

struct Entry {
    /// Absent while it is polled.
    future: Option<BoxFuture>,
    /// The waker of its last poll. Earlier ones do nothing any more.
    waker: Arc<TaskWaker>,
}

impl Entry {
    /// Takes the future out to be polled, with a waker for this poll.
    fn take(&mut self) -> Option<(BoxFuture, Waker)> {
        let future = self.future.take()?;
        self.waker.spent.store(true, Ordering::Relaxed);
        let TaskWaker { task, ready, .. } = &*self.waker;
        self.waker = Arc::new(TaskWaker::new(*task, ready, false));
        Some((future, Waker::from(self.waker.clone())))
    }
}

impl Shared {
    fn insert(&mut self, future: BoxFuture) -> TaskId {
        let task = TaskId(self.next);
        self.next += 1;
        let waker = Arc::new(TaskWaker::new(task, &self.ready, true));
        self.tasks.insert(task, Entry { future: Some(future), waker });
        self.ready.lock().push(task);
        task
    }

    /// Finds the first task from `after` on, or else the first of all.
    fn task_from(&self, after: TaskId) -> Option<TaskId> {
        let from = (Bound::Included(after), Bound::Unbounded);
        self.tasks.range(from).chain(self.tasks.iter()).next().map(|(&task, _)| task)
    }
}

/// A task that is being polled.
struct Running<'a> {
    shared: &'a RefCell<Shared>,
    task: TaskId,
    waits: Option<BoxFuture>,
}

impl Running<'_> {
    /// Puts the task back or removes it; returns whether it has ended.
    fn end(&mut self) -> bool {
        let mut shared = self.shared.borrow_mut();
        if let (Some(future), Some(entry)) = (self.waits.take(), shared.tasks.get_mut(&self.task)) {
            entry.future = Some(future);
            return false;
        }
        shared.cancellable.remove(&self.task);
        let entry = shared.tasks.remove(&self.task);
        drop(shared);
        drop(entry);
        true
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.end();
        }
    }
}

/// The woken tasks, in the order of their wakes.
#[derive(Default)]
struct Ready(Mutex<Vec<TaskId>>);

impl Ready {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<TaskId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct TaskWaker {
    task: TaskId,
    /// Whether it has woken its task already, or belongs to an earlier poll of it.
    spent: AtomicBool,
    ready: Arc<Ready>,
}

impl TaskWaker {
    fn new(task: TaskId, ready: &Arc<Ready>, spent: bool) -> Self {
        Self { task, spent: AtomicBool::new(spent), ready: ready.clone() }
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.spent.swap(true, Ordering::Relaxed) {
            self.ready.lock().push(self.task);
        }
    }
}

#[cfg(test)]
mod tests;
