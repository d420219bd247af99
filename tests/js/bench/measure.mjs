// Measures one case of one contender, wherever this runs.

import { prepareCase } from "./cases.mjs";

/**
 * The time that this process has been given by the processors, in ms: others may share them. Its
 * helpers count, such as those that collect garbage. A Worker is told by another process.
 */
const processorTime = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};

/** Warms a case up and gives the ns of one operation; `undefined` if the contender has no such. */
export async function measureCase(id, Contender, plan) {
  const made = [];
  const make = (max, maxWaiting) => {
    const pool = new Contender(max, maxWaiting);
    made.push(pool);
    return pool;
  };
  const act = await prepareCase(id, make, plan);
  return act === undefined ? undefined : fastestSlice(act, plan);
}

/** How long an operation takes in the fastest slice. */
export async function fastestSlice(act, { slice, warm, budget, now = processorTime }) {
  const reading = await costOf(now);
  const timed = async (n) => {
    const start = await now();
    const done = await act(n);
    return { ms: Math.max((await now()) - start - reading, 0), done };
  };
  let n = 16;
  let took = 0;
  for (let spent = 0; spent < warm; spent += took) {
    took = (await timed(n)).ms;
    if (took < slice) n *= 2;
  }
  n = Math.max(1, Math.round((n * slice) / Math.max(took, 1e-3 * slice)));
  let best = Infinity;
  for (let spent = 0; spent < budget; ) {
    const { ms, done } = await timed(n);
    best = Math.min(best, (ms * 1e6) / done);
    spent += Math.max(ms, slice / 10);
  }
  return best;
}

async function costOf(now) {
  let least = Infinity;
  for (let i = 0; i < 5; i += 1) {
    const start = await now();
    least = Math.min(least, (await now()) - start);
  }
  return least;
}

/** Measures what one reading of a clock takes. */
export async function measureClock(name, plan) {
  // Node makes the global anew behind a getter, which would be part of what is measured.
  const { performance } = globalThis;
  const read = name === "performance.now" ? () => performance.now() : () => Date.now();
  let seen = 0;
  const act = async (n) => {
    for (let i = 0; i < n; i += 1) seen += read();
    return n;
  };
  const each = await fastestSlice(act, plan);
  if (!(seen > 0)) throw new Error("the clock stands still");
  return each;
}

/** Times the first pool of a process: the wasm of those who have one is made here. */
export async function firstPool(Contender) {
  const pool = new Contender(1, 10);
  if (pool.run) await pool.run(() => undefined);
  else pool.release(await pool.acquire());
}
