// Many requests for streams of an event origin, some of which are cut off: while queued, before
// the headers, in the middle of the stream; by a reset and by a close. The moments follow a seed.

import { RawRequest } from "./client.mjs";
import { PACE } from "./event-origin.mjs";
import { seeded, sleep, within } from "./time.mjs";

/**
 * Sends `requests` through the `urls` in turn, cuts `cuts` of them off, and waits for all. Gives
 * how many came to each end ("complete", "cut", "too late", or what came instead), and how many
 * were cut in each stage.
 */
export async function chaos({ seed, requests, cuts, origin, urls }) {
  const random = seeded(seed);
  const all = plans(random, requests, cuts).map((plan, i) => {
    const url = urls[i % urls.length];
    return run({ plan, id: `${seed}-${i}`, url, origin, start: random() * 300, roll: random() });
  });
  const fates = await Promise.all(all);
  return {
    counts: tally(fates.map(({ fate }) => fate)),
    stages: tally(fates.flatMap(({ fate, stage }) => (fate === "cut" ? [stage] : []))),
  };
}

/** What becomes of each request: `undefined` lives, the others say when and how they are cut. */
function plans(random, requests, cuts) {
  const all = Array.from({ length: requests }, (_, i) => {
    if (i >= cuts) return undefined;
    return { when: ["queued", "before headers", "mid-stream"][i % 3], how: i % 2 ? "RST" : "FIN" };
  });
  for (let i = all.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [all[i], all[j]] = [all[j], all[i]];
  }
  return all;
}

async function run({ plan, id, url, origin, start, roll }) {
  await sleep(start);
  const raw = new RawRequest(url, { headers: { "x-test-id": id } });
  if (plan === undefined) {
    const text = await raw.whole(60_000);
    return { fate: raw.status === 200 && text.includes("data: [DONE]") ? "complete" : text };
  }
  const { arrival } = origin;
  await within(60_000, `the moment to cut ${id}`, moment(plan, raw, arrival(id), roll));
  const stage = raw.events > 0 ? "mid-stream" : arrival(id).done ? "before headers" : "queued";
  const fate = raw.over || raw.received.includes("[DONE]") ? "too late" : "cut";
  if (plan.how === "RST") raw.reset();
  else raw.leave();
  await within(5_000, `the end of the socket of ${id}`, raw.closed);
  return { fate, stage: `${stage}, ${plan.how}` };
}

async function moment({ when }, raw, arrival, roll) {
  if (when === "queued") return sleep(roll * 400);
  if (when === "mid-stream") return raw.until(({ events }) => events > roll * (PACE.chunks - 3));
  await arrival.seen;
  return sleep((roll * PACE.headersMs) / 2);
}

function tally(values) {
  const counts = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}
