import { unlessReset } from "./core.js";
import { PoolClosedError, PoolError, QueueFullError } from "./errors.js";
import type { CloseOptions } from "./pool.js";
import { type PoolCounts, type PoolStats, addCounts, countsOf } from "./stats.js";
import { Budget, shareOf } from "./tenant-budget.js";
import { type Tenant, invalid } from "./tenant-id.js";
import { Line, type LineOwner, TICK, type Wait } from "./tenant-line.js";
import { type Keeper, Member, type TenantHolder, nowOf } from "./tenant-member.js";
import { type TenantSettings, type Terms, nameOf, termsOf } from "./tenant-options.js";
import { Sweeper } from "./tenant-sweeper.js";
import { type TenantUsage, Visits, lossOf, usageOf } from "./tenant-usage.js";

/**
 * The tenants that have a pool, and those that wait for one.
 *
 * 1. There are never more pools than `maxPools`, nor connections than `budget`: what closes counts
 *    until nothing is left of it.
 * 2. A tenant has one pool at most: its next one is opened when the one before has gone.
 * 3. The members are in the order in which they were asked for last, the longest ago first.
 */
export class Roster<T> implements Keeper, LineOwner {
  private readonly settings: TenantSettings<T>;
  private readonly members = new Map<string, Member<T>>();
  private readonly draining = new Set<Member<T>>();
  private readonly line: Line<Member<T>>;
  private readonly budget: Budget<T> | undefined;
  /** The names of what configured tenants have to themselves, until their last pool has gone. */
  private readonly names: Map<string, string>;
  private newest: Member<T> | undefined = undefined;
  private readonly sweeper: Sweeper;
  private looking = false;
  /** Whether somebody has asked for a look that has not begun. */
  private isAsked = false;
  private lookedAt = -Infinity;
  private closing = false;
  /** What pools did that have gone, and how the callers of those without a pool fared. */
  private past: PoolCounts[] = [];
  private readonly pastVisits = new Visits();
  /** How the callers fare of those that wait for a pool. */
  private readonly outside = new Map<string, Visits>();
  opened = 0;
  evicted = 0;

  constructor(settings: TenantSettings<T>) {
    this.settings = settings;
    this.sweeper = new Sweeper(this, settings);
    this.line = new Line<Member<T>>(this);
    if (settings.budget < Infinity) this.budget = new Budget(settings.budget);
    this.names = new Map([...settings.named].map(([id, { tenant }]) => [nameOf(tenant), id]));
  }

  get clock(): TenantSettings<T>["clock"] {
    return this.settings.clock;
  }

  get edge(): boolean {
    return this.settings.mode === "edge";
  }

  get doorbell(): boolean {
    return !this.edge || this.settings.doorbell;
  }

  get isClosed(): boolean {
    return this.closing;
  }

  /** How many callers wait for a pool to be opened. */
  get waiting(): number {
    return this.line.length;
  }

  // --- Callers ---

  /** Gives a tenant's pool to one who asks for it, if it is open. */
  touch(id: string): Member<T> | undefined {
    const now = this.clock.now();
    this.sweeper.look(now);
    const member = this.members.get(id);
    if (member === undefined || !member.isOpen) return undefined;
    this.renew(member, now);
    return member;
  }

  private renew(member: Member<T>, now: number): void {
    member.touch(now);
    if (member === this.newest) return;
    this.newest = member;
    this.members.delete(member.tenant.id);
    this.members.set(member.tenant.id, member);
  }

  /** Waits until a tenant's pool is open, as it may be at once, and gives it, to `come` in. */
  async open(id: string, wait: Wait): Promise<Member<T>> {
    const terms = this.termsFor(id);
    try {
      if (!this.mayOpen(id)) this.checkLine(terms);
      const told = this.line.wait(terms, wait);
      this.outside.set(id, this.outside.get(id) ?? new Visits());
      this.look();
      return await told;
    } catch (error) {
      this.lose(id, error, wait);
      throw error;
    }
  }

  /**
   * Lets a caller in who was told that its tenant's pool is open. What it wants there it is to ask
   * for at once: nothing else keeps the pool from now on. Gives nothing if it has closed before,
   * and the caller is to wait again.
   */
  come(member: Member<T>): Member<T> | undefined {
    member.arrive();
    if (member.isRemoved) {
      member.visits.ended += 1;
      throw removed(member.tenant.id);
    }
    if (!member.isOpen) return this.touch(member.tenant.id);
    this.renew(member, this.clock.now());
    return member;
  }

