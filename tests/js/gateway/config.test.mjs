// The check of EDGEPOOL_CONFIG: what the pools would refuse is refused at the start, and no error
// shows a value that may hold a secret.

import assert from "node:assert/strict";
import { before, test } from "node:test";

import { importSource } from "../lib/gateway-source.mjs";
import { Child, ROOT } from "../lib/process.mjs";
import { within } from "../lib/time.mjs";

const SECRET = "hunter2-edgepool-test";
const PROVIDER = { kind: "openai", baseURL: "http://127.0.0.1:9000", max: 4 };
let readConfig, ConfigError;

before(async () => ({ readConfig, ConfigError } = await importSource("config.ts")));

const config = (provider, top) =>
  JSON.stringify({ scope: "isolate", providers: { a: { ...PROVIDER, ...provider } }, ...top });

const DIGEST = "0".repeat(64);
const tenants = (more, provider) => config(provider, { tenants: { by: "path", ...more } });
const keyed = (named, more) => tenants({ by: "key", named, ...more });

const FINE = [
  config({ maxWaiting: 0 }),
  config({ maxWaiting: 9_000, max: 65_535 }),
  config({ retry: { retries: 0 }, totalTimeout: null }),
  config({}, { leaseTtl: 3 }),
  config({}, { leaseTtl: 2, heartbeat: 1 }),
  config({}, { leaseTtl: 10_000, heartbeat: 5_000 }),
  config({}, { heartbeat: 7_500 }),
  config({}, { scope: "object" }),
  config({}, { hosts: [] }),
  config({}, { routes: {} }),
  config({}, { routes: { r: ["a"] } }),
  config({}, { hosts: ["pool.example", "10.0.0.1", "::1", "[fd00::1]"] }),
  tenants({}),
  tenants({}, { maxWaiting: 4_500 }),
  tenants({ by: { header: "x-tenant" }, unknown: "refuse", without: "nobody", report: 0 }),
  tenants({ default: { weight: 1, max: 1, maxWaiting: 0 } }),
  tenants({ default: { max: 4, maxWaiting: 2 ** 32 - 1 }, named: { acme: { max: null } } }),
  tenants({ named: { acme: {}, "b.Corp_1-": { weight: 1_000_000 } } }),
  keyed({ acme: { keySha256: DIGEST } }),
];

