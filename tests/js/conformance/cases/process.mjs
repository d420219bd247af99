// What only processes have: node:async_hooks.
import { AsyncLocalStorage } from "node:async_hooks";
import { Pool } from "edgepool";

export default [
  {
    name: "async_context_is_the_waiters",
    async run(t) {
      const storage = new AsyncLocalStorage();
      for (const mode of ["process", "edge"]) {
        const pool = new Pool({ create: () => ({}), max: 1, mode });
        const held = await pool.acquire();
        const waiting = storage.run("waiter", async () => {
          const lease = await pool.acquire();
          const seen = storage.getStore();
          lease.release();
          return seen;
        });
        storage.run("releaser", () => held.release());
        t.equal(await waiting, "waiter");
      }
    },
  },
];
