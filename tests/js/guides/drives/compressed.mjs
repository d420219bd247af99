// Asks once what passes a compressed answer of a backend on, and says how it comes.
import { once } from "node:events";
import { createServer } from "node:http";
import { gzipSync } from "node:zlib";

export async function start() {
  const backend = createServer((_request, response) => {
    const body = gzipSync(Array(3).fill("a long answer").join(", "));
    response.writeHead(200, { "content-encoding": "gzip", "content-length": body.length });
    response.end(body);
  });
  backend.listen(0, "127.0.0.1");
  await once(backend, "listening");
  const run = async ({ url, say }) => {
    const response = await fetch(`${url}/`);
    const coding = response.headers.get("content-encoding") ?? "unencoded";
    say(`${response.status} ${coding}: ${await response.text()}`);
  };
  const stop = () => {
    backend.close();
    backend.closeAllConnections();
  };
  return { env: { BACKEND: `http://127.0.0.1:${backend.address().port}/` }, run, stop };
}
