// What a user writes against the published types; it is compiled and not run.
import {
  Lease as LeaseClass, type Lease, Pool, type PoolOptions, type PoolState, type PoolStats,
} from "edgepool";
import {
  type ChatAnswer, type ChatEvent, type ClientEvent, ClientPool, ClientRegistry,
  PooledEmbeddingClient, ProviderError,
} from "edgepool/clients";
import { init } from "edgepool/slim";
import { ClientPool as SlimClientPool, initClients } from "edgepool/slim/clients";
import { TenantPools as SlimTenantPools, initTenants } from "edgepool/slim/tenants";
import {
  PoolTenant, type PoolTenantStats, SharedPool, type Tenant, type TenantEntry, type TenantEvent,
  TenantPools, type TenantPoolsOptions, type TenantShare, type TenantState, type TenantStats,
} from "edgepool/tenants";

interface Connection {
  query(text: string): Promise<string[]>;
  end(): Promise<void>;
}
declare function connect(): Promise<Connection>;
declare const ctx: { waitUntil(promise: Promise<unknown>): void };
declare const request: Request;

const options: PoolOptions<Connection> = {
  create: connect, close: (connection) => connection.end(), max: 3, mode: "edge",
};

export async function useLeases(): Promise<string[]> {
  await using pool = new Pool(options);
  using first: Lease<Connection> = await pool.acquire({ ctx, request, timeout: 100 });
  await using second = await pool.acquire();
  const idle: Lease<Connection> | undefined = pool.tryAcquire();
  idle?.discard();
  const rows = await first.value.query("select 1");
  const stats: PoolStats = pool.stats();
  const state: PoolState = pool.state;
  const more = await pool.use((connection) => connection.query(`select ${stats.idle}`), { ctx });
  return [...rows, ...more, String(second.slot), state];
}

export async function call(): Promise<Response> {
  const observer = (event: ClientEvent): void => void event.provider;
  const clients = new ClientPool({
    providers: { p: { kind: "openai", baseURL: "http://127.0.0.1:9/v1", max: 2 } }, observer,
  });
  const left: number = await clients.close({ deadline: 10 });
  return left > 0 ? clients.fetch("p")("/v1/models", { ctx, request }) : new Response();
}

export async function talk(): Promise<ChatAnswer> {
  await using clients = ClientPool.fromEnv({ OLLAMA_HOST: "h" }, { registry: new ClientRegistry() });
  using client = clients.get("ollama");
  const messages = [{ role: "user", content: ["Hi", { type: "image", url: "http://h/" }] }] as const;
  await using stream = client.stream({ messages, tools: [{ name: "add" }] }, { ctx, request });
  for await (const event of stream) {
    const told: ChatEvent = event;
    if (told.type === "text") console.log(told.text.length);
  }
  const [vector] = await clients.embed("ollama", ["a"], { dimensions: 3 });
  const one: Float32Array = await new PooledEmbeddingClient(clients, "ollama").getEmbedding("a");
  const { service } = clients.stats("ollama");
  try {
    return await clients.chatAny(["a", "b"], { messages }, { retries: 0, totalTimeout: 10 });
  } catch (error) {
    if (error instanceof ProviderError && error.class === "truncated") throw error;
    throw new Error(`${vector?.length} ${one.length} ${service.endpoints[0]?.breaker}`);
  }
}

const tenantOptions: TenantPoolsOptions<Connection> = {
  strategy: { perDatabase: { maxDatabases: 10, poolSize: 2 } },
  create: async ({ id, database }: Tenant, { signal }) => {
    signal.throwIfAborted();
    console.log(id, database?.length);
    return connect();
  },
  close: (connection) => connection.end(),
  budget: 15, unknown: "refuse", tenants: { acme: { weight: 2, max: 3, database: "acme" } },
  observer: (event: TenantEvent, tenant) => {
    if (event.type === "state") console.log(tenant.id, event.state === "draining");
    else if (event.type === "leaves") console.log(event.reason);
  },
};

export async function serveTenants(): Promise<string[]> {
  await using tenants = new TenantPools(tenantOptions);
  await using lease: Lease<Connection> = await tenants.acquire("acme", { ctx, request });
  const entry: TenantEntry = await tenants.getOrCreate("acme", { timeout: 10 });
  const stats: TenantStats | undefined = tenants.stats(entry.id);
  const state: TenantState = tenants.state("acme");
  const [holder] = await tenants.remove("acme", { deadline: 0 });
  await lease.value.query("select 1");
  // @ts-expect-error A tenant is named by a text.
  await tenants.acquire(1).catch(() => undefined);
  return tenants.use("beta", (connection) => connection.query(
    `${state} ${stats?.inUse} ${holder?.tenant} ${tenants.totals().evicted}`));
}

/** The same options, for one pool. */
export const sharedOptions: TenantPoolsOptions<Connection> = {
  strategy: { shared: { size: 10 } },
  create: connect,
  enter: (connection, { id }, { signal }) => signal.aborted ? undefined : connection.query(id),
  reset: (connection) => connection.query("discard all"),
  tenants: { acme: { weight: 2, max: 3, maxWaiting: 10 } },
};

// @ts-expect-error There is one strategy.
export const noStrategy = new TenantPools({ create: connect });

export async function shareAPool(share: TenantShare): Promise<number> {
  await using pool = new SharedPool(options);
  const tenant: PoolTenant = pool.tenant(share);
  using lease: Lease<Connection> = await pool.acquire({ tenant, ctx, request, priority: "high" });
  const rows = await pool.use((connection) => connection.query("select 1"), { tenant });
  const more = await pool.acquireMany(2, { tenant, timeout: 10 });
  const idle = pool.tryAcquire(tenant);
  const { inUse, longestWait }: PoolTenantStats = tenant.stats();
  tenant.setShare({ weight: 2, max: Infinity });
  tenant.endWaits();
  tenant.close();
  // @ts-expect-error A plain pool has no tenants.
  await new Pool(options).acquire({ tenant }).catch(() => undefined);
  // @ts-expect-error A tenant is what the pool gave.
  await pool.acquire({ tenant: "acme" }).catch(() => undefined);
  const { weight, max } = tenant.share;
  return inUse + longestWait + weight + max + rows.length + more.length + lease.slot
    + Number(tenant.isClosed) + Number(idle?.slot);
}

// @ts-expect-error Only a pool makes its tenants.
export const forgedTenant = new PoolTenant();

export async function callForTenants(): Promise<number> {
  const clients = new ClientPool({
    providers: { p: { kind: "openai", max: 2 } },
    tenants: { named: { acme: { weight: 3 } }, default: { max: 1 }, unknown: "create" },
  });
  await clients.fetch("p")("/v1/models", { request, ctx, tenant: "acme" });
  await clients.chat("p", { messages: [] }, { tenant: "acme" });
  const { tenants, rest, total } = clients.tenants(5)["p"] ?? {};
  return (tenants?.[0]?.share.max ?? 0) + (rest?.tenants ?? 0) + (total?.acquired ?? 0);
}

export const slimTenants: typeof TenantPools = SlimTenantPools;
export const startTenants: (module: WebAssembly.Module) => void = initTenants;
export const start: (module: WebAssembly.Module) => void = init;
export const startClients: (module: WebAssembly.Module) => void = initClients;
export const imported: Promise<{ default: WebAssembly.Module }> = import("edgepool/edgepool.wasm");
export const slimClients: typeof ClientPool = SlimClientPool;

// @ts-expect-error Only a pool makes leases.
export const forged = new LeaseClass();
