// Measures provider objects that share a dispatcher of undici, and those that have one each:
//   objects.mjs ROUNDS PROJECT [REQUESTS]      (so many of each object; 20)
// It starts its copy in the project for each variant in each round.

import { execFile } from "node:child_process";
import { createServer } from "node:http";
import { join } from "node:path";
import { promisify } from "node:util";

const OBJECTS = 50;

const VARIANTS = [
  { id: "edgepool", name: "shared", settings: "One Agent of undici for all objects." },
  { id: "each", name: "one each", settings: "An Agent of undici in each object." },
  {
    id: "global", name: "Node's fetch",
    settings: "Nothing is said of it: Node has one dispatcher for all.",
  },
];

const CASES = [
  {
    id: "objects-first-node", title: "Node: first request of an object", unit: "ns", name: "first",
    about: "50 provider objects, each asked for the first time, one after the other: the median. "
      + "What has no connection yet makes one, on loopback.",
  },
  {
    id: "objects-later-node", title: "Node: its later requests", unit: "ns", name: "later",
    about: "The same objects, each asked 19 times more: the median.",
  },
  {
    id: "objects-each-node", title: "Node: processor time of a request", unit: "ns", name: "each",
    about: "What the client's process had of the processors for all 1,000 requests and for making "
      + "the objects, by request.",
  },
  {
    id: "objects-memory-node", title: "Node: memory", unit: "bytes", name: "memory",
    about: "What the heap and its buffers have grown by with 50 objects that were asked, after a "
      + "collection.",
  },
  {
    id: "objects-connections-node", title: "Node: connections", unit: "connections",
    name: "connections", about: "Connections that the server has counted.",
  },
];

const run = promisify(execFile);
const say = (line) => console.log(JSON.stringify(line));
const [what, where, requests = "20"] = process.argv.slice(2);
const REQUESTS = Number(requests);

if (where.startsWith("http")) say(await measure(what, where));
else await orchestrate(Number(what), where);
process.exit(0);

async function orchestrate(rounds, project) {
  let connections = 0;
  const server = createServer((_, response) => response.end('{"object":"list","data":[]}'));
  server.keepAliveTimeout = 60_000;
  server.on("connection", () => (connections += 1));
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const address = `http://127.0.0.1:${server.address().port}/v1`;
  const measured = VARIANTS.map(() => []);
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < VARIANTS.length; turn += 1) {
      const at = (round + turn) % VARIANTS.length;
      const { id, name } = VARIANTS[at];
      const done = round * VARIANTS.length + turn;
      const next = `provider objects in Node: ${name}`;
      say({ progress: { done, of: rounds * VARIANTS.length, next } });
      connections = 0;
      const args = ["--expose-gc", join(project, "load/objects.mjs"), id, address, requests];
      const { stdout } = await run(process.execPath, args);
      measured[at].push({ ...JSON.parse(stdout), connections });
    }
  }
  await report(measured);
}

async function report(measured) {
  const { lockedVersion } = await import("../project.mjs");
  for (const { name, ...head } of CASES) {
    const series = VARIANTS.map((variant, at) => ({
      contender: { ...variant, package: "undici", version: lockedVersion("undici") },
      samples: measured[at].map((figures) => figures[name]), failed: null,
    }));
    say({ case: { ...head, series } });
  }
}

/** Makes the objects and asks each of them in turn, again and again. */
async function measure(variant, base) {
  const { ClientPool } = await import("edgepool/clients");
  const undici = await import("undici");
  const before = used();
  const start = processorTime();
  const sender = () => {
    const dispatcher = new undici.Agent();
    return { fetch: (input, init) => undici.fetch(input, { ...init, dispatcher }) };
  };
  const shared = variant === "global" ? {} : sender();
  const objects = Array.from({ length: OBJECTS }, () => {
    const sending = variant === "each" ? sender() : shared;
    const providers = { provider: { kind: "openai", baseURL: base } };
    return new ClientPool({ providers, ...sending }).fetch("provider");
  });
  const times = { first: [], later: [] };
  for (let turn = 0; turn < REQUESTS; turn += 1) {
    for (const send of objects) {
      const asked = performance.now();
      await (await send("/models")).text();
      times[turn === 0 ? "first" : "later"].push((performance.now() - asked) * 1e6);
    }
  }
  const each = (processorTime() - start) / (OBJECTS * REQUESTS);
  // All of them are still there.
  const memory = used() - before;
  if (objects.length !== OBJECTS) throw new Error("the objects are gone");
  return { first: median(times.first), later: median(times.later), each, memory };
}

function processorTime() {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1_000;
}

function used() {
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function median(figures) {
  const sorted = Float64Array.from(figures).sort();
  return sorted[Math.floor(sorted.length / 2)];
}
