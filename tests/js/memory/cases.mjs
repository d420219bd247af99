// What must leave no trace in memory, however often it is done. Each case is run in portions,
// between which the heap and the module's memory are measured.
import { Pool } from "edgepool";

/** A clock that stands still until it is told to go on. */
class HandClock {
  time = 0;
  timers = new Map();
  #last = 0;

  now = () => this.time;

  setTimer = (fire, delay) => {
    this.#last += 1;
    this.timers.set(this.#last, { at: this.time + delay, fire });
    return this.#last;
  };

  clearTimer = (id) => void this.timers.delete(id);

  /** Goes on by `ms`, and fires what is due by then. */
  async pass(ms) {
    this.time += ms;
    // What fires may set more, which is for later.
    const due = [...this.timers].filter(([, { at }]) => at <= this.time);
    for (const [id, { fire }] of due) if (this.timers.delete(id)) fire();
    for (let ready = 0; ready < 20; ready += 1) await null;
  }
}

/** Lets all that is ready run, and the runtime look after its own things. */
export const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

const made = { create: () => ({}), minIdle: 0 };

/** Lends what there is, again and again, a few to callers who wait. */
function cycles() {
  const pool = new Pool({ ...made, max: 4 });
  const work = async (count) => {
    for (let left = count; left > 0; left -= 1) (await pool.acquire()).release();
  };
  return { work: (count) => Promise.all(Array.from({ length: 8 }, () => work(count / 8))), pool };
}

/** Queues all at once, and serves them one after the other. */
function waiters() {
  const pool = new Pool({ ...made, max: 1, maxWaiting: 500_000 });
  const one = () => pool.acquire({ timeout: Infinity }).then((lease) => void lease.release());
  return { work: (count) => Promise.all(Array.from({ length: count }, one)), pool };
}

const expected = (code) => (error) => {
  if (error?.code !== code && error !== code) throw error;
};

/** Queues all at once, and lets their time pass. */
function timedOut() {
  const clock = new HandClock();
  const pool = new Pool({ ...made, max: 1, maxWaiting: 500_000, clock });
  const work = async (count) => {
    const held = await pool.acquire();
    const one = () => pool.acquire({ timeout: 10 }).catch(expected("acquire_timeout"));
    const all = Array.from({ length: count }, one);
    await clock.pass(20);
    await Promise.all(all);
    held.release();
  };
  return { work, pool };
}

/** Queues all at once, each with a signal of its own, and aborts. */
function aborted() {
  const pool = new Pool({ ...made, max: 1, maxWaiting: 500_000 });
  const work = async (count) => {
    const held = await pool.acquire();
    const signals = Array.from({ length: count }, () => new AbortController());
    const one = ({ signal }) => pool.acquire({ signal }).catch(expected("enough"));
    const all = signals.map(one);
    for (const controller of signals) controller.abort("enough");
    await Promise.all(all);
    held.release();
  };
  return { work, pool };
}

/** Requests that are cut off: nobody claims the offer, or releases the lease. */
function abandoned() {
  const clock = new HandClock();
  const limits = { max: 100, maxWaiting: 9_000, leaseTtl: 50, heartbeat: 10, offerTimeout: 10 };
  const pool = new Pool({ ...made, ...limits, mode: "edge", clock });
  const work = async (count) => {
    for (let left = count; left > 0; left -= 200) {
      // Half of them get a lease, and the timers of the others are gone with their requests.
      for (let number = 0; number < 200; number += 1) pool.acquire().catch(() => undefined);
      await null;
      clock.timers.clear();
      for (let past = 0; past < 20; past += 1) await clock.pass(2_000).then(() => pool.stats());
    }
  };
  return { work, pool };
}

/** Resources that are made, lent once, and closed. */
function discarded() {
  const pool = new Pool({ ...made, max: 4, close: () => Promise.resolve() });
  const work = async (count) => {
    for (let left = count; left > 0; left -= 1) (await pool.acquire()).discard();
    await turn();
  };
  return { work, pool };
}

/** Pools that are used, closed and forgotten. */
function closedPools() {
  const work = async (count) => {
    for (let left = count; left > 0; left -= 1) {
      const pool = new Pool({ ...made, max: 2 });
      (await pool.acquire()).release();
      await pool.close();
    }
  };
  return { work };
}

/** Pools that are used and forgotten. */
function droppedPools() {
  const work = async (count) => {
    for (let left = count; left > 0; left -= 1) {
      const pool = new Pool({ ...made, max: 2 });
      (await pool.acquire()).release();
    }
    await turn();
  };
  return { work };
}

/**
 * What a pool may leave, in bytes: its number, which is not used again, and its share in those that
 * the runtime has not collected yet. One that stays has 4 kB of the module's memory.
 */
const LEFT = 400;
const POOLS = { long: [50_000, 5_000], short: [5_000, 500] };

/**
 * The cases: how often in all, and between two measurements, in the long run and in the short. What
 * needs most memory at once comes last, as the module keeps it.
 */
export const CASES = [
  { name: "leases", make: cycles, long: [1_000_000, 50_000], short: [200_000, 20_000] },
  { name: "resources discarded", make: discarded, long: [500_000, 50_000], short: [50_000, 5_000] },
  { name: "requests cut off", make: abandoned, long: [20_000, 2_000], short: [4_000, 400] },
  { name: "pools closed", make: closedPools, left: LEFT, ...POOLS },
  { name: "pools dropped", make: droppedPools, left: LEFT, ...POOLS },
  { name: "waiters aborted", make: aborted, long: [200_000, 20_000], short: [20_000, 2_000] },
  { name: "waiters timed out", make: timedOut, long: [500_000, 50_000], short: [50_000, 5_000] },
  { name: "waiters", make: waiters, long: [1_000_000, 100_000], short: [100_000, 10_000] },
];
