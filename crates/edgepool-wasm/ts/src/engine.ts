import type { Clock } from "./clock.js";
import { isRefTimer, waitedFor } from "./clock.js";
import * as core from "./core.js";
import { EdgeWaiter } from "./edge-waiter.js";
import {
  AcquireTimeoutError, CreateError, PoolClosedError, PoolError, QueueFullError,
} from "./errors.js";
import { type Lease, OwnLease, type RequestScope } from "./lease.js";
import type { PoolStats } from "./pool.js";
import type { RequestContext } from "./runtime.js";
import { listen } from "./signals.js";

/** The settings of a pool after validation; durations in ms. */
export interface Settings<T> {
  create: () => T | PromiseLike<T>;
  close: ((resource: T) => unknown) | undefined;
  max: number;
  maxWaiting: number;
  acquireTimeout: number;
  createTimeout: number;
  edge: boolean;
  doorbell: boolean;
  leaseTtl: number;
  heartbeat: number;
  offerTimeout: number;
  clock: Clock;
}

type Settle<T> = (lease: Lease<T> | PromiseLike<Lease<T>>) => void;

/** What a waiter of process mode has beyond its place in the queue. */
interface Extra {
  scope: RequestScope;
  unlisten: () => void;
}

/**
 * The shell around one ledger: the resources by the index of their slot, the waiters by theirs,
 * and the one timer. The ledger decides, and its effects are done here after each call.
 */
export class Engine<T> {
  readonly settings: Settings<T>;
  readonly core: core.Core;
  readonly pool: number;
  private readonly edge: boolean;
  private readonly clock: Clock;
  private readonly resources: (T | undefined)[] = [];
  private readonly settlers: (Settle<T> | undefined)[] = [];
  private readonly since: number[] = [];
  private readonly extras: (Extra | undefined)[] = [];
  private readonly edgeWaiters: (EdgeWaiter<T> | undefined)[] = [];
  private queued = 0;
  /** How many callers on the stack are at the effects, among which callbacks of the user run. */
  private busy = 0;
  /** What must wait until every effect has been told. */
  private readonly afterwards: (() => void)[] = [];
  /** What creations failed with, in the order in which waiters are told. */
  private readonly createErrors: unknown[] = [];
  private timer: unknown = undefined;
  private timerAt = Infinity;
  private resting = false;
  private closing = false;
  private drained: (() => void) | undefined = undefined;
  /** Keeps the request going in which a lease has ended, while its resource is closed. */
  private closer: RequestContext | undefined = undefined;
  /** What there is to tell of a pool that has gone from the module. */
  private final: PoolStats | undefined = undefined;

  constructor(settings: Settings<T>) {
    this.settings = settings;
    this.core = core.core();
    this.edge = settings.edge;
    this.clock = settings.clock;
    const { max, maxWaiting, offerTimeout, leaseTtl, createTimeout, edge } = settings;
    this.pool = this.core.pool_open(
      max, maxWaiting, edge ? offerTimeout : Infinity, edge ? leaseTtl : Infinity,
      leaseTtl, createTimeout, edge ? 1 : 0,
    );
    if (this.pool < 0) throw new TypeError("Pool: the ledger refused the options");
  }

  /** Gives an idle resource if nobody waits for one; the fast path of every acquire. */
  tryAcquire(): Lease<T> | undefined {
    if (this.edge) this.tick();
    const key = this.core.try_acquire(this.pool);
    if (key < 0) return undefined;
    return new OwnLease(this, key, this.resources[key & core.INDEX_MASK] as T, 0);
  }

  /** Queues a caller, in process mode; `timeout` in ms. */
  wait(
    timeout: number, signals?: readonly AbortSignal[], scope?: RequestScope,
  ): Promise<Lease<T>> {
    const now = this.clock.now();
    const key = this.enqueue(now, timeout);
    if (typeof key !== "number") return Promise.reject(key);
    if (key >= 0) return Promise.resolve(this.leaseOf(key, 0, scope));
    const waiter = core.WAITER_BASE - key;
    const index = waiter & core.INDEX_MASK;
    this.queued += 1;
    this.since[index] = now;
    const promise = new Promise<Lease<T>>((resolve) => {
      this.settlers[index] = resolve;
    });
    if (scope !== undefined) {
      const extra: Extra = { scope, unlisten: () => undefined };
      extra.unlisten = listen(signals ?? [], (reason) => this.abort(waiter, extra, reason));
      this.extras[index] = extra;
    }
    this.drain();
    // What this call added is due no earlier than that; the timer may be set well for it.
    const due = now + Math.min(timeout, this.settings.createTimeout);
    if (this.timer === undefined || this.resting || this.timerAt > due) this.arm();
    return promise;
  }

