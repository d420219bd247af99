//! Random work on a pool, by its statistics; and the cases that are drawn from it.

mod draw;

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::{Case, Defects, Failure, Faults, Odds, PoolOptions, Report, Rng, Trace};

/// What happens to a pool, by its odds: its options, its callers, and what goes wrong.
///
/// [`from_seed`](Self::from_seed) draws all of it; each field can then be set. From a workload and a
/// seed comes a [`Case`], in which everything is settled. The same workload with the same seed gives
/// the same [`Report`], on every platform.
///
/// See [`Case::check`] for what is checked.
///
/// # Examples
/// ```
/// use edgepool_sim::{Arrivals, Habits, PoolOptions, Workload};
/// use std::time::Duration;
///
/// let workload = Workload {
///     callers: 50,
///     arrivals: Arrivals::Random(Duration::from_millis(10)),
///     habits: Habits { discard: 200, ..Habits::default() },
///     ..Workload::from_seed(1)
/// };
/// let report = workload.run(1);
/// assert_eq!(report, workload.run(1));
/// assert_eq!(report, workload.case(1).run());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The pool's options.
    pub pool: PoolOptions,
    /// How many callers there are.
    pub callers: u32,
    /// When they come.
    pub arrivals: Arrivals,
    /// How often each of them wants a connection.
    pub rounds: u32,
    /// How long a caller pauses between two rounds.
    pub pause: RangeInclusive<Duration>,
    /// How long a caller holds what it has got.
    pub hold: RangeInclusive<Duration>,
    /// How long an impatient caller waits before it drops the wait, or leaves it unpolled; and the
    /// time-outs that callers set themselves.
    pub patience: RangeInclusive<Duration>,
    /// What callers do, each in so many of 1,000 rounds.
    pub habits: Habits,
    /// How creations go.
    pub creations: Odds,
    /// How checks go.
    pub checks: Odds,
    /// How resets go.
    pub resets: Odds,
    /// How connections are closed.
    pub closings: Odds,
    /// When connections turn bad.
    pub defects: Defects,
    /// How many hooks panic.
    pub hook_panics: u32,
    /// Whether the factory uses the pool whenever it is called.
    pub reentrant_calls: bool,
    /// What the executor does to the callers.
    pub faults: Faults,
    /// How often an operator does something.
    pub operations: u32,
    /// How often the clock is stepped, frozen, thawed, or changes its pace.
    pub clock_faults: u32,
    /// Within what time from the start operators act and the clock goes wrong.
    pub within: Duration,
    /// When the pool is closed under its callers; `None` lets it open until they are done.
    pub close_after: Option<Duration>,
    /// After how many of 1,000 steps the pool is asked how it stands; see [`Case::look`].
    pub look: u32,
    /// Whether a task drives the pool's jobs.
    pub driver: bool,
    /// Whether callers give broken connections back.
    pub careless: bool,
}

/// When callers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Arrivals {
    /// All at the start; each pauses as between two rounds.
    Together,
    /// One after each such time.
    Every(Duration),
    /// One after the other, at random: with so long between two of them on average, and many short
    /// times among few long ones, as calls come in that know nothing of each other.
    Random(Duration),
    /// So many at once, after each such time.
    Bursts {
        /// How many.
        of: u32,
        /// How long from one burst to the next.
        every: Duration,
    },
}

/// What callers do, each in so many of 1,000 rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Habits {
    /// Tries, and does not wait.
    pub try_acquire: u32,
    /// Wants several at once.
    pub many: u32,
    /// Has a class other than normal.
    pub priority: u32,
    /// Sets a time-out of its own.
    pub timeout: u32,
    /// Drops the wait when its patience is over.
    pub give_up: u32,
    /// Waits, and does not look at the wait for as long as its patience, offers or not.
    pub look_away: u32,
    /// Leaks the wait.
    pub leak: u32,
    /// Leaves the wait to its waker.
    pub orphan: u32,
    /// Has a waker that uses the pool.
    pub reentrant_waker: u32,
    /// Has a waker that panics.
    pub panicking_waker: u32,
    /// Is dropped instead of one of its first polls.
    pub dropped: u32,
    /// Releases explicitly, and waits for the reset.
    pub release: u32,
    /// Gives a lease back as damaged.
    pub discard: u32,
    /// Takes the connection out of the pool.
    pub take: u32,
}

