//! How jobs go: planned one by one, or as the odds have it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::Rng;

/// How one creation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Creation {
    /// It gives a connection after so long.
    Connect(Duration),
    /// It fails after so long.
    Fail(Duration),
    /// It never ends.
    Hang,
    /// It panics when it is polled after so long.
    Panic(Duration),
    /// The call that starts it panics.
    PanicAtStart,
}

/// How one check or reset goes. A check of a connection that is [broken](crate::SimConnection)
/// fails where it would have passed; a reset does not look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trial {
    /// It passes within the call that begins it.
    PassAtOnce,
    /// It fails within the call that begins it.
    FailAtOnce,
    /// It is a future that passes after so long.
    Pass(Duration),
    /// It is a future that fails after so long.
    Fail(Duration),
    /// It is a future that never ends.
    Hang,
    /// It is a future that panics when it is polled after so long.
    Panic(Duration),
    /// The call that begins it panics.
    PanicAtStart,
}

/// How one connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closing {
    /// It is closed within the call that begins it.
    AtOnce,
    /// It is a future that ends after so long.
    After(Duration),
    /// It is a future that never ends.
    Hang,
    /// It is a future that panics when it is polled after so long.
    Panic(Duration),
    /// The call that begins it panics.
    PanicAtStart,
}

/// When a connection turns bad by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Defect {
    /// Never.
    None,
    /// With its so manieth [use](crate::SimConnection::use_once), the first being 1.
    AtUse(u64),
    /// So long after it was made, in use or not.
    After(Duration),
}

/// What of a factory is called in passing, and of a connection when it is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Hook {
    /// [`Factory::after_create`](edgepool::Factory::after_create).
    AfterCreate,
    /// [`Factory::before_acquire`](edgepool::Factory::before_acquire).
    BeforeAcquire,
    /// [`Factory::after_release`](edgepool::Factory::after_release).
    AfterRelease,
    /// [`Factory::before_close`](edgepool::Factory::before_close).
    BeforeClose,
    /// [`Factory::observe`](edgepool::Factory::observe).
    Observe,
    /// The `Drop` of a connection.
    Drop,
}

/// How jobs go when the seed decides: how long they take, and how many of 1,000 go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Odds {
    /// How long a job takes, whether it succeeds or fails. A check, reset or closing that takes no
    /// time is done within the call that begins it.
    pub latency: RangeInclusive<Duration>,
    /// How many of 1,000 checks, resets and closings take no time although the latency says
    /// otherwise. It means nothing for creations.
    pub at_once: u32,
    /// How many of 1,000 fail. It means nothing for closings.
    pub fail: u32,
    /// How many of the other 1,000 never end.
    pub hang: u32,
    /// How many of the then other 1,000 panic, half of them at the start.
    pub panic: u32,
}

impl Odds {
    /// Every job succeeds at once.
    pub const NONE: Self =
        Self { latency: Duration::ZERO..=Duration::ZERO, at_once: 0, fail: 0, hang: 0, panic: 0 };

    /// Draws how a creation goes.
    pub fn creation(&self, rng: &mut Rng) -> Creation {
        match self.draw(rng) {
            (Luck::Good, after) => Creation::Connect(after),
            (Luck::Fail, after) => Creation::Fail(after),
            (Luck::Hang, _) => Creation::Hang,
            (Luck::Panic, after) => Creation::Panic(after),
            (Luck::PanicAtStart, _) => Creation::PanicAtStart,
        }
    }

    /// Draws how a check or a reset goes.
    pub fn trial(&self, rng: &mut Rng) -> Trial {
        let at_once = rng.chance(self.at_once);
        match self.draw(rng) {
            (Luck::Good, after) if at_once || after.is_zero() => Trial::PassAtOnce,
            (Luck::Fail, after) if at_once || after.is_zero() => Trial::FailAtOnce,
            (Luck::Good, after) => Trial::Pass(after),
            (Luck::Fail, after) => Trial::Fail(after),
            (Luck::Hang, _) => Trial::Hang,
            (Luck::Panic, after) => Trial::Panic(after),
            (Luck::PanicAtStart, _) => Trial::PanicAtStart,
        }
    }

    /// Draws how a connection is closed.
    pub fn closing(&self, rng: &mut Rng) -> Closing {
        let at_once = rng.chance(self.at_once);
        match self.draw(rng) {
            (Luck::Good | Luck::Fail, after) if at_once || after.is_zero() => Closing::AtOnce,
            (Luck::Good | Luck::Fail, after) => Closing::After(after),
            (Luck::Hang, _) => Closing::Hang,
            (Luck::Panic, after) => Closing::Panic(after),
            (Luck::PanicAtStart, _) => Closing::PanicAtStart,
        }
    }