  /** Queues a caller, in edge mode: its own timer runs from before its first await. */
  waitOnEdge(
    timeout: number, signals: readonly AbortSignal[], scope: RequestScope,
  ): Promise<Lease<T>> {
    const now = this.clock.now();
    const key = this.enqueue(now, timeout);
    if (typeof key !== "number") return Promise.reject(key);
    if (key >= 0) return Promise.resolve(this.leaseOf(key, 0, scope));
    const waiter = new EdgeWaiter(this, core.WAITER_BASE - key, now, now + timeout, scope);
    this.edgeWaiters[waiter.index] = waiter;
    this.queued += 1;
    this.drain();
    return waiter.start(signals);
  }

  private enqueue(now: number, timeout: number): number | PoolError {
    this.core.advance(this.pool, now);
    const key = this.core.acquire(this.pool, now + timeout);
    // A waiter's own effects wait until it is in the tables.
    if (key <= core.WAITER_BASE) return key;
    this.drain();
    if (key >= 0) return key;
    if (key === core.CLOSED) return new PoolClosedError("the pool is closed");
    return new QueueFullError(`the queue is full: ${this.settings.maxWaiting} callers wait`);
  }

  private abort(waiter: number, extra: Extra, reason: unknown): void {
    this.whenTold(() => {
      const index = waiter & core.INDEX_MASK;
      // It may have been served or ended by now, and its index be another's.
      if (this.extras[index] !== extra) return;
      this.core.cancel(this.pool, waiter);
      this.forget(index)?.(Promise.reject(reason));
      this.drain();
      this.arm();
    });
  }

  /**
   * Cancels nothing while effects wait: the ledger would forget an end that has not been told, and
   * the next waiter to fail would be given its cause.
   */
  private whenTold(cancel: () => void): void {
    if (this.busy === 0) cancel();
    else this.afterwards.push(cancel);
  }

  /** Takes a waiter of process mode out of the tables, and its listeners off its signals. */
  private forget(index: number): Settle<T> | undefined {
    const settle = this.settlers[index];
    this.settlers[index] = undefined;
    this.queued -= 1;
    const extra = this.extras[index];
    if (extra !== undefined) {
      this.extras[index] = undefined;
      extra.unlisten();
    }
    return settle;
  }

  /** Makes the lease for a key that the ledger has leased. */
  leaseOf(key: number, waited: number, scope?: RequestScope): Lease<T> {
    const resource = this.resources[key & core.INDEX_MASK] as T;
    const lease = new OwnLease(this, key, resource, waited);
    lease._scope = scope;
    return lease;
  }

  release(key: number, scope?: RequestScope): boolean {
    if (this.edge) this.advance();
    return this.done(this.core.release(this.pool, key), scope);
  }

  discard(key: number, scope?: RequestScope): boolean {
    this.advance();
    return this.done(this.core.discard(this.pool, key), scope);
  }

  take(key: number): void {
    this.advance();
    const status = this.core.take(this.pool, key);
    // It is the caller's from here on, and may be what the next creation gives.
    if ((status & core.DONE) !== 0) this.resources[key & core.INDEX_MASK] = undefined;
    if (this.done(status)) return;
    throw new PoolError("lease_ended", "take: the lease had ended");
  }

  /** Pushes the end of a lease to `ttl` ms from now. */
  renew(key: number, ttl: number): boolean {
    this.advance();
    return this.done(this.core.renew(this.pool, key, ttl));
  }

  /** Gives up a waiter of edge mode; an offer made to it passes on. */
  cancel(waiter: number): void {
    this.whenTold(() => {
      this.advance();
      this.core.cancel(this.pool, waiter);
      this.drain();
    });
  }

  /** Takes a waiter of edge mode out of the table, unless its index is another's by now. */
  forgetOnEdge(waiter: EdgeWaiter<T>): void {
    if (this.edgeWaiters[waiter.index] !== waiter) return;
    this.edgeWaiters[waiter.index] = undefined;
    this.queued -= 1;
  }

  /** Tells the ledger the time; what is due then is done by the next `drain`. */
  advance(): void {
    this.core.advance(this.pool, this.clock.now());
  }

  /** Runs what is due, then does its effects. */
  tick(): void {
    this.advance();
    this.drain();
  }

