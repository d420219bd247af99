// The backend of workerd's cases, which counts for itself what reaches it.
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { turns } from "../../lib/time.mjs";

/** Serves `/plain`, `/stream?chunks=&ms=` and `/silent` (headers, and then nothing). */
export async function startOrigin() {
  const seen = { now: 0, peak: 0, served: 0 };
  const server = createServer(async (request, response) => {
    let counted = false;
    response.on("close", () => {
      seen.now -= Number(counted);
    });
    // A busy origin hears of a start and of the end before it in one turn, in any order.
    await turns();
    if (response.destroyed) return;
    counted = true;
    seen.now += 1;
    seen.peak = Math.max(seen.peak, seen.now);
    const url = new URL(request.url, "http://origin");
    if (url.pathname === "/silent") {
      response.writeHead(200).flushHeaders();
      return;
    }
    if (url.pathname === "/stream") await stream(url, response);
    seen.served += 1;
    response.end("plain");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return { seen, address: `http://127.0.0.1:${server.address().port}`, stop };
}

async function stream(url, response) {
  const chunks = Number(url.searchParams.get("chunks"));
  const ms = Number(url.searchParams.get("ms"));
  for (let i = 0; i < chunks && !response.destroyed; i += 1) {
    response.write(`chunk ${i}\n`);
    await sleep(ms);
  }
}
