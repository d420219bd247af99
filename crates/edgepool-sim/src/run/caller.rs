//! What one caller of a case does.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use edgepool::AcquireError;
use futures::future::{Either, poll_immediate, select};

use super::world::{Counted, SimLease, SimPool, SimTenant, World};
use crate::{Ask, Caller, Parting, Round, SimError, Wait, Waking, poll_orphan, waker_fn};

type Outcome = Result<Vec<SimLease>, AcquireError<SimError>>;
/// An acquire with the handle that it borrows. It can be sent, as its wakers may own it.
type Acquiring = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// One caller: its rounds, one after the other.
pub(super) async fn call(world: Rc<World>, pool: SimPool, actor: u64, caller: Caller) {
    for round in &caller.rounds {
        world.sleep(round.pause).await;
        let attempt = attempt(&world, &pool, actor, caller.tenant, round);
        match round.dropped_at {
            None => attempt.await,
            Some(poll) => drop_at(attempt, poll, || world.record(actor, "is dropped", 0)).await,
        }
    }
    world.record(actor, "is done", 0);
}

/// Drops the future instead of polling it once more after so many polls.
async fn drop_at(future: impl Future<Output = ()>, polls: u32, dropped: impl FnOnce()) {
    let mut future = Box::pin(Some(future));
    let mut left = polls;
    let ended = poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        let Some(future) = future.as_mut().as_pin_mut() else { return Poll::Ready(true) };
        future.poll(cx).map(|()| true)
    });
    if !ended.await {
        dropped();
    }
}

async fn attempt(world: &World, pool: &SimPool, actor: u64, tenant: u32, round: &Round) {
    let leases = acquire(world, pool, actor, world.tenant(tenant), round).await;
    if !leases.is_empty() {
        use_leases(world, leases, actor, round).await;
    }
}

async fn acquire(
    world: &World,
    pool: &SimPool,
    actor: u64,
    tenant: Option<SimTenant>,
    round: &Round,
) -> Vec<SimLease> {
    if round.ask == Ask::Try {
        let lease = match &tenant {
            Some(tenant) => pool.try_acquire_for(tenant),
            None => pool.try_acquire(),
        };
        world.record(actor, "tries", u64::from(lease.is_some()));
        return lease.into_iter().collect();
    }
    world.record(actor, "wants", u64::from(needs(round)));
    let since = world.clock.moved();
    let settle = |outcome| settle(world, actor, round, since, outcome);
    let waits = Counted::new(&world.waits);
    let mut wait = waking(acquiring(pool, tenant, round), pool, round.waking.clone());
    match round.wait {
        Wait::GiveUp(after) => {
            let Either::Left((outcome, _)) = select(wait, pin!(world.sleep(after))).await else {
                world.record(actor, "gives up", 0);
                return Vec::new();
            };
            return settle(outcome);
        }
        Wait::LookAway(after) => {
            if let Some(outcome) = poll_immediate(&mut wait).await {
                return settle(outcome);
            }
            let _away = Counted::new(&world.away);
            world.sleep(after).await;
        }
        Wait::Leak => {
            if let Some(timeout) = round.timeout.or(world.pool.acquire_timeout) {
                drop(waits);
                return leak(world, actor, wait, timeout).await.map_or_else(Vec::new, settle);
            }
        }
        Wait::Orphan => {
            drop(waits);
            let outcome = poll_orphan(wait);
            world.record(actor, "leaves its wait", u64::from(outcome.is_some()));
            return outcome.map_or_else(Vec::new, settle);
        }
        Wait::Patient => {}
    }
    settle(wait.await)
}

const fn needs(round: &Round) -> u16 {
    match round.ask {
        Ask::Many(n) => n,
        Ask::Acquire | Ask::Try => 1,
    }
}

