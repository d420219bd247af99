// What /stats and /metrics make of the client pool's statistics of a provider.

import assert from "node:assert/strict";
import { before, test } from "node:test";

import parsePrometheus from "parse-prometheus-text-format";

import { importSource } from "../lib/gateway-source.mjs";
import { endpointStats, serviceStats } from "../lib/service-stats.mjs";

const NOW = 5_000;
let serviceNumbers, serviceMetrics;

before(async () => {
  ({ serviceNumbers } = await importSource("service.ts"));
  ({ serviceMetrics } = await importSource("service-metrics.ts"));
});

const told = (name, stats) => ({ name, stats, numbers: serviceNumbers(stats, NOW) });

test("an endpoint's state is one word, and times are told as what is left or has passed", () => {
  const rows = [
    [{}, "up", 0],
    [{ pausedUntil: 4_000 }, "up", 0],
    [{ pausedUntil: 7_500 }, "paused", 2_500],
    [{ breaker: "halfOpen" }, "half_open", 0],
    [{ breaker: "open", pausedUntil: 7_500 }, "ejected", 2_500],
  ];
  for (const [more, state, paused] of rows) {
    const stats = serviceStats([endpointStats("http://h/v1", more)]);
    const [endpoint] = serviceNumbers(stats, NOW).endpoints;
    assert.deepEqual([endpoint.state, endpoint.paused_ms], [state, paused]);
  }
  const alert = { since: 4_200, waiting: 3, refused: 2 };
  const { alert: said } = serviceNumbers(serviceStats([], { alert }), NOW);
  assert.deepEqual(said, { since_ms: 800, waiting: 3, refused: 2 });
});

test("statistics have the names that /stats has, and no buckets", () => {
  const numbers = serviceNumbers(serviceStats([endpointStats("http://h/v1")]), NOW);
  const names = (value) => Object.entries(value ?? {}).flatMap(([name, inner]) =>
    (typeof inner === "object" ? [name, ...names(inner)] : [name]));
  for (const name of names(numbers)) assert.match(name, /^[a-z0-9_]+$/);
  assert.ok(!JSON.stringify(numbers).includes("buckets"));
  assert.equal(numbers.rate_limited, 4);
});

test("the metrics tell the same, by provider and endpoint", () => {
  const stats = serviceStats([
    endpointStats("http://a/v1", { limit: 4, breaker: "open" }),
    endpointStats('http://b/"odd"', { pausedUntil: 6_000, latency: null }),
  ]);
  const text = serviceMetrics([told("one", stats), told("two", serviceStats([]))]).join("\n");
  const families = parsePrometheus(`${text}\n`);
  const values = (name, pick) => Object.fromEntries(families.find((f) => f.name === name).metrics
    .map(({ labels, value }) => [pick.map((label) => labels[label]).join(" "), Number(value)]));
  assert.deepEqual(values("edgepool_retries_total", ["provider"]), { one: 5, two: 5 });
  assert.deepEqual(values("edgepool_call_failures_total", ["provider", "error_type"]), {
    "one timeout_total": 1, "one server": 1, "two timeout_total": 1, "two server": 1,
  });
  assert.deepEqual(values("edgepool_endpoint_limit", ["endpoint"]), { "http://a/v1": 4 });
  assert.deepEqual(values("edgepool_endpoint_latency_seconds", ["endpoint"]),
    { "http://a/v1": 0.0125 });
  assert.equal(values("edgepool_endpoint_paused_seconds", ["endpoint"])['http://b/"odd"'], 1);
  assert.deepEqual(values("edgepool_tokens_total", ["endpoint", "type"]), {
    "http://a/v1 input": 120, "http://a/v1 output": 340,
    'http://b/"odd" input': 120, 'http://b/"odd" output': 340,
  });
  const states = values("edgepool_endpoint_state", ["endpoint", "state"]);
  const on = Object.entries(states).filter(([, value]) => value === 1).map(([name]) => name);
  assert.deepEqual(on, ["http://a/v1 ejected", 'http://b/"odd" paused']);
  assert.equal(Object.keys(states).length, 8);
});

test("a histogram's buckets hold exactly what was counted up to them", () => {
  const stats = serviceStats([endpointStats("http://a/v1")]);
  const text = serviceMetrics([told("one", stats)]).join("\n");
  const lines = [...text.matchAll(/first_content_seconds_bucket\{.*le="(.*)"\} (\d+)/g)];
  const below = Object.fromEntries(lines.map(([, le, count]) => [le, Number(count)]));
  assert.equal(Object.keys(below).length, 19);
  assert.deepEqual([below["0.001024"], below["0.002048"], below["0.032768"]], [3, 5, 5]);
  assert.deepEqual([below["0.065536"], below["134.217728"], below["+Inf"]], [6, 6, 7]);
  assert.match(text, /first_content_seconds_count\{[^}]*\} 7$/m);
  assert.match(text, /first_content_seconds_sum\{[^}]*\} 0\.048128$/m);
});
