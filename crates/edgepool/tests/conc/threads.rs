//! Threads of the tool that explores their schedules, or plain ones, and how a scenario runs in them.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
#[cfg(edgepool_loom)]
use std::sync::atomic::AtomicU64;
#[cfg(edgepool_loom)]
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
#[cfg(not(any(edgepool_loom, edgepool_shuttle)))]
use std::time::Duration;
#[cfg(edgepool_loom)]
use std::time::Instant;

use tool::{Condvar, wait};
pub(crate) use tool::{Mutex, model, spawn};

/// The threads that panicked. The pool catches some panics, and none is expected.
static PANICS: std::sync::Mutex<Vec<ThreadId>> = std::sync::Mutex::new(Vec::new());

/// Runs a scenario once.
fn run(scenario: impl Fn()) {
    scenario();
    // Loom's threads and shuttle's share one with nobody else.
    let all = cfg!(not(any(edgepool_loom, edgepool_shuttle)));
    let panicked = PANICS.lock().unwrap().iter().any(|id| all || *id == thread::current().id());
    assert!(!panicked, "something panicked on the way");
}

/// Returns the name of the test that a scenario stands in.
fn name<S>() -> &'static str {
    std::any::type_name::<S>().split("::").nth(1).expect("it is a closure in a test")
}

fn count_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.lock().unwrap().push(thread::current().id());
            hook(panic);
        }));
    });
}

/// How often a scenario runs where schedules are not counted out.
#[cfg(not(edgepool_loom))]
fn rounds(default: usize) -> usize {
    let told = std::env::var("EDGEPOOL_ROUNDS").ok();
    told.map_or(default, |told| told.parse().expect("EDGEPOOL_ROUNDS is a number"))
}

#[cfg(edgepool_loom)]
mod tool {
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use loom::thread::spawn;

    use super::*;

    pub(crate) fn model<S: Fn() + Send + Sync + 'static>(scenario: S) {
        count_panics();
        let executions = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&executions);
        let mut builder = loom::model::Builder::new();
        builder.max_branches = builder.max_branches.max(5_000);
        let (begun, longest) = (Instant::now(), builder.max_duration);
        builder.check(move || {
            counted.fetch_add(1, SeqCst);
            run(&scenario);
        });
        let all = longest.is_none_or(|longest| begun.elapsed() < longest);
        let more = if all { "" } else { ", and there are more" };
        println!("{}: {} executions{more}", name::<S>(), executions.load(SeqCst));
    }

    pub(crate) fn wait<'a, T>(bell: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        bell.wait(guard).unwrap()
    }
}

#[cfg(edgepool_shuttle)]
mod tool {
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use shuttle::thread::spawn;

    use super::*;

    pub(crate) fn model<S: Fn() + Send + Sync + 'static>(scenario: S) {
        count_panics();
        let scenario = Arc::new(move || run(&scenario));
        let (random, rounds) = (Arc::clone(&scenario), rounds(5_000));
        shuttle::check_random(move || random(), rounds);
        shuttle::check_pct(move || scenario(), rounds, 3);
        println!("{}: {rounds} schedules at random, and as many with 3 preemptions", name::<S>());
    }

    pub(crate) fn wait<'a, T>(bell: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        bell.wait(guard).unwrap()
    }
}

#[cfg(not(any(edgepool_loom, edgepool_shuttle)))]
mod tool {
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::thread::spawn;

    use super::*;

    pub(crate) fn model<S: Fn() + Send + Sync + 'static>(scenario: S) {
        count_panics();
        let rounds = rounds(if cfg!(miri) { 4 } else { 500 });
        (0..rounds).for_each(|_| run(&scenario));
        println!("{}: {rounds} rounds", name::<S>());
    }

    pub(crate) fn wait<'a, T>(bell: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let (guard, timed_out) = bell.wait_timeout(guard, Duration::from_secs(20)).unwrap();
        assert!(!timed_out.timed_out(), "a wake-up was lost");
        guard
    }
}

/// A bed for one thread.
#[derive(Default)]
struct Bed {
    woken: Mutex<bool>,
    bell: Condvar,
}

impl Wake for Bed {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.woken.lock().unwrap() = true;
        self.bell.notify_one();
    }
}

impl Bed {
    fn sleep(&self) {
        let mut woken = self.woken.lock().unwrap();
        while !std::mem::take(&mut *woken) {
            woken = wait(&self.bell, woken);
        }
    }
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let bed = Arc::new(Bed::default());
    let waker = Waker::from(Arc::clone(&bed));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => bed.sleep(),
        }
    }
}

/// Polls a future so often, whether it was woken or not, and drops it.
pub(crate) fn poll_times<F: Future>(future: F, times: u32) -> Option<F::Output> {
    let mut future = pin!(future);
    (0..times).find_map(|_| match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}
