// Tenants whose clock, chance and connections the cases have in hand.
import { TenantPools } from "edgepool/tenants";
import { FakeClock, random, settle, t } from "./harness.mjs";

/**
 * Tenants on a clock that stands still, and the connections that they make. It notes as a fault if
 * there are ever more of them than may be: of all tenants, of one, or pools.
 */
export class TenantWorld {
  clock;
  tenants;
  made = [];
  closed = [];
  /** How many connections there are, by tenant. */
  live = new Map();
  /** What each tenant was told to be, in order: `[id, state]`. */
  states = [];
  faults = [];
  /** The most pools and connections that there were at once. */
  peak = { pools: 0, connections: 0 };
  /** What creations, resets and closings do. */
  create = () => undefined;
  reset = () => undefined;
  close = () => undefined;
  #limits;
  #pools = new Set();
  #total = 0;

  constructor({
    maxPools = 3, poolSize = 2, kind = "perTenant", resets = false, ...options
  } = {}) {
    const most = kind === "perTenant" ? "maxPools" : "maxDatabases";
    this.#limits = { maxPools, poolSize, budget: options.budget ?? Infinity };
    this.clock = options.clock ?? new FakeClock(1_000);
    this.tenants = new TenantPools({
      strategy: { [kind]: { [most]: maxPools, poolSize } },
      create: (tenant, job) => this.#make(tenant, job),
      ...(resets && { reset: (connection) => this.reset(connection) }),
      close: (connection) => this.#close(connection),
      warmUp: 0, mode: "process", clock: this.clock, random: random(1), backoff: false,
      observer: (event, { id }) => {
        if (event.type === "state") this.#tell(id, event.state);
      },
      ...options,
    });
  }

  get total() {
    return this.#total;
  }

  /** Acquires and releases at once. */
  async visit(id) {
    (await this.tenants.acquire(id)).release();
  }

  /** Lets so much time pass. */
  async pass(ms) {
    await this.clock.advance(ms);
  }

  sleep(ms) {
    return new Promise((resolve) => this.clock.setTimer(resolve, ms));
  }

  /** The ids of those that have a pool, the one that was asked for the longest ago first. */
  open() {
    return this.tenants.activePools().map(({ id }) => id);
  }

  /** Closes all, and fails unless each connection is closed once. */
  async assertCloses() {
    t.equal(this.faults, [], "more than there may be");
    const closing = this.tenants.close({ deadline: 60_000 });
    await this.clock.advance(60_000);
    t.equal(await closing, [], "leases that are still out");
    t.equal(this.total, 0, "connections that were not closed");
    t.equal(new Set(this.closed).size, this.made.length, "connections closed once");
    t.equal(this.closed.length, this.made.length, "connections closed");
    t.equal(this.open(), [], "pools that are open");
    const totals = this.tenants.totals();
    t.equal([totals.size, totals.pending, totals.pools], [0, 0, 0], "what is left");
    t.adds({ ...totals, max: this.made.length });
    t.equal(this.faults, [], "more than there may be");
    await settle();
    t.equal(this.clock.timers.size, 0, "timers that are left");
  }

  /** Makes a connection, or none if it is not wanted any more before it is there. */
  async #make(tenant, { signal }) {
    const connection = { tenant, id: this.made.length, context: undefined };
    this.made.push(connection);
    this.#count(tenant.id, 1);
    const givenUp = new Promise((_, reject) => {
      signal.addEventListener("abort", () => {
        // At once, as another may be made in its place.
        this.#gone(connection);
        reject(signal.reason);
      });
    });
    try {
      await Promise.race([this.create(connection), givenUp]);
    } catch (error) {
      if (!signal.aborted) this.#gone(connection);
      throw error;
    }
    return connection;
  }

  /** One that came too late is closed after it was given up. */
  #gone(connection) {
    if (connection.isGone) return;
    connection.isGone = true;
    this.closed.push(connection.id);
    this.#count(connection.tenant.id, -1);
  }

  async #close(connection) {
    await this.close(connection);
    this.#gone(connection);
  }

  #count(id, change) {
    const { poolSize, budget } = this.#limits;
    const now = (this.live.get(id) ?? 0) + change;
    if (now === 0) this.live.delete(id);
    else this.live.set(id, now);
    const total = (this.#total += change);
    this.peak.connections = Math.max(this.peak.connections, total);
    if (now > poolSize) this.faults.push(`${now} connections of ${id}`);
    if (total > budget) this.faults.push(`${total} connections in all`);
  }

  #tell(id, state) {
    this.states.push([id, state]);
    if (state === "closed") this.#pools.delete(id);
    else this.#pools.add(id);
    const pools = this.#pools.size;
    this.peak.pools = Math.max(this.peak.pools, pools);
    if (pools > this.#limits.maxPools) this.faults.push(`${pools} pools`);
  }
}

