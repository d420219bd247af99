// The Worker of the cases that need real requests. Everything above the handlers runs at module
// scope, where timers, random values and fetch throw.
import { AsyncLocalStorage } from "node:async_hooks";
import { Pool } from "edgepool";
import { ClientPool } from "edgepool/clients";
import cases from "../cases/index.mjs";
import { runAll } from "../lib/harness.mjs";

let made = 0;
const pool = new Pool({ create: () => ({ id: made++ }), max: 2, leaseTtl: 300, heartbeat: 100 });
const storage = new AsyncLocalStorage();
let clients;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Keeps both places for some time. */
async function hold(url) {
  const ms = Number(url.searchParams.get("ms"));
  await Promise.all([1, 2].map(() => pool.use(() => sleep(ms))));
  return "held";
}

/** Waits for a place, with nothing of its own that would keep its request alive. */
async function wait() {
  const lease = await pool.acquire();
  const { waited } = lease;
  lease.release();
  return waited;
}

/** Waits for a place, and then does I/O, which works only in a request's own context. */
async function waitThenFetch(url, env) {
  return pool.use(async () => (await fetch(`${env.ORIGIN}/plain`)).text());
}

/** Ends with a lease that is never released. */
async function leak() {
  await Promise.all([pool.acquire(), pool.acquire()]);
  return "leaked";
}

/** Works in a place until the client has gone. */
async function work(url, env, ctx, request) {
  const ms = Number(url.searchParams.get("ms"));
  await pool.use(() => sleep(ms), { ctx, request });
  return "worked";
}

async function context() {
  return storage.run("mine", async () => {
    const lease = await pool.acquire();
    const seen = storage.getStore();
    lease.release();
    return seen;
  });
}

/** Forwards to the origin through a client pool. */
function forward(url, env, ctx, request) {
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

function flags() {
  return globalThis.Cloudflare?.compatibilityFlags ?? {};
}

const ROUTES = {
  "/cases": everyCase,
  "/hold": hold,
  "/wait": wait,
  "/wait-then-fetch": waitThenFetch,
  "/leak": leak,
  "/work": work,
  "/context": context,
  "/stats": () => JSON.stringify(pool.stats()),
  "/client-stats": () => JSON.stringify(clients.stats().total),
  "/doorbell": () => flags().handle_cross_request_promise_resolution === true,
};

export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    if (url.pathname.startsWith("/forward/")) return forward(url, env, ctx, request);
    const run = ROUTES[url.pathname];
    if (run === undefined) return new Response("no such route", { status: 404 });
    return new Response(String(await run(url, env, ctx, request)));
  },
};
