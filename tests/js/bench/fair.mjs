// Tenants that want more than there is: who waits for how long, and who is served how often.
//
// Who shares has a class `Sharing`, made of a number of connections and the tenants' weights; its
// `hold(tenant, work)` waits for a connection, does the work, and gives the connection back.

import { randomBelow } from "./cases.mjs";
import { fastestSlice } from "./measure.mjs";

/** How long a connection is held each time, in ms. */
const HOLD = 1;
/** How long the light tenant's callers rest between, in ms. */
const REST = 2;

const LIGHT = { weight: 1, callers: 4, rest: REST };
const LOUD = { weight: 1, callers: 400, rest: 0 };
const WEIGHTED = [1, 2, 4].map((weight) => ({ weight, callers: 70, rest: 0 }));
const total = WEIGHTED.reduce((sum, { weight }) => sum + weight, 0);

const BESIDE = "8 connections, each held for a millisecond at a time. A tenant of 400 callers asks "
  + "without a rest; the light one has 4 callers, who rest 2 ms between.";
const SERVED = "7 connections, each held for a millisecond at a time. Three tenants of the weights "
  + "1, 2 and 4 have 70 callers each, who ask without a rest. The upright line is what the weight "
  + "says.";

const HELD = "By one caller, as many connections as tenants, all weights the same: nobody waits.";
const IN_A_PROCESS = ["node", "deno", "bun"];

/**
 * The figures; `due` is what the weights say, where they say something. Those with a number of
 * `tenants` are measured as an operation done in a loop, and in workerd too.
 */
export const FAIR = [
  { id: "fair-p50", title: "a light tenant's wait beside a loud one, median", unit: "ms",
    about: BESIDE },
  { id: "fair-p99", title: "a light tenant's wait beside a loud one, 99th percentile", unit: "ms",
    about: BESIDE },
  ...WEIGHTED.map(({ weight }) => ({
    id: `fair-share-${weight}`, title: `served of the tenant of weight ${weight}`, unit: "%",
    about: SERVED, due: (100 * weight) / total,
  })),
  { id: "fair-jain", title: "Jain's index of what is served by weight", unit: "index", due: 1,
    about: "Of the same three: 1 if each is served as its weight says, a third if only one is served "
      + "at all." },
  { id: "fair-one", title: "a connection for a moment, for one tenant", unit: "ns", about: HELD,
    tenants: 1 },
  { id: "fair-10k", title: "the same for one of 10,000 tenants at random", unit: "ns", about: HELD,
    tenants: 10_000 },
  { id: "fair-alone", title: "connections that the tenant of weight 1 gets while the others rest",
    unit: "connections", about: "Of the same 7: what nobody else wants should not lie idle." },
].map((head) => (head.tenants === undefined ? { ...head, runtimes: IN_A_PROCESS } : head));

const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Gives what `measureHeld` does not, by the ids; the tenants ask for so many ms. */
export async function fairness(Sharing, lasts) {
  const [light] = await overload(Sharing, 8, [LIGHT, LOUD], lasts);
  const waits = await overload(Sharing, total, WEIGHTED, lasts);
  const served = waits.map(({ length }) => length);
  const all = served.reduce((sum, count) => sum + count, 0);
  const shares = WEIGHTED.map(({ weight }, at) => [`fair-share-${weight}`, (100 * served[at]) / all]);
  return {
    "fair-p50": percentile(light, 0.5),
    "fair-p99": percentile(light, 0.99),
    ...Object.fromEntries(shares),
    "fair-jain": jain(served.map((count, at) => count / WEIGHTED[at].weight)),
    "fair-alone": await alone(Sharing),
  };
}

/** Has tenants ask for connections, and gives the ms of each tenant's waits. */
async function overload(Sharing, size, tenants, lasts) {
  const sharing = new Sharing(size, tenants.map(({ weight }) => weight));
  const end = performance.now() + lasts;
  const waits = tenants.map(() => []);
  const callers = tenants.flatMap(({ callers, rest }, tenant) =>
    Array.from({ length: callers }, () => call(sharing, tenant, rest, end, waits[tenant])));
  await Promise.all(callers);
  await sharing.close?.();
  return waits;
}

async function call(sharing, tenant, rest, end, waits) {
  for (let isOver = false; !isOver; ) {
    const asked = performance.now();
    await sharing.hold(tenant, async () => {
      const got = performance.now();
      // Who is left then is let in one after the other, whoever has how much.
      isOver = got >= end;
      if (isOver) return;
      waits.push(got - asked);
      await later(HOLD);
    });
    if (rest > 0) await later(rest);
  }
}

/** Tells whether a figure is one of those that `measureHeld` gives. */
export function isHeld(id) {
  return FAIR.find((each) => each.id === id)?.tenants !== undefined;
}

/** Gives the ns for which a connection is had where nothing is done with it. */
export async function measureHeld(id, Sharing, plan) {
  const { tenants } = FAIR.find((each) => each.id === id);
  const sharing = new Sharing(tenants, Array.from({ length: tenants }, () => 1));
  const chosen = Uint16Array.from({ length: 65_536 }, randomBelow(tenants));
  const nothing = () => undefined;
  let at = 0;
  const act = async (n) => {
    for (let left = n; left > 0; left -= 1) {
      await sharing.hold(chosen[at], nothing);
      at = (at + 1) & 65_535;
    }
    return n;
  };
  const ns = await fastestSlice(act, plan);
  await sharing.close?.();
  return ns;
}

/** Counts the connections that the first tenant gets at once. */
async function alone(Sharing) {
  const sharing = new Sharing(total, WEIGHTED.map(({ weight }) => weight));
  let held = 0;
  let letGo;
  const over = new Promise((resolve) => (letGo = resolve));
  const holds = Array.from({ length: total }, () => sharing.hold(0, async () => {
    held += 1;
    await over;
  }));
  await later(20);
  const seen = held;
  letGo();
  await Promise.all(holds);
  await sharing.close?.();
  return seen;
}

/** Gives the nearest rank; 0 if nobody was served. */
export function percentile(values, part) {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(Math.ceil(part * sorted.length), 1) - 1] ?? 0;
}

/** Tells how even some figures are: 1 if they are the same, one by their number if all but one are 0. */
export function jain(figures) {
  const sum = figures.reduce((total, each) => total + each, 0);
  const squares = figures.reduce((total, each) => total + each * each, 0);
  return (sum * sum) / (figures.length * squares);
}
