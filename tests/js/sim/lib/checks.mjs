// What must hold of a pool, seen from outside: after every step, for every lease, for every end.
import { ensure, violations } from "./world.mjs";

const ENDS = [
  "direct", "waited", "timedOut", "cancelled", "failed", "refused", "closed", "missed",
  "pending",
];
const PLACES = [
  "creating", "idle", "checking", "offered", "inUse", "resetting", "retired", "closing",
];

const EVENTS = [
  "created", "createFailed", "queued", "acquired", "slowAcquire", "ended", "refused", "cancelled",
  "released", "taken", "longHold", "leaves", "checkFailed", "resetFailed", "closeFailed", "leaked",
  "restarted",
];
const REASONS = [
  "discarded", "idle", "aged", "used", "invalidated", "surplus", "checkFailed", "resetFailed",
  "rejected", "expired", "closed", "late",
];

const sum = (stats, names) => names.reduce((total, name) => total + (stats[name] ?? 0), 0);

export class Checks {
  looks = 0;
  events = new Map();
  #bound = 0;
  #greatestMax;

  constructor(run) {
    this.run = run;
    this.#greatestMax = run.limits.max;
  }

  /** After every step: the ledger's own invariants, and all that needs no question to the pool. */
  step() {
    const { run } = this;
    for (const problem of [...violations, ...run.world.problems]) throw problem;
    for (const pool of run.core.open) {
      const number = run.core.exports.check(pool);
      ensure(number === 0, () => `invariant ${number} of the pool's ledger`);
    }
    this.#timers();
    this.#patience();
  }

  /** Asks the pool how it stands; as any operation that settles what is overdue. */
  look() {
    const stats = this.run.ask((pool) => pool.stats());
    const tell = () => JSON.stringify(stats);
    this.looks += 1;
    ensure(stats.started === sum(stats, ENDS), () => `started is not the sum: ${tell()}`);
    ensure(stats.size === sum(stats, PLACES), () => `size is not the sum: ${tell()}`);
    // A pool that has gone is not told.
    const told = stats.restarts === this.run.traps || this.run.closing;
    ensure(told, () => `${this.run.traps} traps: ${tell()}`);
    this.#holders(stats, tell);
    this.#leases(stats, tell);
    this.#alive(stats, tell);
  }

