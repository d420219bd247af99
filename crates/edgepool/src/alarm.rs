//! The one alarm of a future that may have to wake at another time than it thought.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::shared::guarded;
use crate::{Clock, Time};

/// The alarm that is set, and for when, if there is one. Boxed, so that a future which waits
/// without a time-out is small.
pub(crate) struct Alarms<A>(Option<Box<(Time, Pin<Box<A>>)>>);

impl<A: Future<Output = ()>> Alarms<A> {
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// Sees to it that the caller is polled at `until`; ready if that has come. `rang` tells whether
    /// it was ready in this poll of the caller already: the next time the caller is woken instead,
    /// as an alarm that is always early would keep its thread for ever.
    pub(crate) fn poll<C: Clock<Alarm = A>>(
        &mut self,
        clock: &C,
        until: Time,
        rang: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if until == Time::NEVER {
            self.clear();
            return Poll::Pending;
        }
        if self.0.as_ref().is_none_or(|set| set.0 != until) {
            self.clear();
            self.0 = Some(Box::new((until, Box::pin(clock.alarm(until)))));
        }
        let Some(set) = &mut self.0 else { return Poll::Pending };
        if set.1.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.clear();
        if std::mem::replace(rang, true) {
            guarded(|| cx.waker().wake_by_ref());
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl<A> Alarms<A> {
    /// Drops the alarm. It is somebody's, as is the waker in it: a panic must not keep the caller
    /// from what it waited for.
    fn clear(&mut self) {
        if let Some(set) = self.0.take() {
            guarded(|| drop(set));
        }
    }
}

impl<A> Drop for Alarms<A> {
    fn drop(&mut self) {
        self.clear();
    }
}
