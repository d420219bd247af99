//! Simulated time and a seeded executor.
#![forbid(unsafe_code)]

mod clock;
mod executor;
mod factory;
mod rng;
mod trace;
mod workload;

pub use clock::{Alarm, SimClock};
pub use executor::{Executor, Faults, Spawner, Step, Stopped, Task, TaskId};
pub use factory::{Counts, Creating, Creation, Odds, SimConnection, SimError, SimFactory};
pub use rng::Rng;
pub use trace::Trace;
pub use workload::{Habits, Report, Workload, combined_hash, run_seed};
