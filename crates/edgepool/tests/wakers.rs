//! What callers, jobs and the pool owe each other's wakers: whoever is polled last is woken, nobody
//! is kept from running, and no code but the pool's runs under its lock.

mod count;
mod hand_clock;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use count::{Count, poll};
use edgepool::{Builder, Factory, Failure, Pool, factory_fn};
use futures::FutureExt as _;
use hand_clock::HandClock;

/// A pool that makes no connection but those that are asked for.
fn builder<F: Factory>(factory: F) -> Builder<F, HandClock> {
    Pool::builder(factory, HandClock::default()).min_idle(0).seed(0)
}

fn counts<const N: usize>() -> [Arc<Count>; N] {
    std::array::from_fn(|_| Arc::default())
}

/// Futures that end when they are told to, each on its own, in the order in which they began.
#[derive(Clone, Default)]
struct Gates(Arc<Mutex<VecDeque<Arc<Gate>>>>);

#[derive(Default)]
struct Gate {
    open: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Gates {
    fn pass(&self) -> impl Future<Output = ()> + use<> {
        let gate = Arc::new(Gate::default());
        self.0.lock().unwrap().push_back(Arc::clone(&gate));
        poll_fn(move |cx| {
            *gate.waker.lock().unwrap() = Some(cx.waker().clone());
            if gate.open.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    fn creation(&self) -> impl Fn() -> Pin<Box<dyn Future<Output = Result<(), ()>>>> + use<> {
        let gates = self.clone();
        move || {
            let gate = gates.pass();
            Box::pin(gate.map(Ok))
        }
    }

    fn open_next(&self) {
        let gate = self.0.lock().unwrap().pop_front().expect("somebody waits there");
        gate.open.store(true, SeqCst);
        let waker = gate.waker.lock().unwrap().take();
        waker.into_iter().for_each(Waker::wake);
    }
}

/// Runs what would never end if it failed.
fn in_time(run: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let thread = thread::spawn(move || {
        run();
        done.send(()).unwrap();
    });
    match ended.recv_timeout(Duration::from_secs(10)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it stands still"),
        _ => thread.join().unwrap(),
    }
}

#[test]
fn a_job_that_yields_lets_its_caller_yield() {
    let go_on = Arc::new(AtomicBool::new(false));
    let creation = {
        let go_on = Arc::clone(&go_on);
        move || {
            let (go_on, mut polled) = (Arc::clone(&go_on), 0);
            poll_fn(move |cx| {
                polled += 1;
                assert!(polled < 100, "it is polled again and again, and nobody else is");
                if go_on.load(SeqCst) {
                    return Poll::Ready(Ok::<_, ()>(()));
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
        }
    };
    let pool = builder(factory_fn(creation)).max(2).build().unwrap();
    let [caller, operator] = counts();
    let mut acquire = pool.acquire();
    assert!(poll(&mut acquire, &caller).is_pending());
    assert!(caller.wakes() > 0);
    let mut warm_up = pool.warm_up(2);
    assert!(poll(&mut warm_up, &operator).is_pending());
    assert!(operator.wakes() > 0);
    assert!(poll(&mut acquire, &caller).is_pending());
    assert!(caller.wakes() > 0);
    go_on.store(true, SeqCst);
    assert!(poll(&mut acquire, &caller).ends_and(|outcome| outcome.is_ok()));
    assert!(poll(&mut warm_up, &operator).ends_and(|outcome| outcome.is_ok()));
}

trait Ends<T> {
    fn ends_and(self, is: impl FnOnce(T) -> bool) -> bool;
}

impl<T> Ends<T> for Poll<T> {
    fn ends_and(self, is: impl FnOnce(T) -> bool) -> bool {
        match self {
            Self::Ready(value) => is(value),
            Self::Pending => false,
        }
    }
}

#[test]
fn a_job_wakes_the_task_that_polled_its_caller_last() {
    let gates = Gates::default();
    let pool = builder(factory_fn(gates.creation())).build().unwrap();
    let [one, other] = counts();
    let mut acquire = pool.acquire();
    assert!(poll(&mut acquire, &one).is_pending());
    assert!(poll(&mut acquire, &other).is_pending());
    gates.open_next();
    assert!(other.wakes() > 0, "the task that has the caller now");
    assert!(poll(&mut acquire, &other).ends_and(|outcome| outcome.is_ok()));
}

/// A waker whose last reference panics as it is dropped.
struct Fragile;

impl Wake for Fragile {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Fragile {
    fn drop(&mut self) {
        panic!("the waker's panic");
    }
}

#[test]
fn a_waker_that_panics_as_it_is_dropped_takes_no_job_along() {
    let gates = Gates::default();
    let pool = builder(factory_fn(gates.creation())).max(1).build().unwrap();
    let mut gone = pool.acquire();
    {
        let fragile = Waker::from(Arc::new(Fragile));
        assert!(Pin::new(&mut gone).poll(&mut Context::from_waker(&fragile)).is_pending());
    }
    drop(gone); // and with it the last references to its waker, which are the pool's
    let [count] = counts();
    let mut acquire = pool.acquire();
    assert!(poll(&mut acquire, &count).is_pending());
    gates.open_next();
    assert!(count.wakes() > 0);
    assert!(poll(&mut acquire, &count).ends_and(|outcome| outcome.is_ok()));
}

#[test]
fn a_creation_that_panics_when_it_is_called_is_told_to_who_warms_up() {
    let creation = || -> std::future::Ready<Result<(), ()>> { panic!("the factory's panic") };
    let pool = builder(factory_fn(creation)).build().unwrap();
    let mut warm_up = pool.warm_up(1);
    let [count] = counts();
    let polled = match poll(&mut warm_up, &count) {
        Poll::Pending if count.wakes() > 0 => poll(&mut warm_up, &count),
        polled => polled,
    };
    let Poll::Ready(Err(error)) = polled else { panic!("it waits for ever") };
    assert_eq!((error.made, error.failures), (0, vec![Failure::Panicked]));
}

#[test]
fn who_is_done_hands_the_jobs_over_even_if_it_stays() {
    let (creations, resets) = (Gates::default(), Gates::default());
    let factory = factory_fn(creations.creation()).reset({
        let resets = resets.clone();
        move |connection| {
            let gate = resets.pass();
            async move {
                gate.await;
                Ok(connection)
            }
        }
    });
    let pool = builder(factory).max(2).build().unwrap();
    let [releasing, first, second] = counts();
    let mut leases = Vec::new();
    for _ in 0..2 {
        let mut acquire = pin!(pool.acquire());
        assert!(poll(&mut acquire, &first).is_pending());
        creations.open_next();
        let Poll::Ready(Ok(lease)) = poll(&mut acquire, &first) else { panic!("it is there") };
        leases.push(lease);
    }
    let mut release = leases.remove(0).release();
    drop(leases);
    assert!(poll(&mut release, &releasing).is_pending());
    let (mut one, mut other) = (pool.acquire(), pool.acquire());
    assert!(poll(&mut one, &first).is_pending());
    assert!(poll(&mut other, &second).is_pending());

    resets.open_next();
    assert!(releasing.wakes() > 0);
    assert!(poll(&mut release, &releasing).is_ready());
    assert!(first.wakes() > 0);
    let lease = poll(&mut one, &first);
    assert!(matches!(lease, Poll::Ready(Ok(_))));
    // Nobody but the second caller waits for the other reset now.
    if second.wakes() > 0 {
        assert!(poll(&mut other, &second).is_pending());
    }
    resets.open_next();
    assert!(second.wakes() > 0, "not a task that has nothing more to do here");
    assert!(poll(&mut other, &second).ends_and(|outcome| outcome.is_ok()));
    drop(release);
}

type Looked = Arc<OnceLock<Box<dyn Fn() + Send + Sync>>>;

/// An error that looks at the pool as it is dropped.
struct Curious(Looked);

impl Drop for Curious {
    fn drop(&mut self) {
        self.0.get().expect("the pool is there")();
    }
}

#[test]
fn errors_are_dropped_without_the_lock() {
    in_time(|| {
        let looked = Looked::default();
        let (tries, clock) = (AtomicU32::new(0), HandClock::default());
        let create = {
            let looked = Arc::clone(&looked);
            move || {
                let outcome = match tries.fetch_add(1, SeqCst) {
                    0 | 2 => Some(Err(Curious(Arc::clone(&looked)))),
                    1 => Some(Ok(())),
                    _ => None,
                };
                let mut outcome = outcome;
                poll_fn(move |_| outcome.take().map_or(Poll::Pending, Poll::Ready))
            }
        };
        let reset = {
            let looked = Arc::clone(&looked);
            move |connection| {
                let looked = Arc::clone(&looked);
                async move { Err((connection, Curious(looked))) }
            }
        };
        let factory = factory_fn(create).reset(reset);
        let builder = Pool::builder(factory, clock.clone()).min_idle(0).max(1).backoff(None);
        let pool = builder.create_timeout(Duration::from_secs(10)).build().unwrap();
        let sighted = Arc::new(AtomicU32::new(0));
        let look = {
            let (pool, sighted) = (pool.clone(), Arc::clone(&sighted));
            move || {
                sighted.fetch_add(1, SeqCst);
                pool.stats();
            }
        };
        assert!(looked.set(Box::new(look)).is_ok());
        let [count] = counts();

        // The first creation fails, and the second forgets it.
        assert!(poll(&mut pool.acquire(), &count).ends_and(|outcome| outcome.is_err()));
        assert_eq!(sighted.load(SeqCst), 0, "the pool remembers it");
        let Poll::Ready(Ok(lease)) = poll(&mut pool.acquire(), &count) else { panic!() };
        assert_eq!(sighted.load(SeqCst), 1);

        // A reset fails that nobody waits for.
        drop(lease);
        pool.tick();
        assert_eq!(sighted.load(SeqCst), 2);

        // Another creation fails, and one takes too long after it.
        assert!(poll(&mut pool.acquire(), &count).ends_and(|outcome| outcome.is_err()));
        let mut acquire = pool.acquire();
        assert!(poll(&mut acquire, &count).is_pending());
        clock.pass(Duration::from_secs(11));
        assert!(poll(&mut acquire, &count).ends_and(|outcome| outcome.is_err()));
        assert_eq!(sighted.load(SeqCst), 3);
    });
}
