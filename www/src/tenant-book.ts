import type {
  ClientTenantStats, ProviderTenants as PoolTenants, TenantCounts as PoolCounts,
} from "edgepool/clients";

import { RecentShares } from "./recent-shares.js";
import { OTHERS } from "./tenant-id.js";
import type { ProviderTenants, TenantCounts, TenantNumbers } from "./wire.js";

/** What only grows. */
const COUNTERS = [
  "acquired", "released", "timedOut", "cancelled", "failed", "refused", "ended", "totalWait",
] as const;
type Counters = Record<(typeof COUNTERS)[number], number>;

/** A tenant that was told of by its name. */
interface Entry {
  openedAt: number;
  /** Its counters when it was told of last, and what of them was told under its name. */
  seen: Counters;
  own: Counters;
  isShown: boolean;
}

/** How many that are not shown any more go on where they were if they are shown again. */
const REMEMBERED = 1_000;

/**
 * What is told of a provider's tenants: of some by name, and of the others in one sum. No counter
 * of either ever runs backwards: what was told in the sum stays there when a tenant comes to be
 * told of by name, and what was told by name does not come into the sum when that ends. The
 * counters of all names, shown or not, and of the sum are together those of all tenants.
 */
export class TenantBook {
  private readonly entries = new Map<string, Entry>();
  /** What was told by names, of all of them together. */
  private readonly named = zeros();
  private readonly others = zeros();
  private readonly recent = new RecentShares();
  private readAt = -Infinity;
  /** The latest time that it was read at: a clock that is set may go back. */
  private latest = -Infinity;

  /** Writes what the client pool tells as `/stats` has it. `now` is of the pool's clock, in ms. */
  read({ tenants, rest, total }: PoolTenants, now: number): ProviderTenants {
    const more = tenants.map((tenant) => [tenant.id, this.note(tenant)] as const);
    this.forget(new Set(tenants.map(({ id }) => id)));
    const others = zeros();
    for (const name of COUNTERS) {
      // Sums of the same fractions may differ in the last digit.
      others[name] = Math.max(0, total[name] - this.named[name] - this.others[name]);
      this.others[name] += others[name];
    }
    this.recent.note(this.readAt, now, [...more, [OTHERS, others]]);
    this.readAt = now;
    this.latest = Math.max(this.latest, now);
    return {
      tenants: tenants.map((tenant) => this.numbers(tenant)),
      others: { tenants: rest.tenants, ...this.counts(OTHERS, rest, this.others) },
    };
  }

  /** Notes what a tenant has had, and tells what of it is new under its name. */
  private note(tenant: ClientTenantStats): Counters {
    const before = this.entries.get(tenant.id);
    const base = this.baseOf(tenant, before);
    const own = before?.own ?? zeros();
    const more = zeros();
    for (const name of COUNTERS) {
      more[name] = tenant[name] - base[name];
      own[name] += more[name];
      this.named[name] += more[name];
    }
    // Those that were shown last are at the end.
    this.entries.delete(tenant.id);
    const { id, openedAt } = tenant;
    this.entries.set(id, { openedAt, seen: countersOf(tenant), own, isShown: true });
    return more;
  }

  /** From what on a tenant's counters are told by its name. */
  private baseOf(tenant: ClientTenantStats, before: Entry | undefined): Counters {
    if (before?.isShown && before.openedAt === tenant.openedAt) return before.seen;
    const isNew = tenant.openedAt > this.latest || (tenant.isNamed && before === undefined);
    return isNew ? zeros() : countersOf(tenant);
  }

  private forget(shown: ReadonlySet<string>): void {
    let more = this.entries.size - shown.size - REMEMBERED;
    for (const [id, entry] of this.entries) {
      if (shown.has(id)) continue;
      entry.isShown = false;
      if (more > 0) this.entries.delete(id);
      more -= 1;
    }
  }

  private numbers(tenant: ClientTenantStats): TenantNumbers {
    const { own } = this.entries.get(tenant.id) as Entry;
    const { id, isNamed: named, share: { weight, max, maxWaiting } } = tenant;
    const limit = (count: number) => (count === Infinity ? null : count);
    return {
      id, named, weight, max: limit(max), max_waiting: limit(maxWaiting),
      ...this.counts(id, tenant, own),
    };
  }

  private counts(id: string, now: PoolCounts, counters: Counters): TenantCounts {
    return {
      in_use: now.inUse,
      waiting: now.waiting,
      acquired: counters.acquired,
      released: counters.released,
      timed_out: counters.timedOut,
      cancelled: counters.cancelled,
      failed: counters.failed,
      refused: counters.refused,
      ended: counters.ended,
      total_wait_ms: counters.totalWait,
      longest_wait_ms: now.longestWait,
      recent: this.recent.of(id),
    };
  }
}

function zeros(): Counters {
  return {
    acquired: 0, released: 0, timedOut: 0, cancelled: 0, failed: 0, refused: 0, ended: 0,
    totalWait: 0,
  };
}

function countersOf(counts: PoolCounts): Counters {
  const counters = zeros();
  for (const name of COUNTERS) counters[name] = counts[name];
  return counters;
}
