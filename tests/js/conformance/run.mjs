// Runs the cases against the packed tarball, installed as a user would install it:
//   node run.mjs node|deno|bun|workerd|chromium
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { runChromium } from "./lib/chromium.mjs";
import { install, tarball } from "./lib/install.mjs";
import { runProcess } from "./lib/processes.mjs";
import { runWorkerd } from "./lib/workerd.mjs";

const RUNTIMES = {
  node: runProcess, deno: runProcess, bun: runProcess, workerd: runWorkerd, chromium: runChromium,
};
const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, "../../..");
const runtime = process.argv[2];
const run = RUNTIMES[runtime];
if (run === undefined) {
  console.error(`usage: node run.mjs ${Object.keys(RUNTIMES).join("|")}`);
  process.exit(2);
}

const project = mkdtempSync(join(tmpdir(), `edgepool-${runtime}-`));
try {
  install(project, here, tarball(root));
  const say = (line) => console.log(line);
  const { passed, failed } = await run({ runtime, project, root, say });
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
} finally {
  rmSync(project, { recursive: true, force: true });
}
