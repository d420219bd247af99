//! Time that passes by hand.

use std::future::{Pending, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use edgepool::{Clock, Time};

/// A clock set by hand, which wakes nobody.
#[derive(Clone, Default)]
pub(crate) struct HandClock(Arc<AtomicU64>);

impl HandClock {
    pub(crate) fn pass(&self, duration: Duration) {
        self.0.fetch_add(duration.as_nanos() as u64, SeqCst);
    }
}

impl Clock for HandClock {
    type Alarm = Pending<()>;

    fn now(&self) -> Time {
        Time::from_nanos(self.0.load(SeqCst))
    }

    fn alarm(&self, _at: Time) -> Pending<()> {
        pending()
    }
}
