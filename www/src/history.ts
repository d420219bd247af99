import { BUCKETS, type Percentiles, bucketOf, percentiles } from "./histogram.js";
import { type Columns, HISTORY_SECONDS } from "./wire.js";

/** What of a pool is a level, not a count. */
export interface Gauges {
  inUse: number;
  waiting: number;
}

type Count = "completed" | "refused" | "errors";
type Duration = "wait" | "latency";

/**
 * The last five minutes, in samples of a second. It has no timer: whoever writes or reads moves it
 * on, and seconds in which nothing happened keep the levels that were left.
 */
export class HistoryRing {
  private readonly levels = {
    inUse: new Uint32Array(HISTORY_SECONDS),
    waiting: new Uint32Array(HISTORY_SECONDS),
  };
  private readonly counts = {
    completed: new Uint32Array(HISTORY_SECONDS),
    refused: new Uint32Array(HISTORY_SECONDS),
    errors: new Uint32Array(HISTORY_SECONDS),
  };
  private readonly durations = {
    wait: new Uint32Array(HISTORY_SECONDS * BUCKETS),
    latency: new Uint32Array(HISTORY_SECONDS * BUCKETS),
  };
  private last: Gauges = { inUse: 0, waiting: 0 };
  /** The newest second, and the first that there is. */
  private second: number;
  private readonly first: number;

  constructor(second: number) {
    this.second = second;
    this.first = second;
  }

  /** Moves on to a second, and notes the levels now. A clock that steps back is not followed. */
  advance(second: number, now: Gauges): void {
    const from = Math.max(this.second + 1, second - HISTORY_SECONDS + 1);
    for (let next = from; next <= second; next += 1) this.begin(next % HISTORY_SECONDS);
    this.second = Math.max(this.second, second);
    const slot = this.slot;
    for (const level of ["inUse", "waiting"] as const) {
      this.levels[level][slot] = Math.max(this.levels[level][slot] as number, now[level]);
    }
    this.last = now;
  }

  private get slot(): number {
    return this.second % HISTORY_SECONDS;
  }

  private begin(slot: number): void {
    this.levels.inUse[slot] = this.last.inUse;
    this.levels.waiting[slot] = this.last.waiting;
    for (const column of Object.values(this.counts)) column[slot] = 0;
    for (const column of Object.values(this.durations)) {
      column.fill(0, slot * BUCKETS, (slot + 1) * BUCKETS);
    }
  }

  count(what: Count): void {
    const column = this.counts[what];
    column[this.slot] = (column[this.slot] as number) + 1;
  }

  time(what: Duration, ms: number): void {
    const column = this.durations[what];
    const at = this.slot * BUCKETS + bucketOf(ms);
    column[at] = (column[at] as number) + 1;
  }

  /** Sums a count over the last seconds. */
  sum(what: Count, seconds: number): number {
    const slots = this.slots(this.second - seconds + 1);
    return slots.reduce((sum, slot) => sum + (this.counts[what][slot] as number), 0);
  }

  /** Reads the percentiles over the last seconds. */
  percentiles(what: Duration, seconds: number): Percentiles {
    const sums = new Float64Array(BUCKETS);
    for (const slot of this.slots(this.second - seconds + 1)) {
      for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
        const count = this.durations[what][slot * BUCKETS + bucket] as number;
        sums[bucket] = (sums[bucket] as number) + count;
      }
    }
    return percentiles(sums);
  }

  /** The first second that is held, from `since` on. */
  start(since: number): number {
    return Math.max(this.first, this.second - HISTORY_SECONDS + 1, Math.min(since, this.second));
  }

  private slots(since: number): number[] {
    const start = this.start(since);
    const length = this.second - start + 1;
    return Array.from({ length }, (_, index) => (start + index) % HISTORY_SECONDS);
  }

  /** Reads the samples from a second on. */
  columns(since: number): Columns {
    const slots = this.slots(since);
    const read = (column: Uint32Array) => slots.map((slot) => column[slot] as number);
    const ranks = (what: Duration) => slots.map((slot) => {
      const from = slot * BUCKETS;
      return percentiles(this.durations[what].subarray(from, from + BUCKETS));
    });
    const wait = ranks("wait");
    const latency = ranks("latency");
    return {
      in_use: read(this.levels.inUse),
      waiting: read(this.levels.waiting),
      completed: read(this.counts.completed),
      refused: read(this.counts.refused),
      errors: read(this.counts.errors),
      wait_p50: wait.map(({ p50 }) => p50),
      wait_p90: wait.map(({ p90 }) => p90),
      wait_p99: wait.map(({ p99 }) => p99),
      latency_p50: latency.map(({ p50 }) => p50),
      latency_p90: latency.map(({ p90 }) => p90),
      latency_p99: latency.map(({ p99 }) => p99),
    };
  }
}
