//! The clock of the JavaScript runtime, for pools of Rust on wasm.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use edgepool::{Clock, Time};
use wasm_bindgen::prelude::{Closure, JsValue, wasm_bindgen};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(fire: &Closure<dyn FnMut()>, delay: f64) -> JsValue;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(handle: &JsValue);
}

const NANOS_PER_MS: f64 = 1e6;
/// Past this delay `setTimeout` fires at once.
const LONGEST_DELAY: f64 = 2_147_483_647.0;

/// Tells the runtime's time and waits by its timers, in browsers, workers and processes alike.
///
/// Whole milliseconds in a Worker, where it stands at 0 outside of a request. There a timer
/// belongs to the request that set it, and stops with it.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsClock;

impl Clock for JsClock {
    type Alarm = JsAlarm;

    fn now(&self) -> Time {
        // A float that is out of range saturates.
        Time::from_nanos((performance_now() * NANOS_PER_MS) as u64)
    }

    fn alarm(&self, at: Time) -> JsAlarm {
        JsAlarm { at, timer: None }
    }
}

/// The future that [`JsClock::alarm`] returns; its timer is set when it is first polled.
#[derive(Debug)]
pub struct JsAlarm {
    at: Time,
    timer: Option<Timer>,
}

impl Future for JsAlarm {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.at == Time::NEVER {
            return Poll::Pending;
        }
        let at = self.at;
        let timer = self.timer.get_or_insert_with(|| Timer::set(at));
        let mut state = timer.state.borrow_mut();
        if state.fired {
            return Poll::Ready(());
        }
        let replaced = state.waker.replace(cx.waker().clone());
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

#[derive(Debug, Default)]
struct State {
    fired: bool,
    waker: Option<Waker>,
}

/// A timer that is cleared when it is dropped.
#[derive(Debug)]
struct Timer {
    state: Rc<RefCell<State>>,
    handle: JsValue,
    _fire: Closure<dyn FnMut()>,
}

impl Timer {
    fn set(at: Time) -> Self {
        let state = Rc::new(RefCell::new(State::default()));
        let shared = Rc::clone(&state);
        let fire = Closure::new(move || {
            let mut state = shared.borrow_mut();
            state.fired = true;
            let waker = state.waker.take();
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        });
        let left = at.saturating_since(JsClock.now()).as_nanos() as f64 / NANOS_PER_MS;
        let handle = set_timeout(&fire, left.ceil().min(LONGEST_DELAY));
        Self { state, handle, _fire: fire }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        clear_timeout(&self.handle);
    }
}
