//! How workloads and cases are drawn.

use std::ops::RangeInclusive;
use std::time::Duration;

use edgepool::ledger::{Backoff, Priority, Reuse, Share};

use super::{Arrivals, Habits, Workload};
use crate::{
    Act, Action, Ask, Caller, Case, Defects, Ending, Faults, Hook, Luck, Odds, Parting,
    PoolOptions, Rng, Round, Wait, Waking,
};

const fn millis(from: u64, to: u64) -> RangeInclusive<Duration> {
    Duration::from_millis(from)..=Duration::from_millis(to)
}

/// Draws a value, and gives it in so many of 1,000 cases.
fn perhaps<T>(rng: &mut Rng, per_mille: u32, draw: impl FnOnce(&mut Rng) -> T) -> Option<T> {
    let drawn = draw(rng);
    rng.chance(per_mille).then_some(drawn)
}

fn up_to(rng: &mut Rng, range: RangeInclusive<Duration>) -> RangeInclusive<Duration> {
    Duration::ZERO..=rng.duration(range)
}

/// Draws a number below `most` in so many of 1,000 cases, and else 0.
fn at_times(rng: &mut Rng, per_mille: u32, most: u64) -> u32 {
    perhaps(rng, per_mille, |rng| rng.below(most) as u32).unwrap_or(0)
}

pub(super) fn workload(rng: &mut Rng) -> Workload {
    let callers = rng.within(2..=12) as u32;
    let mut workload = Workload {
        pool: pool(rng, callers),
        callers,
        arrivals: arrivals(rng),
        rounds: rng.within(2..=12) as u32,
        pause: up_to(rng, millis(0, 200)),
        hold: up_to(rng, millis(0, 100)),
        patience: up_to(rng, millis(0, 100)),
        habits: habits(rng),
        creations: odds(rng, 50),
        checks: odds(rng, 20),
        resets: odds(rng, 20),
        closings: odds(rng, 20),
        defects: Defects {
            at_use: at_times(rng, 500, 300),
            uses: 1..=rng.within(1..=10),
            after: at_times(rng, 500, 300),
            times: up_to(rng, millis(0, 500)),
        },
        hook_panics: 0,
        reentrant_calls: rng.chance(200),
        faults: faults(rng),
        operations: at_times(rng, 500, 12),
        clock_faults: at_times(rng, 500, 12),
        within: rng.duration(millis(1, 1_500)),
        close_after: perhaps(rng, 250, |rng| rng.duration(millis(0, 1_000))),
        look: [1_000, 100, 0][rng.index(3)],
        driver: rng.chance(300),
        careless: rng.chance(300),
    };
    workload.pool.tenants = perhaps(rng, 400, |rng| tenants(rng, &workload)).unwrap_or_default();
    workload
}

fn tenants(rng: &mut Rng, workload: &Workload) -> Vec<Share> {
    (0..rng.within(1..=4)).map(|_| share(rng, workload)).collect()
}

fn share(rng: &mut Rng, workload: &Workload) -> Share {
    let max = u64::from(workload.pool.max);
    Share {
        weight: rng.within(1..=4) as u32,
        max: perhaps(rng, 400, |rng| rng.within(1..=max) as u32),
        max_waiting: perhaps(rng, 200, |rng| rng.below(workload.callers.into()) as u32),
    }
}

