// workerd: the cases inside a request, and then those of several requests in every configuration.
import { within } from "../../lib/time.mjs";
import { configurations, newestDate } from "../workerd/configurations.mjs";
import { chaosCases } from "../workerd/chaos.mjs";
import { heavy, last, patient } from "../workerd/requests.mjs";
import { bundle } from "./bundle.mjs";
import { installByNpm, readReport } from "./install.mjs";
import { startOrigin } from "./origin.mjs";
import { binary } from "./processes.mjs";
import { Table } from "./table.mjs";
import { serve } from "./workerd-server.mjs";

/** No case takes nearly as long. */
const HANGS = 300_000;
/** The gate's seed of chaos. */
const SEED = 1;
/** workerd says the same of each Worker. */
const MOST_LOG = 2_000;

/**
 * Bundles the Worker as a user would, and runs everything against it: with its own bundler in every
 * configuration, with others, `briefly`, at the newest date.
 */
export async function runWorkerd(at) {
  const { project, root, tarball, say, bundler, briefly = false, full = false } = at;
  installByNpm(project, tarball);
  return withWorkers({ project, root, bundler }, async ({ workers: all, log }) => {
    const workers = briefly ? oneOfEachKind(all) : all;
    const run = new Run(workers, log, say);
    await run.inside(all.at(-4));
    await Promise.all(workers.map((worker) => run.cases(worker, patient)));
    for (const worker of full ? workers : oneOfEachKind(workers)) await run.cases(worker, heavy);
    await Promise.all(workers.map((worker) => run.cases(worker, last)));
    // Last: what waits must go on in its own request in code that has become hot, too.
    const some = full ? workers : oneOfEachKind(workers);
    for (const worker of some) await run.cases(worker, chaosCases(SEED));
    run.table.print(say);
    return run.counts;
  });
}

/**
 * Starts one workerd that serves the Worker in every configuration, or in those that `choose` makes
 * of them, for as long as `work` runs. `more` are arguments and flags for workerd.
 */
export async function withWorkers(
  { project, root, bundler, choose = (all) => all, ...more }, work,
) {
  await bundle(project, root, bundler);
  const program = binary(root, "WORKERD", "workerd");
  const origin = await startOrigin();
  try {
    const chosen = choose(configurations(newestDate(program)));
    const server = await serve({ project, program, origin, configurations: chosen, ...more });
    try {
      return await work(server);
    } finally {
      await server.stop();
    }
  } finally {
    origin.stop();
  }
}

/** With a doorbell and without one, at the newest date: what costs much is run on those alone. */
function oneOfEachKind(workers) {
  return workers.slice(-4).filter(({ configuration }) => configuration.signal);
}

/** What has been run so far, and what came of it. */
export class Run {
  counts = { passed: 0, failed: 0 };
  table;
  #log;
  #say;

  constructor(workers, log, say) {
    this.table = new Table(workers.map(({ configuration }) => configuration));
    this.#log = log;
    this.#say = say;
  }

  /** Runs the cases that need no second request inside one request. */
  async inside({ at, configuration: { label } }) {
    const report = await (await fetch(`${at}/cases`)).text();
    const say = (line) => this.#say(line.replace(/^(ok {4}|FAIL {2})/, `$1${label}: `));
    const { passed, failed } = readReport(report, say) ?? { passed: 0, failed: 1 };
    this.counts.passed += passed;
    this.counts.failed += failed;
  }

  /** Runs cases of several requests against one Worker, one after the other. */
  async cases(worker, cases) {
    for (const one of cases) await this.#case(worker, one);
  }

  async #case(worker, { name, run }) {
    const { label } = worker.configuration;
    const started = performance.now();
    const from = this.#log().length;
    try {
      const said = await within(HANGS, name, run(worker));
      this.counts.passed += 1;
      this.table.put(name, label, `${Math.round(performance.now() - started)}`);
      this.#say(`ok    ${label}: ${name}${said === undefined ? "" : ` (${said})`}`);
    } catch (error) {
      this.counts.failed += 1;
      this.table.put(name, label, "FAIL");
      this.#say(`FAIL  ${label}: ${name}\n      ${error.message}`);
      const log = this.#log().slice(from).trim();
      if (log !== "") this.#say(`workerd has said meanwhile:\n${log.slice(0, MOST_LOG)}`);
    }
  }
}
