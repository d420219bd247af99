// Sends forty requests at once to what forwards to a backend, four at a time.
import assert from "node:assert/strict";

import { startBackend } from "../../lib/servers.mjs";
import { sleep } from "../../lib/time.mjs";

export async function start() {
  const seen = { now: 0, peak: 0 };
  const backend = await startBackend(async (request, response) => {
    seen.now += 1;
    seen.peak = Math.max(seen.peak, seen.now);
    response.on("close", () => (seen.now -= 1));
    response.write(`${request.method} `);
    await sleep(20);
    response.end("answered");
  });
  const run = async ({ url }) => {
    const send = () => fetch(url, { method: "POST", body: "x" }).then((response) => response.text());
    const texts = await Promise.all(Array.from({ length: 40 }, send));
    assert.deepEqual(new Set(texts), new Set(["POST answered"]), "each request has its answer");
    assert.equal(seen.peak, 4, "the backend has four requests at a time");
  };
  return { env: { BACKEND: backend.url }, run, stop: () => backend.stop() };
}
