import * as core from "./core.js";
import { Ledger } from "./ledger.js";
import type { Place } from "./places.js";
import type { PoolTenant } from "./pool-tenant.js";
import type { Settings } from "./settings.js";
import type { FullShare } from "./share.js";
import { FIGURES, type TenantCore, tenantHome } from "./tenant-core.js";
import type { Want } from "./waiters.js";

const IN_USE = FIGURES.indexOf("inUse");
const WAITING = FIGURES.indexOf("waiting");
const ACQUIRED = FIGURES.indexOf("acquired");
const RELEASED = FIGURES.indexOf("released");
const LONGEST_WAIT = FIGURES.indexOf("longestWait");
const LAST_ACTIVE = FIGURES.indexOf("lastActive");

/** What a ledger knows of a tenant beside its key. */
export class Account {
  /** What a caller of its without options wants, once one has asked. */
  want: Want | undefined = undefined;
  share: FullShare;
  readonly openedAt: number;
  /** What was told of it last, by the numbers of the figures. */
  told: number[];
  /** What it had in the modules before this one. */
  before: number[] = FIGURES.map(() => 0);
  /** When it was active last as the present module says, if that is since it was told of it. */
  adoptedAt = -1;

  constructor(share: FullShare, now: number) {
    this.share = share;
    this.openedAt = now;
    this.told = [...this.before];
    this.told[LAST_ACTIVE] = now;
  }
}

/** The ledger of a pool that tenants share. */
export class SharedLedger<T> extends Ledger<T> {
  /** The tenants that are open; none are known while the pool is being made. */
  private tenants: Set<PoolTenant> | undefined = undefined;

  constructor(settings: Settings<T>) {
    super(settings, tenantHome());
  }

  /** Opens a tenant, or tells that there is no room or no pool for it. */
  openTenant(tenant: PoolTenant): boolean {
    if (!this.tellOfTenant(tenant)) return false;
    this.tenants ??= new Set();
    this.tenants.add(tenant);
    return true;
  }

  /** Tells the module of a tenant, which has a new key there. */
  private tellOfTenant(tenant: PoolTenant): boolean {
    const { weight, max, maxWaiting } = tenant._account.share;
    const key = this.tellOf("open_tenant", weight, max, maxWaiting);
    tenant._index = key & core.INDEX_MASK;
    tenant._generation = key / (core.INDEX_MASK + 1) | 0;
    return key >= 0;
  }

  setShare(tenant: PoolTenant, share: FullShare): void {
    const { weight, max, maxWaiting } = share;
    this.tellOf("set_share", tenant._index, tenant._generation, weight, max, maxWaiting);
    tenant._account.share = share;
  }

  /** Takes note of how tenants stand in a pool that leaves the module. */
  note(): void {
    for (const tenant of this.tenants ?? []) this.figures(tenant);
  }

  /** Ends the waits of a tenant's callers. */
  endWaits(tenant: PoolTenant): void {
    this.tellOf("end_waits", tenant._index, tenant._generation);
  }

  /** Ends the waits of a tenant's callers, and knows it no more. */
  closeTenant(tenant: PoolTenant): void {
    this.endWaits(tenant);
    this.figures(tenant);
    this.tellOf("close_tenant", tenant._index, tenant._generation);
    tenant._isClosed = true;
    this.tenants?.delete(tenant);
  }

  /** Tells how a tenant stands, and what it had; of one that is closed, how that was at the end. */
  figures(tenant: PoolTenant): number[] {
    const { _account: account } = tenant;
    if (!tenant._isClosed) account.told = FIGURES.map((_, which) => this.figure(tenant, which));
    return account.told;
  }

  /** How many are lent to it or set aside for it. */
  inUse(tenant: PoolTenant): number {
    const { _account: { told } } = tenant;
    return tenant._isClosed ? told[IN_USE] as number : this.figure(tenant, IN_USE);
  }

