import { type Clock, waitedFor } from "./clock.js";
import { type Deferred, deferred } from "./runtime.js";
import { abortReason, findAborted, listen } from "./signals.js";
import { noPool } from "./tenant-texts.js";
import type { Terms } from "./tenant-options.js";

/** How often who waits looks for itself, in ms. */
export const TICK = 50;
/** After so many ms without a look a caller of edge mode counts as dead until it looks again. */
const SILENCE = 4 * TICK;
/** After so many it has no place any more; should it look again it comes last. */
const LOST = 10 * SILENCE;

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
  /** Hears that none of a tenant's callers is left, of whom the last ones ended without a word. */
  forgo(id: string): void;
  /** Says what a tenant may have whose caller is to wait. Throws if it may not. */
  termsFor(id: string): Terms;
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
    private readonly stay: () => void = () => undefined,
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

  /** Whether it would have ended by itself long ago, or looked. */
  isLost(now: number): boolean {
    const isSilent = this.owner.edge && now - this.seen > LOST;
    return isSilent || now > this.wait.since + this.wait.timeout + SILENCE;
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
    if (this.end === undefined) this.stay();
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
  private clearedAt = -Infinity;

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
    const late = (waited: number): Error => noPool(id, waited, this.owner.standing());
    const caller = new Caller<V>(
      this.owner, wait, late, () => this.leave(id, caller), () => this.stay(id, caller));
    this.join(terms, caller);
    return caller.start();
  }

  /** Gives a caller another place that has lost its own, if it may have one yet. */
  private stay(id: string, caller: Caller<V>): void {
    if (this.openings.get(id)?.callers.has(caller) === true) return;
    try {
      this.join(this.owner.termsFor(id), caller);
    } catch (error) {
      caller.tell(() => Promise.reject(error));
    }
  }

  private join(terms: Terms, caller: Caller<V>): void {
    const { id } = terms.tenant;
    const opening: Opening<V> = this.openings.get(id) ?? { terms, callers: new Set() };
    this.openings.set(id, opening);
    opening.callers.add(caller);
    this.length += 1;
  }

  private leave(id: string, caller: Caller<V>): void {
    const opening = this.openings.get(id);
    if (opening === undefined || !opening.callers.delete(caller)) return;
    this.length -= 1;
    if (opening.callers.size === 0) this.openings.delete(id);
  }

  /** Gives the tenants in their order, of whom a caller is alive. */
  waiting(now: number): Terms[] {
    this.clear(now);
    const waiting: Terms[] = [];
    for (const { terms, callers } of this.openings.values()) {
      if ([...callers].some((caller) => caller.isAlive(now))) waiting.push(terms);
    }
    return waiting;
  }

  /** Makes room of the places of callers that died; they are looked for from time to time. */
  clear(now: number): void {
    if (now < this.clearedAt + TICK) return;
    this.clearedAt = now;
    for (const [id, { callers }] of this.openings) {
      for (const caller of callers) {
        if (caller.isLost(now)) this.leave(id, caller);
      }
      if (callers.size === 0) this.owner.forgo(id);
    }
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
