// Measures the package beside its peers, and prints JSON lines for `cargo xtask bench js`:
//   node run.mjs [--rounds N] [--quick] [--case PREFIX]... [--runtime NAME]... [--contender ID]...

import { join } from "node:path";
import { parseArgs } from "node:util";

import { CASES } from "./cases.mjs";
import { CONTENDERS, DUE, SHARERS } from "./contenders/index.mjs";
import { FAIR } from "./fair.mjs";
import { ROOT, lockedVersion, makeProject, weigh } from "./project.mjs";
import { RUNTIMES, measure, versionOf } from "./runtimes.mjs";

const many = { type: "string", multiple: true, default: [] };
const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    quick: { type: "boolean", default: false },
    small: { type: "boolean", default: false },
    project: { type: "string", default: join(ROOT, "target/bench/js-project") },
    case: many, runtime: many, contender: many,
  },
});

/**
 * How long, in ms, one case of one contender is warmed and measured in a round, and for how long
 * tenants ask.
 */
const TIMES = {
  full: { slice: 20, warm: 120, budget: 160, lasts: 1_000 },
  quick: { slice: 10, warm: 40, budget: 40, lasts: 500 },
  small: { slice: 0.2, warm: 0.5, budget: 0.5, lasts: 100 },
};

/** The cases that are not an operation done in a loop. */
const OTHERS = [
  {
    id: "bytes", title: "bytes of a waiter", unit: "bytes", runtimes: ["node"],
    about: "What 100,000 waiters add to the heap and to the memory of wasm, each: after a "
      + "collection, with their promises held.",
  },
  {
    id: "cold", title: "cold start", unit: "ms",
    about: "import, the first pool, its first resource lent and released, in a new process. In "
      + "workerd: the requests that do so, less the time of an empty one.",
  },
  {
    id: "first-pool", title: "first pool", unit: "ms",
    about: "The part of the cold start after the import: in it the wasm is compiled and "
      + "instantiated, which workerd has compiled, and the engine first sees most of the code.",
  },
  {
    id: "instance", title: "an instance of the module", unit: "ms",
    runtimes: ["node", "deno", "bun"],
    about: "The part of the first pool in which the wasm is compiled and instantiated. In workerd "
      + "no clock goes on within it.",
  },
  {
    id: "clock", title: "one reading of a clock", unit: "ns",
    about: "What an option costs that needs the time, at least.",
  },
];
const CLOCKS = ["performance.now", "Date.now"];

const say = (line) => console.log(JSON.stringify(line));
const wanted = (all, given, matches) =>
  all.filter((each) => given.length === 0 || given.some(matches(each)));
const all = [...CASES, ...OTHERS, ...FAIR];
const heads = wanted(all, values.case, ({ id }) => (prefix) => id.startsWith(prefix));
const runtimes = wanted(RUNTIMES, values.runtime, (runtime) => (name) => name === runtime);
const named = (some) => wanted(some, values.contender, ({ id }) => (name) => name === id);
const contenders = named(CONTENDERS);
const sharers = named(SHARERS);
/** Who is measured in a case. */
const those = (head) => (FAIR.includes(head) ? sharers : contenders);
const rounds = Number(values.rounds);
const found = new Map();

makeProject(values.project);
await runRounds();
for (const head of heads) for (const runtime of runtimes) report(head, runtime);
if (values.case.length === 0 || values.case.some((prefix) => "weight".startsWith(prefix))) {
  reportWeight(await weigh(values.project));
}

/** Goes round all runtimes and contenders; each round begins with another contender. */
async function runRounds() {
  let done = 0;
  const everybody = [...new Set(heads.flatMap(those))];
  for (let round = 0; round < rounds; round += 1) {
    for (const runtime of runtimes) {
      for (let turn = 0; turn < everybody.length; turn += 1) {
        const contender = everybody[(round + turn) % everybody.length];
        const next = `${runtime}: ${contender.name}`;
        say({ progress: { done, of: rounds * runtimes.length * everybody.length, next } });
        await measureOne(runtime, contender);
        done += 1;
      }
    }
  }
}

async function measureOne(runtime, contender) {
  const here = heads.filter((head) =>
    those(head).includes(contender) && (head.runtimes?.includes(runtime) ?? true));
  if (here.length === 0) return;
  const there = here.map(({ id }) => id);
  const plan = {
    cases: there,
    measured: there.filter((id) => CASES.some((each) => each.id === id)),
    // Once a round is enough, and whoever is measured in it is not asked.
    clocks: contender.id === "bound" && there.includes("clock") ? CLOCKS : [],
    small: values.small,
    ...(TIMES[values.small ? "small" : values.quick ? "quick" : "full"]),
  };
  const { results, problem } = await measure(runtime, contender, plan, values.project);
  for (const { id, value, failed } of results) {
    const series = seriesOf(runtime, id, contender);
    if (failed) series.failed = failed;
    else series.samples.push(value);
  }
  if (problem !== undefined) missing(runtime, contender, plan, results, problem);
}

/** Lays a process that has ended early at the door of the first case that it said nothing of. */
function missing(runtime, contender, plan, results, problem) {
  const told = results.map(({ id }) => id);
  const first = plan.cases.find((id) => id !== "clock" && !told.includes(id));
  seriesOf(runtime, first ?? "warm", contender).failed = problem;
}

function seriesOf(runtime, id, contender) {
  const key = `${runtime} ${id} ${CLOCKS.includes(id) ? "" : contender.id}`;
  if (!found.has(key)) found.set(key, { contender, samples: [] });
  return found.get(key);
}

function report(head, runtime) {
  const { id, title, unit, about, due } = head;
  const one = (contender) => found.get(`${runtime} ${id} ${contender.id}`);
  const all = id === "clock" ? clocks(runtime) : those(head).map(one);
  const measured = all.filter((each) => each !== undefined);
  if (measured.length === 0) return;
  const known = due === undefined ? [] : [{ contender: DUE, samples: [due] }];
  const series = [...known, ...measured].map(({ contender, samples, failed }) => ({
    contender: withVersion(contender), samples, failed: failed ?? null,
  }));
  say({ case: { id, title, unit, about, runtime, series } });
}

function clocks(runtime) {
  return CLOCKS.map((id) => {
    const series = found.get(`${runtime} ${id} `);
    return series && { ...series, contender: { id, name: `${id}()`, settings: "" } };
  });
}

function withVersion({ id, name, settings, package: from }) {
  return { id, name, settings, package: from ?? null, version: from ? lockedVersion(from) : null };
}

function reportWeight({ wasm, all }) {
  const one = (id, name, bytes) => ({
    contender: { id, name, settings: "", package: null }, samples: [bytes], failed: null,
  });
  say({ case: {
    id: "weight", title: "what a Worker ships", unit: "bytes", runtime: "workerd",
    about: "A Worker that uses the pool alone, minified by esbuild and compressed by gzip.",
    series: [one("wasm", "the wasm", wasm), one("all", "wasm and JavaScript", all)],
  } });
}


const versions = {};
for (const runtime of runtimes) versions[runtime] = await versionOf(runtime);
say({ runtimes: versions });
