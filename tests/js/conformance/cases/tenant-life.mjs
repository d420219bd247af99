// The life of a tenant's pool: opened, warmed up, used, removed, closed; what is refused and told.
import { AcquireTimeoutError, PoolClosedError, QueueFullError } from "edgepool";
import { TenantPools } from "edgepool/tenants";
import {
  RefClock, UNATTENDED, countListeners, deferred, each, random, settle, state,
} from "../lib/harness.mjs";
import { TenantWorld } from "../lib/tenant-world.mjs";
import { breakCore, whileFull } from "./recovery.mjs";

const create = () => ({});
const strategy = { perTenant: { maxPools: 2, poolSize: 2 } };

/** Ids that no tenant can have, and what is told of each. */
const BAD_IDS = [
  ["", /it is empty/],
  ["a".repeat(64), /64 characters/],
  ["x".repeat(10_240), /10240 characters/],
  ["it's", /it has "'" at 2/],
  ['say "x"', /it has U\+0020 at 3/],
  ["a;drop table users", /it has ";" at 1/],
  ["' or 1=1 --", /it has "'" at 0/],
  ["nul\0", /U\+0000 at 3/],
  ["line\n", /U\+000A at 4/],
  ["acme\u200b", /U\+200B at 4/],
  ["аcme", /U\+0430 at 0/],
  ["ａcme", /U\+FF41 at 0/],
  ["a\u0301cme", /U\+0301 at 1/],
  ["😀", /U\+1F600 at 0/],
  ["../etc", /begins with "\."|"\/" at 2/],
  ["_acme", /begins with "_"/],
  ["__proto__", /begins with "_"/],
  ["-rf", /begins with "-"/],
  [".hidden", /begins with "\."/],
];

