//! The bodies of answers.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use edgepool::Clock as _;
use futures_core::Stream;
use js_sys::{Promise, Reflect, Uint8Array};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use web_sys::Response;

use super::error::TransportError;
use super::promise::{Call, Settled, ignore};
use crate::clock::JsClock;
use crate::scope::request_scope;

#[wasm_bindgen]
extern "C" {
    /// The body of an answer, which throws in another request than its own.
    type Readable;
    #[wasm_bindgen(method, catch, js_name = getReader)]
    fn get_reader(this: &Readable) -> Result<Reader, JsValue>;

    type Reader;
    #[wasm_bindgen(method, catch)]
    fn read(this: &Reader) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn cancel(this: &Reader) -> Result<Promise, JsValue>;
}

/// The body of an answer, in the pieces in which it comes. It is read as it is asked for; dropping
/// it breaks the request off.
pub struct FetchBody {
    /// None once it has ended or failed, or was too long.
    open: Option<Open>,
    left: Option<u64>,
    most: u64,
    /// How long it says that it is.
    length: Option<u64>,
}

/// A body with more to come.
struct Open {
    /// The piece that was asked for. It is let go before the rest.
    reading: Option<Settled>,
    reader: Reader,
    call: Call,
}

impl FetchBody {
    pub(super) fn new(
        response: &Response,
        call: Call,
        max: Option<u64>,
        length: Option<u64>,
    ) -> Result<Self, TransportError> {
        let open = match response.body() {
            Some(body) => {
                let body: Readable = JsValue::from(body).unchecked_into();
                let reader =
                    body.get_reader().map_err(|error| TransportError::within_body(&error))?;
                Some(Open { reading: None, reader, call })
            }
            None => {
                call.over();
                None
            }
        };
        Ok(Self { open, left: max, most: max.unwrap_or(u64::MAX), length })
    }

    /// Counts a piece, unless it is past the bound.
    fn take(&mut self, piece: &Uint8Array) -> Result<Vec<u8>, TransportError> {
        if let Some(left) = &mut self.left {
            let fits = left.checked_sub(piece.length().into());
            *left = fits.ok_or(TransportError::BodyTooLarge(self.most))?;
        }
        Ok(piece.to_vec())
    }

    /// Tells whether the body says that it is longer than it may be, before any of it is read.
    fn is_too_long(&mut self) -> bool {
        let length = self.length.take();
        self.left.is_some_and(|left| length.is_some_and(|length| length > left))
    }
}

impl Open {
    /// Asks for a piece, unless that was done, and waits for it; none is the end.
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Uint8Array>, TransportError>> {
        let failed = |error: JsValue| TransportError::within_body(&error);
        let reading = match &mut self.reading {
            Some(reading) => reading,
            None => {
                let piece = self.reader.read().map_err(failed)?;
                self.reading.insert(Settled::of(&piece))
            }
        };
        let read = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        let read = read.map_err(failed)?;
        let done = Reflect::get(&read, &"done".into()).is_ok_and(|done| done.is_truthy());
        let piece = Reflect::get(&read, &"value".into()).ok().filter(|_| !done);
        Poll::Ready(Ok(piece.map(JsCast::unchecked_into)))
    }
}

impl Stream for FetchBody {
    type Item = Result<Vec<u8>, TransportError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.is_too_long() {
            this.break_off();
            return Poll::Ready(Some(Err(TransportError::BodyTooLarge(this.most))));
        }
        let piece = loop {
            let Some(open) = &mut this.open else { return Poll::Ready(None) };
            match ready!(open.poll_piece(cx)) {
                Ok(Some(piece)) if piece.length() == 0 => continue,
                Ok(Some(piece)) => break piece,
                Ok(None) => {
                    this.end();
                    return Poll::Ready(None);
                }
                Err(error) => {
                    this.break_off();
                    return Poll::Ready(Some(Err(error)));
                }
            }
        };
        let taken = this.take(&piece);
        if taken.is_err() {
            this.break_off();
        }
        Poll::Ready(Some(taken))
    }
}

impl FetchBody {
    fn end(&mut self) {
        if let Some(open) = self.open.take() {
            open.call.over();
        }
    }

    fn break_off(&mut self) {
        let Some(open) = self.open.take() else { return };
        drop(open.reading);
        if let Ok(cancelled) = open.reader.cancel() {
            ignore(&cancelled);
        }
        // A runtime that did not hear of that hears of this.
        drop(open.call);
    }
}

impl Drop for FetchBody {
    fn drop(&mut self) {
        self.break_off();
    }
}

/// How long the end of a body is waited for whose protocol has said that nothing follows. Servers
/// send it at once, if they send it: it is late by what lies between two of their writes.
const LINGER: Duration = Duration::from_secs(1);

/// How much may follow.
const MOST_AFTER: usize = 16_384;

/// Reads what is left of a body, which is of no interest, up to its end: after it the connection
/// serves another request. What has no end soon is broken off, and so it is at the end of the
/// request to which it belongs.
pub(super) fn linger(mut body: Pin<Box<FetchBody>>) {
    if body.open.is_none() {
        return;
    }
    let read = request_scope(async move {
        let mut late = pin!(JsClock.alarm(JsClock.now().saturating_add(LINGER)));
        let mut after = 0;
        poll_fn(|cx| {
            while let Poll::Ready(piece) = body.as_mut().poll_next(cx) {
                let Some(Ok(piece)) = piece else { return Poll::Ready(()) };
                after += piece.len();
                if after > MOST_AFTER {
                    return Poll::Ready(());
                }
            }
            late.as_mut().poll(cx)
        })
        .await;
        Ok(JsValue::UNDEFINED)
    });
    // Nobody wants to know how it ends.
    ignore(&read);
}

impl fmt::Debug for FetchBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchBody")
            .field("ended", &self.open.is_none())
            .field("left", &self.left)
            .finish()
    }
}
