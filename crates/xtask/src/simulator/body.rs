//! A response body that follows a script of chunks and pauses, and holds its place until it ends.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::time::Sleep;

use super::gate::{End, Pass};

/// What follows the last chunk of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The body ends.
    End,
    /// The connection stays open, and silent.
    Silence,
    /// The connection is cut.
    Cut,
    /// The same chunk comes again and again.
    Repeat(Duration, Bytes),
}

/// Chunks, each with the pause before it, and what follows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) chunks: VecDeque<(Duration, Bytes)>,
    pub(crate) then: Then,
}

impl Script {
    /// Makes a script of one chunk, at once.
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { chunks: [(Duration::ZERO, bytes.into())].into(), then: Then::End }
    }

    /// Keeps the first `n` chunks, and goes on with `then`.
    pub(crate) fn cut_after(mut self, n: usize, then: Then) -> Self {
        self.chunks.truncate(n);
        Self { then, ..self }
    }
}

/// The body: it gives its [`Pass`] back with its last byte, or when the client has gone.
#[derive(Debug)]
pub(crate) struct Scripted {
    script: Script,
    /// `None` where the next chunk comes at once.
    pause: Option<Pin<Box<Sleep>>>,
    /// `None` once the body has ended.
    pass: Option<Pass>,
}

impl Scripted {
    pub(crate) fn new(script: Script, pass: Pass) -> Self {
        let mut body = Self { script, pause: None, pass: Some(pass) };
        body.set_pause();
        body
    }

    fn finish(&mut self, end: End) {
        if let Some(pass) = self.pass.take() {
            pass.end(end);
        }
    }

    fn set_pause(&mut self) {
        let next = match (self.script.chunks.front(), &self.script.then) {
            (Some((pause, _)), _) | (None, Then::Repeat(pause, _)) => *pause,
            // Time for what was written to leave before the connection is cut.
            (None, Then::Cut) => Duration::from_millis(5),
            (None, Then::End | Then::Silence) => Duration::ZERO,
        };
        // A sleep of no length would still wait for the timer's next millisecond.
        self.pause = (!next.is_zero()).then(|| Box::pin(tokio::time::sleep(next)));
    }
}

impl HttpBody for Scripted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.pass.is_none() {
            return Poll::Ready(None);
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
        }
        let next = self.script.chunks.pop_front().map(|(_, bytes)| bytes);
        let bytes = match (next, &self.script.then) {
            (Some(bytes), _) => bytes,
            (None, Then::Repeat(_, bytes)) => bytes.clone(),
            (None, Then::Silence) => return Poll::Pending,
            (None, Then::End) => {
                self.finish(End::Completed);
                return Poll::Ready(None);
            }
            (None, Then::Cut) => {
                self.finish(End::Cut);
                return Poll::Ready(Some(Err(io::Error::other("cut by x-sim-fault"))));
            }
        };
        // The place is free before the last byte leaves, or a client could be back too early.
        if self.script.chunks.is_empty() && self.script.then == Then::End {
            self.finish(End::Completed);
        } else {
            self.set_pause();
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.pass.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (self.script.chunks.len(), &self.script.then) {
            (0, Then::End) => SizeHint::with_exact(0),
            (1, Then::End) => SizeHint::with_exact(self.script.chunks[0].1.len() as u64),
            _ => SizeHint::default(),
        }
    }
}
