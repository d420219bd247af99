//! One run of a case.

mod acts;
mod caller;
mod checks;
mod failure;
mod soak;
#[cfg(test)]
mod tests;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use edgepool::{CheckOnAcquire, Clock, OptionsError, Pool, Stats, Time};

use crate::{
    Act, Caller, Case, Ending, Executor, Faults, Luck, PoolOptions, Rng, SimClock, SimFactory,
    Step, Task, TaskId, Trace, panics,
};
use acts::Operator;
use caller::{call, drive, obtain, reenter};
pub use checks::View;
use checks::{Bound, settled};
pub use failure::Failure;
pub use soak::{Progress, Soak};
use world::{EXECUTOR, SimPool, World};

/// The most steps that a run takes; it needs some thousands, unless it is a livelock.
const STEP_LIMIT: u64 = 200_000;

/// What a run did. Two runs of the same case have the same report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The hash of the trace; see [`Trace`].
    pub hash: u64,
    /// The events of the trace.
    pub events: u64,
    /// The steps that the executor took.
    pub steps: u64,
    /// The time that passed on the simulated clock.
    pub sim_time: Duration,
    /// Leases that the callers had.
    pub served: u64,
}

/// What a run is watched by.
type Watch = dyn Fn(&View<'_>) -> Result<(), String>;

impl Case {
    /// Runs it.
    ///
    /// # Panics
    /// If anything that is checked does not hold (see [`check`](Self::check)).
    pub fn run(&self) -> Report {
        self.check().unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// Runs it, and tells what does not hold.
    ///
    /// # What is checked
    ///
    /// After every step: the invariants of the pool's ledger
    /// ([`Pool::check`](edgepool::Pool::check)), and that nothing panicked that was not planned to,
    /// not even where the pool catches it.
    ///
    /// After some ([`look`](Self::look)): that the pool counts exactly the leases that callers hold;
    /// that exactly the connections exist that it knows of or that were taken out; and that with the
    /// creations under way they are no more than `max`, or fall to it after it was lowered.
    ///
    /// Of every outcome: that no caller times out before its time; that no connection is lent to
    /// two; nor after it was discarded, taken, rejected or invalidated; nor more often than it may
    /// be; nor broken when it had to be checked. Of tenants: that none has more than it was ever
    /// allowed to have. When every task sleeps: that no job stands still beside a caller that waits.
    ///
    /// At the end, without faults: every caller ends; nobody waits and nothing is in use; all `max`
    /// places can be had at once; left alone with a driver, the pool keeps `min_idle` ready, and no
    /// more once the idle timeout has passed; and after the pool has ended, every connection was
    /// closed exactly once, and no job and no alarm is left.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self) -> Result<Report, Box<Failure>> {
        self.check_traced(Trace::new()).map(|(report, _)| report)
    }

    /// Runs it like [`check`](Self::check), into a trace of the caller's, perhaps one that keeps a
    /// log.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check_traced(&self, trace: Trace) -> Result<(Report, Trace), Box<Failure>> {
        self.check_watched(trace, None)
    }

    /// Runs it like [`check`](Self::check), and asks `watch` after every step too.
    ///
    /// # Examples
    /// ```
    /// use edgepool_sim::Workload;
    ///
    /// let failure = Workload::from_seed(1).case(2).check_with(|view| {
    ///     let in_use = view.stats.gauges.in_use;
    ///     if in_use < 2 { Ok(()) } else { Err(format!("{in_use} are in use")) }
    /// });
    /// let small = failure.unwrap_err().shrink(2_000);
    /// assert!(small.case().callers.len() <= 2, "{small}");
    /// ```
    ///
    /// # Errors
    /// What does not hold, or what `watch` says.
    pub fn check_with(
        &self,
        watch: impl Fn(&View<'_>) -> Result<(), String> + 'static,
    ) -> Result<Report, Box<Failure>> {
        self.check_watched(Trace::new(), Some(Rc::new(watch))).map(|(report, _)| report)
    }

    fn check_watched(
        &self,
        trace: Trace,
        watch: Option<Rc<Watch>>,
    ) -> Result<(Report, Trace), Box<Failure>> {
        let failure = |what, trace| {
            Box::new(Failure { what, case: self.clone(), trace, watch: watch.clone() })
        };
        let mut run = match Run::new(self, trace, watch.clone()) {
            Ok(run) => run,
            Err(error) => return Err(failure(format!("the options: {error}"), Trace::new())),
        };
        let (outcome, _) = panics::listen(|| {
            run.with_faults();
            run.without_faults();
            run.end();
        });
        let log = run.world.log.clone();
        match outcome {
            Ok(()) => Ok(run.report()),
            Err(what) => {
                // What is left of the run may be in any state, and its drop must not hide the cause.
                std::mem::forget(run);
                Err(failure(what, log.take()))
            }
        }
    }
}

struct Run {
    rng: Rng,
    world: Rc<World>,
    factory: SimFactory,
    /// `None` once it was dropped.
    pool: Option<SimPool>,
    executor: Executor,
    watch: Option<Rc<Watch>>,
    bound: Bound,
    faulty_steps: u32,
    look: u32,
    ending: Ending,
    /// The callers that have not ended, as far as is known.
    callers: Vec<Task<()>>,
    driver: Option<TaskId>,
    /// Whoever else must not go on when all is to be calm.
    operators: Vec<TaskId>,
}

/// The faulty part.
impl Run {
    fn new(case: &Case, trace: Trace, watch: Option<Rc<Watch>>) -> Result<Self, OptionsError> {
        let start = u64::try_from(case.start.as_nanos()).unwrap_or(u64::MAX);
        let clock = SimClock::starting_at(Time::from_nanos(start));
        let mut rng = Rng::new(case.seed);
        let factory = SimFactory::new(&clock, rng.next_u64());
        let pool = build(&case.pool, rng.next_u64(), &factory, &clock)?;
        let world = Rc::new(World::new(case, clock.clone(), trace));
        world.open_tenants(&pool)?;
        plan(&case.luck, &factory, &pool, &world);
        let mut executor = Executor::new(&clock, rng.next_u64());
        executor.set_faults(case.faults);
        executor.set_step_limit(STEP_LIMIT);
        let mut run = Self {
            rng,
            world,
            factory,
            pool: Some(pool),
            executor,
            watch,
            bound: Bound::default(),
            faulty_steps: case.faulty_steps,
            look: case.look,
            ending: case.ending.clone(),
            callers: Vec::new(),
            driver: None,
            operators: Vec::new(),
        };
        run.add(&case.callers, &case.acts);
        if case.driver {
            run.start_driver();
        }
        Ok(run)
    }

    /// Adds callers and acts from now on.
    fn add(&mut self, callers: &[Caller], acts: &[Act]) {
        let spawner = self.executor.spawner();
        for (actor, caller) in callers.iter().enumerate() {
            let (world, pool) = (self.world.clone(), self.pool().clone());
            let future = call(world, pool, actor as u64, caller.clone());
            self.callers.push(match caller.cancellable {
                true => spawner.spawn_cancellable(future),
                false => spawner.spawn(future),
            });
        }
        if acts.is_empty() {
            return;
        }
        let (world, factory) = (self.world.clone(), self.factory.clone());
        let operator = Operator { world, factory, pool: self.pool().clone(), spawner };
        let mut acts = acts.to_vec();
        acts.sort_by_key(|act| act.at);
        let work = operator.work(self.world.clock.elapsed(), acts);
        self.operators.push(self.executor.spawn(work).id());
    }

    fn pool(&self) -> &SimPool {
        self.pool.as_ref().expect("the pool is there until the end")
    }

    fn start_driver(&mut self) {
        self.driver = Some(self.executor.spawn(drive(self.pool().clone())).id());
    }

    /// Safety: with everything going wrong that is meant to, every check holds after every step.
    fn with_faults(&mut self) {
        for _ in 0..self.faulty_steps {
            if self.all_done() || self.step().is_none() {
                break;
            }
        }
    }

    fn all_done(&mut self) -> bool {
        while self.callers.last().is_some_and(Task::is_done) {
            self.callers.pop();
        }
        self.callers.is_empty()
    }

    /// Takes a step and checks. Returns `None` if there is nothing to do.
    fn step(&mut self) -> Option<Step> {
        self.step_until(Duration::MAX)
    }

    fn step_until(&mut self, until: Duration) -> Option<Step> {
        let stepped = catch_unwind(AssertUnwindSafe(|| self.executor.step_until(until)));
        let step = match stepped {
            Ok(step) => step?,
            // A waker panicked that the clock woke; what else it does not concern goes on.
            Err(panic) if panics::is_planned(&*panic) => return self.step_until(until),
            Err(panic) => resume_unwind(panic),
        };
        let (name, value) = match step {
            Step::Polled { task, done: false } => ("polls", task.number()),
            Step::Polled { task, done: true } => ("polls to its end", task.number()),
            Step::Delayed(task) => ("delays", task.number()),
            Step::Stalled(task) => ("stalls", task.number()),
            Step::Cancelled(task) => ("cancels", task.number()),
            Step::Slept(duration) => ("sleeps", duration.as_nanos() as u64),
        };
        self.world.record(EXECUTOR, name, value);
        if !self.executor.has_ready() {
            self.check_progress();
        }
        if self.rng.chance(self.look) {
            self.check();
        } else {
            self.check_books();
        }
        self.check_watch();
        Some(step)
    }
}

/// The calm part.
impl Run {
    /// Liveness: once nothing goes wrong any more, every caller ends, and every place can be had.
    fn without_faults(&mut self) {
        self.executor.set_faults(Faults::default());
        self.factory.calm();
        self.world.clock.thaw();
        self.world.clock.set_rate(1_000);
        for operator in std::mem::take(&mut self.operators) {
            self.executor.cancel(operator);
        }
        self.pool().resume();
        self.finish_callers();
        self.outlast_leaks();
        self.check();
        assert_eq!(self.pool().stats().gauges.in_use, 0, "leases are left");
        if !self.pool().is_closed() {
            self.obtain_all();
            self.come_to_rest();
        }
        // Until then, a wait that was left to its waker may wait for a job that nobody polled.
        let gauges = self.pool().stats().gauges;
        assert_eq!(gauges.pending, 0, "callers are left: {gauges:?}");
        self.world.check_idle_tenants();
    }

    fn finish_callers(&mut self) {
        while !self.all_done() {
            let goes_on = self.step().is_some() || self.outlast_leaks();
            assert!(goes_on, "callers wait for ever: {:?}", self.pool().stats());
        }
    }

    /// Lets the time of those waits pass that were leaked, and the pool see that. Returns whether
    /// that may have changed anything.
    fn outlast_leaks(&mut self) -> bool {
        if !self.has_leaked() {
            return false;
        }
        let left = self.world.leaked_until.get().saturating_since(self.world.clock.now());
        if !left.is_zero() {
            self.pass(left + Duration::from_nanos(1));
        }
        self.pool().stats();
        !left.is_zero() || self.executor.has_ready()
    }

    fn has_leaked(&self) -> bool {
        self.world.leaked_until.get() > Time::ZERO
    }

    fn obtain_all(&mut self) {
        let max = self.pool().stats().gauges.max;
        let getters: Vec<_> = (0..max)
            .map(|_| self.executor.spawn(obtain(self.world.clone(), self.pool().clone())))
            .collect();
        let mut leases = Vec::new();
        while leases.len() < getters.len() {
            let stepped = self.step();
            assert!(stepped.is_some(), "not every place can be had: {:?}", self.pool().stats());
            leases.extend(getters.iter().filter_map(Task::take));
        }
        self.world.held.set(0);
        drop(leases);
        self.check();
    }

    /// Left alone with a driver, a pool keeps ready what it should, and in time no more.
    fn come_to_rest(&mut self) {
        // Left alone by the factory too: who keeps using a connection keeps it from being idle.
        let log = self.world.log.clone();
        self.factory.on_call(move |call| log.record_call(call));
        // One that was there may be late: the clock was stepped forward while it slept.
        if let Some(driver) = self.driver.take() {
            self.executor.cancel(driver);
        }
        self.start_driver();
        while self.executor.delayed() > 0 && self.step().is_some() {}
        let PoolOptions { idle_timeout, max_lifetime, backoff, .. } = self.world.pool;
        let retry = backoff.map_or(Duration::ZERO, |backoff| backoff.cap);
        // A pool's time does not go back: after a step back it stands still for a while.
        let clock = &self.world.clock;
        let behind = clock.latest().saturating_since(clock.now());
        let rest = Duration::from_millis(100) + retry + idle_timeout.unwrap_or_default() * 2;
        self.pass(behind + rest);
        let Stats { gauges, counters, .. } = settled(self.pool());
        let kept = self.world.min_idle.get();
        // Without a back-off, nothing is tried again for `min_idle` after a failure.
        let failed = counters.create_failed + counters.create_abandoned > 0;
        let may_lack = failed && backoff.is_none();
        assert!(gauges.idle >= kept || may_lack, "less than min_idle is ready: {gauges:?}");
        let may_shrink = idle_timeout.is_some() && max_lifetime.is_none();
        assert!(!may_shrink || gauges.idle <= kept, "more than min_idle is kept: {gauges:?}");
    }

    /// Lets so much time pass, whether anyone waits for it or not.
    fn pass(&mut self, duration: Duration) {
        let until = self.world.clock.elapsed().saturating_add(duration);
        while self.step_until(until).is_some() {}
        self.advance(until.saturating_sub(self.world.clock.elapsed()));
    }

    /// Lets the time pass at once. The wakers of the alarms that ring for it may panic.
    fn advance(&self, duration: Duration) {
        let clock = &self.world.clock;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| clock.advance(duration)))
            && !panics::is_planned(&*panic)
        {
            resume_unwind(panic);
        }
    }

    /// After the pool has ended, nothing is left of it.
    fn end(&mut self) {
        self.factory.ignore_calls();
        // A wait that was leaked has a handle of the pool, so that dropping the others ends nothing.
        match self.ending {
            Ending::DropPool if !self.has_leaked() => self.pool = None,
            Ending::Drain => {}
            Ending::Close | Ending::DropPool => self.pool().close(),
        }
        let drained = self.pool.take();
        if let Some(pool) = &drained {
            self.drain(pool);
        }
        let is_drained = drained.is_some();
        drop(drained);
        self.world.let_tenants_go();
        while self.executor.step().is_some() {}
        assert_eq!(self.executor.tasks(), 0, "tasks are left");
        self.factory.assert_all_closed();
        if is_drained {
            self.factory.assert_all_told();
        }
        // What was leaked keeps its alarm until that has rung.
        while self.has_leaked()
            && let Some(wait) = self.world.clock.until_next_alarm()
        {
            self.advance(wait);
        }
        assert_eq!(self.world.clock.alarms(), 0, "alarms are left");
    }

    fn drain(&mut self, pool: &SimPool) {
        let drained = self.executor.spawn(pool.drain(None));
        while !drained.is_done() {
            let stepped = self.executor.step();
            assert!(stepped.is_some(), "it does not drain: {:?}", pool.stats());
            pool.check().unwrap_or_else(|violation| panic!("{violation}"));
        }
        let gauges = pool.stats().gauges;
        assert_eq!((gauges.size, gauges.pending), (0, 0), "it drained, and is not empty");
        assert_eq!(self.world.taken.get(), 0);
    }

    fn report(self) -> (Report, Trace) {
        let trace = self.world.log.take();
        let report = Report {
            hash: trace.hash(),
            events: trace.events(),
            steps: self.executor.steps(),
            sim_time: self.world.clock.elapsed(),
            served: self.world.served.get(),
        };
        (report, trace)
    }
}

