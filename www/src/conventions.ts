import type { Usage } from "edgepool/clients";

import type { Kind } from "./config.js";
import { type Labels, type Sample, buckets, family } from "./prometheus.js";

// The names and labels of OpenTelemetry's semantic conventions, in Prometheus' spelling: dots become
// underscores, and a unit is a suffix. HTTP: version 1.44.0, stable, docs/http/http-metrics.md in
// github.com/open-telemetry/semantic-conventions. GenAI: in development,
// docs/gen-ai/gen-ai-metrics.md in github.com/open-telemetry/semantic-conventions-genai. Both as of
// November 2026.

/** The bounds that the conventions ask for, in seconds or tokens. */
const GEN_AI_BOUNDS = Array.from({ length: 14 }, (_, power) => (2 ** power) / 100);
const TOKEN_BOUNDS = Array.from({ length: 14 }, (_, power) => 4 ** power);
const HTTP_BOUNDS = [
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
];

/** What the conventions call the operations on a model. */
export type Operation = "chat" | "text_completion" | "embeddings";

const OPERATIONS: [RegExp, Operation][] = [
  [/\/(chat\/completions|messages|responses|api\/chat)$/, "chat"],
  [/\/(completions|api\/generate)$/, "text_completion"],
  [/\/(embeddings|api\/embed)$/, "embeddings"],
];

/** Tells what a request asks of a model, if it does: a call to list models, say, has none. */
export function operationOf(kind: Kind, method: string, path: string): Operation | undefined {
  if (kind === "http" || method !== "POST") return undefined;
  return OPERATIONS.find(([pattern]) => pattern.test(path))?.[1];
}

/** The conventions' names for kinds of providers, where they are not ours. */
const PROVIDERS: Record<string, string> = {
  "openai-responses": "openai", azure: "azure.ai.openai", mistral: "mistral_ai",
};

const METHODS = [
  "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE",
];

/** A call to a model, or a part of one. Durations in ms. */
export interface OperationEnd {
  provider: string;
  kind: Kind;
  operation: Operation;
  /** From the call to the end of its answer, or to its first content. */
  ms: number;
  /** Why it failed, if it did. */
  error?: string | undefined;
}

/** A request to a provider, whatever it asks. */
export interface RequestEnd {
  provider: string;
  method: string;
  /** The address of the provider, or of its endpoint. */
  url: string;
  ms: number;
  status?: number | undefined;
  error?: string | undefined;
}

/** Histograms of one family, one for each combination of labels. */
class Family {
  private readonly series = new Map<string, { labels: Labels; counts: number[]; sum: number }>();
  private readonly bounds: readonly number[];

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
  }

  record(labels: Labels, value: number): void {
    const key = JSON.stringify(labels);
    let one = this.series.get(key);
    if (one === undefined) {
      one = { labels, counts: Array<number>(this.bounds.length + 1).fill(0), sum: 0 };
      this.series.set(key, one);
    }
    const found = this.bounds.findIndex((bound) => value <= bound);
    const bucket = found === -1 ? this.bounds.length : found;
    one.counts[bucket] = (one.counts[bucket] as number) + 1;
    one.sum += value;
  }

  samples(): Sample[] {
    return [...this.series.values()].flatMap(({ labels, counts, sum }) => {
      const bounded = counts.map((count, at): [number, number] =>
        [this.bounds[at] ?? Infinity, count]);
      return buckets(labels, bounded, sum);
    });
  }
}

/**
 * Counts calls as OpenTelemetry's conventions say. Labels are of what is configured, of the few
 * operations and methods, of statuses and of the kinds of errors: no client can make more of them.
 */
export class Conventions {
  private readonly durations = new Family(GEN_AI_BOUNDS);
  private readonly firstChunks = new Family(GEN_AI_BOUNDS);
  private readonly tokens = new Family(TOKEN_BOUNDS);
  private readonly requests = new Family(HTTP_BOUNDS);

  operation(end: OperationEnd): void {
    const failed = end.error === undefined ? {} : { error_type: end.error };
    this.durations.record({ ...labelsOf(end), ...failed }, seconds(end.ms));
  }

  /** Counts the tokens of an answer, if it told of them. */
  used(end: OperationEnd, { inputTokens, outputTokens }: Usage): void {
    const told = { input: inputTokens, output: outputTokens };
    for (const [type, tokens] of Object.entries(told)) {
      // An embedding has no output, and an answer that broke off may have none yet.
      if (tokens > 0) this.tokens.record({ ...labelsOf(end), gen_ai_token_type: type }, tokens);
    }
  }

  firstChunk(end: OperationEnd): void {
    this.firstChunks.record(labelsOf(end), seconds(end.ms));
  }

  request({ provider, method, url, ms, status, error }: RequestEnd): void {
    this.requests.record({
      provider,
      http_request_method: METHODS.includes(method) ? method : "_OTHER",
      ...serverOf(url),
      ...(status === undefined ? {} : { http_response_status_code: String(status) }),
      ...(error === undefined ? {} : { error_type: error }),
    }, seconds(ms));
  }

  /** Writes them. */
  text(): string[] {
    return [
      ...family("gen_ai_client_operation_duration_seconds", "histogram",
        "GenAI: from the call to the end of its answer, waits and retries included",
        this.durations.samples()),
      ...family("gen_ai_client_operation_time_to_first_chunk_seconds", "histogram",
        "GenAI: from the call to the first content of an answer that is a stream",
        this.firstChunks.samples()),
      ...family("gen_ai_client_token_usage", "histogram",
        "GenAI: the tokens of an operation, as far as its answer told of them",
        this.tokens.samples()),
      ...family("http_client_request_duration_seconds", "histogram",
        "HTTP: from sending a request to the headers of its answer", this.requests.samples()),
    ];
  }
}

function seconds(ms: number): number {
  return Math.max(0, ms) / 1_000;
}

function labelsOf({ provider, kind, operation }: OperationEnd): Labels {
  return {
    provider,
    gen_ai_operation_name: operation,
    gen_ai_provider_name: PROVIDERS[kind] ?? kind,
  };
}

function serverOf(url: string): Labels {
  const { hostname, port, protocol } = new URL(url);
  const usual = protocol === "https:" ? "443" : "80";
  return { server_address: hostname, server_port: port || usual };
}
