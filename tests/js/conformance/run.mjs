// Runs the cases against the packed tarball, installed as a user would install it:
//   node run.mjs RUNTIME [--full]
// The runtime is one of those in lib/runtimes.mjs; `node` is the Node of this run. With `--full`
// what costs much is run in every configuration of workerd, and not at the newest date alone.
// What became of each case is also written to target/conformance, for the table of all runs.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { copyCases, tarball } from "./lib/install.mjs";
import { Record } from "./lib/record.mjs";
import { RUNTIMES } from "./lib/runtimes.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, "../../..");
const [major] = process.versions.node.split(".");
const [asked, ...flags] = process.argv.slice(2);
const name = asked === "node" ? `node${major}` : asked;
const full = flags.includes("--full");
const runtime = RUNTIMES[name];
if (runtime === undefined || flags.some((flag) => flag !== "--full")) {
  console.error(`usage: node run.mjs ${Object.keys(RUNTIMES).join("|")} [--full]`);
  process.exit(2);
}

const project = mkdtempSync(join(tmpdir(), `edgepool-${name}-`));
try {
  const at = { ...runtime, name, full, project, root, tarball: tarball(root) };
  const reason = runtime.skip?.(at);
  if (reason === undefined) await runHere(at);
  else skip(reason);
} finally {
  rmSync(project, { recursive: true, force: true });
}

async function runHere(at) {
  copyCases(project, here);
  const record = new Record(at);
  const say = (line) => {
    record.note(line);
    console.log(line);
  };
  const { passed, failed } = await runtime.run({ ...at, say });
  record.write(await runtime.version(at));
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}

function skip(reason) {
  console.log(`skipped: ${reason}`);
  console.log("0 passed, 0 failed, 1 skipped");
}
