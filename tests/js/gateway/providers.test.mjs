// Three providers of two endpoints each: what happens when one dies, asks for a pause, or is full.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { chat } from "../lib/client.mjs";
import { COUNT, startFaultServer } from "../lib/fault-server.mjs";
import { RUNTIME } from "../lib/process.mjs";
import { startGateway } from "../lib/servers.mjs";
import { eventually } from "../lib/time.mjs";

const KEYS = { one: "sk-edgepool-test-one-4471", two: "sk-edgepool-test-two-9903" };
/** By name: two servers for each provider. */
const servers = {};
let gateway;

before(async () => {
  for (const name of ["one", "two", "three"]) {
    servers[name] = [await startFaultServer(), await startFaultServer()];
  }
  const endpoints = (name) => servers[name].map(({ url }) => url);
  const ejection = { consecutive: 2, base_ms: 300, slow_start_ms: 0 };
  gateway = await startGateway({
    pool: { retry: { base_ms: 5 }, ejection },
    providers: {
      one: { kind: "openai", endpoints: endpoints("one"), balance: "round_robin", key: KEYS.one },
      two: { kind: "openai-compatible", key_env: "KEY_OF_TWO",
        endpoints: servers.two.map(({ url }, at) => ({ url, weight: at + 1 })) },
      three: { kind: "openai", endpoints: endpoints("three"), max: 1, max_waiting: 3,
        alert_after_ms: 300 },
    },
  }, { env: { KEY_OF_TWO: KEYS.two } });
});
afterEach(() => {
  const usual = { refusal: undefined, first: 0, pause: 0 };
  for (const { set } of Object.values(servers).flat()) Object.assign(set, usual);
});
after(async () => {
  await gateway?.stop();
  for (const server of Object.values(servers).flat()) await server.stop();
});

/** Sends a call; gives its status, the headers that the gateway adds, and the text. */
async function call(name) {
  const response = await chat(`${gateway.url}/${name}`);
  const text = await response.text();
  const header = (which) => response.headers.get(`x-edgepool-${which}`);
  const { status } = response;
  const [provider, endpoint, attempts] = ["provider", "endpoint", "attempts"].map(header);
  return { status, provider, endpoint, attempts, text };
}

const endpointsOf = async (name) => (await gateway.stats(name)).service.endpoints;
const stateOf = async (name, at) => (await endpointsOf(name))[at].state;

test(`${RUNTIME}: calls go to all endpoints with the key, and tokens are counted`, async () => {
  const [first, pause] = [40, 10];
  for (const { set } of servers.one) Object.assign(set, { first, pause });
  const before = (await gateway.stats("one")).service;
  const answers = [];
  for (let i = 0; i < 6; i += 1) answers.push(await call("one"));
  for (const { status, provider, attempts, text } of answers) {
    assert.deepEqual([status, provider, attempts], [200, "one", "1"], text);
  }
  const used = answers.map(({ endpoint }) => endpoint);
  assert.deepEqual([...new Set(used)].sort(), ["1", "2"]);
  for (const { seen } of servers.one) assert.deepEqual([...seen.keys], [`Bearer ${KEYS.one}`]);
  const { service } = await eventually(2_000, "the calls are over", async () => {
    const stats = await gateway.stats("one");
    return stats.service.answered - before.answered === 6 && stats;
  }).then(({ seen }) => seen);
  assert.equal(service.input_tokens - before.input_tokens, 42);
  assert.equal(service.output_tokens - before.output_tokens, 24);
  const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
  const told = [...metrics.matchAll(/^gen_ai_client_token_usage_(count|sum)\{(.*)\} (\d+)$/gm)];
  const labels = 'provider="one",gen_ai_operation_name="chat",gen_ai_provider_name="openai"';
  assert.deepEqual(told.map((line) => line.slice(1)), [
    ["sum", `${labels},gen_ai_token_type="input"`, `${service.input_tokens}`],
    ["count", `${labels},gen_ai_token_type="input"`, "6"],
    ["sum", `${labels},gen_ai_token_type="output"`, `${service.output_tokens}`],
    ["count", `${labels},gen_ai_token_type="output"`, "6"],
  ]);
  const least = { first_content_ms: first, total_ms: first + COUNT * pause };
  for (const [name, ms] of Object.entries(least)) {
    assert.equal(service[name].count - before[name].count, 6, name);
    // Of each wait the clocks may miss 1 ms, as they tell whole ones.
    const missed = name === "total_ms" ? 1 + COUNT : 1;
    assert.ok(service[name].p50 >= ms - missed - 1, `${name}: ${service[name].p50}`);
  }
  assert.deepEqual(service.endpoints.map(({ name, state }) => [name, state]),
    servers.one.map(({ url }) => [url, "up"]));
});

