//! Callbacks that panic, or that use the pool.
//!
//! What a pool calls: the factory (create, check, reset, close, and the futures of each), its
//! hooks, its observer, a connection's `Drop`, wakers, and the closures of `retain` and of
//! `warm_up`.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use edgepool::{AcquireError, CheckOnAcquire, Pool, factory_fn};
use edgepool_sim::{
    ByHand, Call, Closing, Creation, Hook, SimClock, SimFactory, Trial, panicking_waker, waker_fn,
    waker_that_panics_on_drop,
};
use edgepool_tests::{Setup, SimPool, Waiter, ms, secs, sleep};
use futures::FutureExt;

fn panics<T>(f: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

/// A pool of two that checks before every loan.
fn checking_setup() -> Setup {
    Setup::bare(|pool| pool.max(2).check_on_acquire(CheckOnAcquire::Always))
}

/// Three callers, each of whom has three leases one after the other; the last is discarded.
fn live(setup: &mut Setup) {
    for _ in 0..3 {
        let clock = setup.clock.clone();
        setup.spawn(|pool| async move {
            for round in 0..3 {
                let Ok(lease) = pool.acquire().await else { continue };
                sleep(&clock, ms(3)).await;
                match round {
                    0 => drop(lease),
                    1 => drop(lease.release().await),
                    _ => lease.discard(),
                }
            }
        });
    }
    setup.executor.run();
}

/// Each callback of a factory panics once, in the middle of work: the work goes on, no place is
/// lost, and every connection ends as it should.
#[test]
fn unshared_lock_poison() {
    type Arm = fn(&SimFactory);
    let bombs: [(&str, Arm); 14] = [
        ("create", |it| it.plan([Creation::PanicAtStart])),
        ("a creation", |it| it.plan([Creation::Panic(ms(2))])),
        ("check", |it| it.plan_checks([Trial::PanicAtStart])),
        ("a check", |it| it.plan_checks([Trial::Panic(ms(2))])),
        ("reset", |it| it.plan_resets([Trial::PanicAtStart])),
        ("a reset", |it| it.plan_resets([Trial::Panic(ms(2))])),
        ("close", |it| it.plan_closes([Closing::PanicAtStart])),
        ("a closing", |it| it.plan_closes([Closing::Panic(ms(2))])),
        ("after_create", |it| it.plan_hook_panic(Hook::AfterCreate, 1)),
        ("before_acquire", |it| it.plan_hook_panic(Hook::BeforeAcquire, 1)),
        ("after_release", |it| it.plan_hook_panic(Hook::AfterRelease, 1)),
        ("before_close", |it| it.plan_hook_panic(Hook::BeforeClose, 1)),
        ("observe", |it| it.plan_hook_panic(Hook::Observe, 3)),
        ("a connection's drop", |it| it.plan_hook_panic(Hook::Drop, 1)),
    ];
    for (what, arm) in bombs {
        let mut setup = checking_setup();
        arm(&setup.factory);
        live(&mut setup);
        let it = setup.factory.counts();
        let jobs = it.failed + it.checks.panicked + it.resets.panicked + it.closings.panicked;
        assert_eq!(jobs + it.hooks_panicked, 1, "{what} panicked");
        setup.assert_usable();
        setup.assert_closes();
    }
}

#[test]
fn unshared_lock_poison_by_an_observer_of_every_event() {
    let mut setup = checking_setup();
    (0..1_000).for_each(|_| setup.factory.plan_hook_panic(Hook::Observe, 0));
    live(&mut setup);
    assert!(setup.factory.counts().hooks_panicked > 20);
    setup.factory.calm();
    setup.assert_usable();
    setup.assert_closes();
}

/// The panic is its caller's; the connection that it looked at is closed, and the others are kept.
#[test]
fn unshared_lock_poison_by_the_predicate_of_retain() {
    let setup = Setup::bare(|pool| pool.max(3));
    drop(setup.leases::<3>());
    let mut left = 2;
    assert!(panics(|| setup.pool.retain(|_, _| {
        left -= 1;
        assert!(left > 0, "a predicate panics");
        true
    })));
    assert_eq!((setup.gauges().idle, setup.gauges().size), (2, 2));
    setup.assert_usable();
    setup.assert_closes();
}

/// The panic is the warm-up's caller's; the creations under way go on.
#[test]
fn unshared_lock_poison_by_the_progress_of_a_warm_up() {
    let setup = Setup::bare(|pool| pool.max(3));
    let mut warm_up = ByHand::new(setup.pool.warm_up(3).on_progress(|_| panic!("it panics")));
    assert!(panics(|| (warm_up.poll(), warm_up.poll())));
    drop(warm_up);
    setup.assert_usable();
    setup.assert_closes();
}

#[test]
fn unshared_lock_poison_by_a_waker() {
    let setup = Setup::new(1);
    let lease = setup.lease();
    let mut bad = Waiter::new(&setup.pool);
    assert!(bad.poll_with(&panicking_waker()).is_none());
    let mut good = Waiter::queued(&setup.pool);
    assert!(!panics(|| drop(lease)), "it is not the affair of who releases");
    assert_eq!(setup.gauges().offered, 1);
    drop(bad.ready().unwrap());
    let lease = good.ready().unwrap();

    let mut bad = Waiter::new(&setup.pool);
    assert!(bad.poll_with(&panicking_waker()).is_none());
    let mut good = Waiter::queued(&setup.pool);
    assert!(!panics(|| setup.pool.close()));
    assert_eq!(good.wakes(), 1, "the panic of one does not keep the next asleep");
    assert_eq!(good.ready().err(), Some(AcquireError::Closed));
    assert_eq!(bad.ready().err(), Some(AcquireError::Closed));
    drop(lease);
    assert_eq!(setup.gauges().size, 0);
}

/// The waker of a waiter that is replaced, served or given up panics as the pool drops it.
#[test]
fn unshared_lock_poison_by_the_drop_of_a_waker() {
    let setup = Setup::bare(|pool| pool.max(1).acquire_timeout(None));
    let lease = setup.lease();
    let mut waiter = Waiter::new(&setup.pool);
    let poll = |waiter: &mut Waiter<'_>| {
        let waker = waker_that_panics_on_drop();
        assert!(waiter.poll_with(&waker).is_none());
        let _ = panics(|| drop(waker));
    };
    poll(&mut waiter);
    let _ = panics(|| poll(&mut waiter)); // replaces the first
    let _ = panics(|| drop(lease)); // wakes the second
    let _ = panics(|| drop(waiter));
    setup.assert_usable();
    setup.assert_closes();
}

