//! One run of a workload.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use edgepool::Pool;

use super::Workload;
use super::caller::{SimLease, SimPool, World, call};
use crate::{Counts, Executor, Faults, Odds, Rng, SimClock, SimFactory, Step, Task, Trace};

/// For how many steps things go wrong, before it is seen whether all comes to a good end.
const FAULTY_STEPS: u32 = 2_000;
/// The actor of what no caller does.
const EXECUTOR: u64 = u64::MAX;

/// What a run did. Two runs of the same workload and seed have the same report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
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

impl Workload {
    /// Runs it with the choices of `seed`.
    ///
    /// # Panics
    /// If anything that is checked does not hold (see [`Workload`]), naming the seed and the
    /// command that replays the workload that [`from_seed`](Self::from_seed) draws for it.
    pub fn run(&self, seed: u64) -> Report {
        self.run_traced(seed, Trace::new()).0
    }

    /// Runs it like [`run`](Self::run), into a trace of the caller's, perhaps one that keeps a log.
    ///
    /// # Panics
    /// As [`run`](Self::run) does; the log is written to standard error then.
    pub fn run_traced(&self, seed: u64, trace: Trace) -> (Report, Trace) {
        let mut run = Run::new(self, seed, trace);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            run.with_faults();
            run.without_faults();
            run.close();
        }));
        let Err(panic) = outcome else { return run.report() };
        let what = panic.downcast_ref::<String>().map(String::as_str);
        let what = what.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        let log = run.world.trace.borrow().to_string();
        // What is left of the run may be in any state, and its drop must not hide the cause.
        std::mem::forget(run);
        panic!(
            "{log}seed {seed} fails: {what}\n  {self:?}\nreplay it with: \
             cargo run -q -p edgepool-sim --example trace -- --replay {seed}"
        );
    }
}

struct Run {
    seed: u64,
    rng: Rng,
    world: Rc<World>,
    factory: SimFactory,
    pool: SimPool,
    executor: Executor,
}

impl Run {
    fn new(workload: &Workload, seed: u64, trace: Trace) -> Self {
        let clock = SimClock::new();
        let mut rng = Rng::new(seed);
        let factory = SimFactory::new(&clock, rng.next_u64());
        factory.set_odds(workload.odds.clone());
        let pool = Pool::builder(factory.clone(), clock.clone())
            .max(workload.max)
            .max_waiting(workload.max_waiting)
            .acquire_timeout(workload.acquire_timeout)
            .create_timeout(workload.create_timeout)
            .build()
            .unwrap_or_else(|error| panic!("the workload's options: {error}"));
        let mut executor = Executor::new(&clock, rng.next_u64());
        executor.set_faults(workload.faults);
        let world = Rc::new(World {
            workload: workload.clone(),
            clock,
            trace: RefCell::new(trace),
            held: Cell::new(0),
            taken: Cell::new(0),
            waits: Cell::new(0),
            away: Cell::new(0),
            served: Cell::new(0),
            gone: RefCell::default(),
            skipped: Cell::default(),
        });
        Self { seed, rng, world, factory, pool, executor }
    }

    /// Safety: with everything going wrong that is meant to, every check holds after every step.
    fn with_faults(&mut self) {
        let callers = u64::from(self.world.workload.callers);
        (0..callers).for_each(|actor| self.spawn(actor, actor % 3 > 0));
        let mut newcomers = callers..callers * 4;
        for _ in 0..FAULTY_STEPS {
            match self.step() {
                None => break,
                // Another one comes in its place, so that there is always work.
                Some(Step::Cancelled(_)) => {
                    newcomers.next().into_iter().for_each(|actor| self.spawn(actor, true));
                }
                Some(_) => {}
            }
            self.disturb_clock();
            let close_after = self.world.workload.close_after;
            if close_after.is_some_and(|after| self.world.clock.elapsed() >= after) {
                self.pool.close();
                self.check();
            }
        }
    }

    fn spawn(&mut self, actor: u64, cancellable: bool) {
        let caller = call(self.world.clone(), self.pool.clone(), actor, self.rng.fork());
        let spawner = self.executor.spawner();
        match cancellable {
            true => drop(spawner.spawn_cancellable(caller)),
            false => drop(spawner.spawn(caller)),
        }
    }

    /// Liveness: once nothing goes wrong any more, every caller ends, and every place can be had.
    fn without_faults(&mut self) {
        self.executor.set_faults(Faults::default());
        self.factory.set_odds(Odds::NONE);
        self.world.clock.thaw();
        while self.step().is_some() {}
        assert_eq!(self.executor.tasks(), 0, "callers wait for ever: {:?}", self.pool.stats());
        let gauges = self.pool.stats().gauges;
        assert_eq!((gauges.waiting, gauges.offered, gauges.in_use), (0, 0, 0), "{gauges:?}");
        if !self.pool.is_closed() {
            self.obtain_all();
        }
    }

