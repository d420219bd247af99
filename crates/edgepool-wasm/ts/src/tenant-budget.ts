import type { PoolStats } from "./stats.js";
import type { Member } from "./tenant-member.js";

/** What a tenant wants that does not have all it may have. */
export interface Claim<T> {
  member: Member<T>;
  missing: number;
}

/**
 * How many connections there may be of all pools together. A pool is granted so many of them, one
 * at least; what it has beyond that, as it was made smaller, counts until it is closed.
 */
export class Budget<T> {
  private granted = 0;
  /** Those that may have more than they are granted. */
  private readonly shrunk = new Set<Member<T>>();
  /** Those whose callers have waited for more than they are granted. */
  private readonly hungry = new Set<Member<T>>();

  constructor(private readonly size: number) {}

  /** How many are nobody's. */
  get free(): number {
    const { soon, later } = this.returning();
    return this.size - this.granted - soon - later;
  }

  /** How many are on their way back: at once, and with leases that are out. */
  returning(): { soon: number; later: number } {
    const sum = { soon: 0, later: 0 };
    for (const member of this.shrunk) {
      const { size, inUse } = member.pool.stats();
      const over = size - member.grant;
      if (over <= 0 && member.isOpen) this.shrunk.delete(member);
      const lent = Math.max(inUse - member.grant, 0);
      sum.later += lent;
      sum.soon += Math.max(over - lent, 0);
    }
    return sum;
  }

  /** Grants a pool that is to be opened so many, or as many as there are. */
  take(wanted: number): number {
    const grant = Math.max(Math.min(wanted, this.free), 1);
    this.granted += grant;
    return grant;
  }

  /** Takes back what was granted to a pool that could not be opened. */
  giveBack(grant: number): void {
    this.granted -= grant;
  }

  /** Takes back what a pool was granted that closes. */
  end(member: Member<T>): void {
    this.granted -= member.grant;
    member.grant = 0;
    this.hungry.delete(member);
    this.shrunk.add(member);
  }

  /** Forgets one that has gone. */
  forget(member: Member<T>): void {
    this.shrunk.delete(member);
  }

  /** Notes that a tenant's callers wait, and may be served by more connections. */
  ask(member: Member<T>): boolean {
    if (member.grant >= member.limit || !member.isOpen) return false;
    this.hungry.add(member);
    return true;
  }

  /** Grants what is free to those who want it, the one with the smallest share first. */
  feed(): Claim<T>[] {
    const claims = this.claims();
    for (let { free } = this; free > 0 && claims.length > 0; free -= 1) {
      const least = claims.reduce((one, other) =>
        (shareOf(other.member, 1) < shareOf(one.member, 1) ? other : one));
      this.resize(least.member, least.member.grant + 1);
      least.missing -= 1;
      if (least.missing === 0) claims.splice(claims.indexOf(least), 1);
    }
    return claims;
  }

  private claims(): Claim<T>[] {
    const claims: Claim<T>[] = [];
    for (const member of this.hungry) {
      const missing = Math.min(unserved(member, member.pool.stats()), member.limit - member.grant);
      if (missing > 0 && member.isOpen) claims.push({ member, missing });
      else this.hungry.delete(member);
    }
    return claims;
  }

  /**
   * Takes up to `wanted` from a pool that has more than it uses; returns how many. From one that
   * uses none, the last one too is to be had: by closing it.
   */
  spare(member: Member<T>, wanted: number): number {
    const stats = member.pool.stats();
    const { size, idle, closing, pending } = stats;
    // Callers use nothing of what is not made for them.
    const used = Math.max(size - idle - closing + (fills(member, stats) ? pending : 0), 1);
    const spare = Math.min(member.grant - used, wanted);
    if (spare <= 0) return 0;
    this.resize(member, member.grant - spare);
    return spare;
  }

  /**
   * Has the one with the most for its weight, of those that have several, give one up with its next
   * lease, if it has no less than `least` even then: what the claimant would have. Returns whether
   * there is one.
   */
  share(members: Iterable<Member<T>>, least: number, claimant?: Member<T>): boolean {
    let most: Member<T> | undefined;
    for (const member of members) {
      if (member.grant < 2 || !member.isOpen || member === claimant) continue;
      if (most === undefined || shareOf(member, 0) > shareOf(most, 0)) most = member;
    }
    if (most === undefined || shareOf(most, -1) < least) return false;
    this.resize(most, most.grant - 1);
    return true;
  }

  private resize(member: Member<T>, grant: number): void {
    this.granted += grant - member.grant;
    if (grant < member.grant) this.shrunk.add(member);
    member.resize(grant);
  }
}

/** How many callers wait for whom nothing is on its way, and more places would be filled. */
function unserved<T>(member: Member<T>, stats: PoolStats): number {
  const { waiting, size, creating, checking, resetting } = stats;
  if (member.grant > size || !fills(member, stats)) return 0;
  return waiting - creating - checking - resetting;
}

/**
 * Whether a tenant's connections can be made, as far as is known: one was, and none has failed
 * since. A database that is down is not to be granted what others could use.
 */
function fills<T>({ isFailing }: Member<T>, { created, adopted }: PoolStats): boolean {
  return created + adopted > 0 && !isFailing;
}

/** What a tenant would have for its weight with so many more. */
export function shareOf<T>({ grant, weight }: Member<T>, more: number): number {
  return (grant + more) / weight;
}
