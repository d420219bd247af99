//! Random work on a real pool, with faults, checked after every step.

mod caller;
mod run;

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::{Faults, Odds, Rng};

pub use run::Report;

/// What happens to one pool in one run: its options, its callers, and what goes wrong.
///
/// [`from_seed`](Self::from_seed) draws all of it; each field can then be set. The same workload
/// with the same seed gives the same [`Report`], on every platform.
///
/// # What is checked
///
/// After every step: the invariants of the pool's ledger ([`Pool::check`](edgepool::Pool::check)).
///
/// After some ([`look`](Self::look)): that the pool counts exactly the leases that callers hold; that
/// exactly the connections exist that are idle, offered, in use or taken out; and that with
/// the creations under way they are no more than `max`.
///
/// Of every outcome: that no caller times out before its time, and that no connection is lent after
/// it was discarded or taken. When every task sleeps: that no creation stands still beside a caller
/// that waits.
///
/// At the end, without faults: every caller ends; nobody waits and nothing is in use; all `max`
/// places can be had at once; and after the pool has closed, no connection, creation or alarm is
/// left.
///
/// # Examples
/// ```
/// use edgepool_sim::Workload;
///
/// let workload = Workload { callers: 50, max: 2, ..Workload::from_seed(1) };
/// let report = workload.run(1);
/// assert_eq!(report, workload.run(1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The pool's `max`.
    pub max: u32,
    /// The pool's `max_waiting`.
    pub max_waiting: u32,
    /// The pool's `acquire_timeout`.
    pub acquire_timeout: Option<Duration>,
    /// The pool's `create_timeout`. A workload in which creations hang needs one to end.
    pub create_timeout: Option<Duration>,
    /// How many callers there are.
    pub callers: u32,
    /// How often each of them wants a connection.
    pub rounds: u32,
    /// How long a caller pauses between two rounds.
    pub pause: RangeInclusive<Duration>,
    /// How long a caller holds what it has got.
    pub hold: RangeInclusive<Duration>,
    /// How long an impatient caller waits before it drops the wait, or leaves it unpolled.
    pub patience: RangeInclusive<Duration>,
    /// What callers do, each in so many of 1,000 rounds.
    pub habits: Habits,
    /// How creations go.
    pub odds: Odds,
    /// What the executor does to the callers.
    pub faults: Faults,
    /// In how many of 1,000 steps the clock is stepped, frozen or thawed.
    pub clock_faults: u32,
    /// The farthest that the clock is stepped, back or forward.
    pub clock_step: Duration,
    /// After how many of 1,000 steps the pool is asked how it stands. As any operation this settles
    /// what is overdue, so a pool that is seldom asked must do without.
    pub look: u32,
    /// When the pool is closed under its callers; `None` lets it open until they are done.
    pub close_after: Option<Duration>,
}

/// What callers do, each in so many of 1,000 rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Habits {
    /// Tries, and does not wait.
    pub try_acquire: u32,
    /// Drops the wait when its patience is over.
    pub give_up: u32,
    /// Waits, and does not look at the wait for as long as its patience, offers or not.
    pub look_away: u32,
    /// Gives a lease back as damaged.
    pub discard: u32,
    /// Takes the connection out of the pool.
    pub take: u32,
}

const fn millis(from: u64, to: u64) -> RangeInclusive<Duration> {
    Duration::from_millis(from)..=Duration::from_millis(to)
}

impl Workload {
    /// Draws a workload. Nothing in it panics on purpose, as a panic ends a wasm module; set
    /// [`Odds::panic`] for that.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed).fork();
        let callers = rng.within(2..=12) as u32;
        let odds = Odds {
            latency: Duration::ZERO..=rng.duration(millis(0, 50)),
            fail: rng.below(200) as u32,
            hang: rng.below(60) as u32,
            panic: 0,
        };
        Self {
            max: rng.within(1..=4) as u32,
            max_waiting: rng.below(u64::from(callers)) as u32,
            acquire_timeout: one_of(&mut rng, 800, millis(0, 300)),
            create_timeout: Some(rng.duration(millis(1, 80))),
            callers,
            rounds: rng.within(2..=12) as u32,
            pause: Duration::ZERO..=rng.duration(millis(0, 200)),
            hold: Duration::ZERO..=rng.duration(millis(0, 100)),
            patience: Duration::ZERO..=rng.duration(millis(0, 100)),
            habits: Habits {
                try_acquire: rng.below(200) as u32,
                give_up: rng.below(400) as u32,
                look_away: rng.below(200) as u32,
                discard: rng.below(200) as u32,
                take: rng.below(100) as u32,
            },
            odds,
            faults: Faults {
                spurious_poll: rng.below(100) as u32,
                late_poll: rng.below(200) as u32,
                late_by: rng.duration(millis(0, 20)),
                cancel: rng.below(60) as u32,
            },
            clock_faults: if rng.chance(500) { rng.below(20) as u32 } else { 0 },
            look: [1000, 100, 0][rng.index(3)],
            clock_step: rng.duration(millis(1, 2_000)),
            close_after: one_of(&mut rng, 300, millis(0, 1_000)),
        }
    }
}

fn one_of(rng: &mut Rng, per_mille: u32, range: RangeInclusive<Duration>) -> Option<Duration> {
    let drawn = rng.duration(range);
    rng.chance(per_mille).then_some(drawn)
}

/// Runs the workload of `seed`; see [`Workload`] for what is checked.
///
/// # Panics
/// If anything that is checked does not hold, naming the seed and the command that replays it.
pub fn run_seed(seed: u64) -> Report {
    Workload::from_seed(seed).run(seed)
}

/// Runs the workloads of `count` seeds from `from` on, and returns one hash over all their traces.
///
/// # Panics
/// As [`run_seed`] does.
#[must_use]
pub fn combined_hash(from: u64, count: u64) -> u64 {
    let mut trace = crate::Trace::new();
    for seed in from..from.saturating_add(count) {
        trace.combine(run_seed(seed).hash);
    }
    trace.hash()
}
