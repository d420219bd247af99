import type { Kind, Scope } from "./config.js";
import type { Percentiles } from "./histogram.js";

/** How many seconds the history holds. */
export const HISTORY_SECONDS = 300;

/** What `/stats` tells of a provider, or of all. Durations in ms; counters since the start. */
export interface PoolNumbers {
  in_use: number;
  idle: number;
  waiting: number;
  size: number;
  max: number;
  /** The ledger's counters by their names, such as `started` or `timed_out`. */
  [counter: string]: unknown;
  /** Answers whose body came to its end, whatever their status. */
  completed: number;
  /** Calls that ended by an error, a stall or an expired lease, or with status 429 or 5xx. */
  errors: number;
  /** The pool's own refusals by code. */
  refusals: Record<string, number>;
  /** How calls ended: eof, cancel, abort, error, stall, expired. */
  endings: Record<string, number>;
  /** Over the last five minutes: the wait for a place. */
  wait_ms: Percentiles;
  /** Over the last five minutes: from the call to the end of the body. */
  latency_ms: Percentiles;
  /** Since the start: from the place to the headers of the answer. */
  headers_ms: Percentiles;
  /** The same over the last ten seconds. */
  recent: { wait_ms: Percentiles; latency_ms: Percentiles };
  /** For how long somebody has been waiting without a break. */
  queue_age_ms: number;
  /** The pool's own refusals in the last minute. */
  refused_last_minute: number;
}

/** One provider in `/stats`. */
export interface ProviderNumbers extends PoolNumbers {
  kind: Kind;
  simulator?: true;
}

/** The answer of `/stats`. */
export interface Stats {
  scope: Scope;
  runtime: string;
  uptime_ms: number;
  providers: Record<string, ProviderNumbers>;
  total: PoolNumbers;
}

/** Samples of one second each, oldest first, a column for each quantity. */
export interface Columns {
  /** The most at once in that second. */
  in_use: number[];
  waiting: number[];
  /** How many in that second. */
  completed: number[];
  refused: number[];
  errors: number[];
  /** Of the waits, and of the calls, that ended in that second; null without any. */
  wait_p50: (number | null)[];
  wait_p90: (number | null)[];
  wait_p99: (number | null)[];
  latency_p50: (number | null)[];
  latency_p90: (number | null)[];
  latency_p99: (number | null)[];
}

/** The answer of `/stats/history`. */
export interface History {
  /** The first sample's time, in whole seconds since 1970; the others follow without a gap. */
  start: number;
  length: number;
  providers: Record<string, Columns>;
  total: Columns;
}

/** What the page asks for when it sends a burst. */
export interface BurstRequest {
  provider: string;
  count: number;
  model: string;
}

/** One line of a burst's answer. */
export type BurstEvent =
  | { type: "headers"; index: number; status: number; wait_ms: number | null }
  | { type: "end"; index: number; outcome: BurstOutcome; ms: number; bytes: number; why?: string };

/** How one request of a burst ended. */
export type BurstOutcome = "completed" | "refused" | "failed";
