import { COUNTERS, GAUGES, TIMES } from "./core.js";
import type { Ledger } from "./ledger.js";

/** How long something took, in ms; percentiles are exact to a few percent. */
export interface TimeStats {
  /** How many times were counted. */
  count: number;
  /** The mean. */
  mean: number;
  /** What half of them were at most. */
  p50: number;
  /** What nine of ten were at most. */
  p90: number;
  /** What 99 of 100 were at most. */
  p99: number;
  /** The longest. */
  max: number;
}

/** How many of everything there are now, and what has happened so far. */
export interface PoolCounts {
  /** The most resources that there may be. */
  max: number;
  /** Places used, the sum of the next eight. After a `resize` it may exceed `max` for a while. */
  size: number;
  /** Creations under way. */
  creating: number;
  /** Resources that anyone may have. */
  idle: number;
  /** Resources that are being checked. */
  checking: number;
  /** Edge mode: resources set aside for a caller that has not claimed them yet. */
  offered: number;
  /** Leases that are out. */
  inUse: number;
  /** Resources that came back and are being reset. */
  resetting: number;
  /** Leases whose time to live passed, until their resource is closed. */
  retired: number;
  /** Resources that are being closed. */
  closing: number;
  /** Callers in the queue; those that have an offer are not counted. */
  waiting: number;
  /** Callers whose wait is not over, those with an offer among them. */
  pending: number;
  /** Acquires begun; a `tryAcquire` counts if it succeeds. */
  started: number;
  /** Acquires that were served at once. */
  direct: number;
  /** Acquires that were served after a wait. */
  waited: number;
  /** Leases beyond the first of each `acquireMany`. */
  batched: number;
  /** Acquires whose time passed. */
  timedOut: number;
  /** Acquires that a signal ended. */
  cancelled: number;
  /** Acquires that ended with a failed or overdue creation, or were refused because of one. */
  failed: number;
  /** Acquires refused, as the queue was full or they needed more than there may be. */
  refused: number;
  /** Acquires refused or ended because the pool closed. */
  closed: number;
  /** Edge mode: acquires that ended as three offers were not claimed. */
  missed: number;
  /** Edge mode: offers that were not claimed in time. */
  offersMissed: number;
  /** Leases that ended in good order. */
  released: number;
  /** Leases whose resource was damaged. */
  discarded: number;
  /** Leases whose resource left the pool with its holder. */
  taken: number;
  /** Leases whose time to live passed. */
  expired: number;
  /** Calls on a lease, or answers of a job, that had ended; they did nothing. */
  stale: number;
  /** Leases and jobs taken over when the wasm module was replaced. */
  adopted: number;
  /** Creations begun. */
  creations: number;
  /** Creations that gave a resource. */
  created: number;
  /** Creations that failed; the overdue ones are not counted. */
  createFailed: number;
  /** Creations given up: overdue, or not wanted any more. */
  createAbandoned: number;
  /** Checks begun. */
  checks: number;
  /** Checks that failed or were overdue. */
  checkFailed: number;
  /** Resets begun. */
  resets: number;
  /** Resets that failed or were overdue. */
  resetFailed: number;
  /** Resources that left as they were idle for too long. */
  retiredIdle: number;
  /** Resources that left for their age. */
  retiredAged: number;
  /** Resources that left as they were lent as often as `maxUses` says. */
  retiredUsed: number;
  /** Resources that left after an `invalidate`. */
  retiredInvalidated: number;
  /** Resources that left as the pool was made smaller. */
  retiredSurplus: number;
  /** Resources that left as the pool closed. */
  retiredClosed: number;
  /** Resources that `retain` did not keep. */
  rejected: number;
  /** Resources that came back from a job after it was given up, to be closed. */
  late: number;
  /** Resources that are closed or gone, their place free. */
  removed: number;
}

/**
 * How a pool stands, and what has happened to it. Always `started` = `direct` + `waited` +
 * `timedOut` + `cancelled` + `failed` + `refused` + `closed` + `missed` + `pending`, and `size` =
 * `creating` + `idle` + `checking` + `offered` + `inUse` + `resetting` + `retired` + `closing`.
 */
export interface PoolStats extends PoolCounts {
  /** Leases that were told as leaked, with `trackLeases`. */
  leaked: number;
  /** How often the core failed and was replaced. The counters begin anew then. */
  restarts: number;
  /** The share of `max` that is lent, from 0 to 1; after a `resize` it may be more. */
  utilisation: number;
  /** The share of served callers that were served at once, from 0 to 1, once there was one. */
  hitRate: number | undefined;
  /** How long callers waited that were not served at once; see `waitTimes`. */
  waits: TimeStats;
  /** How long leases were held; see `holdTimes`. */
  holds: TimeStats;
}

/**
 * In which part of its life a pool is: it has had no resource yet and makes none (`initializing`),
 * makes its first ones (`warming-up`), has had one (`ready`), or is closed, with resources that are
 * still out or being closed (`draining`) or without (`closed`).
 */
export type PoolState = "initializing" | "warming-up" | "ready" | "draining" | "closed";

/** Reads what the ledger knows of a pool. */
export function readStats<T>(ledger: Ledger<T>, leaked: number, restarts: number): PoolStats {
  ledger.settle();
  const stats = { leaked, restarts } as PoolStats;
  GAUGES.forEach((name, which) => (stats[name] = ledger.call("gauge", which)));
  COUNTERS.forEach((name, which) => (stats[name] = ledger.call("counter", which)));
  // Leases that went from one caller to the next without a word to the ledger.
  for (const name of ["started", "direct", "released"] as const) stats[name] += ledger.spares.reused;
  stats.utilisation = stats.inUse / Math.max(stats.max, 1);
  const served = stats.direct + stats.waited;
  stats.hitRate = served > 0 ? stats.direct / served : undefined;
  stats.waits = readTimes(ledger, 0);
  stats.holds = readTimes(ledger, 1);
  return stats;
}

function readTimes<T>(ledger: Ledger<T>, holds: number): TimeStats {
  const stats: Partial<TimeStats> = {};
  TIMES.forEach((name, which) => (stats[name] = ledger.call("times", holds, which)));
  return stats as TimeStats;
}

/** Gives the counts of a pool without what else its statistics tell. */
export function countsOf(stats: PoolStats): PoolCounts {
  const counts: Partial<PoolCounts> = {};
  for (const name of [...GAUGES, ...COUNTERS]) counts[name] = stats[name];
  return counts as PoolCounts;
}

/** Adds counts up. */
export function addCounts(all: readonly PoolCounts[]): PoolCounts {
  const sum: Partial<PoolCounts> = {};
  for (const name of [...GAUGES, ...COUNTERS]) {
    sum[name] = all.reduce((total, counts) => total + counts[name], 0);
  }
  return sum as PoolCounts;
}
