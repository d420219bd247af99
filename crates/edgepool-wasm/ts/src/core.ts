import { Packed, Status } from "./codes.js";
import { CoreResetError } from "./errors.js";
import { type Weak, weakly } from "./runtime.js";

/**
 * The numeric exports of the wasm module. A key is a generation and an index in one number
 * (`generation * 2^20 + index`), times are ms, pools are small integers. `now` is told with each
 * operation that may depend on the time; a negative one was not read. Most answer a status.
 */
export interface Core {
  set_option(which: number, value: number): void;
  pool_open(edge: number): number;
  pool_drop(pool: number): void;
  seed(pool: number, seed: number): void;
  advance(pool: number, now: number): number;
  try_acquire(pool: number, now: number): number;
  acquire(
    pool: number, now: number, deadline: number, priority: number, need: number,
  ): number;
  claim(pool: number, waiter: number): number;
  cancel(pool: number, now: number, waiter: number): number;
  release(pool: number, now: number, lease: number, serves: number): number;
  discard(pool: number, now: number, lease: number): number;
  take(pool: number, now: number, lease: number): number;
  renew(pool: number, now: number, lease: number, ttl: number): number;
  begin_reset(pool: number, now: number, lease: number): number;
  reset(pool: number, now: number, slot: number, good: number): number;
  checked(pool: number, now: number, slot: number, good: number): number;
  created(pool: number, now: number, slot: number): number;
  create_failed(pool: number, now: number, slot: number): number;
  closed(pool: number, now: number, slot: number): number;
  close_late(pool: number, now: number): number;
  adopt(pool: number): number;
  prepare(pool: number, now: number): number;
  look_at_idle(pool: number): number;
  looked_at(pool: number, now: number, slot: number, keep: number): number;
  resize(pool: number, now: number, max: number): number;
  set_min_idle(pool: number, now: number, minIdle: number): number;
  manage(pool: number, now: number, what: number): number;
  next_effect(pool: number): number;
  effect_key(): number;
  effect_detail(): number;
  next_deadline(pool: number): number;
  retry_at(pool: number): number;
  gauge(pool: number, which: number): number;
  counter(pool: number, which: number): number;
  times(pool: number, holds: number, which: number): number;
  info(pool: number, slot: number, which: number): number;
}

/** The options of a pool in the order of their numbers. */
export const OPTIONS = [
  "max", "minIdle", "maxWaiting", "fifo", "offerTimeout", "leaseTtl", "createTimeout",
  "checkTimeout", "resetTimeout", "closeTimeout", "idleTimeout", "maxLifetime", "lifetimeJitter",
  "maxUses", "checkAfter", "checkInterval", "maxChecks", "backoffBase", "backoffCap", "breaker",
  "ageing", "waitTimes", "holdTimes", "longHold",
] as const;

/** The low bits of a key: the index of its slot or waiter. */
export const INDEX_MASK = 0xfffff;
/** A key that no lease has: its place is beyond every pool's. */
export const NO_LEASE = INDEX_MASK;

/** Reads a waiter's key out of the answer to its acquire. */
export function waiterOf(answer: number): number {
  return Math.floor((Packed.WAITER_BASE - answer) / 2);
}

/** Why a resource leaves, by the number that comes with `CLOSE`. */
export const LEAVING = [
  "discarded", "idle", "aged", "used", "invalidated", "surplus", "checkFailed", "resetFailed",
  "rejected", "expired", "closed", "late",
] as const;

/** The gauges and the counters by their numbers; in the words of `stats()`. */
export const GAUGES = [
  "max", "size", "creating", "idle", "checking", "offered", "inUse", "resetting", "retired",
  "closing", "waiting", "pending",
] as const;
export const COUNTERS = [
  "started", "direct", "waited", "batched", "timedOut", "cancelled", "failed", "refused", "closed",
  "missed", "offersMissed", "released", "discarded", "taken", "expired", "stale", "adopted",
  "creations", "created", "createFailed", "createAbandoned", "checks", "checkFailed", "resets",
  "resetFailed", "retiredIdle", "retiredAged", "retiredUsed", "retiredInvalidated",
  "retiredSurplus", "retiredClosed", "rejected", "late", "removed",
] as const;
export const TIMES = ["count", "mean", "p50", "p90", "p99", "max"] as const;

