//! An executor of one request, for Rust on workerd.
//!
//! A scope is woken from anywhere, and polled only by the callback of a promise that was made in
//! its own request: its *bell*. Whoever wakes it rings the bell, by settling that promise, and
//! workerd lets the callback run in the request that made it. Where the flag for that is missing
//! the callback would run in the request of whoever rings, so there only the scope itself does: on
//! a *tick* of its own timer that finds it woken.
//!
//! 1. A future is outside of its scope while it is polled, and is dropped while nothing is
//!    borrowed: it may start, wake and end any scope.
//! 2. While a future waits a bell hangs, or was rung and will be heard.
//! 3. The callbacks are shared by all scopes and are told a number: one that comes late finds
//!    nothing, and a request that dies leaves none behind.
//!
//! A request that ends early tells nobody; its timers stop. Its scope is *still* while others tick.
//! They drop its future, so that what it held or was offered goes on.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use js_sys::{Error, Function, Promise, Reflect};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::{Closure, JsValue, wasm_bindgen};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout, catch)]
    fn set_timeout(
        tick: &Function,
        delay: f64,
        scope: f64,
        reject: &Function,
    ) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(handle: &JsValue);

    /// A promise whose callbacks are functions of JavaScript.
    type Bell;
    #[wasm_bindgen(method)]
    fn then(this: &Bell, fulfilled: &Function) -> Bell;
    #[wasm_bindgen(method)]
    fn catch(this: &Bell, rejected: &Function) -> Bell;
}

/// The flag of workerd by which a promise goes on in the request that made it.
const FLAG: &str = "handle_cross_request_promise_resolution";
/// Between two ticks, in ms, where the bell wakes: they only keep the request alive.
const TICK: f64 = 100.0;
/// Between two ticks at first, where they alone wake; doubled on every tick that finds nothing.
const FIRST_POLLING_TICK: f64 = 1.0;
const LAST_POLLING_TICK: f64 = 50.0;
/// A scope that is still while others tick for so many ms is taken for dead.
const STILL: f64 = 5_000.0;

/// How a scope hears of a wake that comes from another request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wakes {
    /// By polling in workerd without `handle_cross_request_promise_resolution`, else by a doorbell:
    /// other runtimes do not tell requests apart.
    #[default]
    Auto,
    /// At once: whoever wakes settles a promise that was made in the scope's request. In workerd
    /// that is only right with the flag.
    Doorbell,
    /// On a timer of the scope's own: 1 ms after its future began to wait, then after twice as long
    /// each time, up to 50 ms. The end of any wait is seen that much later, not only of one for the
    /// pool.
    Polling,
}

/// Runs a future inside the request that calls this, and returns the promise of its outcome.
///
/// In a Worker this replaces [`future_to_promise`](wasm_bindgen_futures::future_to_promise) and
/// exported `async fn`s for whatever waits for a pool. Those share one queue of tasks, which is
/// run in the request that happens to wake one: when a request releases a lease, the future of the
/// next goes on in the context of the first, where its I/O fails, or ends when that request does.
/// A scope polls its future in its own request only. It also keeps that request alive while it
/// waits, as workerd ends one that waits for nothing but another.
///
/// The future is first polled soon after this call. Make the call in the handler of a request;
/// elsewhere there are no timers, and a future that has to wait is rejected. All that is to happen
/// in the request belongs into the future, or into further scopes that it starts: what it gives to
/// `spawn_local` leaves the request. A creation that it began may be continued by whichever request
/// waits for the pool, so a factory leaves I/O to those who hold its leases, except in a Durable
/// Object, where I/O works across requests.
///
/// A wake from another request is heard at once with the compatibility flag
/// `handle_cross_request_promise_resolution`, and by polling without it. It is on from the
/// compatibility date 2024-10-14, and can be named before. [`request_scope_with`] chooses. Only
/// wakes of the scope's own thread are heard.
///
/// # Cancel safety
///
/// Dropping the promise ends nothing. A request that ends first (its client has gone) never polls
/// its future again; give the promise to `ctx.waitUntil` to have it run to its end all the same.
///
/// An abandoned future would keep its lease for ever, as a Rust lease owns its connection and has
/// no time to live. So scopes watch each other: one that is silent for five seconds of the others'
/// ticks is ended, and its future is dropped, in whichever request found it. Its leases and its
/// place in the queue go on to the next caller then. In the meantime an offer made to it can pass
/// on by [`offer_timeout`](edgepool::Builder::offer_timeout), and a creation that it began is
/// given up at its [`create_timeout`](edgepool::Builder::create_timeout). The watch needs a live
/// scope, such as that of the next request. Should the request live after all, its promise is
/// rejected.
///
/// A panic cannot be caught on wasm that aborts: the promise is rejected with the trap, what the
/// future held is lost, and the instance should be replaced.
///
/// # Examples
///
/// ```no_run
/// use edgepool::Pool;
/// use edgepool_wasm::{JsClock, Places, request_scope};
/// use js_sys::Promise;
/// use wasm_bindgen::prelude::*;
///
/// thread_local! {
///     static POOL: Pool<Places, JsClock> =
///         Pool::builder(Places, JsClock).max(4).build().expect("the options are in range");
/// }
///
/// #[wasm_bindgen]
/// pub fn handle(url: String) -> Promise {
///     request_scope(async move {
///         let pool = POOL.with(Pool::clone);
///         let _lease = pool.acquire().await.map_err(|error| error.to_string())?;
///         Ok(url.into()) // whatever is to happen while few others do the same
///     })
/// }
/// ```
pub fn request_scope<F>(future: F) -> Promise
where
    F: Future<Output = Outcome> + 'static,
{
    request_scope_with(Wakes::Auto, future)
}