fn acquiring(pool: &SimPool, tenant: Option<SimTenant>, round: &Round) -> Acquiring {
    let (pool, priority, timeout) = (pool.clone(), round.priority, round.timeout);
    match round.ask {
        Ask::Many(n) => Box::pin(async move {
            let acquire = pool.acquire_many(n).priority(priority);
            let acquire = match &tenant {
                Some(tenant) => acquire.tenant(tenant),
                None => acquire,
            };
            match timeout {
                Some(timeout) => acquire.timeout(timeout).await,
                None => acquire.await,
            }
        }),
        Ask::Acquire | Ask::Try => Box::pin(async move {
            let acquire = pool.acquire().priority(priority);
            let acquire = match &tenant {
                Some(tenant) => acquire.tenant(tenant),
                None => acquire,
            };
            let lease = match timeout {
                Some(timeout) => acquire.timeout(timeout).await,
                None => acquire.await,
            };
            lease.map(|lease| vec![lease])
        }),
    }
}

/// Polls the wait with wakers that misbehave as they wake the caller.
fn waking(wait: Acquiring, pool: &SimPool, waking: Waking) -> Acquiring {
    let pool = pool.clone();
    let mut wait = wait;
    match waking {
        Waking::Plain => wait,
        Waking::Reentrant => Box::pin(poll_fn(move |cx| {
            let (task, pool) = (cx.waker().clone(), pool.clone());
            let waker = waker_fn(move || {
                drop(pool.try_acquire());
                pool.stats();
                task.wake_by_ref();
            });
            wait.as_mut().poll(&mut Context::from_waker(&waker))
        })),
        Waking::Panics => Box::pin(poll_fn(move |cx| {
            let task = cx.waker().clone();
            let waker = waker_fn(move || {
                task.wake_by_ref();
                panic!("a waker panics, as planned");
            });
            wait.as_mut().poll(&mut Context::from_waker(&waker))
        })),
    }
}

/// Polls the wait once and leaks it. Until its time is over it may hold up the others, who are then
/// not expected to make progress.
async fn leak(
    world: &World,
    actor: u64,
    mut wait: Acquiring,
    timeout: Duration,
) -> Option<Outcome> {
    let outcome = poll_immediate(&mut wait).await;
    if outcome.is_none() {
        world.record(actor, "leaks its wait", 0);
        let until = world.clock.latest().saturating_add(timeout);
        world.leaked_until.set(world.leaked_until.get().max(until));
        std::mem::forget(wait);
    }
    outcome
}

/// Looks at the outcome of a wait that began when the clock had moved by `since`.
fn settle(
    world: &World,
    actor: u64,
    round: &Round,
    since: Duration,
    outcome: Outcome,
) -> Vec<SimLease> {
    let (name, value) = match &outcome {
        Ok(leases) => {
            assert_eq!(leases.len(), usize::from(needs(round)), "not as many as asked for");
            ("acquires", leases.first().map_or(0, |lease| lease.id()))
        }
        Err(AcquireError::TimedOut(_)) => {
            let timeout = round.timeout.or(world.pool.acquire_timeout).expect("it has a timeout");
            let passed = world.clock.moved() - since;
            assert!(passed >= timeout, "it timed out after {passed:?} of {timeout:?}");
            ("times out", 0)
        }
        Err(AcquireError::QueueFull { max_waiting }) => ("is refused", u64::from(*max_waiting)),
        Err(AcquireError::TenantQueueFull { max_waiting }) => {
            ("finds its tenant's queue full", u64::from(*max_waiting))
        }
        Err(AcquireError::TenantRemoved) => ("is sent away", 0),
        Err(AcquireError::TooMany { max }) => ("wants too many", u64::from(*max)),
        Err(AcquireError::Closed) => ("finds it closed", 0),
        Err(AcquireError::CreateFailed(error)) => ("sees a creation fail", error.creation),
        Err(AcquireError::CreateTimedOut) => ("sees a creation time out", 0),
        Err(AcquireError::CreatePanicked) => ("sees a creation panic", 0),
        Err(AcquireError::Unavailable { retry_in, .. }) => {
            ("finds it unavailable", retry_in.as_nanos() as u64)
        }
        Err(AcquireError::Missed) => ("missed its offers", 0),
        Err(error) => panic!("nothing is known of this outcome: {error}"),
    };
    world.record(actor, name, value);
    outcome.unwrap_or_default()
}

