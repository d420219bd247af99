// The attempts in a process of Node or of Deno, with no more permissions than the calls need.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

import { binary } from "../../conformance/lib/processes.mjs";

const LIMIT = 120_000;

/** The SDKs ask for Node 22 or newer. */
export const NODE = {
  program({ root }) {
    const packed = join(root, "tests/js/conformance/node_modules/node22/bin/node");
    return [existsSync(packed) ? packed : process.execPath];
  },
  run: runProcess,
};

export const DENO = {
  program: ({ root, origin = "127.0.0.1" }) => {
    const host = origin.replace(/^http:\/\//, "");
    // What `ai` imports reads the name of the machine, and the SDKs the environment.
    const flags = ["--allow-env", "--allow-sys=hostname", `--allow-net=${host}`];
    return [binary(root, "DENO", "deno"), "run", "--quiet", "--no-prompt", ...flags];
  },
  run: runProcess,
};

/** Runs them, and gives each row to be judged as it comes. */
async function runProcess(at, onRow) {
  const [program, ...flags] = at.program(at);
  const args = [...flags, "cases/main.mjs", at.origin, at.only];
  const child = spawn(program, args, { cwd: at.project, stdio: ["ignore", "pipe", "pipe"] });
  const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT);
  const judged = [];
  let out = "";
  let err = "";
  child.stderr.on("data", (data) => (err += data));
  child.stdout.setEncoding("utf8").on("data", (data) => {
    const lines = (out + data).split("\n");
    out = lines.pop();
    const rows = lines.filter((line) => line.startsWith("ROW "));
    judged.push(...rows.map((line) => onRow(JSON.parse(line.slice(4)))));
  });
  const code = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(code ?? signal));
  });
  clearTimeout(timer);
  await Promise.all(judged);
  if (code !== 0) throw new Error(`the process ended with ${code}:\n${err}`);
}
