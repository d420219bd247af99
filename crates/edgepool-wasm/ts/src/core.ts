/**
 * The numeric exports of the wasm module. A key is a generation and an index in one number
 * (`generation * 2^20 + index`), times are ms, pools are small integers.
 */
export interface Core {
  pool_open(
    max: number, maxWaiting: number, offerTimeout: number, leaseTtl: number, retireGrace: number,
    createTimeout: number, edge: number,
  ): number;
  pool_drop(pool: number): void;
  advance(pool: number, now: number): void;
  try_acquire(pool: number): number;
  acquire(pool: number, deadline: number): number;
  claim(pool: number, waiter: number): number;
  cancel(pool: number, waiter: number): number;
  release(pool: number, lease: number): number;
  discard(pool: number, lease: number): number;
  take(pool: number, lease: number): number;
  renew(pool: number, lease: number, ttl: number): number;
  created(pool: number, slot: number): number;
  create_failed(pool: number, slot: number): number;
  closed(pool: number, slot: number): number;
  adopt(pool: number): number;
  close(pool: number): void;
  next_effect(pool: number): number;
  effect_key(): number;
  next_deadline(pool: number): number;
  gauge(pool: number, which: number): number;
  counter(pool: number, which: number): number;
}

/** The low bits of a key: the index of its slot or waiter. */
export const INDEX_MASK = 0xfffff;
/** How far the kind of an effect is shifted above its index. */
export const KIND_SHIFT = 20;

/** What `acquire` and `claim` answer beside a lease's key, which is never negative. */
export const QUEUE_FULL = -1;
export const CLOSED = -2;
export const STILL_WAITING = -3;
/** A waiter's key `k` is answered as `WAITER_BASE - k`. */
export const WAITER_BASE = -16;

/** Bits of what `release` and its kin answer. */
export const DONE = 1;
export const EFFECTS = 2;
export const FAILED_A_WAITER = 4;

/** The kinds of effects. `LEASED` and the five ends have freed the waiter's entry. */
export const LEASED = 0;
export const OFFERED = 1;
export const TIMED_OUT = 2;
export const ENDED_CLOSED = 3;
export const CREATE_FAILED = 4;
export const CREATE_TIMED_OUT = 5;
export const MISSED = 6;
export const CREATE = 7;
export const CLOSE = 8;

/** The gauges and the counters by their numbers; in the words of `stats()`. */
export const GAUGES = [
  "max", "size", "creating", "idle", "offered", "inUse", "retired", "closing", "waiting",
] as const;
export const COUNTERS = [
  "started", "direct", "waited", "timedOut", "cancelled", "failed", "refused", "closed", "missed",
  "offersMissed", "released", "discarded", "taken", "expired", "stale", "adopted", "creations",
  "created", "createFailed", "createAbandoned",
] as const;
export const GAUGE_SIZE = 1;

/** Makes the exports of a fresh instance. */
export type Instantiate = () => Core;

let instantiate: Instantiate | undefined;
let instance: Core | undefined;

/** Says where the module comes from. Nothing is compiled before the first pool is made. */
export function provideCore(source: Instantiate): void {
  instantiate ??= source;
}

/** Gives the module's exports, made at the first call. */
export function core(): Core {
  if (instance !== undefined) return instance;
  if (instantiate === undefined) {
    throw new TypeError("edgepool/slim: call init(module) before the first pool is made");
  }
  instance = instantiate();
  return instance;
}