  /** Counts a caller that had no pool: with its tenant, if that waits for one or has one. */
  private lose(id: string, error: unknown, { signals }: Wait): void {
    const outside = this.outside.get(id);
    const visits = outside ?? this.members.get(id)?.visits ?? this.pastVisits;
    visits[lossOf(error, signals)] += 1;
    if (!this.line.has(id)) this.forgo(id);
  }

  forgo(id: string): void {
    const outside = this.outside.get(id);
    if (outside === undefined) return;
    this.outside.delete(id);
    this.pastVisits.add(outside);
  }

  /** Throws if as many wait as may, of all tenants or of this one. */
  private checkLine({ tenant: { id }, maxWaiting }: Terms): void {
    const { maxWaiting: most } = this.settings;
    this.line.clear(this.clock.now());
    if (this.line.length >= most) throw new QueueFullError(most);
    if (this.line.lengthOf(id) >= maxWaiting) throw new QueueFullError(maxWaiting);
  }

  private mayOpen(id: string): boolean {
    return this.line.length === 0 && !this.members.has(id) && this.hasRoom();
  }

  /** Says what a tenant may have, which another must not have. Throws if all are to close. */
  termsFor(id: string): Terms {
    const terms = this.ownTerms(id);
    if (this.closing) throw new PoolClosedError();
    return terms;
  }

  private ownTerms(id: string): Terms {
    const terms = termsOf(id, this.settings);
    if (this.settings.named.has(id)) return terms;
    const owner = this.ownerOf(nameOf(terms.tenant));
    if (owner === undefined) return terms;
    throw invalid(`tenant "${owner}" has ${nameOf(terms.tenant)} already`);
  }

  /** Says which configured tenant has something to itself. A removed one may not have it long. */
  private ownerOf(name: string): string | undefined {
    const owner = this.names.get(name);
    if (owner !== undefined && !this.settings.named.has(owner)) this.look();
    return this.names.get(name);
  }

  /** Leaves to others what a tenant had to itself, if it is not configured any more. */
  private unname(tenant: Tenant): void {
    const name = nameOf(tenant);
    const { id } = tenant;
    if (!this.settings.named.has(id) && this.names.get(name) === id) this.names.delete(name);
  }

  /**
   * Has a tenant's pool grow, if that helps those who wait for it. What is nobody's it has at once;
   * what others can spare is found by one look for all who wait.
   */
  feed(member: Member<T>): void {
    unlessReset(() => {
      const { budget } = this;
      if (budget === undefined || !budget.ask(member)) return;
      if (budget.free > 0) this.look();
      else this.glance();
    });
  }

  // --- Who has a pool ---

  get(id: string): Member<T> | undefined {
    return this.members.get(id);
  }

  isWaitedFor(id: string): boolean {
    return this.line.has(id);
  }

  all(): Member<T>[] {
    return [...this.members.values()];
  }

  standing(): string {
    const { strategy, maxPools, budget } = this.settings;
    const [most, ...more] = budget === Infinity ? [""]
      : [` with ${budget} connections in all`, "budget"];
    const open = `${this.members.size} of ${maxPools} are open${most}`;
    const sizes = [strategy === "perTenant" ? "maxPools" : "maxDatabases", ...more].join(", ");
    return `${open}, ${this.draining.size} to be closed; hold leases for less, or raise ${sizes}`;
  }

  /** Looks, unless somebody has just looked; for who waits, whom the module's end is not to end. */
  glance(): void {
    if (this.clock.now() - this.lookedAt >= TICK / 2) unlessReset(() => this.look());
  }

  /** Does whatever can be done for those who wait. */
  look(): void {
    this.isAsked = true;
    // What is called here may call again, and is looked at in the next round.
    if (this.looking) return;
    this.looking = true;
    try {
      for (let left = this.settings.maxPools; left >= 0 && this.isAsked; left -= 1) {
        this.isAsked = false;
        if (this.step()) this.isAsked = true;
      }
    } finally {
      this.looking = false;
      this.lookedAt = this.clock.now();
    }
    if (this.closing && this.members.size === 0) this.sweeper.stop();
  }

  /** One round of that. Returns whether there may be more to do. */
  private step(): boolean {
    for (const member of this.draining) {
      member.shut();
      this.settle(member);
    }
    const now = this.clock.now();
    let wanted = 0;
    for (const terms of this.line.waiting(now)) {
      // Its own old pool is not gone yet, and goes without our help.
      if (this.members.has(terms.tenant.id)) continue;
      if (this.hasRoom()) this.admit(terms, now);
      else wanted += 1;
    }
    return this.distribute(now, wanted);
  }

