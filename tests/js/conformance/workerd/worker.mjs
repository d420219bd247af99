// The Worker of the cases that need real requests. Everything above the handlers runs at module
// scope, where timers, random values and the like throw.
import { called, endWatch, memories, refused, ruin } from "./guard.mjs";
import { AsyncLocalStorage } from "node:async_hooks";
import { Pool } from "edgepool";
import { ClientPool } from "edgepool/clients";
import { TenantPools } from "edgepool/tenants";
import cases from "../cases/index.mjs";
import { runAll } from "../lib/harness.mjs";
import { borrowBody, lendBody, mingle, mingled } from "./mingle.mjs";

const instancesAtImport = memories.length;
const calledAtImport = called.splice(0);
let made = 0;
const early = new Pool({ create: () => ({ id: made++ }), max: 2, close: () => undefined });
const storage = new AsyncLocalStorage();
const calledAtNew = endWatch();

const pools = new Map([["early", early]]);
const kept = new Map();
const houses = new Map();
const letGo = new Map();
let turn = 0;
let clients;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const query = (url, name, fallback = 0) => Number(url.searchParams.get(name) ?? fallback);

/** Finds the pool that a request names; the first one to name it says how it is made. */
function poolOf(url) {
  const name = url.searchParams.get("pool");
  if (!pools.has(name)) pools.set(name, makePool(url));
  return pools.get(name);
}

function makePool(url) {
  const createMs = query(url, "createMs");
  const closeMs = query(url, "closeMs");
  const later = async () => {
    await sleep(createMs);
    return { id: made++ };
  };
  return new Pool({
    create: createMs > 0 ? later : () => ({ id: made++ }),
    close: closeMs > 0 ? () => sleep(closeMs) : undefined,
    max: query(url, "max", 2),
    maxWaiting: query(url, "maxWaiting", 1_000),
    acquireTimeout: query(url, "acquireTimeout", 30_000),
    createTimeout: query(url, "createTimeout", 10_000),
    leaseTtl: query(url, "ttl", 9_000),
    heartbeat: query(url, "ttl", 9_000) / 3,
    ...(url.searchParams.has("offerTimeout") ? { offerTimeout: query(url, "offerTimeout") } : {}),
  });
}

/** What an acquire is told of its request, which is nothing if the client says so. */
function scopeOf({ url, ctx, request }) {
  return query(url, "bare") === 1 ? undefined : { ctx, request };
}

/** Works in `n` places for some time, or until another request says so. */
async function hold({ url, pool, scope }) {
  const ms = query(url, "ms", Infinity);
  const work = () => (ms < Infinity ? sleep(ms) : untilLetGo(pool));
  await Promise.all(Array.from({ length: query(url, "n", 1) }, () => pool.use(work, scope)));
  return "held";
}

async function untilLetGo(pool) {
  const before = letGo.get(pool) ?? 0;
  while ((letGo.get(pool) ?? 0) === before) await sleep(10);
}

/** Ends what is held in a pool. */
function endHold({ pool }) {
  return letGo.set(pool, (letGo.get(pool) ?? 0) + 1).get(pool);
}

/** Waits for a place, with nothing of its own that would keep its request alive. */
async function wait({ pool, scope }) {
  const lease = await pool.acquire(scope);
  const { waited } = lease;
  const { id } = lease.value;
  turn += 1;
  const served = turn;
  lease.release();
  return JSON.stringify({ waited, id, served });
}

/** Waits for a place, and then does I/O, which works only in a request's own context. */
async function waitThenWork({ url, env, pool, request, scope }) {
  const store = url.searchParams.get("store");
  return storage.run(store, async () => {
    const lease = await pool.acquire(scope);
    const seen = [storage.getStore()];
    const fetched = await (await fetch(`${env.ORIGIN}/plain`)).text();
    await sleep(1);
    const body = await request.text();
    lease.release();
    seen.push(storage.getStore());
    seen.push(await pool.use(() => storage.getStore()));
    return JSON.stringify({ waited: lease.waited, fetched, body, seen });
  });
}

/** Finds the tenants that a request names; the first one to name them says how many pools. */
function houseOf(url) {
  const name = url.searchParams.get("house");
  if (!houses.has(name)) {
    const isShared = url.searchParams.has("shared");
    houses.set(name, new TenantPools(isShared ? SHARED_HOUSE : {
      strategy: { perTenant: { maxPools: query(url, "maxPools", 1), poolSize: 1 } },
      create: ({ id }) => ({ id }),
      budget: query(url, "budget", Infinity),
    }));
  }
  return houses.get(name);
}

/** A connection for all, on which the tenant called slow takes longer to be than a lease lives. */
const SHARED_HOUSE = {
  strategy: { shared: { size: 1 } },
  create: () => ({}),
  enter: async (connection, { id }) => {
    await sleep(id === "slow" ? 3_000 : 1);
    connection.id = `${connection.id ?? ""}${id}`;
  },
  reset: (connection) => {
    delete connection.id;
  },
  leaseTtl: 1_000,
};

/**
 * Works with a tenant's resource, with I/O that works in a request's own context, and then for some
 * time or until another request says so.
 */
function tenant({ url, env, request, scope }) {
  const house = houseOf(url);
  return house.use(url.searchParams.get("tenant"), async ({ id }) => {
    const fetched = await (await fetch(`${env.ORIGIN}/plain`)).text();
    const ms = query(url, "ms");
    await (ms < Infinity ? sleep(ms) : untilLetGo(house));
    return JSON.stringify({ id, fetched, body: await request.text() });
  }, scope);
}

