// workerd: the cases inside a request, and then the ones that need several requests, with the
// flag by which a promise may be settled from another request, and without it.
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { requestCases } from "../workerd/requests.mjs";
import { also, readReport } from "./install.mjs";
import { startOrigin } from "./origin.mjs";
import { binary } from "./processes.mjs";

const DATE = "2026-11-01";
const FLAG = "handle_cross_request_promise_resolution";

/** Bundles the Worker as a user would, and runs everything against it, twice. */
export async function runWorkerd({ project, root, say }) {
  await bundle(project, root);
  const counts = { passed: 0, failed: 0 };
  for (const doorbell of [true, false]) {
    const origin = await startOrigin();
    // It is on by default at this date.
    const flags = doorbell ? [] : [`no_${FLAG}`];
    const worker = await start(project, binary(root, "WORKERD", "workerd"), origin.address, flags);
    const label = doorbell ? "doorbell" : "polling";
    try {
      await runAgainst({ worker, origin, doorbell, label }, counts, say);
    } finally {
      worker.stop();
      origin.stop();
    }
  }
  return counts;
}

async function runAgainst({ worker, origin, doorbell, label }, counts, say) {
  const tell = (line) => say(line.replace(/^(ok {4}|FAIL {2})/, `$1${label}: `));
  await also(counts, "the_flag_is_what_it_should_be", tell, async () => {
    const told = await (await fetch(`${worker.address}/doorbell`)).text();
    if (told !== String(doorbell)) throw new Error(`the Worker sees ${told}`);
  });
  if (doorbell) {
    const report = await (await fetch(`${worker.address}/cases`)).text();
    const inside = readReport(report, tell) ?? { passed: 0, failed: 1 };
    counts.passed += inside.passed;
    counts.failed += inside.failed;
  }
  for (const { name, run } of requestCases) {
    const before = counts.failed;
    await also(counts, name, tell, () => run({ at: worker.address, origin: origin.seen }));
    if (counts.failed > before) say(`workerd has said:\n${worker.log()}`);
  }
}

async function bundle(project, root) {
  const { build } = createRequire(join(root, "www/package.json"))("esbuild");
  const { outputFiles, metafile } = await build({
    absWorkingDir: project,
    entryPoints: ["workerd/worker.mjs"],
    outdir: "bundle",
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    target: "es2022",
    conditions: ["workerd", "worker"],
    external: ["node:*"],
    loader: { ".wasm": "copy" },
    logLevel: "error",
  });
  if (Object.keys(metafile.inputs).some((name) => name.endsWith("wasm-base64.js"))) {
    throw new Error("the Worker's bundle has the module as text");
  }
  const named = outputFiles.map((file) => ({ name: basename(file.path), bytes: file.contents }));
  for (const { name, bytes } of named) writeFileSync(join(project, name), bytes);
  const modules = named.map(({ name }) =>
    name.endsWith(".wasm")
      ? `(name = "${name}", wasm = embed "${name}")`
      : `(name = "${name}", esModule = embed "${name}")`,
  );
  // The main module comes first.
  modules.sort((a, b) => Number(a.includes("wasm =")) - Number(b.includes("wasm =")));
  writeFileSync(join(project, "modules.txt"), modules.join(", "));
}

async function start(project, program, origin, flags) {
  const port = await freePort();
  writeFileSync(join(project, "config.capnp"), config(project, port, origin, flags));
  const child = spawn(program, ["serve", "config.capnp"], { cwd: project, stdio: "pipe" });
  let log = "";
  child.stderr.on("data", (data) => (log += data));
  child.stdout.on("data", (data) => (log += data));
  const address = `http://127.0.0.1:${port}`;
  for (let tries = 0; ; tries += 1) {
    try {
      await fetch(`${address}/stats`);
      break;
    } catch (error) {
      if (tries > 200 || child.exitCode !== null) {
        throw new Error(`workerd: ${log}`, { cause: error });
      }
      await sleep(50);
    }
  }
  return { address, log: () => log, stop: () => child.kill() };
}

function config(project, port, origin, flags) {
  const list = ["nodejs_als", "enable_request_signal", ...flags].map((f) => `"${f}"`).join(", ");
  const modules = readFileSync(join(project, "modules.txt"), "utf8");
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [${modules}],
      compatibilityDate = "${DATE}",
      compatibilityFlags = [${list}],
      bindings = [(name = "ORIGIN", text = "${origin}")],
    )),
    (name = "internet", network = (allow = ["private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
`;
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
