// What becomes of connections in a pool: each case once with each driver.
import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { inspect } from "node:util";

import { outside, password, port } from "./drivers.mjs";
import { ask, later, until } from "./lib.mjs";
import { CreateError, Pool, PostgresError, UnavailableError } from "./package.mjs";

const PID = "SELECT pg_backend_pid() AS pid";

/**
 * A relay to the server. It keeps back what clients send from the chunk on that has `text` in it,
 * and says how many connections it did that to, and how many of those are open. With `instead`, of
 * the same length, it passes that on in place of the text.
 */
async function relay(text, instead) {
  const told = { held: 0, open: 0 };
  const pass = (socket, server) => {
    let holds = false;
    socket.on("data", (data) => {
      const at = data.indexOf(text);
      if (at >= 0 && instead !== undefined) data.write(instead, at);
      else if (at >= 0 && !holds) {
        holds = true;
        told.held += 1;
        told.open += 1;
      }
      if (!holds) server.write(data);
    });
    socket.on("close", () => {
      if (holds) told.open -= 1;
      server.destroy();
    });
  };
  const relaying = createServer((client) => {
    const server = connect(port, "127.0.0.1");
    pass(client, server);
    server.on("data", (data) => client.write(data)).on("close", () => client.destroy());
    for (const socket of [client, server]) socket.on("error", () => {});
  });
  await new Promise((resolve) => relaying.listen(0, "127.0.0.1", resolve));
  return {
    told,
    config: { host: "127.0.0.1", port: relaying.address().port },
    [Symbol.asyncDispose]: () => new Promise((resolve) => relaying.close(resolve)),
  };
}

/** A pool for one case, and the name by which the server knows its connections. */
function open(driver, name, { config, factory, ...options } = {}) {
  return new Pool({ ...driver.factory(name, config, factory), minIdle: 0, ...options });
}

