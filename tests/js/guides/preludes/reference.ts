// What the examples of the reference take as given.
import "./database.ts";
import "./providers.ts";
import { Pool } from "edgepool";
import { TenantPools } from "edgepool/tenants";
import Sdk from "openai";

declare global {
  var pool: Pool<Connection>;
  var tenants: TenantPools<Connection>;
  var signal: AbortSignal;
  var OpenAI: typeof Sdk;
}

globalThis.pool = new Pool({ create: () => connect(), close: (connection) => connection.end() });
globalThis.tenants = new TenantPools({
  strategy: { perTenant: {} }, create: () => connect(), close: (connection) => connection.end(),
});
globalThis.signal = new AbortController().signal;
globalThis.OpenAI = Sdk;

export {};
