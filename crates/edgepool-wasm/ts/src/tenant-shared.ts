import { waitedFor } from "./clock.js";
import { PoolClosedError, type PoolError, type PoolErrorCode, leaseEnded } from "./errors.js";
import { holdOpen } from "./hold.js";
import type { Lease } from "./lease.js";
import type { AcquireOptions, CloseOptions } from "./pool.js";
import type { PoolTenant } from "./pool-tenant.js";
import { SharedPool, type TenantAcquireOptions } from "./shared-pool.js";
import { abortReason, findAborted } from "./signals.js";
import { countsOf } from "./stats.js";
import { Entrance, enterAs } from "./tenant-entering.js";
import { Making } from "./tenant-factory.js";
import {
  type TenantEntry, type TenantHome, type TenantStats, type TenantTotals, type Work, readWait,
} from "./tenant-home.js";
import type { Tenant } from "./tenant-id.js";
import { TICK, type Wait } from "./tenant-line.js";
import type { TenantHolder, TenantState } from "./tenant-member.js";
import { type TenantSettings, needReset, termsOf } from "./tenant-options.js";
import { removed } from "./tenant-roster.js";
import { Sweeper } from "./tenant-sweeper.js";
import { notEntered, ofTenant } from "./tenant-texts.js";
import { type TenantUsage, Visits, lossOf, usageOf } from "./tenant-usage.js";

/** Whose connections those are that are made for all. */
const NOBODY: Tenant = { id: "", schema: undefined, database: undefined };
/**
 * An `enter` that was late has failed if it had half of its caller's time; that is so many ms at
 * least and at most.
 */
const SHORT_ENTER = 100;
const LONG_ENTER = 1_000;
/** The most tenants that are kept, unless more are in use. */
const MOST_KEPT = 10_000;
/** How many are looked at for one that is opened beyond that. */
const LOOKED_AT = 4;

/** A tenant that has a share of the pool. */
class Guest<T> {
  readonly entrance: Entrance<T>;
  visits = new Visits();
  accesses = 0;
  /** Whether it was removed by force, and has nothing any more. */
  isCut = false;

  constructor(
    readonly tenant: Tenant, readonly share: PoolTenant, public lastAccess: number,
    settings: TenantSettings<T>,
  ) {
    this.entrance = new Entrance(settings);
  }

  get openedAt(): number {
    return this.share.stats().openedAt;
  }

  usage(): TenantUsage {
    const { inUse, waiting, acquired, released } = this.share.stats();
    const now = { inUse, idle: 0, waiting, healthFailures: 0 };
    return usageOf(this.visits, now, acquired, released);
  }
}

/**
 * Tenants that share the connections of one pool, each with its share of it.
 *
 * 1. A connection is given to its caller only after `enter` has put the tenant's context on it, and
 *    lent again only after `reset` has taken it off. If either fails or is given up it is lent to
 *    nobody any more.
 * 2. The guests are in the order in which they were asked for last, the longest ago first, or were
 *    found to be in use when room was looked for.
 */
export class SharedPlaces<T> implements TenantHome<T> {
  private readonly pool: SharedPool<T>;
  private readonly making: Making<T>;
  private readonly guests = new Map<string, Guest<T>>();
  private readonly sweeper: Sweeper;
  private newest: Guest<T> | undefined = undefined;
  /** Who has what is lent, by the place of its lease. */
  private readonly lent: { guest: Guest<T>; lease: Lease<T> }[] = [];
  /** How the callers fared of tenants that are forgotten, and how many leases those were given. */
  private readonly past = new Visits();
  private pastAcquired = 0;
  private opened = 0;
  private evicted = 0;

  constructor(private readonly settings: TenantSettings<T>) {
    const { pool, observer, setAlarm, poolSize, warmUp, enter } = settings;
    this.sweeper = new Sweeper(this, settings);
    this.making = new Making(() => {
      const given = settings.factory(NOBODY);
      // Each time, as connections would go on from tenant to tenant with what is on them.
      if (enter === undefined || given.reset !== undefined) return given;
      throw needReset('the "reset" of "factory"');
    });
    const { check, reset, close, ...own } = this.making.options();
    this.pool = new SharedPool<T>({
      ...pool, ...own, check, reset, close, max: poolSize, minIdle: warmUp,
      observer: observer && ((event) => observer(event, NOBODY)),
      setAlarm: setAlarm && ((at) => this.sweeper.askForAlarm(at)),
    });
  }

