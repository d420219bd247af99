import { type Clock, systemClock } from "./clock.js";
import type { PoolEvent } from "./events.js";
import type { Job } from "./jobs.js";
import {
  checkNames, isObject, readCount, readDuration, readFlag, readFunction, readWord, wrong,
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

/**
 * The options of a pool. Durations in ms; `Infinity` is no limit, or never.
 *
 * In a process where `idleTimeout`, `maxLifetime`, `checkAfter` and `checkInterval` are 10,000 or
 * more each, they hold to within a second, as long as the program lets timers fire: a lease that
 * comes back goes to the next caller without a look at the clock. Shorter ones are exact.
 */
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

/** What is missing in a pool that has no use for it. */
type Missing = "check" | "reset" | "close" | "observer" | "setAlarm";

/** The settings of a pool after validation: every option, and what follows from them. */
export type Settings<T> = {
  [Name in Exclude<keyof PoolOptions<T>, Missing | "backoff">]-?: NonNullable<
    PoolOptions<T>[Name]
  >;
} & { [Name in Missing]: PoolOptions<T>[Name] } & {
  /** Without end where there is none. */
  backoff: Required<Backoff>;
  backoffBase: number;
  backoffCap: number;
  minIdleIsSet: boolean;
  fifo: boolean;
  edge: boolean;
  doorbell: boolean;
};

const MOST_WAITERS = 500_000;
export const MOST_RESOURCES = 65_535;
const WHERE = "Pool";

/** Reads the value of an option; `settings` has what was read before. */
type Reader = (value: unknown, name: string, settings: Settings<unknown>) => unknown;

/** How each option is read, in this order: what one depends on comes before it. */
const READERS: Record<keyof PoolOptions<unknown>, Reader> = {
  create: (value, name) => readFunction(WHERE, name, value, true),
  check: optional,
  reset: optional,
  close: optional,
  mode: readMode,
  max: count(20, 1, MOST_RESOURCES),
  minIdle: readMinIdle,
  maxWaiting: count(1_000, 0, MOST_WAITERS),
  maxUses: limit(Infinity),
  acquireTimeout: duration(30_000),
  createTimeout: duration(10_000, 1),
  checkTimeout: needing("check", duration(5_000, 1)),
  resetTimeout: needing("reset", duration(5_000, 1)),
  closeTimeout: needing("close", duration(5_000, 1)),
  maxLifetime: duration(1_800_000, 1),
  idleTimeout: withinLifetime(300_000),
  lifetimeJitter: count(10, 0, 100),
  backoff: readBackoff,
  breaker: readBreaker,
  ageing: duration(5_000, 1),
  checkAfter: needing("check", duration(1_000), Infinity),
  checkInterval: needing("check", withinLifetime(30_000), Infinity),
  maxChecks: needing("check", count(1, 1, MOST_RESOURCES), 1),
  reuse: (value, name) => readWord(WHERE, name, value, "lifo", ["lifo", "fifo"]),
  waitTimes: flag(true),
  holdTimes: flag(false),
  slowAcquire: duration(1_000),
  longHold: duration(Infinity, 1),
  trackLeases: flag(false),
  observer: optional,
  leaseTtl: (value, name, { mode }) =>
    readDuration(WHERE, name, value, mode === "edge" ? 60_000 : Infinity, 1),
  heartbeat: readHeartbeat,
  offerTimeout: readOfferTimeout,
  setAlarm: readSetAlarm,
  clock: readClock,
  random: (value, name) => readFunction(WHERE, name, value, false) ?? Math.random,
};

/** Validates the options of a pool. Throws a TypeError that names what is wrong. */
export function readSettings<T>(options: PoolOptions<T>): Settings<T> {
  const readers = Object.entries(READERS) as [keyof typeof READERS, Reader][];
  checkNames(WHERE, options, Object.keys(READERS));
  const settings: Record<string, unknown> = { doorbell: hasDoorbell() };
  for (const [name, read] of readers) {
    settings[name] = read(options[name], name, settings as Settings<unknown>);
  }
  const { mode, reuse, backoff } = settings as unknown as Settings<T>;
  const derived = {
    edge: mode === "edge",
    fifo: reuse === "fifo",
    minIdleIsSet: options.minIdle !== undefined,
    backoffBase: backoff.base,
    backoffCap: backoff.cap,
  };
  // A copy, as V8 finds what was put in by names that it did not know more slowly.
  return { ...settings, ...derived } as unknown as Settings<T>;
}

function readMode(value: unknown, name: string): Mode {
  return readWord(WHERE, name, value, usualMode(), ["process", "edge", "durable-object"]);
}

function optional(value: unknown, name: string): unknown {
  return readFunction(WHERE, name, value, false);
}

function count(fallback: number, low: number, high: number): Reader {
  return (value, name) => readCount(WHERE, name, value, fallback, low, high);
}

function limit(fallback: number): Reader {
  const read = count(fallback, 1, 2 ** 32 - 1);
  return (value, ...more) => (value === Infinity ? value : read(value, ...more));
}

function duration(fallback: number, low = 0): Reader {
  return (value, name) => readDuration(WHERE, name, value, fallback, low);
}

function flag(fallback: boolean): Reader {
  return (value, name) => readFlag(WHERE, name, value, fallback);
}

/** Reads what a function that the pool may have needs; `never` is what it is without that. */
function needing(of: "check" | "reset" | "close", read: Reader, never?: number): Reader {
  return (value, name, settings) => {
    if (settings[of] !== undefined) return read(value, name, settings);
    const isNever = never !== undefined && value === Infinity;
    if (value !== undefined && !isNever) throw contradiction(name, `"${of}"`);
    return never ?? read(undefined, name, settings);
  };
}

function withinLifetime(fallback: number): Reader {
  return (value, name, { maxLifetime }) => {
    const time = readDuration(WHERE, name, value, Math.min(fallback, maxLifetime), 1);
    // Never is no time that another could cut short.
    if (time === Infinity || time <= maxLifetime) return time;
    throw wrong(WHERE, name, `at most maxLifetime (${maxLifetime}), or Infinity`, time);
  };
}

function readMinIdle(value: unknown, name: string, { mode, max }: Settings<unknown>): number {
  if (Number.isInteger(value) && (value as number) > max) {
    throw wrong(WHERE, name, `at most max (${max})`, value);
  }
  return readCount(WHERE, name, value, defaultMinIdle(mode, max), 0, max);
}

/** How many resources are kept ready, of at most `max`, if nobody says. */
export function defaultMinIdle(mode: Mode, max: number): number {
  // Elsewhere what is ready belongs to a request, or keeps its object in memory.
  return mode === "process" ? Math.min(2, max) : 0;
}

function readBackoff(value: unknown, name: string): Required<Backoff> {
  if (value === false) return { base: Infinity, cap: Infinity };
  const given = value === undefined ? {} : value;
  if (!isObject(given)) {
    throw wrong(WHERE, name, "{ base, cap } in ms, or false for none", value);
  }
  const where = `${WHERE}: "${name}"`;
  checkNames(where, given, ["base", "cap"]);
  const { base: first, cap: most } = given as Backoff;
  const cap = readDuration(where, "cap", most, Math.max(30_000, first ?? 0), 1);
  const base = readDuration(where, "base", first, Math.min(100, cap), 1);
  for (const [part, time] of Object.entries({ base, cap })) {
    if (time === Infinity) throw wrong(where, part, "a number of ms from 1", time);
  }
  if (base > cap) throw wrong(where, "base", `at most cap (${cap})`, base);
  return { base, cap };
}

function readBreaker(value: unknown, name: string, settings: Settings<unknown>): unknown {
  if (settings.backoff.cap < Infinity) return limit(5)(value, name, settings);
  if (value === undefined || value === Infinity) return Infinity;
  throw contradiction(name, "a backoff, which says how long it stays open");
}

function readHeartbeat(value: unknown, name: string, { leaseTtl }: Settings<unknown>): number {
  if (leaseTtl === Infinity && value !== undefined) throw contradiction(name, "a leaseTtl");
  const heartbeat = readDuration(WHERE, name, value, Math.min(5_000, leaseTtl / 3), 1);
  if (heartbeat * 2 <= leaseTtl) return heartbeat;
  throw wrong(WHERE, name, `at most half of leaseTtl (${leaseTtl})`, heartbeat);
}

function readOfferTimeout(value: unknown, name: string, settings: Settings<unknown>): number {
  const { mode, doorbell } = settings;
  if (mode === "edge") return readDuration(WHERE, name, value, doorbell ? 100 : 150, 1);
  if (value === undefined) return Infinity;
  throw contradiction(name, 'mode "edge"; elsewhere what comes back is handed over');
}

function readSetAlarm(value: unknown, name: string, { mode }: Settings<unknown>): unknown {
  const setAlarm = optional(value, name);
  if (setAlarm === undefined || mode === "durable-object") return setAlarm;
  throw contradiction(name, `mode "durable-object", and the mode is "${mode}"`);
}

function readClock(clock: unknown, name: string): Clock {
  if (clock === undefined) return systemClock;
  const where = `${WHERE}: ${name}`;
  checkNames(where, clock, Object.keys(clock ?? {}));
  for (const part of ["now", "setTimer", "clearTimer"] as const) {
    readFunction(where, part, (clock as Clock)[part], true);
  }
  return clock as Clock;
}

function contradiction(name: string, need: string): TypeError {
  return new TypeError(`${WHERE}: "${name}" needs ${need}`);
}
