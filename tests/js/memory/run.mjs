// Measures what the package leaves in memory, installed from its tarball as a user would:
//   node run.mjs node|deno|bun|chromium|workerd [--full]
// It fails if the module's memory grows after the warm-up, or the heap by more than a bound.
// The series go to target/memory/, and with those of the other runtimes into a page of plots.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { runChromium } from "../conformance/lib/chromium.mjs";
import { binary } from "../conformance/lib/processes.mjs";
import { writePage } from "./page.mjs";
import { report } from "./report.mjs";

const LIMIT = 15 * 60_000;

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, "../../..");
const results = join(root, "target/memory");
const [runtime, ...flags] = process.argv.slice(2);
const kind = flags.includes("--full") ? "long" : "short";
const COMMANDS = {
  node: () => [process.execPath, "--expose-gc"],
  deno: () =>
    [binary(root, "DENO", "deno"), "run", "--quiet", "--no-remote", "--v8-flags=--expose-gc"],
  bun: () => [binary(root, "BUN", "bun"), "run"],
  chromium: undefined,
  workerd: undefined,
};
if (!Object.hasOwn(COMMANDS, runtime) || flags.some((flag) => flag !== "--full")) {
  console.error(`usage: node run.mjs ${Object.keys(COMMANDS).join("|")} [--full]`);
  process.exit(2);
}

if (runtime === "workerd") {
  // Its inspector is asked over a WebSocket, which Node 20 has behind a flag.
  const args = ["--experimental-websocket", join(here, "workerd.mjs"), ...flags];
  process.exit(spawnSync(process.execPath, args, { stdio: "inherit" }).status ?? 1);
}

const project = mkdtempSync(join(tmpdir(), `edgepool-memory-${runtime}-`));
try {
  install();
  const series = await (runtime === "chromium" ? inChromium() : inProcess(COMMANDS[runtime]()));
  mkdirSync(results, { recursive: true });
  const text = JSON.stringify({ runtime, kind, series }, null, 1);
  writeFileSync(join(results, `${runtime}.json`), `${text}\n`);
  writePage(results);
  report(series);
} finally {
  rmSync(project, { recursive: true, force: true });
}

function install() {
  const manifest = { name: "edgepool-user", private: true, type: "module" };
  writeFileSync(join(project, "package.json"), JSON.stringify(manifest));
  const quiet = ["--offline", "--no-audit", "--no-fund", "--loglevel=error"];
  execFileSync("npm", ["install", ...quiet, tarball()], { cwd: project, stdio: "pipe" });
  for (const name of ["cases.mjs", "measure.mjs"]) cpSync(join(here, name), join(project, name));
  const imports = { imports: { edgepool: "./node_modules/edgepool/dist/index.js" } };
  const page = `<!doctype html><meta charset="utf-8"><title>edgepool</title>
<script type="importmap">${JSON.stringify(imports)}</script>
<script type="module">
  globalThis.EDGEPOOL_KIND = "${kind}";
  const lines = [];
  try {
    const { main } = await import("./measure.mjs");
    await main((line) => lines.push(line));
  } catch (error) {
    lines.push(String(error?.stack ?? error));
  }
  await fetch("/report", { method: "POST", body: lines.join("\\n") });
</script>`;
  writeFileSync(join(project, "page.html"), page);
}

function tarball() {
  if (process.env.EDGEPOOL_TARBALL) return process.env.EDGEPOOL_TARBALL;
  const folder = join(root, "target/npm");
  const name = readdirSync(folder).find((file) => /^edgepool-.*\.tgz$/.test(file));
  if (name === undefined) throw new Error("no tarball in target/npm: run `cargo xtask build`");
  return join(folder, name);
}

async function inChromium() {
  const lines = [];
  const gc = ["--js-flags=--expose-gc", "--enable-precise-memory-info"];
  await runChromium({ project, say: (line) => lines.push(line), flags: gc, limit: LIMIT });
  return read(lines);
}

function inProcess([program, ...args]) {
  const stdio = ["ignore", "pipe", "inherit"];
  const child = spawn(program, [...args, "measure.mjs", kind], { cwd: project, stdio });
  let text = "";
  child.stdout.on("data", (data) => (text += data));
  const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (code === 0) resolve(read(text.split("\n").filter((line) => !/^(RESULT|$)/.test(line))));
      else reject(new Error(`${program} ended with ${code ?? signal}: ${text}`));
    });
  });
}

function read(lines) {
  return lines.map((line) => {
    if (!line.startsWith("{")) throw new Error(`not a series: ${line}`);
    return JSON.parse(line);
  });
}
