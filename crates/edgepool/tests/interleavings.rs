//! Interleavings that threads meet once in millions of runs, made to happen: what another thread
//! would do runs inside the clock, a waker or a `Drop`, at the very step where it matters.

mod count;
mod hand_clock;

use std::convert::Infallible;
use std::future::{Future, Pending, Ready, pending, poll_fn, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Wake};
use std::time::Duration;

use count::{Count, poll};
use edgepool::{AcquireError, Clock, Factory, Pool, Time, factory_fn};
use hand_clock::HandClock;

const SECOND: Duration = Duration::from_secs(1);

/// A clock set by hand, which runs a closure the next time that it is read.
#[derive(Clone, Default)]
struct HookClock {
    hands: HandClock,
    hook: Arc<Mutex<Option<Hook>>>,
}

type Hook = Box<dyn FnOnce() + Send>;

impl HookClock {
    fn pass(&self, duration: Duration) {
        self.hands.pass(duration);
    }

    fn when_read(&self, run: impl FnOnce() + Send + 'static) {
        *self.hook.lock().unwrap() = Some(Box::new(run));
    }
}

impl Clock for HookClock {
    type Alarm = Pending<()>;

    fn now(&self) -> Time {
        let hook = self.hook.lock().unwrap().take();
        hook.into_iter().for_each(|run| run());
        self.hands.now()
    }

    fn alarm(&self, at: Time) -> Pending<()> {
        self.hands.alarm(at)
    }
}

/// A waker that runs a closure once.
struct Act(Mutex<Option<Hook>>);

impl Wake for Act {
    fn wake(self: Arc<Self>) {
        let act = self.0.lock().unwrap().take();
        act.into_iter().for_each(|run| run());
    }
}

fn act(run: impl FnOnce() + Send + 'static) -> Arc<Act> {
    Arc::new(Act(Mutex::new(Some(Box::new(run)))))
}

/// A pool that closures which run anywhere can name.
fn forever<F: Factory>(pool: Pool<F, HookClock>) -> &'static Pool<F, HookClock> {
    Box::leak(Box::new(pool))
}

type Creation = Pin<Box<dyn Future<Output = Result<u32, Infallible>> + Send>>;

#[test]
fn a_creation_started_while_its_driver_is_being_polled_is_polled() {
    let clock = HookClock::default();
    let (begun, polled) = (AtomicU32::new(0), Arc::new(AtomicU32::new(0)));
    let seen = polled.clone();
    let factory = factory_fn(move || {
        let (number, seen) = (begun.fetch_add(1, SeqCst) + 1, seen.clone());
        Box::pin(poll_fn(move |_| match number {
            1 | 2 => Poll::Ready(Ok(number)),
            3 | 4 => Poll::Pending,
            _ => Poll::Ready(Ok(seen.fetch_add(1, SeqCst))),
        })) as Creation
    });
    let pool = forever(Pool::builder(factory, clock.clone()).max(3).build().unwrap());
    let count = Arc::new(Count::default());
    let lease = || match poll(&mut Box::pin(pool.acquire()), &count) {
        Poll::Ready(Ok(lease)) => lease,
        _ => panic!("it is made at once"),
    };
    let (first, second) = (lease(), lease());
    let mut waiters = [(); 3].map(|()| Box::pin(pool.acquire()));
    assert!(waiters.iter_mut().all(|waiter| poll(waiter, &count).is_pending()));

    first.discard(); // starts the fourth, which hangs as the third does
    clock.when_read(move || second.discard()); // starts the fifth, in the midst of a poll
    assert!(poll(&mut waiters[2], &count).is_pending());
    assert_eq!(polled.load(SeqCst), 1);
    assert!(matches!(poll(&mut waiters[0], &count), Poll::Ready(Ok(_))));
    pool.check().unwrap();
}

#[test]
fn a_creation_started_by_a_caller_that_does_not_wait_is_polled() {
    let clock = HookClock::default();
    let factory = factory_fn(|| Box::pin(ready(Ok(1_u32))) as Creation);
    let pool = forever(Pool::builder(factory, clock.clone()).max(1).build().unwrap());
    let count = Arc::new(Count::default());
    let Poll::Ready(Ok(lease)) = poll(&mut Box::pin(pool.acquire()), &count) else {
        panic!("it is made at once");
    };
    let last = Arc::new(Mutex::new(Box::pin(pool.acquire().timeout(None))));
    let (polled, woken) = (last.clone(), Arc::new(Count::default()));
    let (waker, served) = (woken.clone(), Arc::new(AtomicU32::new(0)));
    let seen = served.clone();
    // The first to be told that its time is over frees the place, and the second, on the same
    // thread, polls the waiter that the place is for. That poll leaves the `Create` to the loop
    // which told the second, and sleeps: so that loop must wake it to poll what it began.
    let frees = act(move || assert_eq!(lease.take(), 1));
    let polls = act(move || {
        let served = poll(&mut *polled.lock().unwrap(), &waker).is_ready();
        seen.store(served.into(), SeqCst);
    });
    let mut first = Box::pin(pool.acquire().timeout(SECOND));
    let mut second = Box::pin(pool.acquire().timeout(SECOND));
    assert!(poll(&mut first, &frees).is_pending());
    assert!(poll(&mut second, &polls).is_pending());
    assert!(poll(&mut *last.lock().unwrap(), &count).is_pending());
    clock.pass(SECOND);
    pool.stats();
    assert_eq!(served.load(SeqCst) + woken.wakes(), 1, "somebody must poll the creation");
    if served.load(SeqCst) == 0 {
        assert!(poll(&mut *last.lock().unwrap(), &count).is_ready());
    }
    assert_eq!((pool.stats().gauges.creating, pool.stats().gauges.idle), (0, 1));
}

