// Tries the packed package under the SDKs, each with every way in which a call ends:
//   node run.mjs node|deno|workerd [--only=SDK.ENDING+…]
// The table of slot counts goes to the terminal, and to target/sdks/table.md and table.json with
// what other runtimes found in the same package.
import { cpSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { installByNpm, tarball } from "../conformance/lib/install.mjs";
import { execute } from "../conformance/lib/processes.mjs";
import { startProvider } from "./lib/backend.mjs";
import { Report } from "./lib/report.mjs";
import { RUNTIMES } from "./lib/runtimes.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, "../../..");
const { values, positionals: [name] } =
  parseArgs({ allowPositionals: true, options: { only: { type: "string", default: "" } } });
const runtime = RUNTIMES[name];
if (runtime === undefined) {
  console.error(`usage: node run.mjs ${Object.keys(RUNTIMES).join("|")} [--only=SDK.ENDING+…]`);
  process.exit(2);
}

const project = mkdtempSync(join(tmpdir(), `edgepool-sdks-${name}-`));
const provider = await startProvider();
try {
  install();
  const at = { ...runtime, root, project, provider, origin: provider.url, only: values.only };
  const report = new Report({ root, name, provider, tarball: tarball(root) });
  await runtime.run(at, (row) => report.add(row));
  const [program] = runtime.program(at);
  report.finish(await execute([program, "--version"], project), { write: values.only === "" });
  process.exitCode = report.failed === 0 && report.passed > 0 ? 0 : 1;
} finally {
  await provider.stop();
  rmSync(project, { recursive: true, force: true });
}

/** Makes a user's project: the package from its tarball, and the SDKs beside it. */
function install() {
  installByNpm(project, tarball(root));
  for (const name of readdirSync(join(here, "node_modules"))) {
    if (!name.startsWith(".")) {
      symlinkSync(join(here, "node_modules", name), join(project, "node_modules", name));
    }
  }
  for (const name of ["cases", "workerd"]) {
    cpSync(join(here, name), join(project, name), { recursive: true });
  }
}
