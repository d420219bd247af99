// Routes: names under which one provider after the other is asked.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { CHAT, RawRequest, chat } from "../lib/client.mjs";
import { COUNT, startFaultServer } from "../lib/fault-server.mjs";
import { RUNTIME } from "../lib/process.mjs";
import { startGateway } from "../lib/servers.mjs";
import { eventually } from "../lib/time.mjs";

const KEYS = { first: "sk-edgepool-test-first-1187", second: "sk-edgepool-test-second-5520" };
const servers = {};
let gateway;

before(async () => {
  for (const name of ["first", "second"]) servers[name] = await startFaultServer();
  gateway = await startGateway({
    pool: { retry: { retries: 0 } },
    providers: {
      first: { kind: "openai", url: `${servers.first.url}/v1`, key: KEYS.first, max: 1,
        max_waiting: 0 },
      second: { kind: "openai-compatible", url: `${servers.second.url}/api`, key: KEYS.second,
        model: "small", max: 2 },
    },
    routes: { both: { providers: ["first", "second"] } },
  });
});
afterEach(() => {
  const usual = { refusal: undefined, first: 0, pause: 0 };
  for (const { set } of Object.values(servers)) Object.assign(set, usual);
});
after(async () => {
  await gateway?.stop();
  for (const server of Object.values(servers)) await server.stop();
});

async function call() {
  const response = await chat(`${gateway.url}/both`);
  const text = await response.text();
  const header = (which) => response.headers.get(`x-edgepool-${which}`);
  return { status: response.status, provider: header("provider"), attempts: header("attempts"),
    text };
}

test(`${RUNTIME}: a route is told with its providers, and begins with the first`, async () => {
  assert.match(gateway.child.stdout, /^route +both -> http.*\/both\/v1 \(first, then second\)$/m);
  const { status, provider, attempts, text } = await call();
  assert.deepEqual([status, provider, attempts], [200, "first", "1"], text);
  assert.equal(servers.second.seen.served, 0);
});

test(`${RUNTIME}: what the first refuses or breaks goes to the second`, async () => {
  const before = (await gateway.stats("first")).service.fallbacks;
  for (const status of [503, 500, 401]) {
    servers.first.set.refusal = { status };
    const { status: told, provider, attempts, text } = await call();
    assert.deepEqual([told, provider, attempts], [200, "second", "2"], text);
    assert.match(text, /"content":"One"/);
  }
  servers.first.set.refusal = undefined;
  await servers.first.die();
  try {
    assert.deepEqual([(await call()).provider], ["second"]);
  } finally {
    await servers.first.comeBack();
  }
  const { service } = await gateway.stats("first");
  assert.equal(service.fallbacks - before, 4);
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  const count = `edgepool_fallbacks_total{provider="first"} ${service.fallbacks}`;
  assert.ok(text.includes(count), count);
});

test(`${RUNTIME}: each is asked for its own model, with its own key`, () => {
  const [{ seen: first }, { seen: second }] = [servers.first, servers.second];
  assert.deepEqual([...first.keys], [`Bearer ${KEYS.first}`]);
  assert.deepEqual([...second.keys], [`Bearer ${KEYS.second}`]);
  assert.ok(!first.models.has("small"));
  assert.deepEqual([...second.models], ["small"]);
});

test(`${RUNTIME}: who finds no place at the first has one at the second`, async () => {
  servers.first.set.pause = 150;
  const calls = Array.from({ length: 3 }, () => call());
  const told = (await Promise.all(calls)).map(({ status, provider }) => `${status} ${provider}`);
  assert.deepEqual(told.sort(), ["200 first", "200 second", "200 second"]);
  assert.equal((await gateway.stats("first")).refusals.queue_full, 2, "it has refused them");
});

test(`${RUNTIME}: the last one's answer is passed on, and one that none would better`, async () => {
  for (const { set } of Object.values(servers)) set.refusal = { status: 503 };
  const { status, provider, attempts } = await call();
  assert.deepEqual([status, provider, attempts], [503, "second", "2"]);
  servers.first.set.refusal = { status: 400 };
  const served = servers.second.seen.served;
  const wrong = await call();
  assert.deepEqual([wrong.status, wrong.provider], [400, "first"]);
  assert.equal(servers.second.seen.served, served);
});

test(`${RUNTIME}: once there is content, a client that goes leaves nothing behind`, async () => {
  servers.first.set.refusal = { status: 503 };
  servers.second.set.pause = 200;
  const raw = new RawRequest(`${gateway.url}/both${CHAT}`);
  await raw.until(({ events }) => events > 0);
  assert.equal((await gateway.stats("second")).in_use, 1);
  raw.reset();
  for (const name of ["first", "second"]) await gateway.rest(name, 200 * COUNT + 5_000);
});

test(`${RUNTIME}: a body that streams goes to the first alone`, async () => {
  servers.first.set.refusal = { status: 503 };
  const { served } = servers.second.seen;
  const body = new Blob([JSON.stringify({ model: "m" })]).stream();
  const init = { method: "POST", body, duplex: "half" };
  const response = await fetch(`${gateway.url}/both/v1/files`, init);
  assert.deepEqual([response.status, response.headers.get("x-edgepool-provider")], [503, "first"]);
  await response.text();
  assert.equal(servers.second.seen.served, served);
});

test(`${RUNTIME}: a path of no provider names the routes too`, async () => {
  const response = await fetch(`${gateway.url}/nobody/v1/models`);
  assert.equal(response.status, 404);
  assert.match(await response.text(), /\/first\/, \/second\/, \/both\//);
  await eventually(5_000, "all is at rest", async () => {
    const { total } = await gateway.stats();
    return total.in_use === 0 && total.waiting === 0;
  });
});
