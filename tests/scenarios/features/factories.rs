//! Factories of every form.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::ready;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use edgepool::{
    BoxFactory, CheckOnAcquire, Factory, LocalBoxFactory, Pool, boxed, boxed_local, factory_fn,
};
use edgepool_sim::{
    Closing, Creation, Executor, SimClock, SimConnection, SimError, SimFactory, Trial,
};
use edgepool_tests::ms;
use futures::FutureExt;

/// Leases, releases and discards a connection, each of which takes time, and closes the pool.
fn works<F>(factory: F, sim: &SimFactory, clock: &SimClock)
where
    F: Factory<Connection = SimConnection> + 'static,
    F::Error: std::fmt::Debug,
{
    sim.plan([Creation::Connect(ms(1))]);
    sim.plan_checks([Trial::Pass(ms(1))]);
    sim.plan_resets([Trial::Pass(ms(1))]);
    sim.plan_closes([Closing::After(ms(1))]);
    let builder = Pool::builder(factory, clock.clone()).max(1).min_idle(0);
    let pool = builder.check_on_acquire(CheckOnAcquire::Always).build().unwrap();
    Executor::new(clock, 0).block_on(async move {
        pool.acquire().await.unwrap().release().await.unwrap();
        pool.acquire().await.unwrap().discard();
        pool.drain(None).await.unwrap();
    });
    let made = sim.counts();
    let jobs = [made.created, made.checks.passed, made.resets.passed, made.closings.passed];
    assert_eq!((jobs, clock.elapsed()), ([1; 4], ms(4)));
    sim.assert_all_closed();
}

/// A simulated factory, and the calls that it gets.
fn called(clock: &SimClock) -> (SimFactory, Arc<Mutex<String>>) {
    let (sim, calls) = (SimFactory::new(clock, 0), Arc::<Mutex<String>>::default());
    let kept = calls.clone();
    sim.on_call(move |call| kept.lock().unwrap().push_str(&format!("{call:?} ")));
    (sim, calls)
}

#[test]
fn factories_behind_pointers_do_every_job_and_call_every_hook() {
    type Form = fn(SimFactory, &SimFactory, &SimClock);
    let forms: [Form; 3] = [
        |it, sim, clock| works(boxed(it), sim, clock),
        |it, sim, clock| works(boxed_local(it), sim, clock),
        |it, sim, clock| works(Arc::new(it), sim, clock),
    ];
    for form in forms {
        let clock = SimClock::new();
        let (sim, calls) = called(&clock);
        form(sim.clone(), &sim, &clock);
        let calls = calls.lock().unwrap();
        for hook in ["AfterCreate", "BeforeAcquire", "AfterRelease", "BeforeClose", "Observe"] {
            assert!(calls.contains(hook), "{hook} is not among {calls}");
        }
    }
}

/// Their types can be named.
#[test]
fn boxed_factories_have_a_name() {
    struct Service(Pool<BoxFactory<SimConnection, SimError>, SimClock>);
    struct Local(Pool<LocalBoxFactory<SimConnection, SimError>, SimClock>);
    let clock = SimClock::new();
    let sim = SimFactory::new(&clock, 0);
    let shared = Service(Pool::builder(boxed(sim.clone()), clock.clone()).build().unwrap());
    let local = Local(Pool::builder(boxed_local(sim), clock).build().unwrap());
    assert_eq!(shared.0.acquire().now_or_never().unwrap().unwrap().id(), 1);
    assert!(local.0.acquire().now_or_never().unwrap().is_ok());
}

/// A boxed factory without a check has none either.
#[test]
fn factories_behind_pointers_check_as_the_inner_one() {
    let clock = SimClock::new();
    let sim = SimFactory::new(&clock, 0);
    sim.set_checks(false);
    assert!(!boxed(sim.clone()).checks() && !Arc::new(sim).checks());
}

/// A factory of closures on one thread, with every job in a call.
#[test]
fn factory_of_closures_in_calls() {
    #[derive(Debug)]
    struct Bad;
    let calls = Rc::new(Cell::new([0; 4]));
    let count = |at: usize| {
        let calls = calls.clone();
        move || {
            let mut now = calls.get();
            now[at] += 1;
            calls.set(now);
        }
    };
    let (create, check, reset, close) = (count(0), count(1), count(2), count(3));
    let factory = factory_fn(move || {
        create();
        ready(Ok::<(), Bad>(()))
    })
    .check_sync(move |()| {
        check();
        Ok(())
    })
    .reset_sync(move |()| {
        reset();
        Err(Bad)
    })
    .close_sync(move |()| close());
    let builder = Pool::builder(factory, SimClock::new()).max(1).min_idle(0);
    let pool = builder.check_on_acquire(CheckOnAcquire::Always).build().unwrap();
    drop(pool.acquire().now_or_never().unwrap().unwrap());
    assert_eq!(calls.get(), [1, 0, 1, 1], "its reset failed");
    let made = pool.acquire().now_or_never().unwrap().unwrap();
    made.discard();
    assert_eq!(calls.get(), [2, 0, 1, 2]);
}

/// A factory of one closure has no check: the pool neither checks nor reads a clock for it.
#[test]
fn factory_of_one_closure() {
    let factory = factory_fn(|| ready(Ok::<_, Infallible>(Rc::new(7))));
    assert!(!factory.checks());
    let pool = Pool::builder(factory, SimClock::new()).min_idle(0).build().unwrap();
    for _ in 0..3 {
        assert_eq!(**pool.acquire().now_or_never().unwrap().unwrap(), 7);
    }
    assert_eq!(pool.stats().counters.checks, 0);
}
