//! The clock of native programs: [`Instant`], and one thread that waits for every alarm.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::{Clock, Time};
use crate::shared::guarded;

/// Tells monotonic time since the first use of any `StdClock` in the process.
///
/// Its alarms need no executor: one thread, started with the first alarm that is polled before its
/// time, serves all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct StdClock;

impl Clock for StdClock {
    type Alarm = StdAlarm;

    fn now(&self) -> Time {
        let elapsed = origin().elapsed();
        Time::from_nanos(elapsed.as_secs() * 1_000_000_000 + u64::from(elapsed.subsec_nanos()))
    }

    fn alarm(&self, at: Time) -> StdAlarm {
        StdAlarm { at, id: None }
    }
}

/// The future of [`StdClock`]'s alarm. Dropping it cancels it.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct StdAlarm {
    at: Time,
    /// The number under which its waker is kept, once it has one.
    id: Option<u64>,
}

impl Future for StdAlarm {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if StdClock.now() >= self.at {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        let bell = Bell::get();
        let mut alarms = bell.lock();
        let id = self.id.unwrap_or_else(|| {
            alarms.last += 1;
            alarms.last
        });
        self.id = Some(id);
        let replaced = alarms.pending.insert((self.at, id), waker);
        let is_first = alarms.pending.first_key_value().is_some_and(|(key, _)| key.1 == id);
        drop(alarms);
        drop(replaced);
        if is_first {
            bell.changed.notify_one();
        }
        Poll::Pending
    }
}

impl Drop for StdAlarm {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let waker = Bell::get().lock().pending.remove(&(self.at, id));
            drop(waker);
        }
    }
}

fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

/// The alarms that are set, and the thread's bed.
struct Bell {
    alarms: Mutex<Alarms>,
    changed: Condvar,
}

struct Alarms {
    pending: BTreeMap<(Time, u64), Waker>,
    last: u64,
}

impl Bell {
    fn get() -> &'static Self {
        static BELL: OnceLock<&'static Bell> = OnceLock::new();
        BELL.get_or_init(|| {
            let alarms = Mutex::new(Alarms { pending: BTreeMap::new(), last: 0 });
            let bell: &'static Self = Box::leak(Box::new(Self { alarms, changed: Condvar::new() }));
            thread::Builder::new()
                .name("edgepool-clock".to_owned())
                .spawn(|| bell.ring())
                .expect("the clock's thread starts");
            bell
        })
    }

    fn lock(&self) -> MutexGuard<'_, Alarms> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever is due, without the lock, then sleeps until the next alarm or a change.
    fn ring(&self) -> ! {
        let mut alarms = self.lock();
        loop {
            let now = StdClock.now();
            let later = alarms.pending.split_off(&(now, u64::MAX));
            let due = std::mem::replace(&mut alarms.pending, later);
            if !due.is_empty() {
                drop(alarms);
                due.into_values().for_each(wake);
                alarms = self.lock();
                continue;
            }
            let sleep = match alarms.pending.first_key_value() {
                Some(((at, _), _)) => at.saturating_since(now),
                None => Duration::MAX,
            };
            let woken = self.changed.wait_timeout(alarms, sleep.min(Duration::from_secs(3_600)));
            alarms = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Wakes one; a waker that panics must not end everybody's clock.
fn wake(waker: Waker) {
    guarded(|| waker.wake());
}
