//! Pools of tenants, on simulated time: who has one, how large it is, and whose context is on what.

mod budget;
mod context;
mod endings;
mod input;
mod lifecycle;
mod soak;
mod statistics;
mod waits;

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use edgepool::tenants::{
    Builder, Entry, Strategy, TenantAcquire, TenantConfig, TenantError, TenantFactory, TenantId,
    TenantLease, TenantPools,
};
use edgepool::{Begun, Clock, Tried};
use edgepool_sim::{
    ByHand, Call, Executor, SimClock, SimConnection, SimError, SimFactory, Stopped,
};
use edgepool_tests::settle;

/// Pools of a simulated bank's tenants.
pub(super) type Pools = TenantPools<Bank, SimClock>;
/// How they are set up.
pub(super) type BankBuilder = Builder<Bank, SimClock>;
/// A lease of them.
pub(super) type BankLease = TenantLease<Bank, SimClock>;
/// The outcome of an acquire.
pub(super) type Outcome = Result<BankLease, TenantError<SimError>>;

/// How one entering goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entering {
    FailAtOnce,
    PanicAtStart,
    Pass(Duration),
    Fail(Duration),
    Panic,
    Hang,
}

/// Makes a simulated factory for each pool, and keeps whose context is on which connection.
#[derive(Clone)]
pub(super) struct Bank {
    clock: SimClock,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// By tenant; the pool for all has no name.
    factories: BTreeMap<String, SimFactory>,
    /// How often the factory of a pool was asked for, by tenant.
    asked: BTreeMap<String, u32>,
    /// By the number of the connection of the pool for all.
    contexts: BTreeMap<u64, String>,
    enterings: VecDeque<Entering>,
    /// What is found of tenants that the builder does not name.
    found: BTreeMap<String, TenantConfig>,
    /// Whether the factory of the next pool panics.
    panics: bool,
    on_factory: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Bank {
    fn new(clock: &SimClock) -> Self {
        Self { clock: clock.clone(), state: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The factory of a tenant's pools, or without a name of the pool for all.
    pub(super) fn of(&self, tenant: &str) -> SimFactory {
        let mut state = self.lock();
        let seed = state.factories.len() as u64;
        let factory = state.factories.entry(tenant.to_owned());
        factory.or_insert_with(|| SimFactory::new(&self.clock, seed)).clone()
    }

    /// The connections that there are, those being made among them.
    pub(super) fn connections(&self) -> u64 {
        let factories: Vec<_> = self.lock().factories.values().cloned().collect();
        let counts = factories.iter().map(SimFactory::counts);
        counts.map(|counts| counts.live + counts.creating).sum()
    }

    pub(super) fn asked(&self, tenant: &str) -> u32 {
        self.lock().asked.get(tenant).copied().unwrap_or_default()
    }

    /// Whose context is on a connection of the pool for all.
    pub(super) fn context(&self, connection: u64) -> Option<String> {
        self.lock().contexts.get(&connection).cloned()
    }

    pub(super) fn plan(&self, enterings: impl IntoIterator<Item = Entering>) {
        self.lock().enterings.extend(enterings);
    }

    /// Lets this be found of a tenant.
    pub(super) fn find(&self, tenant: &str, config: TenantConfig) {
        self.lock().found.insert(tenant.to_owned(), config);
    }

    /// Lets the next call for a factory panic.
    pub(super) fn plan_panic(&self) {
        self.lock().panics = true;
    }

    pub(super) fn on_factory(&self, call: impl Fn() + Send + Sync + 'static) {
        self.lock().on_factory = Some(Arc::new(call));
    }

    pub(super) fn ignore_calls(&self) {
        let call = self.lock().on_factory.take();
        drop(call);
    }

    /// Forgets all plans and odds.
    pub(super) fn calm(&self) {
        let mut state = self.lock();
        state.enterings.clear();
        state.factories.values().for_each(SimFactory::calm);
    }

    /// What a reset takes off, unless it is planned to fail.
    fn take_off(&self, connection: u64) {
        self.lock().contexts.remove(&connection);
    }
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T>>>;

impl TenantFactory for Bank {
    type Connection = SimConnection;
    type Error = SimError;
    type Factory = SimFactory;
    type Enter = BoxFuture<Tried<SimConnection, SimError>>;

    fn factory(&self, entry: Option<&Entry>) -> SimFactory {
        let name = entry.map_or("", |entry| entry.id().as_str());
        *self.lock().asked.entry(name.to_owned()).or_default() += 1;
        let call = self.lock().on_factory.clone();
        if let Some(call) = call {
            call();
        }
        if std::mem::take(&mut self.lock().panics) {
            panic!("planned");
        }
        self.of(name)
    }

    fn enter(
        &self,
        connection: SimConnection,
        entry: &Entry,
    ) -> Begun<Tried<SimConnection, SimError>, Self::Enter> {
        let plan = self.lock().enterings.pop_front();
        let (bank, name, id) = (self.clone(), entry.id().to_string(), connection.id());
        let put_on = move || {
            let old = bank.lock().contexts.insert(id, name);
            assert_eq!(old, None, "the context of another is still on it");
        };
        let error = SimError { creation: id };
        let clock = self.clock.clone();
        let wait = move |time| clock.alarm(clock.now().saturating_add(time));
        match plan {
            None => {
                put_on();
                Begun::Done(Ok(connection))
            }
            Some(Entering::FailAtOnce) => Begun::Done(Err((connection, error))),
            Some(Entering::PanicAtStart) => {
                drop(Midst(Some(connection)));
                panic!("planned")
            }
            Some(plan) => {
                let midst = Midst(Some(connection));
                Begun::Later(Box::pin(async move {
                    match plan {
                        Entering::Pass(time) | Entering::Fail(time) => wait(time).await,
                        Entering::Hang => pending().await,
                        _ => panic!("planned"),
                    }
                    match plan {
                        Entering::Pass(_) => {
                            put_on();
                            Ok(midst.end())
                        }
                        _ => Err((midst.end(), error)),
                    }
                }))
            }
        }
    }

    fn resolve(&self, id: &TenantId) -> Option<TenantConfig> {
        self.lock().found.get(id.as_str()).cloned()
    }
}

/// A connection in the midst of entering. If that is dropped, so is the connection, unclosed.
struct Midst(Option<SimConnection>);

impl Midst {
    fn end(mut self) -> SimConnection {
        self.0.take().expect("it ends once")
    }
}

impl Drop for Midst {
    fn drop(&mut self) {
        self.0.iter().for_each(SimConnection::set_taken);
    }
}

/// Pools of tenants, and what they run on.
pub(super) struct World {
    pub(super) clock: SimClock,
    pub(super) bank: Bank,
    pub(super) executor: Executor,
    pub(super) pools: Pools,
}

impl World {
    /// Makes pools whose connections neither expire nor are checked, with the options that `set`
    /// sets.
    pub(super) fn new(strategy: Strategy, set: impl FnOnce(BankBuilder) -> BankBuilder) -> Self {
        Self::seeded(0, strategy, set)
    }

    pub(super) fn seeded(
        seed: u64,
        strategy: Strategy,
        set: impl FnOnce(BankBuilder) -> BankBuilder,
    ) -> Self {
        let clock = SimClock::new();
        let bank = Bank::new(&clock);
        let executor = Executor::new(&clock, seed);
        let builder = TenantPools::builder(bank.clone(), clock.clone())
            .strategy(strategy)
            .pool(|pool| pool.idle_timeout(None).max_lifetime(None).check_interval(None))
            .pool(|pool| pool.backoff(None).seed(seed));
        let pools = set(builder).build().expect("the options are in range");
        let shared = bank.clone();
        bank.of("").on_call(move |call| {
            if let Call::Reset(connection) = call {
                shared.take_off(connection);
            }
        });
        Self { clock, bank, executor, pools }
    }

    /// Acquires what is idle or made at once.
    #[track_caller]
    pub(super) fn lease(&self, tenant: &str) -> BankLease {
        settle(&mut self.ask(tenant)).expect("a connection is there")
    }

    /// Starts to acquire; it is not polled yet.
    pub(super) fn ask<'a>(&'a self, tenant: &'a str) -> ByHand<TenantAcquire<'a, Bank, SimClock>> {
        ByHand::new(self.pools.acquire(tenant))
    }

    /// Starts to acquire, and has to wait.
    #[track_caller]
    pub(super) fn queued<'a>(
        &'a self,
        tenant: &'a str,
    ) -> ByHand<TenantAcquire<'a, Bank, SimClock>> {
        let mut acquire = self.ask(tenant);
        for _ in 0..3 {
            assert!(acquire.poll().is_none(), "it need not wait");
        }
        acquire
    }

    /// Polls as often as that wakes it, and says whether it is done.
    pub(super) fn outcome(
        acquire: &mut ByHand<TenantAcquire<'_, Bank, SimClock>>,
    ) -> Option<Outcome> {
        loop {
            let wakes = acquire.wakes();
            let polled = acquire.poll();
            if polled.is_some() || acquire.wakes() == wakes {
                return polled;
            }
        }
    }

    /// Lets so much time pass with all tasks running.
    pub(super) fn pass(&mut self, duration: Duration) -> Stopped {
        let until = self.clock.elapsed() + duration;
        let stopped = self.executor.run_for(duration);
        self.clock.advance(until.saturating_sub(self.clock.elapsed()));
        stopped
    }

    #[track_caller]
    pub(super) fn check(&self) {
        self.pools.check().expect("the books are in order");
        if let Some(budget) = self.pools.budget() {
            let connections = self.bank.connections();
            assert!(connections <= u64::from(budget), "{connections} connections of {budget}");
        }
    }

    /// Closes the pools, whose leases are all back, and asserts that nothing is left.
    #[track_caller]
    pub(super) fn assert_closes(self) {
        let Self { pools, bank, mut executor, clock } = self;
        bank.ignore_calls();
        executor.block_on(pools.drain(None)).expect("without a time-out it waits");
        pools.check().expect("the books are in order");
        let totals = pools.totals();
        assert_eq!((totals.tenants, totals.pools, totals.budgeted), (0, 0, 0));
        let callers = totals.usage.callers;
        assert_eq!((callers.in_use, callers.waiting), (0, 0));
        assert_eq!(callers.acquired, callers.released);
        drop((pools, executor));
        let factories: Vec<_> = bank.lock().factories.values().cloned().collect();
        for factory in factories {
            factory.ignore_calls();
            factory.assert_all_closed();
        }
        assert_eq!(clock.alarms(), 0, "alarms are left");
    }
}

pub(super) const fn per_tenant(max_pools: u32, pool_size: u32) -> Strategy {
    Strategy::PerTenant { max_pools, pool_size }
}

pub(super) const fn shared(size: u32) -> Strategy {
    Strategy::Shared { size }
}
