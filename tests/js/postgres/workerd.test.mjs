// Tenants' connections pooled in a Durable Object: the example, in workerd, over a real PostgreSQL.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { RawRequest } from "../lib/client.mjs";
import { checkTypes, hasten, install, start } from "../lib/example.mjs";
import { eventually, sleep } from "../lib/time.mjs";
import { beside } from "./drivers.mjs";
import { takeSamples } from "./tenants/samples.mjs";

const TENANTS = Array.from({ length: 12 }, (_, tenant) => `Tenant-${tenant}`);
const BUDGET = 8;
const POOL_SIZE = 4;
const IDLE_MS = 1_500;
const APP = { PGUSER: "notes_app", PGPASSWORD: "s3cret", PGDATABASE: "notes" };
const packages = ["pg", "@types", "undici-types"];

let project, worker;
before(async () => {
  await beside(makeDatabase);
  project = install("durable-object-postgres", { from: import.meta.dirname, packages });
  hasten(project.folder, "worker.ts", "idleTimeout: 30_000", `idleTimeout: ${IDLE_MS}`);
  const { PGHOST, PGPORT } = process.env;
  worker = await start(project.folder, { PGHOST, PGPORT, ...APP });
});
after(async () => {
  await worker?.stop();
  project?.remove();
});

async function makeDatabase(server) {
  await server.run(`CREATE ROLE ${APP.PGUSER} LOGIN PASSWORD '${APP.PGPASSWORD}'`);
  await server.run(`CREATE DATABASE ${APP.PGDATABASE}`);
  const own = TENANTS.map((id) => `CREATE ROLE "tenant_${id}";
    GRANT "tenant_${id}" TO ${APP.PGUSER};
    CREATE SCHEMA "tenant_${id}" AUTHORIZATION "tenant_${id}"; SET ROLE "tenant_${id}";
    CREATE TABLE "tenant_${id}".notes (note text NOT NULL);
    INSERT INTO "tenant_${id}".notes VALUES ('of ${id}'); RESET ROLE`);
  await beside((inside) => inside.run(own.join(";")), APP.PGDATABASE);
}

const url = (tenant) => `${worker.url}/${encodeURIComponent(tenant)}`;

async function get(tenant, init) {
  const signal = AbortSignal.timeout(20_000);
  const response = await fetch(url(tenant), { signal, ...init });
  return `${response.status} ${(await response.text()).trim()}`;
}

async function connections(server) {
  const text = "SELECT pid FROM pg_stat_activity WHERE application_name = 'notes'";
  return (await server.run(text)).length;
}

/** Looks at the server while something is done, and gives the most connections that it had. */
async function most(act) {
  let isOver = false;
  const looking = takeSamples("notes", { all: BUDGET, each: BUDGET }, () => isOver);
  await act().finally(() => (isOver = true));
  const { most, over } = await looking;
  assert.deepEqual(over, []);
  return most;
}

/** Asks for the notes of a dozen tenants at once, and sees that each gets its own. */
async function askAll(rounds) {
  const calls = TENANTS.flatMap((id) => new Array(rounds).fill(id));
  const answers = await Promise.all(calls.map((id) => get(id)));
  assert.deepEqual(answers, calls.map((id) => `200 ["of ${id}"]`));
}

test("its types are right with those of Workers", () => {
  assert.doesNotThrow(() => checkTypes(project.folder, { skipLibCheck: true }));
});

test("each tenant reads its own notes, over no more connections than the budget", async () => {
  const seen = await most(async () => {
    for (let round = 0; round < 5; round += 1) await askAll(10);
  });
  assert.ok(seen >= 2, `${seen} connections at most`);
});

test("what a tenant writes is its own", async () => {
  const [writer, ...others] = TENANTS;
  const added = await get(writer, { method: "POST", body: "it's \"mine\"" });
  assert.equal(added, `200 ["of ${writer}","it's \\"mine\\""]`);
  for (const id of others) assert.equal(await get(id), `200 ["of ${id}"]`);
  const text = `DELETE FROM "tenant_${writer}".notes WHERE note LIKE 'it%'`;
  await beside((server) => server.run(text), APP.PGDATABASE);
});

test("one tenant alone has as many as its pool may", async () => {
  const [id] = TENANTS;
  const seen = await most(async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, () => get(id)));
    assert.deepEqual(new Set(answers), new Set([`200 ["of ${id}"]`]));
  });
  assert.ok(seen >= POOL_SIZE, `${seen} connections at most`);
});

test("connections whose processes were ended are replaced, and no request fails", async () => {
  await askAll(2);
  await beside(async (server) => {
    const those = "FROM pg_stat_activity WHERE application_name = 'notes'";
    const killed = await server.run(`SELECT pg_terminate_backend(pid, 5000) ${those}`);
    assert.ok(killed.length > 0, "there was something to end");
  });
  await sleep(200);
  await askAll(2);
});

test("clients that go away take no connection along, and mix no answers up", async () => {
  await Promise.all(TENANTS.flatMap((id) => [0, 1, 2, 3].map(async (turn) => {
    await sleep(turn * 5);
    if (turn % 2 === 0) return assert.equal(await get(id), `200 ["of ${id}"]`);
    const raw = new RawRequest(url(id), { method: "GET", body: null });
    await sleep(turn * 7);
    if (turn === 1) raw.reset();
    else raw.leave();
    await raw.closed;
  })));
  await askAll(4);
});

test("what is no id, and a tenant without a schema, are told so", async () => {
  assert.match(await get("it's; DROP"), /^400 no tenant can have this id: it has "'" at 2/);
  assert.match(await get("nobody"), /^503 .*role "tenant_nobody" does not exist/);
  await askAll(1);
});

test("the alarm closes what is idle for too long, without a request", async () => {
  await askAll(1);
  await beside(async (server) => {
    assert.ok(await connections(server) > 0);
    const none = async () => (await connections(server)) === 0;
    await eventually(IDLE_MS + 5_000, "no connection is left", none);
  });
});
