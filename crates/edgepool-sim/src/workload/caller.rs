//! What one caller of a workload does.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use edgepool::{AcquireError, Clock, Lease, Pool, Time};
use futures::future::{Either, poll_immediate, select};

use super::Workload;
use crate::{Rng, SimClock, SimError, SimFactory, Trace};

pub(super) type SimPool = Pool<SimFactory, SimClock>;
pub(super) type SimLease = Lease<SimFactory, SimClock>;

/// What all callers of one run share.
pub(super) struct World {
    pub(super) workload: Workload,
    pub(super) clock: SimClock,
    pub(super) trace: RefCell<Trace>,
    /// Leases that callers hold.
    pub(super) held: Cell<u64>,
    /// Connections that callers took out of the pool and have not dropped yet.
    pub(super) taken: Cell<u64>,
    /// Callers that wait.
    pub(super) waits: Cell<u64>,
    /// Callers that wait and do not look.
    pub(super) away: Cell<u64>,
    pub(super) served: Cell<u64>,
    /// Connections that left the pool, and must not be lent again.
    pub(super) gone: RefCell<BTreeSet<u64>>,
    /// How far the clock was stepped forward so far.
    pub(super) skipped: Cell<Duration>,
}

impl World {
    pub(super) fn record(&self, actor: u64, name: &'static str, value: u64) {
        let at = Time::ZERO.saturating_add(self.clock.elapsed());
        self.trace.borrow_mut().record(at, actor, name, value);
    }

    /// The time that callers may have seen pass, however the clock was stepped.
    fn passed(&self) -> Duration {
        self.clock.elapsed() + self.skipped.get()
    }

    async fn sleep(&self, rng: &mut Rng, range: &RangeInclusive<Duration>) {
        let at = self.clock.now().saturating_add(rng.duration(range.clone()));
        self.clock.alarm(at).await;
    }
}

/// Counts one up for as long as it lives.
struct Counted<'a>(&'a Cell<u64>);

impl<'a> Counted<'a> {
    fn new(count: &'a Cell<u64>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// One caller: its rounds, one after the other.
pub(super) async fn call(world: Rc<World>, pool: SimPool, actor: u64, mut rng: Rng) {
    for _ in 0..world.workload.rounds {
        world.sleep(&mut rng, &world.workload.pause).await;
        if let Some(lease) = acquire(&world, &pool, actor, &mut rng).await {
            use_lease(&world, lease, actor, &mut rng).await;
        }
    }
    world.record(actor, "done", 0);
}

/// Wants a connection, in one of the ways that the workload's habits allow.
async fn acquire(world: &World, pool: &SimPool, actor: u64, rng: &mut Rng) -> Option<SimLease> {
    let habits = world.workload.habits;
    world.record(actor, "wants", 0);
    if rng.chance(habits.try_acquire) {
        let lease = pool.try_acquire();
        world.record(actor, "tried", u64::from(lease.is_some()));
        return lease;
    }
    let since = world.passed();
    let _waits = Counted::new(&world.waits);
    let mut wait = pin!(pool.acquire());
    if rng.chance(habits.give_up) {
        let patience = pin!(world.sleep(rng, &world.workload.patience));
        let Either::Left((outcome, _)) = select(wait, patience).await else {
            world.record(actor, "gave up", 0);
            return None;
        };
        return settle(world, actor, since, outcome);
    }
    if rng.chance(habits.look_away) {
        if let Some(outcome) = poll_immediate(&mut wait).await {
            return settle(world, actor, since, outcome);
        }
        let _away = Counted::new(&world.away);
        world.sleep(rng, &world.workload.patience).await;
    }
    settle(world, actor, since, wait.await)
}

/// Looks at the outcome of a wait that began at `since`.
fn settle(
    world: &World,
    actor: u64,
    since: Duration,
    outcome: Result<SimLease, AcquireError<SimError>>,
) -> Option<SimLease> {
    let (name, value) = match &outcome {
        Ok(lease) => ("acquired", lease.id()),
        Err(AcquireError::TimedOut { .. }) => {
            let timeout = world.workload.acquire_timeout.expect("it has a timeout");
            assert!(world.passed() - since >= timeout, "it timed out too early");
            ("timed out", 0)
        }
        Err(AcquireError::QueueFull { max_waiting }) => ("refused", u64::from(*max_waiting)),
        Err(AcquireError::Closed) => ("closed", 0),
        Err(AcquireError::CreateFailed(error)) => ("create failed", error.creation),
        Err(AcquireError::CreateTimedOut) => ("create timed out", 0),
        Err(AcquireError::CreatePanicked) => ("create panicked", 0),
        Err(error) => panic!("this outcome cannot come of these options: {error}"),
    };
    world.record(actor, name, value);
    outcome.ok()
}

/// Holds a lease for a while, and parts with it in one of the three ways.
async fn use_lease(world: &World, mut lease: SimLease, actor: u64, rng: &mut Rng) {
    let habits = world.workload.habits;
    let held = Counted::new(&world.held);
    world.served.set(world.served.get() + 1);
    let (id, uses) = (lease.id(), lease.use_once());
    assert!(!world.gone.borrow().contains(&id), "connection {id} was given up and is lent again");
    world.sleep(rng, &world.workload.hold).await;
    if rng.chance(habits.discard) {
        world.record(actor, "discards", uses);
        world.gone.borrow_mut().insert(id);
        lease.discard();
    } else if rng.chance(habits.take) {
        world.record(actor, "takes", uses);
        world.gone.borrow_mut().insert(id);
        let _connection = lease.take();
        drop(held);
        let _taken = Counted::new(&world.taken);
        world.sleep(rng, &world.workload.hold).await;
    } else {
        world.record(actor, "releases", uses);
        drop(lease);
    }
}