fn pool(rng: &mut Rng, callers: u32) -> PoolOptions {
    let max = rng.within(1..=4) as u32;
    let max_lifetime = perhaps(rng, 400, |rng| rng.duration(millis(20, 500)));
    let shorter = |rng: &mut Rng, most| {
        let most = Duration::from_millis(most).min(max_lifetime.unwrap_or(Duration::MAX));
        rng.duration(Duration::from_millis(1)..=most)
    };
    let backoff = perhaps(rng, 500, |rng| {
        let base = rng.duration(millis(1, 20));
        Backoff { base, cap: rng.duration(base..=Duration::from_millis(200)) }
    });
    PoolOptions {
        max,
        min_idle: perhaps(rng, 400, |rng| rng.within(0..=u64::from(max)) as u32).unwrap_or(0),
        max_waiting: perhaps(rng, 500, |rng| rng.below(u64::from(callers)) as u32).unwrap_or(1_000),
        acquire_timeout: perhaps(rng, 800, |rng| rng.duration(millis(0, 300))),
        create_timeout: Some(rng.duration(millis(1, 80))),
        check_timeout: Some(rng.duration(millis(1, 50))),
        reset_timeout: Some(rng.duration(millis(1, 50))),
        close_timeout: Some(rng.duration(millis(1, 50))),
        offer_timeout: perhaps(rng, 400, |rng| rng.duration(millis(1, 50))),
        idle_timeout: perhaps(rng, 400, |rng| shorter(rng, 300)),
        max_lifetime,
        lifetime_jitter: rng.within(0..=100) as u8,
        max_uses: perhaps(rng, 300, |rng| rng.within(1..=6)),
        check_after: perhaps(rng, 600, |rng| {
            perhaps(rng, 600, |rng| rng.duration(millis(0, 50))).unwrap_or_default()
        }),
        check_interval: perhaps(rng, 300, |rng| shorter(rng, 100)),
        max_checks: rng.within(1..=3) as u32,
        reuse: if rng.chance(500) { Reuse::Lifo } else { Reuse::Fifo },
        backoff,
        breaker: perhaps(rng, 400, |rng| rng.within(1..=4) as u32).filter(|_| backoff.is_some()),
        ageing: perhaps(rng, 700, |rng| rng.duration(millis(1, 100))),
        long_hold: perhaps(rng, 200, |rng| rng.duration(millis(1, 100))),
        times: rng.chance(300),
        tenants: Vec::new(),
    }
}

fn arrivals(rng: &mut Rng) -> Arrivals {
    match rng.below(4) {
        0 => Arrivals::Every(rng.duration(millis(0, 50))),
        1 => Arrivals::Random(rng.duration(millis(1, 50))),
        2 => Arrivals::Bursts { of: rng.within(1..=6) as u32, every: rng.duration(millis(0, 100)) },
        _ => Arrivals::Together,
    }
}

fn habits(rng: &mut Rng) -> Habits {
    Habits {
        try_acquire: rng.below(200) as u32,
        many: at_times(rng, 400, 300),
        priority: at_times(rng, 500, 600),
        timeout: at_times(rng, 300, 300),
        give_up: rng.below(400) as u32,
        look_away: rng.below(200) as u32,
        leak: at_times(rng, 300, 100),
        orphan: at_times(rng, 300, 200),
        reentrant_waker: at_times(rng, 400, 500),
        panicking_waker: 0,
        dropped: at_times(rng, 500, 300),
        release: at_times(rng, 600, 600),
        discard: rng.below(200) as u32,
        take: rng.below(100) as u32,
    }
}

fn odds(rng: &mut Rng, longest: u64) -> Odds {
    Odds {
        latency: up_to(rng, millis(0, longest)),
        at_once: rng.below(1_001) as u32,
        fail: rng.below(200) as u32,
        hang: rng.below(60) as u32,
        panic: 0,
    }
}

fn faults(rng: &mut Rng) -> Faults {
    Faults {
        spurious_poll: rng.below(100) as u32,
        late_poll: rng.below(200) as u32,
        late_by: rng.duration(millis(0, 20)),
        stall: at_times(rng, 400, 20),
        stall_for: rng.duration(millis(0, 300)),
        cancel: rng.below(60) as u32,
    }
}

pub(super) fn case(workload: &Workload, seed: u64) -> Case {
    let mut rng = Rng::new(seed);
    let callers = callers(workload, &mut rng.fork());
    let mut acts = acts(workload, &mut rng.fork());
    acts.sort_by_key(|act| act.at);
    Case {
        seed: rng.next_u64(),
        start: perhaps(&mut rng, 500, |rng| rng.duration(millis(0, 1 << 40))).unwrap_or_default(),
        pool: workload.pool.clone(),
        callers,
        acts,
        luck: luck(workload, &mut rng.fork()),
        faults: workload.faults,
        faulty_steps: 2_000,
        driver: workload.driver,
        careless: workload.careless,
        look: workload.look,
        ending: [Ending::Close, Ending::Drain, Ending::DropPool][rng.index(3)].clone(),
    }
}