export const CASES = {
  async many_callers_on_few_connections_get_their_own_rows(driver, name) {
    const beside = await outside();
    const pool = open(driver, name, { max: 8 });
    let over = false;
    let most = 0;
    let samples = 0;
    const watching = (async () => {
      for (; !over; samples += 1) most = Math.max(most, await beside.backends(name));
    })();
    const calls = Array.from({ length: 64 }, async (_, caller) => {
      for (let call = 0; call < 20; call += 1) {
        await pool.use(async (connection) => {
          const text = "SELECT $1::int AS caller, $2::int AS call, pg_sleep(0.002)::text";
          const [row] = await driver.run(connection, text, [caller, call]);
          assert.deepEqual([row.caller, row.call], [caller, call]);
        });
      }
    });
    await Promise.all(calls);
    over = true;
    await watching;
    assert.ok(most >= 1 && most <= 8 && samples > 5, `${most} at most, in ${samples} samples`);
    assert.ok(pool.stats().created <= 8);
    await pool.close({ deadline: 5_000 });
    await until("nothing is left", async () => (await beside.backends(name)) === 0);
    await beside[Symbol.asyncDispose]();
    return `${most} connections at most, in ${samples} samples`;
  },

  async a_killed_backend_is_noticed_and_replaced(driver, name) {
    const beside = await outside();
    const pool = open(driver, name, { max: 1 });
    const pidOf = async (connection) => (await driver.run(connection, PID))[0].pid;
    const first = await pool.use(pidOf);
    await beside.run("SELECT pg_terminate_backend($1, 5000)", [first]);
    await later(200);
    const second = await pool.use(pidOf);
    assert.notEqual(first, second);

    // One that dies while it is held is not lent again, whatever the driver makes of it.
    const lease = await pool.acquire();
    await beside.run("SELECT pg_terminate_backend($1, 5000)", [second]);
    await later(200);
    await lease.release();
    const third = await pool.use(pidOf);
    assert.notEqual(second, third);
    const { checkFailed, resetFailed } = pool.stats();
    assert.equal(checkFailed + resetFailed, 2);
    await until("one is left", async () => (await beside.backends(name)) === 1);
    await pool.close({ deadline: 5_000 });
    await beside[Symbol.asyncDispose]();
  },

  async the_next_holder_sees_nothing_of_the_last(driver, name) {
    const beside = await outside();
    await beside.run("CREATE TABLE IF NOT EXISTS left_open (id int)");
    for (const reset of ["session", "discard-all"]) {
      const pool = open(driver, name, { max: 1, factory: { reset } });
      await pool.use(async (connection) => {
        await driver.run(connection, "SET search_path TO nowhere; LISTEN gossip");
        await driver.run(connection, "CREATE TEMP TABLE secrets AS SELECT 42 AS secret");
        await driver.run(connection, "SELECT pg_advisory_lock(7)");
        await driver.run(connection, "BEGIN; INSERT INTO public.left_open VALUES (1)");
      });
      await pool.use(async (connection) => {
        const [shown] = await driver.run(connection, "SHOW search_path");
        assert.equal(shown.search_path, '"$user", public');
        await assert.rejects(driver.run(connection, "SELECT * FROM secrets"), { code: "42P01" });
        assert.deepEqual([...(await driver.run(connection, "SELECT * FROM left_open"))], []);
        const channels = await driver.run(connection, "SELECT pg_listening_channels()");
        assert.equal(channels.length, 0);
      });
      assert.equal(pool.stats().created, 1);
      const [{ free }] = await beside.run("SELECT pg_try_advisory_lock(7) AS free");
      assert.equal(free, true);
      await beside.run("SELECT pg_advisory_unlock(7)");
      await pool.close({ deadline: 5_000 });
    }
    await beside[Symbol.asyncDispose]();
  },

  async nothing_listens_on_for_the_last_holder(driver, name) {
    const beside = await outside();
    const pool = open(driver, name, { max: 1 });
    const pidOf = async (connection) => (await driver.run(connection, PID))[0].pid;
    for (const listen of driver.listens) {
      const heard = [];
      const first = await pool.use(async (connection) => {
        await listen(connection, (what) => heard.push(what));
        return pidOf(connection);
      });
      const second = await pool.use(async (connection) => {
        await driver.run(connection, "LISTEN gossip");
        await driver.run(connection, "NOTIFY gossip, 'not for you'");
        await driver.run(connection, "DO $$ BEGIN RAISE NOTICE 'nor this'; END $$");
        return pidOf(connection);
      });
      assert.deepEqual(heard, []);
      assert.equal(first === second, driver.canStopListening, `${listen}`);
      await until("one is left", async () => (await beside.backends(name)) === 1);
    }
    await pool.close({ deadline: 5_000 });
    await until("none is left", async () => (await beside.backends(name)) === 0);
    await beside[Symbol.asyncDispose]();
  },

  async a_transaction_that_is_open_or_has_failed_is_rolled_back(driver, name) {
    const beside = await outside();
    await beside.run("CREATE TABLE IF NOT EXISTS left_open (id int)");
    for (const reset of ["session", "discard-all", "rollback", { sql: "SET role TO none" }]) {
      const pool = open(driver, name, { max: 1, factory: { reset } });
      for (const last of ["SELECT 1", "SELECT 1/0"]) {
        await pool.use(async (connection) => {
          await driver.run(connection, "BEGIN");
          await driver.run(connection, "INSERT INTO left_open VALUES (1)");
          await driver.run(connection, last).catch(() => {});
        });
        // The locks of the transaction are gone, and its rows with it.
        await beside.run("BEGIN; SET LOCAL lock_timeout TO '3s'; LOCK TABLE left_open; COMMIT");
        assert.deepEqual(await beside.run("SELECT * FROM left_open"), []);
      }
      assert.equal(pool.stats().created, 1, `by ${JSON.stringify(reset)}`);
      await pool.close({ deadline: 5_000 });
    }
    await beside[Symbol.asyncDispose]();
  },

  async a_hanging_statement_ends_with_its_connection(driver, name) {
    const beside = await outside();
    const pool = open(driver, name, { max: 1, resetTimeout: 300 });
    for (const discard of [true, false]) {
      const lease = await pool.acquire();
      const hanging = driver.run(lease.value, "SELECT pg_sleep(600)");
      hanging.catch(() => {});
      await later(100);
      if (discard) lease.discard(new Error("it hangs"));
      else void lease.release();
      await pool.use((connection) => driver.run(connection, PID));
      await until("one is left", async () => (await beside.backends(name)) === 1);
      await assert.rejects(hanging);
    }
    assert.equal(pool.stats().created, 3);
    await pool.close({ deadline: 5_000 });
    await beside[Symbol.asyncDispose]();
  },

  async a_hanging_statement_ends_whatever_the_clock_says(driver, name) {
    const beside = await outside();
    const pool = open(driver, name, { max: 1 });
    const lease = await pool.acquire();
    const hanging = driver.run(lease.value, "SELECT pg_sleep(600)");
    hanging.catch(() => {});
    await later(100);
    const { now } = Date;
    try {
      lease.discard(new Error("it hangs"));
      await later(100);
      Date.now = () => now() - 60_000;
      await assert.rejects(hanging);
      await later(100);
    } finally {
      Date.now = now;
    }
    await until("none is left", async () => (await beside.backends(name)) === 0);
    await pool.close({ deadline: 5_000 });
    await beside[Symbol.asyncDispose]();
  },

  async an_attempt_that_is_given_up_leaves_no_connection(driver, name) {
    const between = await relay("pg_stat_activity");
    const { create } = driver.factory(name, between.config);
    const controller = new AbortController();
    const creating = create({ signal: controller.signal });
    creating.catch(() => {});
    await until("it is held", async () => between.told.held === 1);
    controller.abort(new Error("it takes too long"));
    await until("it is closed", async () => between.told.open === 0);
    await assert.rejects(creating, PostgresError);
    await between[Symbol.asyncDispose]();
  },

  async attempts_that_are_given_up_anywhere_leave_nothing(driver, name) {
    const beside = await outside();
    const { create, close } = driver.factory(name);
    const timed = async (job) => {
      const began = performance.now();
      const connection = await create(job);
      await close(connection, { signal: new AbortController().signal });
      return performance.now() - began;
    };
    const whole = await timed({ signal: new AbortController().signal });
    // Whatever they reject with that nobody hears of fails the run.
    for (let attempt = 0; attempt < 100; attempt += 1) {
      const controller = new AbortController();
      timed(controller).catch(() => {});
      await later((whole * attempt) / 75);
      controller.abort(new Error("it takes too long"));
    }
    await until("none is left", async () => (await beside.backends(name)) === 0, 10_000);
    await beside[Symbol.asyncDispose]();
  },

  async a_closing_that_is_given_up_leaves_no_connection_beside(driver, name) {
    const beside = await outside();
    const between = await relay("pg_terminate_backend");
    const { create, close } = driver.factory(name, between.config);
    const connection = await create({ signal: new AbortController().signal });
    const hanging = driver.run(connection, "SELECT pg_sleep(600)");
    hanging.catch(() => {});
    await later(100);
    const controller = new AbortController();
    const closing = close(connection, { signal: controller.signal });
    await until("it is held", async () => between.told.held === 1);
    controller.abort(new Error("it takes too long"));
    await until("it is closed", async () => between.told.open === 0);
    await closing;
    await assert.rejects(hanging);
    const left = "FROM pg_stat_activity WHERE application_name = $1";
    await beside.run(`SELECT pg_terminate_backend(pid) ${left}`, [name]);
    await between[Symbol.asyncDispose]();
    await beside[Symbol.asyncDispose]();
  },

  async an_idle_connection_is_asked_before_it_is_lent(driver, name) {
    const pool = open(driver, name, { max: 1, checkTimeout: 5_000 });
    const count = () => pool.stats().checks;
    await pool.use((connection) => driver.run(connection, PID));
    await pool.use((connection) => driver.run(connection, PID));
    assert.equal(count(), 1, "that is a look");
    await later(1_100);
    await pool.use((connection) => driver.run(connection, PID));
    assert.deepEqual([count(), pool.stats().checkFailed, pool.stats().created], [2, 0, 1]);
    // A query that nobody waited for is over before the connection is lent again.
    await pool.use(async (connection) => {
      driver.run(connection, "SELECT pg_sleep(0.5)").catch(() => {});
    });
    await pool.use((connection) => driver.run(connection, PID));
    assert.equal(pool.stats().created, 1);
    await pool.close({ deadline: 5_000 });
  },

  async a_wrong_password_has_its_kind_and_is_shown_nowhere(driver, name) {
    const pool = open(driver, name, { config: { password: "wr0ng-s3cr3t" } });
    const error = await pool.acquire().then(() => assert.fail("it is let in"), (e) => e);
    assert.ok(error instanceof CreateError, inspect(error));
    assert.ok(error.cause instanceof PostgresError);
    assert.deepEqual([error.cause.kind, error.cause.code], ["denied", "28P01"]);
    const shown = inspect(error, { depth: 10, showHidden: true });
    assert.ok(!shown.includes("wr0ng-s3cr3t") && !shown.includes(password), shown);
    await pool.close();

    const wrong = [
      [`postgres://u:wr0ng-s3cr3t@127.0.0.1:${port}/postgres`, "denied"],
      ["postgres://u:wr0ng-s3cr3t@127.0.0.1:1/postgres", "unreachable"],
      ["postgres://u:wr0ng-s3cr3t@127.0.0.1:99999999/postgres", "unreachable"],
      ["postgres://u:wr0ng-s3cr3t%@127.0.0.1:1/postgres", "unreachable"],
    ];
    for (const [url, kind] of wrong) {
      const pool = new Pool({ ...driver.byUrl(url), minIdle: 0 });
      const error = await pool.acquire().then(() => assert.fail("it is let in"), (e) => e);
      assert.equal(error.cause?.kind, kind, inspect(error));
      const shown = inspect(error, { depth: 10, showHidden: true });
      assert.ok(!shown.includes("s3cr3t"), shown);
      await pool.close();
    }
  },

  async a_server_that_shows_no_processes_is_told_of(driver, name) {
    const text = "WHERE pid = pg_catalog.pg_backend_pid()";
    const between = await relay(text, "WHERE false".padEnd(text.length));
    const pool = open(driver, name, { config: between.config });
    const error = await pool.acquire().then(() => assert.fail("it is let in"), (e) => e);
    assert.ok(error.cause instanceof PostgresError, inspect(error));
    assert.equal(error.cause.kind, "refused");
    assert.match(error.cause.message, /its pg_stat_activity does not show the connection$/);
    await pool.close();
    await between[Symbol.asyncDispose]();
  },

  async a_wrong_option_is_refused(driver, name) {
    for (const reset of ["no", {}, null]) {
      assert.throws(() => driver.factory(name, {}, { reset }), {
        name: "TypeError", message: /session, discard-all, rollback/,
      });
    }
    assert.throws(() => driver.factory(name, {}, { rest: "rollback", max: 3 }), {
      name: "TypeError", message: /unknown option rest, max: .* reset$/,
    });
  },

  async a_connection_is_retired_for_its_age(driver, name) {
    const beside = await outside();
    const times = { maxLifetime: 300, idleTimeout: 300, checkInterval: Infinity };
    const pool = open(driver, name, { max: 1, lifetimeJitter: 0, ...times });
    const pidOf = async (connection) => (await driver.run(connection, PID))[0].pid;
    const first = await pool.use(pidOf);
    await later(500);
    assert.notEqual(await pool.use(pidOf), first);
    await until("one is left", async () => (await beside.backends(name)) === 1);
    await pool.close({ deadline: 5_000 });
    await until("none is left", async () => (await beside.backends(name)) === 0);
    await beside[Symbol.asyncDispose]();
  },

  async a_drained_pool_leaves_nothing_at_the_server(driver, name) {
    const beside = await outside();
    const pool = open(driver, name, { max: 4 });
    const work = Array.from({ length: 4 }, () =>
      pool.use((connection) => driver.run(connection, "SELECT pg_sleep(0.2)::text")));
    await until("all are out", async () => pool.stats().inUse === 4);
    assert.equal(await beside.backends(name), 4);
    await pool.close({ deadline: 5_000 });
    await Promise.all(work);
    await until("none is left", async () => (await beside.backends(name)) === 0);
    await beside[Symbol.asyncDispose]();
  },

  async a_server_that_comes_back_is_found(driver, name) {
    const pool = open(driver, name, { max: 2, backoff: { base: 50, cap: 200 } });
    await Promise.all([1, 2].map(() => pool.use(() => later(50))));
    for (const stop of ["stop", "crash"]) {
      await ask(stop);
      // A connection is lent until the process has heard of its end; its query fails then.
      await until("that is told", () => pool.use((connection) => driver.run(connection, PID)).then(
        () => false,
        (error) => error instanceof CreateError || error instanceof UnavailableError,
      )).finally(() => ask("start"));
      await until("it is found", async () => {
        try {
          await pool.use((connection) => driver.run(connection, PID));
          return true;
        } catch (error) {
          assert.ok(error instanceof CreateError || error instanceof UnavailableError);
          return false;
        }
      }, 20_000);
    }
    await pool.close({ deadline: 5_000 });
  },
};