/// Runs a future as [`request_scope`] does, and chooses how it hears of wakes.
pub fn request_scope_with<F>(wakes: Wakes, future: F) -> Promise
where
    F: Future<Output = Outcome> + 'static,
{
    let mut future: Option<Task> = Some(Box::pin(future));
    Promise::new(&mut |resolve, reject| {
        let future = future.take().expect("a promise calls its executor once");
        Scope::start(future, wakes, resolve, reject);
    })
}

type Outcome = Result<JsValue, JsValue>;
type Task = Pin<Box<dyn Future<Output = Outcome>>>;

struct Scope {
    id: u64,
    waker: Waker,
    /// None while it is polled, and for good if that trapped.
    future: RefCell<Option<Task>>,
    resolve: Function,
    reject: Function,
    /// Rings the bell that hangs.
    bell: Cell<Option<Function>>,
    woken: Cell<bool>,
    pace: Option<Pace>,
    timer: Cell<Option<JsValue>>,
    /// How long the next tick is away.
    delay: Cell<f64>,
    /// What the watch showed when this scope ticked last.
    seen: Cell<f64>,
}

/// What the ticks of a scope are for.
#[derive(Clone, Copy, PartialEq)]
enum Pace {
    KeepAlive,
    Polling,
}

thread_local! {
    static SCOPES: RefCell<BTreeMap<u64, Rc<Scope>>> = const { RefCell::new(BTreeMap::new()) };
    static LAST_ID: Cell<u64> = const { Cell::new(0) };
    /// How long live scopes have ticked, in ms. No clock is asked: when the whole isolate stalls
    /// that counts as one tick, after which every live scope gets its turn.
    static WATCH: Cell<f64> = const { Cell::new(0.0) };
    static ON_BELL: Function = function(Closure::<dyn Fn(f64)>::new(on_bell).into_js_value());
    static ON_TICK: Function =
        function(Closure::<dyn Fn(f64, Function)>::new(on_tick).into_js_value());
    static RUNTIME: Option<Pace> = runtime();
}

fn function(value: JsValue) -> Function {
    value.unchecked_into()
}

/// Tells which ticks the runtime requires. The object that names workerd's flags is there at every
/// compatibility date, unlike `navigator`.
fn runtime() -> Option<Pace> {
    let get = |from: &JsValue, name: &str| {
        Reflect::get(from, &name.into()).ok().filter(|value| value.is_truthy())
    };
    let flags = get(&get(&js_sys::global(), "Cloudflare")?, "compatibilityFlags")?;
    Some(get(&flags, FLAG).map_or(Pace::Polling, |_| Pace::KeepAlive))
}

fn find(id: u64) -> Option<Rc<Scope>> {
    SCOPES.with_borrow(|scopes| scopes.get(&id).cloned())
}

/// Runs in the scope's own request.
fn on_bell(id: f64) {
    if let Some(scope) = find(id as u64) {
        scope.poll();
    }
}

/// Runs in the scope's own request.
fn on_tick(id: f64, reject: Function) {
    match find(id as u64) {
        Some(scope) => scope.tick(),
        None => {
            let error = Error::new("the request was taken for dead: it did not tick for too long");
            reject.call1(&JsValue::UNDEFINED, &error).ok();
        }
    }
}

impl Scope {
    fn start(future: Task, wakes: Wakes, resolve: Function, reject: Function) {
        let id = LAST_ID.get() + 1;
        LAST_ID.set(id);
        let pace = match wakes {
            Wakes::Auto => RUNTIME.with(|pace| *pace),
            Wakes::Doorbell => RUNTIME.with(|pace| pace.map(|_| Pace::KeepAlive)),
            Wakes::Polling => Some(Pace::Polling),
        };
        let scope = Rc::new(Self {
            id,
            waker: Waker::from(Arc::new(Ringer(id))),
            future: RefCell::new(Some(future)),
            resolve,
            reject,
            bell: Cell::new(None),
            woken: Cell::new(true),
            pace,
            timer: Cell::new(None),
            delay: Cell::new(TICK),
            seen: Cell::new(WATCH.get()),
        });
        SCOPES.with_borrow_mut(|scopes| scopes.insert(id, Rc::clone(&scope)));
        scope.sleep();
    }

