//! Accounting, and callbacks that use the pool or panic.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Waker;

use edgepool::{AcquireError, Factory, Lease, Pool};
use edgepool_sim::{Creation, SimClock};
use edgepool_tests::{OnWake, Setup, SimPool, Waiter, ms};
use futures::FutureExt;

#[test]
fn taken_connection_frees_its_place() {
    let setup = Setup::new(1);
    let lease = setup.lease();
    let mut waiter = Waiter::queued(&setup.pool);
    let taken = lease.take();
    let served = waiter.ready().unwrap();
    assert_eq!((taken.id(), served.id()), (1, 2));
    assert_eq!((setup.gauges().in_use, setup.gauges().size), (1, 1));
    drop(served);
    drop(taken);
    assert_eq!(
        (setup.gauges().in_use, setup.gauges().size, setup.factory.counts().live),
        (0, 1, 1)
    );
}

/// The sum that `Counters` promises.
fn assert_adds_up(pool: &SimPool) {
    let stats = pool.stats();
    let (c, pending) = (stats.counters, stats.gauges.waiting + stats.gauges.offered);
    let ended = c.timed_out + c.cancelled + c.failed + c.refused + c.closed + c.missed;
    assert_eq!(c.started, c.direct + c.waited + ended + u64::from(pending), "{stats:?}");
}

#[test]
fn stats_add_up() {
    let setup = Setup::with(|pool| pool.max(1).max_waiting(2).acquire_timeout(ms(10)));
    let check = || assert_adds_up(&setup.pool);
    setup.factory.plan([Creation::Fail(ms(0))]);
    assert!(Waiter::new(&setup.pool).ready().is_err());
    check();
    let mut lease = setup.lease(); // waited for its creation
    check();
    drop(lease);
    lease = setup.pool.try_acquire().unwrap(); // direct
    assert!(setup.pool.try_acquire().is_none(), "counts only if it succeeds");
    check();
    let (mut served, cancelled) = (Waiter::queued(&setup.pool), Waiter::queued(&setup.pool));
    assert!(matches!(Waiter::new(&setup.pool).ready(), Err(AcquireError::QueueFull { .. })));
    check();
    drop(cancelled);
    check();
    drop(lease);
    check();
    lease = served.ready().unwrap();
    let mut late = Waiter::queued(&setup.pool);
    setup.clock.advance(ms(10));
    assert!(late.ready().is_err());
    check();
    let mut closed = Waiter::queued(&setup.pool);
    setup.pool.close();
    check();
    assert!(closed.ready().is_err());
    drop(lease);
    check();
    let counters = setup.pool.stats().counters;
    let each = [counters.direct, counters.waited, counters.timed_out, counters.cancelled];
    assert_eq!(each, [1, 2, 1, 1]);
    assert_eq!([counters.failed, counters.refused, counters.closed], [1, 1, 1]);
    let gauges = setup.gauges();
    assert_eq!((gauges.size, gauges.waiting), (0, 0), "all gauges are 0 at the end");
}

/// A lease is its own value in Rust, so it cannot be released twice; its key tells tenures apart.
#[test]
fn stale_release() {
    let setup = Setup::new(1);
    let first = setup.lease();
    let key = first.key();
    drop(first);
    let second = setup.lease();
    assert_eq!((second.id(), second.key().index), (1, key.index));
    assert_ne!(second.key(), key, "the same place, another tenure");
}

/// Every connection ever made is dropped exactly once, whatever path it leaves by. The simulated
/// factory asserts "once"; here is "every".
#[test]
fn destroy_called_once_for_each_created() {
    let setup = Setup::with(|pool| pool.max(3).create_timeout(ms(10)));
    setup.lease().discard();
    drop(setup.lease().take());
    setup.factory.plan([Creation::Connect(ms(11))]);
    let late = Waiter::queued(&setup.pool);
    setup.clock.advance(ms(11));
    drop(late);
    let (held, idle) = (setup.lease(), setup.lease());
    drop(idle);
    assert_eq!(setup.factory.counts().live, 2);
    setup.pool.close();
    assert_eq!(setup.factory.counts().live, 1, "the one that is held");
    drop(held);
    let made = setup.factory.counts();
    assert_eq!((made.created, made.dropped, made.live, made.creating), (4, 4, 0, 0));
}

type Hook = Arc<dyn Fn() + Send + Sync>;

/// Makes connections that call the hook when they are dropped, and calls it itself when told to.
struct Hooked {
    on_create: Hook,
    on_drop: Hook,
}

struct HookedConnection(Hook);

impl Drop for HookedConnection {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl Factory for Hooked {
    type Connection = HookedConnection;
    type Error = Infallible;
    type Create = Ready<Result<HookedConnection, Infallible>>;

