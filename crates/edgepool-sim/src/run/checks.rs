//! What must hold of a pool while it runs, seen from outside.

use std::time::Duration;

use edgepool::ledger::Gauges;
use edgepool::{Clock, Stats};

use super::Run;
use super::world::SimPool;
use crate::{Counts, panics};

/// What is seen of a run after a step.
#[derive(Debug)]
#[non_exhaustive]
pub struct View<'a> {
    /// What the pool tells.
    pub stats: &'a Stats,
    /// What became of its connections.
    pub counts: &'a Counts,
    /// Leases that callers hold.
    pub held: u64,
    /// Callers that wait.
    pub waits: u64,
    /// For how long the clock has run.
    pub elapsed: Duration,
}

/// The most connections that there may be: `max`, or what there was when it was lowered.
#[derive(Default)]
pub(super) struct Bound(u64);

impl Bound {
    /// Takes in how many there are, and the greatest `max` there was since the last time.
    fn update(&mut self, gauges: &Gauges, greatest: u32, used: u64) -> u64 {
        let before = self.0.max(u64::from(greatest));
        self.0 = before.min(used).max(u64::from(gauges.max));
        self.0
    }
}

/// How many connections the pool knows of.
const fn known(gauges: &Gauges) -> u64 {
    let Gauges { idle, checking, offered, in_use, resetting, retired, closing, .. } = *gauges;
    (idle + checking + offered + in_use + resetting + retired + closing) as u64
}

/// Asks the pool how it stands until that does not change. To ask is an operation, which settles
/// what is overdue, and what comes of that is seen by the next one.
pub(super) fn settled(pool: &SimPool) -> Stats {
    let mut stats = pool.stats();
    for _ in 0..10 {
        let before = std::mem::replace(&mut stats, pool.stats());
        if before == stats {
            break;
        }
    }
    stats
}

impl Run {
    /// Checks what costs little and changes nothing.
    pub(super) fn check_books(&self) {
        self.pool().check().unwrap_or_else(|violation| panic!("{violation}"));
        if let Some(panic) = panics::first_heard() {
            panic!("a panic that was not planned: {panic}");
        }
    }

    /// Compares the pool's gauges with what its callers hold.
    pub(super) fn check(&mut self) {
        let stats = settled(self.pool());
        let gauges = stats.gauges;
        let (held, taken) = (self.world.held.get(), self.world.taken.get());
        assert_eq!(u64::from(gauges.in_use), held, "leases: {gauges:?}");
        self.world.check_tenants(gauges.in_use);
        let made = self.factory.counts();
        let known = known(&gauges) + taken;
        assert_eq!(made.live, known, "connections: {made:?}, taken {taken}, {gauges:?}");
        // What came too late has lost its place, and is closed beside those that have one.
        let late = stats.counters.late.min(gauges.closing.into());
        let used = made.live - taken - late + u64::from(gauges.creating);
        let bound = self.bound.update(&gauges, self.world.greatest_max.replace(0), used);
        assert!(used <= bound, "too many connections: {made:?}, taken {taken}, {gauges:?}");
        assert_eq!(made.unclosed, 0, "connections were not closed: {made:?}");
        self.check_books();
    }

    /// Asks whoever watches.
    pub(super) fn check_watch(&self) {
        let Some(watch) = &self.watch else { return };
        let view = View {
            stats: &self.pool().stats(),
            counts: &self.factory.counts(),
            held: self.world.held.get(),
            waits: self.world.waits.get(),
            elapsed: self.world.clock.elapsed(),
        };
        if let Err(wrong) = watch(&view) {
            panic!("{wrong}");
        }
    }

    /// When no task is ready, those that wait have begun whatever they wait for.
    pub(super) fn check_progress(&self) {
        if self.has_leaked() && self.stands_still() {
            // A wait that was leaked ends as its time passes, and that is seen by the next operation.
            self.pool().stats();
        }
        assert!(
            self.executor.has_ready() || !self.stands_still(),
            "jobs stand still beside callers that wait, and nobody was woken: {}, {}",
            self.factory.counts().standing_still(),
            self.world.waits.get(),
        );
    }

    fn stands_still(&self) -> bool {
        let looks_on = self.world.away.get() == 0 && self.executor.delayed() == 0;
        let leaked = self.world.clock.now() <= self.world.leaked_until.get();
        let unpolled = self.factory.counts().standing_still();
        self.world.waits.get() > 0 && looks_on && !leaked && unpolled > 0
    }
}
