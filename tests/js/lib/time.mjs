// Bounded waits: nothing in these tests may wait for ever.

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Lets two turns of the event loop pass: all that has reached this process is heard of then. */
export async function turns() {
  for (let left = 2; left > 0; left -= 1) await new Promise((done) => setImmediate(done));
}

/** Waits for `promise`, and fails after `ms` with a message that says what was awaited. */
export async function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`${what}: nothing after ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Calls `look` until it gives a value that is not undefined, null or false, for at most `ms`.
 * Gives that value, and the time that it took.
 */
export async function eventually(ms, what, look) {
  const start = performance.now();
  let seen;
  for (;;) {
    seen = await look();
    const took = Math.round(performance.now() - start);
    if (seen) return { seen, took };
    if (took > ms) throw new Error(`${what}: not so after ${took} ms`);
    await sleep(25);
  }
}

/** A generator of numbers in [0, 1) that is the same for the same seed (mulberry32). */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
