import {
  type ClientEvent, ClientPool, type ClientPoolStats, type ClientTenantsOptions, type PooledFetch,
  type ProviderOptions, type ProviderTenants,
} from "edgepool/clients";

import { type GatewayConfig, LEASE_TTL, type ProviderConfig } from "./config.js";
import { NOBODY } from "./tenant-id.js";
import type { TenantsConfig } from "./tenants-config.js";

/**
 * How many tenants that are not named each provider keeps: whoever may choose an id can make as
 * many, and `/stats` and `/metrics` look at all of them.
 */
const MOST_KEPT = 1_000;

/** Reads a variable of the environment. */
interface Variables {
  variable(name: string): string | undefined;
}

/** What is known of the providers by name, and the sums of their counts. */
export type PoolsStats = Pick<ClientPoolStats, "providers" | "total">;

/**
 * The providers of the gateway: each has its own limits, even where two are the same service. A
 * route has none of its own.
 */
export class Pools {
  /** What the gateway has a key for, or headers, which may be keys: providers, and their routes. */
  readonly keyed: ReadonlySet<string>;
  private readonly clients: ClientPool;
  private readonly fetches = new Map<string, PooledFetch>();
  private readonly addresses = new Map<string, string[]>();
  private readonly reported: number | undefined;

  /** Throws a TypeError that names the option if one is unknown, or its value is wrong. */
  constructor(config: GatewayConfig, env: Variables, observer: (event: ClientEvent) => void) {
    const keyed = new Set<string>();
    const providers: Record<string, ProviderOptions> = {};
    for (const [name, provider] of Object.entries(config.providers)) {
      const { keyEnv, simulator: _, passClientKey = false, ...options } = provider;
      const apiKey = keyEnv === undefined ? undefined : env.variable(keyEnv);
      if (apiKey || Object.keys(provider.headers ?? {}).length > 0) keyed.add(name);
      // Where none is to be passed the gateway has dropped it, and so it may have none at all.
      const key = apiKey ? { apiKey, passClientKey } : { passClientKey: true };
      providers[name] = { ...options, ...key, onRefusal: "respond", pool: name };
      this.addresses.set(name, addressesOf(provider));
    }
    this.reported = config.tenants?.report;
    this.clients = new ClientPool({ ...settings(config), providers, observer });
    for (const name of Object.keys(providers)) this.fetches.set(name, this.clients.fetch(name));
    for (const [name, route] of Object.entries(config.routes ?? {})) {
      this.fetches.set(name, this.clients.fetchAny(route));
      if (route.some((one) => keyed.has(one))) keyed.add(name);
    }
    this.keyed = keyed;
  }

  fetch(name: string): PooledFetch {
    return this.fetches.get(name) as PooledFetch;
  }

  /** Finds which endpoint of a provider has answered, from 1 on; 0 is none of them. */
  endpointOf(name: string, url: string): number {
    const isBelow = (base: string) => url === base || url.startsWith(`${base}/`)
      || url.startsWith(`${base}?`);
    return (this.addresses.get(name) ?? []).findIndex(isBelow) + 1;
  }

  stats(): PoolsStats {
    return this.clients.stats();
  }

  /** Tells of the tenants of each provider: by their names as many as the configuration says. */
  tenants(): Record<string, ProviderTenants> {
    return this.clients.tenants(this.reported);
  }
}

function settings({ scope, leaseTtl, heartbeat, tenants }: GatewayConfig) {
  // A heartbeat is that of a time to live, which only Workers have without being told.
  const life = leaseTtl ?? (heartbeat === undefined ? undefined : LEASE_TTL);
  return {
    // All requests of an object share one context: none of them takes its place along when it ends.
    ...(scope === "object" ? { mode: "durable-object" as const } : {}),
    ...(life === undefined ? {} : { leaseTtl: life }),
    ...(heartbeat === undefined ? {} : { heartbeat }),
    ...(tenants === undefined ? {} : { tenants: shares(tenants) }),
  };
}

function shares({ named, default: usual, unknown, without }: TenantsConfig): ClientTenantsOptions {
  const own = Object.entries(named).map(([id, { keySha256: _, ...share }]) => [id, share] as const);
  const nobody = without === "nobody" ? { [NOBODY]: usual } : {};
  const shares = { named: { ...Object.fromEntries(own), ...nobody }, unknown };
  // Where the others are refused, they have no share, and none is kept.
  return unknown === "refuse" ? shares : { ...shares, default: usual, maxKept: MOST_KEPT };
}

function addressesOf({ baseURL, endpoints }: ProviderConfig): string[] {
  const list = endpoints ?? (baseURL === undefined ? [] : [baseURL]);
  return list.map((one) => (typeof one === "string" ? one : one.baseURL));
}