  private hasRoom(): boolean {
    return this.members.size < this.settings.maxPools && (this.budget?.free ?? 1) > 0;
  }

  private admit(terms: Terms, now: number): void {
    const { budget, settings } = this;
    const { id } = terms.tenant;
    const grant = budget?.take(Math.min(terms.max, Math.max(settings.warmUp, 1))) ?? terms.max;
    let member: Member<T>;
    try {
      const visits = this.outside.get(id) ?? new Visits();
      member = new Member<T>(terms, grant, now, settings, this, visits);
    } catch (error) {
      // What the caller's factory threw, or gave.
      budget?.giveBack(grant);
      return this.line.end(id, () => Promise.reject(error));
    }
    const callers = this.line.lengthOf(id);
    if (callers === 0) {
      // Whoever made it has removed it.
      budget?.giveBack(grant);
      return member.shut();
    }
    this.members.set(id, member);
    this.outside.delete(id);
    this.newest = member;
    this.opened += 1;
    member.expect(callers, now);
    this.sweeper.hasten(now + settings.idleTimeout, now);
    // Whoever hears of it may remove it at once, and with it the line.
    member.begin();
    if (member.isOpen) this.line.end(id, () => member);
  }

  /**
   * Sees to it that room comes for so many pools, and connections for those who wait for more.
   * Returns whether some of that is there at once.
   */
  private distribute(now: number, wanted: number): boolean {
    const before = this.draining.size;
    const { budget } = this;
    if (budget === undefined) {
      this.makeRoom(now, this.short(wanted));
      return this.draining.size > before;
    }
    const claims = budget.feed();
    const { soon, later } = budget.returning();
    const missing = claims.reduce((sum, claim) => sum + claim.missing, wanted) - budget.free;
    const taken = this.takeUnused(now, missing - soon);
    // Those that still serve who waits keep what they are granted until that is done.
    const draining = [...this.draining].reduce((sum, { grant }) => sum + grant, 0);
    let left = missing - soon - taken - later - draining;
    for (const { member } of claims) {
      const least = shareOf(member, 1);
      if (left > 0 && budget.share(this.members.values(), least, member)) left -= 1;
    }
    const poor = this.provide(budget, now, Math.min(wanted, Math.max(left, 0)));
    this.makeRoom(now, Math.max(this.short(wanted), poor > 0 ? this.draining.size + poor : 0));
    return taken > 0 || this.draining.size > before;
  }

  /** How many pools there would be too many, with so many more. */
  private short(wanted: number): number {
    return this.members.size + wanted - this.settings.maxPools;
  }

  /**
   * Sees to a connection for each of so many tenants that have none: from those that have more than
   * their share, or else with the pools that are idle, or else from who has several. Returns how
   * many of them can only have it of a pool that is in use, as each has one alone.
   */
  private provide(budget: Budget<T>, now: number, count: number): number {
    let left = count;
    while (left > 0 && budget.share(this.members.values(), 1)) left -= 1;
    left -= this.evictIdle(now, left);
    while (left > 0 && budget.share(this.members.values(), 0)) left -= 1;
    return left;
  }

  /**
   * Takes connections that tenants do not use, from the one that was not asked for the longest on.
   * With its last one a pool closes, unless it was in use a moment ago: it would be opened again
   * for its next caller, who would wait for that. Returns how many.
   */
  private takeUnused(now: number, wanted: number): number {
    const { budget } = this;
    let taken = 0;
    for (const member of budget === undefined || wanted <= 0 ? [] : this.all()) {
      if (taken >= wanted) break;
      if (!member.isOpen || member.isPromised(now)) continue;
      if (member.grant > wanted - taken || member.isBusy() || member.isFresh(now)) {
        taken += budget?.spare(member, wanted - taken) ?? 0;
      } else {
        taken += member.grant;
        this.evict(member);
      }
    }
    return taken;
  }

  /**
   * Sees to it that so many pools close: those that were not asked for the longest. One that is in
   * use drains if that is not enough.
   */
  private makeRoom(now: number, count: number): void {
    if (count <= 0) return;
    const busy = [...this.draining].filter((member) => member.isBusy()).length;
    const idle = count - (this.draining.size - busy);
    let left = idle - this.evictIdle(now, idle) - busy;
    for (const member of this.members.values()) {
      if (left <= 0) return;
      if (!member.isOpen || member.isPromised(now)) continue;
      left -= 1;
      this.evict(member);
    }
  }

