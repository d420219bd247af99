// What goes wrong while callers call, and how long it takes until they are served again.
import assert from "node:assert/strict";

import { beside } from "../drivers.mjs";
import { later, until } from "../lib.mjs";
import { idOf, rememberPassword } from "./fixtures.mjs";

/** Whom a fault is put on. Each of the others is served meanwhile, where it has its own database. */
const VICTIM = 1;
/** Who is looked at after a fault that was everybody's. */
const WATCHED = [VICTIM, 0, 2, 7];
/** How long a fault lasts, in ms. */
const LASTS = 400;
/** How many reads there are in that time at least, of those whom it does not concern. */
const FEW = 20;
/** How long it may take until everybody is served again, in ms. */
const RECOVERY = 10_000;

/** By its name, what puts a fault on the server, and tells who is to be served again after it. */
const FAULTS = {
  /** Half of the processes end, in the middle of whatever they do. */
  async "killed backends"(run, server) {
    const text = "SELECT count(pg_terminate_backend(pid))::int AS killed FROM pg_stat_activity "
      + "WHERE starts_with(application_name, $1) AND random() < 0.5";
    let killed = 0;
    await until("there was somebody to kill", async () => {
      killed += (await server.run(text, [run.prefix]))[0].killed;
      return killed > 0;
    });
    return WATCHED;
  },

  /** A database takes no connections, and has none left. */
  async "a stopped database"(run, server) {
    const database = run.kind.database(VICTIM);
    const allow = (allowed) => `ALTER DATABASE "${database}" ALLOW_CONNECTIONS ${allowed}`;
    await server.run(allow(false));
    await terminateIn(server, database);
    await othersRead(run, () => later(LASTS), run.kind.isAlone);
    await server.run(allow(true));
    return run.kind.isAlone ? [VICTIM] : WATCHED;
  },

  /** Another password holds than the one that the program knows, until it is told. */
  async "a changed password"(run, server) {
    const user = run.kind.login(VICTIM);
    const password = `changed at ${Date.now()}`;
    await server.run(`ALTER ROLE "${user}" PASSWORD '${password}'`);
    await terminateIn(server, run.kind.database(VICTIM));
    await othersRead(run, () => later(LASTS), run.kind.isAlone);
    assert.equal(run.kind.isAlone && await run.read(VICTIM), false, "nobody knows the password");
    rememberPassword(user, password);
    run.pools.invalidate(run.kind.isAlone ? idOf(VICTIM) : undefined);
    return run.kind.isAlone ? [VICTIM] : WATCHED;
  },

  /** As many connections as a tenant may have hang in statements, and are given up. */
  async "hung statements"(run, server) {
    await othersRead(run, async () => {
      await Promise.all(Array.from({ length: run.kind.leases }, () => hang(run)));
    }, true);
    await until("no process hangs", async () => {
      const text = "SELECT 1 FROM pg_stat_activity WHERE starts_with(application_name, $1) "
        + "AND query LIKE '%pg_sleep(600)%' AND state = 'active'";
      return (await server.run(text, [run.prefix])).length === 0;
    });
    return [VICTIM];
  },
};

async function hang(run) {
  const lease = await run.pools.acquire(idOf(VICTIM));
  await run.holding(VICTIM, async () => {
    run.driver.run(lease.value, "SELECT pg_sleep(600)").catch(() => {});
    await later(LASTS);
  });
  lease.discard(new Error("it hangs"));
}

/** Does something, and sees that others read meanwhile, if they are to. */
async function othersRead(run, act, areTo) {
  const before = run.seen.reads;
  await act();
  const meanwhile = run.seen.reads - before;
  assert.ok(!areTo || meanwhile > FEW, `the others read ${meanwhile} times only`);
}

async function terminateIn(server, database) {
  const text = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 "
    + "AND backend_type = 'client backend'";
  await server.run(text, [database]);
}

/**
 * Puts one fault after the other on the server, each after some reads without one. Notes the longest
 * that it took until tenants were served again, by the fault.
 */
export async function putOn(run, readsBetween, recoveries) {
  for (const [name, fault] of Object.entries(FAULTS)) {
    await run.moreReads(readsBetween);
    const tenants = await beside((server) => fault(run, server));
    const began = Date.now();
    for (const tenant of tenants) {
      const isServed = () => run.read(tenant);
      await until(`${idOf(tenant)} is served after ${name}`, isServed, RECOVERY);
    }
    recoveries.set(name, Math.max(recoveries.get(name) ?? 0, Date.now() - began));
  }
}