/** What is wrong, and what the error names. */
const WRONG = [
  [config({ maxWaiting: 9_001 }), /maxWaiting takes a whole number from 0 to 9000, got 9001/],
  [config({ apiKey: "k" }), /^providers\.a: apiKey is no option of a gateway/],
  [config({ onRefusal: "throw" }), /^providers\.a: onRefusal is no option of a gateway/],
  [config({}, { heartbeat: 5_001, leaseTtl: 10_000 }), /heartbeat.* 5000, half of leaseTtl/],
  [config({}, { heartbeat: 7_501 }), /heartbeat .* to 7500, half of leaseTtl/],
  [config({}, { leaseTtl: 2 }), /leaseTtl .* from 3/],
  [config({}, { leaseTtl: 1, heartbeat: 1 }), /leaseTtl .* from 2/],
  [config({}, { scope: "world" }), /^scope takes "isolate" or "object"/],
  [config({}, { hosts: "h" }), /^hosts takes a list/],
  [config({}, { hosts: ["http://h"] }), /^hosts takes .* without a scheme or port/],
  [config({}, { hosts: ["h:80"] }), /^hosts takes/],
  [config({}, { hosts: ["[::1]:80"] }), /^hosts takes/],
  [config({}, { hosts: [""] }), /^hosts takes/],
  [config({}, { hosts: ["u@h"] }), /^hosts takes/],
  [config({}, { routes: [] }), /^routes takes an object/],
  [config({}, { routes: { a: ["a"] } }), /^routes: a provider is named "a"/],
  [config({}, { routes: { stats: ["a"] } }), /^routes: "stats" is no name/],
  [config({}, { routes: { r: [] } }), /^routes\.r takes a list of providers, each once: a/],
  [config({}, { routes: { r: ["a", "b"] } }), /^routes\.r takes a list of providers/],
  [config({}, { routes: { r: ["a", "a"] } }), /^routes\.r takes a list of providers/],
  [config({}, { tenants: [] }), /^tenants takes an object/],
  [tenants({}, { maxWaiting: 4_501 }), /^providers\.a\.maxWaiting takes .* 0 to 4500, got 4501/],
  [tenants({ by: undefined }), /^tenants\.by takes "key", "path" or \{"header": NAME\}/],
  [tenants({ by: "host" }), /^tenants\.by takes "key", "path" or/],
  [tenants({ by: { header: "Cookie" } }), /^tenants\.by\.header takes the name of a header of/],
  [tenants({ by: { header: "cookie" } }), /^tenants\.by\.header takes the name of a header of/],
  [tenants({ by: { header: "a b" } }), /^tenants\.by\.header takes/],
  [tenants({ by: { key: true } }), /^tenants\.by: unknown field "key"; it takes header/],
  [tenants({ unknown: "make" }), /^tenants\.unknown takes "create" or "refuse"/],
  [tenants({ without: true }), /^tenants\.without takes "refuse" or "nobody"/],
  [tenants({ report: 1_001 }), /^tenants\.report takes a whole number from 0 to 1000, got 1001/],
  [tenants({ default: { weight: 0 } }), /^tenants\.default\.weight takes .* 1 to 1000000, got 0/],
  [tenants({ default: { keySha256: DIGEST } }), /^tenants\.default: unknown field "keySha256"/],
  [tenants({ named: { acme: { max: 0 } } }), /^tenants\.named\.acme\.max takes .* 4, .*got 0/],
  [tenants({ named: { acme: { max: 5 } } }), /^tenants\.named\.acme\.max takes .* 1 to 4, or n/],
  [tenants({ default: { maxWaiting: 2 ** 32 } }), /^tenants\.default\.maxWaiting .* 4294967295/],
  [
    tenants({ default: { maxWaiting: 8 } }, { maxWaiting: 7 }),
    /^tenants\.default\.maxWaiting takes .* from 0 to 7, or null for no limit, got 8/,
  ],
  [tenants({ named: { acme: { maxWaiting: 0.5 } } }), /^tenants\.named\.acme\.maxWaiting takes/],
  [tenants({ named: { "a b": {} } }), /^tenants\.named: an id has 1 to 63/],
  [tenants({ named: { _others: {} } }), /^tenants\.named: .* begins with a letter or a digit/],
  [tenants({ named: { nobody: {} } }), /^tenants\.named: .* is not nobody/],
  [tenants({ named: { acme: { keySha256: DIGEST } } }), /^tenants\.named\.acme\.keySha256 takes n/],
  [keyed({}), /^tenants\.named is empty: every request would be refused/],
  [tenants({ unknown: "refuse" }), /^tenants\.named is empty: every request would be refused/],
  [keyed({ acme: {} }), /^tenants\.named\.acme\.keySha256 takes 64 hexadecimal digits/],
  [keyed({ acme: { keySha256: "abc" } }), /^tenants\.named\.acme\.keySha256 takes 64/],
  [
    keyed({ a: { keySha256: DIGEST }, b: { keySha256: DIGEST } }),
    /^tenants\.named: "a" and "b" have the same key/,
  ],
  [keyed({}, { unknown: "create" }), /^tenants\.unknown takes "refuse" where tenants are known by/],
  [tenants({ by: "key" }, { passClientKey: true }), /^providers\.a\.passClientKey: tenants are kn/],
  [
    config({}, { providers: { t: PROVIDER }, tenants: { by: "path" } }),
    /^tenants\.by: tenants' paths begin with \/t\//,
  ],
];

