//! Simulated time and a seeded executor.
#![forbid(unsafe_code)]

mod clock;
mod executor;
mod rng;
mod trace;

pub use clock::{Alarm, SimClock};
pub use executor::{Executor, Faults, Spawner, Step, Stopped, Task, TaskId};
pub use rng::Rng;
pub use trace::Trace;
