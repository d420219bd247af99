/// <reference lib="esnext.disposable" preserve="true" />
import { PoolClosedError } from "./errors.js";
import type { AcquireOptions, CloseOptions } from "./pool.js";
import { readAcquire } from "./pool.js";
import { waitedFor } from "./clock.js";
import { holdOpen } from "./hold.js";
import { type Lease, asyncDispose } from "./lease.js";
import { checkNames, readDuration, readFlag, readFunction } from "./options.js";
import type { PoolCounts, PoolStats } from "./stats.js";
import { ofTenant, warmUpOfTenant } from "./tenant-texts.js";
import { type Tenant, checkId } from "./tenant-id.js";
import { TICK, type Wait } from "./tenant-line.js";
import type { Member, TenantHolder, TenantState } from "./tenant-member.js";
import {
  type TenantPoolsConfig, type TenantPoolsOptions, type TenantSettings, readTenants,
} from "./tenant-options.js";
import { Roster, removed } from "./tenant-roster.js";
import { type TenantUsage, lossOf } from "./tenant-usage.js";

/** A tenant that has a pool; times are in ms on the clock of the options. */
export interface TenantEntry extends Tenant {
  /** How it stands. */
  readonly state: TenantState;
  /** How often it was asked for since its pool was opened. */
  readonly accesses: number;
  /** When its pool was opened. */
  readonly openedAt: number;
  /** When it was asked for last. */
  readonly lastAccess: number;
}

/**
 * How a tenant stands, and how its callers fared since its pool was opened, or since they began to
 * wait for that. One that comes back after its pool was closed begins anew; what it had before is in
 * the totals.
 */
export interface TenantStats extends TenantEntry, TenantUsage {
  /** The statistics of its pool. */
  readonly pool: PoolStats;
}

/** What the pools of all tenants have done, and how they stand. */
export interface TenantTotals extends PoolCounts {
  /** Pools that are open, those among them that are to close. */
  pools: number;
  /** Callers that wait for a pool to be opened: they are not in the counts of any. */
  waitingForPool: number;
  /** How all callers fared, those that waited for a pool to be opened too. */
  usage: TenantUsage;
  /** Pools that were opened so far. */
  opened: number;
  /** Pools that were closed as others needed their room, or as nobody asked for them. */
  evicted: number;
}

/**
 * A pool of connections for each tenant, made when it is first asked for. There are no more of them
 * than the strategy says: for another one the one that was not asked for the longest is closed.
 *
 * @example
 * ```ts
 * import { TenantPools } from "edgepool/tenants";
 *
 * const tenants = new TenantPools({
 *   strategy: { perTenant: { maxPools: 100, poolSize: 5 } },
 *   create: async ({ schema }) => {
 *     const connection = await connect();
 *     const name = schema?.replaceAll('"', '""');
 *     await connection.query(`set search_path to "${name}"`);
 *     return connection;
 *   },
 *   close: (connection) => connection.end(),
 * });
 * const rows = await tenants.use("acme", (connection) => connection.query("select 1"));
 * ```
 */
export class TenantPools<T> {
  private readonly settings: TenantSettings<T>;
  private readonly roster: Roster<T>;

  /**
   * Opens no pool yet. Throws a TypeError that names the option if one is unknown, of a wrong type,
   * out of range, or contradicts another.
   */
  constructor(options: TenantPoolsOptions<T>) {
    this.settings = readTenants(options);
    this.roster = new Roster(this.settings);
  }