    fn draw(&self, rng: &mut Rng) -> (Luck, Duration) {
        let after = rng.duration(self.latency.clone());
        let luck = if rng.chance(self.fail) {
            Luck::Fail
        } else if rng.chance(self.hang) {
            Luck::Hang
        } else if rng.chance(self.panic) {
            if rng.chance(500) { Luck::Panic } else { Luck::PanicAtStart }
        } else {
            Luck::Good
        };
        (luck, after)
    }
}

enum Luck {
    Good,
    Fail,
    Hang,
    Panic,
    PanicAtStart,
}

/// How connections turn bad when the seed decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defects {
    /// How many of 1,000 connections turn bad at a use.
    pub at_use: u32,
    /// At which use they do.
    pub uses: RangeInclusive<u64>,
    /// How many of the other 1,000 turn bad after a time.
    pub after: u32,
    /// After which time they do.
    pub times: RangeInclusive<Duration>,
}

impl Defects {
    /// No connection turns bad by itself.
    pub const NONE: Self =
        Self { at_use: 0, uses: 1..=1, after: 0, times: Duration::ZERO..=Duration::ZERO };

    /// Draws whether and when a connection turns bad.
    pub fn draw(&self, rng: &mut Rng) -> Defect {
        let (at, after) = (rng.within(self.uses.clone()), rng.duration(self.times.clone()));
        if rng.chance(self.at_use) {
            Defect::AtUse(at)
        } else if rng.chance(self.after) {
            Defect::After(after)
        } else {
            Defect::None
        }
    }
}

/// What is planned, and the odds for what is not. Each kind of job has its own luck, so that more
/// of one kind does not change how another goes.
pub(super) struct Plans {
    pub(super) creations: Planned<Creation, Odds>,
    pub(super) checks: Planned<Trial, Odds>,
    pub(super) resets: Planned<Trial, Odds>,
    pub(super) closings: Planned<Closing, Odds>,
    pub(super) defects: Planned<Defect, Defects>,
    hooks: Planned<bool, u32>,
    /// How many of the next calls of each hook go well before one panics.
    hook_panics: BTreeMap<Hook, VecDeque<u32>>,
}

pub(super) struct Planned<T, O> {
    next: VecDeque<T>,
    pub(super) odds: O,
    rng: Rng,
}

impl<T, O> Planned<T, O> {
    const fn new(odds: O, rng: Rng) -> Self {
        Self { next: VecDeque::new(), odds, rng }
    }

    pub(super) fn plan(&mut self, plans: impl IntoIterator<Item = T>) {
        self.next.extend(plans);
    }

    pub(super) fn next(&mut self, draw: impl FnOnce(&O, &mut Rng) -> T) -> T {
        self.next.pop_front().unwrap_or_else(|| draw(&self.odds, &mut self.rng))
    }
}

impl Plans {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        Self {
            // The creations' luck is the seed's own: they were there before the others.
            creations: Planned::new(Odds::NONE, Rng::new(seed)),
            checks: Planned::new(Odds::NONE, rng.fork()),
            resets: Planned::new(Odds::NONE, rng.fork()),
            closings: Planned::new(Odds::NONE, rng.fork()),
            defects: Planned::new(Defects::NONE, rng.fork()),
            hooks: Planned::new(0, rng.fork()),
            hook_panics: BTreeMap::new(),
        }
    }

    /// Forgets all that is planned, and lets everything go well.
    pub(super) fn clear(&mut self) {
        let Self { creations, checks, resets, closings, defects, hooks, hook_panics } = self;
        (creations.next, creations.odds) = (VecDeque::new(), Odds::NONE);
        for trials in [checks, resets] {
            (trials.next, trials.odds) = (VecDeque::new(), Odds::NONE);
        }
        (closings.next, closings.odds) = (VecDeque::new(), Odds::NONE);
        (defects.next, defects.odds) = (VecDeque::new(), Defects::NONE);
        hooks.odds = 0;
        hook_panics.clear();
    }

    pub(super) fn plan_hook_panic(&mut self, hook: Hook, after: u32) {
        self.hook_panics.entry(hook).or_default().push_back(after);
    }

    pub(super) const fn set_hook_odds(&mut self, panic: u32) {
        self.hooks.odds = panic;
    }

    /// Tells whether this call of the hook panics.
    pub(super) fn hook_panics(&mut self, hook: Hook) -> bool {
        if let Some(after) = self.hook_panics.get_mut(&hook).and_then(VecDeque::front_mut) {
            if *after > 0 {
                *after -= 1;
                return false;
            }
            self.hook_panics.get_mut(&hook).and_then(VecDeque::pop_front);
            return true;
        }
        // Drawing costs time on the path of every lease, so it is left out where it cannot matter.
        self.hooks.odds > 0 && self.hooks.next(|panic, rng| rng.chance(*panic))
    }
}
