// Measures what the package leaves in memory in workerd, where the work is done in real requests:
//   node run.mjs workerd [--full]
// It fails if the module's memory grows after the warm-up, or the heap by more than the bound. The
// series go to target/memory/, as those of the other runtimes do.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { install, tarball } from "../conformance/lib/install.mjs";
import { withWorkers } from "../conformance/lib/workerd.mjs";
import { cut, json, poolAt } from "../conformance/workerd/client.mjs";
import { freePort } from "../lib/ports.mjs";
import { connect } from "./inspector.mjs";
import { writePage } from "./page.mjs";
import { report } from "./report.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, "../../..");
const results = join(root, "target/memory");
const kind = process.argv.includes("--full") ? "long" : "short";
/** So many wait at once. */
const MOST = 9_000;

/** How often each is done in all, and between two measurements; what needs most comes last. */
const CASES = [
  {
    name: "acquire and release", work: cycles,
    long: [1_000_000, 50_000], short: [200_000, 20_000],
  },
  { name: "requests cut off", work: cutOff, long: [1_000, 100], short: [400, 40] },
  { name: "waiters", work: waiters, long: [40 * MOST, 2 * MOST], short: [10 * MOST, MOST] },
];

async function cycles(at, count) {
  const pool = poolAt(at, "cycles", { max: 4 });
  const each = Array.from({ length: 8 }, () => pool.text("/cycle", { n: count / 8 }));
  await Promise.all(each);
}

/** Half of them hold a place, half of them wait, and none is told of its end. */
async function cutOff(at, count) {
  const pool = poolAt(at, "cut", { max: 10, ttl: 1_500, createTimeout: 400 });
  for (let left = count; left > 0; left -= 20) {
    const requests = Array.from({ length: 20 }, () => pool.open("/hold", { bare: 1 }));
    await pool.until({ inUse: 10, waiting: 10 });
    await Promise.all(requests.map((request) => cut(request, "RST")));
    await pool.until({ inUse: 0, pending: 0 }, 60_000);
  }
}

async function waiters(at, count) {
  const pool = poolAt(at, "waiters", { max: 8, maxWaiting: MOST, ttl: 600_000 });
  for (let left = count; left > 0; left -= MOST) {
    await pool.text("/keep", { n: 8 });
    const all = Array.from({ length: 10 }, () => pool.json("/flood", { n: MOST / 10 }));
    await pool.until({ waiting: MOST }, 20_000);
    await pool.text("/end-kept");
    for (const ends of await Promise.all(all)) {
      if (ends.served !== MOST / 10) throw new Error(`not served: ${JSON.stringify(ends)}`);
    }
  }
}

async function run({ name, work, [kind]: [total, every] }, at, measure) {
  await work(at, every);
  const points = [{ at: 0, ...(await measure()) }];
  for (let done = every; done <= total; done += every) {
    await work(at, every);
    points.push({ at: done, ...(await measure()) });
  }
  return { name, points };
}

async function measureAll({ workers }, port) {
  const [{ at, key }] = workers;
  const inspector = await connect(`ws://127.0.0.1:${port}/${key}`);
  const measure = async () => {
    // What is finalised after one collection is gone with the next.
    for (let time = 0; time < 2; time += 1) await json(`${at}/memory`);
    const sizes = await json(`${at}/memory`);
    const { usedSize } = await inspector.call("Runtime.getHeapUsage");
    return { heap: usedSize, wasm: sizes.reduce((sum, size) => sum + size, 0) };
  };
  const series = [];
  for (const one of CASES) series.push(await run(one, at, measure));
  inspector.close();
  return series;
}

const project = mkdtempSync(join(tmpdir(), "edgepool-memory-workerd-"));
try {
  install(project, join(here, "../conformance"), tarball(root));
  const port = await freePort();
  const args = [`--inspector-addr=127.0.0.1:${port}`];
  const choose = (all) => all.filter(({ doorbell, signal }) => doorbell && signal).slice(-1);
  const v8Flags = ["--expose-gc"];
  const measured = (server) => measureAll(server, port);
  const series = await withWorkers({ project, root, args, v8Flags, choose }, measured);
  mkdirSync(results, { recursive: true });
  const text = JSON.stringify({ runtime: "workerd", kind, series }, null, 1);
  writeFileSync(join(results, "workerd.json"), `${text}\n`);
  writePage(results);
  report(series);
} finally {
  rmSync(project, { recursive: true, force: true });
}
