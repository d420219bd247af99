// One run of one case: things go wrong for a while, then they do not, and all comes to a good end.
import { act } from "./acts.mjs";
import { Callers } from "./callers.mjs";
import { Checks } from "./checks.mjs";
import { drawCase, drawWorkload } from "./draw.mjs";
import { Factory } from "./factory.mjs";
import { Rng } from "./rng.mjs";
import { Request, World, bindPromises, ensure, settle, violations } from "./world.mjs";

/** Why an acquire may fail that is tried again, once nothing goes wrong any more. */
const PASSING = [
  "create_failed", "create_timeout", "unavailable", "acquire_timeout", "queue_full", "offer_missed",
];
const FAULTY_STEPS = 2_000;
const MOST_STEPS = 20_000;
const MODES = ["process", "process", "process", "edge", "edge", "durable-object"];

/** By how much times of ten seconds and more may be off where nothing but a timer looks. */
const LEEWAY = 1_000;

/**
 * Runs the case of a seed; rejects with what does not hold. In a `quiet` one leases may go from one
 * caller to the next without a word to the ledger; that is drawn if it is not said.
 */
export async function runSeed(loaded, seed, { keepLog = false, mode, quiet } = {}) {
  violations.length = 0;
  // Its own chance, so that the others draw what they did before there was this.
  const draws = new Rng(seed ^ 0x5eed);
  const isQuiet = draws.chance(400) ? quiet ?? true : quiet ?? false;
  const hush = isQuiet ? draws : undefined;
  const run = new Run(loaded, drawCase(drawWorkload(seed), seed), { keepLog, mode, hush });
  const undo = run.edge ? bindPromises(run.world) : () => undefined;
  const { now } = Date;
  // An alarm is set by the wall clock, which is nobody's to give.
  Date.now = () => Math.floor(run.world.time);
  try {
    await run.all();
    return run.report();
  } catch (error) {
    error.log = run.world.log;
    // What it leaves behind would be met by the next one that traps.
    loaded.core.isTainted = true;
    throw error;
  } finally {
    undo();
    Date.now = now;
    loaded.core.fuse = Infinity;
    loaded.core.open.clear();
  }
}

class Run {
  overtaken = [];
  warmUps = 0;
  disposals = 0;
  closing = false;
  pendingCloses = 0;
  force = false;
  reenters = false;
  pausedAt = Infinity;
  watches = true;

  constructor({ api, core }, drawn, { keepLog, mode, hush }) {
    this.api = api;
    this.core = core;
    this.case = drawn;
    const { workload, choices } = drawn;
    this.rng = choices.fork();
    const drawnMode = this.rng.pick(MODES);
    this.mode = mode ?? drawnMode;
    this.edge = this.mode === "edge";
    this.careless = workload.careless;
    const { faults } = workload;
    this.world = new World({ ...drawn, faults, keepLog, unrefs: this.rng.chance(500) });
    this.factory = new Factory(this.world, drawn);
    this.limits = { ...workload.pool };
    this.leeway = 0.001;
    this.options = this.#options();
    if (hush !== undefined) this.#quieten(hush);
    this.trappedBefore = core.trapped;
    this.#prepare();
    this.pool = new api.Pool(this.options);
    this.number = [...core.open].at(-1);
    this.checks = new Checks(this);
    this.callers = new Callers(this, drawn);
    if (workload.reentrantCalls) this.factory.onCall = () => this.reenter();
  }

