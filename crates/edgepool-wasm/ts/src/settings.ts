import { type Clock, systemClock } from "./clock.js";
import * as core from "./core.js";
import type { PoolEvent } from "./events.js";
import type { Job } from "./jobs.js";
import {
  checkNames, readCount, readDuration, readFlag, readFunction, readWord, wrong,
} from "./options.js";
import { type Mode, hasDoorbell, usualMode } from "./runtime.js";

/** In which order idle resources are lent: the one used last first, or the one used longest ago. */
export type Reuse = "lifo" | "fifo";

/**
 * How long creations wait after one failed, in ms: a random time of at most `base`, doubled for
 * each failure in a row up to `cap`.
 */
export interface Backoff {
  /** The longest wait after a first failure. Default 100. */
  base?: number;
  /** The longest wait of all. Default 30,000. */
  cap?: number;
}

/** The options of a pool. Durations in ms; `Infinity` is no limit, or never. */
export interface PoolOptions<T> {
  /**
   * Makes a resource, another one each time. What it throws or rejects with reaches the caller as
   * the `cause` of a CreateError.
   */
  create: (job: Job) => T | PromiseLike<T>;
  /**
   * Finds out whether a resource is still good. It is not if this gives `false`, throws or
   * rejects; then it is closed, and another one is made.
   */
  check?: ((resource: T, job: Job) => unknown) | undefined;
  /** Cleans a resource that comes back. If this throws or rejects, the resource is closed. */
  reset?: ((resource: T, job: Job) => unknown) | undefined;
  /** Closes a resource that leaves the pool. A promise is waited for before its place is free. */
  close?: ((resource: T, job: Job) => unknown) | undefined;

  /** The most resources at once, whatever is done with them. Default 20. */
  max?: number | undefined;
  /**
   * How many resources are kept ready beyond those that callers wait for, from the first acquire
   * on; at most `max`. Default 2, or `max` if that is less; in Workers and Durable Objects 0.
   */
  minIdle?: number | undefined;
  /** The most callers that wait, beyond those for whom a resource is being made. Default 1,000. */
  maxWaiting?: number | undefined;
  /** How often a resource is lent before it is closed. Default no limit. */
  maxUses?: number | undefined;

  /** How long an acquire waits. Default 30,000. */
  acquireTimeout?: number | undefined;
  /**
   * How long `create` may take: then its signal aborts, and a resource that it gives after all is
   * closed. Default 10,000.
   */
  createTimeout?: number | undefined;
  /** How long `check` may take before it counts as failed. Default 5,000. */
  checkTimeout?: number | undefined;
  /** How long `reset` may take before it counts as failed. Default 5,000. */
  resetTimeout?: number | undefined;
  /** How long `close` may take before its place is free anyway. Default 5,000. */
  closeTimeout?: number | undefined;
  /**
   * How long a resource stays unused that `minIdle` does not need. Default 300,000, or
   * `maxLifetime` if that is less.
   */
  idleTimeout?: number | undefined;
  /** How long after its creation a resource is lent for the last time. Default 1,800,000. */
  maxLifetime?: number | undefined;
  /** How much earlier it may be retired, in percent, drawn at its birth. Default 10. */
  lifetimeJitter?: number | undefined;

  /**
   * A resource that was idle for so long is checked before it is lent; 0 checks always, `Infinity`
   * never. It needs `check`. Default 1,000.
   */
  checkAfter?: number | undefined;
  /**
   * An idle resource that was not used or checked for so long is checked. It needs `check`.
   * Default 30,000, or `maxLifetime` if that is less.
   */
  checkInterval?: number | undefined;
  /** The most checks that `checkInterval` has under way at once. Default 1. */
  maxChecks?: number | undefined;
  /**
   * How long creations wait after a failure; `false` tries again at once for the next caller.
   * Default `{ base: 100, cap: 30_000 }`.
   */
  backoff?: Backoff | false | undefined;
  /**
   * After so many failed creations in a row only one at a time is tried, and callers for whom
   * nothing else could come are refused with an UnavailableError until it is; `Infinity` never. It
   * needs a backoff. Default 5.
   */
  breaker?: number | undefined;
  /**
   * The wait that counts as much as one class of priority; `Infinity` serves higher classes first
   * however long the others wait. Default 5,000.
   */
  ageing?: number | undefined;
  /** The order in which idle resources are lent. Default `lifo`. */
  reuse?: Reuse | undefined;

