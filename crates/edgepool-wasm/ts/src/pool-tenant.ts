import { type FullShare, type TenantShare, readShare } from "./share.js";
import type { SharedEngine } from "./shared-engine.js";
import type { Account } from "./shared-ledger.js";
import { FIGURES } from "./tenant-core.js";

/** How the callers of a tenant fare, or those of several; times in ms. */
export interface TenantCounts {
  /** Leases that are out, those set aside for a caller among them. */
  inUse: number;
  /** Callers that wait. */
  waiting: number;
  /** Leases that were given. */
  acquired: number;
  /** Leases that have ended, in whichever way. */
  released: number;
  /** Callers whose time passed. */
  timedOut: number;
  /** Callers that gave up their wait, by a signal or by ending. */
  cancelled: number;
  /** Callers for whom nothing could be made, or nothing that is theirs. */
  failed: number;
  /** Callers refused, as there were too many, or as they needed more than there may be. */
  refused: number;
  /** Callers whose wait ended otherwise: the pool closed, or their tenant was closed or removed. */
  ended: number;
  /** How long those that were served have waited, added up. */
  totalWait: number;
  /** How long one of them has waited at most. */
  longestWait: number;
}

/** How a tenant of a pool stands, and what it had since it was opened. */
export interface PoolTenantStats extends TenantCounts {
  /** When a caller of its came or left last, by the pool's clock. */
  lastActive: number;
  /** When it was opened, by the pool's clock. */
  openedAt: number;
}

/**
 * A tenant of a {@link SharedPool}, whose callers have a share of that.
 *
 * Tenants that wait are served in turn, in the proportion of their weights, so that one which asks a
 * hundred times as often does not make the others wait. Within a tenant callers are served by their
 * priority, and in the order in which they came.
 */
export class PoolTenant {
  // What each of its leases goes by in the module is in here, as small whole numbers, and not in an
  // object more: among many tenants the processor has none of theirs at hand.
  /** @internal */
  readonly _engine: SharedEngine<unknown>;
  /** @internal Its entry in the present module. */
  _index = 0;
  /** @internal Which tenant of that entry it is. */
  _generation = 0;
  /** @internal */
  _isClosed = false;
  /** @internal What else its ledger knows of it. */
  readonly _account: Account;

  private constructor(engine: SharedEngine<unknown>, account: Account) {
    this._engine = engine;
    this._account = account;
  }

  /** What it may have; `Infinity` where it has no limit of its own. */
  get share(): FullShare {
    return { ...this._account.share };
  }

  /** Whether `close` was called. */
  get isClosed(): boolean {
    return this._isClosed;
  }

  /**
   * Changes its share; what is not said is the default. What it has beyond a smaller `max`
   * it keeps until that comes back; callers that need more than that at once end with a
   * TooManyError. Of a closed one it changes nothing. Throws a TypeError that names the
   * option if one is wrong.
   */
  setShare(share: TenantShare): void {
    const read = readShare("setShare", share);
    if (!this.isClosed) this._engine.setShare(this, read);
  }

  /** Tells how it stands, and what it had; once it is closed, how that was then. */
  stats(): PoolTenantStats {
    this._engine.tick();
    return this._stats();
  }

  /** @internal As it was when the pool did something last. */
  _stats(): PoolTenantStats {
    const figures = this._engine.figures(this);
    const stats = { openedAt: this._account.openedAt } as PoolTenantStats;
    FIGURES.forEach((name, which) => (stats[name] = figures[which] as number));
    return stats;
  }

  /**
   * Ends the waits of its callers with a PoolError of code `tenant_removed`. Its leases stay, and
   * callers that come later are served.
   */
  endWaits(): void {
    if (!this.isClosed) this._engine.endWaits(this);
  }

  /**
   * Ends its waits as `endWaits` does, and refuses its callers from now on with a PoolError of code
   * `unknown_tenant`. Its leases stay good. Until then the pool keeps it, though nobody else does.
   * To call it again does nothing.
   */
  close(): void {
    if (!this.isClosed) this._engine.closeTenant(this);
  }
}

type MakeTenant = new (engine: SharedEngine<unknown>, account: Account) => PoolTenant;

/** @internal Only a pool makes its tenants. */
export const OwnTenant = PoolTenant as unknown as MakeTenant;
