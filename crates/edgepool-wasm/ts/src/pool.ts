/// <reference lib="esnext.disposable" preserve="true" />
import { type Clock, systemClock } from "./clock.js";
import { COUNTERS, GAUGES } from "./core.js";
import { Engine, type Settings } from "./engine.js";
import { hold, holdOpen } from "./hold.js";
import { type Lease, type RequestScope, asyncDispose } from "./lease.js";
import { checkNames, readCount, readDuration, readFunction, readWord, wrong } from "./options.js";
import { type Mode, hasDoorbell, inWorkerd } from "./runtime.js";
import { abortReason, findAborted } from "./signals.js";

/** The options of a pool. Durations in ms; `Infinity` is no limit. */
export interface PoolOptions<T> {
  /** Makes a resource. What it throws or rejects with reaches the caller as a CreateError. */
  create: () => T | PromiseLike<T>;
  /** Closes a resource that leaves the pool. A promise is waited for before its place is free. */
  close?: (resource: T) => unknown;
  /** The most resources at once, those being made or closed among them. Default 20. */
  max?: number;
  /** The most callers that wait, beyond those for whom a resource is being made. Default 1,000. */
  maxWaiting?: number;
  /** How long an acquire waits. Default 30,000. */
  acquireTimeout?: number;
  /** How long `create` may take. Default 10,000. */
  createTimeout?: number;
  /** `edge` where a request may die at any moment; the default is to look at the runtime. */
  mode?: Mode;
  /** Edge mode: how long a lease lives that nothing renews. Default 60,000. */
  leaseTtl?: number;
  /** Edge mode: how often `use` and `bind` renew; three beats missed end it. Default 5,000. */
  heartbeat?: number;
  /** Edge mode: how long an offer stands. Default 100 with a doorbell, else 150. */
  offerTimeout?: number;
  /** Tells and waits; give your own in tests. */
  clock?: Clock;
}

/** The options of one acquire. */
export interface AcquireOptions extends RequestScope {
  /** Ends the wait with its reason. */
  signal?: AbortSignal | undefined;
  /** In place of the pool's `acquireTimeout`, in ms. */
  timeout?: number | undefined;
}

type Gauge = (typeof GAUGES)[number];
type Counter = (typeof COUNTERS)[number];

/**
 * How a pool stands, and what has happened to it. Always `started` = `direct` + `waited` +
 * `timedOut` + `cancelled` + `failed` + `refused` + `closed` + `missed` + `pending`.
 */
export type PoolStats = Record<Gauge | Counter | "pending", number>;

const OPTIONS = [
  "create", "close", "max", "maxWaiting", "acquireTimeout", "createTimeout", "mode", "leaseTtl",
  "heartbeat", "offerTimeout", "clock",
] as const;
const ACQUIRE_OPTIONS = ["signal", "timeout", "ctx", "request"] as const;

/** The most waiters on the edge: each has a timer, and workerd allows 10,000 of those. */
const MOST_EDGE_WAITERS = 9_000;
const MOST_WAITERS = 500_000;

/**
 * A pool: at most `max` resources, lent to one caller at a time, first come first served.
 *
 * Throws a TypeError that names the option if one is unknown, of a wrong type or out of range.
 */
export class Pool<T> {
  private readonly engine: Engine<T>;

  constructor(options: PoolOptions<T>) {
    this.engine = new Engine(readSettings(options));
  }

  /**
   * Waits for a resource. Rejects with an AcquireTimeoutError, a QueueFullError, a CreateError, a
   * PoolClosedError, or the signal's own reason. An abandoned promise cancels nothing: its lease
   * is lost until its time to live passes, or in a process for ever.
   */
  acquire(options?: AcquireOptions): Promise<Lease<T>> {
    if (options !== undefined) return this.acquireWith(options);
    const lease = this.engine.tryAcquire();
    if (lease !== undefined) return Promise.resolve(lease);
    const { settings } = this.engine;
    if (settings.edge) return this.engine.waitOnEdge(settings.acquireTimeout, [], {});
    return this.engine.wait(settings.acquireTimeout);
  }

  private acquireWith(options: AcquireOptions): Promise<Lease<T>> {
    let timeout: number;
    try {
      timeout = this.readAcquire(options);
    } catch (error) {
      return Promise.reject(error);
    }
    const signals = [options.signal, options.request?.signal].filter((signal) => signal != null);
    const aborted = findAborted(signals);
    if (aborted !== undefined) return Promise.reject(abortReason(aborted));
    const lease = this.engine.tryAcquire();
    if (lease !== undefined) {
      lease._scope = options;
      return Promise.resolve(lease);
    }
    if (this.engine.settings.edge) return this.engine.waitOnEdge(timeout, signals, options);
    return this.engine.wait(timeout, signals, options);
  }

