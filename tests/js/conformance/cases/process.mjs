// What only processes have: node:async_hooks, and time that goes on while code runs.
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
  {
    name: "a_timeout_counts_from_its_call",
    async run(t) {
      // Nothing is ever due in it but what its calls bring.
      const timeless = ["acquireTimeout", "createTimeout", "idleTimeout", "maxLifetime"];
      const options = Object.fromEntries(timeless.map((name) => [name, Infinity]));
      const pool = new Pool({ create: () => ({}), max: 1, minIdle: 0, ...options });
      const held = await pool.acquire();
      const patient = pool.acquire();
      const start = performance.now();
      while (performance.now() - start < 100);
      const called = performance.now();
      await t.rejects(pool.acquire({ timeout: 50 }), { code: "acquire_timeout" });
      const took = performance.now() - called;
      t.ok(took >= 45, `it ended after ${took} ms, as code that ran before it counted`);
      held.release();
      const again = await patient;
      t.ok(again.waited >= 145, `${again.waited} ms are told of a wait of 150`);
      const late = t.rejects(pool.acquire({ timeout: 20 }), { code: "acquire_timeout" });
      const from = performance.now();
      while (performance.now() - from < 60);
      again.release();
      await late;
      t.equal(pool.stats().idle, 1, "what came back too late is served to nobody");
    },
  },
];
