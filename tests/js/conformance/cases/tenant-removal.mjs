// The end of tenants: removed, closed, and what they held then.
import { PoolClosedError } from "edgepool";
import { RefClock, UNATTENDED, each, settle, state } from "../lib/harness.mjs";
import { TenantWorld } from "../lib/tenant-world.mjs";

export default [
  {
    name: "a_removed_tenant_ends_its_waits_and_keeps_its_leases",
    run: each(async (t, mode) => {
      const it = new TenantWorld({
        mode, maxPools: 1, poolSize: 1, unknown: "refuse", tenants: { a: {}, b: {} },
      });
      const lease = await it.tenants.acquire("a");
      const inQueue = it.tenants.acquire("a");
      const inUse = it.tenants.use("a", () => 1);
      const inLine = it.tenants.acquire("b");
      await settle();
      const gone = it.tenants.remove("b", { deadline: 0 });
      const removal = it.tenants.remove("a", { deadline: 10_000 });
      await it.pass(200);
      t.equal(await gone, []);
      for (const wait of [inQueue, inUse, inLine]) {
        const { message } = await t.rejects(wait, { code: "tenant_removed" });
        t.ok(/tenant "[ab]" was removed while the caller waited/.test(message), message);
      }
      t.equal([await state(removal), lease.value.tenant.id], ["pending", "a"]);
      t.ok(lease.release(), "the lease has stayed good");
      await it.pass(200);
      t.equal(await removal, []);
      await t.rejects(it.tenants.acquire("a"), { code: "unknown_tenant" });
      t.equal([it.tenants.state("a"), it.total], ["closed", 0]);
      await it.assertCloses();
    }),
  },
  {
    name: "a_removed_tenant_has_its_name_until_its_pool_has_gone",
    run: each(async (t, mode) => {
      const tenants = { acme: { schema: "tenant_beta" }, gone: { schema: "tenant_gamma" } };
      const it = new TenantWorld({ mode, tenants });
      const lease = await it.tenants.acquire("acme");
      t.equal(await it.tenants.remove("gone"), [], "which has no pool");
      await it.visit("gamma");
      const removal = it.tenants.remove("acme", { deadline: 100 });
      await it.pass(100);
      t.equal((await removal).length, 1, "leases that are out");
      const taken = await t.rejects(it.tenants.acquire("beta"), { code: "invalid_tenant" });
      t.ok(/tenant "acme" has tenant_beta already/.test(taken.message), taken.message);
      lease.release();
      await settle();
      t.equal((await it.tenants.acquire("beta")).release(), true);
      t.equal((await it.tenants.acquire("acme")).release(), true);
      const schemas = it.tenants.activePools().map(({ schema }) => schema);
      t.equal(schemas, ["tenant_gamma", "tenant_beta", "tenant_acme"]);
      await it.assertCloses();
    }),
  },
  {
    name: "a_lease_that_comes_back_after_the_deadline_ends_its_pool",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode });
      const leases = [await it.tenants.acquire("a"), await it.tenants.acquire("b")];
      const removal = it.tenants.remove("a", { deadline: 100 });
      await it.pass(100);
      t.equal((await removal).length, 1, "leases of the removed one that are out");
      const closing = it.tenants.close({ deadline: 100 });
      await it.pass(100);
      t.equal((await closing).length, 2, "leases that are out");
      t.equal([it.tenants.state("a"), it.tenants.state("b")], ["draining", "draining"]);
      for (const lease of leases) lease.release();
      await settle();
      t.equal([it.open(), it.total], [[], 0], "nobody has looked");
      t.equal(it.states.slice(-2), [["a", "closed"], ["b", "closed"]]);
      await it.assertCloses();
    }, UNATTENDED),
  },
  {
    name: "a_lease_that_is_lost_keeps_no_process_going",
    async run(t) {
      const it = new TenantWorld({ clock: new RefClock(1_000), maxPools: 1, leaseTtl: 60_000 });
      await it.tenants.acquire("a");
      const other = it.tenants.acquire("b", { timeout: 100 }).catch(({ code }) => code);
      await it.pass(100);
      t.equal(await other, "acquire_timeout");
      t.equal([it.tenants.state("a"), it.clock.keeps], ["draining", false]);
      await it.pass(60_000);
      t.equal([it.tenants.state("a"), it.total], ["closed", 0], "its time to live ends it");
    },
  },
  {
    name: "an_observer_may_remove_what_it_hears_of",
    run: each(async (t, mode) => {
      let next;
      const observer = ({ type, state: now }, { id }) => {
        if (type !== "state" || id !== "a") return;
        if (now === "draining") void it.tenants.remove(id);
        if (now === "closed") next ??= it.tenants.acquire(id);
      };
      // Without a `close` it has gone as soon as it is removed.
      const it = new TenantWorld({ mode, observer, close: undefined });
      await it.visit("a");
      t.equal(await it.tenants.remove("a"), []);
      (await next).release();
      const { pools, opened, started, released } = it.tenants.totals();
      t.equal([pools, opened], [1, 2], "the one that came after it is there");
      t.equal([started, released], [2, 2], "what was done is counted once");
      await it.tenants.close();
    }),
  },
  {
    name: "an_observer_may_remove_a_tenant_that_was_just_opened",
    run: each(async (t, mode) => {
      for (const warmUp of [0, 1]) {
        const told = [];
        const observer = ({ type, state: now }, { id }) => {
          if (type !== "state") return;
          told.push(now);
          if (told.length === 1) void it.tenants.remove(id, { deadline: 0 });
        };
        const it = new TenantWorld({ mode, warmUp, observer });
        await t.rejects(it.tenants.acquire("a"), { code: "tenant_removed" });
        await it.pass(100);
        t.equal(told, [warmUp > 0 ? "warming-up" : "ready", "draining", "closed"]);
        t.equal([it.open(), it.total], [[], 0], "what is left of it");
        await it.visit("a");
        t.equal(it.open(), ["a"], "its next caller has its next pool");
        await it.assertCloses();
      }
    }),
  },
  {
    name: "a_closed_house_of_tenants_takes_nobody",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode, maxPools: 1, poolSize: 1 });
      const lease = await it.tenants.acquire("a");
      const waits = [it.tenants.acquire("a"), it.tenants.acquire("b")];
      await settle();
      const closing = it.tenants.close();
      await it.pass(200);
      for (const wait of waits) {
        t.ok((await t.rejects(wait, { code: "pool_closed" })) instanceof PoolClosedError);
      }
      await t.rejects(it.tenants.acquire("c"), { code: "pool_closed" });
      t.equal([it.tenants.isClosed, it.tenants.tryAcquire("a")], [true, undefined]);
      lease.release();
      await it.pass(200);
      t.equal(await closing, []);
      await it.assertCloses();
    }),
  },
];
