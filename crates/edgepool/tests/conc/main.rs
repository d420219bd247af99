//! Small scenarios of a few threads, each run in many schedules: by loom in all of them (up to a
//! bound), by shuttle in random ones, under miri and plainly in those that come.
//!
//! A caller that is not woken is a deadlock, which loom and shuttle see and tell; plainly and under
//! miri, it is somebody who sleeps for too long.
//!
//! | how | command, before `cargo test -p edgepool --test conc` |
//! |---|---|
//! | loom | `RUSTFLAGS="--cfg edgepool_loom" LOOM_MAX_PREEMPTIONS=2`, with `--profile thorough` |
//! | shuttle | `RUSTFLAGS="--cfg edgepool_shuttle"`, with `--profile thorough` |
//! | miri | `MIRIFLAGS=-Zmiri-disable-isolation`, as `cargo +nightly miri test` |

mod hand_clock;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
#[cfg(edgepool_loom)]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;
#[cfg(edgepool_loom)]
use std::time::Instant;

use edgepool::{AcquireError, Begun, Builder, Factory, Lease, NoJob, Pool, Tried};

use hand_clock::HandClock;
use threads::{Condvar, Mutex, model, spawn, wait};

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
mod threads {
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
mod threads {
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
mod threads {
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

fn block_on<F: Future>(future: F) -> F::Output {
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
fn poll_times<F: Future>(future: F, times: u32) -> Option<F::Output> {
    let mut future = pin!(future);
    (0..times).find_map(|_| match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}

/// Keeps everybody out until it is opened.
#[derive(Default)]
struct Gate(Mutex<(bool, Vec<Waker>)>);

impl Gate {
    fn pass(self: Arc<Self>) -> impl Future<Output = ()> + Send {
        poll_fn(move |cx| {
            let waker = cx.waker().clone();
            let mut gate = self.0.lock().unwrap();
            match gate.0 {
                true => Poll::Ready(()),
                false => {
                    gate.1.push(waker);
                    Poll::Pending
                }
            }
        })
    }

    fn open(&self) {
        let mut gate = self.0.lock().unwrap();
        gate.0 = true;
        let wakers = std::mem::take(&mut gate.1);
        drop(gate);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// How many connections were made, and how many are gone.
#[derive(Default)]
struct Tally {
    made: AtomicU32,
    gone: AtomicU32,
}

struct Connection(Arc<Tally>);

impl Connection {
    fn new(tally: Arc<Tally>) -> Self {
        tally.made.fetch_add(1, SeqCst);
        Self(tally)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.gone.fetch_add(1, SeqCst);
    }
}

/// Its jobs with a gate wait there; the others are calls, and a creation without is made at once.
#[derive(Clone, Default)]
struct Gated {
    tally: Arc<Tally>,
    create: Option<Arc<Gate>>,
    reset: Option<Arc<Gate>>,
    close: Option<Arc<Gate>>,
}

/// A gate, and a factory of which one job waits there.
impl Gated {
    fn creating() -> (Arc<Gate>, Self) {
        let gate = Arc::new(Gate::default());
        (Arc::clone(&gate), Self { create: Some(gate), ..Self::default() })
    }

    fn resetting() -> (Arc<Gate>, Self) {
        let gate = Arc::new(Gate::default());
        (Arc::clone(&gate), Self { reset: Some(gate), ..Self::default() })
    }

    fn closing() -> (Arc<Gate>, Self) {
        let gate = Arc::new(Gate::default());
        (Arc::clone(&gate), Self { close: Some(gate), ..Self::default() })
    }
}

type Job<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Factory for Gated {
    type Connection = Connection;
    type Error = Infallible;
    type Create = Job<Result<Connection, Infallible>>;
    type Check = NoJob<Tried<Connection, Infallible>>;
    type Reset = Job<Tried<Connection, Infallible>>;
    type Close = Job<()>;

    fn create(&self) -> Self::Create {
        let (tally, gate) = (Arc::clone(&self.tally), self.create.clone());
        Box::pin(async move {
            if let Some(gate) = gate {
                gate.pass().await;
            }
            Ok(Connection::new(tally))
        })
    }

    fn checks(&self) -> bool {
        false
    }

    fn reset(&self, connection: Connection) -> Begun<Tried<Connection, Infallible>, Self::Reset> {
        match self.reset.clone() {
            Some(gate) => Begun::Later(Box::pin(async move {
                gate.pass().await;
                Ok(connection)
            })),
            None => Begun::Done(Ok(connection)),
        }
    }

    fn close(&self, connection: Connection) -> Begun<(), Self::Close> {
        match self.close.clone() {
            Some(gate) => Begun::Later(Box::pin(async move {
                gate.pass().await;
                drop(connection);
            })),
            None => {
                drop(connection);
                Begun::Done(())
            }
        }
    }
}

type GatedPool = Pool<Gated, HandClock>;
type GatedLease = Lease<Gated, HandClock>;

fn builder(factory: &Gated, max: u32) -> Builder<Gated, HandClock> {
    Pool::builder(factory.clone(), HandClock::default()).max(max).min_idle(0).seed(0)
}

fn pool(factory: &Gated, max: u32) -> GatedPool {
    builder(factory, max).build().unwrap()
}

/// Acquires what is there or is made at once.
fn take_one(pool: &GatedPool) -> GatedLease {
    poll_times(pool.acquire(), 1).expect("it is there").unwrap()
}

/// Checks that nobody is left in the pool, and that none of its connections is lost.
fn leave(pool: GatedPool, factory: &Gated) {
    pool.check().unwrap();
    let gauges = pool.stats().gauges;
    assert_eq!((gauges.in_use, gauges.waiting, gauges.offered), (0, 0, 0));
    let tally = &factory.tally;
    let kept = tally.made.load(SeqCst) - tally.gone.load(SeqCst);
    assert_eq!(kept, gauges.idle + gauges.resetting + gauges.closing);
    drop(pool);
    assert_eq!(tally.made.load(SeqCst), tally.gone.load(SeqCst), "none outlives the pool");
}

#[test]
fn a_release_meets_an_acquire() {
    model(|| {
        let factory = Gated::default();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        let releasing = spawn(move || drop(lease));
        drop(block_on(pool.acquire()).unwrap());
        releasing.join().unwrap();
        assert_eq!(factory.tally.made.load(SeqCst), 1);
        leave(pool, &factory);
    });
}

#[test]
fn a_waiter_gives_up_as_a_connection_comes_back() {
    model(|| {
        let factory = Gated::default();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        let impatient = spawn({
            let pool = pool.clone();
            move || drop(poll_times(pool.acquire(), 1))
        });
        let releasing = spawn(move || drop(lease));
        drop(block_on(pool.acquire()).unwrap());
        impatient.join().unwrap();
        releasing.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_claim_meets_a_cancellation() {
    model(|| {
        let factory = Gated::default();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        let mut first = Box::pin(pool.acquire());
        let noop = &mut Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(noop).is_pending());
        let second = spawn({
            let pool = pool.clone();
            move || drop(block_on(pool.acquire()).unwrap())
        });
        let releasing = spawn(move || drop(lease));
        // Either it has the offer by now, and claims it, or it leaves the queue.
        drop(first.as_mut().poll(noop));
        drop(first);
        second.join().unwrap();
        releasing.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_discard_meets_a_waiter() {
    model(|| {
        let factory = Gated::default();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        let discarding = spawn(move || lease.discard());
        // The creation is begun over there, and polled here.
        drop(block_on(pool.acquire()).unwrap());
        discarding.join().unwrap();
        assert_eq!(factory.tally.made.load(SeqCst), 2);
        leave(pool, &factory);
    });
}

#[test]
fn a_job_is_woken_while_it_is_polled() {
    model(|| {
        let (gate, factory) = Gated::creating();
        let pool = pool(&factory, 1);
        let opening = spawn(move || gate.open());
        drop(block_on(pool.acquire()).unwrap());
        opening.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn two_callers_poll_each_others_jobs() {
    model(|| {
        let (gate, factory) = Gated::creating();
        let pool = pool(&factory, 2);
        let opening = spawn(move || gate.open());
        let other = spawn({
            let pool = pool.clone();
            move || block_on(pool.acquire()).unwrap()
        });
        let lease = block_on(pool.acquire()).unwrap();
        drop((lease, other.join().unwrap()));
        opening.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_caller_that_drives_leaves_as_its_job_is_woken() {
    model(|| {
        let (gate, factory) = Gated::creating();
        let pool = pool(&factory, 1);
        let mut driving = Box::pin(pool.acquire());
        assert!(driving.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let opening = spawn(move || gate.open());
        let other = spawn({
            let pool = pool.clone();
            move || drop(block_on(pool.acquire()).unwrap())
        });
        drop(driving);
        other.join().unwrap();
        opening.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_driver_leaves_as_a_job_is_woken() {
    model(|| {
        let (gate, factory) = Gated::creating();
        let pool = pool(&factory, 1);
        let opening = spawn(move || gate.open());
        let driving = spawn({
            let pool = pool.clone();
            move || poll_times(pool.driver(), 1)
        });
        drop(block_on(pool.acquire()).unwrap());
        opening.join().unwrap();
        assert!(driving.join().unwrap().is_none());
        leave(pool, &factory);
    });
}

#[test]
fn a_driver_serves_a_caller_and_ends_with_the_pool() {
    model(|| {
        let (gate, factory) = Gated::creating();
        let pool = pool(&factory, 1);
        let driver = pool.driver();
        let driving = spawn(move || block_on(driver));
        let opening = spawn(move || gate.open());
        drop(block_on(pool.acquire()).unwrap());
        leave(pool, &factory);
        driving.join().unwrap();
        opening.join().unwrap();
    });
}

#[test]
fn a_tick_takes_the_turn_of_a_caller() {
    model(|| {
        let (gate, factory) = Gated::creating();
        let pool = pool(&factory, 1);
        let opening = spawn(move || gate.open());
        let ticking = spawn({
            let pool = pool.clone();
            move || pool.tick()
        });
        drop(block_on(pool.acquire()).unwrap());
        opening.join().unwrap();
        ticking.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_caller_is_refused_whose_creation_another_one_waits_for() {
    model(|| {
        let (gate, factory) = Gated::creating();
        let pool = builder(&factory, 1).max_waiting(0).build().unwrap();
        let opening = spawn(move || gate.open());
        let acquire = |pool: &GatedPool| match block_on(pool.acquire()) {
            Ok(lease) => drop(lease),
            Err(error) => assert!(matches!(error, AcquireError::QueueFull { .. }), "{error:?}"),
        };
        let other = spawn({
            let pool = pool.clone();
            move || acquire(&pool)
        });
        acquire(&pool);
        other.join().unwrap();
        opening.join().unwrap();
        assert_eq!(factory.tally.made.load(SeqCst), 1);
        leave(pool, &factory);
    });
}

#[test]
fn a_close_meets_an_acquire_and_a_release() {
    model(|| {
        let factory = Gated::default();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        let closing = spawn({
            let pool = pool.clone();
            move || pool.close()
        });
        let releasing = spawn(move || drop(lease));
        match block_on(pool.acquire()) {
            Ok(lease) => drop(lease),
            Err(error) => assert!(matches!(error, AcquireError::Closed), "{error:?}"),
        }
        closing.join().unwrap();
        releasing.join().unwrap();
        assert_eq!(pool.stats().gauges.size, 0);
        leave(pool, &factory);
    });
}

#[test]
fn the_last_handle_is_dropped_with_a_lease() {
    model(|| {
        let factory = Gated::default();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        let driver = pool.driver();
        let driving = spawn(move || block_on(driver));
        let releasing = spawn(move || drop(lease));
        drop(pool);
        releasing.join().unwrap();
        driving.join().unwrap();
        assert_eq!(factory.tally.gone.load(SeqCst), 1);
    });
}

#[test]
fn what_a_caller_needs_that_needs_two_comes_one_by_one() {
    model(|| {
        let factory = Gated::default();
        let pool = pool(&factory, 2);
        let (one, other) = (take_one(&pool), take_one(&pool));
        let releasing = spawn(move || drop(one));
        let rival = spawn({
            let pool = pool.clone();
            move || drop(block_on(pool.acquire()).unwrap())
        });
        drop(other);
        let both = block_on(pool.acquire_many(2)).unwrap();
        assert_eq!(both.len(), 2);
        drop(both);
        releasing.join().unwrap();
        rival.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_reset_that_its_releaser_waits_for_ends_elsewhere() {
    model(|| {
        let (gate, factory) = Gated::resetting();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        let opening = spawn(move || gate.open());
        let waiting = spawn({
            let pool = pool.clone();
            move || block_on(pool.acquire()).unwrap().take()
        });
        block_on(lease.release()).unwrap();
        drop(waiting.join().unwrap());
        opening.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_waiter_takes_over_a_reset_that_nobody_waits_for() {
    model(|| {
        let (gate, factory) = Gated::resetting();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        let opening = spawn(move || gate.open());
        let releasing = spawn(move || drop(poll_times(lease.release(), 1)));
        drop(block_on(pool.acquire()).unwrap().take());
        opening.join().unwrap();
        releasing.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_lease_is_dropped_whose_reset_takes_time() {
    model(|| {
        let (gate, factory) = Gated::resetting();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        let opening = spawn(move || gate.open());
        // The reset is begun over there, and polled here.
        let releasing = spawn(move || drop(lease));
        drop(block_on(pool.acquire()).unwrap().take());
        opening.join().unwrap();
        releasing.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_creation_is_given_up_while_it_is_polled() {
    model(|| {
        let (gate, factory) = Gated::creating();
        let pool = pool(&factory, 1);
        let opening = spawn(move || gate.open());
        let invalidating = spawn({
            let pool = pool.clone();
            move || pool.invalidate_all()
        });
        // The next creation takes the place of the one that was given up.
        drop(block_on(pool.acquire()).unwrap());
        opening.join().unwrap();
        invalidating.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_pause_ends_for_a_waiter() {
    model(|| {
        let factory = Gated::default();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        pool.pause();
        let resuming = spawn({
            let pool = pool.clone();
            move || pool.resume()
        });
        let releasing = spawn(move || drop(lease));
        drop(block_on(pool.acquire()).unwrap());
        resuming.join().unwrap();
        releasing.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_drain_waits_for_a_lease_and_its_closing() {
    model(|| {
        let (gate, factory) = Gated::closing();
        let pool = pool(&factory, 1);
        let lease = take_one(&pool);
        let opening = spawn(move || gate.open());
        let releasing = spawn(move || drop(lease));
        block_on(pool.drain(None)).unwrap();
        opening.join().unwrap();
        releasing.join().unwrap();
        assert_eq!(factory.tally.gone.load(SeqCst), 1);
        leave(pool, &factory);
    });
}

#[test]
fn connections_are_made_ahead_while_one_is_wanted() {
    model(|| {
        let (gate, factory) = Gated::creating();
        let pool = pool(&factory, 2);
        let opening = spawn(move || gate.open());
        let preparing = spawn({
            let pool = pool.clone();
            move || block_on(pool.warm_up(2))
        });
        drop(block_on(pool.acquire()).unwrap());
        preparing.join().unwrap().unwrap();
        opening.join().unwrap();
        leave(pool, &factory);
    });
}

#[test]
fn a_deadline_passes_as_a_connection_comes_back() {
    model(|| {
        let factory = Gated::default();
        let clock = HandClock::default();
        let builder = Pool::builder(factory.clone(), clock.clone()).max(1).min_idle(0).seed(0);
        let pool = builder.build().unwrap();
        let lease = take_one(&pool);
        let passing = spawn({
            let pool = pool.clone();
            move || {
                clock.pass(Duration::from_secs(2));
                pool.tick();
            }
        });
        let releasing = spawn(move || drop(lease));
        // If the time passes before it asks, its own has not begun.
        match poll_or_wait(&pool) {
            Ok(lease) => drop(lease),
            Err(error) => assert!(matches!(error, AcquireError::TimedOut(_)), "{error:?}"),
        }
        passing.join().unwrap();
        releasing.join().unwrap();
        leave(pool, &factory);
    });
}

fn poll_or_wait(pool: &GatedPool) -> Result<GatedLease, AcquireError<Infallible>> {
    block_on(pool.acquire().timeout(Duration::from_secs(1)))
}