    fn obtain_all(&mut self) {
        let max = self.world.workload.max;
        let getters: Vec<_> = (0..max)
            .map(|_| self.executor.spawn(obtain(self.world.clone(), self.pool.clone())))
            .collect();
        while self.step().is_some() {}
        let leases: Vec<_> = getters.iter().filter_map(Task::take).collect();
        assert_eq!(leases.len(), max as usize, "not every place can be had");
        self.world.held.set(0);
        drop(leases);
        self.check();
        assert_eq!(self.pool.stats().gauges.idle, max);
    }

    /// After the pool has closed, nothing is left of it.
    fn close(&self) {
        self.pool.close();
        self.check();
        let stats = self.pool.stats();
        assert_eq!((stats.gauges.size, stats.gauges.waiting), (0, 0), "{stats:?}");
        let made = self.factory.counts();
        assert_eq!((made.live, made.creating), (0, 0), "{made:?}");
        assert_eq!((made.created, made.started), (made.dropped, ended(&made)), "{made:?}");
        assert_eq!(self.world.clock.alarms(), 0);
    }

    /// Takes a step and checks. Returns `None` if there is nothing to do.
    fn step(&mut self) -> Option<Step> {
        let step = self.executor.step()?;
        let (name, value) = match step {
            Step::Polled { task, done } => ("polled", task.number() * 2 + u64::from(done)),
            Step::Delayed(task) => ("delayed", task.number()),
            Step::Cancelled(task) => ("cancelled", task.number()),
            Step::Slept(duration) => ("slept", duration.as_nanos() as u64),
        };
        self.world.record(EXECUTOR, name, value);
        if matches!(step, Step::Slept(_)) {
            self.check_progress();
        }
        self.pool.check().unwrap_or_else(|violation| panic!("{violation}"));
        if self.rng.chance(self.world.workload.look) {
            self.check();
        }
        Some(step)
    }

    /// When all tasks sleep, those that wait have begun whatever they wait for.
    fn check_progress(&self) {
        let (waits, away) = (self.world.waits.get(), self.world.away.get());
        let unpolled = self.factory.counts().unpolled;
        assert!(
            waits == 0 || away > 0 || self.executor.delayed() > 0 || unpolled == 0,
            "{waits} wait while {unpolled} creations stand still: nobody was woken for them"
        );
    }

    /// Compares the pool's gauges with what its callers hold. To ask for them is an operation: the
    /// first one settles what is overdue, of which creations may end, and the second one looks.
    fn check(&self) {
        self.pool.stats();
        let gauges = self.pool.stats().gauges;
        let (held, taken) = (self.world.held.get(), self.world.taken.get());
        assert_eq!(u64::from(gauges.in_use), held, "leases: {gauges:?}");
        let made = self.factory.counts();
        let known = u64::from(gauges.idle + gauges.offered + gauges.in_use);
        assert_eq!(made.live, known + taken, "connections: {made:?}, taken {taken}, {gauges:?}");
        let used = made.live - taken + u64::from(gauges.creating);
        assert!(used <= u64::from(gauges.max), "{made:?}, taken {taken}, {gauges:?}");
        self.pool.check().unwrap_or_else(|violation| panic!("{violation}"));
    }

    fn disturb_clock(&mut self) {
        if !self.rng.chance(self.world.workload.clock_faults) {
            return;
        }
        let clock = &self.world.clock;
        let by = self.rng.duration(Duration::ZERO..=self.world.workload.clock_step);
        let name = match self.rng.below(4) {
            0 => {
                clock.step_back(by);
                "clock steps back"
            }
            1 => {
                clock.step_forward(by);
                self.world.skipped.set(self.world.skipped.get() + by);
                "clock steps forward"
            }
            2 => {
                clock.freeze();
                "clock stands still"
            }
            _ => {
                clock.thaw();
                "clock goes on"
            }
        };
        self.world.record(EXECUTOR, name, by.as_nanos() as u64);
    }

    fn report(self) -> (Report, Trace) {
        let trace = self.world.trace.replace(Trace::new());
        let report = Report {
            seed: self.seed,
            hash: trace.hash(),
            events: trace.events(),
            steps: self.executor.steps(),
            sim_time: self.world.clock.elapsed(),
            served: self.world.served.get(),
        };
        (report, trace)
    }
}

/// Gets a connection. A creation that was begun to fail may still be in the way, so a failure is
/// tried again.
async fn obtain(world: Rc<World>, pool: SimPool) -> SimLease {
    loop {
        if let Ok(lease) = pool.acquire().timeout(None).await {
            world.held.set(world.held.get() + 1);
            return lease;
        }
    }
}

const fn ended(made: &Counts) -> u64 {
    made.created + made.failed + made.abandoned
}
