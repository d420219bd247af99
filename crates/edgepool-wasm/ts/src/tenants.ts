/// <reference lib="esnext.disposable" preserve="true" />
import type { AcquireOptions, CloseOptions } from "./pool.js";
import { readAcquire } from "./pool.js";
import { holdOpen } from "./hold.js";
import { type Lease, asyncDispose } from "./lease.js";
import { checkNames, readDuration, readFlag, readFunction } from "./options.js";
import type { TenantEntry, TenantHome, TenantStats, TenantTotals } from "./tenant-home.js";
import { checkId } from "./tenant-id.js";
import type { TenantHolder, TenantState } from "./tenant-member.js";
import {
  type TenantPoolsConfig, type TenantPoolsOptions, type TenantSettings, readTenants,
} from "./tenant-options.js";
import { OwnPools } from "./tenant-own.js";
import { SharedPlaces } from "./tenant-shared.js";

/**
 * Connections for tenants, by one `acquire`: how they are kept apart is a word of the options.
 *
 * With `perTenant` and `perDatabase` each tenant has a pool, made when it is first asked for. There
 * are no more of them than the strategy says: for another one the one that was not asked for the
 * longest is closed. With `shared` all have the connections of one pool, each with its tenant's
 * context on it as long as it is lent.
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
  private readonly home: TenantHome<T>;

  /**
   * Opens no pool yet. Throws a TypeError that names the option if one is unknown, of a wrong type,
   * out of range, or contradicts another.
   */
  constructor(options: TenantPoolsOptions<T>) {
    this.settings = readTenants(options);
    const { settings } = this;
    const isShared = settings.strategy === "shared";
    this.home = isShared ? new SharedPlaces(settings) : new OwnPools(settings);
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
    return this.home.acquire(id, options);
  }

  /**
   * Takes an idle connection at once, if the tenant's pool is open and nobody waits. With `shared`
   * it gives none where there is an `enter`, which may take time.
   */
  tryAcquire(id: string): Lease<T> | undefined {
    return this.home.tryAcquire(id);
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
      return await this.home.use(id, work, options);
    } finally {
      letGo();
    }
  }

  /**
   * Opens a tenant's pool unless it is open, and waits until its first connections are there.
   * Rejects as `acquire` does, and with a WarmUpError if they could not be made: the pool is open
   * all the same, and tries again for its callers.
   */
  async getOrCreate(id: string, options?: AcquireOptions): Promise<TenantEntry> {
    return await this.home.getOrCreate(id, options);
  }

  /**
   * Closes a tenant's pool, and forgets what `tenants` says of it: with `unknown: "refuse"` it is
   * not known any more. Who waits for it gets a PoolError with code `tenant_removed`; leases stay
   * good. Resolves as the `close` of a `Pool` does.
   */
  async remove(id: string, options: CloseOptions = {}): Promise<TenantHolder[]> {
    checkId(id);
    return await this.home.remove(id, readClose("remove", options));
  }

  /**
   * Sees to it that nothing is lent from now on that was made before for a tenant, or for any: as
   * after a change of credentials. With `shared` that is always all there is. A `factory` is asked
   * anew for the next connection.
   */
  invalidate(id?: string): void {
    if (id !== undefined) checkId(id);
    this.home.invalidate(id);
  }

  /** Closes the pools that nobody has asked for in `idleTimeout`; returns how many. */
  evictExpired(): number {
    return this.home.evictExpired();
  }

  /** Lists the tenants that have a pool, the one that was asked for the longest ago first. */
  activePools(): TenantEntry[] {
    return this.home.activePools();
  }

  /** Tells how a tenant stands. */
  state(id: string): TenantState {
    return this.home.state(id);
  }

  /** Tells of a tenant that has a pool. */
  entry(id: string): TenantEntry | undefined {
    return this.home.entry(id);
  }

  /** Tells how a tenant stands that has a pool, and what has happened there since it was opened. */
  stats(id: string): TenantStats | undefined {
    return this.home.stats(id);
  }

  /** Adds up how all tenants stand, and what has happened so far, in closed pools too. */
  totals(): TenantTotals {
    return this.home.totals();
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
    this.home.tick();
  }

  /** Whether `close` was called. */
  get isClosed(): boolean {
    return this.home.isClosed;
  }

  /**
   * Closes all pools, as the `close` of a `Pool` does, and refuses all callers from now on.
   * Resolves to the leases that are still out.
   */
  async close(options: CloseOptions = {}): Promise<TenantHolder[]> {
    return await this.home.close(readClose("close", options));
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

function readClose(where: string, options: CloseOptions): CloseOptions {
  checkNames(where, options, ["deadline", "force"]);
  const deadline = readDuration(where, "deadline", options.deadline, 30_000);
  return { deadline, force: readFlag(where, "force", options.force, false) };
}
