// The cases: each makes what it needs of a contender, and then does an operation as often as told.
//
// A contender lends (`acquire`, `release`, and some `tryAcquire`) or runs functions (`run`).

const nothing = () => undefined;

/** Every case; `prepare` gives what does it `n` times, and tells how often it was done. */
export const CASES = [
  {
    id: "warm", title: "acquire and release, warm", unit: "ns",
    about: "await acquire(), then release, by one caller: nobody waits, nothing is made.",
    prepare: (make) => warm(make(8, 10)),
  },
  {
    id: "sync", title: "tryAcquire and release, without a promise", unit: "ns",
    about: "For those that have it: a resource at once or nothing.",
    prepare: (make) => sync(make(8, 10)),
  },
  {
    id: "crowd", title: "64 callers on 8", unit: "ns",
    about: "Each goes round: acquire, a turn of the microtasks, release. A time is that of one "
      + "round of one caller.",
    prepare: (make) => crowd(make(8, 100)),
  },
  {
    id: "queue-10k", title: "10,000 waiters on 1", unit: "ns",
    about: "All come at once and are served one after the other, each by the one before. A time is "
      + "that of one of them, from its call to its release.",
    prepare: (make, size) => queue(make, size(10_000)),
  },
  {
    id: "queue-100k", title: "100,000 waiters on 1", unit: "ns",
    about: "The same with ten times as many.",
    prepare: (make, size) => queue(make, size(100_000)),
  },
  {
    id: "tenants-one", title: "one pool, chosen among one", unit: "ns",
    about: "acquire and release as above, of a pool that is looked up in an array.",
    prepare: (make) => tenants(make, () => 0),
  },
  {
    id: "tenants-10k", title: "10,000 pools at random", unit: "ns",
    about: "The same, and the next pool is another one: 10,000 pools of one resource each.",
    prepare: (make, size) => tenants(make, randomBelow(size(10_000))),
  },
];

/** Finds a case; a `small` one shows that it works at all. */
export function prepareCase(id, make, { small }) {
  const found = CASES.find((each) => each.id === id);
  const size = (most) => (small ? Math.min(most, 100) : most);
  return found.prepare(make, size);
}

async function warm(pool) {
  if (pool.run) {
    return async (n) => {
      for (let i = 0; i < n; i += 1) await pool.run(nothing);
      return n;
    };
  }
  await fill(pool, 8);
  return async (n) => {
    for (let i = 0; i < n; i += 1) pool.release(await pool.acquire());
    return n;
  };
}

/** Makes all that the pool may have. */
async function fill(pool, max) {
  const all = await Promise.all(Array.from({ length: max }, () => pool.acquire()));
  for (const held of all) pool.release(held);
  await Promise.resolve();
}

async function sync(pool) {
  if (!pool.tryAcquire) return undefined;
  await fill(pool, 8);
  return async (n) => {
    for (let i = 0; i < n; i += 1) pool.release(pool.tryAcquire());
    return n;
  };
}

async function crowd(pool) {
  const callers = 64;
  const goRound = pool.run ? runsRound : lendsRound;
  if (!pool.run) await fill(pool, 8);
  return async (n) => {
    const rounds = Math.ceil(n / callers);
    await Promise.all(Array.from({ length: callers }, () => goRound(pool, rounds)));
    return rounds * callers;
  };
}

async function lendsRound(pool, rounds) {
  for (let i = 0; i < rounds; i += 1) {
    const held = await pool.acquire();
    await undefined;
    pool.release(held);
  }
}

async function runsRound(pool, rounds) {
  const work = async () => {
    await undefined;
  };
  for (let i = 0; i < rounds; i += 1) await pool.run(work);
}

async function queue(make, waiters) {
  const pool = make(1, waiters);
  const burst = pool.run ? runsBurst : lendsBurst;
  if (!pool.run) await fill(pool, 1);
  return async (n) => {
    const bursts = Math.ceil(n / waiters);
    for (let i = 0; i < bursts; i += 1) await burst(pool, waiters);
    return bursts * waiters;
  };
}

async function lendsBurst(pool, waiters) {
  const held = await pool.acquire();
  const served = countdown(waiters);
  for (let i = 0; i < waiters; i += 1) void waitOnce(pool, served);
  pool.release(held);
  await served.all;
}

async function waitOnce(pool, served) {
  try {
    pool.release(await pool.acquire());
    served.one();
  } catch (error) {
    served.fail(error);
  }
}

async function runsBurst(pool, waiters) {
  let letGo;
  void pool.run(() => new Promise((resolve) => (letGo = resolve)));
  await Promise.resolve();
  const served = countdown(waiters);
  for (let i = 0; i < waiters; i += 1) void runOnce(pool, served);
  while (letGo === undefined) await undefined;
  letGo();
  await served.all;
}

async function runOnce(pool, served) {
  try {
    await pool.run(nothing);
    served.one();
  } catch (error) {
    served.fail(error);
  }
}

function countdown(count) {
  const counter = { left: count };
  counter.all = new Promise((resolve, reject) => {
    counter.one = () => {
      counter.left -= 1;
      if (counter.left === 0) resolve();
    };
    counter.fail = reject;
  });
  return counter;
}

async function tenants(make, next) {
  const chosen = Uint16Array.from({ length: 65_536 }, next);
  const most = chosen.reduce((a, b) => Math.max(a, b));
  const pools = Array.from({ length: 1 + most }, () => make(1, 10));
  for (const pool of pools) {
    if (pool.run) await pool.run(nothing);
    else await fill(pool, 1);
  }
  if (pools[0].run) {
    return async (n) => {
      for (let i = 0; i < n; i += 1) await pools[chosen[i & 65_535]].run(nothing);
      return n;
    };
  }
  return async (n) => {
    for (let i = 0; i < n; i += 1) {
      const pool = pools[chosen[i & 65_535]];
      pool.release(await pool.acquire());
    }
    return n;
  };
}

/** The same order in every run. */
export function randomBelow(count) {
  let state = 0x2545f491;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % count;
  };
}
