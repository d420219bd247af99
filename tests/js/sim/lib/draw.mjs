// Draws the cases that the Rust simulator runs for the same seeds: the pool's options, the callers
// and their rounds, what operators and the clock do, and how the factory's jobs go. The order of
// the draws is that of `crates/edgepool-sim/src/workload/draw.rs`. Durations are in ms.
import { Rng } from "./rng.mjs";

/** Draws a value, and gives it in so many of 1,000 cases. */
function perhaps(rng, perMille, draw) {
  const drawn = draw();
  return rng.chance(perMille) ? drawn : undefined;
}

const upTo = (rng, least, most) => [0, rng.ms(least, most)];
const atTimes = (rng, perMille, most) => perhaps(rng, perMille, () => rng.below(most)) ?? 0;

/** Draws what happens to a pool, by its odds. */
export function drawWorkload(seed) {
  const rng = new Rng(seed).fork();
  const callers = rng.within(2, 12);
  return {
    pool: drawPool(rng, callers),
    callers,
    arrivals: drawArrivals(rng),
    rounds: rng.within(2, 12),
    pause: upTo(rng, 0, 200),
    hold: upTo(rng, 0, 100),
    patience: upTo(rng, 0, 100),
    habits: drawHabits(rng),
    creations: drawOdds(rng, 50),
    checks: drawOdds(rng, 20),
    resets: drawOdds(rng, 20),
    closings: drawOdds(rng, 20),
    defects: drawDefects(rng),
    reentrantCalls: rng.chance(200),
    faults: drawFaults(rng),
    operations: atTimes(rng, 500, 12),
    clockFaults: atTimes(rng, 500, 12),
    within: rng.ms(1, 1_500),
    closeAfter: perhaps(rng, 250, () => rng.ms(0, 1_000)),
    look: [1_000, 100, 0][rng.below(3)],
    driver: rng.chance(300),
    careless: rng.chance(300),
  };
}

function drawPool(rng, callers) {
  const max = rng.within(1, 4);
  const maxLifetime = perhaps(rng, 400, () => rng.ms(20, 500));
  const shorter = (most) => rng.ms(1, Math.min(most, maxLifetime ?? Infinity));
  const backoff = perhaps(rng, 500, () => {
    const base = rng.ms(1, 20);
    return { base, cap: rng.ms(base, 200) };
  });
  return {
    max,
    minIdle: perhaps(rng, 400, () => rng.within(0, max)) ?? 0,
    maxWaiting: perhaps(rng, 500, () => rng.below(callers)) ?? 1_000,
    acquireTimeout: perhaps(rng, 800, () => rng.ms(0, 300)) ?? Infinity,
    createTimeout: rng.ms(1, 80),
    checkTimeout: rng.ms(1, 50),
    resetTimeout: rng.ms(1, 50),
    closeTimeout: rng.ms(1, 50),
    offerTimeout: perhaps(rng, 400, () => rng.ms(1, 50)),
    idleTimeout: perhaps(rng, 400, () => shorter(300)) ?? Infinity,
    maxLifetime: maxLifetime ?? Infinity,
    lifetimeJitter: rng.within(0, 100),
    maxUses: perhaps(rng, 300, () => rng.within(1, 6)) ?? Infinity,
    checkAfter: perhaps(rng, 600, () => perhaps(rng, 600, () => rng.ms(0, 50)) ?? 0) ?? Infinity,
    checkInterval: perhaps(rng, 300, () => shorter(100)) ?? Infinity,
    maxChecks: rng.within(1, 3),
    reuse: rng.chance(500) ? "lifo" : "fifo",
    backoff: backoff ?? false,
    breaker: drawBreaker(rng, backoff),
    ageing: perhaps(rng, 700, () => rng.ms(1, 100)) ?? Infinity,
    longHold: perhaps(rng, 200, () => rng.ms(1, 100)) ?? Infinity,
    times: rng.chance(300),
  };
}

