import type { ProviderTenants, TenantCounts, TenantNumbers } from "../wire.js";
import { count, duration, plural } from "./format.js";

const COLUMNS = ["In use", "Waiting", "Mean wait", "Longest", "Served", "Refused"];

/** Who had how much of a provider, a row each: the others are one. */
export function TenantTable({ told: { tenants, others } }: { told: ProviderTenants }) {
  return (
    <table class="endpoints tenants">
      <caption>{plural(tenants.length + others.tenants, "tenant")}</caption>
      <thead>
        <tr>
          <th scope="col">Tenant</th>
          <th scope="col">Share, last 10 s</th>
          {COLUMNS.map((name) => <th scope="col" class="number" key={name}>{name}</th>)}
        </tr>
      </thead>
      {tenants.map((one) => <Tenant key={one.id} name={one.id} counts={one} limits={one} />)}
      {others.tenants > 0 && <Tenant name={plural(others.tenants, "other")} counts={others} />}
    </table>
  );
}

function Tenant({ name, counts, limits }: {
  name: string; counts: TenantCounts; limits?: TenantNumbers;
}) {
  const { in_use: used, waiting, refused, timed_out: late, recent } = counts;
  const max = limits?.max ?? null;
  const of = max === null ? "" : ` of ${count(max)}`;
  const cells: [name: string, value: string, look?: string][] = [
    ["In use", count(used) + of, used > 0 ? "used" : ""],
    ["Waiting", count(waiting), waiting > 0 ? "waits" : ""],
    ["Mean wait", duration(recent.mean_wait_ms)],
    ["Longest", duration(counts.longest_wait_ms)],
    ["Served", count(counts.acquired)],
    ["Refused", count(refused + late), refused + late > 0 ? "bad" : ""],
  ];
  return (
    <tbody>
      <tr>
        <th scope="row">
          {name}{limits && limits.weight !== 1 && <small> weight {count(limits.weight)}</small>}
        </th>
        <td class="share-cell"><Share share={recent.share} /></td>
        {cells.map(([label, value, look]) => (
          <td key={label} class={`number ${look ?? ""}`} data-label={label}>{value}</td>
        ))}
      </tr>
    </tbody>
  );
}

/** A part of what was served, as a bar and in percent. */
function Share({ share }: { share: number | null }) {
  const percent = share === null ? "–" : `${Math.round(100 * share)} %`;
  return (
    <span class="share">
      <span class="share-bar" aria-hidden="true">
        <b style={{ width: `${100 * (share ?? 0)}%` }} />
      </span>
      {percent}
    </span>
  );
}
