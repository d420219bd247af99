//! A factory whose jobs go as planned, or as badly as planned.

mod connection;
mod counts;
mod jobs;
mod plans;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use edgepool::{About, Begun, Event, Factory, Tried};

use crate::SimClock;
use connection::Fate;
pub use connection::{SimConnection, SimError};
use counts::Job;
pub use counts::{Counts, JobCounts};
use jobs::Outcome;
pub use jobs::{ClosingDown, Creating, Trying};
use plans::Plans;
pub use plans::{Closing, Creation, Defect, Defects, Hook, Odds, Trial};

/// A [`Factory`] on simulated time, which counts what it made and what became of it.
///
/// A clone is a handle to the same factory. Each creation goes as the next of the planned ones
/// ([`plan`](Self::plan)); after those, as the odds say ([`set_odds`](Self::set_odds)). So do
/// checks, resets, closings and the connections' own health, each with a plan and odds of its own.
/// At first they say that each succeeds at once.
///
/// It follows every connection to its end: [`assert_all_closed`](Self::assert_all_closed) tells
/// whether each was closed exactly once.
///
/// # Examples
/// ```
/// use edgepool::{AcquireError, Pool};
/// use edgepool_sim::{Creation, Executor, SimClock, SimError, SimFactory};
/// use std::time::Duration;
///
/// let clock = SimClock::new();
/// let factory = SimFactory::new(&clock, 1);
/// factory.plan([Creation::Fail(Duration::from_millis(5))]);
/// let pool = Pool::builder(factory.clone(), clock.clone()).max(1).build().unwrap();
///
/// Executor::new(&clock, 1).block_on(async move {
///     assert!(pool.acquire().await.is_err());
///     assert_eq!(pool.acquire().await.unwrap().id(), 2);
/// });
/// assert_eq!((factory.counts().failed, factory.counts().live), (1, 0));
/// factory.assert_all_closed();
/// ```
#[derive(Clone)]
pub struct SimFactory {
    clock: SimClock,
    state: Arc<Mutex<State>>,
}

struct State {
    plans: Plans,
    checks: bool,
    live: BTreeMap<u64, Fate>,
    counts: Counts,
    on_call: Option<OnCall>,
}

type OnCall = Arc<dyn Fn(Call) + Send + Sync>;

/// What is called of a [`SimFactory`], with the number of the creation or connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// A creation begins.
    Create(u64),
    /// A check begins.
    Check(u64),
    /// A reset begins.
    Reset(u64),
    /// A closing begins.
    Close(u64),
    /// A hook is called; for [`Hook::Observe`] the number is 0.
    Hook(Hook, u64),
}

/// Plans and odds.
impl SimFactory {
    /// Makes a factory whose jobs take their time from `clock` and their luck from `seed`.
    #[must_use]
    pub fn new(clock: &SimClock, seed: u64) -> Self {
        let state = State {
            plans: Plans::new(seed),
            checks: true,
            live: BTreeMap::new(),
            counts: Counts::default(),
            on_call: None,
        };
        Self { clock: clock.clone(), state: Arc::new(Mutex::new(state)) }
    }

    /// Appends to the plan: how the next creations go, one after the other.
    pub fn plan(&self, creations: impl IntoIterator<Item = Creation>) {
        self.lock().plans.creations.plan(creations);
    }

    /// Appends to the plan: how the next checks go.
    pub fn plan_checks(&self, checks: impl IntoIterator<Item = Trial>) {
        self.lock().plans.checks.plan(checks);
    }

    /// Appends to the plan: how the next resets go.
    pub fn plan_resets(&self, resets: impl IntoIterator<Item = Trial>) {
        self.lock().plans.resets.plan(resets);
    }

    /// Appends to the plan: how the next connections are closed.
    pub fn plan_closes(&self, closings: impl IntoIterator<Item = Closing>) {
        self.lock().plans.closings.plan(closings);
    }

    /// Appends to the plan: when the next connections that are made turn bad.
    pub fn plan_defects(&self, defects: impl IntoIterator<Item = Defect>) {
        self.lock().plans.defects.plan(defects);
    }

    /// Appends to the plan: after `well` more calls of the hook that go well, counted from the
    /// panic that was planned before, one panics.
    pub fn plan_hook_panic(&self, hook: Hook, well: u32) {
        self.lock().plans.plan_hook_panic(hook, well);
    }

