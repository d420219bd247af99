// Tenants: by a header, a key or the path; what each may have; and what none of them learns.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";

import parsePrometheus from "parse-prometheus-text-format";

import { send } from "../lib/client.mjs";
import { RUNTIME } from "../lib/process.mjs";
import { startBackend, startGateway } from "../lib/servers.mjs";
import { eventually } from "../lib/time.mjs";

const KEYS = {
  acme: "tk-edgepool-test-acme-7391",
  beta: "tk-edgepool-test-beta-5527",
  provider: "sk-edgepool-test-provider-8104",
};
const SHA = createHash("sha256").update(KEYS.beta).digest("hex");
/** What has reached the provider, in its order; those held are answered by `release`. */
const arrived = [];
const held = new Set();
let backend, byHeader, byKey, byPath;

before(async () => {
  backend = await startBackend((request, response) => {
    arrived.push({ url: request.url, headers: request.headers });
    if (request.headers["x-hold"] === undefined) return response.end("fine");
    held.add(response);
    response.on("close", () => held.delete(response));
  });
  const { url } = backend;
  const provider = (max, more) => ({ kind: "http", url, max, ...more });
  byHeader = await startGateway({
    providers: {
      one: provider(1, { max_waiting: 100 }), some: provider(4), counted: provider(4),
      kept: provider(8),
      late: provider(1, { acquire_timeout_ms: 150 }),
    },
    routes: { both: { providers: ["some", "counted"] } },
    tenants: {
      by: { header: "x-tenant" }, report: 2,
      default: { max: 3 },
      named: { acme: { weight: 3, max: 2, max_waiting: 1 }, zed: { weight: 1 } },
    },
  });
  byKey = await startGateway({
    providers: { own: provider(2, { key_env: "KEY_OF_OWN" }), none: provider(2) },
    simulator: { max: 1 },
    tenants: {
      by: "key", named: { acme: { key_env: "KEY_OF_ACME" }, beta: { key_sha256: SHA } },
    },
  }, { env: { KEY_OF_ACME: KEYS.acme, KEY_OF_OWN: KEYS.provider } });
  byPath = await startGateway({
    providers: { one: provider(2) },
    tenants: {
      by: "path", unknown: "refuse", without: "nobody", named: { acme: { weight: 2 } },
      default: { max: 1, max_waiting: 0 },
    },
  });
});
after(async () => {
  for (const gateway of [byHeader, byKey, byPath]) await gateway?.stop();
  await backend?.stop();
});

const ask = (path, tenant, headers = {}) => send(`${byHeader.url}${path}`, {
  headers: { ...(tenant === undefined ? {} : { "x-tenant": tenant }), ...headers },
});
const errorOf = ({ body }) => JSON.parse(body).error;
const tenantsOf = async (gateway, provider) => (await gateway.stats()).tenants.providers[provider];
const tenantOf = async (provider, id) =>
  (await tenantsOf(byHeader, provider)).tenants.find((one) => one.id === id);

/** Answers all that is held, until nothing comes any more. */
async function release(calls) {
  const all = Promise.all(calls);
  let over = false;
  all.finally(() => (over = true)).catch(() => undefined);
  while (!over) {
    for (const response of held) response.end("held");
    await new Promise((done) => setTimeout(done, 2));
  }
  return all;
}

test(`${RUNTIME}: a header names the tenant, and no provider gets it`, async () => {
  arrived.length = 0;
  const { status, body } = await ask("/some/x?y=1", "acme");
  assert.deepEqual([status, String(body)], [200, "fine"]);
  assert.equal(arrived[0].url, "/x?y=1");
  assert.equal(arrived[0].headers["x-tenant"], undefined);
  const { by, header } = (await byHeader.stats()).tenants;
  assert.deepEqual({ by, header }, { by: "header", header: "x-tenant" });
  assert.equal((await tenantOf("some", "acme")).acquired, 1);
});

