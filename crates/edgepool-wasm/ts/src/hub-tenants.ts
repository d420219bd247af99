import type { TenantTerms } from "./client-tenants.js";
import { PoolError } from "./errors.js";
import type { PoolTenant, PoolTenantStats } from "./pool-tenant.js";
import type { FullShare } from "./share.js";
import type { SharedPool } from "./shared-pool.js";
import { checkId } from "./tenant-id.js";

/** How many of everything tenants have now, and what they had so far; times in ms. */
export interface TenantCounts {
  /** Places that are held. */
  inUse: number;
  /** Calls in the queue. */
  waiting: number;
  /** Places given. */
  acquired: number;
  /** Places given back. */
  released: number;
  /** Calls that had no place in time. */
  timedOut: number;
  /** Calls that left the queue for another reason. */
  cancelled: number;
  /** Calls that ended as no place could be made. */
  failed: number;
  /** Calls refused because a queue was full. */
  refused: number;
  /** Calls that ended otherwise, as when the pool closed. */
  ended: number;
  /** The waits of the calls that were served after one, together. */
  totalWait: number;
  /** The longest of them. */
  longestWait: number;
}

/** How a tenant stands at a provider, and what it had there. */
export interface ClientTenantStats extends TenantCounts {
  /** What callers name it by. */
  id: string;
  /** Whether it has a share of its own in the options. */
  isNamed: boolean;
  /** What it may have; `Infinity` where it has no limit of its own. */
  share: FullShare;
  /** When it was opened, by the pool's clock. */
  openedAt: number;
  /** When a call of its came or left the pool last. */
  lastActive: number;
}

/** The counts of several tenants together. */
export interface TenantSums extends TenantCounts {
  /** How many tenants they are of. */
  tenants: number;
}

/** The tenants of a provider. */
export interface ProviderTenants {
  /** The named ones, in the order of the options; then the others that were given the most. */
  tenants: ClientTenantStats[];
  /** Those that are known beside them, together: how many, and their counts. */
  rest: TenantSums;
  /** All that there were, those that are forgotten too: its counters never run backwards. */
  total: TenantSums;
}

interface Known {
  id: string;
  isNamed: boolean;
  tenant: PoolTenant;
  /** How many of those that left the queue did so as their time was up. */
  timedOut: number;
}

const COUNTS = [
  "inUse", "waiting", "acquired", "released", "timedOut", "cancelled", "failed", "refused", "ended",
  "totalWait", "longestWait",
] as const;

/** How many of those that were not used for the longest are looked at with each call. */
const LOOKS = 2;

/** The tenants of one service: opened when they are asked for, and forgotten when they are not. */
export class HubTenants {
  private readonly pool: SharedPool<number>;
  private readonly terms: TenantTerms;
  private readonly now: () => number;
  private readonly named = new Map<string, Known>();
  /** The others, the one that was not asked for the longest first. */
  private readonly others = new Map<string, Known>();
  /** What those had that are forgotten. */
  private readonly gone = sumOf([]);

  constructor(pool: SharedPool<number>, terms: TenantTerms, now: () => number) {
    this.pool = pool;
    this.terms = terms;
    this.now = now;
    for (const [id, share] of terms.named) this.named.set(id, this.open(id, share, true));
  }

  private open(id: string, share: FullShare, isNamed: boolean): Known {
    return { id, isNamed, tenant: this.pool.tenant(share), timedOut: 0 };
  }

  /** Throws a PoolError if there can be no such tenant, or none is opened that is not named. */
  check(id: unknown): asserts id is string {
    checkId(id, "call");
    if (this.named.has(id) || this.terms.unknown === "create") return;
    const text = "the tenant is not one of those that the options name, and others are refused";
    throw new PoolError("unknown_tenant", text);
  }

  /** Gives a tenant, for a call that joins the queue in the same step. */
  use(id: string): PoolTenant {
    const named = this.named.get(id);
    if (named !== undefined) return named.tenant;
    const known = this.others.get(id) ?? this.open(id, this.terms.usual, false);
    this.others.delete(id);
    this.evict(LOOKS, 1);
    this.others.set(id, known);
    return known.tenant;
  }

  /** Notes that a call of a tenant's left the queue as its time was up. */
  timeOut(id: string): void {
    const known = this.named.get(id) ?? this.others.get(id);
    if (known !== undefined) known.timedOut += 1;
  }

  /**
   * Forgets tenants that are not asked for any more, of `looks` at most, so that there is room for
   * `more` of them; returns how many.
   */
  evict(looks = Infinity, more = 0): number {
    let [left, forgotten] = [Math.min(looks, this.others.size), 0];
    for (const known of this.others.values()) {
      if (left-- <= 0) break;
      const stats = statsOf(known);
      const isCrowded = this.others.size + more > this.terms.maxKept;
      if (!isCrowded && stats.lastActive + this.terms.idleTimeout > this.now()) break;
      this.others.delete(known.id);
      if (stats.inUse + stats.waiting > 0) this.others.set(known.id, known);
      else {
        forgotten += 1;
        this.forget(known, stats);
      }
    }
    return forgotten;
  }

  private forget(known: Known, stats: ClientTenantStats): void {
    known.tenant.close();
    add(this.gone, stats);
    this.gone.tenants += 1;
  }

  /** Tells of the named ones and of so many others, and of the rest together. */
  report(top: number): ProviderTenants {
    const named = [...this.named.values()].map(statsOf);
    const others = [...this.others.values()].map(statsOf)
      .sort((a, b) => b.acquired - a.acquired || (a.id < b.id ? -1 : 1));
    const total = sumOf([...named, ...others]);
    add(total, this.gone);
    total.tenants += this.gone.tenants;
    return {
      tenants: [...named, ...others.slice(0, top)], rest: sumOf(others.slice(top)), total,
    };
  }
}

function statsOf({ id, isNamed, tenant, timedOut }: Known): ClientTenantStats {
  const stats: PoolTenantStats = tenant.stats();
  // The queue itself knows only that they left.
  const late = Math.min(timedOut, stats.cancelled);
  stats.timedOut += late;
  stats.cancelled -= late;
  return { id, isNamed, share: tenant.share, ...stats };
}

function sumOf(all: readonly TenantCounts[]): TenantSums {
  const sum = { tenants: all.length } as TenantSums;
  for (const name of COUNTS) sum[name] = 0;
  for (const counts of all) add(sum, counts);
  return sum;
}

function add(sum: TenantCounts, counts: TenantCounts): void {
  for (const name of COUNTS) {
    sum[name] = name === "longestWait" ? Math.max(sum[name], counts[name])
      : sum[name] + counts[name];
  }
}
