import { waitedFor } from "./clock.js";
import * as core from "./core.js";
import type { Engine } from "./engine.js";
import { PoolError } from "./errors.js";
import type { Lease, RequestScope } from "./lease.js";
import { listen } from "./signals.js";

/** How often a waiter looks for itself: for offers where it has no doorbell, and what is due. */
const TICK = 50;
const TICK_WITH_DOORBELL = 100;

/**
 * A waiter of edge mode. All that it does runs in its own request: its timer keeps that request
 * alive and looks after deadlines, and its doorbell is a promise made there, which another
 * request may settle without lending it its context.
 */
export class EdgeWaiter<T> {
  readonly index: number;
  readonly since: number;
  private readonly engine: Engine<T>;
  private readonly key: number;
  private readonly deadline: number;
  private readonly scope: RequestScope;
  private resolve: ((lease: Lease<T> | PromiseLike<Lease<T>>) => void) | undefined = undefined;
  private outcome: Error | undefined = undefined;
  private bell: (() => void) | undefined = undefined;
  private timer: unknown = undefined;
  private unlisten: (() => void) | undefined = undefined;

  constructor(
    engine: Engine<T>, key: number, since: number, deadline: number, scope: RequestScope,
  ) {
    this.engine = engine;
    this.key = key;
    this.index = key & core.INDEX_MASK;
    this.since = since;
    this.deadline = deadline;
    this.scope = scope;
  }

  /** Looks once, then keeps looking until it is served or ended. */
  start(signals: readonly AbortSignal[]): Promise<Lease<T>> {
    const promise = new Promise<Lease<T>>((resolve) => {
      this.resolve = resolve;
    });
    // An offer may be there already, and is taken even by one that would not wait at all.
    this.look();
    if (this.resolve === undefined) return promise;
    try {
      this.schedule();
      if (this.engine.settings.doorbell) this.hangBell();
      this.unlisten = listen(signals, (reason) => this.abort(reason));
      this.scope.ctx?.waitUntil(promise.catch(() => undefined));
    } catch (error) {
      // Outside of a request there are no timers, and a context may refuse: nobody would look.
      this.abort(error);
    }
    return promise;
  }

  /** Wakes the waiter's own request; without a doorbell its timer finds the offer. */
  ring(): void {
    this.bell?.();
  }

  /** Says how the wait has ended; the waiter hears of it in its own request. */
  end(error: Error): void {
    this.outcome = error;
    this.bell?.();
  }

  private hangBell(): void {
    const rung = new Promise<void>((resolve) => {
      this.bell = resolve;
    });
    void rung.then(() => {
      this.bell = undefined;
      this.poll();
      if (this.resolve !== undefined) this.hangBell();
    });
  }

  private schedule(): void {
    const { clock, doorbell } = this.engine.settings;
    const tick = doorbell ? TICK_WITH_DOORBELL : TICK;
    const delay = Math.max(Math.min(tick, this.deadline - clock.now()), 1);
    this.timer = clock.setTimer(() => {
      this.timer = undefined;
      this.poll();
      if (this.resolve !== undefined) this.schedule();
    }, delay);
  }

  private abort(reason: unknown): void {
    if (this.resolve === undefined) return;
    this.engine.forgetOnEdge(this);
    this.settle(Promise.reject(reason));
    this.engine.cancel(this.key);
  }

  /** Runs what is due, which may be this waiter's own end, and looks for an offer. */
  private poll(): void {
    this.engine.tick();
    this.look();
  }

  private look(): void {
    if (this.resolve === undefined) return;
    if (this.outcome !== undefined) {
      this.settle(Promise.reject(this.outcome));
      return;
    }
    const key = this.engine.core.claim(this.engine.pool, this.key);
    if (key === core.STILL_WAITING) return;
    this.engine.forgetOnEdge(this);
    if (key >= 0) this.settle(this.lease(key));
    else this.settle(Promise.reject(new PoolError("offer_missed", "the pool lost this waiter")));
  }

  private lease(key: number): Lease<T> {
    const waited = waitedFor(this.engine.settings.clock.now(), this.since);
    return this.engine.leaseOf(key, waited, this.scope);
  }

  private settle(result: Lease<T> | PromiseLike<Lease<T>>): void {
    const resolve = this.resolve;
    this.resolve = undefined;
    if (this.timer !== undefined) this.engine.settings.clock.clearTimer(this.timer);
    this.timer = undefined;
    this.unlisten?.();
    resolve?.(result);
  }
}
