// Measures the cases in the runtime that runs this: prints a line of JSON for each, and RESULT.
// The last argument is `long` or `short`.

const seen = { memory: undefined };
const { Instance } = WebAssembly;
WebAssembly.Instance = function (module, imports) {
  const { exports } = new Instance(module, imports);
  if ("pool_open" in exports) seen.memory = exports.memory;
  return { exports };
};

// Only now, as the package may keep what it finds.
const { CASES, turn } = await import("./cases.mjs");

/** How the runtime collects its garbage, and tells how much is left. */
async function meter() {
  const { Deno, process, performance, gc } = globalThis;
  if ("Bun" in globalThis) {
    const { heapStats } = await import("bun:jsc");
    return { collect: () => globalThis.Bun.gc(true), heap: () => heapStats().heapSize };
  }
  if (Deno !== undefined) return { collect: gc, heap: () => Deno.memoryUsage().heapUsed };
  if (process !== undefined) return { collect: gc, heap: () => process.memoryUsage().heapUsed };
  return { collect: gc, heap: () => performance.memory.usedJSHeapSize };
}

const { collect, heap } = await meter();

async function measure(at) {
  // What is finalised after one collection is gone with the next.
  for (let time = 0; time < 3; time += 1) {
    await turn();
    collect();
  }
  await turn();
  return { at, heap: heap(), wasm: seen.memory?.buffer.byteLength ?? 0 };
}

async function run({ name, make, left = 0, [kind()]: [total, every] }) {
  const one = make();
  await one.work(every);
  const points = [await measure(0)];
  for (let done = every; done <= total; done += every) {
    await one.work(every);
    points.push(await measure(done));
  }
  await one.pool?.close({ deadline: 1_000 });
  return { name, left: left * total, points };
}

function kind() {
  const given = globalThis.EDGEPOOL_KIND ?? globalThis.process?.argv.at(-1);
  return given === "long" ? "long" : "short";
}

/** Runs all, and gives each line to `say`. */
export async function main(say) {
  for (const one of CASES) say(JSON.stringify(await run(one)));
  say(`RESULT ${CASES.length} 0`);
}

if (globalThis.process !== undefined) await main((line) => console.log(line));