const BAD = {
  "": /it is empty/,
  "a b": /a character at 1 that none has/,
  "a'; DROP TABLE t--": /a character at 1/,
  "a\"b": /a character at 1/,
  "<script>": /a character at 0/,
  "a, b": /a character at 1/,
  "_a": /begins with "_"/,
  "..": /begins with "\."/,
  "t\u00e9nant": /a character at 1/,
  _others: /begins with "_"/,
  nobody: /whose requests are that tell no tenant/,
  [`x${"y".repeat(63)}`]: /it has 64 characters/,
  ["z".repeat(10_000)]: /it has 10000 characters/,
};
for (const [id, why] of Object.entries(BAD)) {
  test(`${RUNTIME}: no tenant can be ${JSON.stringify(id.slice(0, 20))}`, async () => {
    const before = arrived.length;
    const answer = await ask("/some/x", id);
    const { code, message } = errorOf(answer);
    assert.deepEqual([answer.status, code], [400, "invalid_tenant"]);
    assert.match(message, why);
    assert.match(message, /an id has 1 to 63 ASCII letters/);
    const isPlain = id.length < 3 || id === "nobody";
    assert.ok(message.length < 250 && (isPlain || !message.includes(id)));
    assert.equal(arrived.length, before);
    assert.equal(answer.headers["x-should-retry"], "false");
  });
}

