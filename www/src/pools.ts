import {
  type ClientEvent, ClientPool, type ClientPoolStats, type PooledFetch,
} from "edgepool/clients";

import { type GatewayConfig, LEASE_TTL, type ProviderConfig } from "./config.js";

/** Reads a variable of the environment. */
interface Variables {
  variable(name: string): string | undefined;
}

type Counts = ClientPoolStats["total"];

/** What is known of all pools: those of the providers by name, and the sums of their counts. */
export interface PoolsStats {
  providers: ClientPoolStats["providers"];
  total: Counts;
}

/**
 * The client pools of the gateway, one for each provider: each has its own limits, even where two
 * are the same service.
 */
export class Pools {
  /** The providers that the gateway has a key for, or headers, which may be keys. */
  readonly keyed: ReadonlySet<string>;
  private readonly pools = new Map<string, ClientPool>();
  private readonly fetches = new Map<string, PooledFetch>();
  private readonly addresses = new Map<string, string[]>();

  /** Throws a TypeError that names the option if one is unknown, or its value is wrong. */
  constructor(config: GatewayConfig, env: Variables, observer: (event: ClientEvent) => void) {
    const keyed = new Set<string>();
    for (const [name, provider] of Object.entries(config.providers)) {
      const { keyEnv, simulator: _, passClientKey = false, ...options } = provider;
      const apiKey = keyEnv === undefined ? undefined : env.variable(keyEnv);
      if (apiKey || Object.keys(provider.headers ?? {}).length > 0) keyed.add(name);
      // Where none is to be passed the gateway has dropped it, and so it may have none at all.
      const key = apiKey ? { apiKey, passClientKey } : { passClientKey: true };
      const providers = { [name]: { ...options, ...key, onRefusal: "respond" as const } };
      const pool = new ClientPool({ ...settings(config), providers, observer, name });
      this.pools.set(name, pool);
      this.fetches.set(name, pool.fetch(name));
      this.addresses.set(name, addressesOf(provider));
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
    const each = [...this.pools].map(([name, pool]) => [name, pool.stats(name)] as const);
    const total: Record<string, number> = {};
    for (const [, stats] of each) {
      for (const [field, value] of Object.entries(stats)) {
        if (typeof value === "number") total[field] = (total[field] ?? 0) + value;
      }
    }
    return { providers: Object.fromEntries(each), total: total as unknown as Counts };
  }
}

function settings({ scope, leaseTtl, heartbeat }: GatewayConfig) {
  // A heartbeat is that of a time to live, which only Workers have without being told.
  const life = leaseTtl ?? (heartbeat === undefined ? undefined : LEASE_TTL);
  return {
    // All requests of an object share one context: none of them takes its place along when it ends.
    ...(scope === "object" ? { mode: "durable-object" as const } : {}),
    ...(life === undefined ? {} : { leaseTtl: life }),
    ...(heartbeat === undefined ? {} : { heartbeat }),
  };
}

function addressesOf({ baseURL, endpoints }: ProviderConfig): string[] {
  const list = endpoints ?? (baseURL === undefined ? [] : [baseURL]);
  return list.map((one) => (typeof one === "string" ? one : one.baseURL));
}
