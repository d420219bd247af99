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
const NAMES = ["named", "default", "unknown", "idleTimeout", "maxKept"] as const;

/** Validates what is said of tenants. Throws a TypeError that names what is wrong. */
export function readClientTenants(options: ClientTenantsOptions = {}): TenantTerms {
  checkNames(WHERE, options, NAMES);
  const { named = {}, default: usual, unknown, idleTimeout, maxKept } = options;
  checkNames(`${WHERE}.named`, named, Object.keys(named ?? {}));
  return {
    named: new Map(Object.entries(named).map(([id, share]) => [id, readNamed(id, share)])),
    usual: readShare(`${WHERE}.default`, usual),
    unknown: readWord(WHERE, "unknown", unknown, "create", ["create", "refuse"]),
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

/** Says the terms as a text, for who compares them with those of others. */
export function textOfTerms({ named, ...others }: TenantTerms): string {
  // JSON has no number without end.
  const ends = (_: string, value: unknown): unknown => value === Infinity ? "Infinity" : value;
  return JSON.stringify({ named: [...named].sort(), ...others }, ends);
}