test(`${RUNTIME}: an endpoint that dies costs no call, and gets some when it is back`, async () => {
  const [dies] = servers.one;
  await dies.die();
  try {
    const answers = [];
    for (let i = 0; i < 8; i += 1) answers.push(await call("one"));
    for (const { status, endpoint, text } of answers) {
      assert.deepEqual([status, endpoint], [200, "2"], text);
    }
    assert.ok(answers.some(({ attempts }) => attempts === "2"), "some were sent again");
    const [endpoint, other] = await endpointsOf("one");
    assert.match(endpoint.state, /^(ejected|half_open)$/);
    assert.equal(other.state, "up");
    assert.ok(endpoint.failures.network >= 2, JSON.stringify(endpoint.failures));
    assert.match(endpoint.last_error, /failed/);
    assert.equal(endpoint.in_flight, 0);
    const { service, errors } = await gateway.stats("one");
    assert.ok(service.retries >= 2);
    assert.equal(errors, 0, "what was sent again is no error to its caller");
  } finally {
    await dies.comeBack();
  }
  await eventually(10_000, "it is up again", async () => {
    assert.equal((await call("one")).status, 200);
    return (await stateOf("one", 0)) === "up";
  });
  const { served } = dies.seen;
  for (let i = 0; i < 4; i += 1) await call("one");
  assert.ok(dies.seen.served > served, "it gets its share");
});

test(`${RUNTIME}: a 429 with Retry-After pauses its endpoint alone, and for so long`, async () => {
  const [limited] = servers.two;
  limited.set.refusal = { status: 429, headers: { "retry-after": "1" } };
  const before = limited.seen.served;
  await eventually(5_000, "it was asked", async () => {
    assert.equal((await call("two")).status, 200);
    return limited.seen.served > before;
  });
  const [endpoint, other] = await endpointsOf("two");
  assert.deepEqual([endpoint.state, other.state], ["paused", "up"]);
  assert.ok(endpoint.paused_ms > 0 && endpoint.paused_ms <= 1_000, `${endpoint.paused_ms}`);
  assert.equal(endpoint.rate_limited, 1);
  const { served } = limited.seen;
  for (let i = 0; i < 4; i += 1) assert.equal((await call("two")).endpoint, "2");
  if (await stateOf("two", 0) === "paused") assert.equal(limited.seen.served, served);
  limited.set.refusal = undefined;
  await eventually(3_000, "its pause is over", async () => (await stateOf("two", 0)) === "up");
  const { service } = await gateway.stats("two");
  assert.equal(service.rate_limited, 1);
});

test(`${RUNTIME}: a queue that stays is an alert while it does, and so are refusals`, async () => {
  for (const { set } of servers.three) set.pause = 150;
  const alert = async () => (await gateway.stats("three")).service.alert;
  assert.equal(await alert(), null);
  const calls = Array.from({ length: 4 }, () => call("three"));
  const { seen } = await eventually(5_000, "an alert", alert);
  assert.ok(seen.since_ms >= 250 && seen.waiting >= 1, JSON.stringify(seen));
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  assert.match(text, /^edgepool_exhausted\{provider="three"\} 1$/m);
  for (const { status } of await Promise.all(calls)) assert.equal(status, 200);
  await eventually(5_000, "its end", async () => (await alert()) === null);
  const many = await Promise.all(Array.from({ length: 8 }, () => call("three")));
  const refused = many.filter(({ status }) => status === 429);
  assert.ok(refused.length >= 3, many.map(({ status }) => status).join());
  assert.match(refused[0].text, /queue/);
  await eventually(5_000, "its end", async () => (await alert()) === null);
  assert.match(await (await fetch(`${gateway.url}/metrics`)).text(),
    /^edgepool_exhausted\{provider="three"\} 0$/m);
});

test(`${RUNTIME}: the metrics tell of each endpoint`, async () => {
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  for (const [name, [, server]] of Object.entries(servers)) {
    const of = `provider="${name}",endpoint="${server.url}"`;
    for (const family of ["attempts_total", "endpoint_in_flight", "endpoint_latency_seconds"]) {
      assert.ok(text.includes(`edgepool_${family}{${of}}`), `${family} of ${name}`);
    }
    assert.ok(text.includes(`edgepool_endpoint_state{${of},state="up"} 1`), name);
  }
  const limited = `provider="two",endpoint="${servers.two[0].url}",error_type="rate_limited"`;
  assert.ok(text.includes(`edgepool_attempt_failures_total{${limited}} 1`));
  assert.match(text, /^edgepool_retries_total\{provider="one"\} [1-9]/m);
});

test(`${RUNTIME}: a key that a provider repeats is in no statistic`, async () => {
  for (const { set } of servers.one) set.refusal = { status: 500 };
  assert.equal((await call("one")).status, 500);
  const said = (await endpointsOf("one")).map(({ last_error: text }) => text).join(" ");
  assert.match(said, /no: Bearer \[redacted\]|no: \[redacted\]/);
  for (const path of ["/stats", "/metrics", "/stats/history", "/"]) {
    const text = await (await fetch(`${gateway.url}${path}`)).text();
    for (const key of Object.values(KEYS)) assert.ok(!text.includes(key), path);
  }
  assert.ok(!Object.values(KEYS).some((key) => gateway.child.output.includes(key)));
});
