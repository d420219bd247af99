//! A clock that moves only when it is told to.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use edgepool::{Clock, Time};

/// Simulated time: it stands still until someone moves it.
///
/// A clone is a handle to the same clock. It holds two times, as a real machine does: how long it
/// has run ([`elapsed`](Self::elapsed), which never goes back), and what it tells
/// ([`now`](Clock::now), which can be stepped, set, frozen, or run too fast or slow). An alarm
/// counts down the time that it has to wait, as an operating system's timer or `setTimeout` does:
/// after a step back it rings early by what is told, and after a step forward late. Alarms ring in
/// the order of their times, and those of the same time in the order in which they were first
/// polled.
///
/// # Examples
/// ```
/// use edgepool::{Clock, Time};
/// use edgepool_sim::SimClock;
/// use futures::FutureExt;
/// use std::time::Duration;
///
/// let clock = SimClock::new();
/// let mut alarm = clock.alarm(clock.now().saturating_add(Duration::from_secs(30)));
/// assert!(alarm.poll_unpin(&mut noop()).is_pending());
///
/// assert_eq!(clock.advance_to_next_alarm(), Some(Time::from_nanos(30_000_000_000)));
/// assert!(alarm.poll_unpin(&mut noop()).is_ready());
/// # fn noop() -> std::task::Context<'static> {
/// #     std::task::Context::from_waker(futures::task::noop_waker_ref())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct SimClock {
    state: Arc<Mutex<State>>,
}

struct State {
    /// Nanoseconds for which the clock has run.
    elapsed: u64,
    /// Nanoseconds that it tells.
    told: u64,
    /// Nanoseconds by which that has moved forward.
    moved: u64,
    /// The most that it told.
    latest: u64,
    frozen: bool,
    /// How many nanoseconds it tells for 1,000 that pass.
    rate: u32,
    registered: u64,
    /// By the elapsed time at which each rings, then by order of registration.
    alarms: BTreeMap<Key, Waker>,
}

type Key = (u64, u64);

impl Default for State {
    fn default() -> Self {
        Self {
            elapsed: 0,
            told: 0,
            moved: 0,
            latest: 0,
            frozen: false,
            rate: 1_000,
            registered: 0,
            alarms: BTreeMap::new(),
        }
    }
}

impl SimClock {
    /// Makes a clock that tells [`Time::ZERO`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a clock that tells `start`.
    #[must_use]
    pub fn starting_at(start: Time) -> Self {
        let clock = Self::new();
        let mut state = clock.lock();
        (state.told, state.latest) = (start.as_nanos(), start.as_nanos());
        drop(state);
        clock
    }

    /// Returns for how long the clock has run, whatever it tells.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.lock().elapsed)
    }

    /// Returns how far what the clock tells has moved forward, all in all: as time passed, and by
    /// steps. It never goes back, and stands still while the clock does.
    #[must_use]
    pub fn moved(&self) -> Duration {
        Duration::from_nanos(self.lock().moved)
    }

    /// Returns the latest time that could be read off it so far. After a step back it is later than
    /// [`now`](Clock::now).
    #[must_use]
    pub fn latest(&self) -> Time {
        Time::from_nanos(self.lock().latest)
    }

    /// Returns how many alarms are set. A dropped alarm is not.
    #[must_use]
    pub fn alarms(&self) -> usize {
        self.lock().alarms.len()
    }

    /// Returns in what time the earliest alarm rings, if one is set.
    #[must_use]
    pub fn until_next_alarm(&self) -> Option<Duration> {
        let state = self.lock();
        let (due, _) = state.alarms.keys().next()?;
        Some(Duration::from_nanos(due.saturating_sub(state.elapsed)))
    }

    /// Lets `duration` pass at once, then rings every alarm that has become due, in order.
    pub fn advance(&self, duration: Duration) {
        let due = self.lock().pass(nanos(duration));
        wake_all(due);
    }

    /// Lets time pass until the earliest alarm and rings those of that moment. Returns what the
    /// clock tells then; `None`, with nothing moved, if no alarm is set.
    pub fn advance_to_next_alarm(&self) -> Option<Time> {
        let (due, now) = {
            let mut state = self.lock();
            let (at, _) = *state.alarms.keys().next()?;
            let wait = at.saturating_sub(state.elapsed);
            let due = state.pass(wait);
            (due, Time::from_nanos(state.told))
        };
        wake_all(due);
        Some(now)
    }

    /// Makes the clock tell a time that is `by` earlier, at the least [`Time::ZERO`].
    pub fn step_back(&self, by: Duration) {
        let mut state = self.lock();
        state.told = state.told.saturating_sub(nanos(by));
    }

    /// Makes the clock tell a time that is `by` later. No alarm rings for it.
    pub fn step_forward(&self, by: Duration) {
        self.lock().move_on(nanos(by));
    }

    /// Makes the clock tell the same time from now on, while alarms still ring.
    pub fn freeze(&self) {
        self.lock().frozen = true;
    }

    /// Ends [`freeze`](Self::freeze): what the clock tells moves again, from where it stood.
    pub fn thaw(&self) {
        self.lock().frozen = false;
    }

    /// Makes the clock tell `time` now, whatever it told before. No alarm rings for it.
    pub fn set(&self, time: Time) {
        let mut state = self.lock();
        let by = time.as_nanos().saturating_sub(state.told);
        state.move_on(by);
        state.told = time.as_nanos();
    }

    /// Makes what the clock tells move on by `per_mille` nanoseconds for 1,000 that pass, while
    /// alarms count down as before: with less than 1,000 they ring before their time is told.
    pub fn set_rate(&self, per_mille: u32) {
        self.lock().rate = per_mille;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for SimClock {
    type Alarm = Alarm;

    fn now(&self) -> Time {
        Time::from_nanos(self.lock().told)
    }

    fn alarm(&self, at: Time) -> Alarm {
        Alarm { clock: self.clone(), at, key: None }
    }
}

impl fmt::Debug for SimClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("SimClock")
            .field("elapsed", &Duration::from_nanos(state.elapsed))
            .field("told", &Duration::from_nanos(state.told))
            .field("frozen", &state.frozen)
            .field("alarms", &state.alarms.len())
            .finish()
    }
}