fn callers(workload: &Workload, rng: &mut Rng) -> Vec<Caller> {
    let mut at = Duration::ZERO;
    (0..workload.callers)
        .map(|number| {
            let first = arrival(workload, number, &mut at, rng);
            let mut rounds: Vec<_> = (0..workload.rounds).map(|_| round(workload, rng)).collect();
            if let Some(round) = rounds.first_mut() {
                round.pause = first.unwrap_or(round.pause);
            }
            let tenants = workload.pool.tenants.len() as u64;
            // Some of them belong to nobody.
            let tenant = if tenants == 0 { 0 } else { rng.within(0..=tenants) as u32 };
            // Some callers are never cancelled, so that there is always one to be starved.
            Caller { rounds, tenant, cancellable: number % 3 > 0 }
        })
        .collect()
}

/// How long after the start a caller comes, if not after a pause of its own.
fn arrival(workload: &Workload, number: u32, at: &mut Duration, rng: &mut Rng) -> Option<Duration> {
    match workload.arrivals {
        Arrivals::Together => None,
        Arrivals::Every(every) => Some(every * number),
        Arrivals::Bursts { of, every } => Some(every * (number / of.max(1))),
        Arrivals::Random(mean) => {
            // Each sixteenth of the mean has a caller with a chance of one in sixteen: a geometric
            // distribution, which is close to an exponential one, and needs no floating point.
            let ticks = 1 + (0..1_000).take_while(|_| rng.below(16) > 0).count() as u32;
            *at += mean / 16 * ticks;
            Some(*at)
        }
    }
}

/// Draws what one caller does in one round.
pub(super) fn round(workload: &Workload, rng: &mut Rng) -> Round {
    let habits = &workload.habits;
    let patience = rng.duration(workload.patience.clone());
    Round {
        pause: rng.duration(workload.pause.clone()),
        ask: ask(workload, rng),
        timeout: perhaps(rng, habits.timeout, |rng| rng.duration(workload.patience.clone())),
        priority: perhaps(rng, habits.priority, |rng| {
            [Priority::Low, Priority::High, Priority::Urgent][rng.index(3)]
        })
        .unwrap_or_default(),
        wait: wait(habits, patience, rng),
        waking: if rng.chance(habits.panicking_waker) {
            Waking::Panics
        } else if rng.chance(habits.reentrant_waker) {
            Waking::Reentrant
        } else {
            Waking::Plain
        },
        hold: rng.duration(workload.hold.clone()),
        parting: parting(habits, rng),
        dropped_at: perhaps(rng, habits.dropped, |rng| rng.below(6) as u32),
    }
}

fn ask(workload: &Workload, rng: &mut Rng) -> Ask {
    let most = u64::from(workload.pool.max) + 1;
    let many = perhaps(rng, workload.habits.many, |rng| rng.within(1..=most) as u16);
    if rng.chance(workload.habits.try_acquire) {
        return Ask::Try;
    }
    many.map_or(Ask::Acquire, Ask::Many)
}

fn wait(habits: &Habits, patience: Duration, rng: &mut Rng) -> Wait {
    if rng.chance(habits.give_up) {
        Wait::GiveUp(patience)
    } else if rng.chance(habits.look_away) {
        Wait::LookAway(patience)
    } else if rng.chance(habits.leak) {
        Wait::Leak
    } else if rng.chance(habits.orphan) {
        Wait::Orphan
    } else {
        Wait::Patient
    }
}

