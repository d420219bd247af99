import { ConfigError, type Fields, fields, number, wrong } from "./checks.js";
import { NOBODY, TENANT_PATH, faultOfId } from "./tenant-id.js";
import { HOP_BY_HOP, KEYS } from "./upstream.js";

/** What tells whose a request is: a header, the key that the client sends, or the path. */
export type TenantBy = { header: string } | "key" | "path";

/** What a tenant may have of each provider; what is not said has no limit. */
export interface ShareConfig {
  weight?: number;
  max?: number;
  maxWaiting?: number;
}

/**
 * A share as `EDGEPOOL_CONFIG` has it. What it does not say is as in `default`; null is no limit.
 */
type GivenShare = { [field in keyof ShareConfig]: number | null };

/** A tenant that the configuration names, with what `default` says where it says nothing. */
export interface NamedTenant extends ShareConfig {
  /** The SHA-256 of its key, in hexadecimal. */
  keySha256?: string;
}

/** Whose requests they are, and what each tenant may have. */
export interface TenantsConfig {
  by: TenantBy;
  /** What becomes of a tenant that is not named. */
  unknown: "create" | "refuse";
  /** What becomes of a request that tells no tenant: it may be of the tenant {@link NOBODY}. */
  without: "refuse" | "nobody";
  /** What a tenant may have that is not named, and {@link NOBODY}. */
  default: ShareConfig;
  /** How many that are not named are told of one by one; the others are summed. */
  report: number;
  named: Record<string, NamedTenant>;
}

const FIELDS = ["by", "unknown", "without", "default", "report", "named"];
const OF_SHARE = ["weight", "max", "maxWaiting"];
const MOST_REPORTED = 1_000;
const MAX_WEIGHT = 1_000_000;
/** What the pool takes at most. */
const MOST = 2 ** 32 - 1;
/** Headers that mean something else, to the gateway or to HTTP. */
const TAKEN = [
  ...HOP_BY_HOP, ...KEYS, "accept-encoding", "content-encoding", "content-length", "content-type",
  "cookie", "expect", "host", "origin", "sec-fetch-site",
];

/** Reads what the configuration says of tenants. Throws a `ConfigError`. */
export function readTenants(value: unknown, providers: Fields, routes: Fields): TenantsConfig {
  const given = fields("tenants", value, FIELDS);
  const by = readBy(given["by"], providers, routes);
  const named = fields("tenants.named", given["named"] ?? {});
  const limits = { max: most("max", providers), maxWaiting: most("maxWaiting", providers) };
  for (const [id, tenant] of Object.entries(named)) checkNamed(id, tenant, by, limits);
  checkKeys(named as Record<string, NamedTenant>);
  const shared = fields("tenants.default", given["default"] ?? {}, OF_SHARE);
  checkShare("tenants.default", shared, limits);
  number("tenants.report", given["report"], 0, MOST_REPORTED, true);
  const usual = by === "key" ? "refuse" : "create";
  const unknown = readWord("unknown", given["unknown"] ?? usual, ["create", "refuse"]);
  if (by === "key" && unknown === "create") {
    throw wrong("tenants.unknown", '"refuse" where tenants are known by their keys');
  }
  const without = readWord("without", given["without"] ?? "refuse", ["refuse", NOBODY]);
  if (unknown === "refuse" && without === "refuse" && Object.keys(named).length === 0) {
    throw new ConfigError("tenants.named is empty: every request would be refused");
  }
  return {
    by,
    unknown: unknown as TenantsConfig["unknown"],
    without: without as TenantsConfig["without"],
    default: limited(shared),
    report: (given["report"] as number | undefined) ?? 10,
    named: Object.fromEntries(Object.entries(named).map(([id, tenant]) =>
      [id, limited({ ...shared, ...(tenant as GivenShare) })])),
  };
}

function readBy(value: unknown, providers: Fields, routes: Fields): TenantBy {
  const takes = wrong("tenants.by", '"key", "path" or {"header": NAME}');
  if (value === "path") {
    if (!(TENANT_PATH in { ...providers, ...routes })) return value;
    throw new ConfigError(`tenants.by: tenants' paths begin with /${TENANT_PATH}/, and so do those `
      + `of the provider or route "${TENANT_PATH}"`);
  }
  if (value === "key") {
    const passes = Object.entries(providers)
      .find(([, provider]) => (provider as Fields)["passClientKey"] === true);
    if (passes === undefined) return value;
    throw new ConfigError(`providers.${passes[0]}.passClientKey: tenants are known by their keys, `
      + "which no provider may get");
  }
  if (typeof value !== "object" || value === null) throw takes;
  const { header } = fields("tenants.by", value, ["header"]);
  if (typeof header !== "string") throw takes;
  const isFree = /^[a-z0-9_-]{1,64}$/.test(header) && !TAKEN.includes(header)
    && !header.startsWith("x-edgepool-");
  if (!isFree) throw wrong("tenants.by.header", "the name of a header of its own, in lower case");
  return { header };
}

function checkNamed(id: string, value: unknown, by: TenantBy, limits: Limits): void {
  if (faultOfId(id) !== undefined) {
    throw new ConfigError("tenants.named: an id has 1 to 63 ASCII letters, digits, _, - and ., "
      + `begins with a letter or a digit, and is not ${NOBODY}`);
  }
  const where = `tenants.named.${id}`;
  const tenant = fields(where, value, [...OF_SHARE, "keySha256"]);
  checkShare(where, tenant, limits);
  const digest = tenant["keySha256"];
  const isDigest = typeof digest === "string" && /^[0-9a-f]{64}$/.test(digest);
  if (by === "key" ? !isDigest : digest !== undefined) {
    const takes = by === "key" ? "64 hexadecimal digits" : 'nothing, unless tenants.by is "key"';
    throw wrong(`${where}.keySha256`, takes);
  }
}

function checkKeys(named: Record<string, NamedTenant>): void {
  const whose = new Map<string, string>();
  for (const [id, { keySha256: digest }] of Object.entries(named)) {
    if (digest === undefined) continue;
    const other = whose.get(digest);
    if (other !== undefined) {
      throw new ConfigError(`tenants.named: "${other}" and "${id}" have the same key`);
    }
    whose.set(digest, id);
  }
}

type Limits = Record<"max" | "maxWaiting", number>;

/** The most that any provider has, where all of them say it. */
function most(field: keyof Limits, providers: Fields): number {
  const all = Object.values(providers).map((provider) => (provider as Fields)[field]);
  const isTold = all.every((count) => Number.isInteger(count));
  return isTold ? Math.max(...(all as number[])) : MOST;
}

function checkShare(where: string, share: Fields, limits: Limits): void {
  const more = ", or null for no limit";
  number(`${where}.weight`, share["weight"], 1, MAX_WEIGHT, true);
  number(`${where}.max`, share["max"] ?? undefined, 1, limits.max, true, more);
  number(`${where}.maxWaiting`, share["maxWaiting"] ?? undefined, 0, limits.maxWaiting, true, more);
}

/** Leaves out what has no limit. */
function limited(share: GivenShare & Pick<NamedTenant, "keySha256">): NamedTenant {
  const said = Object.entries(share).filter(([, value]) => value !== null);
  return Object.fromEntries(said) as NamedTenant;
}

function readWord(field: string, value: unknown, words: readonly string[]): string {
  if (typeof value === "string" && words.includes(value)) return value;
  throw wrong(`tenants.${field}`, words.map((word) => `"${word}"`).join(" or "));
}
