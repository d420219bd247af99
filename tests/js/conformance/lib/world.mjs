// A pool whose clock, chance and resources the cases have in hand.
import { Pool } from "edgepool";
import { FakeClock, random, settle, state, t } from "./harness.mjs";

/** What a job does that never ends. */
export const hang = () => new Promise(() => undefined);

/** What a job does that fails at once. */
export function fails(text) {
  return () => {
    throw new Error(text);
  };
}

/**
 * A pool on a clock that stands still, and the resources that it makes: numbered from 1 in the
 * order in which their creations began. Nothing expires, nothing is kept ready and no failure holds
 * others back, but for what the options say. With `checks` and `resets` it has those callbacks, and
 * `of` is the class of the pool.
 */
export class World {
  clock;
  pool;
  /** The resources that were made, and the numbers of those that were closed. */
  made = [];
  closed = [];
  /** How many resources there were at most that were neither closed nor taken. */
  peak = 0;
  taken = 0;
  calls = { create: 0, check: 0, reset: 0, close: 0 };
  /** What the next jobs do, in their order, and what they do when no plan is left. */
  plans = { create: [], check: [], reset: [], close: [] };
  always = {
    create: (make) => make(), check: () => true, reset: () => undefined, close: () => undefined,
  };
  #gone = new Set();
  #mode;
  #alarm;

  constructor({ checks = false, resets = false, of = Pool, ...options } = {}) {
    this.#mode = options.mode ?? "process";
    this.clock = options.clock ?? new FakeClock(1_000);
    this.pool = new of({
      create: (job) => this.#create(job),
      ...(checks && { check: (resource, job) => this.#run("check", resource, job) }),
      ...(checks && { checkAfter: Infinity, checkInterval: Infinity }),
      ...(resets && { reset: (resource, job) => this.#run("reset", resource, job) }),
      close: (resource, job) => this.#close(resource, job),
      max: 1, minIdle: 0, idleTimeout: Infinity, maxLifetime: Infinity, backoff: false,
      random: random(1), mode: "process", clock: this.clock,
      ...(this.#mode === "durable-object" && { setAlarm: (at) => this.#setAlarm(at) }),
      ...options,
    });
  }

  /** How many resources there are that were neither closed nor taken. */
  get live() {
    return this.made.length - this.#gone.size - this.taken;
  }

  /** Does `act` so many ms later, by the pool's clock. */
  after(ms, act = () => undefined) {
    return new Promise((resolve, reject) => {
      const run = () => {
        try {
          resolve(act());
        } catch (error) {
          reject(error);
        }
      };
      this.clock.setTimer(run, ms);
    });
  }

  /** Takes so many leases at once. */
  leases(count) {
    return Promise.all(Array.from({ length: count }, () => this.pool.acquire()));
  }

  /** Makes so many resources, which are idle then. */
  async warm(count) {
    for (const lease of await this.leases(count)) lease.release();
    await settle();
  }

  /** Takes a lease's resource out of the pool. */
  take(lease) {
    this.taken += 1;
    return lease.take();
  }

  /** Fails if a timer is left, but for the one that a pool in a process has for itself. */
  assertRests() {
    const left = this.clock.timers.size;
    t.ok(left <= (this.#mode === "edge" ? 0 : 1), `${left} timers are left`);
  }

  /** Fails unless each place can be had, and no more than that. */
  async assertUsable() {
    const { max } = this.pool.stats();
    const leases = await this.leases(max);
    t.equal(new Set(leases.map((lease) => lease.value)).size, max, "resources to be had");
    const stop = new AbortController();
    const more = this.pool.acquire({ signal: stop.signal });
    t.equal(await state(more), "pending", "one more than max");
    stop.abort();
    await t.rejects(more);
    for (const lease of leases) t.ok(lease.release(), "a lease has ended by itself");
    await settle();
    t.adds(this.pool.stats());
  }

  /** Closes the pool, and fails unless each resource is closed once, but for those taken. */
  async assertCloses() {
    const closing = this.pool.close({ deadline: 60_000 });
    await this.clock.advance(60_000);
    t.equal(await closing, [], "leases that are still out");
    const stats = this.pool.stats();
    t.adds(stats);
    t.equal([stats.size, stats.waiting, stats.pending], [0, 0, 0], "what is left");
    t.equal(this.live, 0, "resources that were not closed");
    t.equal(this.closed.length, this.#gone.size, "closings of as many resources");
  }

  /** Does as a Durable Object does: it has one alarm, which ticks the pool. */
  #setAlarm(at) {
    this.clock.clearTimer(this.#alarm);
    this.#alarm = this.clock.setTimer(() => this.pool.tick(), at - Date.now());
  }

  #create(job) {
    const id = ++this.calls.create;
    const make = () => {
      const resource = { id };
      this.made.push(resource);
      this.peak = Math.max(this.peak, this.live);
      return resource;
    };
    return (this.plans.create.shift() ?? this.always.create)(make, job);
  }

  #close(resource, job) {
    this.closed.push(resource.id);
    this.#gone.add(resource);
    return this.#run("close", resource, job);
  }

  #run(kind, resource, job) {
    this.calls[kind] += 1;
    return (this.plans[kind].shift() ?? this.always[kind])(resource, job);
  }
}