/** Options that are wrong, and how each is told. */
const WRONG = [
  [undefined, /expected an object/],
  [null, /expected an object/],
  [{ strategy }, /"create" takes a function/],
  [{ create }, /"strategy" takes \{ perTenant/],
  [{ create, strategy: "perTenant" }, /"strategy" takes .* got "perTenant"/],
  [{ create, strategy: {} }, /"strategy" takes/],
  [{ create, strategy: { perTenants: {} } }, /"strategy" takes/],
  [{ create, strategy: { perTenant: {}, perDatabase: {} } }, /"strategy" takes/],
  [{ create, strategy: { perTenant: 5 } }, /"perTenant": expected an object/],
  [{ create, strategy: { perTenant: { max: 5 } } }, /unknown option "max"; it takes maxPools/],
  [{ create, strategy: { perDatabase: { maxPools: 5 } } }, /it takes maxDatabases, poolSize/],
  [{ create, strategy: { perTenant: { maxPools: 0 } } }, /"maxPools" takes a whole number from 1/],
  [{ create, strategy: { perTenant: { poolSize: 1.5 } } }, /"poolSize" takes a whole number/],
  [{ create, strategy, size: 1 }, /unknown option "size"; it takes strategy, create/],
  [{ create, strategy, max: 1 }, /unknown option "max"/],
  [{ create, strategy, minIdle: 1 }, /unknown option "minIdle"/],
  [{ create, strategy, check: 1 }, /"check" takes a function/],
  [{ create, strategy, checkInterval: 5 }, /"checkInterval" needs "check"/],
  [{ create, strategy, observer: {} }, /"observer" takes a function/],
  [{ create, strategy, warmUp: -1 }, /"warmUp" takes a whole number from 0 to 2/],
  [{ create, strategy, warmUp: 3 }, /"warmUp" takes a whole number from 0 to 2/],
  [{ create, strategy, idleTimeout: 0 }, /"idleTimeout" takes a number of ms from 1/],
  [{ create, strategy, budget: 0 }, /"budget" takes a whole number from 1/],
  [{ create, strategy, budget: 1 }, /"maxPools" takes at most budget \(1\), got 2/],
  [{ create, strategy: { perTenant: { poolSize: 9 } }, budget: 8 }, /"poolSize" takes at most/],
  [{ create, strategy, unknown: "allow" }, /"unknown" takes "create" or "refuse"/],
  [{ create, strategy, tenants: [] }, /"tenants": expected an object/],
  [{ create, strategy, tenants: { acme: 1 } }, /tenant "acme": expected an object/],
  [{ create, strategy, tenants: { "a b": {} } }, /"tenants": no tenant can have this id/],
  [{ create, strategy, tenants: { acme: { size: 1 } } }, /unknown option "size"; it takes max,/],
  [{ create, strategy, tenants: { acme: { max: 0 } } }, /"max" takes a whole number from 1/],
  [{ create, strategy, tenants: { acme: { maxWaiting: -1 } } }, /"maxWaiting" takes/],
  [{ create, strategy, tenants: { acme: { weight: 2 } } }, /"weight" needs a budget/],
  [{ create, strategy, budget: 4, tenants: { acme: { weight: 0 } } }, /"weight" takes .* from 1/],
  [{ create, strategy, budget: 4, tenants: { acme: { weight: -1 } } }, /"weight" takes .* from 1/],
  [{ create, strategy, budget: 4, tenants: { acme: { max: 5 } } }, /"max" takes at most budget/],
  [{ create, strategy, tenants: { acme: { database: "d" } } }, /"database" needs the strategy/],
  [{ create, strategy, tenants: { acme: { schema: "" } } }, /"schema" takes a name of 1 to 63/],
  [{ create, strategy, tenants: { acme: { schema: "a\0" } } }, /"schema" takes a name/],
  [{ create, strategy, tenants: { acme: { schema: "\ud800" } } }, /"schema" takes a name/],
  [{ create, strategy, tenants: { acme: { schema: `${"\u00e9".repeat(31)}ab` } } },
    /"schema" takes a name of 1 to 63 bytes in UTF-8/],
  [{ create, strategy, tenants: { acme: { schema: "x" }, beta: { schema: "x" } } },
    /tenants "acme" and "beta" would both have "x"/],
  [{ create, strategy, setAlarm: create, mode: "process" }, /"setAlarm" needs mode/],
];

export default [
  {
    name: "a_tenant_that_cannot_be_is_refused",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode });
      for (const [id, pattern] of BAD_IDS) {
        const calls = [
          it.tenants.acquire(id), it.tenants.use(id, () => 1), it.tenants.getOrCreate(id),
          it.tenants.remove(id),
        ];
        for (const call of calls) {
          const { message } = await t.rejects(call, { name: "PoolError", code: "invalid_tenant" });
          t.ok(pattern.test(message), `${message} does not match ${pattern}`);
          t.ok(message.length < 200 && /^[\x20-\x7e]*$/.test(message), `it is plain: ${message}`);
        }
      }
      for (const id of [undefined, null, 1, {}, ["acme"]]) {
        const error = await t.rejects(it.tenants.acquire(id));
        t.ok(error instanceof TypeError && /"tenant" takes an id/.test(error.message), `${error}`);
      }
      for (const id of ["a", "0", "A-b_c.d", "a".repeat(56), "constructor", "toString"]) {
        await it.visit(id);
      }
      t.equal(it.made.length, 6);
      await it.assertCloses();
    }),
  },
  {
    name: "every_wrong_option_of_tenants_is_named",
    run(t) {
      for (const [options, pattern] of WRONG) t.throws(() => new TenantPools(options), pattern);
      const plain = new TenantPools({ create, strategy: { perDatabase: {} }, mode: "process" });
      t.equal(plain.config(), {
        strategy: "perDatabase", maxPools: 100, poolSize: 5, warmUp: 1, idleTimeout: 300_000,
        budget: Infinity, unknown: "create",
      });
      const some = { create, strategy: { perTenant: {} } };
      const small = new TenantPools({ ...some, budget: 3, mode: "edge" });
      const { maxPools, poolSize, warmUp } = small.config();
      t.equal([maxPools, poolSize, warmUp], [3, 3, 0], "defaults within the budget");
    },
  },
  {
    name: "wrong_options_of_a_tenants_acquire_reject",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode });
      for (const [options, pattern] of [
        [{ tiemout: 5 }, /unknown option "tiemout"/], [{ timeout: -1 }, /"timeout"/],
        [{ signal: {} }, /"signal"/], [{ priority: 1 }, /"priority"/], [null, /expected an object/],
      ]) {
        const calls = [
          it.tenants.acquire("a", options), it.tenants.use("a", () => 1, options),
          it.tenants.getOrCreate("a", options),
        ];
        for (const call of calls) {
          const error = await t.rejects(call);
          t.ok(error instanceof TypeError && pattern.test(error.message), `${error}`);
        }
      }
      const noWork = await t.rejects(it.tenants.use("a"));
      t.ok(/"work" takes a function/.test(noWork.message), noWork.message);
      for (const call of ["remove", "close"]) {
        const given = call === "remove" ? ["a", { force: 1 }] : [{ force: 1 }];
        const error = await t.rejects(it.tenants[call](...given));
        t.ok(error instanceof TypeError && /"force"/.test(error.message), `${error}`);
      }
      t.equal([it.open(), it.tenants.isClosed], [[], false], "nothing has happened");
    }),
  },
  {
    name: "an_unknown_tenant_is_refused_where_none_is_to_be_made",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode, unknown: "refuse", tenants: { acme: { max: 1 } } });
      const lease = await it.tenants.acquire("acme");
      const second = it.tenants.acquire("acme");
      t.equal(await state(second), "pending", "it has a max of its own");
      const { message } = await t.rejects(it.tenants.acquire("beta"), { code: "unknown_tenant" });
      t.ok(/tenant "beta" is not known; name it in the option "tenants"/.test(message), message);
      await t.rejects(it.tenants.acquire("constructor"), { code: "unknown_tenant" });
      lease.release();
      (await second).release();
      await it.assertCloses();
    }),
  },
  {
    name: "a_factory_makes_the_connections_of_a_tenant",
    run: each(async (t, mode) => {
      const log = [];
      const note = (word) => ({ id }) => void log.push(`${word} ${id}`);
      const options = { strategy: { perTenant: { maxPools: 1 } }, mode, warmUp: 0 };
      const tenants = new TenantPools({
        ...options,
        factory: ({ id, schema }) => {
          if (id === "bad") throw new Error("no such tenant");
          if (id === "odd") return { create, max: 3 };
          return {
            create: () => ({ id, schema }), check: () => true, checkAfter: 0,
            reset: note("reset"), close: note("close"),
          };
        },
      });
      t.equal(await tenants.use("a", ({ schema }) => schema), "tenant_a");
      t.equal(tenants.stats("a").ownPool.resets, 1);
      await t.rejects(tenants.acquire("bad"), { message: "no such tenant" });
      const odd = await t.rejects(tenants.acquire("odd"));
      t.ok(/what "factory" gave: unknown option "max"; it takes/.test(odd.message), `${odd}`);
      await tenants.use("b", () => undefined);
      t.equal(log, ["reset a", "close a", "reset b"]);
      await tenants.close();
      for (const name of ["create", "check", "reset", "close"]) {
        t.throws(() => new TenantPools({ ...options, factory: create, [name]: create }),
          new RegExp(`"${name}" is what "factory" gives`));
      }
      t.throws(() => new TenantPools({ ...options, factory: 1 }), /"factory" takes a function/);
    }),
  },
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
    name: "what_work_throws_is_its_own",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode });
      const error = new PoolClosedError();
      const failing = it.tenants.use("a", async () => {
        void it.tenants.remove("a", { deadline: 0 });
        throw error;
      });
      t.ok((await t.rejects(failing)) === error, "it is not taken for the end of a wait");
      await it.pass(10);
      await it.assertCloses();
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
      stop.abort(new Error("gone"));
      await t.rejects(aborted, { message: "gone" });
      t.equal(listeners.now, 0, "listeners that are left");
      await it.pass(299);
      t.equal(await state(late), "pending");
      await it.pass(1);
      const error = await t.rejects(late, { code: "acquire_timeout", waited: 300 });
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
    name: "a_pool_is_closed_after_its_idle_time",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode, idleTimeout: 1_000 });
      const lookAt = (ms) => it.pass(ms).then(() => {
        if (mode === "edge") it.tenants.evictExpired();
        return it.pass(0);
      });
      await it.visit("a");
      const held = await it.tenants.acquire("b");
      await lookAt(999);
      t.equal(it.open(), ["a", "b"]);
      await lookAt(1);
      t.equal(it.open(), ["b"], "one that is held is in use");
      await lookAt(4_300);
      held.release();
      await lookAt(999);
      t.equal(it.open(), ["b"], "the time counts from the release");
      await lookAt(1);
      t.equal(it.open(), []);
      await it.assertCloses();
    }),
  },
  {
    name: "a_pool_warms_up_when_it_is_opened",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode, warmUp: 2 });
      const gate = deferred();
      it.create = () => gate.promise;
      const opening = it.tenants.getOrCreate("a");
      await settle();
      t.equal([it.tenants.state("a"), it.tenants.state("b")], ["warming-up", "closed"]);
      const lease = it.tenants.acquire("a");
      gate.resolve();
      await it.pass(100);
      const { id, state: now, accesses, schema } = await opening;
      t.equal([id, now, accesses, schema], ["a", "ready", 2, "tenant_a"]);
      t.equal(it.made.length, 2, "who asks meanwhile has one of them");
      (await lease).release();
      t.equal(it.states, [["a", "warming-up"], ["a", "ready"]]);
      it.create = () => Promise.reject(new Error("refused"));
      const failing = t.rejects(it.tenants.getOrCreate("b"), { code: "warm_up_failed" });
      await it.pass(100);
      await failing;
      t.equal(it.tenants.state("b"), "ready", "its callers may try again");
      it.create = () => undefined;
      const again = it.tenants.getOrCreate("b");
      await it.pass(100);
      t.equal([(await again).id, it.live.get("b")], ["b", 2], "and so may who warms it up");
      await it.visit("b");
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
      stop.abort(new Error("gone"));
      await t.rejects(aborted, { message: "gone" });
      t.equal(listeners.now, 0, "listeners that are left");
      await it.pass(299);
      t.equal(await state(late), "pending");
      await it.pass(1);
      const error = await t.rejects(late, { code: "acquire_timeout", phase: "connecting" });
      t.ok(error.waited === 300 && /first connections of tenant "a" were not/.test(error.message),
        error.message);
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
  {
    name: "what_was_made_before_a_change_of_credentials_is_not_lent",
    run: each(async (t, mode) => {
      const it = new TenantWorld({ mode });
      await it.visit("a");
      await it.visit("b");
      const held = await it.tenants.acquire("b");
      it.tenants.invalidate("b");
      held.release();
      await settle();
      t.equal(it.closed, [1], "that of the tenant alone");
      it.tenants.invalidate("nobody");
      it.tenants.invalidate();
      await settle();
      t.equal(it.closed, [1, 0]);
      t.throws(() => it.tenants.invalidate(1), /"tenant" takes an id/);
      await it.assertCloses();
    }),
  },
  {
    name: "a_factory_is_asked_anew_after_a_change_of_credentials",
    run: each(async (t, mode) => {
      const log = [];
      let made = 0;
      let password = "old";
      const factory = ({ id }) => {
        if (password === undefined) throw new Error("no password");
        const own = { password, made: new Set() };
        const note = (word) => (connection) => {
          t.ok(own.made.has(connection), `${word} by the factory that has made it`);
          log.push(`${word} ${own.password}`);
        };
        const create = () => {
          const connection = { id, password: own.password };
          own.made.add(connection);
          made += 1;
          return mode === "edge" ? connection : Promise.resolve(connection);
        };
        return {
          create, check: note("check"), checkAfter: 0, reset: note("reset"), close: note("close"),
        };
      };
      const tenants = new TenantPools({ strategy, factory, mode, warmUp: 0, backoff: false });
      const held = await tenants.acquire("a");
      t.equal(await tenants.use("a", (connection) => connection.password), "old");
      password = undefined;
      tenants.invalidate("a");
      const failed = await t.rejects(tenants.acquire("a"), { name: "CreateError" });
      t.equal(failed.cause.message, "no password", "nothing is made as before");
      password = "new";
      t.equal(await tenants.use("a", (connection) => connection.password), "new");
      held.release();
      await settle();
      t.equal(await tenants.use("a", (connection) => connection.password), "new");
      await tenants.close();
      t.equal(log.filter((line) => line === "close old").length, 2);
      t.equal(log.filter((line) => line === "close new").length, 1);
      t.ok(log.includes("check new") && log.includes("reset new"), `${log}`);
      t.equal(made, 3, "connections");
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
  {
    name: "one_broken_database_does_not_slow_the_others",
    run: each(async (t, mode) => {
      const it = new TenantWorld({
        mode, kind: "perDatabase", backoff: { base: 1_000 }, breaker: 2, createTimeout: 100,
      });
      it.create = ({ tenant }) => (tenant.id === "down" ? new Promise(() => undefined) : undefined);
      const options = { timeout: 3_000 };
      const asked = Array.from({ length: 5 }, () => it.tenants.acquire("down", options));
      const ends = asked.map((one) => t.rejects(one, { name: "CreateError" }));
      for (let turn = 0; turn < 20; turn += 1) {
        const before = it.clock.now();
        await it.visit("up");
        t.equal(it.clock.now(), before, "the other is served at once");
        await it.pass(50);
      }
      await it.pass(3_000);
      await Promise.all(ends);
      const [up, down] = [it.tenants.stats("up"), it.tenants.stats("down")];
      const { createFailed, createAbandoned } = up.ownPool;
      t.equal([up.failed, createFailed + createAbandoned, down.failed], [0, 0, 5]);
      await it.pass(60_000);
    }),
  },
  {
    name: "an_object_ticks_its_tenants_by_one_alarm",
    async run(t) {
      const asked = [];
      const it = new TenantWorld({
        mode: "durable-object", idleTimeout: 1_000, setAlarm: (at) => asked.push(at),
      });
      const from = Date.now();
      await it.visit("a");
      await it.visit("b");
      t.ok(asked.length >= 1 && asked[0] >= from + 900, `alarms: ${asked.map((at) => at - from)}`);
      t.equal(it.clock.timers.size, 0, "no timer keeps the object in memory");
      await it.pass(1_000);
      t.equal(it.open(), ["a", "b"], "nobody has looked");
      it.tenants.tick();
      await settle();
      t.equal([it.open(), it.total], [[], 0]);
    },
  },
];