/** Ends with leases that are never released. */
async function leak({ url, pool }) {
  await Promise.all(Array.from({ length: query(url, "n", 1) }, () => pool.acquire()));
  return "leaked";
}

/** Keeps `n` leases for another request. */
async function keep({ url, pool }) {
  const all = Array.from({ length: query(url, "n", 1) }, () => pool.acquire());
  const leases = await Promise.all(all);
  kept.set(url.searchParams.get("pool"), leases);
  return leases.map(({ value }) => value.id).join();
}

/** Ends the leases that another request has acquired. */
function endKept({ url }) {
  const leases = kept.get(url.searchParams.get("pool"));
  const discard = url.searchParams.get("how") === "discard";
  return leases.map((lease) => (discard ? lease.discard() : lease.release())).join();
}

/** Discards what it holds and ends at once. */
async function spoil({ pool, url }) {
  const lease = await pool.acquire();
  await sleep(query(url, "ms"));
  lease.discard();
  return "discarded";
}

/** Answers with a body of the origin, which holds a place to its end. */
async function stream({ url, env, pool, scope, request }) {
  const clock = query(url, "clock", 700);
  let lease;
  try {
    lease = await pool.acquire(scope);
  } catch (error) {
    return new Response(error.code, { status: 503 });
  }
  const upgrade = request.headers.get("upgrade");
  const init = {
    ...(scope !== undefined && { signal: request.signal }),
    ...(upgrade !== null && { headers: { upgrade } }),
  };
  const answer = fetch(`${env.ORIGIN}${url.searchParams.get("path")}`, init);
  return lease.bind(answer, { firstContentTimeout: clock, stallTimeout: clock });
}

/** Waits many times at once. */
async function flood({ url, pool }) {
  const counts = {};
  const one = async () => {
    try {
      const lease = await pool.acquire();
      lease.release();
      return "served";
    } catch (error) {
      return error.code ?? String(error);
    }
  };
  const all = await Promise.all(Array.from({ length: query(url, "n") }, one));
  for (const end of all) counts[end] = (counts[end] ?? 0) + 1;
  return JSON.stringify(counts);
}

/** Acquires and releases, one after the other. */
async function cycle({ url, pool }) {
  for (let left = query(url, "n"); left > 0; left -= 1) (await pool.acquire()).release();
  return memory();
}

async function close({ url, pool }) {
  const left = await pool.close({ deadline: query(url, "deadline") });
  return JSON.stringify(left);
}

/** Says how an acquire ends. */
async function end({ pool }) {
  try {
    (await pool.acquire()).release();
    return "served";
  } catch (error) {
    return `${error.name} ${error.code}`;
  }
}

/** Says what a pool with these options makes of them. */
function options({ url }) {
  try {
    makePool(url);
    return "accepted";
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
}

/** Forwards to the origin through a client pool. */
function forward({ url, env, ctx, request }) {
  clients ??= new ClientPool({
    providers: {
      origin: {
        kind: "http", baseURL: env.ORIGIN, max: 2, maxWaiting: 500, onRefusal: "respond",
        firstContentTimeout: 700, stallTimeout: 700,
      },
    },
    leaseTtl: 900,
    heartbeat: 300,
  });
  const path = url.pathname.slice("/forward".length) + url.search;
  return clients.fetch("origin")(path, { ctx, request });
}

async function everyCase() {
  const lines = [];
  const { passed, failed } = await runAll(cases, (line) => lines.push(line));
  return [...lines, `RESULT ${passed} ${failed}`].join("\n");
}

/** The sizes of the wasm memories, after a collection of garbage where one can be asked for. */
function memory() {
  globalThis.gc?.();
  return JSON.stringify(memories.map(({ buffer }) => buffer.byteLength));
}

function trap() {
  ruin();
  return "ruined";
}

/** What this runtime is, and what happened at module scope. */
function facts({ request }) {
  const flags = globalThis.Cloudflare?.compatibilityFlags ?? {};
  return JSON.stringify({
    doorbell: flags.handle_cross_request_promise_resolution === true,
    requestSignal: flags.enable_request_signal === true,
    signal: request.signal instanceof AbortSignal,
    registry: typeof FinalizationRegistry === "function",
    node: flags.nodejs_compat === true,
    calledAtImport, calledAtNew, refused, instancesAtImport,
  });
}

const ROUTES = {
  "/cases": everyCase,
  "/hold": hold,
  "/let-go": endHold,
  "/wait": wait,
  "/wait-then-work": waitThenWork,
  "/tenant": tenant,
  "/tenants": ({ url }) => JSON.stringify(houseOf(url).totals()),
  "/let-tenant-go": ({ url }) => endHold({ pool: houseOf(url) }),
  "/leak": leak,
  "/keep": keep,
  "/end-kept": endKept,
  "/spoil": spoil,
  "/stream": stream,
  "/flood": flood,
  "/cycle": cycle,
  "/close": close,
  "/end": end,
  "/options": options,
  "/mingle": mingle,
  "/mingled": mingled,
  "/lend-body": lendBody,
  "/borrow-body": borrowBody,
  "/memory": memory,
  "/trap": trap,
  "/facts": facts,
  "/stats": ({ pool }) => JSON.stringify(pool.stats()),
  "/client-stats": () => JSON.stringify(clients.stats().total),
};

export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    const call = { url, env, ctx, request };
    if (url.pathname.startsWith("/forward/")) return forward(call);
    const run = ROUTES[url.pathname];
    if (run === undefined) return new Response("no such route", { status: 404 });
    if (url.searchParams.has("pool")) call.pool = poolOf(url);
    call.scope = scopeOf(call);
    const answer = await run(call);
    return answer instanceof Response ? answer : new Response(String(answer));
  },
};
