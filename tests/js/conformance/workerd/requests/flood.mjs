// More waiters than workerd would have timers for.
import assert from "node:assert/strict";
import { poolAt, text } from "../client.mjs";

/** workerd allows 10,000 timers, and each waiter has one. */
const MOST = 9_000;

export default [
  {
    name: "ten_thousand_waiters",
    async run({ at }) {
      const pool = poolAt(at, "flood", { max: 8, maxWaiting: MOST, ttl: 60_000 });
      const over = await text(`${at}/options?maxWaiting=${MOST + 1}`);
      assert.match(over, /^TypeError: .*maxWaiting.* 9000/, "more is refused at once");
      await pool.text("/keep", { n: 8 });
      const full = pool.json("/flood", { n: MOST });
      await pool.until({ waiting: MOST }, 20_000);
      const refused = await pool.json("/flood", { n: 1_000 });
      assert.deepEqual(refused, { queue_full: 1_000 }, "the queue is bounded and says so");
      assert.equal((await pool.stats()).waiting, MOST, "and stands as it did");
      await pool.text("/end-kept");
      assert.deepEqual(await full, { served: MOST });
      await pool.until({ inUse: 0, waiting: 0, offered: 0 });
    },
  },
  {
    name: "ten_thousand_waiters_of_many_requests",
    async run({ at }) {
      const pool = poolAt(at, "crowd", { max: 8, maxWaiting: MOST, ttl: 60_000 });
      await pool.text("/keep", { n: 8 });
      const crowd = Array.from({ length: 90 }, () => pool.json("/flood", { n: MOST / 90 }));
      await pool.until({ waiting: MOST }, 20_000);
      assert.deepEqual(await pool.json("/flood", { n: 1 }), { queue_full: 1 });
      await pool.text("/end-kept");
      const ends = await Promise.all(crowd);
      for (const end of ends) assert.deepEqual(end, { served: MOST / 90 });
      await pool.until({ inUse: 0, waiting: 0, offered: 0 });
    },
  },
];