  private done(status: number, scope?: RequestScope): boolean {
    if ((status & core.EFFECTS) !== 0) {
      const before = this.closer;
      this.closer = scope?.ctx;
      this.drain();
      this.closer = before;
      if (!this.edge) this.rest();
    } else if (this.closing) {
      this.checkDrained();
    }
    return (status & core.DONE) !== 0;
  }

  /** Does the effects that the ledger has asked for, in their order. */
  drain(): void {
    this.busy += 1;
    try {
      this.performAll();
    } finally {
      this.busy -= 1;
    }
    if (this.busy > 0) return;
    while (this.afterwards.length > 0) this.afterwards.shift()?.();
    if (this.closing) this.checkDrained();
  }

  private performAll(): void {
    let now = -1;
    for (;;) {
      const effect = this.core.next_effect(this.pool);
      if (effect < 0) break;
      const index = effect & core.INDEX_MASK;
      const kind = effect >> core.KIND_SHIFT;
      if (kind === core.LEASED) {
        const key = this.core.effect_key();
        if (now < 0) now = this.clock.now();
        this.serve(index, key, now);
      } else {
        this.perform(kind, index);
      }
    }
  }

  private serve(index: number, key: number, now: number): void {
    const waited = waitedFor(now, this.since[index] as number);
    const lease = this.leaseOf(key, waited, this.extras[index]?.scope);
    this.forget(index)?.(lease);
  }

  private perform(kind: number, index: number): void {
    if (kind === core.OFFERED) this.edgeWaiters[index]?.ring();
    else if (kind === core.CREATE) this.create(index, this.core.effect_key());
    else if (kind === core.CLOSE) this.closeResource(index, this.core.effect_key());
    else this.end(index, kind);
  }

  private end(index: number, kind: number): void {
    if (this.edge) {
      const waiter = this.edgeWaiters[index];
      const error = this.endError(kind, waiter?.since ?? 0);
      if (waiter === undefined) return;
      this.forgetOnEdge(waiter);
      waiter.end(error);
      return;
    }
    const error = this.endError(kind, this.since[index] as number);
    this.forget(index)?.(Promise.reject(error));
  }

  private endError(kind: number, since: number): PoolError {
    if (kind === core.ENDED_CLOSED) return new PoolClosedError("the pool was closed");
    if (kind === core.CREATE_FAILED) {
      const cause = this.createErrors.shift();
      const text = cause instanceof Error ? cause.message : String(cause);
      return new CreateError(`create failed: ${text}`, cause);
    }
    if (kind === core.CREATE_TIMED_OUT) {
      const text = `create did not settle in ${this.settings.createTimeout} ms`;
      return new CreateError(text, undefined);
    }
    const waited = waitedFor(this.clock.now(), since);
    if (kind === core.MISSED) {
      const text = "the waiter did not claim what it was offered";
      return new AcquireTimeoutError(text, waited, "offer_missed");
    }
    return new AcquireTimeoutError(`no resource came free in ${waited} ms`, waited);
  }

  private create(index: number, slot: number): void {
    let made: T | PromiseLike<T>;
    try {
      made = this.settings.create();
      if (isThenable(made)) {
        made.then(
          (resource) => this.afterCreate(() => this.created(index, slot, resource)),
          (error: unknown) => this.afterCreate(() => this.createFailed(slot, error)),
        );
        return;
      }
    } catch (error) {
      this.createFailed(slot, error);
      return;
    }
    this.created(index, slot, made);
  }

  private afterCreate(tell: () => void): void {
    this.advance();
    this.busy += 1;
    tell();
    this.busy -= 1;
    this.drain();
    if (!this.edge) this.arm();
  }

  private created(index: number, slot: number, resource: T): void {
    const problem = this.unfit(resource);
    if (problem !== undefined) {
      this.createFailed(slot, new TypeError(problem));
      return;
    }
    const before = this.resources[index];
    this.resources[index] = resource;
    if ((this.core.created(this.pool, slot) & core.DONE) !== 0) return;
    // The ledger gave this creation up, and its place may have been used again since.
    this.resources[index] = before;
    void this.runClose(resource);
  }

  private unfit(resource: T): string | undefined {
    if (resource === undefined || resource === null) return "create gave no resource";
    if (typeof resource !== "object" && typeof resource !== "function") return undefined;
    return this.resources.includes(resource) ? "create gave a resource twice" : undefined;
  }

