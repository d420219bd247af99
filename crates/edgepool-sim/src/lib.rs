//! Simulated time and a seeded executor, to test pools and what uses them.
//!
//! Everything that makes a concurrent program hard to test is an input here: the time
//! ([`SimClock`]), the order in which tasks run ([`Executor`]), how creations go ([`SimFactory`]),
//! and chance ([`Rng`]). So a test of an hour takes microseconds, and a failure comes again with
//! its seed. Nothing depends on the machine: the same seed gives the same [`Trace`] natively and
//! as wasm.
//!
//! # A time-out, without waiting for it
//!
//! ```
//! use edgepool::{AcquireError, Pool};
//! use edgepool_sim::{Executor, SimClock, SimFactory};
//! use std::time::Duration;
//!
//! let clock = SimClock::new();
//! let factory = SimFactory::new(&clock, 1);
//! let pool = Pool::builder(factory, clock.clone()).max(1).build()?;
//!
//! let error = Executor::new(&clock, 1).block_on(async move {
//!     let _lease = pool.acquire().await.unwrap();
//!     pool.acquire().await.err()
//! });
//! assert!(matches!(error, Some(AcquireError::TimedOut { .. })));
//! assert_eq!(clock.elapsed(), Duration::from_secs(30));
//! # Ok::<_, edgepool::OptionsError>(())
//! ```
//!
//! # A factory of your own
//!
//! Run it under faults, many times: every caller is polled late, polled for nothing and dropped at
//! any point where it waits. Whatever the factory counts must come out even in the end.
//!
//! ```
//! use edgepool::{Clock, Pool, Time, factory_fn};
//! use edgepool_sim::{Executor, Faults, SimClock};
//! use std::rc::Rc;
//! use std::time::Duration;
//!
//! for seed in 0..100 {
//!     let clock = SimClock::new();
//!     let open = Rc::new(());
//!
//!     let (connections, time) = (open.clone(), clock.clone());
//!     let factory = factory_fn(move || {
//!         let connection = connections.clone();
//!         let connected = time.alarm(time.now().saturating_add(Duration::from_millis(20)));
//!         async move {
//!             connected.await;
//!             Ok::<_, std::io::Error>(connection)
//!         }
//!     });
//!     let pool = Pool::builder(factory, clock.clone()).max(2).build()?;
//!
//!     let mut executor = Executor::new(&clock, seed);
//!     executor.set_faults(Faults {
//!         spurious_poll: 50,
//!         late_poll: 100,
//!         late_by: Duration::from_millis(5),
//!         cancel: 50,
//!     });
//!     for _ in 0..10 {
//!         let (pool, clock) = (pool.clone(), clock.clone());
//!         executor.spawner().spawn_cancellable(async move {
//!             let _lease = pool.acquire().await;
//!             clock.alarm(clock.now().saturating_add(Duration::from_millis(10))).await;
//!         });
//!     }
//!     while executor.step().is_some() {
//!         pool.check()?;
//!     }
//!     drop((pool, executor));
//!     assert_eq!(Rc::strong_count(&open), 1, "seed {seed} leaves a connection open");
//! }
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Random schedules
//!
//! [`Workload`] runs a pool of [`SimFactory`]'s connections under random callers and faults, and
//! checks the pool after every step. [`run_seed`] does so with everything drawn from one seed; if
//! it fails, it names the seed and the command that replays it. The example `trace` runs as many
//! seeds as you like:
//!
//! ```text
//! cargo run -q --release -p edgepool-sim --example trace -- --seeds 100000 --rates
//! ```
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
