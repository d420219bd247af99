// The wait for a tenant's pool, and the ways in which it ends.
import { AcquireTimeoutError, QueueFullError } from "edgepool";
import { TenantPools } from "edgepool/tenants";
import { UNATTENDED, countListeners, deferred, each, settle, state } from "../lib/harness.mjs";
import { TenantWorld } from "../lib/tenant-world.mjs";
import { breakCore, whileFull } from "./recovery.mjs";

/**
 * Has one caller give up by its signal, and the time of another pass, which has 300 ms; gives what
 * that one is told.
 */
async function giveUp(t, it, { stop, listeners, aborted, late }) {
  stop.abort(new Error("gone"));
  await t.rejects(aborted, { message: "gone" });
  t.equal(listeners.now, 0, "listeners that are left");
  await it.pass(299);
  t.equal(await state(late), "pending");
  await it.pass(1);
  return t.rejects(late, { code: "acquire_timeout", waited: 300 });
}

export default [
  {
    name: "who_waits_for_a_pool_outlives_a_time_without_a_module",
    run: each(async (t, mode) => {
      globalThis.gc?.();
      const it = new TenantWorld({ mode, maxPools: 1, poolSize: 1, budget: 2, idleTimeout: 1_000 });
      const held = await it.tenants.acquire("a");
      const own = t.rejects(it.tenants.acquire("a"), { code: "core_reset" });
      const waiting = it.tenants.acquire("b");
      await settle();
      breakCore();
      await whileFull(() => it.pass(3_000));
      await own;
      t.equal(await state(waiting), "pending", "no timer has thrown, and no wait has ended");
      held.release();
      await it.pass(100);
      (await waiting).release();
      await it.pass(3_000);
      if (!UNATTENDED.includes(mode)) it.tenants.evictExpired();
      await it.pass(100);
      t.equal(it.open(), [], "what nobody asks for is closed again");
      await it.tenants.close();
    }),
  },
  {
    name: "who_died_in_the_line_for_a_pool_has_no_place_there",
    async run(t) {
      const it = new TenantWorld({
        mode: "edge", maxPools: 1, maxWaiting: 3, acquireTimeout: Infinity,
      });
      const held = await it.tenants.acquire("a");
      const ask = (...ids) => ids.map((id) => it.tenants.acquire(id));
      const [slow] = ask("b", "c", "d");
      await settle();
      await t.rejects(it.tenants.acquire("e"), { code: "queue_full" });
      // The requests are gone with their timers, but for one that only sleeps.
      const timers = new Map(it.clock.timers);
      it.clock.timers.clear();
      await it.pass(2_100);
      const others = ask("e", "f");
      await it.pass(100);
      t.equal(it.tenants.totals().waitingForPool, 2);
      const [first] = timers;
      it.clock.timers.set(...first);
      await it.pass(100);
      t.equal(it.tenants.totals().waitingForPool, 3, "one is there again, and comes last");
      held.release();
      for (const next of [...others, slow]) {
        await it.pass(2_000);
        (await next).release();
      }
      await it.pass(100);
      const { waitingForPool, usage } = it.tenants.totals();
      t.equal([waitingForPool, usage.acquired, usage.refused], [0, 4, 1]);
      await it.assertCloses();
    },
  },
  {
    name: "who_slept_in_the_line_hears_that_all_is_closed",
    async run(t) {
      const it = new TenantWorld({ mode: "edge", maxPools: 1, acquireTimeout: Infinity });
      const held = await it.tenants.acquire("a");
      const slow = it.tenants.acquire("b");
      await settle();
      const timers = new Map(it.clock.timers);
      it.clock.timers.clear();
      await it.pass(2_100);
      const other = it.tenants.acquire("c");
      await it.pass(100);
      const closing = it.tenants.close({ deadline: 0 });
      await t.rejects(other, { code: "pool_closed" });
      for (const timer of timers) it.clock.timers.set(...timer);
      await it.pass(100);
      await t.rejects(slow, { code: "pool_closed" });
      held.release();
      await closing;
    },
  },
  {
    name: "who_waits_for_a_pool_can_give_up",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode, maxPools: 1, poolSize: 1, maxWaiting: 2 });
      const lease = await it.tenants.acquire("a");
      const stop = new AbortController();
      const listeners = countListeners(stop.signal);
      const aborted = it.tenants.acquire("b", { signal: stop.signal });
      const late = it.tenants.acquire("c", { timeout: 300 });
      await settle();
      t.equal(it.tenants.totals().waitingForPool, 2);
      const full = await t.rejects(it.tenants.acquire("d"), { code: "queue_full" });
      t.ok(full instanceof QueueFullError && full.maxWaiting === 2);
      const error = await giveUp(t, it, { stop, listeners, aborted, late });
      t.ok(error instanceof AcquireTimeoutError);
      t.equal(error.message, 'no pool for tenant "c" came free in 300 ms: 1 of 1 are open, 1 to be '
        + "closed; hold leases for less, or raise maxPools or acquireTimeout");
      await t.rejects(it.tenants.acquire("e", { signal: AbortSignal.abort(new Error("before")) }),
        { message: "before" });
      t.equal(it.tenants.totals().waitingForPool, 0);
      lease.release();
      await it.pass(200);
      await it.visit("f");
      await it.assertCloses();
    }),
  },
  {
    name: "a_tenants_own_bound_on_callers_holds_outside_too",
    run: each(async (t, mode) => {
      const it = new TenantWorld({
        mode, maxPools: 1, poolSize: 1, maxWaiting: 10,
        tenants: { few: { maxWaiting: 2 }, none: { maxWaiting: 0 } },
      });
      const none = await it.tenants.acquire("none");
      t.equal(none.value.tenant.id, "none", "it need not wait where there is room");
      none.release();
      const lease = await it.tenants.acquire("a");
      const waiting = [1, 2].map(() => it.tenants.acquire("few"));
      for (const [id, maxWaiting] of [["few", 2], ["none", 0]]) {
        const error = await t.rejects(it.tenants.acquire(id), { code: "queue_full", maxWaiting });
        t.ok(error instanceof QueueFullError, `${error}`);
      }
      const others = Array.from({ length: 8 }, () => it.tenants.acquire("b", { timeout: 500 }));
      const ends = others.map((one) => t.rejects(one, { code: "acquire_timeout" }));
      await t.rejects(it.tenants.acquire("b"), { code: "queue_full", maxWaiting: 10 });
      await it.pass(500);
      await Promise.all(ends);
      lease.release();
      await it.pass(200);
      (await waiting[0]).release();
      await it.pass(200);
      (await waiting[1]).release();
      await it.assertCloses();
    }),
  },
  {
    name: "who_was_told_of_a_pool_has_its_place_there",
    run: each(async (t, mode) => {
      // As soon as they hear of it others come, and somebody has all pools looked at.
      const late = [];
      const observer = ({ type, state: now }, { id }) => {
        if (id !== "b") return;
        if (type !== "state") it.tenants.tick();
        if (now !== "ready" || late.length > 0) return;
        for (let more = 0; more < 4; more += 1) {
          late.push(it.visit("b").catch(({ code }) => code));
        }
      };
      const it = new TenantWorld({ mode, maxPools: 1, poolSize: 1, maxWaiting: 3, observer });
      const lease = await it.tenants.acquire("a");
      const waits = ["b", "b", "c"].map((id) => it.visit(id));
      await settle();
      lease.release();
      await it.pass(1_000);
      await Promise.all(waits);
      const codes = (await Promise.all(late)).filter((one) => typeof one === "string");
      t.equal(codes, ["queue_full", "queue_full"], "those for whom no place was left");
      t.equal(it.tenants.totals().opened, 3, "no pool was opened twice");
      await it.assertCloses();
    }),
  },
  {
    name: "an_error_of_a_tenants_wait_names_the_options_of_tenants",
    run: each(async (t, mode) => {
      const options = { mode, maxPools: 1, poolSize: 1 };
      const told = async (it, id = "a") => {
        const failing = t.rejects(it.tenants.acquire(id, { timeout: 200 }));
        await it.pass(200);
        const error = await failing;
        t.ok(error instanceof AcquireTimeoutError && error.waited === 200, `${error}`);
        return error.message;
      };
      for (const [budget, sizes] of [[undefined, "poolSize"], [1, "poolSize, budget"]]) {
        const it = new TenantWorld({ ...options, budget, trackLeases: true });
        const lease = await it.tenants.acquire("a");
        const text = await told(it);
        const begins = 'no connection of tenant "a" came free in 200 ms (waiting); 0 callers ahead'
          + `, 1 of 1 in use; hold leases for less, or raise ${sizes} or acquireTimeout; resource 1`;
        t.equal(text.slice(0, begins.length), begins);
        lease.release();
        await it.pass(100);
        await it.assertCloses();
      }
      const slow = new TenantWorld({ ...options, poolSize: 2, warmUp: 0 });
      slow.create = () => slow.sleep(1_000);
      t.ok(/\(connecting\).*make connections ahead with warmUp/.test(await told(slow)), "slow");
      const broken = new TenantWorld({ ...options, warmUp: 1 });
      broken.create = () => Promise.reject(new Error("refused"));
      const { message } = await t.rejects(broken.tenants.getOrCreate("a"), { made: 0, untried: 0 });
      t.equal(message, '0 connections of tenant "a" were made, 1 failed, 0 were not tried; '
        + "see why create fails: its pool tries again for its callers");
      t.throws(() => new TenantWorld({ maxWaiting: -1 }), /^TenantPools: "maxWaiting" takes/);
      t.throws(() => new TenantWorld({ tenants: { acme: { maxWaiting: -1 } } }),
        /^TenantPools: tenant "acme": "maxWaiting" takes/);
    }),
  },
  {
    name: "the_time_in_line_counts",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode, maxPools: 1, poolSize: 1 });
      const lease = await it.tenants.acquire("a");
      it.create = () => it.sleep(200);
      const waiting = it.tenants.acquire("b", { timeout: 300 });
      await it.pass(200);
      lease.release();
      await it.pass(99);
      t.equal(await state(waiting), "pending");
      await it.pass(1);
      await t.rejects(waiting, { code: "acquire_timeout" });
      await it.pass(500);
      await it.assertCloses();
    }),
  },
  {
    name: "who_waits_for_a_pool_to_warm_up_can_give_up",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode, warmUp: 1, createTimeout: 60_000, backoff: false });
      const gate = deferred();
      it.create = () => gate.promise;
      const stop = new AbortController();
      const listeners = countListeners(stop.signal);
      const aborted = it.tenants.getOrCreate("a", { signal: stop.signal });
      const late = it.tenants.getOrCreate("a", { timeout: 300 });
      const patient = it.tenants.getOrCreate("a");
      const gone = it.tenants.getOrCreate("b");
      await settle();
      const error = await giveUp(t, it, { stop, listeners, aborted, late });
      t.equal(error.phase, "connecting");
      t.ok(/first connections of tenant "a" were not/.test(error.message), error.message);
      void it.tenants.remove("b", { deadline: 0 });
      await it.pass(100);
      await t.rejects(gone, { code: "tenant_removed" });
      t.equal(await state(patient), "pending", "the others go on");
      gate.resolve();
      await it.pass(100);
      t.equal((await patient).state, "ready");
      t.equal(it.made.filter(({ tenant }) => tenant.id === "a").length, 1);
      await it.assertCloses();
    }),
  },
];
