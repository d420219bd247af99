//! The lock and the atomics of the shell: std's, or those of a tool that explores schedules.
//!
//! `Arc` is std's in any case: a [`Waker`](std::task::Waker) is made of one. Nothing is decided by
//! its count but who drops last, and whatever that runs takes the lock.

#[cfg(edgepool_loom)]
pub(crate) use loom::{
    sync::{Mutex, MutexGuard, atomic},
    thread,
};
#[cfg(edgepool_shuttle)]
pub(crate) use shuttle::{
    sync::{Mutex, MutexGuard, atomic},
    thread,
};
#[cfg(not(any(edgepool_loom, edgepool_shuttle)))]
pub(crate) use std::{
    sync::{Mutex, MutexGuard, atomic},
    thread,
};
