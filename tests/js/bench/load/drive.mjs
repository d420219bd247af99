// Sends requests at times that are drawn beforehand, whatever becomes of those before (an open
// loop), and tells what became of them in a window after the warm-up.

import { performance } from "node:perf_hooks";

const PROMPT = JSON.stringify({
  model: "simulator", stream: true, messages: [{ role: "user", content: "How is the weather?" }],
});

/** A splitmix32 generator of numbers from 0 to 1. */
function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return ((z ^ (z >>> 16)) >>> 0) / 2 ** 32;
  };
}

/** Draws the times of arrivals, in ms: so many a second on average, each independent of others. */
function arrivals(rate, until, seed) {
  const random = seeded(seed);
  const times = [];
  for (let time = 0; ; ) {
    time -= (Math.log(1 - random()) * 1_000) / rate;
    if (time >= until) return times;
    times.push(time);
  }
}

/** How much longer than the window requests come, in ms: it may begin late on a busy machine. */
const LONGER = 5_000;

/** Runs the load of a plan through `send`, and gives its figures. */
export async function drive(plan, send) {
  const { warmMs, windowMs, patienceMs, rate, seed } = plan;
  const times = arrivals(rate, warmMs + windowMs + LONGER, seed);
  const tally = new Tally();
  const start = performance.now() + 20;
  const warmed = sleepUntil(start + warmMs).then(() => backend(plan, "reset"));
  launchAll(times, start, (at) => tally.follow(at, (read) => {
    const signal = AbortSignal.timeout(patienceMs);
    const headers = { "content-type": "application/json" };
    return send({ init: { method: "POST", headers, body: PROMPT, signal }, read });
  }));
  const learning = await warmed;
  await sleepUntil(tally.begin() + windowMs);
  const window = tally.end();
  return { ...window, ...told(await backend(plan, "stats"), window), ...learnt(learning) };
}

/** Launches each at its time. The process ends before those that come after the window. */
function launchAll(times, start, launch) {
  let next = 0;
  const tick = () => {
    const now = performance.now();
    while (next < times.length && start + times[next] <= now) {
      launch(start + times[next]);
      next += 1;
    }
    if (next < times.length) setTimeout(tick, start + times[next] - now);
  };
  tick();
}

const sleepUntil = (time) =>
  new Promise((done) => setTimeout(done, Math.max(0, time - performance.now())));

/** Asks the backend for its counts; with `reset` they begin anew. */
async function backend({ backend }, what) {
  const stats = await (await fetch(`${backend}/_sim/stats`)).json();
  if (what === "reset") await fetch(`${backend}/_sim/reset`, { method: "POST" });
  return stats;
}

const learnt = ({ refused }) => ({ refusedWarm: refused });

function told({ refused, peak, completed, cancelled, held_us: held, max }, { answered, seconds }) {
  const each = completed > 0 ? held / completed / 1e6 : 0;
  return {
    refused: refused / seconds, peak, cut: cancelled / seconds, heldMs: each * 1_000,
    // The part of its places' time that it worked for answers that their callers have had whole.
    share: (100 * answered * each) / (max * seconds),
  };
}

/** Counts what became of calls between `begin` and `end`. */
class Tally {
  counts = { arrived: 0, answered: 0, turnedAway: 0, gaveUp: 0, failed: 0 };
  latencies = [];
  firsts = [];
  /** How late requests were sent. */
  delays = [];
  reasons = new Map();
  open = false;

  begin() {
    this.open = true;
    this.since = performance.now();
    return this.since;
  }

  /** Follows one call that was due `at`; `send` is given what reads an answer. */
  async follow(at, send) {
    if (this.open) {
      this.counts.arrived += 1;
      this.delays.push(performance.now() - at);
    }
    let first;
    let status;
    let text = "";
    const read = async (response) => {
      ({ status } = response);
      for await (const piece of response.body) {
        first ??= performance.now();
        if (status >= 400) text += Buffer.from(piece);
      }
    };
    try {
      await send(read);
      this.ended(OUTCOMES[status] ?? "failed", at, first, `status ${status}: ${text}`);
    } catch (error) {
      this.ended(kindOf(error), at, first, String(error.cause ?? error));
    }
  }

  ended(how, at, first, reason) {
    if (!this.open) return;
    this.counts[how] += 1;
    if (how === "answered") {
      this.latencies.push(performance.now() - at);
      this.firsts.push(first - at);
    } else {
      // One of a kind is enough: figures and places differ in each.
      const short = reason.replace(/\b\d+(\.\d+)?/g, "#").slice(0, 160);
      this.reasons.set(short, (this.reasons.get(short) ?? 0) + 1);
    }
  }

  end() {
    this.open = false;
    const seconds = (performance.now() - this.since) / 1_000;
    const { arrived, answered, ...errors } = this.counts;
    const part = (count) => (100 * count) / Math.max(arrived, 1);
    const figures = { seconds, answered, goodput: answered / seconds };
    for (const [name, count] of Object.entries(errors)) figures[name] = part(count);
    return {
      ...figures,
      latencyP50: quantile(this.latencies, 0.5), latencyP99: quantile(this.latencies, 0.99),
      firstP50: quantile(this.firsts, 0.5), firstP99: quantile(this.firsts, 0.99),
      late: quantile(this.delays, 0.9), reasons: Object.fromEntries(this.reasons),
    };
  }
}

/** What a status says, be it of the backend or of a pool in front of it. */
const OUTCOMES = { 200: "answered", 429: "turnedAway", 503: "turnedAway" };

function kindOf(error) {
  if (error.name === "TimeoutError" || error.name === "AbortError") return "gaveUp";
  // What a pool says of itself has a code of its own.
  return ["queue_full", "acquire_timeout"].includes(error.code) ? "turnedAway" : "failed";
}

/** Returns the figure of the nearest rank; `null` of none. */
function quantile(figures, part) {
  if (figures.length === 0) return null;
  const sorted = Float64Array.from(figures).sort();
  return sorted[Math.ceil(part * sorted.length) - 1];
}