  /**
   * Waits for a connection of a tenant. Rejects as the `acquire` of a `Pool` does, or with a
   * PoolError with code `invalid_tenant` if no tenant can have the id, `unknown_tenant` if none is
   * to have it, or `tenant_removed`.
   *
   * A tenant that has no pool waits for one to be opened where there are as many as may be; its
   * `timeout` counts for both waits.
   *
   * @example
   * ```ts
   * using lease = await tenants.acquire("acme", { signal, timeout: 2_000 });
   * await lease.value.query("select 1");
   * ```
   */
  acquire(id: string, options?: AcquireOptions): Promise<Lease<T>> {
    let member: Member<T> | undefined;
    try {
      member = this.roster.touch(id);
      const lease = options === undefined ? takeAt(member) : undefined;
      if (lease !== undefined) return Promise.resolve(lease);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.ask(id, options, async ({ pool }, rest, begun) => {
      const lease = await pool.acquire(rest);
      begun();
      return lease;
    }, member);
  }

  /** Takes an idle connection at once, if the tenant's pool is open and nobody waits. */
  tryAcquire(id: string): Lease<T> | undefined {
    return takeAt(this.roster.touch(id));
  }

  /**
   * Runs `work` with a connection of a tenant, and gives it back when `work` has settled; see `use`
   * of a `Pool`. Settles as `work` does, or rejects as `acquire` does.
   */
  async use<R>(
    id: string, work: (connection: T, lease: Lease<T>) => R | PromiseLike<R>,
    options?: AcquireOptions,
  ): Promise<R> {
    readFunction("use", "work", work, true);
    readAcquire(options ?? {}, 0);
    const letGo = holdOpen(options);
    try {
      return await this.ask(id, options, async ({ pool }, rest, begun) =>
        await pool.use((connection, lease) => {
          begun();
          return work(connection, lease);
        }, rest));
    } finally {
      letGo();
    }
  }

  /** Asks a tenant's pool, once it is open, for as long as is left of the caller's time. */
  private async ask<R>(
    id: string, options: AcquireOptions | undefined, act: Act<T, R>,
    member = this.roster.touch(id),
  ): Promise<R> {
    const wait = this.readWait(options);
    try {
      member?.checkPlaces(wait.since);
    } catch (error) {
      if (member !== undefined) member.visits.refused += 1;
      throw error;
    }
    return await this.askMember(member ?? await this.reach(id, wait), wait, options, act);
  }

  /** Waits until a tenant's pool is open: once more, if it has closed before the caller is there. */
  private async reach(id: string, wait: Wait): Promise<Member<T>> {
    for (;;) {
      const member = await this.roster.open(id, wait) ?? this.roster.touch(id);
      if (member !== undefined) return member;
    }
  }

  /** Asks a pool that is open. */
  private async askMember<R>(
    member: Member<T>, wait: Wait, options: AcquireOptions | undefined, act: Act<T, R>,
  ): Promise<R> {
    const left = Math.max(wait.since + wait.timeout - this.settings.clock.now(), 0);
    let waits = true;
    const stop = this.watch(member, () => waits);
    const begun = (): void => {
      waits = false;
      stop();
      member.visits.serve(waitedFor(this.settings.clock.now(), wait.since));
    };
    try {
      const asked = act(member, { ...options, timeout: left }, begun);
      this.roster.feed(member);
      return await asked;
    } catch (error) {
      // What `work` throws is its own.
      if (!waits) throw error;
      waits = false;
      stop();
      const explained = this.explain(error, member, wait);
      member.visits[lossOf(explained, wait.signals)] += 1;
      throw explained;
    } finally {
      if (!member.isOpen) this.roster.look();
    }
  }

  /** Says what the error of a tenant's pool means for its caller. */
  private explain(error: unknown, member: Member<T>, { since }: Wait): unknown {
    const { id } = member.tenant;
    const isClosed = (error as { code?: unknown } | undefined)?.code === "pool_closed";
    if (isClosed && member.isRemoved) return removed(id);
    return ofTenant(error, () => {
      const { inUse, max } = member.pool.stats();
      const { clock, budget } = this.settings;
      const sizes = budget === Infinity ? "poolSize" : "poolSize, budget";
      return { id, waited: waitedFor(clock.now(), since), inUse, max, sizes };
    });
  }

  private readWait(options: AcquireOptions = {}): Wait {
    const { acquireTimeout, clock } = this.settings;
    const timeout = readAcquire(options, acquireTimeout);
    const signals = [options.signal, options.request?.signal].filter((signal) => signal != null);
    return { since: clock.now(), timeout, signals, ctx: options.ctx };
  }

  /**
   * Looks from time to time, from the caller's own request, whether others can spare a connection:
   * those that go unused do so without a word.
   */
  private watch(member: Member<T>, waits: () => boolean): () => void {
    const { clock, budget } = this.settings;
    let timer: unknown;
    const schedule = (): void => {
      timer = clock.setTimer(() => {
        timer = undefined;
        if (!waits()) return;
        this.roster.feed(member);
        schedule();
      }, TICK);
    };
    if (budget < Infinity) schedule();
    return () => {
      if (timer !== undefined) clock.clearTimer(timer);
      timer = undefined;
    };
  }

  /**
   * Opens a tenant's pool unless it is open, and waits until its first connections are there.
   * Rejects as `acquire` does, and with a WarmUpError if they could not be made: the pool is open
   * all the same, and tries again for its callers.
   */
  async getOrCreate(id: string, options?: AcquireOptions): Promise<TenantEntry> {
    const wait = this.readWait(options);
    const member = this.roster.touch(id) ?? await this.reach(id, wait);
    try {
      await member.whenWarm(this.roster, wait);
    } catch (error) {
      const isWarmUp = (error as { code?: unknown } | undefined)?.code === "warm_up_failed";
      if (isWarmUp && member.isRemoved) throw removed(id);
      if (isWarmUp && this.isClosed) throw new PoolClosedError();
      throw warmUpOfTenant(error, id);
    }
    return entryOf(member);
  }

  /**
   * Closes a tenant's pool, and forgets what `tenants` says of it: with `unknown: "refuse"` it is
   * not known any more. Who waits for it gets a PoolError with code `tenant_removed`; leases stay
   * good. Resolves as the `close` of a `Pool` does.
   */
  async remove(id: string, options: CloseOptions = {}): Promise<TenantHolder[]> {
    checkId(id);
    return await this.roster.remove(id, readClose("remove", options));
  }

  /**
   * Sees to it that nothing is lent from now on that was made before for a tenant, or for any: as
   * after a change of credentials. A `factory` is asked anew for the next connection.
   */
  invalidate(id?: string): void {
    if (id !== undefined) checkId(id);
    const members = id === undefined ? this.roster.all() : [this.roster.get(id)];
    for (const member of members) member?.invalidate();
  }

  /** Closes the pools that nobody has asked for in `idleTimeout`; returns how many. */
  evictExpired(): number {
    return this.roster.sweep();
  }

  /** Lists the tenants that have a pool, the one that was asked for the longest ago first. */
  activePools(): TenantEntry[] {
    return this.roster.all().map(entryOf);
  }

  /** Tells how a tenant stands. */
  state(id: string): TenantState {
    const state = this.roster.get(id)?.state;
    return state ?? (this.roster.isWaitedFor(id) ? "initializing" : "closed");
  }

  /** Tells of a tenant that has a pool. */
  entry(id: string): TenantEntry | undefined {
    const member = this.roster.get(id);
    return member && entryOf(member);
  }

  /** Tells how a tenant stands that has a pool, and what has happened there since it was opened. */
  stats(id: string): TenantStats | undefined {
    const member = this.roster.get(id);
    const stats = this.roster.stats(id);
    return member && stats && { ...entryOf(member), ...stats.usage, pool: stats.pool };
  }

  /** Adds up how all tenants stand, and what has happened so far, in closed pools too. */
  totals(): TenantTotals {
    const { roster } = this;
    const { opened, evicted, waiting: waitingForPool } = roster;
    const counts = roster.counts();
    const usage = roster.usage(counts);
    return { ...counts, pools: roster.all().length, waitingForPool, opened, evicted, usage };
  }

  /** Tells what holds for all tenants. */
  config(): TenantPoolsConfig {
    const {
      strategy, maxPools, poolSize, warmUp, idleTimeout, budget, unknown,
    } = this.settings;
    return { strategy, maxPools, poolSize, warmUp, idleTimeout, budget, unknown };
  }

  /**
   * Does what is due: for a Durable Object's `alarm`, or where nothing else calls. In a process a
   * timer does it.
   */
  tick(): void {
    this.roster.tick();
  }

  /** Whether `close` was called. */
  get isClosed(): boolean {
    return this.roster.isClosed;
  }

  /**
   * Closes all pools, as the `close` of a `Pool` does, and refuses all callers from now on.
   * Resolves to the leases that are still out.
   */
  async close(options: CloseOptions = {}): Promise<TenantHolder[]> {
    return await this.roster.close(readClose("close", options));
  }

  /** @internal */
  async [asyncDispose](): Promise<void> {
    await this.close();
  }
}

export interface TenantPools<T> {
  /** Closes them as `close()` does, at the end of a block with `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * What a pool that is open is asked for. `begun` says that the wait is over: what fails then is the
 * caller's own.
 */
type Act<T, R> = (member: Member<T>, rest: AcquireOptions, begun: () => void) => Promise<R>;

/** Takes an idle connection of a pool that is open, and counts that. */
function takeAt<T>(member: Member<T> | undefined): Lease<T> | undefined {
  const lease = member?.pool.tryAcquire();
  if (lease !== undefined) member?.visits.serve(0);
  return lease;
}

function readClose(where: string, options: CloseOptions): CloseOptions {
  checkNames(where, options, ["deadline", "force"]);
  const deadline = readDuration(where, "deadline", options.deadline, 30_000);
  return { deadline, force: readFlag(where, "force", options.force, false) };
}

function entryOf<T>(member: Member<T>): TenantEntry {
  const { tenant, state, accesses, openedAt, acquiredAt: lastAccess } = member;
  return { ...tenant, state, accesses, openedAt, lastAccess };
}
