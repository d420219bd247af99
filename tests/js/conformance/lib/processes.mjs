// Node, Deno and Bun: a process each, with no permission beyond its default.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { also, readReport } from "./install.mjs";

/** Finds a runtime: named by the environment, or among the gateway's tools. */
export function binary(root, variable, name) {
  const named = process.env[`EDGEPOOL_${variable}`];
  if (named) return named;
  // In `.bin` stand scripts in front of some, which would live on after them, and for Bun one that
  // only says how to install it.
  if (name === "workerd") return createRequire(join(root, "www/package.json"))("workerd").default;
  const [scope, path] = { bun: ["@oven", "bin/bun"], deno: ["@deno", "deno"] }[name];
  const folder = join(root, "www/node_modules", scope);
  const packages = readdirSync(folder).filter((each) => !each.startsWith("."));
  const [best] = packages.sort((a, b) => a.length - b.length);
  return join(folder, best, path);
}

/** All cases take some seconds, on a machine that has nothing else to do. */
export const LIMIT = 300_000;

/** Runs the cases in a process of the runtime, and then what needs a process of its own. */
export async function runProcess(at) {
  const { prepare, files, project, say } = at;
  const script = await prepare(at);
  const run = (name, limit) => start(script(name), project, limit, at.env);
  const main = await run("main", LIMIT);
  const counts = readReport(main.out, say) ?? { passed: 0, failed: 1 };
  if (main.code !== 0) {
    counts.failed += 1;
    say(`FAIL  the process ended with ${main.code}\n${main.err}`);
  }
  await also(counts, "script_exits", say, async () => {
    const { code, out, ms, err } = await run("exits", 10_000);
    if (code !== 0 || out.trim() !== "idle") throw new Error(`ended with ${code}: ${out}${err}`);
    if (ms > 8_000) throw new Error(`took ${ms} ms`);
  });
  await prints(counts, "import_has_no_side_effects", say, () => run("import", 10_000), "quiet");
  if (files) await prints(counts, "require_works", say, () => run("require", 10_000), "required");
  return counts;
}

/** Runs a script that prints a word if all is well. */
function prints(counts, name, say, run, word) {
  return also(counts, name, say, async () => {
    const { code, out, err } = await run();
    if (code !== 0 || out.trim() !== word) throw new Error(`ended with ${code}: ${out}${err}`);
  });
}

/** Runs a command to its end, and gives what it printed. */
export async function execute(words, cwd, env = {}) {
  const { code, out, err } = await start(words, cwd, 60_000, env);
  if (code !== 0) throw new Error(`${words.join(" ")} ended with ${code}:\n${out}${err}`);
  return out.trim();
}

function start([program, ...args], cwd, limit, env = {}) {
  const started = performance.now();
  const options = { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] };
  const child = spawn(program, args, options);
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
