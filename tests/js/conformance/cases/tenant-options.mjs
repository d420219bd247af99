// What ids and options tenants cannot have, and who is refused for that.
import { TenantPools } from "edgepool/tenants";
import { each, state } from "../lib/harness.mjs";
import { TenantWorld } from "../lib/tenant-world.mjs";

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
];
