/**
 * The upper bounds of the buckets, in ms: about three to a factor of two where requests to
 * providers are, from nothing (a place that was free) to five minutes. One more takes the rest.
 */
export const BOUNDS_MS: readonly number[] = [
  0, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 400, 500, 600, 800, 1_000,
  1_250, 1_500, 2_000, 2_500, 3_000, 4_000, 5_000, 7_500, 10_000, 15_000, 20_000, 30_000, 45_000,
  60_000, 90_000, 120_000, 180_000, 240_000, 300_000,
];

/** How many counts a histogram has. */
export const BUCKETS = BOUNDS_MS.length + 1;

/** Finds the bucket of a duration: the first whose bound is not below it. */
export function bucketOf(ms: number): number {
  let low = 0;
  let high = BOUNDS_MS.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ms <= (BOUNDS_MS[middle] as number)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Percentiles in ms; null where nothing was counted. */
export interface Percentiles {
  count: number;
  p50: number | null;
  p90: number | null;
  p99: number | null;
}

/** Reads the percentiles of a histogram's counts; inside a bucket they are interpolated. */
export function percentiles(counts: ArrayLike<number>): Percentiles {
  let count = 0;
  for (let bucket = 0; bucket < BUCKETS; bucket += 1) count += counts[bucket] as number;
  const at = (share: number) => (count === 0 ? null : quantile(counts, count * share));
  return { count, p50: at(0.5), p90: at(0.9), p99: at(0.99) };
}

function quantile(counts: ArrayLike<number>, rank: number): number {
  let below = 0;
  for (let bucket = 0; bucket < BOUNDS_MS.length; bucket += 1) {
    const here = counts[bucket] as number;
    if (here > 0 && below + here >= rank) {
      const low = bucket === 0 ? 0 : (BOUNDS_MS[bucket - 1] as number);
      const high = BOUNDS_MS[bucket] as number;
      return Math.round((low + ((high - low) * (rank - below)) / here) * 10) / 10;
    }
    below += here;
  }
  // Past the last bound all that is known is that it was more.
  return BOUNDS_MS[BOUNDS_MS.length - 1] as number;
}

/** A histogram since the start. */
export class Histogram {
  readonly counts = new Float64Array(BUCKETS);
  sum = 0;

  add(ms: number): void {
    const bucket = bucketOf(ms);
    this.counts[bucket] = (this.counts[bucket] as number) + 1;
    this.sum += ms;
  }
}
