//! What JavaScript promises, and what is broken off when it is not wanted any more.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use js_sys::{Function, Promise};
use wasm_bindgen::JsCast as _;
use wasm_bindgen::prelude::{Closure, JsValue, wasm_bindgen};
use web_sys::{AbortController, AbortSignal};

#[wasm_bindgen]
extern "C" {
    /// A promise whose callbacks are functions of JavaScript.
    type Thenable;
    #[wasm_bindgen(method)]
    fn then(this: &Thenable, fulfilled: &Function, rejected: &Function) -> JsValue;

    /// A controller of another request throws.
    type Breaker;
    #[wasm_bindgen(method, catch)]
    fn abort(this: &Breaker) -> Result<(), JsValue>;
}

enum Wait {
    Pending(Option<Waker>),
    Done(Result<JsValue, JsValue>),
}

thread_local! {
    static WAITS: RefCell<BTreeMap<u64, Wait>> = const { RefCell::new(BTreeMap::new()) };
    static LAST_ID: Cell<u64> = const { Cell::new(0) };
    static FULFILLED: Function = function(|id, value| settle(id, Ok(value)));
    static REJECTED: Function = function(|id, error| settle(id, Err(error)));
    static IGNORED: Function = function(|_, _| ());
}

fn function(act: fn(f64, JsValue)) -> Function {
    Closure::<dyn Fn(f64, JsValue)>::new(act).into_js_value().unchecked_into()
}

fn settle(id: f64, outcome: Result<JsValue, JsValue>) {
    let replaced = WAITS.with_borrow_mut(|waits| {
        // Nobody waits for it any more.
        let wait = waits.get_mut(&(id as u64))?;
        Some(std::mem::replace(wait, Wait::Done(outcome)))
    });
    if let Some(Wait::Pending(Some(waker))) = replaced {
        waker.wake();
    }
}

/// The outcome of a promise.
///
/// The callbacks are shared by all and are told a number: a promise that is never settled, as its
/// request has ended, keeps nothing, and one that is settled late finds nothing.
pub(super) struct Settled(u64);

impl Settled {
    pub(super) fn of(promise: &Promise) -> Self {
        let id = LAST_ID.get() + 1;
        LAST_ID.set(id);
        WAITS.with_borrow_mut(|waits| waits.insert(id, Wait::Pending(None)));
        let numbered = |callback: &Function| -> Function {
            callback.bind1(&JsValue::UNDEFINED, &JsValue::from(id as f64)).unchecked_into()
        };
        let [fulfilled, rejected] = [&FULFILLED, &REJECTED].map(|each| each.with(numbered));
        promise.unchecked_ref::<Thenable>().then(&fulfilled, &rejected);
        Self(id)
    }
}

impl Future for Settled {
    type Output = Result<JsValue, JsValue>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone();
        let replaced = WAITS.with_borrow_mut(|waits| match waits.get_mut(&self.0) {
            Some(wait @ Wait::Pending(_)) => {
                Some(std::mem::replace(wait, Wait::Pending(Some(waker))))
            }
            _ => waits.remove(&self.0),
        });
        match replaced {
            Some(Wait::Done(outcome)) => Poll::Ready(outcome),
            // Its old waker is dropped here, as it may be somebody's code.
            _ => Poll::Pending,
        }
    }
}

impl Drop for Settled {
    fn drop(&mut self) {
        let wait = WAITS.with_borrow_mut(|waits| waits.remove(&self.0));
        drop(wait);
    }
}

/// Lets a promise be, whatever becomes of it: a rejection that nobody handles would be told to the
/// whole program.
pub(super) fn ignore(promise: &Promise) {
    IGNORED.with(|ignored| promise.unchecked_ref::<Thenable>().then(ignored, ignored));
}

/// A request under way, which is broken off when this is dropped.
#[derive(Debug)]
pub(super) struct Call {
    controller: AbortController,
    done: bool,
}

impl Call {
    pub(super) fn new() -> Result<Self, JsValue> {
        Ok(Self { controller: AbortController::new()?, done: false })
    }

    pub(super) fn signal(&self) -> AbortSignal {
        self.controller.signal()
    }

    /// Takes note that there is nothing to break off any more.
    pub(super) fn over(mut self) {
        self.done = true;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.done {
            // It may be dropped in another request, after its own has ended.
            self.controller.unchecked_ref::<Breaker>().abort().ok();
        }
    }
}
