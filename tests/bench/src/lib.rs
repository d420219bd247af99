//! Measures edgepool beside its peers. `cargo xtask bench native` builds it, runs it and shows what
//! came of it.
//!
//! There are two programs: `times` measures nanoseconds, with the allocator of the system, and
//! `memory` counts allocations and bytes, with an allocator that counts. Each prints one JSON
//! object a line ([`output`]): its progress, and each case when it is done.
//!
//! # How a case is made, and why it is fair
//!
//! - **One run.** A case measures all its contenders in one process, round by round: a round is one
//!   measurement of each, and the next round begins with another contender. What disturbs the
//!   machine for a while disturbs all of them, and shows as spread. What counts is the median of
//!   the rounds.
//! - **Fastest slice.** On one thread a measurement is cut into slices of about 2 ms, and its
//!   figure is that of the fastest: a slice in which the system let another process run says
//!   nothing of a pool. The case on two threads is measured as a whole.
//! - **One source.** A case is written once, over [`Contender`], and compiled for each pool with
//!   link-time optimisation; what a pool can have inlined, it has inlined. The future that is
//!   awaited is the pool's own: there is no box, no adapter and no dynamic call between a case and
//!   a pool.
//! - **One executor.** It is tokio's for everyone, as bb8 and mobc need it: `current_thread` for
//!   the cases on one thread, `multi_thread` with two workers for those on two. Its cooperative
//!   budget is off, as it would make the pools on tokio's own primitives yield and no others. Two
//!   cases poll by hand instead: the one that cancels, and the one that creates without an
//!   executor.
//! - **One connection.** It is a `u64` that is made at once, and is never checked, reset or closed:
//!   what is measured is the pool. Every pool has the cheapest settings that it offers: no timeout,
//!   no check, no lifetime. bb8 cannot be without its timeout, and is measured with it. edgepool
//!   appears a second time with a lifetime, an idle timeout and the times of holds, and a third
//!   time as it comes, with all that is on by default.
//! - **Warm.** A pool is filled before it is measured. Each contender runs unmeasured first, which
//!   also sets how many operations a slice has, so that each takes about equally long. Only
//!   the operations are between the two readings of the clock: pools, tasks and queues are made
//!   before the first. The results pass through [`black_box`](std::hint::black_box).
//! - **The harness is shown.** Where an executor is part of the time, a contender without any pool
//!   shows how large that part is. The bound is what a pool cannot do without: a shared handle, a
//!   lock to take a connection and a lock to put it back. Where it need not wait it is a plain
//!   call; it has no queue, so where there is nothing to take it asks again.
//!
//! # The cases
//!
//! | case | an operation |
//! |---|---|
//! | `warm` | get and drop, a connection being idle |
//! | `crowd-1`, `crowd-2` | get, hold while every other task has a turn, drop; more tasks than connections |
//! | `hand-off-*` | one connection goes from waiter to waiter through a queue of this length |
//! | `cancel-*` | one waiter, at random among as many, is dropped |
//! | `hog-*` | one task has the connection again and again beside one that waits for it |
//! | `create-take` | a connection is created and taken out of the pool, without an executor |
//! | `tenants-*` | get and drop for a tenant at random, among as many |
//! | `strategies-*` | acquire and release for one of 10,000 tenants: the first time, and later |
//! | `fair-*` | tenants that ask for more than there is: waits, and who is served how often |
//! | `clock` | one reading of the clock |
//! | `allocations-*` | get and drop, or a wait: how often it allocates |
//! | `waiter-*` | the bytes that a waiting caller takes: its future, and what the heap grows by |
#![forbid(unsafe_code)]

pub mod cases;
pub mod contenders;
pub mod harness;
pub mod load;
pub mod objects;
pub mod output;

pub use contenders::{Connection, Contender};