fn parting(habits: &Habits, rng: &mut Rng) -> Parting {
    if rng.chance(habits.discard) {
        Parting::Discard
    } else if rng.chance(habits.take) {
        Parting::Take
    } else if rng.chance(habits.release) {
        Parting::Release
    } else {
        Parting::Drop
    }
}

fn acts(workload: &Workload, rng: &mut Rng) -> Vec<Act> {
    let mut acts = Vec::new();
    for _ in 0..workload.operations {
        let at = rng.duration(Duration::ZERO..=workload.within);
        let action = operation(workload, rng);
        // Nobody is served while it pauses, so it does not pause for long.
        if action == Action::Pause {
            let until = at + rng.duration(millis(0, 50));
            acts.push(Act { at: until, action: Action::Resume });
        }
        acts.push(Act { at, action });
    }
    for _ in 0..workload.clock_faults {
        let at = rng.duration(Duration::ZERO..=workload.within);
        let action = clock_fault(rng);
        // While the clock stands still, whoever waits for it is woken again and again.
        if matches!(action, Action::Freeze | Action::Rate(0)) {
            let until = at + rng.duration(millis(0, 2_000));
            acts.push(Act { at: until, action: Action::Thaw });
        }
        acts.push(Act { at, action });
    }
    acts.extend(workload.close_after.map(|at| Act { at, action: Action::Close }));
    acts
}

fn operation(workload: &Workload, rng: &mut Rng) -> Action {
    let tenants = workload.pool.tenants.len() as u64;
    if tenants > 0 && rng.chance(300) {
        return operation_on_tenant(rng.within(1..=tenants) as u32, workload, rng);
    }
    let max = u64::from(workload.pool.max);
    match rng.below(10) {
        0 => Action::Tick,
        1 => Action::SetMinIdle(rng.within(0..=max) as u32),
        2 => Action::Pause,
        3 => Action::Retain(rng.within(1..=3)),
        4 => Action::InvalidateAll,
        5 => Action::WarmUp(rng.within(0..=max) as u32),
        6 if workload.habits.panicking_waker > 0 => Action::RetainPanics,
        6 => Action::Stats,
        _ => Action::Resize(rng.within(1..=max * 2) as u32),
    }
}

fn operation_on_tenant(tenant: u32, workload: &Workload, rng: &mut Rng) -> Action {
    match rng.below(4) {
        0 => Action::EndWaits(tenant),
        1 => Action::Reopen(tenant),
        _ => Action::SetShare((tenant, share(rng, workload))),
    }
}

fn clock_fault(rng: &mut Rng) -> Action {
    let by = rng.duration(millis(0, 2_000));
    match rng.below(5) {
        0 => Action::StepBack(by),
        1 => Action::StepForward(by),
        2 => Action::Freeze,
        3 => Action::Rate([0, 900, 990, 1_100, 4_000][rng.index(5)]),
        _ => Action::Thaw,
    }
}

fn luck(workload: &Workload, rng: &mut Rng) -> Luck {
    // About as many as there may be while things go wrong; after them all goes well.
    let jobs = 0..(workload.callers * workload.rounds * 2).min(300);
    let mut hooks = rng.fork();
    Luck {
        creations: jobs.clone().map(|_| workload.creations.creation(rng)).collect(),
        checks: jobs.clone().map(|_| workload.checks.trial(rng)).collect(),
        resets: jobs.clone().map(|_| workload.resets.trial(rng)).collect(),
        closings: jobs.clone().map(|_| workload.closings.closing(rng)).collect(),
        defects: jobs.map(|_| workload.defects.draw(rng)).collect(),
        hook_panics: (0..workload.hook_panics).map(|_| hook_panic(&mut hooks)).collect(),
        reentrant_calls: workload.reentrant_calls,
    }
}

fn hook_panic(rng: &mut Rng) -> (Hook, u32) {
    let hooks = [
        Hook::AfterCreate,
        Hook::BeforeAcquire,
        Hook::AfterRelease,
        Hook::BeforeClose,
        Hook::Observe,
        Hook::Drop,
    ];
    (hooks[rng.index(hooks.len())], rng.below(20) as u32)
}
