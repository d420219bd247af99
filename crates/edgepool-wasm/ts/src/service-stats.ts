import type { FailureClass } from "./provider-errors.js";

/** How long something took, in ms; `null` where there is no record. */
export interface Distribution {
  /** How many times were counted. */
  count: number;
  /** All of them together. */
  sum: number;
  /** The mean. */
  mean: number | null;
  /** What half of them were at most. */
  p50: number | null;
  /** What nine of ten were at most. */
  p90: number | null;
  /** What 99 of 100 were at most. */
  p99: number | null;
  /** The longest. */
  max: number | null;
  /** How many there were up to each bound, and above the one before; the last may have none. */
  buckets: [bound: number | null, count: number][];
}

/** Failures by their kinds, of which there was one at least. */
export type FailureCounts = Partial<Record<FailureClass, number>>;

/** How one endpoint stands. */
export interface EndpointStats {
  /** Its address. */
  name: string;
  /** Attempts that were sent to it. */
  sent: number;
  /** Attempts that it answered to the end. */
  answered: number;
  /** Attempts that failed there. */
  failures: FailureCounts;
  /** Tokens of prompts, as far as they were told. */
  inputTokens: number;
  /** Tokens of answers, as far as they were told. */
  outputTokens: number;
  /** How long the first content took, from sending. */
  firstContent: Distribution;
  /** Attempts that are under way. */
  inFlight: number;
  /** How many may be at once, where a limit is sought. */
  limit: number | null;
  /** Whether calls are let through. */
  breaker: "closed" | "open" | "halfOpen";
  /** Until when it is paused, by the pool's clock. */
  pausedUntil: number | null;
  /** How long its headers take of late, in ms. */
  latency: number | null;
  /** What its last failure said. */
  lastError: string | null;
}

/** A provider has less room than its callers need. */
export interface ServiceAlert {
  /** Since when somebody waits at any time, or when one was refused last, by the pool's clock. */
  since: number;
  /** How many calls wait. */
  waiting: number;
  /** How many calls were refused for lack of room, or gave up waiting, so far. */
  refused: number;
}

/** What was counted of a provider's calls, and how it stands. */
export interface ServiceStats {
  /** Calls that began: those that were answered, that failed, and that are under way. */
  calls: number;
  /** Calls that were answered to the end. */
  answered: number;
  /** Calls that failed. */
  failures: FailureCounts;
  /** Attempts that were sent. */
  sent: number;
  /** Attempts that failed. */
  attemptFailures: FailureCounts;
  /** Attempts that were broken off, as another one won or nobody waited any more. */
  cancelled: number;
  /** Retries that were begun. */
  retries: number;
  /** Second attempts that were begun beside the first. */
  hedges: number;
  /** Those that won. */
  hedgesWon: number;
  /** Retries and hedges that the budget did not allow. */
  overBudget: number;
  /** Calls that went on at the next provider of a chain. */
  fallbacks: number;
  /** Tokens of prompts, as far as they were told. */
  inputTokens: number;
  /** Tokens of answers, as far as they were told. */
  outputTokens: number;
  /** How long attempts waited until they were sent. */
  waits: Distribution;
  /** How long the headers took, from sending. */
  headers: Distribution;
  /** How long the first content took, from sending. */
  firstContent: Distribution;
  /** How long calls took that were answered, with their waits and retries. */
  totals: Distribution;
  /** Attempts that are under way, or have a place and wait for their time. */
  inFlight: number;
  /** Calls that wait for a place or a time. */
  waiting: number;
  /** How many attempts may be under way at once. */
  limit: number;
  /** How many more retries and hedges the budget allows. */
  budget: number;
  /** Since when there is less room than is needed, if there is. */
  alert: ServiceAlert | null;
  /** Each endpoint. */
  endpoints: EndpointStats[];
}