  get isClosed(): boolean {
    return this.pool.isClosed;
  }

  // --- Callers ---

  acquire(id: string, options: AcquireOptions | undefined): Promise<Lease<T>> {
    return this.ask(id, options, async (call, rest) => {
      // The request goes on until its connection is entered, or thrown away.
      const letGo = holdOpen(options);
      try {
        const lease = await this.pool.acquire(rest);
        await this.receive(call, lease);
        return lease;
      } finally {
        letGo();
      }
    });
  }

  use<R>(id: string, work: Work<T, R>, options: AcquireOptions | undefined): Promise<R> {
    return this.ask(id, options, async (call, rest, begun) =>
      await this.pool.use(async (connection, lease) => {
        await this.receive(call, lease);
        begun();
        return await work(connection, lease);
      }, rest));
  }

  /** To enter may take time, for which nobody waits here. */
  tryAcquire(id: string): Lease<T> | undefined {
    const guest = this.visit(id);
    if (this.settings.enter !== undefined || !this.isKept(guest)) return undefined;
    const lease = this.pool.tryAcquire(guest.share);
    if (lease === undefined) return undefined;
    this.lent[lease.slot] = { guest, lease };
    guest.visits.serve(0);
    return lease;
  }

  /** Asks the pool in a tenant's name. */
  private async ask<R>(
    id: string, options: AcquireOptions | undefined, act: Act<T, R>,
  ): Promise<R> {
    const wait = readWait(this.settings, options);
    const guest = this.visit(id);
    const call = { guest, wait, isServed: false, isLate: false };
    let waits = true;
    const begun = (): void => {
      waits = false;
      guest.visits.serve(waitedFor(this.settings.clock.now(), wait.since));
    };
    try {
      guest.entrance.check(id);
      const rest = { ...options, timeout: wait.timeout, tenant: guest.share };
      const result = await act(call, rest, begun);
      if (waits) begun();
      return result;
    } catch (error) {
      // What `work` throws is its own.
      if (!waits) throw error;
      const explained = call.isServed ? error : this.explain(error, guest, wait);
      guest.visits[lossOf(explained, wait.signals)] += 1;
      throw explained;
    }
  }

  /** Takes in a connection that the pool has lent, and makes it the tenant's. */
  private async receive(call: Call<T>, lease: Lease<T>): Promise<void> {
    const { guest, wait: { signals } } = call;
    call.isServed = true;
    this.lent[lease.slot] = { guest, lease };
    if (guest.isCut) {
      lease.discard();
      throw this.goneError(guest.tenant.id);
    }
    if (this.settings.enter === undefined) return;
    try {
      const aborted = findAborted(signals);
      if (aborted !== undefined) throw abortReason(aborted);
      guest.entrance.begin(guest.tenant.id);
    } catch (error) {
      // Nothing is on it yet.
      lease.release();
      throw error;
    }
    const since = this.settings.clock.now();
    try {
      await this.enter(call, lease);
    } catch (error) {
      lease.discard(error);
      const isCut = findAborted(signals) !== undefined || (call.isLate && this.isShort(call, since));
      if (!isCut) guest.entrance.fail(error);
      throw error;
    }
    guest.entrance.succeed();
    // Its time to live begins now, unless it has passed, or the pool has taken it back.
    let isOut = false;
    try {
      isOut = lease.renew();
    } catch (error) {
      // Without a module: nobody else would end it.
      lease.discard(error);
      throw error;
    }
    if (!isOut) throw leaseEnded("enter");
  }

  /** Whether `enter` had so little time of its own that it says nothing that it was late. */
  private isShort({ wait: { timeout } }: Call<T>, since: number): boolean {
    const fair = Math.min(LONG_ENTER, Math.max(SHORT_ENTER, timeout / 2));
    return this.settings.clock.now() - since < fair;
  }

  private enter(call: Call<T>, { value }: Lease<T>): Promise<void> {
    const { settings } = this;
    const { guest: { tenant }, wait } = call;
    const late = (): Error => {
      call.isLate = true;
      return notEntered(tenant.id, waitedFor(settings.clock.now(), wait.since));
    };
    return enterAs(settings, wait, (job) => settings.enter?.(value, tenant, job), late);
  }

