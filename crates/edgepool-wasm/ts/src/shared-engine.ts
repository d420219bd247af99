import { Answer, Effect } from "./codes.js";
import * as core from "./core.js";
import { Engine } from "./engine.js";
import { type PoolError, TooManyError } from "./errors.js";
import type { Lease } from "./lease.js";
import { OwnTenant, type PoolTenant } from "./pool-tenant.js";
import type { Settings } from "./settings.js";
import type { FullShare } from "./share.js";
import { Account, SharedLedger } from "./shared-ledger.js";
import { REMOVED, TENANT_QUEUE_FULL, TIMED_OUT, UNKNOWN_TENANT } from "./tenant-core.js";
import { tenantQueueFull, tenantRemoved, unknownTenant } from "./tenant-errors.js";
import type { Wait } from "./wait-errors.js";
import type { Want } from "./waiters.js";

/** The shell around the ledger of a pool that tenants share. */
export class SharedEngine<T> extends Engine<T> {
  declare readonly ledger: SharedLedger<T>;

  constructor(settings: Settings<T>) {
    super(settings, new SharedLedger(settings));
  }

  // --- Tenants ---

  /** Opens a tenant, unless there is no room for it, or no pool any more. */
  openTenant(share: FullShare): PoolTenant | undefined {
    const account = new Account(share, this.ledger.now());
    const tenant = new OwnTenant(this as SharedEngine<unknown>, account);
    const isOpen = core.again(() => this.ledger.openTenant(tenant));
    this.drain();
    return isOpen ? tenant : undefined;
  }

  setShare(tenant: PoolTenant, share: FullShare): void {
    this.change(() => this.ledger.setShare(tenant, share));
  }

  endWaits(tenant: PoolTenant): void {
    this.change(() => this.ledger.endWaits(tenant));
  }

  closeTenant(tenant: PoolTenant): void {
    this.change(() => this.ledger.closeTenant(tenant));
  }

  private change(operate: () => void): void {
    core.again(operate);
    this.drain();
  }

  /**
   * Tells how a tenant stands, and what it had, by the numbers of the figures: as it was when the
   * pool did something last.
   */
  figures(tenant: PoolTenant): number[] {
    return core.again(() => this.ledger.figures(tenant));
  }

  /** Tells how many a tenant has, if that is all that it may have. */
  allOf(tenant: PoolTenant): number | undefined {
    const { max } = tenant._account.share;
    if (max === Infinity) return undefined;
    const has = core.again(() => this.ledger.inUse(tenant));
    return has < max ? undefined : has;
  }

  // --- Callers ---

  override lend(
    key: number, waited: number, want: Want | undefined, stack = want?.stack,
  ): Lease<T> {
    // Before anybody is told of it, who may meet the module's end.
    this.places.at(key).tenant = want?.tenant;
    return super.lend(key, waited, want, stack);
  }

  override refusal(answer: number, want: Want, now: number): PoolError {
    const tenant = want.tenant as PoolTenant | undefined;
    if (tenant !== undefined) {
      if (answer === UNKNOWN_TENANT) return unknownTenant();
      if (answer === Answer.TOO_MANY) return this.tooMany(want.need, tenant);
      if (answer === TENANT_QUEUE_FULL) return tenantQueueFull(tenant._account.share.maxWaiting);
    }
    return super.refusal(answer, want, now);
  }

  override endOfWait(kind: number, wait: Wait, want: Want | undefined): PoolError {
    const tenant = want?.tenant as PoolTenant | undefined;
    if (tenant === undefined) return super.endOfWait(kind, wait, want);
    if (kind === REMOVED) return tenantRemoved();
    if (kind === Effect.NEEDS_TOO_MANY) return this.tooMany(wait.need, tenant);
    const has = kind === TIMED_OUT && !this.isPaused ? this.allOf(tenant) : undefined;
    if (has === undefined) return super.endOfWait(kind, wait, want);
    const { max } = tenant._account.share;
    const advice = `its tenant has ${has} of its max of ${max}: hold leases for less, or raise that`;
    return super.endOfWait(kind, { ...wait, phase: "tenant-at-max", advice }, want);
  }

  private tooMany(need: number, { _account: { share } }: PoolTenant): PoolError {
    return new TooManyError(need, Math.min(share.max, this.settings.max));
  }

  override finish(): void {
    this.ledger.note();
    super.finish();
  }
}
