import { checkNames, readCount, readDuration, readWord } from "./options.js";
import { type FullShare, type TenantShare, readShare } from "./share.js";
import { checkId } from "./tenant-id.js";

/** Who shares the places of a client pool's providers: at each provider by the same shares. */
export interface ClientTenantsOptions {
  /** The tenants that have a share of their own, by their ids. */
  named?: Record<string, TenantShare> | undefined;
  /** What any other tenant has. */
  default?: TenantShare | undefined;
  /**
   * What becomes of a tenant that is not named: `create` opens it when it is asked for first, and
   * `refuse` refuses its calls. Default `create`.
   */
  unknown?: "create" | "refuse" | undefined;
  /**
   * How long a tenant that is not named is kept without calls, in ms. Its counts stay in those of
   * all. Default 300,000.
   */
  idleTimeout?: number | undefined;
  /**
   * The most of those that are kept at each provider; beyond that, those that have no call are
   * forgotten earlier. Default 10,000.
   */
  maxKept?: number | undefined;
}

/** The same after validation. */
export interface TenantTerms {
  named: ReadonlyMap<string, FullShare>;
  usual: FullShare;
  unknown: "create" | "refuse";
  idleTimeout: number;
  maxKept: number;
}

const WHERE = "ClientPool: tenants";
/** What is said of tenants that are not named. */
const OF_OTHERS = ["default", "idleTimeout", "maxKept"] as const;
const NAMES = ["named", "default", "unknown", "idleTimeout", "maxKept"] as const;

/** Validates what is said of tenants. Throws a TypeError that names what is wrong. */
export function readClientTenants(options: ClientTenantsOptions = {}): TenantTerms {
  checkNames(WHERE, options, NAMES);
  const { named = {}, default: usual, idleTimeout, maxKept } = options;
  const unknown = readWord(WHERE, "unknown", options.unknown, "create", ["create", "refuse"]);
  for (const name of unknown === "refuse" ? OF_OTHERS : []) {
    if (options[name] === undefined) continue;
    throw new TypeError(`${WHERE}: "${name}" is for tenants that are not named, and "unknown" is `
      + '"refuse"; leave one of them out');
  }
  checkNames(`${WHERE}.named`, named, Object.keys(named ?? {}));
  return {
    named: new Map(Object.entries(named).map(([id, share]) => [id, readNamed(id, share)])),
    usual: readShare(`${WHERE}.default`, usual),
    unknown,
    idleTimeout: readDuration(WHERE, "idleTimeout", idleTimeout, 300_000, 1),
    maxKept: readCount(WHERE, "maxKept", maxKept, 10_000, 1, 1_000_000),
  };
}

function readNamed(id: string, share: TenantShare): FullShare {
  try {
    checkId(id, WHERE);
  } catch (error) {
    throw new TypeError(`${WHERE}.named: ${(error as Error).message}`);
  }
  return readShare(`${WHERE}.named: "${id}"`, share);
}

/**
 * Says in which parts the terms that are used differ from those that are asked for: without their
 * values, which may be many and another's.
 */
export function differenceOfTerms(used: TenantTerms, asked: TenantTerms): string {
  const parts = (["unknown", "idleTimeout", "maxKept"] as const)
    .filter((name) => used[name] !== asked[name]) as string[];
  if (!isEqual(used.usual, asked.usual)) parts.unshift("default");
  const own = [...asked.named].find(([id, share]) => !isEqual(share, used.named.get(id)))?.[0];
  if (own !== undefined) parts.unshift(`named: "${own}"`);
  else if (used.named.size > asked.named.size) parts.unshift("named");
  return parts.length === 0 ? "" : `tenants are others (${parts.join(", ")})`;
}

function isEqual(one: FullShare, other: FullShare | undefined): boolean {
  return one.weight === other?.weight && one.max === other.max
    && one.maxWaiting === other.maxWaiting;
}
