//! One run of a pool, as data: every caller, every act, and all that goes wrong.

mod part;

use std::fmt;
use std::time::Duration;

use edgepool::ledger::{Backoff, Priority, Reuse, Share};

use crate::{Closing, Creation, Defect, Faults, Hook, Trial, shrink};
use part::Part;

/// All that happens to one pool in one run.
///
/// A [`Workload`](crate::Workload) draws cases; one that fails is [shrunk](crate::Failure::shrink)
/// and written as Rust code, to be kept as a test. The same case gives the same
/// [`Report`](crate::Report), on every platform. The default is a pool of one connection with
/// nothing to do, without faults.
///
/// # Examples
/// ```
/// use edgepool_sim::{Act, Action, Caller, Case, PoolOptions, Round};
/// use std::time::Duration;
///
/// let hold = Round { hold: Duration::from_millis(5), ..Round::default() };
/// let case = Case {
///     pool: PoolOptions { max: 2, ..PoolOptions::default() },
///     callers: vec![Caller::of(hold.clone()), Caller::of(hold.clone()), Caller::of(hold)],
///     acts: vec![Act { at: Duration::from_millis(2), action: Action::Resize(1) }],
///     ..Case::default()
/// };
/// let report = case.run();
/// assert_eq!((report.served, report.sim_time), (3, case.run().sim_time));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What the executor's choices are drawn from, and the pool's.
    pub seed: u64,
    /// What the clock tells at the start.
    pub start: Duration,
    /// The pool's options.
    pub pool: PoolOptions,
    /// The callers, who all come at the start, and [pause](Round::pause) first.
    pub callers: Vec<Caller>,
    /// What operators and the clock do.
    pub acts: Vec<Act>,
    /// How the factory's jobs go.
    pub luck: Luck,
    /// What the executor does to the callers.
    pub faults: Faults,
    /// For how many steps things go wrong, before it is seen whether all comes to a good end.
    pub faulty_steps: u32,
    /// Whether a task drives the pool's jobs from the start, beside the callers.
    pub driver: bool,
    /// Whether callers give broken connections back as if they were good, for a check to find.
    pub careless: bool,
    /// After how many of 1,000 steps the pool is asked how it stands. As any operation this settles
    /// what is overdue, so a pool that is seldom asked must do without.
    pub look: u32,
    /// How the pool ends, once it was seen whether it works.
    pub ending: Ending,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            seed: 0,
            start: Duration::ZERO,
            pool: PoolOptions::default(),
            callers: Vec::new(),
            acts: Vec::new(),
            luck: Luck::default(),
            faults: Faults::default(),
            faulty_steps: 2_000,
            driver: false,
            careless: false,
            look: 1_000,
            ending: Ending::Close,
        }
    }
}

/// The options of the pool of a [`Case`]; at first all are off, and `max` is 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// The most connections.
    pub max: u32,
    /// How many are kept ready.
    pub min_idle: u32,
    /// How many callers may be queued.
    pub max_waiting: u32,
    /// How long a caller waits that does not say.
    pub acquire_timeout: Option<Duration>,
    /// How long a creation may take.
    pub create_timeout: Option<Duration>,
    /// How long a check may take.
    pub check_timeout: Option<Duration>,
    /// How long a reset may take.
    pub reset_timeout: Option<Duration>,
    /// How long a closing may take.
    pub close_timeout: Option<Duration>,
    /// How long an offer stands.
    pub offer_timeout: Option<Duration>,
    /// How long a connection is kept idle.
    pub idle_timeout: Option<Duration>,
    /// How long a connection lives.
    pub max_lifetime: Option<Duration>,
    /// How many percent earlier it may be retired.
    pub lifetime_jitter: u8,
    /// How often a connection is lent.
    pub max_uses: Option<u64>,
    /// After how long without use a connection is checked before it is lent; zero: always.
    pub check_after: Option<Duration>,
    /// After how long without use an idle connection is checked.
    pub check_interval: Option<Duration>,
    /// How many of these checks there are at once.
    pub max_checks: u32,
    /// The order in which idle connections are lent.
    pub reuse: Reuse,
    /// How creations wait after failures.
    pub backoff: Option<Backoff>,
    /// After how many failures in a row callers are refused.
    pub breaker: Option<u32>,
    /// The wait that counts as much as one class of priority.
    pub ageing: Option<Duration>,
    /// When a lease counts as held for long.
    pub long_hold: Option<Duration>,
    /// Whether times of waits and holds are kept.
    pub times: bool,
    /// Who shares the pool.
    pub tenants: Vec<Share>,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            max: 1,
            min_idle: 0,
            max_waiting: 1_000,
            acquire_timeout: None,
            create_timeout: None,
            check_timeout: None,
            reset_timeout: None,
            close_timeout: None,
            offer_timeout: None,
            idle_timeout: None,
            max_lifetime: None,
            lifetime_jitter: 0,
            max_uses: None,
            check_after: None,
            check_interval: None,
            max_checks: 1,
            reuse: Reuse::Lifo,
            backoff: None,
            breaker: None,
            ageing: None,
            long_hold: None,
            times: false,
            tenants: Vec::new(),
        }
    }
}