function drawBreaker(rng, backoff) {
  const after = perhaps(rng, 400, () => rng.within(1, 4)) ?? Infinity;
  return backoff === undefined ? Infinity : after;
}

function drawArrivals(rng) {
  switch (rng.below(4)) {
    case 0: return { every: rng.ms(0, 50), of: 1 };
    case 1: return { mean: rng.ms(1, 50) };
    case 2: return { of: rng.within(1, 6), every: rng.ms(0, 100) };
    default: return {};
  }
}

function drawHabits(rng) {
  return {
    tryAcquire: rng.below(200),
    many: atTimes(rng, 400, 300),
    priority: atTimes(rng, 500, 600),
    timeout: atTimes(rng, 300, 300),
    giveUp: rng.below(400),
    lookAway: rng.below(200),
    leak: atTimes(rng, 300, 100),
    orphan: atTimes(rng, 300, 200),
    reentrant: atTimes(rng, 400, 500),
    dropped: atTimes(rng, 500, 300),
    release: atTimes(rng, 600, 600),
    discard: rng.below(200),
    take: rng.below(100),
  };
}

function drawOdds(rng, longest) {
  const latency = upTo(rng, 0, longest);
  return { latency, atOnce: rng.below(1_001), fail: rng.below(200), hang: rng.below(60) };
}

function drawDefects(rng) {
  return {
    atUse: atTimes(rng, 500, 300),
    uses: [1, rng.within(1, 10)],
    after: atTimes(rng, 500, 300),
    times: upTo(rng, 0, 500),
  };
}

function drawFaults(rng) {
  return {
    spurious: rng.below(100),
    late: rng.below(200),
    lateBy: rng.ms(0, 20),
    stall: atTimes(rng, 400, 20),
    stallFor: rng.ms(0, 300),
    cancel: rng.below(60),
  };
}

/** Draws all that happens in one run. */
export function drawCase(workload, seed) {
  const rng = new Rng(seed);
  const callers = drawCallers(workload, rng.fork());
  const acts = drawActs(workload, rng.fork()).sort((a, b) => a.at - b.at);
  rng.next();
  const choices = new Rng(rng.high, rng.low);
  const start = perhaps(rng, 500, () => rng.ms(0, 2 ** 40)) ?? 0;
  return { seed, workload, callers, acts, choices, start, luck: drawLuck(workload, rng.fork()) };
}

function drawCallers(workload, rng) {
  let last = 0;
  const arrival = (number) => {
    const { every, of, mean } = workload.arrivals;
    if (every !== undefined) return every * Math.floor(number / of);
    if (mean === undefined) return undefined;
    let ticks = 1;
    // Each sixteenth of the mean has a caller with a chance of one in sixteen.
    while (ticks <= 1_000 && rng.below(16) > 0) ticks += 1;
    last += (Math.floor((mean * 1e6) / 16) / 1e6) * ticks;
    return last;
  };
  return Array.from({ length: workload.callers }, (_, number) => {
    const first = arrival(number);
    const rounds = Array.from({ length: workload.rounds }, () => drawRound(workload, rng));
    rounds[0].pause = first ?? rounds[0].pause;
    return { number, rounds };
  });
}

function drawRound(workload, rng) {
  const { habits } = workload;
  const patience = rng.ms(...workload.patience);
  return {
    pause: rng.ms(...workload.pause),
    ask: drawAsk(workload, rng),
    timeout: perhaps(rng, habits.timeout, () => rng.ms(...workload.patience)),
    priority: perhaps(rng, habits.priority, () => rng.pick(["low", "high", "urgent"])) ?? "normal",
    wait: drawWait(habits, rng),
    patience,
    reentrant: (rng.chance(0), rng.chance(habits.reentrant)),
    hold: rng.ms(...workload.hold),
    parting: drawParting(habits, rng),
    droppedAt: perhaps(rng, habits.dropped, () => rng.below(6)),
  };
}