  /** Whether `stats().waits` is kept. Default true. */
  waitTimes?: boolean | undefined;
  /**
   * Whether `stats().holds` is kept, which reads the clock at each acquire and release. Default
   * false.
   */
  holdTimes?: boolean | undefined;
  /** After which wait an acquire is told as a `slowAcquire` event. Default 1,000. */
  slowAcquire?: number | undefined;
  /** After how long a lease that is out is told as a `longHold` event. Default never. */
  longHold?: number | undefined;
  /**
   * Whether it is kept where each lease was acquired, to be named in errors, `holders()` and
   * events; and whether a lease that was dropped without release is told as a `leaked` event. It
   * costs about a microsecond an acquire. Default false.
   */
  trackLeases?: boolean | undefined;
  /** Is told what happens. What it throws is dropped. */
  observer?: ((event: PoolEvent) => void) | undefined;

  /** `edge` where a request may die at any moment; the default is to look at the runtime. */
  mode?: Mode | undefined;
  /** How long a lease lives that nothing renews. Default `Infinity`; on the edge 60,000. */
  leaseTtl?: number | undefined;
  /**
   * How often `use` and `bind` renew a lease that has a time to live; three beats missed end it.
   * Default 5,000, or a third of `leaseTtl` if that is less.
   */
  heartbeat?: number | undefined;
  /** Edge mode: how long an offer stands. Default 100 with a doorbell, else 150. */
  offerTimeout?: number | undefined;
  /**
   * Durable-object mode: asks for `pool.tick()` at a time in ms since 1970, as
   * `(at) => ctx.storage.setAlarm(at)` does.
   */
  setAlarm?: ((at: number) => unknown) | undefined;
  /** Tells and waits; give your own in tests. */
  clock?: Clock | undefined;
  /** Gives numbers from 0 up to 1; give your own in tests. Default `Math.random`. */
  random?: (() => number) | undefined;
}

/** The settings of a pool after validation; durations in ms. */
export interface Settings<T> {
  create: (job: Job) => T | PromiseLike<T>;
  check: ((resource: T, job: Job) => unknown) | undefined;
  reset: ((resource: T, job: Job) => unknown) | undefined;
  close: ((resource: T, job: Job) => unknown) | undefined;
  max: number;
  minIdle: number;
  minIdleIsSet: boolean;
  maxWaiting: number;
  maxUses: number;
  acquireTimeout: number;
  createTimeout: number;
  checkTimeout: number;
  resetTimeout: number;
  closeTimeout: number;
  idleTimeout: number;
  maxLifetime: number;
  lifetimeJitter: number;
  checkAfter: number;
  checkInterval: number;
  maxChecks: number;
  backoffBase: number;
  backoffCap: number;
  breaker: number;
  ageing: number;
  fifo: boolean;
  waitTimes: boolean;
  holdTimes: boolean;
  slowAcquire: number;
  longHold: number;
  trackLeases: boolean;
  observer: ((event: PoolEvent) => void) | undefined;
  mode: Mode;
  edge: boolean;
  doorbell: boolean;
  leaseTtl: number;
  heartbeat: number;
  offerTimeout: number;
  setAlarm: ((at: number) => unknown) | undefined;
  clock: Clock;
  random: () => number;
}

