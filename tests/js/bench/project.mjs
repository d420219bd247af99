// Makes the project that is measured: the package and its peers as a user would have them.

import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { nodeBuiltins } from "../lib/node-builtins.mjs";

const here = dirname(fileURLToPath(import.meta.url));
export const ROOT = resolve(here, "../../..");
const { build } = createRequire(join(ROOT, "www/package.json"))("esbuild");

/** Puts the package, its peers and the programs into a folder. */
export function makeProject(project) {
  rmSync(project, { recursive: true, force: true });
  mkdirSync(project, { recursive: true });
  for (const name of ["node_modules", "contenders", "load"]) {
    cpSync(join(here, name), join(project, name), { recursive: true });
  }
  for (const name of ["cases.mjs", "fair.mjs", "measure.mjs", "main.mjs", "worker.mjs"]) {
    cpSync(join(here, name), join(project, name));
  }
  const { devDependencies } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
  const dependencies = { ...devDependencies, edgepool: "*" };
  const manifest = { private: true, type: "module", dependencies };
  writeFileSync(join(project, "package.json"), JSON.stringify(manifest));
  const edgepool = process.env.EDGEPOOL_PACKAGE ?? join(ROOT, "target/npm/package");
  cpSync(edgepool, join(project, "node_modules/edgepool"), { recursive: true });
}

/** Reads the version of a package in the lock file of the peers. */
export function lockedVersion(name) {
  const { packages } = JSON.parse(readFileSync(join(here, "package-lock.json"), "utf8"));
  return packages[`node_modules/${name}`].version;
}

/** Bundles a Worker that measures one contender; gives the names of its modules, the main first. */
export async function bundleWorker(project, module) {
  const outdir = join(project, `worker-${module}`);
  const files = await Promise.all([
    bundle(project, "worker.mjs", join(outdir, "worker.js")),
    bundle(project, `contenders/${module}.mjs`, join(outdir, "contender.js")),
  ]);
  return files.flat().map((path) => basename(path));
}

/** Bundles one file of the project for workerd; gives the names of the modules, the main first. */
export async function bundle(project, entry, outfile) {
  const { metafile } = await build({
    absWorkingDir: project,
    entryPoints: [entry],
    outfile,
    bundle: true,
    format: "esm",
    target: "es2022",
    conditions: ["workerd", "worker"],
    external: ["node:*", "contender.js"],
    loader: { ".wasm": "copy" },
    assetNames: "[name]",
    plugins: [nodeBuiltins],
    metafile: true,
    logLevel: "error",
  });
  return Object.keys(metafile.outputs);
}

/** Weighs what a Worker ships that uses the pool alone, compressed. */
export async function weigh(project) {
  const stdin = { contents: 'export { Pool } from "edgepool";', resolveDir: project };
  const { outputFiles } = await build({
    stdin, outdir: join(project, "weighed"), bundle: true, minify: true, write: false,
    format: "esm", conditions: ["workerd", "worker"], loader: { ".wasm": "copy" },
  });
  const weights = outputFiles.map(({ path, contents }) => ({
    isWasm: path.endsWith(".wasm"),
    bytes: gzipSync(contents, { level: 9 }).length,
  }));
  const sum = (some) => some.reduce((total, { bytes }) => total + bytes, 0);
  return { wasm: sum(weights.filter(({ isWasm }) => isWasm)), all: sum(weights) };
}
