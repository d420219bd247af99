// The life of a tenant's pool: made by a factory, warmed up, used, closed when it is idle.
import { PoolClosedError } from "edgepool";
import { TenantPools } from "edgepool/tenants";
import { deferred, each, settle, state } from "../lib/harness.mjs";
import { TenantWorld } from "../lib/tenant-world.mjs";

const create = () => ({});
const strategy = { perTenant: { maxPools: 2, poolSize: 2 } };

export default [
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
