import { speaksOpenAi } from "../burst-shape.js";
import type { Columns, PoolNumbers, ProviderNumbers, ProviderTenants, Stats } from "../wire.js";
import { Burst } from "./burst.js";
import { Chart, type Line } from "./chart.js";
import { Copy } from "./copy.js";
import { Endpoints, Service } from "./endpoints.js";
import { count, duration, plural } from "./format.js";
import { type Live, useLive } from "./live.js";
import { Slots } from "./slots.js";
import { TenantTable } from "./tenants.js";
import { ThemeButton } from "./theme.js";

/** The whole page. */
export function App() {
  const live = useLive();
  return (
    <>
      <Header live={live} />
      <main class={live.lostSince ? "stale" : ""}>
        <Alerts live={live} />
        {live.stats ? <Pools {...live} stats={live.stats} /> : !live.lostSince && <Loading />}
      </main>
      <footer>
        The same numbers: <a href="/stats">stats</a> <a href="/stats/history">history</a>{" "}
        <a href="/metrics">metrics</a>
      </footer>
    </>
  );
}

function Header({ live: { stats, lostSince } }: { live: Live }) {
  const state = lostSince ? "lost" : stats ? "live" : "wait";
  return (
    <header>
      <h1><img src="/favicon.svg" alt="" width="28" height="28" />edgepool</h1>
      {stats && <span class="chip" title="What runs the gateway">{stats.runtime}</span>}
      <span class={`state ${state}`}>
        {{ lost: "no connection", live: "live", wait: "connecting" }[state]}
      </span>
      <ThemeButton />
    </header>
  );
}

function Loading() {
  return <p class="empty" role="status">Asking the gateway how its pools are…</p>;
}

function Alerts({ live: { stats, lostSince } }: { live: Live }) {
  const alerts = lostSince ? [] : Object.entries(stats?.providers ?? {}).flatMap(exhausted);
  return (
    <div class="alerts" aria-live="polite">
      {lostSince && (
        <p class="alert lost"><strong>The gateway does not answer.</strong>{" "}
          {stats ? `These are its numbers of ${new Date(lostSince).toLocaleTimeString("en-GB")}. `
            : "Is it running? "}
          The page goes on asking.
        </p>
      )}
      {alerts}
    </div>
  );
}

function exhausted([name, numbers]: [string, ProviderNumbers]) {
  const { refused_last_minute: refused, service: { alert } } = numbers;
  if (alert === null) return [];
  return [
    <p class="alert" key={name}>
      <strong>{name} is exhausted.</strong>
      {alert.waiting > 0 && ` Its queue has not been empty for ${duration(alert.since_ms)}: `
        + `${count(alert.waiting)} wait now.`}
      {refused > 0 && ` ${plural(refused, "request")} refused in the last minute.`}
      {" Send fewer at once, or raise its max."}
    </p>,
  ];
}

const SCOPES = {
  isolate: {
    name: "one isolate",
    meaning: "This pool limits one isolate. For one limit for all isolates, put the pool in a "
      + "Durable Object.",
  },
  object: {
    name: "one Durable Object",
    meaning: "This pool is in a Durable Object, and limits all isolates together.",
  },
};

function Pools({ stats, history }: Live & { stats: Stats }) {
  const providers = Object.entries(stats.providers);
  return (
    <>
      <Total total={stats.total} providers={providers.length} />
      <div class="columns">
        <div class="providers">
          {providers.map(([name, numbers]) => (
            <Provider key={name} name={name} numbers={numbers} base={baseOf(name, stats)}
              tenants={stats.tenants?.providers[name]}
              start={history?.start ?? 0} columns={history?.providers[name]} />
          ))}
        </div>
        <aside>
          <section class="card" aria-labelledby="burst">
            <h2 id="burst">Send a burst</h2>
            <Burst providers={stats.providers} tenants={stats.tenants} />
          </section>
          <section class="card scope" aria-labelledby="scope">
            <h2 id="scope">Scope: {SCOPES[stats.scope].name}</h2>
            <p>{SCOPES[stats.scope].meaning}</p>
          </section>
        </aside>
      </div>
    </>
  );
}

function Total({ total, providers }: { total: PoolNumbers; providers: number }) {
  const refused = refusedIn(total);
  return (
    <section class="total" aria-label={`In all, ${plural(providers, "provider")}`}>
      <Tile name="In use" value={count(total.in_use)} of={count(total.max)} look="used" />
      <Tile name="Waiting" value={count(total.waiting)} look={total.waiting > 0 ? "waits" : ""} />
      <Tile name="Completed" value={count(total.completed)} />
      <Tile name="Refused" value={count(refused)} look={refused > 0 ? "bad" : ""} />
      <Tile name="Errors" value={count(total.errors)} look={total.errors > 0 ? "bad" : ""} />
      <Tile name="Wait p99" value={duration(total.wait_ms.p99)} />
    </section>
  );
}

function refusedIn({ refusals }: PoolNumbers): number {
  return Object.values(refusals).reduce((sum, each) => sum + each, 0);
}

function Tile({ name, value, of, look }: {
  name: string; value: string; of?: string; look?: string;
}) {
  return (
    <div class={`tile ${look ?? ""}`}>
      <span>{name}</span>
      <b>{value}{of && <small> of {of}</small>}</b>
    </div>
  );
}