/// Lets a future keep a waker that panics as it is dropped, and nobody else.
fn leave_a_bomb<F: Future>(future: &mut ByHand<F>) {
    let waker = waker_that_panics_on_drop();
    assert!(future.poll_with(&waker).is_none());
    let _ = panics(|| drop(waker));
}

/// The pool drops it in the poll in which the caller is served, or told that its time is over.
#[test]
fn an_outcome_outlives_the_drop_of_the_last_waker() {
    let setup = Setup::bare(|pool| pool.max(1));
    let lease = setup.lease();
    let first = Waiter::queued(&setup.pool);
    let mut second = ByHand::new(setup.pool.acquire().timeout(secs(10)));
    leave_a_bomb(&mut second);
    drop(lease); // it is the first one's, who gives it up
    drop(first);
    let lease = second.poll().expect("it is offered to the second").unwrap();
    let mut third = ByHand::new(setup.pool.acquire().timeout(secs(1)));
    leave_a_bomb(&mut third);
    setup.clock.advance(secs(1));
    assert!(third.poll().expect("its time is over").is_err());
    drop(lease);
    drop((second, third));
    setup.assert_usable();
    setup.assert_closes();
}

/// So does a driver that is moved to another task, and a job does not tell its waker's panic to
/// whoever wakes it.
#[test]
fn a_bad_waker_of_who_polls_the_jobs_is_nobody_elses_affair() {
    let setup = Setup::bare(|pool| pool.max(1));
    let mut driver = ByHand::new(setup.pool.driver());
    leave_a_bomb(&mut driver);
    assert!(driver.poll().is_none());
    drop(driver);

    setup.factory.plan([Creation::Connect(ms(5))]);
    let mut waiter = Waiter::new(&setup.pool);
    assert!(waiter.poll_with(&panicking_waker()).is_none());
    assert!(!panics(|| setup.clock.advance(ms(5))), "the creation's wake");
    drop(waiter.ready().unwrap());
    drop(waiter);
    setup.assert_closes();
}

/// Calls everything on the pool that does not wait, and begins everything that does.
fn use_everything(pool: &SimPool) {
    pool.check().unwrap();
    let stats = pool.stats();
    assert!(stats.gauges.size <= stats.gauges.max);
    drop((pool.state(), pool.holders(), pool.next_deadline(), pool.is_closed()));
    drop(pool.try_acquire());
    drop(pool.acquire().now_or_never());
    drop(pool.acquire_many(2).now_or_never());
    drop(pool.warm_up(1).now_or_never());
    assert_eq!(pool.driver().now_or_never(), None);
    pool.tick();
    pool.retain(|_, _| true);
    pool.pause();
    pool.resume();
    pool.set_min_idle(0).unwrap();
    pool.resize(2).unwrap();
    pool.check().unwrap();
}

/// Runs `using` in every call of the factory, but in those that it causes itself; tells which calls
/// there were.
fn on_every_call(
    setup: &Setup,
    using: impl Fn(&SimPool) + Send + Sync + 'static,
) -> Arc<Mutex<Vec<Call>>> {
    let (busy, pool) = (AtomicBool::new(false), setup.pool.clone());
    let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
    let kept = calls.clone();
    setup.factory.on_call(move |call| {
        if !busy.swap(true, Ordering::Relaxed) {
            kept.lock().unwrap().push(call);
            using(&pool);
            busy.store(false, Ordering::Relaxed);
        }
    });
    calls
}

/// What was called, by kind.
fn kinds(calls: &[Call]) -> BTreeSet<String> {
    let kind = |call: &Call| match call {
        Call::Hook(hook, _) => format!("{hook:?}"),
        other => format!("{other:?}").split('(').next().unwrap_or_default().to_owned(),
    };
    calls.iter().map(kind).collect()
}

