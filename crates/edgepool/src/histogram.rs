//! How long things took, in buckets of a fixed size.

use core::fmt;
use core::time::Duration;

use crate::clock::whole_nanos;

/// A power of two is divided into `1 << SUB_BITS` buckets.
const SUB_BITS: u32 = 2;
const SUBS: usize = 1 << SUB_BITS;
/// What is longer than `1 << RANGE_BITS` microseconds is in the last bucket.
const RANGE_BITS: u32 = 32;
/// The first power of two that is wide enough to be divided comes after `SUBS` buckets of 1 us.
const BUCKETS: usize = SUBS * (RANGE_BITS - SUB_BITS + 1) as usize + 1;
const LAST: usize = BUCKETS - 1;

/// Where a merge stops a count. From there records alone could not take it to the end of its range
/// in the life of a machine, so that `record` need not look.
const MOST: u64 = 1 << 63;

const NANOS_PER_MICRO: u64 = 1_000;

/// Counts durations in buckets of a fixed relative width, in constant memory.
///
/// It takes about 1 kB wherever it stands and never allocates; to record is a few instructions
/// without a branch. So a pool can keep one under its lock.
///
/// # Buckets and error
///
/// A bucket holds what is longer than the bound before it, up to its own bound included. The bounds
/// are whole microseconds: 1, 2, 3 and 4, and from there four to each power of two (5, 6, 7, 8, 10,
/// 12, 14, 16, 20, ...) up to 2^32 us, which is 71.6 minutes. One more bucket holds what is longer.
///
/// A bound is therefore above anything in its bucket by less than 25 %, or by at most 1 us where
/// that is more. So far [`percentile`](Self::percentile) errs, and always upwards. Four to a power
/// of two are enough to tell a doubling from noise; eight would halve the error and double the
/// memory, all of which is copied each time that somebody reads it. [`sum`](Self::sum),
/// [`min`](Self::min) and [`max`](Self::max) are exact.
///
/// Nothing wraps: merges stop each bucket at 2^63, and the sum stops at 584 years.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use edgepool::Histogram;
///
/// let mut waits = Histogram::new();
/// for millis in 1..=100 {
///     waits.record(Duration::from_millis(millis));
/// }
/// assert_eq!(waits.count(), 100);
/// assert_eq!(waits.mean(), Some(Duration::from_micros(50_500)));
/// // The 90th of the hundred took 90 ms; the bound of its bucket is 7 * 2^14 us.
/// assert_eq!(waits.percentile(90.0), Some(Duration::from_micros(98_304)));
/// assert_eq!(waits.percentile(100.0), waits.max());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    /// All in nanoseconds. While nothing is recorded, `min` is above `max`.
    sum: u64,
    min: u64,
    max: u64,
}

impl Histogram {
    /// Makes an empty histogram.
    #[must_use]
    pub const fn new() -> Self {
        Self { counts: [0; BUCKETS], sum: 0, min: u64::MAX, max: 0 }
    }

    /// Counts one duration. What is longer than 584 years counts as that.
    #[inline]
    pub fn record(&mut self, duration: Duration) {
        self.record_nanos(whole_nanos(duration));
    }

    /// Counts one duration of whole nanoseconds, as the difference of two times is.
    #[inline]
    pub(crate) fn record_nanos(&mut self, nanos: u64) {
        self.counts[bucket_of(nanos)] += 1;
        self.sum = self.sum.saturating_add(nanos);
        self.min = self.min.min(nanos);
        self.max = self.max.max(nanos);
    }