/** Tenants that share the connections of one pool, and whose context is on which of them. */
export class SharedWorld {
  clock;
  tenants;
  made = [];
  closed = [];
  /** What each `enter` was given to look at, in their order. */
  jobs = [];
  /** What each tenant was told to be, in order: `[id, state]`. */
  states = [];
  /** Connections that were entered, or made, while a context was on them. */
  mixed = [];
  /** What enterings and resets do before they change the context. */
  enter = () => undefined;
  reset = () => undefined;
  /** Hears of each connection that is lent. */
  onLent = undefined;

  constructor({ size = 2, ...options } = {}) {
    this.clock = options.clock ?? new FakeClock(1_000);
    this.tenants = new TenantPools({
      strategy: { shared: { size } },
      create: (tenant) => {
        const connection = { id: this.made.length, tenant, context: undefined };
        this.made.push(connection);
        return connection;
      },
      enter: (connection, { id }, job) => this.#enter(connection, id, job),
      reset: (connection) => this.#reset(connection),
      close: ({ id }) => void this.closed.push(id),
      warmUp: 0, mode: "process", clock: this.clock, random: random(1), backoff: false,
      observer: (event, { id }) => {
        if (event.type === "state") this.states.push([id, event.state]);
        if (event.type === "acquired") this.onLent?.();
      },
      ...options,
    });
  }

  /** Acquires and releases, and lets the context be taken off. */
  async visit(id) {
    (await this.tenants.acquire(id)).release();
    await settle();
  }

  /** Lets so much time pass. */
  async pass(ms) {
    await this.clock.advance(ms);
  }

  sleep(ms) {
    return new Promise((resolve) => this.clock.setTimer(resolve, ms));
  }

  /** Closes all, and fails unless each connection is closed once. */
  async assertCloses() {
    const closing = this.tenants.close({ deadline: 60_000 });
    await this.clock.advance(60_000);
    t.equal(await closing, [], "leases that are still out");
    t.equal([...this.closed].sort((a, b) => a - b), this.made.map(({ id }) => id), "closed once");
    const { size, pending, pools, usage } = this.tenants.totals();
    t.equal([size, pending, pools], [0, 0, 0], "what is left");
    t.equal([usage.acquired - usage.released, usage.inUse, usage.waiting], [0, 0, 0]);
    t.equal(this.mixed, [], "connections with two contexts");
    await settle();
    t.equal(this.clock.timers.size, 0, "timers that are left");
  }

  async #enter(connection, id, job) {
    this.jobs.push(job);
    if (connection.context !== undefined) this.mixed.push([connection.id, connection.context, id]);
    connection.asked = id;
    await this.enter(connection);
    // As on a server, where it may come through though nobody waits for it any more.
    connection.context = id;
  }

  async #reset(connection) {
    await this.reset(connection);
    connection.context = undefined;
  }
}

/** Callers of tenants, so many of each, who all hold a connection for 10 ms again and again. */
export class Crowd {
  #it;
  #served = {};
  #isOver = false;
  #callers;

  constructor(it, counts) {
    this.#it = it;
    this.#callers = Object.entries(counts).flatMap(([id, count]) =>
      Array.from({ length: count }, () => this.#call(id)));
  }

  /** Lets so many ms pass, and tells how often callers of each tenant were served meanwhile. */
  async servedIn(ms) {
    this.#served = {};
    await this.#it.pass(ms);
    return { ...this.#served };
  }

  /** Serves who waits yet, and nobody after that. */
  async end() {
    this.#isOver = true;
    await this.#it.pass(2_000);
    await Promise.all(this.#callers);
  }

  async #call(id) {
    while (!this.#isOver) {
      const lease = await this.#it.tenants.acquire(id);
      await this.#it.sleep(10);
      this.#served[id] = (this.#served[id] ?? 0) + 1;
      lease.release();
    }
  }
}
