// Node, Deno and Bun: a process each, with no permission beyond its default.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { also, readReport } from "./install.mjs";

const COMMANDS = {
  node: () => [process.execPath],
  deno: (root) => [binary(root, "DENO", "deno"), "run", "--quiet", "--no-remote"],
  bun: (root) => [binary(root, "BUN", "bun"), "run"],
};

/** Finds a runtime: named by the environment, or among the gateway's tools. */
export function binary(root, variable, name) {
  const named = process.env[`EDGEPOOL_${variable}`];
  if (named) return named;
  // In `.bin` stands a script in front of this one, which would live on after it.
  if (name === "workerd") return createRequire(join(root, "www/package.json"))("workerd").default;
  return join(root, "www/node_modules/.bin", name);
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
  if (runtime === "node") {
    for (const resolution of ["bundler", "nodenext"]) {
      const name = `the_types_compile_for_a_user_of_${resolution}`;
      await also(counts, name, say, () => compile(project, root, resolution));
    }
  }
  return counts;
}

/** Compiles a user's file with the types as they are published, and checks those too. */
async function compile(project, root, resolution) {
  const tsc = join(root, "crates/edgepool-wasm/ts/node_modules/.bin/tsc");
  const options = [
    "--noEmit", "--strict", "--skipLibCheck", "false", "--target", "es2022",
    "--lib", "esnext,esnext.disposable,dom,dom.iterable", "--types", "",
    "--module", resolution === "bundler" ? "esnext" : "nodenext", "--moduleResolution", resolution,
  ];
  const { code, out, err } = await run([tsc, ...options, "types/consumer.ts"], project, 60_000);
  if (code !== 0) throw new Error(`tsc ended with ${code}:\n${out}${err}`);
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
