// Tenants whose callers are requests of their own.
import assert from "node:assert/strict";
import { cut, HOWS, json, open, text } from "../client.mjs";
import { eventually } from "../../../lib/time.mjs";

/** The routes of the tenants of a Worker, who have room for one pool. */
function tenantsAt(at, house, options = {}) {
  const address = (route, query) =>
    `${at}${route}?${new URLSearchParams({ house, ...options, ...query })}`;
  const totals = () => json(address("/tenants", {}));
  return {
    totals,
    address: (query) => address("/tenant", query),
    work: (tenant, ms = 0) =>
      json(address("/tenant", { tenant, ms }), { method: "POST", body: tenant }),
    letGo: () => text(address("/let-tenant-go", {})),
    until: (what, holds) => eventually(20_000, what, async () => holds(await totals())),
  };
}

export default [
  {
    name: "tenants_wait_in_their_own_requests",
    async run({ at }) {
      for (const [house, options] of [["pools", {}], ["budget", { maxPools: 1, budget: 1 }]]) {
        const tenants = tenantsAt(at, house, options);
        const first = tenants.work("a", Infinity);
        await tenants.until("the first is at work", ({ inUse }) => inUse === 1);
        const others = ["b", "c", "a", "b"].map((id) => tenants.work(id));
        await tenants.until("the others wait", ({ waitingForPool }) => waitingForPool === 4);
        await tenants.letGo();
        const all = await Promise.all([first, ...others]);
        assert.deepEqual(all.map(({ id }) => id), ["a", "b", "c", "a", "b"], "each has its own");
        assert.deepEqual(all.map(({ body }) => body), ["a", "b", "c", "a", "b"], "and its body");
        assert.ok(all.every(({ fetched }) => fetched === "plain"), "and its fetch");
        const { inUse, waitingForPool, missed, timedOut } = await tenants.totals();
        assert.deepEqual([inUse, waitingForPool, missed, timedOut], [0, 0, 0, 0]);
      }
    },
  },
  {
    name: "tenants_of_a_shared_pool_enter_in_their_own_requests",
    async run({ at }) {
      for (const how of HOWS) {
        const tenants = tenantsAt(at, `shared-${how}`, { shared: "yes" });
        const first = tenants.work("a", Infinity);
        await tenants.until("the first is at work", ({ inUse }) => inUse === 1);
        const others = ["b", "c", "a", "b"].map((id) => tenants.work(id));
        await tenants.until("the others wait", ({ waiting }) => waiting === 4);
        await tenants.letGo();
        const all = await Promise.all([first, ...others]);
        assert.deepEqual(all.map(({ id }) => id), ["a", "b", "c", "a", "b"], "whose context it has");
        assert.deepEqual(all.map(({ body }) => body), ["a", "b", "c", "a", "b"], "and its body");
        assert.ok(all.every(({ fetched }) => fetched === "plain"), "and its fetch");
        const dying = open(tenants.address({ tenant: "slow", ms: 0 }));
        await tenants.until("one is entering", ({ inUse }) => inUse === 1);
        const next = tenants.work("b");
        await cut(dying, how);
        assert.equal((await next).id, "b", `${how}: what was left of the one before it is gone`);
        await tenants.until("nothing is left", ({ inUse, waiting }) => inUse + waiting === 0);
      }
    },
  },
  {
    name: "a_dead_request_keeps_no_tenant_waiting",
    async run({ at }) {
      for (const how of HOWS) {
        const tenants = tenantsAt(at, `dead-${how}`);
        const first = tenants.work("a", Infinity);
        await tenants.until("the first is at work", ({ inUse }) => inUse === 1);
        const dying = open(tenants.address({ tenant: "b", ms: 0 }));
        await tenants.until("one waits", ({ waitingForPool }) => waitingForPool === 1);
        const other = tenants.work("c");
        await tenants.until("two wait", ({ waitingForPool }) => waitingForPool === 2);
        await cut(dying, how);
        await tenants.letGo();
        assert.equal((await other).id, "c", `${how}: served in spite of the one before it`);
        assert.equal((await first).id, "a");
        await tenants.until("nothing is left", ({ inUse, waitingForPool }) =>
          inUse + waitingForPool === 0);
      }
    },
  },
];
