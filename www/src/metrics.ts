import { BOUNDS_MS } from "./histogram.js";
import type { Observer, Track } from "./observe.js";
import { type Sample, buckets, family } from "./prometheus.js";
import { serviceMetrics } from "./service-metrics.js";
import { tenantMetrics } from "./tenant-metrics.js";
import type { PoolNumbers, Stats } from "./wire.js";

const SCOPE = "in the scope that edgepool_info names";

/**
 * A family that is read from a pool's numbers. Its name, its label and the values of that are those
 * of the Rust crate's metrics; without a label there is one sample, of the only field.
 */
interface PoolFamily {
  name: string;
  type: "gauge" | "counter";
  help: string;
  label?: string;
  fields: string[];
}

const POOL_FAMILIES: PoolFamily[] = [
  {
    name: "edgepool_connections",
    type: "gauge",
    help: `Places by what is done with them ${SCOPE}; the sum is the places used`,
    label: "state",
    fields: ["creating", "idle", "offered", "in_use", "retired", "closing"],
  },
  {
    name: "edgepool_max_connections",
    type: "gauge",
    help: `The most places at once ${SCOPE}`,
    fields: ["max"],
  },
  {
    name: "edgepool_waiting",
    type: "gauge",
    help: `Calls in the queue for a place ${SCOPE}`,
    fields: ["waiting"],
  },
  {
    name: "edgepool_pending",
    type: "gauge",
    help: `Calls whose wait is not over ${SCOPE}: those in the queue, and those with an offer`,
    fields: ["pending"],
  },
  {
    name: "edgepool_acquires_started_total",
    type: "counter",
    help: "Calls that asked for a place",
    fields: ["started"],
  },
  {
    name: "edgepool_acquires_total",
    type: "counter",
    help: "Calls whose wait ended: with a place at once, with one after a wait, or why not",
    label: "outcome",
    fields: [
      "direct", "waited", "timed_out", "cancelled", "failed", "refused", "closed", "missed",
    ],
  },
  {
    name: "edgepool_leases_ended_total",
    type: "counter",
    help: "Places that came back in good order or as damaged, never, or from calls that had died",
    label: "outcome",
    fields: ["released", "discarded", "taken", "expired"],
  },
  {
    name: "edgepool_completed_total",
    type: "counter",
    help: "Calls that had an answer to its end",
    fields: ["completed"],
  },
  {
    name: "edgepool_errors_total",
    type: "counter",
    help: "Calls that failed in the end, not by the caller: an error, a stall, a 429 or 5xx",
    fields: ["errors"],
  },
];

/** Writes everything in Prometheus' text format, version 0.0.4. */
export function metricsText(observer: Observer): string {
  const stats = observer.stats();
  const providers = Object.entries(stats.providers);
  const tracks = [...observer.tracks];
  return [
    ...about(stats),
    ...POOL_FAMILIES.flatMap((of) =>
      family(of.name, of.type, of.help, perProvider(providers, of))),
    ...family("edgepool_responses_total", "counter", "Answers of providers by status class",
      counted(tracks, "statuses", "status")),
    ...family("edgepool_endings_total", "counter", "Ends of attempts, by kind",
      counted(tracks, "endings", "how")),
    ...histogram("edgepool_wait_seconds", "Waits for a place", tracks, "wait"),
    ...histogram("edgepool_headers_seconds", "From the place to the headers", tracks, "headers"),
    ...histogram("edgepool_call_seconds", "From the call to the end of the body", tracks,
      "latency"),
    ...serviceMetrics(observer.services(stats)),
    ...(stats.tenants === undefined ? [] : tenantMetrics(stats.tenants)),
    ...observer.conventions.text(),
    "",
  ].join("\n");
}

/** The media type of the text. */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

function about({ runtime, scope, uptime_ms: uptime }: Stats): string[] {
  return [
    ...family("edgepool_info", "gauge", "Always 1; the labels tell what runs the gateway",
      [[{ runtime, scope }, 1]]),
    ...family("edgepool_uptime_seconds", "gauge", `Age of the counters, which count ${SCOPE}`,
      [[{}, uptime / 1_000]]),
  ];
}

function perProvider(
  providers: [string, PoolNumbers][], { label, fields }: PoolFamily,
): Sample[] {
  return providers.flatMap(([provider, numbers]) => fields.map((field): Sample => {
    const labels = label === undefined ? { provider } : { provider, [label]: field };
    return [labels, numbers[field] as number];
  }));
}

function counted(
  tracks: [string, Track][], field: "statuses" | "endings", label: string,
): Sample[] {
  return tracks.flatMap(([provider, track]) =>
    Object.entries(track[field]).map(([name, count]): Sample =>
      [{ provider, [label]: name }, count]));
}

function histogram(
  name: string, help: string, tracks: [string, Track][], field: "wait" | "headers" | "latency",
): string[] {
  const samples = tracks.flatMap(([provider, track]) => {
    const { counts, sum } = track[field];
    return buckets({ provider }, bounded(counts), sum / 1_000);
  });
  return family(name, "histogram", help, samples);
}

/** Gives each count of a histogram the upper bound of its bucket, in seconds. */
export function bounded(counts: ArrayLike<number>): [le: number, count: number][] {
  return Array.from(counts, (count, bucket) => {
    const bound = BOUNDS_MS[bucket];
    return [bound === undefined ? Infinity : bound / 1_000, count];
  });
}
