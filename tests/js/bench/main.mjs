// Measures one contender in this process, and prints a JSON line for each figure:
//   main.mjs CONTENDER PLAN      (run.mjs starts it in Node, Deno and Bun)

import { fairness, isHeld, measureHeld } from "./fair.mjs";
import { firstPool, measureCase, measureClock } from "./measure.mjs";

const { performance } = globalThis;
const [module, text] = process.argv.slice(2);
const plan = JSON.parse(text);
const say = (id, value) => console.log(JSON.stringify({ id, value }));
const fail = (id, error) => console.log(JSON.stringify({ id, failed: String(error) }));
const wasm = watchModules();

const start = performance.now();
const { Contender, Sharing } = await import(`./contenders/${module}.mjs`);
if (Sharing) await shareFairly();
const imported = performance.now();
await firstPool(Contender);
const made = performance.now();
if (plan.cases.includes("cold")) say("cold", made - start);
if (plan.cases.includes("first-pool")) say("first-pool", made - imported);
if (plan.cases.includes("instance") && wasm.took > 0) say("instance", wasm.took);
for (const id of plan.measured) await attempt(id, () => measureCase(id, Contender, plan));
for (const name of plan.clocks) await attempt(name, () => measureClock(name, plan));
if (plan.cases.includes("bytes")) {
  await attempt("bytes", () => waiterBytes(plan.small ? 100 : 100_000));
}
process.exit(0);

async function shareFairly() {
  const others = plan.cases.filter((id) => !isHeld(id));
  const figures = others.length > 0 ? await fairness(Sharing, plan.lasts) : {};
  for (const id of others) say(id, figures[id]);
  for (const id of plan.cases.filter(isHeld)) {
    await attempt(id, () => measureHeld(id, Sharing, plan));
  }
  process.exit(0);
}

async function attempt(id, measure) {
  try {
    const value = await measure();
    if (value !== undefined) say(id, value);
  } catch (error) {
    fail(id, error);
  }
}

/** Counts the bytes that each of many waiters takes, in the heap and in the memory of wasm. */
async function waiterBytes(count) {
  const pool = new Contender(1, count);
  const wait = pool.run ? () => pool.run(() => undefined) : () => pool.acquire();
  let letGo;
  if (pool.run) void pool.run(() => new Promise((resolve) => (letGo = resolve)));
  else await pool.acquire();
  const waits = new Array(count).fill(undefined);
  const before = bytes();
  for (let i = 0; i < count; i += 1) waits[i] = wait();
  const after = bytes();
  if (waits.length !== count || letGo === null) throw new Error("the waits are gone");
  return (after - before) / count;
}

function bytes() {
  globalThis.gc();
  globalThis.gc();
  const inWasm = wasm.memories.reduce((sum, memory) => sum + memory.buffer.byteLength, 0);
  return process.memoryUsage().heapUsed + inWasm;
}

/**
 * Gathers the memories of the modules that are made from now on, which no heap counts, and how long
 * it took to compile and to instantiate them, in ms.
 */
function watchModules() {
  const seen = { memories: [], took: 0 };
  const { Instance, Module } = WebAssembly;
  const timed = (make) => {
    const start = performance.now();
    const made = make();
    seen.took += performance.now() - start;
    return made;
  };
  WebAssembly.Module = function (...args) {
    return timed(() => new Module(...args));
  };
  WebAssembly.Module.prototype = Module.prototype;
  WebAssembly.Instance = function (...args) {
    const instance = timed(() => new Instance(...args));
    const isMemory = (each) => each instanceof WebAssembly.Memory;
    seen.memories.push(...Object.values(instance.exports).filter(isMemory));
    return instance;
  };
  WebAssembly.Instance.prototype = Instance.prototype;
  return seen;
}
