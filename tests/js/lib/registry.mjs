// A package registry on loopback that has one package: the tarball under test. So a user's own
// commands install it by its name, as they would from the real one.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { gunzipSync } from "node:zlib";

/** Starts it. npm, Deno and Bun read its address from `env`. */
export async function startRegistry(tarball) {
  const bytes = readFileSync(tarball);
  const manifest = JSON.parse(readEntry(gunzipSync(bytes), "package/package.json"));
  const file = `/${manifest.name}/-/${manifest.name}-${manifest.version}.tgz`;
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://registry").pathname);
    if (path === file) {
      response.end(bytes);
    } else if (path === `/${manifest.name}`) {
      response.setHeader("content-type", "application/json");
      const address = `http://${request.headers.host}${file}`;
      response.end(JSON.stringify(describe(manifest, bytes, address)));
    } else {
      response.writeHead(404).end("{}");
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}/`;
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url, env: { npm_config_registry: url, NPM_CONFIG_REGISTRY: url }, manifest, stop };
}

/** Describes the package as a registry does: published long ago, as clients look at the age. */
function describe(manifest, bytes, tarball) {
  const { name, version } = manifest;
  const hash = (algorithm, form) => createHash(algorithm).update(bytes).digest(form);
  const dist = {
    tarball, integrity: `sha512-${hash("sha512", "base64")}`, shasum: hash("sha1", "hex"),
  };
  const published = "2020-01-01T00:00:00.000Z";
  return {
    name,
    "dist-tags": { latest: version },
    versions: { [version]: { ...manifest, dist } },
    time: { created: published, modified: published, [version]: published },
  };
}

/** Reads a file out of a tar: blocks of 512 bytes, of which the first of a file is its header. */
function readEntry(tar, wanted) {
  for (let at = 0; at < tar.length; ) {
    const field = (from, length) => tar.toString("latin1", at + from, at + from + length);
    const name = field(0, 100).split("\0")[0];
    const size = Number.parseInt(field(124, 12), 8) || 0;
    if (name === wanted) return tar.toString("utf8", at + 512, at + 512 + size);
    at += 512 + Math.ceil(size / 512) * 512;
  }
  throw new Error(`the tarball has no ${wanted}`);
}