/// A caller: its rounds, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// What it does.
    pub rounds: Vec<Round>,
    /// Which of the pool's tenants it belongs to, from 1 on; to none, if there are not so many.
    pub tenant: u32,
    /// Whether [`Faults::cancel`] may end it.
    pub cancellable: bool,
}

impl Caller {
    /// A caller of one round.
    #[must_use]
    pub fn of(round: Round) -> Self {
        Self { rounds: vec![round], ..Self::default() }
    }
}

/// One round of a caller: it pauses, wants a connection, holds it, and parts with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// How long it pauses before.
    pub pause: Duration,
    /// How it asks.
    pub ask: Ask,
    /// How long it lets the pool keep it waiting; `None` is as long as the pool's options say.
    pub timeout: Option<Duration>,
    /// Its class.
    pub priority: Priority,
    /// How it waits.
    pub wait: Wait,
    /// What its waker does.
    pub waking: Waking,
    /// How long it holds what it has got.
    pub hold: Duration,
    /// How it parts with it.
    pub parting: Parting,
    /// It is dropped instead of its so manieth poll from the asking on, the first being 0, wherever
    /// it is by then.
    pub dropped_at: Option<u32>,
}

/// How a caller asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ask {
    /// With `acquire`.
    #[default]
    Acquire,
    /// With `try_acquire`.
    Try,
    /// With `acquire_many`, for so many.
    Many(u16),
}

/// How a caller waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// Until it has an outcome.
    #[default]
    Patient,
    /// For so long, and then drops the wait.
    GiveUp(Duration),
    /// It polls the wait once, not again for so long, and then until it has an outcome.
    LookAway(Duration),
    /// It polls the wait once and leaks it. Without a time-out it is patient instead, as such a
    /// wait would never end.
    Leak,
    /// It polls the wait once and leaves it to its waker ([`poll_orphan`](crate::poll_orphan)).
    Orphan,
}

/// What the waker of a caller does, besides waking it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Waking {
    /// Nothing.
    #[default]
    Plain,
    /// It uses the pool.
    Reentrant,
    /// It panics.
    Panics,
}

/// How a caller parts with a lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Parting {
    /// It drops the lease.
    #[default]
    Drop,
    /// It releases the lease, and waits for the reset.
    Release,
    /// It discards the connection.
    Discard,
    /// It takes the connection out of the pool.
    Take,
}

/// Something that an operator or the clock does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Act {
    /// How long after the start.
    pub at: Duration,
    /// What.
    pub action: Action,
}

/// What an operator or the clock does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Asks the pool how it stands.
    #[default]
    Stats,
    /// Lets the pool do what is due.
    Tick,
    /// Changes `max`.
    Resize(u32),
    /// Changes `min_idle`.
    SetMinIdle(u32),
    /// Pauses the pool.
    Pause,
    /// Resumes it.
    Resume,
    /// Looks at the idle connections, and keeps all but one in so many.
    Retain(u64),
    /// Looks at the idle connections, and panics.
    RetainPanics,
    /// Invalidates all connections that there are.
    InvalidateAll,
    /// Warms the pool up with so many.
    WarmUp(u32),
    /// Changes the share of a tenant, numbered from 1.
    SetShare((u32, Share)),
    /// Ends the waits of a tenant.
    EndWaits(u32),
    /// Lets go of a tenant, and opens it anew.
    Reopen(u32),
    /// The clock steps back.
    StepBack(Duration),
    /// The clock steps forward.
    StepForward(Duration),
    /// The clock runs at so many thousandths of its pace.
    Rate(u32),
    /// The clock stands still.
    Freeze,
    /// The clock goes on, at its pace.
    Thaw,
    /// Closes the pool.
    Close,
}

/// How the factory's jobs go: as planned here, one after the other, and well after that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Luck {
    /// How creations go.
    pub creations: Vec<Creation>,
    /// How checks go.
    pub checks: Vec<Trial>,
    /// How resets go.
    pub resets: Vec<Trial>,
    /// How connections are closed.
    pub closings: Vec<Closing>,
    /// When connections turn bad.
    pub defects: Vec<Defect>,
    /// Which hooks panic, after how many calls that go well.
    pub hook_panics: Vec<(Hook, u32)>,
    /// Whether the factory uses the pool whenever it is called.
    pub reentrant_calls: bool,
}

