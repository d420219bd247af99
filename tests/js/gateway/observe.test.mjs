// What the gateway tells about itself: /stats, /stats/history, /metrics, /healthz.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import parsePrometheus from "parse-prometheus-text-format";

import { CHAT, RawRequest, chat } from "../lib/client.mjs";
import { RUNTIME, SCOPE } from "../lib/process.mjs";
import { getJson, startGateway, startSimulator } from "../lib/servers.mjs";
import { eventually } from "../lib/time.mjs";

const GAUGES = ["in_use", "idle", "waiting", "size", "max"];
const COUNTERS = [
  "started",
  "direct",
  "waited",
  "timed_out",
  "cancelled",
  "failed",
  "refused",
  "closed",
];
let simulator, gateway;

before(async () => {
  simulator = await startSimulator({ max: 8, "latency-ms": 5, "first-token-ms": 5, chunks: 4 });
  const provider = { kind: "openai", url: `${simulator.url}/v1` };
  gateway = await startGateway({
    providers: {
      busy: { ...provider, max: 2 },
      full: { ...provider, max: 1, max_waiting: 0 },
      "odd-name_1": { ...provider, kind: "http", max: 3 },
    },
  });
  for (let i = 0; i < 5; i += 1) await (await chat(`${gateway.url}/busy`)).text();
});
after(async () => {
  await gateway?.stop();
  await simulator?.stop();
});

/** Holds places, one request each, while `act` runs. */
async function whileHeld(provider, count, act) {
  const headers = { "x-sim-fault": "never-ends" };
  const open = () => new RawRequest(`${gateway.url}/${provider}${CHAT}`, { headers });
  const holders = Array.from({ length: count }, open);
  await Promise.all(holders.map((raw) => raw.until(({ events }) => events > 0)));
  try {
    await act();
  } finally {
    for (const raw of holders) raw.reset();
  }
  await gateway.rest(provider, 5_000);
}

test(`${RUNTIME}: /healthz says ok`, async () => {
  const response = await fetch(`${gateway.url}/healthz`);
  assert.deepEqual([response.status, (await response.text()).trim()], [200, "ok"]);
});

test(`${RUNTIME}: /stats has its scope, and every gauge and counter of each provider`, async () => {
  const stats = await gateway.stats();
  assert.equal(stats.scope, SCOPE ?? "isolate");
  assert.equal(stats.runtime, RUNTIME);
  assert.deepEqual(Object.keys(stats.providers).sort(), ["busy", "full", "odd-name_1"]);
  for (const [name, provider] of [...Object.entries(stats.providers), ["total", stats.total]]) {
    for (const field of [...GAUGES, ...COUNTERS]) {
      assert.ok(Number.isInteger(provider[field]), `${name}.${field}: ${provider[field]}`);
    }
  }
  const { busy } = stats.providers;
  assert.deepEqual([busy.kind, busy.max, busy.started], ["openai", 2, 5]);
  // The first call may count as waiting for its place to be made.
  assert.equal(busy.direct + busy.waited, 5);
  assert.ok(busy.direct >= 3);
  assert.equal(stats.providers["odd-name_1"].kind, "http");
  for (const field of ["wait_ms", "latency_ms"]) {
    for (const rank of ["p50", "p90", "p99"]) {
      assert.ok(busy[field][rank] >= 0, `${field}.${rank}: ${busy[field][rank]}`);
    }
  }
  assert.ok(busy.latency_ms.p50 > 0);
});

test(`${RUNTIME}: the total is the sum of the providers`, async () => {
  const { providers, total } = await gateway.stats();
  for (const field of [...GAUGES, ...COUNTERS]) {
    const sum = Object.values(providers).reduce((all, provider) => all + provider[field], 0);
    assert.equal(total[field], sum, field);
  }
});

test(`${RUNTIME}: /stats follows what is held, what waits and what is refused`, async () => {
  await whileHeld("busy", 2, async () => {
    const waiting = new RawRequest(`${gateway.url}/busy${CHAT}`);
    await eventually(2_000, "one waits", async () => {
      const { in_use, waiting } = await gateway.stats("busy");
      return in_use === 2 && waiting === 1;
    });
    waiting.reset();
    await eventually(2_000, "none waits", async () => (await gateway.stats("busy")).waiting === 0);
    assert.equal((await gateway.stats("busy")).cancelled, 1);
  });
  await whileHeld("full", 1, async () => {
    await (await chat(`${gateway.url}/full`)).text();
    const { refused, in_use } = await gateway.stats("full");
    assert.deepEqual({ refused, in_use }, { refused: 1, in_use: 1 });
  });
});

test(`${RUNTIME}: /stats/history holds samples, and is bounded`, async () => {
  const { seen } = await eventually(5_000, "a sample", async () => {
    const history = await getJson(`${gateway.url}/stats/history`);
    return JSON.stringify(history).includes("busy") && history;
  });
  assert.ok(JSON.stringify(seen).length < 1_000_000);
});

function labels(metric) {
  return metric.labels ?? {};
}

test(`${RUNTIME}: /metrics is Prometheus text that a parser reads`, async () => {
  const response = await fetch(`${gateway.url}/metrics`);
  assert.match(response.headers.get("content-type"), /^text\/plain;.*version=0\.0\.4/);
  const text = await response.text();
  assert.ok(text.endsWith("\n"));
  const families = parsePrometheus(text);
  const names = new Set();
  for (const { name, help, type, metrics } of families) {
    assert.match(name, /^(edgepool|gen_ai_client|http_client)_[a-z0-9_]+$/);
    assert.ok(!names.has(name), `${name} twice`);
    names.add(name);
    assert.ok(help.length > 0, `${name} has no help`);
    assert.ok(["COUNTER", "GAUGE", "HISTOGRAM", "SUMMARY"].includes(type), `${name}: ${type}`);
    if (type === "COUNTER") assert.match(name, /_total$/);
    for (const metric of metrics.filter(({ value }) => value !== undefined)) {
      assert.ok(Number.isFinite(Number(metric.value)), `${name}: ${JSON.stringify(metric)}`);
    }
  }
  const providers = new Set(families.flatMap(({ metrics }) => metrics.map(labels))
    .map(({ provider }) => provider));
  for (const name of ["busy", "full", "odd-name_1"]) assert.ok(providers.has(name), name);
});

