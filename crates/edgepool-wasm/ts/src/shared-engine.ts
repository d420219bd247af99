import { Answer, Effect } from "./codes.js";
import * as core from "./core.js";
import { Engine } from "./engine.js";
import { type PoolError, TooManyError } from "./errors.js";
import type { Lease } from "./lease.js";
import type { Settings } from "./settings.js";
import type { FullShare } from "./share.js";
import { type Account, SharedLedger } from "./shared-ledger.js";
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
  openTenant(share: FullShare): Account | undefined {
    const account = core.again(() => this.ledger.openTenant(share));
    this.drain();
    return account;
  }

  setShare(account: Account, share: FullShare): void {
    this.change(() => this.ledger.setShare(account, share));
  }

  endWaits(account: Account): void {
    this.change(() => this.ledger.endWaits(account));
  }

  closeTenant(account: Account): void {
    this.change(() => this.ledger.closeTenant(account));
  }

  private change(operate: () => void): void {
    core.again(operate);
    this.drain();
  }

  /**
   * Tells how a tenant stands, and what it had, by the numbers of the figures: as it was when the
   * pool did something last.
   */
  figures(account: Account): number[] {
    return core.again(() => this.ledger.figures(account));
  }

  /** Tells how many a tenant has, if that is all that it may have. */
  allOf(account: Account): number | undefined {
    const { max } = account.share;
    if (max === Infinity) return undefined;
    const has = core.again(() => this.ledger.inUse(account));
    return has < max ? undefined : has;
  }

  // --- Callers ---

  override lend(
    key: number, waited: number, want: Want | undefined, stack = want?.stack,
  ): Lease<T> {
    // Before anybody is told of it, who may meet the module's end.
    this.places.at(key).account = want?.account;
    return super.lend(key, waited, want, stack);
  }

  override refusal(answer: number, want: Want, now: number): PoolError {
    const account = want.account as Account | undefined;
    if (account !== undefined) {
      if (answer === UNKNOWN_TENANT) return unknownTenant();
      if (answer === Answer.TOO_MANY) return this.tooMany(want.need, account);
      if (answer === TENANT_QUEUE_FULL) return tenantQueueFull(account.share.maxWaiting);
    }
    return super.refusal(answer, want, now);
  }

  override endOfWait(kind: number, wait: Wait, want: Want | undefined): PoolError {
    const account = want?.account as Account | undefined;
    if (account === undefined) return super.endOfWait(kind, wait, want);
    if (kind === REMOVED) return tenantRemoved();
    if (kind === Effect.NEEDS_TOO_MANY) return this.tooMany(wait.need, account);
    const has = kind === TIMED_OUT && !this.isPaused ? this.allOf(account) : undefined;
    if (has === undefined) return super.endOfWait(kind, wait, want);
    const advice = `its tenant has ${has} of its max of ${account.share.max}: hold leases for less, `
      + "or raise that";
    return super.endOfWait(kind, { ...wait, phase: "tenant-at-max", advice }, want);
  }

  private tooMany(need: number, { share }: Account): PoolError {
    return new TooManyError(need, Math.min(share.max, this.settings.max));
  }

  override finish(): void {
    this.ledger.note();
    super.finish();
  }
}