/** What the client pools refuse when the gateway makes them. */
const REFUSED = [
  [config({ headersTimeout: 0 }), /provider "a": "headersTimeout" takes more than 0/],
  [config({ max: 0 }), /"max" takes 1 to 65535/],
  [config({ kind: "gopher" }), /"kind" takes one of openai.*anthropic/],
  [config({ moose: 1 }), /"moose" is no option of provider; there are kind, baseURL/],
  [config({ retry: { base: 9_000 } }), /"retry\.base" takes at most/],
  [config({ endpoints: ["http://h"] }), /"endpoints" cannot stand beside "baseURL"/],
  [
    config({}, {
      providers: { a: PROVIDER, b: { ...PROVIDER, kind: "ollama" } }, routes: { r: ["a", "b"] },
    }),
    /"a" speaks openai, and "b" ollama/,
  ],
  [config({ baseURL: "nowhere" }), /"baseURL" is wrong: it takes an http or https URL/],
];

/** Where a secret can stand by mistake. */
const SECRETS = [
  config({ maxWaiting: SECRET }),
  config({ passClientKey: SECRET }),
  config({ keyEnv: [SECRET] }),
  config({ apiKey: SECRET }),
  config({}, { providers: SECRET }),
  config({}, { providers: { a: `http://user:${SECRET}@h` } }),
  config({}, { scope: SECRET }),
  config({}, { hosts: [`http://user:${SECRET}@h`] }),
  SECRET,
  `{"key":"${SECRET}`,
  `"${SECRET}"`,
];

/** The same, where the client pools see it. */
const DEEPER = [
  config({ baseURL: `ftp://user:${SECRET}@h` }),
  config({ baseURL: `user:${SECRET}@h` }),
  config({ baseURL: `http://user:${SECRET}@h` }),
  config({ baseURL: `http://h/v1?key=${SECRET}` }),
  config({ baseURL: `http://h/v1#${SECRET}` }),
  config({ baseURL: { url: SECRET } }),
  config({ kind: SECRET }),
  config({ max: SECRET }),
  config({ headersTimeout: SECRET }),
  config({ headers: { "x-key": [SECRET] } }),
];

test("what the pools take is taken", () => {
  for (const text of FINE) assert.doesNotThrow(() => readConfig(text), text);
});

test("what the pools would refuse is refused, and the bound is named", () => {
  for (const [text, message] of WRONG) {
    assert.throws(() => readConfig(text), { name: "ConfigError", message }, text);
  }
});

test("no error shows a value that may be a secret", () => {
  for (const text of SECRETS) {
    assert.throws(() => readConfig(text), (error) => {
      assert.ok(error instanceof ConfigError, `${error}`);
      assert.ok(!error.message.includes(SECRET.slice(0, 6)), error.message);
      return true;
    }, text);
  }
});

/** Starts the gateway in Node with a wrong configuration; gives the line that it ends with. */
async function endsWith(text) {
  const env = { EDGEPOOL_CONFIG: text, EDGEPOOL_PORT: "0" };
  const child = new Child("node", [`${ROOT}target/www/node.mjs`], { env });
  try {
    assert.equal(await within(10_000, "the end", child.ended), 1, child.output);
  } finally {
    await child.stop();
  }
  const [, said] = child.output.match(/^edgepool: (.*)\n$/) ?? [];
  assert.ok(said, child.output);
  return said;
}

test("a named tenant has from the default what it does not say, and null is no limit", () => {
  const shares = { acme: { weight: 3 }, beta: { max: null, maxWaiting: 0 } };
  const told = tenants({ default: { weight: 2, max: 4, maxWaiting: null }, named: shares });
  const { default: usual, named } = readConfig(told).tenants;
  assert.deepEqual(usual, { weight: 2, max: 4 });
  assert.deepEqual(named, { acme: { weight: 3, max: 4 }, beta: { weight: 2, maxWaiting: 0 } });
});

test("a wrong configuration ends the process at the start, by one plain line", async () => {
  const object = config({}, { scope: "object" });
  const only = /^scope takes "isolate" here: only workerd has Durable Objects$/;
  for (const [text, message] of [WRONG[0], [object, only], ...REFUSED]) {
    assert.match(await endsWith(text), message, text);
  }
});

test("no error of the pools shows a value that may be a secret", async () => {
  for (const text of DEEPER) {
    const said = await endsWith(text);
    assert.ok(!said.includes(SECRET.slice(0, 6)), said);
  }
});
