import type { Kind, Scope } from "./config.js";
import type { Percentiles } from "./histogram.js";
import type { Rejections } from "./tenants.js";

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
  /** Calls that had an answer to its end, whatever its status. */
  completed: number;
  /** Calls that failed in the end, not by the caller: an error, a stall, a status 429 or 5xx. */
  errors: number;
  /** The pool's own refusals by code. */
  refusals: Record<string, number>;
  /** How attempts ended: eof, cancel, abort, error, stall, expired. */
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

/** How long things took, in ms; null where nothing was counted. */
export interface Distribution extends Percentiles {
  sum: number;
  mean: number | null;
  max: number | null;
}

/** Whether an endpoint gets calls: while it is `half_open` one, else none unless it is `up`. */
export type EndpointState = "up" | "half_open" | "ejected" | "paused";

/** One address of a provider. Counters since the start. */
export interface EndpointNumbers {
  /** The address. */
  name: string;
  state: EndpointState;
  /** Attempts that were sent to it, and that it answered to the end. */
  attempts: number;
  answered: number;
  /** Attempts that failed, by why. */
  failures: Record<string, number>;
  /** Of these, those that it answered with 429. */
  rate_limited: number;
  input_tokens: number;
  output_tokens: number;
  first_content_ms: Distribution;
  in_flight: number;
  /** How many may be at once, where a limit is sought. */
  limit: number | null;
  /** For how long it still asks to be left alone. */
  paused_ms: number;
  /** How long its headers take of late. */
  latency_ms: number | null;
  /** What its last failure said. */
  last_error: string | null;
}

/** The calls to a provider, and the attempts that they took. Counters since the start. */
export interface ServiceNumbers {
  /** `calls` is `answered`, all of `failures`, and those under way. */
  calls: number;
  answered: number;
  failures: Record<string, number>;
  /** First attempts, retries and hedges that were sent; and those that another one outran. */
  attempts: number;
  attempt_failures: Record<string, number>;
  attempts_cancelled: number;
  rate_limited: number;
  retries: number;
  hedges: number;
  hedges_won: number;
  /** Retries and hedges that the budget did not allow, and how many it allows now. */
  over_budget: number;
  budget: number;
  /** Calls that went on at the next provider. */
  fallbacks: number;
  input_tokens: number;
  output_tokens: number;
  /** Until an attempt was sent; from there to its headers, and to its first content. */
  waits_ms: Distribution;
  headers_ms: Distribution;
  first_content_ms: Distribution;
  /** From the call to the end of its answer, with waits and retries. */
  total_ms: Distribution;
  in_flight: number;
  waiting: number;
  /** How many attempts may be under way at once, by what its endpoints take now. */
  limit: number;
  /** Callers need more than there is: since when, and how many were refused since the start. */
  alert: { since_ms: number; waiting: number; refused: number } | null;
  endpoints: EndpointNumbers[];
}

/** One provider in `/stats`. */
export interface ProviderNumbers extends PoolNumbers {
  kind: Kind;
  simulator?: true;
  /** The model of chats that name none, as the page's own. */
  model?: string;
  service: ServiceNumbers;
}

/** What a tenant had of all that tenants were served in the last ten seconds; null without any. */
export interface RecentShare {
  acquired: number;
  share: number | null;
  mean_wait_ms: number | null;
}

/**
 * How a tenant stands at a provider, or several together. Counters since the start, of what was
 * told under this name: it does not run backwards when a tenant is told of by name, or no more.
 */
export interface TenantCounts {
  in_use: number;
  waiting: number;
  acquired: number;
  released: number;
  timed_out: number;
  cancelled: number;
  failed: number;
  refused: number;
  /** Calls that ended otherwise, as at a pool that was closed. */
  ended: number;
  total_wait_ms: number;
  longest_wait_ms: number;
  recent: RecentShare;
}

/** A tenant, and what it may have of the provider; null is as much as there is. */
export interface TenantNumbers extends TenantCounts {
  id: string;
  /** Whether the configuration names it. */
  named: boolean;
  weight: number;
  max: number | null;
  max_waiting: number | null;
}

/** The tenants of a provider: those that are named, the most active of the others, and the rest. */
export interface ProviderTenants {
  tenants: TenantNumbers[];
  /** How many more are known now, and all that is not told by a name. */
  others: TenantCounts & { tenants: number };
}

/** How tenants are told, and how they stand at each provider. */
export interface TenantsStats {
  by: "header" | "key" | "path";
  /** The header's name. */
  header?: string;
  /** How many requests were refused as nobody knows whose they are; since the start. */
  rejections: Readonly<Rejections>;
  providers: Record<string, ProviderTenants>;
}

/** The answer of `/stats`. */
export interface Stats {
  scope: Scope;
  runtime: string;
  uptime_ms: number;
  providers: Record<string, ProviderNumbers>;
  total: PoolNumbers;
  tenants?: TenantsStats;
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
