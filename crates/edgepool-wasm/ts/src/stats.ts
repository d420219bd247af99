import { COUNTERS, type Core, GAUGES, TIMES } from "./core.js";

type Gauge = (typeof GAUGES)[number];
type Counter = (typeof COUNTERS)[number];

/** How long something took, in ms; percentiles are exact to a few percent. */
export type TimeStats = Record<(typeof TIMES)[number], number>;

/** How many of everything there are now, and what has happened so far. */
export type PoolCounts = Record<Gauge | Counter, number>;

/**
 * How a pool stands, and what has happened to it. Always `started` = `direct` + `waited` +
 * `timedOut` + `cancelled` + `failed` + `refused` + `closed` + `missed` + `pending`, and `size` =
 * `creating` + `idle` + `checking` + `offered` + `inUse` + `resetting` + `retired` + `closing`.
 */
export interface PoolStats extends PoolCounts {
  /** Leases that were told as leaked; see `trackLeases`. */
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

/** Reads what the module knows of a pool. */
export function readStats(
  core: Core, pool: number, told: { leaked: number; restarts: number; reused: number },
): PoolStats {
  const { leaked, restarts, reused } = told;
  const stats = { leaked, restarts } as PoolStats;
  GAUGES.forEach((name, which) => (stats[name] = core.gauge(pool, which)));
  COUNTERS.forEach((name, which) => (stats[name] = core.counter(pool, which)));
  // Leases that went from one caller to the next without a word to the ledger.
  for (const name of ["started", "direct", "released"] as const) stats[name] += reused;
  stats.utilisation = stats.inUse / Math.max(stats.max, 1);
  const served = stats.direct + stats.waited;
  stats.hitRate = served > 0 ? stats.direct / served : undefined;
  stats.waits = readTimes(core, pool, 0);
  stats.holds = readTimes(core, pool, 1);
  return stats;
}

function readTimes(core: Core, pool: number, holds: number): TimeStats {
  const stats: Partial<TimeStats> = {};
  TIMES.forEach((name, which) => (stats[name] = core.times(pool, holds, which)));
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
