// An example of the npm package, installed as a user would and bundled, in workerd.

import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

import { nodeBuiltins } from "./node-builtins.mjs";
import { Child, ROOT } from "./process.mjs";

const tarball = process.env.EDGEPOOL_TARBALL;
const workerd = process.env.EDGEPOOL_WORKERD;
const www = join(ROOT, "www");
const { build } = createRequire(join(www, "package.json"))("esbuild");

/**
 * Puts the example of this name into a project of its own, with the package from its tarball, and
 * beside it packages out of another folder, by their names.
 */
export function install(name, { from, packages = [] } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "edgepool-example-"));
  cpSync(join(ROOT, "crates/edgepool-wasm/ts/examples", name), folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  execFileSync("npm", ["install", "--no-audit", "--no-fund", "--offline", tarball], {
    cwd: folder,
  });
  for (const name of packages) {
    symlinkSync(join(from, "node_modules", name), join(folder, "node_modules", name));
  }
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Checks the types, with those of Workers and without those of a browser. */
export function checkTypes(folder, more = {}) {
  const types = "node_modules/@cloudflare/workers-types";
  symlinkSync(join(ROOT, "tests/js", types), join(folder, "workers-types"));
  const compilerOptions = {
    target: "es2024", lib: ["es2024"], module: "esnext", moduleResolution: "bundler",
    types: ["./workers-types"], strict: true, noEmit: true, ...more,
  };
  const config = { compilerOptions, files: ["worker.ts"] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  execFileSync(join(www, "node_modules/.bin/tsc"), ["--project", folder], { encoding: "utf8" });
}

/** Writes another time in place of one that a file of the example has. */
export function hasten(folder, file, from, to) {
  const path = join(folder, file);
  const source = readFileSync(path, "utf8");
  if (!source.includes(from)) throw new Error(`${file} of the example does not say ${from}`);
  writeFileSync(path, source.replace(from, to));
}

/** Runs it in workerd, with the variables that its settings would name. */
export async function start(folder, vars) {
  const { metafile } = await build({
    entryPoints: [join(folder, "worker.ts")],
    outfile: join(folder, "worker.js"),
    bundle: true,
    format: "esm",
    target: "es2022",
    conditions: ["workerd"],
    external: ["cloudflare:*", "node:*"],
    plugins: [nodeBuiltins],
    loader: { ".wasm": "copy" },
    assetNames: "[name]",
    metafile: true,
    logLevel: "error",
  });
  const files = Object.keys(metafile.outputs).map((path) => basename(path));
  const wasm = files.filter((name) => name.endsWith(".wasm"));
  writeFileSync(join(folder, "config.capnp"), config(vars, wasm));
  const child = new Child(workerd, ["serve", "--control-fd=1", "config.capnp"], { cwd: folder });
  const [, port] = await child.line(/"port":(\d+)/, 20_000);
  return { url: `http://127.0.0.1:${port}`, child, stop: () => child.stop("SIGKILL") };
}

function config(vars, wasm) {
  const modules = wasm.map((name) => `(name = "${name}", wasm = embed "${name}"),`);
  const bindings = Object.entries(vars).map(([name, text]) =>
    `(name = "${name}", text = ${JSON.stringify(text)}),`);
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "internet", network = (allow = ["private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const main :Workerd.Worker = (
  modules = [
    (name = "worker.js", esModule = embed "worker.js"),
    ${modules.join("\n    ")}
  ],
  bindings = [
    (name = "CONNECTIONS", durableObjectNamespace = "Connections"),
    ${bindings.join("\n    ")}
  ],
  durableObjectNamespaces = [(className = "Connections", uniqueKey = "connections")],
  durableObjectStorage = (inMemory = void),
  compatibilityDate = "2026-11-01",
  compatibilityFlags = ["enable_request_signal"],
);
`;
}
