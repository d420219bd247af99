// A snippet that is a Worker: bundled as a user would, and run in workerd.
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";

import { freePort } from "../../lib/ports.mjs";
import { Child, ROOT } from "../../lib/process.mjs";
import { driven, program } from "./run.mjs";

const DATE = "2026-11-01";
const { build } = createRequire(join(ROOT, "www/package.json"))("esbuild");

/** Runs a drive against a Worker; gives the lines that it said. */
export async function runWorker(folder, name, drive) {
  const place = join(folder, `${name}-worker`);
  mkdirSync(place);
  const modules = await bundle(folder, name, place);
  const port = await freePort();
  const { env, run, stop, objects = {}, flags = [] } = await drive.start();
  writeFileSync(join(place, "config.capnp"), config({ modules, port, env, objects, flags }));
  const args = ["serve", "--experimental", join(place, "config.capnp")];
  const child = new Child(program("workerd"), args, { cwd: place });
  return driven(child, `http://127.0.0.1:${port}`, run, stop);
}

async function bundle(folder, name, place) {
  const { outputFiles } = await build({
    absWorkingDir: folder,
    entryPoints: [`${name}.ts`],
    outdir: place,
    bundle: true,
    write: false,
    format: "esm",
    target: "es2022",
    conditions: ["workerd", "worker"],
    external: ["node:*", "cloudflare:*"],
    loader: { ".wasm": "copy" },
    logLevel: "error",
  });
  const names = outputFiles.map(({ path, contents }) => {
    writeFileSync(join(place, basename(path)), contents);
    return basename(path);
  });
  // The main module comes first.
  return names.sort((a, b) => Number(a.endsWith(".wasm")) - Number(b.endsWith(".wasm")));
}

function config({ modules, port, env, objects, flags }) {
  const list = (items) => items.join(", ");
  const kind = (name) => (name.endsWith(".wasm") ? "wasm" : "esModule");
  const classes = Object.entries(objects);
  const bindings = [
    ...Object.entries(env).map(([name, text]) => `(name = "${name}", text = "${text}")`),
    ...classes.map(([name, type]) => `(name = "${name}", durableObjectNamespace = "${type}")`),
  ];
  const namespaces = classes.map(([, type]) => `(className = "${type}", uniqueKey = "${type}")`);
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [${list(modules.map((m) => `(name = "${m}", ${kind(m)} = embed "${m}")`))}],
      compatibilityDate = "${DATE}",
      compatibilityFlags = [${list(flags.map((flag) => `"${flag}"`))}],
      bindings = [${list(bindings)}],
      durableObjectNamespaces = [${list(namespaces)}],
      durableObjectStorage = (inMemory = void),
    )),
    (name = "internet", network = (allow = ["private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
`;
}
