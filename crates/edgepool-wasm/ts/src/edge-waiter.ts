import { waitedFor } from "./clock.js";
import * as core from "./core.js";
import type { Engine } from "./engine.js";
import { PoolError } from "./errors.js";
import type { Lease } from "./lease.js";
import { deferred } from "./runtime.js";
import { abortReason, findAborted, listen } from "./signals.js";
import type { Served, Settle, Want } from "./waiters.js";

/** How often a waiter looks for itself: for offers where it has no doorbell, and what is due. */
export const TICK = 50;
const TICK_WITH_DOORBELL = 100;

/**
 * A waiter of edge mode. All that it does runs in its own request: its timer keeps that request
 * alive and looks after deadlines, and its doorbell is a promise made there, which another
 * request may settle without lending it its context.
 */
export class EdgeWaiter<T> {
  readonly index: number;
  readonly since: number;
  readonly want: Want;
  private readonly engine: Engine<T>;
  private readonly key: number;
  private readonly deadline: number;
  private readonly leases: Lease<T>[] = [];
  private resolve: Settle<T> | undefined = undefined;
  private outcome: Error | undefined = undefined;
  private bell: (() => void) | undefined = undefined;
  private timer: unknown = undefined;
  private unlisten: (() => void) | undefined = undefined;

  constructor(engine: Engine<T>, key: number, since: number, want: Want) {
    this.engine = engine;
    this.key = key;
    this.index = key & core.INDEX_MASK;
    this.since = since;
    this.deadline = since + want.timeout;
    this.want = want;
  }

  /** Looks once, then keeps looking until it is served or ended. */
  start(): Promise<Served<T>> {
    const promise = new Promise<Served<T>>((resolve) => {
      this.resolve = resolve;
    });
    // An offer may be there already, and is taken even by one that would not wait at all.
    this.look();
    if (this.resolve === undefined) return promise;
    try {
      this.schedule();
      if (this.engine.settings.doorbell) this.hangBell();
      this.unlisten = listen(this.want.signals, (reason) => this.abort(reason));
      // A callback may have aborted it meanwhile.
      const aborted = findAborted(this.want.signals);
      if (aborted !== undefined) this.abort(abortReason(aborted));
      this.want.scope?.ctx?.waitUntil(promise.catch(() => undefined));
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
    const { promise, resolve } = deferred<void>();
    this.bell = resolve;
    void promise.then(() => {
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

  /**
   * Looks for an offer, and runs what is due, which may be this waiter's own end. An offer is taken
   * however late it is, if only nobody has passed it on: in a busy isolate every timer is late.
   */
  private poll(): void {
    this.look();
    if (this.resolve === undefined) return;
    this.engine.advance();
    this.engine.attend(this.want.scope);
    this.look();
  }

  private look(): void {
    if (this.resolve === undefined) return;
    try {
      if (this.outcome === undefined) this.claim();
    } catch (error) {
      this.outcome ??= error as Error;
    }
    if (this.outcome === undefined) return;
    this.giveBack();
    if (this.resolve === undefined) return;
    this.settle(this.askAgain() ?? Promise.reject(this.outcome));
  }

  /** One that hears that it has missed its offers is late, not dead, and has some time left. */
  private askAgain(): Promise<Served<T>> | undefined {
    const { code } = this.outcome as Partial<PoolError>;
    if (code !== "offer_missed" || this.deadline <= this.engine.ledger.now()) return undefined;
    return this.engine.waitOnEdge(this.want, this.since);
  }

  private claim(): void {
    const { need, isMany } = this.want;
    const waited = waitedFor(this.engine.ledger.now(), this.since);
    while (this.leases.length < need) {
      const key = this.engine.ledger.claim(this.key);
      if (key === core.STILL_WAITING) return;
      if (key < 0) {
        this.engine.forgetOnEdge(this);
        throw new PoolError("offer_missed", "the pool lost this waiter; acquire again");
      }
      this.leases.push(this.engine.lend(key, waited, this.want));
    }
    this.engine.forgetOnEdge(this);
    // Whoever was told of a lease may have aborted the wait.
    if (this.resolve === undefined) this.giveBack();
    else this.settle(isMany ? this.leases : (this.leases[0] as Lease<T>));
  }

  /** Gives back the leases of which it does not get all. */
  private giveBack(): void {
    for (const lease of this.leases.splice(0)) lease.release();
  }

  private settle(result: Served<T> | Promise<Served<T>>): void {
    const resolve = this.resolve;
    this.resolve = undefined;
    if (this.timer !== undefined) this.engine.settings.clock.clearTimer(this.timer);
    this.timer = undefined;
    this.unlisten?.();
    resolve?.(result);
  }
}