  private createFailed(slot: number, error: unknown): void {
    const status = this.core.create_failed(this.pool, slot);
    if ((status & core.FAILED_A_WAITER) !== 0) this.createErrors.push(error);
  }

  private closeResource(index: number, slot: number): void {
    const resource = this.resources[index] as T;
    this.resources[index] = undefined;
    const closing = this.runClose(resource);
    if (closing === undefined) {
      this.core.closed(this.pool, slot);
      return;
    }
    const closed = closing.then(() => {
      this.advance();
      this.core.closed(this.pool, slot);
      this.drain();
      if (!this.edge) this.arm();
    });
    try {
      this.closer?.waitUntil(closed);
    } catch {
      // A request that has ended keeps nothing going; the lease's time to live frees the place.
    }
  }

  /** Closes a resource; what its close throws is its own affair, the place is free after it. */
  private runClose(resource: T): Promise<unknown> | undefined {
    if (this.settings.close === undefined) return undefined;
    try {
      const closing = this.settings.close(resource);
      if (!isThenable(closing)) return undefined;
      return Promise.resolve(closing).catch(() => undefined);
    } catch {
      return undefined;
    }
  }

  /** Sets the pool's one timer (process mode) for what is due next. */
  private arm(): void {
    const at = this.core.next_deadline(this.pool);
    if (at === Infinity || this.queued === 0) {
      this.rest();
      return;
    }
    if (this.timer !== undefined) {
      if (this.timerAt <= at) {
        this.wakeTimer();
        return;
      }
      this.clock.clearTimer(this.timer);
    }
    this.timerAt = at;
    this.resting = false;
    const delay = Math.ceil(at - this.clock.now());
    this.timer = this.clock.setTimer(() => this.fire(), Math.max(delay, 0));
  }

  private wakeTimer(): void {
    if (!this.resting) return;
    this.resting = false;
    if (isRefTimer(this.timer)) this.timer.ref();
  }

  private fire(): void {
    this.timer = undefined;
    this.tick();
    this.arm();
  }

  /**
   * Stops the timer when nobody waits: a pool must not keep a process alive. Where a timer can be
   * told so it is left to run, as the next waiter will want it again.
   */
  private rest(): void {
    if (this.timer === undefined || this.queued > 0 || this.resting) return;
    if (isRefTimer(this.timer)) {
      this.resting = true;
      this.timer.unref();
      return;
    }
    this.clock.clearTimer(this.timer);
    this.timer = undefined;
  }

  /** Refuses every acquire from now on, ends the waiters, closes what is idle. */
  close(): void {
    this.advance();
    this.core.close(this.pool);
    this.closing = true;
    this.drain();
    if (!this.edge) this.arm();
  }

  /** Resolves when the pool holds nothing any more, or after `deadline` ms. */
  whenEmpty(deadline: number): Promise<void> {
    if (this.size() === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const { clock } = this.settings;
      const timer = deadline === Infinity ? undefined : clock.setTimer(resolve, deadline);
      const before = this.drained;
      this.drained = () => {
        before?.();
        if (timer !== undefined) clock.clearTimer(timer);
        resolve();
      };
    });
  }

  /** Drops a closed pool that holds nothing; the module answers for it that it is closed. */
  private checkDrained(): void {
    if (this.busy > 0 || this.size() > 0) return;
    if (this.final === undefined) {
      this.final = this.read();
      this.core.pool_drop(this.pool);
    }
    const tell = this.drained;
    this.drained = undefined;
    tell?.();
  }

  /** Reads every gauge and counter. */
  stats(): PoolStats {
    // On the edge nothing else may have looked for leases that died.
    if (this.edge) this.tick();
    return { ...(this.final ?? this.read()) };
  }

  private read(): PoolStats {
    const stats: Partial<PoolStats> = {};
    core.GAUGES.forEach((name, which) => (stats[name] = this.core.gauge(this.pool, which)));
    core.COUNTERS.forEach((name, which) => (stats[name] = this.core.counter(this.pool, which)));
    stats.pending = (stats.waiting ?? 0) + (stats.offered ?? 0);
    return stats as PoolStats;
  }

  /** Counts the places that are not free: idle, lent, being made, being closed. */
  size(): number {
    return this.core.gauge(this.pool, core.GAUGE_SIZE);
  }
}

function isThenable<V>(value: V | PromiseLike<V>): value is PromiseLike<V> {
  return (
    value !== null && (typeof value === "object" || typeof value === "function") &&
    typeof (value as PromiseLike<V>).then === "function"
  );
}
