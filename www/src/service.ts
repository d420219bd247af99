import type { Distribution, EndpointNumbers, EndpointState, ServiceNumbers } from "./wire.js";

/** How long things took, in ms, with each bucket's upper bound (null: none) and its own count. */
export interface Durations {
  count: number;
  sum: number;
  mean: number | null;
  p50: number | null;
  p90: number | null;
  p99: number | null;
  max: number | null;
  buckets: [upTo: number | null, count: number][];
}

/** What the client pool tells of one endpoint. Points in time are of its own clock. */
export interface EndpointStats {
  name: string;
  sent: number;
  answered: number;
  failures: Record<string, number>;
  inputTokens: number;
  outputTokens: number;
  firstContent: Durations;
  inFlight: number;
  limit: number | null;
  breaker: "closed" | "open" | "halfOpen";
  pausedUntil: number | null;
  latency: number | null;
  lastError: string | null;
}

/** What the client pool tells of a provider: its calls, and the attempts that they took. */
export interface ServiceStats {
  calls: number;
  answered: number;
  failures: Record<string, number>;
  sent: number;
  attemptFailures: Record<string, number>;
  cancelled: number;
  retries: number;
  hedges: number;
  hedgesWon: number;
  overBudget: number;
  fallbacks: number;
  inputTokens: number;
  outputTokens: number;
  waits: Durations;
  headers: Durations;
  firstContent: Durations;
  totals: Durations;
  inFlight: number;
  waiting: number;
  limit: number;
  budget: number;
  alert: { since: number; waiting: number; refused: number } | null;
  endpoints: EndpointStats[];
}

/** Writes a provider's statistics as `/stats` has them; `now` is of the clock that they are of. */
export function serviceNumbers(stats: ServiceStats, now: number): ServiceNumbers {
  const { alert, endpoints } = stats;
  return {
    calls: stats.calls,
    answered: stats.answered,
    failures: stats.failures,
    attempts: stats.sent,
    attempt_failures: stats.attemptFailures,
    attempts_cancelled: stats.cancelled,
    rate_limited: stats.attemptFailures["rate_limited"] ?? 0,
    retries: stats.retries,
    hedges: stats.hedges,
    hedges_won: stats.hedgesWon,
    over_budget: stats.overBudget,
    fallbacks: stats.fallbacks,
    input_tokens: stats.inputTokens,
    output_tokens: stats.outputTokens,
    waits_ms: distribution(stats.waits),
    headers_ms: distribution(stats.headers),
    first_content_ms: distribution(stats.firstContent),
    total_ms: distribution(stats.totals),
    in_flight: stats.inFlight,
    waiting: stats.waiting,
    limit: stats.limit,
    budget: stats.budget,
    alert: alert === null ? null : {
      since_ms: Math.max(0, now - alert.since), waiting: alert.waiting, refused: alert.refused,
    },
    endpoints: endpoints.map((endpoint) => endpointNumbers(endpoint, now)),
  };
}

function endpointNumbers(stats: EndpointStats, now: number): EndpointNumbers {
  const paused = Math.max(0, (stats.pausedUntil ?? 0) - now);
  return {
    name: stats.name,
    state: stateOf(stats, paused),
    attempts: stats.sent,
    answered: stats.answered,
    failures: stats.failures,
    rate_limited: stats.failures["rate_limited"] ?? 0,
    input_tokens: stats.inputTokens,
    output_tokens: stats.outputTokens,
    first_content_ms: distribution(stats.firstContent),
    in_flight: stats.inFlight,
    limit: stats.limit,
    paused_ms: paused,
    latency_ms: stats.latency,
    last_error: stats.lastError,
  };
}

/** An endpoint that is out does not count as paused too. */
function stateOf({ breaker }: EndpointStats, paused: number): EndpointState {
  if (breaker === "open") return "ejected";
  if (breaker === "halfOpen") return "half_open";
  return paused > 0 ? "paused" : "up";
}

function distribution({ buckets: _, ...numbers }: Durations): Distribution {
  return numbers;
}
