// The gateway's pool in a Durable Object: two Workers, one limit.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { chaos } from "../lib/chaos.mjs";
import { chat, isComplete } from "../lib/client.mjs";
import { startEventOrigin } from "../lib/event-origin.mjs";
import { startSimulator } from "../lib/servers.mjs";
import { startWorkers } from "./workers.mjs";

const PLACES = 3;
const REQUESTS = 60;
const CUTS = 30;
const PACE = { "latency-ms": 10, "first-token-ms": 5, "chunk-ms": 2, chunks: 8 };

const settings = (scope, url) => ({
  scope,
  providers: { three: { kind: "openai", baseURL: url, max: PLACES, acquireTimeout: 60_000 } },
});

/** Sends every second request through the second Worker; gives what the answers were. */
function sendAll(urls) {
  return Promise.all(Array.from({ length: REQUESTS }, async (_, i) => {
    const response = await chat(`${urls[i % urls.length]}/three`);
    return { status: response.status, text: await response.text() };
  }));
}

function checkAllServed(answers) {
  for (const { status, text } of answers) {
    assert.equal(status, 200, text);
    assert.ok(isComplete(text), `ends with ${text.slice(-80)}`);
  }
}

/** Sends everything to a backend that admits `admitted`; gives what it and the Workers saw. */
async function burst(scope, admitted) {
  const simulator = await startSimulator({ max: admitted, ...PACE });
  const workers = await startWorkers(settings(scope, `${simulator.url}/v1`));
  try {
    const answers = await sendAll(workers.urls);
    const seen = await simulator.rest();
    await workers.rest(3_000);
    return { answers, seen, stats: await workers.stats() };
  } finally {
    await workers.stop();
    await simulator.stop();
  }
}

test("in one Durable Object, two Workers have one limit", async (t) => {
  const { answers, seen, stats } = await burst("object", PLACES);
  checkAllServed(answers);
  const { peak, refused, completed } = seen;
  t.diagnostic(`the backend saw ${peak} at once, and refused ${refused}`);
  assert.deepEqual({ peak, refused, completed }, { peak: PLACES, refused: 0, completed: REQUESTS });
  for (const { scope, providers } of stats) {
    assert.equal(scope, "object");
    assert.equal(providers.three.max, PLACES);
    assert.equal(providers.three.started, REQUESTS, "each Worker tells of the requests of both");
  }
});

test("by themselves, two Workers have two limits", async (t) => {
  const { answers, seen, stats } = await burst("isolate", 2 * PLACES);
  checkAllServed(answers);
  t.diagnostic(`the backend saw ${seen.peak} at once`);
  assert.equal(seen.peak, 2 * PLACES, "each Worker has used its own places");
  for (const { scope, providers } of stats) {
    assert.equal(scope, "isolate");
    assert.equal(providers.three.started, REQUESTS / 2, "each Worker tells of its own requests");
  }
});

describe("with clients that go away", () => {
  let origin, workers;
  before(async () => {
    origin = await startEventOrigin();
    workers = await startWorkers(settings("object", origin.url));
  });
  after(async () => {
    await workers?.stop();
    await origin?.stop();
  });
  const send = (seed, requests, cuts) => {
    origin.clear();
    const urls = workers.urls.map((url) => `${url}/three/stream`);
    return chaos({ seed, requests, cuts, origin, urls });
  };

  test("30 of 60 cut off in two Workers cost no live request and no place", async (t) => {
    const { counts, stages } = await send(20, REQUESTS, CUTS);
    t.diagnostic(`${JSON.stringify(counts)}; ${JSON.stringify(stages)}`);
    assert.equal(counts.complete, REQUESTS - CUTS, JSON.stringify(counts));
    assert.ok(counts.cut >= CUTS - 5, `cut in time: ${JSON.stringify(counts)}`);
    const { took } = await workers.rest(3_000);
    t.diagnostic(`in_use 0 after ${took} ms; peak ${origin.seen.peak}`);
    assert.ok(origin.seen.peak <= PLACES, `the origin saw ${origin.seen.peak} at once`);
  });

  test("after the cuts all three places still serve both Workers", async () => {
    const { counts } = await send(21, 20, 0);
    assert.deepEqual(counts, { complete: 20 });
    assert.equal(origin.seen.peak, PLACES);
    const [{ total }] = await workers.stats();
    const { started, direct, waited, timed_out: late, cancelled, failed } = total;
    const ended = direct + waited + late + cancelled + failed + total.refused + total.closed;
    assert.equal(started, ended, "the counters add up");
  });
});

test("an object that fails is an answer that says so", async () => {
  const config = settings("object", "http://127.0.0.1:9");
  const workers = await startWorkers(config, { objects: "broken" });
  try {
    const response = await chat(`${workers.urls[0]}/three`);
    const { error } = await response.json();
    assert.equal(response.status, 503);
    assert.equal(error.code, "object_unavailable");
    assert.match(error.message, /it is broken/);
  } finally {
    await workers.stop();
  }
});

test("a scope of all isolates without the binding is told at the start", async () => {
  const config = settings("object", "http://127.0.0.1:9");
  const start = startWorkers(config, { objects: null });
  await assert.rejects(start, /needs the binding EDGEPOOL_OBJECT/);
});
