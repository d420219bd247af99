// Chaos: 1,000 requests on 4 places, a third of them cut off, and a wasm trap in the midst.
import assert from "node:assert/strict";
import { eventually, seeded, sleep, within } from "../../lib/time.mjs";
import { cut, HOWS, open, poolAt, text } from "./client.mjs";

const REQUESTS = 1_000;
const CUTS = 333;
const PLACES = 4;
const TTL = 6_000;
const CHUNKS = 3;
/** The requests come within this time, in ms, which is shorter than what they take. */
const SPREAD = 2_000;
/** How long the origin thinks before its headers, and between chunks, in ms. */
const THINKS = 8;
const POINTS = ["queued", "before headers", "mid-stream"];

/** What becomes of each request: `undefined` lives, the others say when and how they are cut. */
function plans(random) {
  const all = Array.from({ length: REQUESTS }, (_, i) =>
    i < CUTS ? { point: POINTS[i % 3], how: HOWS[i % 2] } : undefined);
  for (let i = all.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [all[i], all[j]] = [all[j], all[i]];
  }
  return all;
}

/** One run: the Worker's pool, what the origin hears, and what has become of the requests. */
class Chaos {
  counts = { served: 0, retried: 0, cut: 0, tooLate: 0 };
  points = {};
  #pool;
  #arrivals = new Map();

  constructor(pool, origin) {
    this.#pool = pool;
    origin.heard = (id) => this.#arrival(id).arrive();
  }

  #arrival(id) {
    if (!this.#arrivals.has(id)) {
      const entry = { done: false };
      entry.seen = new Promise((resolve) => {
        entry.arrive = () => {
          entry.done = true;
          resolve();
        };
      });
      this.#arrivals.set(id, entry);
    }
    return this.#arrivals.get(id);
  }

  /** `clock` bounds a silent body, which one that is cut by FIN may be to its consumer. */
  #address(id, clock) {
    const path = `/stream?chunks=${CHUNKS}&ms=${THINKS}&headersMs=${THINKS}&id=${id}`;
    return this.#pool.address("/stream", { path, clock });
  }

  async live(id) {
    for (;;) {
      const address = this.#address(id, 30_000);
      const response = await fetch(address, { signal: AbortSignal.timeout(200_000) });
      const body = await response.text();
      if (response.status === 503 && body === "core_reset") {
        this.counts.retried += 1;
        continue;
      }
      assert.equal(response.status, 200, `request ${id}: ${body}`);
      assert.ok(body.endsWith(`chunk ${CHUNKS - 1}\nplain`), `request ${id}: ${body}`);
      this.counts.served += 1;
      return;
    }
  }

  async dead(id, plan, roll) {
    const { point, how } = plan;
    const raw = open(this.#address(id, 400));
    const arrival = this.#arrival(id);
    await within(200_000, `${point} of request ${id}`, this.#moment(raw, arrival, point, roll));
    if (raw.received.endsWith("core_reset")) {
      this.counts.retried += 1;
      return this.dead(id, plan, roll);
    }
    if (raw.over || raw.received.includes("plain")) {
      this.counts.tooLate += 1;
      return raw.reset();
    }
    const at = raw.received.includes("chunk") ? POINTS[2] : POINTS[Number(arrival.done)];
    this.counts.cut += 1;
    this.points[`${at} ${how}`] = (this.points[`${at} ${how}`] ?? 0) + 1;
    return cut(raw, how);
  }

  #moment(raw, arrival, point, roll) {
    if (point === "queued") return sleep(roll * 600);
    if (point === "mid-stream") return raw.until(() => raw.received.includes("chunk 0"), 200_000);
    // A waiter that a trap ends never reaches the origin.
    return Promise.race([arrival.seen.then(() => sleep((roll * THINKS) / 2)), raw.closed]);
  }
}

