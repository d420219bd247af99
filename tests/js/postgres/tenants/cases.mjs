// A dozen tenants, kept apart by rows, schemas and databases, under load and faults: nobody ever sees
// what is another's, and the server never has more connections than there may be.
import assert from "node:assert/strict";

import { beside } from "../drivers.mjs";
import { later } from "../lib.mjs";
import { PostgresError, TenantPools, pgTenants, postgresTenants } from "../package.mjs";
import { putOn } from "./faults.mjs";
import { KINDS, POOL_SIZE, idOf, loginOf, nameOf, passwordOf, ready } from "./fixtures.mjs";
import { Run } from "./load.mjs";
import { awaitNone, takeSamples } from "./samples.mjs";

/** How many reads there are at least, with a round of faults among them. */
export const READS = Number(process.env.EDGEPOOL_READS ?? 10_000);
/** How many there are before each fault. */
const BETWEEN = 2_000;
/** How many are enough to find what is foreign. */
const FEW = 2_000;

/** Reads under faults, and looks at the server all the while. */
async function prove(driver, kind, name) {
  const run = await Run.begin(driver, kind, name);
  const began = Date.now();
  const recoveries = new Map();
  const samples = await during(run, async () => {
    while (run.seen.reads < READS) await putOn(run, BETWEEN, recoveries);
  });
  const { reads, foreign, wrong, failures } = run.seen;
  const { taken, most, over } = samples;
  assert.deepEqual({ foreign, wrong, over }, { foreign: 0, wrong: 0, over: [] });
  assert.equal(run.mostHeld, run.kind.leases, "leases of a tenant at once, at most");
  assert.ok(taken > 50 && most > POOL_SIZE, `${most} at most, in ${taken} samples`);
  const times = [...recoveries].map(([fault, ms]) => `${ms} ms from ${fault}`);
  const seconds = Math.round((Date.now() - began) / 1_000);
  return `isolation ${kind}: ${reads} reads in ${seconds} s, ${foreign} foreign, ${wrong} wrong, `
    + `${failures} failures; ${most} of ${run.kind.most} connections at most in ${taken} samples; `
    + `recovery at most: ${times.join(", ")}`;
}

/** Has callers call while something is done; then ends all, of which nothing is left. */
async function during(run, act, callers = run.callers()) {
  const caps = { all: run.kind.most, each: run.kind.each };
  const samples = takeSamples(run.prefix, caps, () => run.isOver);
  try {
    await act();
  } finally {
    run.isOver = true;
    await Promise.all(callers);
    await run.pools.close({ deadline: 10_000, force: true });
  }
  await awaitNone(run.prefix);
  return await samples;
}

/** Counts what is foreign to whom reads through what does not keep tenants apart. */
async function foreign(driver, kind, name, sabotage) {
  const run = await Run.begin(driver, kind, name, { sabotage });
  await during(run, () => run.moreReads(FEW));
  return run.seen.foreign;
}

/** Says what was too much where a tenant has a connection more than it may have. */
async function tooMany(driver, name) {
  const poolSize = POOL_SIZE + 1;
  const run = await Run.begin(driver, "schemas", name, { poolSize });
  const hold = () => run.pools.use(idOf(0), () => later(1_500));
  const samples = await during(run, () => Promise.all(Array.from({ length: poolSize }, hold)), []);
  return samples.over;
}

/** Whoever is first is whom all connections are for. */
const oneForAll = ({ factory, enter }) => {
  let first;
  return {
    factory: (tenant) => factory(tenant.id === "" ? tenant : (first ??= tenant)),
    enter: (connection, tenant) => enter(connection, (first ??= tenant)),
  };
};

/** Connections are lent as they come back. */
const noReset = ({ factory, enter }) => ({
  enter,
  factory: (tenant) => ({ ...factory(tenant), reset: () => undefined }),
});