    fn poll(&self) {
        let Some(mut future) = self.future.take() else { return };
        self.woken.set(false);
        match future.as_mut().poll(&mut Context::from_waker(&self.waker)) {
            Poll::Pending => {
                self.future.replace(Some(future));
                self.sleep();
            }
            Poll::Ready(outcome) => {
                drop(future);
                self.finish(outcome);
            }
        }
    }

    /// Waits for the next wake, or for none if one has come already. This runs in the scope's own
    /// request, so the bell may be rung.
    fn sleep(&self) {
        self.hang_bell();
        if self.woken.get() {
            self.ring();
            return;
        }
        if self.pace == Some(Pace::Polling) {
            self.clear_timer();
            self.delay.set(FIRST_POLLING_TICK);
        }
        self.schedule();
    }

    fn hang_bell(&self) {
        let bell: Bell =
            Promise::new(&mut |resolve, _| self.bell.set(Some(resolve))).unchecked_into();
        // A poll that traps tells the caller, who would wait for ever.
        ON_BELL.with(|on_bell| bell.then(on_bell)).catch(&self.reject);
    }

    fn ring(&self) {
        if let Some(bell) = self.bell.take() {
            bell.call1(&JsValue::UNDEFINED, &(self.id as f64).into()).ok();
        }
    }

    /// May run in any request.
    fn wake(&self) {
        if !self.woken.replace(true) && self.pace != Some(Pace::Polling) {
            self.ring();
        }
    }

    /// Sets the timer unless it is set.
    fn schedule(&self) {
        let timer = self.timer.take();
        if self.pace.is_none() || timer.is_some() {
            self.timer.set(timer);
            return;
        }
        let (delay, id) = (self.delay.get(), self.id as f64);
        match ON_TICK.with(|on_tick| set_timeout(on_tick, delay, id, &self.reject)) {
            Ok(timer) => self.timer.set(Some(timer)),
            Err(outside) => self.finish(Err(outside)),
        }
    }

    fn clear_timer(&self) {
        if let Some(timer) = self.timer.take() {
            clear_timeout(&timer);
        }
    }

    fn tick(&self) {
        self.timer.set(None);
        if self.future.borrow().is_none() {
            // It was being polled when it trapped.
            self.forget();
            return;
        }
        let is_first = self.keep_watch();
        if self.pace == Some(Pace::Polling) {
            self.delay.set((self.delay.get() * 2.0).min(LAST_POLLING_TICK));
        }
        // Before anything that may trap.
        self.schedule();
        if is_first {
            bury_the_dead();
        }
        if self.woken.get() {
            // A bell that was rung in another request may not be heard; this one is.
            self.hang_bell();
            self.ring();
        }
    }

    /// Tells of the tick. Whoever ticks again before the watch has moved moves it: since its last
    /// tick, every other live scope has had its turn as well.
    fn keep_watch(&self) -> bool {
        let is_first = self.seen.get() == WATCH.get();
        if is_first {
            WATCH.set(WATCH.get() + self.delay.get());
        }
        self.seen.set(WATCH.get());
        is_first
    }

    fn finish(&self, outcome: Outcome) {
        self.forget();
        self.clear_timer();
        drop(self.future.take());
        let (settle, value) = match &outcome {
            Ok(value) => (&self.resolve, value),
            Err(error) => (&self.reject, error),
        };
        settle.call1(&JsValue::UNDEFINED, value).ok();
    }

    fn forget(&self) {
        let scope = SCOPES.with_borrow_mut(|scopes| scopes.remove(&self.id));
        drop(scope);
    }
}

/// Drops what is still, one at a time: should one of them trap, the next tick has the others.
fn bury_the_dead() {
    while let Some(dead) = take_dead() {
        drop(dead.future.take());
    }
}

fn take_dead() -> Option<Rc<Scope>> {
    SCOPES.with_borrow_mut(|scopes| {
        let now = WATCH.get();
        let (&id, _) = scopes.iter().find(|(_, scope)| now - scope.seen.get() >= STILL)?;
        scopes.remove(&id)
    })
}

/// The waker of a scope. It knows no more than a number, as wakers may cross threads and what
/// belongs to JavaScript may not; a scope hears only wakes of its own thread.
struct Ringer(u64);

impl Wake for Ringer {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(scope) = find(self.0) {
            scope.wake();
        }
    }
}
