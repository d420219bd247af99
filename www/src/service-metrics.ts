import type { Distribution as Durations, EndpointStats, ServiceStats } from "edgepool/clients";

import { type Labels, type Sample, buckets, family } from "./prometheus.js";
import type { EndpointNumbers, EndpointState, ServiceNumbers } from "./wire.js";

/** A provider with its statistics, as the client pool tells them and as `/stats` does. */
export interface ServiceTold {
  name: string;
  stats: ServiceStats;
  numbers: ServiceNumbers;
}

type OfService = [name: string, help: string, read: (numbers: ServiceNumbers) => number];
type OfEndpoint = [name: string, help: string, read: (numbers: EndpointNumbers) => number | null];

const SERVICE_COUNTERS: OfService[] = [
  ["edgepool_calls_total", "Calls that began", (of) => of.calls],
  ["edgepool_calls_answered_total", "Calls that were answered to the end", (of) => of.answered],
  ["edgepool_retries_total", "Retries that were begun", (of) => of.retries],
  ["edgepool_hedges_total", "Second attempts beside a slow first one", (of) => of.hedges],
  ["edgepool_hedges_won_total", "Second attempts that were first with content",
    (of) => of.hedges_won],
  ["edgepool_over_budget_total", "Retries and hedges that the budget did not allow",
    (of) => of.over_budget],
  ["edgepool_fallbacks_total", "Calls that went on at the next provider", (of) => of.fallbacks],
  ["edgepool_attempts_cancelled_total", "Attempts that were broken off, as nobody needed them",
    (of) => of.attempts_cancelled],
];

const SERVICE_GAUGES: OfService[] = [
  ["edgepool_limit", "Attempts that may be under way at once, by what the endpoints take now",
    (of) => of.limit],
  ["edgepool_retry_budget", "Retries and hedges that the budget allows now", (of) => of.budget],
  ["edgepool_exhausted", "1 while callers need more than there is: a queue that stays, or refusals",
    (of) => (of.alert === null ? 0 : 1)],
];

const ENDPOINT_COUNTERS: OfEndpoint[] = [
  ["edgepool_attempts_total", "Attempts that were sent", (of) => of.attempts],
  ["edgepool_attempts_answered_total", "Attempts that were answered to the end",
    (of) => of.answered],
];

const ENDPOINT_GAUGES: OfEndpoint[] = [
  ["edgepool_endpoint_in_flight", "Attempts that are under way", (of) => of.in_flight],
  ["edgepool_endpoint_limit", "Attempts that may be under way at once, where a limit is sought",
    (of) => of.limit],
  ["edgepool_endpoint_paused_seconds", "For how long it still asks to be left alone",
    (of) => of.paused_ms / 1_000],
  ["edgepool_endpoint_latency_seconds", "How long its headers take of late",
    (of) => (of.latency_ms === null ? null : of.latency_ms / 1_000)],
];

const STATES: EndpointState[] = ["up", "half_open", "ejected", "paused"];

/**
 * Writes what is known of calls, attempts and endpoints. The labels are what is configured
 * (providers and endpoints), and the kinds of failures.
 */
export function serviceMetrics(services: ServiceTold[]): string[] {
  const perService = (type: string) => ([name, help, read]: OfService) =>
    family(name, type, help, services.map(({ name: provider, numbers }): Sample =>
      [{ provider }, read(numbers)]));
  const perEndpoint = (type: string) => ([name, help, read]: OfEndpoint) =>
    family(name, type, help, each(services, (labels, numbers) => {
      const value = read(numbers);
      return value === null ? [] : [[labels, value]];
    }));
  return [
    ...SERVICE_COUNTERS.flatMap(perService("counter")),
    ...family("edgepool_call_failures_total", "counter", "Calls that failed, by why",
      services.flatMap(({ name: provider, numbers }) => failed({ provider }, numbers.failures))),
    ...SERVICE_GAUGES.flatMap(perService("gauge")),
    ...ENDPOINT_COUNTERS.flatMap(perEndpoint("counter")),
    ...family("edgepool_attempt_failures_total", "counter", "Attempts that failed, by why",
      each(services, (labels, { failures }) => failed(labels, failures))),
    ...family("edgepool_tokens_total", "counter", "Tokens, as far as answers told of them",
      each(services, (labels, of): Sample[] => [
        [{ ...labels, type: "input" }, of.input_tokens],
        [{ ...labels, type: "output" }, of.output_tokens],
      ])),
    ...ENDPOINT_GAUGES.flatMap(perEndpoint("gauge")),
    ...family("edgepool_endpoint_state", "gauge", "1 for the state that it is in, 0 for the others",
      each(services, (labels, of) => STATES.map((state): Sample =>
        [{ ...labels, state }, of.state === state ? 1 : 0]))),
    ...family("edgepool_first_content_seconds", "histogram",
      "From sending an attempt to its first content",
      each(services, (labels, _, { firstContent }) => durations(labels, firstContent))),
  ];
}

function each(
  services: ServiceTold[],
  read: (labels: Labels, numbers: EndpointNumbers, stats: EndpointStats) => Sample[],
): Sample[] {
  return services.flatMap(({ name: provider, numbers, stats }) =>
    numbers.endpoints.flatMap((endpoint, index) => {
      const labels = { provider, endpoint: endpoint.name };
      return read(labels, endpoint, stats.endpoints[index] as EndpointStats);
    }));
}

function failed(labels: Labels, failures: Record<string, number>): Sample[] {
  return Object.entries(failures).map(([kind, count]) => [{ ...labels, error_type: kind }, count]);
}

/**
 * Powers of two in microseconds, from a millisecond to two minutes: the pool counts durations in
 * buckets of which four make up each of these, so that no count is guessed.
 */
const BOUNDS_MS = Array.from({ length: 18 }, (_, power) => (1_024 * 2 ** power) / 1_000);

function durations(labels: Labels, { buckets: told, sum }: Durations): Sample[] {
  const counts = [...BOUNDS_MS, Infinity].map((bound): [le: number, count: number] => [
    Number((bound / 1_000).toPrecision(12)), 0,
  ]);
  for (const [upTo, count] of told) {
    // A bound may come with the error of a division.
    const fits = BOUNDS_MS.findIndex((bound) => (upTo ?? Infinity) <= bound * 1.000_001);
    const bucket = counts.at(fits) as [le: number, count: number];
    bucket[1] += count;
  }
  return buckets(labels, counts, sum / 1_000);
}
