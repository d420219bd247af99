// The backend of workerd's cases, which counts for itself what reaches it.
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * Serves, below a first segment that names who asks, `/plain`, `/stream?chunks=&ms=` and
 * `/silent` (headers, and then nothing); `?headersMs=` keeps headers back. `seen(name)` has what
 * one asker has open now, had at most, and was served; its `heard` is called with each `?id=`.
 * Who asks for a WebSocket gets one, on which the word `hello` comes and nothing else.
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
  server.on("upgrade", greet);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return { seen, address: `http://127.0.0.1:${server.address().port}`, stop };
}

/** What RFC 6455 has a server add to the key of a client. */
const SALT = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

function greet({ headers }, socket) {
  const key = headers["sec-websocket-key"] + SALT;
  const accept = createHash("sha1").update(key).digest("base64");
  const lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"];
  socket.on("error", () => undefined);
  socket.write(`${[...lines, `Sec-WebSocket-Accept: ${accept}`].join("\r\n")}\r\n\r\n`);
  // One frame of text, of five bytes.
  socket.write("\x81\x05hello", "latin1");
}

async function serve(url, count, response) {
  let counted = false;
  response.on("close", () => {
    count.now -= Number(counted);
  });
  // A busy runtime lets go of one socket a moment after it has taken the next: what lasts no longer
  // is not served at once with it.
  await sleep(5);
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
