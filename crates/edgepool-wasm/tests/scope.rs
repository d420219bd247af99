//! The executor of one request, in a JavaScript runtime that does not tell requests apart, beside
//! the queue of wasm-bindgen-futures. What only workerd shows is tested there.
#![cfg(target_family = "wasm")]

#[path = "../../edgepool/tests/load/mod.rs"]
mod load;

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use edgepool::{Clock as _, Pool, factory_fn};
use edgepool_wasm::{JsClock, Places, Wakes, request_scope, request_scope_with};
use futures::future::{Either, select};
use js_sys::Promise;
use load::{Load, TASKS};
use wasm_bindgen::JsCast as _;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use wasm_bindgen_test::wasm_bindgen_test;

async fn sleep(duration: Duration) {
    JsClock.alarm(JsClock.now().saturating_add(duration)).await;
}

/// Lets all that is ready run.
async fn settle() {
    for _ in 0..20 {
        JsFuture::from(Promise::resolve(&JsValue::NULL)).await.unwrap();
    }
}

async fn value(promise: Promise) -> Result<String, String> {
    let text = |value: JsValue| value.as_string().unwrap_or_else(|| format!("{value:?}"));
    JsFuture::from(promise).await.map(text).map_err(text)
}

/// The value of a promise that needs no time; where no timer fires, nobody would wait for more.
async fn value_now(promise: Promise) -> Result<String, String> {
    match select(pin!(value(promise)), pin!(settle())).await {
        Either::Left((value, _)) => value,
        Either::Right(_) => panic!("the promise is pending"),
    }
}

#[wasm_bindgen_test]
async fn the_promise_is_settled_with_the_outcome() {
    assert_eq!(value(request_scope(async { Ok("good".into()) })).await, Ok("good".into()));
    assert_eq!(value(request_scope(async { Err("bad".into()) })).await, Err("bad".into()));
    let slow = request_scope(async {
        sleep(Duration::from_millis(5)).await;
        Ok("slow".into())
    });
    assert_eq!(value(slow).await, Ok("slow".into()));
}

/// A future that counts its polls, leaves its waker, and ends when it is told to.
#[derive(Clone, Default)]
struct Probe {
    polls: Rc<Cell<u32>>,
    waker: Rc<RefCell<Option<Waker>>>,
    ends: Rc<Cell<bool>>,
}

impl Probe {
    fn future(&self) -> impl Future<Output = Result<JsValue, JsValue>> + 'static {
        let probe = self.clone();
        poll_fn(move |cx| {
            probe.polls.set(probe.polls.get() + 1);
            probe.waker.replace(Some(cx.waker().clone()));
            match probe.ends.get() {
                true => Poll::Ready(Ok(JsValue::NULL)),
                false => Poll::Pending,
            }
        })
    }

    fn wake(&self) {
        let waker = self.waker.borrow().clone();
        waker.expect("it was polled").wake();
    }
}

#[wasm_bindgen_test]
async fn a_future_is_polled_once_for_all_wakes_before_that() {
    let probe = Probe::default();
    let promise = request_scope(probe.future());
    assert_eq!(probe.polls.get(), 0, "not during the call");
    settle().await;
    assert_eq!(probe.polls.get(), 1);
    probe.wake();
    probe.wake();
    assert_eq!(probe.polls.get(), 1, "not during the wake");
    settle().await;
    assert_eq!(probe.polls.get(), 2);
    probe.ends.set(true);
    probe.wake();
    JsFuture::from(promise).await.unwrap();
    probe.wake();
    settle().await;
    assert_eq!(probe.polls.get(), 3, "a wake after the end does nothing");
}

#[wasm_bindgen_test]
async fn a_future_that_wakes_itself_goes_on() {
    let mut left = 100;
    let promise = request_scope(poll_fn(move |cx| {
        cx.waker().wake_by_ref();
        left -= 1;
        if left == 0 { Poll::Ready(Ok("done".into())) } else { Poll::Pending }
    }));
    assert_eq!(value(promise).await, Ok("done".into()));
}

#[wasm_bindgen_test]
async fn scopes_start_and_wake_each_other() {
    let probe = Probe::default();
    let inner = probe.clone();
    let outer = request_scope(async move {
        let promise = request_scope(inner.future());
        settle().await;
        inner.ends.set(true);
        inner.wake();
        JsFuture::from(promise).await
    });
    JsFuture::from(outer).await.unwrap();
    assert_eq!(probe.polls.get(), 2);
}