impl Workload {
    /// A workload of so many callers, who come together and once, where nothing goes wrong.
    #[must_use]
    pub fn calm(callers: u32) -> Self {
        let none = Duration::ZERO..=Duration::ZERO;
        Self {
            pool: PoolOptions::default(),
            callers,
            arrivals: Arrivals::Together,
            rounds: 1,
            pause: none.clone(),
            hold: none.clone(),
            patience: none,
            habits: Habits::default(),
            creations: Odds::NONE,
            checks: Odds::NONE,
            resets: Odds::NONE,
            closings: Odds::NONE,
            defects: Defects::NONE,
            hook_panics: 0,
            reentrant_calls: false,
            faults: Faults::default(),
            operations: 0,
            clock_faults: 0,
            within: Duration::ZERO,
            close_after: None,
            look: 1_000,
            driver: false,
            careless: false,
        }
    }

    /// Draws a workload. Nothing in it panics on purpose, as a panic ends a wasm module; see
    /// [`with_panics`](Self::with_panics).
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        draw::workload(&mut Rng::new(seed).fork())
    }

    /// Lets jobs, hooks, wakers and predicates panic too.
    #[must_use]
    pub fn with_panics(mut self) -> Self {
        for odds in [&mut self.creations, &mut self.checks, &mut self.resets, &mut self.closings] {
            odds.panic = 150;
        }
        self.hook_panics = 4;
        self.habits.panicking_waker = 100;
        self
    }

    /// Draws a case.
    #[must_use]
    pub fn case(&self, seed: u64) -> Case {
        draw::case(self, seed)
    }

    /// Runs the case of `seed`.
    ///
    /// # Panics
    /// If anything that is checked does not hold (see [`Case::check`]): with the seed, the command
    /// that replays it if this is the workload that [`from_seed`](Self::from_seed) draws for it, and
    /// a smaller case that fails in the same way, as Rust code and with its trace.
    pub fn run(&self, seed: u64) -> Report {
        self.case(seed).check().unwrap_or_else(|failure| panic!("{}", self.report(seed, &failure)))
    }

    /// Runs the case of `seed` and keeps its trace, to be read.
    ///
    /// # Errors
    /// What does not hold, not made smaller yet.
    pub fn run_traced(&self, seed: u64) -> Result<(Report, Trace), Box<Failure>> {
        self.case(seed).check_traced(Trace::with_log())
    }

    fn report(&self, seed: u64, failure: &Failure) -> String {
        let small = failure.shrink(2_000);
        let command = self
            .command(seed)
            .map_or_else(String::new, |command| format!("replay it with: {command}\n"));
        format!("seed {seed} fails: {}\n{command}{small}", failure.what())
    }

    /// The command that runs the same case, if it is one that the seed alone says.
    fn command(&self, seed: u64) -> Option<String> {
        let drawn = Self::from_seed(seed);
        let panics = if *self == drawn {
            ""
        } else if *self == drawn.with_panics() {
            " --panics"
        } else {
            return None;
        };
        Some(format!("{TRACE} --replay {seed}{panics}"))
    }
}

/// The command that the example `trace` is run with.
pub(crate) const TRACE: &str = "cargo run -q --release -p edgepool-sim --example trace --";

/// Runs the workload of `seed`; see [`Case::check`] for what is checked.
///
/// # Panics
/// As [`Workload::run`] does.
pub fn run_seed(seed: u64) -> Report {
    Workload::from_seed(seed).run(seed)
}

/// Runs the workloads of `count` seeds from `from` on, and returns one hash over all their traces.
///
/// # Panics
/// As [`run_seed`] does.
#[must_use]
pub fn combined_hash(from: u64, count: u64) -> u64 {
    let mut trace = Trace::new();
    for seed in from..from.saturating_add(count) {
        trace.combine(run_seed(seed).hash);
    }
    trace.hash()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_only_if_it_runs_the_same_case() {
        let drawn = Workload::from_seed(7);
        let told = |workload: &Workload| workload.command(7);
        assert_eq!(told(&drawn), Some(format!("{TRACE} --replay 7")));
        assert_eq!(
            told(&drawn.clone().with_panics()),
            Some(format!("{TRACE} --replay 7 --panics"))
        );
        assert_eq!(told(&Workload { rounds: drawn.rounds + 1, ..drawn }), None);
    }
}
