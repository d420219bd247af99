import { unlessReset } from "./core.js";
import { type Holder, QueueFullError } from "./errors.js";
import type { PoolEvent } from "./events.js";
import { type CloseOptions, Pool } from "./pool.js";
import { type PoolCounts, type PoolState, type PoolStats, countsOf } from "./stats.js";
import { Making } from "./tenant-factory.js";
import { notWarm } from "./tenant-texts.js";
import type { Tenant } from "./tenant-id.js";
import { Caller, type LineOwner, type Wait } from "./tenant-line.js";
import type { TenantEvent, TenantSettings, Terms } from "./tenant-options.js";
import { type Now, type TenantUsage, Visits, usageOf } from "./tenant-usage.js";

/**
 * How a tenant stands: it has no pool (`closed`), waits for one to be opened (`initializing`), has
 * one whose first connections are being made (`warming-up`) or one that is `ready`, or that takes
 * no more callers and closes with its last lease (`draining`).
 */
export type TenantState = PoolState;

/** Who holds a connection, and of which tenant. */
export interface TenantHolder extends Holder {
  /** The tenant's id. */
  readonly tenant: string;
}

/** What an opened pool tells those who look after all of them. */
export interface Keeper {
  /** Something has happened after which another may have what this one does not need any more. */
  look(): void;
  /** Asks for a `tick` at a time in ms since 1970. */
  askForAlarm(at: number): void;
}

/** For how long a pool is kept for those for whom it was opened, in ms. */
const PROMISE = 150;
/** For how long after its last use a pool is kept though others want its connections, in ms. */
const FRESH = 1_000;

/** A tenant that has a pool. */
export class Member<T> {
  readonly tenant: Tenant;
  readonly pool: Pool<T>;
  /** The most connections that it may have, and how many of them it has been granted. */
  readonly limit: number;
  grant: number;
  readonly weight: number;
  readonly openedAt: number;
  /** When it was asked for last, by which the tenants are in order. */
  acquiredAt: number;
  /** When it was last known to be in use. */
  activeAt: number;
  accesses = 0;
  /** How its callers fared, those among them that waited for it to be opened. */
  visits: Visits;
  /** Whether it was removed, so that who waits is to hear of that. */
  isRemoved = false;
  /** Whether first connections are being made, and who waits for that. */
  private isWarming = false;
  private readonly warming = new Set<Caller<void>>();
  private stands: TenantState = "ready";
  /** How many were told that it is open and are not there yet, and until when it is theirs. */
  private expected = 0;
  private promisedUntil = 0;
  private readonly maxWaiting: number;
  private readonly settings: TenantSettings<T>;
  private readonly keeper: Keeper;
  private readonly making: Making<T>;

  constructor(
    terms: Terms, grant: number, now: number, settings: TenantSettings<T>, keeper: Keeper,
    visits: Visits,
  ) {
    this.visits = visits;
    this.tenant = terms.tenant;
    this.limit = terms.max;
    this.weight = terms.weight;
    this.maxWaiting = terms.maxWaiting;
    this.grant = grant;
    this.settings = settings;
    this.keeper = keeper;
    this.openedAt = this.acquiredAt = this.activeAt = now;
    this.making = new Making(() => settings.factory(terms.tenant));
    this.pool = this.makePool(terms, grant);
  }

  /** Makes its first connections, and tells how it stands: to be done once it can be found. */
  begin(): void {
    this.state = this.settings.warmUp > 0 ? "warming-up" : "ready";
    // An observer may have removed it by now.
    if (this.stands === "warming-up") this.warmUp();
  }

  /** Makes what is missing of its first connections. Its callers are served meanwhile. */
  private warmUp(): void {
    const end = (result: () => void | PromiseLike<never>): void => {
      this.isWarming = false;
      for (const caller of this.warming) caller.tell(result);
      this.warming.clear();
      if (this.stands === "warming-up") this.state = "ready";
    };
    this.isWarming = true;
    this.pool.warmUp(Math.min(this.settings.warmUp, this.grant)).then(
      () => end(() => undefined), (error: unknown) => end(() => Promise.reject(error)));
  }

  /**
   * Resolves when its first connections are there, for which a caller waits in its own request, as
   * long as it likes. Rejects with a WarmUpError if they could not be made.
   */
  whenWarm(owner: LineOwner, wait: Wait): Promise<void> {
    if (this.settings.warmUp === 0) return Promise.resolve();
    const late = (waited: number): Error => notWarm(this.tenant.id, waited);
    const caller = new Caller<void>(owner, wait, late, () => this.warming.delete(caller));
    this.warming.add(caller);
    // What failed before is tried again.
    if (!this.isWarming) this.warmUp();
    return caller.start();
  }

  private makePool({ tenant, maxWaiting }: Terms, max: number): Pool<T> {
    const { settings, keeper } = this;
    const { pool, observer, setAlarm, budget } = settings;
    const { check, reset, close, ...own } = this.making.options();
    // Others may have the places of what has been closed.
    const closeAndLook: typeof close = async (connection, job) => {
      try {
        await close?.(connection, job);
      } finally {
        // After the pool has heard that this has ended, which is next.
        queueMicrotask(() => queueMicrotask(() => unlessReset(() => keeper.look())));
      }
    };
    return new Pool<T>({
      ...pool, ...own, check, reset, max, maxWaiting,
      close: budget === Infinity ? close : closeAndLook,
      observer: observer && ((event: PoolEvent) => observer(event, tenant)),
      setAlarm: setAlarm && ((at) => keeper.askForAlarm(at)),
    });
  }