  private readAcquire(options: AcquireOptions): number {
    checkNames("acquire", options, ACQUIRE_OPTIONS);
    const { signal, ctx, request } = options;
    if (signal !== undefined && !isSignal(signal)) {
      throw wrong("acquire", "signal", "an AbortSignal", signal);
    }
    if (ctx !== undefined && typeof ctx?.waitUntil !== "function") {
      throw wrong("acquire", "ctx", "a request's context, which has waitUntil", ctx);
    }
    if (request !== undefined && !(request?.signal === null || isSignal(request?.signal))) {
      throw wrong("acquire", "request", "a Request, or what has its signal", request);
    }
    return readDuration("acquire", "timeout", options.timeout, this.engine.settings.acquireTimeout);
  }

  /** Takes an idle resource at once, or nothing if there is none or anybody waits. */
  tryAcquire(): Lease<T> | undefined {
    return this.engine.tryAcquire();
  }

  /**
   * Runs `work` with a resource and gives it back when `work` has settled. Settles as `work` does,
   * or rejects as `acquire` does.
   */
  use<R>(
    work: (resource: T, lease: Lease<T>) => R | PromiseLike<R>, options?: AcquireOptions,
  ): Promise<R> {
    const run = (): Promise<R> => this.acquire(options).then((lease) => this.run(lease, work));
    if (options?.ctx === undefined) return run();
    let letGo: () => void;
    try {
      this.readAcquire(options);
      letGo = holdOpen(options);
    } catch (error) {
      return Promise.reject(error);
    }
    return run().finally(letGo);
  }

  private run<R>(
    lease: Lease<T>, work: (resource: T, lease: Lease<T>) => R | PromiseLike<R>,
  ): Promise<R> {
    let stop: (() => void) | undefined;
    try {
      if (this.engine.settings.edge) stop = hold(lease, undefined, () => undefined);
    } catch (error) {
      lease.release();
      return Promise.reject(error);
    }
    const end = (): void => {
      stop?.();
      lease.release();
    };
    return new Promise<R>((resolve) => resolve(work(lease.value, lease))).then(
      (value) => {
        end();
        return value;
      },
      (error: unknown) => {
        end();
        throw error;
      },
    );
  }

  /** Tells how the pool stands and what has happened so far. */
  stats(): PoolStats {
    return this.engine.stats();
  }

  /**
   * Closes the pool: acquires are refused and waiters end with a PoolClosedError at once, idle
   * resources are closed, lent ones when they come back. Resolves when the pool holds nothing any
   * more, or after `deadline` ms (default 30,000), to the number of resources that are still out.
   */
  async close(options: { deadline?: number } = {}): Promise<number> {
    checkNames("close", options, ["deadline"]);
    const deadline = readDuration("close", "deadline", options.deadline, 30_000);
    this.engine.close();
    await this.engine.whenEmpty(deadline);
    return this.engine.size();
  }

  /** @internal */
  async [asyncDispose](): Promise<void> {
    await this.close();
  }
}

export interface Pool<T> {
  /** Closes the pool as `close()` does, at the end of a block with `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

function readSettings<T>(options: PoolOptions<T>): Settings<T> {
  const where = "Pool";
  checkNames(where, options, OPTIONS);
  const edge = readWord(where, "mode", options.mode, detectMode(), ["edge", "process"]) === "edge";
  const doorbell = hasDoorbell();
  const most = edge ? MOST_EDGE_WAITERS : MOST_WAITERS;
  const duration = (name: keyof PoolOptions<T>, fallback: number, low = 0): number =>
    readDuration(where, name, options[name], fallback, low);
  const settings: Settings<T> = {
    create: readFunction(where, "create", options.create, true),
    close: readFunction(where, "close", options.close, false),
    max: readCount(where, "max", options.max, 20, 1, 65_535),
    maxWaiting: readCount(where, "maxWaiting", options.maxWaiting, 1_000, 0, most),
    acquireTimeout: duration("acquireTimeout", 30_000),
    createTimeout: duration("createTimeout", 10_000, 1),
    edge,
    doorbell,
    leaseTtl: duration("leaseTtl", 60_000, 1),
    heartbeat: duration("heartbeat", Math.min(5_000, (options.leaseTtl ?? 60_000) / 3), 1),
    offerTimeout: duration("offerTimeout", doorbell ? 100 : 150, 1),
    clock: readClock(options.clock),
  };
  if (settings.heartbeat * 2 > settings.leaseTtl) {
    const accepted = `at most half of leaseTtl (${settings.leaseTtl})`;
    throw wrong(where, "heartbeat", accepted, settings.heartbeat);
  }
  return settings;
}

function isSignal(value: unknown): value is AbortSignal {
  return typeof (value as AbortSignal | undefined)?.addEventListener === "function";
}

function detectMode(): Mode {
  return inWorkerd() ? "edge" : "process";
}

function readClock(clock: Clock | undefined): Clock {
  if (clock === undefined) return systemClock;
  checkNames("Pool: clock", clock, Object.keys(clock));
  for (const name of ["now", "setTimer", "clearTimer"] as const) {
    readFunction("Pool: clock", name, clock[name], true);
  }
  return clock;
}
