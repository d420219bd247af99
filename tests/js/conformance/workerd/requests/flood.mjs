// More waiters than workerd has timers for.
import assert from "node:assert/strict";
import { poolAt } from "../client.mjs";

const PLACES = 100;

/** Fills the queue in so many requests, has it refuse, serves it, and says what became of it. */
async function fill(at, name, most, requests) {
  const pool = poolAt(at, name, { max: PLACES, maxWaiting: most, ttl: 60_000 });
  await pool.text("/keep", { n: PLACES });
  const n = most / requests;
  const crowd = Array.from({ length: requests }, () => pool.json("/flood", { n }));
  await pool.until({ waiting: most }, 30_000);
  const refused = await pool.json("/flood", { n: 1_000 });
  assert.deepEqual(refused, { queue_full: 1_000 }, "the queue is bounded and says so");
  assert.equal((await pool.stats()).waiting, most, "and stands as it did");
  await pool.text("/end-kept");
  const ends = await Promise.all(crowd);
  const sum = (name) => ends.reduce((total, counts) => total + (counts[name] ?? 0), 0);
  assert.equal(sum("served"), most, JSON.stringify(ends));
  const { missed } = await pool.until({ inUse: 0, pending: 0 });
  return `${missed} times one was late for three offers, and asked again`;
}

export default [
  {
    name: "ten_thousand_waiters",
    run: ({ at }) => fill(at, "flood", 10_000, 1),
  },
  {
    name: "twenty_thousand_waiters_of_a_request_that_may_have_ten_thousand_timers",
    run: ({ at }) => fill(at, "deluge", 20_000, 1),
  },
  {
    name: "ten_thousand_waiters_of_many_requests",
    run: ({ at }) => fill(at, "crowd", 10_000, 100),
  },
];