const NAMES: readonly (keyof PoolOptions<unknown>)[] = [
  "create", "check", "reset", "close", "max", "minIdle", "maxWaiting", "maxUses", "acquireTimeout",
  "createTimeout", "checkTimeout", "resetTimeout", "closeTimeout", "idleTimeout", "maxLifetime",
  "lifetimeJitter", "checkAfter", "checkInterval", "maxChecks", "backoff", "breaker", "ageing",
  "reuse", "waitTimes", "holdTimes", "slowAcquire", "longHold", "trackLeases", "observer", "mode",
  "leaseTtl", "heartbeat", "offerTimeout", "setAlarm", "clock", "random",
];
const MODES = ["process", "edge", "durable-object"] as const;

/** The most waiters on the edge: each has a timer, and workerd allows 10,000 of those. */
const MOST_EDGE_WAITERS = 9_000;
const MOST_WAITERS = 500_000;
export const MOST_RESOURCES = 65_535;
const WHERE = "Pool";

/** Validates the options of a pool. Throws a TypeError that names what is wrong. */
export function readSettings<T>(options: PoolOptions<T>): Settings<T> {
  checkNames(WHERE, options, NAMES);
  const mode = readWord(WHERE, "mode", options.mode, usualMode(), MODES);
  const edge = mode === "edge";
  const settings: Settings<T> = {
    ...readFactory(options),
    ...readSizes(options, mode),
    ...readTimes(options),
    ...readFailures(options),
    ...readChecks(options),
    ...readReports(options),
    ...readEdge(options, edge),
    fifo: readWord(WHERE, "reuse", options.reuse, "lifo", ["lifo", "fifo"]) === "fifo",
    mode,
    edge,
    clock: readClock(options.clock),
    random: readFunction<(() => number) | undefined>(WHERE, "random", options.random, false) ??
      Math.random,
  };
  if (settings.setAlarm !== undefined && mode !== "durable-object") {
    throw contradiction("setAlarm", `mode "durable-object", and the mode is "${mode}"`);
  }
  return settings;
}

function readFactory<T>({ create, check, reset, close }: PoolOptions<T>): Pick<
  Settings<T>, "create" | "check" | "reset" | "close"
> {
  return {
    create: readFunction(WHERE, "create", create, true),
    check: readFunction(WHERE, "check", check, false),
    reset: readFunction(WHERE, "reset", reset, false),
    close: readFunction(WHERE, "close", close, false),
  };
}

function readSizes<T>(options: PoolOptions<T>, mode: Mode): Pick<
  Settings<T>, "max" | "minIdle" | "minIdleIsSet" | "maxWaiting" | "maxUses"
> {
  const max = readCount(WHERE, "max", options.max, 20, 1, MOST_RESOURCES);
  const { minIdle } = options;
  if (Number.isInteger(minIdle) && (minIdle as number) > max) {
    throw wrong(WHERE, "minIdle", `at most max (${max})`, minIdle);
  }
  const most = mode === "edge" ? MOST_EDGE_WAITERS : MOST_WAITERS;
  return {
    max,
    minIdle: readCount(WHERE, "minIdle", minIdle, defaultMinIdle(mode, max), 0, max),
    minIdleIsSet: minIdle !== undefined,
    maxWaiting: readCount(WHERE, "maxWaiting", options.maxWaiting, 1_000, 0, most),
    maxUses: readLimit("maxUses", options.maxUses, Infinity),
  };
}

/** How many resources are kept ready, of at most `max`, if nobody says. */
export function defaultMinIdle(mode: Mode, max: number): number {
  // Elsewhere what is ready belongs to a request, or keeps its object in memory.
  return mode === "process" ? Math.min(2, max) : 0;
}

function readTimes<T>(options: PoolOptions<T>): Pick<
  Settings<T>,
  | "acquireTimeout" | "createTimeout" | "checkTimeout" | "resetTimeout" | "closeTimeout"
  | "idleTimeout" | "maxLifetime" | "lifetimeJitter"
