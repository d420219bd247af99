// Writes the table of all runs, runtime by scenario, to target/conformance/table.md, and fails by
// name for each scenario that did not run and pass where it must:
//   node table.mjs        (after the runs)
import { writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { readRecord, recordFolder } from "./lib/record.mjs";
import { RUNTIMES } from "./lib/runtimes.mjs";
import { SCENARIOS } from "./scenarios.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const runs = Object.keys(RUNTIMES).map((name) => ({ name, ...readRecord(root, name) }));
const columns = runs.filter(({ cases }) => cases !== undefined);
const absent = runs.filter(({ cases }) => cases === undefined).map(({ name }) => name);

/** Tells whether a runtime must pass a scenario. */
function isWanted(scenario, { name }) {
  if (name.startsWith("workerd")) return scenario.workers;
  return name.startsWith("chromium") ? scenario.pages : scenario.processes;
}

/** What became of a case in a run: in workerd it may have run at several dates. */
function verdict(name, { cases }) {
  const results = Object.hasOwn(cases, name) ? cases[name] : [];
  if (results.length === 0) return undefined;
  return results.every(({ ok }) => ok) ? "ok" : "FAIL";
}

function markdown(title, names, cell) {
  const heads = columns.map(({ name, version }) => `${name} ${version.replace(/^v/, "")}`);
  const row = (cells) => `| ${cells.join(" | ")} |`;
  const rows = names.map((name) => row([name, ...columns.map((run) => cell(name, run))]));
  return [row([title, ...heads]), row(["---", ...heads.map(() => "---")]), ...rows].join("\n");
}

const wanted = new Map(SCENARIOS.map((scenario) => [scenario.name, scenario]));
const others = new Set(columns.flatMap(({ cases }) => Object.keys(cases)));
const scenarios = markdown("scenario", [...wanted.keys()], (name, run) => {
  return verdict(name, run) ?? (isWanted(wanted.get(name), run) ? "MISSING" : "–");
});
const rest = [...others].filter((name) => !wanted.has(name));
const all = markdown("other case", rest, (name, run) => verdict(name, run) ?? "–");
if (columns.length > 0) {
  const file = join(recordFolder(root), "table.md");
  writeFileSync(file, `# What the package passes, and where\n\n${scenarios}\n\n${all}\n`);
}
console.log(scenarios);

let passed = 0;
let failed = 0;
for (const scenario of SCENARIOS) {
  const must = columns.filter((run) => isWanted(scenario, run));
  const bad = must.filter((run) => verdict(scenario.name, run) !== "ok");
  const here = bad.map((run) => `${run.name} (${verdict(scenario.name, run) ?? "missing"})`);
  if (bad.length > 0) console.log(`FAIL  ${scenario.name}\n      ${here.join(", ")}`);
  failed += bad.length;
  passed += must.length - bad.length;
}
if (absent.length > 0) console.log(`not run with this package: ${absent.join(", ")}`);
console.log(`${passed} passed, ${failed} failed, ${absent.length} skipped`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
