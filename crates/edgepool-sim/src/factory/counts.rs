//! What a simulated factory counts.

use edgepool::Event;

use super::jobs::Outcome;

/// A kind of job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    Create,
    Check,
    Reset,
    Close,
}

/// What a [`SimFactory`](crate::SimFactory) made, and what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Creations started.
    pub started: u64,
    /// Creations under way.
    pub creating: u64,
    /// Creations under way that nobody has polled yet, so that they stand still.
    pub unpolled: u64,
    /// The most creations that were under way at once.
    pub peak_creating: u64,
    /// Creations that gave a connection.
    pub created: u64,
    /// Creations that failed or panicked.
    pub failed: u64,
    /// Creations that were dropped before they ended.
    pub abandoned: u64,
    /// Connections that exist.
    pub live: u64,
    /// The most connections that existed at once.
    pub peak_live: u64,
    /// Connections that were dropped: the sum of the four that follow, but for those of them that
    /// are still there.
    pub dropped: u64,
    /// Connections that were given to [`close`](edgepool::Factory::close).
    pub closed: u64,
    /// Connections of which it was [said](crate::SimConnection::set_taken) that they were taken out
    /// of their pool.
    pub taken: u64,
    /// Connections that something had which panicked, or which was given up: a check, a reset, a
    /// hook.
    pub lost: u64,
    /// Connections that were dropped although none of this became of them.
    pub unclosed: u64,
    /// What became of the checks.
    pub checks: JobCounts,
    /// What became of the resets.
    pub resets: JobCounts,
    /// What became of the closings.
    pub closings: JobCounts,
    /// Hooks that panicked, a connection's `Drop` among them.
    pub hooks_panicked: u64,
    /// Events that told of a connection's creation.
    pub told_created: u64,
    /// Events that told of a connection's end.
    pub told_ended: u64,
}

/// What became of the jobs of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// Those that were begun: the sum of those under way and of the four ends.
    pub begun: u64,
    /// Those under way.
    pub under_way: u64,
    /// Those under way that nobody has polled yet, so that they stand still.
    pub unpolled: u64,
    /// Those that went well.
    pub passed: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that panicked.
    pub panicked: u64,
    /// Those that were dropped before they ended.
    pub abandoned: u64,
}

impl Counts {
    pub(super) const fn told(&mut self, event: &Event<'_>) {
        match event {
            Event::Created(_) => self.told_created += 1,
            Event::Leaves(..) | Event::Taken(_) | Event::Lost { .. } => self.told_ended += 1,
            _ => {}
        }
    }

    /// Returns how many jobs of all kinds are under way that nobody has polled yet.
    #[must_use]
    pub const fn standing_still(&self) -> u64 {
        self.unpolled + self.checks.unpolled + self.resets.unpolled + self.closings.unpolled
    }

    /// Returns how many jobs of all kinds are under way.
    #[must_use]
    pub const fn under_way(&self) -> u64 {
        self.creating + self.checks.under_way + self.resets.under_way + self.closings.under_way
    }

    pub(super) fn begin(&mut self, job: Job) {
        if job == Job::Create {
            self.creating += 1;
            self.peak_creating = self.peak_creating.max(self.creating);
        } else {
            let counts = self.of(job);
            counts.begun += 1;
            counts.under_way += 1;
        }
        *self.unpolled_of(job) += 1;
    }

    /// Counts a job as one that does not stand still any more.
    pub(super) const fn polled(&mut self, job: Job) {
        *self.unpolled_of(job) -= 1;
    }

    const fn unpolled_of(&mut self, job: Job) -> &mut u64 {
        match job {
            Job::Create => &mut self.unpolled,
            _ => &mut self.of(job).unpolled,
        }
    }

    pub(super) const fn end(&mut self, job: Job, outcome: Outcome) {
        if matches!(job, Job::Create) {
            self.creating -= 1;
            match outcome {
                Outcome::Passed => self.created += 1,
                Outcome::Failed | Outcome::Panicked => self.failed += 1,
                Outcome::Abandoned => self.abandoned += 1,
            }
        } else {
            let counts = self.of(job);
            counts.under_way -= 1;
            counts.count(outcome);
        }
    }

    /// Counts a job that was over as soon as it was begun.
    pub(super) const fn at_once(&mut self, job: Job, outcome: Outcome) {
        let counts = self.of(job);
        counts.begun += 1;
        counts.count(outcome);
    }

    const fn of(&mut self, job: Job) -> &mut JobCounts {
        match job {
            Job::Check => &mut self.checks,
            Job::Reset => &mut self.resets,
            Job::Close => &mut self.closings,
            Job::Create => panic!("creations are counted by themselves"),
        }
    }
}

impl JobCounts {
    const fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Panicked => self.panicked += 1,
            Outcome::Abandoned => self.abandoned += 1,
        }
    }
}
