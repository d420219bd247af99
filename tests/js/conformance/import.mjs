// The first import of the package in a process of its own.
import { importQuietly } from "./lib/quiet.mjs";

const called = await importQuietly(async () => {
  const { Pool } = await import("edgepool");
  const { ClientPool } = await import("edgepool/clients");
  const { TenantPools } = await import("edgepool/tenants");
  for (const each of [Pool, ClientPool, TenantPools]) {
    if (typeof each !== "function") throw new Error("no pools");
  }
});
console.log(called.length === 0 ? "quiet" : called.join("\n"));