function drawAsk(workload, rng) {
  const many = perhaps(rng, workload.habits.many, () => rng.within(1, workload.pool.max + 1));
  if (rng.chance(workload.habits.tryAcquire)) return { way: "try" };
  return many === undefined ? { way: "acquire" } : { way: "many", many };
}

function drawWait(habits, rng) {
  for (const way of ["giveUp", "lookAway", "leak", "orphan"]) {
    if (rng.chance(habits[way])) return way;
  }
  return "patient";
}

function drawParting(habits, rng) {
  for (const way of ["discard", "take", "release"]) if (rng.chance(habits[way])) return way;
  return "drop";
}

function drawActs(workload, rng) {
  const acts = [];
  const add = (draw, stops, endsWith, longest) => {
    const at = rng.ms(0, workload.within);
    const act = draw(workload, rng);
    // What stops everything does not last for long.
    if (stops(act)) acts.push({ at: at + rng.ms(0, longest), act: endsWith });
    acts.push({ at, ...act });
  };
  for (let left = workload.operations; left > 0; left -= 1) {
    add(drawOperation, ({ act }) => act === "pause", "resume", 50);
  }
  for (let left = workload.clockFaults; left > 0; left -= 1) {
    add(drawClockFault, ({ act, by }) => act === "rate" && by === 0, "thaw", 2_000);
  }
  if (workload.closeAfter !== undefined) acts.push({ at: workload.closeAfter, act: "close" });
  return acts;
}

function drawOperation(workload, rng) {
  const { max } = workload.pool;
  switch (rng.below(10)) {
    case 0: return { act: "tick" };
    case 1: return { act: "setMinIdle", to: rng.within(0, max) };
    case 2: return { act: "pause" };
    case 3: return { act: "retain", of: rng.within(1, 3) };
    case 4: return { act: "invalidate" };
    case 5: return { act: "warmUp", to: rng.within(0, max) };
    case 6: return { act: "stats" };
    default: return { act: "resize", to: rng.within(1, max * 2) };
  }
}

function drawClockFault(_workload, rng) {
  const by = rng.ms(0, 2_000);
  switch (rng.below(5)) {
    case 0: return { act: "step", by: -by };
    case 1: return { act: "step", by };
    case 2: return { act: "rate", by: 0 };
    case 3: return { act: "rate", by: rng.pick([0, 0.9, 0.99, 1.1, 4]) };
    default: return { act: "thaw" };
  }
}

function drawLuck(workload, rng) {
  const jobs = Math.min(workload.callers * workload.rounds * 2, 300);
  // Hooks are the Rust pool's.
  rng.fork();
  const all = (draw) => Array.from({ length: jobs }, draw);
  return {
    creations: all(() => drawJob(workload.creations, rng)),
    checks: all(() => drawTrial(workload.checks, rng)),
    resets: all(() => drawTrial(workload.resets, rng)),
    closings: all(() => drawTrial(workload.closings, rng)),
    defects: all(() => drawDefect(workload.defects, rng)),
  };
}

/** Draws how a job goes: `pass`, `fail` or `hang`, after so many ms; 0 is within the call. */
function drawJob(odds, rng) {
  const after = rng.ms(...odds.latency);
  if (rng.chance(odds.fail)) return { how: "fail", after };
  if (rng.chance(odds.hang)) return { how: "hang", after };
  rng.chance(0);
  return { how: "pass", after };
}

function drawTrial(odds, rng) {
  const atOnce = rng.chance(odds.atOnce);
  const job = drawJob(odds, rng);
  return atOnce ? { ...job, after: 0 } : job;
}

function drawDefect(defects, rng) {
  const [at, after] = [rng.within(...defects.uses), rng.ms(...defects.times)];
  if (rng.chance(defects.atUse)) return { at };
  return rng.chance(defects.after) ? { after } : {};
}
