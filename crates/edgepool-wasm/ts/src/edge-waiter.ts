import { waitedFor } from "./clock.js";
import { Answer } from "./codes.js";
import * as core from "./core.js";
import type { Engine } from "./engine.js";
import { PoolError } from "./errors.js";
import { Keeper } from "./keeper.js";
import type { Lease } from "./lease.js";
import { abortReason, findAborted, listen } from "./signals.js";
import { type Served, type Settle, type Want, promiseServed, settlerMade } from "./waiters.js";

/**
 * Queues a caller, in edge mode: its keeper's timer runs from before its first await. Throws if it
 * is refused. One that asks again tells since when it waits.
 */
export function waitOnEdge<T>(
  engine: Engine<T>, want: Want, asked?: number,
): Promise<Served<T>> {
  const { ledger } = engine;
  const now = ledger.now();
  const since = asked ?? now;
  const isBehind = engine.onEdge > 0 && ledger.isLooked;
  const answer = engine.ask(want, now, since + want.timeout, isBehind);
  const waited = waitedFor(now, since);
  if (answer >= 0) return Promise.resolve(engine.lendDirectly(answer, want, waited));
  const waiter = new EdgeWaiter(engine, core.waiterOf(answer), since, want);
  if (engine.edgeWaiters[waiter.index] === undefined) engine.onEdge += 1;
  engine.edgeWaiters[waiter.index] = waiter;
  engine.reports.queued();
  const hasEffects = (answer & 1) !== 0 || !ledger.isLooked;
  if (hasEffects || engine.workshop.hasUnbegun) engine.attend(want.scope);
  waiter.start();
  return waiter.promise;
}

/** Gives who looks after the waiters that come in this stretch of code. */
function keeperHere<T>(engine: Engine<T>): Keeper<T> {
  if (engine.keeper?.isHere() !== true) engine.keeper = new Keeper(engine);
  return engine.keeper;
}

/** A waiter of edge mode. All that it does runs in its own request, as its keeper sees to. */
export class EdgeWaiter<T> {
  readonly index: number;
  readonly since: number;
  readonly want: Want;
  readonly keeper: Keeper<T>;
  readonly promise = promiseServed<T>();
  /** Where its keeper has it, if that has it. */
  at = -1;
  private readonly engine: Engine<T>;
  private readonly key: number;
  private readonly leases: Lease<T>[] = [];
  private resolve: Settle<T> | undefined = settlerMade<T>();
  private outcome: Error | undefined = undefined;
  private unlisten: (() => void) | undefined = undefined;

  constructor(engine: Engine<T>, key: number, since: number, want: Want) {
    this.engine = engine;
    this.key = key;
    this.index = key & core.INDEX_MASK;
    this.since = since;
    this.want = want;
    this.keeper = keeperHere(engine);
  }

  get deadline(): number {
    return this.since + this.want.timeout;
  }

  /** Has its keeper look after it, unless it is served or ended by now. */
  start(): void {
    // What an operation on the stack has brought about is told when that is over: too late for one
    // that would not wait at all.
    if (this.outcome !== undefined || this.engine.turn.busy > 0) this.look();
    if (this.resolve === undefined) return;
    try {
      this.keeper.add(this);
      const { signals, scope } = this.want;
      if (signals.length > 0) this.unlisten = listen(signals, (reason) => this.abort(reason));
      // A callback may have aborted it meanwhile.
      const aborted = findAborted(signals);
      if (aborted !== undefined) this.abort(abortReason(aborted));
      scope?.ctx?.waitUntil(this.promise.catch(() => undefined));
    } catch (error) {
      // Outside of a request there are no timers, and a context may refuse: nobody would look.
      this.abort(error);
    }
  }

  /** Says that there is an offer for it, which it takes at once if it is its request's turn. */
  offer(): void {
    if (this.keeper.isHere()) this.look();
    else this.keeper.call(this);
  }

  /** Says how the wait has ended; the waiter hears of it in its own request. */
  end(error: Error): void {
    this.outcome = error;
    this.keeper.call(this);
  }

  private abort(reason: unknown): void {
    if (this.resolve === undefined) return;
    this.forget();
    this.settle(Promise.reject(reason));
    const { engine, key } = this;
    engine.turn.whenTold(() => engine.cancel(key));
  }

  /** Takes what it is offered, or ends. */
  look(): void {
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
    try {
      return waitOnEdge(this.engine, this.want, this.since);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  private claim(): void {
    const { need, isMany } = this.want;
    const waited = waitedFor(this.engine.ledger.now(), this.since);
    while (this.leases.length < need) {
      const key = this.engine.ledger.claim(this.key);
      if (key === Answer.STILL_WAITING) return;
      if (key < 0) {
        this.forget();
        throw new PoolError("offer_missed", "the pool lost this waiter; acquire again");
      }
      this.leases.push(this.engine.lend(key, waited, this.want));
    }
    this.forget();
    // Whoever was told of a lease may have aborted the wait.
    if (this.resolve === undefined) this.giveBack();
    else this.settle(isMany ? this.leases : (this.leases[0] as Lease<T>));
  }

  /** Leaves the table of waiters, unless its index is another's by now. */
  forget(): void {
    const { engine, index } = this;
    if (engine.edgeWaiters[index] !== this) return;
    engine.edgeWaiters[index] = undefined;
    engine.onEdge -= 1;
  }

  /** Gives back the leases of which it does not get all. */
  private giveBack(): void {
    for (const lease of this.leases.splice(0)) lease.release();
  }

  private settle(result: Served<T> | Promise<Served<T>>): void {
    const { resolve } = this;
    this.resolve = undefined;
    if (this.at >= 0) this.keeper.remove(this);
    this.at = -1;
    this.unlisten?.();
    resolve?.(result);
  }
}
