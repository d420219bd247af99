// What the cases use: asserts without a framework, as they run where none does, and a clock.

/** What a failed assertion throws. */
export class Failure extends Error {}

export const t = {
  ok(value, what = "expected a true value") {
    if (!value) throw new Failure(what);
  },
  equal(actual, expected, what = "values differ") {
    const [left, right] = [JSON.stringify(actual), JSON.stringify(expected)];
    if (left !== right) throw new Failure(`${what}: got ${left}, expected ${right}`);
  },
  /** Waits for a promise to reject, and gives what it rejected with. */
  async rejects(promise, check = {}) {
    let error;
    try {
      await promise;
    } catch (caught) {
      error = caught;
    }
    if (error === undefined) throw new Failure("expected a rejection");
    for (const [key, value] of Object.entries(check)) t.equal(error[key], value, `error.${key}`);
    return error;
  },
  throws(run, pattern) {
    try {
      run();
    } catch (error) {
      t.ok(error instanceof TypeError, `expected a TypeError, got ${error}`);
      t.ok(pattern.test(error.message), `${error.message} does not match ${pattern}`);
      return;
    }
    throw new Failure(`expected a TypeError that matches ${pattern}`);
  },
  /** Fails unless the pool accounts for all that it has done, and holds no more than `most`. */
  adds(stats, most = stats.max) {
    const sum = (names) => names.split(" ").reduce((total, name) => total + stats[name], 0);
    const same = (left, right) => {
      t.equal(sum(left), sum(right), `${left} is not ${right} in ${JSON.stringify(stats)}`);
    };
    same("started", "direct waited timedOut cancelled failed refused closed missed pending");
    same("size", "creating idle checking offered inUse resetting retired closing");
    same("creations", "created createFailed createAbandoned creating");
    same("direct waited batched adopted", "released discarded taken expired inUse");
    same("created adopted late creating", "removed taken size");
    t.ok(stats.size <= most, `size ${stats.size} is over ${most}`);
  },
};

/** Lets every promise that is ready run its course. */
export async function settle() {
  for (let turn = 0; turn < 50; turn += 1) await null;
}

/** Tells whether a promise is settled, after all that is ready has run. */
export async function state(promise) {
  let seen = "pending";
  promise.then(
    () => (seen = "fulfilled"),
    () => (seen = "rejected"),
  );
  await settle();
  return seen;
}

/** A clock for a pool that stands still until it is told to go on. */
export class FakeClock {
  time;
  timers = new Map();
  #next = 1;

  constructor(start = 0) {
    this.time = start;
  }

  now = () => this.time;

  setTimer = (fire, delay) => {
    const id = this.#next++;
    this.timers.set(id, { at: this.time + delay, fire });
    return id;
  };

  clearTimer = (id) => {
    this.timers.delete(id);
  };

  /** Goes on by `ms`, firing what is due in order, each with its promises. */
  async advance(ms) {
    await settle();
    const end = this.time + ms;
    for (;;) {
      let next;
      for (const [id, timer] of this.timers) {
        if (timer.at <= end && (next === undefined || timer.at < next[1].at)) next = [id, timer];
      }
      if (next === undefined) break;
      this.timers.delete(next[0]);
      this.time = Math.max(this.time, next[1].at);
      next[1].fire();
      await settle();
    }
    this.time = end;
    await settle();
  }
}

/** Lets time pass until a promise settles, or so much has passed. */
export async function settled(clock, promise, step = 1, limit = 100_000) {
  let done = false;
  promise.then(() => (done = true), () => (done = true));
  await settle();
  for (let passed = 0; !done && passed < limit; passed += step) await clock.advance(step);
  return promise;
}

/** Such a clock with timers as in Node, which keep the process going or not. */
export class RefClock extends FakeClock {
  #handles = new Map();

  constructor(start) {
    super(start);
    const { setTimer, clearTimer } = this;
    this.setTimer = (fire, delay) => {
      const handle = { keeps: true, ref: () => (handle.keeps = true) };
      handle.unref = () => (handle.keeps = false);
      handle.id = setTimer(fire, delay);
      this.#handles.set(handle.id, handle);
      return handle;
    };
    this.clearTimer = (handle) => clearTimer(handle?.id);
  }

  /** Whether a timer that is set keeps the process going. */
  get keeps() {
    return [...this.timers.keys()].some((id) => this.#handles.get(id).keeps);
  }
}

/** A promise with its two ends in the open. */
export function deferred() {
  const ends = {};
  ends.promise = new Promise((resolve, reject) => Object.assign(ends, { resolve, reject }));
  return ends;
}

/** Counts the listeners that are left on a signal. */
export function countListeners(signal) {
  const counts = { now: 0, most: 0 };
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args) => {
    counts.most = Math.max(counts.most, ++counts.now);
    add(...args);
  };
  signal.removeEventListener = (...args) => {
    counts.now -= 1;
    remove(...args);
  };
  return counts;
}

/** The modes in which a pool does the same on a clock of its own. */
export const MODES = ["process", "edge"];

/** The modes in which a pool looks after itself while nobody calls it: by a timer, or by alarms. */
export const UNATTENDED = ["process", "durable-object"];

/** Makes what runs a case in each mode; a failure says in which. */
export function each(run, modes = MODES) {
  return async (t) => {
    for (const mode of modes) {
      try {
        await run(t, mode);
      } catch (error) {
        if (error instanceof Error) error.message = `in ${mode} mode: ${error.message}`;
        throw error;
      }
    }
  };
}

/** Makes numbers from 0 up to 1 that are the same for the same seed (mulberry32). */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** How long a case may take; one that waits for what never comes must not stop the others. */
const LIMIT = 60_000;

async function runInTime(run) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Failure(`it did not end in ${LIMIT} ms`)), LIMIT);
  });
  try {
    await Promise.race([run(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs the cases one after the other, tells of each, and counts. */
export async function runAll(cases, say) {
  let passed = 0;
  let failed = 0;
  for (const { name, run } of cases) {
    try {
      await runInTime(async () => run(t));
      passed += 1;
      say(`ok    ${name}`);
    } catch (error) {
      failed += 1;
      const where = error instanceof Failure ? "" : `\n${error?.stack}`;
      say(`FAIL  ${name}\n      ${error?.message ?? error}${where}`);
    }
  }
  return { passed, failed };
}
