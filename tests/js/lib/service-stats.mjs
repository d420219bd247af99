// Statistics of a provider as the client pool tells them, for tests of what is made of them.

export function durations(...buckets) {
  const count = buckets.reduce((sum, [, many]) => sum + many, 0);
  const sum = buckets.reduce((all, [upTo, many]) => all + (upTo ?? 0) * many, 0);
  const some = count === 0 ? null : sum / count;
  return { count, sum, mean: some, p50: some, p90: some, p99: some, max: some, buckets };
}

export function endpointStats(name, more = {}) {
  return {
    name, sent: 10, answered: 7, failures: { rate_limited: 2, server: 1 }, inputTokens: 120,
    outputTokens: 340, firstContent: durations([1.024, 3], [2.048, 2], [40.96, 1], [null, 1]),
    inFlight: 1, limit: null, breaker: "closed", pausedUntil: null, latency: 12.5, lastError: null,
    ...more,
  };
}

export function serviceStats(endpoints, more = {}) {
  const none = durations();
  return {
    calls: 9, answered: 6, failures: { timeout_total: 1, server: 1 }, sent: 20,
    attemptFailures: { rate_limited: 4, server: 2 }, cancelled: 1, retries: 5, hedges: 3,
    hedgesWon: 2, overBudget: 1, fallbacks: 1, inputTokens: 240, outputTokens: 680, waits: none,
    headers: none, firstContent: durations([40.96, 4]), totals: none, inFlight: 2, waiting: 1,
    limit: 8, budget: 10, alert: null, endpoints, ...more,
  };
}
