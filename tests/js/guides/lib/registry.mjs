// A registry of one package, so that `npm install edgepool` and its like run as they are written.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { basename } from "node:path";

/** Serves the packed package on loopback. */
export async function startRegistry(tarball, manifest) {
  const bytes = readFileSync(tarball);
  const integrity = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
  const file = basename(tarball);
  const server = createServer((request, response) => {
    const path = new URL(request.url, "http://registry").pathname;
    if (path === `/edgepool/-/${file}`) return void response.end(bytes);
    if (path !== "/edgepool") return void response.writeHead(404).end("{}");
    const { version } = manifest;
    const dist = { tarball: `${address}/edgepool/-/${file}`, integrity };
    const versions = { [version]: { ...manifest, dist } };
    const time = { [version]: "2026-01-01T00:00:00.000Z" };
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ name: "edgepool", "dist-tags": { latest: version }, versions, time }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  const address = `http://127.0.0.1:${server.address().port}`;
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return { address, stop };
}
