// 150 requests on 2 places, of which 50 are cut off: while queued, before the headers, in the
// middle of the stream; by a reset and by a close. The moments follow a seed.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { RawRequest, isComplete } from "../lib/client.mjs";
import { RUNTIME } from "../lib/process.mjs";
import { startBackend, startGateway } from "../lib/servers.mjs";
import { seeded, sleep, turns, within } from "../lib/time.mjs";

/** One seed, or one that is asked for, or ten of them in the full tier. */
const SEEDS = process.env.EDGEPOOL_SEED
  ? [Number(process.env.EDGEPOOL_SEED)]
  : Array.from({ length: process.env.EDGEPOOL_FULL ? 10 : 1 }, (_, i) => 20 + i);
const REQUESTS = 150;
const CUTS = 50;
const PLACES = 2;
const LEASE_TTL_MS = 15_000;
const HEADERS_MS = 20;
const CHUNKS = 8;
const CHUNK_MS = 4;

const origin = { inFlight: 0, arrived: new Map() };
let backend, gateway;

function clearOrigin() {
  Object.assign(origin, { peak: 0, whole: 0, left: 0 });
}

/** Streams eight events, and counts for itself who is being served. */
async function serve(request, response) {
  let open = true;
  let counted = false;
  const over = () => {
    open = false;
    origin.inFlight -= Number(counted);
    counted = false;
  };
  // The gateway has gone at its FIN or RST, which node:http passes on only some turns later.
  for (const sign of ["end", "error"]) request.socket.prependOnceListener(sign, over);
  response.on("close", () => {
    over();
    origin[response.writableFinished ? "whole" : "left"] += 1;
  });
  request.resume();
  arrival(request.headers["x-test-id"]).arrive();
  // A busy origin hears of a start and of the end before it in one turn, in any order.
  await turns();
  if (!open) return;
  counted = true;
  origin.inFlight += 1;
  origin.peak = Math.max(origin.peak, origin.inFlight);
  await sleep(HEADERS_MS);
  if (!open) return;
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (let i = 0; i < CHUNKS && open; i += 1) {
    response.write(`data: {"part":${i}}\n\n`);
    await sleep(CHUNK_MS);
  }
  if (!open) return;
  over();
  response.end("data: [DONE]\n\n");
}

function arrival(id) {
  if (!origin.arrived.has(id)) {
    let arrive;
    const seen = new Promise((done) => (arrive = done));
    const entry = { seen, done: false };
    entry.arrive = () => {
      entry.done = true;
      arrive();
    };
    origin.arrived.set(id, entry);
  }
  return origin.arrived.get(id);
}

before(async () => {
  backend = await startBackend(serve);
  gateway = await startGateway({
    providers: { two: { kind: "http", url: backend.url, max: PLACES, acquire_timeout_ms: 60_000 } },
  });
});
after(async () => {
  await gateway?.stop();
  await backend?.stop();
});

/** What becomes of each request: `undefined` lives, the others say when and how they are cut. */
function plans(random) {
  const all = Array.from({ length: REQUESTS }, (_, i) => {
    if (i >= CUTS) return undefined;
    return { when: ["queued", "before headers", "mid-stream"][i % 3], how: i % 2 ? "RST" : "FIN" };
  });
  for (let i = all.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [all[i], all[j]] = [all[j], all[i]];
  }
  return all;
}

async function moment(plan, id, raw, roll) {
  if (plan.when === "queued") return sleep(roll * 400);
  if (plan.when === "mid-stream") return raw.until(({ events }) => events > roll * (CHUNKS - 3));
  await arrival(id).seen;
  return sleep((roll * HEADERS_MS) / 2);
}

async function run(plan, id, start, roll) {
  await sleep(start);
  const raw = new RawRequest(`${gateway.url}/two/stream`, { headers: { "x-test-id": id } });
  if (plan === undefined) {
    const text = await raw.whole(60_000);
    return { fate: raw.status === 200 && text.includes("data: [DONE]") ? "complete" : text };
  }
  await within(60_000, `the moment to cut ${id}`, moment(plan, id, raw, roll));
  const stage = raw.events > 0 ? "mid-stream" : arrival(id).done ? "before headers" : "queued";
  const fate = raw.over || raw.received.includes("[DONE]") ? "too late" : "cut";
  if (plan.how === "RST") raw.reset();
  else raw.leave();
  await within(5_000, `the end of the socket of ${id}`, raw.closed);
  return { fate, stage: `${stage}, ${plan.how}` };
}

function tally(values) {
  const counts = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}

function story(seed) {
  const random = seeded(seed);
  return plans(random).map((plan, i) => run(plan, `${seed}-${i}`, random() * 300, random()));
}

for (const seed of SEEDS) {
  const name = `50 of 150 cut off on 2 places cost no live request and no place (seed ${seed})`;
  test(`${RUNTIME}: ${name}`, async (t) => {
    clearOrigin();
    const start = performance.now();
    const fates = await Promise.all(story(seed));
    const took = Math.round(performance.now() - start);
    const counts = tally(fates.map(({ fate }) => fate));
    const stages = tally(fates.flatMap(({ fate, stage }) => (fate === "cut" ? [stage] : [])));
    t.diagnostic(`${took} ms; ${JSON.stringify(counts)}; ${JSON.stringify(stages)}`);

    assert.equal(counts.complete, REQUESTS - CUTS, JSON.stringify(counts));
    assert.ok(counts.cut >= CUTS - 5, `cut in time: ${JSON.stringify(counts)}`);
    for (const stage of ["queued", "before headers", "mid-stream"]) {
      for (const how of ["RST", "FIN"]) {
        assert.ok(stages[`${stage}, ${how}`] > 0, `${stage}, ${how}`);
      }
    }
    const limit = RUNTIME === "workerd" ? LEASE_TTL_MS + 2_000 : 3_000;
    const rest = await gateway.rest("two", limit);
    const { peak, whole, left } = origin;
    t.diagnostic(`in_use 0 after ${rest.took} ms; peak ${peak}, ${whole} whole, ${left} left`);
    assert.ok(peak <= PLACES, `the origin saw ${peak} at once`);
  });
}

test(`${RUNTIME}: after the cuts both places still serve`, async () => {
  clearOrigin();
  const one = async (_, i) => {
    const headers = { "x-test-id": `after${i}` };
    const response = await fetch(`${gateway.url}/two/stream`, { method: "POST", headers });
    return response.text();
  };
  const texts = await within(20_000, "20 requests", Promise.all(Array.from({ length: 20 }, one)));
  assert.ok(texts.every(isComplete));
  assert.equal(origin.peak, PLACES);
  await gateway.rest("two", 5_000);
});

test(`${RUNTIME}: the counters add up after the cuts`, async () => {
  const { started, direct, waited, timed_out, cancelled, failed, refused, closed, ...rest } =
    await gateway.stats("two");
  const settled = direct + waited + timed_out + cancelled + failed + refused + closed;
  assert.equal(started, settled + (rest.pending ?? 0));
  // A request that is cut at once may never have reached the gateway.
  const most = SEEDS.length * REQUESTS + 20;
  const least = most - SEEDS.length * CUTS;
  assert.ok(started >= least && started <= most, `started ${started}`);
});
