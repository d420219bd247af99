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

const FINE = [
  config({ acquireTimeout: 0, headersTimeout: 1, firstContentTimeout: 1, stallTimeout: 1 }),
  config({ maxWaiting: 0 }),
  config({ maxWaiting: 9_000, max: 65_535 }),
  config({}, { leaseTtl: 3 }),
  config({}, { leaseTtl: 2, heartbeat: 1 }),
  config({}, { leaseTtl: 10_000, heartbeat: 5_000 }),
  config({}, { heartbeat: 7_500 }),
  config({}, { scope: "object" }),
  config({}, { hosts: [] }),
  config({}, { hosts: ["pool.example", "10.0.0.1", "::1", "[fd00::1]"] }),
];

/** What is wrong, and what the error names. */
const WRONG = [
  [config({ headersTimeout: 0 }), /^providers\.a\.headersTimeout takes .* from 1, got 0$/],
  [config({ firstContentTimeout: 0.5 }), /firstContentTimeout takes .* from 1, got 0\.5/],
  [config({ stallTimeout: -1 }), /stallTimeout takes .* from 1/],
  [config({ acquireTimeout: -1 }), /acquireTimeout takes .* from 0/],
  [config({ maxWaiting: 9_001 }), /maxWaiting takes a whole number from 0 to 9000, got 9001/],
  [config({ max: 0 }), /max takes a whole number from 1 to 65535/],
  [config({ max: 1.5 }), /max takes a whole number/],
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
];

/** Where a secret can stand by mistake. */
const SECRETS = [
  config({ baseURL: `ftp://user:${SECRET}@h` }),
  config({ baseURL: `user:${SECRET}@h` }),
  config({ baseURL: `http://user:${SECRET}@h` }),
  config({ baseURL: `http://h/v1?key=${SECRET}` }),
  config({ baseURL: `http://h/v1#${SECRET}` }),
  config({ baseURL: { url: SECRET } }),
  config({ kind: SECRET }),
  config({ max: SECRET }),
  config({ maxWaiting: SECRET }),
  config({ headersTimeout: SECRET }),
  config({ passClientKey: SECRET }),
  config({ keyEnv: [SECRET] }),
  config({}, { providers: SECRET }),
  config({}, { providers: { a: `http://user:${SECRET}@h` } }),
  config({}, { scope: SECRET }),
  config({}, { hosts: [`http://user:${SECRET}@h`] }),
  SECRET,
  `{"key":"${SECRET}`,
  `"${SECRET}"`,
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

test("a wrong configuration ends the process at the start, by one plain line", async () => {
  const object = config({}, { scope: "object" });
  const rows = [
    WRONG[0],
    [SECRETS[3], /^providers\.a\.baseURL takes/],
    [object, /^scope takes "isolate" here: only workerd has Durable Objects$/],
  ];
  for (const [text, message] of rows) {
    const env = { EDGEPOOL_CONFIG: text, EDGEPOOL_PORT: "0" };
    const child = new Child("node", [`${ROOT}target/www/node.mjs`], { env });
    try {
      assert.equal(await within(10_000, "the end", child.ended), 1, child.output);
    } finally {
      await child.stop();
    }
    const [, said] = child.output.match(/^edgepool: (.*)\n$/) ?? [];
    assert.match(said ?? "", message, child.output);
  }
});
