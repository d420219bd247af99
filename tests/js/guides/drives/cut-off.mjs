// Clients that reset their connection while they hold a place, and others that come after.
import assert from "node:assert/strict";
import { connect } from "node:net";

import { startBackend } from "../../lib/servers.mjs";
import { sleep } from "../../lib/time.mjs";

export async function start() {
  const backend = await startBackend(async (request, response) => {
    if (request.url !== "/never") return void response.end("answered");
    request.on("error", () => undefined);
    response.on("error", () => undefined);
  });
  const run = async ({ url, say }) => {
    const { hostname, port } = new URL(url);
    const held = Array.from({ length: 4 }, () => connect({ host: hostname, port: Number(port) }));
    for (const socket of held) {
      socket.on("error", () => undefined);
      socket.write(`GET /never HTTP/1.1\r\nhost: ${hostname}\r\n\r\n`);
    }
    await sleep(300);
    for (const socket of held) socket.resetAndDestroy();
    const texts = await Promise.all(
      Array.from({ length: 8 }, () => fetch(`${url}/now`).then((response) => response.text())),
    );
    assert.deepEqual(new Set(texts), new Set(["answered"]), "those who live are served");
    say(`${texts.length} served after 4 were cut off`);
  };
  const env = { BACKEND: backend.url };
  return { env, flags: ["enable_request_signal"], run, stop: () => backend.stop() };
}
