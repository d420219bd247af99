// A backend that streams a few events to each request, and counts how many it serves at once.

import { startBackend } from "./servers.mjs";
import { sleep, turns } from "./time.mjs";

/** How an answer comes: its headers, and then `chunks` events. */
export const PACE = { headersMs: 20, chunks: 8, chunkMs: 4 };

const ENDS = ["end", "error"];

/**
 * Starts it. `seen` has what it counts: `inFlight`, `peak`, `whole` (answers that came to their
 * end) and `left` (those whose client went away). A request is known by its `x-test-id`.
 */
export async function startEventOrigin({ headersMs, chunks, chunkMs } = PACE) {
  const seen = { inFlight: 0, peak: 0, whole: 0, left: 0 };
  const arrivals = new Map();

  /** Tells of the arrival of a request: `seen` resolves at it, `done` says whether it was. */
  function arrival(id) {
    if (!arrivals.has(id)) {
      const { promise, resolve } = withResolvers();
      const entry = { seen: promise, done: false };
      entry.arrive = () => {
        entry.done = true;
        resolve();
      };
      arrivals.set(id, entry);
    }
    return arrivals.get(id);
  }

  async function serve(request, response) {
    let open = true;
    let counted = false;
    const over = () => {
      open = false;
      seen.inFlight -= Number(counted);
      counted = false;
    };
    // The gateway has gone at its FIN or RST, which node:http passes on only some turns later.
    for (const sign of ENDS) request.socket.prependListener(sign, over);
    response.on("close", () => {
      over();
      for (const sign of ENDS) request.socket.off(sign, over);
      seen[response.writableFinished ? "whole" : "left"] += 1;
    });
    request.resume();
    arrival(request.headers["x-test-id"]).arrive();
    // A busy origin hears of a start and of the end before it in one turn, in any order.
    await turns();
    if (!open) return;
    counted = true;
    seen.inFlight += 1;
    seen.peak = Math.max(seen.peak, seen.inFlight);
    await sleep(headersMs);
    if (!open) return;
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (let i = 0; i < chunks && open; i += 1) {
      response.write(`data: {"part":${i}}\n\n`);
      await sleep(chunkMs);
    }
    if (!open) return;
    over();
    response.end("data: [DONE]\n\n");
  }

  const { url, stop } = await startBackend(serve);
  const clear = () => Object.assign(seen, { peak: 0, whole: 0, left: 0 });
  return { url, seen, arrival, clear, stop };
}

function withResolvers() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}
