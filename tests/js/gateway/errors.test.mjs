// What the gateway refuses, and how it says so.

import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { after, before, test } from "node:test";

import { CHAT, chat, RawRequest, send } from "../lib/client.mjs";
import { RUNTIME } from "../lib/process.mjs";
import { startGateway, startSimulator } from "../lib/servers.mjs";

const ACQUIRE_MS = 400;
const HEADERS_MS = 500;
let simulator, gateway, mute;

/** A port of loopback that nobody listens on. */
async function deadPort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

before(async () => {
  simulator = await startSimulator({ max: 8, "latency-ms": 5, "first-token-ms": 5 });
  mute = createServer((socket) => socket.on("error", () => {}).resume());
  await new Promise((done) => mute.listen(0, "127.0.0.1", done));
  const real = { kind: "openai", url: `${simulator.url}/v1`, max: 1 };
  gateway = await startGateway({
    providers: {
      full: { ...real, max_waiting: 0 },
      slow: { ...real, acquire_timeout_ms: ACQUIRE_MS, retry: { base_ms: 5 } },
      gone: { kind: "openai", url: `http://127.0.0.1:${await deadPort()}/v1`, max: 1 },
      mute: {
        kind: "openai",
        url: `http://127.0.0.1:${mute.address().port}/v1`,
        max: 1,
        headers_timeout_ms: HEADERS_MS,
        retry: { retries: 0 },
      },
    },
  });
});
after(async () => {
  await gateway?.stop();
  await simulator?.stop();
  mute?.close();
});

async function refusal(response, status, code) {
  const text = await response.text();
  assert.equal(response.status, status, text);
  assert.match(response.headers.get("content-type"), /^application\/json/);
  assert.equal(response.headers.get("x-should-retry"), "false");
  const { error, ...others } = JSON.parse(text);
  // Anthropic's SDK looks for a type beside the error; OpenAI's passes it over.
  assert.deepEqual(others, { type: "error" });
  const { message, ...rest } = error;
  assert.deepEqual(rest, { type: "edgepool_error", param: null, code });
  assert.ok(message.length > 20, `says what happened and what to do: ${message}`);
  return message;
}

/** Holds the only place of a provider while `act` runs. */
async function whileHeld(provider, act) {
  const headers = { "x-sim-fault": "stall" };
  const holder = new RawRequest(`${gateway.url}/${provider}${CHAT}`, { headers });
  await holder.until(({ events }) => events > 0);
  try {
    await act();
  } finally {
    holder.reset();
  }
  await gateway.rest(provider, 5_000);
}

test(`${RUNTIME}: a method that fetch cannot send is 501, and no fault of the provider`, async () => {
  const { status, headers, body } = await send(`${gateway.url}/slow/v1/models`, { method: "TRACE" });
  const response = new Response(body, { status, headers });
  assert.match(await refusal(response, 501, "not_supported"), /TRACE/);
});

test(`${RUNTIME}: an unknown provider is 404 and names those that exist`, async () => {
  const message = await refusal(await chat(`${gateway.url}/nobody`), 404, "unknown_provider");
  assert.match(message, /nobody/);
  for (const name of ["full", "slow", "gone", "mute"]) assert.match(message, new RegExp(name));
});

for (const name of ["constructor", "__proto__", "toString", "%2e%2e", "FULL"]) {
  test(`${RUNTIME}: ${name} is no provider`, async () => {
    await refusal(await chat(`${gateway.url}/${name}`), 404, "unknown_provider");
  });
}

test(`${RUNTIME}: a full queue is 429 with retry-after`, async () => {
  await whileHeld("full", async () => {
    const before = await gateway.stats("full");
    const response = await chat(`${gateway.url}/full`);
    assert.match(response.headers.get("retry-after") ?? "", /^[1-9]\d*$/);
    await refusal(response, 429, "queue_full");
    assert.equal((await gateway.stats("full")).refused - before.refused, 1);
  });
});

test(`${RUNTIME}: a wait that is too long is 503, when its time is up`, async (t) => {
  await whileHeld("slow", async () => {
    const before = await gateway.stats("slow");
    const start = performance.now();
    const response = await chat(`${gateway.url}/slow`);
    const took = Math.round(performance.now() - start);
    await refusal(response, 503, "acquire_timeout");
    t.diagnostic(`refused after ${took} ms; the option is ${ACQUIRE_MS} ms`);
    assert.ok(took >= ACQUIRE_MS - 5 && took < ACQUIRE_MS + 800, `${took} ms`);
    const timedOut = ({ service }) => service.failures.timeout_acquire ?? 0;
    assert.equal(timedOut(await gateway.stats("slow")) - timedOut(before), 1);
  });
});

test(`${RUNTIME}: an upstream that nobody runs is 502, and costs no place`, async () => {
  for (let i = 0; i < 3; i += 1) {
    await refusal(await chat(`${gateway.url}/gone`), 502, "upstream_unreachable");
  }
  await gateway.rest("gone", 2_000);
});

test(`${RUNTIME}: an upstream without headers is 504, when its time is up`, async (t) => {
  const start = performance.now();
  const response = await chat(`${gateway.url}/mute`);
  const took = Math.round(performance.now() - start);
  await refusal(response, 504, "upstream_timeout");
  t.diagnostic(`refused after ${took} ms; the option is ${HEADERS_MS} ms`);
  assert.ok(took >= HEADERS_MS - 5 && took < HEADERS_MS + 800, `${took} ms`);
  await gateway.rest("mute", 2_000);
});

test(`${RUNTIME}: an error of the provider is passed as it is, after retries`, async () => {
  const headers = { "x-sim-fault": "status=503" };
  const before = await gateway.stats("slow");
  const response = await chat(`${gateway.url}/slow`, { headers });
  assert.equal(response.status, 503);
  assert.equal(response.headers.get("x-edgepool-attempts"), "3");
  // The gateway has tried again: an SDK that did as well would make nine calls of one.
  assert.equal(response.headers.get("x-should-retry"), "false");
  const { service, errors } = await gateway.stats("slow");
  assert.equal(service.retries - before.service.retries, 2);
  assert.equal(service.attempt_failures.overloaded, 3);
  assert.equal(errors - before.errors, 1, "it is one call all the same");
  assert.equal((await response.json()).error.code, "simulated_fault");
});

test(`${RUNTIME}: the gateway still answers after a client that sends no HTTP`, async () => {
  const socket = connect(new URL(gateway.url).port, "127.0.0.1");
  socket.on("error", () => {}).end("\x16\x03\x01 this is not HTTP\r\n\r\n");
  await new Promise((done) => socket.resume().on("close", done));
  const health = await fetch(`${gateway.url}/healthz`);
  assert.deepEqual([health.status, (await health.text()).trim()], [200, "ok"]);
});