/// Each callback uses the pool. Under its lock, that would hang.
#[test]
fn reentrant_callbacks() {
    let mut setup = checking_setup();
    // Each use begins what calls back in its turn, so it must end some time.
    let left = AtomicU32::new(200);
    let calls = on_every_call(&setup, move |pool| {
        let less = |left: u32| left.checked_sub(1);
        if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
            use_everything(pool);
        }
    });
    live(&mut setup);
    setup.factory.ignore_calls();
    let all = [
        "AfterCreate",
        "AfterRelease",
        "BeforeAcquire",
        "BeforeClose",
        "Check",
        "Close",
        "Create",
        "Drop",
        "Observe",
        "Reset",
    ];
    assert_eq!(kinds(&calls.lock().unwrap()), all.map(String::from).into());
    setup.assert_usable();
    setup.assert_closes();
}

/// The first callback invalidates what there is, or closes the pool; then the second, and so on.
#[test]
fn reentrant_callbacks_that_invalidate_or_close() {
    for using in [SimPool::invalidate_all, SimPool::close] {
        for at in 0.. {
            let mut setup = checking_setup();
            let count = AtomicU32::new(0);
            let calls = on_every_call(&setup, move |pool| {
                if count.fetch_add(1, Ordering::Relaxed) == at {
                    using(pool);
                }
            });
            live(&mut setup);
            setup.factory.ignore_calls();
            let last = calls.lock().unwrap().get(at as usize).copied();
            assert_eq!(setup.factory.counts().unclosed, 0, "call {at}, {last:?}");
            setup.assert_closes();
            if last.is_none() {
                assert!(at > 50, "there are more than {at} calls");
                break;
            }
        }
    }
}

/// Set to what uses the pool, once there is one.
type UsePool = Rc<OnceCell<Box<dyn Fn()>>>;

fn using(it: &UsePool) -> impl Future<Output = ()> + use<> {
    let it = it.clone();
    async move { it.get().into_iter().for_each(|use_pool| use_pool()) }
}

/// The futures of a factory use the pool while they are polled.
#[test]
fn reentrant_callbacks_in_the_futures_of_jobs() {
    let it = UsePool::default();
    let [create, check, reset, close] = std::array::from_fn(|_| it.clone());
    let factory = factory_fn(move || using(&create).map(Ok::<(), Infallible>))
        .check(move |()| using(&check).map(Ok))
        .reset(move |()| using(&reset).map(Ok))
        .close(move |()| using(&close));
    let builder = Pool::builder(factory, SimClock::new()).max(2).min_idle(0);
    let pool = builder.check_on_acquire(CheckOnAcquire::Always).build().unwrap();
    let (handle, armed) = (pool.clone(), Rc::new(Cell::new(true)));
    let once = armed.clone();
    let use_pool = move || {
        if once.replace(false) {
            handle.check().unwrap();
            drop(handle.try_acquire());
            handle.tick();
            drop(handle.acquire().now_or_never());
        }
    };
    assert!(it.set(Box::new(use_pool)).is_ok());
    let assert_used = |what| assert!(!armed.replace(true), "{what}");
    let lease = pool.acquire().now_or_never().unwrap().unwrap();
    assert_used("the creation");
    lease.release().now_or_never().unwrap().unwrap();
    assert_used("the reset");
    let lease = pool.acquire().now_or_never().unwrap().unwrap();
    assert_used("the check");
    lease.discard();
    pool.tick();
    assert_used("the closing");
    pool.check().unwrap();
}

/// A waker uses the pool as it is woken.
#[test]
fn reentrant_callbacks_of_a_waker() {
    let setup = Setup::bare(|pool| pool.max(2));
    let held = setup.leases::<2>();
    let (pool, woken) = (setup.pool.clone(), Arc::new(AtomicU32::new(0)));
    let count = woken.clone();
    let waker = waker_fn(move || {
        count.fetch_add(1, Ordering::Relaxed);
        use_everything(&pool);
    });
    let mut waiter = Waiter::new(&setup.pool);
    assert!(waiter.poll_with(&waker).is_none());
    drop(held);
    assert!(woken.load(Ordering::Relaxed) >= 1);
    assert!(waiter.ready().is_ok());
    drop(waiter);
    setup.assert_usable();
}

/// `retain` shows connections that nobody else has meanwhile, to a predicate that uses the pool.
#[test]
fn reentrant_callbacks_of_retain() {
    let setup = Setup::bare(|pool| pool.max(2));
    drop(setup.leases::<2>());
    let closed = setup.pool.retain(|connection, info| {
        use_everything(&setup.pool);
        let others = setup.pool.try_acquire();
        assert!(others.is_none_or(|lease| lease.id() != connection.id()));
        assert_eq!(connection.id(), info.id);
        connection.id() == 1
    });
    assert_eq!((closed, setup.gauges().idle), (1, 1));
    setup.assert_usable();
    setup.assert_closes();
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
        let dropping = waker_fn(move || drop(takes.lock().unwrap().take()));
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
        waker_fn(move || {
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