  /** Says what an error of the pool means for a tenant's caller. */
  private explain(error: unknown, { tenant: { id }, share }: Guest<T>, { since }: Wait): unknown {
    const { code } = (error ?? {}) as { code?: PoolErrorCode };
    if (code === "tenant_removed" || code === "unknown_tenant") return this.goneError(id);
    return ofTenant(error, (phase) => {
      const waited = waitedFor(this.settings.clock.now(), since);
      if (phase !== "tenant-at-max") {
        const { inUse, max } = this.pool.stats();
        return { id, waited, inUse, max, sizes: "size" };
      }
      const { inUse } = share.stats();
      return { id, waited, inUse, max: share.share.max, sizes: "its max" };
    });
  }

  private goneError(id: string): PoolError {
    return this.isClosed ? new PoolClosedError() : removed(id);
  }

  /** Whether it is there yet: who hears of it may have removed it. */
  private isKept(guest: Guest<T>): boolean {
    return this.guests.get(guest.tenant.id) === guest;
  }

  /**
   * Gives a tenant that is asked for its share, if it has none. One that is gone by the time that it
   * is given has nothing any more.
   */
  private visit(id: string): Guest<T> {
    const now = this.settings.clock.now();
    this.sweeper.look(now);
    const guest = this.guests.get(id) ?? this.open(id, now);
    guest.accesses += 1;
    guest.lastAccess = now;
    if (guest === this.newest || !this.isKept(guest)) return guest;
    this.newest = guest;
    this.guests.delete(id);
    this.guests.set(id, guest);
    return guest;
  }

  private open(id: string, now: number): Guest<T> {
    const { tenant, weight, max, maxWaiting } = termsOf(id, this.settings);
    if (this.isClosed) throw new PoolClosedError();
    this.makeRoom();
    // Who heard of that may have asked for it.
    const other = this.guests.get(id);
    if (other !== undefined) return other;
    const share = this.pool.tenant({ weight, max, maxWaiting });
    const guest = new Guest(tenant, share, now, this.settings);
    this.guests.set(id, guest);
    this.opened += 1;
    this.sweeper.hasten(now + this.settings.idleTimeout, now);
    this.tell(tenant, "ready");
    return guest;
  }

  private tell(tenant: Tenant, state: TenantState): void {
    try {
      this.settings.observer?.({ type: "state", state }, tenant);
    } catch {
      // Tenants must not fail because somebody who looks on did.
    }
  }

  async getOrCreate(id: string, options: AcquireOptions | undefined): Promise<TenantEntry> {
    const aborted = findAborted(readWait(this.settings, options).signals);
    const guest = this.visit(id);
    if (!this.isKept(guest)) throw this.goneError(id);
    if (aborted !== undefined) throw abortReason(aborted);
    return entryOf(guest);
  }

  // --- What is known ---

  activePools(): TenantEntry[] {
    return [...this.guests.values()].map(entryOf);
  }

  state(id: string): TenantState {
    return this.guests.has(id) ? "ready" : "closed";
  }

  entry(id: string): TenantEntry | undefined {
    const guest = this.guests.get(id);
    return guest && entryOf(guest);
  }

  stats(id: string): TenantStats | undefined {
    const guest = this.guests.get(id);
    return guest && { ...entryOf(guest), ...guest.usage(), ownPool: undefined };
  }

  totals(): TenantTotals {
    const { opened, evicted, guests } = this;
    const stats = this.pool.stats();
    const { inUse, idle, pending, checkFailed, resetFailed } = stats;
    const visits = new Visits().add(this.past);
    let acquired = this.pastAcquired;
    for (const guest of guests.values()) {
      visits.add(guest.visits);
      acquired += guest.share.stats().acquired;
    }
    const now = { inUse, idle, waiting: pending, healthFailures: checkFailed + resetFailed };
    const usage = usageOf(visits, now, acquired, acquired - inUse);
    return { ...countsOf(stats), pools: guests.size, waitingForPool: 0, usage, opened, evicted };
  }

  // --- Time ---

  evictExpired(): number {
    return this.sweep(this.settings.clock.now());
  }

