// A provider whose ways a test sets: what it answers, and whether it is there at all.

import { createServer } from "node:http";

import { sleep } from "./time.mjs";

const PIECES = ["One", " pool", " for", " all."];
const USAGE = { prompt_tokens: 7, completion_tokens: 4, total_tokens: 11 };

function chunk(more) {
  return `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", ...more })}\n\n`;
}

/** Streams a chat as providers of OpenAI's kind do, with its usage at the end. */
async function answer(response, { first, pause }) {
  response.writeHead(200, { "content-type": "text/event-stream" });
  if (first > 0) await sleep(first);
  for (const content of PIECES) {
    response.write(chunk({ choices: [{ index: 0, delta: { content } }] }));
    if (pause > 0) await sleep(pause);
  }
  response.write(chunk({ choices: [], usage: USAGE }));
  response.end("data: [DONE]\n\n");
}

/** How many pieces an answer has. */
export const COUNT = PIECES.length;

/** Starts one on a port of its own, which it keeps when it dies and comes back. */
export async function startFaultServer() {
  /**
   * What it answers in place of a chat, such as `{ status: 429, headers: {} }`; and how many ms pass
   * before the first piece of a chat, and after each.
   */
  const set = { refusal: undefined, first: 0, pause: 0 };
  const seen = { served: 0, keys: new Set(), models: new Set() };
  const sockets = new Set();
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const piece of request) text += piece;
    seen.served += 1;
    if (text !== "") seen.models.add(JSON.parse(text).model);
    seen.keys.add(request.headers.authorization ?? request.headers["x-api-key"]);
    const { refusal } = set;
    if (refusal === undefined) return answer(response, set);
    response.writeHead(refusal.status, { "content-type": "application/json", ...refusal.headers });
    // As some do, it repeats the key that it does not like.
    const message = `no: ${[...seen.keys].at(-1)}`;
    response.end(JSON.stringify({ error: { message, type: "refused", code: null } }));
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
  });
  const listen = (port) => new Promise((done, fail) => {
    server.once("error", fail).listen(port, "127.0.0.1", done);
  });
  await listen(0);
  const { port } = server.address();
  const die = async () => {
    const closed = new Promise((done) => server.close(done));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return {
    url: `http://127.0.0.1:${port}/v1`, port, set, seen, die,
    comeBack: () => listen(port),
    stop: () => (server.listening ? die() : undefined),
  };
}
