//! What all callers of one run share, and what is known of the connections.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use edgepool::ledger::{OptionsError, Share};
use edgepool::{Clock, Lease, Pool, Tenant, Time};

use crate::{Call, Case, Hook, PoolOptions, SimClock, SimFactory, Trace, Trial};

/// The pool of a run.
pub(super) type SimPool = Pool<SimFactory, SimClock>;
pub(super) type SimLease = Lease<SimFactory, SimClock>;
pub(super) type SimTenant = Tenant<SimFactory, SimClock>;

/// The actors of what no caller does.
pub(super) const EXECUTOR: u64 = u64::MAX;
pub(super) const OPERATOR: u64 = u64::MAX - 1;
const FACTORY: u64 = u64::MAX - 2;

pub(super) struct World {
    pub(super) pool: PoolOptions,
    pub(super) careless: bool,
    /// Whether a check comes before every loan of what was given back.
    always_checked: bool,
    pub(super) clock: SimClock,
    pub(super) log: Log,
    tenants: RefCell<Vec<Sharer>>,
    /// Leases that callers hold.
    pub(super) held: Cell<u64>,
    /// Connections that callers took out of the pool and have not dropped yet.
    pub(super) taken: Cell<u64>,
    /// Callers that wait.
    pub(super) waits: Cell<u64>,
    /// Callers that wait and do not look.
    pub(super) away: Cell<u64>,
    /// When the last wait that was leaked is over, by the latest time that the clock told: a pool's
    /// time does not go back.
    pub(super) leaked_until: Cell<Time>,
    pub(super) served: Cell<u64>,
    /// The greatest `max` that was set since it was looked at last.
    pub(super) greatest_max: Cell<u32>,
    /// The pool's `min_idle`, as it was set last.
    pub(super) min_idle: Cell<u32>,
    /// Connections that callers hold.
    pub(super) in_hand: RefCell<BTreeSet<u64>>,
    /// Connections that left the pool, and must not be lent again.
    gone: RefCell<BTreeSet<u64>>,
    /// Connections that came back broken.
    broken: RefCell<BTreeSet<u64>>,
}

impl World {
    pub(super) fn new(case: &Case, clock: SimClock, mut trace: Trace) -> Self {
        let always_checked = case.pool.check_after == Some(Duration::ZERO)
            && case.luck.resets.iter().all(|reset| *reset == Trial::default());
        trace.name_actor(EXECUTOR, "executor");
        trace.name_actor(OPERATOR, "operator");
        trace.name_actor(FACTORY, "factory");
        Self {
            pool: case.pool.clone(),
            careless: case.careless,
            always_checked,
            log: Log { clock: clock.clone(), trace: Arc::new(Mutex::new(trace)) },
            clock,
            tenants: RefCell::default(),
            held: Cell::new(0),
            taken: Cell::new(0),
            waits: Cell::new(0),
            away: Cell::new(0),
            leaked_until: Cell::new(Time::ZERO),
            served: Cell::new(0),
            greatest_max: Cell::new(case.pool.max),
            min_idle: Cell::new(case.pool.min_idle),
            in_hand: RefCell::default(),
            gone: RefCell::default(),
            broken: RefCell::default(),
        }
    }

