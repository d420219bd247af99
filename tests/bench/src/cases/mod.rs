//! What is measured.

mod cancel;
mod clock;
mod create;
mod crowd;
mod hand_off;
mod hog;
mod tenants;
mod warm;

use crate::contenders::{
    Asyncband, Bb8, Bound, Deadpool, DeadpoolUnmanaged, Edgepool, EdgepoolDefaults, EdgepoolTimed,
    Fastpool, Mobc, NoPool, TokioSemaphore,
};
use crate::harness::{Entry, Group};
use crate::output::Head;

/// The connections of the pools that are not about a single one.
const CONNECTIONS: usize = 8;

/// A group of cases: what the names of its cases begin with, and what makes it.
pub type Case = (&'static str, fn() -> Group);

/// Every case that measures time, in the order of the report.
pub const TIMES: [Case; 9] = [
    ("warm", warm::group),
    ("crowd-1", crowd::on_one_thread),
    ("crowd-2", crowd::on_two_threads),
    ("hand-off", hand_off::group),
    ("cancel", cancel::group),
    ("hog", hog::group),
    ("create-take", create::group),
    ("tenants", tenants::group),
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
