// Sends more than can be served or may wait, and looks at the refusals.
import assert from "node:assert/strict";

import { startBackend } from "../../lib/servers.mjs";
import { sleep } from "../../lib/time.mjs";

export async function start() {
  const backend = await startBackend(async (_request, response) => {
    await sleep(300);
    response.end("answered");
  });
  const run = async ({ url, say }) => {
    const send = async () => {
      const response = await fetch(url);
      await response.text();
      return `${response.status} retry-after ${response.headers.get("retry-after") ?? "-"}`;
    };
    const answers = await Promise.all(Array.from({ length: 12 }, send));
    const counts = new Map();
    for (const answer of answers) counts.set(answer, (counts.get(answer) ?? 0) + 1);
    assert.ok(counts.has("200 retry-after -"), "some are served");
    for (const answer of [...counts.keys()].sort()) say(answer);
  };
  return { env: { BACKEND: backend.url }, run, stop: () => backend.stop() };
}
