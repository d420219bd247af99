import { type Clock, waitedFor } from "./clock.js";
import { type Deferred, deferred } from "./runtime.js";
import { abortReason, findAborted, listen } from "./signals.js";
import { noPool } from "./tenant-texts.js";
import type { Terms } from "./tenant-options.js";

/** How often who waits looks for itself, in ms. */
export const TICK = 50;
/** After so many ms without a look a caller of edge mode counts as dead until it looks again. */
const SILENCE = 4 * TICK;

/** A caller's wait, and what it has of its request. */
export interface Wait {
  since: number;
  /** In ms. */
  timeout: number;
  signals: readonly AbortSignal[];
  ctx: { waitUntil(promise: Promise<unknown>): void } | undefined;
}

/** What a line needs of those who look after it. */
export interface LineOwner {
  readonly clock: Clock;
  /** Whether a promise may be settled by another request. */
  readonly doorbell: boolean;
  readonly edge: boolean;
  /** Says how all pools stand, and what to raise, to those who wait in vain. */
  standing(): string;
  /** Looks what may be done. */
  glance(): void;
}

/**
 * A caller that waits for a pool to be opened, or warmed up. All that it does runs in its own
 * request: its timer keeps that alive, and looks for what nobody tells.
 */
export class Caller<V> {
  private readonly outcome: Deferred<V> = deferred<V>();
  private end: (() => void) | undefined = undefined;
  private timer: unknown = undefined;
  private unlisten: () => void = () => undefined;
  private isOver = false;
  private seen: number;

  constructor(
    private readonly owner: LineOwner, private readonly wait: Wait,
    private readonly late: (waited: number) => Error, private readonly leave: () => void,
  ) {
    this.seen = owner.clock.now();
  }

  start(): Promise<V> {
    const { signals, ctx } = this.wait;
    const { promise } = this.outcome;
    try {
      this.schedule();
      this.unlisten = listen(signals, (reason) => this.settle(Promise.reject(reason)));
      const aborted = findAborted(signals);
      if (aborted !== undefined) this.settle(Promise.reject(abortReason(aborted)));
      ctx?.waitUntil(promise.catch(() => undefined));
    } catch (error) {
      // Outside of a request there are no timers, and a context may refuse: nobody would look.
      this.settle(Promise.reject(error));
    }
    // In its own request again, whoever has settled it: what it has there is no other's to undo.
    return promise.finally(() => this.rest());
  }

  private rest(): void {
    if (this.timer !== undefined) this.owner.clock.clearTimer(this.timer);
    this.unlisten();
  }

  /** Whether it is known to wait. A request that died looks no more. */
  isAlive(now: number): boolean {
    return !this.owner.edge || now - this.seen <= SILENCE;
  }

  /** Whether it would have ended by itself long ago. */
  isLost(now: number): boolean {
    return now > this.wait.since + this.wait.timeout + SILENCE;
  }

  /** Says how the wait ends; without a doorbell it hears of that at its own next look. */
  tell(result: () => V | PromiseLike<never>): void {
    this.end ??= () => this.settle(result());
    if (this.owner.doorbell) this.end();
  }

  private schedule(): void {
    const { clock } = this.owner;
    const { since, timeout } = this.wait;
    const left = since + timeout - clock.now();
    this.timer = clock.setTimer(() => {
      this.timer = undefined;
      if (!this.isOver) this.look();
      if (!this.isOver) this.schedule();
    }, Math.max(Math.min(TICK, left), 1));
  }

  private look(): void {
    const { clock } = this.owner;
    this.seen = clock.now();
    this.end?.();
    if (this.isOver) return;
    this.owner.glance();
    this.end?.();
    const waited = waitedFor(clock.now(), this.wait.since);
    if (this.isOver || waited < this.wait.timeout) return;
    this.settle(Promise.reject(this.late(waited)));
  }

  private settle(result: V | PromiseLike<never>): void {
    if (this.isOver) {
      // Its end came first, and nobody else has this one.
      (result as Partial<Promise<never>> | undefined)?.catch?.(() => undefined);
      return;
    }
    this.isOver = true;
    this.leave();
    this.outcome.resolve(result);
  }
}

/** A tenant that waits for its pool, and its callers. */
interface Opening<V> {
  readonly terms: Terms;
  readonly callers: Set<Caller<V>>;
}

/**
 * The tenants that wait for a pool, in the order in which they were asked for. Their callers are
 * told what was opened for them.
 */
export class Line<V> {
  private readonly openings = new Map<string, Opening<V>>();
  /** How many callers wait. */
  length = 0;

  constructor(private readonly owner: LineOwner) {}

  has(id: string): boolean {
    return this.openings.has(id);
  }

  /** How many callers wait for one tenant. */
  lengthOf(id: string): number {
    return this.openings.get(id)?.callers.size ?? 0;
  }

  /** Joins the line. */
  wait(terms: Terms, wait: Wait): Promise<V> {
    const { id } = terms.tenant;
    const opening: Opening<V> = this.openings.get(id) ?? { terms, callers: new Set() };
    this.openings.set(id, opening);
    const late = (waited: number): Error => noPool(id, waited, this.owner.standing());
    const caller = new Caller<V>(this.owner, wait, late, () => this.leave(id, opening, caller));
    opening.callers.add(caller);
    this.length += 1;
    return caller.start();
  }

  private leave(id: string, opening: Opening<V>, caller: Caller<V>): void {
    if (!opening.callers.delete(caller)) return;
    this.length -= 1;
    const isLast = opening.callers.size === 0 && this.openings.get(id) === opening;
    if (isLast) this.openings.delete(id);
  }

  /** Gives the tenants in their order, of whom a caller is alive. */
  waiting(now: number): Terms[] {
    const waiting: Terms[] = [];
    for (const [id, opening] of this.openings) {
      for (const caller of opening.callers) {
        if (caller.isLost(now)) this.leave(id, opening, caller);
      }
      if ([...opening.callers].some((caller) => caller.isAlive(now))) waiting.push(opening.terms);
    }
    return waiting;
  }

  /** Tells those who wait for a tenant how their wait ends. */
  end(id: string, result: () => V | PromiseLike<never>): void {
    const opening = this.openings.get(id);
    if (opening === undefined) return;
    this.openings.delete(id);
    for (const caller of opening.callers) {
      opening.callers.delete(caller);
      this.length -= 1;
      caller.tell(result);
    }
  }

  /** Ends all of it. */
  endAll(result: () => PromiseLike<never>): void {
    for (const id of [...this.openings.keys()]) this.end(id, result);
  }
}
