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
//! Run it under faults, many times: every caller is polled late, polled for nothing, not polled at
//! all for a while, and dropped at any point where it waits. Here connections take their time to be
//! made, checked, reset and closed, and some checks fail. Whatever the factory counts must come out
//! even in the end.
//!
//! ```
//! use edgepool::{CheckOnAcquire, Clock, Pool, factory_fn};
//! use edgepool_sim::{Executor, Faults, SimClock};
//! use std::rc::Rc;
//! use std::time::Duration;
//!
//! const MS: Duration = Duration::from_millis(1);
//!
//! #[derive(Debug)]
//! struct Broken;
//!
//! struct Connection {
//!     _open: Rc<()>,
//!     queries: u32,
//! }
//!
//! async fn sleep(clock: &SimClock, time: Duration) {
//!     clock.alarm(clock.now().saturating_add(time)).await;
//! }
//!
//! for seed in 0..100 {
//!     let clock = SimClock::new();
//!     let open = Rc::new(());
//!
//!     let (connections, create, check) = (open.clone(), clock.clone(), clock.clone());
//!     let (reset, close) = (clock.clone(), clock.clone());
//!     let factory = factory_fn(move || {
//!         let (clock, _open) = (create.clone(), connections.clone());
//!         async move {
//!             sleep(&clock, 20 * MS).await;
//!             Ok::<_, Broken>(Connection { _open, queries: 0 })
//!         }
//!     })
//!     .check(move |connection: Connection| {
//!         let clock = check.clone();
//!         async move {
//!             sleep(&clock, 2 * MS).await;
//!             if connection.queries < 3 { Ok(connection) } else { Err((connection, Broken)) }
//!         }
//!     })
//!     .reset(move |connection: Connection| {
//!         let clock = reset.clone();
//!         async move {
//!             sleep(&clock, MS).await;
//!             Ok::<_, (_, Broken)>(connection)
//!         }
//!     })
//!     .close(move |connection: Connection| {
//!         let clock = close.clone();
//!         async move {
//!             sleep(&clock, 5 * MS).await;
//!             drop(connection);
//!         }
//!     });
//!     let pool = Pool::builder(factory, clock.clone())
//!         .max(2)
//!         .check_on_acquire(CheckOnAcquire::Always)
//!         .seed(seed)
//!         .build()?;
//!
//!     let mut executor = Executor::new(&clock, seed);
//!     executor.set_faults(Faults {
//!         spurious_poll: 50,
//!         late_poll: 100,
//!         late_by: 5 * MS,
//!         stall: 10,
//!         stall_for: 500 * MS,
//!         cancel: 50,
//!     });
//!     for _ in 0..10 {
//!         let (pool, clock) = (pool.clone(), clock.clone());
//!         executor.spawner().spawn_cancellable(async move {
//!             if let Ok(mut lease) = pool.acquire().await {
//!                 lease.queries += 1;
//!                 sleep(&clock, 10 * MS).await;
//!             }
//!         });
//!     }
//!     while executor.step().is_some() {
//!         pool.check()?;
//!     }
//!     executor.set_faults(Faults::default());
//!     executor.block_on(pool.drain(None))?;
//!     assert_eq!(Rc::strong_count(&open), 2, "seed {seed} leaves a connection open");
//! }
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # A pool's user of your own
//!
//! [`SimFactory`] is the other side: it makes connections whose every job goes as you plan it, or
//! as badly as the odds that you set, and [tells](SimFactory::counts) what became of them. Wakers
//! that misbehave ([`waker_fn`], [`panicking_waker`], [`poll_orphan`]) and futures polled [by
//! hand](ByHand) come with it.
//!
//! # Random schedules
//!
//! A [`Case`] is one run of a pool of [`SimFactory`]'s connections, as data: every caller, every
//! act of an operator or of the clock, and all that goes wrong. A [`Workload`] draws cases by their
//! odds, and [`run_seed`] draws all of it from one seed. The pool is [checked](Case::check) after
//! every step. A case that fails is made [smaller](Failure::shrink), and written as Rust code, to
//! be kept as a test. A [`Soak`] keeps one pool under load for many simulated days.
//!
//! The example `trace` runs as many seeds as you like:
//!
//! ```text
//! cargo run -q --release -p edgepool-sim --example trace -- --seeds 100000 --rates
//! cargo run -q --release -p edgepool-sim --example trace -- --replay 17
//! cargo run -q --release -p edgepool-sim --example trace -- --soak-days 30
//! ```
#![forbid(unsafe_code)]

mod case;
mod clock;
mod executor;
mod factory;
mod panics;
mod rng;
mod run;
mod shrink;
mod trace;
mod wakers;
mod workload;

pub use case::{
    Act, Action, Ask, Caller, Case, Ending, Luck, Parting, PoolOptions, Round, Wait, Waking,
};
pub use clock::{Alarm, SimClock};
pub use executor::{Executor, Faults, Spawner, Step, Stopped, Task, TaskId};
pub use factory::{
    Call, Closing, ClosingDown, Counts, Creating, Creation, Defect, Defects, Hook, JobCounts, Odds,
    SimConnection, SimError, SimFactory, Trial, Trying,
};
pub use rng::Rng;
pub use run::{Failure, Progress, Report, Soak, View};
pub use shrink::shrink;
pub use trace::Trace;
pub use wakers::{
    ByHand, Wakes, panicking_waker, poll_orphan, waker_fn, waker_that_panics_on_drop,
};
pub use workload::{Arrivals, Habits, Workload, combined_hash, run_seed};