#[test]
fn a_panicking_waker_costs_no_other_caller_its_place() {
    let clock = HookClock::default();
    let factory = factory_fn(|| ready(Ok::<u32, Infallible>(1)));
    let pool = forever(Pool::builder(factory, clock.clone()).max(1).build().unwrap());
    let count = Arc::new(Count::default());
    let Poll::Ready(Ok(lease)) = poll(&mut Box::pin(pool.acquire()), &count) else {
        panic!("it is made at once");
    };
    let mut first = Box::pin(pool.acquire().timeout(2 * SECOND));
    let mut second = Box::pin(pool.acquire().timeout(SECOND));
    assert!(poll(&mut first, &count).is_pending());
    assert!(poll(&mut second, &act(|| panic!("a waker panics"))).is_pending());
    drop(lease); // offered to the first
    clock.pass(3 * SECOND); // and both are late
    let lease = pool.try_acquire();
    assert!(lease.is_some(), "who asks next has it, whatever the waker of another does");
    drop(lease);
    assert_eq!(pool.stats().gauges.idle, 1);
}

#[test]
fn a_driver_hands_over_even_if_another_waker_panics() {
    let clock = HookClock::default();
    let factory = factory_fn(|| Box::pin(pending()) as Creation);
    let builder = Pool::builder(factory, clock.clone()).max(2).create_timeout(None);
    let pool = forever(builder.build().unwrap());
    let (count, next) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let mut late = Box::pin(pool.acquire().timeout(SECOND));
    let mut patient = Box::pin(pool.acquire().timeout(None));
    let mut driver = Box::pin(pool.acquire().timeout(None));
    assert!(poll(&mut driver, &count).is_pending());
    assert!(poll(&mut late, &count).is_pending());
    assert!(poll(&mut late, &act(|| panic!("a waker panics"))).is_pending());
    assert!(poll(&mut patient, &next).is_pending());
    clock.pass(2 * SECOND);
    next.wakes();
    drop(driver);
    assert_eq!(next.wakes(), 1, "somebody must poll the creations");
}

#[test]
fn a_slow_drop_takes_no_time_from_the_creation_after_it() {
    let clock = HookClock::default();
    struct Slow(HookClock);
    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.pass(2 * SECOND);
        }
    }
    let passing = clock.clone();
    let factory = factory_fn(move || ready(Ok::<_, Infallible>(Slow(passing.clone()))));
    let builder = Pool::builder(factory, clock).max(1).create_timeout(SECOND);
    let pool = forever(builder.build().unwrap());
    let count = Arc::new(Count::default());
    let Poll::Ready(Ok(lease)) = poll(&mut Box::pin(pool.acquire()), &count) else {
        panic!("it is made at once");
    };
    let mut waiter = Box::pin(pool.acquire());
    assert!(poll(&mut waiter, &count).is_pending());
    lease.discard();
    assert!(matches!(poll(&mut waiter, &count), Poll::Ready(Ok(_))));
}

#[test]
fn the_payload_of_a_panic_is_dropped_without_the_lock() {
    type Panicking = Ready<Result<u32, Infallible>>;
    static POOL: Mutex<Option<&'static Pool<FactoryOf<Panicking>, HookClock>>> = Mutex::new(None);
    type FactoryOf<T> = edgepool::FactoryFn<fn() -> T>;
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            let pool = POOL.lock().unwrap().expect("the pool is made");
            assert_eq!(pool.stats().gauges.in_use, 0);
        }
    }
    fn fails() -> Panicking {
        std::panic::panic_any(Payload)
    }
    let factory = factory_fn(fails as fn() -> Panicking);
    let pool = forever(Pool::builder(factory, HookClock::default()).max(1).build().unwrap());
    *POOL.lock().unwrap() = Some(pool);
    let outcome = poll(&mut Box::pin(pool.acquire()), &Arc::new(Count::default()));
    assert!(matches!(outcome, Poll::Ready(Err(AcquireError::CreatePanicked))));
}

#[test]
fn an_offer_that_is_not_claimed_in_time_passes_on() {
    let clock = HookClock::default();
    let factory = factory_fn(|| ready(Ok::<u32, Infallible>(1)));
    let builder = Pool::builder(factory, clock.clone()).max(1).acquire_timeout(None);
    let pool = forever(builder.offer_timeout(SECOND).build().unwrap());
    let count = Arc::new(Count::default());
    let lease = pool.acquire();
    let Poll::Ready(Ok(lease)) = poll(&mut Box::pin(lease), &count) else {
        panic!("it is made at once");
    };
    let (mut sleeper, mut next) = (Box::pin(pool.acquire()), Box::pin(pool.acquire()));
    assert!(poll(&mut sleeper, &count).is_pending());
    assert!(poll(&mut next, &count).is_pending());
    drop(lease); // offered to the sleeper, who is never polled
    assert!(poll(&mut next, &count).is_pending());
    clock.pass(SECOND);
    let Poll::Ready(Ok(lease)) = poll(&mut next, &count) else { panic!("the offer passed on") };
    drop(lease);
    // It kept its place, and lets two more pass: then it has ended.
    clock.pass(SECOND);
    pool.stats();
    clock.pass(SECOND);
    assert_eq!(pool.stats().gauges.idle, 1);
    assert!(matches!(poll(&mut sleeper, &count), Poll::Ready(Err(AcquireError::Missed))));
}
