//! Streams of Rust as streams of JavaScript.

use std::cell::RefCell;
use std::fmt::Display;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use js_sys::{Error, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::{Closure, JsValue, wasm_bindgen};
use web_sys::{QueuingStrategy, ReadableStream};

use crate::scope::request_scope;

#[wasm_bindgen]
extern "C" {
    type Controller;
    #[wasm_bindgen(method, catch)]
    fn enqueue(this: &Controller, chunk: &JsValue) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    fn close(this: &Controller) -> Result<(), JsValue>;
}

/// Makes a `ReadableStream` of bytes, such as for the body of a response, of the pieces of an
/// answer, such as an [`HttpAnswer`](edgepool_llm::client::HttpAnswer).
///
/// A piece is asked for when JavaScript asks for one, in a [`request_scope`] of the request that
/// asks. Cancelling it, as a runtime does when its reader has gone, drops the stream, and with it
/// the place that it holds; so does its end, and an error, with which it rejects.
///
/// # Errors
///
/// The runtime has no such streams.
pub fn readable_stream<S, B, E>(stream: S) -> Result<ReadableStream, JsValue>
where
    S: Stream<Item = Result<B, E>> + 'static,
    B: AsRef<[u8]> + 'static,
    E: Display + 'static,
{
    let shared: Shared<S> =
        Rc::new(RefCell::new(Source { stream: Some(Box::pin(stream)), waker: None }));
    let source = Object::new();
    let pulled = Rc::clone(&shared);
    let pull = Closure::<dyn Fn(Controller) -> Promise>::new(move |controller| {
        request_scope(pull(Rc::clone(&pulled), controller))
    });
    Reflect::set(&source, &"pull".into(), &pull.into_js_value())?;
    let cancel = Closure::<dyn Fn()>::new(move || end(&shared));
    Reflect::set(&source, &"cancel".into(), &cancel.into_js_value())?;
    // Nothing is asked for before JavaScript does.
    let strategy = QueuingStrategy::new();
    strategy.set_high_water_mark(0.0);
    ReadableStream::new_with_underlying_source_and_strategy(&source, &strategy)
}

type Shared<S> = Rc<RefCell<Source<S>>>;

struct Source<S> {
    /// None once it has ended, and while it is polled.
    stream: Option<Pin<Box<S>>>,
    /// Who waits for the next piece.
    waker: Option<Waker>,
}

/// Drops the stream, and lets go who waits for it.
fn end<S>(shared: &Shared<S>) {
    let mut source = shared.borrow_mut();
    let (stream, waker) = (source.stream.take(), source.waker.take());
    drop(source);
    drop(stream);
    if let Some(waker) = waker {
        waker.wake();
    }
}

async fn pull<S, B, E>(shared: Shared<S>, controller: Controller) -> Result<JsValue, JsValue>
where
    S: Stream<Item = Result<B, E>>,
    B: AsRef<[u8]>,
    E: Display,
{
    loop {
        match poll_fn(|cx| next(&shared, cx)).await {
            // It would not ask again.
            Some(Ok(piece)) if piece.as_ref().is_empty() => {}
            Some(Ok(piece)) => {
                controller.enqueue(&Uint8Array::from(piece.as_ref()))?;
                break;
            }
            Some(Err(error)) => {
                end(&shared);
                return Err(Error::new(&error.to_string()).into());
            }
            None => {
                end(&shared);
                // It throws if it was cancelled.
                controller.close().ok();
                break;
            }
        }
    }
    Ok(JsValue::UNDEFINED)
}

/// Polls the stream while nothing is borrowed, as it may run anything.
fn next<S: Stream>(shared: &Shared<S>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
    let Some(mut stream) = shared.borrow_mut().stream.take() else { return Poll::Ready(None) };
    let polled = stream.as_mut().poll_next(cx);
    let mut source = shared.borrow_mut();
    source.stream = Some(stream);
    let waker = polled.is_pending().then(|| cx.waker().clone());
    let replaced = std::mem::replace(&mut source.waker, waker);
    drop(source);
    drop(replaced);
    polled
}
