// Runs random schedules of the package on a fake clock; the same seeds as the Rust simulator's.
//   node main.mjs [--seeds N] [--from SEED]      runs them, and those of regressions.mjs
//   node main.mjs --replay SEED [--mode MODE] [--quiet yes|no]    writes every event of one
// The package and the module with the ledger's invariants are those of EDGEPOOL_PACKAGE and
// EDGEPOOL_CHECKED_WASM, or what `cargo xtask test --only seeds-js` left in target/.
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import { load } from "./lib/core.mjs";
import { drawCase, drawWorkload } from "./lib/draw.mjs";
import { Rng } from "./lib/rng.mjs";
import { runSeed } from "./lib/run.mjs";
import { violations } from "./lib/world.mjs";
import { REGRESSIONS } from "./regressions.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const target = resolve(here, "../../../target");
const { EDGEPOOL_PACKAGE, EDGEPOOL_CHECKED_WASM } = process.env;
const packageFolder = EDGEPOOL_PACKAGE ?? join(target, "npm/package");
const wasm = EDGEPOOL_CHECKED_WASM ?? join(target, "sim/edgepool_wasm_bg.wasm");

/** So many seeds are run twice, and must go the same way. */
const TWICE = 50;
/** So many failures are told of each thread. */
const TOLD = 10;

// A rejection that nobody looks at ends a process.
process.on("unhandledRejection", (error) => violations.push(error));

if (isMainThread) await main();
else parentPort.postMessage(await runAll(workerData));

async function main() {
  const text = (fallback) => ({ type: "string", default: fallback });
  const options = { seeds: text("1000"), from: text("1"), replay: text(), mode: text() };
  options.quiet = text();
  const { seeds, from, replay, mode, quiet } = parseArgs({ options }).values;
  const isQuiet = quiet && quiet === "yes";
  if (replay !== undefined) return replayOne(Number(replay), { mode, quiet: isQuiet });
  Error.stackTraceLimit = 0;
  const begun = performance.now();
  const failures = drawsLikeRust();
  const all = await inThreads(Number(from), Number(seeds));
  const seconds = (performance.now() - begun) / 1_000;
  const sum = (key) => all.reduce((total, one) => total + one[key], 0);
  failures.push(...all.flatMap((one) => one.failures));
  for (const failure of failures) console.log(failure);
  const failed = failures.length + sum("untold");
  console.log(`${sum("runs")} schedules, ${sum("steps")} steps, ${sum("checks")} checks, ` +
    `${sum("served")} leases, ${sum("traps")} traps, ` +
    `${(sum("time") / 3.6e6).toFixed(1)} hours of simulated time in ${seconds.toFixed(1)} s`);
  console.log(`${sum("runs") - failed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

function inThreads(from, seeds) {
  const threads = Math.min(availableParallelism(), 4);
  const parts = Array.from({ length: threads }, (_, part) => ({ from, seeds, part, threads }));
  return Promise.all(parts.map((workerData) => new Promise((resolve, reject) => {
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData });
    worker.on("message", resolve);
    worker.on("error", reject);
  })));
}

/** Runs every so manieth seed, and what was found before. */
async function runAll({ from, seeds, part, threads }) {
  Error.stackTraceLimit = 0;
  const loaded = await load(packageFolder, wasm);
  const counts = { untold: 0, runs: 0, steps: 0, checks: 0, served: 0, traps: 0, time: 0 };
  const result = { failures: [], ...counts };
  const cases = REGRESSIONS.map(({ seed, mode, quiet = false }) => ({ seed, mode, quiet }));
  for (let seed = from; seed < from + seeds; seed += 1) cases.push({ seed });
  for (const { seed, ...how } of cases.filter((_, at) => at % threads === part)) {
    await runOne(loaded, seed, how, seed < from + TWICE, result);
  }
  return result;
}

async function runOne(loaded, seed, how, isTwice, result) {
  result.runs += 1;
  try {
    const report = await runSeed(loaded, seed, how);
    for (const key of ["steps", "checks", "served", "traps", "time"]) result[key] += report[key];
    if (!isTwice) return;
    const { hash } = await runSeed(loaded, seed, how);
    if (hash !== report.hash) throw new Error("it does not go the same way twice");
  } catch (error) {
    const { mode, quiet } = how;
    const said = `${mode ? ` --mode ${mode}` : ""}${quiet === false ? " --quiet no" : ""}`;
    const command = `node tests/js/sim/main.mjs --replay ${seed}${said}`;
    const failure = `seed ${seed} fails: ${error.message}\n  replay it with: ${command}`;
    if (result.failures.length < TOLD) result.failures.push(failure);
    else result.untold += 1;
  }
}

async function replayOne(seed, how) {
  const loaded = await load(packageFolder, wasm);
  try {
    const { log, ends, ...report } = await runSeed(loaded, seed, { keepLog: true, ...how });
    console.log(log.join("\n"));
    console.log({ ...report, ends: Object.fromEntries(ends) });
  } catch (error) {
    console.log(error.log?.join("\n"));
    console.error(`seed ${seed} fails: ${error.stack}`);
    process.exitCode = 1;
  }
}

/** The generator is SplitMix64, and a case is what `edgepool_sim` draws for the same seed. */
function drawsLikeRust() {
  const rng = new Rng(1_234_567);
  rng.next();
  const published = [6_457_827_717_110_365_317n, (BigInt(rng.high) << 32n) | BigInt(rng.low)];
  const drawn = drawCase(drawWorkload(17), 17);
  const { pool, habits } = drawn.workload;
  const told = [pool.max, pool.createTimeout, habits.many, drawn.acts.at(-1).at, drawn.start];
  const { hold, ask } = drawn.callers.at(-1).rounds[3];
  told.push(hold, ask.many, drawn.luck.creations.at(-1).after, drawn.luck.closings.at(-1).after);
  const expected = [
    2, 3.252547, 292, 1_681.252887, 246_176_467_598.980_22, 6.311924, 3, 7.826294, 3.885513,
  ];
  const isSame = published[0] === published[1] && String(told) === String(expected);
  return isSame ? [] : [`the draws are not those of the Rust simulator: ${told}`];
}
