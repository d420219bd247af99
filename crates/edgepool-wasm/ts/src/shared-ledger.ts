import { Answer } from "./codes.js";
import * as core from "./core.js";
import { Ledger } from "./ledger.js";
import type { Place } from "./places.js";
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

/** What a ledger knows of a tenant. */
export class Account {
  /** In the present module. */
  key: number = Answer.NONE;
  /** What a caller of its without options wants, once one has asked. */
  want: Want | undefined = undefined;
  isClosed = false;
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
  private accounts: Set<Account> | undefined = undefined;

  constructor(settings: Settings<T>) {
    super(settings, tenantHome());
  }

  /** Opens a tenant, or tells that there is no room or no pool for it. */
  openTenant(share: FullShare): Account | undefined {
    const account = new Account(share, this.now());
    if (!this.openAccount(account)) return undefined;
    this.accounts ??= new Set();
    this.accounts.add(account);
    return account;
  }

  private openAccount(account: Account): boolean {
    const { weight, max, maxWaiting } = account.share;
    account.key = this.tellOf("open_tenant", weight, max, maxWaiting);
    return account.key >= 0;
  }

  setShare(account: Account, share: FullShare): void {
    const { weight, max, maxWaiting } = share;
    this.tellOf("set_share", account.key, weight, max, maxWaiting);
    account.share = share;
  }

  /** Takes note of how tenants stand in a pool that leaves the module. */
  note(): void {
    for (const account of this.accounts ?? []) this.figures(account);
  }

  /** Ends the waits of a tenant's callers. */
  endWaits(account: Account): void {
    this.tellOf("end_waits", account.key);
  }

  /** Ends the waits of a tenant's callers, and knows it no more. */
  closeTenant(account: Account): void {
    this.endWaits(account);
    this.figures(account);
    this.tellOf("close_tenant", account.key);
    account.isClosed = true;
    this.accounts?.delete(account);
  }

  /** Tells how a tenant stands, and what it had; of one that is closed, how that was at the end. */
  figures(account: Account): number[] {
    if (!account.isClosed) account.told = FIGURES.map((_, which) => this.figure(account, which));
    return account.told;
  }

  /** How many are lent to it or set aside for it. */
  inUse(account: Account): number {
    return account.isClosed ? account.told[IN_USE] as number : this.figure(account, IN_USE);
  }

  private figure({ key, told, before, adoptedAt }: Account, which: number): number {
    const value = this.askOf("tenant", key, which);
    const isGauge = which <= WAITING;
    // The pool has gone from the module, with all that it lent.
    if (Number.isNaN(value)) return isGauge ? 0 : told[which] as number;
    const had = before[which] as number;
    if (which === LAST_ACTIVE) return value > adoptedAt ? value : had;
    return which < LONGEST_WAIT ? value + had : Math.max(value, had);
  }

  /** As the tenants are told it, and so that none of what they were told is taken back. */
  override open(instance: core.Core, max: number): void {
    super.open(instance, max);
    for (const account of this.accounts ?? []) {
      this.openAccount(account);
      const [, , ...had] = account.told;
      // Nothing is lent to it and nobody waits in this module yet.
      account.before = [0, 0, ...had];
      this.adopted(account);
    }
  }

  /** That a new module is told of a tenant does not make that active. */
  private adopted(account: Account): void {
    account.adoptedAt = this.askOf("tenant", account.key, LAST_ACTIVE);
  }

  /**
   * Takes in what is lent at a place for its tenant. What a tenant lost as its time was up, and is
   * being closed, is nobody's in a new module: it counts as ended, and it would be told twice.
   */
  override adopt(place: Place<T>): number {
    const account = place.account as Account | undefined;
    if (account === undefined || account.isClosed) return super.adopt(place);
    const { key, before } = account;
    // The module counts it as acquired, which it may have been told as before.
    const acquired = before[ACQUIRED] as number;
    if (acquired > (before[RELEASED] as number)) before[ACQUIRED] = acquired - 1;
    const lease = this.askOf("adopt_for", key);
    this.adopted(account);
    return lease;
  }

  /**
   * A lease that came back goes to the next caller without a word to the module only as long as
   * there was no tenant: whose turn it is, and who has how many, the module decides.
   */
  override look(isQuiet: boolean): void {
    super.look(isQuiet && this.accounts === undefined);
  }

  override tryAcquire(want?: Want): number {
    const account = want?.account as Account | undefined;
    if (account === undefined) return super.tryAcquire();
    const now = this.now();
    this.pass(now);
    return this.askOf("try_acquire_for", now, account.key);
  }

  /** When tenants come and go is told, so that the time counts for them. */
  override release(key: number, serves: number): number {
    if (this.accounts !== undefined) this.timed = true;
    return super.release(key, serves);
  }

  override acquire(now: number, deadline: number, want: Want, isBehind: boolean): number {
    const account = want.account as Account | undefined;
    if (account === undefined) return super.acquire(now, deadline, want, isBehind);
    return this.tellOfAt(now, "acquire_for", deadline, want.priority, want.need, account.key);
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