const CONTEXT = "SELECT concat_ws(' ', current_setting('app.tenant', true), current_user, "
  + "current_database(), current_setting('search_path')) AS told, pg_backend_pid() AS pid";

/** Opens pools of one connection each, for the tenant of this number. */
function open(driver, kindName, name, { context, login, ...options } = {}) {
  const kind = KINDS[kindName];
  const of = () => [name, { ...loginOf(kind, 7), ...login }];
  return new TenantPools({
    strategy: kind.strategy(1), ...driver.tenants(of, context ?? kind.context), ...options,
  });
}

export const TENANT_CASES = {
  async tenants_of_rows_are_kept_apart(driver, name) {
    return await prove(driver, "rows", name);
  },

  async tenants_of_schemas_are_kept_apart(driver, name) {
    return await prove(driver, "schemas", name);
  },

  async tenants_of_databases_are_kept_apart(driver, name) {
    return await prove(driver, "databases", name);
  },

  async the_proof_fails_where_tenants_are_not_kept_apart(driver, name) {
    for (const kind of ["rows", "schemas", "databases"]) {
      const seen = await foreign(driver, kind, name, oneForAll);
      assert.ok(seen > 0, `${kind} are taken for those of others`);
    }
    for (const kind of ["rows", "schemas"]) {
      const left = await foreign(driver, kind, name, noReset);
      assert.ok(left > 0, "what a holder left is in the way of the next");
    }
    const [over] = await tooMany(driver, name);
    assert.match(String(over), /^3 connections of 2 by the name /);
  },

  async a_tenants_session_is_as_it_was_for_each_holder(driver, name) {
    await ready();
    const [id, own] = [idOf(7), nameOf(7)];
    const expected = {
      rows: `${id} app proof "$user", public`,
      schemas: `${id} ${own} proof "${own}"`,
      databases: `${id} ${own} ${own} "$user", public`,
    };
    const resets = ["session", "discard-all", { sql: "DISCARD ALL" }];
    const pools = open(driver, "rows", name, { context: { reset: "rollback" } });
    await pools.use(id, (connection) => driver.run(connection, "SET app.tenant TO 'x'"));
    const seen = await pools.use(idOf(8), (connection) => driver.run(connection, CONTEXT));
    assert.equal(seen[0].told, `${idOf(8)} app proof "$user", public`, "whatever the reset leaves");
    await pools.close({ deadline: 5_000 });
    for (const [kind, told] of Object.entries(expected)) {
      for (const reset of resets) {
        const pools = open(driver, kind, name, { context: { ...KINDS[kind].context, reset } });
        const pids = new Set();
        for (let holder = 0; holder < 2; holder += 1) {
          await pools.use(id, async (connection) => {
            const [row] = await driver.run(connection, CONTEXT);
            assert.equal(row.told, told, `${kind}, ${JSON.stringify(reset)}`);
            pids.add(row.pid);
            const mess = "SET app.tenant TO 'x'; SET search_path TO x";
            await driver.run(connection, mess);
            if (kind !== "databases") await driver.run(connection, `SET ROLE "${nameOf(8)}"`);
          });
        }
        assert.equal(pids.size, 1, "both had the same connection");
        await pools.close({ deadline: 5_000 });
      }
    }
  },

  async the_names_of_the_setting_and_of_shared_schemas_are_set(driver, name) {
    await ready();
    const context = { setting: "shop.customer", sharedSchemas: ["public", 'ext"ra'] };
    const pools = open(driver, "schemas", name, { context });
    const text = "SELECT current_setting('shop.customer') || ' ' || "
      + "current_setting('search_path') AS told";
    const [{ told }] = await pools.use("t03", (connection) => driver.run(connection, text));
    assert.equal(told, 't03 "tenant_t03", "public", "ext""ra"');
    await pools.close({ deadline: 5_000 });
  },

  async names_are_taken_as_they_stand(driver, name) {
    await ready();
    const odd = `it's "o\\dd"; DROP ${name.slice(0, 4)}, é`;
    const quoted = `"${odd.replaceAll('"', '""')}"`;
    await beside((server) => server.run(`CREATE ROLE ${quoted}; GRANT ${quoted} TO app`));
    await beside((server) => server.run(`CREATE DATABASE ${quoted}`));
    const login = { user: "app", password: passwordOf("app") };
    const context = { role: () => odd };
    const text = "SELECT current_user AS role, current_database() AS database, "
      + "current_setting('search_path') AS path";
    const ask = async (kind, tenants) => {
      const pools = open(driver, kind, name, { context, login, tenants });
      const [row] = await pools.use("odd", (connection) => driver.run(connection, text));
      await pools.close({ deadline: 5_000 });
      return row;
    };
    const { role, path } = await ask("schemas", { odd: { schema: odd } });
    assert.deepEqual([role, path], [odd, quoted]);
    const { role: other, database } = await ask("databases", { odd: { database: odd } });
    assert.deepEqual([other, database], [odd, odd]);
  },

  async roles_that_policies_do_not_hold_for_are_refused(driver, name) {
    await ready();
    const role = `above_${name.split(" ")[0]}`;
    await beside((server) => server.run(`CREATE ROLE ${role} LOGIN BYPASSRLS PASSWORD 'first'`));
    await beside((server) => server.run(`GRANT ${role} TO app`));
    const refused = async (options) => {
      const pools = open(driver, "rows", name, options);
      const error = await pools.acquire(idOf(1)).then(() => assert.fail("it is served"), (e) => e);
      const other = options.login === undefined;
      if (other) await pools.use(idOf(2), (connection) => driver.run(connection, "SELECT 1"));
      await pools.close({ deadline: 5_000 });
      return [error, error.cause, error.cause?.cause].find((one) => one instanceof PostgresError);
    };
    const login = { user: role, password: "first" };
    const found = [
      [await refused({ login }), "refused"],
      [await refused({ context: { role: ({ id }) => id === idOf(1) ? role : "app" } }), "context"],
    ];
    for (const [error, kind] of found) {
      assert.equal(error?.kind, kind);
      assert.ok(error.message.includes(`cannot share connections of the role "${role}"`), error);
    }
  },

  async what_no_tenant_can_have_is_refused(driver, name) {
    const refused = (context, message) =>
      assert.throws(() => driver.tenants(() => [name], context), { name: "TypeError", message });
    refused({ setting: "tenant" }, /^setting must be a name with a point/);
    refused({ sharedSchemas: "public" }, /^sharedSchemas must be an array/);
    refused({ sharedSchemas: ["$user"] }, /^sharedSchemas: "\$user" is no name/);
    refused({ role: "acme" }, /^role must be a function/);
    refused({ reset: "no" }, /session, discard-all, rollback/);
    refused({ rest: "session" }, /unknown option rest: .* reset, setting, sharedSchemas, role$/);
    const said = async (context, tenants) => {
      const pools = open(driver, "schemas", name, { context, tenants });
      const error = await pools.acquire("acme").then(() => assert.fail("it is served"), (e) => e);
      await pools.close();
      return error.message;
    };
    assert.match(await said({ role: () => "x".repeat(64) }), /^role: "x+" is no name of 1 to 63/);
    assert.match(await said({ role: () => "none" }), /^role: "none" is no role but that of the login/);
    assert.match(await said({}, { acme: { schema: "$user" } }), /^schema: "\$user" is no name/);
    const url = "postgres://app@db.example/notes";
    const whole = [[pgTenants, url], [pgTenants, { connectionString: url }], [postgresTenants, url]];
    for (const [make, address] of whole) {
      assert.throws(() => make(class {}, address).factory({ id: "acme" }), {
        name: "TypeError", message: /must be given in its parts, as { host, /,
      });
    }
  },
};