    /// Adds what another histogram counted, as if each had been recorded here.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more).min(MOST);
        }
        self.sum = self.sum.saturating_add(other.sum);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Returns how many durations were recorded: the sum of the buckets.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, &count| sum.saturating_add(count))
    }

    /// Returns the sum of all that was recorded, at most 584 years.
    #[must_use]
    pub const fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum)
    }

    /// Returns the arithmetic mean, rounded down to whole nanoseconds; `None` if nothing was
    /// recorded.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        self.sum.checked_div(self.count()).map(Duration::from_nanos)
    }

    /// Returns the shortest that was recorded, exactly.
    #[must_use]
    pub const fn min(&self) -> Option<Duration> {
        if self.is_empty() { None } else { Some(Duration::from_nanos(self.min)) }
    }

    /// Returns the longest that was recorded, exactly.
    #[must_use]
    pub const fn max(&self) -> Option<Duration> {
        if self.is_empty() { None } else { Some(Duration::from_nanos(self.max)) }
    }

    /// Returns a duration that at least `percent` of a hundred of the records do not exceed: the
    /// bound of the bucket in which the record of that rank stands, or the longest record if that
    /// is less. So 100 gives [`max`](Self::max), and 0 the bound of the bucket of
    /// [`min`](Self::min).
    ///
    /// `None` if nothing was recorded, or if `percent` is not in 0 to 100 (NaN is not).
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        if self.is_empty() || !(0.0..=100.0).contains(&percent) {
            return None;
        }
        let rank = rank_of(percent, self.count());
        let mut seen = 0_u64;
        let bucket = self.counts.iter().position(|&count| {
            seen = seen.saturating_add(count);
            seen >= rank
        });
        Some(bound(bucket.unwrap_or(LAST)).min(Duration::from_nanos(self.max)))
    }

    /// Returns every bucket, the empty ones too, from the shortest on: its bound, which it
    /// includes, and its count. The bound of the last, which holds what is out of range, is
    /// [`Duration::MAX`].
    pub fn buckets(&self) -> impl ExactSizeIterator<Item = (Duration, u64)> {
        self.counts.iter().enumerate().map(|(bucket, &count)| (bound(bucket), count))
    }

    const fn is_empty(&self) -> bool {
        self.min > self.max
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Histogram");
        out.field("count", &self.count());
        if let (Some(mean), Some(max)) = (self.mean(), self.max()) {
            let [p50, p99] = [50.0, 99.0].map(|percent| self.percentile(percent).unwrap_or(max));
            out.field("mean", &mean).field("p50", &p50).field("p99", &p99).field("max", &max);
        }
        out.finish()
    }
}

/// Finds the bucket of a duration. Rounding the microseconds up and counting them from 0 makes each
/// bucket include its bound.
#[inline]
fn bucket_of(nanos: u64) -> usize {
    let micros = nanos.saturating_sub(1) / NANOS_PER_MICRO;
    // The lowest bit that is set here is below the top bit of whatever is divided, so it changes
    // only the shift of what is not: that becomes 0.
    let shift = (micros | SUBS as u64).ilog2() - SUB_BITS;
    let bucket = SUBS * shift as usize + (micros >> shift) as usize;
    bucket.min(LAST)
}

/// Returns the longest duration that a bucket holds.
fn bound(bucket: usize) -> Duration {
    if bucket >= LAST {
        return Duration::MAX;
    }
    // The first power of two that is divided has its buckets at their own numbers.
    let shift = (bucket / SUBS).saturating_sub(1);
    let above = bucket - SUBS * shift + 1;
    Duration::from_micros((above as u64) << shift)
}

/// Returns how many records `percent` of a hundred are, rounded up, and at least one.
fn rank_of(percent: f64, count: u64) -> u64 {
    let exact = percent * count as f64 / 100.0;
    let whole = exact as u64;
    let rounded = if (whole as f64) < exact { whole + 1 } else { whole };
    rounded.clamp(1, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::NANOS_PER_SECOND;

    #[test]
    fn every_bucket_begins_just_above_the_bound_before_it() {
        let mut after = 0;
        for bucket in 0..LAST {
            let last = whole_nanos(bound(bucket));
            assert_eq!(bucket_of(after), bucket);
            assert_eq!(bucket_of(last), bucket);
            after = last + 1;
        }
        assert_eq!(after - 1, NANOS_PER_MICRO << RANGE_BITS);
        assert_eq!([after, u64::MAX].map(bucket_of), [LAST, LAST]);
        assert_eq!(bound(LAST), Duration::MAX);
    }

    #[test]
    fn a_bound_is_less_than_a_quarter_or_a_microsecond_above_what_its_bucket_holds() {
        for bucket in 1..LAST {
            let least = whole_nanos(bound(bucket - 1)) + 1;
            let above = whole_nanos(bound(bucket)) - least;
            assert!(above < NANOS_PER_MICRO || above * 4 < least, "{bucket}");
        }
    }

    #[test]
    fn durations_past_the_range_of_nanoseconds_count_as_the_longest() {
        let edge = Duration::from_nanos(u64::MAX);
        for long in [edge, edge + Duration::from_nanos(1), Duration::MAX] {
            assert_eq!(whole_nanos(long), u64::MAX, "{long:?}");
        }
        let second = Duration::from_secs(u64::MAX / NANOS_PER_SECOND) - Duration::from_nanos(1);
        assert_eq!(u128::from(whole_nanos(second)), second.as_nanos());
    }

    #[test]
    fn it_stays_small() {
        assert!(size_of::<Histogram>() <= 1_032, "{}", size_of::<Histogram>());
    }
}
