//! The body of an answer.

use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::error::Error;

/// The body of an answer, in the pieces in which it comes. It is read no faster than it is polled.
///
/// Dropping it before its end breaks the request off: on HTTP/1.1 by closing the connection, on
/// HTTP/2 by resetting the stream. A connection of HTTP/1.1 serves another request only if the body
/// was polled to its end, or given back by
/// [`finish`](edgepool_llm::transport::Transport::finish), which waits for that end a moment.
pub struct Body {
    /// None once it has ended or failed, or was too long.
    incoming: Option<Incoming>,
    left: Option<u64>,
    most: u64,
}

impl Body {
    pub(crate) fn new(incoming: Incoming, most: Option<u64>) -> Self {
        Self { incoming: Some(incoming), left: most, most: most.unwrap_or(u64::MAX) }
    }

    /// Counts a piece, unless it is past the bound.
    fn take(&mut self, piece: Bytes) -> Result<Bytes, Error> {
        if let Some(left) = &mut self.left {
            let fits = left.checked_sub(piece.len() as u64);
            *left = fits.ok_or(Error::BodyTooLarge(self.most))?;
        }
        Ok(piece)
    }

    /// Tells whether the body says that it is longer than it may be, before any of it is read.
    fn is_too_long(&self, incoming: &Incoming) -> bool {
        self.left.is_some_and(|left| incoming.size_hint().lower() > left)
    }
}

/// How long the end of a body is waited for whose protocol has said that nothing follows. Servers
/// send it at once, if they send it: it is late by what lies between two of their writes.
const LINGER: Duration = Duration::from_secs(1);

/// How much may follow.
const MOST_AFTER: usize = 16_384;

/// Reads what is left of a body, which is of no interest, up to its end: after it the connection
/// serves another request. What has no end soon is broken off.
pub(crate) async fn linger(mut body: Pin<Box<Body>>) {
    let mut after = 0;
    let rest = poll_fn(|cx| {
        while let Some(Ok(piece)) = ready!(body.as_mut().poll_next(cx)) {
            after += piece.len();
            if after > MOST_AFTER {
                break;
            }
        }
        Poll::Ready(())
    });
    // Either way there is nothing more to do.
    let _ = timeout(LINGER, rest).await;
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("ended", &self.incoming.is_none())
            .field("left", &self.left)
            .finish()
    }
}

impl Stream for Body {
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let piece = loop {
            let Some(mut incoming) = this.incoming.take() else { return Poll::Ready(None) };
            if this.is_too_long(&incoming) {
                return Poll::Ready(Some(Err(Error::BodyTooLarge(this.most))));
            }
            let polled = Pin::new(&mut incoming).poll_frame(cx);
            if polled.is_pending() || matches!(polled, Poll::Ready(Some(Ok(_)))) {
                this.incoming = Some(incoming);
            }
            match ready!(polled) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(Error::within_body(error)))),
                // Trailers are of no use here.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) if !piece.is_empty() => break piece,
                    _ => continue,
                },
            }
        };
        let taken = this.take(piece);
        if taken.is_err() {
            this.incoming = None;
        }
        Poll::Ready(Some(taken))
    }
}