/** The address that a client is told. */
function baseOf(name: string, { providers, tenants }: Stats): string {
  const { kind } = providers[name] as ProviderNumbers;
  const tenant = tenants?.by === "path" ? "/t/TENANT" : "";
  return `${location.origin}${tenant}/${name}${speaksOpenAi(kind) ? "/v1" : ""}`;
}

interface ProviderProps {
  name: string;
  numbers: ProviderNumbers;
  base: string;
  tenants: ProviderTenants | undefined;
  start: number;
  columns: Columns | undefined;
}

function Provider({ name, numbers, base, tenants, start, columns }: ProviderProps) {
  return (
    <section class="card provider" aria-labelledby={`provider-${name}`}>
      <div class="head">
        <h2 id={`provider-${name}`}>{name}</h2>
        <span class="kind">{numbers.kind}</span>
        {numbers.simulator && <span class="simulator">Simulator</span>}
        <Copy text={base} label={`Base URL for ${clientOf(numbers)}`} />
      </div>
      <div class="now">
        <div>
          <Slots numbers={numbers} />
          <Numbers numbers={numbers} />
        </div>
        <Ranks numbers={numbers} />
      </div>
      <Service service={numbers.service} />
      {tenants && <TenantTable told={tenants} />}
      <Endpoints service={numbers.service} />
      {columns && <Charts start={start} columns={columns} numbers={numbers} />}
    </section>
  );
}

function clientOf({ kind }: ProviderNumbers): string {
  if (speaksOpenAi(kind)) return "an OpenAI client";
  const clients: Partial<Record<typeof kind, string>> = {
    azure: "an Azure OpenAI client", anthropic: "an Anthropic client", ollama: "an Ollama client",
  };
  return clients[kind] ?? "any client";
}

function Numbers({ numbers }: { numbers: ProviderNumbers }) {
  const refused = refusedIn(numbers);
  const rows: [string, string, string?][] = [
    ["in use", count(numbers.in_use), "used"],
    ["idle", count(numbers.idle), "idle"],
    ["waiting", count(numbers.waiting), numbers.waiting > 0 ? "waits" : ""],
    ["max", count(numbers.max)],
    ["completed", count(numbers.completed)],
    ["refused", count(refused), refused > 0 ? "bad" : ""],
    ["errors", count(numbers.errors), numbers.errors > 0 ? "bad" : ""],
  ];
  return (
    <dl class="numbers">
      {rows.map(([name, value, look]) => (
        <div key={name} class={look ?? ""}><dt>{name}</dt><dd>{value}</dd></div>
      ))}
    </dl>
  );
}

function Ranks({ numbers }: { numbers: ProviderNumbers }) {
  const { recent } = numbers;
  const rows = [
    ["Wait", "last 10 s", recent.wait_ms], ["Wait", "5 min", numbers.wait_ms],
    ["Latency", "last 10 s", recent.latency_ms], ["Latency", "5 min", numbers.latency_ms],
  ] as const;
  return (
    <table class="ranks">
      <caption class="unseen">Percentiles of waits and latencies</caption>
      <thead>
        <tr>
          <th /><th />
          {["p50", "p90", "p99"].map((rank) => <th scope="col" key={rank}>{rank}</th>)}
        </tr>
      </thead>
      <tbody>
        {rows.map(([name, span, { p50, p90, p99 }], index) => (
          <tr key={name + span} class={index % 2 === 0 ? "first" : ""}>
            <th scope="row">{index % 2 === 0 ? name : <span class="unseen">{name}</span>}</th>
            <td class="span">{span}</td>
            {[p50, p90, p99].map((ms, rank) => <td key={rank}>{duration(ms)}</td>)}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const sum = (one: number[], other: number[]) => one.map((value, at) => {
  const all = value + (other[at] ?? 0);
  return all > 0 ? all : null;
});

function levels(columns: Columns): Line[] {
  const failed = sum(columns.refused, columns.errors);
  return [
    { name: "failed", colour: "bad", values: failed, bars: true },
    { name: "waiting", colour: "waits", values: columns.waiting },
    { name: "in use", colour: "used", values: columns.in_use, filled: true },
  ];
}

function Charts({ start, columns, numbers }: {
  start: number; columns: Columns; numbers: ProviderNumbers;
}) {
  const whole = (value: number | null) => (value === null ? "0" : count(Math.round(value)));
  const ranks = (of: "wait" | "latency") => [
    { name: "p99", colour: "third", values: columns[`${of}_p99`] },
    { name: "p90", colour: "second", values: columns[`${of}_p90`] },
    { name: "p50", colour: "used", values: columns[`${of}_p50`] },
  ];
  const empty = "Nothing in five minutes";
  return (
    <div class="charts">
      <Chart title="Places" start={start} format={whole} atLeast={numbers.max} empty={empty} counts
        lines={levels(columns)} />
      <Chart title="Wait" start={start} format={duration} atLeast={10} empty={empty}
        lines={ranks("wait")} />
      <Chart title="Latency" start={start} format={duration} atLeast={10} empty={empty}
        lines={ranks("latency")} />
    </div>
  );
}
