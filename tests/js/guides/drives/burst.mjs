// Sends forty requests at once to what forwards to a backend, four at a time.
import assert from "node:assert/strict";

import { slowBackend } from "../../lib/servers.mjs";

export async function start() {
  const { seen, server } = await slowBackend();
  const run = async ({ url }) => {
    const send = async () => (await fetch(url, { method: "POST", body: "x" })).text();
    const texts = await Promise.all(Array.from({ length: 40 }, send));
    assert.deepEqual(new Set(texts), new Set(["POST answered"]), "each request has its answer");
    assert.equal(seen.peak, 4, "the backend has four requests at a time");
  };
  return { env: { BACKEND: server.url }, run, stop: () => server.stop() };
}