  #leases(stats, tell) {
    const { callers, edge, traps } = this.run;
    const { forced, limits } = this.run;
    if (edge || forced || traps > 0 || limits.leaseTtl < Infinity) {
      // A request may die with what it was just given, and nobody knows of that.
      const live = [...callers.held].filter((one) => !one.mayEnd()).length;
      ensure(stats.inUse >= live, () => `${live} leases are held: ${tell()}`);
      return;
    }
    const held = callers.held.size;
    ensure(stats.inUse === held, () => `${held} leases are held: ${tell()}`);
    const waits = callers.waits.size;
    ensure(stats.pending === waits, () => `${waits} callers wait: ${tell()}`);
  }

  #holders(stats, tell) {
    const holders = this.run.ask((pool) => pool.holders());
    // After a trap the jobs that were under way count as leases too.
    const others = this.run.traps > 0 ? Math.max(stats.inUse - holders.length, 0) : 0;
    const all = holders.length + others === stats.inUse;
    ensure(all, () => `${JSON.stringify(holders)} hold: ${tell()}`);
    const slots = new Set(holders.map(({ slot }) => slot));
    ensure(slots.size === holders.length, () => `two have one place: ${JSON.stringify(holders)}`);
    ensure(holders.every(({ held }) => held >= 0), () => `since when? ${JSON.stringify(holders)}`);
  }

  /** What the pool tells its observer. */
  event({ type, ...rest }) {
    ensure(EVENTS.includes(type), `an event of an unknown type: ${type}`);
    this.events.set(type, (this.events.get(type) ?? 0) + 1);
    if (type === "leaves") ensure(REASONS.includes(rest.reason), `leaves: ${rest.reason}`);
  }

  /** No more resources than `max`, or than there were when it was lowered. */
  #alive(stats, tell) {
    const { factory } = this.run;
    const open = factory.open().length;
    const known = stats.size - stats.creating - stats.closing;
    ensure(open <= known || !factory.closes, () => `${open} are open: ${tell()}`);
    // What came too late has lost its place, and is closed beside those that have one; a new module
    // does not know which those are.
    const late = Math.min(stats.late, stats.closing);
    const used = this.run.traps > 0 ? Math.min(open, stats.size) : stats.size - late;
    const before = Math.max(this.#bound, this.#greatestMax);
    this.#greatestMax = 0;
    this.#bound = Math.max(Math.min(before, used), stats.max);
    ensure(used <= this.#bound, () => `${used} places are used: ${tell()}`);
  }

  /** Takes in that `max` was changed. */
  resized(max) {
    this.#greatestMax = Math.max(this.#greatestMax, max);
  }

  /** In a process one timer a pool, which keeps nothing alive unless somebody waits. */
  #timers() {
    const { run } = this;
    if (run.mode === "process" && !run.wrongClock) this.#dueInTime(run.world.timers());
    // On the edge each stretch of code with waiters has one, and where leases expire each `use`.
    if (run.edge || run.limits.leaseTtl < Infinity) return;
    const timers = run.world.timers();
    const others = run.pendingCloses;
    const times = () => timers.map(({ at }) => at).join(", ");
    ensure(timers.length <= 1 + others, () => `timers are set for one pool at ${times()}`);
    const waits = run.callers.waits.size + run.warmUps + run.disposals + others;
    const keeps = timers.filter(({ timer }) => timer.keeps);
    const told = () => "a timer keeps the process alive though nobody waits";
    if (run.world.unrefs) ensure(waits > 0 || keeps.length === 0, told);
  }

  /** What the ledger has to do next is done by the timer, unless somebody comes before. */
  #dueInTime(timers) {
    const { core, number, world, slack, traps } = this.run;
    // A new module knows it by another number.
    if (traps > 0 || !core.open.has(number)) return;
    const fires = Math.min(...timers.map(({ at }) => at));
    const due = world.time + core.exports.next_deadline(number) - world.now();
    const late = fires - Math.max(due, world.time);
    ensure(!(late > slack), () => `what is due at ${due} is to be done at ${fires}`);
  }

  /** Nobody waits longer than the timeout says, as far as timers fire in time. */
  #patience() {
    const { run } = this;
    if (run.wrongClock) return;
    const late = run.slack;
    for (const wait of run.callers.waits) {
      const timeout = wait.round.timeout ?? run.limits.acquireTimeout;
      const waited = run.world.time - wait.since;
      if (waited <= timeout + late) continue;
      if (wait.request?.stalledUntil + late >= run.world.time) continue;
      ensure(false, `${wait.name} waits for ${waited} ms, with a timeout of ${timeout}`);
    }
  }

  /** A caller is served: nobody of its class who came before it is left behind. */
  served(wait) {
    const { run } = this;
    const overtaken = [...run.callers.waits].filter((other) =>
      other.order < wait.order && other.round.priority === wait.round.priority &&
      other.aborted === undefined);
    if (!run.edge) run.overtaken.push(...overtaken.map((other) => [other, wait]));
  }

  /** Those who were overtaken have an end of their own by now. */
  order() {
    for (const [other, wait] of this.run.overtaken.splice(0)) {
      const waits = this.run.callers.waits.has(other);
      ensure(!waits, () => `${wait.name} was served before ${other.name}, who came first`);
    }
  }

  /** A resource is lent: it is there, and nobody else has it. */
  lend(held, wait) {
    const { resource, lease } = held;
    const { run } = this;
    const what = () => `${wait.name} was given ${resource}`;
    ensure(run.factory.made.includes(resource), what);
    const isThere = resource.state === "open" || held.mayEnd();
    ensure(isThere, () => `${what()}, which is ${resource.state}`);
    ensure(resource.lease === undefined || resource.lease.over, () => `${what()}, which is lent`);
    ensure(lease.waited >= 0 && lease.waited < Infinity, () => `${what()}, waited ${lease.waited}`);
    // A new module does not know how often, and how long ago.
    const isKnown = run.traps === 0;
    const isFresh = !isKnown || resource.uses < run.limits.maxUses;
    ensure(isFresh, () => `${what()} for use ${resource.uses + 1}`);
    const invalid = resource.invalidAt < wait.since;
    ensure(!invalid, () => `${what()}, which was made before invalidate()`);
    if (run.edge || run.wrongClock || !isKnown) return;
    ensure(run.world.time <= run.pausedAt, () => `${what()} while the pool is paused`);
    // One who needs several may wait for the others with it.
    if (wait.round.ask.way === "many") return;
    const { leeway, limits } = run;
    const age = run.world.now() - resource.born;
    ensure(age <= limits.maxLifetime + leeway, () => `${what()}, which is ${age} ms old`);
    // With 0 it is checked once after each use, however long ago.
    const isChecked = run.options.check && limits.checkAfter > 0;
    const unknown = run.world.now() - resource.goodAt;
    const isGood = !isChecked || unknown <= limits.checkAfter + leeway;
    ensure(isGood, () => `${what()}, which nobody has checked for ${unknown} ms`);
  }

  /** An acquire that ends without a lease says why, and that is so. */
  end(wait, error) {
    const { run } = this;
    if (wait.aborted !== undefined && error === wait.aborted) return;
    if (error?.name === "Violation") throw error;
    const told = () => `${wait.name} ended with ${error?.stack ?? JSON.stringify(error)}`;
    ensure(error instanceof run.api.PoolError, told);
    const possible = {
      acquire_timeout: () => true,
      offer_missed: () => run.edge,
      queue_full: () => run.limits.maxWaiting < 1_000,
      create_failed: () => this.#isCause(error.cause),
      create_timeout: () => run.limits.createTimeout < Infinity,
      unavailable: () => run.limits.breaker < Infinity,
      pool_closed: () => run.closing,
      too_many: () => (wait.round.ask.many ?? 1) > run.leastMax,
      core_reset: () => run.traps > 0,
    };
    ensure(possible[error.code]?.(), told);
    if (error.code === "acquire_timeout") this.#timedOut(wait, told);
  }

  #isCause(cause) {
    return this.run.factory.failures.has(cause) || cause instanceof TypeError;
  }

  #timedOut(wait, told) {
    const { run } = this;
    if (run.wrongClock) return;
    const timeout = wait.round.timeout ?? run.limits.acquireTimeout;
    const waited = run.world.time - wait.since;
    ensure(waited >= timeout - 0.001, () => `${told()}, after ${waited} of ${timeout} ms`);
  }
}
