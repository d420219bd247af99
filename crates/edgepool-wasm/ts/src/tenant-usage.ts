import { PoolError } from "./errors.js";
import type { TenantCounts } from "./pool-tenant.js";
import { abortReason } from "./signals.js";

/**
 * How a tenant's callers fared, or those of all. A wait begins with the call, so that for a pool to
 * be opened is a part of it; where tenants share a pool, a lease counts as given though `enter`
 * failed on it.
 */
export interface TenantUsage extends TenantCounts {
  /** Connections that are idle in its own pool; 0 where tenants share one. */
  idle: number;
  /** Checks and resets that failed in its own pool; 0 where tenants share one. */
  healthFailures: number;
}

/** What is counted of callers, as it happens. */
type Counted = Exclude<keyof TenantCounts, "inUse" | "waiting">;
/** How a wait may end in vain. */
export type Loss = Exclude<Counted, "acquired" | "released" | "totalWait" | "longestWait">;

const COUNTED = [
  "acquired", "released", "timedOut", "cancelled", "failed", "refused", "ended", "totalWait",
] as const satisfies Counted[];

/** Counts how the callers of a tenant fare. */
export class Visits implements Record<Counted, number> {
  acquired = 0;
  released = 0;
  timedOut = 0;
  cancelled = 0;
  failed = 0;
  refused = 0;
  ended = 0;
  totalWait = 0;
  longestWait = 0;

  /** Counts one that was served after so long. */
  serve(waited: number): void {
    this.acquired += 1;
    this.totalWait += waited;
    this.longestWait = Math.max(this.longestWait, waited);
  }

  /**
   * Tells how many leases have ended, of those that were counted; so many are out. What was lent a
   * moment ago is counted when its holder hears of it: until then one that has ended is told later.
   */
  settle(inUse: number): number {
    return (this.released = Math.max(this.released, this.acquired - inUse));
  }

  /** Adds what others have counted. */
  add(other: Visits): this {
    for (const name of COUNTED) this[name] += other[name];
    this.longestWait = Math.max(this.longestWait, other.longestWait);
    return this;
  }
}

/** How many there are now, and what only a pool knows. */
export interface Now {
  inUse: number;
  idle: number;
  waiting: number;
  healthFailures: number;
}

/** Puts together what callers had and how things stand. */
export function usageOf(
  visits: Visits, now: Now, acquired = visits.acquired, released = visits.settle(now.inUse),
): TenantUsage {
  const { inUse, idle, waiting, healthFailures } = now;
  const { timedOut, cancelled, failed, refused, ended, totalWait, longestWait } = visits;
  return {
    inUse, idle, waiting, acquired, released, timedOut, cancelled, failed, refused, ended,
    totalWait, longestWait, healthFailures,
  };
}

/** Tells as what a caller's error is counted, who may have had these signals. */
export function lossOf(error: unknown, signals: readonly AbortSignal[]): Loss {
  const isReason = (signal: AbortSignal): boolean => signal.aborted
    && (abortReason(signal) === error || (error as Partial<PoolError>)?.code === "aborted");
  if (signals.some(isReason)) return "cancelled";
  switch (error instanceof PoolError ? error.code : undefined) {
    case "acquire_timeout": case "offer_missed": return "timedOut";
    case "queue_full": return "refused";
    case "pool_closed": case "tenant_removed": return "ended";
    default: return "failed";
  }
}
