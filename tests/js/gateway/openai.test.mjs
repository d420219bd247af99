// The official `openai` client, as it comes, in Node and in Deno: only its base URL is ours.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { CHAT, RawRequest } from "../lib/client.mjs";
import { Child, ROOT, RUNTIME } from "../lib/process.mjs";
import { startGateway, startSimulator } from "../lib/servers.mjs";
import { within } from "../lib/time.mjs";

const SCRIPT = fileURLToPath(new URL("../lib/openai-client.mjs", import.meta.url));
const DENO = process.env.EDGEPOOL_DENO ?? `${ROOT}www/node_modules/.bin/deno`;
const HOSTS = {
  node: [process.execPath, []],
  deno: [DENO, ["run", "-A", "--no-lock", "--node-modules-dir=manual"]],
};
let simulator, gateway;

before(async () => {
  const pace = { "latency-ms": 5, "first-token-ms": 5, "chunk-ms": 5, chunks: 6 };
  simulator = await startSimulator({ max: 8, ...pace });
  const provider = { kind: "openai", url: `${simulator.url}/v1` };
  gateway = await startGateway({
    providers: { plain: { ...provider, max: 4 }, full: { ...provider, max: 1, max_waiting: 0 } },
  });
});
after(async () => {
  await gateway?.stop();
  await simulator?.stop();
});

async function play(host, scene, provider = "plain") {
  const [command, options] = HOSTS[host];
  const args = [...options, SCRIPT, `${gateway.url}/${provider}/v1`, scene];
  const child = new Child(command, args, { cwd: `${ROOT}tests/js` });
  const code = await within(30_000, `${scene} in ${host}`, child.ended);
  assert.equal(code, 0, child.output);
  return JSON.parse(child.stdout);
}

function sceneTests(host) {
  const name = (what) => `${RUNTIME}: the openai client in ${host}: ${what}`;

  test(name("chat and its stream say the same"), async () => {
    const { content, usage, wait } = await play(host, "chat");
    assert.match(content, /this text is simulated/);
    assert.match(wait, /^\d+$/);
    const streamed = await play(host, "stream");
    assert.deepEqual(streamed, { content, usage, finish: "stop" });
  });

  test(name("embeddings arrive as they were sent, in base64 by default"), async () => {
    const { coded, plain } = await play(host, "embeddings");
    assert.equal(coded.length, 3);
    for (const [i, vector] of coded.entries()) {
      assert.equal(vector.length, 256);
      vector.forEach((x, j) => assert.ok(Math.abs(x - plain[i][j]) < 1e-6));
    }
  });

  test(name("models are listed"), async () => {
    assert.deepEqual(await play(host, "models"), { ids: ["simulator"] });
  });

  test(name("an abort in the middle of a stream gives the place back"), async (t) => {
    await simulator.reset();
    assert.equal((await play(host, "abort")).chunks, 5);
    const { took } = await gateway.rest("plain", 5_000);
    t.diagnostic(`place back ${took} ms after the client ended`);
    assert.equal((await simulator.rest()).cancelled, 1);
  });

  test(name("a refusal by the pool costs one call, not three"), async (t) => {
    const headers = { "x-sim-fault": "never-ends" };
    const holder = new RawRequest(`${gateway.url}/full${CHAT}`, { headers });
    await holder.until(({ events }) => events > 0);
    const before = { pool: await gateway.stats("full"), backend: await simulator.stats() };
    const { took, ...error } = await play(host, "refused", "full");
    assert.deepEqual(error, {
      name: "RateLimitError",
      status: 429,
      code: "queue_full",
      type: "edgepool_error",
    });
    const after = { pool: await gateway.stats("full"), backend: await simulator.stats() };
    holder.reset();
    assert.equal(after.pool.refused - before.pool.refused, 1);
    assert.equal(after.pool.started - before.pool.started, 1);
    assert.equal(after.backend.served - before.backend.served, 0);
    assert.equal(after.backend.refused, 0);
    t.diagnostic(`refused in ${took} ms`);
    await gateway.rest("full", 5_000);
  });
}

for (const host of Object.keys(HOSTS)) sceneTests(host);