    /// Sets how creations go that nothing was planned for.
    pub fn set_odds(&self, odds: Odds) {
        self.lock().plans.creations.odds = odds;
    }

    /// Sets how checks go that nothing was planned for.
    pub fn set_check_odds(&self, odds: Odds) {
        self.lock().plans.checks.odds = odds;
    }

    /// Sets how resets go that nothing was planned for.
    pub fn set_reset_odds(&self, odds: Odds) {
        self.lock().plans.resets.odds = odds;
    }

    /// Sets how connections are closed for which nothing was planned.
    pub fn set_close_odds(&self, odds: Odds) {
        self.lock().plans.closings.odds = odds;
    }

    /// Sets when connections turn bad for which nothing was planned.
    pub fn set_defects(&self, defects: Defects) {
        self.lock().plans.defects.odds = defects;
    }

    /// Sets how many of 1,000 calls of hooks panic that nothing was planned for.
    pub fn set_hook_odds(&self, panic: u32) {
        self.lock().plans.set_hook_odds(panic);
    }

    /// Forgets all plans and odds: from now on every job that begins succeeds at once.
    pub fn calm(&self) {
        self.lock().plans.clear();
    }

    /// Sets what [`Factory::checks`] says; at first, true. A pool asks for it when it is built.
    pub fn set_checks(&self, checks: bool) {
        self.lock().checks = checks;
    }

    /// Runs `call` in every call of the factory and its hooks, before what is planned for it. It
    /// may use the pool; if it owns the pool, [`ignore_calls`](Self::ignore_calls) frees it again.
    pub fn on_call(&self, call: impl Fn(Call) + Send + Sync + 'static) {
        let old = self.lock().on_call.replace(Arc::new(call));
        drop(old);
    }

    /// Ends [`on_call`](Self::on_call).
    pub fn ignore_calls(&self) {
        let old = self.lock().on_call.take();
        drop(old);
    }
}

/// What became of it all.
impl SimFactory {
    /// Tells what was made and what became of it.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Returns the numbers of the connections that exist, in order.
    #[must_use]
    pub fn live(&self) -> Vec<u64> {
        self.lock().live.keys().copied().collect()
    }

    /// Asserts that nothing is left of what was made, and that it ended as it should: every
    /// connection was given to [`close`](Factory::close), or was taken, or was lost in a job or a
    /// hook that went wrong, and no job is under way.
    ///
    /// # Panics
    /// If that does not hold, saying what is left.
    pub fn assert_all_closed(&self) {
        let (counts, live) = (self.counts(), self.live());
        assert!(live.is_empty(), "connections {live:?} are left: {counts:?}");
        assert_eq!(counts.under_way(), 0, "jobs are left: {counts:?}");
        assert_eq!(counts.unclosed, 0, "connections were not closed: {counts:?}");
        let ended = counts.closed + counts.taken + counts.lost;
        assert_eq!((counts.created, counts.dropped), (ended, ended), "{counts:?}");
    }

    /// Asserts that the observer was told of the end of each connection of whose creation it was
    /// told, as that of a drained pool is.
    ///
    /// # Panics
    /// If that does not hold, saying what was counted.
    pub fn assert_all_told(&self) {
        let counts = self.counts();
        assert_eq!(counts.told_created, counts.told_ended, "{counts:?}");
    }
}

/// What jobs and connections report.
impl SimFactory {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, call: Call) {
        let on_call = self.lock().on_call.clone();
        if let Some(on_call) = on_call {
            on_call(call);
        }
    }

    fn connect(&self, id: u64) -> SimConnection {
        let mut state = self.lock();
        let fresh = state.live.insert(id, Fate::Open).is_none();
        let defect = state.plans.defects.next(Defects::draw);
        let counts = &mut state.counts;
        counts.live += 1;
        counts.peak_live = counts.peak_live.max(counts.live);
        drop(state);
        assert!(fresh, "connection {id} is made once");
        SimConnection::new(self.clone(), id, self.clock.elapsed(), defect)
    }

    /// Runs a hook: what was set for all calls, and the panic that may be planned.
    fn called(&self, hook: Hook, id: u64) {
        self.tell(Call::Hook(hook, id));
        let mut state = self.lock();
        let panics = state.plans.hook_panics(hook);
        if panics {
            state.counts.hooks_panicked += 1;
            state.set_fate(id, Fate::Lost);
        }
        drop(state);
        assert!(!panics, "the hook {hook:?} panics, as planned");
    }

    fn try_out(
        &self,
        job: Job,
        connection: SimConnection,
        plan: Trial,
    ) -> Begun<Tried<SimConnection, SimError>, Trying> {
        let good = match plan {
            Trial::PassAtOnce => job == Job::Reset || !connection.is_broken(),
            Trial::FailAtOnce => false,
            Trial::PanicAtStart => {
                self.lock().counts.at_once(job, Outcome::Panicked);
                connection.set_lost();
                panic!("a {job:?} panics at its start, as planned");
            }
            _ => return Begun::Later(Trying::begin(job, connection, plan)),
        };
        let outcome = if good { Outcome::Passed } else { Outcome::Failed };
        self.lock().counts.at_once(job, outcome);
        Begun::Done(connection.judged(good))
    }
}