test(`${RUNTIME}: /metrics and /stats tell the same numbers, each in its family`, async () => {
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  const stats = await gateway.stats();
  const families = parsePrometheus(text);
  /** The samples of one provider: the values by the label, or by nothing. */
  const samples = (name, provider, label) => {
    const family = families.find((each) => each.name === name);
    assert.ok(family, `no ${name} in ${families.map(({ name }) => name)}`);
    const mine = family.metrics.filter((metric) => labels(metric).provider === provider);
    return Object.fromEntries(mine.map(({ labels, value }) => [labels[label], Number(value)]));
  };
  for (const [provider, numbers] of Object.entries(stats.providers)) {
    const pick = (...fields) => Object.fromEntries(fields.map((field) => [field, numbers[field]]));
    const states = samples("edgepool_connections", provider, "state");
    assert.deepEqual(states, pick("creating", "idle", "offered", "in_use", "retired", "closing"));
    const sum = (values) => Object.values(values).reduce((all, value) => all + value, 0);
    assert.equal(sum(states), numbers.size);
    const outcomes = samples("edgepool_acquires_total", provider, "outcome");
    assert.deepEqual(outcomes, pick("direct", "waited", "timed_out", "cancelled", "failed",
      "refused", "closed", "missed"));
    assert.deepEqual(samples("edgepool_leases_ended_total", provider, "outcome"),
      pick("released", "discarded", "taken", "expired"));
    const one = (name) => samples(name, provider)[undefined];
    assert.equal(one("edgepool_max_connections"), numbers.max);
    assert.equal(one("edgepool_waiting"), numbers.waiting);
    assert.equal(one("edgepool_acquires_started_total"), numbers.started);
    assert.equal(sum(outcomes) + one("edgepool_pending"), numbers.started);
  }
  const { busy, full } = stats.providers;
  assert.ok(busy.released > 0 && busy.cancelled > 0 && full.refused > 0, "there is something to tell");
});

test(`${RUNTIME}: the buckets of a histogram grow, and end at its count`, async () => {
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  // The parser folds the histograms of all labels into one; without their types it gives samples.
  const families = parsePrometheus(text.replaceAll(/^#.*\n/gm, ""));
  const samples = (name) => families.filter((f) => f.name === name).flatMap((f) => f.metrics);
  const histograms = [...text.matchAll(/^# TYPE (\S+) histogram$/gm)].map(([, name]) => name);
  assert.ok(histograms.length > 0);
  const but = ({ le: _, ...others }) => JSON.stringify(others);
  for (const name of histograms) {
    const counts = samples(`${name}_count`);
    const isOfAll = !/^(gen_ai|http)_/.test(name);
    assert.ok(counts.length >= (isOfAll ? 3 : 1), `${name} for each provider`);
    for (const { labels: of, value } of counts) {
      const bounds = samples(`${name}_bucket`);
      const mine = bounds.filter(({ labels }) => but(labels) === but(of));
      assert.deepEqual(mine.at(-1).labels.le, "+Inf", name);
      assert.equal(mine.at(-1).value, value, `${name}: the last bucket is the count`);
      for (const [i, { labels, value }] of mine.slice(1).entries()) {
        assert.ok(Number(value) >= Number(mine[i].value), `${name}: le ${labels.le}`);
      }
    }
  }
  const waits = samples("edgepool_wait_seconds_count");
  const { value } = waits.find(({ labels }) => labels.provider === "busy");
  assert.ok(Number(value) >= 5);
});

test(`${RUNTIME}: calls are told by OpenTelemetry's names, with its labels`, async () => {
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  const bare = parsePrometheus(text.replaceAll(/^#.*\n/gm, "")).flatMap((family) =>
    family.metrics.map((metric) => ({ name: family.name, ...metric })));
  const busy = (name) => bare.filter((one) => one.name === name && one.labels.provider === "busy");
  const { port } = new URL(simulator.url);
  const model = {
    provider: "busy", gen_ai_operation_name: "chat", gen_ai_provider_name: "openai",
  };
  const calls = busy("gen_ai_client_operation_duration_seconds_count");
  const well = calls.find(({ labels }) => labels.error_type === undefined);
  assert.deepEqual(well.labels, model);
  assert.ok(Number(well.value) >= 5);
  const [first] = busy("gen_ai_client_operation_time_to_first_chunk_seconds_count");
  assert.deepEqual([first.labels, Number(first.value)], [model, Number(well.value)]);
  const requests = busy("http_client_request_duration_seconds_count");
  const answered = requests.find(({ labels }) => labels.http_response_status_code === "200");
  assert.deepEqual(answered.labels, {
    provider: "busy", http_request_method: "POST", server_address: "127.0.0.1",
    server_port: port, http_response_status_code: "200",
  });
  assert.ok(!text.includes('gen_ai_operation_name="chat",gen_ai_provider_name="http"'));
  const les = busy("gen_ai_client_operation_duration_seconds_bucket")
    .filter(({ labels }) => labels.error_type === undefined).map(({ labels }) => labels.le);
  assert.deepEqual([les.length, les[0], les.at(-2)], [15, "0.01", "81.92"]);
});