/// A load whose tasks are run by `spawn`; it tells the number of a task's end.
async fn run_load(spawn: impl Fn(Task)) {
    let factory = factory_fn(|| async {
        sleep(Duration::from_millis(1)).await;
        Ok::<_, Infallible>(Rc::new(7))
    });
    let load = Rc::new(Load::new(factory, JsClock));
    let ended = Rc::new(Cell::new(0));
    for number in 0..TASKS {
        let (load, ended) = (Rc::clone(&load), Rc::clone(&ended));
        spawn(Box::pin(async move {
            load.task(number, sleep).await;
            ended.set(ended.get() + 1);
        }));
    }
    while ended.get() < TASKS {
        sleep(Duration::from_millis(5)).await;
    }
    load.end().await;
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

#[wasm_bindgen_test]
async fn wasm_bindgen_futures_runs_the_pool() {
    run_load(spawn_local).await;
}

#[wasm_bindgen_test]
async fn scopes_run_the_pool() {
    for wakes in [Wakes::Auto, Wakes::Doorbell, Wakes::Polling] {
        run_load(|task| {
            let task = async move {
                task.await;
                Ok(JsValue::NULL)
            };
            drop(request_scope_with(wakes, task));
        })
        .await;
    }
}

#[wasm_bindgen]
extern "C" {
    /// Timers that fire when they are told to, in place of the runtime's.
    type Timers;
    /// Fires all that are set but those of one number, and tells how many that were.
    #[wasm_bindgen(method)]
    fn fire(this: &Timers, but: f64) -> u32;
    #[wasm_bindgen(method)]
    fn last(this: &Timers) -> f64;
    #[wasm_bindgen(method)]
    fn restore(this: &Timers);
}

const TIMERS: &str = "(() => {
    const real = { setTimeout, clearTimeout };
    const timers = new Map();
    let last = 0;
    globalThis.setTimeout = (fire, ms, ...told) => {
        timers.set(++last, () => fire(...told));
        return last;
    };
    globalThis.clearTimeout = (id) => timers.delete(id);
    const fire = (but) => {
        const due = [...timers].filter(([id]) => id !== but);
        for (const [id, run] of due) if (timers.delete(id)) run();
        return due.length;
    };
    return { fire, last: () => last, restore: () => Object.assign(globalThis, real) };
})()";

#[wasm_bindgen_test]
async fn what_a_still_scope_held_goes_on() {
    let timers: Timers = js_sys::eval(TIMERS).unwrap().unchecked_into();
    let pool = Pool::builder(Places, JsClock).max(1).acquire_timeout(None).build().unwrap();
    let holder = pool.clone();
    let dead = request_scope_with(Wakes::Polling, async move {
        let _place = holder.acquire().await.unwrap();
        pending().await
    });
    settle().await;
    let its_tick = timers.last();
    let waiter = pool.clone();
    let live = request_scope_with(Wakes::Polling, async move {
        let _place = waiter.acquire().await.unwrap();
        Ok("served".into())
    });
    // 1 + 2 + 4 + 8 + 16 + 32 ms, and then 50 ms each time.
    for tick in 0..104 {
        settle().await;
        assert_eq!((pool.stats().gauges.in_use, timers.fire(its_tick)), (1, 1), "tick {tick}");
    }
    settle().await;
    assert_eq!(timers.fire(its_tick), 1);
    assert_eq!(value_now(live).await, Ok("served".into()));
    assert_eq!(pool.stats().gauges.idle, 1);

    assert_eq!(timers.fire(0.0), 1, "its own tick comes after all");
    timers.restore();
    let error = value_now(dead).await.unwrap_err();
    assert!(error.contains("taken for dead"), "{error}");
}

#[wasm_bindgen_test]
async fn scopes_that_tick_are_not_taken_for_dead() {
    let timers: Timers = js_sys::eval(TIMERS).unwrap().unchecked_into();
    // So many that the ticks of the others, added up, are longer than any may be still.
    let probes: Vec<_> = (0..200).map(|_| Probe::default()).collect();
    let scope = |probe: &Probe| request_scope_with(Wakes::Polling, probe.future());
    let promises: Vec<_> = probes.iter().map(scope).collect();
    for _ in 0..120 {
        settle().await;
        assert_eq!(timers.fire(0.0), 200);
    }
    probes.iter().for_each(|probe| probe.ends.set(true));
    probes.iter().for_each(Probe::wake);
    assert_eq!(timers.fire(0.0), 200);
    timers.restore();
    for promise in promises {
        value_now(promise).await.unwrap();
    }
}