/** Makes the exports of a fresh instance; after the first time, in place of the one before. */
export type Instantiate = () => Core;

/** A pool in the module, which opens itself again in the next instance. */
export interface Occupant {
  /** If there is no memory for another for now, `next` only stands for it. */
  revive(next: Core, error: CoreResetError, isMissing: boolean): void;
}

/** Where a pool is in the module, and what else there is of it once nobody has it any more. */
export interface Seat {
  core: Core;
  pool: number;
  /** The pool's timer, if it has one. */
  timer: { stop(): void } | undefined;
}

let collected: FinalizationRegistry<() => void> | undefined;

/**
 * A module, the instance of it that there is now, and the pools in that. Nothing is compiled before
 * the first of them is made.
 */
export class Home {
  private readonly instantiate: Instantiate;
  private current: Core | undefined;
  private readonly occupants = new Set<Weak<Occupant>>();

  constructor(instantiate: Instantiate) {
    this.instantiate = instantiate;
  }

  /** Gives the instance, made at the first call. */
  instance(): Core {
    return (this.current ??= this.instantiate());
  }

  /**
   * Has a pool told when the instance is replaced. It is not kept alive for that: a pool that nobody
   * has any more is dropped from the module too, where the runtime tells of it. Returns what drops a
   * pool that has closed: as long as somebody has it, it is told of new instances nonetheless, as
   * what it is asked for then is for one that answers.
   */
  enrol(occupant: Occupant, seat: Seat): () => void {
    const entry = weakly(occupant);
    const { occupants } = this;
    const drop = (): void => {
      try {
        seat.core.pool_drop(seat.pool);
        seat.timer?.stop();
      } catch {
        // The instance failed and was replaced, and the next one has no such pool.
      }
    };
    const leave = (): void => {
      occupants.delete(entry);
      drop();
    };
    occupants.add(entry);
    collected ??= typeof FinalizationRegistry === "function"
      ? new FinalizationRegistry((leave) => leave())
      : undefined;
    collected?.register(occupant, leave);
    return collected === undefined ? leave : drop;
  }

  /**
   * Replaces an instance that has thrown, and tells every pool. Returns what the caller throws: the
   * operation was not carried out, or nobody knows whether it was.
   */
  replace(broken: Core, cause: unknown): CoreResetError {
    let error = new CoreResetError(cause);
    if (broken !== this.current) return error;
    let isMissing = false;
    try {
      this.current = this.instantiate();
    } catch (failure) {
      isMissing = true;
      this.current = missing(failure);
      error = new CoreResetError(failure, false);
    }
    for (const entry of this.occupants) {
      const occupant = entry.deref();
      if (occupant === undefined) this.occupants.delete(entry);
      else occupant.revive(this.current, error, isMissing);
    }
    return error;
  }
}

let usual: Home | undefined;

/** Says where pools are that need no other module; who comes first is asked. */
export function provideCore(home: Home): void {
  usual ??= home;
}

/** Gives the home of a pool that needs no other. */
export function usualHome(): Home {
  if (usual !== undefined) return usual;
  throw new TypeError("edgepool/slim: call init(module) before the first pool");
}

/**
 * Stands where no instance could be made, so that nothing goes on in the broken one. What comes
 * back is nobody's from then on, which the next instance is told; whatever else is asked throws,
 * and has it replaced like any other.
 */
function missing(cause: unknown): Core {
  const take = (_pool: number, _now: number, lease: number): number =>
    lease === NO_LEASE ? 0 : Status.DONE;
  const refuse = (): never => {
    throw cause;
  };
  return new Proxy({ release: take, discard: take } as Partial<Core> as Core, {
    get: (core, name: keyof Core) => core[name] ?? refuse,
  });
}

/** How often an operation is tried that meets the end of one instance after the other. */
const ATTEMPTS = 4;

/** Runs an operation, and again in the next instance if it met the end of this one. */
export function again<R>(operate: () => R): R {
  for (let left = ATTEMPTS; ; left -= 1) {
    try {
      return operate();
    } catch (error) {
      if (!(error instanceof CoreResetError) || left === 1) throw error;
    }
  }
}

/** Runs what may meet the instance's end, which others hear of. */
export function unlessReset(operate: () => void): void {
  try {
    operate();
  } catch (error) {
    if (!(error instanceof CoreResetError)) throw error;
  }
}
