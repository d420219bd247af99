// Runs a part of workerd's cases by itself, against the packed tarball:
//   node run.mjs [cases|chaos] [--configuration=TEXT] [--name=TEXT] [--seed=N] [--runs=N]
// Chosen are the configurations that have the text in them, and the cases that match; of
// chaos, as many seeds as there are runs.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { install, tarball } from "../lib/install.mjs";
import { Run, withWorkers } from "../lib/workerd.mjs";
import { chaosCases } from "./chaos.mjs";
import { heavy, last, patient } from "./requests.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, "../../../..");
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    configuration: { type: "string", default: "" },
    name: { type: "string", default: "" },
    seed: { type: "string", default: "1" },
    runs: { type: "string", default: "1" },
  },
});

const named = (cases) => cases.filter(({ name }) => new RegExp(values.name).test(name));
const say = (line) => console.log(line);

const PARTS = {
  async cases(run, workers) {
    await Promise.all(workers.map((worker) => run.cases(worker, named(patient))));
    for (const worker of workers) await run.cases(worker, named(heavy));
    await Promise.all(workers.map((worker) => run.cases(worker, named(last))));
  },
  async chaos(run, workers) {
    for (let i = 0; i < Number(values.runs); i += 1) {
      const cases = named(chaosCases(Number(values.seed) + i));
      for (const worker of workers) await run.cases(worker, cases);
    }
  },
};

const [part = "cases"] = positionals;
if (!(part in PARTS)) {
  console.error(`usage: node run.mjs ${Object.keys(PARTS).join("|")}`);
  process.exit(2);
}
const project = mkdtempSync(join(tmpdir(), "edgepool-workerd-"));
try {
  install(project, dirname(here), tarball(root));
  await withWorkers({ project, root }, async ({ workers: all, log }) => {
    const chosen = ({ configuration }) => configuration.label.includes(values.configuration);
    const workers = all.filter(chosen);
    const run = new Run(workers, log, say);
    await PARTS[part](run, workers);
    run.table.print(say);
    const { passed, failed } = run.counts;
    say(`${passed} passed, ${failed} failed`);
    process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
  });
} finally {
  rmSync(project, { recursive: true, force: true });
}