> {
  const maxLifetime = duration("maxLifetime", options.maxLifetime, 1_800_000, 1);
  const shorter = { value: maxLifetime, name: "maxLifetime" };
  return {
    acquireTimeout: duration("acquireTimeout", options.acquireTimeout, 30_000),
    createTimeout: duration("createTimeout", options.createTimeout, 10_000, 1),
    checkTimeout: needing("checkTimeout", options, "check", 5_000),
    resetTimeout: needing("resetTimeout", options, "reset", 5_000),
    closeTimeout: needing("closeTimeout", options, "close", 5_000),
    idleTimeout: within("idleTimeout", options.idleTimeout, 300_000, shorter),
    maxLifetime,
    lifetimeJitter: readCount(WHERE, "lifetimeJitter", options.lifetimeJitter, 10, 0, 100),
  };
}

function readChecks<T>(options: PoolOptions<T>): Pick<
  Settings<T>, "checkAfter" | "checkInterval" | "maxChecks"
> {
  if (options.check === undefined) {
    for (const name of ["checkAfter", "checkInterval", "maxChecks"] as const) {
      const value = options[name];
      if (value !== undefined && value !== Infinity) throw contradiction(name, '"check"');
    }
    return { checkAfter: Infinity, checkInterval: Infinity, maxChecks: 1 };
  }
  const shorter = {
    value: duration("maxLifetime", options.maxLifetime, 1_800_000, 1), name: "maxLifetime",
  };
  return {
    checkAfter: duration("checkAfter", options.checkAfter, 1_000),
    checkInterval: within("checkInterval", options.checkInterval, 30_000, shorter),
    maxChecks: readCount(WHERE, "maxChecks", options.maxChecks, 1, 1, MOST_RESOURCES),
  };
}

function readFailures<T>({ backoff, breaker, ageing }: PoolOptions<T>): Pick<
  Settings<T>, "backoffBase" | "backoffCap" | "breaker" | "ageing"
> {
  const none = backoff === false;
  if (none && breaker !== undefined && breaker !== Infinity) {
    throw contradiction("breaker", "a backoff, which says how long it stays open");
  }
  return {
    ...(none ? { backoffBase: Infinity, backoffCap: Infinity } : readBackoff(backoff)),
    breaker: none ? Infinity : readLimit("breaker", breaker, 5),
    ageing: duration("ageing", ageing, 5_000, 1),
  };
}

function readBackoff(backoff: Backoff = {}): { backoffBase: number; backoffCap: number } {
  if (typeof backoff !== "object" || backoff === null || Array.isArray(backoff)) {
    throw wrong(WHERE, "backoff", "{ base, cap } in ms, or false for none", backoff);
  }
  const where = 'Pool: "backoff"';
  checkNames(where, backoff, ["base", "cap"]);
  const { base, cap } = backoff;
  const backoffCap = readDuration(where, "cap", cap, Math.max(30_000, base ?? 0), 1);
  const backoffBase = readDuration(where, "base", base, Math.min(100, backoffCap), 1);
  for (const [name, value] of [["base", backoffBase], ["cap", backoffCap]] as const) {
    if (value === Infinity) throw wrong(where, name, "a number of ms from 1", value);
  }
  if (backoffBase > backoffCap) {
    throw wrong(where, "base", `at most cap (${backoffCap})`, backoffBase);
  }
  return { backoffBase, backoffCap };
}

function readReports<T>(options: PoolOptions<T>): Pick<
  Settings<T>,
  "waitTimes" | "holdTimes" | "slowAcquire" | "longHold" | "trackLeases" | "observer"
> {
  return {
    waitTimes: readFlag(WHERE, "waitTimes", options.waitTimes, true),
    holdTimes: readFlag(WHERE, "holdTimes", options.holdTimes, false),
    slowAcquire: duration("slowAcquire", options.slowAcquire, 1_000),
    longHold: duration("longHold", options.longHold, Infinity, 1),
    trackLeases: readFlag(WHERE, "trackLeases", options.trackLeases, false),
    observer: readFunction(WHERE, "observer", options.observer, false),
  };
}

