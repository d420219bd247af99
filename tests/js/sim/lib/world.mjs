// What a pool meets outside of itself: the time, timers, requests that die, the order of things.

/** Something that must hold and does not. */
export class Violation extends Error {
  name = "Violation";
}

/** Those that were found, as whatever calls back may swallow what is thrown. */
export const violations = [];

/** Fails unless a condition holds. */
export function ensure(holds, what) {
  if (holds) return;
  const violation = new Violation(typeof what === "function" ? what() : what);
  violations.push(violation);
  throw violation;
}

/** A request of edge mode: what it began dies with it, and it may stop for a while. */
export class Request {
  alive = true;
  stalledUntil = 0;
  controller = new AbortController();
  /** What it has asked for. */
  waits = [];

  constructor(world, name) {
    this.world = world;
    this.name = name;
    // Nothing in the simulated runtime looks at what is waited for.
    this.ctx = { waitUntil: () => undefined };
  }

  /** Ends it as a cut-off does: no timer, no continuation and no job of it goes on. */
  die() {
    this.world.note("dies", this.name);
    this.alive = false;
    this.world.forget((event) => event.owner === this);
  }

  stall(ms) {
    this.world.note("stalls", this.name, ms);
    this.stalledUntil = Math.max(this.stalledUntil, this.world.time + ms);
  }
}

/** True time, in which events happen one after the other, and the clock that the pool is shown. */
export class World {
  time = 0;
  events = [];
  steps = 0;
  hash = 0x811c9dc5;
  log = undefined;
  /** The request whose code runs. */
  current = undefined;
  /** The request whose code has run since the world settled last. */
  turn = undefined;
  faults = undefined;
  problems = [];
  #order = 0;
  #shown;
  #since = 0;
  #rate = 1;

  constructor({ start, faults, choices, keepLog, unrefs }) {
    this.#shown = start;
    this.faults = faults;
    this.rng = choices.fork();
    this.unrefs = unrefs;
    if (keepLog) this.log = [];
  }

  /** Adds to what happened, which is the same for the same seed. */
  note(...words) {
    const line = `${this.time.toFixed(3)} ${words.join(" ")}`;
    for (let at = 0; at < line.length; at += 1) {
      this.hash = Math.imul(this.hash ^ line.charCodeAt(at), 0x01000193);
    }
    this.log?.push(line);
  }

  /** Has something happen `delay` ms from now, in the request whose code runs. */
  after(delay, run, owner = this.current) {
    this.#order += 1;
    const event = { at: this.time + delay, order: this.#order, run, owner, timer: undefined };
    this.#push(event);
    return event;
  }

  /** Happens at most once: the next event, or nothing if there is none. */
  step() {
    const event = this.#pop();
    if (event === undefined) return false;
    const { owner } = event;
    if (owner !== undefined && owner.stalledUntil > event.at) {
      this.#push({ ...event, at: owner.stalledUntil });
      return true;
    }
    this.time = Math.max(this.time, event.at);
    this.steps += 1;
    event.timer?.fired();
    this.as(owner, event.run);
    return true;
  }

  /** Runs code of a request. What it throws would end a process. */
  as(owner, run) {
    const before = this.current;
    this.current = owner;
    this.turn ??= owner;
    try {
      run();
    } catch (error) {
      this.problems.push(error);
    }
    this.current = before;
  }

  /** Takes events away that match. */
  forget(match) {
    const kept = this.events.filter((event) => !match(event));
    if (kept.length === this.events.length) return;
    this.events = [];
    for (const event of kept) this.#push(event);
  }

  #push(event) {
    const { events } = this;
    let at = events.push(event) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(event, events[above])) break;
      events[at] = events[above];
      at = above;
    }
    events[at] = event;
  }

  #pop() {
    const { events } = this;
    const first = events[0];
    const last = events.pop();
    if (first === undefined || first === last) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= events.length) break;
      if (below + 1 < events.length && isBefore(events[below + 1], events[below])) below += 1;
      if (isBefore(last, events[below])) break;
      events[at] = events[below];
      at = below;
    }
    events[at] = last;
    return first;
  }

  /** What the pool's clock tells. */
  now() {
    return this.#shown + (this.time - this.#since) * this.#rate;
  }

  /** Steps the pool's clock, or changes its pace; timers keep to true time. */
  setClock(by, rate = this.#rate) {
    this.#shown = Math.max(this.now() + by, 0);
    this.#since = this.time;
    this.#rate = rate;
  }

  /** The clock that the pool is given. */
  clock() {
    return {
      now: () => this.now(),
      setTimer: (fire, delay) => this.#setTimer(fire, delay),
      clearTimer: (handle) => this.#clearTimer(handle),
    };
  }

  #setTimer(fire, delay) {
    ensure(delay >= 0 && delay < Infinity, `a timer is set for ${delay} ms`);
    ensure(this.current?.alive !== false, "a timer is set in a request that is dead");
    const late = this.faults !== undefined && this.rng.chance(this.faults.late);
    // No runtime fires a timer in no time at all.
    const wait = Math.max(delay, 0.01) + (late ? this.rng.ms(0, this.faults.lateBy) : 0);
    const event = this.after(wait, fire);
    event.timer = new Timer(event);
    return this.unrefs ? event.timer : event.order;
  }

  #clearTimer(handle) {
    const isIt = (event) => event.timer === handle || event.order === handle;
    this.forget((event) => event.timer !== undefined && isIt(event));
  }

  /** The timers that the pool has set and that have not fired. */
  timers() {
    return this.events.filter((event) => event.timer !== undefined);
  }
}

/** What `setTimeout` gives in Node: it may be told not to keep the process alive. */
class Timer {
  keeps = true;

  constructor(event) {
    this.event = event;
  }

  ref() {
    this.keeps = true;
  }

  unref() {
    this.keeps = false;
  }

  fired() {
    this.keeps = false;
  }
}

function isBefore(a, b) {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

const { then } = Promise.prototype;

/**
 * Has promises go on in the request that looks at them, as workerd has it: not at all once that is
 * dead, and later if it stands still or another's code runs. Returns what undoes that.
 */
export function bindPromises(world) {
  Promise.prototype.then = function (...handlers) {
    const owner = world.current;
    if (owner === undefined) return then.apply(this, handlers);
    return then.apply(this, handlers.map((handler) => bound(world, owner, handler)));
  };
  return () => {
    Promise.prototype.then = then;
  };
}

function bound(world, owner, handler) {
  if (typeof handler !== "function") return handler;
  return (value) => {
    if (!owner.alive) return new Promise(() => undefined);
    world.turn ??= owner;
    const isItsTurn = owner.stalledUntil <= world.time && world.turn === owner;
    if (!isItsTurn) return later(world, owner, () => handler(value));
    return inside(world, owner, () => handler(value));
  };
}

function inside(world, owner, run) {
  const before = world.current;
  world.current = owner;
  try {
    return run();
  } finally {
    world.current = before;
  }
}

function later(world, owner, run) {
  return new Promise((resolve, reject) => {
    const go = () => {
      try {
        resolve(run());
      } catch (error) {
        reject(error);
      }
    };
    const event = world.after(Math.max(owner.stalledUntil - world.time, 0), go, owner);
    event.continues = true;
  });
}

/** Lets every promise that is ready run its course. */
export function settle() {
  // Ticks come when no microtask is left.
  return new Promise((resolve) => process.nextTick(resolve));
}
