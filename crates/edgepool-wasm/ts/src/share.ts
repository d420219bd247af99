import { checkNames, readCount } from "./options.js";

/**
 * What a tenant may have of what others share. While several tenants wait, what they are served is
 * in the proportion of their weights. Beyond that nobody owns a part: what one does not use others
 * may, up to their `max`, and it has its share again of the next leases that end.
 */
export interface TenantShare {
  /** How much its callers are served beside those of others, from 1 to 1,000,000. Default 1. */
  weight?: number | undefined;
  /** The most that it has at once, at least 1. Default `Infinity`: as many as there are. */
  max?: number | undefined;
  /**
   * The most of its callers that wait, beyond those for whom a resource is idle or being made.
   * Default `Infinity`: as many as the pool takes.
   */
  maxWaiting?: number | undefined;
}

/** A share of which nothing is left out: what is not limited is `Infinity`. */
export interface FullShare {
  /** See {@link TenantShare}. */
  readonly weight: number;
  /** See {@link TenantShare}. */
  readonly max: number;
  /** See {@link TenantShare}. */
  readonly maxWaiting: number;
}

const NAMES = ["weight", "max", "maxWaiting"] as const;
const MOST_WEIGHT = 1_000_000;
const MOST = 2 ** 32 - 1;

/** Reads a share, of which each part may be left out. Throws a TypeError that names what is wrong. */
export function readShare(where: string, share: TenantShare = {}): FullShare {
  checkNames(where, share, NAMES);
  const limit = (name: "max" | "maxWaiting", low: number): number =>
    share[name] === Infinity ? Infinity : readCount(where, name, share[name], Infinity, low, MOST);
  return {
    weight: readCount(where, "weight", share.weight, 1, 1, MOST_WEIGHT),
    max: limit("max", 1),
    maxWaiting: limit("maxWaiting", 0),
  };
}