  get state(): TenantState {
    return this.stands;
  }

  set state(state: TenantState) {
    this.stands = state;
    const event: TenantEvent = { type: "state", state };
    try {
      this.settings.observer?.(event, this.tenant);
    } catch {
      // Tenants must not fail because somebody who looks on did.
    }
  }

  /** Whether the last of its creations that has ended has failed. */
  get isFailing(): boolean {
    return this.making.isFailing;
  }

  /** Whether it takes callers. */
  get isOpen(): boolean {
    return this.stands === "ready" || this.stands === "warming-up";
  }

  /** Tells how its callers fared, beside whom so many wait outside. */
  usage(stats: PoolStats, outside: number): TenantUsage {
    return usageOf(this.visits, nowOf(stats, outside));
  }

  /** Tells what its pool has done and how that stands, and counts the leases that have ended. */
  counts(): PoolCounts {
    const counts = countsOf(this.pool.stats());
    this.visits.settle(counts.inUse);
    return counts;
  }

  /** Notes that it is asked for. */
  touch(now: number): void {
    this.acquiredAt = now;
    if (now > this.activeAt) this.activeAt = now;
    this.accesses += 1;
  }

  /** Keeps it, and their places in it, for a while for those who are told that it is open. */
  expect(callers: number, now: number): void {
    this.expected = callers;
    this.promisedUntil = now + PROMISE;
  }

  /** Notes that one of them has come. */
  arrive(): void {
    this.expected -= 1;
  }

  isPromised(now: number): boolean {
    return this.expected > 0 && now < this.promisedUntil;
  }

  /** Throws if there is no place in its queue for others than those it is promised to. */
  checkPlaces(now: number): void {
    if (!this.isPromised(now)) return;
    const { maxWaiting, grant, expected } = this;
    const { waiting, creating, checking, idle, size } = this.pool.stats();
    const served = creating + checking + idle + Math.max(grant - size, 0);
    if (waiting + expected >= maxWaiting + served) throw new QueueFullError(maxWaiting);
  }

  /** Whether anything of it is lent or waited for. */
  isBusy(stats: PoolStats = this.pool.stats()): boolean {
    return stats.pending > 0 || stats.size > stats.idle + stats.closing;
  }

  /** Whether it was in use a moment ago, if it is not now. */
  isFresh(now: number): boolean {
    return now < this.activeAt + FRESH || now < this.lastActive() + FRESH;
  }

  /** When it was in use last, of one that is not busy: its connections know when they came back. */
  lastActive(): number {
    this.pool.retain((_, { lastUsed, createdAt }) => {
      this.activeAt = Math.max(this.activeAt, lastUsed ?? createdAt);
      return true;
    });
    return this.activeAt;
  }

  /** Changes how many connections it may have. */
  resize(grant: number): void {
    this.grant = grant;
    this.pool.resize(grant);
  }

  /** Sees to it that nothing is lent that was made before, nor made as it was. */
  invalidate(): void {
    this.making.outdate();
    this.pool.invalidate();
  }

  /** Takes no more callers from now on. */
  drain(): void {
    if (this.isOpen) this.state = "draining";
    this.shut();
  }

  /** Closes a draining pool once all who wait for it are served. */
  shut(): void {
    if (this.pool.isClosed || this.pool.stats().pending > 0) return;
    // Nobody waits for its leases: one that is lost must not keep a process going.
    void this.end({ deadline: 0 }).catch(() => undefined);
  }

  /** Closes the pool, and ends the waits of those who are in its queue. */
  async close(options: CloseOptions): Promise<TenantHolder[]> {
    if (this.isOpen) this.state = "draining";
    const holders = await this.end(options);
    return holders.map((holder) => ({ ...holder, tenant: this.tenant.id }));
  }

  /** Closes the pool, and has others look when it has, and when nothing is left of it. */
  private async end(options: CloseOptions): Promise<Holder[]> {
    const closing = this.pool.close(options);
    const look = (): void => unlessReset(() => this.keeper.look());
    // On the edge nobody's request is to wait for that: whoever needs its place looks.
    if (this.settings.mode !== "edge") void this.hearEnd().then(look, look);
    return await closing.finally(look);
  }

  /**
   * Resolves when nothing is left of a pool that was closed, as it may be long after its deadline.
   * To wait for its events keeps no process going, as to wait for its end would.
   */
  private async hearEnd(): Promise<void> {
    const events = this.pool.events();
    while ((await events.next()).done !== true);
  }

  /** Whether its pool is closed and holds nothing any more. */
  get isGone(): boolean {
    return this.pool.isClosed && this.pool.stats().size === 0;
  }
}

/** What the counts of pools say of their callers and connections, beside so many outside. */
export function nowOf(counts: PoolCounts, outside: number): Now {
  const { inUse, idle, pending, checkFailed, resetFailed } = counts;
  return { inUse, idle, waiting: pending + outside, healthFailures: checkFailed + resetFailed };
}
