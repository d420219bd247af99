import { waitedFor } from "./clock.js";
import { PoolClosedError } from "./errors.js";
import type { Lease } from "./lease.js";
import type { AcquireOptions, CloseOptions } from "./pool.js";
import {
  type TenantEntry, type TenantHome, type TenantStats, type TenantTotals, type Work, readWait,
  timeLeft,
} from "./tenant-home.js";
import { TICK, type Wait } from "./tenant-line.js";
import type { Member, TenantHolder, TenantState } from "./tenant-member.js";
import type { TenantSettings } from "./tenant-options.js";
import { Roster, removed } from "./tenant-roster.js";
import { ofTenant, warmUpOfTenant } from "./tenant-texts.js";
import { lossOf } from "./tenant-usage.js";

/** Tenants that have a pool each. */
export class OwnPools<T> implements TenantHome<T> {
  private readonly roster: Roster<T>;

  constructor(private readonly settings: TenantSettings<T>) {
    this.roster = new Roster(settings);
  }

  acquire(id: string, options: AcquireOptions | undefined): Promise<Lease<T>> {
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

  tryAcquire(id: string): Lease<T> | undefined {
    return takeAt(this.roster.touch(id));
  }

  use<R>(id: string, work: Work<T, R>, options: AcquireOptions | undefined): Promise<R> {
    return this.ask(id, options, async ({ pool }, rest, begun) =>
      await pool.use((connection, lease) => {
        begun();
        return work(connection, lease);
      }, rest));
  }

  /** Asks a tenant's pool, once it is open, for as long as is left of the caller's time. */
  private async ask<R>(
    id: string, options: AcquireOptions | undefined, act: Act<T, R>,
    member = this.roster.touch(id),
  ): Promise<R> {
    const wait = readWait(this.settings, options);
    try {
      member?.checkPlaces(wait.since);
    } catch (error) {
      if (member !== undefined) member.visits.refused += 1;
      throw error;
    }
    return await this.reach(id, wait, member, (open) => this.askMember(open, wait, options, act));
  }

  /** Acts as soon as a tenant's pool is open: one that nobody uses may be closed again. */
  private async reach<R>(
    id: string, wait: Wait, open: Member<T> | undefined, act: (member: Member<T>) => Promise<R>,
  ): Promise<R> {
    let member = open;
    while (member === undefined) member = this.roster.come(await this.roster.open(id, wait));
    return await act(member);
  }

  /** Asks a pool that is open. */
  private async askMember<R>(
    member: Member<T>, wait: Wait, options: AcquireOptions | undefined, act: Act<T, R>,
  ): Promise<R> {
    const left = timeLeft(this.settings, wait);
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

  async getOrCreate(id: string, options: AcquireOptions | undefined): Promise<TenantEntry> {
    const wait = readWait(this.settings, options);
    return await this.reach(id, wait, this.roster.touch(id), async (member) => {
      try {
        await member.whenWarm(this.roster, wait);
      } catch (error) {
        const isWarmUp = (error as { code?: unknown } | undefined)?.code === "warm_up_failed";
        if (isWarmUp && member.isRemoved) throw removed(id);
        if (isWarmUp && this.isClosed) throw new PoolClosedError();
        throw warmUpOfTenant(error, id);
      }
      return entryOf(member);
    });
  }

  remove(id: string, options: CloseOptions): Promise<TenantHolder[]> {
    return this.roster.remove(id, options);
  }

  invalidate(id: string | undefined): void {
    const members = id === undefined ? this.roster.all() : [this.roster.get(id)];
    for (const member of members) member?.invalidate();
  }

  evictExpired(): number {
    return this.roster.sweep();
  }

  activePools(): TenantEntry[] {
    return this.roster.all().map(entryOf);
  }

  state(id: string): TenantState {
    const state = this.roster.get(id)?.state;
    return state ?? (this.roster.isWaitedFor(id) ? "initializing" : "closed");
  }

  entry(id: string): TenantEntry | undefined {
    const member = this.roster.get(id);
    return member && entryOf(member);
  }

  stats(id: string): TenantStats | undefined {
    const member = this.roster.get(id);
    const stats = this.roster.stats(id);
    return member && stats && { ...entryOf(member), ...stats.usage, ownPool: stats.pool };
  }

  totals(): TenantTotals {
    const { roster } = this;
    const { opened, evicted, waiting: waitingForPool } = roster;
    const counts = roster.counts();
    const usage = roster.usage(counts);
    return { ...counts, pools: roster.all().length, waitingForPool, opened, evicted, usage };
  }

  tick(): void {
    this.roster.tick();
  }

  get isClosed(): boolean {
    return this.roster.isClosed;
  }

  close(options: CloseOptions): Promise<TenantHolder[]> {
    return this.roster.close(options);
  }
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

function entryOf<T>(member: Member<T>): TenantEntry {
  const { tenant, state, accesses, openedAt, acquiredAt: lastAccess } = member;
  return { ...tenant, state, accesses, openedAt, lastAccess };
}