fn build(
    options: &PoolOptions,
    seed: u64,
    factory: &SimFactory,
    clock: &SimClock,
) -> Result<SimPool, OptionsError> {
    let check_on_acquire = match options.check_after {
        None => CheckOnAcquire::Never,
        Some(Duration::ZERO) => CheckOnAcquire::Always,
        Some(after) => CheckOnAcquire::IdleFor(after),
    };
    Pool::builder(factory.clone(), clock.clone())
        .max(options.max)
        .min_idle(options.min_idle)
        .max_waiting(options.max_waiting)
        .acquire_timeout(options.acquire_timeout)
        .create_timeout(options.create_timeout)
        .check_timeout(options.check_timeout)
        .reset_timeout(options.reset_timeout)
        .close_timeout(options.close_timeout)
        .offer_timeout(options.offer_timeout)
        .idle_timeout(options.idle_timeout)
        .max_lifetime(options.max_lifetime)
        .lifetime_jitter(options.lifetime_jitter)
        .max_uses(options.max_uses)
        .check_on_acquire(check_on_acquire)
        .check_interval(options.check_interval)
        .max_checks(options.max_checks)
        .reuse(options.reuse)
        .backoff(options.backoff)
        .breaker(options.breaker)
        .ageing(options.ageing)
        .long_hold(options.long_hold)
        .slow_acquire(None)
        .wait_times(options.times)
        .hold_times(options.times)
        .capture_holders(options.times)
        .seed(seed)
        .build()
}

/// Tells the factory how its jobs go, and what to do when it is called.
fn plan(luck: &Luck, factory: &SimFactory, pool: &SimPool, world: &World) {
    factory.plan(luck.creations.iter().copied());
    factory.plan_checks(luck.checks.iter().copied());
    factory.plan_resets(luck.resets.iter().copied());
    factory.plan_closes(luck.closings.iter().copied());
    factory.plan_defects(luck.defects.iter().copied());
    for &(hook, well) in &luck.hook_panics {
        factory.plan_hook_panic(hook, well);
    }
    let log = world.log.clone();
    if luck.reentrant_calls {
        let reenter = reenter(pool.clone());
        factory.on_call(move |call| {
            log.record_call(call);
            reenter();
        });
    } else {
        factory.on_call(move |call| log.record_call(call));
    }
}