/// Holds leases for a while, and parts with them.
async fn use_leases(world: &World, leases: Vec<SimLease>, actor: u64, round: &Round) {
    let mut holding: Vec<_> = leases.into_iter().map(|lease| Holding::of(world, lease)).collect();
    world.sleep(round.hold).await;
    while let Some(holding) = holding.pop() {
        holding.part(world, actor, round).await;
    }
}

/// A lease that is in use.
struct Holding<'a> {
    // Dropped in this order: the lease is back before it counts as such.
    lease: SimLease,
    held: Counted<'a>,
    back: Back<'a>,
}

/// Notes that a connection came back, whatever becomes of its holder.
struct Back<'a> {
    world: &'a World,
    id: u64,
}

impl Drop for Back<'_> {
    fn drop(&mut self) {
        self.world.in_hand.borrow_mut().remove(&self.id);
    }
}

impl<'a> Holding<'a> {
    fn of(world: &'a World, mut lease: SimLease) -> Self {
        let held = Counted::new(&world.held);
        world.served.set(world.served.get() + 1);
        let broken = lease.is_broken();
        let (id, uses) = (lease.id(), lease.use_once());
        world.check_lent(id, uses, broken);
        Self { lease, held, back: Back { world, id } }
    }

    async fn part(self, world: &World, actor: u64, round: &Round) {
        let Self { lease, held, back } = self;
        let (id, broken) = (lease.id(), lease.is_broken());
        drop(back);
        match round.parting {
            Parting::Discard => {
                world.record(actor, "discards", id);
                world.give_up(id);
                lease.discard();
            }
            _ if broken && !world.careless => {
                world.record(actor, "discards what broke", id);
                world.give_up(id);
                lease.discard();
            }
            Parting::Take => {
                world.record(actor, "takes", id);
                world.give_up(id);
                let connection = lease.take();
                connection.set_taken();
                drop(held);
                let _taken = Counted::new(&world.taken);
                world.sleep(round.hold).await;
                drop(connection);
            }
            Parting::Release => {
                world.record(actor, "releases and waits", id);
                world.came_back(id, broken);
                let release = lease.release();
                drop(held);
                let outcome = release.await;
                world.record(actor, "has released", u64::from(outcome.is_ok()));
            }
            Parting::Drop => {
                world.record(actor, "releases", id);
                world.came_back(id, broken);
                drop(lease);
            }
        }
    }
}

/// A task that keeps the pool's jobs going.
pub(super) async fn drive(pool: SimPool) {
    let driver = pool.driver();
    // It must not keep the pool open.
    drop(pool);
    driver.await;
}

/// Gets a connection once nothing goes wrong any more. A creation that was begun to fail may still
/// be in the way, so a failure is tried again, when the pool says so.
pub(super) async fn obtain(world: Rc<World>, pool: SimPool) -> SimLease {
    loop {
        match pool.acquire().timeout(None).await {
            Ok(lease) => {
                world.held.set(world.held.get() + 1);
                return lease;
            }
            Err(AcquireError::Unavailable { retry_in, .. }) => world.sleep(retry_in).await,
            Err(AcquireError::Closed) => panic!("the pool is closed, and nobody closed it"),
            // What was planned to fail does so once, and the queue is not full for long.
            Err(_) => world.sleep(Duration::from_millis(1)).await,
        }
    }
}

/// Uses the pool whenever the factory is called, but not from within itself. Connections it takes
/// only so often: if each may be lent once, taking every new one would keep the factory busy for
/// ever.
pub(super) fn reenter(pool: SimPool) -> impl Fn() + Send + Sync + 'static {
    let (inside, taken) = (AtomicBool::new(false), AtomicU32::new(0));
    move || {
        if !inside.swap(true, Ordering::Relaxed) {
            if taken.fetch_add(1, Ordering::Relaxed) < 200 {
                drop(pool.try_acquire());
            }
            pool.stats();
            pool.next_deadline();
            inside.store(false, Ordering::Relaxed);
        }
    }
}
