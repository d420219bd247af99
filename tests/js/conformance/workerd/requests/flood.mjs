// More waiters than workerd would have timers for.
import assert from "node:assert/strict";
import { poolAt, text } from "../client.mjs";

/** workerd allows 10,000 timers, and each waiter has one. */
const MOST = 9_000;
/** Many, as each is handed on at its waiter's next look where there is no doorbell. */
const PLACES = 1_000;

/** Fills the queue in so many requests, has it refuse, serves it, and says what became of it. */
async function fill(pool, requests) {
  await pool.text("/keep", { n: PLACES });
  const n = MOST / requests;
  const crowd = Array.from({ length: requests }, () => pool.json("/flood", { n }));
  await pool.until({ waiting: MOST }, 30_000);
  const refused = await pool.json("/flood", { n: 1_000 });
  assert.deepEqual(refused, { queue_full: 1_000 }, "the queue is bounded and says so");
  assert.equal((await pool.stats()).waiting, MOST, "and stands as it did");
  await pool.text("/end-kept");
  const ends = await Promise.all(crowd);
  const sum = (name) => ends.reduce((total, counts) => total + (counts[name] ?? 0), 0);
  // workerd 2026-11-17 fires some 33,000 timers a second; 9,000 of 50 ms want five times as many.
  assert.equal(sum("served"), MOST, `however late its timers are: ${JSON.stringify(ends)}`);
  const { missed } = await pool.until({ inUse: 0, pending: 0 });
  return `${missed} times one was late for three offers, and asked again`;
}

export default [
  {
    name: "ten_thousand_waiters",
    async run({ at }) {
      const over = await text(`${at}/options?maxWaiting=${MOST + 1}`);
      assert.match(over, /^TypeError: .*maxWaiting.* 9000/, "more is refused at once");
      const pool = poolAt(at, "flood", { max: PLACES, maxWaiting: MOST, ttl: 60_000 });
      return fill(pool, 1);
    },
  },
  {
    name: "ten_thousand_waiters_of_many_requests",
    async run({ at }) {
      const pool = poolAt(at, "crowd", { max: PLACES, maxWaiting: MOST, ttl: 60_000 });
      return fill(pool, 90);
    },
  },
];
