// Starts the runtimes: a process for each contender in each round, which nothing else has warmed.

import { spawn } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import { startClock } from "./clock.mjs";
import { isHeld } from "./fair.mjs";
import { ROOT, bundleWorker } from "./project.mjs";

export const RUNTIMES = ["node", "deno", "bun", "workerd"];
/** How long a contender may take for all cases of a round. */
const LIMIT_MS = 120_000;

const COMMANDS = {
  node: () => [process.execPath, "--expose-gc"],
  deno: () => [
    binary("DENO", "deno"), "run", "--quiet", "--no-prompt", "--no-remote", "--allow-all",
  ],
  bun: () => [binary("BUN", "bun"), "run"],
};

/** Returns the program of a runtime: what the environment names, or what npm has installed. */
function binary(variable, name) {
  const named = process.env[`EDGEPOOL_${variable}`];
  if (named) return named;
  // In `.bin` stands a script in front of this one, which would live on after it.
  if (name === "workerd") return createRequire(join(ROOT, "www/package.json"))("workerd").default;
  if (name === "bun") return bun();
  return join(ROOT, "www/node_modules/.bin", name);
}

/** Finds Bun's own program: what is in `.bin` is a stand-in, as no install scripts are run. */
function bun() {
  const folder = join(ROOT, "www/node_modules/@oven");
  const names = readdirSync(folder).filter((name) => name.startsWith("bun-"));
  return join(folder, names.find((name) => !name.endsWith("baseline")) ?? names[0], "bin/bun");
}

/** Asks a runtime for its version. */
export async function versionOf(runtime) {
  const program = runtime === "workerd" ? binary("WORKERD", "workerd") : COMMANDS[runtime]()[0];
  const { out } = await finish(start([program, "--version"], ROOT));
  return out.match(/\d[\w.-]+/)?.[0] ?? "";
}

/**
 * Measures one contender in a new process. Gives a figure or a failure for each id that there is
 * something to say of; one that is missing was not reached.
 */
export function measure(runtime, contender, plan, project) {
  const { module } = contender;
  return runtime === "workerd"
    ? measureInWorkerd(module, plan, project)
    : measureInProcess(runtime, module, plan, project);
}

async function measureInProcess(runtime, module, plan, project) {
  const args = ["main.mjs", module, JSON.stringify({ ...plan, runtime })];
  const { code, out, err } = await finish(start([...COMMANDS[runtime](), ...args], project));
  const lines = out.split("\n").filter((line) => line.startsWith("{"));
  const results = lines.map((line) => JSON.parse(line));
  return { results, problem: code === 0 ? undefined : `ended with ${code}: ${err.slice(-400)}` };
}

function start([program, ...args], cwd, stdio = ["ignore", "pipe", "pipe"], more = {}) {
  const env = { ...process.env, ...more, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" };
  env.DENO_DIR ??= join(ROOT, "target/deno");
  return spawn(program, args, { cwd, stdio, env });
}

function finish(child) {
  const texts = { out: "", err: "" };
  child.stdout.on("data", (data) => (texts.out += data));
  child.stderr.on("data", (data) => (texts.err += data));
  const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code: code ?? signal, ...texts });
    });
  });
}

async function measureInWorkerd(module, plan, project) {
  const modules = await bundleWorker(project, module);
  const folder = join(project, `worker-${module}`);
  const clock = await startClock();
  const child = startWorker(folder, modules, {
    out: "inherit",
    flag: "nodejs_compat",
    binding: '(name = "CLOCK", service = "clock")',
    service: `(name = "clock", external = (address = "${clock.address}", http = ()))`,
  });
  const results = [];
  try {
    const ask = await listening(child);
    for await (const result of steps(ask, { ...plan, pid: child.pid })) results.push(result);
    return { results };
  } catch (error) {
    return { results, problem: String(error) };
  } finally {
    clock.stop();
    await endOf(child);
  }
}

/**
 * Starts workerd with a Worker of these modules, the main one first: one flag, one binding, and the
 * service besides the Worker that there is. What it writes goes to `out`.
 */
export function startWorker(folder, modules, { out, flag, binding, service, env }) {
  const list = modules.map((name) =>
    name.endsWith(".wasm")
      ? `(name = "${name}", wasm = embed "${name}")`
      : `(name = "${name}", esModule = embed "${name}")`,
  );
  const config = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
  (name = "main", worker = (
    modules = [${list.join(", ")}],
    compatibilityDate = "2026-11-01",
    compatibilityFlags = ["${flag}"],
    bindings = [${binding}],
  )),
  ${service},
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`;
  writeFileSync(join(folder, "config.capnp"), config);
  const serve = [binary("WORKERD", "workerd"), "serve", "config.capnp", "--control-fd=3"];
  return start(serve, folder, ["ignore", out, "pipe", "pipe"], env);
}

/** Ends a process. */
export async function endOf(child) {
  child.kill();
  await new Promise((ended) => (child.exitCode === null ? child.on("close", ended) : ended()));
}

/** Waits until workerd listens, and gives its port. */
export function portOf(child) {
  let log = "";
  child.stderr.on("data", (data) => (log += data));
  return new Promise((found, fail) => {
    child.on("error", fail);
    child.on("exit", () => fail(new Error(`workerd has ended: ${log}`)));
    child.stdio[3].on("data", (text) => {
      const { event, port } = JSON.parse(String(text).split("\n")[0]);
      if (event === "listen") found(port);
    });
  });
}

/** Gives what asks the Worker for a step, and how long that took. */
async function listening(child) {
  const port = await portOf(child);
  return async (step, rest = {}) => {
    const start = performance.now();
    const signal = AbortSignal.timeout(LIMIT_MS);
    const body = JSON.stringify({ step, ...rest });
    const response = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body, signal });
    const answer = await response.json();
    return { ...answer, ms: performance.now() - start };
  };
}

async function* steps(ask, given) {
  const plan = { ...given, runtime: "workerd" };
  const held = plan.cases.filter(isHeld);
  for (const id of held) yield { id, ...(await ask("held", { id, plan })) };
  // Who shares lends to tenants alone.
  if (held.length > 0) return;
  for (let i = 0; i < 5; i += 1) await ask("nothing");
  const empty = await ask("nothing");
  const loaded = await ask("import");
  const made = await ask("pool");
  const more = ({ ms }) => Math.max(ms - empty.ms, 0);
  const less = (...answers) => answers.reduce((sum, answer) => sum + more(answer), 0);
  const failed = loaded.failed ?? made.failed;
  const figures = { cold: less(loaded, made), "first-pool": less(made) };
  for (const [id, value] of Object.entries(figures)) {
    if (plan.cases.includes(id)) yield failed ? { id, failed } : { id, value };
  }
  for (const id of plan.measured) {
    const { value, failed } = await ask("measure", { id, plan });
    if (failed) yield { id, failed };
    else if (value !== undefined) yield { id, value };
  }
  for (const id of plan.clocks) yield { id, ...(await ask("clock", { id, plan })) };
}
