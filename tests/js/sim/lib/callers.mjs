// The callers of a simulated pool: each goes through its rounds, asks in its way, gives up or dies,
// holds what it was given, and parts with it in one of the ways there are.
import { Request, ensure } from "./world.mjs";

/** A lease that a caller holds, and what the pool may do to it. */
class Held {
  over = false;

  constructor(run, lease, resource, request) {
    this.run = run;
    this.lease = lease;
    this.resource = resource;
    this.request = request;
    this.trapsBefore = run.traps;
    this.live(run.limits.leaseTtl);
  }

  /** Lives for so long from now, by the pool's clock. */
  live(ttl) {
    this.until = Math.max(this.until ?? 0, this.run.world.now() + ttl);
  }

  /** Tells whether its time has passed, or the pool was closed with force. */
  mayEnd() {
    const { forced, wrongClock } = this.run;
    // One that stood still may hear of its lease when that is over.
    if (forced || this.request?.alive === false || this.request?.stalledUntil > 0) return true;
    // A new module begins at what the clock tells by then, which may have been set back.
    if (wrongClock && this.run.traps > this.trapsBefore) return true;
    // A `use` beats for as long as its work takes.
    if (this.beats) return wrongClock;
    return this.run.latest() >= this.until - 0.001;
  }
}

/** One acquire, from the call to its outcome. */
class Wait {
  aborted = undefined;
  killed = false;

  constructor(caller, round, request) {
    this.caller = caller;
    this.round = round;
    this.request = request;
    this.name = request?.name ?? `caller ${caller.number}`;
    request?.waits.push(this);
  }
}

export class Callers {
  /** Waits in the order in which they were asked for, and leases that are held. */
  waits = new Set();
  held = new Set();
  /** Leases whose callers forgot them. */
  lost = [];
  busy = 0;
  served = 0;
  ends = new Map();
  #asked = 0;

  constructor(run, { callers, choices }) {
    this.run = run;
    this.world = run.world;
    this.rng = choices.fork();
    for (const caller of callers) this.#next(caller, 0);
  }

  #next(caller, number) {
    const round = caller.rounds[number];
    if (round === undefined) return;
    this.busy += 1;
    this.world.after(round.pause, () => this.#begin(caller, number, round), undefined);
  }

