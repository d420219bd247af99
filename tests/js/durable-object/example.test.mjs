// Connections pooled in a Durable Object: the example, against a small Redis.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { RawRequest } from "../lib/client.mjs";
import { checkTypes, hasten, install, start } from "../lib/example.mjs";
import { eventually, sleep } from "../lib/time.mjs";
import { startRedis } from "./redis.mjs";

const MAX = 4;
const MIN_IDLE = 1;
const IDLE_MS = 1_000;

let project, redis, worker;
before(async () => {
  project = install("durable-object");
  redis = await startRedis();
  hasten(project.folder, "worker.ts", "idleTimeout: 30_000", `idleTimeout: ${IDLE_MS}`);
  hasten(project.folder, "redis.ts", "COMMAND_TIMEOUT = 5_000", "COMMAND_TIMEOUT = 500");
  worker = await start(project.folder, { REDIS: redis.address });
});
after(async () => {
  await worker?.stop();
  await redis?.stop();
  project?.remove();
});

const url = (key) => `${worker.url}/${key}`;
const commands = () => redis.seen.connections.flatMap((connection) => connection.commands);

async function get(key) {
  const response = await fetch(url(key), { signal: AbortSignal.timeout(20_000) });
  return `${response.status} ${await response.text()}`;
}

async function stats() {
  return JSON.parse((await get("stats")).slice(4));
}

/** Waits until nobody has a connection or waits for one. */
function rest() {
  return eventually(5_000, "nobody holds a connection or waits", async () => {
    const { inUse, pending } = await stats();
    return inUse === 0 && pending === 0;
  });
}

test("its types are right with those of Workers", () => {
  assert.doesNotThrow(() => checkTypes(project.folder));
});

test("60 requests at once are served by four connections", async () => {
  for (let i = 0; i < 60; i += 1) redis.values.set(`slow${i}`, `value ${i}`);
  const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => get(`slow${i}`)));
  assert.deepEqual(answers, Array.from({ length: 60 }, (_, i) => `200 value ${i}`));
  const { connections, peak } = redis.seen;
  assert.equal(peak, MAX, "as many connections at once as the pool may have");
  assert.equal(connections.length, MAX, "connections in all");
  for (const { commands } of connections) {
    assert.ok(commands.length >= 5, `each serves many requests, one only ${commands.length}`);
  }
});

test("the requests of one client after another are served by one connection", async () => {
  const put = await fetch(url("name"), { method: "PUT", body: "Grüße" });
  assert.equal(await put.text(), "OK");
  for (let i = 0; i < 5; i += 1) assert.equal(await get("name"), "200 Grüße");
  assert.equal(await get("nobody"), "404 no such key\n");
  const served = ({ commands }) => commands.some((command) => command.includes("name"));
  assert.equal(redis.seen.connections.filter(served).length, 1);
});

test("the alarm closes what is idle for too long, without a request", async () => {
  await Promise.all(Array.from({ length: MAX }, (_, i) => get(`slow${i}`)));
  assert.equal(redis.open(), MAX);
  const before = commands().length;
  const fewer = () => redis.open() === MIN_IDLE;
  const { took } = await eventually(IDLE_MS + 4_000, "one connection is left", fewer);
  assert.ok(took > IDLE_MS / 2, `they were closed after ${took} ms, before their time`);
  await sleep(IDLE_MS);
  assert.equal(redis.open(), MIN_IDLE, "the last one stays, as minIdle says");
  assert.equal(commands().length, before, "nothing was asked meanwhile");
});

test("connections that the server closes are replaced, and no request fails", async () => {
  await Promise.all(Array.from({ length: MAX }, (_, i) => get(`slow${i}`)));
  const old = redis.seen.connections.length;
  const before = commands().length;
  redis.dropAll();
  assert.equal(redis.open(), 0);
  await eventually(5_000, "there is one anew, as minIdle says", () => redis.open() === MIN_IDLE);
  assert.equal(commands().length, before, "nothing was asked meanwhile");
  const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => get(`slow${i}`)));
  assert.deepEqual(answers, Array.from({ length: 8 }, (_, i) => `200 value ${i}`));
  assert.ok(redis.seen.connections.length > old, "there are new connections");
});

for (const key of ["boom", "nonsense", "silent"]) {
  test(`a connection that a command has broken is not lent again (${key})`, async () => {
    assert.match(await get(key), /^502 /);
    const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => get(`slow${i}`)));
    assert.deepEqual(answers, Array.from({ length: 8 }, (_, i) => `200 value ${i}`));
    const broken = redis.seen.connections.find(({ commands }) => commands.includes(`GET ${key}`));
    assert.equal(broken.commands.at(-1), `GET ${key}`, "nothing was sent on it after that");
  });
}

test("clients that go away take no connection along, and mix no replies up", async () => {
  const fates = Array.from({ length: 60 }, async (_, i) => {
    await sleep(i * 3);
    if (i % 2 === 0) return get(`slow${i}`);
    const raw = new RawRequest(url(`slow${i}`), { method: "GET", body: null });
    // Some wait for a connection then, and some for the reply.
    await sleep((i % 7) * 10);
    if (i % 4 === 1) raw.reset();
    else raw.leave();
    return raw.closed.then(() => undefined);
  });
  const answers = await Promise.all(fates);
  answers.forEach((answer, i) => {
    if (i % 2 === 0) assert.equal(answer, `200 value ${i}`);
  });
  await rest();
  const { peak } = redis.seen;
  assert.ok(peak <= MAX, `there were ${peak} connections at once`);
  const again = await Promise.all(Array.from({ length: 12 }, (_, i) => get(`slow${i}`)));
  assert.deepEqual(again, Array.from({ length: 12 }, (_, i) => `200 value ${i}`));
  const { started, direct, waited, timedOut, cancelled, failed, pending } = await stats();
  assert.equal(started, direct + waited + timedOut + cancelled + failed + pending);
});