    fn create(&self) -> Self::Create {
        (self.on_create)();
        ready(Ok(HookedConnection(self.on_drop.clone())))
    }
}

type HookedPool = Pool<Hooked, SimClock>;
type HookedLease = Lease<Hooked, SimClock>;

fn hooked_pool(max: u32, on_create: Hook, on_drop: Hook) -> HookedPool {
    let factory = Hooked { on_create, on_drop };
    Pool::builder(factory, SimClock::new()).max(max).build().unwrap()
}

fn lease(pool: &HookedPool) -> HookedLease {
    pool.acquire().now_or_never().expect("it is made at once").unwrap()
}

/// A connection that is being dropped counts until it is gone.
#[test]
fn destroying_counts_or_does_not() {
    let handle: Arc<OnceLock<HookedPool>> = Arc::default();
    let (inner, seen) = (handle.clone(), Arc::new(Mutex::new(None)));
    let saw = seen.clone();
    let on_drop: Hook = Arc::new(move || {
        let Some(pool) = inner.get() else { return };
        *saw.lock().unwrap() = Some(pool.stats().gauges);
        assert!(pool.try_acquire().is_none());
    });
    let pool = handle.get_or_init(|| hooked_pool(1, nothing(), on_drop));
    lease(pool).discard();
    let gauges = seen.lock().unwrap().take().expect("it was dropped");
    assert_eq!((gauges.closing, gauges.size, gauges.max), (1, 1, 1));
    assert_eq!(pool.stats().gauges.size, 0);
    assert_usable(pool, 1);
}

/// Checks the books, and that every place can be had.
fn assert_usable(pool: &HookedPool, max: u32) {
    pool.check().unwrap();
    let leases: Vec<_> = (0..max).map(|_| lease(pool)).collect();
    assert_eq!(pool.stats().gauges.in_use, max);
    drop(leases);
    pool.check().unwrap();
    assert_eq!(pool.stats().gauges.idle, max);
}

fn panics<T>(f: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

/// A hook that panics while its switch is on.
fn bomb() -> (Arc<AtomicBool>, Hook) {
    let armed = Arc::new(AtomicBool::new(false));
    let switch = armed.clone();
    let hook: Hook = Arc::new(move || assert!(!switch.load(Ordering::Relaxed), "a hook panics"));
    (armed, hook)
}

fn nothing() -> Hook {
    Arc::new(|| ())
}

/// A panic in a factory, in a connection's `Drop`, or in a waker.
#[test]
fn unshared_lock_poison() {
    let (armed, hook) = bomb();
    let pool = hooked_pool(2, hook, nothing());
    armed.store(true, Ordering::Relaxed);
    let outcome = pool.acquire().now_or_never().unwrap();
    assert!(matches!(outcome, Err(AcquireError::CreatePanicked)));
    armed.store(false, Ordering::Relaxed);
    assert_usable(&pool, 2);

    let (armed, hook) = bomb();
    let pool = hooked_pool(2, nothing(), hook);
    let held = lease(&pool);
    armed.store(true, Ordering::Relaxed);
    assert!(!panics(|| held.discard()), "it ends where it began, and the panic hook tells of it");
    armed.store(false, Ordering::Relaxed);
    assert_usable(&pool, 2);
    armed.store(true, Ordering::Relaxed);
    assert!(!panics(|| pool.close()));
    assert_eq!(pool.stats().gauges.size, 0, "both were dropped");
    armed.store(false, Ordering::Relaxed);
    pool.check().unwrap();
}

#[test]
fn unshared_lock_poison_by_a_waker() {
    let setup = Setup::new(1);
    let panicking = OnWake::waker(|| panic!("a waker panics"));
    let lease = setup.lease();
    let mut bad = Waiter::new(&setup.pool);
    assert!(bad.poll_with(&panicking).is_none());
    let mut good = Waiter::queued(&setup.pool);
    assert!(!panics(|| drop(lease)), "it is not the affair of who releases");
    assert_eq!(setup.gauges().offered, 1);
    drop(bad.ready().unwrap());
    let lease = good.ready().unwrap();

    let mut bad = Waiter::new(&setup.pool);
    assert!(bad.poll_with(&panicking).is_none());
    let mut good = Waiter::queued(&setup.pool);
    assert!(!panics(|| setup.pool.close()));
    assert_eq!(good.wakes(), 1, "the panic of one does not keep the next asleep");
    assert_eq!(good.ready().err(), Some(AcquireError::Closed));
    assert_eq!(bad.ready().err(), Some(AcquireError::Closed));
    drop(lease);
    assert_eq!(setup.gauges().size, 0);
}

/// Calls everything on the pool that does not wait.
fn use_everything(pool: &HookedPool) {
    pool.check().unwrap();
    assert!(pool.stats().gauges.size <= pool.stats().gauges.max);
    if let Some(lease) = pool.try_acquire() {
        drop(lease);
    }
    drop(pool.acquire().now_or_never());
}

/// A factory, the `Drop` of a connection, and a waker use the pool. Under its lock, that would
/// hang.
#[test]
fn reentrant_callbacks() {
    let handle: Arc<OnceLock<HookedPool>> = Arc::default();
    let calls = Arc::new(AtomicU32::new(0));
    let (inner, count, busy) = (handle.clone(), calls.clone(), AtomicBool::new(false));
    let hook: Hook = Arc::new(move || {
        let Some(pool) = inner.get() else { return };
        if busy.swap(true, Ordering::Relaxed) {
            return; // once in itself is enough
        }
        count.fetch_add(1, Ordering::Relaxed);
        use_everything(pool);
        busy.store(false, Ordering::Relaxed);
    });
    let pool = handle.get_or_init(|| hooked_pool(2, hook.clone(), hook.clone()));
    let held = lease(pool);
    assert_eq!(calls.load(Ordering::Relaxed), 1, "the factory");
    held.discard();
    assert_eq!(calls.load(Ordering::Relaxed), 2, "the connection's drop");

    let held = [lease(pool), lease(pool)];
    let before = calls.load(Ordering::Relaxed);
    let on_wake = hook.clone();
    let waker = OnWake::waker(move || on_wake());
    let mut waiting = Box::pin(pool.acquire());
    assert!(waiting.poll_unpin(&mut std::task::Context::from_waker(&waker)).is_pending());
    drop(held);
    assert_eq!(calls.load(Ordering::Relaxed), before + 1, "the waker");
    drop(waiting);
    assert_usable(pool, 2);
    pool.close();
    assert!(calls.load(Ordering::Relaxed) > before + 1, "the drops at the end");
}

type Dropped = Arc<Mutex<Option<futures::future::BoxFuture<'static, ()>>>>;

/// Polls a task that waits for a connection, with the waker given.
fn waiting_task(pool: &SimPool, waker: &Waker) -> futures::future::BoxFuture<'static, ()> {
    let pool = pool.clone();
    let mut task = async move { drop(pool.acquire().await) }.boxed();
    assert!(task.poll_unpin(&mut std::task::Context::from_waker(waker)).is_pending());
    task
}

/// A waker that drops tasks: that of another waiter, and that which it was to wake.
#[test]
fn reentrant_callbacks_of_a_waker_that_drops_a_task() {
    for own in [false, true] {
        let setup = Setup::new(1);
        let lease = setup.lease();
        let victim: Dropped = Arc::default();
        let takes = victim.clone();
        let dropping = OnWake::waker(move || drop(takes.lock().unwrap().take()));
        let first = waiting_task(&setup.pool, &dropping);
        let second = waiting_task(&setup.pool, Waker::noop());
        let mut last = Waiter::queued(&setup.pool);
        let (dropped, kept) = if own { (first, second) } else { (second, first) };
        *victim.lock().unwrap() = Some(dropped);
        drop(lease);
        assert!(victim.lock().unwrap().is_none(), "the waker ran");
        assert_eq!((setup.gauges().offered, setup.gauges().waiting), (1, 1));
        drop(kept);
        assert!(last.ready().is_ok());
    }
}

/// A waker whose last owner was the pool is dropped without the lock, too.
#[test]
fn reentrant_callbacks_of_a_replaced_waker() {
    struct UsesOnDrop(SimPool, Arc<AtomicU32>);
    impl Drop for UsesOnDrop {
        fn drop(&mut self) {
            self.0.check().unwrap();
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    let setup = Setup::with(|pool| pool.max(1).max_waiting(1).acquire_timeout(None));
    let lease = setup.lease();
    let drops = Arc::new(AtomicU32::new(0));
    let waker = || {
        let owned = UsesOnDrop(setup.pool.clone(), drops.clone());
        OnWake::waker(move || {
            let _owned = &owned;
        })
    };
    let mut waiter = Waiter::new(&setup.pool);
    for replaced in 0..3 {
        assert!(waiter.poll_with(&waker()).is_none());
        assert_eq!(drops.load(Ordering::Relaxed), replaced);
    }
    let refused = Waiter::new(&setup.pool).poll_with(&waker());
    assert!(matches!(refused, Some(Err(AcquireError::QueueFull { .. }))));
    assert_eq!(drops.load(Ordering::Relaxed), 3, "that of a refused caller is not kept");
    drop(waiter);
    assert_eq!(drops.load(Ordering::Relaxed), 4, "the last went with its waiter");
    drop(lease);
    assert_eq!(setup.gauges().idle, 1);
}
