// Runs the cases in a page, and reports their lines to the server that it came from.
import { runAll } from "./lib/harness.mjs";
import { importQuietly } from "./lib/quiet.mjs";

// One after the other, so that it is known which module serves the pools that need no tenants.
const load = async () => {
  await import("edgepool");
  await import("edgepool/clients");
  await import("edgepool/tenants");
};
const called = await importQuietly(load);
const quiet = {
  name: "import_has_no_side_effects",
  run: (t) => t.equal(called, []),
};
const { default: cases } = await import("./cases/index.mjs");
const lines = [];
const { passed, failed } = await runAll([quiet, ...cases], (line) => lines.push(line));
lines.push(`RESULT ${passed} ${failed}`);
await fetch("/report", { method: "POST", body: lines.join("\n") });
