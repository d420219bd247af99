import type { Holder, PoolErrorCode } from "./errors.js";
import { type Weak, weakly } from "./runtime.js";

/**
 * Why a resource leaves the pool: its holder discarded it, or its lease expired; it was idle for
 * too long, too old, or lent often enough; `invalidate`, `retain` or a smaller `max` had no more
 * use for it; a check or a reset failed; it came when it was not wanted any more; the pool closed.
 */
export type LeaveReason =
  | "discarded"
  | "idle"
  | "aged"
  | "used"
  | "invalidated"
  | "surplus"
  | "checkFailed"
  | "resetFailed"
  | "rejected"
  | "expired"
  | "closed"
  | "late";

/** Something that happened in a pool; `slot` is the place in the pool, times are in ms. */
export type PoolEvent =
  /** A resource was made. */
  | { type: "created"; slot: number }
  /** `create` failed, or took too long. */
  | { type: "createFailed"; error: unknown }
  /** A caller joined the queue. */
  | { type: "queued" }
  /** A caller has a lease, after a wait of `waited`. */
  | { type: "acquired"; slot: number; waited: number }
  /** Beside `acquired`: the wait was as long as `slowAcquire` says; `stack` by `trackLeases`. */
  | { type: "slowAcquire"; waited: number; stack?: string }
  /** A wait ended without a resource. */
  | { type: "ended"; code: PoolErrorCode }
  /** A caller was not even queued. */
  | { type: "refused"; code: PoolErrorCode }
  /** A caller gave up its wait. */
  | { type: "cancelled" }
  /** A lease ended in good order. */
  | { type: "released"; slot: number }
  /** A holder took its resource out of the pool. */
  | { type: "taken"; slot: number }
  /** A lease is out for longer than `longHold` says. */
  | { type: "longHold"; holder: Holder }
  /** A resource is about to be closed; `error` is what its holder discarded it with. */
  | { type: "leaves"; slot: number; reason: LeaveReason; error?: unknown }
  /** `check` gave `false`, failed, or took too long. */
  | { type: "checkFailed"; error: unknown }
  /** `reset` failed, or took too long. */
  | { type: "resetFailed"; error: unknown }
  /** `close` failed, or took too long; the resource's place is free all the same. */
  | { type: "closeFailed"; error: unknown }
  /** With `trackLeases`: a lease was dropped, or its time to live passed. */
  | { type: "leaked"; holder: Holder }
  /** The core failed and was replaced. */
  | { type: "restarted"; cause: unknown }
  /** So many events were left out here, as nobody took them in time. */
  | { type: "dropped"; count: number };

/** How many events wait for a reader that is slow. */
const MOST_WAITING = 1_000;

type Take = (result: IteratorResult<PoolEvent, undefined>) => void;

/** Tells an observer and any number of readers what happens. */
export class Teller {
  /**
   * The readers, and whom to tell of their end. One that nobody has any more ends by itself: else
   * a loop in a request that has died would be told of all that happens, for ever.
   */
  private readers: Map<Weak<EventReader>, () => void> | undefined;
  /** Those whose next event is waited for, by a loop that may be all that has them. */
  private awaited: Set<EventReader> | undefined;

  constructor(private readonly observer: ((event: PoolEvent) => void) | undefined) {}

  /** Whether anybody listens: an event that nobody hears is not even made. */
  get isHeard(): boolean {
    return this.observer !== undefined || (this.readers?.size ?? 0) > 0;
  }

  tell(event: PoolEvent): void {
    // What the observer does in turn is told after this.
    this.each((reader) => reader.push(event));
    try {
      this.observer?.(event);
    } catch {
      // A pool must not fail because somebody who looks on did.
    }
  }

  /** Opens a reader of what happens from now on. */
  read(onEnd: () => void): EventReader {
    this.awaited ??= new Set();
    const reader: EventReader = new EventReader(this.awaited, () => this.forget(weak));
    const weak = weakly(reader);
    (this.readers ??= new Map()).set(weak, onEnd);
    return reader;
  }

  /** Ends every reader, once it has taken what waits for it. */
  end(): void {
    this.each((reader) => reader.end());
  }

  private each(act: (reader: EventReader) => void): void {
    for (const weak of this.readers?.keys() ?? []) {
      const reader = weak.deref();
      if (reader === undefined) this.forget(weak);
      else act(reader);
    }
  }

  private forget(weak: Weak<EventReader>): void {
    const onEnd = this.readers?.get(weak);
    this.readers?.delete(weak);
    onEnd?.();
  }
}

/** The events of a pool as an async iterator: bounded, and ended with the pool. */
class EventReader implements AsyncIterableIterator<PoolEvent, undefined> {
  private readonly waiting: PoolEvent[] = [];
  private readonly takers: Take[] = [];
  private dropped = 0;
  private ended = false;

  constructor(
    private readonly awaited: Set<EventReader>, private readonly detach: () => void,
  ) {}

  push(event: PoolEvent): void {
    const take = this.takers.shift();
    if (this.takers.length === 0) this.awaited.delete(this);
    if (take !== undefined) {
      take({ done: false, value: event });
      return;
    }
    this.waiting.push(event);
    if (this.waiting.length <= MOST_WAITING) return;
    // The news is worth more than what led to it.
    this.waiting.shift();
    this.dropped += 1;
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.detach();
    this.awaited.delete(this);
    for (const take of this.takers.splice(0)) take({ done: true, value: undefined });
  }

  next(): Promise<IteratorResult<PoolEvent, undefined>> {
    const value = this.toldDropped() ?? this.waiting.shift();
    if (value !== undefined) return Promise.resolve({ done: false, value });
    if (this.ended) return Promise.resolve({ done: true, value: undefined });
    this.awaited.add(this);
    return new Promise((resolve) => this.takers.push(resolve));
  }

  private toldDropped(): PoolEvent | undefined {
    if (this.dropped === 0) return undefined;
    const count = this.dropped;
    this.dropped = 0;
    return { type: "dropped", count };
  }

  return(): Promise<IteratorResult<PoolEvent, undefined>> {
    this.waiting.length = 0;
    this.dropped = 0;
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
