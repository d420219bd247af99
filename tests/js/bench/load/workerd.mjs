// Sends the load through a Worker in a workerd of its own.

import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";

import { Pool } from "undici";

import { bundle } from "../project.mjs";
import { binary, portOf, start } from "../runtimes.mjs";

/** Starts workerd, runs `measure` with what sends a request to its Worker, and ends it. */
export async function throughWorker(plan, measure) {
  const child = await startWorkerd(plan);
  try {
    // The Worker is what is measured: it is sent whatever comes, by the least that there is.
    const pool = new Pool(`http://127.0.0.1:${await portOf(child)}`);
    return await measure(async ({ init, read }) => {
      const { statusCode, body } = await pool.request({ path: "/", ...init });
      return read({ status: statusCode, body });
    });
  } finally {
    child.kill();
    await new Promise((ended) => (child.exitCode === null ? child.on("close", ended) : ended()));
  }
}

async function startWorkerd(plan) {
  const { project, sender } = plan;
  const folder = join(project, `load-${sender}`);
  const modules = await Promise.all([
    bundle(project, "load/worker.mjs", join(folder, "worker.js")),
    bundle(project, `load/senders/${sender}.mjs`, join(folder, "contender.js")),
  ]);
  const names = modules.flat().map((path) => basename(path));
  writeFileSync(join(folder, "config.capnp"), config(names));
  const serve = [binary("WORKERD", "workerd"), "serve", "config.capnp", "--control-fd=3"];
  const env = { PLAN: JSON.stringify({ ...plan, mode: "edge" }) };
  return start(serve, folder, ["ignore", "ignore", "pipe", "pipe"], env);
}

function config(modules) {
  const list = modules.map((name) =>
    name.endsWith(".wasm")
      ? `(name = "${name}", wasm = embed "${name}")`
      : `(name = "${name}", esModule = embed "${name}")`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
  (name = "main", worker = (
    modules = [${list.join(", ")}],
    compatibilityDate = "2026-11-01",
    compatibilityFlags = ["enable_request_signal"],
    bindings = [(name = "PLAN", fromEnvironment = "PLAN")],
  )),
  (name = "internet", network = (allow = ["private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`;
}
