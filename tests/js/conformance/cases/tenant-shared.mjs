// Tenants that share one pool: whose context is on what, who has how much of it, who is told what.
import { AcquireTimeoutError, PoolClosedError, QueueFullError } from "edgepool";
import { TenantPools } from "edgepool/tenants";
import {
  UNATTENDED, countListeners, deferred, each, random, settle, state,
} from "../lib/harness.mjs";
import { Crowd, SharedWorld } from "../lib/tenant-world.mjs";
import { breakTenants, whileFull } from "./recovery.mjs";

const create = () => ({});
const reset = () => undefined;
const enter = () => undefined;
const shared = { shared: {} };

/** Options that are wrong, and how each is told. */
const WRONG = [
  [{ create, enter, strategy: shared }, /"enter" needs "reset", which takes off/],
  [{ create, enter, strategy: { perTenant: {} } }, /"enter" needs "reset"/],
  [{ create, enter: 1, reset, strategy: shared }, /"enter" takes a function/],
  [{ factory: () => ({ create }), enter, strategy: shared }, /needs the "reset" of "factory"/],
  [{ create, strategy: { shared: 5 } }, /"shared": expected an object/],
  [{ create, strategy: { shared: { poolSize: 5 } } }, /"shared": unknown option .* it takes size/],
  [{ create, strategy: { shared: { size: 0 } } }, /"size" takes a whole number from 1/],
  [{ create, strategy: shared, budget: 5 }, /"shared": "budget" is its "size"; leave it out/],
  [{ create, strategy: shared, warmUp: 21 }, /"warmUp" takes a whole number from 0 to 20/],
  [{ create, strategy: shared, tenants: { a: { schema: "s" } } }, /"schema" needs .* perTenant/],
  [{ create, strategy: shared, tenants: { a: { database: "d" } } }, /"database" needs .* perData/],
  [{ create, strategy: shared, tenants: { a: { max: 21 } } }, /"max" takes at most size \(20\)/],
  [{ create, strategy: shared, tenants: { a: { weight: 0 } } }, /"weight" takes .* from 1/],
  [{ create, strategy: shared, tenants: { a: { maxWaiting: -1 } } }, /"a": "maxWaiting" takes/],
];

