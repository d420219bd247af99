// Sends the load through a Worker in a workerd of its own.

import { basename, join } from "node:path";

import { Pool } from "undici";

import { bundle } from "../project.mjs";
import { endOf, portOf, startWorker } from "../runtimes.mjs";

/** Starts workerd, runs `measure` with what sends a request to its Worker, and ends it. */
export async function throughWorker(plan, measure) {
  const child = await startSender(plan);
  try {
    // The Worker is what is measured: it is sent whatever comes, by the least that there is.
    const pool = new Pool(`http://127.0.0.1:${await portOf(child)}`);
    return await measure(async ({ init, read }) => {
      const { statusCode, body } = await pool.request({ path: "/", ...init });
      return read({ status: statusCode, body });
    });
  } finally {
    await endOf(child);
  }
}

async function startSender(plan) {
  const { project, sender } = plan;
  const folder = join(project, `load-${sender}`);
  const modules = await Promise.all([
    bundle(project, "load/worker.mjs", join(folder, "worker.js")),
    bundle(project, `load/senders/${sender}.mjs`, join(folder, "contender.js")),
  ]);
  const names = modules.flat().map((path) => basename(path));
  return startWorker(folder, names, {
    out: "ignore",
    flag: "enable_request_signal",
    binding: '(name = "PLAN", fromEnvironment = "PLAN")',
    service: '(name = "internet", network = (allow = ["private"]))',
    env: { PLAN: JSON.stringify({ ...plan, mode: "edge" }) },
  });
}