impl State {
    const fn move_on(&mut self, nanos: u64) {
        self.told = self.told.saturating_add(nanos);
        self.moved = self.moved.saturating_add(nanos);
        self.latest = if self.told > self.latest { self.told } else { self.latest };
    }

    /// Moves both times and takes out the alarms that are due.
    fn pass(&mut self, nanos: u64) -> BTreeMap<Key, Waker> {
        self.elapsed = self.elapsed.saturating_add(nanos);
        if !self.frozen {
            let told = u128::from(nanos) * u128::from(self.rate) / 1_000;
            self.move_on(u64::try_from(told).unwrap_or(u64::MAX));
        }
        let Some(after) = self.elapsed.checked_add(1) else {
            return std::mem::take(&mut self.alarms);
        };
        let later = self.alarms.split_off(&(after, 0));
        std::mem::replace(&mut self.alarms, later)
    }

    /// Answers a poll; gives back the waker that is not needed (any more), to be dropped unlocked.
    fn poll_alarm(
        &mut self,
        at: Time,
        key: &mut Option<Key>,
        waker: Waker,
    ) -> (bool, Option<Waker>) {
        if self.told >= at.as_nanos() && at != Time::NEVER {
            let old = key.take().and_then(|key| self.alarms.remove(&key));
            return (true, old.or(Some(waker)));
        }
        match *key {
            Some(key) => match self.alarms.get_mut(&key) {
                Some(kept) => (false, Some(std::mem::replace(kept, waker))),
                None => (true, Some(waker)), // it rang
            },
            None if at == Time::NEVER => (false, Some(waker)),
            None => {
                let due = self.elapsed.saturating_add(at.as_nanos() - self.told);
                self.registered += 1;
                *key = Some((due, self.registered));
                self.alarms.insert((due, self.registered), waker);
                (false, None)
            }
        }
    }
}

/// The future of [`SimClock`]'s alarms: it completes when its time has come. Dropped, it is
/// forgotten by the clock.
pub struct Alarm {
    clock: SimClock,
    at: Time,
    key: Option<Key>,
}

