// Keys reach the provider, and nothing else.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { chat, send } from "../lib/client.mjs";
import { ROOT, RUNTIME } from "../lib/process.mjs";
import { startBackend, startGateway } from "../lib/servers.mjs";

const SECRETS = {
  environment: "sk-edgepool-test-environment-7391",
  file: "sk-edgepool-test-file-5527",
  named: "sk-edgepool-test-named-8104",
  claude: "sk-edgepool-test-claude-2266",
  header: "tenant-edgepool-test-header-6618",
};
const received = [];
let backend, gateway;

before(async () => {
  backend = await startBackend((request, response) => {
    received.push(request.headers);
    if (request.url === "/cut") return request.socket.destroy();
    const { "x-api-key": key, authorization, "x-tenant": tenant } = request.headers;
    // As some providers do, it repeats the key that it does not like.
    const message = `wrong: ${key ?? authorization}, ${tenant}`;
    if (request.url === "/repeats") {
      return response.writeHead(500, { "content-type": "application/json" })
        .end(JSON.stringify({ error: { message } }));
    }
    response.end("fine");
  });
  const { url } = backend;
  gateway = await startGateway(
    {
      providers: {
        "by-env": { kind: "openai", url, max: 1, max_waiting: 0 },
        "by-file": { kind: "http", url, max: 1, key: SECRETS.file },
        "by-name": { kind: "openai", url, max: 1, key_env: "MY_OWN_KEY" },
        claude: {
          kind: "anthropic", url, max: 1, retry: { retries: 0 },
          headers: { "x-tenant": SECRETS.header },
        },
        twice: {
          kind: "openai", endpoints: [url, "http://127.0.0.1:1"], key_env: "MY_OWN_KEY",
          retry: { base_ms: 5 },
        },
        tenant: { kind: "http", url, max: 1, headers: { "x-tenant": SECRETS.header } },
        open: { kind: "http", url, max: 1 },
        gone: { kind: "openai", url: "http://127.0.0.1:1", max: 1, key: SECRETS.file },
      },
    },
    {
      env: {
        EDGEPOOL_KEY_BY_ENV: SECRETS.environment,
        MY_OWN_KEY: SECRETS.named,
        EDGEPOOL_KEY_CLAUDE: SECRETS.claude,
      },
    },
  );
});
after(async () => {
  await gateway?.stop();
  await backend?.stop();
});

function assertClean(what, text) {
  for (const [name, secret] of Object.entries(SECRETS)) {
    assert.ok(!text.includes(secret), `the key by ${name} is in ${what}`);
  }
}

test(`${RUNTIME}: each provider gets its own key`, async () => {
  for (const name of ["by-env", "by-file", "by-name", "claude"]) {
    assert.equal((await send(`${gateway.url}/${name}/x`)).status, 200);
  }
  const got = received.map((headers) => headers["x-api-key"] ?? headers.authorization);
  const { environment, file, named, claude, header } = SECRETS;
  assert.deepEqual(got, [`Bearer ${environment}`, `Bearer ${file}`, `Bearer ${named}`, claude]);
  assert.equal(received.at(-1)["x-tenant"], header);
});

test(`${RUNTIME}: a page of another site spends neither a key nor a header`, async () => {
  const headers = { "sec-fetch-site": "cross-site" };
  for (const [name, status] of [["by-file", 403], ["tenant", 403], ["open", 200]]) {
    const before = received.length;
    const answer = await send(`${gateway.url}/${name}/x`, { headers });
    assert.equal(answer.status, status, name);
    assert.equal(received.length - before, status === 200 ? 1 : 0, name);
  }
  assert.equal((await send(`${gateway.url}/tenant/x`)).status, 200, "a program may");
});

test(`${RUNTIME}: a key that a provider repeats is in no statistic`, async () => {
  for (const path of ["/claude/repeats", "/twice/repeats", "/twice/cut", "/twice/x"]) {
    const { rawHeaders } = await send(`${gateway.url}${path}`);
    assertClean(`the headers of ${path}`, `${rawHeaders}`);
  }
  const { providers } = await gateway.stats();
  const errors = ["claude", "twice"].flatMap((name) => providers[name].service.endpoints)
    .map(({ last_error: error }) => error);
  assert.match(errors.join(" "), /wrong: .*redacted/);
  for (const path of ["/", "/stats", "/stats/history", "/metrics"]) {
    assertClean(path, await (await fetch(`${gateway.url}${path}`)).text());
  }
});

test(`${RUNTIME}: no key is in a page, a statistic, an answer or an error`, async () => {
  const paths = ["/", "/stats", "/stats/history", "/metrics", "/healthz", "/by-env/x", "/gone/x"];
  const cut = ["by-env", "by-file", "claude", "twice"].map((name) => `/${name}/cut`);
  for (const path of [...paths, ...cut, "/nobody/x"]) {
    const { status, rawHeaders, body } = await send(`${gateway.url}${path}`);
    assertClean(path, `${status} ${rawHeaders} ${body}`);
  }
  const page = (await send(`${gateway.url}/`)).body.toString();
  for (const [, path] of page.matchAll(/(?:src|href)="([^"]+)"/g)) {
    const asset = new URL(path, gateway.url);
    assert.equal(asset.origin, gateway.url, "the page needs nothing but the gateway");
    assertClean(path, (await send(asset)).body.toString("latin1"));
  }
  assertClean("a refusal", await (await chat(`${gateway.url}/gone`)).text());
});

test(`${RUNTIME}: no key is in what the processes print or on their command lines`, () => {
  assertClean("the output", gateway.child.output);
  const all = gateway.child.left();
  assert.ok(all.length >= 2, "the command and the runtime are running");
  for (const { pid, cmdline } of all) assertClean(`the command line of ${pid}`, cmdline);
});

test(`${RUNTIME}: no key is in a file that was made for the gateway`, () => {
  let read = 0;
  const look = (path) => {
    let text;
    try {
      text = readFileSync(path, "latin1");
    } catch (error) {
      // It was another gateway's, which has ended meanwhile.
      if (error.code === "ENOENT") return;
      throw error;
    }
    read += 1;
    assertClean(path, text);
  };
  const walk = (folder) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (entry.isFile()) look(path);
    }
  };
  for (const folder of ["target/www", "target/npm"]) walk(join(ROOT, folder));
  assert.ok(read > 3, "there were files to read");
});