test(`${RUNTIME}: a request that tells no tenant is refused, and told how`, async () => {
  const before = arrived.length;
  for (const [gateway, path, status, how] of [
    [byHeader, "/some/x", 403, /send its id in the header x-tenant/],
    [byKey, "/own/x", 401, /a tenant's key is needed: .*Bearer KEY/],
  ]) {
    const answer = await send(`${gateway.url}${path}`);
    assert.equal(answer.status, status);
    assert.equal(errorOf(answer).code, "tenant_required");
    assert.match(errorOf(answer).message, how);
    assert.doesNotMatch(String(answer.body), /acme|beta|zed/);
  }
  assert.equal(arrived.length, before);
});

test(`${RUNTIME}: a key is its tenant's, in any header that clients use for keys`, async () => {
  const { acme, beta } = KEYS;
  for (const headers of [
    { authorization: `Bearer ${acme}` }, { authorization: `bearer  ${beta}` },
    { "x-api-key": acme }, { "api-key": acme }, { "x-goog-api-key": beta },
  ]) {
    for (const name of ["own", "none"]) {
      arrived.length = 0;
      const answer = await send(`${byKey.url}/${name}/x`, { headers });
      assert.equal(answer.status, 200, String(answer.body));
      const got = JSON.stringify(arrived);
      assert.ok(!got.includes(acme) && !got.includes(beta), "no provider gets a tenant's key");
      assert.equal(got.includes(KEYS.provider), name === "own");
    }
  }
  const { tenants } = await tenantsOf(byKey, "own");
  assert.deepEqual(tenants.map(({ id, acquired }) => [id, acquired]), [["acme", 3], ["beta", 2]]);
});

test(`${RUNTIME}: a key of nobody's is refused, whatever there are`, async () => {
  const before = arrived.length;
  const near = `${KEYS.acme.slice(0, -1)}2`;
  for (const key of [near, KEYS.provider, SHA, "x", KEYS.acme.toUpperCase()]) {
    const answer = await send(`${byKey.url}/own/x`, { headers: { "x-api-key": key } });
    assert.equal(answer.status, 401);
    assert.equal(answer.headers["www-authenticate"], "Bearer");
    const { code, message } = errorOf(answer);
    assert.deepEqual([code, message], ["unknown_key", "the key is no tenant's"]);
  }
  const basic = Buffer.from(`acme:${KEYS.acme}`).toString("base64");
  for (const authorization of [KEYS.acme, `Basic ${basic}`, "Bearer", "Bearer a b"]) {
    const answer = await send(`${byKey.url}/own/x`, { headers: { authorization } });
    assert.equal(errorOf(answer).code, "tenant_required", authorization);
  }
  assert.equal(arrived.length, before);
});

test(`${RUNTIME}: no key of a tenant is in a page, a statistic, an error, an output`, async () => {
  const clean = (what, text) => {
    for (const [name, key] of Object.entries({ ...KEYS, SHA })) {
      assert.ok(!text.includes(key), `the key of ${name} is in ${what}`);
    }
  };
  const headers = { authorization: `Bearer ${KEYS.acme}` };
  for (const path of ["/", "/stats", "/stats/history", "/metrics", "/nobody/x", "/own/..%2fx"]) {
    const { rawHeaders, body } = await send(`${byKey.url}${path}`, { headers });
    clean(path, `${rawHeaders} ${body}`);
  }
  clean("the output", byKey.child.output);
  for (const { pid, cmdline } of byKey.child.left()) clean(`the command line of ${pid}`, cmdline);
});

test(`${RUNTIME}: the command has the keys, its processes have none but those of providers`, () => {
  const [all, command] = [byKey.child.left(), byKey.child.process.pid];
  const simulators = all.filter(({ cmdline }) => / simulate /.test(cmdline));
  const runtimes = all.filter((one) => one.pid !== command && !simulators.includes(one));
  const has = (some, text) => some.map(({ environ }) => environ.includes(text));
  const none = (some) => some.map(() => false);
  assert.ok(has(all.filter(({ pid }) => pid === command), KEYS.acme)[0], "it can be seen");
  assert.ok(simulators.length > 0 && runtimes.length > 0);
  for (const text of [KEYS.acme, "KEY_OF_ACME", "KEY_OF_OWN="]) {
    assert.deepEqual(has(simulators, text), none(simulators), `the simulator has ${text}`);
    assert.deepEqual(has(runtimes, text), none(runtimes), `the runtime has ${text}`);
  }
  assert.deepEqual(has(simulators, KEYS.provider), none(simulators));
  assert.ok(has(runtimes, KEYS.provider).includes(true), "it sends that one on");
});

test(`${RUNTIME}: the path names the tenant, and the provider gets the rest`, async () => {
  arrived.length = 0;
  const get = async (path) => {
    const answer = await send(`${byPath.url}${path}`);
    return [answer.status, answer.status === 200 ? String(answer.body) : errorOf(answer).code];
  };
  assert.deepEqual(await get("/t/acme/one/a/b?c=%2f"), [200, "fine"]);
  assert.deepEqual(await get("/one/nobody's"), [200, "fine"]);
  assert.deepEqual(arrived.map(({ url }) => url), ["/a/b?c=%2f", "/nobody's"]);
  const { tenants } = await tenantsOf(byPath, "one");
  assert.deepEqual(tenants.map(({ id, acquired }) => [id, acquired]), [["acme", 1], ["nobody", 1]]);
  assert.deepEqual(await get("/t/nobody/one/x"), [400, "invalid_tenant"]);
  assert.deepEqual(await get("/t/beta/one/x"), [403, "unknown_tenant"]);
  assert.deepEqual(await get("/t//one/x"), [400, "invalid_tenant"]);
  assert.deepEqual(await get("/t/a%20b/one/x"), [400, "invalid_tenant"]);
  assert.deepEqual(await get("/t/acme"), [404, "unknown_provider"]);
  assert.deepEqual(await get("/t/acme/"), [404, "unknown_provider"]);
  assert.deepEqual(await get("/t"), [404, "unknown_provider"]);
  // What is the gateway's own is not below a tenant's path.
  for (const own of ["stats", "metrics", "healthz"]) {
    assert.deepEqual(await get(`/t/acme/${own}`), [404, "unknown_provider"]);
  }
  assert.deepEqual(await get("/t/acme/one/%2e%2e%2fx"), [400, "invalid_path"]);
  const { message } = errorOf(await send(`${byPath.url}/t/acme/two/x`));
  assert.match(message, /the paths of those that are: \/t\/acme\/one\//);
});

test(`${RUNTIME}: who tells no tenant has what the default says, and no more`, async () => {
  const call = send(`${byPath.url}/one/x`, { headers: { "x-hold": "1" } });
  await eventually(5_000, "the place is held", () => held.size === 1);
  // The provider has another place, and a queue.
  const refused = await send(`${byPath.url}/one/x`);
  assert.deepEqual([refused.status, errorOf(refused).code], [429, "queue_full"]);
  assert.equal((await send(`${byPath.url}/t/acme/one/x`)).status, 200);
  const [{ status }] = await release([call]);
  assert.equal(status, 200);
  const { tenants } = await tenantsOf(byPath, "one");
  const { in_use: used, max, max_waiting: most, refused: count } =
    tenants.find(({ id }) => id === "nobody");
  assert.deepEqual([used, max, most, count], [0, 1, 0, 1]);
});

test(`${RUNTIME}: a route asks for the tenant as well`, async () => {
  const before = (await tenantOf("some", "zed")).acquired;
  assert.equal((await ask("/both/x", "zed")).status, 200);
  assert.equal((await tenantOf("some", "zed")).acquired, before + 1);
});

test(`${RUNTIME}: the command says how tenants are told, and the addresses of each`, () => {
  const says = ({ child }, line) => assert.match(child.stdout, line);
  says(byHeader, /^tenants +by header x-tenant \(2 named, others are created\)$/m);
  says(byKey, /^tenants +by key \(2 named, others are refused\)$/m);
  says(byPath, /^tenants +by path \(1 named, others are refused\)$/m);
  for (const { child } of [byHeader, byKey, byPath]) {
    assert.match(child.output, /^note: the page, \/stats and \/metrics name all tenants: /m);
  }
  says(byPath, /^gateway +http:\/\/[^/]+\/ /m);
  says(byPath, /^provider +one -> http:\/\/[^/]+\/t\/TENANT\/one \(/m);
});

test(`${RUNTIME}: what a tenant is told names no other`, async () => {
  const answers = [
    await send(`${byPath.url}/t/beta/one/x`), await send(`${byPath.url}/t/beta/nothing`),
    await ask("/nothing/x", "beta"),
  ];
  for (const { rawHeaders, body } of answers) {
    assert.doesNotMatch(`${rawHeaders} ${body}`, /acme|zed/);
  }
});

test(`${RUNTIME}: a light tenant does not wait for a noisy one's queue`, async () => {
  arrived.length = 0;
  const hold = (tenant) => ask("/one/x", tenant, { "x-hold": "1", "x-who": tenant });
  const calls = [hold("noisy")];
  await eventually(5_000, "the place is held", () => held.size === 1);
  for (let i = 0; i < 50; i += 1) calls.push(hold("noisy"));
  const waiting = async (tenant) => (await tenantOf("one", tenant))?.waiting;
  await eventually(5_000, "50 wait", async () => (await waiting("noisy")) === 50);
  for (let i = 0; i < 3; i += 1) calls.push(hold("light"));
  await eventually(5_000, "3 wait", async () => (await waiting("light")) === 3);
  const noisy = await tenantOf("one", "noisy");
  assert.deepEqual([noisy.in_use, noisy.max, noisy.named], [1, 3, false]);
  const answers = await release(calls);
  assert.ok(answers.every(({ status }) => status === 200));
  const order = arrived.map(({ headers }) => headers["x-who"]);
  assert.equal(order.length, 54);
  // One of each in turn, behind the one that had the place.
  assert.ok(order.lastIndexOf("light") <= 6, `${order.slice(0, 12)}`);
  const { longest_wait_ms: light } = await tenantOf("one", "light");
  assert.ok(light < (await tenantOf("one", "noisy")).longest_wait_ms);
});

test(`${RUNTIME}: a tenant has no more places than its max, though others are free`, async () => {
  const hold = (tenant) => ask("/some/x", tenant, { "x-hold": "1" });
  const calls = [hold("acme"), hold("acme"), hold("acme")];
  const stands = async (id) => {
    const { in_use: used, waiting } = (await tenantOf("some", id)) ?? {};
    return `${used} ${waiting}`;
  };
  await eventually(5_000, "two have places", async () => (await stands("acme")) === "2 1");
  await eventually(5_000, "they have arrived", () => held.size === 2);
  // Its own queue is full, and that of nobody else.
  const refused = await ask("/some/x", "acme");
  assert.deepEqual([refused.status, errorOf(refused).code], [429, "queue_full"]);
  assert.doesNotMatch(errorOf(refused).message, /zed|noisy|light/);
  calls.push(hold("zed"), hold("zed"), hold("zed"));
  await eventually(5_000, "zed has the other two", async () => (await stands("zed")) === "2 1");
  const answers = await release(calls);
  assert.ok(answers.every(({ status }) => status === 200));
  assert.equal((await tenantOf("some", "acme")).refused, 1);
  assert.equal((await tenantOf("some", "zed")).refused, 0);
});

test(`${RUNTIME}: too long a wait is its tenant's, and is told without others`, async () => {
  const calls = [ask("/late/x", "acme", { "x-hold": "1" })];
  await eventually(5_000, "the place is held", () => held.size === 1);
  const answer = await ask("/late/x", "zed");
  assert.deepEqual([answer.status, errorOf(answer).code], [503, "acquire_timeout"]);
  assert.doesNotMatch(`${answer.rawHeaders} ${answer.body}`, /acme/);
  await release(calls);
  const late = async (id) => (await tenantOf("late", id)).timed_out;
  assert.deepEqual([await late("zed"), await late("acme")], [1, 0]);
});

test(`${RUNTIME}: /metrics names as many tenants as it may, and sums the others`, async () => {
  const served = { acme: 1, one: 1, two: 2, three: 3, four: 4, other: 5 };
  for (const [id, count] of Object.entries(served)) {
    for (let i = 0; i < count; i += 1) await ask("/counted/x", id);
  }
  const read = async () => {
    const text = await (await fetch(`${byHeader.url}/metrics`)).text();
    const { metrics } = parsePrometheus(text)
      .find(({ name }) => name === "edgepool_tenant_acquired_total");
    const mine = metrics.filter(({ labels }) => labels.provider === "counted");
    return Object.fromEntries(mine.map(({ labels, value }) => [labels.tenant, Number(value)]));
  };
  // Whoever read /stats before may have had them among the others.
  const first = await read();
  assert.deepEqual(Object.keys(first), ["acme", "zed", "other", "four", "_others"]);
  const sum = (told) => Object.values(told).reduce((all, count) => all + count, 0);
  assert.equal(sum(first), 16);
  for (let i = 0; i < 9; i += 1) await ask("/counted/x", "one");
  const second = await read();
  assert.deepEqual(Object.keys(second), ["acme", "zed", "one", "other", "_others"]);
  assert.ok(second._others >= first._others && second.other >= first.other);
  // "four" has gone, and what it had under its name with it.
  assert.equal(sum(second) + first.four, 25);
  const { tenants, others } = await tenantsOf(byHeader, "counted");
  assert.deepEqual(tenants.map(({ id, named }) => [id, named]),
    [["acme", true], ["zed", true], ["one", false], ["other", false]]);
  assert.equal(others.tenants, 3);
});

test(`${RUNTIME}: a provider keeps a thousand tenants, and counts the forgotten`, async () => {
  const before = (await tenantsOf(byHeader, "kept")).tenants.length;
  const ids = Array.from({ length: 1_100 }, (_, at) => `visitor-${at}`);
  const next = async () => {
    for (let id = ids.pop(); id !== undefined; id = ids.pop()) {
      assert.equal((await ask("/kept/x", id)).status, 200);
    }
  };
  await Promise.all(Array.from({ length: 8 }, next));
  const { tenants, others } = await tenantsOf(byHeader, "kept");
  assert.deepEqual([before, tenants.length, others.tenants], [2, 4, 998]);
  const acquired = [...tenants, others].map((one) => one.acquired);
  assert.equal(acquired.reduce((all, count) => all + count, 0), 1_100);
});

test(`${RUNTIME}: who is refused for the tenant or the key is counted by the code`, async () => {
  const read = async (gateway) => {
    const { rejections } = (await gateway.stats()).tenants;
    const { metrics } = parsePrometheus(await (await fetch(`${gateway.url}/metrics`)).text())
      .find(({ name }) => name === "edgepool_tenant_rejections_total");
    const told = metrics.map(({ labels, value }) => [labels.code, Number(value)]);
    assert.deepEqual(Object.fromEntries(told), rejections);
    return rejections;
  };
  const more = async (gateway, calls) => {
    const before = await read(gateway);
    for (const [path, headers] of calls) await send(`${gateway.url}${path}`, { headers });
    const after = await read(gateway);
    return Object.keys(after).map((code) => `${code} ${after[code] - before[code]}`).join(", ");
  };
  const keys = [{}, { "x-api-key": "x" }, { "api-key": KEYS.acme }];
  assert.equal(
    await more(byKey, keys.map((headers) => ["/own/x", headers])),
    "tenant_required 1, invalid_tenant 0, unknown_tenant 0, unknown_key 1",
  );
  assert.equal(
    await more(byPath, [["/t/beta/one/x"], ["/t/beta/one/x"], ["/t/_/one/x"], ["/t/acme/one/x"]]),
    "tenant_required 0, invalid_tenant 1, unknown_tenant 2, unknown_key 0",
  );
});

test(`${RUNTIME}: a burst of the page is a tenant's as well`, async () => {
  const post = (gateway, path, headers = {}) => fetch(`${gateway.url}${path}`, {
    method: "POST", headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ provider: "own", count: 1, model: "m" }),
  });
  assert.equal((await post(byKey, "/_page/burst")).status, 401);
  const mine = await post(byKey, "/_page/burst", { authorization: `Bearer ${KEYS.acme}` });
  // It was let in, and the provider has no chat.
  assert.deepEqual([mine.status, (await mine.json()).error.code], [400, "invalid_burst"]);
  assert.equal((await post(byHeader, "/_page/burst")).status, 403);
  assert.equal((await post(byPath, "/t/acme/_page/burst")).status, 400);
  assert.equal((await post(byPath, "/t/beta/_page/burst")).status, 403);
});
