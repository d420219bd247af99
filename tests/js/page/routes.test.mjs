// What the page asks of the gateway, asked without a page: history, bursts, and who may not ask.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { RUNTIME } from "../lib/process.mjs";
import { getJson, startGateway, startSimulator } from "../lib/servers.mjs";
import { send } from "../lib/client.mjs";

const BURST = "/_page/burst";
let simulator, gateway;

before(async () => {
  simulator = await startSimulator({ max: 2, "first-token-ms": 20, "chunk-ms": 5, chunks: 8 });
  const url = `${simulator.url}/v1`;
  gateway = await startGateway({
    providers: {
      open: { kind: "openai", url, max: 2 },
      keyed: { kind: "openai", url, max: 2, key: "sk-edgepool-test" },
      plain: { kind: "http", url: simulator.url, max: 2 },
    },
  });
});
after(async () => {
  await gateway?.stop();
  await simulator?.stop();
});

const post = (body, headers = {}) => fetch(`${gateway.url}${BURST}`, {
  method: "POST", headers: { "content-type": "application/json", ...headers }, body,
});

test(`${RUNTIME}: a burst tells of each request, line by line`, async () => {
  const response = await post(JSON.stringify({ provider: "open", count: 9, model: "any" }));
  assert.equal(response.headers.get("content-type"), "application/x-ndjson");
  const events = (await response.text()).trim().split("\n").map((line) => JSON.parse(line));
  for (const type of ["headers", "end"]) {
    const indexes = events.filter((event) => event.type === type).map(({ index }) => index);
    assert.deepEqual(indexes.sort((a, b) => a - b), [0, 1, 2, 3, 4, 5, 6, 7, 8], type);
  }
  const ends = events.filter(({ type }) => type === "end");
  assert.ok(ends.every(({ outcome, bytes }) => outcome === "completed" && bytes > 0));
  assert.ok(events.some(({ wait_ms: wait }) => wait > 0), "some waited");
  const { peak, refused } = await simulator.stats();
  assert.deepEqual({ peak, refused }, { peak: 2, refused: 0 });
});

test(`${RUNTIME}: a burst that nobody reads any more ends`, async () => {
  const response = await post(JSON.stringify({ provider: "open", count: 150, model: "any" }));
  const reader = response.body.getReader();
  await reader.read();
  await reader.cancel();
  await gateway.rest("open", 5_000);
  const { started } = await gateway.stats("open");
  assert.ok((await simulator.stats()).served < started, "not all were sent");
});

const WRONG = {
  "no JSON": "{",
  "no object": "7",
  "an unknown provider": '{"provider":"nobody","count":1,"model":"m"}',
  "a provider by an inherited name": '{"provider":"constructor","count":1,"model":"m"}',
  "a provider without a chat": '{"provider":"plain","count":1,"model":"m"}',
  "none": '{"provider":"open","count":0,"model":"m"}',
  "too many": '{"provider":"open","count":201,"model":"m"}',
  "half a request": '{"provider":"open","count":1.5,"model":"m"}',
  "no model": '{"provider":"open","count":1}',
};
for (const [name, body] of Object.entries(WRONG)) {
  test(`${RUNTIME}: a burst with ${name} is refused, and sends nothing`, async () => {
    const before = (await gateway.stats()).total.started;
    const response = await post(body);
    const { error } = await response.json();
    assert.deepEqual([response.status, error.code], [400, "invalid_burst"], error.message);
    assert.equal((await gateway.stats()).total.started, before);
  });
}

test(`${RUNTIME}: a burst takes JSON alone, which no form of another site can send`, async () => {
  const body = '{"provider":"open","count":1,"model":"m"}';
  assert.equal((await post(body, { "content-type": "text/plain" })).status, 405);
  assert.equal((await fetch(`${gateway.url}${BURST}`)).status, 405);
});

/** What a browser says of the page that asks, and whether the page is one of another origin. */
const ASKERS = [
  { what: "a program", headers: {}, foreign: false },
  { what: "this page", headers: { "sec-fetch-site": "same-origin" }, foreign: false },
  { what: "its user", headers: { "sec-fetch-site": "none" }, foreign: false },
  { what: "this page, with its origin", own: "http", foreign: false },
  { what: "it behind TLS", headers: { "sec-fetch-site": "same-origin" }, own: "https" },
  { what: "another site", headers: { "sec-fetch-site": "cross-site" }, foreign: true },
  { what: "another port", headers: { "sec-fetch-site": "same-site" }, foreign: true },
  { what: "what a later browser says", headers: { "sec-fetch-site": "near" }, foreign: true },
  { what: "an origin alone", headers: { origin: "http://evil.example" }, foreign: true },
  { what: "another port alone", headers: { origin: "http://127.0.0.1:1" }, foreign: true },
  { what: "a sandboxed page", headers: { origin: "null" }, foreign: true },
  { what: "TLS alone", own: "https", foreign: true },
  {
    what: "another origin that says it is this one",
    headers: { "sec-fetch-site": "same-origin", origin: "http://evil.example" },
    foreign: true,
  },
];

for (const { what, headers = {}, own, foreign = false } of ASKERS) {
  test(`${RUNTIME}: ${what} ${foreign ? "cannot" : "can"} spend the gateway's key`, async () => {
    const origin = own && { origin: gateway.url.replace(/^http/, own) };
    const sent = { ...headers, ...origin };
    const burst = JSON.stringify({ provider: "open", count: 1, model: "any" });
    const json = { "content-type": "application/json" };
    const asked = {
      keyed: await send(`${gateway.url}/keyed/v1/models`, { headers: sent }),
      burst: await send(`${gateway.url}${BURST}`, {
        method: "POST", headers: { ...json, ...sent }, body: burst,
      }),
    };
    for (const [name, { status, body }] of Object.entries(asked)) {
      assert.equal(status, foreign ? 403 : 200, `${name}: ${body}`);
      if (foreign) assert.equal(JSON.parse(body).error.code, "cross_site", name);
    }
    const { status } = await send(`${gateway.url}/open/v1/models`, { headers: sent });
    assert.equal(status, 200, "a provider without a key is asked for anybody");
  });
}

test(`${RUNTIME}: the gateway's own paths can only be read`, async () => {
  for (const path of ["/", "/stats", "/stats/history", "/metrics", "/healthz"]) {
    const { status, headers } = await send(`${gateway.url}${path}`, { method: "POST" });
    assert.deepEqual([status, headers.allow], [405, "GET, HEAD"], path);
    assert.equal((await send(`${gateway.url}${path}`, { method: "HEAD" })).status, 200, path);
  }
});

test(`${RUNTIME}: the history tells the samples from a second on, column by column`, async () => {
  const all = await getJson(`${gateway.url}/stats/history`);
  assert.ok(all.length >= 1 && all.length <= 300);
  for (const columns of [all.total, ...Object.values(all.providers)]) {
    for (const [name, values] of Object.entries(columns)) {
      assert.equal(values.length, all.length, name);
    }
  }
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const { completed } = await gateway.stats("open");
  assert.equal(sum(all.providers.open.completed), completed);
  assert.equal(Math.max(...all.providers.open.in_use), 2);
  const last = all.start + all.length - 1;
  const later = await getJson(`${gateway.url}/stats/history?since=${last}`);
  assert.equal(later.start, last);
  for (const wrong of ["x", "-1", "1e99", "Infinity"]) {
    const { length } = await getJson(`${gateway.url}/stats/history?since=${wrong}`);
    assert.ok(length >= 1, wrong);
  }
});
