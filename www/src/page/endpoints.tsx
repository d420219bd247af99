import type { EndpointNumbers, EndpointState, ServiceNumbers } from "../wire.js";
import { count, duration, plural } from "./format.js";

const STATES: Record<EndpointState, { word: string; meaning: string }> = {
  up: { word: "up", meaning: "It gets its share of the calls" },
  half_open: { word: "half-open", meaning: "One call tries whether it is good again" },
  ejected: { word: "ejected", meaning: "It failed too often, and gets no calls for a while" },
  paused: { word: "paused", meaning: "It asked to be left alone for a while" },
};

/** How each address of a provider does, a row each. */
export function Endpoints({ service }: { service: ServiceNumbers }) {
  const { endpoints } = service;
  return (
    <table class="endpoints">
      <caption>{plural(endpoints.length, "endpoint")}</caption>
      <thead>
        <tr>
          <th scope="col">Address</th>
          <th scope="col">State</th>
          {["In flight", "Latency", "First content", "Answered", "429s", "Failed"].map((name) => (
            <th scope="col" class="number" key={name}>{name}</th>
          ))}
        </tr>
      </thead>
      {endpoints.map((endpoint) => <Endpoint key={endpoint.name} endpoint={endpoint} />)}
    </table>
  );
}

function Endpoint({ endpoint }: { endpoint: EndpointNumbers }) {
  const { name, in_flight: used, limit, rate_limited: limited, last_error: error } = endpoint;
  const failed = sum(endpoint.failures) - limited;
  const cells: [name: string, value: string, look?: string][] = [
    ["In flight", limit === null ? count(used) : `${count(used)} of ${count(limit)}`],
    ["Latency", duration(endpoint.latency_ms)],
    ["First content", duration(endpoint.first_content_ms.p50)],
    ["Answered", count(endpoint.answered)],
    ["429s", count(limited), limited > 0 ? "waits" : ""],
    ["Failed", count(failed), failed > 0 ? "bad" : ""],
  ];
  return (
    <tbody>
      <tr>
        <th scope="row">{name}</th>
        <td class="state-cell"><State endpoint={endpoint} /></td>
        {cells.map(([label, value, look]) => (
          <td key={label} class={`number ${look ?? ""}`} data-label={label}>{value}</td>
        ))}
      </tr>
      {error !== null && (
        <tr class="last-error"><td colSpan={8}><span>Last error:</span> {error}</td></tr>
      )}
    </tbody>
  );
}

function State({ endpoint: { state, paused_ms: paused } }: { endpoint: EndpointNumbers }) {
  const { word, meaning } = STATES[state];
  return (
    <span class={`endpoint-state ${state}`} title={meaning}>
      {word}{state === "paused" && ` ${duration(paused)}`}
    </span>
  );
}

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((all, each) => all + each, 0);
}

/** What a provider's calls took: tokens, time to the first of them, attempts beside the first. */
export function Service({ service }: { service: ServiceNumbers }) {
  const { first_content_ms: first, hedges, hedges_won: won } = service;
  const rows: [name: string, value: string, look?: string][] = [
    ["first content p50", duration(first.p50)],
    ["first content p99", duration(first.p99)],
    ["tokens in", count(service.input_tokens)],
    ["tokens out", count(service.output_tokens)],
    ["retries", count(service.retries)],
    ["hedges won", won === 0 && hedges === 0 ? "0" : `${count(won)} of ${count(hedges)}`],
    ["429s", count(service.rate_limited), service.rate_limited > 0 ? "waits" : ""],
    ["over budget", count(service.over_budget), service.over_budget > 0 ? "bad" : ""],
  ];
  return (
    <dl class="numbers service" aria-label="Calls and attempts">
      {rows.map(([name, value, look]) => (
        <div key={name} class={look ?? ""}><dt>{name}</dt><dd>{value}</dd></div>
      ))}
    </dl>
  );
}
