use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use edgepool::Clock;
use futures_core::Stream;

use super::drive::{Drive, Piece};
use crate::answer::Gather;
use crate::chat::{Answer, Collector, StreamEvent, Usage};
use crate::failure::Failure;
use crate::transport::Transport;

/// An answer that comes in pieces, as typed events.
///
/// It has begun: its first content is there, or its end. Its place is held until it has ended, by
/// the protocol's own word or an error, or until it is dropped, which breaks the request off. What
/// reads slowly holds the place for as long as it takes.
///
/// An answer whose stream ends without the end of its protocol is an error,
/// [`Truncated`](crate::Class::Truncated). An error is the last that comes.
#[must_use = "an answer that is dropped is broken off"]
pub struct ChatStream<T: Transport, C: Clock> {
    drive: Drive<T, C>,
    usage: Option<Usage>,
}

impl<T: Transport, C: Clock> ChatStream<T, C> {
    pub(super) const fn new(drive: Drive<T, C>) -> Self {
        Self { drive, usage: None }
    }

    /// Returns what the call used, once the provider has told it, which it does at the end.
    #[must_use]
    pub const fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Returns the next event; `None` at the end.
    ///
    /// # Cancel safety
    ///
    /// No event is lost with the future.
    pub async fn next(&mut self) -> Option<Result<StreamEvent, Failure>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Reads to the end, and puts the events that are left together.
    ///
    /// # Errors
    ///
    /// As the stream.
    pub async fn collect_answer(mut self) -> Result<Answer, Failure> {
        let mut collector = Collector::default();
        while let Some(event) = self.next().await {
            collector.add(event?)?;
        }
        Ok(collector.finish())
    }
}

// Whatever is pinned is in a box.
impl<T: Transport, C: Clock> Unpin for ChatStream<T, C> {}

impl<T: Transport, C: Clock> Stream for ChatStream<T, C> {
    type Item = Result<StreamEvent, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match self.drive.poll_piece(cx) {
                Poll::Ready(Some(Ok(Piece::Event(event)))) => {
                    if let StreamEvent::Usage(usage) = &event {
                        self.usage = Some(*usage);
                    }
                    return Poll::Ready(Some(Ok(event)));
                }
                Poll::Ready(Some(Ok(Piece::Bytes(_)))) => {}
                Poll::Ready(Some(Err(failure))) => return Poll::Ready(Some(Err(failure))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<T: Transport, C: Clock> fmt::Debug for ChatStream<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream").field("usage", &self.usage).finish_non_exhaustive()
    }
}

/// An answer that is passed on as it comes: its status, its headers, and a stream of its body.
///
/// Its place is held as that of a [`ChatStream`]. Where the body is a stream of a protocol that has
/// an end, it ends there, and without it it is [`Truncated`](crate::Class::Truncated).
#[must_use = "an answer that is dropped is broken off"]
pub struct HttpAnswer<T: Transport, C: Clock> {
    drive: Drive<T, C>,
}

impl<T: Transport, C: Clock> HttpAnswer<T, C> {
    pub(super) const fn new(drive: Drive<T, C>) -> Self {
        Self { drive }
    }

    /// Returns the status; it is below 400.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.drive.head().map_or(0, |head| head.status)
    }

    /// Returns the headers, as they came.
    #[must_use]
    pub fn headers(&self) -> &[(String, Vec<u8>)] {
        self.drive.head().map_or(&[], |head| &head.headers)
    }

    /// Returns the next piece of the body; `None` at its end.
    ///
    /// # Cancel safety
    ///
    /// No piece is lost with the future.
    pub async fn next(&mut self) -> Option<Result<T::Chunk, Failure>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Reads the rest of the body, of at most `max` bytes.
    ///
    /// # Errors
    ///
    /// It is larger, or breaks off.
    pub async fn bytes(mut self, max: usize) -> Result<Vec<u8>, Failure> {
        let mut gather = Gather::new(max);
        while let Some(chunk) = self.next().await {
            gather.push(chunk?.as_ref())?;
        }
        Ok(gather.bytes().to_vec())
    }
}

// Whatever is pinned is in a box.
impl<T: Transport, C: Clock> Unpin for HttpAnswer<T, C> {}

impl<T: Transport, C: Clock> Stream for HttpAnswer<T, C> {
    type Item = Result<T::Chunk, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match self.drive.poll_piece(cx) {
                Poll::Ready(Some(Ok(Piece::Bytes(chunk)))) => return Poll::Ready(Some(Ok(chunk))),
                Poll::Ready(Some(Ok(Piece::Event(_)))) => {}
                Poll::Ready(Some(Err(failure))) => return Poll::Ready(Some(Err(failure))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<T: Transport, C: Clock> fmt::Debug for HttpAnswer<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpAnswer").field("status", &self.status()).finish_non_exhaustive()
    }
}