export default [
  {
    name: "a_strategy_is_a_change_of_configuration_alone",
    run: each(async (t, mode) => {
      const strategies = [
        { shared: { size: 4 } }, { perTenant: { maxPools: 4, poolSize: 2 } },
        { perDatabase: { maxDatabases: 4, poolSize: 2 } },
      ];
      for (const strategy of strategies) {
        const [kind] = Object.keys(strategy);
        const own = { perTenant: "schema", perDatabase: "database" }[kind];
        const known = { unknown: "refuse", tenants: { a: {}, b: {} } };
        const it = new SharedWorld({ mode, strategy, ...known });
        const { tenants } = it;
        const lease = await tenants.acquire("a", { timeout: 1_000 });
        t.equal(lease.value.context, kind === "shared" ? "a" : undefined);
        if (own !== undefined) t.equal(lease.value.tenant[own], "tenant_a");
        t.ok(lease.release() && await tenants.use("b", ({ id }) => id) >= 0);
        await settle();
        t.equal((await tenants.getOrCreate("b")).id, "b");
        t.equal(tenants.activePools().map(({ id }) => id), ["a", "b"]);
        const { id, state: now, accesses, acquired, released, inUse } = tenants.stats("a");
        t.equal([id, now, accesses, acquired, released, inUse], ["a", "ready", 1, 1, 1, 0]);
        t.equal([tenants.entry("c"), tenants.stats("c"), tenants.state("c")],
          [undefined, undefined, "closed"]);
        await t.rejects(tenants.acquire("c"), { code: "unknown_tenant" });
        await t.rejects(tenants.acquire("'"), { code: "invalid_tenant" });
        tenants.invalidate("a");
        await it.pass(100);
        t.equal(tenants.config().strategy, kind);
        const { pools, opened, usage } = tenants.totals();
        t.equal([pools, opened, usage.acquired, usage.released], [2, 2, 2, 2]);
        t.equal(await tenants.remove("b", { deadline: 0 }), []);
        await it.pass(600_000);
        t.equal(tenants.evictExpired() + tenants.totals().evicted > 0, true, "nobody asked for it");
        t.equal(tenants.activePools(), []);
        await it.assertCloses();
      }
    }),
  },
  {
    name: "every_wrong_option_of_shared_connections_is_named",
    run(t) {
      for (const [options, pattern] of WRONG) t.throws(() => new TenantPools(options), pattern);
      const plain = new TenantPools({ create, strategy: shared, mode: "process" });
      t.equal(plain.config(), {
        strategy: "shared", maxPools: Infinity, poolSize: 20, warmUp: 1, idleTimeout: 300_000,
        budget: Infinity, unknown: "create",
      });
      const named = { a: { weight: 3, max: 20, maxWaiting: 0 }, [`${"x".repeat(63)}`]: {} };
      t.ok(new TenantPools({ create, enter, reset, strategy: shared, tenants: named }));
    },
  },
  {
    name: "a_shared_connection_has_the_context_of_its_holder_alone",
    run: each(async (t, mode) => {
      const it = new SharedWorld({ mode, size: 3, acquireTimeout: 60_000 });
      const draw = random(5);
      const fails = (often, text) => async () => {
        if (draw() < 0.3) await it.sleep(draw() * 20);
        if (draw() < often) throw new Error(text);
      };
      it.enter = fails(0.1, "no entrance");
      it.reset = fails(0.1, "no exit");
      let [served, refused, gone] = [0, 0, 0];
      const client = async () => {
        for (let turn = 0; turn < 60; turn += 1) {
          const id = `t${Math.floor(draw() * 8)}`;
          const stop = new AbortController();
          const asked = it.tenants.acquire(id, { signal: stop.signal });
          if (draw() < 0.3) void it.sleep(draw() * 20).then(() => stop.abort(new Error("gone")));
          try {
            const lease = await asked;
            t.equal(lease.value.context, id, "whose context is on it");
            await it.sleep(draw() * 5);
            t.equal(lease.value.context, id, "whose context is on it still");
            if (draw() < 0.1) lease.discard();
            else lease.release();
            served += 1;
          } catch (error) {
            if (error.message === "gone") gone += 1;
            else if (error.message === "no entrance") refused += 1;
            else throw error;
          }
        }
      };
      const all = Promise.all(Array.from({ length: 8 }, client));
      const ended = () => served + refused + gone;
      for (let left = 5_000; left > 0 && ended() < 480; left -= 1) await it.pass(20);
      await all;
      t.ok(served > 200 && refused > 20 && gone > 20, `${[served, refused, gone]}`);
      t.equal(it.mixed, [], "connections that were entered while a context was on them");
      await it.pass(1_000);
      await it.assertCloses();
    }),
  },
  {
    name: "what_cannot_be_entered_is_closed",
    run: each(async (t, mode) => {
      const it = new SharedWorld({ mode, size: 1 });
      it.enter = () => {
        throw new Error("at once");
      };
      await t.rejects(it.tenants.acquire("a"), { message: "at once" });
      await settle();
      t.equal(it.closed, [0], "it is lent to nobody any more");
      it.enter = () => Promise.reject(new Error("later"));
      const work = () => t.ok(false, "it must not run");
      await t.rejects(it.tenants.use("a", work), { message: "later" });
      await settle();
      t.equal(it.closed, [0, 1]);
      const gate = deferred();
      it.enter = () => gate.promise;
      const late = it.tenants.acquire("a", { timeout: 300 });
      const next = it.tenants.acquire("b", { timeout: 600 });
      await it.pass(299);
      t.equal(await state(late), "pending");
      await it.pass(1);
      const error = await t.rejects(late, { code: "acquire_timeout", waited: 300 });
      t.ok(error instanceof AcquireTimeoutError && /see why enter is slow/.test(error.message),
        error.message);
      t.ok(it.jobs[2].signal.aborted, "it is told that nobody waits for it");
      await it.pass(100);
      t.equal(it.closed, [0, 1, 2], "it may be entered yet");
      gate.resolve();
      await it.pass(100);
      const lease = await next;
      t.equal([lease.value.id, lease.value.context], [3, "b"]);
      lease.release();
      const { failed, timedOut, acquired, released, longestWait } = it.tenants.stats("a");
      t.equal([failed, timedOut, acquired, released, longestWait], [2, 1, 3, 3, 0]);
      await it.assertCloses();
    }),
  },
  {
    name: "a_tenant_that_cannot_be_entered_does_not_empty_the_pool",
    run: each(async (t, mode) => {
      const it = new SharedWorld({
        mode, size: 2, breaker: 3, backoff: { base: 1_000, cap: 4_000 }, random: () => 0.5,
      });
      let isDown = true;
      it.enter = ({ asked }) => {
        if (isDown && asked === "down") throw new Error("no such role");
      };
      const codes = [];
      for (let turn = 0; turn < 40; turn += 1) {
        await it.pass(100);
        codes.push(await it.tenants.use("down", () => "served").catch(({ code, message }) =>
          code ?? message));
        t.equal(await it.tenants.use("up", () => "served"), "served");
      }
      t.equal(codes.slice(0, 4), ["no such role", "no such role", "no such role", "unavailable"]);
      t.ok(it.closed.length <= 5, `connections that it has cost: ${it.closed.length}`);
      const refused = await t.rejects(it.tenants.acquire("down"), { code: "unavailable" });
      t.ok(/no connection is made ready for tenant "down" in the next \d+ ms; enter failed: no such/
        .test(refused.message) && refused.retryIn > 0, refused.message);
      isDown = false;
      await it.pass(4_000);
      t.equal(await it.tenants.use("down", () => "served"), "served");
      t.equal(await it.tenants.use("down", () => "served"), "served", "as before");
      await it.assertCloses();
    }),
  },
  {
    name: "an_enter_that_had_no_time_is_not_the_tenants_failure",
    run: each(async (t, mode) => {
      const it = new SharedWorld({
        mode, size: 1, breaker: 2, backoff: { base: 10_000, cap: 10_000 }, random: () => 1,
      });
      it.enter = () => it.sleep(50);
      for (let turn = 0; turn < 4; turn += 1) {
        const late = it.tenants.acquire("a", { timeout: 10 });
        await it.pass(10);
        await t.rejects(late, { code: "acquire_timeout" });
        await it.pass(100);
      }
      const visit = async (timeout) => {
        const visited = it.tenants.use("a", () => "served", { timeout }).catch(({ code }) => code);
        await it.pass(2_000);
        return await visited;
      };
      t.equal(await visit(5_000), "served", "it is sound");
      it.enter = () => it.sleep(3_000);
      t.equal([await visit(800), await visit(800)], ["acquire_timeout", "acquire_timeout"]);
      await it.pass(3_000);
      t.equal(await visit(800), "unavailable", "it is slow");
      await it.pass(10_000);
      await it.assertCloses();
    }),
  },
  {
    name: "a_connection_is_not_lost_that_was_entered_without_a_module",
    run: each(async (t, mode) => {
      globalThis.gc?.();
      const it = new SharedWorld({ mode, size: 1 });
      for (const ask of [
        () => it.tenants.acquire("a"), () => it.tenants.use("a", () => t.ok(false, "it ran")),
      ]) {
        const gate = deferred();
        it.enter = () => gate.promise;
        const entering = ask();
        await settle();
        breakTenants();
        await whileFull(async () => {
          gate.resolve();
          await t.rejects(entering, { code: "core_reset" });
        });
        it.enter = enter;
        t.equal(it.tenants.totals().inUse, 0, "another module is there");
        const next = it.tenants.use("b", ({ context }) => context);
        await it.pass(100);
        t.equal(await next, "b");
      }
      t.equal([it.closed, it.tenants.totals().inUse], [[0, 1], 0], "what was a's is nobody's");
      await it.assertCloses();
    }),
  },
  {
    name: "a_shared_connection_has_one_context_though_the_module_breaks",
    run: each(async (t, mode) => {
      const it = new SharedWorld({ mode, size: 3, acquireTimeout: 60_000 });
      const draw = random(6);
      const pause = async () => {
        if (draw() < 0.5) await it.sleep(draw() * 20);
      };
      it.enter = it.reset = pause;
      let [served, broken, turns] = [0, 0, 0];
      const client = async () => {
        for (let turn = 0; turn < 50; turn += 1) {
          if ((turns += 1) % 50 === 0) {
            globalThis.gc?.();
            breakTenants();
          }
          const id = `t${Math.floor(draw() * 8)}`;
          try {
            const lease = await it.tenants.acquire(id);
            t.equal(lease.value.context, id, "whose context is on it");
            await it.sleep(draw() * 5);
            t.equal(lease.value.context, id, "whose context is on it still");
            lease.release();
            served += 1;
          } catch (error) {
            if (error.code !== "core_reset") throw error;
            broken += 1;
          }
        }
      };
      const all = Promise.all(Array.from({ length: 8 }, client));
      for (let left = 5_000; left > 0 && served + broken < 400; left -= 1) await it.pass(20);
      await all;
      t.ok(served > 200 && broken > 8, `${[served, broken]}`);
      t.equal(it.mixed, [], "connections that were entered while a context was on them");
      await it.pass(1_000);
      t.equal(it.tenants.totals().inUse, 0);
      await it.assertCloses();
    }),
  },
  {
    name: "who_leaves_before_a_connection_is_entered_has_none",
    run: each(async (t, mode) => {
      const it = new SharedWorld({ mode, size: 1 });
      const gate = deferred();
      it.enter = () => gate.promise;
      const stop = new AbortController();
      const listeners = countListeners(stop.signal);
      const entering = it.tenants.acquire("a", { signal: stop.signal });
      await it.pass(100);
      t.equal(it.jobs.length, 1, "it is being entered");
      stop.abort(new Error("gone"));
      await t.rejects(entering, { message: "gone" });
      gate.resolve();
      await it.pass(100);
      t.equal([listeners.now, it.closed], [0, [0]], "what is left of it");
      // One that is gone when the connection comes, and before it is entered.
      it.enter = enter;
      const lease = await it.tenants.acquire("a");
      const between = new AbortController();
      const waiting = it.tenants.acquire("b", { signal: between.signal });
      await settle();
      const entered = it.jobs.length;
      lease.release();
      it.onLent = () => between.abort(new Error("between"));
      await it.pass(200);
      await t.rejects(waiting, { message: "between" });
      t.equal(it.jobs.length, entered, "it is not entered for nobody");
      it.onLent = undefined;
      t.equal(await it.tenants.use("c", ({ context }) => context), "c", "others are served");
      await it.assertCloses();
    }),
  },
  {
    name: "a_request_that_dies_while_it_enters_leaves_nothing",
    async run(t) {
      const it = new SharedWorld({ mode: "edge", size: 1, leaseTtl: 1_000 });
      it.enter = () => new Promise(() => undefined);
      void it.tenants.acquire("a", { timeout: 500 });
      await settle();
      // The request is gone with its timers.
      it.clock.timers.clear();
      it.enter = enter;
      const next = it.tenants.acquire("b", { timeout: 5_000 });
      await it.pass(900);
      t.equal(await state(next), "pending", "it may still be entered");
      await it.pass(300);
      t.equal([(await next).value.id, (await next).value.context], [1, "b"], "another one");
      t.equal(it.closed, [0]);
      (await next).release();
      await it.assertCloses();
    },
  },
  {
    name: "a_lease_that_ends_while_it_is_entered_is_not_given",
    run: each(async (t, mode) => {
      const it = new SharedWorld({ mode, size: 1, leaseTtl: 1_000 });
      it.enter = () => it.sleep(1_500);
      const slow = t.rejects(it.tenants.acquire("a", { timeout: 5_000 }), { code: "lease_ended" });
      await it.pass(2_000);
      await slow;
      t.equal(it.closed, [0]);
      it.enter = () => it.sleep(900);
      const lease = it.tenants.acquire("b");
      await it.pass(1_000);
      await it.pass(800);
      t.ok((await lease).release(), "its time to live begins when it is entered");
      await it.assertCloses();
    }),
  },
  {
    name: "shared_connections_are_had_by_weight",
    run: each(async (t, mode) => {
      const tenants = { gold: { weight: 4 }, silver: { weight: 2 } };
      const it = new SharedWorld({
        mode, size: 2, tenants, maxWaiting: 1_000, acquireTimeout: Infinity,
      });
      // The one of the least weight has the most callers.
      const crowd = new Crowd(it, { bronze: 60, silver: 20, gold: 20 });
      await it.pass(500);
      const served = await crowd.servedIn(3_500);
      const [gold, silver] = [served.gold / served.bronze, served.silver / served.bronze];
      t.ok(Math.abs(gold - 4) < 0.3 && Math.abs(silver - 2) < 0.3, JSON.stringify(served));
      await crowd.end();
      await it.assertCloses();
    }),
  },
  {
    name: "a_tenant_of_a_shared_pool_keeps_to_its_caps",
    run: each(async (t, mode) => {
      const tenants = { few: { max: 1, maxWaiting: 1 } };
      const it = new SharedWorld({ mode, size: 3, tenants, trackLeases: true });
      const lease = await it.tenants.acquire("few");
      const late = it.tenants.acquire("few", { timeout: 200 });
      await settle();
      const full = await t.rejects(it.tenants.acquire("few"), { code: "queue_full" });
      t.ok(full instanceof QueueFullError && full.maxWaiting === 1, `${full}`);
      const others = [await it.tenants.acquire("a"), await it.tenants.acquire("a")];
      await it.pass(200);
      const error = await t.rejects(late, { code: "acquire_timeout", phase: "tenant-at-max" });
      const text = 'no connection of tenant "few" came free in 200 ms (tenant-at-max); 0 callers '
        + "ahead, 1 of 1 in use; hold leases for less, or raise its max; resource";
      t.equal(error.message.slice(0, text.length), text);
      const more = it.tenants.acquire("a", { timeout: 100 });
      await it.pass(100);
      const { message } = await t.rejects(more, { phase: "waiting" });
      t.ok(/3 of 3 in use; hold leases for less, or raise size or acquireTimeout/.test(message),
        message);
      const { inUse, waiting, timedOut, refused, ownPool } = it.tenants.stats("few");
      t.equal([inUse, waiting, timedOut, refused, ownPool], [1, 0, 1, 1, undefined]);
      for (const one of [lease, ...others]) one.release();
      await it.assertCloses();
    }),
  },
  {
    name: "a_removed_tenant_of_a_shared_pool_ends_its_waits_alone",
    run: each(async (t, mode) => {
      const it = new SharedWorld({ mode, size: 1, unknown: "refuse", tenants: { a: {}, b: {} } });
      const lease = await it.tenants.acquire("a");
      const [own, other] = [it.tenants.acquire("a"), it.tenants.acquire("b")];
      await settle();
      const removal = it.tenants.remove("a", { deadline: 500 });
      await it.pass(100);
      const { message } = await t.rejects(own, { code: "tenant_removed" });
      t.ok(/tenant "a" was removed while the caller waited/.test(message), message);
      t.equal([await state(other), await state(removal)], ["pending", "pending"]);
      await it.pass(400);
      t.equal((await removal).map(({ tenant, held }) => [tenant, held]), [["a", 500]]);
      await t.rejects(it.tenants.acquire("a"), { code: "unknown_tenant" });
      t.ok(lease.release(), "the lease has stayed good");
      await it.pass(100);
      const theirs = await other;
      t.equal(theirs.value.context, "b");
      const forced = it.tenants.remove("b", { deadline: 100, force: true });
      await it.pass(200);
      t.equal((await forced).map(({ tenant }) => tenant), ["b"]);
      t.equal([theirs.release(), it.closed], [false, [0]], "with force it has ended");
      const { usage, pools } = it.tenants.totals();
      t.equal([pools, usage.acquired, usage.released, usage.ended, usage.inUse], [0, 2, 2, 1, 0]);
      await it.assertCloses();
    }),
  },
  {
    name: "a_closed_pool_of_tenants_tells_who_holds_what",
    run: each(async (t, mode) => {
      const it = new SharedWorld({ mode, size: 2 });
      const leases = [await it.tenants.acquire("a"), await it.tenants.acquire("b")];
      const waiting = it.tenants.acquire("a");
      await settle();
      const closing = it.tenants.close({ deadline: 200 });
      await it.pass(200);
      t.ok((await t.rejects(waiting, { code: "pool_closed" })) instanceof PoolClosedError);
      t.equal((await closing).map(({ tenant }) => tenant).sort(), ["a", "b"]);
      await t.rejects(it.tenants.acquire("a"), { code: "pool_closed" });
      await t.rejects(it.tenants.acquire("c"), { code: "pool_closed" });
      t.equal(it.states.slice(-2), [["b", "closed"], ["a", "closed"]]);
      t.ok(it.tenants.isClosed);
      for (const lease of leases) lease.release();
      await it.assertCloses();
    }),
  },
  {
    name: "an_observer_may_remove_a_tenant_of_a_shared_pool_that_was_just_opened",
    run: each(async (t, mode) => {
      for (const ask of [
        (tenants) => tenants.acquire("a"), (tenants) => tenants.use("a", () => "served"),
        (tenants) => tenants.getOrCreate("a"),
      ]) {
        const told = [];
        const observer = ({ type, state: now }, { id }) => {
          if (type !== "state") return;
          told.push(now);
          if (told.length === 1) void it.tenants.remove(id);
        };
        const it = new SharedWorld({ mode, observer });
        await t.rejects(ask(it.tenants), { code: "tenant_removed" });
        t.equal([told, it.tenants.activePools()], [["ready", "closed"], []]);
        const { ended } = it.tenants.totals().usage;
        await it.visit("a");
        const { pools, opened, usage } = it.tenants.totals();
        t.equal([pools, opened, usage.acquired], [1, 2, 1], "its next caller finds it anew");
        await it.tenants.remove("a");
        t.equal(it.tenants.totals().usage.ended, ended, "nothing is counted twice");
        await it.assertCloses();
      }
      const observer = ({ type, state: now }) => {
        if (type === "state" && now === "ready") void closing.tenants.close();
      };
      const closing = new SharedWorld({ mode, observer });
      t.equal(await closing.tenants.acquire("a").catch(({ code }) => code), "pool_closed");
      t.equal([closing.tenants.activePools(), closing.tenants.totals().usage.ended], [[], 1]);
    }),
  },
  {
    name: "what_is_made_by_a_later_factory_has_to_be_left_too",
    run: each(async (t, mode) => {
      let hasReset = true;
      const make = () => ({ context: [] });
      const clean = (connection) => void (connection.context = []);
      const tenants = new TenantPools({
        strategy: { shared: { size: 1 } }, mode, backoff: false, warmUp: 0,
        factory: () => ({ create: make, ...(hasReset && { reset: clean }) }),
        enter: (connection, { id }) => void connection.context.push(id),
      });
      const visit = (id) => tenants.use(id, ({ context }) => [...context]);
      t.equal([await visit("a"), await visit("b")], [["a"], ["b"]]);
      hasReset = false;
      tenants.invalidate();
      const { cause } = await t.rejects(visit("a"), { code: "create_failed" });
      t.ok(/"enter" needs the "reset" of "factory"/.test(cause.message), cause.message);
      await t.rejects(visit("b"), { code: "create_failed" });
      hasReset = true;
      t.equal([await visit("a"), await visit("b")], [["a"], ["b"]], "as soon as there is one");
      await tenants.close();
    }),
  },
  {
    name: "who_is_removed_before_it_has_heard_of_its_lease_is_found",
    run: each(async (t, mode) => {
      const it = new SharedWorld({ mode, size: 1 });
      let removed;
      const remove = (id, force) => () => {
        it.onLent = undefined;
        removed = it.tenants.remove(id, { deadline: 0, force });
      };
      await it.visit("a");
      it.onLent = remove("a", false);
      const lease = await it.tenants.acquire("b");
      t.equal(await removed, [], "what b is lent is not a's");
      lease.release();
      await settle();
      it.onLent = remove("b", true);
      await t.rejects(it.tenants.acquire("b"), { code: "tenant_removed" });
      t.equal((await removed).map(({ tenant }) => tenant), ["b"]);
      await settle();
      t.equal([it.tenants.totals().inUse, it.closed], [0, [0]], "by force it has nothing");
      await it.assertCloses();
    }),
  },
  {
    name: "a_tenant_that_cannot_be_removed_is_there_yet",
    run: each(async (t, mode) => {
      globalThis.gc?.();
      const it = new SharedWorld({ mode });
      await it.visit("a");
      t.equal(it.tenants.totals().usage.acquired, 1);
      breakTenants();
      await whileFull(() => t.rejects(it.tenants.remove("a"), { code: "core_reset" }));
      const { pools, usage } = it.tenants.totals();
      t.equal([pools, usage.acquired, usage.released], [1, 1, 1]);
      t.equal(await it.tenants.remove("a"), []);
      t.equal([it.tenants.totals().pools, it.tenants.totals().usage.acquired], [0, 1]);
      await it.visit("a");
      await it.assertCloses();
    }),
  },
  {
    name: "no_more_than_so_many_unused_tenants_are_kept",
    run: each(async (t, mode) => {
      const it = new SharedWorld({ mode, size: 5 });
      const names = [0, 1, 2, 3, 4].map((number) => `held${number}`);
      const leases = await Promise.all(names.map((name) => it.tenants.acquire(name)));
      await it.pass(10);
      for (let tenant = 0; tenant < 10_100; tenant += 1) it.tenants.tryAcquire(`t${tenant}`);
      const { pools, opened, evicted } = it.tenants.totals();
      t.equal([pools <= 10_001, opened, pools + evicted], [true, 10_105, 10_105]);
      t.ok(names.every((name) => it.tenants.state(name) === "ready"), "they are in use");
      t.equal(it.tenants.state("t0"), "closed");
      t.ok(leases.every((lease) => lease.release()));
      await it.assertCloses();
    }),
  },
  {
    name: "who_asks_for_an_entry_and_is_gone_hears_that",
    run: each(async (t, mode) => {
      const it = new SharedWorld({ mode });
      const signal = AbortSignal.abort(new Error("gone"));
      await t.rejects(it.tenants.getOrCreate("a", { signal }), { message: "gone" });
      await t.rejects(it.tenants.acquire("a", { signal }), { message: "gone" });
      await it.assertCloses();
    }),
  },
  {
    name: "a_tenant_that_nobody_asks_for_is_forgotten",
    run: each(async (t, mode) => {
      const it = new SharedWorld({ mode, size: 2, idleTimeout: 1_000 });
      await it.visit("a");
      const held = await it.tenants.acquire("b");
      await it.pass(1_100);
      if (!UNATTENDED.includes(mode)) it.tenants.evictExpired();
      t.equal(it.tenants.activePools().map(({ id }) => id), ["b"], "one that is held is in use");
      held.release();
      for (let tenant = 0; tenant < 1_000; tenant += 1) await it.visit(`t${tenant}`);
      t.equal(it.tenants.totals().pools, 1_001);
      await it.pass(2_500);
      if (!UNATTENDED.includes(mode)) it.tenants.evictExpired();
      const { pools, opened, evicted, usage } = it.tenants.totals();
      t.equal([pools, opened, evicted, usage.acquired], [0, 1_002, 1_002, 1_002]);
      await it.visit("a");
      const { accesses, acquired } = it.tenants.stats("a");
      t.equal([accesses, acquired], [1, 1], "it begins anew");
      await it.assertCloses();
    }),
  },
  {
    name: "an_idle_shared_connection_is_taken_at_once_where_nothing_is_entered",
    run: each(async (t, mode) => {
      const it = new SharedWorld({ mode, size: 1, tenants: { few: { max: 1 } }, enter: undefined });
      t.equal(it.tenants.tryAcquire("a"), undefined, "nothing is made for it");
      await it.visit("a");
      const lease = it.tenants.tryAcquire("few");
      t.equal([lease.value.context, it.tenants.stats("few").acquired], [undefined, 1]);
      t.equal(it.tenants.tryAcquire("a"), undefined);
      lease.release();
      await it.assertCloses();
      const entered = new SharedWorld({ mode, size: 1 });
      await entered.visit("a");
      t.equal(entered.tenants.tryAcquire("a"), undefined, "to enter may take time");
      await entered.assertCloses();
    }),
  },
];
