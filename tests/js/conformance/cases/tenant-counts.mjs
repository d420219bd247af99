// What is counted and told of tenants.
import { each, random, settle, state } from "../lib/harness.mjs";
import { TenantWorld } from "../lib/tenant-world.mjs";

export default [
  {
    name: "what_has_ended_is_never_less_than_it_was",
    run: each(async (t, mode) => {
      const most = {};
      const look = () => {
        const said = { all: it.tenants.totals().usage.released };
        for (const id of ["a", "b", "c"]) said[id] = it.tenants.stats(id)?.released ?? 0;
        for (const [id, released] of Object.entries(said)) {
          t.ok(released >= (most[id] ?? 0), `${id}: ${released} after ${most[id]}`);
          most[id] = released;
        }
      };
      let failure;
      const observer = ({ type }) => {
        if (type !== "acquired" && type !== "released") return;
        try {
          look();
        } catch (error) {
          failure ??= error;
        }
      };
      const it = new TenantWorld({ mode, observer, warmUp: 1 });
      await it.visit("a");
      await settle();
      const coming = it.tenants.acquire("a", { timeout: 1 });
      t.equal(it.tenants.stats("a").released, 1, "one is lent of which nobody has heard");
      (await coming).release();
      const draw = random(3);
      const client = async () => {
        for (let turn = 0; turn < 30; turn += 1) {
          const options = draw() < 0.5 ? undefined : { timeout: 1_000 };
          const lease = await it.tenants.acquire("abc"[Math.floor(draw() * 3)], options);
          if (draw() < 0.7) await it.sleep(draw() * 10);
          lease.release();
          look();
        }
      };
      const all = Promise.all(Array.from({ length: 4 }, client));
      await it.pass(5_000);
      await all;
      if (failure !== undefined) throw failure;
      t.equal(it.tenants.totals().usage.released, 122);
      await it.assertCloses();
      t.equal(it.tenants.totals().usage.released, 122, "of pools that have gone");
    }),
  },
  {
    name: "holders_are_told_by_tenant",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode });
      const [a, b] = [await it.tenants.acquire("a"), await it.tenants.acquire("b")];
      const removal = it.tenants.remove("a", { deadline: 100 });
      await it.pass(100);
      t.equal((await removal).map(({ tenant, held }) => [tenant, held]), [["a", 100]]);
      const closing = it.tenants.close({ deadline: 50, force: true });
      await it.pass(50);
      t.equal((await closing).map(({ tenant }) => tenant), ["a", "b"]);
      t.equal([a.release(), b.release(), it.total], [false, false, 0], "with force they ended");
    }),
  },
  {
    name: "tenants_are_counted",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode, maxPools: 2 });
      const start = it.clock.now();
      await it.visit("a");
      await it.pass(50);
      await it.visit("a");
      await it.visit("b");
      const { accesses, openedAt, lastAccess, released, state: now } = it.tenants.stats("a");
      t.equal([accesses, openedAt, lastAccess, released, now], [2, start, start + 50, 2, "ready"]);
      t.equal(it.tenants.entry("b").schema, "tenant_b");
      await it.visit("c");
      t.equal([it.tenants.stats("a"), it.tenants.entry("a")], [undefined, undefined]);
      const { pools, opened, evicted, started, released: all, idle } = it.tenants.totals();
      t.equal([pools, opened, evicted, started, all, idle], [2, 3, 1, 4, 4, 2], "evicted ones too");
      const seen = it.states.filter(([id]) => id === "a").map(([, told]) => told);
      t.equal(seen, ["ready", "draining", "closed"]);
      await it.assertCloses();
    }),
  },
  {
    name: "the_wait_for_a_pool_is_counted",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode, maxPools: 1, poolSize: 1, maxWaiting: 3 });
      const lease = await it.tenants.acquire("a");
      const stop = new AbortController();
      const waits = [
        it.tenants.acquire("b", { timeout: 200 }), it.tenants.acquire("b", { signal: stop.signal }),
      ].map((wait) => t.rejects(wait));
      const served = it.tenants.acquire("b");
      await t.rejects(it.tenants.acquire("b"), { code: "queue_full" });
      stop.abort(new Error("gone"));
      await it.pass(300);
      await Promise.all(waits);
      t.equal(it.tenants.stats("b"), undefined, "of one that has no pool");
      const { usage, waitingForPool } = it.tenants.totals();
      t.equal([usage.waiting, waitingForPool, usage.timedOut], [1, 1, 1]);
      lease.release();
      await it.pass(100);
      const own = await served;
      const second = t.rejects(it.tenants.acquire("b", { timeout: 100 }));
      await it.pass(100);
      await second;
      const { waiting, acquired, inUse, timedOut, cancelled, refused } = it.tenants.stats("b");
      t.equal([waiting, acquired, inUse, timedOut, cancelled, refused], [0, 1, 1, 2, 1, 1]);
      const { totalWait, longestWait } = it.tenants.stats("b");
      t.ok(longestWait >= 300 && longestWait <= 400, `it has waited for ${longestWait} ms`);
      t.equal(totalWait, longestWait, "one was served after a wait");
      own.release();
      await it.pass(100);
      await it.visit("b");
      const { acquired: all, released, longestWait: longest } = it.tenants.stats("b");
      t.equal([all, released, longest], [2, 2, longestWait]);
      await it.assertCloses();
    }),
  },
  {
    name: "a_wait_that_ends_with_its_pool_is_counted",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode });
      it.create = () => new Promise(() => undefined);
      const waits = [1, 2].map(() =>
        t.rejects(it.tenants.acquire("a"), { code: "tenant_removed" }));
      await settle();
      void it.tenants.remove("a", { deadline: 0 });
      await it.pass(200);
      await Promise.all(waits);
      const { pools, usage } = it.tenants.totals();
      t.equal([pools, usage.ended, usage.waiting], [0, 2, 0]);
      await it.assertCloses();
    }),
  },
  {
    name: "a_tenant_that_comes_back_is_counted_anew",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode, maxPools: 1, poolSize: 1 });
      await it.visit("a");
      const held = await it.tenants.acquire("a");
      const late = t.rejects(it.tenants.acquire("a", { timeout: 100 }));
      await it.pass(100);
      await late;
      held.release();
      await it.visit("b");
      t.equal(it.tenants.stats("a"), undefined, "of one whose pool was closed");
      await it.pass(10);
      await it.visit("a");
      const { accesses, openedAt, acquired, timedOut, ownPool } = it.tenants.stats("a");
      t.equal([accesses, openedAt, acquired, timedOut], [1, it.clock.now(), 1, 0]);
      t.equal(ownPool.created, 1);
      const { usage, created } = it.tenants.totals();
      t.equal([usage.acquired, usage.released, usage.timedOut, created], [4, 4, 1, 3]);
      await it.assertCloses();
    }),
  },
];
