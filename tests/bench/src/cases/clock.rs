//! One reading of the clock.

use std::hint::black_box;
use std::time::Instant;

use edgepool::{Clock as _, StdClock};

use super::*;
use crate::harness::Timed;
use crate::output::About;

const HEAD: Head = nanoseconds(
    "clock",
    "one reading of the clock",
    "What an operation pays each time that it asks what time it is.",
);

const INSTANT: About = About {
    id: "instant",
    name: "Instant::now()",
    package: None,
    settings: "the monotonic clock of the standard library",
};

const STD_CLOCK: About = About {
    id: "std-clock",
    name: "edgepool's StdClock",
    package: None,
    settings: "the same, counted from an origin in nanoseconds",
};

pub(super) fn group() -> Group {
    let instant = Entry::of(INSTANT, vec![Box::new(|times| repeat(times, Instant::now))]);
    let std_clock = Entry::of(STD_CLOCK, vec![Box::new(|times| repeat(times, || StdClock.now()))]);
    super::group(HEAD, vec![instant, std_clock])
}

fn repeat<T>(times: u64, read: impl Fn() -> T) -> Timed {
    let start = Instant::now();
    for _ in 0..times {
        black_box(read());
    }
    Timed { operations: times, elapsed: start.elapsed() }
}
