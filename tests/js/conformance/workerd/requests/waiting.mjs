// Waiters of one request, served by another.
import assert from "node:assert/strict";
import { sleep } from "../../../lib/time.mjs";
import { cut, HOWS, poolAt } from "../client.mjs";

/** workerd ends a request as hung that has nothing of its own to wait for, in 4 to 100 ms. */
const LONGER_THAN_HUNG = 500;

export default [
  {
    name: "waiter_without_io_survives",
    async run({ at }) {
      const pool = poolAt(at, "no-io", { max: 1 });
      const letGo = await pool.occupy();
      const waits = [{ bare: 1 }, { bare: 1 }, {}, {}].map((query) => pool.json("/wait", query));
      await pool.until({ waiting: 4 });
      await sleep(LONGER_THAN_HUNG);
      await letGo();
      for (const { waited } of await Promise.all(waits)) {
        assert.ok(waited >= LONGER_THAN_HUNG, `waited ${waited} ms`);
      }
      await pool.until({ inUse: 0, waiting: 0, missed: 0 });
    },
  },
  {
    name: "io_stays_in_its_request",
    async run({ at }) {
      const pool = poolAt(at, "io", { max: 1 });
      const letGo = await pool.occupy();
      const ask = (n) => pool.json("/wait-then-work", {}, { method: "POST", body: `body ${n}` });
      const asked = [1, 2, 3].map(ask);
      await pool.until({ waiting: 3 });
      await letGo();
      for (const [i, { waited, fetched, body }] of (await Promise.all(asked)).entries()) {
        assert.ok(waited > 0, "it was served by another request");
        assert.deepEqual([fetched, body], ["plain", `body ${i + 1}`], "a fetch, and its own body");
      }
    },
  },
  {
    name: "async_context_is_the_waiters",
    async run({ at }) {
      const pool = poolAt(at, "als", { max: 1 });
      const letGo = await pool.occupy();
      const stores = ["one", "two", "three"];
      const ask = (store) => pool.json("/wait-then-work", { store }, { method: "POST", body: "" });
      const asked = stores.map(ask);
      await pool.until({ waiting: 3 });
      await letGo();
      for (const [i, { waited, seen }] of (await Promise.all(asked)).entries()) {
        assert.ok(waited > 0, "it was served by another request");
        const own = stores[i];
        assert.deepEqual(seen, [own, own, own], "after acquire, after I/O, and inside use");
      }
    },
  },
  {
    name: "newcomer_cannot_overtake",
    async run({ at }) {
      // Whoever is late for an offer lets the next one pass, which a busy machine makes happen.
      const pool = poolAt(at, "order", { max: 1, offerTimeout: 20_000 });
      const letGo = await pool.occupy();
      const all = [];
      for (let i = 0; i < 5; i += 1) {
        all.push(pool.json("/wait"));
        await pool.until({ waiting: i + 1 });
      }
      await letGo();
      const order = (await Promise.all(all)).map(({ served }) => served);
      const sorted = [...order].sort((a, b) => a - b);
      assert.deepEqual(order, sorted, "served in the order in which their requests came");
    },
  },
  {
    name: "cancelled_waiter_does_not_eat_the_wake",
    async run({ at, configuration }) {
      for (const how of HOWS) {
        const pool = poolAt(at, `cancelled-${how}`, { max: 1 });
        const letGo = await pool.occupy();
        const first = pool.open("/wait");
        await pool.until({ waiting: 1 });
        const second = pool.json("/wait");
        await pool.until({ waiting: 2 });
        await cut(first, how);
        // A FIN, and an RST without the flag, is not told to a request that writes nothing.
        const told = how === "RST" && configuration.signal;
        await pool.until({ waiting: told ? 1 : 2, cancelled: Number(told) });
        await letGo();
        await second;
        await pool.until({ inUse: 0, waiting: 0, offered: 0, pending: 0 });
      }
    },
  },
  {
    name: "offered_but_never_polled_is_passed_on",
    async run({ at }) {
      const pool = poolAt(at, "never-polled", { max: 1 });
      const letGo = await pool.occupy();
      const dead = [1, 2, 3].map(() => pool.open("/wait", { bare: 1 }));
      await pool.until({ waiting: 3 });
      const live = pool.json("/wait");
      await pool.until({ waiting: 4 });
      // Nothing tells the pool of their end; they look for their offers no more.
      await Promise.all(dead.map((raw) => cut(raw, "RST")));
      await sleep(1_000);
      await letGo();
      await live;
      const { offersMissed } = await pool.until({ inUse: 0 });
      assert.ok(offersMissed >= 3, `${offersMissed} offers to the dead`);
      await pool.until({ waiting: 0, offered: 0, pending: 0 });
    },
  },
  {
    name: "a_dead_request_takes_its_own_waiters_along",
    async run({ at }) {
      const pool = poolAt(at, "crowds", { max: 5 });
      const letGo = await pool.occupy(5);
      const crowds = [];
      // Every other one dies amidst its waiters, while those of the others wait between them.
      for (const route of ["open", "json", "open", "json"]) {
        crowds.push(pool[route]("/flood", { n: 25, bare: 1 }));
        await pool.until({ waiting: 25 * crowds.length });
      }
      const [dead, live, deadToo, liveToo] = crowds;
      await cut(dead, "RST");
      await letGo();
      await cut(deadToo, "RST");
      assert.deepEqual(await live, { served: 25 });
      assert.deepEqual(await liveToo, { served: 25 });
      await pool.until({ inUse: 0, offered: 0, waiting: 0, pending: 0 });
      assert.equal(await pool.text("/end"), "served");
    },
  },
  {
    name: "a_timeout_ends_the_waiter_in_its_own_request",
    async run({ at }) {
      const pool = poolAt(at, "late", { max: 1, acquireTimeout: 150 });
      const letGo = await pool.occupy();
      assert.equal(await pool.text("/end"), "AcquireTimeoutError acquire_timeout");
      await letGo();
      await pool.until({ inUse: 0, waiting: 0, timedOut: 1 });
    },
  },
  {
    name: "close_settles_every_waiter",
    async run({ at }) {
      const pool = poolAt(at, "closed", { max: 1 });
      const letGo = await pool.occupy();
      const waits = [1, 2, 3].map(() => pool.text("/end"));
      await pool.until({ waiting: 3 });
      const closed = pool.json("/close", { deadline: 20_000 });
      for (const end of await Promise.all(waits)) assert.equal(end, "PoolClosedError pool_closed");
      assert.equal(await pool.text("/end"), "PoolClosedError pool_closed", "and whoever comes now");
      await letGo();
      assert.deepEqual(await closed, [], "close, in a request of its own, waits for what is out");
    },
  },
  {
    name: "close_waits_then_names_the_holders",
    async run({ at }) {
      const pool = poolAt(at, "closing", { max: 2 });
      const letGo = await pool.occupy();
      const [holder, ...others] = await pool.json("/close", { deadline: 150 });
      assert.equal(others.length, 0, "one lease is out, in another request");
      assert.ok(holder.held >= 150, `held for ${holder.held} ms`);
      await letGo();
      assert.deepEqual(await pool.json("/close", { deadline: 5_000 }), [], "it came back since");
    },
  },
];
