// Prints what the package weighs, and how long its module takes to start in each runtime:
//   node tests/js/sizes.mjs        (after `cargo xtask build`)
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { weigh } from "./lib/weights.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const www = createRequire(join(root, "www/package.json"));
const { build } = www("esbuild");
const ROUNDS = 7;

/** Times the first pool of a process, and a bare instance of a module that is compiled already. */
const PROBE = `
const start = performance.now();
const pool = new Pool({ create: () => 1 });
const first = performance.now() - start;
if (pool.stats().max !== 20) throw new Error("there is no pool");
const module = new WebAssembly.Module(bytes);
const imports = {};
for (const { module: from, name } of WebAssembly.Module.imports(module)) {
  (imports[from] ??= {})[name] = () => undefined;
}
const bare = performance.now();
for (let i = 0; i < 200; i += 1) new WebAssembly.Instance(module, imports);
const result = first.toFixed(2) + " " + ((performance.now() - bare) / 200).toFixed(3);
`;

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
const kb = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
const row = (...cells) => console.log(cells.map((cell, i) => String(cell).padEnd(i ? 12 : 34)).join(" "));

function folderSize(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
}

async function printSizes(project, tarball) {
  row("what", "raw", "gzip", "at most");
  for (const { what, raw, gzip, limit } of await weigh(project, { build })) {
    row(what, kb(raw), kb(gzip), limit ? kb(limit) : "");
  }
  row("the package", kb(folderSize(join(project, "node_modules/edgepool"))), kb(statSync(tarball).size));
}

async function printTimes(project) {
  const head = 'import { Pool } from "edgepool"; import { readFileSync } from "node:fs";\n'
    + 'const bytes = readFileSync("node_modules/edgepool/dist/edgepool.wasm");\n';
  writeFileSync(join(project, "probe.mjs"), `${head}${PROBE}console.log(result);`);
  console.log();
  row(`median of ${ROUNDS} processes`, "first pool", "bare instance");
  for (const [name, command, ...args] of [
    ["node", process.execPath],
    ["deno", join(root, "www/node_modules/.bin/deno"), "run", "--quiet", "--allow-read"],
    ["bun", bunProgram(), "run"],
  ]) {
    const run = () => execFileSync(command, [...args, "probe.mjs"], { cwd: project, encoding: "utf8" });
    printTime(name, Array.from({ length: ROUNDS }, run));
  }
  printTime("workerd (a first pool in whole ms)", await workerdTimes(project));
}

function printTime(name, lines) {
  const columns = lines.map((line) => line.trim().split(" ").map(Number));
  const [first, bare] = [0, 1].map((column) => median(columns.map((values) => values[column])));
  row(name, `${first} ms`, `${bare} ms`);
}

/** In workerd the module comes compiled, so that a first pool is its instance and little more. */
async function workerdTimes(project) {
  const head = 'import { Pool } from "edgepool"; import module from "edgepool/edgepool.wasm";\n';
  const probe = PROBE.replace("const module = new WebAssembly.Module(bytes);", "");
  writeFileSync(join(project, "source.js"),
    `${head}export default { fetch() {${probe} return new Response(result); } };`);
  await build({
    entryPoints: [join(project, "source.js")], outfile: join(project, "worker.js"), bundle: true,
    format: "esm", conditions: ["workerd"], loader: { ".wasm": "copy" }, assetNames: "[name]",
  });
  writeFileSync(join(project, "config.capnp"), `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [(name = "main", worker = .main)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")]);
const main :Workerd.Worker = (compatibilityDate = "2026-11-01", modules = [
  (name = "worker.js", esModule = embed "worker.js"),
  (name = "edgepool.wasm", wasm = embed "edgepool.wasm")]);\n`);
  const lines = [];
  for (let round = 0; round < ROUNDS; round += 1) lines.push(await askWorkerd(project));
  return lines;
}

async function askWorkerd(project) {
  const program = www("workerd").default;
  const options = { cwd: project, stdio: ["ignore", "ignore", "inherit", "pipe"] };
  const child = spawn(program, ["serve", "config.capnp", "--control-fd=3"], options);
  try {
    const port = await new Promise((found, fail) => {
      child.on("exit", () => fail(new Error("workerd has ended")));
      child.stdio[3].on("data", (text) => {
        const { event, port } = JSON.parse(String(text).split("\n")[0]);
        if (event === "listen") found(port);
      });
    });
    return await (await fetch(`http://127.0.0.1:${port}/`)).text();
  } finally {
    child.kill();
  }
}

/** Finds Bun's program: what is in `.bin` is a stand-in, as no install scripts are run. */
function bunProgram() {
  const folder = join(root, "www/node_modules/@oven");
  const name = readdirSync(folder).find((each) => each.startsWith("bun-") && !each.endsWith("baseline"));
  return join(folder, name, "bin/bun");
}

const folder = join(root, "target/npm");
const name = readdirSync(folder).find((file) => /^edgepool-.*\.tgz$/.test(file));
if (name === undefined) throw new Error("no tarball in target/npm: run `cargo xtask build`");
const project = mkdtempSync(join(tmpdir(), "edgepool-sizes-"));
try {
  writeFileSync(join(project, "package.json"), '{ "private": true, "type": "module" }');
  const flags = ["--offline", "--no-audit", "--no-fund", "--loglevel=error"];
  execFileSync("npm", ["install", ...flags, join(folder, name)], { cwd: project, stdio: "pipe" });
  await printSizes(project, join(folder, name));
  await printTimes(project);
} finally {
  rmSync(project, { recursive: true, force: true });
}