/// How the pool of a [`Case`] ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// It is closed, and then drained.
    #[default]
    Close,
    /// It is drained.
    Drain,
    /// Its last handle is dropped.
    DropPool,
}

impl Case {
    /// Returns simpler cases, the boldest first. Those that could not end are left out.
    #[must_use]
    pub fn simpler(&self) -> Vec<Self> {
        (0..Self::PARTS).flat_map(|part| self.simpler_cases(part)).collect()
    }

    fn simpler_cases(&self, part: usize) -> Vec<Self> {
        let mut cases = self.simpler_in(part);
        cases.retain(Self::can_end);
        cases
    }

    /// Makes a case that fails simpler as long as it still does, in at most `tries` tries: one part
    /// after the other, and again from the first as long as that changes something.
    pub(crate) fn shrink(self, tries: u32, mut fails: impl FnMut(Self) -> Option<Self>) -> Self {
        let (mut smallest, mut tried) = (self, 0);
        loop {
            let before = smallest.clone();
            for part in 0..Self::PARTS {
                let left = tries.saturating_sub(tried);
                let count = |case| {
                    tried += 1;
                    fails(case)
                };
                smallest = shrink(smallest, left, |case| case.simpler_cases(part), count);
            }
            if smallest == before || tried >= tries {
                return smallest;
            }
        }
    }

    /// Tells whether nothing in it must last for ever: what hangs has a time-out.
    #[must_use]
    pub fn can_end(&self) -> bool {
        let Self { luck, pool, .. } = self;
        let creations = luck.creations.contains(&Creation::Hang) && pool.create_timeout.is_none();
        let checks = luck.checks.contains(&Trial::Hang) && pool.check_timeout.is_none();
        let resets = luck.resets.contains(&Trial::Hang) && pool.reset_timeout.is_none();
        let closings = luck.closings.contains(&Closing::Hang) && pool.close_timeout.is_none();
        !(creations || checks || resets || closings)
    }
}

/// Writes it as Rust code, without what is as in [`Case::default`].
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code())
    }
}

impl Default for Creation {
    /// It connects at once.
    fn default() -> Self {
        Self::Connect(Duration::ZERO)
    }
}

impl Default for Trial {
    /// It passes at once.
    fn default() -> Self {
        Self::PassAtOnce
    }
}

impl Default for Closing {
    /// It is closed at once.
    fn default() -> Self {
        Self::AtOnce
    }
}

impl Default for Defect {
    /// Never.
    fn default() -> Self {
        Self::None
    }
}

impl Default for Hook {
    /// The one that is called first.
    fn default() -> Self {
        Self::AfterCreate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn example() -> Case {
        Case {
            pool: PoolOptions { max: 3, max_uses: Some(2), ..PoolOptions::default() },
            callers: vec![
                Caller::of(Round { hold: ms(7), wait: Wait::GiveUp(ms(9)), ..Round::default() }),
                Caller::default(),
            ],
            acts: vec![Act { at: ms(1), action: Action::Resize(2) }],
            luck: Luck { creations: vec![Creation::Hang], ..Luck::default() },
            ..Case::default()
        }
    }

    #[test]
    fn what_is_plain_has_nothing_simpler() {
        assert_eq!(Case::default().simpler(), []);
        assert_eq!(Case::default().to_string(), "Case::default()");
    }

    #[test]
    fn a_case_is_written_as_code() {
        let code = "Case {
    callers: vec![
        Caller {
            rounds: vec![
                Round {
                    wait: Wait::GiveUp(Duration::from_millis(9)),
                    hold: Duration::from_millis(7),
                    ..Round::default()
                },
            ],
            ..Caller::default()
        },
        Caller::default(),
    ],
    acts: vec![
        Act { at: Duration::from_millis(1), action: Action::Resize(2) },
    ],
    luck: Luck { creations: vec![Creation::Hang], ..Luck::default() },
    pool: PoolOptions { max: 3, max_uses: Some(2), ..PoolOptions::default() },
    ..Case::default()
}";
        assert_eq!(example().to_string(), code);
    }

    #[test]
    fn a_case_that_could_not_end_is_not_simpler() {
        let mut case = example();
        assert!(!case.can_end());
        case.pool.create_timeout = Some(ms(50));
        assert!(case.can_end());
        assert!(case.simpler().iter().all(Case::can_end));
        assert!(case.simpler().iter().all(|simpler| *simpler != case));
    }

    #[test]
    fn getting_simpler_comes_to_an_end() {
        let mut case = example();
        case.luck.creations.clear();
        let mut steps = 0;
        while let Some(simpler) = case.simpler().pop() {
            (case, steps) = (simpler, steps + 1);
            assert!(steps < 10_000);
        }
        assert_eq!(case, Case::default());
    }
}
