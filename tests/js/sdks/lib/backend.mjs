// A provider on loopback that goes wrong as the model of a request says, and is the witness of what
// reached it. It speaks OpenAI's chats, Responses and embeddings, Anthropic's messages, and Ollama.
import { setTimeout as sleep } from "node:timers/promises";

import { startBackend } from "../../lib/servers.mjs";
import { turns } from "../../lib/time.mjs";
import { DIALECTS, EMBEDDINGS, PARTS } from "./dialects.mjs";

const PACE = 20;

/**
 * Starts it. The first segment of a path names the run that asks: `/RUN/v1/messages`. `/_runs/RUN`
 * tells how many requests it made of each model, and how many are `open` and were at once.
 */
export async function startProvider() {
  const runs = new Map();
  const runOf = (name) => {
    if (!runs.has(name)) runs.set(name, { models: {}, open: 0, peak: 0 });
    return runs.get(name);
  };
  const server = await startBackend(async (request, response) => {
    // A runtime may repeat by itself what is lost on a connection that it has used before.
    response.shouldKeepAlive = false;
    const [, name, ...rest] = new URL(request.url, "http://provider").pathname.split("/");
    if (name === "_runs") return send(response, 200, runOf(rest[0]));
    const run = runOf(name);
    const call = await read(request, response, `/${rest.join("/")}`);
    if (call === undefined) return send(response, 404, { error: { message: "no such path" } });
    run.models[call.model] = call.turn = (run.models[call.model] ?? 0) + 1;
    await count(run, request, response);
    await (SCENARIOS[call.model] ?? SCENARIOS.fine)(call);
  });
  return { url: server.url, run: (name) => runOf(name), stop: server.stop };
}

/** Counts a request as open until its answer, or its client, has gone. */
async function count(run, request, response) {
  let isOpen = false;
  let isOver = false;
  const over = () => {
    if (isOpen) run.open -= 1;
    isOpen = false;
    isOver = true;
  };
  // A client has gone at its FIN or RST, which node:http passes on only some turns later.
  for (const sign of ["end", "error"]) request.socket.prependListener(sign, over);
  response.on("close", over);
  // A busy provider hears of a start and of the end before it in one turn, in any order.
  await turns();
  if (isOver) return;
  isOpen = true;
  run.open += 1;
  run.peak = Math.max(run.peak, run.open);
}

/** Reads what is asked; nothing for a path that there is not. */
async function read(request, response, path) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const [dialect, embeddings] = [DIALECTS[path], EMBEDDINGS[path]];
  if (request.method !== "POST" || (dialect ?? embeddings) === undefined) return undefined;
  const asked = JSON.parse(Buffer.concat(chunks));
  const streams = asked.stream ?? (path === "/api/chat");
  const tool = asked.tools?.length > 0;
  return { request, response, dialect, embeddings, asked, model: asked.model, streams, tool };
}

function send(response, status, value, headers = {}) {
  const body = typeof value === "string" ? value : JSON.stringify(value);
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(body);
}

/** Sends the headers of a stream, and what of it stands before its text. */
function open({ response, dialect, model }, { silent = false } = {}) {
  response.writeHead(200, { "content-type": dialect.contentType }).flushHeaders();
  if (!silent) for (const text of dialect.opening(model)) response.write(text);
}

/** Sends the first `count` parts of what streams, and the rest of them not. */
async function some({ response, dialect, model, tool }, count = Infinity) {
  const parts = tool ? dialect.tool(model) : PARTS.map((text) => dialect.part(model, text));
  for (const part of parts.slice(0, count)) {
    response.write(part);
    await sleep(PACE);
  }
}

/** Says something again and again, until the client goes. */
async function forever(response, text) {
  while (!response.destroyed) {
    response.write(text);
    await sleep(PACE);
  }
}

async function fine(call) {
  const { response, dialect, embeddings, asked, model, streams, tool } = call;
  if (embeddings !== undefined) return send(response, 200, embeddings(asked));
  if (!streams) return send(response, 200, dialect.whole(model, tool));
  open(call);
  await some(call);
  response.end(dialect.closing(model, tool).join(""));
}

/** Has vectors in base64 alone. */
function coded(call) {
  if (call.asked.encoding_format === "base64") return fine(call);
  return send(call.response, 400, { error: { message: "it has base64 alone" } });
}

const fails = (status) => ({ response, dialect }) =>
  send(response, status, dialect.error(`it says ${status}`));

/** Refuses the first request, with those headers, and no other. */
const limits = (headers) => (call) => {
  if (call.turn > 1) return fine(call);
  const error = call.dialect.error("too many requests");
  return send(call.response, 429, error, typeof headers === "function" ? headers() : headers);
};

const later = (ms) => new Date(Date.now() + ms).toUTCString();

/** What each model does. */
const SCENARIOS = {
  fine,
  base64: coded,
  /** The protocol's end comes, and the end of the body does not. */
  async lingers(call) {
    open(call);
    await some(call);
    call.response.write(call.dialect.closing(call.model, call.tool).join(""));
  },
  async endless(call) {
    open(call);
    await some(call, 1);
    await forever(call.response, call.dialect.part(call.model, PARTS[1]));
  },
  held: (call) => SCENARIOS.endless(call),
  mute: () => undefined,
  silent: (call) => open(call, { silent: true }),
  async pings(call) {
    open(call, { silent: true });
    await forever(call.response, call.dialect.ping);
  },
  async stalls(call) {
    open(call);
    await some(call, 1);
  },
  async truncates(call) {
    open(call);
    await some(call, 2);
    call.response.end();
  },
  async breaks(call) {
    open(call);
    await some(call, 1);
    call.response.end(call.dialect.fault("it broke"));
  },
  async garbles({ response, dialect, model, streams }) {
    if (!streams) return send(response, 200, "{\"choices\": [");
    open({ response, dialect, model });
    response.end(dialect.garbage);
  },
  html: ({ response }) =>
    send(response, 200, "<html>Sign in</html>", { "content-type": "text/html" }),
  drops: ({ request }) => request.socket.resetAndDestroy(),
  /** Ends in the middle of what was announced, or of a stream. */
  async cuts(call) {
    const { request, response, dialect, model, streams } = call;
    if (streams) {
      open(call);
      await some(call, 1);
    } else {
      const text = JSON.stringify(dialect.whole(model, false));
      const headers = { "content-type": "application/json", "content-length": text.length };
      response.writeHead(200, headers).write(text.slice(0, 20));
      await sleep(PACE);
    }
    request.socket.destroy();
  },
  ...Object.fromEntries([400, 401, 404, 500].map((status) => [`fails-${status}`, fails(status)])),
  "limits-seconds": limits({ "retry-after": "1" }),
  "limits-date": limits(() => ({ "retry-after": later(2_000) })),
  "limits-ms": limits({ "retry-after-ms": "300" }),
  "limits-past": limits(() => ({ "retry-after": later(-3_600_000) })),
  "limits-huge": limits({ "retry-after": "2592000" }),
  "limits-malformed": limits({ "retry-after": "soon", "retry-after-ms": "-1e999" }),
};