/** Runs one seed against one Worker, and gives its figures. */
export async function chaos({ at, origin }, { seed, trap = false }) {
  const random = seeded(seed);
  const name = `chaos-${seed}-${trap}`;
  const pool = poolAt(at, name, { max: PLACES, ttl: TTL, acquireTimeout: 200_000 });
  await eventually(30_000, "the origin is at rest", () => origin.now === 0);
  origin.peak = 0;
  const run = new Chaos(pool, origin);
  const started = performance.now();
  const one = async (plan, id) => {
    const [start, roll] = [random() * SPREAD, random()];
    await sleep(start);
    await (plan === undefined ? run.live(id) : run.dead(id, plan, roll));
  };
  const trapped = trap ? trapAmidst(at, run) : undefined;
  await Promise.all([...plans(random).map(one), trapped]);
  const took = Math.round(performance.now() - started);
  const rested = performance.now();
  const stats = await pool.until({ inUse: 0, waiting: 0, offered: 0 }, 30_000);
  const rest = Math.round(performance.now() - rested);
  const { peak } = origin;
  await pool.text("/end");
  await everyPlaceIsThere(pool, origin);
  return { ...run.counts, points: run.points, peak, took, rest, stats };
}

/** Ruins the wasm memory when a third of the requests have been served. */
async function trapAmidst(at, run) {
  const third = () => run.counts.served >= (REQUESTS - CUTS) / 3;
  await eventually(200_000, "a third of the requests is served", third);
  await text(`${at}/trap`);
}

async function everyPlaceIsThere(pool, origin) {
  await eventually(30_000, "the origin is at rest", () => origin.now === 0);
  origin.peak = 0;
  const path = "/stream?chunks=2&ms=20";
  await Promise.all(Array.from({ length: 20 }, () => pool.text("/stream", { path })));
  assert.equal(origin.peak, PLACES, "as many at once as before");
}

/** Checks what a run must give; the figures are in the message of a failure as well. */
export function judge(figures, { trap = false } = {}) {
  const text = JSON.stringify(figures);
  assert.equal(figures.served, REQUESTS - CUTS, `every live request is served: ${text}`);
  assert.ok(figures.peak <= PLACES, `the origin saw ${figures.peak} at once: ${text}`);
  assert.ok(figures.cut >= CUTS * 0.9, `cut in time: ${text}`);
  for (const point of POINTS) {
    for (const how of HOWS) assert.ok(figures.points[`${point} ${how}`] > 0, `${point}, ${how}`);
  }
  if (trap) assert.equal(figures.stats.restarts, 1, `the instance was replaced once: ${text}`);
}

/** One line of figures. */
export function tell({ served, cut: cuts, tooLate, retried, peak, took, rest, points }) {
  const where = Object.entries(points).map(([point, n]) => `${point} ${n}`).sort().join(", ");
  return `served ${served}, cut ${cuts} (${where}), too late to cut ${tooLate}, ` +
    `retried after the trap ${retried}, peak ${peak} of ${PLACES}, ` +
    `${took} ms, at rest after ${rest}`;
}

/** The line that runs one seed again. */
export function replay(seed, label) {
  const where = "tests/js/conformance/workerd/run.mjs";
  return `node ${where} chaos --seed=${seed} --configuration="${label}"`;
}

/** The cases of the whole run; each says its seed, and how to run it again. */
export function chaosCases(seed) {
  const one = (name, trap) => ({
    name,
    async run(worker) {
      try {
        const figures = await chaos(worker, { seed, trap });
        judge(figures, { trap });
        return `seed ${seed}: ${tell(figures)}`;
      } catch (error) {
        const again = replay(seed, worker.configuration.label);
        throw new Error(`${error.message}\nseed ${seed}, again: ${again}`, { cause: error });
      }
    },
  });
  return [
    one("every_live_request_is_served_in_chaos", false),
    one("every_live_request_is_served_in_chaos_with_a_trap", true),
  ];
}
