//! One pool for a long time.

use std::collections::BTreeSet;
use std::time::Duration;

use edgepool::Stats;
use edgepool::ledger::Backoff;

use super::{Failure, Report, Run};
use crate::workload::TRACE;
use crate::{
    Arrivals, Case, Defects, Faults, Habits, Odds, PoolOptions, Rng, Trace, Workload, panics,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// One pool under random load for a long simulated time, with faults, outages, operators and a
/// clock that steps, checked at every step as a [`Case`] is. Once a simulated day nothing goes
/// wrong for a while, and it is seen whether all comes to a good end.
///
/// # Examples
/// ```
/// use edgepool_sim::Soak;
/// use std::time::Duration;
///
/// let soak = Soak { length: Duration::from_secs(3_600), ..Soak::of_seed(1) };
/// let report = soak.run(|_| {}).unwrap();
/// assert!(report.served > 100 && report.sim_time >= soak.length);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Soak {
    /// What everything is drawn from.
    pub seed: u64,
    /// How long it lasts at least.
    pub length: Duration,
    /// Whether jobs, hooks, wakers and predicates panic too.
    pub panics: bool,
}

/// How far a [`Soak`] is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// For how long the pool has been under load.
    pub sim_time: Duration,
    /// The steps that the executor took.
    pub steps: u64,
    /// Leases that callers had.
    pub served: u64,
    /// What the pool tells.
    pub stats: Stats,
}

impl Soak {
    /// A soak of 30 days without panics.
    #[must_use]
    pub const fn of_seed(seed: u64) -> Self {
        Self { seed, length: Duration::from_secs(30 * 86_400), panics: false }
    }

    /// Runs it, and tells of its progress after each simulated hour.
    ///
    /// # Errors
    /// What does not hold, with the last events before it. It cannot be made smaller: a soak is for
    /// what short runs do not show.
    pub fn run(&self, mut progress: impl FnMut(&Progress)) -> Result<Report, Box<Failure>> {
        let mut rng = Rng::new(self.seed);
        let workload = self.workload(&mut rng);
        let case = Case { callers: Vec::new(), acts: Vec::new(), ..workload.case(self.seed) };
        let case = Case { luck: Default::default(), faults: workload.faults, ..case };
        let trace = Trace::with_tail(60);
        let mut run = Run::new(&case, trace, None).expect("the options are good");
        run.executor.set_step_limit(u64::MAX);
        let (outcome, _) = panics::listen(|| {
            let mut hours = 0_u64;
            while run.world.clock.elapsed() < self.length {
                self.hour(&mut run, &workload, &mut rng);
                hours += 1;
                if hours.is_multiple_of(24) {
                    run.without_faults();
                }
                progress(&run.progress());
            }
            run.without_faults();
            run.end();
        });
        if let Err(what) = outcome {
            let (at, trace) = (run.world.clock.elapsed(), run.world.log.take());
            std::mem::forget(run);
            let command = self.command();
            let what =
                format!("{what} (in the soak of seed {}, after {at:?})\n{command}", self.seed);
            return Err(Box::new(Failure { what, case, trace, watch: None }));
        }
        Ok(run.report().0)
    }

    /// Says how it is run again. As it is drawn hour by hour, one that lasts longer begins the same.
    fn command(&self) -> String {
        let days = self.length.as_secs().div_ceil(86_400);
        let panics = if self.panics { " --panics" } else { "" };
        format!("replay it with: {TRACE} --soak-days {days} --from {}{panics}", self.seed)
    }

    /// One hour of load, with a mishap or an outage of its own.
    fn hour(&self, run: &mut Run, workload: &Workload, rng: &mut Rng) {
        let live: BTreeSet<u64> = run.factory.live().into_iter().collect();
        run.world.forget_all_but(&live);
        let outage = rng.chance(50);
        let creations = Odds { fail: if outage { 900 } else { 50 }, ..workload.creations.clone() };
        run.factory.set_odds(creations);
        run.factory.set_check_odds(workload.checks.clone());
        run.factory.set_reset_odds(workload.resets.clone());
        run.factory.set_close_odds(workload.closings.clone());
        run.factory.set_defects(workload.defects.clone());
        run.factory.set_hook_odds(u32::from(self.panics));
        run.executor.set_faults(workload.faults);
        let Case { callers, acts, .. } = workload.case(rng.next_u64());
        run.add(&callers, &acts);
        let until = run.world.clock.elapsed() + HOUR;
        while run.step_until(until).is_some() {}
        run.all_done();
        run.advance(until.saturating_sub(run.world.clock.elapsed()));
    }

    /// The load of one hour.
    fn workload(&self, rng: &mut Rng) -> Workload {
        let odds = |latency| Odds {
            latency: Duration::ZERO..=latency,
            at_once: 300,
            fail: 30,
            hang: 5,
            panic: 0,
        };
        let calm = Workload::calm(rng.within(300..=600) as u32);
        let workload = Workload {
            pool: options(),
            arrivals: Arrivals::Random(SECOND * 8),
            hold: Duration::ZERO..=SECOND * 20,
            patience: Duration::ZERO..=SECOND * 10,
            habits: habits(),
            creations: odds(SECOND * 5),
            checks: odds(SECOND),
            resets: odds(SECOND),
            closings: odds(SECOND),
            defects: Defects { at_use: 20, uses: 1..=100, after: 50, times: SECOND..=HOUR },
            reentrant_calls: true,
            faults: Faults {
                spurious_poll: 10,
                late_poll: 20,
                late_by: SECOND,
                stall: 2,
                stall_for: SECOND * 60,
                cancel: 5,
            },
            operations: 12,
            clock_faults: 6,
            within: HOUR,
            look: 100,
            driver: rng.chance(500),
            ..calm
        };
        if self.panics { workload.with_panics() } else { workload }
    }
}

fn habits() -> Habits {
    Habits {
        try_acquire: 50,
        many: 30,
        priority: 200,
        timeout: 100,
        give_up: 100,
        look_away: 50,
        // A wait that is leaked is memory that is leaked.
        leak: 0,
        orphan: 20,
        reentrant_waker: 100,
        panicking_waker: 0,
        dropped: 50,
        release: 300,
        discard: 30,
        take: 10,
    }
}

/// What a pool has that nobody tuned, but for its size.
fn options() -> PoolOptions {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    PoolOptions {
        max: 4,
        min_idle: 2,
        max_waiting: 50,
        acquire_timeout: seconds(30),
        create_timeout: seconds(10),
        check_timeout: seconds(5),
        reset_timeout: seconds(5),
        close_timeout: seconds(5),
        offer_timeout: seconds(5),
        idle_timeout: seconds(300),
        max_lifetime: seconds(1_800),
        lifetime_jitter: 10,
        max_uses: Some(1_000),
        check_after: seconds(1),
        check_interval: seconds(30),
        max_checks: 1,
        backoff: Some(Backoff { base: Duration::from_millis(100), cap: SECOND * 30 }),
        breaker: Some(5),
        ageing: seconds(5),
        long_hold: seconds(60),
        times: true,
        ..PoolOptions::default()
    }
}

impl Run {
    fn progress(&self) -> Progress {
        Progress {
            sim_time: self.world.clock.elapsed(),
            steps: self.executor.steps(),
            served: self.world.served.get(),
            stats: self.pool().stats(),
        }
    }
}
