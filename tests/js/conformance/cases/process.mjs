// What only processes have: node:async_hooks, and the package as `require` sees it.
import { AsyncLocalStorage } from "node:async_hooks";
import { createRequire } from "node:module";
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
    name: "require_works",
    async run(t) {
      const require = createRequire(import.meta.url);
      const { Pool: Required } = require("edgepool");
      const { ClientPool } = require("edgepool/clients");
      t.equal(await new Required({ create: () => "r" }).use((value) => value), "r");
      const providers = { p: { kind: "http", baseURL: "http://127.0.0.1:9" } };
      t.equal(new ClientPool({ providers }).names(), ["p"]);
      t.equal(require("edgepool/package.json").name, "edgepool");
    },
  },
];
