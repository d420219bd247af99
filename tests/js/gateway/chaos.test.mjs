// 150 requests on 2 places, of which 50 are cut off: while queued, before the headers, in the
// middle of the stream; by a reset and by a close. The moments follow a seed.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { chaos } from "../lib/chaos.mjs";
import { isComplete } from "../lib/client.mjs";
import { startEventOrigin } from "../lib/event-origin.mjs";
import { RUNTIME, SCOPE } from "../lib/process.mjs";
import { startGateway } from "../lib/servers.mjs";
import { within } from "../lib/time.mjs";

/** One seed, or one that is asked for, or ten of them in the full tier. */
const SEEDS = process.env.EDGEPOOL_SEED
  ? [Number(process.env.EDGEPOOL_SEED)]
  : Array.from({ length: process.env.EDGEPOOL_FULL ? 10 : 1 }, (_, i) => 20 + i);
const REQUESTS = 150;
const CUTS = 50;
const PLACES = 2;
const LEASE_TTL_MS = 15_000;

let origin, gateway;

before(async () => {
  origin = await startEventOrigin();
  gateway = await startGateway({
    providers: { two: { kind: "http", url: origin.url, max: PLACES, acquire_timeout_ms: 60_000 } },
  });
});
after(async () => {
  await gateway?.stop();
  await origin?.stop();
});

for (const seed of SEEDS) {
  const name = `50 of 150 cut off on 2 places cost no live request and no place (seed ${seed})`;
  test(`${RUNTIME}: ${name}`, async (t) => {
    origin.clear();
    const start = performance.now();
    const urls = [`${gateway.url}/two/stream`];
    const plan = { seed, requests: REQUESTS, cuts: CUTS, origin, urls };
    const { counts, stages } = await chaos(plan);
    const took = Math.round(performance.now() - start);
    t.diagnostic(`${took} ms; ${JSON.stringify(counts)}; ${JSON.stringify(stages)}`);

    assert.equal(counts.complete, REQUESTS - CUTS, JSON.stringify(counts));
    assert.ok(counts.cut >= CUTS - 5, `cut in time: ${JSON.stringify(counts)}`);
    for (const stage of ["queued", "before headers", "mid-stream"]) {
      for (const how of ["RST", "FIN"]) {
        assert.ok(stages[`${stage}, ${how}`] > 0, `${stage}, ${how}`);
      }
    }
    const dies = RUNTIME === "workerd" && SCOPE !== "object";
    const limit = dies ? LEASE_TTL_MS + 2_000 : 3_000;
    const rest = await gateway.rest("two", limit);
    const { peak, whole, left } = origin.seen;
    t.diagnostic(`in_use 0 after ${rest.took} ms; peak ${peak}, ${whole} whole, ${left} left`);
    assert.ok(peak <= PLACES, `the origin saw ${peak} at once`);
  });
}

test(`${RUNTIME}: after the cuts both places still serve`, async () => {
  origin.clear();
  const one = async (_, i) => {
    const headers = { "x-test-id": `after${i}` };
    const response = await fetch(`${gateway.url}/two/stream`, { method: "POST", headers });
    return response.text();
  };
  const texts = await within(20_000, "20 requests", Promise.all(Array.from({ length: 20 }, one)));
  assert.ok(texts.every(isComplete));
  assert.equal(origin.seen.peak, PLACES);
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