impl State {
    /// Notes what becomes of a connection. One that a pool closes is closed, though a hook lost it
    /// before or the closing after.
    fn set_fate(&mut self, id: u64, to: Fate) {
        match self.live.get_mut(&id) {
            Some(fate) if *fate == Fate::Open || to == Fate::Closed => *fate = to,
            _ => {}
        }
    }

    /// Counts a connection that is dropped.
    fn forget(&mut self, id: u64) {
        let counts = &mut self.counts;
        counts.live -= 1;
        counts.dropped += 1;
        match self.live.remove(&id) {
            Some(Fate::Closed) => counts.closed += 1,
            Some(Fate::Taken) => counts.taken += 1,
            Some(Fate::Lost) => counts.lost += 1,
            Some(Fate::Open) | None => counts.unclosed += 1,
        }
    }
}

impl Factory for SimFactory {
    type Connection = SimConnection;
    type Error = SimError;
    type Create = Creating;
    type Check = Trying;
    type Reset = Trying;
    type Close = ClosingDown;

    fn create(&self) -> Creating {
        let mut state = self.lock();
        let plan = state.plans.creations.next(Odds::creation);
        state.counts.started += 1;
        let id = state.counts.started;
        let panics = plan == Creation::PanicAtStart;
        state.counts.failed += u64::from(panics);
        drop(state);
        self.tell(Call::Create(id));
        assert!(!panics, "creation {id} panics at its start, as planned");
        Creating::begin(self, id, plan)
    }

    fn checks(&self) -> bool {
        self.lock().checks
    }

    fn check(&self, connection: SimConnection) -> Begun<Tried<SimConnection, SimError>, Trying> {
        self.tell(Call::Check(connection.id()));
        let plan = self.lock().plans.checks.next(Odds::trial);
        self.try_out(Job::Check, connection, plan)
    }

    fn reset(&self, connection: SimConnection) -> Begun<Tried<SimConnection, SimError>, Trying> {
        self.tell(Call::Reset(connection.id()));
        let plan = self.lock().plans.resets.next(Odds::trial);
        self.try_out(Job::Reset, connection, plan)
    }

    fn close(&self, connection: SimConnection) -> Begun<(), ClosingDown> {
        let mut state = self.lock();
        state.set_fate(connection.id(), Fate::Closed);
        let plan = state.plans.closings.next(Odds::closing);
        drop(state);
        self.tell(Call::Close(connection.id()));
        match plan {
            Closing::AtOnce => {
                self.lock().counts.at_once(Job::Close, Outcome::Passed);
                drop(connection);
                Begun::Done(())
            }
            Closing::PanicAtStart => {
                self.lock().counts.at_once(Job::Close, Outcome::Panicked);
                panic!("a closing panics at its start, as planned");
            }
            _ => Begun::Later(ClosingDown::begin(connection, plan)),
        }
    }

    fn after_create(&self, connection: &mut SimConnection, _: About<'_>) {
        self.called(Hook::AfterCreate, connection.id());
    }

    fn before_acquire(&self, connection: &mut SimConnection, _: About<'_>) {
        self.called(Hook::BeforeAcquire, connection.id());
    }

    fn after_release(&self, connection: &mut SimConnection, _: About<'_>) {
        self.called(Hook::AfterRelease, connection.id());
    }

    fn before_close(&self, connection: &mut SimConnection, _: About<'_>) {
        self.called(Hook::BeforeClose, connection.id());
    }

    fn observe(&self, event: &Event<'_>) {
        self.lock().counts.told(event);
        self.called(Hook::Observe, 0);
    }
}

impl fmt::Debug for SimFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimFactory").field(&self.counts()).finish()
    }
}
