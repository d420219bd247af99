import type { ProviderKind, ProviderOptions } from "edgepool/clients";

import { ConfigError, type Fields, fields, number, wrong } from "./checks.js";
import { hostName } from "./hosts.js";
import { type TenantsConfig, readTenants } from "./tenants-config.js";

export { ConfigError };

/** What a provider speaks, and so where its key goes. */
export type Kind = ProviderKind;

/** What the gateway says itself, for all providers. */
type Own = "apiKey" | "apiKeyEnv" | "onRefusal" | "passClientKey";

/** One provider as `EDGEPOOL_CONFIG` has it: the client pool's options, which checks them. */
export interface ProviderConfig extends Omit<ProviderOptions, Own> {
  /** Passes the key that a client sends, instead of dropping it. */
  passClientKey?: boolean;
  /** Says that this is no real provider, wherever it shows. */
  simulator?: boolean;
  /** The variable of the environment that has the key. */
  keyEnv?: string;
}

/**
 * How far the limits reach: over the isolate that a request is in (or the process), or over all
 * isolates together, as the gateway is in a Durable Object.
 */
export type Scope = "isolate" | "object";

/**
 * The gateway's configuration. The keys are not in it, but in the environment; the headers of a
 * provider are, and may be keys.
 */
export interface GatewayConfig {
  scope: Scope;
  providers: Record<string, ProviderConfig>;
  /** Names under which one provider after the other is asked, in their order. */
  routes?: Record<string, string[]>;
  /** Whose requests they are, and what each tenant may have; without it they are no tenant's. */
  tenants?: TenantsConfig;
  /** The host names that the gateway answers to, beside loopback and the address it listens on. */
  hosts?: string[];
  leaseTtl?: number;
  heartbeat?: number;
}

const OWN = ["apiKey", "apiKeyEnv", "onRefusal"];
const TOP_FIELDS = ["scope", "providers", "routes", "tenants", "hosts", "leaseTtl", "heartbeat"];
/** The paths of the gateway itself; no provider can have their names. */
const RESERVED = ["stats", "metrics", "healthz"];
/** Below the number of timers that workerd allows to a Worker. */
const MOST_WAITING = 9_000;
/** Whoever has less than its share of a full queue may wait all the same, in as long a one. */
const MOST_WAITING_TENANTS = MOST_WAITING / 2;
/** What the package takes in a Worker if nothing is said. */
export const LEASE_TTL = 15_000;
const NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/;

/**
 * Reads the configuration from the text of `EDGEPOOL_CONFIG`.
 *
 * Throws a `ConfigError` that names the field and the accepted values.
 */
export function readConfig(text: string | undefined): GatewayConfig {
  if (!text) {
    throw new ConfigError(
      "EDGEPOOL_CONFIG is not set: it takes the gateway's configuration as JSON, such as "
        + '{"scope":"isolate","providers":{"local":{"kind":"openai",'
        + '"baseURL":"http://127.0.0.1:9000","max":4}}}',
    );
  }
  const config = fields("EDGEPOOL_CONFIG", parse(text), TOP_FIELDS);
  const scope = config["scope"] ?? "isolate";
  if (scope !== "isolate" && scope !== "object") {
    throw wrong("scope", '"isolate" or "object" (one Durable Object, in workerd)');
  }
  checkLease(config["leaseTtl"], config["heartbeat"]);
  checkHosts(config["hosts"]);
  const providers = fields("providers", config["providers"]);
  if (Object.keys(providers).length === 0) {
    throw new ConfigError("providers is empty: the gateway needs one provider at least");
  }
  const mostWaiting = config["tenants"] === undefined ? MOST_WAITING : MOST_WAITING_TENANTS;
  for (const [name, provider] of Object.entries(providers)) {
    checkProvider(name, provider, mostWaiting);
  }
  for (const [name, route] of Object.entries(fields("routes", config["routes"] ?? {}))) {
    checkRoute(name, route, providers);
  }
  return { ...config, ...tenantsIn(config, providers), scope } as unknown as GatewayConfig;
}

function tenantsIn(config: Fields, providers: Fields): Pick<GatewayConfig, "tenants"> {
  if (config["tenants"] === undefined) return {};
  return { tenants: readTenants(config["tenants"], providers, (config["routes"] ?? {}) as Fields) };
}

function checkHosts(hosts: unknown): void {
  if (hosts === undefined) return;
  const isHost = (host: unknown) => typeof host === "string" && hostName(host) !== undefined;
  if (Array.isArray(hosts) && hosts.every(isHost)) return;
  throw wrong("hosts", "a list of host names without a scheme or port");
}

function checkLease(leaseTtl: unknown, heartbeat: unknown): void {
  // A third of it is the heartbeat where none is given, of 1 ms at least.
  number("leaseTtl", leaseTtl, heartbeat === undefined ? 3 : 2, Infinity);
  const half = ((leaseTtl as number | undefined) ?? LEASE_TTL) / 2;
  number("heartbeat", heartbeat, 1, half, false, ", half of leaseTtl at most");
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The error's own message has a piece of the text in it.
    throw new ConfigError("EDGEPOOL_CONFIG is not JSON");
  }
}

function checkName(where: string, name: string): void {
  if (NAME.test(name) && !RESERVED.includes(name)) return;
  throw new ConfigError(
    `${where}: "${name}" is no name for one; it takes up to 64 of a-z, 0-9, _ and -, `
      + `a letter or digit first, and none of ${RESERVED.join(", ")}`,
  );
}

/** What the providers speak is for the client pool to compare. */
function checkRoute(name: string, value: unknown, providers: Fields): void {
  checkName("routes", name);
  if (Object.hasOwn(providers, name)) {
    throw new ConfigError(`routes: a provider is named "${name}"; each needs a name of its own`);
  }
  const known = Object.keys(providers);
  const isRoute = Array.isArray(value) && value.length > 0
    && value.every((one) => known.includes(one)) && new Set(value).size === value.length;
  if (!isRoute) throw wrong(`routes.${name}`, `a list of providers, each once: ${known.join(", ")}`);
}

function checkProvider(name: string, value: unknown, mostWaiting: number): void {
  checkName("providers", name);
  const where = `providers.${name}`;
  const provider = fields(where, value);
  const own = OWN.find((field) => field in provider);
  if (own !== undefined) {
    throw new ConfigError(`${where}: ${own} is no option of a gateway; a key comes by keyEnv`);
  }
  number(`${where}.maxWaiting`, provider["maxWaiting"], 0, mostWaiting, true);
  for (const field of ["passClientKey", "simulator"]) {
    const flag = provider[field];
    if (flag !== undefined && typeof flag !== "boolean") {
      throw wrong(`${where}.${field}`, "true or false");
    }
  }
  const keyEnv = provider["keyEnv"];
  if (keyEnv !== undefined && (typeof keyEnv !== "string" || keyEnv === "")) {
    throw wrong(`${where}.keyEnv`, "the name of a variable");
  }
}
