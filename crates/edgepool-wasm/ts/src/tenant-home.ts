import type { AcquireOptions, CloseOptions } from "./pool.js";
import { readAcquire } from "./pool.js";
import type { Lease } from "./lease.js";
import type { PoolCounts, PoolStats } from "./stats.js";
import type { Tenant } from "./tenant-id.js";
import type { Wait } from "./tenant-line.js";
import type { TenantHolder, TenantState } from "./tenant-member.js";
import type { TenantSettings } from "./tenant-options.js";
import type { TenantUsage } from "./tenant-usage.js";

/** A tenant that has a pool, or a share of one; times are in ms on the clock of the options. */
export interface TenantEntry extends Tenant {
  /** How it stands. */
  readonly state: TenantState;
  /** How often it was asked for since its pool was opened. */
  readonly accesses: number;
  /** When its pool was opened, or its share. */
  readonly openedAt: number;
  /** When it was asked for last. */
  readonly lastAccess: number;
}

/**
 * How a tenant stands, and how its callers fared since its pool was opened, or since they began to
 * wait for that. One that comes back after its pool was closed begins anew; what it had before is
 * in the totals.
 */
export interface TenantStats extends TenantEntry, TenantUsage {
  /** The statistics of its own pool; none with `shared`. */
  readonly ownPool: PoolStats | undefined;
}

/** What the pools of all tenants have done, and how they stand. */
export interface TenantTotals extends PoolCounts {
  /** Pools that are open, those that are to close too; with `shared`, tenants with a share. */
  pools: number;
  /** Callers that wait for a pool to be opened: they are not in the counts of any. */
  waitingForPool: number;
  /** How all callers fared, those that waited for a pool to be opened too. */
  usage: TenantUsage;
  /** Pools that were opened so far, or shares. */
  opened: number;
  /** Pools that were closed as others needed their room, or as nobody asked for them. */
  evicted: number;
}

/** What runs with a connection. */
export type Work<T, R> = (connection: T, lease: Lease<T>) => R | PromiseLike<R>;

/** Where tenants have their connections, as a strategy says; see the methods of `TenantPools`. */
export interface TenantHome<T> {
  readonly isClosed: boolean;
  acquire(id: string, options: AcquireOptions | undefined): Promise<Lease<T>>;
  tryAcquire(id: string): Lease<T> | undefined;
  use<R>(id: string, work: Work<T, R>, options: AcquireOptions | undefined): Promise<R>;
  getOrCreate(id: string, options: AcquireOptions | undefined): Promise<TenantEntry>;
  remove(id: string, options: CloseOptions): Promise<TenantHolder[]>;
  invalidate(id: string | undefined): void;
  evictExpired(): number;
  activePools(): TenantEntry[];
  state(id: string): TenantState;
  entry(id: string): TenantEntry | undefined;
  stats(id: string): TenantStats | undefined;
  totals(): TenantTotals;
  tick(): void;
  close(options: CloseOptions): Promise<TenantHolder[]>;
}

/** Reads the options of a caller, whose wait begins now. */
export function readWait<T>(
  { acquireTimeout, clock }: TenantSettings<T>, options: AcquireOptions = {},
): Wait {
  const timeout = readAcquire(options, acquireTimeout);
  const signals = [options.signal, options.request?.signal].filter((signal) => signal != null);
  return { since: clock.now(), timeout, signals, ctx: options.ctx };
}

/** How much is left of a caller's time, in ms. */
export function timeLeft<T>({ clock }: TenantSettings<T>, { since, timeout }: Wait): number {
  return Math.max(since + timeout - clock.now(), 0);
}