    pub(super) fn open_tenants(&self, pool: &SimPool) -> Result<(), OptionsError> {
        let open = |&share: &Share| Sharer::open(pool, share);
        *self.tenants.borrow_mut() =
            self.pool.tenants.iter().map(open).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// A tenant by its number, from 1 on.
    pub(super) fn tenant(&self, number: u32) -> Option<SimTenant> {
        let index = number.checked_sub(1)?;
        self.tenants.borrow().get(index as usize).map(|sharer| sharer.tenant.clone())
    }

    /// Changes a tenant's share, if there is the tenant.
    pub(super) fn set_share(&self, number: u32, share: Share) {
        let mut tenants = self.tenants.borrow_mut();
        let index = (number as usize).wrapping_sub(1);
        if let Some(sharer) = tenants.get_mut(index)
            && sharer.tenant.set_share(share).is_ok()
        {
            sharer.most = sharer.most.max(most(share));
        }
    }

    /// Lets go of a tenant, if there is one, and opens it anew.
    pub(super) fn reopen_tenant(&self, pool: &SimPool, number: u32) {
        let mut tenants = self.tenants.borrow_mut();
        if let Some(sharer) = tenants.get_mut((number as usize).wrapping_sub(1)) {
            let share = sharer.tenant.stats().share;
            *sharer = Sharer::open(pool, share).expect("it had the share before");
        }
    }

    /// A handle of a tenant keeps what is left of its pool, as a lease does.
    pub(super) fn let_tenants_go(&self) {
        self.tenants.take();
    }

    /// Compares what tenants have with what they may have had.
    pub(super) fn check_tenants(&self, in_use: u32) {
        let tenants = self.tenants.borrow();
        let all = tenants.iter().map(|sharer| {
            let stats = sharer.tenant.stats();
            assert!(stats.in_use <= sharer.most, "a tenant has more than its max: {stats:?}");
            let out = stats.acquired - stats.released;
            assert!(out <= stats.in_use.into(), "a tenant's leases do not add up: {stats:?}");
            out
        });
        assert!(all.sum::<u64>() <= in_use.into(), "tenants have more leases than there are");
    }

    /// Looks at what is left to tenants when nothing is in use.
    pub(super) fn check_idle_tenants(&self) {
        for sharer in &*self.tenants.borrow() {
            let stats = sharer.tenant.stats();
            let is_left = (stats.in_use, stats.waiting, stats.acquired - stats.released);
            assert_eq!(is_left, (0, 0, 0), "something is left to a tenant: {stats:?}");
        }
    }

    pub(super) fn record(&self, actor: u64, name: &'static str, value: u64) {
        self.log.record(actor, name, value);
    }

    pub(super) async fn sleep(&self, duration: Duration) {
        let at = self.clock.now().saturating_add(duration);
        self.clock.alarm(at).await;
    }

    /// Looks at a connection that a caller has just got, for the so manieth use.
    pub(super) fn check_lent(&self, id: u64, uses: u64, broken: bool) {
        assert!(self.in_hand.borrow_mut().insert(id), "a connection is lent to two: {id}");
        assert!(!self.gone.borrow().contains(&id), "a connection that had left is lent: {id}");
        let most = self.pool.max_uses.unwrap_or(u64::MAX);
        assert!(uses <= most, "a connection is lent too often: {id}, {uses} times");
        let missed = self.always_checked && self.broken.borrow().contains(&id);
        assert!(!broken || !missed, "a connection that came back broken is lent unchecked: {id}");
    }

    pub(super) fn came_back(&self, id: u64, broken: bool) {
        if broken {
            self.broken.borrow_mut().insert(id);
        }
    }

    /// Notes that a connection must not be lent any more.
    pub(super) fn give_up(&self, id: u64) {
        self.gone.borrow_mut().insert(id);
    }

    /// Notes that what there is must not be lent any more, but to those who have it.
    pub(super) fn give_up_all(&self, live: Vec<u64>) {
        self.gone.borrow_mut().extend(live);
    }

    /// Forgets what is known of connections that are no more.
    pub(super) fn forget_all_but(&self, live: &BTreeSet<u64>) {
        self.gone.borrow_mut().retain(|id| live.contains(id));
        self.broken.borrow_mut().retain(|id| live.contains(id));
    }
}

/// A tenant, and the most that it was allowed to have.
struct Sharer {
    tenant: SimTenant,
    most: u32,
}

impl Sharer {
    fn open(pool: &SimPool, share: Share) -> Result<Self, OptionsError> {
        Ok(Self { tenant: pool.tenant(share)?, most: most(share) })
    }
}

fn most(share: Share) -> u32 {
    share.max.unwrap_or(u32::MAX)
}

/// The trace, with what the time is taken from.
#[derive(Clone)]
pub(super) struct Log {
    clock: SimClock,
    trace: Arc<Mutex<Trace>>,
}

impl Log {
    fn record(&self, actor: u64, name: &'static str, value: u64) {
        let at = Time::ZERO.saturating_add(self.clock.elapsed());
        let mut trace = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
        trace.record(at, actor, name, value);
    }

    pub(super) fn record_call(&self, call: Call) {
        let (name, id) = match call {
            Call::Create(id) => ("creates", id),
            Call::Check(id) => ("checks", id),
            Call::Reset(id) => ("resets", id),
            Call::Close(id) => ("closes", id),
            Call::Hook(Hook::AfterCreate, id) => ("has created", id),
            Call::Hook(Hook::Drop, id) => ("loses sight of", id),
            Call::Hook(..) => return,
        };
        self.record(FACTORY, name, id);
    }

    pub(super) fn take(&self) -> Trace {
        std::mem::take(&mut self.trace.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Counts one up for as long as it lives.
pub(super) struct Counted<'a>(&'a Cell<u64>);

impl<'a> Counted<'a> {
    pub(super) fn new(count: &'a Cell<u64>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