  /** Forgets the tenants that nobody has asked for in a while; returns how many. */
  sweep(now: number): number {
    const { idleTimeout } = this.settings;
    const before = this.evicted;
    let next = Infinity;
    for (const guest of this.guests.values()) {
      if (guest.lastAccess + idleTimeout > now) {
        next = Math.min(next, guest.lastAccess + idleTimeout);
        break;
      }
      const { inUse, waiting, lastActive } = guest.share.stats();
      const due = (inUse + waiting > 0 ? now : lastActive) + idleTimeout;
      if (due > now) {
        next = Math.min(next, due);
      } else {
        this.evict(guest);
      }
    }
    this.sweeper.next(next, now);
    return this.evicted - before;
  }

  /** Sees to it that there is room for one more tenant, if there is one of whom nothing is in use. */
  private makeRoom(): void {
    let left = this.guests.size < MOST_KEPT ? 0 : LOOKED_AT;
    for (const guest of this.guests.values()) {
      if (left === 0) return;
      left -= 1;
      const { inUse, waiting } = guest.share.stats();
      if (inUse + waiting === 0) {
        this.evict(guest);
        continue;
      }
      // The next one that is opened looks at others.
      this.guests.delete(guest.tenant.id);
      this.guests.set(guest.tenant.id, guest);
    }
  }

  private evict(guest: Guest<T>): void {
    this.forget(guest);
    this.evicted += 1;
  }

  private forget(guest: Guest<T>): void {
    // First what may fail for want of a module: what is not done then is done again.
    if (!this.isClosed) guest.share.close();
    const { acquired } = guest.share._stats();
    // Who waited may have had it forgotten by now.
    if (!this.isKept(guest)) return;
    this.guests.delete(guest.tenant.id);
    if (this.newest === guest) this.newest = undefined;
    this.past.add(guest.visits);
    // Those who still wait hear of it later.
    guest.visits = this.past;
    this.pastAcquired += acquired;
    this.tell(guest.tenant, "closed");
  }

  tick(): void {
    this.sweeper.tick(this.settings.clock.now());
    this.pool.tick();
  }

  // --- Operators ---

  invalidate(): void {
    this.making.outdate();
    this.pool.invalidate();
  }

  async remove(id: string, { deadline, force }: CloseOptions): Promise<TenantHolder[]> {
    this.settings.named.delete(id);
    const guest = this.guests.get(id);
    if (guest === undefined) return [];
    this.forget(guest);
    const { clock } = this.settings;
    const until = clock.now() + (deadline ?? Infinity);
    let holders = this.holdersOf(guest);
    while (holders.length > 0 && clock.now() < until) {
      // From the caller's own request, as it may be the only one.
      const pause = Math.min(TICK, until - clock.now());
      await new Promise<void>((resolve) => clock.setTimer(resolve, pause));
      holders = this.holdersOf(guest);
    }
    if (force === true) this.cut(guest, holders);
    return holders;
  }

  private cut(guest: Guest<T>, holders: TenantHolder[]): void {
    // Some may not have heard yet of what they were lent.
    guest.isCut = true;
    for (const { slot } of holders) {
      const { guest: holder, lease } = this.lent[slot] ?? {};
      if (holder === guest) lease?.discard();
    }
  }

  async close(options: CloseOptions): Promise<TenantHolder[]> {
    // The pool first: callers are to hear that it is closed, and not that their tenant has gone.
    const closing = this.pool.close(options);
    for (const guest of [...this.guests.values()]) this.forget(guest);
    this.sweeper.stop();
    return (await closing).map((holder) => {
      return { ...holder, tenant: this.lent[holder.slot]?.guest.tenant.id ?? NOBODY.id };
    });
  }

  /** Tells which leases are out of a tenant, the longest held first. */
  private holdersOf(guest: Guest<T>): TenantHolder[] {
    const own = this.pool.holders().filter(({ slot }) => this.pool._isLentTo(slot, guest.share));
    return own.map((holder) => ({ ...holder, tenant: guest.tenant.id }));
  }
}

/** A caller of a tenant. */
interface Call<T> {
  readonly guest: Guest<T>;
  readonly wait: Wait;
  /** Whether the pool has given it a connection, which may not be the tenant's yet. */
  isServed: boolean;
  /** Whether its time passed while that was entered. */
  isLate: boolean;
}

/** What the pool is asked for; `begun` says that the wait is over. */
type Act<T, R> = (call: Call<T>, rest: TenantAcquireOptions, begun: () => void) => Promise<R>;

function entryOf<T>(guest: Guest<T>): TenantEntry {
  const { tenant, accesses, openedAt, lastAccess } = guest;
  return { ...tenant, state: "ready", accesses, openedAt, lastAccess };
}
