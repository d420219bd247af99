import { type Sample, family } from "./prometheus.js";
import { OTHERS } from "./tenant-id.js";
import type { TenantCounts, TenantsStats } from "./wire.js";

type OfTenant = [name: string, type: string, help: string, read: (counts: TenantCounts) => number];

const FAMILIES: OfTenant[] = [
  ["edgepool_tenant_in_use", "gauge", "Places that a tenant has", (of) => of.in_use],
  ["edgepool_tenant_waiting", "gauge", "Its calls in the queue", (of) => of.waiting],
  ["edgepool_tenant_acquired_total", "counter", "Places that it was given", (of) => of.acquired],
  ["edgepool_tenant_timeouts_total", "counter", "Its calls that had no place in time",
    (of) => of.timed_out],
  ["edgepool_tenant_refused_total", "counter", "Its calls that found a queue full",
    (of) => of.refused],
  ["edgepool_tenant_wait_seconds_total", "counter", "The waits of its calls together",
    (of) => of.total_wait_ms / 1_000],
  ["edgepool_tenant_longest_wait_seconds", "gauge", "The longest of them",
    (of) => of.longest_wait_ms / 1_000],
];

/**
 * Writes what tenants had of each provider. Those that the configuration names have labels of their
 * own, and so have as many of the others as it says, the ones served most; the rest share a label.
 */
export function tenantMetrics({ providers, rejections }: TenantsStats): string[] {
  const all = Object.entries(providers);
  return [
    ...family("edgepool_tenant_rejections_total", "counter",
      "Requests that were refused as nobody knows whose they are",
      Object.entries(rejections).map(([code, count]): Sample => [{ code }, count])),
    ...family("edgepool_tenants", "gauge", "Tenants that are known now",
      all.map(([provider, { tenants, others }]) =>
        [{ provider }, tenants.length + others.tenants])),
    ...family("edgepool_tenant_weight", "gauge", "How much a tenant is served beside others",
      all.flatMap(([provider, { tenants }]) => tenants.map(({ id: tenant, weight }): Sample =>
        [{ provider, tenant }, weight]))),
    ...FAMILIES.flatMap(([name, type, help, read]) => family(name, type, help,
      all.flatMap(([provider, { tenants, others }]) => [...tenants, { ...others, id: OTHERS }]
        .map((counts): Sample => [{ provider, tenant: counts.id }, read(counts)])))),
  ];
}
