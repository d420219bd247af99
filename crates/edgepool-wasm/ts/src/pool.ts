/// <reference lib="esnext.disposable" preserve="true" />
import { Engine } from "./engine.js";
import { type Holder, PoolClosedError } from "./errors.js";
import type { PoolEvent } from "./events.js";
import { hold, holdOpen } from "./hold.js";
import { type Lease, type RequestScope, type ResourceInfo, asyncDispose } from "./lease.js";
import {
  invalidate, maintain, resize, retain, revokeAll, setMinIdle, setPaused, shut, whenEmpty,
} from "./operators.js";
import {
  checkNames, checkSignal, readCount, readDuration, readFlag, readFunction, readWord, wrong,
} from "./options.js";
import { MOST_RESOURCES, type PoolOptions, type Settings, readSettings } from "./settings.js";
import { abortReason, findAborted, isSignal } from "./signals.js";
import type { Spares } from "./spares.js";
import type { PoolState, PoolStats } from "./stats.js";
import type { Served, Want } from "./waiters.js";
import { WarmUp, type WarmUpOptions } from "./warm-up.js";

/**
 * The class of a caller in the queue. Within a class callers are served in order; a wait of
 * `ageing` counts as much as one class.
 */
export type Priority = "low" | "normal" | "high" | "urgent";

/** The options of one acquire. */
export interface AcquireOptions extends RequestScope {
  /** Ends the wait with its reason. */
  signal?: AbortSignal | undefined;
  /** In place of the pool's `acquireTimeout`, in ms. */
  timeout?: number | undefined;
  /** The class in the queue. Default `normal`. */
  priority?: Priority | undefined;
}

/** The options of `close`. */
export interface CloseOptions {
  /** How long to wait for leases to come back, in ms. Default 30,000. */
  deadline?: number | undefined;
  /** Whether what is still lent at the deadline is closed all the same. Default false. */
  force?: boolean | undefined;
}

/** @internal */
export const ACQUIRE_OPTIONS: readonly string[] = ["signal", "timeout", "priority", "ctx", "request"];
const PRIORITIES = ["low", "normal", "high", "urgent"] as const;

/**
 * A pool: at most `max` resources, lent to one caller at a time, first come first served.
 *
 * It makes nothing before its first acquire, `warmUp`, `setMinIdle` or `tick`. In a process its
 * timer keeps nothing alive unless somebody waits; `close` it all the same, so that its resources
 * are closed.
 *
 * @example
 * ```ts
 * import { Pool } from "edgepool";
 *
 * const pool = new Pool({
 *   create: () => connect(),
 *   close: (connection) => connection.end(),
 *   max: 10,
 * });
 * const rows = await pool.use((connection) => connection.query("select 1"));
 * ```
 */
export class Pool<T> {
  private readonly engine: Engine<T>;
  private readonly spares: Spares<T>;
  /** What a caller without options wants, once one has waited. */
  private plain: Want | undefined;

  /**
   * Makes a pool, which is empty. Throws a TypeError that names the option if one is unknown, of a
   * wrong type, out of range, or contradicts another.
   */
  constructor(options: PoolOptions<T>) {
    this.engine = this._open(readSettings(options));
    this.spares = this.engine.ledger.spares;
  }

  /** @internal */
  _open(settings: Settings<T>): Engine<T> {
    return new Engine(settings);
  }

