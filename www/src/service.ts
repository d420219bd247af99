import type {
  Distribution as Durations, EndpointStats, FailureCounts, ServiceStats,
} from "edgepool/clients";

import type { Distribution, EndpointNumbers, EndpointState, ServiceNumbers } from "./wire.js";

/** Writes a provider's statistics as `/stats` has them; `now` is of the clock that they are of. */
export function serviceNumbers(stats: ServiceStats, now: number): ServiceNumbers {
  const { alert, endpoints } = stats;
  return {
    calls: stats.calls,
    answered: stats.answered,
    failures: counts(stats.failures),
    attempts: stats.sent,
    attempt_failures: counts(stats.attemptFailures),
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
    failures: counts(stats.failures),
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

function counts(failures: FailureCounts): Record<string, number> {
  return failures as Record<string, number>;
}
