//! Random durations in a histogram, beside the sorted list of them.

use std::ops::Range;
use std::time::Duration;

use edgepool::Histogram;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// As far as the buckets reach.
const RANGE: Duration = Duration::from_micros(1 << 32);
const MICRO: Duration = Duration::from_micros(1);

/// Durations of every size: all bits are as likely to be the highest, and bounds are hit exactly.
fn duration() -> impl Strategy<Value = Duration> {
    let nanos = (0_u32..64, any::<u64>()).prop_map(|(bits, any)| any >> bits);
    let bounds = (0_u64..9, 0_u32..34).prop_map(|(above, shift)| (above << shift) * 1_000);
    prop_oneof![
        8 => nanos.prop_map(Duration::from_nanos),
        4 => bounds.prop_map(Duration::from_nanos),
        1 => Just(Duration::ZERO),
    ]
}

/// Few enough records that a sum of years does not reach its end.
fn durations(count: Range<usize>) -> impl Strategy<Value = Vec<Duration>> {
    vec(duration(), count)
}

fn recorded(durations: &[Duration]) -> Histogram {
    let mut histogram = Histogram::new();
    for &duration in durations {
        histogram.record(duration);
    }
    histogram
}

/// Tells whether a bound may be that of the duration's bucket: by less than 25 % above it, or by at
/// most 1 us.
fn bounds(bound: Duration, duration: Duration) -> bool {
    bound >= duration && (bound - duration <= MICRO || (bound - duration) * 4 < duration)
}

fn saturating_sum(durations: &[Duration]) -> Duration {
    let nanos = durations.iter().map(Duration::as_nanos).sum::<u128>();
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn config() -> ProptestConfig {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/histogram/regressions.txt");
    let seeds = Box::new(FileFailurePersistence::Direct(seeds));
    ProptestConfig { failure_persistence: Some(seeds), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_exact_figures_are_those_of_the_list(list in durations(1..200)) {
        let histogram = recorded(&list);
        let sum = saturating_sum(&list);
        prop_assert_eq!(histogram.count(), list.len() as u64);
        prop_assert_eq!(histogram.sum(), sum);
        let mean = Duration::from_nanos((sum.as_nanos() / list.len() as u128) as u64);
        prop_assert_eq!(histogram.mean(), Some(mean));
        prop_assert_eq!(histogram.min(), list.iter().min().copied());
        prop_assert_eq!(histogram.max(), list.iter().max().copied());
    }

    #[test]
    fn a_bucket_counts_what_is_above_the_bound_before_it_and_not_above_its_own(
        list in durations(0..200),
    ) {
        let histogram = recorded(&list);
        let mut below = 0;
        for (bound, count) in histogram.buckets() {
            below += count;
            let exact = list.iter().filter(|&&duration| duration <= bound).count();
            prop_assert_eq!(below, exact as u64, "{:?}", bound);
        }
        prop_assert_eq!(below, histogram.count());
    }

    #[test]
    fn a_percentile_is_the_record_of_its_rank_and_at_most_its_bucket_more(
        mut list in durations(1..200), percent in 0_usize..=100,
    ) {
        let histogram = recorded(&list);
        list.sort();
        let rank = (percent * list.len()).div_ceil(100).max(1);
        let exact = list[rank - 1];
        let found = histogram.percentile(percent as f64).expect("something was recorded");
        let longest = list[list.len() - 1];
        prop_assert!(found <= longest);
        if exact <= RANGE {
            prop_assert!(bounds(found, exact), "{:?} for {:?}", found, exact);
        } else {
            prop_assert_eq!(found, longest);
        }
    }

    #[test]
    fn a_higher_percentile_is_not_shorter(
        list in durations(1..50), one in 0.0..=100.0, other in 0.0..=100.0,
    ) {
        let histogram = recorded(&list);
        let (low, high) = if one < other { (one, other) } else { (other, one) };
        prop_assert!(histogram.percentile(low) <= histogram.percentile(high));
    }

    #[test]
    fn merged_histograms_are_as_if_all_had_been_recorded_in_one(
        left in durations(0..100), right in durations(0..100),
    ) {
        let mut merged = recorded(&left);
        merged.merge(&recorded(&right));
        prop_assert_eq!(merged, recorded(&[left, right].concat()));
    }
}

#[test]
fn an_empty_histogram_tells_nothing() {
    let mut empty = Histogram::new();
    assert_eq!((empty.count(), empty.sum()), (0, Duration::ZERO));
    assert_eq!((empty.mean(), empty.min(), empty.max()), (None, None, None));
    assert_eq!(empty.percentile(50.0), None);
    assert!(empty.buckets().all(|(_, count)| count == 0));
    empty.merge(&Histogram::default());
    assert_eq!(empty, Histogram::new());
}

#[test]
fn what_is_no_percentage_has_no_percentile() {
    let histogram = recorded(&[MICRO]);
    for percent in [-0.1, 100.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(histogram.percentile(percent), None, "{percent}");
    }
    for percent in [-0.0, 0.0, f64::MIN_POSITIVE, 99.999, 100.0] {
        assert_eq!(histogram.percentile(percent), Some(MICRO), "{percent}");
    }
}

#[test]
fn the_lowest_percentile_is_the_bound_of_the_shortest() {
    let histogram = recorded(&[MICRO * 9, MICRO * 50]);
    assert_eq!(histogram.percentile(0.0), Some(MICRO * 10));
    assert_eq!(histogram.percentile(50.1), Some(MICRO * 50), "not above the longest");
}

#[test]
fn a_share_of_a_percent_is_not_rounded_up_to_the_next_record() {
    let list: Vec<Duration> = (1..=1_000).map(|millis| RANGE * (millis / 1_000) + MICRO).collect();
    assert_eq!(recorded(&list).percentile(99.9), Some(MICRO));
    assert_eq!(recorded(&list).percentile(99.91), Some(RANGE + MICRO));
}

#[test]
fn counts_and_sums_stop_at_their_end() {
    let mut doubled = recorded(&[Duration::MAX, MICRO]);
    assert_eq!(doubled.sum(), Duration::from_nanos(u64::MAX));
    assert_eq!(doubled.max(), Some(Duration::from_nanos(u64::MAX)));
    for _ in 0..64 {
        let same = doubled.clone();
        doubled.merge(&same);
    }
    doubled.record(MICRO);
    assert_eq!(doubled.count(), u64::MAX);
    assert_eq!(doubled.buckets().next(), Some((MICRO, (1 << 63) + 1)));
    assert_eq!(doubled.percentile(50.0), Some(MICRO));
}

#[test]
fn its_debug_text_is_short() {
    let histogram = recorded(&[Duration::from_millis(1), Duration::from_millis(3)]);
    let text = format!("{histogram:?}");
    assert_eq!(text, "Histogram { count: 2, mean: 2ms, p50: 1.024ms, p99: 3ms, max: 3ms }");
    assert_eq!(format!("{:?}", Histogram::new()), "Histogram { count: 0 }");
}