  /**
   * Waits for a resource. Rejects with an {@link AcquireTimeoutError}, a {@link QueueFullError}, a
   * {@link CreateError}, an {@link UnavailableError}, a {@link PoolClosedError}, a
   * {@link CoreResetError}, or the signal's own reason; with a TypeError if an option is wrong.
   *
   * A signal ends the wait; a creation or a check that was begun for it goes on, for the next
   * caller. An abandoned promise cancels nothing: its lease is lost until its time to live passes,
   * or, if it has none, for ever.
   *
   * @example
   * ```ts
   * const lease = await pool.acquire({ timeout: 2_000, signal });
   * try {
   *   await lease.value.query("select 1");
   * } finally {
   *   lease.release();
   * }
   * ```
   */
  acquire(options?: AcquireOptions): Promise<Lease<T>> {
    if (options !== undefined) return this.acquireWith(options, 1, false) as Promise<Lease<T>>;
    try {
      const lease = this.tryFirst();
      if (lease !== undefined) return Promise.resolve(lease);
      const { engine } = this;
      const plain = this.plain ??= this._want({}, 1, false);
      const { trackLeases } = engine.settings;
      // Waiters share what they want, unless each is to have its own stack.
      const want = trackLeases ? { ...plain } : plain;
      return engine.wait(want, !trackLeases) as Promise<Lease<T>>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Waits for `n` resources, all at once: two callers that need several cannot hold each other up.
   * Rejects as `acquire` does, and with a TooManyError if `n` is more than `max`.
   */
  acquireMany(n: number, options: AcquireOptions = {}): Promise<Lease<T>[]> {
    return this.acquireWith(options, n, true) as Promise<Lease<T>[]>;
  }

  private acquireWith(
    options: AcquireOptions, need: number, isMany: boolean,
  ): Promise<Served<T>> {
    const { engine } = this;
    try {
      if (isMany) readCount("acquireMany", "n", need, undefined, 1, MOST_RESOURCES);
      const want = this._want(options, need, isMany);
      const aborted = findAborted(want.signals);
      if (aborted !== undefined) return Promise.reject(abortReason(aborted));
      const lease = isMany ? undefined : this.tryFirst(want);
      if (lease !== undefined) return Promise.resolve(lease);
      return engine.wait(want, false);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** @internal Looks at the options of an acquire. */
  _want(
    options: AcquireOptions, need: number, isMany: boolean, names?: readonly string[],
  ): Want {
    const timeout = readAcquire(options, this.engine.settings.acquireTimeout, names);
    const signals = [options.signal, options.request?.signal].filter((signal) => signal != null);
    return {
      timeout,
      priority: PRIORITIES.indexOf(options.priority ?? "normal"),
      need,
      isMany,
      signals,
      scope: options,
      stack: undefined,
    };
  }

  /**
   * Takes an idle resource at once, or nothing if there is none or anybody waits; nor is one given
   * that is to be checked first, which is begun. Throws a CoreResetError.
   */
  tryAcquire(): Lease<T> | undefined {
    return this._try();
  }

  /** @internal Gives an idle resource if nobody waits for one; the fast path of every acquire. */
  _try(want?: Want): Lease<T> | undefined {
    const { engine } = this;
    return this.spares.lend(engine, want?.scope) ?? engine.tryAcquire(want);
  }

  /** As `_try`, for one that waits if there is none. */
  private tryFirst(want?: Want): Lease<T> | undefined {
    const { engine } = this;
    return this.spares.lend(engine, want?.scope) ?? engine.tryFirst(want);
  }

  /**
   * Runs `work` with a resource and gives it back when `work` has settled, in whichever way: what
   * damaged the resource, `work` says with `lease.discard(error)`. Settles as `work` does, or
   * rejects as `acquire` does. A `fetch` has settled with its headers: {@link Lease.bind} holds a
   * resource to the end of the body.
   *
   * A lease that has a time to live is renewed meanwhile. With `ctx` the request is kept going
   * until `work` has settled.
   *
   * @example
   * ```ts
   * const rows = await pool.use(async (connection, lease) => {
   *   try {
   *     return await connection.query("select 1");
   *   } catch (error) {
   *     if (!connection.isOpen) lease.discard(error);
   *     throw error;
   *   }
   * });
   * ```
   */
  use<R>(
    work: (resource: T, lease: Lease<T>) => R | PromiseLike<R>, options?: AcquireOptions,
  ): Promise<R> {
    const run = (): Promise<R> => this.acquire(options).then((lease) => this.run(lease, work));
    if (options?.ctx === undefined && typeof work === "function") return run();
    let letGo: () => void;
    try {
      readFunction("use", "work", work, true);
      this._want(options ?? {}, 1, false);
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
      if (this.engine.settings.leaseTtl < Infinity) stop = hold(lease, undefined, () => undefined);
    } catch (error) {
      lease.release();
      return Promise.reject(error);
    }
    const end = (): void => {
      stop?.();
      // What its holder has ended already is no mistake.
      if (!lease._isOver) lease.release();
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

  /**
   * Makes resources until there are `n`, by default `minIdle`. Resolves to how many it made, or
   * rejects with a {@link WarmUpError} if an attempt failed or could not be made: what was made
   * stays.
   */
  warmUp(n?: number, options: WarmUpOptions = {}): Promise<number> {
    try {
      const { max, minIdle } = this.engine.settings;
      const target = readCount("warmUp", "n", n, minIdle, 0, max);
      checkNames("warmUp", options, ["parallel", "onProgress", "signal"]);
      const { parallel, signal } = options;
      if (parallel !== Infinity) readCount("warmUp", "parallel", parallel, max, 1, MOST_RESOURCES);
      readFunction("warmUp", "onProgress", options.onProgress, false);
      checkSignal("warmUp", signal);
      if (this.engine.isClosed) throw new PoolClosedError();
      return new WarmUp(this.engine, target, options).run();
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Changes `max`. Creations beyond it are given up, what is idle beyond it is closed at once, and
   * what is lent beyond it as it comes back; callers that need more than that at once end with a
   * TooManyError. A `minIdle` that was not set follows `max`; one that was must not be more.
   * Throws a TypeError if `max` is out of range.
   */
  resize(max: number): void {
    const { minIdle, minIdleIsSet } = this.engine.settings;
    if (minIdleIsSet && Number.isInteger(max) && max < minIdle) {
      throw wrong("resize", "max", `at least minIdle (${minIdle})`, max);
    }
    resize(this.engine, readCount("resize", "max", max, undefined, 1, MOST_RESOURCES));
  }

  /** Changes `minIdle`, and keeps that many ready from now on. */
  setMinIdle(minIdle: number): void {
    const { max } = this.engine.settings;
    if (Number.isInteger(minIdle) && minIdle > max) {
      throw wrong("setMinIdle", "minIdle", `at most max (${max})`, minIdle);
    }
    setMinIdle(this.engine, readCount("setMinIdle", "minIdle", minIdle, undefined, 0, max));
  }

  /**
   * Keeps those of the idle resources that `keep` says true to, and closes the others; returns how
   * many it closed. If `keep` throws, that resource is closed, the others are kept, and it is
   * thrown on.
   */
  retain(keep: (resource: T, info: ResourceInfo) => boolean): number {
    readFunction("retain", "keep", keep, true);
    return retain(this.engine, keep);
  }

  /**
   * Sees to it that nothing is lent from now on that was made before, as after a change of
   * credentials: what is idle is closed, and what is lent as it comes back.
   */
  invalidate(): void {
    invalidate(this.engine);
  }

  /** Lends nothing and makes nothing until `resume`; callers queue. Leases stay good. */
  pause(): void {
    setPaused(this.engine, true);
  }

  /** Lends and makes again. */
  resume(): void {
    setPaused(this.engine, false);
  }

  /** Whether `pause` was called, and not `resume` after it. */
  get isPaused(): boolean {
    return this.engine.isPaused;
  }

  /** Whether `close` was called. */
  get isClosed(): boolean {
    return this.engine.isClosed;
  }

  /**
   * In which part of its life the pool is, after what is due was done. Throws a CoreResetError if
   * the module cannot be replaced.
   */
  get state(): PoolState {
    const { size } = this.stats();
    if (this.isClosed) return size > 0 ? "draining" : "closed";
    if (this.engine.workshop.hasCreated) return "ready";
    return size > 0 ? "warming-up" : "initializing";
  }

  /**
   * Does what is due, and keeps `minIdle` resources ready: for a Durable Object's `alarm`, or where
   * nothing else calls the pool. A pool in a process does it by its timer.
   */
  tick(): void {
    maintain(this.engine);
  }

  /** When `tick` has something to do next, if it has, in ms on the pool's clock; or earlier. */
  nextDeadline(): number | undefined {
    return this.engine.nextDeadline();
  }

  /** Tells how the pool stands and what has happened so far. */
  stats(): PoolStats {
    return this.engine.stats();
  }

  /** Tells of the leases that are out, the longest held first. */
  holders(): Holder[] {
    return this.engine.holders();
  }

  /**
   * Gives what happens from now on, until the loop is left, or the pool is closed and holds nothing
   * any more. Up to 1,000 events wait to be taken; of more the oldest are left out, and a `dropped`
   * event counts them. On the edge a reader belongs to its request: there an `observer` hears of
   * all.
   */
  events(): AsyncIterableIterator<PoolEvent, undefined> {
    return this.engine.events();
  }

  /**
   * Closes the pool: acquires are refused and waiters end with a PoolClosedError at once, idle
   * resources are closed, lent ones when they come back. Resolves when the pool holds nothing any
   * more, or after `deadline` ms, to the leases that are still out: none if all came back. With
   * `force` those are discarded then. It may be called again, and waits anew.
   */
  async close(options: CloseOptions = {}): Promise<Holder[]> {
    checkNames("close", options, ["deadline", "force"]);
    const deadline = readDuration("close", "deadline", options.deadline, 30_000);
    const force = readFlag("close", "force", options.force, false);
    shut(this.engine);
    await whenEmpty(this.engine, deadline);
    const holders = this.engine.holders();
    if (force && holders.length > 0) {
      revokeAll(this.engine);
      await whenEmpty(this.engine, this.engine.settings.closeTimeout);
    }
    return holders;
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

/** @internal Looks at the options of an acquire, and gives its timeout. */
export function readAcquire(
  options: AcquireOptions, fallback: number, names = ACQUIRE_OPTIONS,
): number {
  checkNames("acquire", options, names, "; SharedPool of edgepool/tenants takes it");
  const { signal, ctx, request } = options;
  checkSignal("acquire", signal);
  if (ctx !== undefined && typeof ctx?.waitUntil !== "function") {
    throw wrong("acquire", "ctx", "a request's context, which has waitUntil", ctx);
  }
  if (request !== undefined && request?.signal !== null && !isSignal(request?.signal)) {
    throw wrong("acquire", "request", "a Request or its like", request);
  }
  readWord("acquire", "priority", options.priority, "normal", PRIORITIES);
  return readDuration("acquire", "timeout", options.timeout, fallback);
}