function readEdge<T>(options: PoolOptions<T>, edge: boolean): Pick<
  Settings<T>, "doorbell" | "leaseTtl" | "heartbeat" | "offerTimeout" | "setAlarm"
> {
  const doorbell = hasDoorbell();
  const leaseTtl = duration("leaseTtl", options.leaseTtl, edge ? 60_000 : Infinity, 1);
  if (leaseTtl === Infinity && options.heartbeat !== undefined) {
    throw contradiction("heartbeat", "a leaseTtl");
  }
  const heartbeat = duration("heartbeat", options.heartbeat, Math.min(5_000, leaseTtl / 3), 1);
  if (heartbeat * 2 > leaseTtl) {
    throw wrong(WHERE, "heartbeat", `at most half of leaseTtl (${leaseTtl})`, heartbeat);
  }
  if (!edge && options.offerTimeout !== undefined) {
    throw contradiction("offerTimeout", 'mode "edge"; elsewhere what comes back is handed over');
  }
  return {
    doorbell,
    leaseTtl,
    heartbeat,
    offerTimeout: edge
      ? duration("offerTimeout", options.offerTimeout, doorbell ? 100 : 150, 1)
      : Infinity,
    setAlarm: readFunction(WHERE, "setAlarm", options.setAlarm, false),
  };
}

/** Reads a time limit of a function that must be there. */
function needing<T>(
  name: "checkTimeout" | "resetTimeout" | "closeTimeout", options: PoolOptions<T>,
  of: "check" | "reset" | "close", fallback: number,
): number {
  const value = options[name];
  if (value !== undefined && options[of] === undefined) throw contradiction(name, `"${of}"`);
  return duration(name, value, fallback, 1);
}

function within(
  name: string, value: unknown, fallback: number, limit: { value: number; name: string },
): number {
  const time = duration(name, value, Math.min(fallback, limit.value), 1);
  // Never is no time that another could cut short.
  if (time === Infinity || time <= limit.value) return time;
  throw wrong(WHERE, name, `at most ${limit.name} (${limit.value}), or Infinity`, time);
}

function duration(name: string, value: unknown, fallback: number, low = 0): number {
  return readDuration(WHERE, name, value, fallback, low);
}

function readLimit(name: string, value: unknown, fallback: number): number {
  if (value === Infinity) return Infinity;
  return readCount(WHERE, name, value, fallback, 1, 2 ** 32 - 1);
}

function contradiction(name: string, need: string): TypeError {
  return new TypeError(`${WHERE}: "${name}" needs ${need}`);
}

function readClock(clock: Clock | undefined): Clock {
  if (clock === undefined) return systemClock;
  checkNames("Pool: clock", clock, Object.keys(clock ?? {}));
  for (const name of ["now", "setTimer", "clearTimer"] as const) {
    readFunction("Pool: clock", name, clock[name], true);
  }
  return clock;
}

/** Tells whether every acquire and release depends on the time. */
export function needsClock<T>(settings: Settings<T>): boolean {
  const { idleTimeout, maxLifetime, checkInterval, longHold, leaseTtl, checkAfter } = settings;
  const times = [idleTimeout, maxLifetime, checkInterval, longHold, leaseTtl, checkAfter];
  const { edge, holdTimes, trackLeases, maxUses } = settings;
  return edge || holdTimes || trackLeases || maxUses !== Infinity || Math.min(...times) < Infinity;
}

/** Opens a pool in the module, and returns its number. */
export function open<T>(module: core.Core, settings: Settings<T>, max: number): number {
  const values: Record<string, number | boolean> = { ...settings, max } as never;
  core.OPTIONS.forEach((name, which) => module.set_option(which, Number(values[name])));
  const pool = module.pool_open(settings.edge ? 1 : 0);
  if (pool < 0) throw new TypeError("Pool: the options contradict each other");
  return pool;
}