  private figure(tenant: PoolTenant, which: number): number {
    const { told, before, adoptedAt } = tenant._account;
    const value = this.ask(tenant, which);
    const isGauge = which <= WAITING;
    // The pool has gone from the module, with all that it lent.
    if (Number.isNaN(value)) return isGauge ? 0 : told[which] as number;
    const had = before[which] as number;
    if (which === LAST_ACTIVE) return value > adoptedAt ? value : had;
    return which < LONGEST_WAIT ? value + had : Math.max(value, had);
  }

  private ask(tenant: PoolTenant, which: number): number {
    return this.askOf("tenant", tenant._index, tenant._generation, which);
  }

  /** As the tenants are told it, and so that none of what they were told is taken back. */
  override open(instance: core.Core, max: number): void {
    super.open(instance, max);
    for (const tenant of this.tenants ?? []) {
      this.tellOfTenant(tenant);
      const { _account: account } = tenant;
      const [, , ...had] = account.told;
      // Nothing is lent to it and nobody waits in this module yet.
      account.before = [0, 0, ...had];
      this.adopted(tenant);
    }
  }

  /** That a new module is told of a tenant does not make that active. */
  private adopted(tenant: PoolTenant): void {
    tenant._account.adoptedAt = this.ask(tenant, LAST_ACTIVE);
  }

  /**
   * Takes in what is lent at a place for its tenant. What a tenant lost as its time was up, and is
   * being closed, is nobody's in a new module: it counts as ended, and it would be told twice.
   */
  override adopt(place: Place<T>): number {
    const tenant = place.tenant as PoolTenant | undefined;
    if (tenant === undefined || tenant._isClosed) return super.adopt(place);
    const { before } = tenant._account;
    // The module counts it as acquired, which it may have been told as before.
    const acquired = before[ACQUIRED] as number;
    if (acquired > (before[RELEASED] as number)) before[ACQUIRED] = acquired - 1;
    const lease = this.askOf("adopt_for", tenant._index, tenant._generation);
    this.adopted(tenant);
    return lease;
  }

  /**
   * A lease that came back goes to the next caller without a word to the module only as long as
   * there was no tenant: whose turn it is, and who has how many, the module decides.
   */
  override look(isQuiet: boolean): void {
    super.look(isQuiet && this.tenants === undefined);
  }

  override tryAcquire(want?: Want): number {
    const tenant = want?.tenant as PoolTenant | undefined;
    if (tenant === undefined) return super.tryAcquire();
    const now = this.now();
    this.pass(now);
    const { core } = this;
    try {
      const { _index, _generation } = tenant;
      return (core as TenantCore).try_acquire_for(this.pool, now, _index, _generation);
    } catch (cause) {
      throw this.home.replace(core, cause);
    }
  }

  /** When tenants come and go is told, so that the time counts for them. */
  override release(key: number, serves: number): number {
    if (this.tenants !== undefined) this.timed = true;
    return super.release(key, serves);
  }

  override acquire(now: number, deadline: number, want: Want, isBehind: boolean): number {
    const tenant = want.tenant as PoolTenant | undefined;
    if (tenant === undefined) return super.acquire(now, deadline, want, isBehind);
    const { _index, _generation } = tenant;
    return this.tellOfAt(
      now, "acquire_for", _index, _generation, deadline, want.priority, want.need);
  }

  private tellOf(name: keyof TenantCore, ...args: number[]): number {
    return this.tellOfAt(this.now(), name, ...args);
  }

  private tellOfAt(now: number, name: keyof TenantCore, ...args: number[]): number {
    this.stopSparing();
    this.pass(now);
    return this.askOf(name, now, ...args);
  }

  private askOf(name: keyof TenantCore, ...args: number[]): number {
    const { core } = this;
    try {
      return ((core as TenantCore)[name] as (...all: number[]) => number)(this.pool, ...args);
    } catch (cause) {
      throw this.home.replace(core, cause);
    }
  }
}
