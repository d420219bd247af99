import type { TenantTerms } from "./client-tenants.js";
import { PoolError } from "./errors.js";
import type { PoolTenant, PoolTenantStats, TenantCounts } from "./pool-tenant.js";
import type { FullShare } from "./share.js";
import type { SharedPool } from "./shared-pool.js";
import { checkId } from "./tenant-id.js";

/** How a tenant stands at a provider, and what it had there: its callers are its calls. */
export interface ClientTenantStats extends PoolTenantStats {
  /** What callers name it by. */
  id: string;
  /** Whether it has a share of its own in the options. */
  isNamed: boolean;
  /** What it may have; `Infinity` where it has no limit of its own. */
  share: FullShare;
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
  /**
   * All that there were, those that are forgotten too: its counters never run backwards. `tenants`
   * is how often one was opened, so that one which was forgotten and came back counts again.
   */
  total: TenantSums;
}

interface Known {
  id: string;
  isNamed: boolean;
  tenant: PoolTenant;
  /** How many of those that left the queue did so as their time was up. */
  timedOut: number;
  /** How many of those were told, and how many others that left. */
  told: { timedOut: number; cancelled: number };
  /** The instance of the module in which they were counted. */
  core: unknown;
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
    const tenant = this.pool.tenant(share);
    const told = { timedOut: 0, cancelled: 0 };
    return { id, isNamed, tenant, timedOut: 0, told, core: coreOf(tenant) };
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
    this.others.set(id, known);
    this.look(LOOKS, known);
    return known.tenant;
  }

  /** Tells how many places a tenant has, if that is all that it may have. */
  allOf(id: string): number | undefined {
    const known = this.find(id);
    return known?.tenant._engine.allOf(known.tenant);
  }

  private find(id: string): Known | undefined {
    return this.named.get(id) ?? this.others.get(id);
  }

  /** Notes that a call of a tenant's left the queue as its time was up. */
  timeOut(id: string): void {
    const known = this.find(id);
    if (known === undefined) return;
    beginAnew(known);
    known.timedOut += 1;
  }

  /** Forgets those that are not named and not asked for any more; returns how many. */
  evict(): number {
    // What is due ends leases and waits.
    this.pool.tick();
    return this.look(Infinity);
  }

  /** As `evict`, of those before one that is asked for now, and so many at most. */
  private look(looks: number, before?: Known): number {
    let [left, forgotten] = [Math.min(looks, this.others.size), 0];
    for (const known of this.others.values()) {
      if (left-- <= 0 || known === before) break;
      const stats = statsOf(known);
      const isCrowded = this.others.size > this.terms.maxKept;
      if (!isCrowded && stats.lastActive + this.terms.idleTimeout > this.now()) break;
      if (stats.inUse + stats.waiting > 0) {
        this.others.delete(known.id);
        this.others.set(known.id, known);
      } else {
        this.forget(known, stats);
        forgotten += 1;
      }
    }
    return forgotten;
  }

  /** One whose closing fails with the module is known as before. */
  private forget(known: Known, stats: ClientTenantStats): void {
    known.tenant.close();
    this.others.delete(known.id);
    add(this.gone, stats);
    this.gone.tenants += 1;
  }

  /** Tells of the named ones and of so many others, and of the rest together. */
  report(top: number): ProviderTenants {
    this.pool.tick();
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

/** Tells of one as it was when its pool did something last. */
function statsOf(known: Known): ClientTenantStats {
  const { id, isNamed, tenant, told } = known;
  const stats: PoolTenantStats = tenant._stats();
  beginAnew(known);
  // The queue itself knows only that they left; what was told of some as given up stays so.
  const late = Math.min(known.timedOut, stats.cancelled - told.cancelled);
  stats.timedOut += late;
  stats.cancelled -= late;
  known.told = { timedOut: late, cancelled: stats.cancelled };
  return { id, isNamed, share: tenant.share, ...stats };
}

/** In a new instance what was not told is not known: not who left, nor whose time was up. */
function beginAnew(known: Known): void {
  const core = coreOf(known.tenant);
  if (core === known.core) return;
  known.core = core;
  known.timedOut = known.told.timedOut;
}

function coreOf({ _engine }: PoolTenant): unknown {
  return _engine.ledger.core;
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