  #begin(caller, number, round) {
    const { run, world } = this;
    const request = run.edge ? new Request(world, `${caller.number}.${number}`) : undefined;
    const waits = [new Wait(caller, round, request)];
    // A request may wait for several at once, each for itself.
    for (let more = request && caller.number % 3; more > 0; more -= 1) {
      waits.push(new Wait(caller, { ...round, wait: "patient", droppedAt: undefined }, request));
    }
    this.busy += waits.length - 1;
    let left = waits.length;
    for (const wait of waits) {
      wait.done = () => {
        if (wait.isDone) return;
        wait.isDone = true;
        left -= 1;
        if (left > 0) this.busy -= 1;
        else this.#end(caller, number);
      };
    }
    world.as(request, () => {
      // The request may die in the midst of it.
      for (const wait of waits) if (!wait.killed) this.#ask(wait);
    });
  }

  #end(caller, number) {
    this.busy -= 1;
    this.#next(caller, number + 1);
  }

  #ask(wait) {
    const { round } = wait;
    const { pool } = this.run;
    this.world.note("asks", wait.name, round.ask.way, round.wait);
    this.#asked += 1;
    wait.order = this.#asked;
    wait.since = this.world.time;
    wait.shown = this.world.now();
    if (round.ask.way === "try") {
      const lease = this.run.ask(() => pool.tryAcquire());
      if (lease === undefined) wait.done();
      else this.#got(wait, [lease]);
      return;
    }
    this.#watch(wait, this.#call(wait, this.#options(wait)));
    this.#impatience(wait);
  }

  #options({ round, request, ...wait }) {
    const given = {};
    if (round.timeout !== undefined) given.timeout = round.timeout;
    if (round.priority !== "normal") given.priority = round.priority;
    if (request !== undefined) {
      Object.assign(given, { ctx: request.ctx });
      if (this.rng.chance(500)) given.request = { signal: request.controller.signal };
    }
    return given;
  }

  #call(wait, given) {
    const { pool } = this.run;
    const { round } = wait;
    if (round.wait === "giveUp" || (round.droppedAt !== undefined && !wait.request)) {
      wait.controller = new AbortController();
      given.signal = wait.controller.signal;
    }
    if (round.droppedAt === 0 && wait.controller) this.#abort(wait);
    this.waits.add(wait);
    const options = Object.keys(given).length > 0 ? given : undefined;
    if (round.ask.way === "many") return pool.acquireMany(round.ask.many, options);
    wait.uses = round.wait === "orphan" || (round.wait === "patient" && this.rng.chance(200));
    if (wait.uses) return pool.use((resource, lease) => this.#use(wait, resource, lease), options);
    return pool.acquire(options).then((lease) => [lease]);
  }

  #abort(wait) {
    wait.aborted = { reason: wait.caller.number };
    this.world.note("aborts", wait.name);
    wait.controller.abort(wait.aborted);
  }

  /** What befalls a caller while it waits. */
  #impatience(wait) {
    const { round, request } = wait;
    const { world } = this;
    if (world.faults === undefined) return;
    if (round.wait === "giveUp") world.after(round.patience, () => this.#giveUp(wait), undefined);
    if (request === undefined) {
      if (round.droppedAt > 0) this.#afterTurns(round.droppedAt, () => this.#giveUp(wait));
      return;
    }
    if (round.wait === "lookAway") request.stall(round.patience);
    if (round.wait === "leak") world.after(round.patience, () => this.#kill(wait), undefined);
    if (round.droppedAt !== undefined) this.#afterTurns(round.droppedAt, () => this.#kill(wait));
  }

  #afterTurns(turns, run) {
    if (turns === 0) this.world.as(undefined, run);
    else queueMicrotask(() => this.#afterTurns(turns - 1, run));
  }

  #giveUp(wait) {
    if (this.waits.has(wait) && wait.aborted === undefined) this.#abort(wait);
  }

  /** Cuts a request off, wherever it is. */
  #kill(wait) {
    if (wait.killed || wait.isDone) return;
    wait.request.die();
    for (const each of wait.request.waits) {
      each.killed = true;
      this.waits.delete(each);
      each.done();
    }
  }

  #watch(wait, promise) {
    const settled = (how) => {
      this.waits.delete(wait);
      wait.outcome = how;
    };
    promise.then(
      (leases) => {
        settled("served");
        if (wait.uses) wait.done();
        else this.#got(wait, leases);
      },
      (error) => {
        if (wait.uses && error === wait.thrown) return wait.done();
        settled("ended");
        this.#ended(wait, error);
        wait.done();
      },
    ).catch((error) => this.world.problems.push(error));
  }

  #ended(wait, error) {
    const code = error === wait.aborted ? "aborted" : error?.code;
    this.world.note("ends", wait.name, code);
    this.ends.set(code, (this.ends.get(code) ?? 0) + 1);
    this.run.checks.end(wait, error);
  }

  #got(wait, leases) {
    const { run, world } = this;
    this.run.checks.served(wait, leases);
    const helds = leases.map((lease) => this.#hold(wait, lease));
    this.served += leases.length;
    world.note("has", wait.name, helds.map(({ resource }) => resource.id));
    if (wait.round.reentrant) run.reenter();
    if (wait.round.wait === "leak" && !run.edge && world.faults !== undefined) {
      this.lost.push(...helds);
      return wait.done();
    }
    this.#keep(wait, helds);
  }

  #hold(wait, lease) {
    const resource = lease.value;
    const held = new Held(this.run, lease, resource, wait.request);
    this.run.checks.lend(held, wait);
    resource.lease = held;
    resource.uses += 1;
    resource.known = true;
    if (resource.uses >= resource.breaksAt) resource.broken = true;
    this.held.add(held);
    return held;
  }

  #keep(wait, helds) {
    const { hold } = wait.round;
    if (this.rng.chance(100)) {
      this.world.after(hold / 2, () => helds.forEach((held) => this.#renew(held)));
    }
    const part = () => {
      helds.forEach((held) => this.#part(wait, held));
      wait.done();
    };
    if (hold === 0 && this.rng.chance(500)) part();
    else this.world.after(hold, part);
  }

  #renew(held) {
    if (held.over) return;
    const good = held.lease.renew();
    if (good) held.live(this.run.limits.leaseTtl);
    else ensure(held.mayEnd(), `renew: the lease of ${held.resource.id} has ended early`);
  }

  /** The work of a `use`: the pool releases as it ends. */
  #use(wait, resource, lease) {
    this.waits.delete(wait);
    this.run.checks.served(wait, [lease]);
    const held = this.#hold(wait, lease);
    this.served += 1;
    const { world } = this;
    world.note("uses", wait.name, resource.id);
    const end = () => {
      this.#over(held);
      if (wait.round.wait !== "orphan") return resource.id;
      wait.thrown = { work: wait.name };
      throw wait.thrown;
    };
    held.beats = this.run.limits.leaseTtl < Infinity;
    if (wait.round.hold === 0) return end();
    return new Promise((resolve, reject) => {
      world.after(wait.round.hold, () => {
        try {
          resolve(end());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  #over(held) {
    held.over = true;
    held.resource.goodAt = this.world.now();
    held.endedBy = "use";
    this.held.delete(held);
  }

  #part(wait, held) {
    const { resource, lease } = held;
    const broken = resource.broken && !this.run.careless;
    const way = broken ? "discard" : wait.round.parting;
    this.world.note("parts", wait.name, resource.id, way);
    const mayEnd = held.mayEnd();
    const good = this.#partBy(way, held);
    const missing = () => `${way}: the lease of ${resource.id} had ended, in ${wait.name}`;
    ensure(good || mayEnd, missing);
    if (this.rng.chance(50)) ensure(!lease.release(), "a lease was released twice");
    if (this.rng.chance(50)) {
      const again = () => ensure(!lease.discard(), "a lease was ended twice, the second time late");
      this.world.after(wait.round.hold, again);
    }
  }

  /** Ends a lease; tells whether the pool took that for its end. */
  #partBy(way, held) {
    const { lease, resource } = held;
    held.over = true;
    resource.goodAt = this.world.now();
    this.held.delete(held);
    if (way === "discard") return lease.discard(new Error("broken"));
    if (way === "take") return this.#take(lease, resource);
    if (way === "drop") return lease.release();
    const before = this.run.count("released");
    const dispose = Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose");
    this.run.disposals += 1;
    lease[dispose]().finally(() => (this.run.disposals -= 1))
      .catch((error) => this.world.problems.push(error));
    return this.run.traps > 0 || this.run.count("released") > before;
  }

  #take(lease, resource) {
    try {
      lease.take();
    } catch (error) {
      ensure(error.code === "lease_ended", () => `take: ${error.stack}`);
      return false;
    }
    ensure(resource.state === "open", `taken: resource ${resource.id} is ${resource.state}`);
    resource.state = "taken";
    return true;
  }

  /** Gives back what callers forgot, and forgets what belongs to requests that are dead. */
  restore() {
    for (const held of this.lost) {
      const mayEnd = held.mayEnd();
      if (held.over) continue;
      ensure(this.#partBy("drop", held) || mayEnd, "a lost lease had ended");
    }
    this.lost = [];
  }
}
