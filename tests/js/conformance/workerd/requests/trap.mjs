// A wasm trap, which every pool of the isolate shares.
import assert from "node:assert/strict";
import { json, poolAt, text } from "../client.mjs";

export default [
  {
    name: "trap_recovers",
    async run({ at }) {
      const pool = poolAt(at, "trap", { max: 2, ttl: 60_000 });
      const other = poolAt(at, "trap-other", { max: 1, ttl: 60_000 });
      const instances = (await json(`${at}/memory`)).length;
      await pool.text("/keep");
      const held = pool.text("/hold");
      await pool.until({ inUse: 2 });
      const letGoOther = await other.occupy();
      const waits = [pool, pool, other].map((one) => one.text("/end"));
      await pool.until({ waiting: 2 });
      await other.until({ waiting: 1 });
      await text(`${at}/trap`);
      for (const end of await Promise.all(waits)) {
        assert.equal(end, "CoreResetError core_reset", "the waiters of both pools");
      }
      assert.equal((await json(`${at}/memory`)).length, instances + 1, "a new instance");
      const after = await pool.stats();
      const { inUse, restarts } = after;
      assert.deepEqual({ inUse, restarts }, { inUse: 2, restarts: 1 }, "max holds across it");
      // Who comes now waits for leases that are older than the instance.
      const next = pool.json("/wait");
      await pool.until({ waiting: 1 });
      assert.equal(await pool.text("/end-kept"), "true", "such a lease ends as any other");
      await next;
      await pool.text("/let-go");
      assert.equal(await held, "held");
      await letGoOther();
      await pool.until({ inUse: 0, waiting: 0 });
      await other.json("/wait");
      await other.until({ inUse: 0, waiting: 0, restarts: 1 });
    },
  },
];
