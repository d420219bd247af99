// What the package weighs, as it is shipped, and how much it may.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

/** The most that each may weigh compressed, in bytes. A Worker is meant to come down to 32,000. */
const LIMITS = {
  module: 16_400, worker: 34_550, tenants: 23_700, shared: 43_750, clients: 143_000,
};

/** Weighs the package that is installed in a project: `{ what, raw, gzip, limit }` of each part. */
export async function weigh(project, esbuild) {
  const file = (name) => weight(readFileSync(join(project, "node_modules/edgepool/dist", name)));
  const [wasm, tenants, protocols] = ["edgepool", "tenants", "clients"]
    .map((name) => file(`${name}.wasm`));
  const pool = await bundled(project, esbuild, 'export { Pool } from "edgepool";');
  const shared = await bundled(project, esbuild, 'export { SharedPool } from "edgepool/tenants";');
  const code = 'export { ClientPool } from "edgepool/clients";';
  const clients = await bundled(project, esbuild, code);
  const [worker, withTenants] = [[wasm, pool], [tenants, shared]]
    .map(([a, b]) => ({ raw: a.raw + b.raw, gzip: a.gzip + b.gzip }));
  return [
    { what: "the .wasm", ...wasm, limit: LIMITS.module },
    { what: "JS of a Worker with Pool", ...pool },
    { what: "that Worker with the .wasm", ...worker, limit: LIMITS.worker },
    { what: "the .wasm with tenants", ...tenants, limit: LIMITS.tenants },
    { what: "a Worker with SharedPool, and that", ...withTenants, limit: LIMITS.shared },
    { what: "JS of a Worker with ClientPool", ...clients },
    { what: "the clients' own .wasm", ...protocols, limit: LIMITS.clients },
  ];
}

function weight(bytes) {
  return { raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length };
}

/** Weighs what a Worker ships of some code, beside the module. */
async function bundled(project, esbuild, code) {
  writeFileSync(join(project, "entry.js"), code);
  const { outputFiles } = await esbuild.build({
    entryPoints: [join(project, "entry.js")],
    outdir: project,
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    conditions: ["workerd"],
    loader: { ".wasm": "copy" },
  });
  return weight(outputFiles.find(({ path }) => path.endsWith("entry.js")).contents);
}