  /** Closes up to so many pools of which nothing is in use; returns how many. */
  private evictIdle(now: number, count: number): number {
    let left = Math.max(count, 0);
    for (const member of this.members.values()) {
      if (left === 0) break;
      if (!member.isOpen || member.isPromised(now) || member.isBusy()) continue;
      left -= 1;
      this.evict(member);
    }
    return Math.max(count, 0) - left;
  }

  private evict(member: Member<T>): void {
    this.evicted += 1;
    member.drain();
    this.settle(member);
  }

  /** Takes note of what a pool that is to close has given up so far. */
  private settle(member: Member<T>): void {
    // An observer that was told before may have removed it, and another be there in its place.
    if (this.members.get(member.tenant.id) !== member) return;
    this.draining.add(member);
    // Until then more connections may be made for those who wait.
    if (member.pool.isClosed) this.budget?.end(member);
    if (member.isGone) this.forget(member);
  }

  private forget(member: Member<T>): void {
    const { id } = member.tenant;
    this.members.delete(id);
    this.draining.delete(member);
    this.budget?.forget(member);
    if (this.newest === member) this.newest = undefined;
    const counts = { ...countsOf(member.pool.stats()), max: 0 };
    this.past = [addCounts([...this.past, counts])];
    this.pastVisits.add(member.visits);
    // Those whose waits have just ended hear of it later.
    member.visits = this.pastVisits;
    this.unname(member.tenant);
    member.state = "closed";
  }

  // --- Time ---

  /** Closes what was not used for too long; returns how many. */
  sweep(now = this.clock.now()): number {
    const { idleTimeout } = this.settings;
    const before = this.evicted;
    let next = Infinity;
    for (const member of this.members.values()) {
      if (member.acquiredAt + idleTimeout > now) {
        next = Math.min(next, member.acquiredAt + idleTimeout);
        break;
      }
      if (!member.isOpen) continue;
      const due = (member.isBusy() ? now : member.lastActive()) + idleTimeout;
      if (due > now) next = Math.min(next, due);
      else this.evict(member);
    }
    this.sweeper.next(next, now);
    if (this.evicted > before) this.look();
    return this.evicted - before;
  }

  /** Does what is due. */
  tick(): void {
    this.sweeper.tick(this.clock.now());
    for (const member of this.all()) member.pool.tick();
    this.look();
  }

  askForAlarm(at: number): void {
    this.sweeper.askForAlarm(at);
  }

  // --- Operators ---

  /** Closes a tenant's pool, and ends the waits for it. */
  async remove(id: string, options: CloseOptions): Promise<TenantHolder[]> {
    const { named } = this.settings;
    const terms = named.get(id);
    named.delete(id);
    this.line.end(id, () => Promise.reject(removed(id)));
    const member = this.members.get(id);
    if (member === undefined) {
      if (terms !== undefined) this.unname(terms.tenant);
      return [];
    }
    member.isRemoved = true;
    const closing = member.close(options);
    this.settle(member);
    return closing;
  }

  /** Closes all of them, and ends every wait. */
  async close(options: CloseOptions): Promise<TenantHolder[]> {
    this.closing = true;
    this.line.endAll(() => Promise.reject(new PoolClosedError()));
    const all = this.all().map((member) => {
      const closing = member.close(options);
      this.settle(member);
      return closing;
    });
    this.sweeper.stop();
    return (await Promise.all(all)).flat();
  }

  /** Adds up what all pools have done, and how they stand. */
  counts(): PoolCounts {
    const now = this.all().map((member) => member.counts());
    return addCounts([...now, ...this.past]);
  }

  /** Adds up how all callers fared, those of pools that have gone too, by the latest `counts`. */
  usage(counts: PoolCounts): TenantUsage {
    // Nothing is out any more of pools that have gone.
    this.pastVisits.settle(0);
    const sum = new Visits().add(this.pastVisits);
    for (const visits of this.outside.values()) sum.add(visits);
    for (const { visits } of this.members.values()) sum.add(visits);
    return usageOf(sum, nowOf(counts, this.line.length), sum.acquired, sum.released);
  }

  /** Tells how a tenant's callers fared, and how its pool stands, if it has one. */
  stats(id: string): { usage: TenantUsage; pool: PoolStats } | undefined {
    const member = this.members.get(id);
    if (member === undefined) return undefined;
    const pool = member.pool.stats();
    return { usage: member.usage(pool, this.line.lengthOf(id)), pool };
  }
}

/** What a caller is told whose tenant was removed. */
export function removed(id: Tenant["id"]): PoolError {
  const text = `tenant "${id}" was removed while the caller waited for it`;
  return new PoolError("tenant_removed", text);
}