  #prepare() {
    const { acts, workload } = this.case;
    this.operator = this.edge ? new Request(this.world, "operator") : undefined;
    this.wrongClock = acts.some((one) => ["step", "rate"].includes(one.act));
    this.leastMax = this.limits.max;
    for (const one of acts) {
      const event = this.world.after(one.at, () => act(this, one), this.operator);
      event.isAct = true;
    }
    this.slack = workload.faults.lateBy + (this.edge ? 151 : 2);
    this.trapsLeft = this.rng.chance(100) ? this.rng.within(1, 2) : 0;
  }

  /** The options that the Rust pool has, and those of JavaScript alone. */
  #options() {
    const { rng, limits } = this;
    const { times, offerTimeout, closeTimeout, ...shared } = limits;
    const callbacks = this.factory.options({ check: rng.chance(700), reset: rng.chance(500) });
    const options = { ...callbacks, ...shared, mode: this.mode, clock: this.world.clock() };
    const without = (...names) => names.forEach((name) => delete options[name]);
    if (!options.check) without("checkTimeout", "checkAfter", "checkInterval", "maxChecks");
    if (!options.reset) without("resetTimeout");
    if (options.close) options.closeTimeout = closeTimeout;
    if (options.backoff === false) without("breaker");
    Object.assign(options, {
      random: () => rng.below(2 ** 32) / 2 ** 32,
      slowAcquire: rng.ms(1, 100),
      holdTimes: times,
      trackLeases: rng.chance(100),
      observer: (event) => this.checks.event(event),
    });
    if (this.edge || rng.chance(100)) options.leaseTtl = rng.ms(80, 400);
    if (this.edge && offerTimeout !== undefined) options.offerTimeout = offerTimeout;
    if (this.mode === "durable-object") options.setAlarm = (at) => this.#setAlarm(at);
    limits.leaseTtl = options.leaseTtl ?? Infinity;
    return options;
  }

  /** Takes away what a lease that comes back must be told of; nothing may be in a hurry, too. */
  #quieten(rng) {
    const { limits, options } = this;
    const without = (...names) => names.forEach((name) => delete options[name]);
    without("observer", "trackLeases", "reset", "resetTimeout");
    Object.assign(limits, { maxUses: Infinity, reuse: "lifo" });
    Object.assign(options, { maxUses: Infinity, reuse: "lifo", holdTimes: false });
    const { callers } = this.case;
    const enough = Math.max(limits.max, Math.min(callers.length, 10));
    if (rng.chance(700)) limits.max = options.max = enough;
    const rounds = callers.flatMap((caller) => caller.rounds);
    const hasty = rounds.filter(() => rng.chance(300));
    for (const round of hasty) Object.assign(round, { hold: 0, pause: 0 });
    if (this.edge || rng.chance(500)) return;
    without("leaseTtl");
    limits.leaseTtl = options.longHold = Infinity;
    const long = () => (rng.chance(300) ? Infinity : 10 * LEEWAY + rng.ms(0, 5 * LEEWAY));
    limits.maxLifetime = options.maxLifetime = long();
    options.idleTimeout = Math.min(long(), limits.maxLifetime);
    if (options.check) {
      limits.checkAfter = options.checkAfter = long();
      options.checkInterval = Math.min(long(), limits.maxLifetime);
    }
    this.leeway = LEEWAY + this.case.workload.faults.lateBy;
    // So that as much time passes.
    const pace = rng.pick([1, 30, 100]);
    for (const round of rounds) {
      round.pause *= pace;
      round.hold *= rng.pick([1, pace]);
    }
  }

  /** An object has one alarm, which rings in a request of its own. */
  #setAlarm(at) {
    const { world } = this;
    world.forget((event) => event.isAlarm);
    const delay = Math.max(at - Date.now(), 0.01);
    world.after(delay, () => this.pool.tick(), undefined).isAlarm = true;
  }

  closes(options) {
    this.closing = true;
    this.forced ||= this.force;
    this.pendingCloses += 1;
    const closed = this.pool.close(options).finally(() => (this.pendingCloses -= 1));
    return closed.catch((error) => this.world.problems.push(error));
  }

  get traps() {
    return this.core.trapped - this.trappedBefore;
  }

  /** The latest that the pool's clock has told. */
  latest() {
    return (this.latestTold = Math.max(this.latestTold ?? 0, this.world.now()));
  }

  /** Asks the pool something, and again if the module trapped at that. */
  ask(question) {
    try {
      return question(this.pool);
    } catch (error) {
      if (error.code !== "core_reset") throw error;
      return question(this.pool);
    }
  }

  count(name) {
    return this.ask((pool) => pool.stats())[name];
  }

  /** Uses the pool from where it calls its user. */
  reenter() {
    if (this.reenters || this.pool === undefined) return;
    this.reenters = true;
    this.ask((pool) => pool.stats());
    if (this.rng.chance(300)) {
      const lease = this.ask((pool) => pool.tryAcquire());
      if (lease !== undefined) {
        ensure(lease.value.state === "open", "a callback was lent what is not open");
        lease.value.goodAt = this.world.now();
        ensure(lease.release(), "a lease ended within its own step");
      }
    }
    this.reenters = false;
  }

  async all() {
    await this.#steps(() => this.world.steps >= FAULTY_STEPS || this.callers.busy === 0);
    this.#calm();
    await this.#steps(() => this.callers.busy === 0);
    ensure(this.callers.busy === 0, () => `${this.callers.busy} callers never come to their end`);
    this.callers.restore();
    await this.#settled();
    await this.#look();
    this.watches = false;
    if (!this.closing) await this.#obtainsAll();
    await this.#close();
    this.#checkEnd();
  }

  /** From here on nothing goes wrong any more. */
  #calm() {
    this.world.faults = undefined;
    this.core.fuse = Infinity;
    this.world.forget(({ isAct }) => isAct);
    this.world.setClock(0, 1);
    this.factory.lucky = true;
    this.callers.restore();
    if (this.pausedAt < Infinity) act(this, { act: "resume" });
  }

  async #steps(isOver) {
    const { look } = this.case.workload;
    await this.#settled();
    while (!isOver()) {
      ensure(this.world.steps < MOST_STEPS, "it does not come to rest");
      if (this.trapsLeft > 0 && this.world.faults !== undefined) this.#setTrap();
      if (!this.world.step()) return;
      await this.#settled();
      if (this.rng.chance(look) && this.watches) await this.#look();
    }
  }

  /** Now and then the module traps, in the midst of whatever it is called for. */
  #setTrap() {
    if (!this.rng.chance(20)) return;
    this.trapsLeft -= 1;
    this.core.kind = this.rng.pick(["before", "after", "real"]);
    this.core.fuse = this.rng.within(1, 40);
  }

  async #settled() {
    await settle();
    this.world.turn = undefined;
    this.latest();
    this.checks.step();
    this.checks.order();
  }

  async #look() {
    // To ask is an operation, which settles what is overdue; whom that concerns hears of it after.
    this.world.as(this.operator, () => this.ask((pool) => pool.stats()));
    await this.#settled();
    this.world.as(this.operator, () => this.checks.look());
    await this.#settled();
  }

  /** Passes time until something is so, for at most so long. */
  async #until(isSo, ms, what) {
    const end = this.world.time + ms;
    let over = false;
    this.world.after(ms, () => (over = true), undefined);
    await this.#steps(() => isSo() || over);
    ensure(isSo(), () => `${what} within ${ms} ms: ${JSON.stringify(this.pool.stats())} at ${end}`);
  }

  /** All that the pool may lend is to be had at once, whatever happened before. */
  async #obtainsAll() {
    const max = this.count("max");
    const leases = [];
    const more = () => {
      const signal = this.operator?.controller.signal;
      const got = (lease) => leases.push(lease);
      const again = (error) => {
        ensure(PASSING.includes(error.code), () => error.stack);
        this.world.after(50, more, this.operator);
      };
      this.pool.acquire({ timeout: 5_000, signal }).then(got, again)
        .catch((error) => this.world.problems.push(error));
    };
    for (let number = 0; number < max; number += 1) this.world.as(this.operator, more);
    this.callers.waits.add({ since: this.world.time, round: { timeout: Infinity }, aborted: true });
    await this.#until(() => leases.length === max, 60_000, `no ${max} leases`);
    const values = new Set(leases.map(({ value }) => value));
    ensure(values.size === max, () => `${max} leases for ${values.size} resources`);
    this.callers.waits.clear();
    this.world.as(this.operator, () => leases.forEach((lease) => lease.release()));
    await this.#settled();
  }

  async #close() {
    let left;
    const deadline = this.rng.pick([Infinity, 30_000]);
    this.world.as(this.operator, () => {
      void this.closes({ deadline }).then((holders) => (left = holders));
    });
    await this.#until(() => left !== undefined, 31_000, "close does not settle");
    const held = this.edge ? [] : [...this.callers.held];
    ensure(held.length === 0, () => `${held.length} leases are held at the end`);
    ensure(left.length === 0, () => `close left ${JSON.stringify(left)}`);
    // What comes now comes too late, and is closed.
    for (const job of this.factory.hung.splice(0)) job();
    await this.#settled();
    await this.#steps(() => false);
  }

  #checkEnd() {
    const stats = this.ask((pool) => pool.stats());
    const tell = () => JSON.stringify(stats);
    ensure(stats.size === 0 && stats.pending === 0, () => `the closed pool has ${tell()}`);
    ensure(this.core.open.size === 0 || this.core.isTainted, "the module still holds the pool");
    ensure(this.world.timers().length === 0, "a timer is set for a pool that is closed");
    const open = this.factory.open();
    const ids = () => open.map(({ id }) => id).join(", ");
    ensure(open.length === 0 || !this.factory.closes, () => `never closed: ${ids()}`);
  }

  report() {
    const { world, callers, checks, factory } = this;
    const { steps, hash, time, log } = world;
    const { served, ends } = callers;
    return {
      steps, hash: hash >>> 0, time, log, served, ends, mode: this.mode, traps: this.traps,
      checks: steps + checks.looks, made: factory.made.length,
    };
  }
}
