import type { Engine } from "./engine.js";
import { PoolClosedError, PoolError } from "./errors.js";
import type { Lease } from "./lease.js";
import { wrong } from "./options.js";
import { ACQUIRE_OPTIONS, type AcquireOptions, Pool } from "./pool.js";
import { PoolTenant } from "./pool-tenant.js";
import type { Settings } from "./settings.js";
import { type TenantShare, readShare } from "./share.js";
import { SharedEngine } from "./shared-engine.js";
import { unknownTenant } from "./tenant-errors.js";
import type { Want } from "./waiters.js";

/** The options of one acquire of a pool that tenants share. */
export interface TenantAcquireOptions extends AcquireOptions {
  /** Whose caller it is. Default nobody's: those are served as one tenant more, of weight 1. */
  tenant?: PoolTenant | undefined;
}

const OPTIONS = [...ACQUIRE_OPTIONS, "tenant"];

/**
 * A pool whose resources tenants share, fairly: each has a {@link TenantShare} of it, and a line of
 * its own. Without tenants it is a {@link Pool} like any other.
 *
 * @example
 * ```ts
 * import { SharedPool } from "edgepool/tenants";
 *
 * const pool = new SharedPool({ create: () => connect(), max: 20 });
 * const acme = pool.tenant({ weight: 3, max: 15 });
 * const rows = await pool.use((connection) => connection.query("select 1"), { tenant: acme });
 * ```
 */
export class SharedPool<T> extends Pool<T> {
  private shared!: SharedEngine<T>;

  /** @internal */
  override _open(settings: Settings<T>): Engine<T> {
    return (this.shared = new SharedEngine(settings));
  }

  /**
   * Opens a tenant, which the pool knows until that is closed. Throws a TypeError that names the
   * option if one is wrong, and a {@link PoolClosedError}.
   */
  tenant(share?: TenantShare): PoolTenant {
    const read = readShare("tenant", share);
    if (this.isClosed) throw new PoolClosedError();
    const tenant = this.shared.openTenant(read);
    if (tenant !== undefined) return tenant;
    const text = "the pool has as many tenants as it can tell apart; close those that are not used";
    throw new PoolError("too_many", text);
  }

  /**
   * As that of a {@link Pool}, for a caller of a tenant. It gives nothing, too, if others of its
   * tenant wait, or that has all that it may have. Throws a PoolError with code `unknown_tenant`.
   */
  override tryAcquire(tenant?: PoolTenant): Lease<T> | undefined {
    if (tenant === undefined) return this._try();
    this.check(tenant);
    return this._try(tenant._account.want ??= this._want({ tenant }, 1, false));
  }

  /** @internal */
  override _want(options: TenantAcquireOptions, need: number, isMany: boolean): Want {
    const want = super._want(options, need, isMany, OPTIONS);
    const { tenant } = options;
    if (tenant === undefined) return want;
    this.check(tenant);
    want.tenant = tenant;
    return want;
  }

  /** @internal Whether what is lent at a place is lent to a tenant. */
  _isLentTo(slot: number, tenant: PoolTenant): boolean {
    return this.shared.places.at(slot).tenant === tenant;
  }

  /** Throws unless it is an open tenant of this pool. */
  private check(tenant: PoolTenant): void {
    if (!(tenant instanceof PoolTenant)) {
      throw wrong("acquire", "tenant", "what the pool's tenant() gave", tenant);
    }
    if (tenant._isClosed || tenant._engine !== this.shared) throw unknownTenant();
  }
}

export interface SharedPool<T> {
  /** As that of a {@link Pool}, for a caller of a tenant. */
  acquire(options?: TenantAcquireOptions): Promise<Lease<T>>;
  /** As that of a {@link Pool}, for a caller of a tenant, which must have room for all of them. */
  acquireMany(n: number, options?: TenantAcquireOptions): Promise<Lease<T>[]>;
  /** As that of a {@link Pool}, for a caller of a tenant. */
  use<R>(
    work: (resource: T, lease: Lease<T>) => R | PromiseLike<R>, options?: TenantAcquireOptions,
  ): Promise<R>;
}
