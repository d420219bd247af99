// Which host names the gateway answers to: a page of another site can point its own name at the
// gateway's address, and would then be of the gateway's origin.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { RawRequest } from "../lib/client.mjs";
import { RUNTIME } from "../lib/process.mjs";
import { startBackend, startGateway } from "../lib/servers.mjs";

const PATHS = ["/", "/healthz", "/stats", "/metrics", "/one/x", "/nobody/x", "/_page/burst"];
const FOREIGN = ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0",
  "192.168.7.7", "notlocalhost", "[fd00::1]"];
const LOOPBACK = ["localhost", "LocalHost", "localhost.", "127.0.0.1", "127.8.9.1", "[::1]"];
let backend, asked = 0;

/** Each gateway with the names that it answers to, and those that it refuses. */
const GATEWAYS = {
  "on loopback": { gateway: {}, fine: LOOPBACK, refused: FOREIGN },
  "with hosts": {
    gateway: { hosts: ["Pool.example", "fd00::1"] },
    fine: [...LOOPBACK, "pool.example", "POOL.example", "[FD00::1]"],
    refused: ["evil.example", "not.pool.example", "pool.example.evil.example", "192.168.7.7"],
  },
  "on every address": {
    gateway: { bind: "0.0.0.0" },
    fine: [...LOOPBACK, "192.168.7.7", "[fd00::1]"],
    refused: ["evil.example", "192.168.7.7.evil.example", "localhost.evil.example"],
  },
  "on every address, with hosts": {
    gateway: { bind: "0.0.0.0", hosts: ["pool.example"] },
    fine: [...LOOPBACK, "pool.example"],
    refused: ["evil.example", "192.168.7.7"],
  },
};
const running = {};

before(async () => {
  backend = await startBackend((_, response) => {
    asked += 1;
    response.end("fine");
  });
  for (const [name, { gateway }] of Object.entries(GATEWAYS)) {
    const providers = { one: { kind: "http", url: backend.url, max: 4, key: "sk-edgepool-test" } };
    running[name] = await startGateway({ gateway, providers });
  }
});
after(async () => {
  await Promise.all(Object.values(running).map((gateway) => gateway.stop()));
  await backend?.stop();
});

async function ask(url, host, path) {
  const raw = new RawRequest(url, { method: "GET", path, headers: { host }, body: null });
  return { text: await raw.whole(5_000), status: raw.status };
}

for (const [name, { fine, refused }] of Object.entries(GATEWAYS)) {
  test(`${RUNTIME}: a gateway ${name} answers to its own names`, async () => {
    const { url } = running[name];
    const { port } = new URL(url);
    for (const host of fine.flatMap((each) => [each, `${each}:${port}`, `${each}:1`])) {
      for (const path of ["/healthz", "/one/x"]) {
        const { status, text } = await ask(url, host, path);
        assert.equal(status, 200, `${host} ${path}: ${text}`);
      }
    }
  });

  test(`${RUNTIME}: a gateway ${name} answers to no other, whatever the path`, async () => {
    const { url } = running[name];
    const before = asked;
    for (const host of refused.flatMap((each) => [each, `${each}:${new URL(url).port}`])) {
      for (const path of PATHS) {
        const { status, text } = await ask(url, host, path);
        assert.equal(status, 421, `${host} ${path}: ${text}`);
        assert.match(text, /"type":"error".*"code":"unknown_host"/);
        assert.match(text, /hosts in \[gateway\]/, "says what to do");
      }
    }
    assert.equal(asked, before, "nothing was forwarded");
  });
}

test(`${RUNTIME}: a host that is none is refused`, async () => {
  const { url } = running["on every address"];
  for (const host of ["a@localhost", "localhost/x", "local host", "evil.example#localhost"]) {
    const { status, text } = await ask(url, host, "/stats");
    assert.ok(status >= 400 && status < 500, `${host}: ${text}`);
  }
});
