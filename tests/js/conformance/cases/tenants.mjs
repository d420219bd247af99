// A pool for each tenant: opened when it is asked for, closed for another's sake, never crossed.
import { Pool } from "edgepool";
import { each, random, settle, state } from "../lib/harness.mjs";
import { Crowd, TenantWorld } from "../lib/tenant-world.mjs";

/** The tenants that a bounded list has at most `size` of, the one used last at its end. */
class Model {
  order = [];

  constructor(size) {
    this.size = size;
  }

  use(id) {
    this.order = [...this.order.filter((one) => one !== id), id].slice(-this.size);
  }
}

/** Draws tenants as they come in practice: the first often, the last hardly ever. */
function zipf(draw, count) {
  return `t${Math.min(Math.floor(count ** draw()) - 1, count - 1)}`;
}

export default [
  {
    name: "a_tenant_has_a_pool_of_its_own",
    run: each(async (t, mode) => {
      for (const kind of ["perTenant", "perDatabase"]) {
        const it = new TenantWorld({ mode, kind, tenants: { beta: {} } });
        const [a, b] = [await it.tenants.acquire("acme"), await it.tenants.acquire("beta")];
        const own = kind === "perTenant" ? "schema" : "database";
        for (const [lease, id] of [[a, "acme"], [b, "beta"]]) {
          const { tenant } = lease.value;
          t.equal([tenant.id, tenant[own]], [id, `tenant_${id}`]);
          t.equal([tenant.schema, tenant.database].filter(Boolean).length, 1, "names of its own");
          lease.release();
        }
        t.equal((await it.tenants.acquire("acme")).release(), true);
        t.equal(it.made.length, 2, "connections were used again");
        t.equal(await it.tenants.use("beta", ({ tenant }) => tenant.id), "beta");
        await it.assertCloses();
      }
    }),
  },
  {
    name: "tenants_have_names_of_their_own",
    run: each(async (t, mode) => {
      const it = new TenantWorld({
        mode, maxPools: 4, tenants: {
          acme: { schema: "Acme & Sons" }, beta: { schema: "tenant_gamma" },
          delta: { schema: `${"\u00e9".repeat(31)}a` },
        },
      });
      t.equal((await it.tenants.acquire("acme")).value.tenant.schema, "Acme & Sons");
      t.equal((await it.tenants.acquire("delta")).value.tenant.schema.length, 32, "in 63 bytes");
      const taken = await t.rejects(it.tenants.acquire("gamma"), { code: "invalid_tenant" });
      t.ok(/tenant "beta" has tenant_gamma already/.test(taken.message), taken.message);
      const long = "x".repeat(57);
      const cut = await t.rejects(it.tenants.acquire(long), { code: "invalid_tenant" });
      t.ok(/64 characters/.test(cut.message), cut.message);
      t.equal((await it.tenants.acquire("x".repeat(56))).value.tenant.schema.length, 63);
    }),
  },
  {
    name: "the_least_recently_used_pool_makes_room",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode, maxPools: 8, poolSize: 1 });
      const [model, draw] = [new Model(8), random(7)];
      for (let step = 0; step < 2_000; step += 1) {
        const id = zipf(draw, 40);
        await it.visit(id);
        model.use(id);
        t.equal(it.open(), model.order, `after step ${step}`);
      }
      const { opened, evicted } = it.tenants.totals();
      t.equal(opened - evicted, 8);
      t.equal(it.peak, { pools: 8, connections: 8 });
      await it.assertCloses();
    }),
  },
  {
    name: "evicted_tenant_keeps_its_leases",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode, maxPools: 1 });
      const [first, second] = [await it.tenants.acquire("a"), await it.tenants.acquire("a")];
      const waiting = it.tenants.acquire("a");
      await settle();
      const other = it.tenants.acquire("b");
      await it.pass(100);
      t.equal([it.tenants.state("a"), it.tenants.state("b")], ["draining", "initializing"]);
      t.equal(await state(other), "pending", "it waits for the leases of the other");
      const again = it.tenants.acquire("a");
      first.release();
      const third = await waiting;
      t.equal(third.value, first.value, "who waited before is served");
      await it.pass(100);
      t.equal([await state(again), it.closed.length], ["pending", 0], "and nobody after it");
      second.release();
      third.release();
      await it.pass(100);
      t.equal([...it.closed].sort(), [0, 1], "it is closed with its last lease");
      const lease = await other;
      t.equal(lease.value.tenant.id, "b");
      t.equal(await state(again), "pending", "which has its next pool after that of the other");
      lease.release();
      await it.pass(200);
      t.equal((await again).value.tenant.id, "a");
      (await again).release();
      t.equal(it.peak.pools, 1);
      await it.assertCloses();
    }),
  },
  {
    name: "no_pool_is_opened_before_the_one_in_its_place_has_gone",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode, maxPools: 1, poolSize: 1 });
      it.close = () => it.sleep(300);
      await it.visit("a");
      const other = it.tenants.acquire("b");
      await it.pass(250);
      t.equal([await state(other), it.live.get("a")], ["pending", 1], "it is being closed");
      const back = it.tenants.acquire("a");
      await it.pass(150);
      (await other).release();
      await it.pass(600);
      (await back).release();
      t.equal(it.peak, { pools: 1, connections: 1 });
      await it.assertCloses();
    }),
  },
  {
    name: "caps_hold_under_random_use",
    run: each(async (t, mode) => {
      for (const [seed, budget] of [[1, undefined], [2, 6], [3, 4], [4, 9]]) {
        const tenants = budget === undefined ? {} : { t0: { weight: 3 } };
        const it = new TenantWorld({
          mode, maxPools: 4, poolSize: 3, resets: true, tenants, idleTimeout: 500,
          ...(budget !== undefined && { budget }),
        });
        const draw = random(seed);
        it.create = () => it.sleep(5 * draw());
        it.close = () => it.sleep(20 * draw());
        let served = 0;
        const client = async () => {
          for (let turn = 0; turn < 40; turn += 1) {
            const id = zipf(draw, 12);
            const lease = await it.tenants.acquire(id, { timeout: 100_000 });
            t.equal(lease.value.tenant.id, id, "whose connection it is");
            await it.sleep(10 * draw());
            if (draw() < 0.1) lease.discard();
            else lease.release();
            served += 1;
            if (draw() < 0.05) await it.sleep(1_000);
          }
        };
        const all = Promise.all(Array.from({ length: 20 }, client));
        for (let left = 4_000; left > 0 && served < 800; left -= 1) await it.pass(20);
        t.equal(served, 800, `served of seed ${seed}`);
        await it.pass(2_000);
        await all;
        await it.assertCloses();
      }
    }),
  },
  {
    name: "tenant_context_never_crosses",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode, maxPools: 5, poolSize: 2, resets: true });
      const draw = random(11);
      let failed = 0;
      it.reset = (connection) => {
        if (draw() < 0.2) {
          failed += 1;
          throw new Error("its context does not come off");
        }
        connection.context = undefined;
      };
      for (let step = 0; step < 3_000; step += 1) {
        const id = zipf(draw, 30);
        const { value } = await it.tenants.acquire(id).then((lease) => {
          const was = [lease.value.tenant.id, lease.value.context];
          t.equal(was, [id, undefined], "what the next one gets");
          lease.value.context = `secret of ${id}`;
          lease.release();
          return lease;
        });
        t.ok(value.tenant.id === id);
      }
      t.ok(failed > 400, `${failed} resets failed`);
      t.ok(it.closed.length >= failed, "and each of those was closed");
      t.equal(it.tenants.totals().resetFailed, failed);
      await it.assertCloses();
    }),
  },
  {
    name: "noisy_tenant_cannot_starve",
    run: each(async (t, mode) => {
      // A hundred callers of one tenant are always there; the others come one at a time.
      const it = new TenantWorld({
        mode, maxPools: 4, poolSize: 4, budget: 6, maxWaiting: 1_000, acquireTimeout: Infinity,
      });
      let over = false;
      const work = async (id) => {
        const asked = it.clock.now();
        const lease = await it.tenants.acquire(id);
        const waited = it.clock.now() - asked;
        await it.sleep(10);
        lease.release();
        return waited;
      };
      const noise = Array.from({ length: 100 }, async () => {
        while (!over) await work("noisy");
      });
      await it.pass(200);
      const waits = [];
      const quiet = ["x", "y"].map(async (id) => {
        for (let turn = 0; turn < 100; turn += 1) {
          waits.push(await work(id));
          await it.sleep(7);
        }
      });
      for (let left = 2_000; left > 0 && waits.length < 200; left -= 1) await it.pass(10);
      t.equal(waits.length, 200, "callers of the others that were served");
      // The first waits for a lease of the noisy one to end; from then on its share is its own.
      t.ok(Math.max(...waits) <= 100, `the longest wait was ${Math.max(...waits)} ms`);
      t.ok(waits.filter((wait) => wait > 10).length <= 4, `waits: ${waits}`);
      over = true;
      await it.pass(2_000);
      await Promise.all([...noise, ...quiet]);
      await it.assertCloses();
    }),
  },
  {
    name: "connections_move_from_idle_tenants_to_busy_ones",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode, maxPools: 4, poolSize: 4, budget: 4 });
      const hold = (id, count) => Promise.all(
        Array.from({ length: count }, () => it.tenants.acquire(id)));
      const four = hold("a", 4);
      await it.pass(100);
      t.equal(it.live, new Map([["a", 4]]));
      for (const lease of await four) lease.release();
      const three = hold("b", 3);
      await it.pass(200);
      t.equal([it.live.get("a"), it.live.get("b")], [1, 3], "the unused ones went");
      for (const lease of await three) lease.release();
      const last = hold("b", 4);
      await it.pass(200);
      t.equal([it.live.get("a"), it.live.get("b")], [1, 3], "each keeps its pool for a moment");
      await it.pass(1_000);
      t.equal([it.open(), it.live.get("b")], [["b"], 4], "with the last one a pool closes");
      for (const lease of await last) lease.release();
      t.equal(it.peak.connections, 4);
      await it.assertCloses();
    }),
  },
  {
    name: "a_budget_is_shared_by_weight",
    run: each(async (t, mode) => {
      const it = new TenantWorld({
        mode, maxPools: 2, poolSize: 6, budget: 6, tenants: { heavy: { weight: 2 }, light: {} },
        acquireTimeout: Infinity,
      });
      const crowd = new Crowd(it, { light: 20, heavy: 20 });
      await it.pass(500);
      t.equal([it.live.get("heavy"), it.live.get("light")], [4, 2], "connections of each");
      const { heavy, light } = await crowd.servedIn(3_000);
      t.ok(Math.abs(heavy / light - 2) < 0.1, `served: ${heavy} and ${light}`);
      await crowd.end();
      await it.assertCloses();
    }),
  },
  {
    name: "a_loud_tenant_leaves_the_others_their_pools",
    run: each(async (t, mode) => {
      const it = new TenantWorld({
        mode, maxPools: 6, poolSize: 6, budget: 6, maxWaiting: 1_000, acquireTimeout: Infinity,
      });
      for (const id of ["x", "y"]) await it.visit(id);
      let over = false;
      const noise = Array.from({ length: 100 }, async () => {
        while (!over) {
          const lease = await it.tenants.acquire("loud");
          await it.sleep(10);
          lease.release();
        }
      });
      for (let turn = 0; turn < 5; turn += 1) {
        await it.pass(500);
        t.equal(it.live.get("loud"), 4, "it has what the others do not use");
        for (const id of ["x", "y"]) {
          const before = it.clock.now();
          await it.visit(id);
          t.equal(it.clock.now(), before, `${id} is served at once`);
        }
      }
      t.equal(it.tenants.totals().opened, 3, "no pool was opened twice");
      // One that has none yet takes its first from the loud one, and not from an idle one.
      const fourth = it.tenants.acquire("z");
      await it.pass(100);
      (await fourth).release();
      t.equal([it.open().length, it.live.get("loud")], [4, 3]);
      await it.pass(2_000);
      t.equal([it.open(), it.live.get("loud")], [["loud"], 6], "those that nobody asks for go");
      over = true;
      await it.pass(1_000);
      await Promise.all(noise);
      await it.assertCloses();
    }),
  },
  {
    name: "a_heavy_tenant_gives_one_connection_to_one_caller",
    run: each(async (t, mode) => {
      const it = new TenantWorld({
        mode, maxPools: 4, poolSize: 4, budget: 4, tenants: { heavy: { weight: 100 } },
      });
      const asked = Array.from({ length: 4 }, () => it.tenants.acquire("heavy"));
      await it.pass(100);
      const held = await Promise.all(asked);
      const other = it.tenants.acquire("light");
      await it.pass(200);
      t.equal([it.tenants.state("heavy"), it.tenants.stats("heavy").ownPool.max], ["ready", 3]);
      held[0].release();
      await it.pass(100);
      t.equal((await other).value.tenant.id, "light");
      const more = it.tenants.acquire("light");
      await it.pass(200);
      t.equal(await state(more), "pending", "for its weight it has enough");
      t.equal(it.tenants.stats("heavy").ownPool.max, 3);
      held[1].release();
      await it.pass(100);
      (await more).release();
      t.equal(it.live.get("heavy"), 2, "what the heavy one does not use the other may have");
      for (const lease of [held[2], held[3], await other]) lease.release();
      t.equal([it.peak.connections, it.tenants.totals().evicted], [4, 0]);
      await it.assertCloses();
    }),
  },
  {
    name: "a_database_that_is_down_is_granted_no_more",
    run: each(async (t, mode) => {
      const it = new TenantWorld({
        mode, maxPools: 4, poolSize: 4, budget: 8, backoff: { base: 1_000, cap: 1_000 },
        breaker: Infinity, random: () => 0.99,
      });
      const ask = (id, count, timeout = 5_000) => Array.from({ length: count }, () =>
        it.tenants.acquire(id, { timeout }).catch(({ code }) => code));
      let isUp = false;
      it.create = async ({ tenant }) => {
        await it.sleep(20);
        if (!isUp && tenant.id === "down") throw new Error("no database");
      };
      const grantOf = ({ id }) => it.tenants.stats(id).ownPool.max;
      const grants = () => it.tenants.activePools().map(grantOf);
      const down = [];
      for (let turn = 0; turn < 20; turn += 1) {
        down.push(...ask("down", 4));
        await it.pass(100);
        t.equal(grants(), [1], "it asks for one at a time");
      }
      isUp = true;
      await it.pass(1_500);
      t.equal([grants(), it.live.get("down")], [[4], 4], "it has all that it may, being up again");
      await it.pass(5_000);
      isUp = false;
      for (const end of await Promise.all(down)) end.discard?.();
      const failing = ask("down", 1);
      await it.pass(50);
      t.equal(await Promise.all(failing), ["create_failed"]);
      // What it is granted and cannot fill is had by those who can, though its callers wait.
      const again = ask("down", 8, 2_000);
      const ups = ask("x", 4).concat(ask("y", 4));
      await it.pass(500);
      t.equal(it.tenants.stats("down").ownPool.max, 1, "what is left to it");
      t.equal([it.live.get("x"), it.live.get("y")], [4, 3], "connections of the others");
      await it.pass(10_000);
      t.ok((await Promise.all(again)).every((end) => typeof end === "string"), "none is served");
      for (const lease of await Promise.all(ups)) lease.release?.();
      await it.pass(100);
      await it.assertCloses();
    }),
  },
  {
    name: "those_who_wait_look_at_all_pools_once_for_all",
    run: each(async (t, mode) => {
      const it = new TenantWorld({
        mode, maxPools: 100, poolSize: 100, budget: 100, maxWaiting: 1_000,
      });
      const leases = [];
      for (let tenant = 0; tenant < 100; tenant += 1) {
        leases.push(await it.tenants.acquire(`t${tenant}`));
      }
      const { stats } = Pool.prototype;
      let looks = 0;
      Pool.prototype.stats = function count() {
        looks += 1;
        return stats.call(this);
      };
      try {
        const waits = Array.from({ length: 400 }, (_, at) =>
          it.tenants.acquire(`t${at % 100}`).then((lease) => lease.release()));
        await it.pass(500);
        // At most 20 looks, each at a few numbers of every pool, and a few of each who came.
        t.ok(looks < 20 * 100 * 5 + 400 * 5, `pools were looked at ${looks} times`);
        for (const lease of leases) lease.release();
        await it.pass(1_000);
        await Promise.all(waits);
      } finally {
        Pool.prototype.stats = stats;
      }
      await it.assertCloses();
    }),
  },
  {
    name: "ten_thousand_tenants_shrink_back",
    async run(t) {
      for (const mode of ["process", "edge"]) {
        const it = new TenantWorld({ mode, maxPools: 10_000, poolSize: 1, idleTimeout: 60_000 });
        for (let tenant = 0; tenant < 10_000; tenant += 1) await it.visit(`t${tenant}`);
        t.equal([it.open().length, it.total], [10_000, 10_000]);
        await it.pass(59_999);
        await it.visit("t0");
        await it.pass(1);
        // On the edge a caller does it.
        if (mode === "edge") t.equal(it.tenants.evictExpired(), 9_999);
        await it.pass(1_000);
        t.equal([it.open(), it.total], [["t0"], 1], "what is left");
        await it.assertCloses();
        const { opened, evicted } = it.tenants.totals();
        t.equal([opened, evicted], [10_000, 9_999]);
      }
    },
  },
];
