// The servers of a test: the simulator and the gateway in processes of their own, and a backend
// that the test writes itself.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Child, RUNTIME, SCOPE, XTASK } from "./process.mjs";
import { eventually, sleep, within } from "./time.mjs";

/** Long enough for a build; a warm start takes a few seconds. */
const START_MS = Number(process.env.EDGEPOOL_START_MS ?? 300_000);

export async function getJson(url) {
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** Starts a simulator; options as on its command line, such as `{ max: 4, "latency-ms": 5 }`. */
export async function startSimulator(options = {}) {
  const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
  const child = new Child(XTASK, ["simulate", "--port=0", ...args]);
  const [, url] = await child.line(/^simulator (http:\S+)$/m, 20_000);
  return {
    url,
    child,
    stats: () => getJson(`${url}/_sim/stats`),
    reset: () => fetch(`${url}/_sim/reset`, { method: "POST" }),
    /** Waits until nothing is in flight; gives the statistics. */
    rest: async (ms = 5_000) => {
      const quiet = async () => {
        const stats = await getJson(`${url}/_sim/stats`);
        return stats.in_flight === 0 && stats;
      };
      return (await eventually(ms, "the simulator is at rest", quiet)).seen;
    },
    stop: () => child.stop(),
  };
}

function inline(value) {
  if (Array.isArray(value)) return `[${value.map(inline).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  return `{ ${Object.entries(value).map(([key, one]) => `${key} = ${inline(one)}`).join(", ")} }`;
}

/** Writes a table of plain values and lists as TOML; nested objects become tables. */
export function toml(tables) {
  const lines = [];
  const write = (name, table) => {
    const entries = Object.entries(table);
    const isPlain = (value) => typeof value !== "object" || Array.isArray(value);
    const plain = entries.filter(([, value]) => isPlain(value));
    if (plain.length > 0) lines.push(`[${name}]`);
    for (const [key, value] of plain) lines.push(`${key} = ${inline(value)}`);
    for (const [key, value] of entries) {
      if (!isPlain(value)) write(`${name}.${key}`, value);
    }
  };
  for (const [name, table] of Object.entries(tables)) write(name, table);
  return `${lines.join("\n")}\n`;
}

/**
 * Starts the gateway of `runtime` with `config` (the tables of its file), and waits for `ready`.
 * `providers: { name: { kind, url, max, ... } }` is the usual table.
 */
export async function startGateway(config, { runtime = RUNTIME, env = {}, args = [] } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "edgepool-test-"));
  const file = join(folder, "gateway.toml");
  writeFileSync(file, toml(config));
  const options = ["--runtime", runtime, "--port", "0", "--config", file, ...args];
  if (SCOPE !== undefined) options.push("--scope", SCOPE);
  const child = new Child(XTASK, ["serve", ...options], { env });
  const remove = () => rmSync(folder, { recursive: true, force: true });
  child.ended.then(remove);
  try {
    await child.line(/^ready$/m, START_MS);
  } catch (error) {
    await child.stop();
    throw error;
  }
  const url = child.stdout.match(/^gateway\s+(http:\/\/[^\s/]+)\/?/m)[1];
  const stats = async (provider) => {
    const all = await getJson(`${url}/stats`);
    return provider === undefined ? all : all.providers[provider];
  };
  /** Waits until nobody holds or waits; gives the time that it took, and the statistics. */
  const rest = (provider, ms) =>
    eventually(ms, `${provider} is at rest`, async () => {
      const now = await stats(provider);
      return now.in_use === 0 && now.waiting === 0 && now;
    });
  return { url, runtime, child, stats, rest, stop: (signal) => child.stop(signal) };
}

/** Starts a backend in this process; `handler(request, response)` as of node:http. */
export async function startBackend(handler, options = {}) {
  const server = createServer(options, handler);
  const sockets = new Set();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    port: server.address().port,
    server,
    sockets,
    stop: () => {
      const closed = new Promise((done) => server.close(done));
      for (const socket of sockets) socket.destroy();
      return within(5_000, "the end of a backend", closed);
    },
  };
}

/** A backend that answers slowly in two parts, and counts how many it serves at once. */
export async function slowBackend() {
  const seen = { now: 0, peak: 0 };
  const server = await startBackend(async (request, response) => {
    seen.now += 1;
    seen.peak = Math.max(seen.peak, seen.now);
    response.on("close", () => (seen.now -= 1));
    response.write(`${request.method} `);
    await sleep(20);
    response.end("answered");
  });
  return { seen, server };
}
