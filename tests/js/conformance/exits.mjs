// A script that must end by itself, and not before its calls have: a pool that is idle, whose timers
// were used, does not keep it going, nor does a lease that does not come back to a tenant whose pool
// was closed; a call of a client that waits to be sent again does.
import { Pool } from "edgepool";
import { ClientPool } from "edgepool/clients";
import { TenantPools } from "edgepool/tenants";

const pool = new Pool({ create: () => ({}), max: 1 });
const held = await pool.acquire();
const waiting = pool.acquire();
setTimeout(() => held.release(), 10);
(await waiting).release();

const tenants = new TenantPools({ strategy: { perTenant: {} }, create: () => ({}) });
await tenants.acquire("lost");
const lost = await tenants.close({ deadline: 10 });
if (lost.length !== 1) throw new Error(`${lost.length} leases are out`);

const statuses = [429, 503, 200];
const fetch = async () => {
  const choices = [{ message: { content: "answered" } }];
  const headers = { "content-type": "application/json", "retry-after-ms": "50" };
  return new Response(JSON.stringify({ choices }), { status: statuses.shift(), headers });
};
const providers = { p: { kind: "openai", baseURL: "http://127.0.0.1:9/v1", model: "m" } };
const clients = new ClientPool({ providers, fetch });
const { text } = await clients.chat("p", { messages: [{ role: "user", content: "Why?" }] });
if (text !== "answered" || statuses.length > 0) throw new Error(`${text}, ${statuses} are left`);
console.log("idle");