impl Future for Alarm {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // A waker's clone and drop are another's code, so both happen outside the lock.
        let waker = cx.waker().clone();
        let (rang, _unneeded) = this.clock.lock().poll_alarm(this.at, &mut this.key, waker);
        if rang { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let waker = self.key.take().and_then(|key| self.clock.lock().alarms.remove(&key));
        drop(waker);
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").field("at", &self.at).finish_non_exhaustive()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Wakes every one, even if one panics, and then passes the first panic on.
fn wake_all(due: BTreeMap<Key, Waker>) {
    let mut panic = None;
    for waker in due.into_values() {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            panic.get_or_insert(payload);
        }
    }
    if let Some(payload) = panic {
        resume_unwind(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Count {
        fn get(&self) -> u32 {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn set(clock: &SimClock, after: Duration) -> Pin<Box<Alarm>> {
        Box::pin(clock.alarm(clock.now().saturating_add(after)))
    }

    fn poll(alarm: &mut Pin<Box<Alarm>>, waker: &Arc<Count>) -> bool {
        let waker = Waker::from(waker.clone());
        alarm.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
    }

    #[test]
    fn rings_when_due_and_not_before() {
        let (clock, count) = (SimClock::new(), Arc::default());
        let mut alarm = set(&clock, secs(2));
        assert!(!poll(&mut alarm, &count));
        clock.advance(secs(2) - Duration::from_nanos(1));
        assert_eq!((count.get(), poll(&mut alarm, &count)), (0, false));
        clock.advance(Duration::from_nanos(1));
        assert_eq!((count.get(), poll(&mut alarm, &count)), (1, true));
        assert_eq!(clock.now(), Time::ZERO.saturating_add(secs(2)));
        assert_eq!(clock.advance_to_next_alarm(), None);
    }

    #[test]
    fn a_dropped_alarm_is_gone() {
        let (clock, count) = (SimClock::new(), Arc::default());
        let mut alarm = set(&clock, secs(1));
        poll(&mut alarm, &count);
        assert_eq!((clock.alarms(), Arc::strong_count(&count)), (1, 2));
        drop(alarm);
        assert_eq!((clock.alarms(), Arc::strong_count(&count)), (0, 1));
    }

    #[test]
    fn the_last_waker_is_the_one_woken() {
        let (clock, first, second) = (SimClock::new(), Arc::default(), Arc::default());
        let mut alarm = set(&clock, secs(1));
        poll(&mut alarm, &first);
        poll(&mut alarm, &second);
        clock.advance_to_next_alarm();
        assert_eq!((first.get(), second.get()), (0, 1));
    }

    #[test]
    fn ties_ring_in_order_of_registration() {
        struct Named(u32, Arc<Mutex<Vec<u32>>>);
        impl Wake for Named {
            fn wake(self: Arc<Self>) {
                self.1.lock().unwrap().push(self.0);
            }
        }
        let (clock, order) = (SimClock::new(), Arc::new(Mutex::new(Vec::new())));
        let mut alarms: Vec<_> = (0..5).map(|n| set(&clock, secs(u64::from(n == 0)))).collect();
        clock.step_back(secs(9));
        alarms.extend((5..8).map(|_| set(&clock, secs(1))));
        for n in [3, 7, 0, 5] {
            let waker = Waker::from(Arc::new(Named(n as u32, order.clone())));
            let _ = alarms[n].as_mut().poll(&mut Context::from_waker(&waker));
        }
        clock.advance(secs(1));
        assert_eq!(*order.lock().unwrap(), [7, 0, 5]);
    }

    #[test]
    fn a_step_back_makes_an_alarm_early_and_a_frozen_clock_stands() {
        let (clock, count) =
            (SimClock::starting_at(Time::from_nanos(secs(100).as_nanos() as u64)), Arc::default());
        let mut alarm = set(&clock, secs(10));
        poll(&mut alarm, &count);
        clock.step_back(secs(50));
        clock.freeze();
        clock.advance(secs(10));
        assert!(poll(&mut alarm, &count), "it counted its ten seconds");
        assert_eq!(clock.now(), Time::ZERO.saturating_add(secs(50)));
        assert_eq!(clock.elapsed(), secs(10));
        clock.thaw();
        clock.advance(secs(1));
        assert_eq!(clock.now(), Time::ZERO.saturating_add(secs(51)));
    }

    #[test]
    fn a_slow_clock_makes_an_alarm_early_and_a_set_one_tells_what_it_is_set_to() {
        let (clock, count) = (SimClock::new(), Arc::default());
        clock.set_rate(250);
        let mut alarm = set(&clock, secs(8));
        poll(&mut alarm, &count);
        clock.advance(secs(8));
        assert_eq!((count.get(), clock.now()), (1, Time::ZERO.saturating_add(secs(2))));
        clock.set_rate(3_000);
        clock.set(Time::from_nanos(5));
        clock.advance(Duration::from_nanos(10));
        assert_eq!(clock.now(), Time::from_nanos(35));
        clock.step_back(secs(9));
        assert_eq!((clock.now(), clock.latest()), (Time::ZERO, Time::ZERO.saturating_add(secs(2))));
        assert_eq!(clock.moved(), secs(2) + Duration::from_nanos(30));
    }

    #[test]
    fn never_does_not_come() {
        let (clock, count) = (SimClock::new(), Arc::default());
        let mut alarm = Box::pin(clock.alarm(Time::NEVER));
        assert!(!poll(&mut alarm, &count));
        assert_eq!(clock.alarms(), 0);
        clock.advance(Duration::MAX);
        assert!(!poll(&mut alarm, &count));
    }

    #[test]
    fn a_panicking_waker_leaves_the_clock_and_the_others_well() {
        struct Panics;
        impl Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic!("a waker panics");
            }
        }
        let (clock, count) = (SimClock::new(), Arc::default());
        let (mut bad, mut good) = (set(&clock, secs(1)), set(&clock, secs(1)));
        let waker = Waker::from(Arc::new(Panics));
        assert!(bad.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        poll(&mut good, &count);
        assert!(catch_unwind(|| clock.advance(secs(1))).is_err());
        assert_eq!((count.get(), clock.elapsed()), (1, secs(1)));
    }
}
