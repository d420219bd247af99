import { BOUNDS_MS, type Histogram } from "./histogram.js";
import type { Observer, Track } from "./observe.js";
import type { PoolNumbers, Stats } from "./wire.js";

type Labels = Record<string, string>;
type Sample = [labels: Labels, value: number, suffix?: string];

const SCOPE = "in this isolate";

/** The levels of a pool, with their help; each is a gauge. */
const GAUGES: Record<string, string> = {
  in_use: `Places in use ${SCOPE}`,
  idle: `Places that were opened and are free ${SCOPE}`,
  waiting: `Calls that wait for a place ${SCOPE}`,
  size: `Places that were opened ${SCOPE}`,
  max: `The most places at once ${SCOPE}`,
};

/** The counters of a pool, with their help. */
const COUNTERS: Record<string, string> = {
  started: "Calls that asked for a place",
  direct: "Calls that got a place at once",
  waited: "Calls that got a place after a wait",
  timed_out: "Calls whose wait was too long",
  cancelled: "Calls whose client went away while they waited",
  failed: "Calls that failed because no place could be opened",
  refused: "Calls refused because the queue was full",
  closed: "Calls refused or ended because the pool was closed",
  missed: "Calls that did not take the places offered to them",
  released: "Places given back",
  expired: "Places taken back from calls that had died",
  completed: "Answers that came to their end",
  errors: "Calls that ended by an error, a stall, an expired lease, or with status 429 or 5xx",
};

/** Writes everything in Prometheus' text format, version 0.0.4. */
export function metricsText(observer: Observer): string {
  const stats = observer.stats();
  const providers = Object.entries(stats.providers);
  const tracks = [...observer.tracks];
  return [
    ...about(stats),
    ...Object.entries(GAUGES).flatMap(([name, help]) =>
      family(`edgepool_slots_${name}`, "gauge", help, perProvider(providers, name))),
    ...Object.entries(COUNTERS).flatMap(([name, help]) =>
      family(`edgepool_${name}_total`, "counter", help, perProvider(providers, name))),
    ...family("edgepool_responses_total", "counter", "Answers of providers by status class",
      counted(tracks, "statuses", "status")),
    ...family("edgepool_endings_total", "counter", "Ends of calls that had a place, by kind",
      counted(tracks, "endings", "how")),
    ...histogram("edgepool_wait_seconds", "Waits for a place", tracks, "wait"),
    ...histogram("edgepool_headers_seconds", "From the place to the headers", tracks, "headers"),
    ...histogram("edgepool_call_seconds", "From the call to the end of the body", tracks,
      "latency"),
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

function perProvider(providers: [string, PoolNumbers][], name: string): Sample[] {
  return providers.filter(([, numbers]) => typeof numbers[name] === "number")
    .map(([provider, numbers]) => [{ provider }, numbers[name] as number]);
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
  const samples = tracks.flatMap(([provider, track]) => buckets({ provider }, track[field]));
  return family(name, "histogram", help, samples);
}

function buckets(labels: Labels, { counts, sum }: Histogram): Sample[] {
  let below = 0;
  const samples = [...counts].map((count, bucket): Sample => {
    below += count;
    const bound = BOUNDS_MS[bucket];
    const le = bound === undefined ? "+Inf" : String(bound / 1_000);
    return [{ ...labels, le }, below, "_bucket"];
  });
  return [...samples, [labels, sum / 1_000, "_sum"], [labels, below, "_count"]];
}

/** Writes one family; without any sample it is left out. */
function family(name: string, type: string, help: string, samples: Sample[]): string[] {
  if (samples.length === 0) return [];
  const lines = samples.map(([labels, value, suffix = ""]) => {
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escape(text)}"`);
    const shown = pairs.length > 0 ? `{${pairs.join(",")}}` : "";
    return `${name}${suffix}${shown} ${value}`;
  });
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines];
}

function escape(text: string): string {
  return text.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
}
