//! What is measured.

mod cancel;
mod clock;
mod create;
mod crowd;
mod fair;
mod hand_off;
mod hog;
mod strategies;
mod tenants;
mod warm;

use crate::contenders::{
    Asyncband, Bb8, Bound, Deadpool, DeadpoolUnmanaged, Edgepool, EdgepoolDefaults, EdgepoolTimed,
    Fastpool, Mobc, NoPool, TokioSemaphore,
};
use crate::harness::{Entry, Group};
use crate::output::{About, Head};

/// The connections of the pools that are not about a single one.
const CONNECTIONS: usize = 8;

/// A group of cases: what the names of its cases begin with, and what makes it.
pub type Case = (&'static str, fn() -> Group);

/// Every case that measures time, in the order of the report.
pub const TIMES: [Case; 11] = [
    ("warm", warm::group),
    ("crowd-1", crowd::on_one_thread),
    ("crowd-2", crowd::on_two_threads),
    ("hand-off", hand_off::group),
    ("cancel", cancel::group),
    ("hog", hog::group),
    ("create-take", create::group),
    ("tenants", tenants::group),
    ("strategies", strategies::group),
    ("fair", fair::group),
    ("clock", clock::group),
];

/// Calls a generic function for every pool that can wait, after those that are named first.
macro_rules! each_pool {
    ($entry:ident $arguments:tt $(, $first:ty)*) => {
        vec![
            $($entry::<$first> $arguments,)*
            $entry::<Edgepool> $arguments,
            $entry::<EdgepoolTimed> $arguments,
            $entry::<EdgepoolDefaults> $arguments,
            $entry::<TokioSemaphore> $arguments,
            $entry::<DeadpoolUnmanaged> $arguments,
            $entry::<Deadpool> $arguments,
            $entry::<Asyncband> $arguments,
            $entry::<Fastpool> $arguments,
            $entry::<Bb8> $arguments,
            $entry::<Mobc> $arguments,
        ]
    };
}
pub(crate) use each_pool;

const fn nanoseconds(id: &'static str, title: &'static str, about: &'static str) -> Head {
    Head { id, title, unit: "ns", about }
}

fn group(head: Head, entries: Vec<Entry>) -> Group {
    Group { heads: vec![head], entries, sliced: true }
}

/// Returns the nearest rank of sorted values; 0 if nobody waited.
fn percentile(sorted: &[u64], part: f64) -> f64 {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).map_or(0.0, |&nanos| nanos as f64)
}

/// A stream of numbers from 0 on, below `count`; Marsaglia's xorshift.
fn draws(count: usize) -> impl FnMut() -> usize {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((u128::from(state) * count as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let sorted: Vec<u64> = (1..=1_000).collect();
        assert_eq!((percentile(&sorted, 0.5), percentile(&sorted, 0.999)), (500.0, 999.0));
        assert_eq!((percentile(&[7], 0.5), percentile(&[], 0.999)), (7.0, 0.0));
    }
}
