//! Futures that are polled by hand, with a waker that counts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

/// A waker that counts.
#[derive(Default)]
pub(crate) struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Count {
    /// Tells how often it was woken since the last time that this was asked.
    pub(crate) fn wakes(&self) -> u32 {
        self.0.swap(0, SeqCst)
    }
}

/// Polls once.
pub(crate) fn poll<F: Future + Unpin, W: Wake + Send + Sync + 'static>(
    future: &mut F,
    waker: &Arc<W>,
) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(waker));
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}
