// The backend of workerd's cases, which counts for itself what reaches it.
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { turns } from "../../lib/time.mjs";

/**
 * Serves, below a first segment that names who asks, `/plain`, `/stream?chunks=&ms=` and
 * `/silent` (headers, and then nothing); `?headersMs=` keeps headers back. `seen(name)` has what
 * one asker has open now, had at most, and was served; its `heard` is called with each `?id=`.
 */
export async function startOrigin() {
  const counts = new Map();
  const seen = (name) => {
    if (!counts.has(name)) counts.set(name, { now: 0, peak: 0, served: 0, heard: undefined });
    return counts.get(name);
  };
  const server = createServer(async (request, response) => {
    const [, name, path] = request.url.split("/");
    await serve(new URL(`http://origin/${path}`), seen(name), response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return { seen, address: `http://127.0.0.1:${server.address().port}`, stop };
}

async function serve(url, count, response) {
  let counted = false;
  response.on("close", () => {
    count.now -= Number(counted);
  });
  // A busy origin hears of a start and of the end before it in one turn, in any order.
  await turns();
  if (response.destroyed) return;
  counted = true;
  count.now += 1;
  count.peak = Math.max(count.peak, count.now);
  count.heard?.(Number(url.searchParams.get("id")));
  if (url.pathname === "/silent") {
    response.writeHead(200).flushHeaders();
    return;
  }
  if (url.searchParams.has("headersMs")) await sleep(Number(url.searchParams.get("headersMs")));
  if (url.pathname === "/stream") await stream(url, response);
  count.served += 1;
  response.end("plain");
}

async function stream(url, response) {
  const chunks = Number(url.searchParams.get("chunks"));
  const ms = Number(url.searchParams.get("ms"));
  for (let i = 0; i < chunks && !response.destroyed; i += 1) {
    response.write(`chunk ${i}\n`);
    await sleep(ms);
  }
}
