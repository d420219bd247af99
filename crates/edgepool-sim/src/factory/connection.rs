//! What a simulated factory makes.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::{Defect, Hook, SimFactory};

/// A connection of a [`SimFactory`]. Dropping it closes it, if nothing else did.
///
/// It may be broken: from a use or a time on, as was [planned](SimFactory::plan_defects), or as its
/// holder [says](Self::break_down). Then its checks fail.
pub struct SimConnection {
    pub(super) factory: SimFactory,
    id: u64,
    uses: u64,
    born: Duration,
    defect: Defect,
}

impl SimConnection {
    pub(super) const fn new(factory: SimFactory, id: u64, born: Duration, defect: Defect) -> Self {
        Self { factory, id, uses: 0, born, defect }
    }

    /// Returns the number of the creation that it came from, the first being 1.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Returns how often it was [used](Self::use_once).
    #[must_use]
    pub const fn uses(&self) -> u64 {
        self.uses
    }

    /// Returns for how long the factory's clock had run when it was made.
    #[must_use]
    pub const fn born(&self) -> Duration {
        self.born
    }

    /// Uses it once, and returns how often that was done.
    pub const fn use_once(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    /// Breaks it.
    pub const fn break_down(&mut self) {
        self.defect = Defect::After(Duration::ZERO);
    }

    /// Tells whether it is broken.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        match self.defect {
            Defect::None => false,
            Defect::AtUse(uses) => self.uses >= uses,
            Defect::After(after) => self.factory.clock.elapsed() >= self.born.saturating_add(after),
        }
    }

    /// Says that it was taken out of its pool, so that no pool will close it. Without this it
    /// counts as [`unclosed`](super::Counts::unclosed) when it is dropped.
    pub fn set_taken(&self) {
        self.factory.lock().set_fate(self.id, Fate::Taken);
    }

    /// Says that it must not be closed properly, as what has it goes wrong.
    pub(super) fn set_lost(&self) {
        self.factory.lock().set_fate(self.id, Fate::Lost);
    }
}

/// What became of a connection before it is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// A pool has it.
    Open,
    /// A pool closes or has closed it.
    Closed,
    /// Its holder took it out of the pool.
    Taken,
    /// What had it panicked or was given up.
    Lost,
}

impl Drop for SimConnection {
    fn drop(&mut self) {
        self.factory.lock().forget(self.id);
        if !std::thread::panicking() {
            self.factory.called(Hook::Drop, self.id);
        }
    }
}

impl fmt::Debug for SimConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimConnection").field("id", &self.id).field("uses", &self.uses).finish()
    }
}

/// The failure of a planned creation, check or reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimError {
    /// The number of the creation, or of the one that the connection came from, the first being 1.
    pub creation: u64,
}

impl fmt::Display for SimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {} failed, as planned", self.creation)
    }
}

impl Error for SimError {}
