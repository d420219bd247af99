//! Time as the pool sees it: whole nanoseconds since an origin that the clock chooses.

#[cfg(all(feature = "std", not(target_family = "wasm")))]
mod native;

#[cfg(all(feature = "std", not(target_family = "wasm")))]
pub use native::{StdAlarm, StdClock};

use core::future::Future;
use core::time::Duration;

pub(crate) const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A point in time: whole nanoseconds since the origin of the clock that told it.
///
/// Arithmetic saturates, so the far future is [`Time::NEVER`] and nothing wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The origin of a clock.
    pub const ZERO: Self = Self(0);
    /// Later than every other time; a deadline at `NEVER` does not pass.
    pub const NEVER: Self = Self(u64::MAX);

    /// Makes a time from whole nanoseconds since the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Returns the whole nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Adds a duration; past the range the result is [`Time::NEVER`].
    // A module's size counts, and it has many of these.
    #[must_use]
    #[cfg_attr(target_family = "wasm", inline(never))]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_nanos(duration)))
    }

    /// Returns how long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Returns a duration in whole nanoseconds, at most 584 years. The product cannot overflow where it
/// is taken, so that wasm needs no product of 128 bits.
#[inline]
pub(crate) const fn whole_nanos(duration: Duration) -> u64 {
    if duration.as_secs() > u64::MAX / NANOS_PER_SECOND {
        return u64::MAX;
    }
    (duration.as_secs() * NANOS_PER_SECOND).saturating_add(duration.subsec_nanos() as u64)
}

/// Tells the time and waits for it.
///
/// The pool is never told a time by anything else, so a simulated clock makes every timeout
/// testable in microseconds. A clock may step back or stand still: the pool clamps what it reads
/// to non-decreasing.
pub trait Clock {
    /// The future that [`alarm`](Self::alarm) returns.
    type Alarm: Future<Output = ()>;

    /// Tells the time. It must not fail, and need not be monotonic.
    fn now(&self) -> Time;

    /// Completes when `at` has come. It may complete early (the pool looks at the clock and sets
    /// another), and dropping it cancels it. At [`Time::NEVER`] it stays pending.
    fn alarm(&self, at: Time) -> Self::Alarm;
}
