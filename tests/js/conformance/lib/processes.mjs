// Node, Deno and Bun: a process each, with no permission beyond its default.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { also, readReport } from "./install.mjs";

const COMMANDS = {
  node: () => [process.execPath],
  deno: (root) => [binary(root, "DENO", "deno"), "run", "--quiet", "--no-remote"],
  bun: (root) => [binary(root, "BUN", "bun"), "run"],
};

/** Finds a runtime: named by the environment, or among the gateway's tools. */
export function binary(root, variable, name) {
  return process.env[`EDGEPOOL_${variable}`] ?? join(root, "www/node_modules/.bin", name);
}

/** Runs the cases in a process of the runtime, and then what needs a process of its own. */
export async function runProcess({ runtime, project, root, say }) {
  const command = COMMANDS[runtime](root);
  const main = await run([...command, "main.mjs"], project, 120_000);
  const counts = readReport(main.out, say) ?? { passed: 0, failed: 1 };
  if (main.code !== 0) {
    counts.failed += 1;
    say(`FAIL  the process ended with ${main.code}\n${main.err}`);
  }
  await also(counts, "script_exits", say, async () => {
    const { code, out, ms, err } = await run([...command, "exits.mjs"], project, 10_000);
    if (code !== 0 || out.trim() !== "idle") throw new Error(`ended with ${code}: ${out}${err}`);
    if (ms > 8_000) throw new Error(`took ${ms} ms`);
  });
  await also(counts, "import_has_no_side_effects", say, async () => {
    const { out, err } = await run([...command, "import.mjs"], project, 10_000);
    if (out.trim() !== "function function") throw new Error(out + err);
  });
  return counts;
}

function run([program, ...args], cwd, limit) {
  const started = performance.now();
  const child = spawn(program, args, { cwd, stdio: ["ignore", "pipe", "pipe"] });
  const texts = { out: "", err: "" };
  child.stdout.on("data", (data) => (texts.out += data));
  child.stderr.on("data", (data) => (texts.err += data));
  const timer = setTimeout(() => child.kill("SIGKILL"), limit);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code: code ?? signal, ms: performance.now() - started, ...texts });
    });
  });
}
